"""Process groups: the way of systems without keepers, tried here all the same."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest
import trio

from alloy_trio.tools import _groups
from alloy_trio.tools import _processes as processes
from alloy_trio.tools._process_groups import run_in_groups

from .leftovers import PATIENCE, descriptors, mark, marked

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith(("linux", "darwin")), reason="there are no process groups"
)

STUBBORN = "trap '' TERM; echo $$; sleep 100 & while true; do sleep 0.05; done"


async def run(command: str, sink: processes.Sink, *, grace: float = 0.2) -> list[int]:
    return await run_in_groups(
        [("/bin/bash", "-c", command)],
        Path("/"),
        {"PATH": "/usr/bin:/bin"},
        sink,
        at_rest=nullcontext,
        grace=grace,
        killed=PATIENCE,
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


async def test_a_cancel_ends_a_whole_group_that_ignores_it() -> None:
    assert not _groups.lives(await cancelled_once_it_runs(STUBBORN))
    assert not _groups.running()


async def test_what_is_left_in_the_group_ends_with_the_command() -> None:
    told: list[int] = []

    async def sink(chunk: bytes) -> None:
        told.append(int(chunk))

    assert await run("trap '' TERM; sleep 100 & echo $$; exit 5", sink) == [5]
    assert not _groups.lives(told[0])


async def test_no_descriptor_and_no_group_is_kept() -> None:
    before = descriptors()
    assert await run("sleep 100 & exit 5", ignore) == [5]
    await cancelled_once_it_runs(STUBBORN)
    with trio.fail_after(PATIENCE):
        while descriptors() != before:  # noqa: ASYNC110 - a thread that was left closes its own
            await trio.sleep(0.005)
    assert not _groups.running()
    assert not _groups._starting


async def test_output_that_a_process_out_of_reach_holds_open_holds_up_nobody() -> None:
    seen = b""

    async def sink(chunk: bytes) -> None:
        nonlocal seen
        seen += chunk

    token = mark()
    try:
        with trio.fail_after(PATIENCE):
            assert await run(f"setsid sleep {token} & echo done", sink) == [0]
        assert seen == b"done\n"
    finally:
        for pid in marked(token):
            os.kill(pid, signal.SIGKILL)


async def test_a_program_that_is_not_there_is_not_started() -> None:
    with pytest.raises(processes.NotStarted) as caught:
        await run_in_groups(
            [("/bin/cat",), ("/nonexistent",)],
            Path("/"),
            {},
            ignore,
            at_rest=nullcontext,
            grace=0.2,
            killed=PATIENCE,
        )
    assert isinstance(caught.value.__cause__, FileNotFoundError)
    assert not _groups.running()


async def test_without_keepers_this_is_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.sys, "platform", "darwin")
    told: list[bytes] = []

    async def sink(chunk: bytes) -> None:
        told.append(chunk)
        assert _groups.running() == {int(chunk)}

    command = [("/bin/bash", "-c", "echo $$")]
    assert await processes.run_pipeline(command, directory=Path("/"), environment={}, sink=sink) == [0]
    assert told
    with pytest.raises(processes.NotStarted) as caught:
        await processes.run_pipeline(
            command, directory=Path("/"), environment={}, sink=sink, landlock={"readable": [], "writable": []}
        )
    assert "no Landlock" in str(caught.value.__cause__)


async def test_all_that_runs_can_be_killed_at_once(caplog: pytest.LogCaptureFixture) -> None:
    told: list[int] = []

    async def sink(chunk: bytes) -> None:
        told.append(int(chunk))
        _groups.kill_processes()

    with caplog.at_level(logging.WARNING):
        assert await run(STUBBORN, sink, grace=1_000) == [-signal.SIGKILL]
    assert not _groups.lives(told[0])
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
    begun.wait(PATIENCE)
    _groups.kill_processes()
    thread.join()
    try:
        assert group[0].wait(PATIENCE) == -signal.SIGKILL
    finally:
        group[0].kill()
        _groups.ended(group[0].pid)
    _groups.kill_processes()
