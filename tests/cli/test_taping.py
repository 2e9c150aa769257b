"""``--record`` and ``--replay``: a run that is shipped, and rerun without keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Alloy = Callable[..., Any]
QUESTION = ("-p", "Read made.txt and tell me the colour")


def run(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "alloy_trio", *arguments),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def at(host: Any) -> tuple[str, ...]:
    return ("--provider", "openai-compatible", "--model", "m", "--base-url", host.url)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "made.txt").write_text("colour: blue\n")
    return tmp_path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def test_a_recorded_run_is_replayed_without_key_and_network(
    host: Any, environment: dict[str, str], secret: str, file: Path
) -> None:
    done = run("-p", "hi", *at(host), "--record", str(file), environment=environment)
    assert (done.returncode, done.stdout) == (0, "Hello world\n")
    assert host.headers[0]["authorization"] == f"Bearer {secret}"
    assert secret.encode() not in file.read_bytes()
    keyless = {name: value for name, value in environment.items() if not name.endswith("_API_KEY")}
    again = run("-p", "hi", "--replay", str(file), environment=keyless)
    assert (again.returncode, again.stdout, again.stderr) == (0, "Hello world\n", done.stderr)
    assert len(host.asked) == 1


def test_a_replay_with_a_seed_shows_the_same_events_byte_for_byte(
    alloy: Alloy, directory: Path, file: Path
) -> None:
    seeded = (*QUESTION, "--dir", str(directory), "--json", "--seed", "7")
    recorded = alloy(*seeded, "--provider", "demo", "--record", str(file))
    replayed = [alloy(*seeded, "--replay", str(file)) for _ in range(2)]
    assert [called.status for called in (recorded, *replayed)] == [0, 0, 0]
    assert replayed[0].out == replayed[1].out
    first = min(json.loads(line)["at_ms"] for line in file.read_text().splitlines())
    assert {event["ts_ms"] for event in replayed[0].events} == {first}
    assert timeless(replayed[0].events) == timeless(recorded.events)


def timeless(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for event in events:
        event["ts_ms"] = 0
        if event["event"] == "tool_end":
            event["payload"]["duration_ms"] = 0
    return events


def test_a_replay_without_a_seed_tells_the_time(alloy: Alloy, directory: Path, file: Path) -> None:
    asked = (*QUESTION, "--dir", str(directory))
    alloy(*asked, "--provider", "demo", "--record", str(file))
    last = max(json.loads(line)["at_ms"] for line in file.read_text().splitlines())
    replayed = alloy(*asked, "--replay", str(file), "--json")
    assert all(event["ts_ms"] >= last for event in replayed.events)
    both = alloy(
        *asked, "--provider", "demo", "--record", str(file), "--replay", str(file), "--json", "--seed", "1"
    )
    assert all(event["ts_ms"] >= last for event in both.events)


def test_tools_run_anew_and_another_result_is_a_miss_that_shows_it(
    alloy: Alloy, directory: Path, file: Path
) -> None:
    asked = (*QUESTION, "--dir", str(directory))
    alloy(*asked, "--provider", "demo", "--record", str(file))
    (directory / "made.txt").write_text("colour: red\n")
    called = alloy(*asked, "--replay", str(file))
    assert (called.status, called.out) == (1, "")
    assert "alloy: NotRecorded: the recording" in called.err
    assert "\n-  result of demo_1_1: colour: blue" in called.err
    assert "\n+  result of demo_1_1: colour: red" in called.err


def test_what_is_missing_is_asked_for_and_added(alloy: Alloy, directory: Path, file: Path) -> None:
    both = ("--record", str(file), "--replay", str(file), "--provider", "demo", "--dir", str(directory))
    for _ in range(2):
        assert alloy(*QUESTION, *both).out == "The colour is blue\n"
    assert len(file.read_text().splitlines()) == 2
    assert alloy("-p", "hi", *both).status == 0
    assert len(file.read_text().splitlines()) == 3
    assert alloy("-p", "hi", "--replay", str(file)).status == 0


def test_a_recording_is_not_written_over(alloy: Alloy, directory: Path, file: Path) -> None:
    (directory / "kept.txt").write_text("mine")
    for name in ("kept.txt", "."):
        called = alloy(*QUESTION, "--provider", "demo", "--record", str(directory / name))
        assert called.status == 2
        assert "is there already; remove it or take another name" in called.err
    assert (directory / "kept.txt").read_text() == "mine"
    called = alloy(*QUESTION, "--provider", "demo", "--record", str(file), "--replay", f"{file}.other")
    assert called.status == 2
    assert "name two files" in called.err


def test_a_file_that_cannot_be_read_or_written_is_told(alloy: Alloy, directory: Path) -> None:
    (directory / "notes").write_text("hello\n")
    for options, words in (
        (("--replay", str(directory / "none")), "cannot be read: No such file or directory"),
        (("--replay", str(directory / "none"), "--seed", "1"), "cannot be read: No such file or directory"),
        (("--replay", str(directory / "notes")), "line 1 is no line of a recording"),
        (("--replay", str(directory / "notes"), "--seed", "1"), "line 1 is no line of a recording"),
        (
            ("--provider", "demo", "--record", str(directory / "no" / "run")),
            "cannot be written: No such file",
        ),
    ):
        called = alloy("-p", "hi", *options)
        assert (called.status, called.out) == (2, "")
        assert words in called.err
        assert "Traceback" not in called.err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
def test_a_full_disk_is_told(alloy: Alloy) -> None:
    called = alloy("-p", "hi", "--provider", "demo", "--record", "/dev/full")
    assert called.status == 1
    assert "the recording /dev/full cannot be written: No space left on device" in called.err


def test_the_provider_of_a_replay_is_found_by_any_of_its_names(
    host: Any, alloy: Alloy, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alloy("-p", "hi", *at(host), "--record", str(file))
    for named in (
        ("--provider", "openai-compatible"),
        ("--provider", "openai-compatible", "--model", "m"),
        ("--model", "m"),
        ("--model", "openai-compatible/m"),
    ):
        assert alloy("-p", "hi", "--replay", str(file), *named).out == "Hello world\n"
    called = alloy("-p", "hi", "--replay", str(file), "--provider", "google")
    assert called.status == 2
    assert "has nothing of gemini; it has openai-compatible/m" in called.err


def test_an_error_is_replayed_as_an_error(host: Any, alloy: Alloy, file: Path) -> None:
    host.status = 400
    recorded = alloy("-p", "hi", *at(host), "--record", str(file))
    replayed = alloy("-p", "hi", "--replay", str(file))
    assert "Rejected" in recorded.err
    assert (replayed.status, replayed.out, replayed.err) == (recorded.status, recorded.out, recorded.err)
