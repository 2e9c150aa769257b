"""Topics: order, bounds, ends, and who may use them."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio import Broadcast, ConfigurationError, Lagged


async def test_a_subscriber_gets_what_is_published_on_its_topics_in_order() -> None:
    broadcast = Broadcast()
    async with broadcast.subscribe("a", "b") as one, broadcast.subscribe("b") as other:
        assert [broadcast.publish(topic, number) for number, topic in enumerate("abca")] == [1, 2, 0, 1]
        assert [(await one.__anext__()).value for _ in range(3)] == [0, 1, 3]
        message = await other.__anext__()
        assert (message.topic, message.value) == ("b", 1)
        assert broadcast.statistics().published == 4
    assert broadcast.statistics().subscriptions == 0
    with pytest.raises(StopAsyncIteration):
        await one.__anext__()


async def test_a_subscriber_that_never_reads_costs_its_buffer_and_no_more() -> None:
    broadcast = Broadcast()
    async with broadcast.subscribe("a", buffer=3) as lazy, broadcast.subscribe("a", buffer=10_000) as eager:
        for number in range(10_000):
            broadcast.publish("a", number)
        assert len(lazy._messages) == 3
        with pytest.raises(Lagged) as caught:
            await lazy.__anext__()
        assert caught.value.missed == lazy.missed == broadcast.statistics().missed == 9_997
        assert [(await lazy.__anext__()).value for _ in range(3)] == [9_997, 9_998, 9_999]
        assert (await eager.__anext__()).value == 0


async def test_one_task_reads_at_a_time_whenever_the_second_comes() -> None:
    broadcast = Broadcast()
    got: list[Any] = []

    async def read() -> None:
        try:
            got.append((await subscription.__anext__()).value)
        except trio.BusyResourceError:
            got.append("busy")

    async with broadcast.subscribe("a") as subscription:
        async with trio.open_nursery() as nursery:
            # Both begin in one step: neither waits yet when the other looks.
            nursery.start_soon(read)
            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            assert got == ["busy"]
            broadcast.publish("a", 1)
            # The first is about to go on, and has not yet taken its message.
            await read()
        assert sorted(map(str, got)) == ["1", "busy", "busy"]


async def test_a_cancelled_reader_takes_nothing() -> None:
    broadcast = Broadcast()
    async with broadcast.subscribe("a") as subscription:
        with trio.CancelScope() as scope:
            scope.cancel()
            await subscription.__anext__()
        broadcast.publish("a", 1)
        with trio.CancelScope() as scope:
            scope.cancel()
            await subscription.__anext__()
        assert (await subscription.__anext__()).value == 1


async def test_after_the_end_what_waits_is_read_first() -> None:
    broadcast = Broadcast()
    async with broadcast.subscribe("a") as subscription:
        broadcast.publish("a", 1)
        broadcast.end()
        assert [message.value async for message in subscription] == [1]


async def test_a_reader_that_waits_is_told_of_the_end() -> None:
    broadcast = Broadcast()
    read: list[Any] = []

    async def reading() -> None:
        async for message in subscription:
            read.append(message.value)
        read.append("end")

    async with broadcast.subscribe("a") as subscription:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(reading)
            await trio.testing.wait_all_tasks_blocked()
            broadcast.end()
    assert read == ["end"]


@pytest.mark.parametrize("wrong", [{"topics": ()}, {"topics": ("",)}, {"topics": (3,)}])
async def test_topics_have_names(wrong: Any) -> None:
    with pytest.raises(ConfigurationError):
        async with Broadcast().subscribe(*wrong["topics"]):
            raise AssertionError("it was subscribed")
    with pytest.raises(ConfigurationError):
        Broadcast().publish("", 1)


@pytest.mark.parametrize("buffer", [0, -1, True, "3", 1.5])
async def test_a_buffer_is_a_number_of_messages(buffer: Any) -> None:
    with pytest.raises(ConfigurationError, match="1 or more"):
        async with Broadcast().subscribe("a", buffer=buffer):
            raise AssertionError("it was subscribed")


async def test_another_thread_is_told_how_to_publish() -> None:
    broadcast = Broadcast()
    async with broadcast.subscribe("a") as subscription:
        with pytest.raises(ConfigurationError, match="from_thread"):
            await trio.to_thread.run_sync(broadcast.publish, "a", 1)
        await trio.to_thread.run_sync(lambda: trio.from_thread.run_sync(broadcast.publish, "a", 2))
        assert (await subscription.__anext__()).value == 2
        assert broadcast.statistics().published == 1


async def test_another_trio_run_is_told_too() -> None:
    broadcast = Broadcast()

    async def elsewhere() -> None:
        with pytest.raises(ConfigurationError, match=r"trio\.run"):
            broadcast.publish("a", 1)
        assert broadcast.publish("b", 1) == 0  # nobody there to be woken

    async with broadcast.subscribe("a"):
        thread = threading.Thread(target=trio.run, args=(elsewhere,))
        thread.start()
        await trio.to_thread.run_sync(thread.join)


def test_a_broadcast_of_a_module_serves_one_run_after_the_other() -> None:
    broadcast = Broadcast()

    async def once() -> Any:
        async with broadcast.subscribe("a") as subscription:
            broadcast.publish("a", 1)
            return (await subscription.__anext__()).value

    assert [trio.run(once), trio.run(once)] == [1, 1]


@given(st.lists(st.one_of(st.just("read"), st.just("publish")), max_size=60), st.integers(1, 4))
def test_what_is_read_and_what_was_missed_add_up(steps: list[str], buffer: int) -> None:
    async def main() -> None:
        broadcast = Broadcast()
        expected: deque[int] = deque()
        missed = number = told = 0
        async with broadcast.subscribe("a", buffer=buffer) as subscription:
            for step in steps:
                if step == "publish":
                    broadcast.publish("a", number)
                    expected.append(number)
                    number += 1
                    if len(expected) > buffer:
                        expected.popleft()
                        missed += 1
                elif expected:
                    if missed > told:
                        with pytest.raises(Lagged) as caught:
                            await subscription.__anext__()
                        assert caught.value.missed == missed - told
                        told = missed
                    assert (await subscription.__anext__()).value == expected.popleft()
            assert subscription.missed == missed

    trio.run(main)
