"""The sweeps find what is wrong, and nothing in what is right."""

from __future__ import annotations

import subprocess
import time
from typing import Any

import pytest
import trio
import trio.testing

from alloy_trio import Completion, CompletionRequest, Message, ToolUse, Usage, open_agent, run, stream, tool
from alloy_trio.abc import Provider
from alloy_trio.providers import Scripted
from alloy_trio.testing import Disturbance, SweepFailure, cancel_sweep, disturb_sweep, run_seeded


@tool
async def nap(seconds: float) -> str:
    """Sleep."""
    await trio.sleep(seconds)
    return "slept"


def naps() -> list[ToolUse]:
    return [ToolUse(str(number), "nap", {"seconds": number}) for number in (1, 2, 3)]


async def plain() -> None:
    result = await run("x", provider=Scripted([naps(), naps(), "done"]), tools=[nap])
    assert result.text == "done"


async def streamed() -> None:
    async with stream("x", provider=Scripted([naps(), naps(), "done"]), tools=[nap]) as events:
        async for _ in events:
            pass


@pytest.mark.parametrize("script", [plain, streamed])
def test_a_sound_script_passes_at_every_step(script: Any) -> None:
    report = cancel_sweep(script)
    assert report.runs == report.steps + 1 > 20
    assert report.results >= report.runs - 3


def test_a_script_that_fails_by_itself_is_told_apart() -> None:
    async def wrong() -> None:
        await trio.sleep(1)
        raise ValueError("mine")

    with pytest.raises(SweepFailure, match="undisturbed: ValueError: mine") as caught:
        cancel_sweep(wrong)
    assert caught.value.at == 0


def test_a_task_that_leaves_through_a_system_nursery_is_found() -> None:
    @tool
    async def leak() -> str:
        """Leave a task."""
        trio.lowlevel.spawn_system_task(trio.sleep_forever, name="leaked")
        return "ok"

    async def script() -> None:
        await run("x", provider=Scripted([[ToolUse("1", "leak", {})], "done"]), tools=[leak])

    with pytest.raises(SweepFailure, match="leaked") as caught:
        cancel_sweep(script)
    with pytest.raises(SweepFailure, match="leaked"):
        cancel_sweep(script, only=caught.value.at)
    cancel_sweep(script, only=1)


def test_a_process_that_stays_is_found() -> None:
    left: list[subprocess.Popen[bytes]] = []

    @tool
    async def leak() -> str:
        """Leave a process."""
        left.append(subprocess.Popen(["sleep", "60"]))  # noqa: ASYNC220 - a tool as bad ones are
        return "ok"

    async def script() -> None:
        await run("x", provider=Scripted([[ToolUse("1", "leak", {})], "done"]), tools=[leak])

    try:
        with pytest.raises(SweepFailure, match=r"process: [0-9]+ sleep 60"):
            cancel_sweep(script)
    finally:
        for process in left:
            process.kill()
            process.wait()


class Swallows(Provider):
    """Takes a cancel for an answer."""

    name = "swallows"
    model = "m"

    async def complete(self, request: CompletionRequest) -> Completion:
        while True:
            try:
                await trio.sleep(1)
            except trio.Cancelled:
                continue
            return Completion(Message.assistant("ok"), "end_turn", Usage(), "m", None)


def test_a_provider_that_swallows_a_cancel_for_ever_is_found() -> None:
    async def script() -> None:
        await run("x", provider=Swallows())

    with pytest.raises(SweepFailure, match="swallow"):
        cancel_sweep(script)


def test_a_stop_that_takes_its_time_is_found() -> None:
    @tool
    async def slow() -> str:
        """Clean up slowly."""
        try:
            await trio.sleep(1)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(30)
        return "ok"

    async def script() -> None:
        await run("x", provider=Scripted([[ToolUse("1", "slow", {})], "done"]), tools=[slow])

    with pytest.raises(SweepFailure, match=r"went on for 30\.000 s"):
        cancel_sweep(script)


def test_a_stop_that_never_comes_is_found_and_ended() -> None:
    @tool
    async def stuck() -> str:
        """Clean up for ever."""
        try:
            await trio.sleep(1)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()
        return "ok"

    async def script() -> None:
        with trio.move_on_after(0.5):
            await run("x", provider=Scripted([[ToolUse("1", "stuck", {})], "done"]), tools=[stuck])

    with pytest.raises(SweepFailure, match=r"waits for ever(.|\n)*test_sweeps:[0-9]+ stuck"):
        cancel_sweep(script, only=3)


def test_by_a_real_clock_a_script_that_waits_for_ever_is_found_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alloy_trio.testing._trial.LONGEST_SECONDS", 0.05)

    async def script() -> None:
        with trio.CancelScope(shield=True):
            await trio.Event().wait()

    with pytest.raises(SweepFailure, match="waits for ever"):
        cancel_sweep(script, clock="real")


def test_by_a_real_clock_threads_and_processes_are_waited_for() -> None:
    @tool
    def plain_sum() -> int:
        """Add."""
        return 1 + 1

    async def script() -> None:
        await run("x", provider=Scripted([[ToolUse("1", "plain_sum", {})], "done"]), tools=[plain_sum])
        await trio.run_process(["true"])

    report = cancel_sweep(script, clock="real", prompt_seconds=30)
    assert report.runs > 10


def test_with_the_mock_clock_threads_are_waited_for() -> None:
    def slow() -> None:
        time.sleep(0.01)  # a thread's; the mock clock stands still meanwhile

    async def script() -> None:
        await trio.to_thread.run_sync(slow)

    assert cancel_sweep(script).runs > 2


def test_a_script_that_waits_until_all_others_wait_is_not_taken_for_stuck() -> None:
    async def script() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()

    assert cancel_sweep(script).runs > 3


def test_the_schedule_of_a_sweep_is_that_of_a_seeded_run() -> None:
    orders: list[list[int]] = []

    async def script() -> None:
        order: list[int] = []

        async def member(number: int) -> None:
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(member, number)
        orders.append(order)

    run_seeded(script, seed=5)
    cancel_sweep(script, seed=5, only=10_000)
    assert orders[0] == orders[1]


def test_a_script_disturbs_itself_and_goes_on() -> None:
    seen: list[str] = []

    async def script(disturbance: Disturbance) -> None:
        async with open_agent(provider=Scripted([naps(), "first", *["second"] * 2]), tools=[nap]) as agent:
            with trio.CancelScope() as scope:
                disturbance.arm(scope.cancel)
                await agent.chat("x")
            disturbance.disarm()
            seen.append((await agent.chat("y")).text)

    report = disturb_sweep(script)
    assert report.runs == len(seen) == report.steps + 1 > 10
    assert set(seen) == {"first", "second"}


def test_a_disturbance_that_breaks_something_is_found_at_its_step() -> None:
    async def script(disturbance: Disturbance) -> None:
        broken: list[int] = []
        await trio.lowlevel.checkpoint()
        disturbance.arm(lambda: broken.append(1))
        for _ in range(3):
            await trio.lowlevel.checkpoint()
        assert not broken or disturbance.at != 2, "broken"

    with pytest.raises(SweepFailure, match="disturbed before step 2: broken") as caught:
        disturb_sweep(script)
    with pytest.raises(SweepFailure):
        disturb_sweep(script, only=caught.value.at)
    disturb_sweep(script, only=1)

    async def raises(disturbance: Disturbance) -> None:
        disturbance.arm(lambda: 1 / 0)
        await trio.lowlevel.checkpoint()

    with pytest.raises(SweepFailure, match="the disturbance itself failed: ZeroDivisionError"):
        disturb_sweep(raises)
