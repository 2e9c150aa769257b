"""Topics: whoever publishes waits for nobody, and each subscriber has a bounded buffer of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import trio

from alloy_trio.values import ConfigurationError, Lagged

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


class Subscription:
    """What is published on some topics, in the order in which it was; iterate over it.

    A reader that falls behind by more than the buffer loses the oldest messages and is told once, by
    :class:`alloy_trio.Lagged`; it may read on. One task reads at a time.
    """

    def __init__(self, topics: frozenset[str], buffer: int) -> None:
        self.topics = topics
        self.missed = 0
        self._buffer = buffer
        self._messages: deque[BroadcastMessage] = deque()
        self._untold = 0
        self._closed = False
        self._reader: trio.lowlevel.Task | None = None

    def __aiter__(self) -> Subscription:
        return self

    @trio.lowlevel.enable_ki_protection
    async def __anext__(self) -> BroadcastMessage:
        """The next message, waiting for one.

        Raises:
            Lagged: messages were missed before the next one; ``missed`` says how many.
            trio.BusyResourceError: another task is reading.
            StopAsyncIteration: the subscription has ended.

        *Cancellation*: takes nothing.
        """
        if self._reader is not None:
            raise trio.BusyResourceError("another task is reading this subscription; one reads at a time")
        await trio.lowlevel.checkpoint()
        if not self._messages and not self._closed:
            self._reader = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
        if self._untold:
            missed, self._untold = self._untold, 0
            raise Lagged(
                f"{missed} messages were missed: more than {self._buffer} were waiting; read faster, or subscribe "
                "with a larger buffer",
                missed=missed,
            )
        if not self._messages:
            raise StopAsyncIteration
        return self._messages.popleft()

    def _add(self, message: BroadcastMessage) -> bool:
        """Take a message; returns whether an older one had to go for it."""
        lost = len(self._messages) >= self._buffer
        if lost:
            self._messages.popleft()
            self._untold += 1
            self.missed += 1
        self._messages.append(message)
        self._wake()
        return lost

    def _end(self) -> None:
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        task, self._reader = self._reader, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def _stop_waiting(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED


class Broadcast:
    """Topics that anybody in one trio run may publish on and subscribe to.

    A topic is a name; it exists while somebody subscribes to it.
    """

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []
        self._published = 0
        self._missed = 0

    @trio.lowlevel.enable_ki_protection
    def publish(self, topic: str, value: Any) -> int:
        """Hand a value to all who subscribe to a topic now; returns how many they are. Waits for nobody."""
        _check_topic(topic)
        self._published += 1
        message = BroadcastMessage(topic, value)
        readers = [each for each in self._subscriptions if topic in each.topics]
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


def _check_topic(topic: object) -> None:
    if not isinstance(topic, str) or not topic:
        raise ConfigurationError(f"a topic is {topic!r}; it must be a str that is not empty")
