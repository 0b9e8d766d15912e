"""Everything that decides a training run, as one frozen record; ``config.toml`` in the run folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from ssd_edge.methods import MethodSpec, check_settings, parse_method
from ssd_edge.training.task_options import TaskOptions, check_positive, flag
from ssd_edge.training.toml import read_toml, write_toml
from ssd_edge_runtime.errors import DataError, OptionError
from ssd_edge_runtime.options import (
    Activation,
    AnalyticOptions,
    DistillOptions,
    LearningOptions,
    ReadoutKind,
    Solver,
    require_choice,
)

Normalize = Literal["after", "both"]
DeviceChoice = Literal["auto", "cpu", "cuda"]
Scalar = str | int | float | bool


@dataclass(frozen=True)
class TrainConfig(TaskOptions):
    """Options of ``ssd-edge train``; None means: decided by method and readout, see ``resolved``."""

    base_tasks: int | None = None
    """Analytic readout: W learns on the first so many tasks, then is frozen; None: all that are trained."""
    method: str = "ssd"
    """A method, or several joined by ``+``."""
    encoder: str | None = None
    """Frozen encoder in front: the path of an ONNX file or a model of torchvision; None: raw samples."""
    encoder_weights: str | None = None
    """State dict of that model; None: torchvision downloads its default weights."""
    encoder_size: int | None = None
    """Side of the square that images are resized to for it; None: what its weights expect."""
    readout: ReadoutKind | None = None
    """``gradient`` or ``analytic``; None: what the method usually has."""
    hidden: tuple[int, ...] = (1000,)
    """Neurons per hidden layer."""
    k: tuple[int, ...] | None = None
    """Neurons active per sample and hidden layer; None: 10 for the gradient readout, a tenth for the analytic."""
    center: float | None = None
    """Share of the mean of the first task's (analytic: the base tasks') training data that is subtracted, 0 to 1;
    None: all of it for the analytic readout, else nothing."""
    normalize: Normalize | None = None
    """Divide each sample by its length ``after`` the mean is subtracted, or before it, too (``both``); None: both
    where a share of the mean between 0 and 1 is subtracted or the input is sketched, else after."""
    activation: Activation = "plain"
    """``cosine`` divides what a row answers by the length of what it sees, for networks that are to be pruned."""
    sketch: int | None = None
    """The first layer sees so many signed sums of the input, drawn by the seed; None: the input itself."""
    density: float = 1.0
    """Share of each layer's weights that are there from the first step, as many in every row, at random places;
    behind a sketch, of the weights that a layer on the input itself would have."""
    nonnegative: bool | None = None
    """Clamp all weights to >= 0; None: for the gradient readout on a Top-K network."""
    epochs: int = 10
    """Passes over each task's training data."""
    batch_size: int = 128
    """Samples per step."""
    lr: float | None = None
    """Step size of plain SGD; None: 0.05 on Top-K networks, 0.5 on plain ones and fixed features."""
    clip_norm: float = 1.0
    """Largest global gradient norm."""
    readout_init: float | None = None
    """Bound of a new class's first weights; None: 0.5 for Top-K networks, 1 / sqrt(last hidden) for plain ones."""
    switch: float = 0.2
    """s of the GABA switch, as a share of the samples presented in the first task (its samples x epochs)."""
    protect: float = 0.0
    """f0: a row whose neuron fired with frequency f in past tasks moves 1 / (1 + f / f0) as far; 0: all freely."""
    solver: Solver = "lda"
    """Analytic readout: equal-prior discriminant analysis or ridge regression."""
    rho: float = 1e-3
    """Analytic readout: ``rho * trace(G) / n`` is added to the diagonal."""
    seed: int = 0
    """Seeds the first weights and the order of samples."""
    device: DeviceChoice = "auto"
    """Where to train: ``auto`` takes a GPU where there is one."""
    settings: Mapping[str, Mapping[str, Scalar]] = field(default_factory=dict)
    """Options of the methods, by method: ``{"ssd": {"temperature": 1.0}}``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive(self, "base_tasks", "epochs", "batch_size", "encoder_size", "sketch")
        OptionError.unless(
            (self.base_tasks or 1) <= self.last_task,
            f"base-tasks must be at most {self.last_task}, got {self.base_tasks}",
        )
        OptionError.unless(self.switch >= 0.0, f"switch must not be negative, got {self.switch}")
        OptionError.unless(self.seed >= 0, f"seed must not be negative, got {self.seed}")
        require_choice("activation", self.activation, get_args(Activation))
        OptionError.unless(
            self.activation == "plain" or (self.readout or self.spec.readout) == "gradient",
            "activation cosine goes with the gradient readout",
        )
        require_choice("device", self.device, get_args(DeviceChoice))
        if self.readout is not None:
            require_choice("readout", self.readout, get_args(ReadoutKind))
        OptionError.unless(
            len(self.hidden) > 0 and min(self.hidden) >= 2, f"hidden must be at least 2, got {self.hidden}"
        )
        self._check_k()
        check_settings(self.spec, self.settings)
        self._check_input()
        self._check_encoder()
        _ = self.learning, self.analytic

    def _check_k(self) -> None:
        if self.k is None:
            return
        lengths = (1, len(self.hidden))
        OptionError.unless(
            len(self.k) in lengths, f"one k, or one per hidden layer ({lengths[1]}), got {len(self.k)}"
        )
        for n, k in zip(self.hidden, self._spread(self.k), strict=True):
            OptionError.unless(1 <= k < n, f"k must be between 1 and hidden - 1 ({n - 1}), got {k}")

    def _check_input(self) -> None:
        OptionError.unless(
            self.center is None or 0.0 <= self.center <= 1.0, f"center must be between 0 and 1, got {self.center}"
        )
        OptionError.unless(0.0 < self.density <= 1.0, f"density must be in (0, 1], got {self.density}")
        own = [method.name for method in self.spec.methods if method.own_supports]
        OptionError.unless(
            not own or self.density == 1.0,
            f"method {', '.join(own)} says itself which weights are there: leave out density",
        )
        self._check_rewiring()
        if self.normalize is not None:
            require_choice("normalize", self.normalize, get_args(Normalize))
        images = [method.name for method in self.spec.methods if method.needs_images]
        OptionError.unless(
            not images or self.sketch is None,
            f"method {', '.join(images)} looks at images, and a sketch mixes their pixels: choose one",
        )

    def _check_rewiring(self) -> None:
        steps = [method.name for method in self.spec.methods if method.steps_by_itself]
        OptionError.unless(len(steps) <= 1, f"methods {' and '.join(steps)} both are step rules: choose one")
        rules = [method.name for method in self.spec.methods if method.rewires]
        if not rules:
            return
        OptionError.unless(len(rules) == 1, f"methods {' and '.join(rules)} both move connections: choose one")
        OptionError.unless(
            self.spec.network.learns_features,
            f"method {rules[0]} moves connections by what gradient steps make of W, and "
            f"{self.spec.network.name} takes none: join it to ssd, sdmlp or finetune",
        )
        OptionError.unless(
            self.density < 1.0, f"method {rules[0]} moves connections of a sparse network: give density below 1"
        )

    def _check_encoder(self) -> None:
        for name in ("encoder_weights", "encoder_size"):
            value = getattr(self, name)
            OptionError.unless(
                value is None or self.encoder is not None, f"{flag(name)} goes with an encoder: give one"
            )
        images = [method.name for method in self.spec.methods if method.needs_images]
        OptionError.unless(
            not images or self.encoder is None,
            f"method {', '.join(images)} looks at images, and an encoder makes embeddings of them: choose one",
        )

    def _spread(self, k: tuple[int, ...]) -> tuple[int, ...]:
        return k if len(k) == len(self.hidden) else k * len(self.hidden)

    @property
    def spec(self) -> MethodSpec:
        """The methods named by ``method``, and what they ask of the network."""
        return parse_method(self.method)

    @property
    def learning(self) -> LearningOptions:
        """The options of a gradient step, as the device will take them on."""
        distill = self.settings.get("ssd", {})
        return LearningOptions(
            learning_rate=self.spec.network.lr if self.lr is None else self.lr,
            batch_size=self.batch_size,
            clip_norm=self.clip_norm,
            nonnegative=bool(self.nonnegative),
            readout_init=self._readout_init,
            seed=self.seed,
            protect=self.protect,
            distill=DistillOptions(**distill) if "ssd" in self.spec.names else None,  # type: ignore[arg-type]
        )

    @property
    def _readout_init(self) -> float:
        if self.readout_init is not None:
            return self.readout_init
        usual = self.spec.network.readout_init
        return float(self.hidden[-1] ** -0.5) if usual is None else usual

    @property
    def analytic(self) -> AnalyticOptions | None:
        """The options of the analytic solver; None for the gradient readout."""
        options = AnalyticOptions(self.solver, self.rho)
        return options if self.readout == "analytic" else None

    def resolved(self) -> TrainConfig:
        """The same with every None decided."""
        readout = self.readout or self.spec.readout
        analytic = readout == "analytic"
        default_k = tuple(self.spec.default_k(n, analytic) for n in self.hidden)
        return dataclasses.replace(
            self,
            readout=readout,
            k=self._spread(self.k) if self.k else default_k,
            lr=self.learning.learning_rate,
            readout_init=self.learning.readout_init,
            center=self._centered(analytic),
            normalize=self._normalized(self._centered(analytic)),
            nonnegative=(self.spec.topk and not analytic) if self.nonnegative is None else self.nonnegative,
            base_tasks=(self.base_tasks or self._usual_base()) if analytic else None,
        )

    def _usual_base(self) -> int:
        """Features that do not learn need only the first task, for its mean."""
        return self.last_task if self.spec.network.learns_from_base() else 1

    def _centered(self, analytic: bool) -> float:
        usual = self.spec.network.centered
        return float((analytic if usual is None else usual) if self.center is None else self.center)

    def _normalized(self, center: float) -> Normalize:
        if self.normalize is not None:
            return self.normalize
        return "both" if 0.0 < center < 1.0 or self.sketch is not None else "after"

    def save(self, path: Path) -> None:
        """Write as TOML; values that are None are left out."""
        values = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        write_toml(path, values | values.pop("settings"))

    @classmethod
    def load(cls, path: Path) -> TrainConfig:
        """Read what ``save`` wrote, or a person did. Raises OptionError, DataError."""
        # Run folders of earlier revisions call the encoder a backbone.
        values = {name.replace("backbone", "encoder"): value for name, value in read_toml(path).items()}
        return cls.from_mapping(values, str(path))

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any], source: str) -> TrainConfig:
        """From plain values; tables are options of methods. Unknown names are refused."""
        if "data" not in values:
            raise OptionError(f"{source}: data is missing")
        return cls().changed(values, source)

    def changed(self, values: Mapping[str, Any], source: str) -> TrainConfig:
        """The same with ``values`` in place of some; tables are options of methods. Unknown names are refused.

        Raises OptionError, DataError; ``source`` is what they name.
        """
        settings = {
            name: {**self.settings.get(name, {}), **value}
            for name, value in values.items()
            if isinstance(value, Mapping)
        }
        options = {name: _frozen(value) for name, value in values.items() if name not in settings}
        known = [item.name for item in dataclasses.fields(self) if item.name != "settings"]
        for name in options:
            OptionError.unless(name in known, f"{source}: no option {name!r}; there are {', '.join(known)}")
        for name in ("hidden", "k"):
            if isinstance(options.get(name), int):
                options[name] = (options[name],)
        try:
            return dataclasses.replace(self, **options, settings={**self.settings, **settings})
        except TypeError as error:
            raise DataError(f"{source}: an option has the wrong type ({error})") from error


def _frozen(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return tuple(value) if isinstance(value, list) else value
