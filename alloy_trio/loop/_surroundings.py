"""What a run is part of: an agent's life, another run's tool call, or nothing."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from alloy_trio._abc import Provider
from alloy_trio.tools import Belongings
from alloy_trio.values import Message, Usage

from ._emitter import Emitter

if TYPE_CHECKING:
    from alloy_trio.context import Gauge


class Owner(Protocol):
    """Whoever the run belongs to, as tools and middleware see it."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def usage(self) -> Usage:
        """What it used so far."""
        ...


class Inbox:
    """What is said to a run while it goes on.

    Attributes:
        steered: for its next safe point: after the tools of a turn, or instead of its end.
        follow_ups: one after another once it has answered.
    """

    def __init__(self) -> None:
        self.steered: list[Message] = []
        self.follow_ups: list[Message] = []


class Here:
    """The run that the code of a tool or of middleware is part of.

    Attributes:
        emitter: numbers its events; None once it has ended.
        budget: what it spends from, or None.
        agents: the agents that it is part of, the nearest first.
    """

    def __init__(self, emitter: Emitter, budget: Any, agents: tuple[Owner, ...]) -> None:
        self.emitter: Emitter | None = emitter
        self.budget = budget
        self.agents = agents


here: ContextVar[Here | None] = ContextVar("alloy_trio_here", default=None)
"""Set in all that a run starts, also in worker threads, so that a sub-agent finds the run that it belongs to."""


class Surroundings:
    """What a run is part of.

    Args:
        agent: the agent whose request it is, or None.
        parent: numbers the events of the run that this one is part of; None when it is part of none.
        budget: what it spends from beside a budget of its own; None for nothing.
        state: what the tools remember; None for a new dict.
        belongings: what the tools have opened; None when the run shall have its own and close them.
        inbox: what is said to it meanwhile.
        provider: the model of the next call, where it may change; None for the one that the run was given.
        session_is_open: whether middleware was laid around the agent's life, so that it is not around the run too.
        gauge: what is known of the size of the conversation that the run goes on with; None for nothing.
    """

    def __init__(
        self,
        *,
        agent: Owner | None = None,
        parent: Emitter | None = None,
        budget: Any = None,
        state: dict[str, Any] | None = None,
        belongings: Belongings | None = None,
        inbox: Inbox | None = None,
        provider: Callable[[], Provider] | None = None,
        session_is_open: bool = False,
        gauge: Gauge | None = None,
    ) -> None:
        self.agent = agent
        self.parent = parent
        self.budget = budget
        self.state: dict[str, Any] = {} if state is None else state
        self.belongings = belongings
        self.inbox = inbox or Inbox()
        self.provider = provider
        self.session_is_open = session_is_open
        self.gauge = gauge
