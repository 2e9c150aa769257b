"""Supervision: what a restart costs, 1,000 children that crash, and a tree of 1,000 leaves taken down.

"restart" is one child that raises as soon as it runs, again and again, without a limit or a delay; its floor is a bare
task in a nursery that raises just so and is caught, one after the other. Required is less than five times the floor.
"restart, ready" is a child that calls started() first; its floor is `nursery.start`.

"crashing" is 1,000 children under one_for_one that crash at once each time, with backoff, for a minute of trio's mock
clock; its floor is as many bare tasks, each started after a sleep as long as the delay was on average.

"tree" is a tree of depth 5 with 1,000 leaves (156 supervisors), started and taken down; its floor is nurseries in
nurseries of the same shape, cancelled at once. No task may be left. What a leaf takes of memory, its share of the
supervisors included, is told below the table, and is in the JSON.
"""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

import _measure
import trio
import trio.testing

from alloy_trio.supervision import Backoff, ChildSpec, open_supervisor, supervisor_child

LIMIT = 5.0
FANS = (5, 5, 5, 8)
"""Children of the root, of each of these, and so on down to 1,000 leaves."""
ENOUGH = 10**9
BACKOFF = Backoff(first_seconds=0.5, factor=2.0, most_seconds=8.0)
SECONDS = 60.0


class Crash(Exception):
    """What children raise."""


class Counter:
    """A child that crashes until it has run often enough."""

    def __init__(self, runs: int) -> None:
        self.left = runs

    def run(self) -> None:
        """Crash, or end it all."""
        self.left -= 1
        if self.left >= 0:
            raise Crash

    async def bare(self) -> None:
        """A plain child."""
        self.run()

    async def ready(self, *, task_status: trio.TaskStatus[None]) -> None:
        """A child that says when it is ready."""
        task_status.started()
        self.run()


async def restarts(runs: int, ready: bool) -> None:
    """A supervisor that restarts one child so often."""
    counter = Counter(runs)
    fn: Callable[..., Awaitable[None]] = counter.ready if ready else counter.bare
    spec = ChildSpec("child", fn, restart="transient", significant=True)
    async with open_supervisor([spec], max_restarts=ENOUGH, auto_shutdown="any_significant"):
        await trio.sleep_forever()


async def bare_tasks(runs: int, ready: bool) -> None:
    """As many tasks in a nursery, one after the other."""
    counter = Counter(runs)
    ended = trio.lowlevel.ParkingLot()

    async def task(*, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        try:
            if ready:
                await counter.ready(task_status=task_status)
            else:
                await counter.bare()
        except Crash:
            pass
        ended.unpark()

    async with trio.open_nursery() as nursery:
        for _ in range(runs):
            if ready:
                await nursery.start(task)
            else:
                nursery.start_soon(task)
                await ended.park()


async def crashing(children: int) -> int:
    """Children that crash all the time, with delays; returns the number of restarts."""

    async def child() -> None:
        raise Crash

    specs = [ChildSpec(str(number), child) for number in range(children)]
    async with open_supervisor(specs, max_restarts=ENOUGH, backoff=BACKOFF) as supervisor:
        await trio.sleep(SECONDS)
    return supervisor.statistics().restarts


async def sleeping(children: int, each: int) -> None:
    """Bare tasks that are started as often, with a sleep between."""

    async def task() -> None:
        try:
            raise Crash
        except Crash:
            pass

    async def again(nursery: trio.Nursery) -> None:
        for _ in range(each):
            await trio.sleep(SECONDS / each)
            nursery.start_soon(task)

    async with trio.open_nursery() as nursery:
        for _ in range(children):
            nursery.start_soon(again, nursery)


def tree_spec(name: str, fans: Sequence[int]) -> ChildSpec:
    """A leaf, or a supervisor with everything below it."""
    if not fans:
        return ChildSpec(name, trio.sleep_forever)
    return supervisor_child(name, [tree_spec(f"{name}.{number}", fans[1:]) for number in range(fans[0])])


async def tree(look: Callable[[], None]) -> None:
    """A tree, taken down as soon as it stands."""
    before = trio.lowlevel.current_statistics().tasks_living
    async with open_supervisor([tree_spec(str(number), FANS[1:]) for number in range(FANS[0])]):
        look()
    assert trio.lowlevel.current_statistics().tasks_living == before


async def nurseries(look: Callable[[], None]) -> None:
    """Nurseries of the same shape."""

    async def node(fans: Sequence[int], *, task_status: trio.TaskStatus[None]) -> None:
        if not fans:
            task_status.started()
            await trio.sleep_forever()
        async with trio.open_nursery() as nursery:
            for _ in range(fans[0]):
                await nursery.start(node, fans[1:])
            task_status.started()

    async with trio.open_nursery() as nursery:
        await nursery.start(node, FANS)
        look()
        nursery.cancel_scope.cancel()


def run(fn: Callable[..., Awaitable[Any]], *args: Any) -> Any:
    """Run it by a clock that jumps over the sleeping."""
    return trio.run(fn, *args, clock=trio.testing.MockClock(autojump_threshold=0))


def memory(build: Callable[[Callable[[], None]], Awaitable[None]]) -> int:
    """Bytes that Python holds for something while it stands."""
    held = []
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    trio.run(build, lambda: held.append(tracemalloc.get_traced_memory()[0] - before))
    tracemalloc.stop()
    return held[0]


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; returns the exit status."""
    parser = _measure.parser(__doc__, rounds=7)
    parser.add_argument("--restarts", type=int, default=5_000, help="of one child (default: %(default)s)")
    parser.add_argument("--children", type=int, default=1_000, help="that crash (default: %(default)s)")
    options = parser.parse_args(argv)
    logging.disable(logging.CRITICAL)  # a traceback on the terminal costs more than what is measured
    times = run(crashing, options.children)
    each = max(times // options.children, 1)
    leaves = 1
    for fan in FANS:
        leaves *= fan
    rows = []
    for what, ready in (("restart", False), ("restart, ready", True)):
        contestants = {
            "ours": _measure.timed(partial(trio.run, restarts, options.restarts, ready)),
            "floor": _measure.timed(partial(trio.run, bare_tasks, options.restarts, ready)),
        }
        measured = _measure.interleaved(contestants, options.rounds)
        scale = 1e6 / options.restarts
        rows.append(_measure.compare(what, measured, "ours", "floor", unit="µs", scale=scale, limit=LIMIT))
    contestants = {
        "ours": _measure.timed(partial(run, crashing, options.children)),
        "floor": _measure.timed(partial(run, sleeping, options.children, each)),
    }
    measured = _measure.interleaved(contestants, min(options.rounds, 3))
    rows.append(_measure.compare(f"crashing, {times} restarts", measured, "ours", "floor"))
    contestants = {
        "ours": _measure.timed(partial(trio.run, tree, lambda: None)),
        "floor": _measure.timed(partial(trio.run, nurseries, lambda: None)),
    }
    measured = _measure.interleaved(contestants, options.rounds)
    rows.append(_measure.compare(f"tree, {leaves} leaves", measured, "ours", "floor"))
    ours, floor = memory(tree) / leaves, memory(nurseries) / leaves
    status = _measure.report("supervision", rows, options, bytes_a_leaf=ours, bytes_a_leaf_bare=floor)
    print(f"a leaf of the tree holds {ours / 1024:.1f} KiB, of bare nurseries {floor / 1024:.1f} KiB")
    return status


if __name__ == "__main__":
    _measure.run(main)
