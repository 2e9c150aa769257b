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
        except BaseException as error:  # border: raised again once the body has ended
            cancelled, service_error = split_cancelled(error)
            # Kept aside so that a group, if there is one, is of our making and of what truly failed.
            if service_error is not None:
                nursery.cancel_scope.cancel(reason="the service failed")
            if cancelled is not None:
                raise cancelled from None

    async with trio.open_nursery() as nursery:
        try:
            value = await nursery.start(run)
        except RuntimeError:
            # Trio's complaint that run() ended without started(): the service's own error says more.
            if service_error is None:
                raise
        else:
            # Also when the service has failed meanwhile: when that shows must not depend on who runs first.
            try:
                yield value
            except BaseException as error:  # border: raised again once the service has ended
                body_error = error
        nursery.cancel_scope.cancel(reason="the block was left")
    if service_error is None:
        if body_error is not None:
            raise body_error
        return
    if body_error is not None:
        # The service's failure cancelled the body; only what else it raised counts.
        body_error = split_cancelled(body_error)[1]
    if body_error is None:
        raise service_error
    raise BaseExceptionGroup("both the block and its service failed", [body_error, service_error])


def split_cancelled(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """What of an exception is cancellation, and what is not; groups are taken apart."""
    if isinstance(error, trio.Cancelled):
        return error, None
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)
    return None, error
