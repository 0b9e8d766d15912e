"""Every reader takes time in proportion to the bytes that it is given, whatever they are."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from encoders import tiny_encoder
from forged import seal
from small_models import gradient_state

from ssd_edge_export.verification import verification
from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.checkpoints import find
from ssd_edge_runtime.encoder import Encoder
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file import strict_json
from ssd_edge_runtime.model_file.container import metadata_message
from ssd_edge_runtime.onnx.protobuf import Message, fields
from ssd_edge_runtime.storage import records, signing
from ssd_edge_runtime.storage.journal import Journal, journal_path

MEGABYTE = 1 << 20
SMALL, LARGE = MEGABYTE // 32, MEGABYTE // 8
SECONDS_PER_MEGABYTE = 0.1

Make = Callable[[int], bytes]


def repeated(start: bytes, piece: bytes, end: bytes = b"") -> Make:
    """About so many bytes of one piece after another."""
    return lambda size: start + piece * (size // len(piece)) + end


def numbered(start: str, piece: str, end: str) -> Make:
    """The same with a number in each, so that no two are alike."""

    def make(size: int) -> bytes:
        count = size // (len(piece) + 4)
        return (start + "".join(piece.replace("#", str(i)) for i in range(count)) + end).encode()

    return make


DOCUMENTS: dict[str, Make] = {
    "escaped quotes without end": repeated(b'{"a":"', rb"\""),
    "escaped quotes": repeated(b'{"a":"', rb"\"", b'"}'),
    "backslashes": repeated(b'{"a":"', b"\\"),
    "quotes": repeated(b"", b'"'),
    "empty texts": repeated(b"[", b'"",', b'""]'),
    "lists": repeated(b"[", b"[],", b"[]]"),
    "objects": repeated(b"[", b'{"a":{}},', b"{}]"),
    "openings": repeated(b"", b"["),
    "openings in texts": repeated(b'["', b"[{", b'"]'),
    "closings": repeated(b"", b"]"),
    "keys": numbered("{", '"#":1,', '"a":1}'),
    "one key": repeated(b"{", b'"a":1,', b'"a":1}'),
    "one number": repeated(b"[", b"7", b"]"),
    "one fraction": repeated(b"[0.", b"7", b"]"),
    "one exponent": repeated(b"[1e", b"9", b"]"),
    "numbers of 4,000 digits": repeated(b"[", b"7" * 4000 + b",", b"1]"),
    "halves of characters": repeated(b'["', rb"\\ud", b'"]'),
    "white space": repeated(b"[", b" ", b"]"),
    "names": numbered('{"classes":[', '"#",', '"a"]}'),
}


def in_metadata(text: bytes) -> bytes:
    """A file with ``text`` as its manifest, its digest made to match."""
    message = Message()
    for number, value, _ in fields(memoryview(model_file.to_bytes(gradient_state()))):
        if isinstance(value, int):
            message.integer(number, value)
        elif b"ssd_edge.manifest" in bytes(value[:30]):
            message.message(number, metadata_message("ssd_edge.manifest", text))
        else:
            message.data(number, value)
    return seal(message.tobytes())


def with_fields(number: int, make: Callable[[int], Message]) -> Make:
    """A file with more and more fields of one kind."""

    def grow(size: int) -> bytes:
        data, message, at = model_file.to_bytes(gradient_state()), Message(), 0
        while message.size < size:
            message.message(number, make(at))
            at += 1
        return seal(data + message.tobytes())

    return grow


def crowded(at: int) -> Message:
    message = Message()
    message.parts, message.size = [b"\x0a\x00" * 9000], 18_000
    return message


def in_training(number: int) -> Make:
    """A learning state of very many fields of one kind."""

    def grow(size: int) -> bytes:
        graph = Message()
        while graph.size < size:
            graph.message(number, crowded(0))
        data = bytearray()
        for top, value, _ in fields(memoryview(model_file.to_bytes(gradient_state()))):
            if top == 20:
                data += Message().message(20, Message().message(2, graph)).tobytes()
            elif isinstance(value, int):
                data += Message().integer(top, value).tobytes()
            else:
                data += Message().data(top, value).tobytes()
        return seal(bytes(data))

    return grow


FILES: dict[str, Make] = {
    "metadata": with_fields(14, lambda at: metadata_message(f"key {at}", b"")),
    "metadata of many parts": with_fields(14, crowded),
    "operator sets": with_fields(8, lambda at: Message()),
    "training": with_fields(20, lambda at: Message()),
    "unknown fields": with_fields(25, lambda at: Message()),
    "graphs": with_fields(7, crowded),
    "initializers of many parts": in_training(5),
    "nodes": in_training(1),
    "nothing but zeros": repeated(b"", b"\0"),
    "nothing but continuations": repeated(b"", b"\xff"),
}


@pytest.fixture(autouse=True, scope="module")
def nothing_else_to_collect() -> Iterator[None]:
    """The collector looks at what a reader makes, not at all that other tests have imported."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


READERS: tuple[Callable[[Path], Any], ...] = (
    model_file.load,
    model_file.describe,
    model_file.class_names,
    storage.history,
    storage.rollback,
    verification.verify,
)


@pytest.fixture(autouse=True, scope="module")
def nothing_is_run() -> Iterator[None]:
    """What a file takes once it is found sound and run has limits of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "tried", lambda data, limits: [])
        yield


def refused(read: Callable[[], Any], times: int = 3) -> float:
    """Seconds of this process until ``read`` has returned or refused; the least of a few."""
    best = 9e9
    for _ in range(times):
        begun = time.process_time()
        try:
            read()
        except EdgeModelError as error:
            assert 5 < len(str(error)) < 500
        best = min(best, time.process_time() - begun)
    return best


def assert_linear(read: Callable[[int], Callable[[], Any]]) -> None:
    """Four times the bytes take about four times as long, twice that where it is over in no time."""
    small, large = refused(read(SMALL)), refused(read(LARGE))
    assert large < max(4 * 2 * small, SECONDS_PER_MEGABYTE / 4), f"{small:.3f} s, then {large:.3f} s"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_json(name: str) -> None:
    make = DOCUMENTS[name]

    def reading(size: int) -> Callable[[], Any]:
        data = make(size)
        return lambda: strict_json.loads(data, "it")

    assert_linear(reading)


@pytest.mark.parametrize("name", [*DOCUMENTS, *FILES])
def test_model_files(name: str, tmp_path: Path) -> None:
    """Loaded, described, listed, verified and rolled back; a file's own name for a class is looked up."""
    path = tmp_path / "model.onnx"
    make = FILES.get(name) or (lambda size: in_metadata(DOCUMENTS[name](size)))
    for read in READERS:

        def reading(size: int, read: Callable[[Path], Any] = read) -> Callable[[], Any]:
            path.write_bytes(make(size))
            return lambda: read(path)

        assert_linear(reading)


def journal_of(*payloads: bytes) -> Callable[[Path, int], None]:
    def write(path: Path, size: int) -> None:
        count = max(1, size // (sum(map(len, payloads)) + 40 * len(payloads)))
        Journal.create(path, HEAD, *payloads * count)

    return write


ESCAPED = DOCUMENTS["escaped quotes without end"]
HEAD = records.encode({"kind": "begin", "plan": {}, "parent": "0" * 64}, {})
JOURNALS: dict[str, Callable[[Path, int], None]] = {
    "empty records": journal_of(b""),
    "records of nothing": journal_of(records.encode({}, {})),
    "records of progress": journal_of(records.encode({"progress": {"samples": 1}}, {})),
    "one long head": lambda path, size: journal_of(size.to_bytes(4, "little") + ESCAPED(size))(path, 1),
}


@pytest.mark.parametrize("name", JOURNALS)
def test_journals(name: str, tmp_path: Path) -> None:
    target = tmp_path / "model.onnx"

    def reading(size: int) -> Callable[[], Any]:
        JOURNALS[name](journal_path(target), size)
        return lambda: find(target)

    assert_linear(reading)


@pytest.mark.parametrize("name", ["lines of nothing", "one line", "signatures of this file"])
def test_signatures(name: str, tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.to_bytes(gradient_state()))
    public = signing.generate(tmp_path / "key")
    digest = model_file.digest_of(path.read_bytes())
    makes = {
        "lines of nothing": repeated(b"", b"\n"),
        "one line": repeated(b"", b"a "),
        "signatures of this file": numbered("", f"{digest} {'A' * 80}#==\n", ""),
    }

    def reading(size: int) -> Callable[[], Any]:
        signing.signature_path(path).write_bytes(makes[name](size))
        return lambda: signing.check(path, path.read_bytes(), [public])

    assert_linear(reading)


def test_encoders() -> None:
    """Many small parts are given up, however they are spread."""
    good = tiny_encoder()
    tail = Message().text(4, "Relu").text(1, "input").tobytes()

    def reading(size: int) -> Callable[[], Any]:
        inputs = b"\x0a\x05input" * (size // 70)
        nodes = tuple(inputs + tail + Message().text(2, f"encoder.n{i}").tobytes() for i in range(10))
        return lambda: Encoder("x", good.input_shape, good.width, (*nodes, *good.nodes), good.tensors)

    assert_linear(reading)


@pytest.mark.slow
def test_no_reader_takes_longer_than_a_tenth_of_a_second_for_a_megabyte(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    for name, make in {**DOCUMENTS, **FILES}.items():
        data = make(MEGABYTE)
        path.write_bytes(in_metadata(data) if name in DOCUMENTS else data)
        for read in READERS:
            assert refused(lambda read=read: read(path), 5) < SECONDS_PER_MEGABYTE, (name, read)
    for name, write in JOURNALS.items():
        write(journal_path(path), MEGABYTE)
        assert refused(lambda: find(path), 5) < SECONDS_PER_MEGABYTE, name
