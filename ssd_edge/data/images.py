"""Image files, and folders of class folders of them."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ssd_edge.data.dataset import Dataset
from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})
LARGEST_PIXELS = 1 << 24
GRAY_MODES = frozenset({"1", "L", "LA", "I", "I;16", "F"})


def read_image(path: Path, channels: int | None = None) -> NDArray[np.uint8]:
    """One image as uint8 (channels, height, width): 1 for gray, else 3, or as asked for.

    Raises DataError for what is not an image, and for more than 16 million pixels (checked before decoding).
    """
    try:
        with warnings.catch_warnings():
            # Its limit is above ours, which is an error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path)
        with opened as image:
            if image.width * image.height > LARGEST_PIXELS:
                raise DataError(f"{path}: {image.width} x {image.height} pixels are more than {LARGEST_PIXELS}")
            gray = image.mode in GRAY_MODES if channels is None else channels == 1
            pixels = np.asarray(_eight_bits(image).convert("L" if gray else "RGB"))
    except (FileNotFoundError, PermissionError, IsADirectoryError, DataError):
        raise
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not an image that can be read ({type(error).__name__})") from error
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _eight_bits(image: Image.Image) -> Image.Image:
    """16-bit gray scaled down to 8 bits: a plain conversion would clip it at 255."""
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image).clip(0, 65535) // 257).astype(np.uint8))


def image_files(folder: Path) -> list[Path]:
    """Image files below ``folder``, by name, hidden ones left out."""
    files = (path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    return sorted(path for path in files if path.is_file() and not path.name.startswith("."))


def stack_images(files: list[Path], channels: int | None = None) -> Float32:
    """float32 (N, channels, height, width) in 0..1; all must have the first one's size.

    Without ``channels`` the first image decides: 1 for gray, else 3; the others are converted.
    """
    if not files:
        raise DataError("no image files")
    first = read_image(files[0], channels)
    stack = np.empty((len(files), *first.shape), np.float32)
    for i, path in enumerate(files):
        pixels = first if i == 0 else read_image(path, first.shape[0])
        if pixels.shape != first.shape:
            size, expected = (f"{p.shape[2]} x {p.shape[1]}" for p in (pixels, first))
            raise DataError(f"{path}: {size} pixels, but {files[0]} has {expected}: resize the images first")
        np.divide(pixels, np.float32(255), out=stack[i])
    return stack


def load_folder(folder: Path, channels: int | None = None) -> Dataset:
    """A folder of class folders of images; classes in the order of their names; ``channels`` as in ``load``."""
    folders = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise DataError(f"{folder}: no class folders in it")
    files = [image_files(path) for path in folders]
    for path, members in zip(folders, files, strict=True):
        if not members:
            raise DataError(f"{path}: class folder without images")
    labels = np.repeat(np.arange(len(folders)), [len(members) for members in files])
    stack = stack_images([path for members in files for path in members], channels)
    return Dataset(stack, labels.astype(np.int64), tuple(path.name for path in folders))
