"""Processes of one call: started in sessions of their own, read while they run, ended with the call.

The main processes end by themselves or are ended; then what they left in their process groups is ended
too. A process that made a session of its own (``setsid``) is out of this module's reach. An output pipe that
such a process holds open holds up nobody.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import trio

GRACE = 0.3
"""Seconds between SIGTERM and SIGKILL; enough to remove a lock file, short enough for a Ctrl-C."""

DRAIN = 0.2
"""Seconds of silence after which output that may still come is not waited for, once all has ended."""

_POLL = 0.01
_CHUNK = 1 << 16
_AFTERMATH = 1 << 20
_logger = logging.getLogger("alloy_trio.tools")

Sink = Callable[[bytes], Awaitable[None]]


class _Child:
    """A main process. It stays unreaped until its group was signalled: so long its id is certainly ours."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.group = popen.pid

    @property
    def reaped(self) -> bool:
        return self._popen.returncode is not None

    @property
    def status(self) -> int:
        return self._popen.returncode or 0

    async def wait_ended(self) -> None:
        if self.reaped:
            await trio.lowlevel.checkpoint()
        elif hasattr(os, "pidfd_open"):
            number = os.pidfd_open(self.group)
            try:
                await trio.lowlevel.wait_readable(number)
            finally:
                os.close(number)
        else:
            # macOS cannot wait without reaping; between that and a signal, the id might name another group.
            await trio.to_thread.run_sync(self._popen.wait, abandon_on_cancel=True)

    def reap(self) -> bool:
        return self._popen.poll() is not None


async def run_pipeline(
    commands: Sequence[Sequence[str]], *, directory: Path, environment: Mapping[str, str], sink: Sink
) -> list[int]:
    """Run commands joined by pipes; the output of the last and the errors of all go to ``sink``.

    Returns:
        The exit status of each; negative for a signal.

    Raises:
        OSError: a program could not be started; those before it have been ended.

    *Cancellation*: the processes are ended, a few times :data:`GRACE` later at most.
    """
    reading, writing = os.pipe()
    output = trio.lowlevel.FdStream(reading)
    children: list[_Child] = []
    try:
        await _start(children, commands, writing, directory, environment)
        pump = _Pump(output, sink)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump.run)
            for child in children:
                await child.wait_ended()
            await _end(children)
            pump.all_ended()
    finally:
        await _end(children)
        output.close()
    return [child.status for child in children]


async def _start(
    children: list[_Child],
    commands: Sequence[Sequence[str]],
    writing: int,
    directory: Path,
    environment: Mapping[str, str],
) -> None:
    source = os.open(os.devnull, os.O_RDONLY)
    try:
        for index, command in enumerate(commands):
            last = index == len(commands) - 1
            following, target = (-1, writing) if last else os.pipe()
            try:
                # In a thread, as exec of a program on a slow disk blocks; a cancel does not lose the process.
                popen = await trio.to_thread.run_sync(
                    _popen, command, source, target, writing, directory, environment
                )
                children.append(_Child(popen))
            finally:
                os.close(source)
                source = following
                if not last:
                    os.close(target)
    finally:
        if source >= 0:
            os.close(source)
        os.close(writing)


def _popen(
    command: Sequence[str],
    source: int,
    target: int,
    errors: int,
    directory: Path,
    environment: Mapping[str, str],
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [os.path.basename(command[0]), *command[1:]],
        executable=command[0],
        stdin=source,
        stdout=target,
        stderr=errors,
        cwd=directory,
        env=dict(environment),
        start_new_session=True,
    )


class _Pump:
    """Moves output to the sink. Waiting for the sink has no limit, waiting for a dead call's output has."""

    def __init__(self, output: trio.lowlevel.FdStream, sink: Sink) -> None:
        self._output = output
        self._sink = sink
        self._left: float = float("inf")
        self._scope = trio.CancelScope()

    def all_ended(self) -> None:
        """From here on only what is already in the pipe counts."""
        self._left = _AFTERMATH
        self._scope.deadline = trio.current_time() + DRAIN

    async def run(self) -> None:
        while self._left > 0:
            self._scope = trio.CancelScope()
            if self._left < float("inf"):
                self._scope.deadline = trio.current_time() + DRAIN
            chunk = b""
            with self._scope:
                chunk = await self._output.receive_some(_CHUNK)
            if not chunk:
                return
            self._left -= len(chunk)
            await self._sink(chunk)


async def _end(children: Sequence[_Child]) -> None:
    """End the processes and what is left of their groups: SIGTERM, then SIGKILL. Shielded and bounded."""
    with trio.CancelScope(shield=True):
        waiting = [child for child in children if not child.reaped]
        for number in (signal.SIGTERM, signal.SIGKILL):
            for child in waiting:
                _signal_group(child.group, number)
            with trio.move_on_after(GRACE):
                for child in waiting:
                    await child.wait_ended()
                break
        for child in waiting:
            if not child.reap():
                _logger.warning("process %s of the bash tool did not end on SIGKILL", child.group)
        await _end_left_over([child.group for child in waiting])


async def _end_left_over(groups: list[int]) -> None:
    groups = [group for group in groups if _lives(group)]
    with trio.move_on_after(GRACE):
        while groups:
            await trio.sleep(_POLL)
            groups = [group for group in groups if _lives(group)]
    for group in groups:
        _signal_group(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    """Whether a process of the group runs; on Linux, one that only waits to be reaped does not count."""
    if not _signal_group(group, 0):
        return False
    if not sys.platform.startswith("linux"):
        return True
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                with open(f"/proc/{entry}/stat", "rb") as file:
                    state, _, process_group = file.read().rpartition(b")")[2].split()[:3]
            except OSError:
                continue  # it ended while we looked
            if int(process_group) == group and state not in b"ZX":
                return True
    return False


def _signal_group(group: int, number: int) -> bool:
    """Signal a process group; whether there was one. (macOS answers EPERM for one of zombies.)"""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
