"""A child from outside, over all its restarts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import trio

from ._giving_up import given_up
from ._policy import ChildStatus
from ._report import ChildExit, ChildInfo, ChildRecord

if TYPE_CHECKING:
    from ._engine import Engine


class ChildHandle:
    """One child of a supervisor, from outside; it stays the same over all restarts.

    A child is *stopped for good* when it does not run and its supervisor is not going to start it by itself: it was
    terminated, has ended where its ``restart`` does not bring it back, or the supervisor has given up or ended.

    Attributes:
        name: the child's.
    """

    def __init__(self, engine: Engine, record: ChildRecord) -> None:
        self._engine = engine
        self._record = record
        self.name = record.spec.name

    def __repr__(self) -> str:
        return f"<ChildHandle {self.name!r}: {self.status}>"

    @property
    def status(self) -> ChildStatus:
        """As in :class:`ChildInfo`; ``"stopped"`` also for a child that is not known any more."""
        child = None if self._record.gone else self._engine.policy.children.get(self.name)
        return "stopped" if child is None else self._engine.policy.status(child)

    @property
    def value(self) -> Any:
        """What its latest run passed to ``started()``; None if it passed nothing, or has not started."""
        return None if self._record.latest is None else self._record.latest.value

    @property
    def stops(self) -> int:
        """How often it was stopped for good; more than once if calls started it again."""
        return self._record.stops

    @property
    def cause(self) -> BaseException | None:
        """What its being stopped for good is owed to, also while that is under way.

        The :class:`RestartLimitExceeded` of a supervisor that gave up, or what the child failed with; None if nothing
        failed.
        """
        return self._record.cause if self._record.stopped else given_up(self._engine)

    @contextmanager
    def until_stopped(self) -> Iterator[trio.CancelScope]:
        """A scope that is cancelled once the child is stopped for good, at once if it is. ::

            with child.until_stopped() as scope:
                answer = await answers.receive()
            if scope.cancelled_caught:
                ...

        It stays in force over restarts.
        """
        record = self._record
        with trio.CancelScope() as scope:
            record.monitor(scope)
            try:
                yield scope
            finally:
                record.leave(scope)

    def cancel(self, reason: str = "its handle was cancelled") -> None:
        """Cancel the child, as an exit by itself with the reason ``"shutdown"``: a permanent child is restarted.

        What cleans up under :func:`grace` has the child's shutdown time. To stop it for good, terminate it.
        """
        if self._record.latest is not None:
            self._record.latest.cancel(reason)

    async def wait_running(self) -> Any:
        """Wait out a restart; returns what the child passed to ``started()``, at once if it runs.

        Raises:
            trio.ClosedResourceError: it does not run and is not going to by itself; what it failed with is chained.
        """
        await trio.lowlevel.checkpoint()
        while True:
            latest = self._record.latest
            if self.status == "running" and latest is not None and not latest.ended:
                return latest.value
            if self._record.stopped:
                error = None if latest is None else latest.error
                raise trio.ClosedResourceError(
                    f"child {self.name!r} of supervisor {self._engine.name!r} does not run, and will not by itself"
                ) from error
            await self._record.wait_changed()

    async def wait_exit(self) -> ChildExit:
        """Wait until its latest run has ended, by itself or stopped; returns how.

        Raises:
            trio.ClosedResourceError: it has never run.
        """
        await trio.lowlevel.checkpoint()
        run = self._record.latest
        if run is None:
            raise trio.ClosedResourceError(f"child {self.name!r} has never run")
        while not run.ended:
            await self._record.wait_changed()
        return ChildExit(reason=run.reason, error=run.error or run.passing)

    def info(self) -> ChildInfo:
        """The child as it is at the moment."""
        record, spec = self._record, self._record.spec
        child = None if record.gone else self._engine.policy.children.get(self.name)
        return ChildInfo(
            name=spec.name,
            status=self.status,
            restarts=0 if child is None else child.restarts,
            restart=spec.restart,
            significant=spec.significant,
            kind=spec.kind,
            reason=record.latest.reason if record.latest is not None and record.latest.ended else None,
        )
