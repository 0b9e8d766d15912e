"""Images as a person sees them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.input_facts import Fit
from ssd_edge_runtime.serving import images
from ssd_edge_runtime.serving.images import as_pixels, look, read_image

RAMP = (np.add.outer(np.arange(12) * 9, np.arange(16) * 8)).astype(np.uint8)
COLORS = np.stack([RAMP, RAMP[::-1], 255 - RAMP], axis=-1)
RED = (255, 0, 0)
POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"


def test_color_and_gray() -> None:
    gray, color = Image.fromarray(RAMP), Image.fromarray(COLORS)
    np.testing.assert_array_equal(as_pixels(gray), RAMP[None] / np.float32(255))
    np.testing.assert_array_equal(as_pixels(color), COLORS.transpose(2, 0, 1) / np.float32(255))
    assert as_pixels(gray, channels=3).shape == (3, 12, 16)
    assert as_pixels(color, channels=1).shape == (1, 12, 16)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA", "RGBa", "La"])
def test_what_is_transparent_shows_white(mode: str) -> None:
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    steps = {"RGBa": ["RGBa"], "La": ["LA", "La"], "PA": ["PA"], "LA": ["LA"], "RGBA": []}
    for step in steps[mode]:
        image = image.convert(step)
    assert as_pixels(image, channels=1)[0, 0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(("mode", "clear"), [("P", 0), ("L", 0), ("RGB", (0, 0, 0))])
def test_one_color_that_is_declared_transparent(tmp_path: Path, mode: str, clear: object) -> None:
    image = Image.new("RGB", (2, 1), (0, 0, 0))
    image.putpixel((1, 0), (200, 200, 200))
    image = image.quantize(2) if mode == "P" else image.convert(mode)
    if mode == "P":
        clear = image.getpixel((0, 0))
    image.save(tmp_path / "x.png", transparency=clear)
    pixels = read_image(tmp_path / "x.png", channels=1)
    np.testing.assert_allclose(pixels[0, 0], [1.0, 200 / 255], atol=0.01)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "P", "RGBX", "LAB"])
def test_other_ways_to_write_a_color(mode: str) -> None:
    image = Image.new("RGB", (3, 2), RED)
    if mode == "LAB":
        image = Image.merge("LAB", [Image.new("L", (3, 2), value) for value in (137, 208, 195)])
    else:
        image = image.convert(mode)
    pixels = as_pixels(image)
    np.testing.assert_allclose(pixels[:, 0, 0], [1.0, 0.0, 0.0], atol=0.05)


def test_black_and_white() -> None:
    image = Image.fromarray(RAMP > 80)
    assert image.mode == "1"
    np.testing.assert_array_equal(as_pixels(image)[0], RAMP > 80)


DEEP = {
    "16 bits": RAMP.astype(np.uint16) * 257,
    "16 bits, big-endian": (RAMP.astype(np.uint16) * 257).astype(">u2"),
    "32 bits, of 16": RAMP.astype(np.int32) * 257,
    "32 bits, of 8": RAMP.astype(np.int32),
    "floats to 1": RAMP.astype(np.float32) / 255,
    "floats to 255": RAMP.astype(np.float32),
    "floats to 65535": RAMP.astype(np.float32) * 257,
}


@pytest.mark.parametrize("kind", DEEP)
@pytest.mark.parametrize("channels", [None, 1, 3])
def test_deep_gray_by_its_range(kind: str, channels: int | None) -> None:
    pixels = as_pixels(Image.fromarray(DEEP[kind]), channels)
    assert pixels.shape == (channels or 1, 12, 16)
    np.testing.assert_allclose(pixels[-1], RAMP / 255, atol=1e-3)


def test_deep_gray_keeps_its_depth() -> None:
    fine = np.arange(65535, 65535 - 64, -1, dtype=np.uint16).reshape(8, 8)
    assert len(np.unique(as_pixels(Image.fromarray(fine)))) == 64


@pytest.mark.parametrize("values", [[[-1.0, 0.5]], [[0.0, 1e6]], [[0.0, np.nan]], [[0.0, np.inf]]])
def test_deep_gray_in_no_range_is_refused(values: list[list[float]]) -> None:
    with pytest.raises(DataError, match="in none of the ranges 0 to 1, 255, 65535"):
        as_pixels(Image.fromarray(np.array(values, np.float32)))


@pytest.mark.parametrize("tag", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp"])
def test_an_image_is_held_as_its_tag_says(tmp_path: Path, tag: int, suffix: str) -> None:
    way = Image.Transpose
    turns = (None, way.FLIP_LEFT_RIGHT, way.ROTATE_180, way.FLIP_TOP_BOTTOM, way.TRANSPOSE)
    turn = (*turns, way.ROTATE_90, way.TRANSVERSE, way.ROTATE_270)[tag - 1]
    upright = Image.fromarray(RAMP).convert("RGB").resize((64, 48))
    stored = upright if turn is None else upright.transpose(turn)
    tags = Image.Exif()
    tags[0x0112] = tag
    path = tmp_path / f"x{suffix}"
    stored.save(path, exif=tags, quality=95)
    pixels = read_image(path)
    assert (look(path).width, look(path).height, pixels.shape) == (64, 48, (3, 48, 64))
    np.testing.assert_allclose(pixels, as_pixels(upright), atol=0.06)


def test_fitting() -> None:
    wide = np.zeros((4, 8), np.uint8)
    wide[:, 2:6] = 255
    image = Image.fromarray(wide)
    assert as_pixels(image, fit=Fit(4, 4)).min() == 1.0, "the middle is kept"
    padded = as_pixels(image, fit=Fit(8, 8, "pad"))[0]
    assert (padded[:2].max(), padded[-2:].max(), padded[3:5].max()) == (0.0, 0.0, 1.0)
    stretched = as_pixels(image, fit=Fit(4, 4, "stretch"))[0]
    np.testing.assert_allclose(stretched.mean(), 0.5, atol=0.02)
    np.testing.assert_array_equal(as_pixels(image, fit=Fit(4, 8)), as_pixels(image))
    assert as_pixels(Image.fromarray(DEEP["floats to 1"]), channels=3, fit=Fit(5, 7)).shape == (3, 5, 7)


def test_a_photograph_larger_than_any_sample_is_made_smaller(tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (6000, 4000), RED).save(path)
    assert read_image(path, fit=Fit(32, 32)).shape == (3, 32, 32)
    with pytest.raises(DataError, match=r"photo\.jpg: 6000 x 4000 pixels are more than"):
        read_image(path)


@pytest.mark.parametrize("name", ["x.png", "x.jpg"])
@pytest.mark.parametrize("head", [POSTSCRIPT, b"DDS |\0\0\0", b"8BPS\0\1", b"", b"no"])
def test_only_formats_that_are_expected(tmp_path: Path, name: str, head: bytes) -> None:
    (tmp_path / name).write_bytes(head + bytes(200))
    with pytest.raises(DataError, match=rf"{name}: not an image that can be read"):
        read_image(tmp_path / name)


def test_a_format_that_this_pillow_lacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "FORMATS", ("PNG", "NO SUCH FORMAT"))
    (tmp_path / "x.webp").write_bytes(b"RIFF")
    with pytest.raises(DataError, match="not an image that can be read"):
        read_image(tmp_path / "x.webp")
