"""The sweeps find what is wrong, and nothing in what is right."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest
import trio

from alloy_trio import Completion, CompletionRequest, Message, ToolUse, Usage, run, stream, tool
from alloy_trio.abc import Provider
from alloy_trio.providers import Scripted
from alloy_trio.testing import SweepFailure, cancel_sweep


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

    with pytest.raises(SweepFailure, match="mine") as caught:
        cancel_sweep(wrong)
    assert caught.value.at > 1


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
