"""Keepers: nothing that a call started outlives the call, however it ends and whatever it did to get away.

The full numbers (1,000 runs that are cancelled and 1,000 that run out of time) take minutes:
``ALLOY_TRIO_FULL=1 pytest tests/tools/test_keepers.py -k campaign -s``.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
import trio

from alloy_trio.tools import ToolContext, bash_tool
from alloy_trio.tools import _processes as processes
from alloy_trio.tools._belongings import Belongings
from alloy_trio.tools._limit import Interrupted

from .leftovers import PATIENCE, SHAPES, children, descriptors, mark, marked, until_none

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="keepers are subreapers, which only Linux has"
)

FULL = os.environ.get("ALLOY_TRIO_FULL") == "1"
RUNS = 1_000 if FULL else 2 * len(SHAPES)
AT_ONCE = 4
PATH = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
async def belongings() -> AsyncIterator[Belongings]:
    kept = Belongings()
    yield kept
    await kept.aclose()


async def ignore(chunk: bytes) -> None:
    await trio.lowlevel.checkpoint()


async def run(command: str, belongings: Belongings | None, sink: processes.Sink = ignore) -> list[int]:
    return await processes.run_pipeline(
        [("/bin/bash", "-c", command)],
        directory=Path("/"),
        environment=PATH,
        sink=sink,
        belongings=belongings,
    )


async def cancelled(command: str, belongings: Belongings | None, delay: float | None = None) -> float:
    """Run a command, cancel it when it has said something, or after a delay; returns the seconds that its end took."""
    since = 0.0

    def stop() -> None:
        nonlocal since
        since = time.perf_counter()
        scope.cancel()

    async def sink(chunk: bytes) -> None:
        if delay is None:
            stop()

    async def wait(seconds: float) -> None:
        await trio.sleep(seconds)
        stop()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            if delay is not None:
                nursery.start_soon(wait, delay)
            await run(command, belongings, sink)
            nursery.cancel_scope.cancel()
    return time.perf_counter() - since if since else 0.0


class Campaign:
    """Many calls, some at once, of all shapes; afterwards everything is as before."""

    def __init__(self, one: Callable[[str, Belongings, random.Random], Awaitable[float]]) -> None:
        self._one = one
        self.seconds: list[float] = []

    async def run(self, runs: int) -> None:
        before = (descriptors(), children(os.getpid()))
        belongings = Belongings()
        await run("true", belongings)
        (root,) = children(os.getpid()) - before[1]
        between = descriptors()
        try:
            await self._all(runs, belongings)
            assert descriptors() == between
            with trio.fail_after(PATIENCE):
                while children(root):  # noqa: ASYNC110 - the last call's keeper is just leaving
                    await trio.sleep(0.001)
        finally:
            await belongings.aclose()
        assert (descriptors(), children(os.getpid())) == before

    async def _all(self, runs: int, belongings: Belongings) -> None:
        choice = random.Random(4)
        left = list(range(runs))

        async def worker() -> None:
            while left:
                shape = list(SHAPES.values())[left.pop() % len(SHAPES)]
                token = mark()
                self.seconds.append(await self._one(shape.replace("@", token), belongings, choice))
                assert marked(token) == []

        async with trio.open_nursery() as nursery:
            for _ in range(AT_ONCE):
                nursery.start_soon(worker)

    def report(self, name: str) -> None:
        seconds = sorted(self.seconds)
        p50, p99 = (seconds[int(len(seconds) * share)] for share in (0.5, 0.99))
        print(
            f"\n{len(seconds)} {name}: p50 {p50 * 1e3:.0f} ms, p99 {p99 * 1e3:.0f} ms, max {seconds[-1] * 1e3:.0f} ms"
        )
        if FULL:
            assert p99 < 1.0


async def test_campaign_of_cancelled_calls() -> None:
    async def one(command: str, belongings: Belongings, choice: random.Random) -> float:
        # Half of them once they run, half at any time, also before there is a process.
        delay = None if choice.random() < 0.5 else choice.uniform(0, 0.02)
        return await cancelled(command, belongings, delay)

    campaign = Campaign(one)
    await campaign.run(RUNS)
    campaign.report("cancelled")


async def test_campaign_of_calls_that_run_out_of_time(tmp_path: Path) -> None:
    full = bash_tool(restricted=False)

    async def one(command: str, belongings: Belongings, choice: random.Random) -> float:
        context = attrs.evolve(ToolContext.at(tmp_path), belongings=belongings)
        timeout = choice.uniform(0.02, 0.1)
        before = time.perf_counter()
        assert full.fn is not None
        with pytest.raises(Interrupted, match="its time limit"):
            await full.fn(command, context, timeout=timeout)
        return time.perf_counter() - before - timeout

    campaign = Campaign(one)
    await campaign.run(RUNS)
    campaign.report("out of time")


@pytest.mark.parametrize("shape", SHAPES)
async def test_what_is_left_ends_with_a_call_that_ends_by_itself(belongings: Belongings, shape: str) -> None:
    token = mark()
    command = SHAPES[shape].replace("exec ", "").replace("@", token)
    assert await run(f"{{ {command}; }} & sleep 0.05; exit 3", belongings) == [3]
    assert marked(token) == []


async def test_a_call_without_belongings_keeps_nothing() -> None:
    before = (descriptors(), children(os.getpid()))
    token = mark()
    assert await run(f"setsid sleep {token} & exit 5", None) == [5]
    await cancelled(f"trap '' TERM; setsid sleep {token} & echo up; sleep {token}", None)
    assert marked(token) == []
    assert (descriptors(), children(os.getpid())) == before


async def test_one_root_keeper_serves_all_calls_of_a_run(belongings: Belongings) -> None:
    before = children(os.getpid())
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(run, "sleep 0.05", belongings)
    assert len(children(os.getpid()) - before) == 1


async def test_a_root_keeper_with_other_rights_is_not_used_again(
    belongings: Belongings, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children(os.getpid())
    await run("true", belongings)
    first = children(os.getpid()) - before
    monkeypatch.setattr(os, "getgroups", lambda: [4711])
    await run("true", belongings)
    second = children(os.getpid()) - before
    assert len(first) == len(second) == 1
    assert first != second


async def test_calls_at_once_leave_each_other_alone(belongings: Belongings) -> None:
    statuses = []

    async def longer() -> None:
        statuses.extend(await run("setsid sleep 0.3 & trap '' TERM; sleep 0.3; wait; exit 7", belongings))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(longer)
        for _ in range(3):
            nursery.start_soon(cancelled, "sleep 100 & echo up; sleep 100", belongings)
    assert statuses == [7]


async def test_closing_ends_a_call_that_still_runs(belongings: Belongings) -> None:
    token = mark()
    statuses: list[int] = []

    async def sink(chunk: bytes) -> None:
        up.set()

    async def call() -> None:
        statuses.extend(await run(f"echo up; sleep {token}", belongings, sink))

    up = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(call)
        await up.wait()
        await belongings.aclose()
    assert statuses == [-signal.SIGTERM]
    assert marked(token) == []


class TestHost:
    """The host program is left as it is, whatever it does."""

    async def test_its_own_children_keep_their_statuses(self, belongings: Belongings) -> None:
        own = [
            await trio.to_thread.run_sync(
                subprocess.Popen, ["/bin/sh", "-c", f"sleep 0.{number}; exit {number}"]
            )
            for number in range(1, 8)
        ]
        for _ in range(20):
            await run("sleep 100 & (setsid sleep 100 &); exit 1", belongings)
        for _ in range(3):
            await cancelled("trap '' TERM; sleep 100 & echo up; sleep 100", belongings)
        with trio.fail_after(PATIENCE):
            assert [await trio.to_thread.run_sync(each.wait) for each in own] == list(range(1, 8))

    async def test_neither_its_signals_nor_its_attributes_change(self, belongings: Belongings) -> None:
        def state() -> list[str]:
            names = ("SigBlk", "SigIgn", "SigCgt", "NoNewPrivs", "Groups", "NSsid")
            return [
                line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(names)
            ]

        def subreaper() -> int:
            value = ctypes.c_int(-1)
            ctypes.CDLL(None).prctl(37, ctypes.byref(value), 0, 0, 0)
            return value.value

        before = state()
        await run("sleep 100 & true", belongings)
        assert state() == before
        assert subreaper() == 0

    def test_it_may_ignore_the_end_of_its_children(self) -> None:
        with host(
            "sleep 0.1; kill -15 $$",
            "sleep 100 & exit 3",
            before="signal.signal(signal.SIGCHLD, signal.SIG_IGN)",
        ) as (
            process,
            read,
        ):
            assert {read(), read()} == {"[3]", "[-15]"}
            assert process.wait(PATIENCE) == 0

    def test_it_may_have_many_open_descriptors(self) -> None:
        before = "kept = [os.dup(1) for _ in range(3000)]\n[os.set_inheritable(each, True) for each in kept]"
        with host("ls /proc/self/fd | wc -l", before=before) as (_, read):
            assert {read(), read()} == {"4", "[0]"}

    def test_it_may_run_several_loops_in_threads(self) -> None:
        done = []

        async def loop() -> None:
            belongings = Belongings()
            for _ in range(10):
                done.extend(await run("sleep 100 & exit 4", belongings))
                await cancelled("sleep 100 & echo up; sleep 100", belongings)
            await belongings.aclose()

        before = (descriptors(), children(os.getpid()))
        threads = [threading.Thread(target=trio.run, args=(loop,)) for _ in range(2)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert done == [4] * 20
        assert (descriptors(), children(os.getpid())) == before

    def test_it_may_fork_and_both_go_on(self) -> None:
        belongings = Belongings()
        assert trio.run(run, "exit 1", belongings) == [1]
        child = os.fork()
        if child == 0:
            try:
                before = children(os.getpid())
                status = trio.run(run, "exit 2", belongings) == [2] and len(children(os.getpid())) > len(
                    before
                )
                trio.run(belongings.aclose)
                os._exit(0 if status and children(os.getpid()) == before else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        before = children(os.getpid())
        assert trio.run(run, "exit 3", belongings) == [3]
        assert children(os.getpid()) == before
        trio.run(belongings.aclose)

    def test_kill_9_leaves_nothing(self) -> None:
        token = mark()
        commands = [each.replace("@", token) for each in SHAPES.values()]
        slowest = 0.0
        for _ in range(20 if FULL else 1):
            with host(*commands) as (process, read):
                assert {read() for _ in commands} == {"up"}
                process.kill()
                slowest = max(slowest, until_none(token))
        print(f"\nafter kill -9 of the host the last was gone after {slowest * 1e3:.0f} ms")
        assert slowest < (1.0 if FULL else PATIENCE)

    def test_kill_9_leaves_nothing_while_a_fork_of_it_lives_on(self) -> None:
        token = mark()
        with host(f"sleep {token} & echo up; sleep {token}", fork=True) as (process, read):
            assert read() == "up"
            child = int(read())
            try:
                process.kill()
                until_none(token)
                os.kill(child, 0)
            finally:
                os.kill(child, signal.SIGKILL)

    def test_kill_9_at_any_time_leaves_nothing(self) -> None:
        token = mark()
        for delay in range(0, 120, 5 if FULL else 20):
            with host(f"setsid sleep {token} & sleep {token}") as (process, _):
                time.sleep(0.08 + delay / 1000)
                process.kill()
            time.sleep(0.05)  # what is just becoming a program shows no mark
            until_none(token)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_another_end_leaves_nothing_either(self, number: int) -> None:
        token = mark()
        with host(f"trap '' TERM INT HUP; setsid sleep {token} & echo up; sleep {token}") as (process, read):
            assert read() == "up"
            process.send_signal(number)
            assert process.wait(PATIENCE) != 0
            until_none(token)


PROGRAM = """
import os, signal, sys, trio
from pathlib import Path
from alloy_trio.tools._belongings import Belongings
from alloy_trio.tools._processes import run_pipeline

async def sink(chunk):
    print(chunk.decode().strip(), flush=True)

async def call(command, belongings):
    print(await run_pipeline(
        [("/bin/bash", "-c", command)], directory=Path("/"), environment={"PATH": "/usr/bin:/bin"},
        sink=sink, belongings=belongings,
    ), flush=True)

async def main(fork, commands):
    belongings = Belongings()
    try:
        async with trio.open_nursery() as nursery:
            for command in commands:
                nursery.start_soon(call, command, belongings)
            if fork:
                await trio.sleep(0.5)
                child = os.fork()
                if not child:
                    signal.pause()
                print(child, flush=True)
    finally:
        await belongings.aclose()
"""


@contextmanager
def host(
    *commands: str, before: str = "", fork: bool = False
) -> Iterator[tuple[subprocess.Popen[str], Callable[[], str]]]:
    """A program that runs commands, with what reads the next line that it or they say."""
    code = f"{PROGRAM}\n{before}\ntrio.run(main, {fork}, os.environ['COMMANDS'].split(chr(1)))"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "COMMANDS": chr(1).join(commands)},  # where no look for marks finds them
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process, lambda: process.stdout.readline().strip()
        finally:
            process.kill()
