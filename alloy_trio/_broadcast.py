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
        self._home = trio.lowlevel.current_trio_token()
        self._buffer = buffer
        self._messages: deque[BroadcastMessage] = deque()
        self._untold = 0
        self._closed = False
        self._reading = False
        self._reader: trio.lowlevel.Task | None = None  # that waits for a message

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
        if self._reading:
            raise trio.BusyResourceError("another task is reading this subscription; one reads at a time")
        # Held until it leaves: a second reader that came while the first is about to go on would take its message.
        self._reading = True
        try:
            await trio.lowlevel.checkpoint()
            if not self._messages and not self._closed:
                self._reader = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._stop_waiting)
        finally:
            self._reading = False
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
