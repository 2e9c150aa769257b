"""The sandbox: what a command in it sees, can write and can reach."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from alloy_trio.tools import Tool, ToolContext, ToolError, _landlock, _repositories, _sandbox, bash_tool
from alloy_trio.values import ConfigurationError


def missing() -> str | None:
    """Why there can be no sandbox here."""
    try:
        bash_tool(sandbox="bwrap")
    except ConfigurationError as exc:
        return str(exc)
    return None


WHY = missing()
needs_bwrap = pytest.mark.skipif(WHY is not None, reason=str(WHY))
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("text\n")
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "canary").write_text("canary\n")
    return ToolContext.at(root)


async def run(command: str, context: ToolContext, tool: Tool | None = None, **options: Any) -> str:
    """Run a command in a sandbox that is made with the options."""
    function = (tool or bash_tool(sandbox="bwrap", **options)).fn
    assert function is not None
    result = await function(command, context)
    assert isinstance(result, str)
    return result


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A directory that is not in a hidden place."""
    for place in ("/var/lib", "/opt", "/srv", os.getcwd()):
        if os.access(place, os.W_OK) and not place.startswith(_sandbox._hidden()):
            with tempfile.TemporaryDirectory(dir=place) as directory:
                yield Path(directory)
            return
    pytest.skip("there is no directory that is writable and visible in the sandbox")


@needs_bwrap
class TestFiles:
    async def test_it_is_a_shell_that_can_write_its_working_directory(self, context: ToolContext) -> None:
        output = await run("x=3; cat a.txt > sub/b; echo $((x + 1)); pwd; exit 3", context)
        assert output == f"4\n{context.working_directory}\n[exit status 3]"
        assert (context.working_directory / "sub" / "b").read_text() == "text\n"

    async def test_nothing_else_is_written(self, context: ToolContext, elsewhere: Path) -> None:
        (elsewhere / "file").write_text("as it was")
        output = await run(
            f"echo x > {elsewhere}/file; echo x > {elsewhere}/new; rm {elsewhere}/file", context
        )
        assert output.count("Read-only file system") == 3
        assert (elsewhere / "file").read_text() == "as it was"

    async def test_what_is_beside_the_working_directory_in_a_hidden_place_is_not_seen(
        self, context: ToolContext, tmp_path: Path
    ) -> None:
        assert "canary\n" not in await run(
            f"cat ../*/canary; ls ..; ls {tmp_path}; cat {tmp_path}/beside/*", context
        )
        assert await run("ls -A /tmp/.. > /dev/null; ls -A /tmp | wc -l", context) == "1\n"

    async def test_home_is_empty_and_what_is_written_there_is_gone(
        self, context: ToolContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        home = tmp_path / "home"
        (home / ".ssh").mkdir(parents=True)
        (home / ".ssh" / "id").write_text("canary")
        monkeypatch.setenv("HOME", str(home))
        tool = bash_tool(sandbox="bwrap")
        assert await run("cat ~/.ssh/id 2>&1; echo x > ~/new; cat ~/new", context, tool) == (
            f"cat: {home}/.ssh/id: No such file or directory\nx\n"
        )
        assert await run("ls -A ~ /tmp/.X11-unix 2>/dev/null; true", context, tool) == f"{home}:\n"
        assert sorted(os.listdir(home)) == [".ssh"]

    async def test_more_can_be_opened_by_name(
        self, context: ToolContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        beside = tmp_path / "beside"
        command = "cat ../beside/canary; echo x > ../beside/new; ls ../beside"
        output = await run(command, context, readable=("../beside",))
        assert output.startswith("canary\n")
        assert "Read-only file system" in output
        assert await run(command, context, writable=(beside,)) == "canary\ncanary\nnew\n"
        monkeypatch.setenv("HOME", str(tmp_path))
        assert "canary" in await run(command, context, readable=("~/beside",))

    async def test_a_readable_place_within_the_working_directory_is_not_written(
        self, context: ToolContext
    ) -> None:
        output = await run("echo x > sub/new; echo x > new", context, readable=("sub",))
        assert "Read-only file system" in output
        assert os.listdir(context.working_directory / "sub") == []
        assert (context.working_directory / "new").exists()

    async def test_an_allowed_path_within_the_working_directory_takes_nothing_from_it(
        self, context: ToolContext
    ) -> None:
        narrow = ToolContext.at(context.working_directory, ["sub"])
        assert await run("echo x > sub/new; cat sub/new", narrow) == "x\n"

    async def test_the_other_allowed_paths_are_read_only(self, context: ToolContext, tmp_path: Path) -> None:
        both = ToolContext.at(context.working_directory, [".", tmp_path / "beside"])
        output = await run("cat ../beside/canary; echo x > ../beside/canary", both)
        assert output.startswith("canary\n")
        assert "Read-only file system" in output
        wide = ToolContext.at(context.working_directory, ["/"])
        assert "canary\n" not in await run("cat ../beside/canary", wide)

    async def test_a_link_out_of_the_working_directory_leads_to_what_the_sandbox_shows(
        self, context: ToolContext, tmp_path: Path
    ) -> None:
        (context.working_directory / "out").symlink_to(tmp_path / "beside")
        assert "No such file" in await run("cat out/canary", context)

    @pytest.mark.parametrize("option", ["readable", "writable"])
    async def test_what_is_not_there_cannot_be_opened(self, option: str, context: ToolContext) -> None:
        for path in ("gone", "/"):
            with pytest.raises(ToolError, match=f"Nothing was run: .*{option}"):
                await run("true", context, **{option: (path,)})

    async def test_the_home_directory_is_too_wide_to_work_in(
        self, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for home in (context.working_directory, context.working_directory / "sub"):
            monkeypatch.setenv("HOME", str(home))
            with pytest.raises(ToolError, match=r"which is or holds .*; work in a directory of the project"):
                await run("true", context)
        monkeypatch.setenv("HOME", "/nonexistent")
        for root in ("/", "/usr"):
            with pytest.raises(ToolError, match="work in a directory of the project alone"):
                await run("true", ToolContext.at(root))
        with pytest.raises(ToolError, match="work in a directory of the project alone"):
            await run("true", context, writable=("/etc",))

    def test_pythons_own_directory_is_uncovered_only_if_it_is_a_part_of_a_hidden_place(self) -> None:
        python = os.path.realpath(sys._base_executable)  # type: ignore[attr-defined]
        prefix = os.path.realpath(sys.base_prefix)
        if _landlock.version() == 0:
            pytest.skip("without Landlock, no Python is needed in the sandbox")
        assert _sandbox._python(("/nowhere",)) == (python, prefix)
        assert _sandbox._python((os.path.dirname(prefix),)) == (python, prefix)
        assert _sandbox._python((prefix,)) == ()


@needs_bwrap
@needs_git
class TestGit:
    @pytest.fixture
    def repository(self, context: ToolContext) -> Path:
        root = context.working_directory
        git(root, "init")
        git(root, "add", "a.txt")
        git(root, "commit", "-m", "first")
        return root

    @pytest.mark.parametrize(
        "command",
        [
            "echo '[core] fsmonitor = ./evil' >> .git/config",
            "git config core.hooksPath evil",
            "echo evil > .git/hooks/post-checkout",
            "echo ../evil > .git/commondir",
            "mv .git .old && cp -r .old .git && echo evil > .git/config",
            "rm -rf .git",
            "mkdir evil && mount --bind evil .git",
            "umount .git && echo evil > .git/config",
            "unshare -rm sh -c 'umount .git; echo evil > .git/config'",
            "ln -sfn evil .git",
        ],
    )
    async def test_what_git_reads_outside_later_stays(
        self, command: str, repository: Path, context: ToolContext
    ) -> None:
        def content() -> dict[str, bytes | None]:
            found = (repository / ".git").rglob("*")
            return {str(path): path.read_bytes() if path.is_file() else None for path in found}

        before = content()
        assert "[exit status" in await run(command, context)
        assert content() == before

    @pytest.mark.parametrize(
        "command",
        [
            "echo evil > libs/inner/.git/config",
            "rm -rf libs/inner/.git",
            "mv libs/inner libs/other",
            "mv libs other",
            "echo 'gitdir: evil' > linked/.git",
            "mv linked other",
        ],
    )
    async def test_so_does_what_a_repository_below_reads(
        self, command: str, repository: Path, context: ToolContext
    ) -> None:
        (repository / "libs" / "inner").mkdir(parents=True)
        git(repository / "libs" / "inner", "init")
        (repository / "linked").mkdir()
        (repository / "linked" / ".git").write_text("gitdir: ../.git/modules/linked\n")
        config = (repository / "libs" / "inner" / ".git" / "config").read_bytes()
        assert "[exit status" in await run(command, context)
        assert (repository / "libs" / "inner" / ".git" / "config").read_bytes() == config
        assert (repository / "linked" / ".git").read_text() == "gitdir: ../.git/modules/linked\n"
        # All else there is as writable as ever, unless it was named as readable only.
        assert await run("touch libs/x libs/inner/x linked/x", context) == ""
        assert "Read-only" in await run("touch libs/inner/y", context, readable=("libs",))

    def test_the_search_for_repositories_is_bounded(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for path in ("a/b/c/.git", "a/b/c/d/.git", "b/.git", "a/.git"):
            (tmp_path / path).mkdir(parents=True)
        (tmp_path / "link").symlink_to(tmp_path)
        root = str(tmp_path)
        kept = _repositories.kept_in(root, (root,))
        repositories = [path for path, kind in kept.items() if kind == "--ro-bind"]
        assert sorted(repositories) == [f"{root}/a/.git", f"{root}/a/b/c/.git", f"{root}/b/.git"]
        assert sorted(kept.keys() - set(repositories)) == [
            f"{root}/{path}" for path in ("a", "a/b", "a/b/c", "b")
        ]
        monkeypatch.setattr(_repositories, "MAX_DIRECTORIES", 3)
        assert f"{root}/a/b/c/.git" not in _repositories.kept_in(root, (root,))

    async def test_git_can_be_asked(self, repository: Path, context: ToolContext) -> None:
        (repository / "a.txt").write_text("changed\n")
        output = await run("git status --short; git diff; git log --oneline", context)
        assert " M a.txt\n" in output
        assert "+changed\n" in output
        assert "first\n" in output
        assert "Read-only file system" in await run("git add -A", context)

    async def test_commits_can_be_allowed_and_the_configuration_still_stays(
        self, repository: Path, context: ToolContext
    ) -> None:
        tool = bash_tool(sandbox="bwrap", writable=(".git",))
        identity = "git -c user.name=n -c user.email=e@example.com"
        assert "[exit status" not in await run(
            f"echo x > b; git add b; {identity} commit -qm second", context, tool
        )
        assert "second" in await run("git log --oneline", context, tool)
        config = (repository / ".git" / "config").read_bytes()
        for command in (
            "git config a.b c",
            "echo x > .git/hooks/pre-commit",
            "mv .git old",
            "rm .git/config",
        ):
            assert "[exit status" in await run(command, context, tool), command
        assert (repository / ".git" / "config").read_bytes() == config
        assert not (repository / ".git" / "hooks" / "pre-commit").exists()

    async def test_a_linked_worktree_sees_its_repository(
        self, repository: Path, context: ToolContext, tmp_path: Path
    ) -> None:
        git(repository, "worktree", "add", str(tmp_path / "tree"))
        linked = ToolContext.at(tmp_path / "tree")
        assert "first" in await run("git log --oneline", linked)
        for command in (
            "echo 'gitdir: evil' > .git",
            "rm .git",
            "mv .git x",
            "git config a.b c",
            "git branch x",
        ):
            assert "[exit status" in await run(command, linked), command

    async def test_a_file_that_says_so_uncovers_nothing(self, context: ToolContext, tmp_path: Path) -> None:
        place = tmp_path / "beside"
        (context.working_directory / ".git").write_text(f"gitdir: {place}\n")
        (place / "commondir").write_text(".\n")
        for back in (None, str(tmp_path / "other" / ".git"), "\0", "x" * 100_000):
            if back is not None:
                (place / "gitdir").write_text(back)
            assert "canary\n" not in await run(f"cat {place}/canary", context)
        # What is there names the working directory in turn: the two belong together.
        (place / "gitdir").write_text(f"{context.working_directory}/.git\n")
        assert await run(f"cat {place}/canary", context) == "canary\n"

    async def test_a_pipe_in_its_place_holds_up_nobody(self, context: ToolContext) -> None:
        os.mkfifo(context.working_directory / ".git")
        assert await run("cat a.txt", context) == "text\n"

    async def test_a_link_in_its_place_is_refused(self, repository: Path, context: ToolContext) -> None:
        (repository / ".git").rename(repository / "real")
        (repository / ".git").symlink_to("real")
        with pytest.raises(ToolError, match=r"\.git is a symbolic link"):
            await run("true", context)

    async def test_a_bare_repository_keeps_its_configuration(
        self, repository: Path, context: ToolContext
    ) -> None:
        bare = ToolContext.at(repository / ".git")
        assert "[exit status" in await run("git config a.b c", bare)
        assert "[exit status" in await run("touch hooks/pre-commit", bare)


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


@needs_bwrap
class TestProcesses:
    async def test_it_sees_no_process_but_its_own_and_has_no_rights(self, context: ToolContext) -> None:
        output = await run("echo /proc/[0-9]*; grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status", context)
        processes, *status = output.splitlines()
        assert len(processes.split()) <= 3
        assert [line.split()[1].lstrip("0") for line in status] == ["", "", "1"]

    async def test_it_does_not_see_the_environment_of_its_caller(
        self, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("MY_API_KEY", "canary-value")
        assert "canary-value" not in await run("cat /proc/[0-9]*/environ; env", context)
        assert "canary-value" in await run("env", context, env=("MY_API_KEY",))

    @pytest.mark.parametrize("landlock", [True, False])
    async def test_the_kernels_own_files_do_not_open_for_writing(
        self, landlock: bool, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Root may, by the modes of the files. Nothing is written to them, should they open."""
        if not landlock:
            monkeypatch.setattr(_landlock, "version", lambda: 0)
        writable = "find /proc /sys -maxdepth 3 -type f -perm /222 2>/dev/null"
        assert int(await run(f"{writable} | wc -l", context)) > 10
        loop = 'while read -r file; do (: >> "$file") 2>/dev/null && echo "$file"; done'
        assert await run(f"{writable} | {loop}; echo end", context) == "end\n"

    @pytest.mark.parametrize(
        "command", ["sleep 1234.5 &", "setsid sleep 1234.5 &", "(setsid sleep 1234.5 &) &"]
    )
    async def test_what_it_leaves_behind_ends_with_it(self, command: str, context: ToolContext) -> None:
        before = time.monotonic()
        assert await run(f"{command} echo done", context) == "done\n"
        assert time.monotonic() - before < 30
        assert running("1234.5") == []

    @pytest.mark.parametrize("command", ["sleep 2345.6", "trap '' TERM; setsid sleep 2345.6 & sleep 2345.6"])
    async def test_a_cancel_leaves_nothing(self, command: str, context: ToolContext) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, command, context)
            with trio.fail_after(30):
                while not running("2345.6"):  # noqa: ASYNC110 - only /proc knows
                    await trio.sleep(0.01)
            nursery.cancel_scope.cancel()
        assert running("2345.6") == []

    async def test_its_status_is_the_commands(self, context: ToolContext) -> None:
        assert await run("exit 7", context) == "[exit status 7]"
        assert await run("kill -9 $$", context) == "[exit status 137]"
        assert await run("cat", context) == ""


def running(argument: str) -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes() if entry.name.isdecimal() else b""
        except OSError:
            continue
        if command.split(b"\0")[-2:-1] == [argument.encode()]:
            found.append(entry.name)
    return found


@needs_bwrap
class TestNetwork:
    @pytest.mark.parametrize("network", [False, True])
    async def test_it_is_reached_only_if_that_is_allowed(self, network: bool, context: ToolContext) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            command = f"echo > /dev/tcp/127.0.0.1/{server.getsockname()[1]} && echo reached"
            output = await run(command, context, network=network)
        assert ("reached\n" in output) is network

    async def test_names_can_be_looked_up_where_the_file_for_it_is_in_a_hidden_place(
        self, context: ToolContext, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        servers = tmp_path / "resolv.conf"
        servers.write_text("nameserver 192.0.2.1\n")
        monkeypatch.setattr(_sandbox, "_NAMESERVERS", (str(servers),))
        assert "192.0.2.1" in await run(f"cat {servers}", context, network=True)
        assert "192.0.2.1" not in await run(f"cat {servers}", context)

    @pytest.mark.parametrize("network", [False, True])
    async def test_sockets_of_other_programs_are_out_of_reach(
        self, network: bool, context: ToolContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        python = shutil.which("python3", path="/usr/bin:/bin")
        if python is None or _landlock.version() < 6:
            pytest.skip(
                "needs a Python of the system as the client, and Landlock 6 for sockets without a file"
            )
        code = "import socket, sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1].replace('@', chr(0)))"
        with socket.socket(socket.AF_UNIX) as file, socket.socket(socket.AF_UNIX) as abstract:
            monkeypatch.chdir(tmp_path)  # an address is at most 107 bytes long
            file.bind("socket")
            abstract.bind(f"\0alloy-trio-{os.getpid()}")
            for server, name in ((file, tmp_path / "socket"), (abstract, f"@alloy-trio-{os.getpid()}")):
                server.listen()
                command = f'{python} -c "{code}" {name}'
                assert "Error" in await run(command, context, network=network)
                assert await run(command, context, bash_tool(restricted=False)) == ""


@needs_bwrap
async def test_a_restricted_tool_can_be_put_into_it(context: ToolContext, tmp_path: Path) -> None:
    tool = bash_tool(restricted=True, allow=("touch",), sandbox="bwrap")
    assert await run("cat a.txt | wc -l && touch sub/new", context, tool) == "1\n"
    assert (context.working_directory / "sub" / "new").exists()
    assert "No such file" in await run(f"touch {tmp_path}/beside/new", context, tool)
    assert not (tmp_path / "beside" / "new").exists()
    with pytest.raises(ToolError, match="Nothing was run"):
        await run("cat a.txt; id", context, tool)


@needs_bwrap
async def test_an_allowed_program_in_a_hidden_place_has_to_be_uncovered(
    context: ToolContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside" / "own-program").write_text("#!/bin/sh\necho ran $*\n")
    (tmp_path / "beside" / "own-program").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/beside:{os.environ['PATH']}")
    options: dict[str, Any] = {"restricted": True, "allow": ("own-program",)}
    output = await run("own-program a b", context, **options)
    assert output.startswith(f"{tmp_path}/beside/own-program cannot be run: No such file")
    assert await run("own-program a b", context, readable=("../beside",), **options) == "ran a b\n"


@needs_bwrap
async def test_a_working_directory_that_has_gone_is_an_error_result(context: ToolContext) -> None:
    gone = ToolContext(working_directory=context.working_directory / "gone")
    with pytest.raises(ToolError, match="could not be started: No such file"):
        await run("true", gone)


@needs_bwrap
def test_its_description_tells_the_model_what_it_may() -> None:
    closed = bash_tool(sandbox="bwrap").description
    assert "only the working directory can be written" in closed
    assert "There is no network." in closed
    opened = bash_tool(sandbox="bwrap", network=True, writable=("~/cache",)).description
    assert "only the working directory, ~/cache can be written" in opened
    assert "The network can be reached." in opened


class TestWithoutIt:
    def test_the_error_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(_sandbox, "SEARCHED", (str(tmp_path),))
        with pytest.raises(
            ConfigurationError, match=r"there is no bwrap in .*; install the package bubblewrap"
        ):
            bash_tool(sandbox="bwrap")

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            (
                "echo 'bwrap: No permissions to create new namespace' >&2; exit 1",
                "No permissions to create new namespace",
            ),
            ("exit 3", "exit status 3"),
            ("exec sleep 100", "timed out"),
        ],
    )
    def test_one_that_does_not_work_is_no_silent_weakening(
        self, script: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "bwrap").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "bwrap").chmod(0o755)
        monkeypatch.setattr(_sandbox, "SEARCHED", (str(tmp_path),))
        monkeypatch.setattr(_sandbox, "PROBE_SECONDS", 0.5)
        with pytest.raises(ConfigurationError, match=f"does not work on this machine.*{words}"):
            bash_tool(sandbox="bwrap")

    def test_an_older_one_without_an_option_that_nothing_rests_on_is_used(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "bwrap").write_text('#!/bin/sh\ncase "$*" in *--disable-userns*) exit 1; esac\n')
        (tmp_path / "bwrap").chmod(0o755)
        monkeypatch.setattr(_sandbox, "SEARCHED", (str(tmp_path),))
        found = _sandbox.find_sandbox(network=False, readable=(), writable=())
        assert "--unshare-net" in found.options
        assert "--disable-userns" not in found.options
