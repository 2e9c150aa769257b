"""The time limit of one call: seconds of execution, so its clock stops while the call waits for others.

A call that has something to tell waits while the buffer of whoever reads the run's events is full. That time is
the reader's. A call that counted it would "take too long" although its work was done.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import trio

from alloy_trio.values import ToolError

LEAST_WAIT = 0.001
"""Seconds from which on a wait counts as one. Else a call that does nothing but report would never end: each
report takes a few microseconds also where nobody has to be waited for."""


class Interrupted(ToolError):
    """Raised by a tool that cut itself short; its call is recorded as interrupted and not as failed."""


class Limit:
    """A cancel scope whose deadline moves by the time that was spent waiting.

    Args:
        seconds: of execution; ``inf`` for no limit.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.scope = trio.CancelScope()
        self._pauses = 0
        self._since = 0.0
        self._deadline = math.inf

    def start(self) -> None:
        """Start the clock. The scope still has to be entered."""
        self.scope.deadline = trio.current_time() + self.seconds

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let no time pass; several tasks of the call may do so at once."""
        if self._pauses == 0:
            self._since = trio.current_time()
            self._deadline = self.scope.deadline
            self.scope.deadline = math.inf
        self._pauses += 1
        try:
            yield
        finally:
            self._pauses -= 1
            if self._pauses == 0:
                waited = trio.current_time() - self._since
                self.scope.deadline = self._deadline + (waited if waited >= LEAST_WAIT else 0.0)
