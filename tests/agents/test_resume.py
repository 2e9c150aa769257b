"""A request that waits for a person, gone on with inside of its agent."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

import alloy_trio
from alloy_trio import (
    Approve,
    ConfigurationError,
    Deny,
    Edit,
    Message,
    Result,
    ToolPolicy,
    ToolUse,
    open_agent,
    resume,
    tool,
)
from alloy_trio.providers import Scripted
from alloy_trio.testing import assert_valid_history

from ._models import Model


@tool
async def erase(name: str) -> str:
    """Erase something."""
    await trio.sleep(1)
    return f"erased {name}"


@tool
async def count() -> str:
    """Count."""
    return "three"


OPTIONS: dict[str, Any] = {"tools": [erase, count], "middleware": [ToolPolicy(ask=("erase",))]}
ASKED = [
    ToolUse("1", "count", {}),
    ToolUse("2", "erase", {"name": "a"}),
    ToolUse("3", "erase", {"name": "b"}),
]


async def test_what_was_decided_goes_on_in_the_conversation(autojump_clock: trio.testing.MockClock) -> None:
    model = Scripted([ASKED, "done", lambda request: f"{len(request.messages)} messages"])
    async with open_agent(provider=model, **OPTIONS) as agent:
        paused = await agent.chat("clean up", request_id="r")
        assert paused.status == "paused"
        assert [call.id for call in paused.pending] == ["2", "3"]
        assert agent.messages == paused.messages
        result = await agent.resume(paused, decisions={"2": Edit({"name": "c"}), "3": Deny("keep it")})
        assert (result.status, result.text, result.request_id) == ("completed", "done", "r")
        assert [record.output for record in result.tool_calls] == ["three", "erased c", "keep it"]
        assert agent.messages == result.messages
        assert_valid_history(agent.messages)
        # Counted once, though the result counts on.
        assert agent.usage == result.usage
        statistics = agent.statistics()
        assert (statistics.turns, statistics.tool_calls) == (2, 3)
        assert statistics.requests == {"paused": 1, "completed": 1}
        assert (await agent.chat("and?")).text == "5 messages"


async def test_it_goes_on_elsewhere_from_json(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Scripted([ASKED]), **OPTIONS) as agent:
        paused = await agent.chat("clean up")
        session = agent.export_session()
    paused = alloy_trio.from_json(alloy_trio.to_json(paused), Result)
    session = alloy_trio.from_json(alloy_trio.to_json(session), alloy_trio.Session)
    decisions: dict[str, Any] = {"2": Approve(), "3": Approve()}
    async with open_agent(provider=Scripted(["done"]), session=session, **OPTIONS) as agent:
        result = await agent.resume(paused, decisions=decisions)
        assert agent.messages == result.messages
        assert agent.usage == result.usage  # the session's, and what came after
    # An agent that knows nothing yet takes the result's conversation; what was used before is not its own.
    async with open_agent(provider=Scripted(["done"]), **OPTIONS) as agent:
        fresh = await agent.resume(paused, decisions=decisions)
        assert agent.messages == fresh.messages == result.messages
        assert agent.usage.total_tokens == fresh.usage.total_tokens - paused.usage.total_tokens


async def test_what_was_said_meanwhile_is_said_after_the_tools(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = Model(lambda request: ASKED if len(request.messages) == 1 else request.messages[-1].text)
    async with open_agent(provider=model, **OPTIONS) as agent:
        request = agent.send("clean up")
        await trio.sleep(0.5)
        agent.steer("but be careful")
        paused = await request.wait()
        assert agent.messages == (Message.user("clean up"), Message.user("but be careful"))
        result = await agent.resume(paused, decisions={"2": Approve(), "3": Approve()})
        assert result.text == "but be careful"
        assert_valid_history(agent.messages)


async def test_the_next_question_goes_on_without_the_calls(autojump_clock: trio.testing.MockClock) -> None:
    model = Scripted([ASKED, "as you like", "never"])
    async with open_agent(provider=model, **OPTIONS) as agent:
        paused = await agent.chat("clean up")
        assert (await agent.chat("forget it")).text == "as you like"
        assert_valid_history(agent.messages)
        assert all(not message.tool_uses for message in agent.messages)
        with pytest.raises(ConfigurationError, match="gone on since"):
            await agent.resume(paused, decisions={"2": Approve(), "3": Approve()})
        assert agent.health().status == "idle"
        # Beside the conversation it can still be gone on with.
        other = await resume(
            paused, decisions={"2": Deny(), "3": Deny()}, provider=Scripted(["beside"]), **OPTIONS
        )
        assert other.text == "beside"


async def test_it_can_be_paused_again_and_decided_again(autojump_clock: trio.testing.MockClock) -> None:
    again = [ToolUse("4", "erase", {"name": "d"})]
    async with open_agent(provider=Scripted([ASKED, again, "done"]), **OPTIONS) as agent:
        paused = await agent.chat("clean up")
        paused = await agent.resume(paused, decisions={"2": Approve(), "3": Approve()})
        assert [call.id for call in paused.pending] == ["4"]
        result = await agent.resume(paused, decisions={"4": Approve()})
        assert result.text == "done"
        assert agent.usage == result.usage
        assert agent.statistics().tool_calls == 4
        assert_valid_history(agent.messages)


async def test_cancelled_it_can_be_resumed_again_only_if_it_had_not_begun(
    autojump_clock: trio.testing.MockClock,
) -> None:
    decisions: dict[str, Any] = {"2": Approve(), "3": Approve()}
    async with open_agent(provider=Model(ASKED, turns=1), max_pending=2, **OPTIONS) as agent:
        paused = await agent.chat("clean up", request_id="r")
        with trio.move_on_after(0):
            await agent.resume(paused, decisions=decisions)
        assert agent.messages == paused.messages
        with trio.move_on_after(0.5):
            await agent.resume(paused, decisions=decisions)
        assert_valid_history(agent.messages)
        assert [record for record in agent.messages[-1].content if getattr(record, "is_error", False)]
        with pytest.raises(ConfigurationError, match="gone on since"):
            await agent.resume(paused, decisions=decisions)


async def test_what_cannot_be_resumed_is_refused_at_once(autojump_clock: trio.testing.MockClock) -> None:
    wrong: Any = "result"
    async with open_agent(provider=Scripted([ASKED, "done"]), **OPTIONS) as agent:
        paused = await agent.chat("clean up")
        for given, decisions in ((wrong, {}), (paused, {}), (paused, {"2": Approve(), "3": True})):
            with pytest.raises(ConfigurationError):
                await agent.resume(given, decisions=decisions)
        done = await agent.resume(paused, decisions={"2": Deny(), "3": Deny()})
        with pytest.raises(ConfigurationError, match="only a paused run"):
            await agent.resume(done, decisions={})
