"""What to say of a run that came out hardly better than guessing."""

from __future__ import annotations

from typing import Any


def advice(metrics: dict[str, Any]) -> str | None:
    """Why a run knows little, and which option helps; None where it does well.

    Little is less than twice the accuracy of guessing, and of two classes, less than half way from guessing to
    knowing.
    """
    classes = sum(len(task["classes"]) for task in metrics["tasks"])
    accuracy, learned = metrics["average_accuracy"], metrics["learning_accuracy"]
    if classes < 2 or accuracy >= _enough(classes):
        return None
    found = f"average accuracy {accuracy:.1%}, where guessing among {classes} classes gives {1 / classes:.1%}"
    if metrics["readout"] == "analytic":
        return f"{found}: these features tell the classes apart too little; try more --hidden, or an --encoder"
    if learned is not None and len(metrics["tasks"]) > 1 and learned >= _enough(classes):
        return (
            f"{found}: each task was learned ({learned:.1%} right after it) and then forgotten over the next; "
            "--readout analytic forgets nothing"
        )
    return f"{found}: little was learned at all; --readout analytic needs no step size, or try more --epochs"


def _enough(classes: int) -> float:
    return min(2 / classes, (1 + 1 / classes) / 2)
