"""Where keys are set, nothing gets in by another door: no file, no generation, no journal, no older file."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from command_line import ask, call, refused
from saved import file_of
from small_models import analytic_state, gradient_state, samples

from ssd_edge.on_device import Keys, Resuming, Saving, infer_stream, learn_stream
from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file, storage
from ssd_edge_runtime.checkpoints import find
from ssd_edge_runtime.errors import OptionError
from ssd_edge_runtime.storage import floors, signing
from ssd_edge_runtime.storage.journal import SEALED, Journal, journal_path
from ssd_edge_runtime.storage.seals import Seal

pytest.importorskip("cryptography")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, in which commands run, with a model, data, and keys of its owner and of a stranger."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.onnx").write_bytes(model_file.to_bytes(analytic_state()))
    x, y = samples(1, 30, classes=4)
    np.savez("data.npz", x=x, y=y, classes=np.array(list("0123")))
    for name in ("own", "strange"):
        ask("keygen", name)
    return tmp_path


@pytest.fixture
def trusting(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, where only what ``own`` has signed is used; it has signed the model."""
    ask("sign", "model.onnx", "--key", "own")
    monkeypatch.setenv(signing.TRUSTED_KEYS, "own.pub")
    monkeypatch.setenv("SSD_EDGE_SIGN_WITH", "own")
    return place


@pytest.mark.parametrize("told", ["", os.pathsep, os.pathsep * 3])
def test_keys_that_name_nobody_trust_nobody(place: Path, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    monkeypatch.setenv(signing.TRUSTED_KEYS, told)
    for line in ("infer model.onnx data.npz", "learn model.onnx data.npz", "rollback model.onnx"):
        assert "SSD_EDGE_TRUSTED_KEYS is set and names no key" in refused(*line.split())
    with pytest.raises(EdgeModelError, match="names no key: name a file, or unset it"):
        EdgeModel.load("model.onnx")


@pytest.mark.parametrize("engine", ["csr", "onnxruntime", "onnxruntime-dense", "onnxruntime-int8", "torch"])
def test_no_engine_measures_an_unsigned_file(trusting: Path, engine: str) -> None:
    signing.signature_path(Path("model.onnx")).unlink()
    line = refused("bench", "model.onnx", "--engines", engine, "--processes", 1, "--seconds", 0.01)
    assert "model.onnx: not signed: " in line


def test_a_signed_file_is_measured(trusting: Path) -> None:
    options = ("--engines", "csr,onnxruntime", "--operations", "predict", "--batches", 1)
    found = ask("bench", "model.onnx", *options, "--processes", 1, "--seconds", 0.01)
    assert {row["engine"] for row in found["results"]} == {"csr", "onnxruntime"}


@pytest.mark.parametrize("line", ["merge model.onnx other.onnx --base model.onnx -o m.onnx", "bench other.onnx"])
def test_no_other_command_reads_an_unsigned_file(trusting: Path, line: str) -> None:
    shutil.copy("model.onnx", "other.onnx")
    assert "other.onnx: not signed: " in refused(*line.split())


def test_what_is_exported_is_signed(trusting: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from ssd_edge_export import Weights, export_model

    rng = np.random.default_rng(0)
    own = Weights([rng.random((9, 5), np.float32)], ["a", "b"], k=2, readout=rng.random((2, 9), np.float32))
    with pytest.raises(OptionError, match="only signed files are loaded here: give --sign-with KEY"):
        export_model(own, "out.onnx")
    with pytest.raises(EdgeModelError, match="strange is not among the trusted keys"):
        export_model(own, "out.onnx", sign_with="strange")
    assert not Path("out.onnx").exists()
    assert EdgeModel.load(export_model(own, "out.onnx", sign_with="own")).classes_ == ["a", "b"]
    monkeypatch.delenv("SSD_EDGE_SIGN_WITH")
    assert "give --sign-with KEY" in refused("export", "run", "-o", "out.onnx")


@pytest.mark.parametrize("key", [None, "strange"])
def test_no_way_back_to_a_planted_generation(trusting: Path, key: str | None) -> None:
    ask("rename", "model.onnx", "0", "zero")
    planted = file_of(analytic_state(seed=5), 1)
    digest = model_file.digest_of(planted)
    Path("model.onnx.generations", f"00000001-{digest[:16]}.onnx").write_bytes(planted)
    if key:
        signing.signer(Path("model.onnx"), key)(digest)
    before = Path("model.onnx").read_bytes()
    wanted = "not signed by a trusted key" if key else "not signed: "
    assert f"generation 1 of {trusting / 'model.onnx'}: {wanted}" in refused(
        "rollback", "model.onnx", "--to", digest[:16]
    )
    with pytest.raises(EdgeModelError, match="not signed"):
        storage.rollback("model.onnx", to=digest[:16])
    assert Path("model.onnx").read_bytes() == before


def keep(name: str) -> None:
    for ending in ("", ".sig"):
        shutil.copy(f"model.onnx{ending}", f"{name}{ending}")


def bring(name: str) -> None:
    for ending in ("", ".sig"):
        shutil.copy(f"{name}{ending}", f"model.onnx{ending}")


class TestFloor:
    def test_an_older_signed_file_is_refused(self, trusting: Path) -> None:
        keep("old")
        ask("rename", "model.onnx", "0", "zero")
        bring("old")
        message = "generation 1 is older than generation 2, which was accepted here before"
        assert message in refused("infer", "model.onnx", "data.npz")
        assert message in refused("learn", "model.onnx", "data.npz")
        with pytest.raises(EdgeModelError, match=message):
            EdgeModel.load("model.onnx")
        assert message in refused("bench", "model.onnx")

    def test_it_is_taken_where_somebody_says_so_and_from_then_on(self, trusting: Path) -> None:
        keep("old")
        ask("rename", "model.onnx", "0", "zero")
        bring("old")
        ask("infer", "model.onnx", "data.npz", "--allow-older")
        ask("infer", "model.onnx", "data.npz")
        assert EdgeModel.load("model.onnx").classes_[0] == "0"

    def test_a_rollback_says_so(self, trusting: Path) -> None:
        for old, new in ("0a", "ab", "bc"):
            ask("rename", "model.onnx", old, new)
        ask("rollback", "model.onnx", "--to", 2)
        assert EdgeModel.load("model.onnx").classes_[0] == "a"
        ask("rollback", "model.onnx", "--to", 4)
        keep("new")
        ask("rollback", "model.onnx", "--to", 3)
        bring("new")
        EdgeModel.load("model.onnx")

    def test_another_model_has_a_floor_of_its_own(self, trusting: Path) -> None:
        for old, new in ("0a", "ab", "bc"):
            ask("rename", "model.onnx", old, new)
        Path("model.onnx").write_bytes(model_file.to_bytes(gradient_state(d=20, widths=(17,))))
        ask("sign", "model.onnx", "--key", "own")
        EdgeModel.load("model.onnx")
        assert len(floors.floor_path("model.onnx").read_text().splitlines()) == 2

    def test_readers_that_raise_it_at_once_lose_none(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        state = gradient_state()
        monkeypatch.setattr(floors, "lineage", lambda state: f"{state.generation:064x}")
        readers = [
            Thread(target=floors.remember, args=(place / "m.onnx", replace(state, generation=number)))
            for number in range(1, 17)
        ]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
        text = floors.floor_path(place / "m.onnx").read_text()
        assert {int(line.split()[1]) for line in text.splitlines()} == set(range(1, 17))

    def test_what_learning_changes_makes_no_other_model(self, trusting: Path) -> None:
        before = floors.lineage(EdgeModel.load("model.onnx").state)
        ask("learn", "model.onnx", "data.npz")
        ask("forget", "model.onnx", "--class", "1")
        assert floors.lineage(EdgeModel.load("model.onnx").state) == before

    @pytest.mark.parametrize("text", ["", "x", "\xff", f"{'0' * 64} -1\n", f"{'0' * 64} {'9' * 40}\n", "1\n" * 99])
    def test_a_damaged_floor_lets_nothing_through(self, trusting: Path, text: str) -> None:
        path = floors.floor_path("model.onnx")
        path.write_bytes(text.encode("latin-1"))
        if not text:
            EdgeModel.load("model.onnx")
            return
        assert "model.onnx.floor is damaged" in refused("infer", "model.onnx", "data.npz")
        ask("infer", "model.onnx", "data.npz", "--allow-older")
        EdgeModel.load("model.onnx")

    def test_without_keys_nothing_is_remembered(self, place: Path) -> None:
        ask("learn", "model.onnx", "data.npz")
        assert not floors.floor_path("model.onnx").exists()

    def test_a_folder_that_nobody_may_write_into_is_no_obstacle(
        self, trusting: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refusing(*args: object, **kwargs: object) -> None:
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr("ssd_edge_runtime.storage.floors.replace_atomically", refusing)
        EdgeModel.load("model.onnx")


class TestJournals:
    @pytest.fixture
    def cut_off(self, trusting: Path) -> Path:
        """A journal of a stream that was killed."""
        keys, lines = Keys("own", ("own.pub",)), ['{"x": %s, "y": "new"}' % ([0.5] * 20)] * 3

        def killed(row: dict[str, object]) -> None:
            if row["samples"] == 3:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            learn_stream("model.onnx", lines, killed, resuming=Resuming(every=1), keys=keys)
        return journal_path(Path("model.onnx"))

    def test_it_is_signed_and_resumed(self, cut_off: Path) -> None:
        assert cut_off.read_bytes().startswith(SEALED)
        keys = Keys("own", ("own.pub",))
        report = learn_stream("model.onnx", [], print, resuming=Resuming(resume=True, every=1), keys=keys)
        assert report["resumed"] >= 2 and "new" in EdgeModel.load("model.onnx").classes_

    @pytest.mark.parametrize("seal", [Seal(), Seal("strange")])
    def test_another_hand_is_noticed(self, cut_off: Path, seal: Seal) -> None:
        """The same lessons, unsigned, or signed by somebody else."""
        journal = Journal.open(cut_off)
        Journal.create(cut_off, *[journal[i] for i in range(len(journal))], seal=seal)
        for line in ("learn model.onnx data.npz --resume", "rename model.onnx 0 zero"):
            assert "model.onnx.learning is not signed by a trusted key" in refused(*line.split())
        ask("learn", "model.onnx", "data.npz", "--discard")

    def test_a_record_put_in_by_hand_is_noticed(self, cut_off: Path) -> None:
        """Signed by the right key, but for another place."""
        journal = Journal.open(cut_off)
        data, end = bytearray(cut_off.read_bytes()), journal.end
        check = journal._next_check(b"lesson")
        data[end:] = len(b"lesson").to_bytes(8, "little") + check + data[27 + 40 : 27 + 104] + b"lesson"
        cut_off.write_bytes(data)
        with pytest.raises(EdgeModelError, match="not signed by a trusted key"):
            find(Path("model.onnx"), Keys(trusted=("own.pub",)).seal)

    def test_a_torn_record_is_none(self, cut_off: Path) -> None:
        whole = Journal.open(cut_off)
        cut_off.write_bytes(cut_off.read_bytes()[: whole.end - 5])
        assert len(Journal.open(cut_off, Seal(trusted=("own.pub",)))) == len(whole) - 1

    def test_a_pipe_is_no_journal(self, trusting: Path) -> None:
        os.mkfifo(journal_path(Path("model.onnx")))
        assert "is not a regular file" in refused("rename", "model.onnx", "0", "zero")


def test_streams_and_outputs_go_through_the_same_door(trusting: Path) -> None:
    Path("model.onnx.sig").write_text("")
    with pytest.raises(EdgeModelError, match="not signed"):
        infer_stream("model.onnx", [], print)
    with pytest.raises(EdgeModelError, match="not signed"):
        learn_stream("model.onnx", [], print, saving=Saving("out.onnx"), keys=Keys("own"))
    assert call("inspect", "model.onnx").exit_code == 0
