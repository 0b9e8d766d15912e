"""Back to what really was before: along the tree of files, not to what was tried and rejected."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from saved import file_of, numbers

from ssd_edge_runtime import EdgeModel, model_file, storage
from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import generations

MakeState = Callable[..., ModelState]


@pytest.fixture
def model(make_state: MakeState, path: Path) -> Path:
    """Generation 1."""
    storage.save(path, file_of(make_state(), 1))
    return path


def grow(path: Path, name: str, keep: int = 3) -> str:
    """Rename the first class and save; returns the digest."""
    model = EdgeModel.load(path)
    model.rename(model.classes_[0], name).save(path, keep=keep)
    return str(model.digest)


def first_class(path: Path) -> str:
    return model_file.load(path).classes[0]


def test_what_was_rejected_twice_does_not_come_back(model: Path) -> None:
    for name in ("bad", "worse", "worst"):
        grow(model, name)
        assert storage.rollback(model).number == 1
        assert first_class(model) == "class 0"
    with pytest.raises(EdgeModelError, match="cannot go back to an earlier generation: there are 4, 3, 2"):
        storage.rollback(model)


def test_back_from_a_branch_to_where_it_began(model: Path) -> None:
    grow(model, "b")
    grow(model, "c")
    storage.rollback(model)
    grow(model, "d")
    assert [storage.rollback(model).number for _ in range(2)] == [2, 1]
    assert storage.rollback(model, 4).classes[0] == "d"
    assert storage.rollback(model).number == 2


def test_history_tells_the_tree(model: Path) -> None:
    first = storage.history(model)[0].digest
    second = grow(model, "b")
    storage.rollback(model)
    third = grow(model, "c")
    found = {g.digest: (g.number, g.parent, g.previous) for g in storage.history(model)}
    assert found == {third: (3, first, first), second: (2, first, first), first: (1, None, None)}


def test_a_generation_is_named_by_number_or_digest(model: Path) -> None:
    first = storage.history(model)[0].digest
    second = grow(model, "b")
    assert storage.rollback(model, first[:7].upper()).number == 1
    assert storage.rollback(model, "2").digest == second
    assert storage.rollback(model, first).number == 1
    for name in (second[:3], "zebra", first, "7", "-1", "٢"):
        with pytest.raises(EdgeModelError, match=f"cannot go back to generation {name}: there are 2"):
            storage.rollback(model, name)


def test_two_of_one_number_are_told_apart_by_digest(make_state: MakeState, model: Path) -> None:
    """As after a roll-out that copied another file over this one."""
    second = grow(model, "b")
    grow(model, "c")
    model.write_bytes(file_of(make_state(readout="analytic"), 2))
    other = storage.history(model)[0].digest
    grow(model, "d")
    with pytest.raises(EdgeModelError, match="2 generations could be meant by 2; their digests") as caught:
        storage.rollback(model, 2)
    for digest in (second, other):
        assert digest[:16] in str(caught.value)
        assert storage.rollback(model, digest[:16]).digest == digest


def test_what_a_merge_replaced_comes_back(make_state: MakeState, model: Path) -> None:
    """It grew from a file somewhere else, and one was rejected here in between."""
    second = grow(model, "b")
    grow(model, "rejected")
    storage.rollback(model)
    merged = EdgeModel(replace(make_state(), samples_seen=9, parent="cd" * 32)).rename("class 1", "merged")
    merged.save(model)
    assert storage.rollback(model).digest == second


def test_past_a_damaged_parent_to_its_own(model: Path) -> None:
    grow(model, "b")
    grow(model, "rejected")
    storage.rollback(model)
    grow(model, "d")
    entry = dict(generations.stored_files(model))[2]
    entry.write_bytes(entry.read_bytes()[:-1] + b"\xff")
    assert storage.history(model)[2].problem
    assert storage.rollback(model).number == 1


def test_files_that_name_no_parent_go_back_by_number(make_state: MakeState, model: Path) -> None:
    for number in (2, 3):
        storage.save(model, file_of(make_state(), number))
    assert [storage.rollback(model).number for _ in range(2)] == [2, 1]


def test_parents_that_go_round_end(make_state: MakeState, model: Path) -> None:
    """No file can name a digest that depends on its own; a hostile one can name what is not there."""
    state = replace(make_state(), generation=2, samples_seen=2, parent="ef" * 32)
    storage.save(model, model_file.to_bytes(state))
    assert storage.rollback(model).number == 1


def test_what_it_grew_from_is_pruned_last(model: Path) -> None:
    grow(model, "b", keep=2)
    grow(model, "rejected", keep=2)
    storage.rollback(model)
    grow(model, "rejected too", keep=2)
    storage.rollback(model)
    grow(model, "d", keep=2)
    assert numbers(model) == [5, 2, 1]
    grow(model, "e", keep=1)
    assert numbers(model) == [6, 5]
    assert storage.rollback(model).classes[0] == "d"


def test_a_name_begins_like_many_digests(model: Path) -> None:
    for name in "bcdefg":
        grow(model, name, keep=9)
    digests = [g.digest for g in storage.history(model)]
    for digest in digests[1:]:
        assert storage.rollback(model, digest[:12]).digest == digest
