"""What an agent tells of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from alloy_trio.values import NO_USAGE, Result, Usage


@attrs.frozen(kw_only=True)
class AgentHealth:
    """Whether an agent works, and on what.

    Args:
        status: ``"idle"``, ``"running"`` or ``"closed"``.
        running: the id of the request that runs, or None.
        pending: requests that wait.
        provider: the name of the provider that is asked next.
        model: its model.
    """

    status: Literal["idle", "running", "closed"]
    running: str | None
    pending: int
    provider: str
    model: str


@attrs.frozen(kw_only=True)
class AgentStatistics:
    """What an agent has done so far.

    Args:
        requests: those that have ended, counted by their status.
        turns: model calls that were answered.
        tool_calls: calls of tools, whatever became of them.
        usage: what all that used, and the session before it.
        messages: the conversation's length.
        pending: requests that wait.
    """

    requests: Mapping[str, int]
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
        self._turns = 0
        self._tool_calls = 0

    def add(self, result: Result) -> None:
        """Count a request that has ended."""
        self._requests[result.status] += 1
        self._turns += result.turns
        self._tool_calls += len(result.tool_calls)
        self.usage = self.usage + result.usage

    def statistics(self, *, messages: int, pending: int) -> AgentStatistics:
        """The sums as a value."""
        return AgentStatistics(
            requests=dict(self._requests),
            turns=self._turns,
            tool_calls=self._tool_calls,
            usage=self.usage,
            messages=messages,
            pending=pending,
        )


def kept_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """What tools remember, as far as JSON can hold it; a copy."""
    return {name: _copied(value) for name, value in state.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_plain, value))
    return value is None or type(value) in (str, int, float, bool)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
