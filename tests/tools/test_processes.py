"""The clean-up of processes, where something that it needs has run out."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trio

from alloy_trio.tools import _groups
from alloy_trio.tools import _processes as processes

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at processes by means that only Linux has"
)

STUBBORN = "trap '' TERM; echo $$; sleep 100 & while true; do sleep 0.05; done"


def gone(pid: int) -> bool:
    """Whether nothing of a process group runs; a zombie that init has not collected yet does not count."""
    return not processes._lives(pid)


async def run(command: str, sink: processes.Sink) -> list[int]:
    return await processes.run_pipeline(
        [("/bin/bash", "-c", command)], directory=Path("/"), environment={"PATH": "/usr/bin:/bin"}, sink=sink
    )


async def ignore(chunk: bytes) -> None:
    await trio.lowlevel.checkpoint()


async def cancelled_once_it_runs(command: str) -> int:
    """Run a command, cancel it when it has told its id, and return that."""
    told: list[int] = []
    with trio.CancelScope() as scope:

        async def sink(chunk: bytes) -> None:
            told.append(int(chunk))
            scope.cancel()

        await run(command, sink)
    return told[0]


def refuse(*arguments: Any, **options: Any) -> Any:
    raise OSError(24, "Too many open files")


async def test_without_descriptors_for_processes_they_are_still_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "pidfd_open", refuse)
    assert await run("exit 3", ignore) == [3]
    assert gone(await cancelled_once_it_runs(STUBBORN))


async def test_a_clean_up_that_cannot_look_at_processes_ends_them_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listdir = os.listdir
    with monkeypatch.context() as broken:
        broken.setattr(os, "pidfd_open", refuse)
        broken.setattr(os, "listdir", refuse)
        broken.setattr(processes, "GRACE", 0.05)
        broken.setattr(processes, "KILLED", 0.5)
        pid = await cancelled_once_it_runs(STUBBORN)
    assert os.listdir is listdir
    assert gone(pid)


async def test_where_the_kernel_watches_no_more_descriptors_it_is_asked_now_and_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wait_readable = trio.lowlevel.wait_readable
    refused = 0

    async def refuse_some(descriptor: int) -> None:
        nonlocal refused
        if os.readlink(f"/proc/self/fd/{descriptor}") == "anon_inode:[pidfd]":
            refused += 1
            raise OSError(28, "No space left on device")
        await wait_readable(descriptor)

    monkeypatch.setattr(trio.lowlevel, "wait_readable", refuse_some)
    assert await run("exit 4", ignore) == [4]
    assert refused


async def test_no_descriptor_and_no_group_is_kept() -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    assert await run("sleep 100 & exit 5", ignore) == [5]
    await cancelled_once_it_runs(STUBBORN)
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert not _groups._groups
    assert not _groups._starting


async def test_an_error_of_the_sink_is_no_failed_start_and_leaves_nothing() -> None:
    told: list[int] = []

    async def broken(chunk: bytes) -> None:
        told.append(int(chunk))
        raise OSError(5, "Input/output error")

    with pytest.raises(ExceptionGroup) as caught:
        await run(STUBBORN, broken)
    assert [type(each) for each in caught.value.exceptions] == [OSError]
    assert gone(told[0])


async def test_a_program_that_is_not_there_is_not_started() -> None:
    with pytest.raises(processes.NotStarted) as caught:
        await processes.run_pipeline(
            [("/bin/cat",), ("/nonexistent",)], directory=Path("/"), environment={}, sink=ignore
        )
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert not _groups._groups


async def test_all_that_runs_can_be_killed_at_once(caplog: pytest.LogCaptureFixture) -> None:
    told: list[int] = []

    async def sink(chunk: bytes) -> None:
        told.append(int(chunk))
        _groups.kill_processes()

    before = time.monotonic()
    with caplog.at_level(logging.WARNING):
        assert await run(STUBBORN, sink) == [-signal.SIGKILL]
    assert time.monotonic() - before < 30
    assert gone(told[0])
    assert caplog.messages == []


def test_one_that_is_just_being_started_is_waited_for_and_killed() -> None:
    begun, group = threading.Event(), []

    def start() -> None:
        with _groups.starting():
            begun.set()
            child = subprocess.Popen(["sleep", "100"], start_new_session=True)
            group.append(child)
            _groups.started(child.pid)

    thread = threading.Thread(target=start)
    thread.start()
    begun.wait(30)
    _groups.kill_processes()
    thread.join()
    try:
        assert group[0].wait(30) == -signal.SIGKILL
    finally:
        group[0].kill()
        _groups.ended(group[0].pid)
    _groups.kill_processes()
