"""Images as a person sees them, as numbers: upright, on white, 0 to 1, in the size that a model takes."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssd_edge_runtime.arrays import Float32
from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.files import open_regular
from ssd_edge_runtime.input_facts import LARGEST_PIXELS, LARGEST_RESIZED, Fit

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM", "WEBP")
"""What Pillow may take a file for; it knows others that start programs, or that nobody expects."""
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})
HEIC = frozenset({".heic", ".heif"})
"""What phones write; a plug-in of Pillow reads it."""
BROKEN = (OSError, ValueError, TypeError, KeyError, IndexError, SyntaxError, EOFError)
"""What Pillow raises where a file is not what it says."""
GRAY = frozenset({"1", "L", "LA", "La", "I", "F"})
"""Modes without color, and all that begin with I;16."""
LARGEST_FILE = 1 << 30
"""Bytes of an image file."""
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
"""The EXIF tag, and its values that exchange width and height."""


@dataclass(frozen=True)
class Look:
    """What an image's first bytes tell."""

    width: int
    height: int
    """As it is seen, upright."""
    gray: bool


def look(path: Path, fit: Fit | None = None) -> Look:
    """Size and color of an image, before it is decoded. Raises DataError and OSError as :func:`read_image`."""
    with _opened(path) as image:
        _check_pixels(path, image, fit)
        width, height = _stored_size(image)
        if image.getexif().get(ORIENTATION) in TURNED:
            width, height = height, width
        return Look(width, height, is_gray(image))


def read_image(path: Path, channels: int | None = None, fit: Fit | None = None) -> Float32:
    """The image in a file, float32 (channels, height, width) in 0..1, as :func:`as_pixels` makes it.

    Raises DataError for what is no image, and for too many pixels, before they are decoded.
    """
    with _opened(path) as image:
        _check_pixels(path, image, fit)
        if fit is not None:
            side = 2 * max(fit.height, fit.width)
            image.draft(None, (side, side))  # A JPEG is decoded smaller, which is quicker.
        return as_pixels(image, channels, fit)


def as_pixels(image: Image, channels: int | None = None, fit: Fit | None = None) -> Float32:
    """An image of Pillow's as float32 (channels, height, width) in 0..1.

    It is held as its EXIF tag says; what is transparent shows white. Whole numbers of 16 bits are divided by
    65535; numbers of 32 bits, whole or not, by the least of 1, 255 and 65535 that brings them into range.
    ``channels``: 1 or 3; None: 1 where it has no color. Raises DataError for numbers that are in none of these.
    """
    from PIL import ImageOps

    gray = is_gray(image) if channels is None else channels == 1
    flat = _on_white(ImageOps.exif_transpose(image))
    fitted = _fitted(flat if flat.mode == "F" else flat.convert("L" if gray else "RGB"), fit)
    if fitted.mode == "F":
        pixels = np.asarray(fitted, np.float32)[None]
        return np.ascontiguousarray(np.broadcast_to(pixels, (1 if gray else 3, *pixels.shape[1:])))
    bytes_ = np.asarray(fitted)
    bytes_ = bytes_[None] if bytes_.ndim == 2 else bytes_.transpose(2, 0, 1)
    return np.ascontiguousarray(np.divide(bytes_, np.float32(255), dtype=np.float32))


def _stored_size(image: Image) -> tuple[int, int]:
    """Width and height before it is turned; of a TIFF, later versions of Pillow give those after."""
    tags = getattr(image, "tag_v2", {})
    return (int(tags[256]), int(tags[257])) if 256 in tags and 257 in tags else image.size


def _check_pixels(path: Path, image: Image, fit: Fit | None) -> None:
    most = LARGEST_PIXELS if fit is None else LARGEST_RESIZED
    if image.width * image.height > most:
        raise DataError(f"{path}: {image.width} x {image.height} pixels are more than {most}")


def is_gray(image: Image) -> bool:
    """Whether an image has no color."""
    return image.mode in GRAY or image.mode.startswith("I;16")


def _on_white(image: Image) -> Image:
    """In mode L, RGB, or F with values in 0..1, without transparency."""
    from PIL import Image as pillow

    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return pillow.fromarray(_in_range(np.asarray(image), deep=image.mode.startswith("I;16")))
    if image.mode == "LAB":
        return _from_lab(image)
    if "transparency" in image.info or image.mode in ("RGBA", "RGBa", "LA", "La", "PA"):
        seen = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
        return pillow.alpha_composite(pillow.new("RGBA", seen.size, "white"), seen).convert("RGB")
    return image


def _in_range(values: np.ndarray[Any, Any], *, deep: bool) -> Float32:
    most, least = float(values.max()), float(values.min())
    scale = 65535.0 if deep else next((scale for scale in (1.0, 255.0, 65535.0) if most <= scale), 0.0)
    if values.dtype.kind in "iu" and scale == 1.0:
        scale = 255.0
    if not (least >= 0.0 and scale):
        raise DataError(f"gray values from {least:g} to {most:g} are in none of the ranges 0 to 1, 255, 65535")
    return np.asarray(values / np.float32(scale), np.float32)


def _from_lab(image: Image) -> Image:
    from PIL import ImageCms

    lab, screen = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    turned = ImageCms.applyTransform(image, ImageCms.buildTransform(lab, screen, "LAB", "RGB"))
    assert turned is not None
    return turned


def _fitted(image: Image, fit: Fit | None) -> Image:
    from PIL import Image as pillow
    from PIL import ImageOps

    if fit is None or image.size == (fit.width, fit.height):
        return image
    size, bilinear = (fit.width, fit.height), pillow.Resampling.BILINEAR
    if fit.way == "stretch":
        return image.resize(size, bilinear)
    return ImageOps.fit(image, size, bilinear) if fit.way == "crop" else ImageOps.pad(image, size, bilinear)


@contextmanager
def _opened(path: Path) -> Iterator[Image]:
    """An image file, and DataError for what goes wrong with it."""
    from PIL import Image as pillow
    from PIL import UnidentifiedImageError

    formats = [*FORMATS, *_heic(path)]
    try:
        with warnings.catch_warnings(action="ignore"), pillow.open(_read(path), formats=formats) as image:
            if image.format == "PNG":  # Pillow would decode the pixels to find it behind them.
                image.info.setdefault("exif", _exif_of_png(image.fp))
            yield image
    except (FileNotFoundError, PermissionError, IsADirectoryError):
        raise
    except DataError as error:
        raise error if str(error).startswith(str(path)) else DataError(f"{path}: {error}") from error
    except (*BROKEN, UnidentifiedImageError, pillow.DecompressionBombError) as error:
        raise DataError(f"{path}: not an image that can be read ({type(error).__name__})") from error


def _read(path: Path) -> io.BytesIO:
    """The whole file: what claims to go on behind its end is not allocated."""
    with open_regular(path, DataError) as stream:
        size = os.fstat(stream.fileno()).st_size
        DataError.unless(size <= LARGEST_FILE, f"{path}: {size} bytes are more than {LARGEST_FILE}")
        return io.BytesIO(stream.read(size))


def _exif_of_png(stream: Any) -> bytes:
    """What its eXIf chunk holds, found from chunk to chunk."""
    data, at = stream.getbuffer(), len(b"\x89PNG\r\n\x1a\n")
    while at + 8 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"eXIf":
            return b"Exif\0\0" + bytes(data[at + 8 : at + 8 + size])
        at += 12 + size
    return b""


def suffixes() -> frozenset[str]:
    """How files end that can be read here."""
    return SUFFIXES | HEIC if find_spec("pillow_heif") else SUFFIXES


def _heic(path: Path) -> tuple[str, ...]:
    if path.suffix.lower() not in HEIC:
        return ()
    try:
        from pillow_heif import register_heif_opener
    except ImportError as error:
        raise DataError(f"{path}: HEIC is read with a plug-in: pip install pillow-heif") from error
    register_heif_opener()
    return ("HEIF",)
