"""Data files from strangers: one line each, and no more memory than the file deserves."""

from __future__ import annotations

import os
import pickle
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

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
    with pytest.raises(DataError, match=r"data.csv: needs about 2 MB of memory, 1 MB are free"):
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


def packed(path: Path, how: int, *, encrypted: bool = False, **entries: bytes) -> Path:
    with zipfile.ZipFile(path, "w", how) as file:
        for name, data in entries.items():
            file.writestr(name.replace("_npy", ".npy"), data)
    if encrypted:
        data = bytearray(path.read_bytes())
        for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            place = data.find(mark)
            while place >= 0:
                data[place + at] |= 1
                place = data.find(mark, place + 4)
        path.write_bytes(data)
    return path


X, Y = array((2, 3), data=bytes(24)), array((2,), "<i8", bytes(16))


@pytest.mark.parametrize("how", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_archive_is_read_however_it_is_packed_but_not_encrypted(tmp_path: Path, how: int) -> None:
    assert len(load_data(packed(tmp_path / "a.npz", how, x_npy=X, y_npy=Y))) == 2
    path = packed(tmp_path / "b.npz", how, encrypted=True, x_npy=X, y_npy=Y)
    with pytest.raises(DataError, match=r"b\.npz: not a NumPy file that can be read \(.*encrypted"):
        load_data(path)


@pytest.mark.parametrize("how", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_what_is_packed_badly_says_so(tmp_path: Path, how: int) -> None:
    path = packed(tmp_path / "a.npz", how, x_npy=array((999, 3), data=bytes(3 * 4 * 999)), y_npy=Y)
    data = bytearray(path.read_bytes())
    data[41:60] = b"\xff" * 19
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"a\.npz: not a NumPy file that can be read"):
        load_data(path)


@pytest.mark.parametrize("name", ["x", "x.npy.npy", "./x"])
def test_an_entry_that_was_not_checked_is_not_read(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy would give it out as x."""
    monkeypatch.setattr(limits, "free_memory", lambda: 1 << 20)
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for each, data in (("x.npy", X), ("y.npy", Y), (name, array((1 << 22, 3), "|u1", bytes(3 << 22)))):
            file.writestr(each, data)
    assert load_data(path).x.shape == (2, 3)


@pytest.mark.parametrize("shape", ["(True, 3)", "(2, False)", "(0, 99999999999999999999)", "(-2, -3)"])
def test_what_is_no_shape(tmp_path: Path, shape: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(array((2, 3), data=bytes(24)).replace(b"(2, 3)", shape.encode().ljust(6))[:2000])
    data = bytearray(path.read_bytes())
    data[8:10] = struct.pack("<H", data.index(b"\n", 10) + 1 - 10)
    path.write_bytes(data)
    with pytest.raises(DataError, match="no array has shape"):
        load_arrays(path)


@pytest.mark.parametrize("kind", ["<U1001", "<U200000", "|S9000"])
def test_text_wider_than_a_name_is_not_unpacked(tmp_path: Path, kind: str) -> None:
    """A few kilobytes would become gigabytes."""
    bytes_ = np.dtype(kind).itemsize
    for name in ("y", "classes"):
        parts = {"x": X, "y": Y} | {name: array((2,), kind, bytes(2 * bytes_))}
        with pytest.raises(DataError, match="longer than the 1000 characters of a class name"):
            load_data(archive(tmp_path / "a.npz", **parts))


@pytest.mark.parametrize("ending", [".npy", ".npz", ".csv", ".png", ".tsv", ".gif"])
@pytest.mark.parametrize("kind", ["pipe", "zeros"])
def test_what_never_ends(tmp_path: Path, ending: str, kind: str) -> None:
    path = tmp_path / f"data{ending}"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    for read in (load_arrays, load_data):
        with pytest.raises(DataError, match=r"is not a regular file"):
            read(path)


def test_pictures_of_another_size_are_not_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object) -> None:
        raise AssertionError("a picture was read")

    monkeypatch.setattr("ssd_edge.data.folders.read_image", never)
    monkeypatch.setattr("ssd_edge.data.folders.MUCH", 1 << 17)
    for number in range(3):
        Image.new("L", (200, 300)).save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match=r"0\.png: samples have shape 1 x 300 x 200, the model takes 64 values"):
        load_arrays(tmp_path, width=64)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n"),
        ("b.png", b"DDS " + struct.pack("<I", 124) + bytes(200)),
        ("c.jpg", b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(100)),
        ("d.ppm", b"P6 99999 99999 255\n"),
        ("e.bmp", b"BM" + bytes(52)),
        ("f.png", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_what_is_no_image_that_is_read_here(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=name):
        load_arrays(tmp_path / name)
