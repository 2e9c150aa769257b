"""Many agents on one provider: none is lost, each keeps its order, and they cost little."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import AsyncExitStack

import trio
import trio.testing

from alloy_trio import Agent, Completion, CompletionRequest, Message, Usage, open_agent
from alloy_trio.abc import Provider

AGENTS, REQUESTS = 100, 20


class Echo(Provider):
    """Answers with the last question, and counts how many ask at once."""

    name = model = "echo"

    def __init__(self) -> None:
        self.users = self.asking = self.most = 0

    async def __aenter__(self) -> Echo:
        self.users += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.users -= 1

    async def complete(self, request: CompletionRequest) -> Completion:
        self.asking += 1
        self.most = max(self.most, self.asking)
        await trio.sleep(1)
        self.asking -= 1
        said = Message.assistant(request.messages[-1].text)
        return Completion(said, "end_turn", Usage(input_tokens=1, output_tokens=1), self.model, None)


async def test_none_is_lost_and_each_agent_answers_in_order(autojump_clock: trio.testing.MockClock) -> None:
    provider = Echo()

    async def work(number: int) -> None:
        async with open_agent(provider=provider, max_pending=REQUESTS) as agent:
            questions = [f"{number}/{request}" for request in range(REQUESTS)]
            sent = [agent.send(question) for question in questions]
            async with agent.responses() as responses:
                published = [(await responses.__anext__()).text for _ in questions]
            assert [(await request.wait()).text for request in sent] == published == questions
            said = [message.text for message in agent.messages]
            assert said == [text for question in questions for text in (question, question)]
            assert agent.statistics().requests == {"completed": REQUESTS}

    async with trio.open_nursery() as nursery:
        for number in range(AGENTS):
            nursery.start_soon(work, number)
    assert (provider.users, provider.most) == (0, AGENTS)
    assert trio.current_time() == REQUESTS


async def test_an_idle_agent_is_one_task_and_a_waiting_request_none(
    autojump_clock: trio.testing.MockClock,
) -> None:
    provider = Echo()
    async with AsyncExitStack() as stack:
        before = trio.lowlevel.current_statistics().tasks_living
        agents: list[Agent] = [
            await stack.enter_async_context(open_agent(provider=provider, max_pending=REQUESTS))
            for _ in range(AGENTS)
        ]
        assert trio.lowlevel.current_statistics().tasks_living - before == AGENTS
        for agent in agents:
            for number in range(REQUESTS):
                agent.send(str(number))
        assert trio.lowlevel.current_statistics().tasks_living - before == AGENTS


async def test_agents_and_requests_are_small_and_leave_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    def traced() -> int:
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    provider = Echo()
    async with open_agent(provider=provider, max_pending=1) as agent:
        agent.send("so that all is loaded")
        await agent.chat("this too")
    tracemalloc.start()
    try:
        start = traced()
        async with AsyncExitStack() as stack:
            agents = [
                await stack.enter_async_context(open_agent(provider=provider, max_pending=REQUESTS))
                for _ in range(AGENTS)
            ]
            await trio.testing.wait_all_tasks_blocked()
            idle = traced()
            for agent in agents:
                for number in range(REQUESTS):
                    agent.send(str(number))
            waiting = traced()
        del agents, agent
        await trio.testing.wait_all_tasks_blocked()
        end = traced()
    finally:
        tracemalloc.stop()
    assert (idle - start) / AGENTS < 30_000
    assert (waiting - idle) / AGENTS / REQUESTS < 6_000
    assert (end - start) / AGENTS < 1_000
