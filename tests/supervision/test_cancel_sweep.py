"""Cancelled at every step of what it does, a supervisor leaves nothing behind and stops in order."""

from __future__ import annotations

import logging

import pytest
import trio
import trio.testing

from alloy_trio.supervision import Backoff, ChildSpec, open_supervisor, supervisor_child

from ._children import Boom, Stage


class CancelAt(trio.abc.Instrument):
    """Cancels a scope before the step of this number, whichever task makes it."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.steps = 0
        self.scope = trio.CancelScope()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.steps += 1
        if self.steps == self.step:
            self.scope.cancel()


async def life(stage: Stage, instrument: CancelAt) -> None:
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
    with instrument.scope:
        async with open_supervisor([stage.spec("a"), low], backoff=backoff) as supervisor:
            await supervisor.start(stage.spec("d"))
            await supervisor.terminate("a")
            await supervisor.restart("a")
            supervisor.child("d").cancel()
            await trio.sleep(3)


def test_a_cancel_at_any_step_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "alloy_trio.supervision")
    step = 0
    while True:
        step += 1
        stage, instrument = Stage(), CancelAt(step)
        clock = trio.testing.MockClock(autojump_threshold=0)
        trio.run(life, stage, instrument, clock=clock, instruments=[instrument])
        running: list[str] = []
        for entry in stage.log:
            if entry.startswith("+"):
                running.append(entry[1:])
            else:
                running.remove(entry[1:])
        assert running == [], f"cancelled before step {step}"
        if not instrument.scope.cancel_called:
            break
    assert step > 100
