"""The buffer between a run and its reader."""

from __future__ import annotations

import pickle

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio import Event
from alloy_trio._seed import seeded
from alloy_trio.loop._emitter import Emitter, EventBuffer
from alloy_trio.loop._events import FAIRNESS_INTERVAL, EventStream


def texts(*words: str) -> list[tuple[str, str]]:
    return [("text_delta", word) for word in words]


async def test_events_come_out_in_order_and_numbered() -> None:
    buffer = EventBuffer(10)
    emitter = Emitter("c", buffer)
    await emitter.send(texts("a", "b"))
    emitter.emit("run_end", {})
    buffer.end()
    seen = [await buffer.next() for _ in range(4)]
    assert [event and (event.seq, event.payload) for event in seen] == [(1, "a"), (2, "b"), (3, {}), None]


async def test_a_sender_waits_for_room_and_what_waits_has_no_number() -> None:
    buffer = EventBuffer(2)
    emitter = Emitter("c", buffer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(emitter.send, texts("a", "b", "c", "d"))
        await trio.testing.wait_all_tasks_blocked()
        assert emitter.seq == 2
        assert [(await buffer.next()).payload for _ in range(4)] == ["a", "b", "c", "d"]


async def test_closing_events_go_in_beyond_the_bound() -> None:
    buffer = EventBuffer(1)
    emitter = Emitter("c", buffer)
    await emitter.send(texts("a"))
    assert emitter.emit("tool_end", {}) == 2
    assert emitter.emit("run_end", {}) == 3
    buffer.end()
    assert [(await buffer.next()).seq for _ in range(3)] == [1, 2, 3]


async def test_a_cancelled_sender_leaves_no_gap() -> None:
    buffer = EventBuffer(2)
    emitter = Emitter("c", buffer)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(emitter.send, texts("a", "b", "c"))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    emitter.emit("run_end", {})
    buffer.end()
    assert [(await buffer.next()).seq for _ in range(3)] == [1, 2, 3]


async def test_a_cancelled_reader_takes_nothing() -> None:
    buffer = EventBuffer(2)
    emitter = Emitter("c", buffer)
    events = EventStream(buffer, emitter)
    await emitter.send(texts("a"))
    with trio.CancelScope() as scope:
        scope.cancel()
        await events.__anext__()
    assert scope.cancelled_caught
    assert (await events.__anext__()).payload == "a"


async def test_many_senders_share_the_room(autojump_clock: trio.testing.MockClock) -> None:
    buffer = EventBuffer(4)
    emitter = Emitter("c", buffer)
    async with trio.open_nursery() as nursery:
        for name in "abc":
            nursery.start_soon(emitter.send, texts(*[name] * 20))
        seen: list[Event] = []
        for _ in range(60):
            assert len(buffer.events) <= 4
            await trio.sleep(0.1)
            seen.append(await buffer.next())
    assert [event.seq for event in seen] == list(range(1, 61))
    assert {name: sum(event.payload == name for event in seen) for name in "abc"} == {
        "a": 20,
        "b": 20,
        "c": 20,
    }


async def test_a_greedy_reader_lets_others_run() -> None:
    buffer = EventBuffer(10_000)
    emitter = Emitter("c", buffer)
    events = EventStream(buffer, emitter)
    await emitter.send(texts(*["x"] * FAIRNESS_INTERVAL * 10))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await trio.lowlevel.checkpoint()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(count)
        for _ in range(FAIRNESS_INTERVAL * 10):
            await events.__anext__()
        nursery.cancel_scope.cancel()
    assert turns >= 9


async def test_without_a_listener_events_are_only_counted() -> None:
    emitter = Emitter("c", None)
    await emitter.send(texts(*["x"] * 1000))
    assert emitter.emit("run_end", {}) == 1001
    assert emitter.into is None


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), max_size=20), st.integers(1, 5))
def test_any_mix_of_senders_and_readers_keeps_order_and_bound(
    steps: list[tuple[int, bool]], capacity: int
) -> None:
    async def main() -> None:
        buffer = EventBuffer(capacity)
        emitter = Emitter("c", buffer)
        total = sum(count for count, _ in steps)
        seen: list[int] = []

        async def read() -> None:
            while (event := await buffer.next()) is not None:
                assert len(buffer.events) <= capacity
                seen.append(event.payload)
                await trio.lowlevel.checkpoint()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            number = 0
            for count, pause in steps:
                await emitter.send([("text_delta", number + offset) for offset in range(count)])
                number += count
                if pause:
                    await trio.testing.wait_all_tasks_blocked()
            buffer.end()
        assert seen == list(range(total))

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_an_unread_result_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        _ = EventStream(EventBuffer(1), Emitter("c", None)).result


async def test_an_event_of_a_run_is_like_one_made_by_hand() -> None:
    buffer = EventBuffer(1)
    emitter = Emitter("c", buffer, parent=Emitter("p", None))
    emitter.turn = 3
    emitter.emit("text_delta", "hi")
    event = await buffer.next()
    assert type(event) is Event
    by_hand = Event(
        event="text_delta", seq=1, correlation_id="c", turn=3, ts_ms=event.ts_ms, payload="hi", parent_id="p"
    )
    assert (event, repr(event), hash(event)) == (by_hand, repr(by_hand), hash(by_hand))
    assert attrs.evolve(event, seq=2).seq == 2
    assert pickle.loads(pickle.dumps(event)) == by_hand
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.seq = 2  # type: ignore[misc]


async def test_what_is_sent_together_has_one_time_and_one_order() -> None:
    times = iter(range(100))
    with seeded(1, now_ms=lambda: next(times)):
        buffer = EventBuffer(10)
        emitter = Emitter("c", buffer)
    await emitter.send(texts("a", "b"))
    await emitter.send(texts("c"))
    seen = [await buffer.next() for _ in range(3)]
    assert [(event and (event.ts_ms, event.payload)) for event in seen] == [(0, "a"), (0, "b"), (1, "c")]
