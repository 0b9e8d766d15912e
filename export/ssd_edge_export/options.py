"""Options of pruning and export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.options import require_choice

Criterion = Literal["auto", "activity", "magnitude", "sampled", "random", "lottery-ticket"]
Budget = Literal["auto", "row", "firing", "layer", "global"]
Inhibition = Literal["complete", "as-trained"]


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
