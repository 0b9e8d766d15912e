"""Mutated files, their digests made to match: each is read soundly or refused in one sentence, fast and small."""

from __future__ import annotations

import hashlib
import json
import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from bounds import at_most
from encoders import behind, tiny_encoder
from forged import seal

from ssd_edge_runtime import model_file
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.model_file.decode import BASE_MEMORY, MEMORY_PER_BYTE
from ssd_edge_runtime.onnx.protobuf import Message, encode_varint, fields
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]
Random = np.random.Generator
MEGABYTES = 500
NUMBERS = (0, 1, 7, 127, 128, 255, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
JUNK = (None, True, -1, 0, 2**40, 2**63, 1e308, 0.5, "", "x", "gaps", "dense", [], [[]], {}, {"a": {}}, [0] * 50)


def flip(data: bytes, rng: Random) -> bytes:
    """One to four bytes anywhere become others."""
    out = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        out[rng.integers(len(out))] = rng.integers(256)
    return bytes(out)


def cut(data: bytes, rng: Random) -> bytes:
    """A piece goes missing, comes twice, or changes places with another."""
    a, b, c = sorted(rng.integers(0, len(data) + 1, 3).tolist())
    kinds = (data[:a] + data[b:], data[:b] + data[a:], data[:a] + data[b:c] + data[a:b] + data[c:], data[:a])
    return kinds[rng.integers(len(kinds))]


@dataclass
class Field:
    """A protobuf field and its children, for those messages that are walked into."""

    number: int
    value: int | bytes
    children: list[Field] | None = None

    def encode(self, message: Message) -> None:
        if self.children is not None:
            inner = Message()
            for child in self.children:
                child.encode(inner)
            message.message(self.number, inner)
        elif isinstance(self.value, int):
            message.integer(self.number, self.value)
        else:
            message.data(self.number, self.value)


WALKED = {(7,): {1, 5, 11, 12}, (14,): set(), (8,): set(), (20,): {2}, (20, 2): {5}}
"""Paths of field numbers whose messages are taken apart, and which of their fields again."""


def parse(data: memoryview, path: tuple[int, ...] = ()) -> list[Field]:
    """The fields of a sound file, down to those of tensors and nodes."""
    found: list[Field] = []
    for number, value, _ in fields(data):
        if isinstance(value, int):
            found.append(Field(number, value))
            continue
        deeper = (*path, number)
        inside = deeper in WALKED or number in WALKED.get(path, set())
        found.append(Field(number, bytes(value), parse(value, deeper) if inside else None))
    return found


def groups(found: list[Field]) -> Iterator[list[Field]]:
    """Every list of fields that belong to one message."""
    yield found
    for each in found:
        if each.children:
            yield from groups(each.children)


def rewrite_bytes(value: bytes, rng: Random) -> bytes:
    """Other bytes in a field: hostile numbers of each width, shorter, longer, none."""
    out = bytearray(value)
    width = (1, 2, 4, 8)[rng.integers(4)]
    specials = (np.nan, np.inf, -1.0, 1e308)
    choice = rng.integers(5)
    if choice == 0 and len(out) >= width:
        at = rng.integers(len(out) // width) * width
        out[at : at + width] = int(NUMBERS[rng.integers(len(NUMBERS))] % 256**width).to_bytes(width, "little")
    elif choice == 1 and len(out) >= 4:
        at = rng.integers(len(out) // 4) * 4
        with np.errstate(over="ignore"):
            out[at : at + 4] = np.float32(specials[rng.integers(4)]).tobytes()
    elif choice == 2:
        out = out[: rng.integers(len(out) + 1)]
    elif choice == 3:
        out += bytes(rng.integers(0, 256, rng.integers(1, 20)).astype(np.uint8))
    else:
        out = bytearray()
    return bytes(out)


def rewrite_field(data: bytes, rng: Random) -> bytes:
    """One protobuf field is changed, dropped, repeated, moved or renumbered; lengths around it stay right."""
    found = parse(memoryview(data))
    lists = [group for group in groups(found) if group]
    group = lists[rng.integers(len(lists))]
    at = int(rng.integers(len(group)))
    each, choice = group[at], rng.integers(6)
    if choice == 0:
        del group[at]
    elif choice == 1:
        group.insert(int(rng.integers(len(group) + 1)), each)
    elif choice == 2:
        each.number = int(rng.integers(1, 30))
    elif isinstance(each.value, int):
        each.value = NUMBERS[rng.integers(len(NUMBERS))]
    else:
        each.value, each.children = rewrite_bytes(each.value, rng), None
    message = Message()
    for each in found:
        each.encode(message)
    return message.tobytes()


def rewrite_tensor(data: bytes, rng: Random) -> bytes:
    """The elements of one initializer of the model, large or small, change; its size stays."""
    found = parse(memoryview(data))
    graphs = [e.children or [] for e in found if e.number == 7]
    graphs += [g.children or [] for e in found if e.number == 20 for g in e.children or []]
    tensors = [e.children or [] for graph in graphs for e in graph if e.number == 5]
    raw = tensors[rng.integers(len(tensors))][-1]
    assert isinstance(raw.value, bytes)
    changed = rewrite_bytes(raw.value, rng) if rng.random() < 0.7 else flip(raw.value or b"x", rng)
    raw.value = changed[: len(raw.value)] + raw.value[len(changed) :]
    message = Message()
    for each in found:
        each.encode(message)
    return message.tobytes()


def places(document: object, path: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """Paths to every value in a JSON document."""
    pairs = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for key, value in pairs:
        yield (*path, key)
        yield from places(value, (*path, key))


def rewrite_manifest(data: bytes, rng: Random) -> bytes:
    """One value of the manifest becomes another, or goes."""
    found = parse(memoryview(data))
    entry = next(e for e in found if e.number == 14 and e.children and e.children[0].value == b"ssd_edge.manifest")
    assert entry.children is not None
    document = json.loads(bytes(entry.children[1].value))  # type: ignore[arg-type]
    everywhere = list(places(document))
    *path, last = everywhere[rng.integers(len(everywhere))]
    target = document
    for key in path:
        target = target[key]
    if rng.random() < 0.15:
        del target[last]
    elif type(target[last]) is int and rng.random() < 0.5:
        target[last] += int(rng.integers(-2, 3))
    else:
        target[last] = JUNK[rng.integers(len(JUNK))]
    entry.children[1].value = json.dumps(document).encode()
    message = Message()
    for each in found:
        each.encode(message)
    return message.tobytes()


def deep(data: bytes, rng: Random) -> bytes:
    """Messages within messages, or one field repeated without end, in place of the graph."""
    inner = b""
    for _ in range(rng.integers(1, 2000)):
        inner = b"\x3a" + encode_varint(len(inner)) + inner
    return data[:2] + (inner if rng.random() < 0.5 else b"\x3a\x00" * 50_000) + data[2:]


def redo_encoder_digest(data: bytes) -> bytes:
    """Make the encoder's own digest match as well, where there still is an encoder."""
    try:
        found = parse(memoryview(data))
        graph = next(e.children for e in found if e.number == 7)
        entry = next(e for e in found if e.number == 14 and e.children[0].value == b"ssd_edge.manifest")
        document = json.loads(bytes(entry.children[1].value))
        told = document["encoder"]
        message = Message()
        for number, count in ((1, told["nodes"]), (5, told["initializers"])):
            for each in [e for e in graph if e.number == number][:count]:
                each.encode(message)
    except (EdgeModelError, StopIteration, LookupError, TypeError, ValueError):
        return data
    told["digest"] = hashlib.sha256(message.tobytes()).hexdigest()
    entry.children[1].value = json.dumps(document).encode()
    message = Message()
    for each in found:
        each.encode(message)
    return seal(message.tobytes())


MUTATIONS = (flip, cut, rewrite_field, rewrite_field, rewrite_tensor, rewrite_tensor, rewrite_manifest)


def mutate(data: bytes, rng: Random) -> bytes:
    if rng.random() < 0.02:
        return deep(data, rng)
    return seal(MUTATIONS[rng.integers(len(MUTATIONS))](data, rng))


def use(state: ModelState) -> None:
    """What came through must be safe in compiled code, and be writable."""
    for layer in state.layers:
        layer.weights.matvec(np.ones(layer.weights.shape[1], np.float32))
    model_file.to_bytes(state)


def seeds(make_state: MakeState) -> list[bytes]:
    cases = (
        {"teacher": True},
        {"readout": "analytic", "values": "float16"},
        {"hidden": (25, 12), "density": 0.3, "values": "int8"},
        {"hidden": (5,), "input_shape": (4000,), "density": 0.0005, "k": 2, "teacher": True},
        {"density": 0.9, "values": "int8"},
        {"hidden": (100,), "input_shape": (1, 28, 28), "density": 0.05, "values": "float16"},
    )
    encoded = behind(tiny_encoder(), make_state(input_shape=(20,), teacher=True))
    return [model_file.to_bytes(state) for state in (*(make_state(**case) for case in cases), encoded)]


def read(data: bytes, where: tuple[int, int]) -> ModelState | None:
    """The model, or None where it is refused as it should be: with one sentence, within a second of computing."""
    started = time.process_time()
    state = None
    try:
        state = model_file.from_bytes(data)
    except EdgeModelError as error:
        assert 5 < len(str(error)) < 400, (where, str(error))
    assert time.process_time() - started < 1, where
    return state


def read_traced(data: bytes, where: tuple[int, int]) -> ModelState | None:
    """The same, with an eye on memory."""
    tracemalloc.start()
    try:
        state = read(data, where)
        assert tracemalloc.get_traced_memory()[1] < BASE_MEMORY + MEMORY_PER_BYTE * len(data), where
    finally:
        tracemalloc.stop()
    return state


@pytest.mark.parametrize(
    ("rounds", "seed"),
    [
        (800, 0),
        pytest.param(1000, 2, marks=pytest.mark.slow),
        pytest.param(20_000, 1, marks=pytest.mark.slow),
    ],
    ids=["short", "tenth", "long"],
)
def test_no_mutation_gets_through_unseen(make_state: MakeState, rounds: int, seed: int) -> None:
    rng, files, sound = np.random.default_rng(seed), seeds(make_state), 0
    for number in range(rounds):
        data = mutate(files[number % len(files)], rng)
        if number % 2:
            data = redo_encoder_digest(data)
        # Tracing makes everything ten times slower, so one file in eight has to do.
        with at_most(MEGABYTES):
            state = (read if number % 8 else read_traced)(data, (seed, number))
        if state is not None:
            use(state)
            sound += 1
    assert 0 < sound < rounds / 2
