"""Start order, order of death and unwrapped errors of whatever runs beside its user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import trio

T = TypeVar("T")


@asynccontextmanager
async def open_service(serve: Callable[..., Awaitable[None]], *args: Any) -> AsyncIterator[Any]:
    """Run ``serve(*args, task_status=…)`` beside the body; yields what it passed to ``started()``.

    Leaving the body cancels the service and waits for it. A failure before ``started()`` leaves the entry as it
    is. Later the body's exception leaves unwrapped, and so does the service's, which cancels the body; only
    when both truly failed, a group of the two appears.

    *Cancellation*: reaches body and service alike; both have ended when control returns.
    """
    body_error: BaseException | None = None
    service_error: BaseException | None = None

    async def run(*, task_status: trio.TaskStatus[Any]) -> None:
        nonlocal service_error
        try:
            await serve(*args, task_status=task_status)
        except trio.Cancelled:
            raise
        except BaseException as error:
            # Kept aside so that a group, if there is one, is of our making and of what truly failed.
            service_error = error
            nursery.cancel_scope.cancel(reason="the service failed")

    async with trio.open_nursery() as nursery:
        try:
            value = await nursery.start(run)
        except RuntimeError:
            # Trio's complaint that run() ended without started(): the service's own error says more.
            if service_error is None:
                raise
        if service_error is None:
            try:
                yield value
            except BaseException as error:
                body_error = error
        nursery.cancel_scope.cancel(reason="the block was left")
    if service_error is None:
        if body_error is not None:
            raise body_error
    elif body_error is None or isinstance(body_error, trio.Cancelled):
        raise service_error
    else:
        raise BaseExceptionGroup("both the block and its service failed", [body_error, service_error])
