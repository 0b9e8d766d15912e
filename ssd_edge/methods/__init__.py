"""Continual-learning methods, one file each; ``+`` joins a network and regularizers."""

from ssd_edge.methods.method import Batch, Method, Task
from ssd_edge.methods.registry import METHODS, MethodSpec, check_settings, parse_method, register

__all__ = ["METHODS", "Batch", "Method", "MethodSpec", "Task", "check_settings", "parse_method", "register"]
