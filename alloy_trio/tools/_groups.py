"""The process groups that calls have started and not ended yet, for whoever has to leave without a clean-up."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

STARTING = 0.2
"""Seconds that a process which is just being started is waited for; far more than a start takes."""

_POLL = 0.005
_groups: set[int] = set()
_starting: set[object] = set()


@contextmanager
def starting() -> Iterator[None]:
    """Around the start of a process, up to :func:`started`, so that none is missed that is between the two."""
    token = object()
    _starting.add(token)
    try:
        yield
    finally:
        _starting.discard(token)


def started(group: int) -> None:
    """A process leads a group of its own now."""
    _groups.add(group)


def ended(group: int) -> None:
    """Nothing is left of the group. Say so at once: its number may be given to another."""
    _groups.discard(group)


def kill_processes() -> None:
    """Kill every process group that runs, also those that are being started. Waits for nobody, reaps nothing.

    For a program that leaves by ``os._exit``; callable from a signal handler in the main thread.
    """
    give_up = time.monotonic() + STARTING
    while _starting and time.monotonic() < give_up:
        time.sleep(_POLL)
    for group in tuple(_groups):
        try:
            os.killpg(group, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue  # it has ended by itself
