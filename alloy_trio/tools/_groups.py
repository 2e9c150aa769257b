"""What calls have started and not ended yet, for whoever has to leave without a clean-up.

That are keepers, which kill what they own, and process groups where there are no keepers.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STARTING = 0.2
"""Seconds that a process which is just being started is waited for; far more than a start takes."""

_POLL = 0.005
_kills: set[Callable[[], None]] = set()
_groups: set[int] = set()
_starting: set[object] = set()


def kept(kill: Callable[[], None]) -> None:
    """A keeper owns a call now; ``kill`` has it kill all of it, and is callable from a signal handler."""
    _kills.add(kill)


def released(kill: Callable[[], None]) -> None:
    """Nothing is left of the call."""
    _kills.discard(kill)


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


def running() -> frozenset[int]:
    """The groups that are not known to have ended."""
    return frozenset(_groups)


def ended(group: int) -> None:
    """Nothing is left of the group. Say so at once: its number may be given to another."""
    _groups.discard(group)


def kill_processes() -> None:
    """Have all killed that calls have started and are starting. Reaps nothing.

    For a program that leaves by ``os._exit``; callable from a signal handler in the main thread. Keepers kill within
    moments, also after the program has left. Process groups have been killed when this returns.
    """
    for kill in tuple(_kills):
        kill()
    give_up = time.monotonic() + STARTING
    while _starting and time.monotonic() < give_up:
        time.sleep(_POLL)
    for group in tuple(_groups):
        signal_group(group, signal.SIGKILL)


def lives(group: int) -> bool:
    """Whether a process of a group runs; on Linux, one that only waits to be reaped does not count."""
    if not signal_group(group, 0):
        return False
    if not sys.platform.startswith("linux"):
        return True
    try:
        for entry in os.listdir("/proc"):
            if entry.isdecimal() and _runs_in(entry, group):
                return True
    except OSError:
        return True  # no descriptor is left to look with: rather one signal too many
    return False


def _runs_in(entry: str, group: int) -> bool:
    try:
        with open(f"/proc/{entry}/stat", "rb") as file:
            state, _, process_group = file.read().rpartition(b")")[2].split()[:3]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False  # it ended while we looked, or is hidden from us and so not ours
    return int(process_group) == group and state not in b"ZX"


def signal_group(group: int, number: int) -> bool:
    """Signal a process group; whether there was one. (macOS answers EPERM for one of zombies.)"""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
