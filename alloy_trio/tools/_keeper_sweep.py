"""What keepers do with processes: see those below them, wait for them, signal them until none is left.

Loaded in the keepers' own program (:mod:`._keeper_root`), so it imports nothing of ours. The host looks at
processes with it where somebody has killed both keepers.
"""

from __future__ import annotations

import os
import select
import time

TYPE_CHECKING = False  # type checkers know it by its name; importing typing would take as long as all of this
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable, Collection, Iterable
else:
    import _signal

ROUND = 0.01
"""Seconds between two looks at what was killed, unless one of it ends before."""

FREEZES = 20
"""Rounds in which what is left gets SIGSTOP first: what forks as fast as it is killed is to find no place free."""

_LISTED = os.path.exists("/proc/thread-self/children")  # most kernels keep lists of children
_CHUNK = 1 << 16


def sees_processes() -> bool:
    """Whether ``/proc`` is there, and tells of our processes: a container may show another namespace's."""
    try:
        return os.readlink("/proc/self") == str(os.getpid())
    except OSError:
        return False


def children_of(parent: int) -> list[int]:
    """The children of a process. May be short of one that comes or goes meanwhile."""
    if not _LISTED:
        return _searched().get(parent, [])
    found = []
    try:
        for thread in os.listdir(f"/proc/{parent}/task"):
            with open(f"/proc/{parent}/task/{thread}/children", "rb") as file:
                found += [int(each) for each in file.read().split()]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        pass  # it has ended, and its children have another parent
    return found


def _searched() -> dict[int, list[int]]:
    table: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            table.setdefault(parent_of(int(entry)), []).append(int(entry))
    return table


def parent_of(pid: int) -> int:
    """A process's parent; -1 if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return -1


def descendants(parents: Iterable[int]) -> list[int]:
    """All processes below some, as far as one look shows."""
    table = None if _LISTED else _searched()
    found: dict[int, None] = {}
    new = list(parents)
    while new:
        lists = [children_of(each) if table is None else table.get(each, []) for each in new]
        new = [child for each in lists for child in each if child not in found]
        found.update(dict.fromkeys(new))
    return list(found)


def signal_below(parents: Iterable[int], number: int) -> None:
    """Signal all processes below some.

    A number may be given to a stranger between the look and the signal. So a process is held by a descriptor and
    looked at again: one whose parent is one of ours is ours.
    """
    known = [*parents]
    found = descendants(known)
    ours = {*known, *found}
    for pid in found:
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        except (OSError, AttributeError):
            _signal_one(os.kill, pid, number)  # before Linux 5.3, or no descriptor is left
            continue
        try:
            if parent_of(pid) in ours:
                _signal_one(_signal.pidfd_send_signal, descriptor, number)
        finally:
            os.close(descriptor)


def _signal_one(send: Callable[[int, int], None], target: int, number: int) -> None:
    try:
        send(target, number)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended, or became another user's (setuid), which only that user ends


def signal_children(children: Iterable[int], number: int) -> None:
    """Signal children, whose numbers are theirs until we reap them, and what is below them."""
    if number == _signal.SIGKILL:
        # At once the whole of a group, which might fork faster than it is killed one by one.
        for group in {os.getpgid(child) for child in children} - {os.getpgrp()}:
            _signal_one(os.killpg, group, number)
    signal_below(children, number)
    for child in children:
        _signal_one(os.kill, child, number)


class Watch:
    """What a keeper waits for: its socket, the end of its host, the end of a child.

    Attributes:
        orphaned: whether the host has ended.
    """

    def __init__(self, socket: int, host: int) -> None:
        self.orphaned = False
        self._host = host
        self._child, waking = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        _signal.signal(_signal.SIGCHLD, lambda number, frame: None)
        _signal.set_wakeup_fd(waking, warn_on_full_buffer=False)
        self._poll = select.poll()
        for descriptor in (socket, host, self._child):
            if descriptor >= 0:
                self.add(descriptor)

    def add(self, descriptor: int) -> None:
        """Wait for one more."""
        self._poll.register(descriptor, select.POLLIN)

    def remove(self, descriptor: int) -> None:
        """Wait for it no more."""
        self._poll.unregister(descriptor)

    def wait(self, seconds: float | None = None) -> list[int]:
        """Wait until one is ready, or for so long; returns those that are."""
        ready = [each for each, _ in self._poll.poll(None if seconds is None else max(seconds * 1000, 0))]
        if self._child in ready:
            os.read(self._child, _CHUNK)
        if self._host in ready:
            self.remove(self._host)
            self.orphaned = True
        return ready

    def wait_child(self, seconds: float) -> None:
        """Wait until a child ends, or for so long."""
        if select.select([self._child], (), (), max(seconds, 0))[0]:
            os.read(self._child, _CHUNK)


def reap(ended: Callable[[int, int], None]) -> bool:
    """Collect the children that have ended; whether there are others."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return False
        if pid == 0:
            return True
        ended(pid, os.waitstatus_to_exitcode(status))


def kill_children(
    watch: Watch, ended: Callable[[int, int], None], seconds: float, spared: Collection[int] = ()
) -> list[int]:
    """Kill all children and what is below them until there are none; returns those that did not end in time."""
    give_up = time.monotonic() + seconds
    rounds = quiet = 0
    while reap(ended):
        children = [child for child in children_of(os.getpid()) if child not in spared]
        if not children and quiet and spared:
            break
        quiet = not children  # then look again, as the list may have been short of one
        if time.monotonic() > give_up:
            return children
        if 0 < rounds <= FREEZES:
            signal_children(children, _signal.SIGSTOP)
        signal_children(children, _signal.SIGKILL)
        rounds += 1
        soon = time.monotonic() + ROUND
        while children and reap(ended) and time.monotonic() < soon:
            watch.wait_child(soon - time.monotonic())
    return []
