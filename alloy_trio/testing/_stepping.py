"""The steps of a script's tasks: counted, followed after a cancel, and broken off where they come to no end.

A step is what a task does between two checkpoints at which trio switches. trio calls an instrument before each.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import trio
from trio.testing import active_thread_count

OUTSIDE_SECONDS = 60.0
"""How long, by the wall clock, tasks may wait for threads, processes and sockets while a mock clock stands still.
Arbitrary."""


class NeverEnds(BaseException):
    """What ends a task that no cancel ends. No Exception: who swallows a cancel swallows those as likely."""


class Stepper(trio.abc.Instrument):
    """Follows the tasks that a script has started.

    Args:
        step: called before each of their steps; what NeverEnds it raises, the task gets.
        delivered: called, while ``scope`` is set, for a task that gets a Cancelled on that scope's account.
        stuck: called when they wait for what cannot come; None where a clock goes on by itself.

    Attributes:
        scope: whose cancel is followed; None for none.
    """

    def __init__(
        self,
        step: Callable[[], None],
        delivered: Callable[[trio.lowlevel.Task], None],
        stuck: Callable[[], None] | None,
    ) -> None:
        self.scope: trio.CancelScope | None = None
        self._step = step
        self._delivered = delivered
        self._stuck = stuck
        self._tasks: set[trio.lowlevel.Task] = set()
        self._waiting_since: float | None = None

    @contextmanager
    def on(self) -> Iterator[None]:
        """Follow this task and those below, from its next step on."""
        self._tasks.add(trio.lowlevel.current_task())
        try:
            yield
        finally:
            self._tasks.clear()

    def break_off(self, why: str) -> None:
        """Let all tasks that wait get NeverEnds instead, whatever shields them; in vain for those in threads."""

        def raise_it() -> NoReturn:
            raise NeverEnds(why)

        for task in list(self._tasks):
            inside: Any = task
            if inside._abort_func is not None:
                inside._attempt_abort(raise_it)

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """A task belongs to the script if its parent does."""
        nursery = task.parent_nursery
        if nursery is not None and nursery.parent_task in self._tasks:
            self._tasks.add(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """It takes no more steps."""
        self._tasks.discard(task)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count it, and see what it is about to get."""
        if task not in self._tasks:
            return
        self._waiting_since = None
        inside: Any = task
        try:
            self._step()
        except NeverEnds as error:
            # No cancel ends it and an instrument may not raise: the task itself gets it instead of what it waits for.
            inside._next_send_fn, inside._next_send = task.coro.throw, error
        if self.scope is not None:
            gets = getattr(inside._next_send, "error", None)
            if isinstance(gets, trio.Cancelled) and _reaches(self.scope, inside):
                self._delivered(task)

    def before_io_wait(self, timeout: float) -> None:
        """See whether anything can still happen: the mock clock looks again and again, also when nothing can."""
        if self._stuck is None or not self._tasks or not _nothing_is_to_come():
            return
        if active_thread_count() or _waits_for_the_outside():
            if self._waiting_since is None:
                self._waiting_since = time.monotonic()
            if time.monotonic() - self._waiting_since < OUTSIDE_SECONDS:
                return
            self._waiting_since = None
        self._stuck()


def _nothing_is_to_come() -> bool:
    now = trio.lowlevel.current_statistics()
    core: Any = sys.modules["trio._core._run"]
    # Who waits for all others to be blocked is about to go on.
    idle = core.GLOBAL_RUN_CONTEXT.runner.waiting_for_idle
    return now.tasks_runnable == 0 and now.seconds_to_next_deadline == math.inf and not idle


def _waits_for_the_outside() -> bool:
    waiting: Any = trio.lowlevel.current_statistics().io_statistics
    # One is trio's own, that threads wake it by. Of other systems it is not known.
    return getattr(waiting, "tasks_waiting_read", 2) + getattr(waiting, "tasks_waiting_write", 0) > 1


def _reaches(scope: Any, task: Any) -> bool:
    """Whether a scope's cancel is visible to a task, so that no scope between the two may stop a Cancelled."""
    status = task._cancel_status
    while status is not None and status is not scope._cancel_status:
        if status._scope.shield:
            return False
        status = status.parent
    return status is not None


def places() -> str:
    """The tasks of this run of trio, and the line that each is about to go on from."""
    lines = []
    root = trio.lowlevel.current_root_task()
    waiting: list[trio.lowlevel.Task] = [root] if root is not None else []
    while waiting:
        task = waiting.pop(0)
        frames = list(_frames(task))
        if frames:
            lines.append(f"  {task.name}: {' < '.join(reversed(frames[-3:]))}")
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    return "\n".join(lines)


def _frames(task: trio.lowlevel.Task) -> Iterable[str]:
    for frame, line in task.iter_await_frames():
        module = str(frame.f_globals.get("__name__", "?"))
        if not module.startswith(("trio.", "contextlib", "alloy_trio.testing.")):
            yield f"{module}:{line} {frame.f_code.co_name}"
