"""Where randomness and wall-clock time come from, so that a seed can fix them.

Ids, jitter and the events' timestamps are drawn from one source. It is the system's by default; :func:`seeded`
puts a reproducible one in its place for everything that is started inside.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Source:
    """Random numbers and the time.

    Args:
        generator: makes the random bits.
        now_ms: the time, in milliseconds since the epoch.
    """

    def __init__(self, generator: random.Random, now_ms: Callable[[], int]) -> None:
        self._generator = generator
        self.now_ms = now_ms

    def new_id(self, prefix: str) -> str:
        """An id like ``"run_5f0c…"`` with 96 random bits."""
        return f"{prefix}_{self._generator.getrandbits(96):024x}"

    def jitter(self) -> float:
        """A number from 0.0 up to, not including, 1.0."""
        return self._generator.random()


def _epoch_ms() -> int:
    return time.time_ns() // 1_000_000


_SYSTEM = Source(random.SystemRandom(), _epoch_ms)
_current: ContextVar[Source] = ContextVar("alloy_trio_source", default=_SYSTEM)


def source() -> Source:
    """The source in force here."""
    return _current.get()


@contextmanager
def seeded(seed: int, *, now_ms: Callable[[], int] = _epoch_ms) -> Iterator[Source]:
    """Fix ids and jitter for everything started inside the block.

    Args:
        seed: the same seed gives the same numbers in the same order.
        now_ms: replaces the wall clock, in milliseconds.
    """
    new = Source(random.Random(seed), now_ms)
    token = _current.set(new)
    try:
        yield new
    finally:
        _current.reset(token)
