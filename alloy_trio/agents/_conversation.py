"""What an agent remembers, over all of its lives: what was said, what its tools know, what it used."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from alloy_trio._seed import source
from alloy_trio.context import Gauge
from alloy_trio.values import ConfigurationError, Message, Result, Session
from alloy_trio.wire import repair

from ._reports import Counts

MOST_NESTED = 100
"""Levels of lists and dicts in what a tool remembers that a session keeps. Arbitrary; what holds itself has no end."""


class Conversation:
    """What an agent remembers.

    Args:
        id: the agent's.
        messages: what was said before; repaired if it is not valid.
        session: what it goes on from, with messages of its own; None for nothing.

    Attributes:
        messages: what was said, up to the last request that has ended; always valid.
        state: what its tools remember.
        gauge: how large it is, as far as a model has said.
        counts: what it has done, and used.

    Raises:
        ConfigurationError: the session is none of ours.
    """

    def __init__(self, id: str, messages: Sequence[Message], session: Session | None) -> None:
        self._id = id
        self.messages = repair(tuple(messages if session is None else session.messages))
        self.state: dict[str, Any] = {}
        self.gauge = Gauge()
        self.counts = Counts()
        self._metadata: dict[str, Any] = {}
        self._created_at = _now()
        if session is not None:
            self._metadata = copy.deepcopy(session.metadata)
            self.state = self._metadata.pop("state", {})
            self._created_at = session.created_at
            self.counts.usage = session.usage
            if not isinstance(self.state, dict):
                raise ConfigurationError(
                    f"the session's metadata has a state that is {type(self.state).__name__}, not a dict; give a "
                    "session that export_session() made"
                )

    def take(self, result: Result, unheard: Sequence[Message]) -> None:
        """Put what a request came to in the place of what was said before."""
        self.messages = repair((*result.messages, *unheard)) if unheard else result.messages

    def since(self, result: Result) -> tuple[Message, ...]:
        """What the user has said since a request was paused.

        Raises:
            ConfigurationError: it is not where that request left it, so nobody could go on from there.
        """
        count = len(result.messages)
        later = self.messages[count:]
        if self.messages and (
            self.messages[:count] != result.messages or any(message.role != "user" for message in later)
        ):
            raise ConfigurationError(
                "the conversation has gone on since that request was paused, or is another one; resume before you ask "
                "anything else, or resume in an agent that was opened from the session of that moment"
            )
        return later

    def reset(self) -> None:
        """Forget what was said and what tools remember; what was used stays counted."""
        self.messages = ()
        self.gauge = Gauge()
        self.state.clear()

    def session(self) -> Session:
        """All of it as a value."""
        return Session(
            id=self._id,
            messages=self.messages,
            usage=self.counts.usage,
            metadata={**copy.deepcopy(self._metadata), "state": _kept(self.state)},
            created_at=self._created_at,
            updated_at=_now(),
        )


def _now() -> datetime:
    return datetime.fromtimestamp(source().now_ms() / 1000, UTC)


def _kept(state: Mapping[str, Any]) -> dict[str, Any]:
    """What tools remember, as far as JSON can hold it; a copy."""
    return {name: _copied(value) for name, value in state.items() if _is_plain(value, MOST_NESTED)}


def _is_plain(value: object, levels: int) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict) and levels:
        return all(isinstance(key, str) and _is_plain(item, levels - 1) for key, item in value.items())
    if isinstance(value, list) and levels:
        return all(_is_plain(item, levels - 1) for item in value)
    return value is None or type(value) in (str, int, bool)


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_copied(item) for item in value]
    return value
