"""A child from outside, over all its restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from ._policy import ChildStatus
from ._report import ChildExit, ChildInfo, ChildRecord

if TYPE_CHECKING:
    from ._engine import Engine


class ChildHandle:
    """One child of a supervisor, from outside; it stays the same over all restarts.

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
            status = self.status
            latest = self._record.latest
            if status == "running" and latest is not None and not latest.ended:
                return latest.value
            if status == "stopped":
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
