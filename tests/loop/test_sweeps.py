"""A run over six turns, three tools and two models is cancelled, disturbed and rescheduled everywhere: by the kit."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
import trio.testing

from alloy_trio import (
    Overloaded,
    Result,
    Text,
    ToolContext,
    ToolError,
    ToolUse,
    open_agent,
    run,
    stream,
    tool,
)
from alloy_trio.providers import Scripted
from alloy_trio.testing import cancel_sweep, fault_sweep, once, schedule_sweep

Script = Callable[[], Awaitable[Result]]

SCHEDULES = 5_000 if os.environ.get("ALLOY_TRIO_FULL") == "1" else 60


@tool
async def nap(seconds: float) -> str:
    """Sleep."""
    await trio.sleep(seconds)
    return "slept"


@tool
async def write(line: str, context: ToolContext) -> str:
    """Write something down, once."""
    await context.progress("a moment")
    await trio.sleep(0.2)
    once(line)
    return "written"


@tool(concurrent=False, timeout=5)
async def alone(line: str) -> str:
    """Fail by itself."""
    await trio.sleep(0.1)
    raise ToolError(f"{line} as always")


TOOLS = [nap, write, alone]


def three(turn: int) -> list[Any]:
    return [
        Text(f"This is turn {turn}."),
        ToolUse(f"{turn}a", "nap", {"seconds": 1}),
        ToolUse(f"{turn}b", "write", {"line": f"line {turn}"}),
        ToolUse(f"{turn}c", "alone" if turn % 2 else "nap", {"line": "x"} if turn % 2 else {"seconds": 0.5}),
    ]


def options() -> dict[str, Any]:
    """Six turns: two of the first model, which is then overloaded, and four of the other."""
    spare = ["taken over"] * 3
    first = Scripted([three(1), three(2), Overloaded("full"), *spare], name="first")
    second = Scripted([three(3), three(4), three(5), "done", *spare], name="second")
    return {"provider": first, "fallback_providers": [second], "tools": TOOLS, "max_retries": 0}


async def run_it() -> Result:
    return await run("go", **options())


async def stream_it() -> Result:
    async with stream("go", **options()) as events:
        async for _ in events:
            pass
    return events.result


async def chat_with_it() -> Result:
    async with open_agent(**options()) as agent:
        return await agent.chat("go")


async def stream_a_chat() -> Result:
    async with open_agent(**options()) as agent, agent.stream("go") as events:
        async for _ in events:
            pass
    return events.result


SCRIPTS = [run_it, stream_it, chat_with_it, stream_a_chat]


@pytest.mark.parametrize("script", SCRIPTS)
async def test_the_script_is_what_it_says(script: Script, autojump_clock: trio.testing.MockClock) -> None:
    result = await script()
    assert (result.text, result.turns, len(result.tool_calls)) == ("done", 6, 15)


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_is_cancelled_before_each_of_its_steps(script: Script) -> None:
    report = cancel_sweep(script)
    assert report.runs == report.steps + 1 > 60


@pytest.mark.parametrize("script", SCRIPTS)
def test_each_exchange_and_each_execution_goes_wrong_in_each_way(script: Script) -> None:
    report = fault_sweep(script)
    # Seven exchanges, one of which fails by itself, and fifteen executions with five faults each.
    assert report.runs > 1 + 7 * 6 + 15 * 5


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_comes_to_the_same_under_many_schedules(script: Script) -> None:
    def essence(result: Result) -> object:
        calls = [(record.id, record.outcome, record.output) for record in result.tool_calls]
        return result.status, result.text, result.messages, result.usage, calls

    assert schedule_sweep(script, seeds=range(SCHEDULES), same=essence).runs == SCHEDULES
