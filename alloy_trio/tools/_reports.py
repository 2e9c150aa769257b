"""What a running call tells of itself, on its way into the run's events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

import trio

from alloy_trio.values import EventName

from ._calls import Call
from ._limit import Limit

Send: TypeAlias = Callable[[Iterable[tuple[EventName, Any]]], Awaitable[object]]

MOST_IN_A_ROW = 16
LONGEST_WITHOUT = 0.001
"""Reports, and seconds, after which other tasks get a turn at the latest. Without one no deadline passes: a tool
that does nothing but report would go on for ever. One each time would cost more than the report."""


class Reporter:
    """Puts one call's progress into the events.

    Args:
        call: whose progress it is; once it has ended, nothing of it is told any more.
        send: puts events into the stream, waiting while it is full; None if nobody is told.
        limit: the call's, whose clock stops in the meantime.
    """

    def __init__(self, call: Call, send: Send | None, limit: Limit) -> None:
        self._call = call
        self._send = send
        self._limit = limit
        self._in_a_row = 0
        self._turn_at = 0.0

    async def __call__(self, text: str, data: Any) -> None:
        await self._give_others_a_turn()
        # A thread that was left behind may still report; its call's events are closed by then.
        if self._send is not None and self._call.outcome is None:
            payload = {"id": self._call.use.id, "name": self._call.use.name, "text": text, "data": data}
            with self._limit.paused():
                await self._send((("tool_progress", payload),))

    async def _give_others_a_turn(self) -> None:
        self._in_a_row += 1
        if self._in_a_row >= MOST_IN_A_ROW or trio.current_time() - self._turn_at >= LONGEST_WITHOUT:
            await trio.lowlevel.checkpoint()
            self._in_a_row = 0
            self._turn_at = trio.current_time()
        else:
            await trio.lowlevel.checkpoint_if_cancelled()
