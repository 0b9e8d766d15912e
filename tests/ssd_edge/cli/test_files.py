"""``rename``, ``merge``, ``history`` and ``rollback``: what is done with files, and with altered and held ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from command_line import ask, call, refused
from device_files import NAMES, make_data, samples_of

from ssd_edge_runtime import EdgeModel


def test_rename_changes_nothing_but_the_name(taught: dict[str, Path]) -> None:
    report = ask("rename", taught["analytic"], "dog", "hound")
    assert report["classes"] == ["cat", "hound"]
    assert report["renamed"] == {"from": "dog", "to": "hound"}
    assert {row["label"] for row in ask("infer", taught["analytic"], taught["base"])} == {"cat", "hound"}


def test_merge_equals_one_device_that_saw_everything(taught: dict[str, Path]) -> None:
    folder, base = taught["folder"], taught["analytic"]
    more = make_data(folder / "more.npz", NAMES[:2], samples=9, seed=8)
    for name, data in {"a": taught["new"], "b": more}.items():
        ask("learn", base, data, "-o", folder / f"{name}.onnx")
    report = ask("merge", folder / "a.onnx", folder / "b.onnx", "--base", base, "-o", folder / "both.onnx")
    assert report["samples_seen"] == 80 + 80 + 18
    ask("learn", folder / "a.onnx", more)
    x = samples_of(taught["all"])
    both, one = (EdgeModel.load(folder / name).logits(x) for name in ("both.onnx", "a.onnx"))
    np.testing.assert_allclose(both, one, rtol=1e-4, atol=1e-4)


def test_purge_leaves_the_file_alone(taught: dict[str, Path]) -> None:
    model = taught["analytic"]
    assert call("purge", model).stdout == f"{model}: no earlier generation is left, 1 deleted\n"
    assert ask("purge", model) == {"file": str(model), "purged": 0}
    assert [row["current"] for row in ask("history", model)["generations"]] == [True]


def test_history_and_rollback_go_back_and_forth(taught: dict[str, Path]) -> None:
    rows = ask("history", taught["analytic"])["generations"]
    assert [(row["generation"], row["samples"], row["current"]) for row in rows] == [(2, 80, True), (1, 0, False)]
    assert rows[0]["parent"] == rows[1]["digest"]
    assert ask("rollback", taught["analytic"], "--to", 1)["samples"] == 0
    assert ask("rollback", taught["analytic"], "--to", 2)["samples"] == 80
    assert ask("rollback", taught["analytic"], "--to", rows[1]["digest"][:8])["samples"] == 0
    told = call("history", taught["analytic"])
    assert told.stderr == f"note: {taught['analytic']} was rolled back from generation 2\n"
    lines = told.stdout.splitlines()
    assert [line[0] for line in lines] == [" ", "*"]
    assert f"{rows[0]['digest'][:12]}  after {rows[1]['digest'][:12]}" in lines[0]
    assert lines[1].endswith(f"  {rows[1]['digest'][:12]}")


def test_altered_file_needs_no_verify_and_a_warning(taught: dict[str, Path]) -> None:
    data = bytearray(taught["analytic"].read_bytes())
    at = data.index(b"ssd_edge.digest") + 20
    data[at] = ord("0") if data[at] != ord("0") else ord("1")
    taught["analytic"].write_bytes(data)
    assert "digest" in refused("infer", taught["analytic"], taught["base"])
    result = call("infer", taught["analytic"], taught["base"], "--no-verify")
    assert result.exit_code == 0
    assert result.stderr == f"warning: {taught['analytic']}: digest not checked\n"


def test_second_writer_is_told_who_holds_the_file(taught: dict[str, Path]) -> None:
    script = (
        "import sys, time\nfrom ssd_edge_runtime import storage\n"
        "with storage.locked(sys.argv[1]):\n    print('held', flush=True)\n    time.sleep(60)\n"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", script, taught["analytic"]], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        message = refused("rename", taught["analytic"], "cat", "puma", "--lock-timeout", 0.1)
        assert f"process {holder.pid}" in message
        assert ask("infer", taught["analytic"], taught["base"])[0]["label"] == "cat"
    finally:
        holder.kill()
        holder.communicate()
