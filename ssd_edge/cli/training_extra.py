"""Commands of the model builder need torch."""

from __future__ import annotations

import importlib.util

from ssd_edge_runtime.errors import MissingExtraError


def require_torch(feature: str) -> None:
    """Raise MissingExtraError where torch or safetensors is not installed."""
    for package in ("torch", "safetensors"):
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(feature)
