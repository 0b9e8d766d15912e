"""Keys are an argument: what is loaded must be signed, what is saved is, and one call knows nothing of another."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_models import samples

from ssd_edge.on_device import (
    Keys,
    Saving,
    check_signature,
    evaluate,
    infer_stream,
    keygen,
    learn,
    learn_stream,
    merge,
    rename,
    sign,
)
from ssd_edge_runtime import EdgeModel, EdgeModelError
from ssd_edge_runtime.errors import OptionError

pytest.importorskip("cryptography")


@pytest.fixture
def own(edge_file: Path) -> Path:
    """The key that has signed the model."""
    key = edge_file.with_name("own")
    pair = keygen(key)
    assert pair == {"private_key": str(key), "public_key": f"{key}.pub"}
    signed = sign(edge_file, key)
    assert signed["digest"] == EdgeModel.load(edge_file).digest
    assert Path(signed["signature"]).exists()
    return key


@pytest.fixture
def stranger(edge_file: Path) -> Path:
    keygen(edge_file.with_name("stranger"))
    return edge_file.with_name("stranger")


def public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def test_only_what_a_trusted_key_has_signed_is_loaded(edge_file: Path, own: Path, stranger: Path) -> None:
    data = samples(7, 12)
    assert evaluate(edge_file, data, keys=Keys(trusted=(public(stranger), public(own))))["n"] == 12
    with pytest.raises(EdgeModelError, match="not signed by a trusted key"):
        evaluate(edge_file, data, keys=Keys(trusted=(public(stranger),)))
    with pytest.raises(EdgeModelError, match="not signed by a trusted key"):
        infer_stream(edge_file, [], print, keys=Keys(trusted=(public(stranger),)))
    assert evaluate(edge_file, data)["n"] == 12


def test_what_is_saved_is_signed_by_the_key_given(edge_file: Path, own: Path, stranger: Path) -> None:
    keys = Keys(own, (public(own),))
    learn(edge_file, samples(8, 12), keys=keys)
    assert check_signature(edge_file, public(own))["ok"] is True
    assert check_signature(edge_file, public(stranger)) == {
        "check": "signature",
        "ok": False,
        "detail": "not signed by a trusted key",
    }
    rename(edge_file, "0", "zero")
    assert check_signature(edge_file, public(own))["ok"] is False


def test_a_device_cannot_lock_itself_out(edge_file: Path, own: Path, stranger: Path, tmp_path: Path) -> None:
    before, trusted = edge_file.read_bytes(), (public(own),)
    with pytest.raises(OptionError, match="only signed files are loaded here"):
        rename(edge_file, "0", "zero", keys=Keys(trusted=trusted))
    with pytest.raises(OptionError, match="only signed files are loaded here"):
        learn_stream(edge_file, [], print, keys=Keys(trusted=trusted))
    with pytest.raises(OptionError, match="only signed files are loaded here"):
        merge([edge_file, edge_file], edge_file, tmp_path / "merged.onnx", keys=Keys(trusted=trusted))
    with pytest.raises(EdgeModelError, match="stranger is not among the trusted keys"):
        learn(edge_file, samples(8, 12), keys=Keys(stranger, trusted), saving=Saving(tmp_path / "out.onnx"))
    assert edge_file.read_bytes() == before
    assert not (tmp_path / "out.onnx").exists()


def test_a_key_that_is_none_says_so(edge_file: Path, own: Path) -> None:
    with pytest.raises(EdgeModelError, match="own: not a public key in PEM"):
        check_signature(edge_file, own)
