"""A command that a keeper owns, against a bare `trio.run_process` of the same program.

The floor starts the program, reads what it says through a pipe and waits for it; what else was started it does not
know. The first call of a run starts the root keeper, and the end of a run ends it; both are measured too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import _measure
import trio

from alloy_trio.tools._belongings import Belongings
from alloy_trio.tools._processes import run_pipeline

COMMAND = ("/bin/echo", "hello")
ENVIRONMENT = {"PATH": "/usr/bin:/bin"}
RULES = {"readable": ["/"], "writable": ["/dev/null"]}


async def ignore(chunk: bytes) -> None:
    """A sink that keeps nothing."""
    await trio.lowlevel.checkpoint()


async def bare() -> None:
    """The floor."""
    await trio.run_process(COMMAND, capture_stdout=True, env=ENVIRONMENT)


async def kept(belongings: Belongings, *, landlock: Mapping[str, Sequence[str]] | None = None) -> None:
    """One call."""
    await run_pipeline(
        [COMMAND],
        directory=Path("/"),
        environment=ENVIRONMENT,
        sink=ignore,
        belongings=belongings,
        landlock=landlock,
    )


async def measure(rounds: int) -> dict[str, list[float]]:
    """Let the contestants run in turns; returns the seconds of each."""
    run, runs = Belongings(), [Belongings()]

    async def end() -> None:
        await runs.pop().aclose()
        runs.append(Belongings())

    contestants: dict[str, Callable[[], Awaitable[None]]] = {
        "bare": bare,
        "call": lambda: kept(run),
        "call under Landlock": lambda: kept(run, landlock=RULES),
        "first call": lambda: kept(runs[-1]),
        "end": end,
    }
    measured: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(-1, rounds):
        for name, call in contestants.items():
            start = time.perf_counter()
            await call()
            if number >= 0:
                measured[name].append(time.perf_counter() - start)
    await run.aclose()
    await runs.pop().aclose()
    return measured


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; returns the exit status."""
    options = _measure.parser(__doc__, rounds=301).parse_args(argv)
    options.clock = "wall"
    if not sys.platform.startswith("linux"):
        print("there are keepers on Linux only")
        return 0
    measured = trio.run(partial(measure, options.rounds))
    rows = [_measure.compare(f"{name} / bare", measured, name, "bare") for name in measured if name != "bare"]
    return _measure.report("keeper", rows, options)


if __name__ == "__main__":
    _measure.run(main)
