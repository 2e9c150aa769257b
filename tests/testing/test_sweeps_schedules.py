"""Schedule sweeps run a script in many orders, and compare what it comes to."""

from __future__ import annotations

import pytest
import trio

from alloy_trio import ConfigurationError, ToolUse, run, tool
from alloy_trio.abc import Provider
from alloy_trio.providers import Scripted
from alloy_trio.testing import SweepFailure, run_seeded, schedule_sweep


async def shuffled() -> list[int]:
    order: list[int] = []

    async def member(number: int) -> None:
        order.append(number)

    async with trio.open_nursery() as nursery:
        for number in range(4):
            nursery.start_soon(member, number)
    return order


def test_each_seed_is_a_schedule_of_its_own_and_always_the_same() -> None:
    seen: list[tuple[int, ...]] = []

    async def script() -> None:
        seen.append(tuple(await shuffled()))

    report = schedule_sweep(script, seeds=range(300))
    assert report.runs == 300
    assert len(set(seen)) == 24
    once = list(seen)
    seen.clear()
    schedule_sweep(script, seeds=range(300))
    assert seen == once


def test_what_must_be_the_same_under_all_schedules_is_compared() -> None:
    schedule_sweep(shuffled, seeds=range(50), same=sorted)
    with pytest.raises(SweepFailure, match=r"it came to .*, and with seed 0 to") as caught:
        schedule_sweep(shuffled, seeds=range(50), same=lambda order: order)
    at = caught.value.at
    with pytest.raises(
        SweepFailure, match=rf"run just that with schedule_sweep\(shuffled, seeds=\[0, {at}\]"
    ):
        schedule_sweep(shuffled, seeds=[0, at], same=lambda order: order)


def test_the_first_seed_that_shows_something_is_named_with_the_run_in_which_it_shows() -> None:
    @tool
    async def nap() -> str:
        """Sleep."""
        await trio.sleep(1)
        return "slept"

    async def script() -> None:
        await run("x", provider=Scripted([[ToolUse("1", "nap", {})], "done"]), tools=[nap])
        assert (await shuffled())[0] != 3, "the last came first"

    with pytest.raises(SweepFailure, match=r"seed [0-9]+: the last came first") as caught:
        schedule_sweep(script)
    assert "execution 1, nap (1): returned" in str(caught.value)
    with pytest.raises(SweepFailure):
        schedule_sweep(script, seeds=[caught.value.at])
    with pytest.raises(AssertionError, match="the last came first"):
        run_seeded(script, seed=caught.value.at)


def test_a_deadlock_is_found_and_ended() -> None:
    async def script() -> None:
        locks = trio.Lock(), trio.Lock()

        async def both(first: trio.Lock, second: trio.Lock) -> None:
            async with first, second:
                pass

        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(both, *locks)
                nursery.start_soon(both, *reversed(locks))

    with pytest.raises(SweepFailure, match="waits for ever"):
        schedule_sweep(script, seeds=range(20))


def test_tasks_that_step_for_ever_are_found_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alloy_trio.testing._trial.MOST_STEPS", 1_000)

    async def script() -> None:
        while True:
            await trio.lowlevel.checkpoint()

    with pytest.raises(SweepFailure, match="more than 1000 steps"):
        schedule_sweep(script, seeds=[0])


def test_no_seeds_are_an_error_and_not_a_success() -> None:
    with pytest.raises(ConfigurationError, match="no seeds"):
        schedule_sweep(shuffled, seeds=[])


def test_providers_are_as_they_were_after_a_sweep() -> None:
    before = Provider.stream, Scripted.stream, vars(Provider).get("__init_subclass__")
    schedule_sweep(shuffled, seeds=[0])
    with pytest.raises(SweepFailure):
        schedule_sweep(shuffled, seeds=[0, 1, 2, 3], same=tuple)
    assert before == (Provider.stream, Scripted.stream, vars(Provider).get("__init_subclass__"))
