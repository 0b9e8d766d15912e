"""The Top-K network: layers, inhibition, activation frequency, readout."""

from ssd_edge.model.initialize import initial_weight, normalize_rows, normalize_rows_
from ssd_edge.model.layer import TopKLayer
from ssd_edge.model.linear import RowGradient
from ssd_edge.model.network import TopKNetwork
from ssd_edge.model.support import random_support
from ssd_edge.model.tensors import load_network, network_from_tensors, network_to_tensors, save_network

__all__ = [
    "RowGradient",
    "TopKLayer",
    "TopKNetwork",
    "initial_weight",
    "load_network",
    "network_from_tensors",
    "network_to_tensors",
    "normalize_rows",
    "normalize_rows_",
    "random_support",
    "save_network",
]
