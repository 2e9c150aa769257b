"""The last resort: a command has killed both keepers, and its processes are no longer below anybody of ours.

What can be known of them from outside is their session and the pipe that their output goes to. A process that has left
both behind before is not found; only a sandbox keeps a command from that.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
from collections.abc import Collection

import trio

from ._keeper_sweep import ROUND, signal_below

LIMIT = 5.0
"""Seconds to look for them. Killed processes only have to get a processor to be gone."""

_logger = logging.getLogger("alloy_trio.tools")


async def end_strays(sessions: Collection[int], pipe: int) -> None:
    """Kill what is left of a call without keepers, and what is below it.

    Args:
        sessions: those that its commands lead. A number stays theirs while one of them is left; that a stranger gets it
            in the moments since the keepers were killed is possible and left to luck.
        pipe: inode of the pipe that their output goes to.
    """
    with trio.move_on_after(LIMIT):
        while True:
            try:
                found = [pid for pid in _all() if _belongs(pid, sessions, pipe)]
                if not found:
                    return
                signal_below(found, signal.SIGKILL)
                for pid in found:
                    _kill(pid, sessions, pipe)
            except OSError as exc:
                if exc.errno not in (errno.EMFILE, errno.ENFILE):
                    raise
            await trio.sleep(ROUND)
    _logger.warning("processes of the bash tool may be left, whose keepers somebody has killed")


def _all() -> list[int]:
    return [int(entry) for entry in os.listdir("/proc") if entry.isdecimal() and int(entry) != os.getpid()]


def _belongs(pid: int, sessions: Collection[int], pipe: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            state, _, _, session = file.read().rpartition(b")")[2].split()[:4]
        if state in b"ZX":
            return False
        # Only where a command has its output: a child that the host forks may hold a copy of any descriptor.
        return int(session) in sessions or any(
            os.readlink(f"/proc/{pid}/fd/{stream}") == f"pipe:[{pipe}]" for stream in (1, 2)
        )
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return False  # it has ended, has closed its output, or is another user's


def _kill(pid: int, sessions: Collection[int], pipe: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if _belongs(pid, sessions, pipe):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)
