"""Training a small encoder on the base classes of a data set, to serve classes that come later.

It learns to name the class of a sample and how it was turned: the second needs no labels and keeps features broad
(RotNet, Gidaris et al., ICLR 2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ssd_edge.data import Dataset
from ssd_edge.data.progress import Progress, unwatched
from ssd_edge.encoders.augment import mirrored, moved, turn
from ssd_edge.encoders.small import Classifier, SmallEncoder, as_images
from ssd_edge.encoders.to_onnx import encoder_of
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.errors import OptionError

STEPS, FEWEST = 1200, 6


@dataclass(frozen=True)
class EncoderOptions:
    """Chosen on a hold-out of Split Fashion-MNIST's training part."""

    width: int = 768
    """Values in an embedding."""
    epochs: int | None = None
    """Passes over the base classes; None: as many as make STEPS steps, at least FEWEST."""
    batch_size: int = 128
    """Samples per step."""
    lr: float = 2e-3
    """Largest step size of AdamW; it rises and falls over the run."""
    shift: float = 0.1
    """Samples are moved by up to this share of their sides."""
    turns: bool = True
    """Tell apart how samples were turned, too: square images by quarters, others and windows by halves."""
    mirror: bool = True
    """Mirror half of the images left to right; windows never."""
    seed: int = 0
    """Seeds the weights, the order and the changes made to samples."""

    def __post_init__(self) -> None:
        for name in ("width", "epochs", "batch_size"):
            value = getattr(self, name)
            OptionError.unless(
                value is None or value >= 1, f"{name.replace('_', '-')} must be at least 1, got {value}"
            )
        OptionError.unless(self.lr > 0.0, f"lr must be positive, got {self.lr}")
        OptionError.unless(0.0 <= self.shift <= 0.5, f"shift must be between 0 and 0.5, got {self.shift}")
        OptionError.unless(self.seed >= 0, f"seed must not be negative, got {self.seed}")

    def passes(self, samples: int) -> int:
        """Epochs over so many samples."""
        return self.epochs or max(FEWEST, -(-STEPS // self.batches(samples)))

    def batches(self, samples: int) -> int:
        """Steps of an epoch; samples that do not fill the last one are left to the next epoch's draw."""
        return max(1, samples // self.batch_size)


@dataclass(frozen=True)
class FittedEncoder:
    """An encoder, and how well what trained it went."""

    encoder: Encoder
    accuracy: float
    """Of naming class and turn, in the last epoch, on samples as they were moved and turned."""
    held: float | None
    """Of naming the class of held-out samples; None without a hold-out."""


def fit_encoder(
    data: Dataset,
    options: EncoderOptions,
    held: Dataset | None = None,
    *,
    device: torch.device,
    name: str = "encoder",
    progress: Progress = unwatched,
) -> FittedEncoder:
    """Train an encoder called ``name`` on all of ``data``, images or windows of signals.

    ``progress`` counts steps. Raises OptionError where width or samples do not fit.
    """
    generator = torch.Generator().manual_seed(options.seed)
    turns = turns_of(data.input_shape) if options.turns else 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        network = SmallEncoder(data.input_shape, options.width)
        top = Classifier(network, len(data.classes) * turns)
    both = nn.ModuleList([network, top]).to(device).train()
    accuracy = _fit(both, data, options, turns, generator, progress)
    right = None if held is None else _accuracy(both, held, turns)
    encoder = encoder_of(network.cpu(), data.input_shape, name)
    return FittedEncoder(encoder, accuracy, right)


def turns_of(input_shape: tuple[int, ...]) -> int:
    """In how many ways samples of this shape can be turned: 4 for square images, else 2."""
    _, height, width = as_images(input_shape)
    return 4 if height == width else 2


def _fit(
    both: nn.ModuleList,
    data: Dataset,
    options: EncoderOptions,
    turns: int,
    generator: torch.Generator,
    progress: Progress,
) -> float:
    network, top = both
    images = torch.from_numpy(data.x).reshape(-1, *as_images(data.input_shape))
    labels, device = torch.from_numpy(data.y), next(top.parameters()).device
    batches = options.batches(len(data))
    steps = options.passes(len(data)) * batches
    optimizer = torch.optim.AdamW(both.parameters(), lr=options.lr, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, options.lr, total_steps=steps + 1)
    right = 0.0
    for step in range(steps):
        if step % batches == 0:
            order, right = torch.randperm(len(data), generator=generator), 0.0
        chosen = order[step % batches * options.batch_size :][: options.batch_size]
        x, number = changed(images[chosen], options, turns, generator)
        x, y = x.to(device), (labels[chosen] * turns + number).to(device)
        logits = top(network.features(x))  # type: ignore[operator]
        optimizer.zero_grad()
        functional.cross_entropy(logits, y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        right += float((logits.detach().argmax(dim=1) == y).float().mean()) / batches
        progress(step + 1, steps)
    return right


def changed(
    images: Tensor, options: EncoderOptions, turns: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Images as the network is to see them, and which turn each was given, int64 (N,)."""
    images = moved(images, options.shift, generator)
    if options.mirror and images.shape[2] > 1:
        images = mirrored(images, generator)
    if turns == 1:
        return images, torch.zeros(len(images), dtype=torch.int64)
    return turn(images, turns, generator)


@torch.no_grad()
def _accuracy(both: nn.ModuleList, data: Dataset, turns: int) -> float:
    """Share of samples, as they are, whose class is named."""
    network, top = both.eval()
    device, right = next(top.parameters()).device, 0
    for x, y in zip(*(torch.split(torch.from_numpy(part), 512) for part in (data.x, data.y)), strict=True):
        logits = top(network.features(x.to(device)))[:, ::turns]  # type: ignore[operator]
        right += int((logits.argmax(dim=1).cpu() == y).sum())
    return right / len(data)
