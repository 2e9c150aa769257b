"""Runs that can be repeated exactly.

trio shuffles the tasks that are ready in each step. Its own tests, and Hypothesis, fix that by a switch and a generator
in its core; what is done here is the same.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias, TypeVar, TypeVarTuple

import trio
import trio.testing

from alloy_trio._seed import seeded
from alloy_trio.values import ConfigurationError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")
Clock: TypeAlias = Literal["mock", "real"]


def run_seeded(
    fn: Callable[[*Ts], Awaitable[T]],
    *args: *Ts,
    seed: int = 0,
    clock: Clock = "mock",
    instruments: tuple[trio.abc.Instrument, ...] = (),
) -> T:
    """Like ``trio.run``, the same each time: a seed fixes trio's scheduler, ids and jitter.

    With the mock clock, time passes only while all wait, and the events' times are of that clock, from 0: without
    threads, two runs with one seed give the same events byte for byte.

    Args:
        fn: the async function.
        args: its arguments.
        seed: another one is another schedule, and other ids and delays.
        clock: ``"mock"``, or ``"real"`` for what waits for processes or sockets.
        instruments: as for ``trio.run``.

    Raises:
        ConfigurationError: the clock is not known, or this trio cannot be seeded.
    """
    if clock not in ("mock", "real"):
        raise ConfigurationError(f"clock={clock!r} must be 'mock' or 'real'")

    async def main() -> T:
        if clock == "real":
            with seeded(seed):
                return await fn(*args)
        with seeded(seed, now_ms=lambda: round(trio.current_time() * 1000)):
            return await fn(*args)

    mock = trio.testing.MockClock(autojump_threshold=0) if clock == "mock" else None
    with deterministic_schedule(seed):
        return trio.run(main, clock=mock, instruments=instruments)


@contextmanager
def deterministic_schedule(seed: int) -> Iterator[None]:
    """Let trio choose its schedules by a seed, for the time of the block.

    Raises:
        ConfigurationError: this trio has not got what is needed.
    """
    core: Any = sys.modules["trio._core._run"]
    if not hasattr(core, "_ALLOW_DETERMINISTIC_SCHEDULING") or not hasattr(core, "_r"):
        raise ConfigurationError(f"the schedule of trio {trio.__version__} cannot be seeded")
    before, state = core._ALLOW_DETERMINISTIC_SCHEDULING, core._r.getstate()
    core._ALLOW_DETERMINISTIC_SCHEDULING = True
    core._r.seed(seed)
    try:
        yield
    finally:
        core._ALLOW_DETERMINISTIC_SCHEDULING = before
        core._r.setstate(state)
