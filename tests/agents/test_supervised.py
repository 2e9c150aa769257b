"""Agents under supervision: what a crash costs, what outlives it, and who is told of the end."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio import (
    Agent,
    AgentBusy,
    AgentClosed,
    Backoff,
    Broadcast,
    ChildExists,
    ChildRunning,
    ChildSpec,
    ConfigurationError,
    QueueFull,
    Rejected,
    RestartLimitExceeded,
    Result,
    Session,
    ToolContext,
    ToolUse,
    open_supervisor,
    start_agent,
    supervisor_child,
    tool,
)
from alloy_trio.abc import Middleware
from alloy_trio.providers import Scripted
from alloy_trio.supervision import Supervisor
from alloy_trio.testing import assert_valid_history, cancel_sweep, no_leaks, run_seeded

from ._models import Entered, Model, look


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, "alloy_trio")


class Fragile(Middleware):
    """Crashes at requests that say so, before or after the model has answered."""

    def __init__(self) -> None:
        self.sessions: list[str] = []

    async def session(self, proceed: Any, run: Any) -> None:
        self.sessions.append("+")
        try:
            await proceed()
        finally:
            await trio.sleep(0.25)
            self.sessions.append("-")

    async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
        said = next(each.text for each in reversed(request.messages) if each.role == "user" and each.text)
        if said.startswith("crash before"):
            await trio.sleep(0.5)
            raise LookupError(said)
        completion = await proceed(request)
        if said.startswith("crash"):
            raise LookupError(said)
        return completion

    async def tool_call(self, call: Any, proceed: Any, run: Any) -> Any:
        output = await proceed(call)
        if call.input.get("crash"):
            raise LookupError("crash in a tool")
        return output


def fragile(**options: Any) -> dict[str, Any]:
    return {"provider": Model(), "middleware": [Fragile()], "max_pending": 50, **options}


class Unsteady(Entered):
    """Cannot be entered so many times, at the beginning of a life."""

    failures = 0

    async def __aenter__(self) -> Any:
        if self.failures and not self.users:
            self.failures -= 1
            raise OSError("unreachable")
        return await super().__aenter__()


async def crash_by_chat(agent: Agent, text: str) -> None:
    with pytest.raises(LookupError, match=text):
        await agent.chat(text)


async def crash_by_stream(agent: Agent, text: str) -> None:
    ended = []
    with pytest.raises(LookupError, match=text):
        async with agent.stream(text) as events:
            ended = [event.payload["status"] async for event in events if event.event == "run_end"]
    assert ended in (["error"], [])  # the block is cancelled, unless it had read all before


async def crash_by_sending(agent: Agent, text: str) -> None:
    request = agent.send(text)
    for _ in range(2):
        with pytest.raises(LookupError, match=text):
            await request.wait()


CRASHES: list[Callable[[Agent, str], Awaitable[None]]] = [crash_by_chat, crash_by_stream, crash_by_sending]


@pytest.mark.parametrize("text", ["crash before", "crash after"])
@pytest.mark.parametrize("crash", CRASHES)
async def test_who_asked_what_crashed_it_gets_that_very_error_and_the_agent_goes_on(
    crash: Callable[[Agent, str], Awaitable[None]], text: str, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", **fragile())
        await agent.chat("first")
        await crash(agent, text)
        result = await agent.chat("second")
        assert result.status == "completed"
        assert [message.text for message in agent.messages if message.role == "user"] == [
            "first",
            text,
            "second",
        ]
        assert_valid_history(agent.messages)
        (info,) = supervisor.children()
        assert (info.status, info.restarts, info.reason) == ("running", 1, None)
        assert agent.statistics().requests == {"completed": 2, "error": 1}


async def test_a_crash_in_the_midst_of_tools_leaves_a_valid_conversation(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool(name="look")
    async def see(crash: bool = False) -> str:
        """See.

        Args:
            crash: whether the middleware fails.
        """
        await trio.sleep(1)
        return "seen"

    script = Scripted([[ToolUse("call-1", "look", {"crash": True}), ToolUse("call-2", "look", {})], "on"])
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", provider=script, middleware=[Fragile()], tools=[see])
        with pytest.raises(LookupError, match="crash in a tool"):
            await agent.chat("look twice")
        assert_valid_history(agent.messages)
        assert (await agent.chat("go on")).text == "on"
        assert_valid_history(agent.messages)


async def test_what_a_tool_raises_and_what_a_provider_answers_end_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def fails() -> str:
        """Fail."""
        raise LookupError("a bug in a tool")

    script = Scripted([[ToolUse("c", "fails", {})], "told", Rejected("no such model"), "again"])
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", provider=script, tools=[fails])
        assert (await agent.chat("x")).text == "told"
        with pytest.raises(Rejected):
            await agent.chat("y")
        assert (await agent.chat("z")).text == "again"
        assert supervisor.statistics().exits == 0


async def test_what_waits_during_a_restart_runs_afterwards_in_order(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_supervisor(backoff=Backoff(first_seconds=10, jitter=0.0)) as supervisor:
        agent = await start_agent(supervisor, "writer", **fragile())
        done: list[str] = []

        async def ask(text: str) -> None:
            result = await agent.chat(text)
            done.append(text)
            assert result.status == "completed"

        async def read(text: str) -> None:
            async with agent.stream(text) as events:
                kinds = [event.event async for event in events]
            assert kinds[0] == "run_start" and kinds[-1] == "run_end"
            done.append(text)

        async with trio.open_nursery() as nursery:
            bad = agent.send("crash")
            second = agent.send("2")
            nursery.start_soon(ask, "3")
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(LookupError):
                await bad.wait()
            await trio.sleep(5)
            assert agent.health().status == "starting"
            assert supervisor.child("writer").status == "restarting"
            nursery.start_soon(read, "4")
            await trio.testing.wait_all_tasks_blocked()
            last = agent.send("5")
            assert agent.health().pending == 4
            await second.wait()
            assert trio.current_time() > 10
        assert (await last.wait()).status == "completed"
        assert done == ["3", "4"]
        said = [message.text for message in agent.messages if message.role == "user"]
        assert said == ["crash", "2", "3", "4", "5"]


async def test_while_it_starts_again_it_takes_no_more_than_may_wait(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_supervisor(backoff=Backoff(first_seconds=10, jitter=0.0)) as supervisor:
        agent = await start_agent(supervisor, "writer", **fragile(max_pending=0))
        other = await start_agent(supervisor, "other", **fragile(max_pending=1))
        await crash_by_chat(agent, "crash")
        await crash_by_chat(other, "crash")
        agent.send("instead of the one that would run")
        with pytest.raises(AgentBusy, match="starts again"):
            agent.send("one more")
        other.send("1")
        other.send("2")
        with pytest.raises(QueueFull):
            other.send("3")


async def test_a_request_that_waits_can_be_cancelled_during_a_restart(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_supervisor(backoff=Backoff(first_seconds=10, jitter=0.0)) as supervisor:
        agent = await start_agent(supervisor, "writer", **fragile())
        await crash_by_chat(agent, "crash")
        sent = agent.send("x")
        with trio.move_on_after(1) as scope:
            await agent.chat("y")
        assert scope.cancelled_caught
        sent.cancel()
        assert (await sent.wait()).status == "cancelled"
        assert agent.health().pending == 0
        assert (await agent.chat("z")).status == "completed"


async def ends(agent: Agent) -> list[BaseException | None]:
    """What everybody is told who waits for an agent that is about to end."""
    told: list[BaseException | None] = []

    async def chats() -> None:
        with pytest.raises(AgentClosed) as caught:
            await agent.chat("chat")
        told.append(caught.value.__cause__)

    async def streams() -> None:
        with pytest.raises(AgentClosed) as caught:
            async with agent.stream("stream") as events:
                async for event in events:
                    assert event.event == "run_end"
        told.append(caught.value.__cause__)

    async def waits(request: Any) -> None:
        with pytest.raises(AgentClosed) as caught:
            await request.wait()
        told.append(caught.value.__cause__)

    async def listens() -> None:
        async with agent.responses() as responses:
            heard.extend([result.request_id async for result in responses])

    heard: list[str] = []
    unheeded = agent.send("sent, and nobody waits", request_id="unheeded")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listens)
        await trio.testing.wait_all_tasks_blocked()
        for each in (chats, streams):
            nursery.start_soon(each)
        nursery.start_soon(waits, agent.send("sent"))
    with pytest.raises(AgentClosed) as caught:
        await unheeded.wait()
    told.append(caught.value.__cause__)
    assert "unheeded" in heard
    assert len(heard) >= 4
    return told


def asks_nothing_more(agent: Agent) -> BaseException | None:
    assert agent.health().status == "closed"
    assert agent.health().pending == 0
    for ask in (agent.send, lambda _: agent.reset(), lambda _: agent.set_model(Model())):
        with pytest.raises(AgentClosed) as caught:
            ask("x")
    return caught.value.__cause__


async def test_terminated_it_is_closed_and_restarted_it_works_with_its_conversation(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_supervisor() as supervisor:
        model = Entered()
        agent = await start_agent(supervisor, "writer", **fragile(provider=model))
        await agent.chat("first")
        assert model.users == 1
        async with trio.open_nursery() as nursery:

            async def terminate() -> None:
                await trio.sleep(0.5)
                await supervisor.terminate("writer")

            nursery.start_soon(terminate)
            assert await ends(agent) == [None] * 4
        assert asks_nothing_more(agent) is None
        assert model.users == 0
        for _ in range(2):
            await supervisor.restart("writer")
            assert agent.health().status == "idle"
            result = await agent.chat("second")
            assert result.status == "completed"
            await supervisor.terminate("writer")
        said = [message.text for message in agent.messages if message.role == "user"]
        assert said == ["first", "sent, and nobody waits", "second", "second"]
        supervisor.delete("writer")
        assert asks_nothing_more(agent) is None


async def test_what_was_left_in_line_does_not_run_when_a_call_brings_it_back(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", **fragile())
        requests = [agent.send(text) for text in "abc"]
        await trio.sleep(0.5)
        await supervisor.terminate("writer")
        await supervisor.restart("writer")
        assert (await agent.chat("d")).status == "completed"
        for request in requests:
            with pytest.raises(AgentClosed):
                await request.wait()


async def test_given_up_it_tells_by_what(autojump_clock: trio.testing.MockClock) -> None:
    told: list[BaseException | None] = []

    async def wait(agent: Agent) -> None:
        with pytest.raises(AgentClosed) as caught:
            await agent.chat("never heard")
        told.append(caught.value.__cause__)

    async with trio.open_nursery() as nursery:
        with pytest.raises(RestartLimitExceeded) as exceeded:
            async with open_supervisor(max_restarts=0) as supervisor:
                other = await start_agent(supervisor, "other", **fragile(provider=Model(seconds=5)))
                agent = await start_agent(supervisor, "writer", **fragile())
                nursery.start_soon(wait, other)
                bad = agent.send("crash")
                nursery.start_soon(wait, agent)
                await trio.sleep_forever()
    with pytest.raises(LookupError) as crash:
        await bad.wait()
    assert exceeded.value.__cause__ is crash.value
    assert told == [exceeded.value] * 2
    for each in (agent, other):
        assert asks_nothing_more(each) is exceeded.value


async def test_given_up_by_a_supervisor_above_it_tells_by_what(
    autojump_clock: trio.testing.MockClock,
) -> None:
    agents: list[Agent] = []

    async def breaks() -> None:
        await trio.sleep(2)
        raise LookupError("the one beside")

    with pytest.raises(RestartLimitExceeded) as exceeded:
        async with open_supervisor(
            [supervisor_child("low"), ChildSpec("breaks", breaks)], max_restarts=0
        ) as supervisor:
            low = supervisor.child("low").value
            agents.append(await start_agent(low, "writer", **fragile()))
            agents[0].send("x")
            agents[0].send("y")
            await trio.sleep_forever()
    assert asks_nothing_more(agents[0]) is exceeded.value


async def test_a_temporary_one_is_over_with_its_crash(autojump_clock: trio.testing.MockClock) -> None:
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", **fragile(), restart="temporary")
        bad = agent.send("crash")
        told = await ends(agent)
        with pytest.raises(LookupError) as caught:
            await bad.wait()
        assert told == [caught.value] * 4
        assert asks_nothing_more(agent) is caught.value
        assert supervisor.children() == ()


async def test_leaving_the_supervisor_ends_it(autojump_clock: trio.testing.MockClock) -> None:
    async def wait(agent: Agent) -> None:
        with pytest.raises(AgentClosed) as caught:
            await agent.chat("x")
        assert caught.value.__cause__ is None

    async with trio.open_nursery() as nursery:
        async with open_supervisor() as supervisor:
            agent = await start_agent(supervisor, "writer", **fragile())
            nursery.start_soon(wait, agent)
            nursery.start_soon(wait, agent)
            await trio.sleep(0.5)
    assert asks_nothing_more(agent) is None


async def test_restarted_along_with_another_its_running_request_is_cut_and_the_rest_waits(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_supervisor(strategy="one_for_all") as supervisor:
        bad = await start_agent(supervisor, "bad", **fragile())
        good = await start_agent(supervisor, "good", **fragile(provider=Model(seconds=5)))
        async with trio.open_nursery() as nursery:

            async def is_cut() -> None:
                with pytest.raises(AgentClosed):
                    await good.chat("runs")

            nursery.start_soon(is_cut)
            await trio.sleep(0.25)
            waits = good.send("waits")
            await crash_by_chat(bad, "crash before")
        assert (await waits.wait()).status == "completed"
        assert [info.restarts for info in supervisor.children()] == [1, 1]
        assert_valid_history(good.messages)


async def test_at_rest_between_failed_restarts_of_all_it_is_not_taken_for_stopped(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = Unsteady()
    backoff = Backoff(first_seconds=10, jitter=0.0)
    async with open_supervisor(strategy="one_for_all", max_restarts=9, backoff=backoff) as supervisor:
        bad = await start_agent(supervisor, "bad", **fragile(provider=model))
        good = await start_agent(supervisor, "good", **fragile())
        model.failures = 2
        await crash_by_chat(bad, "crash")
        for _ in range(3):
            request = good.send("x")
            await trio.sleep(5)
            assert good.health().status == "starting"
        assert (await request.wait()).status == "completed"
        # The delay of a restart that others are part of is given up: nobody starts them any more.
        model.failures = 1
        await crash_by_chat(bad, "crash")
        await trio.sleep(15)
        waits = good.send("x")
        await supervisor.terminate("bad")
        with pytest.raises(AgentClosed):
            await waits.wait()
        assert good.health().status == "closed"


async def test_each_life_opens_and_closes_what_belongs_to_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Kept:
        closed = False

        async def aclose(self) -> None:
            self.closed = True

    kept: list[Kept] = []
    files: list[Path] = []

    @tool
    async def keep(context: ToolContext) -> str:
        """Keep something."""
        belongings = context.belongings
        assert belongings is not None and context.state is not None
        context.state["calls"] = context.state.get("calls", 0) + 1
        made = belongings.setdefault("x", Kept)
        kept.append(made)
        with belongings.private.create("x") as file:
            files.append(Path(file.name))
        return "kept"

    turns: list[Any] = [[ToolUse("a", "keep", {})], "1", "2", [ToolUse("b", "keep", {})], "3"]
    model, around, saved = Scripted(turns), Fragile(), list[Session]()

    async def save(session: Session) -> None:
        saved.append(session)

    options = {"provider": model, "middleware": [around], "tools": [keep], "on_shutdown": save}
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", **options)  # type: ignore[arg-type]
        await agent.chat("keep")
        assert files[0].exists()
        async with trio.open_nursery() as nursery:
            await crash_by_chat(agent, "crash")
            # In line since before the next life: it has that life's belongings all the same.
            async with agent.stream("keep again") as events:
                assert [event async for event in events][-1].payload["status"] == "completed"
            nursery.cancel_scope.cancel()
        assert (kept[0].closed, files[0].exists()) == (True, False)
        assert (kept[1].closed, files[1].exists()) == (False, True)
        assert agent.export_session().metadata["state"] == {"calls": 2}
    assert (kept[1].closed, files[1].exists()) == (True, False)
    assert around.sessions == ["+", "-"] * 2
    assert [len(session.messages) for session in saved] == [5, 9]
    assert saved[1].id == agent.id == "writer"


async def test_the_end_of_a_session_has_the_childs_shutdown_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ended: list[float] = []

    class Slow(Middleware):
        async def session(self, proceed: Any, run: Any) -> None:
            try:
                await proceed()
            finally:
                begun = trio.current_time()
                try:
                    await trio.sleep(100)
                finally:
                    ended.append(trio.current_time() - begun)

    options: dict[str, Any] = {"provider": Model(), "middleware": [Slow(), Fragile()]}
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", **options, shutdown=3.0)
        await crash_by_chat(agent, "crash")
        await agent.chat("x")
        await supervisor.terminate("writer")
        await start_agent(supervisor, "brutal", **options, shutdown="brutal")
    assert ended == [pytest.approx(2.75), pytest.approx(2.75), pytest.approx(0)]
    assert supervisor.statistics().overdue == 0


async def test_no_time_is_left_when_a_supervisor_is_impatient(
    autojump_clock: trio.testing.MockClock,
) -> None:
    shut: list[float] = []

    async def on_shutdown(session: Session) -> None:
        try:
            await trio.sleep(100)
        finally:
            shut.append(trio.current_time())

    async with open_supervisor([supervisor_child("low", shutdown=2.0)]) as supervisor:
        low = supervisor.child("low").value
        await start_agent(low, "writer", provider=Model(), on_shutdown=on_shutdown, shutdown=50.0)
    assert shut == [pytest.approx(2.0)]


async def test_a_failing_on_shutdown_is_a_crash_too(autojump_clock: trio.testing.MockClock) -> None:
    async def on_shutdown(session: Session) -> None:
        raise OSError("the disk is full")

    async with open_supervisor(max_restarts=1) as supervisor:
        agent = await start_agent(supervisor, "writer", **fragile(on_shutdown=on_shutdown))
        await crash_by_chat(agent, "crash")
        await agent.chat("x")
        exit_ = supervisor.child("writer")
        await supervisor.terminate("writer")
        error = (await exit_.wait_exit()).error
        assert isinstance(error, OSError)


async def test_an_agent_that_cannot_start_is_not_kept(autojump_clock: trio.testing.MockClock) -> None:
    class Broken(Model):
        async def __aenter__(self) -> Any:
            raise OSError("unreachable")

    async with open_supervisor() as supervisor:
        with pytest.raises(OSError, match="unreachable"):
            await start_agent(supervisor, "writer", provider=Broken())
        assert supervisor.children() == ()
        with pytest.raises(ConfigurationError, match="restart"):
            await start_agent(supervisor, "writer", provider=Model(), restart="always")  # type: ignore[arg-type]
        with pytest.raises(ConfigurationError):
            await start_agent(supervisor, "writer", provider=Model(), max_pending=-1)
        await start_agent(supervisor, "writer", provider=Model())
        with pytest.raises(ChildExists):
            await start_agent(supervisor, "writer", provider=Model())
    with pytest.raises(trio.ClosedResourceError):
        await start_agent(supervisor, "late", provider=Model())


async def test_a_restart_that_fails_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    model = Unsteady()
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", **fragile(provider=model))
        model.failures = 2
        await crash_by_chat(agent, "crash")
        assert (await agent.chat("x")).status == "completed"
        assert supervisor.statistics().restarts == 3


async def test_topics_are_answered_in_each_life(autojump_clock: trio.testing.MockClock) -> None:
    broadcast = Broadcast()
    async with open_supervisor() as supervisor, broadcast.subscribe("agent:writer:responses") as answers:
        await start_agent(supervisor, "writer", **fragile(broadcast=broadcast, subscribe=("in",)))
        statuses = []
        for text in ("a", "crash", "b"):
            broadcast.publish("in", text)
            result: Result = (await answers.__anext__()).value
            statuses.append(result.status)
            await trio.sleep(1)
        assert statuses == ["completed", "error", "completed"]


async def test_agents_that_ask_each_other_go_on_when_one_crashes(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_supervisor() as supervisor:
        helper = await start_agent(supervisor, "helper", **fragile())
        calls = [ToolUse(f"c{n}", "helper", {"prompt": text}) for n, text in enumerate(("crash", "fine"))]
        boss = await start_agent(
            supervisor, "boss", provider=Scripted([calls, "done"]), tools=[helper.as_tool()]
        )
        result = await boss.chat("x")
        assert result.status == "completed"
        assert [record.error is not None for record in result.tool_calls] == [True, False]
        assert [info.restarts for info in supervisor.children()] == [1, 0]


async def test_a_session_is_gone_on_with(autojump_clock: trio.testing.MockClock) -> None:
    async with open_supervisor() as supervisor:
        first = await start_agent(supervisor, "first", provider=Model())
        await first.chat("x")
        session = first.export_session()
        agent = await start_agent(supervisor, "second", provider=Model(), session=session)
        assert (agent.id, agent.messages) == ("first", first.messages)
        assert supervisor.child("second").status == "running"


async def one_that_crashes() -> None:
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", **fragile(tools=[look]))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(crash_by_chat, agent, "crash")
            await trio.sleep(0.25)
            sent = agent.send("x")
            async with agent.stream("y") as events:
                async for _ in events:
                    pass
            await sent.wait()
        await supervisor.terminate("writer")
        await supervisor.restart("writer")
        await agent.chat("z")


async def some_that_belong_together() -> None:
    async def save(session: Session) -> None:
        await trio.sleep(0.1)

    low = supervisor_child("low", strategy="one_for_all", backoff=Backoff(first_seconds=0.5))
    async with open_supervisor([low], max_restarts=9) as supervisor:
        inside = supervisor.child("low").value
        helper = await start_agent(inside, "helper", **fragile(on_shutdown=save))
        calls = [ToolUse("c1", "helper", {"prompt": "fine"}), ToolUse("c2", "look", {})]
        script = Scripted([calls, "done", "done"])
        boss = await start_agent(
            inside, "boss", provider=script, tools=[helper.as_tool(), look], max_pending=2, on_shutdown=save
        )
        assert (await boss.chat("x")).status == "completed"
        async with helper.responses() as responses, trio.open_nursery() as nursery:
            nursery.start_soon(crash_by_sending, helper, "crash before")
            await trio.sleep(0.25)
            await boss.chat("y")
            await responses.__anext__()
        supervisor.child("low").cancel()  # with it go the agents that were started in it
        with pytest.raises(AgentClosed):
            await helper.chat("z")


@pytest.mark.parametrize(("script", "steps"), [(one_that_crashes, 50), (some_that_belong_together, 50)])
def test_cancelled_at_every_step_nothing_is_left(script: Callable[[], Awaitable[None]], steps: int) -> None:
    report = cancel_sweep(script)
    assert report.steps > steps
    assert report.results > report.runs


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["chat", "stream", "send", "send", "terminate", "revive", "cancel", "exit"]),
        st.sampled_from(["fine", "fine", "crash before", "crash after", "reject"]),
        st.sampled_from([0.0, 0.0, 0.3, 1.1]),
    ),
    max_size=25,
)


class Rejecting(Middleware):
    async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
        if request.messages[-1].text.startswith("reject"):
            raise Rejected("no")
        return await proceed(request)


async def random_life(steps: list[tuple[str, str, float]], strategy: Any) -> None:
    began: list[str] = []
    fates: dict[str, str] = {}
    asked: list[str] = []

    class Told(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
            began.append(request.messages[-1].text)
            return await proceed(request)

    async with open_supervisor(max_restarts=1_000, strategy=strategy) as supervisor:
        options = fragile(middleware=[Told(), Rejecting(), Fragile()])
        agent = await start_agent(supervisor, "writer", **options)
        other = await start_agent(supervisor, "other", **fragile())
        used = 0

        async def ask(how: str, text: str) -> None:
            try:
                if how == "chat":
                    fates[text] = (await agent.chat(text, request_id=text)).status
                elif how == "stream":
                    async with agent.stream(text, request_id=text) as events:
                        async for _ in events:
                            pass
                    assert events.result is not None
                    fates[text] = events.result.status
                else:
                    fates[text] = (await agent.send(text, request_id=text).wait()).status
            except (LookupError, Rejected, AgentClosed) as error:
                fates[text] = type(error).__name__

        async with trio.open_nursery() as nursery:
            for number, (what, kind, pause) in enumerate(steps):
                text = f"{kind} {number}"
                if what in ("chat", "stream", "send"):
                    asked.append(text)
                    nursery.start_soon(ask, what, text)
                    await trio.testing.wait_all_tasks_blocked()
                elif what == "terminate":
                    await supervisor.terminate("writer")
                elif what == "revive" and supervisor.child("writer").status == "stopped":
                    with suppress(ChildRunning):  # the other one's crash may have come first
                        await supervisor.restart("writer")
                elif what == "cancel" and agent.health().running is not None:
                    agent.cancel(agent.health().running or "")
                elif what == "exit":
                    other.send("crash before")  # takes the writer along under one_for_all
                await trio.sleep(pause)
                assert_valid_history(agent.messages)
                assert agent.usage.output_tokens >= used
                used = agent.usage.output_tokens
        assert set(fates) == set(asked)
        expected = {
            "fine": {"completed", "cancelled", "AgentClosed"},
            "crash": {"LookupError", "cancelled", "AgentClosed"},
            "reject": {"Rejected", "cancelled", "AgentClosed"},
        }
        for text, fate in fates.items():
            assert fate in expected[text.split()[0]], (text, fate)
        assert began == [text for text in asked if text in began]  # each once, in order of arrival
        for text, fate in fates.items():
            assert text in began or fate in ("cancelled", "AgentClosed")
        assert_valid_history(agent.messages)
        await trio.sleep(5)
        if supervisor.child("writer").status == "running":
            assert (await agent.chat("fine at last")).status == "completed"


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, strategy=st.sampled_from(["one_for_one", "one_for_all"]), seed=st.integers(0, 1_000))
def test_whatever_happens_each_request_ends_and_the_conversation_is_valid(
    steps: list[tuple[str, str, float]], strategy: str, seed: int
) -> None:
    with no_leaks():
        run_seeded(random_life, steps, strategy, seed=seed)


def test_a_hundred_agents_that_crash_leave_nothing() -> None:
    async def one(supervisor: Supervisor, number: int) -> None:
        agent = await start_agent(supervisor, f"agent-{number}", **fragile(provider=Model(seconds=0.1)))
        for _ in range(3):
            await crash_by_chat(agent, "crash")
            assert (await agent.chat("x")).status == "completed"
        assert len(agent.messages) >= 9

    async def main() -> None:
        async with open_supervisor(max_restarts=300, within=1_000.0) as supervisor:
            async with trio.open_nursery() as nursery:
                for number in range(100):
                    nursery.start_soon(one, supervisor, number)
            assert supervisor.statistics().restarts == 300
            assert supervisor.count().active == 100

    with no_leaks():
        run_seeded(main)
