"""Signed files: made, checked, demanded, and kept signed through learning and rollback."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import ask, call, refused
from small_models import analytic_state, samples

from ssd_edge_runtime import EdgeModel, EdgeModelError, model_file, storage
from ssd_edge_runtime.storage import signing

pytestmark = pytest.mark.usefixtures("trial_here")

pytest.importorskip("cryptography")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A signed model, data, the builder's keys and a stranger's."""
    model, data = tmp_path / "model.onnx", tmp_path / "data.npz"
    model.write_bytes(model_file.to_bytes(analytic_state()))
    x, y = samples(1, 30, classes=4)
    np.savez(data, x=x, y=y, classes=np.array(list("0123")))
    for name in ("own", "strange"):
        ask("keygen", tmp_path / name)
    ask("sign", model, "--key", tmp_path / "own")
    return {
        "model": model,
        "data": data,
        "key": tmp_path / "own",
        "public": tmp_path / "own.pub",
        "strange": tmp_path / "strange",
        "stranger": tmp_path / "strange.pub",
    }


def test_verify_checks_the_signature(files: dict[str, Path]) -> None:
    checks = ask("verify", files["model"], "--public-key", files["public"])["checks"]
    assert {"check": "signature", "ok": True, "detail": f"by the owner of {files['public']}"} in checks
    result = call("verify", files["model"], "--public-key", files["stranger"])
    assert result.exit_code == 2
    message = result.stderr
    assert message.endswith("signature: not signed by a trusted key\n")


def test_only_signed_files_are_loaded(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = files["model"], files["data"]
    ask("infer", model, data, "--trusted", files["public"])
    ask("infer", model, data, "--trusted", files["stranger"], "--trusted", files["public"])
    assert "model.onnx: not signed by a trusted" in refused("infer", model, data, "--trusted", files["stranger"])
    monkeypatch.setenv(signing.TRUSTED_KEYS, os.pathsep.join(map(str, (files["stranger"], files["public"]))))
    EdgeModel.load(model)
    monkeypatch.setenv(signing.TRUSTED_KEYS, str(files["stranger"]))
    with pytest.raises(EdgeModelError, match="not signed by a trusted key"):
        EdgeModel.load(model)
    signing.signature_path(model).unlink()
    assert "not signed: " in refused("eval", model, data)


def test_an_altered_file_is_not_signed(files: dict[str, Path]) -> None:
    """Neither with the digest made to match, nor with the check of the digest left out."""
    model, data = files["model"], files["data"]
    original = model.read_bytes()
    other = analytic_state()
    other.readout.weights[:] = 0
    model.write_bytes(model_file.to_bytes(other))
    assert "not signed" in refused("infer", model, data, "--trusted", files["public"])
    digest = model_file.digest_of(original).encode()
    place = original.index(digest) - 400
    altered = bytearray(original)
    altered[place] ^= 1
    model.write_bytes(altered)
    result = call("infer", model, data, "--trusted", files["public"], "--no-verify")
    assert result.exit_code == 2


def test_what_is_learned_is_signed_and_can_be_rolled_back(files: dict[str, Path]) -> None:
    model = files["model"]
    trust = ("--trusted", files["public"])
    ask("learn", model, files["data"], "--sign-with", files["key"], *trust, "--checkpoint-every", 10)
    ask("infer", model, files["data"], *trust)
    ask("rollback", model)
    ask("infer", model, files["data"], *trust)
    ask("rollback", model, "--to", 2)
    assert "3" in EdgeModel.load(model, trusted=[files["public"]]).classes_


def test_what_is_merged_is_signed(files: dict[str, Path], tmp_path: Path) -> None:
    trust, signed = ("--trusted", files["public"]), ("--sign-with", files["key"])
    for name in ("a.onnx", "b.onnx"):
        ask("learn", files["model"], files["data"], "-o", tmp_path / name, "--note", name, *signed)
    merge = (
        "merge",
        tmp_path / "a.onnx",
        tmp_path / "b.onnx",
        "--base",
        files["model"],
        "-o",
        tmp_path / "m.onnx",
    )
    assert "give --sign-with KEY" in refused(*merge, *trust)
    assert not (tmp_path / "m.onnx").exists()
    ask(*merge, *trust, *signed)
    EdgeModel.load(tmp_path / "m.onnx", trusted=[files["public"]])


def test_signatures_go_with_the_generations(files: dict[str, Path]) -> None:
    for name in "abcdefg":
        ask(
            "rename", files["model"], "0" if name == "a" else chr(ord(name) - 1), name, "--sign-with", files["key"]
        )
    kept = {generation.digest for generation in storage.history(files["model"])}
    lines = signing.signature_path(files["model"]).read_text().splitlines()
    assert kept <= {line.split()[0] for line in lines}
    assert len(lines) <= len(kept) + 1


def test_a_save_that_is_cut_off_leaves_a_signed_file(
    files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*args: object, **kwargs: object) -> str:
        raise OSError(5, "Input/output error", str(files["model"]))

    monkeypatch.setattr("ssd_edge_runtime.storage.source.save", failing)
    assert "Input/output error" in refused("rename", files["model"], "0", "a", "--sign-with", files["key"])
    EdgeModel.load(files["model"], trusted=[files["public"]])


def test_two_may_sign(files: dict[str, Path]) -> None:
    for _ in range(2):
        ask("sign", files["model"], "--key", files["strange"])
    assert len(signing.signature_path(files["model"]).read_text().splitlines()) == 2
    for public in ("public", "stranger"):
        EdgeModel.load(files["model"], trusted=[files[public]])


def test_a_device_that_trusts_nobody_else_cannot_lock_itself_out(files: dict[str, Path]) -> None:
    learn = ("learn", files["model"], files["data"], "--trusted", files["public"])
    before = files["model"].read_bytes()
    assert "only signed files are loaded here: give --sign-with KEY" in refused(*learn)
    assert "strange is not among the trusted keys" in refused(*learn, "--sign-with", files["strange"])
    assert files["model"].read_bytes() == before


def test_keys_that_are_none_say_so(files: dict[str, Path], tmp_path: Path) -> None:
    assert "data.npz: not a private key in PEM" in refused("sign", files["model"], "--key", files["data"])
    assert "own: not a public key in PEM" in refused("verify", files["model"], "--public-key", files["key"])
    assert "missing: No such file" in refused("sign", files["model"], "--key", tmp_path / "missing")
    assert "own: File exists" in refused("keygen", files["key"]).replace("own.pub", "own")
    assert "not an ONNX model" in refused("sign", files["data"], "--key", files["key"])


def test_a_damaged_signature_file_signs_nothing(files: dict[str, Path]) -> None:
    path = signing.signature_path(files["model"])
    good = path.read_text()
    for text in ("", "\x00\xff" * 50, good.replace(" ", "  "), good[:-20], good.split()[0] + " !!!!\n"):
        path.write_text(text)
        with pytest.raises(EdgeModelError, match="not signed"):
            EdgeModel.load(files["model"], trusted=[files["public"]])


@pytest.mark.skipif(sys.platform == "win32", reason="no such permissions")
def test_a_private_key_is_for_its_owner_alone(files: dict[str, Path]) -> None:
    assert stat.S_IMODE(files["key"].stat().st_mode) == 0o600


def test_without_the_extra_the_pip_line_is_named(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*sys.modules]:
        if name.startswith("cryptography"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    assert "pip install 'ssd-edge[sign]'" in refused("infer", files["model"], files["data"], "--trusted", "x.pub")
    assert "signing needs the [sign] extra" in refused("keygen", files["key"].with_name("new"))
