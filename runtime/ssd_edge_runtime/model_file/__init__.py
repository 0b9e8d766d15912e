"""The one owner of the file format: header, container, manifest, graph, codecs, checks, encode, decode."""
