"""Run an SSD-Edge model on a device, and keep learning there, without torch."""

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model import EdgeModel

__version__ = "0.1.0"
__all__ = ["EdgeModel", "EdgeModelError", "__version__"]
