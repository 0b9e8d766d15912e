"""Exceptions raised inside a call, at a chosen one of the places where the interpreter could raise them."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

OPERATIONS = dis.opname
AFTER = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "RESUME", "JUMP_BACKWARD"}
"""Behind these the interpreter looks for signals."""
NO_MEMORY = {
    "CACHE", "COPY", "COPY_FREE_VARS", "END_ASYNC_FOR", "EXTENDED_ARG", "IS_OP", "KW_NAMES", "LOAD_CLOSURE",
    "LOAD_CONST", "LOAD_DEREF", "LOAD_FAST", "NOP", "POP_EXCEPT", "POP_TOP", "PRECALL", "PUSH_EXC_INFO",
    "PUSH_NULL", "RERAISE", "RESUME", "RETURN_VALUE", "STORE_DEREF", "STORE_FAST", "SWAP",
}  # fmt: skip
"""These take no memory, so they cannot run out of it; nor do jumps."""


def can_fail(error: type[BaseException] | None, name: str, last: str | None) -> bool:
    """Whether ``error`` can come up at an operation, ``last`` being the one before it in its frame."""
    if error is MemoryError:
        return name not in NO_MEMORY and "JUMP" not in name
    return last in AFTER


class Injection:
    """Traces ``act`` and counts the places; raises ``error`` at number ``place``."""

    def __init__(self, error: type[BaseException] | None = None, place: int = -1) -> None:
        self.error, self.place, self.seen = error, place, 0
        self._last: dict[int, str] = {}

    def run(self, act: Callable[[], Any]) -> bool:
        """Whether the error came out of ``act``."""
        outer = sys.gettrace()
        sys.settrace(self._trace)
        try:
            act()
        except BaseException as raised:
            if self.error is None or not isinstance(raised, self.error):
                raise
            return True
        finally:
            sys.settrace(outer)
        return False

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode":
            name = OPERATIONS[frame.f_code.co_code[frame.f_lasti]]
            if can_fail(self.error, name, self._last.get(id(frame))):
                self.seen += 1
                if self.seen == self.place and self.error is not None:
                    raise self.error
            self._last[id(frame)] = name
        elif event == "return":
            self._last.pop(id(frame), None)
        return self._trace
