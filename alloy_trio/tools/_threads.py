"""Plain functions in worker threads: admitted one by one, told to stop, and named when they do not.

A thread cannot be killed. trio tells it of a cancellation when it asks
(``trio.from_thread.check_cancelled``); until then the call waits for it, because a function that still works
on a file while the run is said to be over would break the promise that nothing outlives its scope.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Any

import trio

TOOL_THREADS = 40
"""Worker threads that run tools at the same time in one trio run; trio's own default for threads."""

NAMED_AFTER = 1.0
"""Seconds after a cancel until a thread that has not stopped is named; long enough for a slow disk."""

_logger = logging.getLogger("alloy_trio.tools")
_limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("alloy_trio_tool_threads")


def tool_threads() -> trio.CapacityLimiter:
    """The limiter that tools share in this trio run. Theirs alone: a slow tool starves no name look-up."""
    try:
        return _limiter.get()
    except LookupError:
        limiter = trio.CapacityLimiter(TOOL_THREADS)
        _limiter.set(limiter)
        return limiter


class ThreadSlot:
    """One place in a limiter, taken before a call starts and given back when its thread has ended.

    It stands in for the limiter when the thread is started. So a call that waits for a place has not
    started yet, and a thread that was left behind goes on holding the place it uses.
    """

    def __init__(self, limiter: trio.CapacityLimiter | None = None) -> None:
        self._limiter = limiter
        self._handed_over = False

    async def __aenter__(self) -> None:
        self._limiter = self._limiter or tool_threads()
        try:
            self._limiter.acquire_on_behalf_of_nowait(self)
        except trio.WouldBlock:
            await self._limiter.acquire_on_behalf_of(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if not self._handed_over:
            self.release_on_behalf_of(None)

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        """Called by trio before it starts the thread; from here on, trio gives the place back."""
        await trio.lowlevel.checkpoint()
        self._handed_over = True

    def release_on_behalf_of(self, borrower: object) -> None:
        """Called by trio when the thread has ended, however long that took."""
        assert self._limiter is not None
        self._limiter.release_on_behalf_of(self)


def stop_if_cancelled() -> None:
    """Stop here if the call was cancelled. For our own tools, in a loop over much; about a microsecond.

    Called as an ordinary function, outside of a thread of trio's, there is nobody who could cancel.
    """
    try:
        trio.from_thread.check_cancelled()
    except RuntimeError:
        return


async def run_in_thread(name: str, function: Callable[[], Any], slot: ThreadSlot, *, abandon: bool) -> Any:
    """Call a function in a worker thread.

    *Cancellation*: the thread is told when it asks. One that never asks is waited for and after
    :data:`NAMED_AFTER` seconds named in a warning; with ``abandon`` it is left behind at once.
    """

    def call() -> Any:
        result = function()
        if inspect.iscoroutine(result):
            result.close()
            raise TypeError("it is a plain function that returned a coroutine; make it async def")
        return result

    # The limiter is duck-typed inside trio: these two methods are all that it calls.
    limiter: Any = slot
    if abandon:
        return await trio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=limiter)
    ended = trio.Event()
    returned: list[Any] = []
    error: BaseException | None = None
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_name_if_it_stays, name, ended)
            try:
                returned.append(await trio.to_thread.run_sync(call, limiter=limiter))
            finally:
                ended.set()
                nursery.cancel_scope.cancel(reason="the thread has ended")
    except BaseExceptionGroup as group:
        # A function that returned has returned, also when a cancel was waiting for it: what it did is told,
        # and the cancel is met at the next checkpoint. to_thread.run_sync by itself does the same.
        if not returned:
            if len(group.exceptions) != 1:
                raise
            error = group.exceptions[0]
    if returned:
        return returned[0]
    # Outside of the except clause, so that the group, which is our own doing, is not chained to it.
    assert error is not None
    raise error


async def _name_if_it_stays(name: str, ended: trio.Event) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.move_on_after(NAMED_AFTER, shield=True):
            await ended.wait()
        if not ended.is_set():
            _logger.warning(
                "the tool %s was cancelled, and its thread has not stopped after %g s; it is waited for. Let "
                "it call trio.from_thread.check_cancelled() now and then, or make it with "
                "@tool(abandon=True)",
                name,
                NAMED_AFTER,
            )
