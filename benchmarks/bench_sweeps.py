"""What a sweep costs, against plain runs of its script: CPU time, and one plain run for each of its steps.

The script has six turns and three tools that run at the same time. Required is that to cancel it before each of its
steps, and to look at all that has to hold afterwards, costs at most 1.5 times its number of steps times one plain run.
Beside it, a fault sweep and a schedule sweep, for each of their runs.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import _measure
import trio

import alloy_trio
from alloy_trio import Text, ToolUse
from alloy_trio.providers import Scripted
from alloy_trio.testing import SweepReport, cancel_sweep, fault_sweep, run_seeded, schedule_sweep

LIMIT = 1.5
PLAIN_RUNS = 60
SEEDS = range(100)


@alloy_trio.tool
async def nap(seconds: float) -> str:
    """Sleep.

    Args:
        seconds: how long
    """
    await trio.sleep(seconds)
    return "slept"


def model() -> Scripted:
    """Five turns with three calls each, and the answer."""
    turns: list[Any] = [
        [
            Text(f"This is turn {turn} of six."),
            *(ToolUse(f"{turn}{name}", "nap", {"seconds": at}) for at, name in enumerate("abc", 1)),
        ]
        for turn in range(1, 6)
    ]
    # To those that were lost, a fault sweep's script may ask for more.
    return Scripted([*turns, "All is done.", *["Once more."] * 3])


async def by_run() -> None:
    """Without events."""
    await alloy_trio.run("go", provider=model(), tools=[nap])


async def by_stream() -> None:
    """With its events read."""
    async with alloy_trio.stream("go", provider=model(), tools=[nap]) as events:
        async for _ in events:
            pass


async def by_chat() -> None:
    """By an agent."""
    async with alloy_trio.open_agent(provider=model(), tools=[nap]) as agent:
        await agent.chat("go")


SCRIPTS: dict[str, Callable[[], Awaitable[None]]] = {"run": by_run, "stream": by_stream, "chat": by_chat}


def plain_seconds(script: Callable[[], Awaitable[None]]) -> float:
    """CPU time of one run of a script."""
    start = time.process_time()
    for _ in range(PLAIN_RUNS):
        run_seeded(script)
    return (time.process_time() - start) / PLAIN_RUNS


def swept_seconds(sweep: Callable[[], SweepReport], *, by_steps: bool) -> float:
    """CPU time of a sweep, by the steps of the script or by the runs that were made of it."""
    start = time.process_time()
    report = sweep()
    return (time.process_time() - start) / (report.steps if by_steps else report.runs)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; returns the exit status."""
    options = _measure.parser(__doc__, rounds=9).parse_args(argv)
    contestants: dict[str, Callable[[], float]] = {}
    for name, script in SCRIPTS.items():
        contestants |= {
            f"{name}, plain": lambda script=script: plain_seconds(script),
            f"{name}, cancel_sweep": lambda script=script: swept_seconds(
                lambda: cancel_sweep(script), by_steps=True
            ),
            f"{name}, fault_sweep": lambda script=script: swept_seconds(
                lambda: fault_sweep(script), by_steps=False
            ),
            f"{name}, schedule_sweep": lambda script=script: swept_seconds(
                lambda: schedule_sweep(script, seeds=SEEDS), by_steps=False
            ),
        }
    measured = _measure.interleaved(contestants, options.rounds)
    rows = [
        _measure.compare(
            f"{sweep} by {name}, a {'step' if sweep == 'cancel_sweep' else 'run'} / plain run",
            measured,
            f"{name}, {sweep}",
            f"{name}, plain",
            limit=LIMIT if sweep == "cancel_sweep" else None,
        )
        for sweep in ("cancel_sweep", "fault_sweep", "schedule_sweep")
        for name in SCRIPTS
    ]
    return _measure.report("sweeps", rows, options)


if __name__ == "__main__":
    _measure.run(main)
