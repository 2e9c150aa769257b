"""Processes of one call where no process can be made to own what others leave: macOS.

Each command leads a session, and so a process group, of its own. The main processes end by themselves or are ended;
then what is left in their groups is ended too. This is weaker than a keeper: a process that makes a session of its own
(``setsid``, a daemon) is out of reach, and so is everything if this program is killed.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import trio

from . import _groups
from ._pump import NotStarted, Pump, Sink

_POLL = 0.01
_logger = logging.getLogger("alloy_trio.tools")
_Child = subprocess.Popen[bytes]


async def run_in_groups(
    commands: Sequence[Sequence[str]],
    directory: Path,
    environment: Mapping[str, str],
    sink: Sink,
    *,
    at_rest: Callable[[], AbstractContextManager[None]],
    grace: float,
    killed: float,
) -> list[int]:
    """Run commands joined by pipes, as ``run_pipeline`` tells it.

    *Cancellation*: what is in the process groups is ended, within ``grace`` and ``killed`` seconds.
    """
    try:
        reading, writing = os.pipe()
    except OSError as exc:
        raise NotStarted from exc
    output = trio.lowlevel.FdStream(reading)
    children: list[_Child] = []
    try:
        await _start(children, commands, writing, directory, environment)
        pump = Pump(output, sink)
        with ExitStack() as stack:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pump.run)
                for child in children:
                    await _wait(child)
                stack.enter_context(at_rest())
                await _end(children, grace, killed)
                pump.all_ended()
    finally:
        try:
            await _end(children, grace, killed)
        finally:
            output.close()
    return [-signal.SIGKILL if child.returncode is None else child.returncode for child in children]


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
        child = subprocess.Popen(
            [os.path.basename(command[0]), *command[1:]],
            executable=command[0],
            stdin=source,
            stdout=target,
            stderr=errors,
            cwd=directory,
            env=dict(environment),
            start_new_session=True,
        )
        _groups.started(child.pid)
    return child


async def _wait(child: _Child) -> None:
    # This reaps it. Between that and the signals to its group are microseconds in which the group, if it is
    # empty, might be made anew by another; macOS has no way to wait without reaping that Python reaches.
    await trio.to_thread.run_sync(child.wait, abandon_on_cancel=True)


async def _end(children: Sequence[_Child], grace: float, killed: float) -> None:
    """End the processes and what is left of their groups: SIGTERM, then SIGKILL. Shielded and bounded."""
    groups = [child.pid for child in children if child.pid in _groups.running()]
    with trio.CancelScope(shield=True):
        for number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, killed)):
            for group in groups:
                _groups.signal_group(group, number)
            with trio.move_on_after(seconds):
                for child in children:
                    await _wait(child)
                while groups := _living(groups):  # noqa: ASYNC110 - nothing tells us; only asking does
                    await trio.sleep(_POLL)
                return
    for group in groups:
        _logger.warning("process group %s of the bash tool did not end on SIGKILL", group)
        _groups.ended(group)


def _living(groups: Sequence[int]) -> list[int]:
    living = [group for group in groups if _groups.lives(group)]
    for group in groups:
        if group not in living:
            _groups.ended(group)
    return living
