"""Agents that work for others: as tools, and with tasks of their own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import pytest
import trio
import trio.testing

import alloy_trio
from alloy_trio import (
    Agent,
    AgentBusy,
    AgentClosed,
    ConfigurationError,
    Event,
    Overloaded,
    ServerFault,
    ToolUse,
    open_agent,
    run,
    tool,
)
from alloy_trio.providers import Scripted
from alloy_trio.testing import assert_events_well_formed, assert_valid_history

from ._models import Entered, Model, look


def calls_of(name: str, *prompts: str) -> list[ToolUse]:
    return [ToolUse(f"{name}{number}", name, {"prompt": prompt}) for number, prompt in enumerate(prompts)]


async def test_calls_of_one_turn_take_turns_in_order(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model()) as helper:
        model = Scripted([calls_of("helper", "a", "b", "c", "d"), "done"])
        result = await run("go", provider=model, tools=[helper.as_tool("helper")])
        assert [record.output for record in result.tool_calls] == ["a (1)", "b (3)", "c (5)", "d (7)"]
        assert [record.data["usage"]["output_tokens"] for record in result.tool_calls] == [2] * 4
        assert helper.usage.output_tokens == 8
        assert trio.current_time() == 4


async def test_three_levels_of_events_form_a_chain_without_gaps(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model()) as lowest:
        middle_model = Model(
            lambda request: calls_of("lowest", "x", "y") if len(request.messages) == 1 else "ok"
        )
        async with open_agent(provider=middle_model, tools=[lowest.as_tool("lowest")]) as middle:
            top_model = Scripted([calls_of("middle", "m"), "done"])
            async with open_agent(
                provider=top_model, tools=[middle.as_tool("middle")], event_buffer=2
            ) as top:
                async with top.stream("go", request_id="top") as events:
                    seen = [event async for event in events]
    assert_events_well_formed(seen)
    parents = {event.correlation_id: event.parent_id for event in seen}
    (in_middle,) = (run for run, parent in parents.items() if parent == "top")
    in_lowest = [run for run, parent in parents.items() if parent == in_middle]
    assert len(in_lowest) == 2 and len(parents) == 4
    assert (seen[-1].correlation_id, seen[-1].event) == ("top", "run_end")
    ends = [event.correlation_id for event in seen if event.event == "run_end"]
    assert ends == [*in_lowest, in_middle, "top"]


async def test_nothing_is_told_of_what_a_request_has_left_behind(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def leave(context: alloy_trio.ToolContext) -> str:
        """Start something in a nursery outside of the request."""

        async def later() -> None:
            results.append(await context.agent.delegate("later", provider=Model(seconds=5)))

        outside.start_soon(later)
        await trio.sleep(2)
        return "left"

    results: list[alloy_trio.Result] = []
    async with open_agent(provider=Scripted([[ToolUse("1", "leave", {})], "done"]), tools=[leave]) as agent:
        async with trio.open_nursery() as outside:
            async with agent.stream("go", request_id="top") as events:
                seen = [event async for event in events]
            assert agent.health().delegated == 1
        assert agent.health().delegated == 0
    assert results[0].text == "later (1)"
    of_later = [event for event in seen if event.correlation_id != "top"]
    assert [event.event for event in of_later] == ["run_start", "turn_start"]
    assert seen[-1].correlation_id == "top"


async def test_a_task_that_was_left_behind_may_ask_again_once_the_request_has_ended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def leave(context: alloy_trio.ToolContext) -> str:
        """Start something that asks."""

        async def ask(seconds: float) -> None:
            await trio.sleep(seconds)
            try:
                came.append((await context.agent.chat(f"after {seconds}")).text)
            except AgentBusy as busy:
                came.append(str(busy))

        outside.start_soon(ask, 1)
        outside.start_soon(ask, 10)
        await trio.sleep(2)
        return "left"

    came: list[str] = []
    model = Scripted([[ToolUse("1", "leave", {})], "done", "answered"])
    async with open_agent(provider=model, tools=[leave], max_pending=3) as agent:
        async with trio.open_nursery() as outside:
            await agent.chat("go")
    assert "inside of its own request" in came[0]
    assert came[1] == "answered"


async def test_an_agent_that_asks_itself_over_others_is_refused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    b_model = Model(lambda request: calls_of("a", "back") if len(request.messages) == 1 else "b is done")
    a_model = Model(lambda request: calls_of("b", "there") if len(request.messages) == 1 else "a is done")

    @tool(name="a")
    async def ask_a(prompt: str) -> str:
        """Ask the agent a."""
        return (await a.as_tool("a").execute({"prompt": prompt}, alloy_trio.ToolContext())).text

    async with open_agent(provider=b_model, tools=[ask_a], max_pending=9) as b:
        async with open_agent(provider=a_model, tools=[b.as_tool("b")], max_pending=9) as a:
            with trio.fail_after(60):
                result = await a.chat("go")
            assert result.text == "a is done"
            assert result.tool_calls[0].output == "b is done"
            told = b.messages[-2].content[0]
            assert "wait for itself" in str(told)


async def test_agents_that_ask_each_other_from_requests_of_their_own_do_not_deadlock(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A's request asks B while B's asks A: who comes second is refused, and both answer."""

    def asks(name: str) -> Any:
        return lambda request: calls_of(name, "help") if len(request.messages) == 1 else "done"

    others: dict[str, Agent] = {}

    def ask(name: str) -> Any:
        @tool(name=name)
        async def ask_other(prompt: str) -> str:
            """Ask the other agent."""
            return (await others[name].chat(prompt)).text

        return ask_other

    async with (
        open_agent(provider=Model(asks("b")), tools=[ask("b")], max_pending=9) as a,
        open_agent(provider=Model(asks("c")), tools=[ask("c")], max_pending=9) as b,
        open_agent(provider=Model(asks("a")), tools=[ask("a")], max_pending=9) as c,
    ):
        others.update(a=a, b=b, c=c)
        with trio.fail_after(60):
            requests = [agent.send("go") for agent in (a, b, c)]
            results = [await request.wait() for request in requests]
        assert [result.text for result in results] == ["done"] * 3
        refused = [
            record.output
            for result in results
            for record in result.tool_calls
            if record.outcome == "failed" and "both for ever" in record.output
        ]
        assert len(refused) == 1
        for agent in (a, b, c):
            assert_valid_history(agent.messages)
            assert agent.health().status == "idle"


async def test_waiting_for_what_was_sent_to_oneself_is_refused(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def send(context: alloy_trio.ToolContext) -> str:
        """Send, and wait."""
        request = context.agent.send("later", request_id="later")
        with pytest.raises(AgentBusy, match="wait for itself"):
            await request.wait()
        requests.append(request)
        return "sent"

    requests: list[alloy_trio.Request] = []
    model = Scripted([[ToolUse("1", "send", {})], "done", "answered"])
    async with open_agent(provider=model, tools=[send], max_pending=1) as agent:
        with trio.fail_after(60):
            await agent.chat("go")
            assert (await requests[0].wait()).text == "answered"


async def test_cancelling_the_parent_cancels_the_helper_and_both_remember(
    autojump_clock: trio.testing.MockClock,
) -> None:
    helper_model = Entered(answer=[ToolUse("1", "look", {})], seconds=0)
    async with open_agent(provider=helper_model, tools=[look]) as helper:
        model = Scripted([calls_of("helper", "a", "b"), "never", "next"])
        async with open_agent(provider=model, tools=[helper.as_tool("helper")]) as agent:
            request = agent.send("go")
            await trio.sleep(0.5)
            request.cancel()
            result = await request.wait()
            assert result.status == "cancelled"
            assert [record.outcome for record in result.tool_calls] == ["interrupted", "interrupted"]
            assert [helper.health().status, helper.health().pending] == ["idle", 0]
            assert helper.statistics().requests == {"cancelled": 2}
            assert len(helper.messages) == 3  # the second never ran
            assert_valid_history(helper.messages)
            assert_valid_history(agent.messages)
    assert helper_model.users == 0


@pytest.mark.parametrize(
    ("turns", "words"),
    [
        ([ServerFault("no", transient=False)], "helper failed: no"),
        ([[ToolUse("1", "missing", {})], "found"], "found"),
    ],
)
async def test_what_a_helper_comes_to_is_told_to_the_model(
    turns: Sequence[Any], words: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_agent(provider=Scripted(turns)) as helper:
        model = Scripted([calls_of("helper", "x"), "done"])
        result = await run("go", provider=model, tools=[helper.as_tool("helper")])
        assert result.status == "completed"
        assert words in result.tool_calls[0].output


async def test_a_helper_that_has_ended_is_told_too(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model()) as helper:
        ask = helper.as_tool("helper")
    model = Scripted([calls_of("helper", "x"), "done"])
    result = await run("go", provider=model, tools=[ask])
    assert "has ended" in result.tool_calls[0].output


async def test_a_helper_that_ends_meanwhile_is_told_too(autojump_clock: trio.testing.MockClock) -> None:
    async def ask() -> None:
        model = Scripted([calls_of("helper", "x"), "done"])
        result = await run("go", provider=model, tools=[ask_helper])
        assert "has ended" in result.tool_calls[0].output

    async with trio.open_nursery() as nursery:
        async with open_agent(provider=Model(seconds=100)) as helper:
            ask_helper = helper.as_tool("helper")
            nursery.start_soon(ask)
            await trio.sleep(1)


async def test_delegating_outside_of_a_run_is_a_run_of_its_own(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model(), tools=[look], system_prompt="Be brief.") as agent:
        await agent.chat("earlier")
        async with trio.open_nursery() as nursery:
            results: list[alloy_trio.Result] = []

            async def delegate(prompt: str) -> None:
                results.append(await agent.delegate(prompt, max_turns=3))

            for prompt in "ab":
                nursery.start_soon(delegate, prompt)
            await trio.sleep(0.5)
            assert (agent.health().status, agent.health().delegated) == ("idle", 2)
        assert sorted(result.text for result in results) == ["a (1)", "b (1)"]
        assert len(agent.messages) == 2
        assert agent.statistics().delegated == 2
        assert agent.statistics().turns == 3
        with pytest.raises(ConfigurationError, match="no option"):
            await agent.delegate("x", max_turn=3)  # type: ignore[call-arg]
        with pytest.raises(ConfigurationError, match="prompt is empty"):
            await agent.delegate("")


async def test_delegated_work_ends_with_the_agent_and_counts_what_it_used(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def delegate(agent: Agent) -> None:
        with pytest.raises(AgentClosed):
            await agent.delegate("x")

    model = Model(lambda request: [ToolUse("", "look", {})], seconds=0.25)
    async with trio.open_nursery() as nursery:
        async with open_agent(provider=model, tools=[look]) as agent:
            nursery.start_soon(delegate, agent)
            await trio.sleep(3)
    assert agent.statistics().turns == 3
    assert agent.usage.output_tokens > 0


async def test_a_delegated_task_may_ask_its_agent_unless_that_waits_for_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def ask(context: alloy_trio.ToolContext) -> str:
        """Ask the agent."""
        return (await context.agent.chat("what do you know?")).text

    def answer(request: Any) -> Any:
        said = request.messages[-1].text
        return [ToolUse("", "ask", {})] if said == "delegated" else f"{said}!"

    async with open_agent(provider=Model(answer), tools=[ask], max_pending=3) as agent:
        with trio.fail_after(60):
            result = await agent.delegate("delegated")
        assert result.tool_calls[0].output == "what do you know?!"


async def test_a_plain_function_delegates_from_its_thread() -> None:
    @tool
    def hand_over(context: alloy_trio.ToolContext) -> str:
        """Delegate from a thread."""
        return str(trio.from_thread.run(context.agent.delegate, "the task").text)

    def answer(request: Any) -> Any:
        first = request.messages[-1].text
        return [ToolUse("", "hand_over", {})] if first == "go" else f"did {first}"

    async with open_agent(provider=Model(answer, seconds=0), tools=[hand_over]) as agent:
        async with agent.stream("go", request_id="top") as events:
            seen: list[Event] = [event async for event in events]
        assert events.result.tool_calls[0].output == "did the task"
        assert {event.parent_id for event in seen if event.correlation_id != "top"} == {"top"}
        assert_events_well_formed(seen)
        assert agent.statistics().delegated == 1


async def test_a_plain_function_may_not_wait_for_its_own_agent() -> None:
    @tool
    def ask(context: alloy_trio.ToolContext) -> str:
        """Ask from a thread."""
        with pytest.raises(AgentBusy, match="wait for itself"):
            trio.from_thread.run(context.agent.chat, "x")
        return "refused"

    model = Scripted([[ToolUse("1", "ask", {})], "done"])
    async with open_agent(provider=model, tools=[ask], max_pending=3) as agent:
        with trio.fail_after(60):
            assert (await agent.chat("go")).tool_calls[0].output == "refused"


async def test_delegated_work_finds_the_context_that_it_was_told_to_find(
    autojump_clock: trio.testing.MockClock, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "AGENTS.md").write_text("speak plainly")
    model = Model(seconds=0)
    async with open_agent(provider=model, working_directory=tmp_path) as agent:
        await agent.delegate("x", discover_context=True)
        await agent.delegate("x")
    assert "speak plainly" in str(model.requests[0].system)
    assert model.requests[1].system is None


async def test_retries_of_a_helper_are_told_in_the_stream_of_its_caller(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    helper_model = Scripted([Overloaded("full", transient=True), "at last"])
    with caplog.at_level(logging.ERROR):
        async with open_agent(provider=helper_model) as helper:
            model = Scripted([calls_of("helper", "x"), "done"])
            async with alloy_trio.stream("go", provider=model, tools=[helper.as_tool("helper")]) as events:
                seen = [event async for event in events]
    assert [event.event for event in seen if event.event == "retry"] == ["retry"]
    assert events.result.tool_calls[0].output == "at last"
    assert caplog.records == []
