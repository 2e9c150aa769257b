"""The command line as a process: pipes, signals, exit statuses."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent
ALLOY = (sys.executable, "-m", "alloy_trio")


def run(
    arguments: tuple[str, ...], environment: dict[str, str], **options: Any
) -> subprocess.CompletedProcess[str]:
    options.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run(
        (*ALLOY, *arguments),
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **options,
    )


def at(host: Any) -> tuple[str, ...]:
    return ("--provider", "openai-compatible", "--model", "m", "--base-url", host.url)


@contextmanager
def begun(arguments: tuple[str, ...], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that is still running, and is gone afterwards."""
    process = subprocess.Popen(
        (*ALLOY, *arguments),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def read_until(process: subprocess.Popen[str], end: str) -> str:
    """What the process prints up to and including ``end``."""
    assert process.stdout is not None
    seen = ""
    while not seen.endswith(end):
        letter = process.stdout.read(1)
        assert letter, f"the output ended after {seen!r}"
        seen += letter
    return seen


def test_the_demo_reads_the_version_of_the_file_as_it_is_now(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    question = ("-p", "Read pyproject.toml and tell me the version", "--tools", "read", "--provider", "demo")
    before = run(question, environment, cwd=tmp_path)
    text = (tmp_path / "pyproject.toml").read_text()
    edited, times = re.subn(r'(?m)^version = ".*"$', 'version = "7.8.9"', text)
    assert times == 1
    (tmp_path / "pyproject.toml").write_text(edited)
    after = run(question, environment, cwd=tmp_path)
    version = re.search(r'(?m)^version = "(.*)"$', text)
    assert version is not None
    assert (before.returncode, before.stdout) == (0, f"The version is {version[1]}\n")
    assert (after.returncode, after.stdout) == (0, "The version is 7.8.9\n")
    assert "read pyproject.toml" in after.stderr


def test_an_answer_over_http_is_printed_and_text_from_a_pipe_was_asked_about(
    host: Any, environment: dict[str, str]
) -> None:
    with subprocess.Popen(("echo", "a b c"), stdout=subprocess.PIPE) as echo:
        done = run(("-p", "Count", *at(host)), environment, stdin=echo.stdout)
    assert (done.returncode, done.stdout) == (0, "Hello world\n")
    assert host.asked[0]["messages"][-1]["content"] == "Count\n\na b c\n"


def test_the_answer_is_printed_while_it_comes(host: Any, environment: dict[str, str]) -> None:
    host.ending = "hang"
    with begun(("-p", "hi", *at(host)), environment) as process:
        assert read_until(process, "world") == "Hello world"
        assert process.poll() is None


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_keeps_what_was_said_and_closes_the_connection(
    number: signal.Signals, status: int, host: Any, environment: dict[str, str]
) -> None:
    host.ending = "hang"
    with begun(("-p", "hi", *at(host)), environment) as process:
        seen = read_until(process, "world")
        process.send_signal(number)
        rest, errors = process.communicate(timeout=30)
    assert (process.returncode, seen + rest) == (status, "Hello world\n")
    assert "interrupted after" in errors
    assert "Traceback" not in errors
    assert host.gone.wait(10)


def test_an_interrupted_run_ends_its_events_with_run_end(host: Any, environment: dict[str, str]) -> None:
    host.ending = "hang"
    with begun(("-p", "hi", "--json", *at(host)), environment) as process:
        seen = read_until(process, '"world", "parent_id": null}\n')
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    events = [json.loads(line) for line in (seen + rest).splitlines()]
    assert process.returncode == 130
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert events[-1]["event"] == "run_end"
    assert events[-1]["payload"]["status"] == "cancelled"


@pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel how full a pipe is")
def test_a_second_interrupt_leaves_at_once(environment: dict[str, str], tmp_path: Path) -> None:
    """Also while nothing here can be cancelled, because a write waits for a reader that does not read."""
    import fcntl
    import termios

    (tmp_path / "big.txt").write_text("words\n" * 4_000)
    question = ("-p", "run `cat big.txt`", "--provider", "demo", "--dir", str(tmp_path), "--json")
    with begun(question, environment) as process:
        assert process.stdout is not None
        pipe = process.stdout.fileno()
        nearly_full = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) - 8192
        waiting = bytearray(4)
        while int.from_bytes(waiting, sys.byteorder) < nearly_full:
            assert process.poll() is None, "it ended before the pipe was full"
            fcntl.ioctl(pipe, termios.FIONREAD, waiting)
            os.sched_yield()
        for _ in range(100):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(0.1)
                break
            except subprocess.TimeoutExpired:
                continue
        assert process.returncode == 130


def test_a_reader_that_leaves_early_ends_it_quietly(host: Any, environment: dict[str, str]) -> None:
    host.words = ("word ",) * 20_000
    with begun(("-p", "hi", *at(host)), environment) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        read_until(process, "word ")
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) == 141


def test_a_full_disk_is_told(environment: dict[str, str]) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            (*ALLOY, "-p", "hi", "--provider", "demo"),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "alloy: the output cannot be written: No space left on device\n"


def test_a_cut_stream_fails_with_its_kind_and_keeps_the_text(host: Any, environment: dict[str, str]) -> None:
    host.ending = "cut"
    done = run(("-p", "hi", *at(host)), environment)
    assert (done.returncode, done.stdout) == (1, "Hello world\n")
    assert "alloy: StreamTruncated: " in done.stderr


def test_an_answer_that_its_limit_cut_has_status_3(host: Any, environment: dict[str, str]) -> None:
    host.ending = "length"
    done = run(("-p", "hi", *at(host)), environment)
    assert (done.returncode, done.stdout) == (3, "Hello world\n")
    assert "cut" in done.stderr


@pytest.mark.parametrize("more", [(), ("--json", "--verbose")])
def test_no_key_is_ever_printed(
    more: tuple[str, ...], host: Any, environment: dict[str, str], secret: str
) -> None:
    host.status = 401
    done = run(("-p", "hi", *at(host), *more), environment)
    assert host.headers[0]["authorization"] == f"Bearer {secret}"
    assert done.returncode == 1
    assert "AuthenticationFailed" in done.stderr
    assert secret not in done.stdout + done.stderr


def test_the_module_and_the_function_are_one(environment: dict[str, str], alloy: Callable[..., Any]) -> None:
    done = run(("--version",), environment)
    called = alloy("--version")
    assert (done.returncode, done.stdout) == (called.status, called.out)
    assert alloy("--version", "--verbose").out == called.out
