"""Topics: whoever publishes waits for nobody, and each subscriber has a bounded buffer of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from alloy_trio.values import ConfigurationError

from ._fanout import Reading

BUFFER = 256
"""Messages that a subscription holds for its reader unless it says otherwise. Arbitrary; as a run's events."""


@attrs.frozen
class BroadcastMessage:
    """Something that was published, and where."""

    topic: str
    value: Any


@attrs.frozen(kw_only=True)
class BroadcastStatistics:
    """Where a Broadcast stands: its subscriptions, and the messages that were published and that were missed."""

    subscriptions: int
    published: int
    missed: int


class Subscription(Reading[BroadcastMessage]):
    """What is published on some topics, in the order in which it was; iterate over it.

    A reader that falls behind by more than the buffer loses the oldest messages and is told once, by
    :class:`alloy_trio.Lagged`; it may read on. One task reads at a time.
    """

    def __init__(self, topics: frozenset[str], buffer: int) -> None:
        super().__init__(buffer, "messages")
        self.topics = topics
        self._home = trio.lowlevel.current_trio_token()

    def __aiter__(self) -> Subscription:
        return self


class Broadcast:
    """Topics that anybody in one ``trio.run`` may publish on and subscribe to.

    A topic is a name; it exists while somebody subscribes to it. From a worker thread publish by
    ``trio.from_thread.run_sync(broadcast.publish, topic, value)``.
    """

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._published = 0
        self._missed = 0

    @trio.lowlevel.enable_ki_protection
    def publish(self, topic: str, value: Any) -> int:
        """Hand a value to all who subscribe to a topic now; returns how many they are. Waits for nobody.

        Raises:
            ConfigurationError: the topic is none, or its subscribers are in another ``trio.run`` than the caller.
        """
        _check_topic(topic)
        readers = [each for each in self._subscriptions if topic in each.topics]
        for each in readers:
            check_home(each._home, "a subscription", "broadcast.publish")
        self._published += 1
        message = BroadcastMessage(topic, value)
        for each in readers:
            self._missed += each._add(message)
        return len(readers)

    @asynccontextmanager
    async def subscribe(self, *topics: str, buffer: int = BUFFER) -> AsyncIterator[Subscription]:
        """Subscribe to topics for the time of the block.

        What was published before is not seen.

        Args:
            topics: their names.
            buffer: messages held for a slow reader; beyond that the oldest are lost and
                :class:`alloy_trio.Lagged` says so.

        Raises:
            ConfigurationError: there is no topic, or an argument has the wrong kind.
        """
        if not topics:
            raise ConfigurationError("subscribe needs the name of at least one topic")
        for topic in topics:
            _check_topic(topic)
        if not isinstance(buffer, int) or isinstance(buffer, bool) or buffer < 1:
            raise ConfigurationError(f"buffer={buffer!r} must be a whole number of messages, 1 or more")
        subscription = Subscription(frozenset(topics), buffer)
        self._subscriptions.append(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.remove(subscription)
            subscription._end()

    def end(self) -> None:
        """End the subscriptions that there are: their readers read what waits, then the iteration ends."""
        for subscription in self._subscriptions:
            subscription._end()

    def statistics(self) -> BroadcastStatistics:
        """How many subscribe, and how many messages were published and missed."""
        return BroadcastStatistics(
            subscriptions=len(self._subscriptions), published=self._published, missed=self._missed
        )


def check_home(home: trio.lowlevel.TrioToken, what: str, call: str) -> None:
    """Refuse a call from where it would wake tasks of another ``trio.run`` than the caller's: trio would break.

    Raises:
        ConfigurationError: it comes from another one, or from a thread without any.
    """
    try:
        token: trio.lowlevel.TrioToken | None = trio.lowlevel.current_trio_token()
    except RuntimeError:
        token = None
    if token is not home:
        raise ConfigurationError(
            f"{what} is used from another thread or trio.run than its own; in a worker thread that trio has started "
            f"use trio.from_thread.run or run_sync, as in trio.from_thread.run_sync({call}, …)"
        )


def _check_topic(topic: object) -> None:
    if not isinstance(topic, str) or not topic:
        raise ConfigurationError(f"a topic is {topic!r}; it must be a str that is not empty")
