"""Processes of one call: started in sessions of their own, read while they run, ended with the call.

The main processes end by themselves or are ended; then what they left in their process groups is ended
too. A process that made a session of its own (``setsid``) is out of this module's reach. An output pipe that
such a process holds open holds up nobody.

The clean-up leans on nothing that may run out: what it needs of descriptors is opened at the start, and without
it looks at the processes are taken from time to time.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path

import trio

from . import _groups

GRACE = 0.3
"""Seconds between SIGTERM and SIGKILL; enough to remove a lock file, short enough for a Ctrl-C."""

KILLED = 5.0
"""Seconds that a killed process may take to be gone. It only has to get a processor, or its disk to answer."""

DRAIN = 0.2
"""Seconds of silence after which output that may still come is not waited for, once all has ended."""

_POLL = 0.01
_CHUNK = 1 << 16
_AFTERMATH = 1 << 20
_logger = logging.getLogger("alloy_trio.tools")

Sink = Callable[[bytes], Awaitable[None]]


class NotStarted(Exception):
    """A program could not be started; the cause is the OSError."""


class _Child:
    """A main process. It stays unreaped until its group was signalled: so long its id is certainly ours."""

    def __init__(self, popen: subprocess.Popen[bytes]) -> None:
        self._popen = popen
        self.group = popen.pid
        self._descriptor = _pidfd(popen.pid)

    @property
    def reaped(self) -> bool:
        return self._popen.returncode is not None

    @property
    def status(self) -> int:
        return self._popen.returncode or 0

    async def wait_ended(self) -> None:
        if self.reaped:
            await trio.lowlevel.checkpoint()
        elif sys.platform.startswith("linux"):
            await self._wait_unreaped()
        else:
            # macOS cannot wait without reaping; between that and a signal, the id might name another group.
            await trio.to_thread.run_sync(self._popen.wait, abandon_on_cancel=True)

    async def _wait_unreaped(self) -> None:
        if self._descriptor is not None:
            try:
                await trio.lowlevel.wait_readable(self._descriptor)
            except OSError:
                pass  # epoll has a limit of its own; then as without a descriptor
        while not self._has_ended():  # noqa: ASYNC110 - nothing tells us; only asking does
            await trio.sleep(_POLL)

    def _has_ended(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.group, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True  # reaped by the system, as happens where SIGCHLD is ignored

    def reap(self) -> bool:
        return self._popen.poll() is not None

    def close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None
    except OSError:
        return None  # no more descriptors, or a kernel before 5.3


async def run_pipeline(
    commands: Sequence[Sequence[str]],
    *,
    directory: Path,
    environment: Mapping[str, str],
    sink: Sink,
    at_rest: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> list[int]:
    """Run commands joined by pipes; the output of the last and the errors of all go to ``sink``.

    Args:
        commands: argument lists, each with an absolute path first.
        directory: where they run.
        environment: all that they see of one.
        sink: takes output as it comes.
        at_rest: entered once the commands have ended by themselves, left when their output was handed over.

    Returns:
        The exit status of each; negative for a signal.

    Raises:
        NotStarted: a program could not be started; those before it have been ended.

    *Cancellation*: the processes are ended, within twice :data:`GRACE`; one that the kernel itself holds up (a disk
    that does not answer) is waited for up to twice :data:`KILLED`, and named in a warning.
    """
    try:
        reading, writing = os.pipe()
    except OSError as exc:
        raise NotStarted from exc
    output = trio.lowlevel.FdStream(reading)
    children: list[_Child] = []
    try:
        await _start(children, commands, writing, directory, environment)
        pump = _Pump(output, sink)
        with ExitStack() as stack:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pump.run)
                for child in children:
                    await child.wait_ended()
                stack.enter_context(at_rest())
                await _end(children)
                pump.all_ended()
    finally:
        try:
            await _end(children)
        finally:
            output.close()
            for child in children:
                child.close()
    return [child.status for child in children]


async def _start(
    children: list[_Child],
    commands: Sequence[Sequence[str]],
    writing: int,
    directory: Path,
    environment: Mapping[str, str],
) -> None:
    source = -1
    try:
        source = os.open(os.devnull, os.O_RDONLY)
        for index, command in enumerate(commands):
            last = index == len(commands) - 1
            following, target = (-1, writing) if last else os.pipe()
            try:
                # In a thread, as exec of a program on a slow disk blocks; a cancel does not lose the process.
                child = await trio.to_thread.run_sync(
                    _begin, command, source, target, writing, directory, environment
                )
                children.append(child)
            finally:
                os.close(source)
                source = following
                if not last:
                    os.close(target)
    except OSError as exc:
        raise NotStarted from exc
    finally:
        if source >= 0:
            os.close(source)
        os.close(writing)


def _begin(
    command: Sequence[str],
    source: int,
    target: int,
    errors: int,
    directory: Path,
    environment: Mapping[str, str],
) -> _Child:
    with _groups.starting():
        popen = subprocess.Popen(
            [os.path.basename(command[0]), *command[1:]],
            executable=command[0],
            stdin=source,
            stdout=target,
            stderr=errors,
            cwd=directory,
            env=dict(environment),
            start_new_session=True,
        )
        _groups.started(popen.pid)
    return _Child(popen)


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
    waiting = [child for child in children if not child.reaped]
    with trio.CancelScope(shield=True):
        try:
            for number, seconds in ((signal.SIGTERM, GRACE), (signal.SIGKILL, KILLED)):
                for child in waiting:
                    _signal_group(child.group, number)
                with trio.move_on_after(seconds):
                    for child in waiting:
                        await child.wait_ended()
                    break
        finally:
            for child in waiting:
                if not child.reap():
                    _signal_group(child.group, signal.SIGKILL)
                    _logger.warning("process %s of the bash tool did not end on SIGKILL", child.group)
            await _end_left_over([child.group for child in waiting])


async def _end_left_over(groups: list[int]) -> None:
    """End what the main processes left behind. They had their SIGTERM together with them."""
    groups = _living(groups)
    for seconds in (GRACE, KILLED):
        with trio.move_on_after(seconds):
            while groups:
                await trio.sleep(_POLL)
                groups = _living(groups)
        for group in groups:
            _signal_group(group, signal.SIGKILL)
    for group in groups:
        _logger.warning("process group %s of the bash tool did not end on SIGKILL", group)
        _groups.ended(group)


def _living(groups: Sequence[int]) -> list[int]:
    living = [group for group in groups if _lives(group)]
    for group in groups:
        if group not in living:
            _groups.ended(group)
    return living


def _lives(group: int) -> bool:
    """Whether a process of the group runs; on Linux, one that only waits to be reaped does not count."""
    if not _signal_group(group, 0):
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


def _signal_group(group: int, number: int) -> bool:
    """Signal a process group; whether there was one. (macOS answers EPERM for one of zombies.)"""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True
