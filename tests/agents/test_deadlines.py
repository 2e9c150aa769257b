"""A deadline around ``chat`` bounds all that is below it, however deep, and what was done until then is kept."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
import trio
import trio.testing

import alloy_trio
from alloy_trio import (
    Compaction,
    Completion,
    CompletionRequest,
    Overloaded,
    RateLimited,
    ToolPolicy,
    ToolUse,
    Usage,
    open_agent,
    tool,
)
from alloy_trio.agents import Agent
from alloy_trio.providers import Scripted
from alloy_trio.testing import assert_valid_history

from ._models import Model

LIMIT = 10.0
HANG = 10_000.0


async def too_slow(agent: Agent, question: str = "go") -> None:
    """Ask with a deadline, and see that it holds to the second and that the agent is as good as before."""
    start = trio.current_time()
    with pytest.raises(trio.TooSlowError):
        with trio.fail_after(LIMIT):
            await agent.chat(question)
    assert trio.current_time() - start == LIMIT
    assert_valid_history(agent.messages)
    assert (agent.health().status, agent.health().pending) == ("idle", 0)


@tool
async def hang(context: alloy_trio.ToolContext) -> str:
    """Take for ever."""
    assert context.deadline <= trio.current_time() + LIMIT
    await trio.sleep(HANG)
    return "never"


@tool
async def hand_over(context: alloy_trio.ToolContext) -> str:
    """Delegate."""
    return str((await context.agent.delegate("x", provider=Model(seconds=HANG))).text)


CALL = [ToolUse("1", "hang", {}), ToolUse("2", "hang", {})]


async def test_the_model(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model(seconds=HANG)) as agent:
        await too_slow(agent)


async def test_the_line(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model(seconds=HANG), max_pending=2) as agent:
        running = agent.send("before")
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(LIMIT):
                await agent.chat("go")
        assert (agent.health().running, agent.health().pending) == (running.id, 0)


async def test_tools(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Scripted([CALL, "after"]), tools=[hang], tool_timeout=HANG) as agent:
        await too_slow(agent)
        assert [result.is_error for result in agent.messages[-1].content] == [True, True]  # type: ignore[union-attr]
        assert (await agent.chat("next")).text == "after"


@pytest.mark.parametrize(
    "error",
    [Overloaded("full", transient=True), RateLimited("slow down", transient=True, retry_after=4.0)],
    ids=["backoff", "Retry-After"],
)
async def test_retries_end_early_when_the_next_would_come_too_late(
    error: Any, autojump_clock: trio.testing.MockClock
) -> None:
    """Nobody sleeps past a deadline: the error is told while there is time to do something about it."""
    model = Scripted([error] * 50)
    async with open_agent(provider=model, max_retries=49, retry_backoff=1.0) as agent:
        with pytest.raises((type(error), trio.TooSlowError)):
            with trio.fail_after(LIMIT):
                await agent.chat("go")
        assert trio.current_time() <= LIMIT
        assert 2 <= len(model.requests) < 49
        assert agent.health().status == "idle"


async def test_retries_of_a_model_that_takes_its_time(autojump_clock: trio.testing.MockClock) -> None:
    def fail(request: CompletionRequest) -> Any:
        raise Overloaded("full", transient=True)

    async with open_agent(provider=Model(fail, seconds=3), max_retries=99, retry_backoff=0.0) as agent:
        await too_slow(agent)


async def test_compaction(autojump_clock: trio.testing.MockClock) -> None:
    class Large(Scripted):
        async def answer(self, request: CompletionRequest) -> Any:
            if "summary" in str(request.messages[-1].text).lower():
                asked.append(request)
                await trio.sleep(HANG)
            completion = Completion(
                alloy_trio.Message.assistant("word " * 400), "end_turn", Usage(), self.model, None
            )
            return attrs.evolve(completion, usage=Usage(input_tokens=5_000, output_tokens=400))

    asked: list[CompletionRequest] = []
    async with open_agent(
        provider=Large(["x"] * 99),
        max_tokens=6_000,
        compaction=Compaction(reserve_tokens=1_000, keep_recent_tokens=500),
    ) as agent:
        for number in range(40):
            with trio.move_on_after(LIMIT) as scope:
                await agent.chat(f"question {number} " + "filler " * 100)
            if scope.cancelled_caught:
                break
        assert asked, "the conversation was never summarised"
        assert scope.cancelled_caught
        assert trio.current_time() == LIMIT
        assert_valid_history(agent.messages)
        assert agent.health().status == "idle"


async def test_an_approval_that_waits(autojump_clock: trio.testing.MockClock) -> None:
    async def nobody(call: Any, run: Any) -> Any:
        waiting.append(call.name)
        await trio.sleep(HANG)

    waiting: list[str] = []
    policy = ToolPolicy(ask=("hang",), approver=nobody)
    async with open_agent(provider=Scripted([CALL]), tools=[hang], middleware=[policy]) as agent:
        await too_slow(agent)
        assert waiting == ["hang", "hang"]


async def test_a_sub_agent_and_what_it_waits_for(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Scripted([CALL]), tools=[hang], tool_timeout=HANG) as lowest:
        in_middle = Scripted([[ToolUse("1", "lowest", {"prompt": "x"})]])
        async with open_agent(provider=in_middle, tools=[lowest.as_tool("lowest")]) as middle:
            in_top = Scripted([[ToolUse("1", "middle", {"prompt": "x"})]])
            async with open_agent(provider=in_top, tools=[middle.as_tool("middle")]) as top:
                await too_slow(top)
                for agent in (middle, lowest):
                    assert agent.health().status == "idle"
                    assert_valid_history(agent.messages)
                    assert agent.statistics().requests == {"cancelled": 1}


async def test_a_delegated_task(autojump_clock: trio.testing.MockClock) -> None:
    model = Scripted([[ToolUse("1", "hand_over", {})]])
    async with open_agent(provider=model, tools=[hand_over], tool_timeout=HANG) as agent:
        await too_slow(agent)
        assert agent.health().delegated == 0


async def test_a_stream_and_its_slow_reader(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model(seconds=0), event_buffer=1) as agent:
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(LIMIT):
                async with agent.stream("go") as events:
                    async for _ in events:
                        await trio.sleep(HANG)
        assert trio.current_time() == LIMIT
        assert events.result.status in ("cancelled", "completed")
        assert agent.health().status == "idle"


async def test_the_option_bounds_what_was_sent_too(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(
        provider=Scripted([CALL, "after"]), tools=[hang], timeout=LIMIT, tool_timeout=HANG
    ) as agent:
        result = await agent.send("go").wait()
        assert (result.status, trio.current_time()) == ("timeout", LIMIT)
        assert agent.messages == result.messages
        assert (await agent.chat("next")).text == "after"
