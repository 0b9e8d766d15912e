"""Under which heading each option stands in help pages: one name, one heading, whatever the command."""

from __future__ import annotations

GROUPS: dict[str, tuple[str, ...]] = {
    "What is learned": ("--method", "--methods", "--widths", "--seeds", "--config", "--class"),
    "Data": (
        *("--data", "--split", "--classes", "--class-order", "--tasks", "--task", "--until-task", "--hold-out"),
        *("--label-column", "--window", "--stride", "--channels", "--group", "--image-size", "--image-fit"),
        *("--scale-strict", "--data-root", "--stdin-format"),
        *("--base", "--from", "--onto", "--rename"),
    ),
    "Network": (
        *("--encoder", "--encoder-weights", "--encoder-size", "--hidden", "--k", "--center"),
        *("--normalize", "--activation", "--sketch", "--nonnegative", "--readout-init", "--switch", "--width"),
    ),
    "Readout": ("--readout", "--base-tasks", "--solver", "--rho", "--priors", "--min-samples"),
    "Learning": (
        *("--epochs", "--batch-size", "--lr", "--clip-norm", "--protect", "--set", "--distill", "--shuffle"),
        *("--shift", "--turns", "--mirror", "--seed", "--device", "--jobs"),
    ),
    "Pruning": (
        *("--density", "--densities", "--criterion", "--criteria", "--budget", "--reserve", "--drop-inactive"),
        *("--refit", "--fine-tune-epochs", "--samples", "--measure-on"),
    ),
    "Measuring": ("--engines", "--operations", "--batches", "--processes", "--seconds", "--profile"),
    "Comparing": ("--against", "--fail-if"),
    "Answers": ("--top", "--reject-below", "--engine", "--threads"),
    "What the file holds": ("--values", "--learning-state", "--inhibition"),
    "Safety": (
        "--guard",
        "--max-drop",
        "--leave-one-out",
        "--checkpoint-every",
        "--checkpoint-seconds",
        "--resume",
        "--discard",
        "--memory",
    ),
    "Trust": ("--verify", "--trusted", "--allow-older", "--public-key", "--sign-with", "--key"),
    "Writing": ("--output", "--force", "--keep", "--purge", "--to", "--lock-timeout", "--note", "--report"),
    "Every command": ("--json", "--debug", "--help", "--help-all"),
}
"""Headings in the order of a page; within a heading options keep the command's own order."""

HEADINGS = {name: heading for heading, names in GROUPS.items() for name in names}
