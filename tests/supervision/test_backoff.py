"""Restarts that wait, on the clock."""

from __future__ import annotations

from itertools import pairwise

import pytest
import trio
from trio.testing import MockClock

from alloy_trio import RestartLimitExceeded
from alloy_trio._seed import seeded
from alloy_trio.supervision import Backoff, ChildSpec, open_supervisor

from ._children import Boom, Stage


async def starts_of_a_crashing_child(backoff: Backoff, count: int, *, lives: float = 0.0) -> list[float]:
    times: list[float] = []
    began = trio.current_time()

    async def child() -> None:
        times.append(trio.current_time() - began)
        if len(times) == count:
            raise KeyboardInterrupt
        await trio.sleep(lives)
        raise Boom

    with pytest.raises(KeyboardInterrupt):
        async with open_supervisor([ChildSpec("a", child)], max_restarts=10**6, backoff=backoff):
            await trio.sleep_forever()
    return times


async def test_delays_grow_to_the_longest(autojump_clock: MockClock) -> None:
    backoff = Backoff(first_seconds=1.0, factor=2.0, most_seconds=5.0, jitter=0.0)
    assert await starts_of_a_crashing_child(backoff, 6) == [0, 1, 3, 7, 12, 17]


async def test_a_healthy_child_begins_anew(autojump_clock: MockClock) -> None:
    backoff = Backoff(first_seconds=1.0, jitter=0.0, healthy_after_seconds=10.0)
    assert await starts_of_a_crashing_child(backoff, 4, lives=10.0) == [0, 11, 22, 33]
    assert await starts_of_a_crashing_child(backoff, 4, lives=9.0) == [0, 10, 21, 34]


async def test_jitter_shortens_and_a_seed_fixes_it(autojump_clock: MockClock) -> None:
    backoff = Backoff(first_seconds=1.0, factor=1.0, jitter=0.5)
    with seeded(7):
        one = await starts_of_a_crashing_child(backoff, 50)
    with seeded(7):
        two = await starts_of_a_crashing_child(backoff, 50)
    assert one == pytest.approx(two)
    delays = [after - before for before, after in pairwise(one)]
    assert 0.5 <= min(delays) < 0.6 < 0.9 < max(delays) <= 1.0


async def test_a_child_s_own_backoff_goes_before_the_supervisor_s(autojump_clock: MockClock) -> None:
    stage = Stage()
    own = Backoff(first_seconds=100.0, jitter=0.0)
    specs = [stage.spec("a", backoff=own), stage.spec("b")]
    async with open_supervisor(specs, backoff=Backoff(first_seconds=1.0, jitter=0.0)) as supervisor:
        await stage.crash("a", "b")
        assert [child.status for child in supervisor.children()] == ["restarting", "restarting"]
        await trio.sleep(2)
        assert [child.status for child in supervisor.children()] == ["restarting", "running"]
        await trio.sleep(99)
        assert stage.take() == "+a +b -a -b +b +a"


async def test_leaving_the_block_does_not_wait_for_a_delay(autojump_clock: MockClock) -> None:
    stage = Stage()
    async with open_supervisor(stage.specs("ab"), backoff=Backoff(first_seconds=1000.0)):
        await stage.crash("a")
        began = trio.current_time()
    assert trio.current_time() == began
    assert stage.take() == "+a +b -a -b"


async def test_restarts_with_delays_count_as_any_others(autojump_clock: MockClock) -> None:
    stage = Stage()
    backoff = Backoff(first_seconds=1.0, factor=1.0, jitter=0.0)
    with pytest.raises(RestartLimitExceeded):
        async with open_supervisor(stage.specs("a"), max_restarts=2, within=100.0, backoff=backoff):
            for _ in range(3):
                await stage.crash("a")
                await trio.sleep(2)
    assert stage.take() == "+a -a +a -a +a -a"
