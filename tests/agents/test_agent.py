"""``open_agent``: a conversation, its queue, and its end."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import alloy_trio
from alloy_trio import (
    Agent,
    AgentBusy,
    AgentClosed,
    Broadcast,
    CompletionRequest,
    Event,
    Message,
    QueueFull,
    RequestNotFound,
    Result,
    ServerFault,
    ToolError,
    ToolUse,
    open_agent,
    tool,
)
from alloy_trio.abc import Middleware
from alloy_trio.providers import Scripted
from alloy_trio.tools import scratchpad
from alloy_trio.wire import problems


def echo(request: CompletionRequest) -> str:
    """Answer with the last words of the user and how many messages there are."""
    return f"{request.messages[-1].text} ({len(request.messages)})"


class Model(Scripted):
    """As many answers as there are questions, each after a second."""

    def __init__(self, answer: Any = echo, turns: int = 100, seconds: float = 1.0) -> None:
        super().__init__([answer] * turns)
        self.seconds = seconds

    async def complete(self, request: CompletionRequest) -> alloy_trio.Completion:
        await trio.sleep(self.seconds)
        return await super().complete(request)


async def test_a_conversation_goes_on_from_question_to_question(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model()) as agent:
        assert (await agent.chat("one")).text == "one (1)"
        assert (await agent.chat("two")).text == "two (3)"
        assert len(agent.messages) == 4
        assert agent.statistics().requests == {"completed": 2}
        before = agent.usage
        third = await agent.chat("three")
        assert agent.usage == before + third.usage == agent.statistics().usage


async def test_events_of_a_streamed_request(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model()) as agent:
        async with agent.stream("one", request_id="r-1") as events:
            seen = [event async for event in events]
        assert (seen[0].event, seen[-1].event) == ("run_start", "run_end")
        assert {event.correlation_id for event in seen} == {"r-1"}
        assert events.result.text == "one (1)"
        assert agent.messages == events.result.messages


async def test_requests_run_one_at_a_time_in_order(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model(), max_pending=2) as agent:
        requests = [agent.send(name) for name in ("a", "b", "c")]
        with pytest.raises(QueueFull):
            agent.send("d")
        with pytest.raises(QueueFull):
            await agent.chat("d")
        results = [await request.wait() for request in requests]
        assert [result.text for result in results] == ["a (1)", "b (3)", "c (5)"]


async def test_without_a_queue_a_second_request_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model()) as agent:
        request = agent.send("a")
        with pytest.raises(AgentBusy):
            await agent.chat("b")
        with pytest.raises(AgentBusy):
            agent.reset()
        await request.wait()
        agent.reset()
        assert (await agent.chat("c")).text == "c (1)"


async def test_a_queued_and_a_running_request_can_be_cancelled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model(), max_pending=5) as agent:
        first, second, third = (agent.send(name, request_id=name) for name in "abc")
        async with agent.responses() as responses:
            await trio.sleep(0.5)
            agent.cancel("b")
            agent.cancel("a")
            assert (await first.wait()).status == "cancelled"
            assert (await second.wait()).status == "cancelled"
            assert (await third.wait()).text == "c (2)"
            seen = [(await responses.__anext__()).request_id for _ in range(3)]
        assert seen == ["b", "a", "c"]
        with pytest.raises(RequestNotFound):
            agent.cancel("a")


async def test_a_request_cancelled_in_the_queue_gives_only_run_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model(), max_pending=1) as agent:
        first = agent.send("a")
        async with agent.stream("b", request_id="b") as events:
            agent.cancel("b")
            seen: list[Event] = [event async for event in events]
        assert [(event.event, event.seq) for event in seen] == [("run_end", 1)]
        assert events.result.status == "cancelled"
        assert (await first.wait()).status == "completed"


async def test_leaving_the_agent_ends_what_runs_and_tells_who_waits(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ended: list[str] = []

    async def ask(agent: Agent, text: str) -> None:
        with pytest.raises(AgentClosed):
            await agent.chat(text)
        ended.append(text)

    async with trio.open_nursery() as nursery:
        async with open_agent(provider=Model(seconds=100), max_pending=5) as agent:
            nursery.start_soon(ask, agent, "a")
            nursery.start_soon(ask, agent, "b")
            sent = agent.send("c")
            await trio.sleep(1)
        with pytest.raises(AgentClosed):
            await sent.wait()
        with pytest.raises(AgentClosed):
            await agent.chat("d")
        assert agent.health().status == "closed"
    assert sorted(ended) == ["a", "b"]
    assert trio.current_time() < 50


async def test_a_deadline_around_chat_bounds_the_wait_and_the_run(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model(seconds=10), max_pending=5) as agent:
        running = agent.send("a")
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(5):
                await agent.chat("b")
        assert agent.health().pending == 0
        await running.wait()
        with pytest.raises(trio.TooSlowError):
            with trio.fail_after(5):
                await agent.chat("c")
        assert problems(agent.messages) == ()
        assert (await agent.chat("d")).status == "completed"


async def test_a_provider_error_fails_its_request_and_no_other(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = Scripted([ServerFault("no", transient=False), "fine"])
    async with open_agent(provider=model, max_pending=5) as agent:
        first, second = agent.send("a"), agent.send("b")
        with pytest.raises(ServerFault) as caught:
            await first.wait()
        assert caught.value.result is not None
        assert (await second.wait()).text == "fine"


@tool
async def look() -> str:
    """Take some time."""
    await trio.sleep(1)
    return "seen"


async def test_steered_words_reach_the_run_after_its_tools(autojump_clock: trio.testing.MockClock) -> None:
    model = Scripted([[ToolUse("1", "look", {})], lambda request: request.messages[-1].text])
    async with open_agent(provider=model, tools=[look]) as agent:
        request = agent.send("a")
        await trio.sleep(0.5)
        agent.steer("look left")
        result = await request.wait()
        assert result.text == "look left"
        assert problems(result.messages) == ()
        with pytest.raises(RequestNotFound):
            agent.steer("too late")


async def test_a_follow_up_goes_on_after_the_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model()) as agent:
        request = agent.send("a")
        await trio.sleep(0.5)
        agent.follow_up("b")
        agent.follow_up("c")
        result = await request.wait()
        assert result.text == "c (5)"
        assert result.turns == 3


async def test_what_a_cancelled_run_did_not_hear_stays_in_the_conversation(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model()) as agent:
        request = agent.send("a", request_id="a")
        await trio.sleep(0.5)
        agent.steer("also this")
        agent.cancel("a")
        await request.wait()
        assert agent.messages[-1].text == "also this"
        assert problems(agent.messages) == ()


async def test_another_model_answers_from_the_next_call_on(autojump_clock: trio.testing.MockClock) -> None:
    first = Scripted([[ToolUse("1", "look", {})], "never asked"])
    second = Scripted(["from the second"])
    async with open_agent(provider=first, tools=[look]) as agent:
        request = agent.send("a")
        await trio.sleep(0.5)
        agent.set_model(second)
        assert (await request.wait()).text == "from the second"


async def test_a_session_goes_on_elsewhere(autojump_clock: trio.testing.MockClock) -> None:
    kept: list[alloy_trio.Session] = []

    async def keep(session: alloy_trio.Session) -> None:
        kept.append(session)

    note = ToolUse("1", "scratchpad", {"action": "write", "key": "k", "value": "v"})
    async with open_agent(provider=Scripted([[note], "done"]), tools=[scratchpad], on_shutdown=keep) as agent:
        await agent.chat("remember")
    (session,) = kept
    again = alloy_trio.from_json(alloy_trio.to_json(session), alloy_trio.Session)
    assert again == session
    read = ToolUse("1", "scratchpad", {"action": "read", "key": "k"})
    async with open_agent(provider=Scripted([[read], "read"]), tools=[scratchpad], session=again) as agent:
        assert agent.id == session.id
        assert agent.messages == session.messages
        assert (await agent.chat("what was it?")).tool_calls[0].output == "v"


async def test_topics_are_answered_and_answers_published(autojump_clock: trio.testing.MockClock) -> None:
    broadcast = Broadcast()
    async with open_agent(provider=Model(), broadcast=broadcast, subscribe=("tasks:new",)) as agent:
        async with broadcast.subscribe(f"agent:{agent.id}:responses") as answers:
            broadcast.publish("tasks:new", "one")
            broadcast.publish("tasks:new", {"two": 2})
            assert (await answers.__anext__()).value.text == "one (1)"
            assert (await answers.__anext__()).value.text == '{"two": 2} (3)'


async def test_an_agent_is_a_tool_of_another(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model()) as helper:
        ask = helper.as_tool("helper")
        model = Scripted([[ToolUse("1", "helper", {"prompt": "sub"})], "done"])
        async with open_agent(provider=model, tools=[ask]) as agent:
            async with agent.stream("go", request_id="top") as events:
                seen = [event async for event in events]
            subs = [event for event in seen if event.correlation_id != "top"]
            assert {event.parent_id for event in subs} == {"top"}
            assert [event.seq for event in subs] == list(range(1, len(subs) + 1))
            assert subs[-1].event == "run_end"
            assert events.result.tool_calls[0].output == "sub (1)"
            with trio.move_on_after(0.5):
                model2 = Scripted([[ToolUse("1", "helper", {"prompt": "sub"})], "done"])
                await alloy_trio.run("x", provider=model2, tools=[ask])
            assert helper.health().status == "idle"
            assert problems(helper.messages) == ()


async def test_an_agent_cannot_wait_for_itself(autojump_clock: trio.testing.MockClock) -> None:
    @tool
    async def again(context: alloy_trio.ToolContext) -> str:
        """Ask oneself."""
        try:
            return str((await context.agent.chat("and again")).text)
        except AgentBusy as error:
            raise ToolError(str(error)) from error

    model = Scripted([[ToolUse("1", "again", {})], "done"])
    async with open_agent(provider=model, tools=[again], max_pending=3) as agent:
        result = await agent.chat("go")
        assert "itself" in result.tool_calls[0].output


async def test_a_tool_delegates_to_a_sub_agent(autojump_clock: trio.testing.MockClock) -> None:
    @tool
    async def split(context: alloy_trio.ToolContext) -> str:
        """Give a task away."""
        result = await context.agent.delegate("the task", provider=Model())
        return f"sub: {result.text}"

    model = Scripted([[ToolUse("1", "split", {})], "done"])
    async with open_agent(provider=model, tools=[split]) as agent:
        async with agent.stream("go", request_id="top") as events:
            seen = [event async for event in events]
        assert events.result.tool_calls[0].output == "sub: the task (1)"
        assert any(event.parent_id == "top" for event in seen)
        assert len(agent.messages) == 4


class Sessions(Middleware):
    def __init__(self) -> None:
        self.seen: list[str] = []

    async def session(self, proceed: Any, run: Any) -> None:
        self.seen.append("begin")
        await proceed()
        await trio.sleep(1)
        self.seen.append("end")


async def test_the_ends_of_the_session_are_made_however_the_agent_ends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    for cancelled in (False, True):
        middleware = Sessions()
        with trio.CancelScope() as scope:
            async with open_agent(provider=Model(), middleware=[middleware]) as agent:
                await agent.chat("a")
                await agent.chat("b")
                if cancelled:
                    scope.cancel()
        assert middleware.seen == ["begin", "end"]
        assert scope.cancelled_caught == cancelled


async def test_a_result_is_a_value_of_the_conversation(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model(), messages=[Message.user("x")]) as agent:
        result: Result = await agent.chat("y")
        assert agent.messages == result.messages


async def test_the_session_is_told_of_the_budget(autojump_clock: trio.testing.MockClock) -> None:
    seen: list[Any] = []

    class Looks(Middleware):
        async def session(self, proceed: Any, run: Any) -> None:
            seen.append(run.budget.remaining_tokens)
            await proceed()
            seen.append(run.budget.remaining_tokens)

    async with open_agent(
        provider=Scripted(["fine"]), middleware=[Looks()], max_total_tokens=10_000
    ) as agent:
        result = await agent.chat("a")
    assert seen == [10_000, 10_000 - result.usage.total_tokens]
