"""The conversation at a terminal, in a real one: a pseudo-terminal that controls the process."""

from __future__ import annotations

import os
import pty
import re
import select
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# Makes the terminal that is its standard input the one that Ctrl-C comes from, then becomes alloy.
IN_THE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.executable, [sys.executable, '-m', 'alloy_trio', *sys.argv[1:]])"
)
CTRL_C, CTRL_D = "\x03", "\x04"
PROMPT = "alloy> "
PATIENCE_SECONDS = 30


class Terminal:
    """A terminal with alloy in it."""

    def __init__(self, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            (sys.executable, "-c", IN_THE_TERMINAL, *arguments),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=environment | {"TERM": "dumb"},
            start_new_session=True,
        )
        os.close(theirs)
        self._unread = ""

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def read_until(self, end: str) -> str:
        """What is shown up to and including ``end``."""
        while end not in self._unread:
            ready, _, _ = select.select([self._ours], [], [], PATIENCE_SECONDS)
            assert ready, f"{end!r} was not shown, only {self._unread!r}"
            try:
                more = os.read(self._ours, 4096).decode()
            except OSError:
                more = ""
            assert more, f"it ended after {self._unread!r}"
            self._unread += more
        shown, _, self._unread = self._unread.partition(end)
        return shown + end

    def ask(self, line: str) -> str:
        """Type a line; what is shown until the next prompt."""
        self.type(f"{line}\r")
        return self.read_until(PROMPT)

    def interrupt_prompt(self) -> None:
        """Press Ctrl-C at the prompt, until a new one is shown.

        Once is not always enough: CPython misses a signal that comes between readline's handling of a key and
        its wait for the next one, until that next one comes.
        """
        for _ in range(PATIENCE_SECONDS):
            self.type(CTRL_C)
            if select.select([self._ours], [], [], 1)[0]:
                break
        self.read_until(PROMPT)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def terminal(environment: dict[str, str]) -> Iterator[Callable[..., Terminal]]:
    opened: list[Terminal] = []

    def open_terminal(*arguments: str) -> Terminal:
        opened.append(Terminal(arguments, environment))
        return opened[-1]

    yield open_terminal
    for each in opened:
        each.close()


def at(host: Any) -> tuple[str, ...]:
    return ("--provider", "openai-compatible", "--model", "m", "--base-url", host.url)


def test_a_conversation_is_kept_from_question_to_question(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    (tmp_path / "made.toml").write_text('colour = "blue"\nsize = 12\n')
    screen = terminal("--provider", "demo", "--dir", str(tmp_path))
    assert "demo/demo" in screen.read_until(PROMPT)
    shown = screen.ask("Read made.toml and tell me the colour")
    assert "> read made.toml" in shown
    assert "The colour is blue" in shown
    assert "The size is 12" in screen.ask("and the size?")
    assert "2 requests: " in screen.ask("/usage")
    history = screen.ask("/history")
    assert "user: and the size?" in history
    assert "assistant: The size is 12" in history
    assert "read: Read a text file" in screen.ask("/tools")
    assert "there is no command /hlp; did you mean /help?" in screen.ask("/hlp")
    assert "no provider 'nobody'" in screen.ask("/model nobody/model")
    assert "/reset" in screen.ask("/help")
    assert "forgotten" in screen.ask("/reset")
    assert "nothing was said yet" in screen.ask("/history")
    assert "In which file?" in screen.ask("and the size?")
    screen.type(CTRL_D)
    assert screen.process.wait(PATIENCE_SECONDS) == 0


def test_skills_are_commands(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    skills = tmp_path / "project" / ".alloy" / "skills"
    skills.mkdir(parents=True)
    (tmp_path / "project" / "made.toml").write_text('colour = "blue"\n')
    head = "---\ndescription: Tells a value\n---\n"
    (skills / "tell.md").write_text(f"{head}Read made.toml and tell me the {{{{input}}}}")
    screen = terminal("--provider", "demo", "--dir", str(tmp_path / "project"))
    screen.read_until(PROMPT)
    assert "/tell: Tells a value" in screen.ask("/skills")
    assert "The colour is blue" in screen.ask("/tell colour")
    assert "did you mean /tell?" in screen.ask("/tel colour")


def test_an_interrupt_ends_the_request_and_keeps_the_conversation(
    terminal: Callable[..., Terminal], host: Any
) -> None:
    host.ending = "hang"
    screen = terminal(*at(host))
    screen.read_until(PROMPT)
    screen.type("first\r")
    screen.read_until("world")
    screen.type(CTRL_C)
    assert "interrupted after" in screen.read_until(PROMPT)
    host.ending = "stop"
    assert "Hello world" in screen.ask("second")
    roles = [message["role"] for message in host.asked[1]["messages"]]
    assert roles == ["user", "assistant", "user"]
    assert host.asked[1]["messages"][1]["content"] == "Hello world"
    assert "quit" in screen.ask("/help")
    screen.type("/quit\r")
    assert screen.process.wait(PATIENCE_SECONDS) == 0


def test_an_interrupt_at_the_prompt_drops_the_line(terminal: Callable[..., Terminal]) -> None:
    screen = terminal("--provider", "demo")
    screen.read_until(PROMPT)
    screen.type("half a question")
    screen.read_until("question")
    screen.interrupt_prompt()
    assert "1 request" not in screen.ask("/usage")
    assert screen.process.poll() is None


def test_an_error_of_the_provider_leaves_the_conversation_open(
    terminal: Callable[..., Terminal], host: Any
) -> None:
    host.status = 400
    screen = terminal(*at(host))
    screen.read_until(PROMPT)
    assert "alloy: Rejected: " in screen.ask("hello")
    host.status = 200
    assert "Hello world" in screen.ask("hello again")


def test_a_long_wait_shows_a_counter_and_takes_it_away(terminal: Callable[..., Terminal], host: Any) -> None:
    host.words = ()
    host.ending = "hang"
    screen = terminal("-p", "hi", *at(host))
    assert "waiting" in screen.read_until(" s")
    screen.type(CTRL_C)
    assert screen.read_until("interrupted").endswith("\ralloy: interrupted")
    assert screen.process.wait(PATIENCE_SECONDS) == 130


def test_the_history_is_the_users_own(terminal: Callable[..., Terminal], tmp_path: Path) -> None:
    screen = terminal("--provider", "demo")
    screen.read_until(PROMPT)
    screen.ask("a question of mine")
    file = tmp_path / "state" / "alloy" / "history"
    assert "a question of mine" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_without_a_place_for_the_history_it_goes_on(
    terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    (tmp_path / "state").write_text("a file where a directory should be")
    screen = terminal("--provider", "demo")
    assert "the history is not kept" in screen.read_until(PROMPT)
    assert "I am the demo model" in screen.ask("who are you?")


def test_a_conversation_is_recorded_and_replayed(
    terminal: Callable[..., Terminal], host: Any, tmp_path: Path
) -> None:
    """Also after a change to another model, and back."""
    (tmp_path / "made.toml").write_text('colour = "blue"\n')
    file = str(tmp_path / "run.jsonl")
    shown = []
    for options in ((*at(host), "--record", file), ("--replay", file)):
        screen = terminal("--dir", str(tmp_path), *options)
        assert "openai-compatible/m" in screen.read_until(PROMPT)
        answers = [
            screen.ask(line)
            for line in ("first", "second", "/model demo", "Read made.toml and tell me the colour", "/usage")
        ]
        shown.append([re.sub(r"read \d+ ms", "read", answer) for answer in answers])
        screen.type(CTRL_D)
        assert screen.process.wait(PATIENCE_SECONDS) == 0
    assert shown[0] == shown[1]
    assert "Hello world" in shown[0][1]
    assert "The colour is blue" in shown[0][3]
    assert len(host.asked) == 2
