"""The events of a run, as its reader sees them."""

from __future__ import annotations

import attrs
import trio

from alloy_trio.values import Event, Result

from ._emitter import Emitter, EventBuffer

FAIRNESS_INTERVAL = 64
"""Events that a reader takes in a row before other tasks get a turn. Arbitrary, well under a millisecond."""


@attrs.frozen(kw_only=True)
class EventStatistics:
    """Where an event stream stands: events made so far, those not read yet, and the bound."""

    emitted: int
    waiting: int
    capacity: int


class EventStream:
    """The events of one run, as ``stream`` hands them out.

    Iterate over it once. A provider's error is raised by the iteration, after the run_end event. The result
    is there once the run has ended, also when the block was left early. One task reads at a time.

    *Backpressure*: the run waits while ``event_buffer`` events are unread.
    """

    def __init__(self, buffer: EventBuffer, emitter: Emitter) -> None:
        self._buffer = buffer
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
        if self._result is None or not (self._left or self._buffer.all_read):
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
        return EventStatistics(
            emitted=self._emitter.seq, waiting=len(self._buffer.events), capacity=self._buffer.capacity
        )

    def __aiter__(self) -> EventStream:
        return self

    async def __anext__(self) -> Event:
        if self._reading:
            raise trio.BusyResourceError("another task is reading these events; one reads at a time")
        buffer = self._buffer
        if buffer.events and self._in_a_row < FAIRNESS_INTERVAL:
            # Most events go this way: they came together, so nobody has to be waited for.
            await trio.lowlevel.checkpoint_if_cancelled()
            self._in_a_row += 1
            return buffer.take()
        self._in_a_row = 1
        self._reading = True
        try:
            if buffer.events:
                await trio.lowlevel.checkpoint()
            event = await buffer.next()
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
