"""Exceptions raised inside a call, at a chosen one of the places where the interpreter could raise them."""

from __future__ import annotations

import dis
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

OPERATIONS = dis.opname
AFTER = {"CALL", "CALL_FUNCTION_EX", "CALL_KW", "RESUME", "JUMP_BACKWARD"}
"""Behind these the interpreter looks for signals; and what they call may run out of memory."""


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
            if self._last.get(id(frame)) in AFTER:
                self.seen += 1
                if self.seen == self.place and self.error is not None:
                    raise self.error
            self._last[id(frame)] = name
        elif event == "return":
            self._last.pop(id(frame), None)
        return self._trace
