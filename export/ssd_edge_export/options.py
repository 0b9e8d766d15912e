"""Options of pruning, of a sweep and of export. Neither torch nor numpy is needed to name them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import AnalyticOptions, LearningOptions, ReadoutKind, ValuesType, require_choice

Criterion = Literal["auto", "activity", "magnitude", "sampled", "random", "lottery-ticket"]
Budget = Literal["auto", "row", "firing", "layer", "global"]
Inhibition = Literal["complete", "as-trained"]
MeasureOn = Literal["auto", "hold-out", "test"]


@dataclass(frozen=True)
class PruneOptions:
    """How a network is pruned to its Top-K-active weights."""

    density: float = 0.05
    """Share of the weights of the hidden layers that is kept, in (0, 1]."""
    criterion: Criterion = "auto"
    """What ranks the weights; see ``importance.py``. auto chooses by method and readout; see ``resolve``."""
    budget: Budget = "auto"
    """Every row keeps its share, or more of it where its neuron fires more; or the best weights of a layer, or of
    all layers, are kept. auto chooses by readout; see ``resolve_budget``."""
    reserve: float = 0.1
    """Share of each layer's neurons, the least active, that keep a random sparse row for tasks to come."""
    drop_inactive: bool = False
    """Remove neurons that never fire and are not in the reserve; the shape changes."""
    refit: bool = True
    """Fit kept weights and a trained readout to the unpruned network; an analytic readout is solved anew."""
    fine_tune_epochs: int = 0
    """Epochs of distillation from the unpruned network into the kept weights, by gradient."""
    seed: int = 0
    """Seed of random masks and of the order of samples in fine-tuning."""

    def __post_init__(self) -> None:
        OptionError.unless(0.0 < self.density <= 1.0, f"density must be above 0 and at most 1, got {self.density}")
        require_choice("criterion", self.criterion, get_args(Criterion))
        require_choice("budget", self.budget, get_args(Budget))
        OptionError.unless(0.0 <= self.reserve <= 1.0, f"reserve must be between 0 and 1, got {self.reserve}")
        OptionError.unless(
            self.fine_tune_epochs >= 0,
            f"fine-tune-epochs must be at least 0, got {self.fine_tune_epochs}",
        )
        OptionError.unless(self.seed >= 0, f"seed must be at least 0, got {self.seed}")
        alone = not self.drop_inactive and self.fine_tune_epochs == 0
        OptionError.unless(
            self.criterion != "lottery-ticket" or alone,
            "criterion lottery-ticket trains anew, so drop-inactive and fine-tune-epochs do not go with it",
        )


@dataclass(frozen=True)
class SweepOptions:
    """Which criteria and densities a sweep measures, and on what."""

    densities: tuple[float, ...] = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01)
    """Shares of the weights that are kept, each in (0, 1]."""
    criteria: tuple[Criterion, ...] = ("activity", "magnitude", "sampled", "random")
    """What ranks the weights. A lottery ticket trains four times for every point, so it must be asked for."""
    seeds: tuple[int, ...] = (0,)
    """Every criterion prunes to every density once with each; the first also draws the samples to fit on."""
    budget: Budget = "auto"
    """As in ``PruneOptions``."""
    reserve: float = 0.1
    """As in ``PruneOptions``."""
    most_samples: int = 20_000
    """Training samples that weights and readouts are fitted on, at most; a lottery ticket trains on all."""
    measure_on: MeasureOn = "auto"
    """Samples that accuracy is measured on; auto is the hold-out where a run has one. Choose nothing on test."""

    def __post_init__(self) -> None:
        for name in ("densities", "criteria", "seeds"):
            OptionError.unless(len(getattr(self, name)) > 0, f"{name} must name at least one")
        OptionError.unless(self.most_samples >= 1, f"most-samples must be at least 1, got {self.most_samples}")
        require_choice("measure-on", self.measure_on, get_args(MeasureOn))
        _ = self.settings  # each checks its own values

    @property
    def settings(self) -> list[PruneOptions]:
        """How every point is pruned, criterion by criterion."""
        return [
            PruneOptions(density, criterion, self.budget, self.reserve, seed=seed)
            for criterion in self.criteria
            for density in self.densities
            for seed in self.seeds
        ]


@dataclass(frozen=True)
class ExportOptions:
    """What the file holds, and how the device goes on from there."""

    prune: PruneOptions | None = None
    """Prune on the way; None ships the weights as they are."""
    values: ValuesType = "float16"
    """How weights are stored: float32, float16 or int8."""
    readout: ReadoutKind | None = None
    """None is as trained; analytic solves a closed-form readout for weights trained by gradient, too."""
    learning_state: bool = True
    """Keep what the device needs to go on learning."""
    inhibition: Inhibition = "complete"
    """While the device learns by gradient: as-trained goes on from where a run's GABA switch stands."""
    analytic: AnalyticOptions | None = None
    """Options of the analytic readout; None takes a run's own."""
    learning: LearningOptions | None = None
    """Options of gradient learning on the device; None takes a run's own."""

    def __post_init__(self) -> None:
        require_choice("values", self.values, get_args(ValuesType))
        require_choice("inhibition", self.inhibition, get_args(Inhibition))
        if self.readout is not None:
            require_choice("readout", self.readout, get_args(ReadoutKind))
