"""The bash tool: what it runs, what it refuses, and that nothing of it stays."""

from __future__ import annotations

import json
import math
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing

from alloy_trio.tools import (
    Tool,
    ToolContext,
    ToolError,
    ToolRound,
    _landlock,
    bash,
    bash_tool,
    read,
    tools_by_name,
)
from alloy_trio.tools._belongings import Belongings
from alloy_trio.values import ConfigurationError, ToolCallRecord, ToolUse

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are counted by /proc, which only Linux has"
)

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
MARK = "ALLOY_TRIO_TEST_CALL"


def marked(value: str) -> list[str]:
    """The processes whose environment carries the mark: what a call started, wherever it went."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            environment = (entry / "environ").read_bytes()
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if f"{MARK}={value}\0".encode() in environment and command and int(entry.name) != os.getpid():
            found.append(command.replace(b"\0", b" ").decode())
    return found


async def until_marked(value: str) -> None:
    """Wait until a process bears the mark. One that is just becoming another program shows no environment."""
    with trio.fail_after(30):
        while not marked(value):  # noqa: ASYNC110 - only /proc knows
            await trio.sleep(0.005)


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    value = f"{os.getpid()}-{request.node.name}".encode().hex()
    monkeypatch.setenv(MARK, value)
    return value


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("foo\nbar\na;b\n")
    (root / "sub" / "b.py").write_text("x = 1\n")
    (root / "-x").write_text("dashed\n")
    (tmp_path / "secret").write_text("canary\n")
    return ToolContext.at(root)


full = bash_tool(restricted=False)


async def run(tool: Tool, command: str, context: ToolContext, **options: Any) -> str:
    assert tool.fn is not None
    result = await tool.fn(command, context, **options)
    assert isinstance(result, str)
    return result


def round_with(context: ToolContext, command: str, tool: Tool | None = None, **options: Any) -> ToolRound:
    return ToolRound(
        [ToolUse("1", "bash", {"command": command})],
        tools_by_name([tool or full]),
        context=context,
        emit=lambda name, payload: 1,
        **options,
    )


async def recorded(context: ToolContext, command: str, **options: Any) -> tuple[ToolCallRecord, ...]:
    round_ = round_with(context, command, **options)
    await round_.run()
    return round_.records()


def git(directory: Path, *arguments: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main")
    subprocess.run(
        ["git", *identity, *arguments],
        cwd=directory,
        env=environment,
        check=True,
        capture_output=True,
        timeout=60,
    )


class TestRestricted:
    @pytest.mark.parametrize(
        ("command", "output"),
        [
            ("ls", "-x\na.txt\nsub\n"),
            ("cat a.txt", "foo\nbar\na;b\n"),
            ("cat -- -x", "dashed\n"),
            ("cat a.txt | grep -n o", "1:foo\n"),
            ("grep 'a;b' a.txt && wc -l a.txt", "a;b\n3 a.txt\n"),
            ("cat *.txt", "foo\nbar\na;b\n"),
            ("cat *x", "dashed\n"),
            ("ls */*.py", "sub/b.py\n"),
            ("ls ./s*/b.??", "./sub/b.py\n"),
            ("grep -rn x . --include=*.py", "./sub/b.py:1:x = 1\n"),
            ("head -n 1 a.txt", "foo\n"),
            ("tail -1 a.txt", "a;b\n"),
            ("grep nothing a.txt", "[exit status 1]"),
            ("grep nothing a.txt && ls", "[exit status 1]"),
            ("cat nothere", "cat: nothere: No such file or directory\n[exit status 1]"),
            ("ls '*.txt'", "ls: cannot access '*.txt': No such file or directory\n[exit status 2]"),
            ("cat a.txt | head -1 | wc -c", "4\n"),
        ],
    )
    async def test_it_runs_what_is_allowed(self, command: str, output: str, context: ToolContext) -> None:
        assert await run(bash, command, context) == output

    @pytest.mark.parametrize(
        "command",
        [
            *(
                "cat ../secret",
                "cat /etc/passwd",
                "ls ..",
                "ls /",
                "cat ../*",
                "cat ../s*",
                "grep -f ../secret a.txt",
            ),
            *(
                "grep -rn canary ..",
                "cat link",
                "cat out/secret",
                "ls out/*",
                "cat out*/secret",
                "head -n1 pipe",
                "cat ''",
            ),
            *("git diff ../secret a.txt", "git diff -- ../secret", "git log -- /etc", "ls sub/../../secret"),
        ],
    )
    async def test_no_path_leads_outside(self, command: str, context: ToolContext, tmp_path: Path) -> None:
        (context.working_directory / "link").symlink_to(tmp_path / "secret")
        (context.working_directory / "out").symlink_to(tmp_path)
        os.mkfifo(context.working_directory / "pipe")
        with pytest.raises(ToolError, match="Nothing was run") as caught:
            await run(bash, command, context)
        assert "canary" not in str(caught.value)

    async def test_nothing_runs_of_a_line_that_is_refused_in_its_end(self, context: ToolContext) -> None:
        seen: list[str] = []

        async def report(text: str, data: Any) -> None:
            seen.append(text)

        watched = ToolContext(
            working_directory=context.working_directory, allowed_paths=context.allowed_paths, report=report
        )
        await run(bash, "ls", watched)
        assert seen == ["-x\na.txt\nsub\n"]
        for command in ("ls && cat ../secret", "ls | id", "ls && ls ; id"):
            with pytest.raises(ToolError, match="Nothing was run"):
                await run(bash, command, watched)
        assert len(seen) == 1

    async def test_a_working_directory_that_is_not_allowed_is_no_way_in(self, context: ToolContext) -> None:
        elsewhere = ToolContext.at(context.working_directory, ["sub"])
        with pytest.raises(ToolError, match="working directory is outside"):
            await run(bash, "ls", elsewhere)

    @pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere, names of files are text")
    async def test_the_working_directory_may_have_a_name_that_is_no_text(self, tmp_path: Path) -> None:
        odd = os.fsencode(tmp_path) + b"/\xff"
        os.mkdir(odd)
        os.close(os.open(odd + b"/a.txt", os.O_CREAT))
        assert await run(bash, "ls | cat", ToolContext.at(os.fsdecode(odd))) == "a.txt\n"
        assert await run(bash, "ls *.txt", ToolContext.at(os.fsdecode(odd))) == "a.txt\n"

    async def test_no_variable_of_ours_and_no_program_of_the_path_is_seen(
        self, context: ToolContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        fake = tmp_path / "bin"
        fake.mkdir()
        (fake / "ls").write_text("#!/bin/sh\necho taken over\n")
        (fake / "ls").chmod(0o755)
        monkeypatch.setenv("PATH", f"{fake}:{os.environ['PATH']}")
        monkeypatch.setenv("GREP_OPTIONS", "-v")
        monkeypatch.setenv("LS_COLORS", "x")
        assert await run(bash, "ls a.txt && grep foo a.txt", context) == "a.txt\nfoo\n"

    @pytest.mark.skipif(_landlock.version() == 0, reason="this kernel has no Landlock, or it is switched off")
    async def test_what_the_grammar_would_let_through_meets_landlock(
        self, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As if a link had been put in the place of a file between the look at it and its use."""

        def plan(line: str, context: ToolContext, *, allow: frozenset[str]) -> Any:
            return [[tuple(line.split())]]

        monkeypatch.setattr("alloy_trio.tools._arguments.plan", plan)
        assert "Permission denied" in await run(bash, "/bin/cat ../secret", context)
        assert "Permission denied" in await run(bash, "/bin/ls ..", context)
        assert "Permission denied" in await run(bash, "/bin/touch new", context)
        assert "Permission denied" in await run(bash, "/bin/cat /proc/self/environ", context)
        assert await run(bash, "/bin/cat a.txt", context) == "foo\nbar\na;b\n"
        assert await run(bash_tool(allow=("cat",)), "/bin/cat ../secret", context) == "canary\n"

    @needs_git
    async def test_the_recorded_commands(self, shared: Path, context: ToolContext, tmp_path: Path) -> None:
        """What must be denied is denied and leaves nothing; what must be allowed runs."""
        root = context.working_directory
        (root / "a.txt").write_text("foo\na;b\na|b\n")
        git(root, "init")
        git(root, "add", "a.txt")
        git(root, "commit", "-m", "first")
        cases = json.loads((shared / "conformance" / "bash_cases.json").read_text())["cases"]
        assert len(cases) > 100
        before = sorted(path.name for path in root.rglob("*") if ".git" not in path.parts)
        for case in cases:
            if case["expect"] == "allow":
                assert "[exit status" not in await run(bash, case["command"], context), case
                continue
            with pytest.raises(ToolError, match="Nothing was run"):
                await run(bash, case["command"], context)
        assert sorted(path.name for path in root.rglob("*") if ".git" not in path.parts) == before

    def test_a_gigantic_glob_is_refused_and_a_hidden_file_is_not_matched(self, context: ToolContext) -> None:
        (context.working_directory / ".hidden").write_text("")
        output = trio.run(run, bash, "ls -d *", context)
        assert ".hidden" not in output
        assert "./-x" in output
        assert trio.run(run, bash, "ls -d .h*", context) == ".hidden\n"
        for number in range(2_100):
            (context.working_directory / "sub" / f"f{number}").touch()
        with pytest.raises(ToolError, match="more than 2000 names"):
            trio.run(run, bash, "ls sub/*", context)

    async def test_links_that_lead_back_make_no_endless_search(self, context: ToolContext) -> None:
        for name in ("l", "m"):
            (context.working_directory / name).symlink_to(".")
        with pytest.raises(ToolError, match="more than 10000 directories"):
            await run(bash, "ls " + "/".join("*" * 30) + "/nothing*", context)
        with pytest.raises(ToolError, match="more than 2000 names"):
            await run(bash, "ls " + "/".join("*" * 30), context)
        with pytest.raises(ToolError, match="more than 100 directories in one another"):
            await run(bash, "ls " + "l/" * 1_000 + "*", context)

    async def test_a_search_is_stopped_by_the_time_limit(
        self, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = 0

        def ask() -> None:
            nonlocal asked
            asked += 1
            with pytest.raises(trio.Cancelled):
                while True:
                    trio.from_thread.check_cancelled()
            trio.from_thread.check_cancelled()

        monkeypatch.setattr("alloy_trio.tools._arguments.stop_if_cancelled", ask)
        with pytest.raises(ToolError, match=r"ended after 0\.05 s"):
            await run(bash, "ls */*", context, timeout=0.05)
        assert asked == 1


@needs_git
class TestGit:
    """What it does beside the command; what a repository may not do to it stands in test_git."""

    @pytest.fixture
    def repository(self, context: ToolContext) -> Path:
        root = context.working_directory
        git(root, "init")
        git(root, "add", "a.txt")
        git(root, "commit", "-m", "first")
        return root

    async def test_the_repository_is_not_written_to(self, repository: Path, context: ToolContext) -> None:
        # Git would note in its index that the file is unchanged although its time is another one.
        os.utime(repository / "a.txt", (1_000_000_000, 1_000_000_000))
        index = (repository / ".git" / "index").read_bytes()
        for command in ("git status", "git diff", "git log -p"):
            assert "[exit status" not in await run(bash, command, context)
        assert (repository / ".git" / "index").read_bytes() == index
        assert not (repository / ".git" / "index.lock").exists()

    async def test_more_configuration_than_can_be_looked_through_is_refused(
        self, repository: Path, context: ToolContext
    ) -> None:
        with (repository / ".git" / "config").open("a") as file:
            file.write("[a]\n" + "".join(f"\tk{n:060} = 1\n" for n in range(20_000)))
        with pytest.raises(ToolError, match="more to say than can be looked through"):
            await run(bash, "git status", context)

    async def test_a_line_with_git_and_others_runs(self, repository: Path, context: ToolContext) -> None:
        (repository / "a.txt").write_text("changed\n")
        output = await run(bash_tool(allow=("env",)), "git diff --stat | cat && git log | env wc -l", context)
        assert "a.txt | " in output
        assert output.endswith("5\n")


class TestFull:
    async def test_it_is_bash(self, context: ToolContext) -> None:
        assert await run(full, "x=3; echo $((x + 1)) > out; cat out; echo err >&2", context) == "4\nerr\n"
        assert await run(full, "exit 3", context) == "[exit status 3]"
        assert await run(full, "echo a; kill -9 $$", context) == "a\n[exit status 137]"
        assert await run(full, "cat", context) == ""

    async def test_its_environment_holds_no_secret_unless_named(
        self, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("OPENAI_API_KEY", "my_token", "X_SECRET_Y", "DB_PASSWORD", "PLAIN"):
            monkeypatch.setenv(name, f"value-{name}")
        output = await run(full, "env", context)
        assert "value-PLAIN" in output
        assert output.count("value-") == 1
        output = await run(bash_tool(restricted=False, env=("my_token",)), "env", context)
        assert "value-my_token" in output
        assert "value-OPENAI_API_KEY" not in output

    async def test_output_is_shown_while_it_comes_and_kept_within_its_limit(
        self, context: ToolContext
    ) -> None:
        seen: list[str] = []

        async def report(text: str, data: Any) -> None:
            seen.append(text)

        watched = ToolContext(working_directory=context.working_directory, report=report)
        small = bash_tool(restricted=False, max_result_chars=300)
        output = await run(small, "for i in $(seq 1000); do echo line $i; done", watched)
        assert output.startswith("line 1\nline 2\n")
        assert output.endswith("line 1000\n")
        assert "characters cut here" in output
        assert len(output) < 400
        assert "".join(seen) == "".join(f"line {n}\n" for n in range(1, 1001))

    async def test_a_command_that_never_stops_talking_fills_no_memory_and_no_log(
        self, context: ToolContext
    ) -> None:
        count = 0

        async def report(text: str, data: Any) -> None:
            nonlocal count
            count += len(text)

        watched = ToolContext(working_directory=context.working_directory, report=report)
        with pytest.raises(ToolError, match="characters cut here") as caught:
            await run(full, "yes", watched, timeout=1)
        assert len(str(caught.value)) < 31_000
        assert count == 200_000

    async def test_over_its_time_it_is_ended_and_what_it_said_is_kept(
        self, context: ToolContext, mark: str
    ) -> None:
        before = time.monotonic()
        with pytest.raises(ToolError, match=r"^started\n\[ended after 1 s, its time limit"):
            await run(full, "echo started; sleep 100", context, timeout=1.0)
        assert time.monotonic() - before < 5
        assert marked(mark) == []

    async def test_it_ends_before_the_rounds_own_limit_so_that_output_is_kept(
        self, context: ToolContext
    ) -> None:
        round_ = ToolRound(
            [ToolUse("1", "bash", {"command": "echo started; sleep 100"})],
            tools_by_name([full]),
            context=context,
            emit=lambda name, payload: 1,
            default_timeout=1.0,
        )
        (result,) = await round_.run()
        assert "started" in str(result.content)
        assert round_.records()[0].outcome == "interrupted"

    async def test_a_small_limit_of_the_round_still_lets_it_run(self, context: ToolContext) -> None:
        (record,) = await recorded(context, "echo here; sleep 100", default_timeout=0.9)
        assert record.outcome == "interrupted"
        assert record.output.startswith("here\n[ended after 0.9 s, its time limit;")

    async def test_the_time_of_the_whole_run_is_no_limit_of_the_command(
        self, context: ToolContext, mark: str
    ) -> None:
        round_ = round_with(context, "sleep 100", default_timeout=100)
        with trio.move_on_after(0.3) as scope:
            await round_.run()
        assert scope.cancelled_caught
        (record,) = round_.records()
        assert record.outcome == "interrupted"
        assert "the run was stopped" in record.output
        assert marked(mark) == []

    async def test_the_time_of_a_slow_reader_is_not_the_commands(self, context: ToolContext) -> None:
        ended = trio.Event()

        async def send(items: Any) -> None:
            # As a buffer that is full until long after the command has ended, and its time is over.
            with trio.move_on_after(1.2):
                await ended.wait()

        command = "for n in 1 2 3; do echo line $n; sleep 0.05; done"
        for tool, limit in ((full, 1.0), (bash_tool(restricted=False, timeout=1.0), None)):
            round_ = round_with(context, command, tool=tool, default_timeout=limit, send=send)
            await round_.run()
            assert [(each.outcome, each.output) for each in round_.records()] == [
                ("completed", "line 1\nline 2\nline 3\n")
            ]

    async def test_a_command_that_ended_in_time_is_in_time_though_its_clean_up_takes_longer(
        self, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("alloy_trio.tools._processes.GRACE", 2.5)
        before = time.monotonic()
        output = await run(full, "trap '' TERM; setsid sleep 100 & echo done", context, timeout=2)
        assert output == "done\n"
        assert time.monotonic() - before > 2.4

    @pytest.mark.parametrize(
        "command",
        [
            "sleep 100 & echo done",
            "sleep 100 > /dev/null 2>&1 & echo done",
            "(sleep 100 & sleep 100 &) ; echo done",
            "nohup sleep 100 & echo done",
            "trap '' TERM HUP; sleep 100 & echo done",
            "sleep 100 | sleep 100 & echo done",
        ],
    )
    async def test_what_it_puts_in_the_background_ends_with_it(
        self, command: str, context: ToolContext, mark: str
    ) -> None:
        before = time.monotonic()
        output = await run(full, command, context)
        assert "done" in output
        assert time.monotonic() - before < 5
        assert marked(mark) == []

    @pytest.mark.parametrize(
        "command",
        [
            "sleep 100",
            "sleep 100 & sleep 100",
            "sleep 100 | cat",
            "trap '' TERM; while true; do sleep 0.1; done",
            "bash -c 'bash -c \"sleep 100\"'",
            "yes > /dev/null",
        ],
    )
    async def test_a_cancel_leaves_no_process(
        self, command: str, context: ToolContext, mark: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        started = trio.Event()

        async def report(text: str, data: Any) -> None:
            started.set()

        watched = ToolContext(working_directory=context.working_directory, report=report)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, full, f"echo started; {command}", watched)
            await started.wait()
            await until_marked(mark)
            before = time.monotonic()
            nursery.cancel_scope.cancel()
        assert time.monotonic() - before < 3
        assert marked(mark) == []
        assert caplog.messages == []

    async def test_a_pipe_held_open_from_outside_holds_up_nobody(
        self, context: ToolContext, mark: str
    ) -> None:
        before = time.monotonic()
        assert await run(full, "setsid sleep 3 & echo done", context) == "done\n"
        assert time.monotonic() - before < 2.5

    async def test_no_descriptor_is_left(self, context: ToolContext) -> None:
        await run(full, "true", context)
        before = sorted(os.listdir("/proc/self/fd"))
        await run(full, "echo a | cat", context)
        await run(bash, "cat a.txt | grep foo | wc -l", context)
        with pytest.raises(ToolError):
            await run(full, "sleep 100", context, timeout=0.05)
        assert sorted(os.listdir("/proc/self/fd")) == before

    async def test_a_program_that_cannot_be_started_is_an_error_result(self, tmp_path: Path) -> None:
        gone = ToolContext(working_directory=tmp_path / "gone")
        descriptors = sorted(os.listdir("/proc/self/fd"))
        with pytest.raises(ToolError, match=re.escape(f"No such file or directory ({tmp_path / 'gone'})")):
            await run(full, "true", gone)
        assert sorted(os.listdir("/proc/self/fd")) == descriptors

    async def test_an_empty_command_does_nothing_and_one_that_is_too_long_is_an_error_result(
        self, context: ToolContext
    ) -> None:
        assert await run(full, "", context) == ""
        with pytest.raises(
            ToolError, match=r"the command has 131072 bytes, more than .* write it into a file"
        ):
            await run(full, "true " + "ä" * 65_533 + "x", context)
        assert await run(full, "true " + "ä" * 65_533, context) == ""

    async def test_the_model_can_ask_for_less_time_and_not_for_more(self, context: ToolContext) -> None:
        tool = bash_tool(restricted=False, timeout=0.4)
        for asked, limit in ((None, "0.4"), (100, "0.4"), (0.2, "0.2")):
            with pytest.raises(ToolError, match=rf"^\[ended after {limit} s, its time limit"):
                await run(tool, "sleep 100", context, timeout=asked)

    async def test_long_output_of_a_call_in_a_run_can_be_read_page_by_page(
        self, context: ToolContext
    ) -> None:
        belongings = Belongings()
        within = attrs.evolve(context, belongings=belongings)
        try:
            (record,) = await recorded(within, "seq 50000")
            found = re.search(
                r"all of it is in (\S+): call read with this path and offset=(\d+) ", record.output
            )
            assert found is not None
            path, offset = found[1], int(found[2])
            assert 3_000 < offset < 6_000
            assert read.fn is not None
            page = read.fn(path, within, offset=offset, limit=3)
            assert page.text.startswith(f"{offset}\n{offset + 1}\n{offset + 2}\n")
            for command in (f"cat {path}", f"head -n 1 {path}"):
                with pytest.raises(ToolError, match="Nothing was run"):
                    await run(bash, command, within)
        finally:
            await belongings.aclose()
        assert not await trio.Path(path).exists()

    @pytest.mark.parametrize(
        ("command", "timeout", "words"),
        [
            ("a\0b", None, "NUL"),
            ("\ud800", None, "surrogate"),
            ("true", 0.0, "more than 0"),
            ("true", math.nan, "more"),
        ],
    )
    async def test_nonsense_is_refused(
        self, command: str, timeout: float | None, words: str, context: ToolContext
    ) -> None:
        with pytest.raises(ToolError, match=words):
            await run(full, command, context, timeout=timeout)


class TestAllowed:
    """Further programs of a restricted tool: any arguments, and still no shell."""

    async def test_they_run_with_any_arguments_and_beside_the_others(self, context: ToolContext) -> None:
        tool = bash_tool(allow=("touch", "env"))
        assert await run(tool, "touch -d 2001-01-01 ../new && cat a.txt | env -i wc -l", context) == "3\n"
        assert (context.working_directory.parent / "new").exists()
        for command in ("touch x; id", "touch $HOME", "id", "cat ../secret", "bash -c id"):
            with pytest.raises(ToolError, match="Nothing was run"):
                await run(tool, command, context)

    async def test_they_see_the_variables_that_are_named_and_no_others(
        self, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("MY_TOKEN", "OTHER_TOKEN", "PLAIN", "GIT_DIR"):
            monkeypatch.setenv(name, f"value-{name}")
        output = await run(bash_tool(allow=("env",), env=("MY_TOKEN", "GIT_PAGER", "HOME")), "env", context)
        assert "value-MY_TOKEN" in output
        assert output.count("value-") == 1
        assert f"HOME={os.environ['HOME']}\n" in output
        assert "GIT_PAGER=cat\n" in output, "git stays harmless beside them"

    async def test_the_model_is_told_of_them(self) -> None:
        tool = bash_tool(allow=("touch", "env"))
        assert "Besides these, env, touch may be run, with any arguments." in tool.description
        assert bash.concurrent
        assert not tool.concurrent


class TestExecutor:
    """A function that runs the line elsewhere."""

    async def test_it_gets_the_line_the_directory_and_the_deadline(self, context: ToolContext) -> None:
        asked: list[Any] = []

        async def executor(command: str, directory: Path, deadline: float) -> tuple[int, bytes]:
            asked.append((command, directory, deadline - trio.current_time()))
            return 3, b"said\n"

        tool = bash_tool(executor=executor, timeout=50)
        assert await run(tool, "any $(thing); at all", context) == "said\n[exit status 3]"
        assert await run(tool, "x", context, timeout=7) == "said\n[exit status 3]"
        (command, directory, first), (_, _, second) = asked
        assert (command, directory) == ("any $(thing); at all", context.working_directory)
        assert (round(first), round(second)) == (50, 7)
        assert not tool.concurrent

    async def test_its_output_is_shown_cut_and_kept_as_any(self, context: ToolContext) -> None:
        async def executor(command: str, directory: Path, deadline: float) -> tuple[int, str]:
            return 0, "\x1b[1m" + "é" * 200_000 + "\ud800end"

        seen: list[str] = []

        async def report(text: str, data: Any) -> None:
            seen.append(text)

        belongings = Belongings()
        watched = ToolContext(
            working_directory=context.working_directory, report=report, belongings=belongings
        )
        output = await run(bash_tool(executor=executor), "x", watched)
        assert output.startswith("\\x1b[1mééé")
        assert output.endswith("é?end")
        assert len(output) < 30_300
        assert "all of it is in" in output
        assert "".join(seen).startswith("\\x1b[1mééé")
        await belongings.aclose()

    async def test_it_is_cancelled_at_the_limit_and_with_the_run(
        self, context: ToolContext, autojump_clock: trio.testing.MockClock
    ) -> None:
        cancelled = 0

        async def executor(command: str, directory: Path, deadline: float) -> tuple[int, str]:
            nonlocal cancelled
            try:
                return await trio.sleep_forever()
            finally:
                cancelled += 1

        tool = bash_tool(executor=executor)
        with pytest.raises(ToolError, match="ended after 5 s, its time limit"):
            await run(tool, "x", context, timeout=5)
        with trio.move_on_after(1) as scope:
            await run(tool, "x", context)
        assert scope.cancelled_caught
        assert cancelled == 2

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            ("text", "a value of type str; return .exit status, output."),
            ((0, 3), r"returned \(int, int\)"),
            (("0", "text"), r"returned \(str, str\)"),
            ((0, "text", "more"), r"returned \(int, str, str\)"),
            (RuntimeError("no container"), "no container"),
            (None, "a value of type NoneType"),
        ],
    )
    async def test_what_it_does_wrong_is_an_error_of_the_call(
        self, answer: Any, words: str, context: ToolContext
    ) -> None:
        async def executor(command: str, directory: Path, deadline: float) -> Any:
            if isinstance(answer, Exception):
                raise answer
            return answer

        (record,) = await recorded(context, "x", tool=bash_tool(executor=executor))
        assert record.outcome == "failed"
        assert record.error is not None
        assert re.search(words, record.error)

    async def test_a_plain_function_is_told_from_an_async_one(self, context: ToolContext) -> None:
        def executor(command: str, directory: Path, deadline: float) -> Any:
            return 0, "text"

        (record,) = await recorded(context, "x", tool=bash_tool(executor=executor))
        assert "nothing to await; make it async def" in str(record.error)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"env": "HOME"}, "names variables; write env="),
        ({"timeout": math.nan}, "more than 0"),
        ({"timeout": "3"}, "more than 0"),
        ({"max_result_chars": -100}, "more than 0"),
        ({"env": ("",)}, "names none of the variables"),
        ({"allow": "make"}, r"names programs; write allow=\('make',\)"),
        ({"allow": (3,)}, "names none of the programs"),
        ({"allow": ("../make",)}, "name a program as commands do"),
        ({"allow": ("/usr/bin/env",)}, "name a program as commands do"),
        ({"allow": ("no-such-program",)}, "not installed .searched: .*; install it"),
        ({"allow": ("env",), "restricted": False}, "leave out allow"),
        ({"sandbox": True}, 'write sandbox="bwrap"'),
        ({"sandbox": "docker"}, 'write sandbox="bwrap"'),
        ({"network": True}, "network is about the sandbox"),
        ({"readable": ("/x",)}, "readable is about the sandbox"),
        ({"writable": ("/x",)}, "writable is about the sandbox"),
        ({"writable": "/x"}, r"one path; write writable=\('/x',\)"),
        ({"executor": 3}, "has to be an async function"),
        ({"executor": print, "restricted": True}, "executor and restricted exclude each other"),
        ({"executor": print, "sandbox": "bwrap"}, "executor and sandbox exclude each other"),
    ],
)
def test_what_cannot_work_is_refused_when_it_is_made(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        bash_tool(**arguments)


def test_elsewhere_it_says_that_it_cannot_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigurationError, match="needs Linux or macOS, and this is win32"):
        bash_tool()
