"""Data files from strangers: one line each, and no more memory than the file deserves."""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from ssd_edge.data import limits, load_arrays, load_data
from ssd_edge_runtime.errors import DataError

LABELS = ((2,), "<i8", bytes(16))


def array(shape: tuple[int, ...], kind: str = "<f4", data: bytes = b"") -> bytes:
    """An .npy with a header that may lie."""
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + data


def archive(path: Path, **arrays: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in arrays.items():
            file.writestr(f"{name}.npy", data)
    return path


def picture(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + data + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (array((2**40, 784)), "x: shape .* asks for 3448068464705536 bytes, the file has 128"),
        (array((2**62, 2**62)), "asks for"),
        (array((-1, 4), data=bytes(16)), "not a NumPy file that can be read"),
        (array((1,), "|O", pickle.dumps(print)), "an array of Python objects is not read"),
        (array((2, 3), data=bytes(24)).replace(b"\x93NUMPY\x01", b"\x93NUMPY\x03"), "format 3.0 are not read"),
        (b"\x93NUMPY", "not a NumPy file that can be read"),
        (b"\x93NUMPY\x01\x00\x03\x00[[[", "its header cannot be read"),
    ],
    ids=["absurd", "overflow", "negative", "pickle", "version", "cut", "no dictionary"],
)
def test_arrays_that_lie(tmp_path: Path, x: bytes, message: str) -> None:
    path = archive(tmp_path / "data.npz", x=x, y=array(*LABELS))
    with pytest.raises(DataError, match=message):
        load_data(path)
    single = tmp_path / "x.npy"
    single.write_bytes(x)
    with pytest.raises(DataError, match=message.removeprefix("x: ").replace("128", r"\d+")):
        load_arrays(single)


def test_text_beyond_unicode_is_refused(tmp_path: Path) -> None:
    x, y = array((2, 3), data=bytes(24)), array((2,), "<U1", b"a\0\0\0\xff\xff\xff\xff")
    with pytest.raises(DataError, match=r"data.npz: y: holds what is no text"):
        load_data(archive(tmp_path / "data.npz", x=x, y=y))


def test_a_bomb_is_refused_before_it_goes_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four megabytes of zeros in four kilobytes, which would become twenty."""
    bomb = array((1 << 22, 1), "|u1", bytes(1 << 22))
    path = archive(tmp_path / "bomb.npz", x=bomb, y=array(*LABELS))
    assert path.stat().st_size < 6000
    monkeypatch.setattr(limits, "free_memory", lambda: 16 << 20)
    with pytest.raises(DataError, match=r"bomb.npz: x: needs about 20 MB of memory, 16 MB are free"):
        load_data(path)


def test_arrays_that_nobody_asked_for_stay_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x, junk = array((2, 3), data=bytes(24)), array((1 << 22, 1), "|u1", bytes(1 << 22))
    monkeypatch.setattr(limits, "free_memory", lambda: 1 << 20)
    assert len(load_data(archive(tmp_path / "data.npz", x=x, y=array(*LABELS), junk=junk))) == 2


def test_an_endless_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "LONGEST_LINE", 1000)
    path = tmp_path / "data.csv"
    path.write_text("1,2,a\n" + "1," * 1000)
    with pytest.raises(DataError, match=r"data.csv: line 2 is longer than 1000 characters"):
        load_data(path)


def test_a_table_larger_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "free_memory", lambda: 1 << 20)
    path = tmp_path / "data.csv"
    path.write_text("1,2,a\n" * 60_000)
    with pytest.raises(DataError, match=r"data.csv: needs about 1 MB of memory, 1 MB are free"):
        load_data(path)


@pytest.mark.parametrize("size", [(12_000, 12_000), (60_000, 60_000)], ids=["large", "huge"])
def test_an_image_bomb(tmp_path: Path, size: tuple[int, int]) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(picture(*size))
    with pytest.raises(DataError, match=r"bomb.png: "):
        load_arrays(path)


def test_honest_files_are_read(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "data.npz", x=array((2, 3), data=np.arange(6, dtype="<f4").tobytes()), y=array(*LABELS)
    )
    np.testing.assert_array_equal(load_data(path).x, np.arange(6).reshape(2, 3))
