"""Requests that were asked and had not begun when their agent ended, or was stopped to be started again."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.testing

from alloy_trio import AgentClosed, Rejected, Session, open_agent, open_supervisor, run, start_agent
from alloy_trio.abc import Middleware
from alloy_trio.providers import Scripted
from alloy_trio.testing import run_seeded

from ._models import Model


async def test_sent_and_left_at_once_it_is_told_that_the_agent_ended() -> None:
    with trio.fail_after(30):
        async with open_agent(provider=Model(), max_pending=1) as agent:
            requests = [agent.send("first"), agent.send("second")]
        for request in requests:
            with pytest.raises(AgentClosed):
                await request.wait()
        assert agent.statistics().requests == {"cancelled": 2}


@pytest.mark.parametrize("steps", [0, 2, 3, 4])
async def test_what_has_its_turn_in_the_step_of_a_restart_is_cut_or_waits_and_the_next_one_waits(
    steps: int, autojump_clock: trio.testing.MockClock
) -> None:
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", provider=Model(), max_pending=3)
        sent, second = agent.send("1"), agent.send("2")
        for _ in range(steps):
            await trio.lowlevel.checkpoint()
        supervisor.child("writer").cancel()
        assert (await second.wait()).status == "completed"
        if steps == 0:
            assert (await sent.wait()).status == "completed"
        else:
            with pytest.raises(AgentClosed):
                await sent.wait()
        assert supervisor.children()[0].restarts == 1
        assert [message.text for message in agent.messages if message.role == "user"] == ["1", "2"]


async def test_what_a_sent_request_leaves_in_line_survives_a_cancel_of_the_life(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with open_supervisor() as supervisor:
        agent = await start_agent(supervisor, "writer", provider=Model(), max_pending=5)
        requests = [agent.send(str(number)) for number in range(4)]
        await trio.sleep(0.5)
        supervisor.child("writer").cancel()
        with pytest.raises(AgentClosed):
            await requests[0].wait()
        for request in requests[1:]:
            assert (await request.wait()).status == "completed"
        said = [message.text for message in agent.messages if message.role == "user"]
        assert said == ["0", "1", "2", "3"]


@pytest.mark.parametrize("seed", range(8))
def test_a_stream_in_line_is_told_whoever_comes_first(seed: int) -> None:
    async def main() -> None:
        async def reads(agent: Any) -> None:
            with pytest.raises(AgentClosed):
                async with agent.stream("waits") as events:
                    async for _ in events:
                        pass

        async with trio.open_nursery() as nursery:
            async with open_agent(provider=Model(), max_pending=5) as agent:
                agent.send("runs")
                for _ in range(3):
                    nursery.start_soon(reads, agent)
                await trio.sleep(0.5)

    run_seeded(main, seed=seed)


async def test_when_both_the_agent_and_the_end_of_its_session_fail_both_are_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.CRITICAL, "alloy_trio")

    class Fails(Middleware):
        async def session(self, proceed: Any, run: Any) -> None:
            await proceed()
            raise OSError("the log is full")

        async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
            raise LookupError("a bug")

    async def on_shutdown(session: Session) -> None:
        raise ValueError("the disk is full")

    async with open_supervisor() as supervisor:
        agent = await start_agent(
            supervisor,
            "writer",
            provider=Model(),
            middleware=[Fails()],
            on_shutdown=on_shutdown,
            restart="temporary",
        )
        child = supervisor.child("writer")
        with pytest.raises(LookupError, match="a bug"):
            await agent.chat("x")
        with trio.move_on_after(30), child.until_stopped():
            await trio.sleep_forever()
        error = (await child.wait_exit()).error
        assert isinstance(error, ExceptionGroup)
        assert error.subgroup(LookupError) and error.subgroup(OSError) and error.subgroup(ValueError)


async def test_an_answer_that_middleware_loses_was_paid_for() -> None:
    class Loses(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
            await proceed(request)
            raise Rejected("not for you")

    with pytest.raises(Rejected) as caught:
        await run("x", provider=Scripted(["a secret"]), middleware=[Loses()])
    result = caught.value.result
    assert result is not None
    assert result.usage.output_tokens > 0
