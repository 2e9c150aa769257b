"""The table of options against the programs: they take as many words as the table says, for else a value that is not
looked at would be a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from alloy_trio.tools._options import PROGRAMS, Kind

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the table is of GNU's programs"),
]

WORD = "nosuchfile"

SILENT = ("--help", "--version", "-V", "-q", "-s", "--quiet", "--silent", "--no-messages")
"""With these the programs look at no operand, or do not complain of one."""


def options() -> Iterator[tuple[str, str, Kind]]:
    for name, program in PROGRAMS.items():
        if name == "git status":
            continue  # takes the name of a file that is not there without a word; none of its options has a value apart
        for letter in program.flags:
            yield name, f"-{letter}", ""
        for letter, kind in program.letters.items():
            yield name, f"-{letter}", kind
        for word, kind in program.long.items():
            yield name, f"--{word}", kind


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("options")
    (root / "a").write_text("x\n")
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.com")
    for arguments in (("init",), ("add", "a"), (*identity, "commit", "-m", "x")):
        subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, timeout=60)
    return root


def said(root: Path, *argv: str) -> str:
    done = subprocess.run(
        argv,
        cwd=root,
        env={
            "PATH": os.environ["PATH"],
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout + done.stderr


def is_unknown(answer: str) -> bool:
    """Whether this version of the program does not have the option at all; then nothing runs."""
    return any(
        text in answer
        for text in (
            "unrecognized option",
            "unrecognized argument",
            "invalid option",
            "unknown switch",
            "usage:",
        )
    )


def test_every_option_takes_the_words_that_the_table_says(root: Path) -> None:
    wrong, unknown = [], []
    for name, option, kind in options():
        if option in SILENT and not name.startswith("git"):
            continue
        before = ("-e", "x") if name == "grep" else ()
        after = ("--",) if name.startswith("git") else ()
        answer = said(root, *name.split(), *before, option, WORD, *after)
        if is_unknown(answer) and WORD not in answer:
            unknown.append((name, option))
            continue
        operand = any(
            text in answer
            for text in (
                f"{WORD}: No such",
                f"'{WORD}': No such",
                f"'{WORD}' for reading: No such",
                f"bad revision '{WORD}'",
            )
        )
        takes = bool(kind) and not (isinstance(kind, str) and kind.endswith(("?", "=")))
        if kind == "path":
            # Both say that it is not there; a file of patterns is none of those that are searched.
            operand = said(root, *name.split(), *before, option, "a").endswith("x\n")
        if operand == takes:
            wrong.append((name, option, kind, answer))
    assert wrong == []
    assert len(unknown) < 10, "most of the table has to be known to the programs that are installed"
