"""Processes of one call: started, read while they run, and ended with the call.

On Linux a keeper owns them (:mod:`._keepers`): whatever the commands have started, and however they have put it aside,
has ended when the call ends, also when this program is killed. Elsewhere there are process groups
(:mod:`._process_groups`), which is weaker.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Any

import trio

from ._belongings import Belongings
from ._keepers import Keepers
from ._pump import NotStarted, Pump, Sink

__all__ = ["GRACE", "KILLED", "NotStarted", "Sink", "run_pipeline"]

GRACE = 0.3
"""Seconds between SIGTERM and SIGKILL; enough to remove a lock file, short enough for a Ctrl-C."""

KILLED = 5.0
"""Seconds that a killed process may take to be gone. It only has to get a processor, or its disk to answer."""


async def run_pipeline(
    commands: Sequence[Sequence[str]],
    *,
    directory: Path,
    environment: Mapping[str, str],
    sink: Sink,
    at_rest: Callable[[], AbstractContextManager[None]] = nullcontext,
    belongings: Belongings | None = None,
    landlock: Mapping[str, Sequence[str]] | None = None,
) -> list[int]:
    """Run commands joined by pipes; the output of the last and the errors of all go to ``sink``.

    Args:
        commands: argument lists, each with an absolute path first.
        directory: where they run.
        environment: all that they see of one.
        sink: takes output as it comes.
        at_rest: entered once the commands have ended by themselves, left when their output was handed over.
        belongings: where the root keeper is kept for further calls; without, one is started for this call alone.
        landlock: the paths that are ``readable`` and ``writable``, which Landlock holds them to; None for no
            such bounds. Linux only.

    Returns:
        The exit status of each; negative for a signal.

    Raises:
        NotStarted: a program, or a keeper to own it, could not be started; those before it have been ended.
        ValueError: an argument or a variable holds a NUL character, or a variable's name is empty or holds ``=``.

    *Cancellation*: the processes are ended, within :data:`GRACE` and a moment; one that the kernel itself holds up (a
    disk that does not answer) is waited for up to :data:`KILLED`, and named in a warning.
    """
    if not sys.platform.startswith("linux"):
        if landlock is not None:
            raise NotStarted from OSError(errno.ENOSYS, "there is no Landlock on this system")
        from ._process_groups import run_in_groups

        return await run_in_groups(
            commands, directory, environment, sink, at_rest=at_rest, grace=GRACE, killed=KILLED
        )
    # The keeper works elsewhere. Only the name is made longer; the disk is not asked.
    place = os.path.abspath(directory)  # noqa: ASYNC240
    job = {
        "commands": [[_encoded(each) for each in command] for command in commands],
        "directory": _encoded(place),
        "environment": {_name(key): _encoded(value) for key, value in environment.items()},
        "grace": GRACE,
        "killed": KILLED,
        "landlock": None if landlock is None else {key: list(paths) for key, paths in landlock.items()},
    }
    if belongings is not None:
        return await _run_kept(belongings.setdefault("keepers", Keepers), job, sink, at_rest)
    keepers = Keepers()
    try:
        return await _run_kept(keepers, job, sink, at_rest)
    finally:
        await keepers.aclose()


def _encoded(text: str) -> bytes:
    data = os.fsencode(text)
    if b"\0" in data:
        raise ValueError(f"{text[:50]!r} holds a NUL character, which no program can be given; take it out")
    return data


def _name(text: str) -> bytes:
    if not text or "=" in text:
        raise ValueError(
            f"{text[:50]!r} cannot be a variable's name; take a name that is not empty and without ="
        )
    return _encoded(text)


async def _run_kept(
    keepers: Keepers, job: dict[str, Any], sink: Sink, at_rest: Callable[[], AbstractContextManager[None]]
) -> list[int]:
    try:
        reading, writing = os.pipe()
    except OSError as exc:
        raise NotStarted from exc
    output = trio.lowlevel.FdStream(reading)
    call = None
    try:
        try:
            call = await keepers.open_call(job, writing)
        except OSError as exc:
            raise NotStarted from exc
        finally:
            os.close(writing)
        await call.wait("running")
        if call.error is not None:
            raise NotStarted from call.error
        pump = Pump(output, sink)
        with ExitStack() as stack:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(pump.run)
                await call.wait("rest")
                stack.enter_context(at_rest())
                await call.wait("done")
                pump.all_ended()
    finally:
        try:
            if call is not None:
                await call.aclose()
        finally:
            output.close()
    return call.statuses
