"""What an image file tells before its pixels are decoded."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import pytest
from bounds import at_most
from PIL import Image, PngImagePlugin

from ssd_edge_runtime.errors import DataError
from ssd_edge_runtime.serving import images
from ssd_edge_runtime.serving.images import look, read_image


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def turned(path: Path, *, behind: bool) -> Path:
    """A PNG of 6 x 4 pixels that is held turned, its EXIF before its pixels or behind them."""
    Image.new("RGB", (6, 4), "red").save(path)
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    data, part = path.read_bytes(), chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    at = data.index(b"IEND" if behind else b"IDAT") - 4
    path.write_bytes(data[:at] + part + data[at:])
    return path


@pytest.mark.parametrize("behind", [False, True])
def test_how_a_png_is_held_is_known_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behind: bool
) -> None:
    path = turned(tmp_path / "a.png", behind=behind)
    assert read_image(path).shape == (3, 6, 4)

    def never(*_: object) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", never)
    found = look(path)
    assert (found.width, found.height) == (4, 6)


@pytest.mark.parametrize("length", [0, 1 << 31, 0xFFFFFFFF])
def test_chunks_that_lie_about_their_length(tmp_path: Path, length: int) -> None:
    path = turned(tmp_path / "a.png", behind=True)
    data = bytearray(path.read_bytes())
    at = data.index(b"IDAT") - 4
    data[at : at + 4] = struct.pack(">I", length)
    path.write_bytes(data)
    with at_most(200):  # Pillow may read what is there, but takes no more for it.
        assert look(path).width == 6
        try:
            assert read_image(path).shape == (3, 4, 6)
        except DataError as error:
            assert str(error).startswith(f"{path}: not an image that can be read")


def test_a_pipe_and_a_file_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(DataError, match=r"pipe\.png is not a regular file"):
        look(tmp_path / "pipe.png")
    monkeypatch.setattr(images, "LARGEST_FILE", 50)
    with pytest.raises(DataError, match=r"a\.png: \d+ bytes are more than 50"):
        look(turned(tmp_path / "a.png", behind=False))
