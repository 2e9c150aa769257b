"""Commands that turn against their keepers, and keepers that lack what they would like to have."""

from __future__ import annotations

import logging
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from alloy_trio.tools import _keepers as keepers
from alloy_trio.tools import _processes as processes
from alloy_trio.tools._belongings import Belongings

from .leftovers import PATIENCE, SHAPES, children, descriptors, mark, marked

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="keepers are subreapers, which only Linux has"
)

BLIND = """
import sys, trio
from alloy_trio.tools import ToolContext, bash_tool
trio.run(bash_tool(restricted=False).execute, {"command": sys.argv[1]}, ToolContext.at())
"""
ROOT = "$(cut -d ' ' -f 4 /proc/$PPID/stat)"
ASIDE = "trap '' TERM; (setsid sleep @ &); env -i setsid /bin/sleep @ & sleep @ & "


@pytest.fixture
async def belongings() -> AsyncIterator[Belongings]:
    kept = Belongings()
    yield kept
    before = children(os.getpid())
    await kept.aclose()
    assert len(children(os.getpid())) <= len(before)


async def run(command: str, belongings: Belongings, **options: object) -> list[int]:
    async def sink(chunk: bytes) -> None:
        said.append(chunk.decode())

    said: list[str] = []
    with trio.fail_after(PATIENCE):
        return await processes.run_pipeline(
            [("/bin/bash", "-c", command)],
            directory=Path("/"),
            environment={"PATH": "/usr/bin:/bin"},
            sink=sink,
            belongings=belongings,
            **options,
        )


async def cancelled(command: str, belongings: Belongings, token: str, seconds: float = 0.15) -> None:
    """Run a command, see that it does what it is to do, and cancel it."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, command, belongings)
        await trio.sleep(seconds)
        with trio.fail_after(PATIENCE):
            while not marked(token):  # noqa: ASYNC110 - only /proc knows
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def ignore(chunk: bytes) -> None:
    await trio.lowlevel.checkpoint()


def patched(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """Have the keepers' program begin with some lines."""
    start, rest = keepers._BOOT.split("from", 1)
    monkeypatch.setattr(keepers, "_BOOT", "\n".join((start, *lines, "from" + rest)))


class TestKilled:
    async def test_the_keeper_of_the_call(self, belongings: Belongings) -> None:
        token = mark()
        assert await run(ASIDE.replace("@", token) + "kill -9 $PPID; sleep 100", belongings) == [
            -signal.SIGKILL
        ]
        assert marked(token) == []
        assert await run("exit 3", belongings) == [3]

    async def test_the_root_keeper(self, belongings: Belongings) -> None:
        token = mark()
        aside = ASIDE.replace("@", token)
        assert await run(aside + f"kill -9 {ROOT}; sleep 0.1; exit 4", belongings) == [4]
        assert marked(token) == []
        assert await run("exit 3", belongings) == [3]

    async def test_the_root_keeper_while_others_call(self, belongings: Belongings) -> None:
        statuses = []

        async def other() -> None:
            for _ in range(10):
                statuses.extend(await run("sleep 0.01; exit 5", belongings))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            for _ in range(5):
                await run(f"kill -9 {ROOT}", belongings)
        assert statuses == [5] * 10

    async def test_both_and_what_holds_the_output_or_the_session_goes(self, belongings: Belongings) -> None:
        token = mark()
        # The last two have left the session, or hand on their output; the one before has closed its output.
        aside = f"trap '' TERM; sleep {token} > /dev/null 2>&1 & setsid sleep {token} & (setsid sleep {token} &) ; "
        command = aside + f"kill -9 {ROOT} $PPID; sleep {token}"
        assert await run(command, belongings) == [-signal.SIGKILL]
        assert marked(token) == []
        assert await run("exit 3", belongings) == [3]

    async def test_both_by_what_then_hides_ends_the_call_all_the_same(self, belongings: Belongings) -> None:
        # What hides may escape, and may be found: that takes a sandbox, as the documentation says.
        token = mark()
        hides = f"(exec setsid sleep {token} > /dev/null 2>&1) & "
        hidden = "until [ \"$(cut -d ' ' -f 6 /proc/$!/stat)\" = $! ]; do :; done; "
        command = f"{hides}{hidden}kill -9 {ROOT} $PPID"
        try:
            assert await run(command, belongings) == [-signal.SIGKILL]
            assert await run("exit 3", belongings) == [3]
        finally:
            for pid in marked(token):
                os.kill(pid, signal.SIGKILL)

    async def test_the_keeper_before_a_cancel(self, belongings: Belongings) -> None:
        token = mark()
        await cancelled(ASIDE.replace("@", token) + f"kill -9 {ROOT}; sleep {token}", belongings, token)
        assert marked(token) == []


class TestStopped:
    async def test_a_keeper_that_was_stopped_is_woken(self, belongings: Belongings) -> None:
        token = mark()
        await cancelled(ASIDE.replace("@", token) + f"kill -STOP $PPID; sleep {token}", belongings, token)
        assert marked(token) == []

    async def test_a_root_keeper_that_was_stopped_is_woken(self, belongings: Belongings) -> None:
        assert await run(f"kill -STOP {ROOT}; exit 2", belongings) == [2]
        assert await run("exit 3", belongings) == [3]

    async def test_both_and_over_and_over(self, belongings: Belongings) -> None:
        token = mark()
        loop = f"root={ROOT}; while :; do kill -STOP $PPID $root; sleep 0.01; done; : {token}"
        before = time.monotonic()
        await cancelled(f"trap '' TERM; {loop}", belongings, token)
        assert time.monotonic() - before < PATIENCE
        assert marked(token) == []
        assert await run("exit 3", belongings) == [3]


class TestMany:
    async def test_what_starts_itself_again(self, belongings: Belongings) -> None:
        token = mark()
        again = f"again() {{ trap '' TERM; while :; do setsid sleep {token} & sleep 0.02; done; }}; "
        await cancelled(again + "for each in 1 2 3 4 5; do again & done; wait", belongings, token, 0.5)
        assert marked(token) == []

    async def test_what_is_another_process_each_time_one_looks(self, belongings: Belongings) -> None:
        token = mark()
        run_away = f"import os, signal; signal.signal(15, signal.SIG_IGN); '{token}'\nwhile not os.fork(): os.setsid()"
        await cancelled(f'{sys.executable} -ISc "{run_away}" & sleep 100', belongings, token, 0.5)
        assert marked(token) == []

    @pytest.mark.skipif(
        os.geteuid() != 0, reason="only root can give it a user of its own, whose processes are limited"
    )
    @pytest.mark.parametrize("before", ["", "setsid "], ids=["one group", "a session each"])
    async def test_a_fork_bomb(self, belongings: Belongings, before: str) -> None:
        token = mark()
        user = 1_000_000 + os.getpid()
        twice = f'for each in 1 2; do {before}bash -c "$0" "$0" & done; wait'
        bomb = f"exec 2> /dev/null; ulimit -u 100; {twice}; : {token}"
        argv = [
            sys.executable,
            "-ISc",
            "import os, sys; os.setuid(int(sys.argv[1])); os.execv(sys.argv[2], sys.argv[2:])",
        ]
        command = shlex.join([*argv, str(user), "/bin/bash", "-c", bomb, bomb])
        await cancelled(command, belongings, token, 0.5)
        assert marked(token) == []

    async def test_a_deep_tree_of_sessions(self, belongings: Belongings) -> None:
        token = mark()
        script = f'trap "" TERM; [ $1 = 0 ] && exec sleep {token}; setsid bash -c "$0" "$0" $(($1 - 1)); true'
        await cancelled(f"bash -c '{script}' '{script}' 40", belongings, token, 1.0)
        assert marked(token) == []


class TestPoorSystems:
    @pytest.mark.parametrize("shape", SHAPES)
    @pytest.mark.parametrize(
        "lines",
        [
            ("import _keeper_sweep", "_keeper_sweep._LISTED = False"),
            ("import os", "del os.pidfd_open"),
        ],
        ids=["no lists of children", "no descriptors of processes"],
    )
    async def test_they_leave_nothing_either(
        self, monkeypatch: pytest.MonkeyPatch, shape: str, lines: tuple[str, ...]
    ) -> None:
        patched(monkeypatch, *lines)
        token = mark()
        belongings = Belongings()
        try:
            await cancelled(SHAPES[shape].replace("@", token), belongings, token, 0.02)
            assert marked(token) == []
        finally:
            await belongings.aclose()

    @pytest.mark.skipif(
        shutil.which("bwrap") is None, reason="bubblewrap, which hides /proc, is not installed"
    )
    @pytest.mark.parametrize(
        "hiding", [("--tmpfs", "/proc"), ("--unshare-pid",)], ids=["no /proc", "another one's"]
    )
    def test_where_processes_cannot_be_seen_none_is_started(
        self, tmp_path: Path, hiding: tuple[str, ...]
    ) -> None:
        hidden = ["bwrap", "--dev-bind", "/", "/", *hiding]
        if subprocess.run([*hidden, "true"], capture_output=True, check=False).returncode != 0:
            pytest.skip("bubblewrap does not work on this machine")
        done = subprocess.run(
            [*hidden, sys.executable, "-c", BLIND, f"touch {tmp_path}/touched; setsid sleep 100 &"],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert "could not be started: /proc is missing or another namespace's" in done.stderr
        assert not (tmp_path / "touched").exists()

    async def test_a_keeper_that_fails_itself_leaves_nothing(
        self, monkeypatch: pytest.MonkeyPatch, belongings: Belongings
    ) -> None:
        patched(
            monkeypatch,
            "import _keeper_call",
            "def _end(*arguments): raise RuntimeError('broken')",
            "_keeper_call.CallKeeper._end = _end",
        )
        token = mark()
        assert await run(ASIDE.replace("@", token), belongings) == [-signal.SIGKILL]
        assert marked(token) == []

    async def test_a_process_that_does_not_end_is_named(
        self, monkeypatch: pytest.MonkeyPatch, belongings: Belongings, caplog: pytest.LogCaptureFixture
    ) -> None:
        # As one does whose disk does not answer: here nothing is ever signalled.
        patched(monkeypatch, "import _keeper_sweep", "_keeper_sweep._signal_one = lambda *arguments: None")
        monkeypatch.setattr(processes, "GRACE", 0.05)
        monkeypatch.setattr(processes, "KILLED", 0.1)
        token = mark()
        try:
            with caplog.at_level(logging.WARNING):
                assert await run(f"sleep {token} & true", belongings) == [0]
            (pid,) = marked(token)
            assert caplog.messages == [f"processes [{pid}] of the bash tool did not end on SIGKILL"]
        finally:
            for pid in marked(token):
                os.kill(pid, signal.SIGKILL)


class TestLandlock:
    """The rules go to ``_landlock.restrict`` in each command's process, just before it becomes the command."""

    @pytest.fixture
    def place(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        for each in Path(keepers.__file__).parent.glob("_keeper_*.py"):
            shutil.copy(each, tmp_path)
        monkeypatch.setattr(keepers, "_PLACE", tmp_path)
        return tmp_path

    async def test_each_command_is_restricted(self, place: Path) -> None:
        (place / "_landlock.py").write_text(
            "import os\ndef restrict(*paths): print(os.getpid(), *paths, flush=True)\n"
        )
        said = b""

        async def sink(chunk: bytes) -> None:
            nonlocal said
            said += chunk

        rules = {"readable": ["/usr", "/ä\udcff"], "writable": []}
        shell = ("/bin/bash", "-c", "cat; echo $$ >&2")
        statuses = await processes.run_pipeline(
            [shell, shell], directory=Path("/"), environment={}, sink=sink, landlock=rules
        )
        assert statuses == [0, 0]
        lines = os.fsdecode(said).splitlines()
        restricted = {line.split()[0] for line in lines if "['/usr', '/ä\\udcff'] []" in line}
        assert len(lines) == 4 and restricted == {line for line in lines if line.isdecimal()}

    @pytest.mark.parametrize(
        "code", ["raise PermissionError(1, 'no')", "raise KeyError('x')", "import nothing_like_it"]
    )
    async def test_what_cannot_be_restricted_does_not_run(self, place: Path, code: str) -> None:
        (place / "_landlock.py").write_text(f"def restrict(readable, writable): {code}\n")
        with pytest.raises(processes.NotStarted) as caught:
            await processes.run_pipeline(
                [("/bin/touch", str(place / "touched"))],
                directory=Path("/"),
                environment={},
                sink=ignore,
                landlock={"readable": [], "writable": []},
            )
        assert isinstance(caught.value.__cause__, OSError)
        assert not (place / "touched").exists()

    async def test_without_its_module_nothing_runs(self, place: Path) -> None:
        before = descriptors()
        with pytest.raises(processes.NotStarted):
            await processes.run_pipeline(
                [("/bin/touch", str(place / "touched"))],
                directory=Path("/"),
                environment={},
                sink=ignore,
                landlock={"readable": [], "writable": []},
            )
        assert not (place / "touched").exists()
        assert descriptors() == before
