"""One source of randomness and time."""

from __future__ import annotations

import re

import trio
import trio.testing

from alloy_trio import ToolUse, run, stream, to_json, tool
from alloy_trio._seed import seeded, source
from alloy_trio.providers import Scripted


def test_ids_are_long_and_differ() -> None:
    ids = {source().new_id("run") for _ in range(1000)}
    assert len(ids) == 1000
    assert all(re.fullmatch(r"run_[0-9a-f]{24}", each) for each in ids)


def test_a_seed_fixes_ids_and_jitter_inside_its_block_only() -> None:
    def draw() -> tuple[str, float]:
        return source().new_id("x"), source().jitter()

    with seeded(7):
        first = draw()
    with seeded(7):
        assert draw() == first
    with seeded(8):
        assert draw() != first
    assert draw() != first


def test_jitter_is_a_part_of_one() -> None:
    assert all(0 <= source().jitter() < 1 for _ in range(100))


def test_under_a_mock_clock_a_seed_gives_the_same_events_byte_for_byte() -> None:
    @tool
    async def nap(seconds: float) -> str:
        """Sleep."""
        await trio.sleep(seconds)
        return "slept"

    async def record() -> list[str]:
        script = [[ToolUse("", "nap", {"seconds": 1.5})], "Good morning."]
        async with stream("Sleep", provider=Scripted(script), tools=[nap]) as events:
            return [to_json(event) async for event in events]

    def once() -> list[str]:
        clock = trio.testing.MockClock(autojump_threshold=0)
        with seeded(3, now_ms=lambda: int(clock.current_time() * 1000)):
            return trio.run(record, clock=clock)

    first = once()
    assert first == once()
    assert any('"duration_ms":1500' in event for event in first)


async def test_a_given_request_id_is_the_correlation_id() -> None:
    result = await run("x", provider=Scripted(["y"]), request_id="mine")
    assert (result.request_id, result.correlation_id) == ("mine", "mine")
