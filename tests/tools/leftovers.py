"""What a call started and how to see whether any of it is left: shapes of commands, and looks at /proc."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

PATIENCE = 30.0
"""Seconds to wait for what has to come; a guard against hanging and no measure."""

SHAPES = {
    "direct": "echo up; exec sleep @",
    "child": "echo up; sleep @; true",
    "background": "sleep @ & echo up; sleep @",
    "pipeline": "echo up >&2; sleep @ | cat | sleep @",
    "setsid": "setsid sleep @ & echo up; sleep @",
    "double fork": "( (setsid sleep @ &) & ); (setsid bash -c 'sleep @ & sleep @' &); echo up; sleep @",
    "nohup": "nohup sleep @ > /dev/null 2>&1 & echo up; sleep @",
    "trap": "trap '' TERM; echo up; sleep @ & while :; do sleep 0.05; done; : @",
    "env -i": "env -i /bin/sleep @ & env -i setsid /bin/sleep @ & echo up; wait",
    "stopped": "sleep @ & kill -STOP $!; echo up; sleep @",
    "all of it": "trap '' TERM HUP INT; nohup env -i setsid /bin/bash -c "
    "'trap \"\" TERM; (/bin/sleep @ &); while :; do /bin/sleep 0.1; done; : @' > /dev/null 2>&1 & echo up; sleep @",
}
"""Ways to put processes aside. ``@`` becomes a mark; each tells when it is up."""

_count = itertools.count()


def mark() -> str:
    """Seconds to sleep that no other process of this machine sleeps: so it is found without its environment."""
    return f"{100_000 + os.getpid()}.{time.monotonic_ns()}{next(_count)}"


def marked(token: str) -> list[int]:
    """The processes whose command line bears a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal() and int(entry.name) != os.getpid():
            try:
                if token.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue  # it ended while we looked
    return found


def children(parent: int) -> set[int]:
    """The children of a process, also those that wait to be reaped."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                above = (entry / "stat").read_bytes().rpartition(b")")[2].split()[1]
            except OSError:
                continue  # it ended while we looked
            if int(above) == parent:
                found.add(int(entry.name))
    return found


def descriptors() -> list[str]:
    """The numbers of this process's descriptors."""
    return sorted(os.listdir("/proc/self/fd"))


def until_none(token: str) -> float:
    """Wait until nothing that bears a mark runs; returns the seconds that it took."""
    since = time.perf_counter()
    while marked(token):
        assert time.perf_counter() - since < PATIENCE, "what a call started runs on"
        time.sleep(0.005)
    return time.perf_counter() - since
