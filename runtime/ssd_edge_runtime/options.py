"""Options of learning, shared word for word by the trainer and the device; stored in the file's manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from ssd_edge_runtime.errors import OptionError

KLDirection = Literal["student-teacher", "teacher-student"]
LogitScope = Literal["all", "seen"]
HiddenStage = Literal["after", "before"]
FrequencyScope = Literal["task", "all"]
Solver = Literal["lda", "ridge"]
ReadoutKind = Literal["gradient", "analytic"]
ValuesType = Literal["float32", "float16", "int8"]
Activation = Literal["plain", "cosine"]
Priors = Literal["solver", "equal", "counts"]
MAX_COUNT = 2**63 - 1
"""The largest number that a file holds."""
STEEPEST = 1e6
"""No step is larger: weights, float32, stay numbers however long one learns."""


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Raise :class:`OptionError` unless ``value`` is one of ``choices``."""
    OptionError.unless(value in choices, f"{name} must be one of {', '.join(choices)}, got {value!r}")


def require_at_most(most: float, **values: float) -> None:
    """Raise :class:`OptionError` unless each of ``values``, options by name, is a number up to ``most``."""
    for name, value in values.items():
        OptionError.unless(value <= most, f"{name.replace('_', '-')} must be at most {most:g}, got {value}")


@dataclass(frozen=True)
class DistillOptions:
    """Selective Subnetwork Distillation (Xue et al., arXiv 2512.15267) and what the paper leaves open.

    ``alpha`` and ``temperature`` were chosen on a hold-out of Split Fashion-MNIST; the paper's are 0.7 and 8.
    """

    alpha: float = 0.5
    """Weight of the cross-entropy against the distillation once there is a teacher."""
    lambda_hidden: float = 0.1
    """Share of the hidden (subnetwork) term in the distillation; the rest is the logit term."""
    temperature: float = 0.25
    """Softmax temperature T of both terms; each is multiplied by T^2."""
    n_distill: int | None = None
    """Neurons distilled per hidden layer, the most frequent ones; None means k."""
    kl: KLDirection = "student-teacher"
    """First and second argument of the KL divergence."""
    logit_scope: LogitScope = "all"
    """Logit term over all classes (the teacher says 0 for classes it lacks) or over those it has seen."""
    hidden_stage: HiddenStage = "after"
    """Distil the code after the Top-K (only active rows change) or the activations before it."""
    frequency: FrequencyScope = "task"
    """Select neurons by their frequency in the last task or over all samples so far."""

    def __post_init__(self) -> None:
        OptionError.unless(0.0 <= self.alpha <= 1.0, f"alpha must be between 0 and 1, got {self.alpha}")
        OptionError.unless(
            0.0 <= self.lambda_hidden <= 1.0, f"lambda-hidden must be between 0 and 1, got {self.lambda_hidden}"
        )
        OptionError.unless(self.temperature > 0.0, f"temperature must be positive, got {self.temperature}")
        OptionError.unless(
            self.n_distill is None or self.n_distill >= 1, f"n-distill must be at least 1, got {self.n_distill}"
        )
        require_at_most(STEEPEST, temperature=self.temperature)
        require_at_most(MAX_COUNT, n_distill=self.n_distill or 0)
        require_choice("kl", self.kl, get_args(KLDirection))
        require_choice("logit-scope", self.logit_scope, get_args(LogitScope))
        require_choice("hidden-stage", self.hidden_stage, get_args(HiddenStage))
        require_choice("frequency", self.frequency, get_args(FrequencyScope))


@dataclass(frozen=True)
class LearningOptions:
    """One gradient step on the Top-K network (Bricken et al., ICLR 2023), on the GPU and on the device alike."""

    learning_rate: float = 0.05
    """Step size of plain SGD, no momentum."""
    batch_size: int = 128
    """Samples per step."""
    clip_norm: float = 1.0
    """Largest global gradient norm over all weights; longer gradients are scaled down to it."""
    nonnegative: bool = True
    """Clamp all weights, the readout's too, to >= 0 after each step."""
    readout_init: float = 0.5
    """A new class's row of V starts uniform in [-readout_init, readout_init], clamped if non-negative."""
    seed: int = 0
    """Of those rows."""
    distill: DistillOptions | None = DistillOptions()
    """Distillation against the model at the last task boundary; None for none."""
    switch: float | None = None
    """s of the GABA switch, in samples; None: inhibition is complete."""
    protect: float = 0.0
    """f0: a row of W whose neuron fired with frequency f in past tasks moves 1 / (1 + f / f0) as far; 0: all rows
    move freely."""

    def __post_init__(self) -> None:
        OptionError.unless(self.switch is None or self.switch > 0.0, f"switch must be positive, got {self.switch}")
        OptionError.unless(self.learning_rate > 0.0, f"lr must be positive, got {self.learning_rate}")
        OptionError.unless(self.batch_size >= 1, f"batch-size must be at least 1, got {self.batch_size}")
        OptionError.unless(self.clip_norm > 0.0, f"clip-norm must be positive, got {self.clip_norm}")
        OptionError.unless(self.readout_init >= 0.0, f"readout-init must not be negative, got {self.readout_init}")
        OptionError.unless(self.seed >= 0, f"seed must not be negative, got {self.seed}")
        OptionError.unless(self.protect >= 0.0, f"protect must not be negative, got {self.protect}")
        require_at_most(STEEPEST, lr=self.learning_rate, readout_init=self.readout_init)
        require_at_most(MAX_COUNT, clip_norm=self.clip_norm, switch=self.switch or 0)
        require_at_most(MAX_COUNT, batch_size=self.batch_size, seed=self.seed)


@dataclass(frozen=True)
class AnalyticOptions:
    """How the analytic readout is solved, in closed form, from its statistics."""

    solver: Solver = "lda"
    """lda: pooled within-class covariance and equal priors; ridge: regularised least squares."""
    rho: float = 1e-3
    """Regulariser: ``rho * trace(G) / n`` is added to the diagonal."""
    priors: Priors = "solver"
    """What a class counts before its samples: the same (equal), as often as it was seen (counts), or as the solver
    has it by nature: lda equal, ridge counts."""
    min_samples: int = 1
    """A class with fewer samples is not answered, unless no class has as many."""

    @property
    def weighs_by_count(self) -> bool:
        """Whether a class counts as often as it was seen."""
        return self.priors == "counts" or (self.priors == "solver" and self.solver == "ridge")

    def __post_init__(self) -> None:
        require_choice("solver", self.solver, get_args(Solver))
        require_choice("priors", self.priors, get_args(Priors))
        OptionError.unless(self.min_samples >= 1, f"min-samples must be at least 1, got {self.min_samples}")
        OptionError.unless(self.rho > 0.0, f"rho must be positive, got {self.rho}")
        require_at_most(MAX_COUNT, rho=self.rho, min_samples=self.min_samples)
