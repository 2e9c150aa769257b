"""Cancelled at every step of what it does, a supervisor leaves nothing behind and stops in order."""

from __future__ import annotations

import logging

import pytest
import trio

from alloy_trio.supervision import Backoff, ChildSpec, open_supervisor, supervisor_child
from alloy_trio.testing import Disturbance, disturb_sweep

from ._children import Boom, Stage


async def life(stage: Stage, disturbance: Disturbance) -> None:
    """A supervisor to which much happens."""

    async def crashes(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(0.1)
        stage.log.append("+crashes")
        task_status.started()
        try:
            await trio.sleep(0.3)
            raise Boom
        finally:
            stage.log.append("-crashes")

    low = supervisor_child("low", [*stage.specs("bc"), ChildSpec("crashes", crashes)], strategy="one_for_all")
    backoff = Backoff(first_seconds=0.1, jitter=0.0)
    with trio.CancelScope() as scope:
        disturbance.arm(scope.cancel)
        async with open_supervisor([stage.spec("a"), low], backoff=backoff) as supervisor:
            await supervisor.start(stage.spec("d"))
            await supervisor.terminate("a")
            await supervisor.restart("a")
            supervisor.child("d").cancel()
            await trio.sleep(3)


def test_a_cancel_at_any_step_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "alloy_trio.supervision")

    async def script(disturbance: Disturbance) -> None:
        stage = Stage()
        await life(stage, disturbance)
        disturbance.disarm()
        running: list[str] = []
        for entry in stage.log:
            if entry.startswith("+"):
                running.append(entry[1:])
            else:
                running.remove(entry[1:])
        assert running == []

    assert disturb_sweep(script).steps > 80
