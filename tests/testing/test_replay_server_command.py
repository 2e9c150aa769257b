"""``python -m alloy_trio.testing.replay_server``: a real process that answers, and ends on Ctrl-C."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trio

from alloy_trio.testing.replay_server import main

COMMAND = [sys.executable, "-m", "alloy_trio.testing.replay_server"]
RECORDS = [
    {
        "id": "a-01",
        "conversation": "a",
        "turn": 1,
        "body": '{"n": 2}',
        "response_content_type": "application/json",
    },
    {"id": "a-00", "conversation": "a", "turn": 0, "body": "data: 1\n\n", "stream": True},
    {"id": "b-00", "conversation": "b", "turn": 0, "body": "other"},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in RECORDS), encoding="utf-8")
    return path


async def asked(
    file: Path, *options: str, times: int = 1, sign: int = signal.SIGINT
) -> tuple[list[str], int, str]:
    """Start the command, ask it some times, end it: the answers, the exit status, its stderr."""
    with trio.fail_after(30):
        process = await trio.lowlevel.open_process(
            [*COMMAND, str(file), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        async with process.stdout, process.stderr:
            url = b""
            while not url.endswith(b"\n"):
                url += await process.stdout.receive_some()
            async with httpx.AsyncClient() as client:
                answers = [(await client.post(url.decode().strip(), json={})).text for _ in range(times)]
            process.send_signal(sign)
            errors = b"".join([chunk async for chunk in process.stderr])
            return answers, await process.wait(), errors.decode()


async def test_one_conversation_is_served_by_turn_and_again(file: Path) -> None:
    answers, status, errors = await asked(file, "--conversation", "a", times=3)
    assert answers == ["data: 1\n\n", '{"n": 2}', "data: 1\n\n"]
    assert status == 0
    assert "3 requests were served" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_it_cleanly(file: Path, sign: int) -> None:
    _, status, errors = await asked(file, "--chunk", "1", sign=sign)
    assert status == 0
    assert "Traceback" not in errors


async def test_served_once_the_next_request_is_refused(file: Path) -> None:
    answers, _, _ = await asked(file, "--conversation", "b", "--once", times=2)
    assert answers[0] == "other"
    assert "no exchange" in json.loads(answers[1])["error"]["message"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["missing.jsonl"], "missing.jsonl"),
        ([__file__], "line 1 is not JSON"),
        (["{file}", "--conversation", "c"], "holds no exchange of conversation 'c'"),
    ],
)
def test_what_cannot_be_served_is_said(
    file: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([option.format(file=file) for option in options]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--chunk", "0"], ["--chunk", "some"], ["--port", "x"]])
def test_an_option_that_cannot_work_is_a_usage_error(
    file: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([str(file), *options])
    assert caught.value.code == 2
    assert options[0] in capsys.readouterr().err


def test_the_help_shows_how_to_point_the_command_line_at_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out
    assert "--base-url http://127.0.0.1:8080/v1" in told
    assert "Ctrl-C" in told
