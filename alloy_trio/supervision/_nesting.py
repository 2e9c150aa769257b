"""Supervisors under supervisors."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import Any

import trio

from ._spec import ChildSpec, RestartKind
from ._supervisor import Supervisor, open_supervisor


async def run_supervisor(
    children: Iterable[ChildSpec] = (),
    *,
    task_status: trio.TaskStatus[Supervisor] = trio.TASK_STATUS_IGNORED,
    **options: Any,
) -> None:
    """Run a supervisor until it is cancelled or ends by itself; passes it to ``started()``.

    Args:
        children: to start with.
        options: as for :func:`open_supervisor`.

    Raises:
        RestartLimitExceeded: it gave up.

    *Cancellation*: stops the children, as leaving :func:`open_supervisor` does.
    """
    async with open_supervisor(children, **options) as supervisor:
        task_status.started(supervisor)
        await trio.sleep_forever()


def supervisor_child(
    name: str,
    children: Iterable[ChildSpec] = (),
    *,
    restart: RestartKind = "permanent",
    shutdown: float = math.inf,
    significant: bool = False,
    **options: Any,
) -> ChildSpec:
    """The spec of a child that is a supervisor.

    One that gives up counts as ended by ``"shutdown"``, as in OTP: a permanent one is restarted with all its
    children, a transient one is not.

    Args:
        name: of the child, and of the supervisor unless ``options`` have another.
        children: of the supervisor.
        restart: as for :class:`ChildSpec`.
        shutdown: seconds; its children's shutdown times are to fit in, one after the other. When they do not,
            they are given no more time.
        significant: as for :class:`ChildSpec`.
        options: of the supervisor, as for :func:`open_supervisor`.
    """
    fn = partial(run_supervisor, **{"name": name, **options})
    return ChildSpec(
        name,
        fn,
        args=(tuple(children),),
        restart=restart,
        shutdown=shutdown,
        significant=significant,
        kind="supervisor",
    )
