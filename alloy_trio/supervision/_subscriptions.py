"""A supervisor's events: numbered once, and handed to each subscriber through a buffer of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from alloy_trio._seed import source
from alloy_trio.values import Event, EventName, Lagged


class ChildEvents:
    """The events of a supervisor and of those below it, from the moment of subscribing on.

    Iterate over it; it ends when the supervisor has ended. One task reads at a time.

    *Ordering*: as they happened; ``seq`` counts within one supervisor, whose id is the ``correlation_id``.
    *Backpressure*: none, a supervisor waits for no reader. When the buffer is full the oldest event goes, and the
    next read raises :class:`Lagged` with the number of those missed; reading may go on after that.
    """

    def __init__(self, capacity: int) -> None:
        self._buffer: deque[Event] = deque(maxlen=capacity)
        self._missed = 0
        self._ended = False
        self._reader: trio.lowlevel.Task | None = None

    def __aiter__(self) -> ChildEvents:
        return self

    async def __anext__(self) -> Event:
        if self._reader is not None:
            raise trio.BusyResourceError("another task is reading these events; one reads at a time")
        await trio.lowlevel.checkpoint()
        while not self._buffer and not self._missed:
            if self._ended:
                raise StopAsyncIteration
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
        if self._missed:
            missed, self._missed = self._missed, 0
            raise Lagged(
                f"{missed} events were missed: the buffer holds {self._buffer.maxlen}; read faster, or subscribe with"
                " a larger buffer",
                missed=missed,
            )
        return self._buffer.popleft()

    def _stop_waiting(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _put(self, event: Event) -> None:
        if len(self._buffer) == self._buffer.maxlen:
            self._missed += 1
        self._buffer.append(event)
        self._wake()

    def _end(self) -> None:
        self._ended = True
        self._wake()

    def _wake(self) -> None:
        task, self._reader = self._reader, None
        if task is not None:
            trio.lowlevel.reschedule(task)


class Announcer:
    """Makes the events of one supervisor.

    Args:
        name: the supervisor's.
        correlation_id: goes on every event.
        above: the announcer of the supervisor that this one is below; its subscribers hear these events too.
    """

    def __init__(self, name: str, correlation_id: str, above: Announcer | None) -> None:
        self.name = name
        self.correlation_id = correlation_id
        self._above = above
        self._seq = 0
        self._ended = False
        self._subscribers: set[ChildEvents] = set()

    def announce(self, event: EventName, child: str, reason: str | None, restarts: int) -> None:
        """Number an event, and hand it over to whoever listens here or above."""
        self._seq += 1
        announcer: Announcer | None = self
        made: Event | None = None
        while announcer is not None:
            for subscriber in announcer._subscribers:
                made = made or self._make(event, child, reason, restarts)
                subscriber._put(made)
            announcer = announcer._above

    def _make(self, event: EventName, child: str, reason: str | None, restarts: int) -> Event:
        payload: dict[str, Any] = {
            "supervisor": self.name,
            "child": child,
            "reason": reason,
            "restarts": restarts,
        }
        return Event(
            event=event,
            seq=self._seq,
            correlation_id=self.correlation_id,
            turn=0,
            ts_ms=source().now_ms(),
            payload=payload,
            parent_id=None if self._above is None else self._above.correlation_id,
        )

    @asynccontextmanager
    async def subscribed(self, capacity: int) -> AsyncIterator[ChildEvents]:
        """Hand over what is announced while the block is entered."""
        events = ChildEvents(capacity)
        if self._ended:
            events._end()
        self._subscribers.add(events)
        try:
            yield events
        finally:
            self._subscribers.discard(events)

    def end(self) -> None:
        """Nothing follows."""
        self._ended = True
        for subscriber in self._subscribers:
            subscriber._end()
