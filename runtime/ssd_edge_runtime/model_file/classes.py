"""The class names of a file and nothing else, read without numpy: what a shell offers while one types."""

from __future__ import annotations

from os import PathLike

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import strict_json
from ssd_edge_runtime.model_file.container import MANIFEST_KEY, read_file, split


def class_names(path: str | PathLike[str]) -> tuple[str, ...]:
    """The names that the file at ``path`` says it answers, in logit order; nothing else of it is checked.

    :raises EdgeModelError: if it is no file of ours.
    :raises OSError: if it cannot be read.
    """
    metadata = split(read_file(path)).metadata
    EdgeModelError.unless(MANIFEST_KEY in metadata, f"the file has no {MANIFEST_KEY}")
    manifest = strict_json.loads(bytes(metadata[MANIFEST_KEY]), "the manifest")
    names = manifest.get("classes") if isinstance(manifest, dict) else None
    good = isinstance(names, list) and all(isinstance(name, str) for name in names)
    EdgeModelError.unless(good, "classes must be a list of names")
    return tuple(names or ())
