"""The ledger in a manifest: optional, and only what is not the default is written."""

from __future__ import annotations

import re
from typing import Any

from ssd_edge_runtime.errors import EdgeModelError
from ssd_edge_runtime.ledger.entries import (
    LONGEST_NAME,
    LONGEST_TEXT,
    MAX_CLASSES,
    MAX_ENTRIES,
    TOGETHER,
    VERBS,
    Entry,
)
from ssd_edge_runtime.ledger.ledger import FIRST, LAST, LETTERS, MAX_MERGED, MAX_STRETCHES, Ledger, Merged, Stretch
from ssd_edge_runtime.model_file.strict_json import Section
from ssd_edge_runtime.names import CONTROL, check_name
from ssd_edge_runtime.options import MAX_COUNT

SHORT = re.compile(f"[0-9a-f]{{{LETTERS}}}")
WHOLE = re.compile("[0-9a-f]{64}")
TEXTS = ("what", "note", "signer", "file")


def encode(ledger: Ledger) -> dict[str, Any]:
    """As JSON."""
    return {
        "lineage": [list(stretch) for stretch in ledger.lineage],
        "merged": [
            {"name": part.name, "digest": part.digest, "since": part.since, "lineage": list(part.lineage)}
            for part in ledger.merged
        ],
        "entries": [_entry(entry) for entry in ledger.entries],
    }


def _entry(entry: Entry) -> dict[str, Any]:
    document = {"verb": entry.verb, "generation": entry.generation, "time": entry.time}
    optional = {name: getattr(entry, name) for name in (*TEXTS, "others", "folded")}
    document |= {name: value for name, value in optional.items() if value}
    document |= {name: dict(getattr(entry, name)) for name in ("samples", "renamed") if getattr(entry, name)}
    return document if entry.guard is None else {**document, "guard": entry.guard}


def decode(value: Any) -> Ledger:
    """From JSON.

    :raises EdgeModelError: naming what is wrong.
    """
    section = Section(value, "ledger")
    lineage = section.items("lineage", most=MAX_STRETCHES)
    merged = section.items("merged", most=MAX_MERGED)
    entries = section.items("entries", most=MAX_ENTRIES)
    section.end()
    return Ledger(
        tuple(_stretch(stretch, "ledger.lineage") for stretch in lineage),
        tuple(map(_decode_merged, merged)),
        tuple(map(_decode_entry, entries)),
    )


def _stretch(value: Any, name: str) -> Stretch:
    good = isinstance(value, list) and len(value) <= FIRST + LAST
    good = good and all(isinstance(digest, str) and SHORT.fullmatch(digest) for digest in value)
    EdgeModelError.unless(good, f"{name} must be lists of at most {FIRST + LAST} digests of {LETTERS} digits")
    return tuple(value)


def _decode_merged(value: Any) -> Merged:
    section = Section(value, "ledger.merged")
    name, digest, since = _text(section, "name"), section.text("digest"), section.text("since")
    good = WHOLE.fullmatch(digest) and WHOLE.fullmatch(since)
    EdgeModelError.unless(bool(good), "ledger.merged has digests of 64 hexadecimal digits")
    lineage = _stretch(section.take("lineage"), "ledger.merged.lineage")
    section.end()
    return Merged(name, digest, since, lineage)


def _decode_entry(value: Any) -> Entry:
    section = Section(value, "ledger.entries")
    verb = section.text("verb")
    EdgeModelError.unless(
        len(verb) <= LONGEST_TEXT and all(each in VERBS for each in verb.split(TOGETHER)),
        f"ledger.entries.verb must be of {', '.join(VERBS)}, got {verb[:80]!r}",
    )
    entry = Entry(
        verb,
        section.count("generation"),
        section.count("time"),
        _samples(section.take("samples")) if "samples" in section.values else {},
        section.count("others", -MAX_COUNT) if "others" in section.values else 0,
        renamed=_renamed(section.take("renamed")) if "renamed" in section.values else {},
        guard=section.number("guard") if "guard" in section.values else None,
        folded=section.count("folded") if "folded" in section.values else 0,
        **{name: _text(section, name) for name in TEXTS if name in section.values},
    )
    section.end()
    return entry


def _samples(value: Any) -> dict[str, int]:
    section = Section(value, "ledger.entries.samples")
    names = list(section.values)
    good = len(names) <= MAX_CLASSES and all(0 < len(name) <= LONGEST_NAME and _plain(name) for name in names)
    EdgeModelError.unless(
        good, f"ledger.entries.samples names at most {MAX_CLASSES} classes of at most {LONGEST_NAME} characters"
    )
    return {name: section.count(name, -MAX_COUNT) for name in names}


def _renamed(value: Any) -> dict[str, str]:
    section = Section(value, "ledger.entries.renamed")
    names = {old: section.text(old) for old in list(section.values)}
    EdgeModelError.unless(len(names) <= MAX_CLASSES, f"ledger.entries.renamed names at most {MAX_CLASSES} classes")
    for name in (*names, *names.values()):
        check_name(name)
    return names


def _text(section: Section, key: str) -> str:
    text = section.text(key)
    good = len(text) <= LONGEST_TEXT and _plain(text)
    EdgeModelError.unless(
        good, f"{section.name}.{key} has at most {LONGEST_TEXT} characters, none of which controls a terminal"
    )
    return text


def _plain(text: str) -> bool:
    return CONTROL.search(text) is None
