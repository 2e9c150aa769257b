"""What a reader gets who must not hold up the writer: a bounded buffer, and word of what did not fit."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

import trio

from alloy_trio.values import Lagged

T = TypeVar("T")


class Reading(Generic[T]):
    """Values in the order in which they were added; iterate over it.

    A reader that falls behind by more than the buffer loses the oldest values and is told once, by
    :class:`alloy_trio.Lagged`; it may read on. One task reads at a time.

    Args:
        buffer: how many values wait for the reader at most.
        named: what they are, in messages.

    Attributes:
        missed: how many were lost so far.
    """

    def __init__(self, buffer: int, named: str) -> None:
        self.missed = 0
        self._named = named
        self._messages: deque[T] = deque(maxlen=buffer)
        self._untold = 0
        self._closed = False
        self._reading = False
        self._reader: trio.lowlevel.Task | None = None  # that waits for a value

    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> T:
        """The next value, waiting for one.

        Raises:
            Lagged: values were missed before the next one; ``missed`` says how many.
            trio.BusyResourceError: another task is reading.
            StopAsyncIteration: there is nothing left, and nothing will come.

        *Cancellation*: takes nothing.
        """
        if self._reading:
            raise trio.BusyResourceError(f"another task is reading these {self._named}; one reads at a time")
        # Held until it leaves: a second reader that came while the first is about to go on would take its value.
        self._reading = True
        try:
            await trio.lowlevel.checkpoint()
            if not self._messages and not self._closed:
                self._reader = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
        finally:
            self._reading = False
        if self._untold:
            missed, self._untold = self._untold, 0
            raise Lagged(
                f"{missed} {self._named} were missed: more than {self._messages.maxlen} were waiting; read faster, or"
                " subscribe with a larger buffer",
                missed=missed,
            )
        if not self._messages:
            raise StopAsyncIteration
        return self._messages.popleft()

    def _add(self, value: T) -> bool:
        """Take a value; returns whether an older one had to go for it."""
        lost = len(self._messages) == self._messages.maxlen
        if lost:
            self._untold += 1
            self.missed += 1
        self._messages.append(value)
        self._wake()
        return lost

    def _end(self) -> None:
        """Nothing follows; what waits can still be read."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        task, self._reader = self._reader, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _stop_waiting(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED
