"""A model and the file that it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from saved import file_of, numbers, save_several

from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def save(state: ModelState, path: Path, source: storage.Source | None, told: list[str]) -> storage.Source:
    return storage.save_state(state, path, source, keep=3, keep_replaced=True, announce=told.append)


def test_what_is_loaded_and_saved_again_has_the_file_as_parent(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 2)
    state, source = storage.load_state(path)
    assert source == storage.Source(path.resolve(), model_file.digest_of(path.read_bytes()))
    told: list[str] = []
    after = save(storage.successor(state, path, source), path, source, told)
    assert told == [after.digest]
    loaded, again = storage.load_state(path)
    assert (loaded.generation, loaded.parent, again) == (3, source.digest, after)
    assert numbers(path) == [3, 2, 1]


def test_a_successor_stands_above_what_was_rolled_back(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 3)
    storage.rollback(path, 1)
    state, source = storage.load_state(path)
    assert storage.successor(state, path, source).generation == 4
    assert storage.successor(state, path.with_name("new.onnx"), source).generation == 2
    assert storage.successor(replace(state, parent="p"), path, None).parent == "p"


def test_only_its_own_file_must_be_as_it_was(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 1)
    state, source = storage.load_state(path)
    storage.save(path, file_of(make_state(), 2))
    told: list[str] = []
    save(state, path.with_name("copy.onnx"), source, told)
    with pytest.raises(EdgeModelError, match="changed since it was loaded"):
        save(state, path, source, told)
    save(state, path, None, told)


def test_errors_of_loading_name_the_file(path: Path) -> None:
    path.write_bytes(b"nothing")
    with pytest.raises(EdgeModelError, match=r"model\.onnx: not an ONNX model"):
        storage.load_state(path)
