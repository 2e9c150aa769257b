"""Command lines that good models write have to run, and to say what they say in bash."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import trio

from alloy_trio.tools import ToolContext, bash

from .lines import run_line

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed"),
]

LINES = [
    (line[:1], line[2:])
    for line in (Path(__file__).parent / "restricted_commands.txt").read_text().splitlines()
    if line and not line.startswith("#")
]

MAIN = """import os
import sys

# foo is here
def main(argv):
    foo(argv)
    return bar(os.sep)

def helper():
    pass  # TODO
"""
NOTES = """foo bar
Foo again, food
a.b and axb
a;b
it's
say "hi"
$HOME is where 123 is
-dashed
at the end
"""


def plain_git(root: Path, *arguments: str) -> None:
    subprocess.run(
        ["git", "-c", "init.defaultBranch=main", *arguments],
        cwd=root,
        env={
            **os.environ,
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_NOSYSTEM": "1",
            **dict.fromkeys(("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME"), "A. Person"),
            **dict.fromkeys(("GIT_AUTHOR_EMAIL", "GIT_COMMITTER_EMAIL"), "a@example.com"),
        },
        check=True,
        capture_output=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("work") / "project"
    for name in ("src", "tests", "my docs", "node_modules/x"):
        (root / name).mkdir(parents=True)
    (root / "README.md").write_text(
        "# Title\n\n" + "".join(f"line {number}\n" for number in range(30)) + "\n\nlast"
    )
    (root / "notes.md").write_text(NOTES)
    (root / "patterns.txt").write_text("foo\nbar\n")
    (root / ".hidden").write_text("hidden\n")
    (root / "src" / "main.py").write_text(MAIN)
    (root / "src" / "util.py").write_text("def util():\n    return 'foo'\n")
    (root / "src" / "_private.py").write_text("")
    (root / "src" / "sub").mkdir()
    (root / "tests" / "test_main.py").write_text(
        "from src.main import main\n\ndef test_foo():\n    assert main\n"
    )
    (root / "my docs" / "file with space.txt").write_text("foo in a file\n")
    (root / "node_modules" / "x" / "index.js").write_text("foo\n")
    (root / ".gitignore").write_text("node_modules\n")
    plain_git(root, "init")
    plain_git(root, "add", ".")
    plain_git(root, "commit", "-m", "first")
    (root / "src" / "util.py").write_text("def util():\n    return 'foobar'\n")
    plain_git(root, "commit", "-am", "second: more of it")
    (root / "src" / "main.py").write_text(MAIN.replace("pass", "return 1"))
    (root / "tests" / "test_more.py").write_text("x = 1\n")
    (root / "tests" / "test_main.py").write_text("def test_foo():\n    assert True\n")
    (root / "notes.md").write_text(NOTES + "more\n")
    plain_git(root, "add", "notes.md")
    return root


def test_there_are_enough_of_them() -> None:
    assert len({line for kind, line in LINES if kind == "="}) >= 200


@pytest.mark.parametrize(("kind", "line"), LINES)
async def test_a_line_runs_and_says_what_it_says_in_bash(kind: str, line: str, root: Path) -> None:
    done = await run_line(line, ToolContext.at(root))
    if kind == "~":
        assert done.output or done.errors or done.status == 1
        return
    theirs = await trio.run_process(
        ["bash", "-c", line],
        cwd=root,
        env={
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_OPTIONAL_LOCKS": "0",
        },
        stdin=subprocess.DEVNULL,
        capture_stdout=True,
        capture_stderr=True,
        check=False,
    )
    assert done.text == theirs.stdout.decode(errors="replace")
    assert done.status == theirs.returncode
    assert bool(done.output) == (kind == "="), "a line that says nothing where it should shows nothing"


async def test_the_tool_says_the_same(root: Path) -> None:
    assert bash.fn is not None
    context = ToolContext.at(root)
    for line in (
        "grep -rn foo src | head -2",
        "ls src && cat 'my docs/file with space.txt'",
        "git log --oneline -5 --stat",
    ):
        assert await bash.fn(line, context) == (await run_line(line, context)).text
