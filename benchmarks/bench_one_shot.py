"""A one-shot from the shell: wall time of `alloy -p "…"` against a script of 30 lines with bare httpx.

Both are byte-compiled installs in one fresh environment, are started by the same kind of generated script,
and get the same 20 pieces over plain HTTP from the replay server in another process. The script
(floor_one_shot.py) sends the body that alloy was seen to send, tools included, reads the stream and prints
the text. It is "lean": its httpx makes no TLS context with certificates, as an httpx.AsyncClient() does by
default for 10 to 20 ms; against such a "plain" client alloy is measured too. Required is at most 1.25 times
the lean one's wall time.

About nine tenths of both are the start of Python, trio and httpx; most of our own part is making classes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import _measure
import trio
from _install import add_program, installed
from _streams import PATHS, WIRES, Wire, base_url, events, whole

from alloy_trio.testing import Exchange, ReplayRequest, open_replay_server

LIMIT = 1.25
PIECES = 20
QUESTION = "Say twenty words."
CASES = {
    "tools": (),
    "no tools": ("--tools", "none"),
    "no stream": ("--no-stream",),
}
ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("PYTHON", "COV_")) and not key.endswith("_KEY")
} | {"ANTHROPIC_API_KEY": "none", "OPENAI_API_KEY": "none", "PYTHONSAFEPATH": "1"}
"""Without what would make other modules load than the installed ones, such as a checkout in this directory."""


def record(wire: Wire, *, stream: bool) -> dict[str, Any]:
    """A record of the answer, as the replay server reads it."""
    body = b"".join(events(wire, PIECES)) if stream else whole(wire, PIECES)
    kind = "text/event-stream" if stream else "application/json"
    return {"body": body.decode(), "response_content_type": kind, "stream": stream}


def arguments(alloy: Path, wire: Wire, url: str, options: Sequence[str]) -> list[str]:
    """The command line of the subject."""
    where = ["--provider", wire, "--model", "m", "--base-url", base_url(wire, url)]
    return [str(alloy), "-p", QUESTION, *where, *options]


async def seen_request(alloy: Path, wire: Wire, options: Sequence[str]) -> dict[str, Any]:
    """What the subject sends, body and headers: run once against a server in this process."""

    def match(request: ReplayRequest) -> Exchange:
        return Exchange.from_record(record(wire, stream=bool(request.json.get("stream"))))

    async with open_replay_server(match=match) as server:
        command = arguments(alloy, wire, server.url, options)
        await trio.run_process(command, env=ENVIRONMENT, stdin=b"", capture_stdout=True)
    assert not server.problems, server.problems
    (request,) = server.requests
    kept = ("content-type", "authorization", "x-api-key", "anthropic-version")
    return {"body": request.json, "headers": {name: value for name, value in request.headers if name in kept}}


def run_once(command: Sequence[str]) -> None:
    """Run a contestant and check what it printed."""
    done = subprocess.run(
        command,
        env=ENVIRONMENT,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    if len(done.stdout.split()) != PIECES:
        raise SystemExit(f"{command[0]} printed {done.stdout!r}")


def compare(
    python: Path, wire: Wire, case: str, directory: Path, rounds: int, clock: Callable[[], float]
) -> list[_measure.Row]:
    """Measure one case on one wire."""
    alloy, options = python.parent / "alloy", CASES[case]
    floor = python.parent / "floor_one_shot"
    request = directory / "request.json"
    records = directory / "records.jsonl"
    seen = trio.run(seen_request, alloy, wire, options)
    request.write_text(json.dumps(seen))
    records.write_text(json.dumps(record(wire, stream=bool(seen["body"].get("stream")))) + "\n")
    command = [sys.executable, "-m", "alloy_trio.testing.replay_server", str(records)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        contestants: dict[str, Callable[[], float]] = {
            "ours": _measure.timed(partial(run_once, arguments(alloy, wire, url, options)), clock)
        }
        for client in ("lean", "plain"):
            call = [str(floor), url + PATHS[wire], str(request), client]
            contestants[client] = _measure.timed(partial(run_once, call), clock)
        try:
            measured = _measure.interleaved(contestants, rounds)
        finally:
            server.terminate()
    what = f"{wire}, {case}"
    return [
        _measure.compare(f"{what}, lean client", measured, "ours", "lean", limit=LIMIT),
        _measure.compare(f"{what}, plain client", measured, "ours", "plain"),
    ]


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; returns the exit status."""
    parser = _measure.parser(__doc__, rounds=21)
    parser.add_argument(
        "--wires", nargs="+", choices=WIRES, default=WIRES, metavar="WIRE", help="of " + " ".join(WIRES)
    )
    parser.add_argument(
        "--cases",
        nargs="+",
        choices=CASES,
        default=list(CASES),
        metavar="CASE",
        help="of " + ", ".join(CASES),
    )
    parser.add_argument("--clock", choices=_measure.CLOCKS, default="wall", help="(default: %(default)s)")
    parser.add_argument(
        "--python", help="an interpreter with the package installed (default: a fresh environment)"
    )
    options = parser.parse_args(argv)
    rows = []
    with installed(options.python) as python, tempfile.TemporaryDirectory() as directory:
        add_program(python, "floor_one_shot", Path(__file__).with_name("floor_one_shot.py"))
        for wire in options.wires:
            for case in options.cases:
                rows += compare(
                    python, wire, case, Path(directory), options.rounds, _measure.CLOCKS[options.clock]
                )
    return _measure.report("one_shot", rows, options)


if __name__ == "__main__":
    _measure.run(main)
