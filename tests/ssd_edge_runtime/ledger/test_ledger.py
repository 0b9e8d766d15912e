"""What a file tells of its past: entries by verb, lineage, and that all of it stays bounded."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path

import pytest
from small_models import analytic_state, gradient_state, samples

from ssd_edge_runtime import EdgeModel, Remarks, model_file, storage
from ssd_edge_runtime.ledger.entries import HOUR, LONGEST_TEXT, MAX_CLASSES, MAX_ENTRIES, Entry, bounded, shortened
from ssd_edge_runtime.ledger.ledger import FIRST, LAST, LETTERS, MAX_STRETCHES, Ledger


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", str(1_800_000_123))
    return 1_800_000_123 - 1_800_000_123 % HOUR


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    path.write_bytes(model_file.to_bytes(analytic_state()))
    return path


def entries(path: Path) -> tuple[Entry, ...]:
    return model_file.load(path).ledger.entries


def test_a_file_to_which_nothing_happened_has_no_ledger(model: Path) -> None:
    before = model.read_bytes()
    assert b'"ledger"' not in before
    EdgeModel.load(model).save(model)
    assert model.read_bytes() == before


def test_each_verb_is_entered_with_its_samples(model: Path, clock: int) -> None:
    x, y = samples(1, 20, classes=4)
    EdgeModel.load(model).partial_fit(x, y).save(model, remarks=Remarks("week 12", 0.75, "0f" * 8))
    EdgeModel.load(model).rename("3", "fox").rename("fox", "emu").save(model)
    EdgeModel.load(model).unlearn(x[:8], ["emu" if c == 3 else str(c) for c in y[:8]]).save(model)
    EdgeModel.load(model).forget("emu").save(model)
    learned, renamed, unlearned, forgotten = entries(model)
    assert learned == Entry(
        *("learn", 2, clock, {"0": 5, "1": 5, "2": 5, "3": 5}),
        **{"note": "week 12", "guard": 0.75, "signer": "0f" * 8},
    )
    assert (renamed.verb, renamed.renamed, dict(renamed.samples)) == ("rename", {"3": "emu"}, {})
    assert (unlearned.verb, dict(unlearned.samples)) == ("forget", {"0": -2, "1": -2, "2": -2, "emu": -2})
    assert (forgotten.verb, forgotten.what, dict(forgotten.samples)) == ("forget", "emu", {})
    assert [entry.generation for entry in entries(model)] == [2, 3, 4, 5]


def test_what_is_saved_as_one_is_one_entry(model: Path) -> None:
    x, y = samples(2, 9)
    EdgeModel.load(model).partial_fit(x, y).rename("0", "zero").save(model)
    (entry,) = entries(model)
    assert entry.verb == "learn+rename"
    assert dict(entry.samples) == {"zero": 3, "1": 3, "2": 3}


def test_checkpoints_on_the_way_are_one_entry(model: Path) -> None:
    edge = EdgeModel.load(model)
    for seed in range(5):
        edge.partial_fit(*samples(seed, 6)).save(model, keep_replaced=seed == 0)
    (entry,) = entries(model)
    assert entry.total == 30
    assert entry.generation == edge.state.generation


def test_an_option_alone_is_a_change(model: Path) -> None:
    edge = EdgeModel.load(model)
    assert edge.analytic is not None
    edge.analytic = dataclasses.replace(edge.analytic, min_samples=5)
    edge.save(model)
    (entry,) = entries(model)
    assert (entry.verb, entry.total) == ("change", 0)


def test_a_call_that_raised_is_not_entered(model: Path) -> None:
    edge = EdgeModel.load(model)
    with pytest.raises(ValueError, match="unknown class"):
        edge.forget("yak")
    with pytest.raises(ValueError, match=r"never learned|more samples"):
        edge.unlearn(*samples(7, 100, classes=1))
    edge.rename("0", "zero").save(model)
    (entry,) = entries(model)
    assert (entry.verb, entry.total) == ("rename", 0)


def test_a_gradient_readout_keeps_a_ledger_too(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    EdgeModel(gradient_state()).partial_fit(*samples(3, 12, classes=4)).save(path)
    (entry,) = entries(path)
    assert (entry.verb, entry.total, len(entry.samples)) == ("learn", 12, 4)


def test_the_same_learning_gives_the_same_bytes(model: Path, tmp_path: Path, clock: int) -> None:
    for name in ("a.onnx", "b.onnx"):
        EdgeModel.load(model).partial_fit(*samples(4, 12)).save(tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


def test_the_clock_counts_whole_hours(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "not a number")
    EdgeModel.load(model).partial_fit(*samples(4, 3)).save(model)
    (entry,) = entries(model)
    assert entry.time % HOUR == 0
    assert entry.time > 1_700_000_000


def test_ancestors_are_kept_in_order(model: Path) -> None:
    digests = []
    for seed in range(4):
        edge = EdgeModel.load(model)
        digests.append(str(edge.digest)[:LETTERS])
        edge.partial_fit(*samples(seed, 3)).save(model)
    assert model_file.load(model).ledger.lineage == (tuple(digests),)


def test_a_long_life_stays_bounded() -> None:
    ledger = Ledger()
    for number in range(1000):
        entry = Entry("learn", number, HOUR * number, {str(number % 40): 2})
        ledger = ledger.after(f"{number:064x}", [entry], joined=number % 50 == 9, again=False)
    assert len(ledger.entries) == MAX_ENTRIES
    first = ledger.entries[0]
    assert (first.verb, first.folded, first.total) == ("earlier", 1000 - MAX_ENTRIES + 1, 2 * first.folded)
    assert sum(entry.total for entry in ledger.entries) == 2000
    assert len(ledger.lineage) <= MAX_STRETCHES
    assert all(len(stretch) <= FIRST + LAST for stretch in ledger.lineage)
    assert ledger.lineage[0][:2] == (f"{0:064x}"[:LETTERS], f"{1:064x}"[:LETTERS])
    state = dataclasses.replace(analytic_state(), ledger=ledger)
    assert model_file.from_bytes(model_file.to_bytes(state)).ledger == ledger


def test_folding_again_counts_what_was_folded() -> None:
    once = bounded([Entry("learn", number, 0, {"a": 1}) for number in range(MAX_ENTRIES + 10)])
    twice = bounded([*once, *(Entry("learn", 0, 0, {"a": 1}) for _ in range(3))])
    assert (twice[0].folded, twice[0].total) == (14, 14)


def test_few_classes_are_named_and_the_others_counted() -> None:
    names, others = shortened({str(number): number for number in range(100)} | {"long" * 40: 1000})
    assert list(names) == [str(number) for number in range(99, 99 - MAX_CLASSES, -1)]
    assert others == sum(range(100 - MAX_CLASSES)) + 1000


def test_a_note_is_one_line_of_bounded_length(model: Path) -> None:
    note = "line one\nline two\x1b[31m\u2028" + "x" * 1000
    EdgeModel.load(model).partial_fit(*samples(1, 3)).save(model, remarks=Remarks(note))
    (entry,) = entries(model)
    assert entry.note.startswith("line one line two [31m xxx")
    assert len(entry.note) == LONGEST_TEXT


def test_a_purged_class_is_named_no_more() -> None:
    ledger = Ledger(
        entries=(
            Entry("learn", 2, 0, {"alice": 3, "bob": 1}),
            Entry("rename", 3, 0, renamed={"7": "alice"}),
            Entry("forget", 4, 0, what="alice"),
        )
    )
    redacted = ledger.without(["alice"])
    assert "alice" not in str(redacted)
    assert [entry.total for entry in redacted.entries] == [4, 0, 0]


def test_going_back_is_entered_with_what_comes_after_it(model: Path) -> None:
    for seed in range(3):
        EdgeModel.load(model).partial_fit(*samples(seed, 3)).save(model)
    storage.rollback(model, 2)
    EdgeModel.load(model).partial_fit(*samples(9, 3)).save(model)
    assert [(entry.verb, entry.generation) for entry in entries(model)] == [
        ("learn", 2),
        ("rollback", 2),
        ("learn", 5),
    ]
    assert entries(model)[1].what == "from 4 to 2"
    EdgeModel.load(model).partial_fit(*samples(9, 3)).save(model.with_name("elsewhere.onnx"))
    assert [entry.verb for entry in entries(model.with_name("elsewhere.onnx"))][-2:] == ["learn", "learn"]


def test_a_copy_in_memory_has_a_diary_of_its_own(model: Path) -> None:
    edge = EdgeModel.load(model).partial_fit(*samples(1, 3))
    twin = copy.deepcopy(edge).rename("0", "zero")
    edge.save(model.with_name("edge.onnx"))
    twin.save(model.with_name("twin.onnx"))
    assert [entry.verb for entry in entries(model.with_name("edge.onnx"))] == ["learn"]
    assert [entry.verb for entry in entries(model.with_name("twin.onnx"))] == ["learn+rename"]
