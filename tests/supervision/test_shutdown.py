"""How children are stopped: with grace, without, and when they do not want to."""

from __future__ import annotations

import logging
import math
import os
import signal
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from alloy_trio import AlloyError
from alloy_trio.supervision import ChildSpec, grace, open_supervisor, supervisor_child
from alloy_trio.supervision._engine import LINGER_SECONDS

from ._children import Stage, holds_out


@pytest.mark.parametrize(
    ("shutdown", "needs", "expected"),
    [
        (5.0, 3.0, "done after 3"),
        (5.0, 8.0, "cut off after 5"),
        (math.inf, 1000.0, "done after 1000"),
        (0.0, 1.0, "cut off after 0"),
        ("brutal", 1.0, "cut off after 0"),
    ],
)
async def test_grace_lasts_as_long_as_the_shutdown_time(
    autojump_clock: MockClock, shutdown: Any, needs: float, expected: str
) -> None:
    log: list[str] = []
    async with open_supervisor(
        [ChildSpec("a", holds_out, args=(log, needs), shutdown=shutdown)]
    ) as supervisor:
        pass
    assert log == [expected]
    assert supervisor.statistics().overdue == 0


async def test_grace_that_was_entered_before_is_bounded_from_the_stop_on(autojump_clock: MockClock) -> None:
    ended = 0.0

    async def child() -> None:
        nonlocal ended
        with grace() as held:
            await trio.sleep_forever()
        assert held.cancelled_caught
        ended = trio.current_time()

    async with open_supervisor([ChildSpec("a", child, shutdown=2.0)]):
        await trio.sleep(100)
        began = trio.current_time()
    assert ended - began == 2


async def test_each_shield_of_a_child_is_bounded(autojump_clock: MockClock) -> None:
    ended: list[float] = []

    async def shielded() -> None:
        with grace():
            with grace():
                await trio.sleep_forever()
        ended.append(trio.current_time())

    async def child() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(shielded)
            nursery.start_soon(shielded)

    async with open_supervisor([ChildSpec("a", child, shutdown=2.0)]):
        await trio.testing.wait_all_tasks_blocked()
        began = trio.current_time()
    assert [at - began for at in ended] == [2, 2]


async def test_a_cancelled_child_has_its_time_too_and_a_stop_does_not_add_to_it(
    autojump_clock: MockClock,
) -> None:
    log: list[str] = []
    spec = ChildSpec("a", holds_out, args=(log, 9.0), shutdown=5.0, restart="temporary")
    async with open_supervisor([spec]) as supervisor:
        supervisor.child("a").cancel()
        supervisor.child("a").cancel()
        await trio.sleep(3)
        await supervisor.terminate("a")
    assert log == ["cut off after 5"]


async def test_one_after_the_other_each_has_its_own_time(autojump_clock: MockClock) -> None:
    log: list[str] = []
    specs = [ChildSpec(name, holds_out, args=(log, 9.0), shutdown=5.0) for name in "ab"]
    async with open_supervisor(specs):
        began = trio.current_time()
    assert log == ["cut off after 5"] * 2
    assert trio.current_time() - began == 10


async def test_a_child_that_does_not_end_is_named_and_waited_for(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def stubborn() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(60)

    stage = Stage()
    async with open_supervisor(
        [*stage.specs("a"), ChildSpec("b", stubborn, shutdown=5.0)], name="sup"
    ) as supervisor:
        async with supervisor.events() as events:
            await trio.sleep(10)
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(supervisor.terminate, "b")
                event = await anext(events)
                assert trio.current_time() - began == pytest.approx(5 + LINGER_SECONDS)
                assert event.event == "escalation"
                told = "did not end within its shutdown time of 5 s, and is waited for"
                assert event.payload == {"supervisor": "sup", "child": "b", "reason": told, "restarts": 0}
            assert trio.current_time() - began == 50
        assert supervisor.statistics().overdue == 1
    (warning,) = caplog.records
    assert (warning.levelno, warning.getMessage()) == (
        logging.WARNING,
        f"child 'b' of supervisor 'sup' {told}",
    )
    assert stage.take() == "+a -a"


async def test_a_supervisor_below_whose_time_is_over_cuts_its_children_short(
    autojump_clock: MockClock,
) -> None:
    log: list[str] = []
    below = supervisor_child(
        "below", [ChildSpec("a", holds_out, args=(log, 100.0), shutdown=math.inf)], shutdown=3.0
    )
    async with open_supervisor([below]) as supervisor:
        began = trio.current_time()
    assert log == ["cut off after 3"]
    assert trio.current_time() - began == 3
    assert supervisor.statistics().overdue == 0


async def test_a_brutal_shutdown_reaches_into_the_supervisors_below(autojump_clock: MockClock) -> None:
    log: list[str] = []
    children = [ChildSpec(name, holds_out, args=(log, 100.0)) for name in "ab"]
    middle = supervisor_child("middle", [supervisor_child("low", children)])
    top: Any = supervisor_child("top", [middle], shutdown="brutal")  # type: ignore[arg-type]
    async with open_supervisor([top]):
        began = trio.current_time()
    assert log == ["cut off after 0"] * 2
    assert trio.current_time() == began


def test_a_keyboardinterrupt_during_the_shutdown_takes_the_time_away() -> None:
    cut_off: list[bool] = []

    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            with grace() as held:
                await trio.to_thread.run_sync(os.kill, os.getpid(), signal.SIGINT)
                await trio.sleep_forever()
            cut_off.append(held.cancelled_caught)

    async def main(error: BaseException | None) -> None:
        async with open_supervisor([ChildSpec("a", child, shutdown=math.inf)]):
            await trio.lowlevel.checkpoint()
            if error is not None:
                raise error

    for error in (None, KeyboardInterrupt()):
        with pytest.raises(KeyboardInterrupt):
            trio.run(main, error)
    assert cut_off == [True, True]


async def test_a_task_that_outlives_its_child_elsewhere_has_the_default_grace(
    autojump_clock: MockClock,
) -> None:
    log: list[str] = []
    async with trio.open_nursery() as elsewhere:

        async def child() -> None:
            elsewhere.start_soon(holds_out, log, 100.0)

        async with open_supervisor([ChildSpec("a", child, restart="temporary")]):
            await trio.sleep(1)
        elsewhere.cancel_scope.cancel()
    assert log == ["cut off after 5"]


async def test_a_child_is_told_why_it_is_cancelled(autojump_clock: MockClock) -> None:
    reasons: list[str] = []

    async def child() -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            reasons.append(str(cancelled.reason))
            raise

    async with open_supervisor([ChildSpec("a", child)], name="sup", max_restarts=1) as supervisor:
        supervisor.child("a").cancel("enough")
        await trio.testing.wait_all_tasks_blocked()
    assert reasons == ["enough", "supervisor 'sup' stops it"]
    assert not issubclass(trio.Cancelled, AlloyError)
