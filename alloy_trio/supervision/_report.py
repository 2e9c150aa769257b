"""What is told about a supervisor and its children, and the handle of one child."""

from __future__ import annotations

import attrs
import trio

from ._policy import ChildStatus
from ._running import Run, takes_task_status
from ._spec import ChildKind, ChildSpec, RestartKind


@attrs.frozen(kw_only=True)
class ChildInfo:
    """One child, as it is at the moment.

    Args:
        name: the child's.
        status: ``"running"``; ``"restarting"`` between a failed start and the next, or in a delay; ``"stopped"``;
            and while the supervisor is at it ``"starting"`` or ``"stopping"``.
        restarts: how often the supervisor started it again, attempts that failed included.
        restart: of its spec.
        significant: of its spec.
        kind: of its spec.
        reason: how its last run ended, or None while the first goes on.
    """

    name: str
    status: ChildStatus
    restarts: int
    restart: RestartKind
    significant: bool
    kind: ChildKind
    reason: str | None


@attrs.frozen(kw_only=True)
class ChildCount:
    """How many children a supervisor has.

    Args:
        specs: all, whether they run or not.
        active: those that run.
        supervisors: of all, those whose kind is ``"supervisor"``.
        workers: of all, the others.
    """

    specs: int
    active: int
    supervisors: int
    workers: int


@attrs.frozen(kw_only=True)
class ChildExit:
    """How a run of a child ended.

    Args:
        reason: ``"normal"`` (it returned), ``"shutdown"`` (it was cancelled), or the exception in a line.
        error: the exception, or None.
    """

    reason: str
    error: BaseException | None


@attrs.frozen(kw_only=True)
class SupervisorStatistics:
    """What a supervisor has done so far.

    Args:
        children: it has now, and ``running`` those of them that run.
        starts: that succeeded, and ``failed_starts`` those that did not.
        exits: of children, by themselves or stopped.
        restarts: attempts to start a child again.
        overdue: children that did not end within their shutdown time.
    """

    children: int
    running: int
    starts: int
    failed_starts: int
    exits: int
    restarts: int
    overdue: int


class ChildRecord:
    """What the shell keeps of a child, from its adding to its deletion.

    Attributes:
        latest: its latest run, or None before the first.
        gone: the supervisor has ended, or no longer knows the child.
        stopped: it does not run, and is not going to by itself.
        stops: how often that has come about.
        cause: whom the last of it is owed to; None if nothing failed.
    """

    __slots__ = (
        "_monitors",
        "_watchers",
        "cause",
        "gone",
        "latest",
        "spec",
        "stopped",
        "stops",
        "task_name",
        "waits_for_started",
    )

    def __init__(self, spec: ChildSpec) -> None:
        self.spec = spec
        self.waits_for_started = takes_task_status(spec.fn)
        self.task_name = f"child {spec.name!r}"
        self.latest: Run | None = None
        self.gone = False
        self.stopped = True
        self.stops = 0
        self.cause: BaseException | None = None
        self._watchers: trio.lowlevel.ParkingLot | None = None
        self._monitors: list[trio.CancelScope] | None = None

    def changed(self) -> None:
        """Wake whoever watches the child."""
        if self._watchers is not None:
            self._watchers.unpark_all()

    async def wait_changed(self) -> None:
        """Wait until something changes."""
        if self._watchers is None:
            self._watchers = trio.lowlevel.ParkingLot()
        await self._watchers.park()

    def stop(self, cause: BaseException | None) -> None:
        """Note that it does not run any more, and cancel who counts on it."""
        if self.stopped:
            return
        self.stopped = True
        self.stops += 1
        self.cause = cause
        for scope in self._monitors or ():
            self._cancel(scope)

    def monitor(self, scope: trio.CancelScope) -> None:
        """Cancel a scope when the child stops, at once if it has."""
        if self.stopped:
            self._cancel(scope)
        if self._monitors is None:
            self._monitors = []
        self._monitors.append(scope)

    def leave(self, scope: trio.CancelScope) -> None:
        """The scope has been left."""
        assert self._monitors is not None
        self._monitors.remove(scope)

    def _cancel(self, scope: trio.CancelScope) -> None:
        scope.cancel(reason=f"child {self.spec.name!r} was stopped")
