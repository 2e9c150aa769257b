"""Ctrl-C and SIGTERM: the first ends the request in order, the second leaves at once."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from types import FrameType, TracebackType
from typing import Any

import trio

from alloy_trio.tools import kill_processes


class Interrupts:
    """Takes the signals while it is entered, and cancels the scope that it was given.

    Not trio's own signal receiver: its reader is a task, and a task does not come to run while the terminal
    or a pipe holds up a write. The handler does.

    Attributes:
        received: the signal that came, or None.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._held = False
        self._token: trio.lowlevel.TrioToken | None = None
        self._scope: trio.CancelScope | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                # A shell has its background jobs ignore Ctrl-C, and that is to stay so.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def ends_the_program(self) -> bool:
        """Whether what came asks for more than the end of a request."""
        return self.received == signal.SIGTERM

    def hold(self) -> None:
        """From here on a signal is kept for :meth:`cancels`; until then it raises KeyboardInterrupt."""
        self._held = True

    def cancels(self, scope: trio.CancelScope) -> None:
        """From here on a signal cancels this scope. Call it inside ``trio.run``."""
        self._scope = scope
        self._token = trio.lowlevel.current_trio_token()
        if self.received is not None:
            scope.cancel(reason="interrupted")

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            # Nobody cleans up after this.
            kill_processes()
            os._exit(128 + number)
        self.received = number
        if not self._held:
            raise KeyboardInterrupt
        if self._token is None or self._scope is None:
            return
        try:
            self._token.run_sync_soon(partial(self._scope.cancel, reason="interrupted"))
        except trio.RunFinishedError:
            # The request has ended by itself in the meantime.
            pass
