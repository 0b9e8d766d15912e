"""The whole state of a run in one safetensors file, so that it can go on after a kill."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from ssd_edge.encoders.folder import check_same
from ssd_edge.model.tensors import load_tensors, save_tensors
from ssd_edge.training import statistics as analytic
from ssd_edge.training.run import Run, run_from_tensors, run_to_tensors
from ssd_edge.training.schedule import Position
from ssd_edge.training.trainer import Measured, Trainer
from ssd_edge_runtime.errors import DataError


def save_checkpoint(path: Path, trainer: Trainer) -> None:
    """Write everything the trainer would need to go on at its position; whole or not at all."""
    run = Run(trainer.config, trainer.network, {}, trainer.teacher, trainer.selected, trainer.statistics, {})
    run.embeddings = trainer.embeddings
    tensors, description = run_to_tensors(run)
    for method in trainer.methods:
        kept = {f"method.{method.name}.{name}": tensor for name, tensor in method.tensors().items()}
        tensors |= {name: tensor.detach().cpu().clone().contiguous() for name, tensor in kept.items()}
    description["position"] = dataclasses.asdict(trainer.position)
    description["progress"] = dataclasses.asdict(trainer.measured)
    save_tensors(path, tensors, description)


def load_checkpoint(path: Path, trainer: Trainer) -> None:
    """Bring a fresh trainer of the same configuration to where ``save_checkpoint`` was called.

    Raises DataError for a file that is damaged or from another configuration.
    """
    tensors, description = load_tensors(path)
    try:
        run = run_from_tensors(trainer.config, tensors, description)
        position, measured = Position(**description["position"]), Measured(**description["progress"])
    except (KeyError, TypeError, RuntimeError) as error:
        raise DataError(f"{path}: not a checkpoint of this version ({error})") from error
    check_same(path.parent, description.get("encoder"), trainer.embeddings)
    shapes = [layer.weight.shape for layer in run.network.topk_layers]
    if shapes != [layer.weight.shape for layer in trainer.network.topk_layers]:
        raise DataError(f"{path}: a checkpoint of another network than the one in config.toml")
    trainer.network = run.network.to(trainer.device)
    trainer.teacher = run.teacher.to(trainer.device) if run.teacher is not None else None
    trainer.selected = [chosen.to(trainer.device) for chosen in run.selected]
    trainer.statistics = run.statistics
    trainer.position, trainer.measured = position, measured
    trainer.set_switch()
    for method in trainer.methods:
        prefix = f"method.{method.name}."
        own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        method.load_tensors({name: tensor.to(trainer.device) for name, tensor in own.items()})
    if trainer.statistics is not None and trainer.config.analytic is not None:
        trainer.readout = analytic.solve(trainer.statistics, trainer.config.analytic, trainer.device)
