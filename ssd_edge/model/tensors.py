"""A network as named tensors and a small description; safetensors on disk, nothing pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ssd_edge.model.network import TopKNetwork
from ssd_edge_runtime.errors import DataError, MissingExtraError
from ssd_edge_runtime.sparse.sketch import Sketch
from ssd_edge_runtime.storage.atomic import writing

COUNTS = ("inhibition_count", "activation_count", "task_count", "class_count")


def network_to_tensors(network: TopKNetwork, prefix: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All arrays by name, on the CPU, and what is not an array (JSON)."""
    tensors = {"readout.weight": network.readout_weight.detach(), "class_samples": network.class_samples}
    for name, tensor in (("readout.bias", network.readout_bias), ("center", network.center)):
        if tensor is not None:
            tensors[name] = tensor
    if network.sketch is not None:
        tensors["sketch.sums"] = torch.from_numpy(network.sketch.sums)
        tensors["sketch.signs"] = torch.from_numpy(network.sketch.signs)
    for i, layer in enumerate(network.topk_layers, 1):
        tensors[f"hidden{i}.weight"] = layer.weight.detach()
        tensors |= {f"hidden{i}.{name}": getattr(layer, name) for name in COUNTS}
        if layer.mask is not None:
            tensors[f"hidden{i}.mask"] = layer.mask
    description = {
        "classes": network.classes,
        "input_shape": list(network.input_shape),
        "k": [layer.k for layer in network.topk_layers],
        "switch": network.topk_layers[0].switch,
        "samples_seen": network.samples_seen,
        "task_samples": network.task_samples,
        "normalized_first": network.normalized_first,
        "activation": network.topk_layers[0].activation,
        "sketch": None if network.sketch is None else network.sketch.width,
    }
    return {prefix + name: tensor.cpu().clone().contiguous() for name, tensor in tensors.items()}, description


def network_from_tensors(tensors: dict[str, Tensor], description: dict[str, Any], prefix: str = "") -> TopKNetwork:
    """The network that ``network_to_tensors`` described."""
    own = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    numbers = range(1, len(description["k"]) + 1)
    sums = description.get("sketch")  # runs of earlier revisions have none
    network = TopKNetwork(
        [own[f"hidden{i}.weight"] for i in numbers],
        description["k"],
        description["input_shape"],
        center=own.get("center"),
        masks=[own.get(f"hidden{i}.mask") for i in numbers],
        normalized_first=description.get("normalized_first", False),
        activation=description.get("activation", "plain"),
        sketch=Sketch(own["sketch.sums"].numpy(), own["sketch.signs"].numpy(), sums) if sums else None,
    )
    network.add_classes(description["classes"])
    network.samples_seen = description["samples_seen"]
    network.task_samples = description["task_samples"]
    network.readout_weight.data = own["readout.weight"].clone()
    network.class_samples = own["class_samples"].clone()
    network.readout_bias = own.get("readout.bias")
    for i, layer in zip(numbers, network.topk_layers, strict=True):
        layer.switch = description["switch"]
        for name in COUNTS:
            setattr(layer, name, own[f"hidden{i}.{name}"].clone())
    return network


def save_network(path: Path, network: TopKNetwork) -> None:
    """Write one safetensors file; the description travels in its metadata."""
    tensors, description = network_to_tensors(network)
    save_tensors(path, tensors, description)


def load_network(path: Path) -> TopKNetwork:
    """Read what ``save_network`` wrote. Raises DataError for anything else."""
    tensors, description = load_tensors(path)
    try:
        return network_from_tensors(tensors, description)
    except (KeyError, TypeError, RuntimeError) as error:
        raise DataError(f"{path}: not a network of SSD-Edge ({error})") from error


def save_tensors(path: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> None:
    """Write tensors and a JSON description as one safetensors file; it appears whole or not at all."""
    try:
        from safetensors.torch import save
    except ImportError as error:
        raise MissingExtraError("saving a run") from error
    data = save(tensors, metadata={"ssd_edge": json.dumps(description)})
    with writing(path) as stream:
        stream.write(data)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and description of ``save_tensors``. Raises DataError for anything else."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError as error:
        raise MissingExtraError("reading a run") from error
    try:
        with safe_open(path, "pt") as stream:
            description = json.loads((stream.metadata() or {})["ssd_edge"])
            return {name: stream.get_tensor(name) for name in stream.keys()}, description  # noqa: SIM118
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (SafetensorError, KeyError, ValueError, OSError, RecursionError) as error:
        raise DataError(f"{path}: not a safetensors file of SSD-Edge ({error})") from error
