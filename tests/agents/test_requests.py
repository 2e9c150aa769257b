"""Requests: their names, their order, what is said to them meanwhile, and which model they ask."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trio
import trio.testing

import alloy_trio
from alloy_trio import (
    Agent,
    AgentBusy,
    ConfigurationError,
    Lagged,
    Message,
    Overloaded,
    PriceUnknown,
    QueueFull,
    RequestNotFound,
    Result,
    Session,
    ToolUse,
    Usage,
    open_agent,
    tool,
)
from alloy_trio.providers import Fallback, Scripted
from alloy_trio.wire import problems

from ._models import Entered, Model, look


async def test_a_name_is_one_requests_at_a_time(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model(), max_pending=3) as agent:
        first = agent.send("a", request_id="r")
        waiting = agent.send("b", request_id="s")
        for name in "rs":
            with pytest.raises(ConfigurationError, match="another id"):
                agent.send("c", request_id=name)
            with pytest.raises(ConfigurationError, match="another id"):
                await agent.chat("c", request_id=name)
        waiting.cancel()
        again = agent.send(
            "d", request_id="s"
        )  # free at once, also when nobody has looked at what was cancelled
        await first.wait()
        assert (await agent.chat("e", request_id="r")).request_id == "r"
        assert (await waiting.wait()).status == "cancelled"
        assert (await again.wait()).status == "completed"


@pytest.mark.parametrize("wrong", ["", 3, b"r"])
async def test_a_name_is_a_str(wrong: Any) -> None:
    async with open_agent(provider=Model()) as agent:
        with pytest.raises(ConfigurationError, match="request_id"):
            await agent.chat("x", request_id=wrong)


@pytest.mark.parametrize("wrong", ["", "  ", None, 3, Message.assistant("x"), Message("user", ())])
async def test_there_has_to_be_a_question(wrong: Any) -> None:
    async with open_agent(provider=Model(), messages=[Message.user("earlier")]) as agent:
        with pytest.raises(ConfigurationError):
            await agent.chat(wrong)
        with pytest.raises(ConfigurationError):
            agent.send(wrong)
        with pytest.raises(ConfigurationError):
            async with agent.stream(wrong):
                raise AssertionError("it was asked")
        assert agent.health().status == "idle"


async def test_who_waits_is_served_in_order_of_arrival_whoever_it_is(
    autojump_clock: trio.testing.MockClock,
) -> None:
    came: list[str] = []

    async def chat(agent: Agent, text: str) -> None:
        came.append((await agent.chat(text)).text[0])

    async def stream(agent: Agent, text: str) -> None:
        async with agent.stream(text) as events:
            came.append((await events.drain()).text[0])

    async def wait(request: alloy_trio.Request) -> None:
        came.append((await request.wait()).text[0])

    async with open_agent(provider=Model(), max_pending=10) as agent, trio.open_nursery() as nursery:
        nursery.start_soon(wait, agent.send("a"))
        nursery.start_soon(chat, agent, "b")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(stream, agent, "c")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(wait, agent.send("d"))
        nursery.start_soon(chat, agent, "e")
        assert agent.health().pending == 3
    assert came == list("abcde")


async def test_results_are_published_in_the_order_of_the_ends_and_who_lags_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model(), max_pending=10) as agent:
        async with agent.responses(buffer=2) as slow, agent.responses() as fast:
            for name in "abcde":
                agent.send(name, request_id=name)
            agent.cancel("c")
            assert [(await fast.__anext__()).request_id for _ in range(5)] == list("cabde")
            with pytest.raises(Lagged) as caught:
                await slow.__anext__()
            assert caught.value.missed == 3
            assert [(await slow.__anext__()).request_id for _ in range(2)] == ["d", "e"]


async def test_the_queue_has_its_limit_and_no_other(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model(turns=2_001), max_pending=2_000) as agent:
        requests = [agent.send(str(number)) for number in range(2_001)]
        with pytest.raises(QueueFull):
            agent.send("one more")
        for request in reversed(requests[1::2]):
            request.cancel()
        results = [await request.wait() for request in requests]
        assert [result.status for result in results] == ["completed", "cancelled"] * 1_000 + ["completed"]


async def test_steered_words_keep_their_order_and_come_before_what_follows(
    autojump_clock: trio.testing.MockClock,
) -> None:
    heard: list[str] = []

    def listen(request: Any) -> Any:
        heard.append(request.messages[-1].text)
        return [ToolUse("1", "look", {})] if len(heard) == 1 else f"answer {len(heard)}"

    async with open_agent(provider=Model(listen), tools=[look]) as agent:
        request = agent.send("go")
        await trio.sleep(0.5)
        agent.follow_up("then this")
        agent.steer("left")
        agent.follow_up(Message.user("and then that"))
        agent.steer("no, right")
        result = await request.wait()
    assert heard == ["go", "leftno, right", "then this", "and then that"]
    assert (result.text, result.turns) == ("answer 4", 4)
    assert problems(result.messages) == ()


@pytest.mark.parametrize("wrong", ["", 3, Message.assistant("x"), Message("user", ())])
async def test_only_words_can_be_said_to_a_request(
    wrong: Any, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_agent(provider=Model()) as agent:
        agent.send("x")
        await trio.sleep(0.5)
        with pytest.raises(ConfigurationError, match="cannot be said"):
            agent.steer(wrong)
        with pytest.raises(ConfigurationError, match="cannot be said"):
            agent.follow_up(wrong)


async def test_what_was_not_heard_is_said_with_the_next_question(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = Model(lambda request: [ToolUse("1", "look", {})] if len(request.messages) == 1 else "heard")
    async with open_agent(provider=model, tools=[look], max_pending=1) as agent:
        request = agent.send("go")
        await trio.sleep(1.5)
        agent.follow_up("third")
        agent.steer("first")
        agent.steer("second")
        request.cancel()
        await request.wait()
        said = [message.text for message in agent.messages if message.role == "user" and message.text]
        assert said == ["go", "first", "second", "third"]
        assert problems(agent.messages) == ()
        await agent.chat("next")
        assert [message.text for message in model.requests[-1].messages[-4:]] == [
            "first",
            "second",
            "third",
            "next",
        ]


async def test_forgetting_waits_for_nobody_and_is_refused_while_a_request_runs(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model(), max_pending=2, messages=[Message.user("x")]) as agent:
        first, second = agent.send("a"), agent.send("b")
        with pytest.raises(AgentBusy, match="runs"):
            agent.reset()
        await first.wait()
        with pytest.raises(AgentBusy, match="runs"):
            agent.reset()  # the next has begun in the same step
        await second.wait()
        used = agent.usage
        agent.reset()
        assert (agent.messages, agent.usage) == ((), used)
        assert (await agent.chat("c")).text == "c (1)"
        assert agent.statistics().requests == {"completed": 3}


async def test_another_model_answers_those_that_wait_too_and_the_first_is_let_go_of(
    autojump_clock: trio.testing.MockClock,
) -> None:
    one, two, three = (Entered(name=name) for name in ("one", "two", "three"))
    async with open_agent(provider=one, max_pending=3) as agent:
        first, second = agent.send("a"), agent.send("b")
        await trio.sleep(0.5)
        agent.set_model(two)
        agent.set_model(three)
        agent.set_model(three)
        assert agent.health().provider == "three"
        results = [await first.wait(), await second.wait()]
        origins = [result.messages[-1].origin for result in results]
        assert [origin and origin.provider for origin in origins] == ["one", "three"]
        await trio.testing.wait_all_tasks_blocked()
        assert (two.users, three.users) == (0, 1)
        for number in range(100):
            agent.set_model((two, three)[number % 2])
        await trio.testing.wait_all_tasks_blocked()
        assert (two.users, three.users) == (0, 1)
    assert (one.users, two.users, three.users) == (0, 0, 0)


async def test_a_model_that_cannot_be_entered_fails_requests_and_not_the_agent(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Scripted):
        async def __aenter__(self) -> Any:
            raise ConfigurationError("no key")

    async with open_agent(provider=Model()) as agent:
        agent.set_model(Broken([]))
        with pytest.raises(ConfigurationError, match="no key"):
            await agent.chat("x")
        assert agent.health().status == "idle"
        agent.set_model(Model())
        assert (await agent.chat("y")).status == "completed"
    assert "could not be held open" in caplog.text


async def test_what_is_no_model_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model(), fallback_providers=[Model()]) as agent:
        wrong: Any = "gpt"
        with pytest.raises(ConfigurationError, match="provider got"):
            agent.set_model(wrong)
        with pytest.raises(ConfigurationError, match="fallback_providers"):
            agent.set_model(Fallback(Model(), Model()))
        assert (await agent.chat("x")).status == "completed"


async def test_a_worker_thread_is_told_how_to_ask() -> None:
    def directly() -> list[str]:
        said = []
        for call in (
            lambda: agent.send("x"),
            lambda: agent.cancel("x"),
            lambda: agent.steer("x"),
            lambda: agent.follow_up("x"),
            lambda: agent.set_model(Model()),
            agent.reset,
        ):
            with pytest.raises(ConfigurationError) as caught:
                call()
            said.append(str(caught.value))
        return said

    def rightly() -> Result:
        request = trio.from_thread.run_sync(agent.send, "sent")
        trio.from_thread.run(request.wait)
        return trio.from_thread.run(agent.chat, "asked")

    async with open_agent(provider=Model(seconds=0)) as agent:
        said = await trio.to_thread.run_sync(directly)
        assert all("from_thread" in words for words in said)
        assert (await trio.to_thread.run_sync(rightly)).text == "asked (3)"


async def test_another_trio_run_is_told_too() -> None:
    problems_there: list[BaseException] = []

    async def elsewhere() -> None:
        for ask in (lambda: agent.chat("x"), lambda: agent.delegate("x"), lambda: request.wait()):
            with pytest.raises(ConfigurationError, match=r"trio\.run") as caught:
                await ask()
            problems_there.append(caught.value)

    async with open_agent(provider=Model(seconds=0)) as agent:
        request = agent.send("x")
        await request.wait()
        thread = threading.Thread(target=trio.run, args=(elsewhere,))
        thread.start()
        await trio.to_thread.run_sync(thread.join)
    assert len(problems_there) == 3


async def test_messages_are_those_of_the_last_request_that_has_ended(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = Model(lambda request: [ToolUse("1", "look", {})] if len(request.messages) == 1 else "done")
    async with open_agent(provider=model, tools=[look]) as agent:
        request = agent.send("x")
        await trio.sleep(2.5)
        assert (agent.messages, agent.usage, agent.export_session().messages) == ((), Usage(), ())
        health = agent.health()
        assert (health.status, health.running, health.pending) == ("running", request.id, 0)
        assert request.state == "running"
        await request.wait()
        assert len(agent.messages) == 4
        statistics = agent.statistics()
        assert (statistics.turns, statistics.tool_calls, statistics.messages) == (2, 1, 4)
        assert statistics.requests == {"completed": 1}


async def test_a_budget_is_for_the_whole_life(autojump_clock: trio.testing.MockClock) -> None:
    @tool
    async def hand_over(context: alloy_trio.ToolContext) -> str:
        """Delegate."""
        return (await context.agent.delegate("do this", provider=Model(seconds=0))).text

    def answer(request: Any) -> Any:
        last = request.messages[-1].text
        return [ToolUse("", "hand_over", {})] if last == "delegate" else " ".join(["word"] * 100)

    async with open_agent(
        provider=Model(answer), tools=[hand_over], max_total_tokens=8_000, max_tool_calls=2
    ) as agent:
        assert (await agent.chat("x")).status == "completed"
        used = agent.usage
        assert (await agent.chat("delegate")).status == "completed"
        assert agent.statistics().delegated == 1
        assert agent.usage.total_tokens > used.total_tokens
        assert (await agent.chat("delegate")).status == "completed"
        third = await agent.chat("delegate")
        assert third.status == "budget_exceeded"
        assert "max_tool_calls=2" in str(third.error)
        for _ in range(100):
            last = await agent.chat("more")
            if last.status == "budget_exceeded":
                break
        assert last.status == "budget_exceeded"
        assert agent.usage.total_tokens <= 8_000


async def test_a_price_that_is_not_known_is_told_before_anything_is_sent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = Model()
    async with open_agent(provider=model, max_budget_cents=5) as agent:
        with pytest.raises(PriceUnknown):
            await agent.chat("x")
        with pytest.raises(PriceUnknown):
            await agent.send("x").wait()
        assert model.requests == []
        assert agent.messages == ()
        assert agent.health().status == "idle"


async def test_a_session_keeps_what_json_can_hold_and_no_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def remember(context: alloy_trio.ToolContext) -> str:
        """Remember odd things."""
        endless: list[Any] = []
        endless.append(endless)
        context.state.update(
            plain={"a": [1, "b", None, True, 0.5]}, endless=endless, odd=object(), nan=float("nan")
        )
        return "remembered"

    model = Scripted([[ToolUse("1", "remember", {})], "done"])
    async with open_agent(provider=model, tools=[remember]) as agent:
        await agent.chat("x")
        session = agent.export_session()
    assert session.metadata["state"] == {"plain": {"a": [1, "b", None, True, 0.5]}}
    assert alloy_trio.from_json(alloy_trio.to_json(session), Session) == session


async def test_a_session_with_a_state_that_is_none_is_refused() -> None:
    async with open_agent(provider=Model()) as agent:
        session = agent.export_session()
    import attrs

    with pytest.raises(ConfigurationError, match="state"):
        async with open_agent(provider=Model(), session=attrs.evolve(session, metadata={"state": [1]})):
            raise AssertionError("it was opened")


async def test_an_error_keeps_the_question_in_the_conversation(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = Scripted(
        [
            Overloaded("full", transient=False),
            lambda request: " ".join(message.text for message in request.messages),
        ]
    )
    async with open_agent(provider=model) as agent:
        with pytest.raises(Overloaded) as caught:
            await agent.chat("first")
        assert caught.value.result is not None
        assert caught.value.result.messages == agent.messages == (Message.user("first"),)
        assert (await agent.chat("second")).text == "first second"
        assert problems(agent.messages) == ()


async def test_cancelling_what_has_ended_is_told_by_the_agent_and_nothing_to_its_handle(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model()) as agent:
        request = agent.send("x", request_id="r")
        assert (await request.wait()).status == "completed"
        request.cancel()
        with pytest.raises(RequestNotFound):
            agent.cancel("r")
        assert request.state == "finished"
        assert repr(request) == "<Request r finished>"
        assert repr(agent) == f"<Agent {agent.id} idle>"
