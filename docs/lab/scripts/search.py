"""Train one setting of a search again and print what was found then and now.

    python docs/lab/scripts/search.py docs/lab/results/ssd-long-steps-search.json 42

trains the 43rd setting with seed 0; ``--seed`` takes another. Settings behind an encoder, those of
``ssd-embeddings-search.json``, need its file: ``--encoder``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import ssd_edge

COMMON: dict[str, Any] = {"tasks": 5, "hidden": (1000,), "k": (10,), "hold_out": 0.1}


def settings(trial: dict[str, Any]) -> dict[str, Any]:
    """Options of a trial, in either form that the files have."""
    if "settings" in trial:
        return dict(trial["settings"])
    return {"method": trial["method"], "epochs": trial["epochs"], **trial["options"]}


def found(trial: dict[str, Any]) -> dict[int, float]:
    """Accuracy on the samples held out, by seed."""
    accuracies = trial["hold_out"] if "hold_out" in trial else trial["average_accuracy"]
    seeds = trial["seeds"] if isinstance(trial["seeds"], list) else range(trial["seeds"])
    return dict(zip(seeds, accuracies, strict=True))


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("search", type=Path)
    parser.add_argument("trial", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--encoder")
    given = parser.parse_args()
    trial = json.loads(given.search.read_text())["trials"][given.trial]
    front = {} if given.encoder is None else {"encoder": given.encoder}
    run = ssd_edge.train("fashion-mnist", seed=given.seed, **COMMON, **front, **settings(trial))
    print(json.dumps(settings(trial)))
    print("then", found(trial).get(given.seed, "not with this seed"))
    print("now", round(run.metrics["hold_out"]["average_accuracy"], 4))


if __name__ == "__main__":
    main()
