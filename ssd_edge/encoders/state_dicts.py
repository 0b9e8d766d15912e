"""A torchvision model's weights: from a local file, or by torchvision's own download."""

from __future__ import annotations

import io
import pickle
import re
import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ssd_edge_runtime.errors import DataError

WRAPPED = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the state dict of a checkpoint."""
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")
"""Names in the files that torchvision downloads for DenseNet: ``norm.1.weight``, now ``norm1.weight``."""
WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
"""Parts of a name that DataParallel, torch.compile, FSDP and activation checkpointing put in, at any depth."""
SHOWN = 2


def read_weights(path: Path) -> dict[str, Tensor]:
    """The state dict in a ``.pt``, ``.pth`` or ``.safetensors`` file; nothing but tensors is unpickled.

    Raises DataError for another file, OSError where it cannot be opened.
    """
    with path.open("rb"):
        pass
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            found: Any = load_file(path)
        else:
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds, pickle's and zip's among them
        plain = "it holds more than tensors" if isinstance(error, pickle.UnpicklingError) else type(error).__name__
        raise DataError(f"{path}: not weights that can be read ({plain}); save model.state_dict()") from error
    for key in WRAPPED:
        if isinstance(found, Mapping) and isinstance(found.get(key), Mapping):
            found = found[key]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise DataError(f"{path}: not a state dict; save model.state_dict()")
    return {_unwrapped(str(name)): tensor for name, tensor in found.items()}


def _unwrapped(name: str) -> str:
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def download_weights(name: str, weights: Any) -> dict[str, Tensor]:
    """What torchvision downloads for ``weights``, or has downloaded before. Raises DataError where it cannot."""
    if Path(torch.hub.get_dir()).parts[:1] == ("~",):
        raise DataError(
            f"no home folder to keep the weights of {name} in: set TORCH_HOME, or give a local file with "
            "--encoder-weights"
        )
    watched = sys.stderr.isatty()
    try:
        # torch says on standard output, which is for results alone, that it downloads.
        with redirect_stdout(sys.stderr if watched else io.StringIO()):
            state: dict[str, Tensor] = weights.get_state_dict(progress=watched, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"the weights of {name} cannot be downloaded from {weights.url} ({error}); "
            "give a local file with --encoder-weights"
        ) from error
    return state


def load_weights(module: nn.Module, state: Mapping[str, Tensor], dropped: tuple[str, ...], source: str) -> None:
    """Put ``state`` into ``module``, whose parts named ``dropped`` have been taken off.

    ``state`` may be a larger module's that has this one as a part, such as Lightning's ``model.conv1.weight``.
    Raises DataError, in one line, where names or shapes do not match, or where several parts do.
    """
    wanted = _used(module.state_dict(), dropped)
    given = _used(_part(state, wanted, source), dropped)
    both = [key for key in wanted if key in given and wanted[key].shape != given[key].shape]
    faults = [
        *_listed("missing", [key for key in wanted if key not in given]),
        *_listed("unknown", [key for key in given if key not in wanted]),
        *_listed("of another shape", [_shapes(key, given[key], wanted[key]) for key in both]),
    ]
    if faults:
        raise DataError(f"{source}: {'; '.join(faults)}")
    with torch.no_grad():
        for key, tensor in wanted.items():
            tensor.copy_(given[key])


def _part(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Those of ``state`` that belong to the part whose tensors are called as in ``wanted``, called so."""
    names = {OLD_DENSENET.sub(r"\1\2", key): key for key in state}
    first = next(iter(wanted))
    prefixes = [name.removesuffix(first) for name in names if name == first or name.endswith(f".{first}")]
    whole = [prefix for prefix in prefixes if all(prefix + key in names for key in wanted)]
    if len(whole) > 1 and "" not in whole:
        raise DataError(f"{source}: weights under the prefixes {', '.join(whole)}: save one of them")
    prefix = "" if "" in whole or not whole else whole[0]
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}


def _used(tensors: Mapping[str, Tensor], dropped: tuple[str, ...]) -> dict[str, Tensor]:
    """Those that matter: not of the parts dropped, not the counters of batch normalization."""
    heads = tuple(f"{part}." for part in dropped)
    kept = [key for key in tensors if not key.startswith(heads) and not key.endswith("num_batches_tracked")]
    return {OLD_DENSENET.sub(r"\1\2", key): tensors[key] for key in kept}


def _shapes(key: str, given: Tensor, wanted: Tensor) -> str:
    found, asked = (" x ".join(map(str, t.shape)) or "a number" for t in (given, wanted))
    return f"{key} is {found}, not {asked}"


def _listed(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return [f"{what}: {', '.join(names[:SHOWN])}{rest}"]
