"""A tree as a program: it runs until a signal, and stops in order."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from contextlib import AsyncExitStack
from typing import Any

import trio

from alloy_trio._scopes import open_service

from ._engine import Engine
from ._spec import ChildSpec
from ._supervisor import engine_for, running

KILLED_BY_SIGNAL = 128
"""Added to a signal's number it is the exit status of a program that the signal killed, as shells have it."""


async def application(
    children: Iterable[ChildSpec] = (),
    *,
    signals: Iterable[int] = (signal.SIGINT, signal.SIGTERM),
    name: str = "application",
    **options: Any,
) -> int:
    """Run a supervisor as a program; returns its exit status. ::

        sys.exit(trio.run(application, [ChildSpec("server", serve, args=(8080,))]))

    The first signal stops the children in order, each within its shutdown time. A second one takes their time
    away. From a third on, what was there before takes them: Ctrl-C raises KeyboardInterrupt, SIGTERM kills. A signal
    that the program was started to ignore stays ignored. Call it in the main thread.

    Args:
        children: to start with.
        signals: that end the program.
        name: of the supervisor.
        options: as for :func:`open_supervisor`.

    Returns:
        0 when the tree ended in order: by a signal, or by its ``auto_shutdown``. 128 and the signal's number when a
        second one was needed.

    Raises:
        RestartLimitExceeded: the supervisor gave up. Like any other exception it makes the program print its
            traceback and exit with status 1.

    *Cancellation*: stops the children in order.
    """
    specs = tuple(children)
    heard = [number for number in signals if signal.getsignal(number) is not signal.SIG_IGN]
    engine, specs = engine_for(specs, name=name, **options)
    scope = trio.CancelScope()
    cut_by: list[int] = []

    async def listen(*, task_status: trio.TaskStatus[None]) -> None:
        with trio.open_signal_receiver(*heard) as arrivals:
            task_status.started()
            # The supervisor's block is left under a shield, so this goes on to listen while it stops.
            async for number in arrivals:
                if not scope.cancel_called:
                    scope.cancel(reason=f"signal {number}")
                else:
                    cut_by.append(number)
                    break
        if cut_by:
            engine.cut_short()

    async with AsyncExitStack() as stack:
        if heard:
            await stack.enter_async_context(open_service(listen))
        with scope:
            await _run(engine, specs)
    return KILLED_BY_SIGNAL + cut_by[0] if cut_by else 0


async def _run(engine: Engine, specs: tuple[ChildSpec, ...]) -> None:
    async with running(engine, specs):
        await trio.sleep_forever()
