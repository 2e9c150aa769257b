"""The state machine finds what is wrong with an agent, and nothing in one that is right."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from alloy_trio import (
    Agent,
    Completion,
    CompletionRequest,
    ConfigurationError,
    Message,
    Usage,
    open_agent,
    tool,
)
from alloy_trio.abc import Middleware, Provider
from alloy_trio.testing import AgentMachine, Scripted, agent_machine

FULL = bool(os.environ.get("ALLOY_TRIO_FULL"))
FEW = settings(
    max_examples=1_000 if FULL else 25, stateful_step_count=40 if FULL else 12, deadline=None, database=None
)
SEARCH = settings(
    max_examples=300,
    stateful_step_count=8,
    deadline=None,
    database=None,
    print_blob=False,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
)


@tool
async def weather(city: str, days: int = 1) -> str:
    """Report the weather."""
    await trio.sleep(1)
    return f"{city}: sun for {days} days"


def open_sound(model: Provider) -> Any:
    return open_agent(provider=model, tools=[weather], max_pending=2)


TestSound = agent_machine(open_sound, tools=[weather]).TestCase
TestSound.settings = FEW
TestOneAtATime = agent_machine(lambda model: open_agent(provider=model)).TestCase
TestOneAtATime.settings = FEW
TestItsOwnModel = agent_machine(
    lambda: open_agent(provider=Scripted(["yes"] * 1_000), max_pending=9)
).TestCase
TestItsOwnModel.settings = FEW


def found(machine: type[AgentMachine], match: str) -> str:
    """What is said of a machine that has to fail; the smallest example is the one that is told."""
    with pytest.raises(AssertionError, match=match) as caught:
        run_state_machine_as_test(machine, settings=SEARCH)
    return "\n".join([str(caught.value), *caught.value.__notes__])


def test_a_file_that_stays_open_after_a_cancel_is_found_by_few_operations(tmp_path: Path) -> None:
    kept = []

    @tool
    async def note(text: str) -> str:
        """Write something down."""
        file = (tmp_path / "note").open("w")
        kept.append(file)
        await trio.sleep(1)
        file.close()
        return "written"

    said = found(
        agent_machine(lambda model: open_agent(provider=model, tools=[note]), tools=[note]), "left behind"
    )
    assert f"file: {tmp_path / 'note'}" in said
    assert len(re.findall(r"^state\.(?!teardown)", said, re.M)) <= 4
    for file in kept:
        file.close()


def test_a_task_that_outlives_its_agent_is_found() -> None:
    @tool
    async def remember() -> str:
        """Leave a task."""
        trio.lowlevel.spawn_system_task(trio.sleep_forever, name="forgotten")
        return "ok"

    machine = agent_machine(lambda model: open_agent(provider=model, tools=[remember]), tools=[remember])
    found(machine, "forgotten")


class Forgetful(Middleware):
    async def tool_batch(self, calls: Any, proceed: Any, run: Any) -> Any:
        return (await proceed(calls))[:-1]


def test_middleware_that_drops_a_result_is_found() -> None:
    def opener(model: Provider) -> Any:
        return open_agent(provider=model, tools=[weather], middleware=[Forgetful()])

    with pytest.raises(Exception, match="result"):
        run_state_machine_as_test(agent_machine(opener, tools=[weather]), settings=SEARCH)


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


def test_a_provider_that_swallows_a_cancel_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alloy_trio.testing._endless.MOST_STEPS", 500)
    found(agent_machine(lambda: open_agent(provider=Swallows())), "swallow")


def test_an_agent_that_waits_for_itself_for_ever_is_found() -> None:
    @asynccontextmanager
    async def opener(model: Provider) -> AsyncIterator[Agent]:
        async with open_agent(provider=model) as agent:
            yield agent
            with trio.CancelScope(shield=True):
                await trio.Event().wait()

    found(agent_machine(opener), "nothing will ever wake them")


def test_an_agent_that_closes_slowly_is_found() -> None:
    @asynccontextmanager
    async def opener(model: Provider) -> AsyncIterator[Agent]:
        async with open_agent(provider=model) as agent:
            yield agent
            await trio.sleep(31)

    found(agent_machine(opener), "took 31 s to close")


class Counting(AgentMachine):
    """A machine with a rule and a look of its own."""

    opener = staticmethod(open_sound)
    tools = (weather,)
    shouted = 0

    @rule(word=st.sampled_from(["Hey!", "Ho!"]))
    def shout(self, word: str) -> None:
        async def shout(agent: Agent, word: str) -> None:
            if agent.health().running is not None:
                agent.steer(word)

        self.then(shout, word)

    async def check(self, agent: Agent) -> None:
        assert "Ho!" not in str(agent.messages), "somebody said Ho!"


def test_a_machine_may_have_rules_and_looks_of_its_own() -> None:
    said = found(Counting, "somebody said Ho!")
    assert "shout('Ho!',)" in said


@pytest.mark.parametrize("opener", [7, lambda first, second: None])
def test_an_opener_that_cannot_be_called_is_refused(opener: Any) -> None:
    with pytest.raises(ConfigurationError, match="an agent's opener"):
        agent_machine(opener)


def test_a_machine_without_an_opener_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has no opener"):
        AgentMachine()


def test_the_profiles_are_there_and_take_no_users_own() -> None:
    from alloy_trio.testing import _profiles

    assert [settings.get_profile(name).deadline for name in _profiles.PROFILES] == [None] * 3
    assert (
        settings.get_profile("alloy_fast").max_examples < settings.get_profile("alloy_thorough").max_examples
    )
    assert settings.get_profile("alloy_reproduce").derandomize
    before = settings.get_profile("alloy_fast")
    settings.register_profile("alloy_fast", max_examples=7)
    try:
        _profiles.register_profiles()
        assert settings.get_profile("alloy_fast").max_examples == 7
    finally:
        settings.register_profile("alloy_fast", before)
