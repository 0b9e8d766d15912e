"""How far work over samples or steps has come, told to whoever watches."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[int, int], None]
"""Called as ``progress(done, of how many)``."""


def unwatched(done: int, total: int) -> None:
    """The progress that nobody watches."""


def in_parts(progress: Progress, total: int) -> Progress:
    """Progress of parts that are done one after the other, as progress of the whole of ``total``.

    >>> told = []
    >>> part = in_parts(lambda done, total: told.append((done, total)), 5)
    >>> part(1, 2), part(2, 2), part(3, 3)
    (None, None, None)
    >>> told
    [(1, 5), (2, 5), (5, 5)]
    """
    before = 0

    def part(done: int, of: int) -> None:
        nonlocal before
        progress(before + done, total)
        if done == of:
            before += of

    return part
