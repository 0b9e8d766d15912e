"""Which files may be joined: each lesson counts once, and the error says who brings it twice."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_models import analytic_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError, merge, model_file, rebase
from ssd_edge_runtime.ledger import Ledger


@pytest.fixture
def base(tmp_path: Path) -> Path:
    path = tmp_path / "base.onnx"
    path.write_bytes(model_file.to_bytes(analytic_state()))
    return path


def teach(source: Path, name: str, seed: int, count: int = 12) -> Path:
    """A file beside ``source`` that has learned some samples more."""
    target = source.with_name(f"{name}.onnx")
    EdgeModel.load(source).partial_fit(*samples(seed, count, classes=4)).save(target)
    return target


def join(base: Path, *files: Path, name: str = "merged") -> Path:
    target = base.with_name(f"{name}.onnx")
    merge([EdgeModel.load(path) for path in files], EdgeModel.load(base)).save(target)
    return target


def test_the_ledger_names_what_was_merged_and_keeps_every_history(base: Path) -> None:
    kitchen, garage = teach(teach(base, "k", 1), "kitchen", 2), teach(base, "garage", 3)
    merged = join(base, kitchen, garage)
    ledger = model_file.load(merged).ledger
    start = EdgeModel.load(base).digest
    assert [(part.name, part.digest, part.since) for part in ledger.merged] == [
        (path.name, EdgeModel.load(path).digest, start) for path in (kitchen, garage)
    ]
    told = [(entry.verb, entry.file, entry.total) for entry in ledger.entries]
    assert told == [
        ("learn", "kitchen.onnx", 12),
        ("learn", "kitchen.onnx", 12),
        ("learn", "garage.onnx", 12),
        ("merge", "", 36),
    ]
    assert ledger.entries[-1].what == "kitchen.onnx, garage.onnx"
    assert model_file.load(merged).parent == start


def test_the_same_file_twice_is_refused(base: Path) -> None:
    kitchen = teach(base, "kitchen", 1)
    copy = Path(shutil.copy(kitchen, base.with_name("copy.onnx")))
    with pytest.raises(EdgeModelError, match=r"kitchen.onnx and copy.onnx are the same file, byte for byte"):
        join(base, kitchen, copy)


def test_two_files_of_one_device_are_refused(base: Path) -> None:
    monday = teach(base, "monday", 1)
    tuesday, other = teach(monday, "tuesday", 2), teach(monday, "other", 3)
    with pytest.raises(EdgeModelError, match=r"tuesday.onnx already holds monday.onnx: what it learned"):
        join(base, tuesday, monday)
    with pytest.raises(EdgeModelError, match=r"tuesday.onnx and other.onnx are of one device, both come from"):
        join(base, tuesday, other)
    assert EdgeModel.load(join(monday, tuesday, other)).samples_seen_ == 60 + 36


def test_a_device_is_not_merged_again_into_what_holds_it(base: Path) -> None:
    kitchen, garage = teach(base, "kitchen", 1), teach(base, "garage", 2)
    merged = join(base, kitchen, garage)
    with pytest.raises(EdgeModelError, match=r"merged.onnx already holds kitchen.onnx"):
        join(base, merged, kitchen, name="again")
    later = teach(kitchen, "later", 3)
    with pytest.raises(EdgeModelError, match=r"merged.onnx and later.onnx both hold kitchen.onnx"):
        join(base, merged, later, name="again")
    rolled_out = teach(merged, "rolled-out", 4)
    with pytest.raises(EdgeModelError, match=r"rolled-out.onnx already holds garage.onnx"):
        join(base, rolled_out, garage, name="again")
    again = join(kitchen, merged, later, name="again")
    assert EdgeModel.load(again).samples_seen_ == 60 + 36


def test_merging_merges_is_refused_where_they_share_a_device(base: Path) -> None:
    a, b, c = (teach(base, name, seed) for seed, name in enumerate("abc"))
    ab, bc = join(base, a, b, name="ab"), join(base, b, c, name="bc")
    with pytest.raises(EdgeModelError, match=r"ab.onnx and bc.onnx both hold b.onnx"):
        join(base, ab, bc)
    abc = join(base, ab, c)
    assert EdgeModel.load(abc).samples_seen_ == 60 + 36
    assert {part.name for part in model_file.load(abc).ledger.merged} == {"a.onnx", "b.onnx", "ab.onnx", "c.onnx"}


def test_a_base_that_a_device_did_not_start_from_is_refused(base: Path) -> None:
    kitchen, garage, cellar = (
        teach(base, name, seed) for seed, name in enumerate(("kitchen", "garage", "cellar"))
    )
    merged = join(base, kitchen, garage)
    with pytest.raises(EdgeModelError, match=r"cellar.onnx lacks \d+ samples that merged.onnx has learned"):
        join(merged, cellar, teach(merged, "new", 5), name="wrong")


def test_forgetting_in_the_base_too_stays_possible(base: Path) -> None:
    device = teach(base, "device", 1)
    EdgeModel.load(device).forget("0").save(device)
    without = base.with_name("without.onnx")
    EdgeModel.load(base).forget("0").save(without)
    other = base.with_name("other.onnx")
    EdgeModel.load(without).partial_fit(samples(2, 2)[0], ["1", "fox"]).save(other)
    assert EdgeModel.load(join(without, device, other)).classes_ == ["1", "2", "3", "fox"]


def test_files_of_one_name_are_told_by_their_folders(base: Path) -> None:
    places, device = [], teach(base, "device", 1)
    for folder in ("kitchen", "garage"):
        (base.parent / folder).mkdir()
        places.append(base.parent / folder / "model.onnx")
        shutil.copy(device, places[-1])
    with pytest.raises(EdgeModelError, match=r"kitchen/model.onnx and garage/model.onnx are the same file"):
        join(base, *places)


def test_models_that_were_never_saved_merge_as_before(base: Path) -> None:
    start = EdgeModel.load(base)
    a, b = (EdgeModel.load(base).partial_fit(*samples(seed, 12)) for seed in (1, 2))
    assert merge([a, b], start).samples_seen_ == 60 + 24
    plain = EdgeModel(analytic_state())
    assert merge([EdgeModel(plain.state).partial_fit(*samples(1, 6))], plain).samples_seen_ == 66


def test_a_long_life_does_not_hide_what_two_files_share(base: Path) -> None:
    monday = teach(base, "monday", 1)
    device = EdgeModel.load(monday)
    late = base.with_name("late.onnx")
    for seed in range(100):
        device.partial_fit(*samples(seed, 1)).save(late)
    with pytest.raises(EdgeModelError, match=r"late.onnx already holds monday.onnx"):
        join(base, late, monday)


def test_one_model_in_memory_is_merged_once(base: Path) -> None:
    model = EdgeModel.load(base).partial_fit(*samples(1, 12))
    with pytest.raises(EdgeModelError, match="model 1 is given twice: each is merged once"):
        merge([model, model], EdgeModel.load(base))
    other = EdgeModel.load(base).partial_fit(*samples(2, 1))
    assert merge([model, other], EdgeModel.load(base)).samples_seen_ == 60 + 13


def test_files_of_earlier_versions_name_a_parent(base: Path) -> None:
    """They have no ledger, yet a file and the one that it came from are told."""
    monday = teach(base, "monday", 1)
    tuesday = teach(monday, "tuesday", 2)
    for path in (monday, tuesday):
        state = model_file.load(path)
        if path == tuesday:
            state = replace(state, parent=model_file.digest_of(monday.read_bytes()))
        path.write_bytes(model_file.to_bytes(replace(state, ledger=Ledger())))
    with pytest.raises(EdgeModelError, match=r"tuesday.onnx already holds monday.onnx"):
        join(base, tuesday, monday)
    with pytest.raises(EdgeModelError, match=r"wednesday.onnx already holds monday.onnx"):
        join(base, teach(tuesday, "wednesday", 3), monday)


def test_inspect_tells_what_a_file_holds(base: Path) -> None:
    merged = join(base, teach(base, "a", 1), teach(base, "b", 2))
    start, a = (model_file.describe(base.with_name(name)) for name in ("base.onnx", "a.onnx"))
    told = model_file.describe(merged)["merged"]
    assert told[0] == {"name": "a.onnx", "digest": a["digest"], "since": start["digest"]}
    assert [part["name"] for part in told] == ["a.onnx", "b.onnx"]
    assert a["merged"] == []


# Rebase


def test_rebase_carries_over_exactly_what_was_learned(base: Path) -> None:
    kitchen, garage = teach(base, "kitchen", 1), teach(base, "garage", 2)
    rolled_out = join(base, kitchen, garage)
    later = teach(kitchen, "later", 3)
    carried = rebase(EdgeModel.load(later), EdgeModel.load(kitchen), EdgeModel.load(rolled_out))
    expected = merge([EdgeModel.load(later), EdgeModel.load(garage)], EdgeModel.load(base))
    assert carried.samples_seen_ == expected.samples_seen_ == 60 + 36
    x, _ = samples(9, 50, classes=4)
    np.testing.assert_allclose(carried.logits(x), expected.logits(x), rtol=1e-4, atol=1e-4)
    carried.save(base.with_name("carried.onnx"))
    state = model_file.load(base.with_name("carried.onnx"))
    entry = state.ledger.entries[-1]
    assert (entry.verb, entry.what, entry.total) == ("rebase", "later.onnx onto merged.onnx", 12)
    assert state.parent == EdgeModel.load(rolled_out).digest


def test_rebase_refuses_what_is_there_already(base: Path) -> None:
    kitchen, garage = teach(base, "kitchen", 1), teach(base, "garage", 2)
    rolled_out = join(base, kitchen, garage)
    later = teach(kitchen, "later", 3)
    models = [EdgeModel.load(path) for path in (later, base, rolled_out)]
    with pytest.raises(EdgeModelError, match=r"merged.onnx already holds kitchen.onnx: .* rebase from that file"):
        rebase(*models)
    carried = base.with_name("carried.onnx")
    rebase(models[0], EdgeModel.load(kitchen), models[2]).save(carried)
    with pytest.raises(EdgeModelError, match=r"carried.onnx already holds later.onnx"):
        rebase(models[0], EdgeModel.load(kitchen), EdgeModel.load(carried))


def test_rebase_refuses_other_features_and_readouts_by_name(base: Path) -> None:
    kitchen, other = EdgeModel.load(teach(base, "kitchen", 1)), base.with_name("other.onnx")
    other.write_bytes(model_file.to_bytes(analytic_state(seed=5)))
    with pytest.raises(EdgeModelError, match=r"kitchen.onnx has other hidden weights than other.onnx"):
        rebase(kitchen, EdgeModel.load(base), EdgeModel.load(other))
    other.write_bytes(model_file.to_bytes(analytic_state(solver="ridge")))
    with pytest.raises(EdgeModelError, match=r"kitchen.onnx has other analytic options than other.onnx"):
        rebase(kitchen, EdgeModel.load(base), EdgeModel.load(other))


def test_what_a_device_has_forgotten_stays_forgotten(base: Path) -> None:
    device = EdgeModel.load(teach(base, "device", 1)).forget("1")
    new = EdgeModel.load(teach(base, "new", 2))
    carried = rebase(device, EdgeModel.load(base), new)
    assert carried.classes_ == ["0", "2", "3"]
    expected = rebase(EdgeModel.load(base.with_name("device.onnx")), EdgeModel.load(base), new).forget("1")
    assert carried.state.class_samples.tolist() == expected.state.class_samples.tolist()


def test_a_class_renamed_here_or_there_is_one_class(base: Path) -> None:
    device = base.with_name("device.onnx")
    EdgeModel.load(base).rename("1", "fox").rename("2", "gnu").partial_fit(
        samples(1, 4)[0][:2], ["fox", "emu"]
    ).save(device)
    new = base.with_name("new.onnx")
    EdgeModel.load(base).rename("2", "yak").partial_fit(samples(2, 3)[0], ["1", "yak", "yak"]).save(new)
    carried = rebase(EdgeModel.load(device), EdgeModel.load(base), EdgeModel.load(new))
    counts = dict(zip(carried.classes_, carried.state.class_samples.tolist(), strict=True))
    assert counts == {"0": 20, "fox": 22, "yak": 22, "emu": 1}


def test_more_unlearned_than_there_is_is_refused(base: Path) -> None:
    x, _ = samples(3, 3)
    taught = EdgeModel.load(base).partial_fit(x, ["fox"] * 3)
    devices = [EdgeModel(taught.state).unlearn(x[:2], ["fox"] * 2) for _ in range(2)]
    with pytest.raises(EdgeModelError, match="more samples of 'fox' were unlearned than there are"):
        merge(devices, taught)
