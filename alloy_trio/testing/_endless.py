"""What would never end is ended: a task that swallows its cancel, and tasks that all wait for each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import trio

MOST_STEPS = 50_000
"""Steps between two looks that are taken for a task that never ends. Arbitrary; one request takes a hundred."""


class Endless(BaseException):
    """What such a task gets. No Exception: who swallows a cancel swallows those as likely."""


class Guard(trio.abc.Instrument):
    """Counts the steps of a task and of those that it starts.

    Attributes:
        taken: how many; set it to 0 when there was progress.
    """

    def __init__(self) -> None:
        self.taken = 0
        self._tasks: set[trio.lowlevel.Task] = set()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Count from this task's next step on."""
        self._tasks.add(trio.lowlevel.current_task())
        try:
            yield
        finally:
            self._tasks.clear()

    def wake(self, why: str) -> None:
        """Let all of the tasks that wait get Endless instead, whatever shields them."""

        def raise_it() -> NoReturn:
            raise Endless(why)

        for task in list(self._tasks):
            inside: Any = task
            if inside._abort_func is not None and not _joins(task):
                inside._attempt_abort(raise_it)

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """Count it if its parent is counted."""
        nursery = task.parent_nursery
        if nursery is not None and nursery.parent_task in self._tasks:
            self._tasks.add(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """It takes no more steps."""
        self._tasks.discard(task)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count one."""
        if task not in self._tasks:
            return
        self.taken += 1
        if self.taken > MOST_STEPS and not _joins(task):
            # An instrument may not raise, and a cancel is what it ignores: so it is thrown where the task waits.
            inside: Any = task
            inside._next_send_fn = task.coro.throw
            inside._next_send = Endless(
                f"more than {MOST_STEPS} steps were taken, and it goes on; does something swallow trio.Cancelled?"
            )


def _joins(task: trio.lowlevel.Task) -> bool:
    """Whether it waits for the end of its children; thrown at there, it would leave them behind."""
    return any(not nursery._nested_child_running for nursery in task.child_nurseries)


def endless(error: BaseException) -> str | None:
    """What the task was told, if an error is about that."""
    if isinstance(error, BaseExceptionGroup):
        return next(filter(None, map(endless, error.exceptions)), None)
    return str(error) if isinstance(error, Endless) else None
