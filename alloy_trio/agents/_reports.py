"""What an agent tells of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal

import attrs

from alloy_trio.values import NO_USAGE, Result, Usage


@attrs.frozen(kw_only=True)
class AgentHealth:
    """Whether an agent works, and on what.

    Args:
        status: ``"idle"``, ``"running"``, ``"starting"`` (before its first life, and between two under supervision) or
            ``"closed"``.
        running: the id of the request that runs, or None.
        pending: requests that wait.
        delegated: tasks that run in sub-agents of its own.
        provider: the name of the provider that is asked next.
        model: its model.
    """

    status: Literal["idle", "running", "starting", "closed"]
    running: str | None
    pending: int
    delegated: int
    provider: str
    model: str


@attrs.frozen(kw_only=True)
class AgentStatistics:
    """What an agent has done so far.

    Args:
        requests: those that have ended, counted by their status.
        delegated: tasks that were delegated and have ended.
        turns: model calls that were answered, those of delegated tasks among them.
        tool_calls: calls of tools, whatever became of them; theirs too.
        usage: what all that used, and the session before it.
        messages: the conversation's length.
        pending: requests that wait.
    """

    requests: Mapping[str, int]
    delegated: int
    turns: int
    tool_calls: int
    usage: Usage
    messages: int
    pending: int


class Counts:
    """The sums behind :class:`AgentStatistics`."""

    def __init__(self) -> None:
        self.usage = NO_USAGE
        self._requests: Counter[str] = Counter()
        self._delegated = 0
        self._turns = 0
        self._tool_calls = 0

    def add(self, result: Result, before: Result | None = None) -> None:
        """Count a request that has ended.

        Args:
            result: what it came to.
            before: the paused result that it went on from, whose sums are in it and were counted then.
        """
        self._requests[result.status] += 1
        self._add(result, before)

    def add_delegated(self, result: Result) -> None:
        """Count a delegated task that has ended."""
        self._delegated += 1
        self._add(result, None)

    def _add(self, result: Result, before: Result | None) -> None:
        usage, turns, tool_calls = result.usage, result.turns, len(result.tool_calls)
        if before is not None:
            usage = _more(usage, before.usage)
            turns -= before.turns
            tool_calls -= len(before.tool_calls)
        self.usage = self.usage + usage
        self._turns += turns
        self._tool_calls += tool_calls

    def statistics(self, *, messages: int, pending: int) -> AgentStatistics:
        """The sums as a value."""
        return AgentStatistics(
            requests=dict(self._requests),
            delegated=self._delegated,
            turns=self._turns,
            tool_calls=self._tool_calls,
            usage=self.usage,
            messages=messages,
            pending=pending,
        )


def _more(usage: Usage, before: Usage) -> Usage:
    """What was used beyond what had been used before."""
    counted = {
        field.name: getattr(usage, field.name) - getattr(before, field.name)
        for field in attrs.fields(Usage)
        if field.name != "cost_cents"
    }
    known = usage.cost_cents is not None and before.cost_cents is not None
    cost = usage.cost_cents - before.cost_cents if known else None  # type: ignore[operator]
    return Usage(**counted, cost_cents=cost)
