"""The one hop between what happens in a run and who reads it.

Events wait in a bounded buffer. What arrived together is put in and taken out together, so a streamed answer
pays for one hop a network chunk and not one a delta. Closing events go in beyond the bound: nobody may be
there to make room, and a stream without its end would be a lie.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import attrs
import trio

from alloy_trio._seed import source
from alloy_trio.values import ErrorInfo, Event, EventName, Result, Usage

FAIRNESS_INTERVAL = 64
"""Events that a reader takes in a row before other tasks get a turn. Arbitrary, well under a millisecond."""

SENDS_IN_A_ROW = 16
"""Puts after which other tasks get a turn though there was room: whoever does nothing else must not starve them."""


@attrs.frozen(kw_only=True)
class EventStatistics:
    """Where an event stream stands: events made so far, those not read yet, and the bound."""

    emitted: int
    waiting: int
    capacity: int


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


class Emitter:
    """Numbers the events of one run and, when somebody listens, holds them for the one reader.

    Args:
        correlation_id: goes on every event.
        capacity: events held before :meth:`send` waits; None when nobody listens and events are only counted.
        parent_id: the correlation id of the run that this one is part of.
    """

    def __init__(self, correlation_id: str, *, capacity: int | None, parent_id: str | None = None) -> None:
        self.correlation_id = correlation_id
        self.parent_id = parent_id
        self.turn = 0
        self.seq = 0
        self.ended = False
        self.buffer: deque[Event] = deque()
        self._capacity = capacity
        self._now_ms = source().now_ms
        self._reader: trio.lowlevel.Task | None = None  # that waits for an event
        self._writers = trio.lowlevel.ParkingLot()
        self._sends = 0
        # Writers come back when half is free, so that a batch passes at a time and not an event.
        self._few = -1 if capacity is None else capacity // 2

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
        if self._capacity is not None:
            while len(items) > (room := self._capacity - len(self.buffer)):
                if room > 0:
                    self._put(items[:room])
                    items = items[room:]
                await self.wait_for_room()
        self._put(items)

    async def wait_for_room(self) -> None:
        """Wait until the reader has made room; returns at once when nobody listens."""
        while self._capacity is not None and len(self.buffer) >= self._capacity:
            await self._writers.park()

    @trio.lowlevel.enable_ki_protection
    def end(self) -> None:
        """No event follows."""
        self.ended = True
        self._wake_reader()

    def take(self) -> Event:
        """Take the oldest event; there has to be one in ``buffer``."""
        event = self.buffer.popleft()
        if len(self.buffer) == self._few:
            self._writers.unpark_all()
        return event

    @trio.lowlevel.enable_ki_protection
    async def next(self) -> Event | None:
        """Take the oldest event, waiting for one; None after the end.

        *Cancellation*: takes nothing.
        """
        while not self.buffer:
            if self.ended:
                return None
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
        return self.take()

    @property
    def all_read(self) -> bool:
        """Whether the end was reached and nothing is left to read."""
        return self.ended and not self.buffer

    def statistics(self) -> EventStatistics:
        """Where the stream stands."""
        return EventStatistics(emitted=self.seq, waiting=len(self.buffer), capacity=self._capacity or 0)

    @trio.lowlevel.enable_ki_protection
    def _put(self, items: Sequence[tuple[EventName, Any]]) -> None:
        if self._capacity is None:
            self.seq += len(items)
            return
        correlation_id, turn, parent_id, ts_ms = (
            self.correlation_id,
            self.turn,
            self.parent_id,
            self._now_ms(),
        )
        append = self.buffer.append
        seq = self.seq
        for name, payload in items:
            seq += 1
            append(_new_event(name, seq, correlation_id, turn, ts_ms, payload, parent_id))
        self.seq = seq
        if self._reader is not None:
            self._wake_reader()

    def _wake_reader(self) -> None:
        task, self._reader = self._reader, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _stop_waiting(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED


class EventStream:
    """The events of one run, as ``stream`` hands them out.

    Iterate over it once. A provider's error is raised by the iteration, after the run_end event. The result
    is there once the run has ended, also when the block was left early. One task reads at a time.

    *Backpressure*: the run waits while ``event_buffer`` events are unread.
    """

    def __init__(self, emitter: Emitter) -> None:
        self._emitter = emitter
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._left = False
        self._reading = False
        self._in_a_row = 1

    @property
    def result(self) -> Result:
        """What the run came to, once its last event was read or the block was left.

        Raises:
            RuntimeError: neither is the case yet.
        """
        # Not as soon as the run ended: whether that is before or after a reader looks would be chance.
        if self._result is None or not (self._left or self._emitter.all_read):
            raise RuntimeError(
                "the run has no result yet; read its events to the end, or leave the block, first"
            )
        return self._result

    async def drain(self) -> Result:
        """Read on to the end and return the Result.

        Raises:
            AlloyError: the run ended with an error; a RemoteError carries the partial result.

        *Cancellation*: the events that were read are gone, the run goes on until its block is left.
        """
        async for _ in self:
            pass
        return self.result

    def statistics(self) -> EventStatistics:
        """Events made so far, those not read yet, and the bound."""
        return self._emitter.statistics()

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        if self._reading:
            raise trio.BusyResourceError("another task is reading these events; one reads at a time")
        emitter = self._emitter
        if emitter.buffer and self._in_a_row < FAIRNESS_INTERVAL:
            # Most events go this way: they came together, so nobody has to be waited for.
            await trio.lowlevel.checkpoint_if_cancelled()
            self._in_a_row += 1
            return emitter.take()
        self._in_a_row = 1
        self._reading = True
        try:
            if emitter.buffer:
                await trio.lowlevel.checkpoint()
            event = await emitter.next()
        finally:
            self._reading = False
        if event is not None:
            return event
        error, self._error = self._error, None
        if error is not None and not self._left:
            raise error
        raise StopAsyncIteration

    def _finish(self, result: Result, error: BaseException | None) -> None:
        self._result = result
        self._error = error

    def _leave(self) -> None:
        self._left = True


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
