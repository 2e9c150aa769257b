"""How an agent ends: by leaving, by failing, in the midst of work; who is told, and what is done at the end."""

from __future__ import annotations

import gc
import logging
import signal
from typing import Any

import pytest
import trio
import trio.testing

import alloy_trio
from alloy_trio import Agent, AgentClosed, Broadcast, ConfigurationError, Session, ToolUse, open_agent, tool
from alloy_trio.abc import Middleware
from alloy_trio.agents import SESSION_END_SECONDS
from alloy_trio.providers import Scripted
from alloy_trio.wire import problems

from ._models import Entered, Model, look


async def test_a_waiting_caller_is_told_what_the_body_died_of(autojump_clock: trio.testing.MockClock) -> None:
    causes: list[BaseException | None] = []

    async def ask(agent: Agent, text: str) -> None:
        with pytest.raises(AgentClosed) as caught:
            await agent.chat(text)
        causes.append(caught.value.__cause__)

    bug = ValueError("a bug")
    async with trio.open_nursery() as nursery:
        with pytest.raises(ValueError, match="a bug"):
            async with open_agent(provider=Model(seconds=100), max_pending=3) as agent:
                nursery.start_soon(ask, agent, "runs")
                nursery.start_soon(ask, agent, "waits")
                sent = agent.send("sent")
                await trio.sleep(1)
                raise bug
    with pytest.raises(AgentClosed) as caught:
        await sent.wait()
    assert [*causes, caught.value.__cause__] == [bug] * 3


async def test_a_stream_is_told_too(autojump_clock: trio.testing.MockClock) -> None:
    async def read(agent: Agent) -> None:
        with pytest.raises(AgentClosed):
            async with agent.stream("x") as events:
                async for event in events:
                    seen.append(event.event)

    seen: list[str] = []
    async with trio.open_nursery() as nursery:
        async with open_agent(provider=Model(seconds=100)) as agent:
            nursery.start_soon(read, agent)
            await trio.sleep(1)
    assert seen[0] == "run_start"


async def test_a_provider_that_cannot_be_entered_fails_the_opening() -> None:
    ended: list[str] = []

    class Broken(Scripted):
        async def __aenter__(self) -> Any:
            raise ConfigurationError("no key")

    async def on_shutdown(session: Session) -> None:
        ended.append(session.id)

    with pytest.raises(ConfigurationError, match="no key"):
        async with open_agent(provider=Broken([]), on_shutdown=on_shutdown):
            raise AssertionError("it was opened")
    assert ended == []  # what never lived has nothing to tell


class Around(Middleware):
    """What goes wrong around a session, and where."""

    def __init__(self, before: BaseException | None = None, after: BaseException | None = None) -> None:
        self.before = before
        self.after = after

    async def session(self, proceed: Any, run: Any) -> None:
        if self.before is not None:
            raise self.before
        await proceed()
        if self.after is not None:
            raise self.after


async def test_a_session_that_fails_before_it_began_fails_the_opening() -> None:
    model = Entered()
    with pytest.raises(LookupError, match="before"):
        async with open_agent(provider=model, middleware=[Around(before=LookupError("before"))]):
            raise AssertionError("it was opened")
    assert model.users == 0


async def test_a_session_that_never_begins_is_told(autojump_clock: trio.testing.MockClock) -> None:
    class Never(Middleware):
        async def session(self, proceed: Any, run: Any) -> None:
            await trio.sleep(1)

    with pytest.raises(RuntimeError, match="without calling proceed"):
        async with open_agent(provider=Model(), middleware=[Never()]):
            raise AssertionError("it was opened")


async def test_a_session_that_fails_at_its_end_fails_the_closing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    kept: list[Session] = []

    async def keep(session: Session) -> None:
        kept.append(session)

    with pytest.raises(LookupError, match="after"):
        async with open_agent(
            provider=Model(), middleware=[Around(after=LookupError("after"))], on_shutdown=keep
        ) as agent:
            await agent.chat("x")
    assert len(kept[0].messages) == 2


async def test_two_failures_at_the_end_are_both_told() -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_agent(provider=Model(), middleware=[Around(after=LookupError("after"))]):
            raise ValueError("the body")
    assert caught.group_contains(LookupError) and caught.group_contains(ValueError)


async def test_a_session_that_fails_in_the_midst_ends_the_agent(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Fails(Middleware):
        async def session(self, proceed: Any, run: Any) -> None:
            async def fail() -> None:
                await trio.sleep(5)
                raise LookupError("lost the database")

            async with trio.open_nursery() as nursery:
                nursery.start_soon(fail)
                await proceed()
                nursery.cancel_scope.cancel()

    # Not that it is closed, but why.
    with pytest.RaisesGroup(LookupError):
        async with open_agent(provider=Model(seconds=100), middleware=[Fails()]) as agent:
            await agent.chat("x")
    assert trio.current_time() < 50


async def test_what_hangs_at_the_end_is_cut_and_told(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Hangs(Middleware):
        async def session(self, proceed: Any, run: Any) -> None:
            await proceed()
            await trio.sleep_forever()

    async def hang(session: Session) -> None:
        await trio.sleep_forever()

    for cancelled in (False, True):
        caplog.clear()
        start = trio.current_time()
        with trio.CancelScope() as scope, caplog.at_level(logging.WARNING, logger="alloy_trio.agents"):
            async with open_agent(provider=Model(), middleware=[Hangs()], on_shutdown=hang):
                if cancelled:
                    scope.cancel()
        assert trio.current_time() - start == 2 * SESSION_END_SECONDS
        assert len(caplog.records) == 2


async def test_the_end_of_the_session_has_its_time_however_long_the_last_request_takes_to_stop(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ended: list[float] = []

    class Notes(Middleware):
        async def session(self, proceed: Any, run: Any) -> None:
            await proceed()
            await trio.sleep(SESSION_END_SECONDS - 1)
            ended.append(trio.current_time())

    @tool
    async def slow_to_stop() -> str:
        """Take long to stop."""
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(20)

    model = Scripted([[ToolUse("1", "slow_to_stop", {})]])
    async with open_agent(provider=model, tools=[slow_to_stop], middleware=[Notes()]) as agent:
        agent.send("x")
        await trio.sleep(1)
    assert ended == [1 + 20 + SESSION_END_SECONDS - 1]


async def test_an_on_shutdown_that_fails_fails_the_closing_and_all_is_closed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    closed: list[str] = []

    class Kept:
        async def aclose(self) -> None:
            closed.append("closed")

    @tool
    async def opens(context: alloy_trio.ToolContext) -> str:
        """Open something."""
        assert context.belongings is not None
        context.belongings.setdefault("kept", Kept)
        return "opened"

    async def fail(session: Session) -> None:
        raise OSError("disk full")

    model = Scripted([[ToolUse("1", "opens", {})], "done"])
    with pytest.raises(OSError, match="disk full"):
        async with open_agent(provider=model, tools=[opens], on_shutdown=fail) as agent:
            await agent.chat("x")
            assert closed == []
    assert closed == ["closed"]


async def test_closing_twice_and_calling_after_the_end(autojump_clock: trio.testing.MockClock) -> None:
    async with open_agent(provider=Model(), max_pending=1) as agent:
        agent._core.close()
        agent._core.close()
    for call in (
        lambda: agent.chat("x"),
        lambda: agent.delegate("x"),
        lambda: agent.stream("x").__aenter__(),
        lambda: agent.responses().__aenter__(),
    ):
        with pytest.raises(AgentClosed):
            await call()
    for plain in (lambda: agent.send("x"), agent.reset, lambda: agent.set_model(Model())):
        with pytest.raises(AgentClosed):
            plain()
    assert agent.export_session().messages == ()
    with pytest.raises(alloy_trio.RequestNotFound):
        agent.steer("x")


async def test_who_waits_in_line_is_published_before_the_responses_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def listen(agent: Agent, started: Any = trio.TASK_STATUS_IGNORED) -> None:
        async with agent.responses() as responses:
            started.started()
            async for result in responses:
                seen.append((result.request_id, result.status))

    async def ask(agent: Agent) -> None:
        with pytest.raises(AgentClosed):
            await agent.chat("b", request_id="b")

    seen: list[tuple[str, str]] = []
    async with trio.open_nursery() as nursery:
        async with open_agent(provider=Model(), max_pending=5) as agent:
            await nursery.start(lambda task_status: listen(agent, task_status))
            agent.send("a", request_id="a")
            nursery.start_soon(ask, agent)
            await trio.sleep(0.5)
            agent.send("c", request_id="c")
    assert sorted(seen) == [("a", "cancelled"), ("b", "cancelled"), ("c", "cancelled")]


async def test_a_cancel_before_the_turn_leaves_the_conversation_as_it_was(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_agent(provider=Model()) as agent:
        with trio.CancelScope() as scope:
            scope.cancel()
            await agent.chat("never asked")
        assert agent.messages == ()
        assert agent.statistics().requests == {}
        assert agent.health().status == "idle"
        assert (await agent.chat("asked")).text == "asked (1)"


async def test_a_cancel_in_the_step_of_the_end_changes_nothing_any_more(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class LastWord(Model):
        async def __aexit__(self, *_: Any) -> None:
            if agent.health().running == "r":
                agent.cancel("r")  # the answer is there, only the connection is still to be closed

    async with open_agent(provider=LastWord()) as agent:
        result = await agent.chat("x", request_id="r")
        assert result.status == "completed"
        assert len(agent.messages) == 2


async def test_a_bug_in_middleware_fails_its_request_and_no_other(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Bug(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
            if request.messages[-1].text == "bad":
                raise KeyError("a bug")
            return await proceed(request)

    async with open_agent(provider=Model(), middleware=[Bug()], max_pending=3) as agent:
        bad, good = agent.send("bad"), agent.send("good")
        with pytest.raises(KeyError), caplog.at_level(logging.CRITICAL):
            await bad.wait()
        assert (await good.wait()).status == "completed"
        with pytest.raises(KeyError):
            await agent.chat("bad")
        async with agent.stream("fine") as events:
            assert (await events.drain()).status == "completed"
        with pytest.raises(KeyError):
            async with agent.stream("bad") as events:
                await events.drain()
        assert problems(agent.messages) == ()


@pytest.mark.parametrize("ask", ["chat", "send", "stream"])
def test_ctrl_c_ends_the_agent_and_leaves_nothing_waiting(ask: str) -> None:
    """Wherever the signal comes: it is raised in a tool, which is code like any other."""

    @tool
    async def interrupted() -> str:
        """Press Ctrl-C."""
        signal.raise_signal(signal.SIGINT)
        await trio.sleep(1)
        return "went on"

    async def main() -> None:
        nonlocal ended
        model = Scripted([[ToolUse("1", "interrupted", {})], "never"])
        try:
            async with open_agent(provider=model, tools=[interrupted], max_pending=3) as agent:
                agents.append(agent)
                match ask:
                    case "chat":
                        await agent.chat("x")
                    case "send":
                        await agent.send("x").wait()
                    case _:
                        async with agent.stream("x") as events:
                            await events.drain()
        finally:
            ended = True

    agents: list[Agent] = []
    ended = False
    with pytest.raises(BaseException) as caught:
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert _only_interrupts(caught.value)
    assert ended
    (agent,) = agents
    assert agent.health().status == "closed" and agent.health().running is None
    assert problems(agent.messages) == ()
    del agent
    gc.collect()


def test_ctrl_c_at_any_line_of_asking_leaves_no_request_that_nobody_commits() -> None:
    """The signal is raised at each line event of the agents' own code in turn; the closing never waits for ever."""
    import sys

    from alloy_trio.agents import _agent, _core, _requests

    files = {_agent.__file__, _core.__file__, _requests.__file__}

    def run(at: int) -> bool:
        lines = 0

        def trace(frame: Any, event: str, _: Any) -> Any:
            nonlocal lines
            if frame.f_code.co_filename not in files:
                return None
            if event == "line" and armed:
                lines += 1
                if lines == at:
                    signal.raise_signal(signal.SIGINT)
            return trace

        async def main() -> None:
            nonlocal armed
            async with open_agent(provider=Scripted(["a", "b"])) as agent:
                armed = True
                await agent.chat("x")
                armed = False
                assert agent.health().running is None

        armed = False
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        except BaseException as error:
            if not _only_interrupts(error):
                raise
        finally:
            sys.settrace(before)
        return lines >= at

    at = 1
    while run(at):
        at += 1
    assert at > 40


def _only_interrupts(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_only_interrupts, error.exceptions))
    return isinstance(error, KeyboardInterrupt)


async def test_topics_that_were_not_answered_at_the_end_are_told(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broadcast = Broadcast()
    with caplog.at_level(logging.WARNING, logger="alloy_trio.agents"):
        async with open_agent(provider=Model(seconds=100), broadcast=broadcast, subscribe=("t",)):
            broadcast.publish("t", "x")
            await trio.sleep(1)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        "a message on t was not answered"
    ]
    assert caplog.records[0].exc_info is None
    assert broadcast.statistics().subscriptions == 0


async def test_an_agent_opened_in_a_cancelled_scope_ends() -> None:
    model = Entered()
    with trio.CancelScope() as scope:
        scope.cancel()
        async with open_agent(provider=model, tools=[look]) as agent:
            await agent.chat("x")
    assert scope.cancelled_caught
    assert model.users == 0
