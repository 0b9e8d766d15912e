"""What the words of help pages mean, a line each; docs/explanation/concepts.md says more."""

from __future__ import annotations

import re

TERMS = {
    "analytic": "of the readout: in closed form",
    "boundary": "where one task ends and the next begins",
    "closed form": "solved by a formula from sums over the samples, in one step; it does not forget",
    "confusion": "how often each class was answered as each other",
    "csr": "this project's own engine, on compressed sparse rows",
    "density": "share of the weights that is kept",
    "digest": "a checksum (sha256) over a file; it tells damage",
    "distill": "learn to answer as an earlier model did",
    "embedding": "the list of numbers that an encoder makes of a sample",
    "encoder": "a frozen network in front, which makes an embedding of each sample",
    "GABA switch": "lets every neuron fire early in training, and closes until only k do",
    "generation": "one saved state of a file; the last ones stay beside it",
    "gradient": "of the readout: trained by many small steps",
    "hold-out": "training data kept aside for choosing options",
    "journal": "the file in which learning keeps its checkpoints while it runs",
    "lda": "linear discriminant analysis: a rare class weighs as much as a common one",
    "learning state": "what a file holds beside the function, so that the device can go on learning",
    "lottery-ticket": "prune, set the weights back to early ones, train again; several times",
    "neuron": "one unit of the hidden layer, with its own row of weights",
    "p50": "median; p90 and p99: nine, ninety-nine of a hundred are faster",
    "prune": "remove weights",
    "readout": "the last layer: one number per class from the neurons that fire",
    "reserve": "neurons kept free for classes to come",
    "ridge": "regularized least squares",
    "SGD": "stochastic gradient descent, one small step per batch",
    "state dict": "a model's weights by name, as torch saves them",
    "task": "a group of classes that are learned together",
    "Top-K": "only the k most active neurons of a layer fire",
    "unlearn": "take samples out as if they had never been learned",
    "W": "the weights of the hidden layer, from inputs to neurons",
}
FORMS = {"prune": r"prun(?:e|es|ed|ing)", "distill": r"distill(?:s|ed|ation)?", "closed form": r"closed[- ]form"}
"""Other forms of a word than its plural."""


def terms_in(text: str) -> list[tuple[str, str]]:
    """The terms that ``text`` uses, each with its meaning.

    >>> terms_in("Weights per hidden layer; RUN's readout is solved.")
    [('readout', 'the last layer: one number per class from the neurons that fire')]
    """
    return [(term, told) for term, told in TERMS.items() if pattern_of(term).search(text)]


def pattern_of(term: str) -> re.Pattern[str]:
    """Finds ``term``, its plural or another of its forms; not within options such as ``--readout``."""
    form = FORMS.get(term, rf"{re.escape(term)}s?")
    flags = 0 if term in ("W", "SGD") else re.IGNORECASE
    return re.compile(rf"(?<![\w-]){form}(?![\w-])", flags)
