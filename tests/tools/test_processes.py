"""Processes of a call: what they are given, what is told of them, what cannot be started."""

from __future__ import annotations

import errno
import logging
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trio

from alloy_trio.tools import _groups, _keepers
from alloy_trio.tools import _processes as processes
from alloy_trio.tools._belongings import Belongings

from .leftovers import PATIENCE, descriptors, mark, marked

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="looks at processes by means that only Linux has"
)

STUBBORN = "trap '' TERM; echo $$; sleep {0} & while true; do sleep 0.05; done; : {0}"
PATH = {"PATH": "/usr/bin:/bin"}


@pytest.fixture
async def belongings() -> AsyncIterator[Belongings]:
    kept = Belongings()
    yield kept
    await kept.aclose()


class Output:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""

    async def __call__(self, chunk: bytes) -> None:
        self.data += chunk
        await trio.lowlevel.checkpoint()


async def run(command: str, sink: processes.Sink | None = None, **options: Any) -> list[int]:
    options = {"directory": Path("/"), "environment": PATH, **options}
    return await processes.run_pipeline([("/bin/bash", "-c", command)], sink=sink or Output(), **options)


async def output_of(*commands: tuple[str, ...], **options: Any) -> str:
    output = Output()
    options = {"directory": Path("/"), "environment": PATH, **options}
    await processes.run_pipeline(commands, sink=output, **options)
    return output.data.decode()


async def cause_of(*commands: tuple[str, ...], **options: Any) -> OSError:
    """Why commands were not started."""
    with pytest.raises(processes.NotStarted) as caught:
        await output_of(*commands, **options)
    assert isinstance(caught.value.__cause__, OSError)
    return caught.value.__cause__


def patched(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Have the keepers' program begin with some lines: what it needs is missing or fails."""
    start, rest = _keepers._BOOT.split("from", 1)
    monkeypatch.setattr(_keepers, "_BOOT", "\n".join((start, *lines, "from" + rest)))


async def test_statuses_are_those_of_each_command_and_negative_for_a_signal(belongings: Belongings) -> None:
    shell = [("/bin/bash", "-c", code) for code in ("exit 3", "kill -15 $$", "true")]
    statuses = await processes.run_pipeline(
        shell, directory=Path("/"), environment=PATH, sink=Output(), belongings=belongings
    )
    assert statuses == [3, -signal.SIGTERM, 0]


async def test_commands_are_joined_by_pipes_and_all_their_errors_are_output(belongings: Belongings) -> None:
    first = ("/bin/bash", "-c", "echo one; echo two; echo wrong >&2")
    text = await output_of(first, ("/usr/bin/wc", "-l"), belongings=belongings)
    assert sorted(text.split()) == ["2", "wrong"]


async def test_a_command_that_has_heard_enough_ends_the_one_before_it(belongings: Belongings) -> None:
    text = await output_of(("/usr/bin/yes",), ("/usr/bin/head", "-n", "1"), belongings=belongings)
    assert text == "y\n"


async def test_a_command_sees_the_directory_and_the_environment_it_is_given_and_no_input(
    belongings: Belongings, tmp_path: Path
) -> None:
    output = Output()
    environment = {"A": "ä\udcff"}
    await run("pwd; cat", output, directory=tmp_path, environment=environment, belongings=belongings)
    for program in (("/bin/cat", "/proc/self/environ"), ("/bin/cat",)):
        await processes.run_pipeline(
            [program], directory=tmp_path, environment=environment, sink=output, belongings=belongings
        )
    assert output.data == os.fsencode(f"{tmp_path}\nA=ä\udcff\0")


async def test_a_command_has_its_three_streams_a_session_of_its_own_and_plain_signals(
    belongings: Belongings,
) -> None:
    before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2, signal.SIGCHLD})
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        # ls has one more, for the directory.
        text = await output_of(("/bin/ls", "/proc/self/fd"), belongings=belongings)
        status = await output_of(
            ("/bin/grep", "-E", "^(Sig(Blk|Ign)|NSpid|NSsid|NSpgid)", "/proc/self/status"),
            belongings=belongings,
        )
    finally:
        signal.signal(signal.SIGUSR1, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        os.close(reading)
        os.close(writing)
    assert text.split() == ["0", "1", "2", "3"]
    told = dict(line.split(":\t", 1) for line in status.splitlines())
    assert int(told["SigBlk"], 16) == int(told["SigIgn"], 16) == 0
    assert told["NSpid"] == told["NSsid"] == told["NSpgid"]


async def test_large_arguments_and_environments_pass(belongings: Belongings) -> None:
    long = "x" * 120_000
    many = {f"V{number}": "y" * 125_000 for number in range(8)}
    output = Output()
    await processes.run_pipeline(
        [("/bin/bash", "-c", "echo ${#1} ${#V0} ${#V7}", "bash", long)],
        directory=Path("/"),
        environment=many,
        sink=output,
        belongings=belongings,
    )
    assert output.data == b"120000 125000 125000\n"


async def test_output_is_handed_on_while_it_comes_and_whole(belongings: Belongings) -> None:
    output = Output()
    assert await run("head -c 3000000 /dev/zero", output, belongings=belongings) == [0]
    assert output.data == bytes(3_000_000)


async def test_output_that_came_before_the_end_of_a_call_is_not_lost(belongings: Belongings) -> None:
    for _ in range(20):
        assert await output_of(("/bin/echo", "all of it"), belongings=belongings) == "all of it\n"


async def test_a_slow_sink_holds_up_the_command_and_nothing_grows(belongings: Belongings) -> None:
    most = 0
    rest = trio.Event()

    async def slow(chunk: bytes) -> None:
        nonlocal most
        most = max(most, len(chunk))
        await rest.wait()

    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, "yes", slow)
            await trio.sleep(0.3)
            scope.cancel()
    assert 0 < most <= 1 << 16


@contextmanager
def exhausted(room: int) -> Iterator[list[int]]:
    """No descriptor is free but some."""
    taken: list[int] = []
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        for _ in range(room):
            os.close(taken.pop())
        yield taken
    finally:
        for descriptor in taken:
            os.close(descriptor)


@contextmanager
def held_open() -> Iterator[None]:
    """A pipe's ends as a fork of the host would hold them: each that is made has a copy that stays open."""
    make, copies = os.pipe, []

    def pipe() -> tuple[int, int]:
        ends = make()
        if threading.current_thread() is threading.main_thread():  # and not that by which a start is told
            copies.append(os.dup(ends[1]))
        return ends

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pipe", pipe)
        try:
            yield
        finally:
            for copy in copies:
                os.close(copy)


async def test_a_copy_of_the_pipe_that_somebody_holds_open_holds_up_nobody(belongings: Belongings) -> None:
    with held_open(), trio.fail_after(PATIENCE):
        assert await output_of(("/bin/echo", "done"), belongings=belongings) == "done\n"


async def test_the_end_by_itself_is_told_before_what_is_left_is_ended() -> None:
    token = mark()
    seen = []

    @contextmanager
    def at_rest() -> Iterator[None]:
        seen.append("rest")
        yield
        seen.append(f"{len(marked(token))} left")

    async def sink(chunk: bytes) -> None:
        seen.append(chunk.decode())

    assert await run(f"trap '' TERM; sleep {token} & echo up", sink, at_rest=at_rest) == [0]
    assert sorted(seen[:2]) == ["rest", "up\n"]
    assert seen[2:] == ["0 left"]


class TestNotStarted:
    async def test_a_program_that_is_not_there(self, belongings: Belongings) -> None:
        token = mark()
        cause = await cause_of(("/bin/sleep", token), ("/nonexistent",), belongings=belongings)
        assert isinstance(cause, FileNotFoundError) and cause.filename == "/nonexistent"
        assert marked(token) == []

    async def test_a_file_that_is_no_program(self, belongings: Belongings, tmp_path: Path) -> None:
        (tmp_path / "plain").write_text("x")
        cause = await cause_of((str(tmp_path / "plain"),), belongings=belongings)
        assert isinstance(cause, PermissionError)
        (tmp_path / "plain").chmod(0o755)
        assert (await cause_of((str(tmp_path / "plain"),), belongings=belongings)).errno == errno.ENOEXEC

    async def test_a_directory_that_is_not_there(self, belongings: Belongings, tmp_path: Path) -> None:
        cause = await cause_of(("/bin/true",), directory=tmp_path / "gone", belongings=belongings)
        assert isinstance(cause, FileNotFoundError) and cause.filename == str(tmp_path / "gone")

    async def test_an_argument_that_is_too_long(self, belongings: Belongings) -> None:
        assert (await cause_of(("/bin/echo", "x" * 200_000), belongings=belongings)).errno == errno.E2BIG

    @pytest.mark.parametrize(
        "options", [{"environment": {"A": "\0"}}, {"environment": {"A=B": ""}}, {"environment": {"": ""}}]
    )
    async def test_what_no_program_can_be_given(self, options: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"NUL character|variable's name"):
            await run("true", **options)
        with pytest.raises(ValueError, match="NUL character"):
            await run("echo \0")

    @pytest.mark.parametrize(("number", "kind"), [(errno.EAGAIN, BlockingIOError), (errno.ENOMEM, OSError)])
    async def test_no_process_can_be_made_for_the_keeper(
        self, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[OSError]
    ) -> None:
        patched(
            monkeypatch,
            "import os",
            "def fork():",
            f"    raise OSError({number}, 'no more')",
            "os.fork = fork",
        )
        cause = await cause_of(("/bin/true",))
        assert isinstance(cause, kind) and cause.errno == number

    async def test_no_process_can_be_made_for_the_second_command(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        patched(
            monkeypatch,
            "import os",
            "left, true_fork = [0, 0], os.fork",
            "def fork():",
            "    if not left: raise OSError(12, 'no more')",
            "    left.pop()",
            "    return true_fork()",
            "os.fork = fork",
        )
        token = mark()
        cause = await cause_of(("/bin/sleep", token), ("/bin/cat",))
        assert cause.errno == errno.ENOMEM
        assert marked(token) == []

    async def test_the_host_has_no_descriptor_left(self) -> None:
        before = descriptors()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, hard))
        refused, done = [], []
        try:
            for room in range(1, 16):
                with exhausted(room) as taken:
                    try:
                        done += await run("true")
                    except processes.NotStarted as exc:
                        refused.append(exc.__cause__)
                    assert len(descriptors()) == len(taken) + len(before)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert {getattr(each, "errno", None) for each in refused} == {errno.EMFILE}
        assert len(done) > 3
        assert descriptors() == before

    @pytest.mark.parametrize("program", ["", "/nonexistent", "/bin/false"])
    async def test_there_is_no_interpreter_for_the_keeper(
        self, monkeypatch: pytest.MonkeyPatch, program: str
    ) -> None:
        monkeypatch.setattr(sys, "executable", program)
        before = descriptors()
        cause = await cause_of(("/bin/true",))
        assert isinstance(cause, ChildProcessError if program == "/bin/false" else FileNotFoundError)
        assert descriptors() == before

    async def test_nothing_of_it_can_be_said_to_run(self, belongings: Belongings) -> None:
        before = descriptors()
        await cause_of(("/nonexistent",))
        assert not _groups._kills
        assert descriptors() == before


async def test_an_error_of_the_sink_is_no_failed_start_and_leaves_nothing(belongings: Belongings) -> None:
    token = mark()

    async def broken(chunk: bytes) -> None:
        raise OSError(5, "Input/output error")

    with pytest.raises(ExceptionGroup) as caught:
        await run(STUBBORN.format(token), broken, belongings=belongings)
    assert [type(each) for each in caught.value.exceptions] == [OSError]
    assert marked(token) == []


async def test_all_that_runs_can_be_killed_at_once(caplog: pytest.LogCaptureFixture) -> None:
    token = mark()
    before = time.monotonic()
    with caplog.at_level(logging.WARNING), pytest.MonkeyPatch.context() as patch:
        patch.setattr(processes, "GRACE", 1_000)  # so that only the kill ends it

        async def sink(chunk: bytes) -> None:
            _groups.kill_processes()

        assert await run(STUBBORN.format(token), sink) == [-signal.SIGKILL]
    assert time.monotonic() - before < PATIENCE
    assert marked(token) == []
    assert caplog.messages == []


async def test_what_is_killed_before_it_began_does_not_run(
    belongings: Belongings, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = _keepers._start_root
    token = mark()

    def start_and_kill(descriptor: int) -> subprocess.Popen[bytes]:
        for call in calls:
            call.kill()
        return start(descriptor)

    calls: list[_keepers.KeptCall] = []
    make = _keepers.KeptCall.__init__

    def keep(self: _keepers.KeptCall, *arguments: Any) -> None:
        make(self, *arguments)
        calls.append(self)

    monkeypatch.setattr(_keepers.KeptCall, "__init__", keep)
    monkeypatch.setattr(_keepers, "_start_root", start_and_kill)
    assert await run(f"trap '' TERM; sleep {token}", belongings=belongings) == [-signal.SIGKILL]
    assert marked(token) == []
