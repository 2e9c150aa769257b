"""The one hop between what happens in a run and who reads it.

Events wait in a bounded buffer. What arrived together is put in and taken out together, so a streamed answer
pays for one hop a network chunk and not one a delta. Closing events go in beyond the bound: nobody may be
there to make room, and a stream without its end would be a lie.

A run numbers its events by itself, also where they go into the buffer of the run that it is part of.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import attrs
import trio

from alloy_trio._seed import source
from alloy_trio._watching import watcher
from alloy_trio.values import ErrorInfo, Event, EventName, Result, Usage

SENDS_IN_A_ROW = 16
"""Puts after which other tasks get a turn though there was room: whoever does nothing else must not starve them."""


class _Draft:
    """An Event that is being written.

    Changing its class makes it one. To set eight attributes of an instance that is frozen already takes three
    times as long, and this is done for every delta.
    """

    __slots__ = tuple(field.name for field in attrs.fields(Event))

    v: int
    event: EventName
    seq: int
    correlation_id: str
    turn: int
    ts_ms: int
    payload: Any
    parent_id: str | None

    def __init__(
        self,
        event: EventName,
        seq: int,
        correlation_id: str,
        turn: int,
        ts_ms: int,
        payload: Any,
        parent_id: str | None,
    ) -> None:
        self.v = 1
        self.event = event
        self.seq = seq
        self.correlation_id = correlation_id
        self.turn = turn
        self.ts_ms = ts_ms
        self.payload = payload
        self.parent_id = parent_id
        self.__class__ = Event  # type: ignore[assignment]


_new_event = cast("Callable[[EventName, int, str, int, int, Any, str | None], Event]", _Draft)


class EventBuffer:
    """Holds the events of a run, and of those that are part of it, for the one reader.

    Args:
        capacity: events held before whoever has more waits.

    Attributes:
        events: those that were not read yet, the oldest first.
        ended: whether no event follows.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.events: deque[Event] = deque()
        self.ended = False
        self._reader: trio.lowlevel.Task | None = None  # that waits for an event
        self._writers = trio.lowlevel.ParkingLot()
        # Writers come back when half is free, so that a batch passes at a time and not an event.
        self._few = capacity // 2

    @property
    def room(self) -> int:
        """How many events fit in; none or less when it is full."""
        return self.capacity - len(self.events)

    @property
    def all_read(self) -> bool:
        """Whether the end was reached and nothing is left to read."""
        return self.ended and not self.events

    async def wait_for_room(self) -> None:
        """Wait until the reader has made room, or none is needed any more; not a checkpoint if there is some."""
        while self.room <= 0 and not self.ended:
            await self._writers.park()

    def wake_reader(self) -> None:
        """Say that something was put into ``events``."""
        task, self._reader = self._reader, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    @trio.lowlevel.enable_ki_protection
    def end(self) -> None:
        """No event follows."""
        self.ended = True
        self.wake_reader()
        # What a run has started and left behind has no reader from here on, and need not wait for one.
        self._writers.unpark_all()

    def take(self) -> Event:
        """Take the oldest event; there has to be one in ``events``."""
        event = self.events.popleft()
        if len(self.events) == self._few:
            self._writers.unpark_all()
        return event

    @trio.lowlevel.enable_ki_protection
    async def next(self) -> Event | None:
        """Take the oldest event, waiting for one; None after the end.

        *Cancellation*: takes nothing.
        """
        while not self.events:
            if self.ended:
                return None
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
        return self.take()

    def _stop_waiting(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED


class Emitter:
    """Numbers the events of one run and, when somebody listens, puts them where they are read.

    Args:
        correlation_id: goes on every event.
        into: where they are read; None when nobody listens and events are only counted.
        parent: that of the run that this one is part of. Once that one has ended, nobody is told of this one any more:
            a task that it has left behind may go on.

    Attributes:
        ended: whether its run has ended.
    """

    def __init__(
        self, correlation_id: str, into: EventBuffer | None, *, parent: Emitter | None = None
    ) -> None:
        self.correlation_id = correlation_id
        self.parent_id = None if parent is None else parent.correlation_id
        self.into = into
        self.ended = False
        self._parent = parent
        self.turn = 0
        self.seq = 0
        self._now_ms = source().now_ms
        self._sends = 0
        self._watcher = watcher.get()
        self._watched: list[Event] = []

    @trio.lowlevel.enable_ki_protection
    def emit(self, name: EventName, payload: Any) -> int:
        """Put in one event at once, beyond the bound if need be; returns its ``seq``."""
        self._put(((name, payload),))
        return self.seq

    async def send(self, items: Iterable[tuple[EventName, Any]]) -> None:
        """Put in events in order, waiting while the buffer is full. Together they have one timestamp.

        *Cancellation*: what was put in stays, the rest was never numbered.
        *Backpressure*: a slow reader makes this wait.
        """
        self._sends += 1
        if self._sends % SENDS_IN_A_ROW:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await trio.lowlevel.checkpoint()
        items = tuple(items)
        into = self.into
        if into is not None:
            while not into.ended and len(items) > (room := into.room):
                if room > 0:
                    self._put(items[:room])
                    items = items[room:]
                await into.wait_for_room()
        self._put(items)

    async def wait_for_room(self) -> None:
        """Wait until the reader has made room; returns at once when nobody listens."""
        if self.into is not None:
            await self.into.wait_for_room()

    @property
    def is_left(self) -> bool:
        """Whether its run, or one that it is part of, has ended."""
        return self.ended or (self._parent is not None and self._parent.is_left)

    def tell(self, result: Result) -> None:
        """Tell who watches what the run came to; after its last event."""
        self.ended = True
        if self._watcher is not None:
            self._watcher(result, self._watched)

    @trio.lowlevel.enable_ki_protection
    def _put(self, items: Sequence[tuple[EventName, Any]]) -> None:
        into = self.into
        if self._watcher is not None:
            self._watch(items)
        if into is None or into.ended or (self._parent is not None and self._parent.is_left):
            self.seq += len(items)
            return
        correlation_id, turn, parent_id, ts_ms = (
            self.correlation_id,
            self.turn,
            self.parent_id,
            self._now_ms(),
        )
        append = into.events.append
        seq = self.seq
        for name, payload in items:
            seq += 1
            append(_new_event(name, seq, correlation_id, turn, ts_ms, payload, parent_id))
        self.seq = seq
        into.wake_reader()

    def _watch(self, items: Sequence[tuple[EventName, Any]]) -> None:
        at = self._now_ms()
        for number, (name, payload) in enumerate(items, self.seq + 1):
            self._watched.append(
                _new_event(name, number, self.correlation_id, self.turn, at, payload, self.parent_id)
            )


def usage_payload(usage: Usage) -> dict[str, Any]:
    """A Usage as plain JSON data, as events carry it; money is a string of cents."""
    return {
        "input_tokens": usage.input_tokens,
        "cache_read_tokens": usage.cache_read_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_cents": None if usage.cost_cents is None else str(usage.cost_cents),
    }


def error_payload(error: ErrorInfo) -> dict[str, Any]:
    """An ErrorInfo as plain JSON data."""
    return {
        "kind": error.kind,
        "message": error.message,
        "status": error.status,
        "request_id": error.request_id,
    }
