"""What a supervisor has yet to deal with, in order, and how its task waits for it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any, TypeAlias

import trio

from ._decisions import Add, Close, Due, Problem, Restart, Retry, Terminate
from ._report import ChildRecord
from ._running import Run


class Call:
    """A request to the supervisor that some task waits for.

    Attributes:
        task: that waits, or None.
        record: of the child, once the call is served.
        answered: whether the call was served; ``problem`` says with what success.
        error: what the child raised instead of starting, if it did.
        raise_cancel: set when the caller was cancelled while the call was being served.
    """

    __slots__ = ("answered", "error", "happening", "problem", "raise_cancel", "record", "task")

    def __init__(self, happening: Add | Terminate | Restart) -> None:
        self.happening = happening
        self.task: trio.lowlevel.Task | None = None
        self.record: ChildRecord | None = None
        self.answered = False
        self.problem: Problem | None = None
        self.error: Exception | None = None
        self.raise_cancel: Callable[[], Any] | None = None

    @property
    def name(self) -> str:
        """The child that it is about."""
        return self.happening.spec.name if isinstance(self.happening, Add) else self.happening.name

    def reply(self, problem: Problem | None, *, answered: bool = True) -> None:
        """Wake the caller."""
        self.answered = answered
        self.problem = problem
        task, self.task = self.task, None
        if task is not None:
            trio.lowlevel.reschedule(task)


Message: TypeAlias = Run | Call | Retry | Due | Close
"""A run that has ended, a call, a restart to try again or whose delay is over, the end."""


class Mailbox:
    """Messages in order of arrival, read by one task. Without a bound: each belongs to a child or a waiting task."""

    def __init__(self) -> None:
        self.messages: deque[Message] = deque()
        self._delays: list[tuple[float, int, str]] = []
        self._sleeper: trio.lowlevel.Task | None = None

    def put(self, message: Message) -> None:
        """Add a message behind the others."""
        self.messages.append(message)
        self.wake()

    def put_later(self, at: float, due: Due) -> None:
        """Add a message when it is time."""
        heappush(self._delays, (at, due.ticket, due.name))

    async def next(self) -> Message:
        """Take the first message, waiting for one."""
        while True:
            while self._delays and self._delays[0][0] <= trio.current_time():
                _, ticket, name = heappop(self._delays)
                self.messages.append(Due(name, ticket))
            if self.messages:
                return self.messages.popleft()
            await self.sleep(self._delays[0][0] if self._delays else math.inf)

    async def sleep(self, deadline: float = math.inf) -> bool:
        """Wait to be woken; returns whether that was before the deadline."""
        self._sleeper = trio.lowlevel.current_task()
        if deadline == math.inf:
            await trio.lowlevel.wait_task_rescheduled(self._stop_sleeping)
            return True
        with trio.CancelScope(deadline=deadline) as scope:
            await trio.lowlevel.wait_task_rescheduled(self._stop_sleeping)
        return not scope.cancelled_caught

    def wake(self) -> None:
        """Wake the reader: there is a message, or what it waits for may have happened."""
        task, self._sleeper = self._sleeper, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _stop_sleeping(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._sleeper = None
        return trio.lowlevel.Abort.SUCCEEDED
