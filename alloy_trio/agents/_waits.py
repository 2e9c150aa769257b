"""Who waits for whom: agents ask agents, and must not wait for each other in a circle.

A request of one agent at a time runs, and what is asked of it waits for that. So when the code of a request waits for
another agent, the edge from the one to the other is written down on the running request; who would close a circle is
refused. Each edge is checked when it is made, and what is ahead in a queue makes its own edges once it runs. So a
circle cannot come about unseen.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from alloy_trio.values import AgentBusy

if TYPE_CHECKING:
    from ._requests import Requests, Ticket

_inside: ContextVar[tuple[tuple[Requests, Ticket], ...]] = ContextVar("alloy_trio_inside", default=())
"""The requests that this code is part of, the nearest last. Some may have ended: tasks keep what they began with."""


@contextmanager
def inside(requests: Requests, ticket: Ticket) -> Iterator[None]:
    """Around the running of a request: all that is started in it is part of it."""
    token = _inside.set((*_running(), (requests, ticket)))
    try:
        yield
    finally:
        _inside.reset(token)


@contextmanager
def waiting_for(requests: Requests) -> Iterator[None]:
    """Around waiting for a request of an agent.

    Args:
        requests: the agent's.

    Raises:
        AgentBusy: the agent waits for the caller, directly or over others: both would wait for ever.
    """
    mine = _running()
    if not mine:
        yield
        return
    reached = _reached_from(requests)
    for one, _ in mine:
        if one is requests:
            raise AgentBusy(
                f"the agent {requests.name} is asked from inside of its own request, which would wait for itself for "
                "ever; use send without waiting for it, or delegate"
            )
        if one in reached:
            raise AgentBusy(
                f"the agent {requests.name} works on a request that waits for the agent {one.name}, and that one would "
                "wait for it: both for ever; do the work without it, or delegate it"
            )
    for _, ticket in mine:
        ticket.waits_for.append(requests)
    try:
        yield
    finally:
        for _, ticket in mine:
            ticket.waits_for.remove(requests)


def _running() -> tuple[tuple[Requests, Ticket], ...]:
    return tuple(each for each in _inside.get() if each[1].state == "running")


def _reached_from(start: Requests) -> set[Requests]:
    """An agent, and those that its running request waits for, and so on."""
    seen, waiting = {start}, [start]
    while waiting:
        running = waiting.pop().running
        for each in () if running is None else running.waits_for:
            if each not in seen:
                seen.add(each)
                waiting.append(each)
    return seen
