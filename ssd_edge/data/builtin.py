"""Data sets by name; local copies are found before anything is downloaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ssd_edge.data.dataset import Dataset
from ssd_edge.data.folders import stack_images
from ssd_edge.data.idx import find_idx, read_idx
from ssd_edge_runtime.errors import DataError, MissingExtraError

SYSTEM = Path("/usr/share/datasets")
DIGITS = tuple("0123456789")
GARMENTS = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
TINY_IMAGENET = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
SPLIT_SEED = 0
TEST_SHARE = 0.2


def roots(data_root: Path | None) -> list[Path]:
    """Where local copies are looked for, in order."""
    return [*_own_roots(data_root), SYSTEM]


def download_root(data_root: Path | None) -> Path:
    """Where downloads go. Raises DataError where no place is named and the user has no home."""
    places = _own_roots(data_root)
    if not places:
        raise DataError("no home folder to keep a download in: name a folder with --data-root or SSD_EDGE_DATA")
    return places[0]


def _own_roots(data_root: Path | None) -> list[Path]:
    environment = os.environ.get("SSD_EDGE_DATA")
    given = [data_root, Path(environment) if environment else None, _cache()]
    return [root for root in given if root is not None]


def _cache() -> Path | None:
    """The user's cache; None for a user without a home, as in a container that is started with any user id."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(named) if named else Path.home() / ".cache") / "ssd-edge"
    except RuntimeError:
        return None


def load_digits(train: bool, data_root: Path | None) -> Dataset:
    """scikit-learn's 1797 images of 8 x 8; a fixed stratified fifth is the test part."""
    try:
        from sklearn.datasets import load_digits as load_bunch
    except ImportError as error:
        raise MissingExtraError("the data set digits") from error
    images, labels = load_bunch(return_X_y=True)
    x = (images.reshape(-1, 1, 8, 8) / 16.0).astype(np.float32)
    parts = Dataset(x, labels.astype(np.int64), DIGITS).hold_out(TEST_SHARE, SPLIT_SEED)
    return parts[0] if train else parts[1]


def _load_mnist(name: str, torchvision_name: str, classes: tuple[str, ...]) -> Callable[..., Dataset]:
    def load(train: bool, data_root: Path | None) -> Dataset:
        part = "train" if train else "t10k"
        folders = [folder for root in roots(data_root) for folder in _mnist_folders(root, name, torchvision_name)]
        images = find_idx(folders, f"{part}-images-idx3-ubyte")
        labels = find_idx([images.parent], f"{part}-labels-idx1-ubyte") if images else None
        if images is not None and labels is not None:
            return from_bytes(read_idx(images)[:, None], read_idx(labels), classes)
        found = _torchvision(torchvision_name, train, data_root)
        return from_bytes(found.data.numpy()[:, None], found.targets.numpy(), classes)

    return load


def _mnist_folders(root: Path, name: str, torchvision_name: str) -> list[Path]:
    """The root itself counts only where it is called so: MNIST and its kin share their file names."""
    itself = [root] if root.name in (name, torchvision_name) else []
    return [root / name, root / torchvision_name / "raw", root / torchvision_name, *itself]


def _load_cifar(torchvision_name: str) -> Callable[..., Dataset]:
    def load(train: bool, data_root: Path | None) -> Dataset:
        found = _torchvision(torchvision_name, train, data_root)
        return from_bytes(found.data.transpose(0, 3, 1, 2), np.array(found.targets), tuple(found.classes))

    return load


def from_bytes(images: NDArray[np.uint8], labels: NDArray[Any], classes: tuple[str, ...]) -> Dataset:
    """Images uint8 (N, channels, height, width) scaled to 0..1, with labels as indices."""
    x = np.divide(images, np.float32(255), dtype=np.float32)
    return Dataset(np.ascontiguousarray(x), labels.astype(np.int64), classes)


def _torchvision(name: str, train: bool, data_root: Path | None) -> Any:
    """The data set from the first root that has it, else downloaded into the first root."""
    try:
        from torchvision import datasets
    except ImportError as error:
        raise MissingExtraError(f"the data set {name}") from error
    for root in roots(data_root):
        try:
            return getattr(datasets, name)(root, train=train, download=False)
        except RuntimeError:  # torchvision's way to say: not there
            continue
    place = download_root(data_root)
    try:
        return getattr(datasets, name)(place, train=train, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(f"{name} is not under {place} and cannot be downloaded ({error})") from error


def load_tiny_imagenet(train: bool, data_root: Path | None) -> Dataset:
    """200 classes of 64 x 64 images; the labelled validation part is the test part."""
    folder = next((root / "tiny-imagenet-200" for root in roots(data_root) if _has_tiny(root)), None)
    folder = folder or _download_tiny(download_root(data_root))
    ids = sorted(path.name for path in (folder / "train").iterdir() if path.is_dir())
    words = dict(line.split("\t", 1) for line in (folder / "words.txt").read_text("utf-8").splitlines())
    names = tuple(f"{words[i].split(',')[0].strip()} ({i})" for i in ids)
    if train:
        files = [path for i in ids for path in sorted((folder / "train" / i / "images").iterdir())]
        labels = [ids.index(path.parent.parent.name) for path in files]
    else:
        lines = [
            line.split("\t") for line in (folder / "val" / "val_annotations.txt").read_text("utf-8").splitlines()
        ]
        files = [folder / "val" / "images" / line[0] for line in lines]
        labels = [ids.index(line[1]) for line in lines]
    return Dataset(stack_images(files, channels=3), np.array(labels, np.int64), names)


def _has_tiny(root: Path) -> bool:
    return (root / "tiny-imagenet-200" / "train").is_dir()


def _download_tiny(root: Path) -> Path:
    try:
        from torchvision.datasets.utils import download_and_extract_archive
    except ImportError as error:
        raise MissingExtraError("the data set tiny-imagenet") from error
    try:
        download_and_extract_archive(TINY_IMAGENET, str(root))
    except (OSError, RuntimeError) as error:
        raise DataError(f"tiny-imagenet is not under {root} and cannot be downloaded ({error})") from error
    return root / "tiny-imagenet-200"


BUILTIN: dict[str, Callable[[bool, Path | None], Dataset]] = {
    "digits": load_digits,
    "mnist": _load_mnist("mnist", "MNIST", DIGITS),
    "fashion-mnist": _load_mnist("fashion-mnist", "FashionMNIST", GARMENTS),
    "cifar10": _load_cifar("CIFAR10"),
    "cifar100": _load_cifar("CIFAR100"),
    "tiny-imagenet": load_tiny_imagenet,
}
"""Name of each built-in data set and its loader."""
