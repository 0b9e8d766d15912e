"""Frozen encoders in front of the network: torchvision models, the user's own, and those trained here."""

from ssd_edge.encoders.embeddings import CACHE, Embeddings
from ssd_edge.encoders.make import make_encoder

__all__ = ["CACHE", "Embeddings", "make_encoder"]
