"""A supervisor's events: numbered once, and handed to each subscriber through a buffer of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from alloy_trio._fanout import Reading
from alloy_trio._seed import source
from alloy_trio.values import Event, EventName


class ChildEvents(Reading[Event]):
    """The events of a supervisor and of those below it, from the moment of subscribing on.

    Iterate over it; it ends when the supervisor has ended. One task reads at a time.

    *Ordering*: as they happened; ``seq`` counts within one supervisor, whose id is the ``correlation_id``.
    *Backpressure*: none, a supervisor waits for no reader. When the buffer is full the oldest event goes, and the
    next read raises :class:`Lagged` with the number of those missed; reading may go on after that.
    """

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, "events")

    def __aiter__(self) -> ChildEvents:
        return self


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
                subscriber._add(made)
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
