"""How the benchmarks measure: contestants take turns, medians are compared, results are tables and JSON.

A figure alone says more about the machine than about the program. So each benchmark runs a floor beside its
subject, in the same run, one after the other in changing order, and what counts is the ratio of medians.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"


class Row(NamedTuple):
    """One comparison.

    Args:
        what: what was measured.
        unit: of both times.
        subject: median of ours.
        floor: median of what it is held against.
        limit: the greatest allowed ratio, or None if nothing is required.
        spread: of the subject, half the distance between its quartiles, relative to its median.
    """

    what: str
    unit: str
    subject: float
    floor: float
    limit: float | None = None
    spread: float | None = None

    @property
    def ratio(self) -> float:
        """How many times the floor the subject takes."""
        return self.subject / self.floor


def parser(doc: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """Arguments that all benchmarks take: ``--rounds`` and ``--check``."""
    made = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument(
        "--rounds", type=int, default=rounds, help="rounds of all contestants (default: %(default)s)"
    )
    made.add_argument("--check", action="store_true", help="exit with status 1 if a limit is exceeded")
    return made


def interleaved(
    contestants: Mapping[str, Callable[[], float]], rounds: int, *, warm_ups: int = 1
) -> dict[str, list[float]]:
    """Let the contestants run one after the other, ``rounds`` times.

    Args:
        contestants: each runs once and returns what it measured.
        rounds: how often each is measured. Who begins changes from round to round.
        warm_ups: rounds before that, which are not counted.

    Returns:
        The measurements of each, in order.
    """
    names = list(contestants)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for number in range(-warm_ups, rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            value = contestants[name]()
            if number >= 0:
                measured[name].append(value)
    return measured


def timed(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> Callable[[], float]:
    """A contestant that measures a call's seconds."""

    def measure() -> float:
        start = clock()
        call()
        return clock() - start

    return measure


def children_seconds() -> float:
    """CPU time, user and system, of the child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


CLOCKS: dict[str, Callable[[], float]] = {"wall": time.perf_counter, "cpu": children_seconds}
"""What programs may be measured by. CPU time is the steadier one on a busy machine."""


def spread(values: Sequence[float]) -> float:
    """Half the distance between the quartiles, relative to the median."""
    if len(values) < 2:
        return 0.0
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return (high - low) / 2 / middle


def compare(
    what: str,
    measured: Mapping[str, Sequence[float]],
    subject: str,
    floor: str,
    *,
    unit: str = "ms",
    scale: float = 1e3,
    limit: float | None = None,
) -> Row:
    """A row from two contestants' measurements in seconds; ``scale`` turns these into ``unit``."""
    ours, theirs = measured[subject], measured[floor]
    return Row(
        what, unit, statistics.median(ours) * scale, statistics.median(theirs) * scale, limit, spread(ours)
    )


def report(name: str, rows: Iterable[Row], options: argparse.Namespace, **more: Any) -> int:
    """Print a table, write ``results/<name>.json``; returns the exit status."""
    rows = list(rows)
    wide = max(len(row.what) for row in rows)
    print(f"{'':{wide}}  {'ours':>11} {'floor':>11} {'ratio':>6} {'limit':>6} {'spread':>7}")
    for row in rows:
        limit = (
            "" if row.limit is None else f"{row.limit:.2f}" + ("" if row.ratio <= row.limit else " <- over")
        )
        share = "" if row.spread is None else f"{row.spread:6.1%}"
        print(
            f"{row.what:{wide}}  {row.subject:8.2f} {row.unit:2} {row.floor:8.2f} {row.unit:2} "
            f"{row.ratio:6.3f} {limit:>6} {share:>7}",
            flush=True,
        )
    RESULTS.mkdir(exist_ok=True)
    result = {
        "benchmark": name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": {package: version(package) for package in ("trio", "httpx", "httpcore", "attrs")},
        "rounds": options.rounds,
        "clock": getattr(options, "clock", "cpu"),
        "rows": [{**row._asdict(), "ratio": row.ratio} for row in rows],
        **more,
    }
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"({options.rounds} rounds, interleaved medians; {path})")
    over = [row for row in rows if row.limit is not None and row.ratio > row.limit]
    return 1 if over and options.check else 0


def run(main: Callable[[Sequence[str]], int]) -> None:
    """Run a benchmark's ``main`` as the program."""
    sys.exit(main(sys.argv[1:]))
