"""Scopes that are cancelled when a child is stopped for good, and what they outlast."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from alloy_trio import RestartLimitExceeded
from alloy_trio.supervision import Backoff, ChildHandle, ChildSpec, open_supervisor, supervisor_child

from ._children import Boom, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def outlived(child: ChildHandle) -> float:
    """When the child was stopped for good."""
    with child.until_stopped() as scope:
        await trio.sleep_forever()
    assert scope.cancelled_caught
    return trio.current_time()


async def test_a_monitor_outlasts_restarts_and_ends_with_a_termination(
    stage: Stage, autojump_clock: MockClock
) -> None:
    async with open_supervisor(stage.specs("a")) as supervisor:
        child = supervisor.child("a")
        started = trio.current_time()
        async with trio.open_nursery() as nursery:

            @nursery.start_soon
            async def disturb() -> None:
                child.cancel()
                await trio.sleep(1)
                assert (child.status, child.stops) == ("running", 0)
                await supervisor.terminate("a")

            assert await outlived(child) == started + 1
        assert (child.stops, child.cause) == (1, None)
        assert await outlived(child) == started + 1  # at once, if it has stopped
        await supervisor.restart("a")
        with child.until_stopped():
            await trio.sleep(1)
        assert trio.current_time() == started + 2
        await supervisor.terminate("a")
        assert child.stops == 2


async def test_a_cancel_from_outside_passes_and_the_child_forgets_who_left(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a")) as supervisor:
        child = supervisor.child("a")
        with trio.CancelScope() as outer:
            with child.until_stopped() as scope:
                outer.cancel()
                await trio.sleep_forever()
        assert not scope.cancelled_caught
        await supervisor.terminate("a")
        assert not scope.cancel_called


async def fails(after: float) -> None:
    await trio.sleep(after)
    raise Boom("a failed")


@pytest.mark.parametrize("restart", ["temporary", "transient"])
async def test_an_end_that_brings_no_restart_is_one_for_good(restart: str, autojump_clock: MockClock) -> None:
    begun = trio.current_time()
    async with open_supervisor() as supervisor:
        fn, args = (fails, (2,)) if restart == "temporary" else (trio.sleep, (2,))
        child = await supervisor.start(ChildSpec("a", fn, args=args, restart=restart))  # type: ignore[arg-type]
        assert await outlived(child) == begun + 2
        assert isinstance(child.cause, Boom) == (restart == "temporary")


async def test_giving_up_stops_all_and_says_why(stage: Stage, autojump_clock: MockClock) -> None:
    handles: list[ChildHandle] = []
    causes: list[object] = []

    async def watch(child: ChildHandle) -> None:
        await outlived(child)
        causes.append(child.cause)

    async with trio.open_nursery() as nursery:
        with pytest.raises(RestartLimitExceeded) as exceeded:
            low = supervisor_child("low", stage.specs("b"))
            children = [*stage.specs("a"), low, ChildSpec("fails", fails, args=(1,))]
            async with open_supervisor(children, max_restarts=0) as supervisor:
                inside = supervisor.child("low").value
                handles = [supervisor.child(name) for name in ("a", "low", "fails")] + [inside.child("b")]
                for each in handles:
                    nursery.start_soon(watch, each)
                await trio.sleep_forever()
    assert causes == [exceeded.value] * 4
    assert [each.stops for each in handles] == [1] * 4


async def test_in_a_delay_those_who_are_restarted_along_are_not_stopped_for_good(
    stage: Stage, autojump_clock: MockClock
) -> None:
    backoff = Backoff(first_seconds=10, jitter=0.0)
    specs = [*stage.specs("ab"), ChildSpec("fails", fails, args=(1,))]
    async with open_supervisor(specs, strategy="one_for_all", backoff=backoff) as supervisor:
        child = supervisor.child("a")
        with trio.move_on_after(5) as waiting:
            await outlived(child)
        assert (waiting.cancelled_caught, child.status, child.stops) == (True, "stopped", 0)
        with pytest.RaisesGroup(trio.ClosedResourceError):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(child.wait_running)
                await trio.sleep(1)
                # Nobody starts them any more once the one they wait for is given up.
                await supervisor.terminate("fails")
        assert (child.stops, child.cause) == (1, None)
