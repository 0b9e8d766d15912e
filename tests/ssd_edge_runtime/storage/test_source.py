"""A model and the file that it came from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from saved import file_of, numbers, save_several

from ssd_edge_runtime import model_file, storage
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


def save(state: ModelState, path: Path, source: storage.Source | None, told: list[str]) -> storage.Source:
    return grow(state, path, source, entered=None, announce=told.append)[1]


def grow(
    state: ModelState, path: Path, source: storage.Source | None, **options: Any
) -> tuple[ModelState, storage.Source]:
    told: dict[str, Any] = {"entered": lambda state: state, "keep": 3, "keep_replaced": True}
    told["announce"] = lambda digest: None
    return storage.save_state(state, path, source, **told | options)


def test_what_is_loaded_and_saved_again_has_the_file_as_parent(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 2)
    state, source = storage.load_state(path)
    assert source == storage.Source(path.resolve(), model_file.digest_of(path.read_bytes()))
    told: list[str] = []
    _, after = grow(state, path, source, announce=told.append)
    assert told == [after.digest]
    loaded, again = storage.load_state(path)
    assert (loaded.generation, loaded.parent, again) == (3, source.digest, after)
    assert numbers(path) == [3, 2, 1]


def test_a_successor_stands_above_what_was_rolled_back(make_state: MakeState, path: Path) -> None:
    save_several(path, make_state(), 3)
    storage.rollback(path, 1)
    state, source = storage.load_state(path)
    assert grow(state, path.with_name("new.onnx"), source)[0].generation == 2
    assert grow(state, path, source)[0].generation == 4


def test_what_takes_the_place_of_another_remembers_it(make_state: MakeState, path: Path) -> None:
    """A merge, say, which grew from a file that is somewhere else."""
    digests = save_several(path, make_state(), 2)
    own = replace(make_state(), parent="ab" * 32)
    saved, _ = grow(own, path, None)
    assert (saved.generation, saved.parent, saved.replaced) == (3, "ab" * 32, digests[1])
    assert model_file.load(path).replaced == digests[1]
    _, source = storage.load_state(path)
    again, _ = grow(saved, path, source)
    assert (again.parent, again.replaced) == (source.digest, None)
    elsewhere, _ = grow(saved, path.with_name("new.onnx"), source)
    assert (elsewhere.parent, elsewhere.replaced) == (source.digest, None)


def test_nobody_goes_back_to_a_checkpoint(make_state: MakeState, path: Path) -> None:
    digests = save_several(path, make_state(), 1)
    state, source = storage.load_state(path)
    for keep_replaced in (True, False, False):
        state, source = grow(state, path, source, keep_replaced=keep_replaced)
        assert state.parent == digests[0]
    assert (state.generation, numbers(path)) == (4, [4, 1])
    assert storage.rollback(path).number == 1


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
