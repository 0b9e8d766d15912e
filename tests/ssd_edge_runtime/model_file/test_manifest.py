"""A manifest that does not say what a manifest says is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from forged import edited_manifest, refuse

from ssd_edge_runtime.state import ModelState

MakeState = Callable[..., ModelState]


MANIFESTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown key": (lambda d: d.update(extra=1), "the manifest holds 'extra', which is not understood"),
    "missing key": (lambda d: d.pop("classes"), "the manifest lacks 'classes'"),
    "class twice": (lambda d: d.update(classes=["a", "a", "b"]), "class names must be unique"),
    "class not a string": (lambda d: d.update(classes=[1, 2, 3]), "class names are strings"),
    "class with a line break": (lambda d: d.update(classes=["a\n", "b", "c"]), "line break or control"),
    "no class": (lambda d: d.update(classes=[]), "at least one class"),
    "classes not a list": (lambda d: d.update(classes={"a": 1}), "classes must be a list"),
    "input of 2^40": (lambda d: d.update(input_shape=[1 << 40]), "input_shape must be integers from 1 to"),
    "input of zero": (lambda d: d.update(input_shape=[0]), "input_shape must be integers from 1 to"),
    "layer of 2^40": (lambda d: d["layers"][0].update(shape=[1 << 40, 30]), "shape must be integers from 1 to"),
    "layer too large": (lambda d: d["layers"][0].update(shape=[1 << 30, 30]), "beyond 2147483647 entries"),
    "rows": (lambda d: d["layers"][0].update(shape=[1 << 26, 30]), "ask for .* bytes of memory, the limit"),
    "k": (lambda d: d["layers"][0].update(k=20), "k must be an integer from 1 to 19, got 20"),
    "true for a number": (lambda d: d["layers"][0].update(k=True), "k must be an integer"),
    "entries": (lambda d: d["layers"][0].update(entries=5), "the graph's nodes|should be"),
    "storage": (lambda d: d["layers"][0].update(storage="zip"), "storage must be one of gaps, csr, dense"),
    "width": (lambda d: d["layers"][0].update(shape=[20, 31]), "hidden1 takes 31 inputs, gets 30"),
    "sketch wider than the input": (lambda d: d.update(sketch=31), "sketch must be an integer from 1 to 30"),
    "sketch of nothing": (lambda d: d.update(sketch=0), "sketch must be an integer from 1 to 30"),
    "sketch that is not there": (lambda d: d.update(sketch=5), "hidden1 takes 30 inputs, gets 5"),
    "normalized by a number": (lambda d: d.update(normalized_first=1), "normalized_first must be true or false"),
    "no layers": (lambda d: d.update(layers=[]), "1 to 64 layers, got 0"),
    "epsilon": (lambda d: d.update(epsilon=0.0), "epsilon must be positive"),
    "temperature": (lambda d: d.update(temperature=-1), "temperature must be positive"),
    "values": (lambda d: d.update(values="float8"), "values must be one of"),
    "readout": (lambda d: d["readout"].update(kind="svm"), "kind must be one of gradient, analytic"),
    "bias": (lambda d: d["readout"].update(bias=True), "the graph's nodes"),
    "counts": (lambda d: d["learning_state"].update(counts="float32"), "counts must be one of"),
    "teacher classes": (lambda d: d["learning_state"]["teacher"].update(classes=9), "an integer from 1 to 3"),
    "teacher size": (
        lambda d: d["learning_state"]["teacher"].update(columns=1 << 40),
        "columns must be an integer",
    ),
    "support": (lambda d: d["learning_state"].update(supports=[True]), "is not dense, so it needs no support"),
    "switch without counts": (lambda d: d["learning"].update(switch=5.0), "goes with the learning option switch"),
    "switch of zero": (lambda d: d["learning"].update(switch=0.0), "switch must be positive"),
    "counts not there": (
        lambda d: d["learning_state"].update(inhibition=True),
        "should have 9 initializers, found 8",
    ),
    "option": (lambda d: d["learning"].update(learning_rate=-1.0), "lr must be positive"),
    "option's type": (lambda d: d["learning"].update(learning_rate="x"), "learning_rate must be a number"),
    "option unknown": (lambda d: d["learning"]["distill"].update(kl="js"), "kl must be one of"),
    "samples": (lambda d: d.update(samples_seen=-1), "samples_seen must be an integer from 0"),
    "samples per class": (lambda d: d.update(class_samples=[1]), "class_samples must be a list of 3"),
    "parent": (lambda d: d.update(parent="x"), "parent must be a digest"),
    "replaced": (lambda d: d.update(replaced=7), "replaced must be a digest"),
    "provenance": (lambda d: d.update(provenance=[]), "provenance must be an object"),
    "analytic options": (lambda d: d.update(analytic={"solver": "lda", "rho": 0.1}), "belong to the analytic"),
}


def ledger(**entry: Any) -> Callable[[dict[str, Any]], Any]:
    """An edit that adds a ledger with one entry."""
    told = {"verb": "learn", "generation": 2, "time": 0} | entry
    return lambda d: d.update(ledger={"lineage": [], "merged": [], "entries": [told]})


LEDGERS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "unknown key": (ledger(extra=1), "ledger.entries holds 'extra', which is not understood"),
    "verb": (ledger(verb="eat"), "ledger.entries.verb must be of learn, forget, .* got 'eat'"),
    "many verbs": (ledger(verb="+".join(["learn"] * 100)), "ledger.entries.verb must be of"),
    "time": (ledger(time=-1), "time must be an integer from 0"),
    "samples": (ledger(samples={"a": 1.5}), "ledger.entries.samples.a must be an integer"),
    "many classes": (ledger(samples={str(i): 1 for i in range(17)}), "names at most 16 classes"),
    "control characters": (ledger(note="\x1b[2J"), "none of which controls a terminal"),
    "long note": (ledger(note="x" * 201), "ledger.entries.note has at most 200 characters"),
    "renamed to nothing": (ledger(renamed={"a": ""}), "a class name has 1 to 1000 characters"),
    "guard": (ledger(guard="high"), "ledger.entries.guard must be a number"),
    "no entries": (lambda d: d.update(ledger={"lineage": [], "merged": []}), "ledger lacks 'entries'"),
    "lineage": (
        lambda d: d.update(ledger={"lineage": [["x"]], "merged": [], "entries": []}),
        "ledger.lineage must be lists of at most 72 digests of 16 digits",
    ),
    "endless": (
        lambda d: d.update(ledger={"lineage": [], "merged": [], "entries": [{}] * 129}),
        "ledger.entries must be a list",
    ),
    "merged": (
        lambda d: d.update(
            ledger={
                "lineage": [],
                "merged": [{"name": "a", "digest": "0", "since": "0", "lineage": []}],
                "entries": [],
            }
        ),
        "ledger.merged has digests of 64 hexadecimal digits",
    ),
}


@pytest.mark.parametrize("name", LEDGERS)
def test_an_edited_ledger_is_refused_by_name(make_state: MakeState, name: str) -> None:
    change, message = LEDGERS[name]
    refuse(edited_manifest(make_state(), change), message)


@pytest.mark.parametrize("name", MANIFESTS)
def test_an_edited_manifest_is_refused_by_name(make_state: MakeState, name: str) -> None:
    change, message = MANIFESTS[name]
    refuse(edited_manifest(make_state(teacher=True), change), message)
