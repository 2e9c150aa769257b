"""Many agents on one provider: requests a second, and what an idle agent and a request that waits weigh.

The work is so many agents with so many requests each, all sent at once, on one provider object that answers at
once. The floor does the same conversations without agents: a task for each, and a `run()` for each request. Required
is that an agent does not make it slower, that every answer comes, and that each agent's come in the order of its
questions.

Memory is what `tracemalloc` counts: an agent that is open and does nothing, with a history of 20 messages, beside that
history alone; and a request that waits in line.
"""

from __future__ import annotations

import gc
import time
import tracemalloc
from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

import _measure
import trio
import trio.testing

import alloy_trio
from alloy_trio import Agent, Completion, CompletionRequest, Message, Usage
from alloy_trio.abc import Provider

MOST_TIMES = 1.0
"""Of the bare calls' time, what agents may take."""

MOST_IDLE_BYTES = 24_000
MOST_QUEUED_BYTES = 4_000


class Echo(Provider):
    """Answers with the last question."""

    name = "echo"
    model = "echo"

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer in the next step."""
        await trio.lowlevel.checkpoint()
        said = Message.assistant(request.messages[-1].text)
        return Completion(said, "end_turn", Usage(input_tokens=1, output_tokens=1), self.model, None)


def history() -> tuple[Message, ...]:
    """Twenty messages, of some 100 characters each."""
    pairs = [
        (Message.user(f"question {number} " + "x" * 100), Message.assistant(f"answer {number} " + "y" * 100))
        for number in range(10)
    ]
    return tuple(message for pair in pairs for message in pair)


async def by_agents(agents: int, requests: int) -> float:
    """Seconds of CPU time: all is sent at once, and waits in the agents' lines."""
    provider = Echo()

    async def work(*, task_status: trio.TaskStatus[Agent]) -> None:
        async with alloy_trio.open_agent(
            provider=provider, messages=history(), max_pending=requests
        ) as agent:
            task_status.started(agent)
            await begin.wait()
            sent = [agent.send(f"request {number}") for number in range(requests)]
            answers = [(await request.wait()).text for request in sent]
            assert answers == [f"request {number}" for number in range(requests)]
            assert len(agent.messages) == 20 + 2 * requests

    begin = trio.Event()
    async with trio.open_nursery() as nursery:
        for _ in range(agents):
            await nursery.start(work)
        start = time.process_time()
        begin.set()
    return time.process_time() - start


async def by_runs(agents: int, requests: int) -> float:
    """The floor: a task for each conversation, which keeps its messages itself."""
    provider = Echo()

    async def work() -> None:
        messages = history()
        for number in range(requests):
            result = await alloy_trio.run(f"request {number}", provider=provider, messages=messages)
            messages = result.messages
        assert len(messages) == 20 + 2 * requests

    start = time.process_time()
    async with trio.open_nursery() as nursery:
        for _ in range(agents):
            nursery.start_soon(work)
    return time.process_time() - start


async def weigh(agents: int, requests: int) -> dict[str, float]:
    """Bytes of a history, of an idle agent that has it, and of a request that waits."""
    provider = Echo()
    async with alloy_trio.open_agent(provider=provider, messages=history()) as agent:
        await agent.chat("so that all is loaded")
    async with AsyncExitStack() as stack:
        gc.collect()
        tracemalloc.start()
        empty = _traced()
        histories = [history() for _ in range(agents)]
        told = _traced()
        opened = [
            await stack.enter_async_context(
                alloy_trio.open_agent(provider=provider, messages=each, max_pending=requests)
            )
            for each in histories
        ]
        del histories
        await trio.testing.wait_all_tasks_blocked()
        idle = _traced()
        for agent in opened:
            for number in range(requests):
                agent.send(f"request {number}")
        waiting = _traced()
        tracemalloc.stop()
    return {
        "history": (told - empty) / agents,
        "idle agent": (idle - empty) / agents,
        "waiting request": (waiting - idle) / agents / requests,
    }


def _traced() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; returns the exit status."""
    parser = _measure.parser(__doc__, rounds=3)
    parser.add_argument("--agents", type=int, default=1_000, help="(default: %(default)s)")
    parser.add_argument("--requests", type=int, default=50, help="of each (default: %(default)s)")
    options = parser.parse_args(argv)
    total = options.agents * options.requests
    contestants = {
        "agents": partial(trio.run, by_agents, options.agents, options.requests),
        "runs": partial(trio.run, by_runs, options.agents, options.requests),
    }
    measured = _measure.interleaved(contestants, options.rounds, warm_ups=0)
    times = {name: [seconds / total for seconds in taken] for name, taken in measured.items()}
    sizes = trio.run(weigh, options.agents, options.requests)
    rows = [
        _measure.compare(
            "a request to an agent / a bare run()",
            times,
            "agents",
            "runs",
            unit="µs",
            scale=1e6,
            limit=MOST_TIMES,
        ),
        _measure.Row(
            "an idle agent / most allowed", "kB", sizes["idle agent"] / 1e3, MOST_IDLE_BYTES / 1e3, 1.0
        ),
        _measure.Row(
            "a waiting request / most allowed",
            "kB",
            sizes["waiting request"] / 1e3,
            MOST_QUEUED_BYTES / 1e3,
            1.0,
        ),
    ]
    status = _measure.report(
        "agents", rows, options, agents=options.agents, requests=options.requests, bytes=sizes
    )
    best = min(times["agents"])
    print(f"{total} requests of {options.agents} agents: {1 / best:.0f} a second; {sizes}")
    return status


if __name__ == "__main__":
    _measure.run(main)
