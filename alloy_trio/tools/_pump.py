"""The output of a call on its way from the pipe to whoever takes it."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable

import trio

AFTERMATH = 1 << 20
"""Bytes that are still taken once all has ended; more than a pipe holds, so only what got away can write them."""

_CHUNK = 1 << 16

Sink = Callable[[bytes], Awaitable[None]]


class NotStarted(Exception):
    """A program could not be started; the cause is the OSError."""


class Pump:
    """Moves output to the sink. The sink is waited for without a limit, the output of a call that is over not at all.

    Args:
        output: the pipe's reading end.
        sink: takes what comes.
    """

    def __init__(self, output: trio.lowlevel.FdStream, sink: Sink) -> None:
        self._output = output
        self._sink = sink
        self._ended = False
        self._waiting = trio.CancelScope()

    def all_ended(self) -> None:
        """From here on only what is already in the pipe counts; somebody else may hold its other end open."""
        self._ended = True
        self._waiting.cancel(reason="the call is over")

    async def run(self) -> None:
        """Move all that comes. Returns at the end of the pipe, or when the call is over and the pipe empty."""
        while not self._ended:
            chunk = None
            with trio.CancelScope() as self._waiting:
                chunk = await self._output.receive_some(_CHUNK)
            if chunk == b"":
                return
            if chunk:
                await self._sink(chunk)
        left = AFTERMATH
        while left > 0:
            try:
                chunk = os.read(self._output.fileno(), _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                return
            left -= len(chunk)
            await self._sink(chunk)
