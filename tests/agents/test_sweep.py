"""A request of an agent is cancelled at every step of it: nothing is lost, nothing is left, and the next one works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

import alloy_trio
from alloy_trio import (
    Agent,
    Event,
    Overloaded,
    Result,
    Text,
    ToolError,
    ToolResult,
    ToolUse,
    open_agent,
    tool,
)
from alloy_trio.providers import Scripted
from alloy_trio.testing import (
    Disturbance,
    assert_events_well_formed,
    assert_valid_history,
    cancel_sweep,
    disturb_sweep,
)

from ._models import Entered


@tool
async def nap(seconds: float) -> str:
    """Sleep."""
    await trio.sleep(seconds)
    return "slept"


@tool
async def fails() -> str:
    """Fail after a moment."""
    await trio.sleep(0.5)
    raise ToolError("as always")


@tool(concurrent=False)
async def alone() -> str:
    """Run as a barrier."""
    await trio.sleep(0.1)
    return "done"


def three(turn: int) -> list[Any]:
    return [
        Text(f"turn {turn}"),
        ToolUse(f"{turn}a", "nap", {"seconds": 1}),
        ToolUse(f"{turn}b", "fails", {}),
        ToolUse(f"{turn}c", "alone" if turn % 2 else "nap", {} if turn % 2 else {"seconds": 2}),
    ]


def one_and_its_fallback() -> tuple[Scripted, Scripted]:
    """Six turns: two of the first, which is then overloaded, and four of the other."""
    first = Scripted([three(1), three(2), Overloaded("full", transient=True)], name="first")
    return first, Scripted([three(3), three(4), three(5), "done"], name="second")


def three_models() -> tuple[Entered, Entered, Entered]:
    """Six turns: two of the first, which is then overloaded; two of its fallback; two of one that is chosen then."""

    def model(name: str, turns: list[Any]) -> Entered:
        one = Entered(seconds=0.01, turns=0, name=name)
        one._turns = tuple(turns)
        return one

    first = model("first", [three(1), three(2), Overloaded("full", transient=True)])
    second = model("second", [three(3), three(4)])
    return first, second, model("third", [three(5), "done", *["again"] * 3])


TOOLS = [nap, fails, alone]
OPTIONS: dict[str, Any] = {"tools": TOOLS, "max_retries": 0}


class Chooses(alloy_trio.abc.Middleware):
    """Chooses another model for the agent after the fourth turn."""

    def __init__(self, third: Scripted) -> None:
        self.third = third
        self.agent: Agent | None = None

    async def tool_batch(self, calls: Any, proceed: Any, run: Any) -> Any:
        results = await proceed(calls)
        if calls[0].id == "4a" and self.agent is not None:
            self.agent.set_model(self.third)
        return results


def reported(events: list[Event]) -> int:
    """The tokens that turns have reported."""
    ends = [event.payload["usage"] for event in events if event.event == "turn_end"]
    return sum(usage["input_tokens"] + usage["output_tokens"] for usage in ends)


def check_records(result: Result) -> None:
    """Each call that is in the history has a record that says the same of it."""
    answers = {
        block.tool_use_id: block
        for message in result.messages
        for block in message.content
        if isinstance(block, ToolResult)
    }
    assert set(answers) == {record.id for record in result.tool_calls}
    for record in result.tool_calls:
        assert answers[record.id].content == record.output
        assert answers[record.id].is_error == (record.outcome != "completed")


async def by_run() -> None:
    first, second = one_and_its_fallback()
    result = await alloy_trio.run("go", provider=first, fallback_providers=[second], **OPTIONS)
    assert (result.turns, result.text) == (6, "done")


async def by_stream() -> None:
    first, second = one_and_its_fallback()
    seen: list[Event] = []
    try:
        async with alloy_trio.stream("go", provider=first, fallback_providers=[second], **OPTIONS) as events:
            async for event in events:
                seen.append(event)
    finally:
        if seen:
            result = events.result
            assert_valid_history(result.messages)
            check_records(result)
            assert result.usage.total_tokens >= reported(seen)


async def by_chat() -> None:
    first, second, third = three_models()
    chooses = Chooses(third)
    agent: Agent | None = None
    try:
        async with open_agent(
            provider=first, fallback_providers=[second], middleware=[chooses], **OPTIONS
        ) as agent:
            chooses.agent = agent
            result = await agent.chat("go")
            assert (result.turns, result.text) == (6, "done")
    finally:
        if agent is not None:
            assert_valid_history(agent.messages)
            with trio.CancelScope(shield=True):
                session = agent.export_session()
                async with open_agent(provider=Scripted(["again"]), session=session, tools=TOOLS) as next_one:
                    assert (await next_one.chat("next")).text == "again"
                    assert_valid_history(next_one.messages)
                    assert next_one.usage.total_tokens >= session.usage.total_tokens


@pytest.mark.parametrize("script", [by_run, by_stream, by_chat])
def test_six_turns_of_three_tools_over_two_models_cancelled_at_every_step(script: Any) -> None:
    report = cancel_sweep(script)
    assert report.runs == report.steps + 1 > 50


Ask = Callable[[Agent, Disturbance], Any]


async def chat_in_a_scope(agent: Agent, disturbance: Disturbance) -> Result | None:
    with trio.CancelScope() as scope:
        disturbance.arm(scope.cancel)
        return await agent.chat("go", request_id="r")
    return None


def cancels(agent: Agent) -> Callable[[], None]:
    def cancel() -> None:
        if agent.health().running == "r":
            agent.cancel("r")

    return cancel


async def chat_by_id(agent: Agent, disturbance: Disturbance) -> Result | None:
    disturbance.arm(cancels(agent))
    return await agent.chat("go", request_id="r")


async def send_by_id(agent: Agent, disturbance: Disturbance) -> Result | None:
    request = agent.send("go", request_id="r")
    disturbance.arm(cancels(agent))
    return await request.wait()


async def stream_in_a_scope(agent: Agent, disturbance: Disturbance) -> Result | None:
    seen: list[Event] = []
    with trio.CancelScope() as scope:
        disturbance.arm(scope.cancel)
        async with agent.stream("go", request_id="r") as events:
            async for event in events:
                seen.append(event)
    if not seen:
        return None
    if not scope.cancelled_caught:
        assert_events_well_formed(seen)
    assert events.result.usage.total_tokens >= reported(seen)
    return events.result


async def stream_by_id(agent: Agent, disturbance: Disturbance) -> Result | None:
    seen: list[Event] = []
    async with agent.stream("go", request_id="r") as events:
        disturbance.arm(cancels(agent))
        async for event in events:
            seen.append(event)
    assert_events_well_formed(seen)
    assert events.result.usage.total_tokens >= reported(seen)
    ends = {event.payload["start_seq"]: event.payload for event in seen if event.event == "tool_end"}
    for record in events.result.tool_calls:
        assert (record.start_seq is None) == (record.outcome == "not_started")
        if record.start_seq is not None:
            assert ends[record.start_seq]["outcome"] == record.outcome
    return events.result


@pytest.mark.parametrize("ask", [chat_in_a_scope, chat_by_id, send_by_id, stream_in_a_scope, stream_by_id])
def test_the_agent_lives_on_whatever_step_its_request_is_cancelled_at(ask: Ask) -> None:
    async def script(disturbance: Disturbance) -> None:
        models = three_models()
        chooses = Chooses(models[2])
        async with open_agent(
            provider=models[0], fallback_providers=[models[1]], middleware=[chooses], **OPTIONS
        ) as agent:
            chooses.agent = agent
            async with agent.responses() as responses:
                result = await ask(agent, disturbance)
                disturbance.disarm()
                assert agent.health().status == "idle"
                assert_valid_history(agent.messages)
                if result is not None:
                    check_records(result)
                    assert agent.messages == result.messages
                    assert agent.usage == result.usage
                    assert result.status == ("completed" if result.turns == 6 else "cancelled")
                agent.set_model(models[2])
                models[2].requests.clear()
                models[2]._turns = ("again",) * 3
                before = agent.usage
                again = await agent.chat("next")
                assert again.text == "again"
                assert_valid_history(agent.messages)
                assert agent.usage.total_tokens == before.total_tokens + again.usage.total_tokens
                published = [
                    await responses.__anext__() for _ in range(sum(agent.statistics().requests.values()))
                ]
                assert published[-1] == again
        assert [model.users for model in models] == [0, 0, 0]

    assert disturb_sweep(script).steps > 60


def test_who_asks_is_told_at_whatever_step_the_agent_ends() -> None:
    async def script(disturbance: Disturbance) -> None:
        model = Entered(seconds=0.01, turns=0)
        model._turns = (three(1), three(2), "first", "second", "third")
        came: dict[str, str] = {}
        cause = ValueError("the body")

        async def ask(agent: Agent, name: str, done: trio.Event) -> None:
            try:
                came[name] = (await agent.chat(name, request_id=name)).text
            except alloy_trio.AgentClosed as closed:
                came[name] = repr(closed.__cause__)
            if name == "c":
                done.set()

        async with trio.open_nursery() as outside:
            with pytest.raises(ValueError, match="the body"):
                async with open_agent(provider=model, tools=TOOLS, max_pending=3) as agent:
                    end = trio.Event()
                    sent = agent.send("a")
                    for name in ("b", "c"):
                        outside.start_soon(ask, agent, name, end)
                    disturbance.arm(end.set)
                    await end.wait()
                    disturbance.disarm()
                    raise cause
        assert set(came) == {"b", "c"}
        assert set(came.values()) <= {"second", "third", repr(cause)}
        assert agent.health().status == "closed"
        assert agent.health().pending == model.users == 0
        assert_valid_history(agent.messages)
        if sent.state == "finished" and "first" not in str(agent.messages):
            with pytest.raises(alloy_trio.AgentClosed) as caught:
                await sent.wait()
            assert caught.value.__cause__ is cause

    assert disturb_sweep(script).steps > 30


def test_a_sub_agent_lives_on_whatever_step_its_caller_is_cancelled_at() -> None:
    async def script(disturbance: Disturbance) -> None:
        calls = [ToolUse(str(number), "helper", {"prompt": f"part {number}"}) for number in (1, 2, 3)]
        helper_model = Entered(seconds=0.01, turns=0)
        helper_model._turns = ([ToolUse("n", "nap", {"seconds": 1})], *["answered"] * 9)
        async with open_agent(provider=helper_model, tools=TOOLS) as helper:
            parent_model = Scripted([calls, "done", "again"])
            async with open_agent(provider=parent_model, tools=[helper.as_tool("helper"), nap]) as agent:
                seen: list[Event] = []
                async with agent.stream("go", request_id="r") as events:
                    disturbance.arm(cancels(agent))
                    async for event in events:
                        seen.append(event)
                disturbance.disarm()
                assert_events_well_formed(seen)
                assert {event.parent_id for event in seen if event.correlation_id != "r"} <= {"r"}
                assert (seen[-1].event, seen[-1].correlation_id) == ("run_end", "r")
                check_records(events.result)
                for each in (agent, helper):
                    assert each.health().status == "idle"
                    assert_valid_history(each.messages)
                helper_model._turns = ("still there",) * 99
                assert (await helper.chat("are you there?")).text == "still there"
        assert helper_model.users == 0

    assert disturb_sweep(script).steps > 30
