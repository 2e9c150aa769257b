"""What a piece of code leaves behind: tasks, threads, processes, files and sockets."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import trio

SETTLING_SECONDS = 2.0
"""How long what ends by itself may take to be gone: a thread that was told to end, a process that was killed."""

_LOOK_SECONDS = 0.005
_TRIO_THREADS = ("Trio thread ", "trio.to_thread")


@attrs.frozen
class Inventory:
    """What there is at a moment: names, counted.

    Args:
        tasks: of the trio run that goes on here; empty outside of one.
        threads: without those that trio keeps for the next call.
        processes: children of this process, and theirs.
        files: open files, pipes and sockets.
    """

    tasks: Counter[str]
    threads: Counter[str]
    processes: Counter[str]
    files: Counter[str]

    @classmethod
    def now(cls) -> Inventory:
        """Look around."""
        return cls(tasks_now(), _threads(), _processes(), _files())

    def beyond(self, before: Inventory) -> list[str]:
        """What is here and was not before, in words."""
        return [
            f"{kind}: {name}" + (f" ({count} times)" if count > 1 else "")
            for kind, now, then in (
                ("task", self.tasks, before.tasks),
                ("thread", self.threads, before.threads),
                ("process", self.processes, before.processes),
                ("file", self.files, before.files),
            )
            for name, count in (now - then).items()
        ]


@contextmanager
def no_leaks(*, settling_seconds: float = SETTLING_SECONDS) -> Iterator[None]:
    """Assert that the block leaves no task, thread, process, file or socket behind.

    Works inside of a trio run, where it sees tasks too, also those of a system nursery; and outside of one. What is
    about to end by itself is waited for, in real time, with the thread blocked. An exception of the block's own passes
    unchanged. What only a garbage collector can find is looked for after one.

    Files and processes are seen on Linux; elsewhere only threads and tasks.

    Args:
        settling_seconds: how long that may take.

    Raises:
        AssertionError: it left something, which is named.
    """
    before = Inventory.now()
    yield
    assert_nothing_left(before, settling_seconds)


def assert_nothing_left(before: Inventory, settling_seconds: float = SETTLING_SECONDS) -> None:
    """Assert that there is nothing that was not there before; see :func:`no_leaks`."""
    left = Inventory.now().beyond(before)
    if not left:
        return
    gc.collect()
    give_up = time.monotonic() + settling_seconds
    while (left := Inventory.now().beyond(before)) and time.monotonic() < give_up:
        time.sleep(_LOOK_SECONDS)
    if left:
        raise AssertionError("left behind:\n" + "\n".join(f"- {each}" for each in left))


def tasks_now() -> Counter[str]:
    """The names of the tasks of the trio run that goes on here, system tasks among them; none outside of one."""
    try:
        root = trio.lowlevel.current_root_task()
    except RuntimeError:
        return Counter()
    found: Counter[str] = Counter()
    waiting = [root] if root is not None else []
    while waiting:
        task = waiting.pop()
        found[task.name] += 1
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    return found


def _threads() -> Counter[str]:
    return Counter(
        thread.name
        for thread in threading.enumerate()
        if thread is not threading.current_thread() and not thread.name.startswith(_TRIO_THREADS)
    )


def _processes() -> Counter[str]:
    if not sys.platform.startswith("linux"):
        return Counter()
    found: Counter[str] = Counter()
    waiting = [os.getpid()]
    while waiting:
        for child in _children(waiting.pop()):
            found[f"{child} {_command(child)}"] += 1
            waiting.append(child)
    return found


def _children(pid: int) -> list[int]:
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as file:
                found += map(int, file.read().split())
    except OSError:
        pass  # it ended while it was looked at
    return found


def _command(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read(200).replace(b"\0", b" ").decode("utf-8", "replace").strip()
        return words or "(zombie)"
    except OSError:
        return "(ended)"


def _files() -> Counter[str]:
    found: Counter[str] = Counter()
    try:
        numbers = os.listdir("/proc/self/fd")
    except OSError:
        return found
    for number in numbers:
        try:
            found[os.readlink(f"/proc/self/fd/{number}")] += 1
        except OSError:
            continue  # the one that listed the others
    return found
