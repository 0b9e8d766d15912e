"""``ssd_edge_export.verify``: judged first, then run: structure, digest, signature, and every engine's logits."""

from __future__ import annotations

import json
from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING

from ssd_edge_export.verification.report import Check, Report
from ssd_edge_runtime import model_file
from ssd_edge_runtime.confinement import ConfinedProcess, Limits
from ssd_edge_runtime.errors import EdgeModelError, OptionError
from ssd_edge_runtime.model_file.header import checked_digest
from ssd_edge_runtime.network.engines import folding_bytes
from ssd_edge_runtime.state import ModelState
from ssd_edge_runtime.storage import signing
from ssd_edge_runtime.storage.trust import Trust

if TYPE_CHECKING:
    from ssd_edge.training import Run

TRIAL = "ssd_edge_export.verification.trial"
SECONDS = 120.0
MEMORY, PER_BYTE = 1 << 30, 16
"""Bytes that running a file may take: the libraries, and so many for each byte of it; dense weights on top."""


def verify(
    path: str | PathLike[str],
    against: Run | str | PathLike[str] | None = None,
    *,
    public_key: str | PathLike[str] | None = None,
    memory: int | None = None,
    seconds: float | None = None,
) -> Report:
    """Check a model file; nothing raises but OSError for a file that cannot be read, and for ``public_key``.

    Size, structure, digest; the signature, where ``public_key`` or SSD_EDGE_TRUSTED_KEYS ask for one. Only a file
    that is sound so far is run, in a process of its own with limits, whose end is an answer: ONNX's full
    check, and the logits of the CSR engine, ONNX Runtime and torch, where installed, on seeded samples.
    ``memory``: bytes; if not given, 1 GiB and what the file's size and its dense weights ask for. ``seconds``: if
    not given, 120. Raises OptionError for limits that are none.
    ``against``, a run or its folder (needs torch): that the file holds what exporting the run gives; raises
    DataError where it is no run.

    >>> report = verify("model.onnx", against="runs/first")  # doctest: +SKIP
    >>> report.ok, [check.detail for check in report.checks]  # doctest: +SKIP
    """
    report = Report(str(path))
    OptionError.unless(memory is None or memory > 0, f"memory must be above 0, got {memory}")
    OptionError.unless(seconds is None or seconds > 0, f"seconds must be above 0, got {seconds}")
    if public_key is not None:
        signing.public_key(public_key)
    data = model_file.read_file(path)
    state = _read(report, data)
    if state is None:
        return report
    report.checks.extend(check_signature(path, data, public_key))
    if not report.ok:
        report.checks.append(Check("engines", None, "not run, because of the above"))
        return report
    usual = limits_for(state, len(data))
    limits = Limits(memory or usual.memory, seconds or usual.seconds)
    report.checks.extend(tried(data, limits))
    if against is not None:
        from ssd_edge_export.verification.against_run import compare

        report.checks.extend(compare(state, against))
    return report


def limits_for(state: ModelState, size: int) -> Limits:
    """What a file of ``size`` bytes may take while it is run."""
    return Limits(MEMORY + PER_BYTE * size + folding_bytes(state), SECONDS)


def tried(data: bytes, limits: Limits) -> Iterator[Check]:
    """The checks that run the file, and where its process ends before the last one, that and why."""
    process = ConfinedProcess(TRIAL, limits)
    try:
        for answer in process.stream(data):
            check = json.loads(answer)
            if check is None:
                return
            yield Check(**check)
    except EdgeModelError as error:
        yield Check("engines", False, str(error))
    finally:
        process.close()


def check_signature(
    path: str | PathLike[str], data: bytes, public_key: str | PathLike[str] | None
) -> Iterator[Check]:
    """That the owner of ``public_key`` has signed the file, and one of the keys that are trusted here."""
    own = () if public_key is None else (public_key,)
    for keys, owner in ((own, f"the owner of {public_key}"), (Trust.here().keys, "a trusted key")):
        if keys:
            try:
                signing.check(path, data, keys)
                yield Check("signature", True, f"by {owner}")
            except EdgeModelError as error:
                yield Check("signature", False, str(error))


def _read(report: Report, data: bytes) -> ModelState | None:
    """Digest and structure; the state, or None where the file cannot be read."""
    try:
        state = model_file.from_bytes(data, verify=False)
    except EdgeModelError as error:
        report.checks.append(Check("structure", False, str(error)))
        return None
    entries = ", ".join(f"{layer.name} {layer.weights.nonzeros} weights" for layer in state.layers)
    report.checks.append(Check("structure", True, f"{len(state.classes)} classes, {entries}"))
    try:
        report.checks.append(Check("digest", True, checked_digest(data)))
    except EdgeModelError as error:
        report.checks.append(Check("digest", False, str(error)))
    return state
