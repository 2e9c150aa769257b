"""What the tests of the command line share: a call in this process, and a host that says what it is told."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

import attrs
import pytest

import alloy_trio
from alloy_trio.abc import Provider
from alloy_trio.cli import main

NO_OLLAMA = "127.0.0.1:9"
"""Where nothing listens: an Ollama that runs on the developer's machine has to be found by no test."""

SECRET = "sk-" + "veryprivate" * 3


@attrs.frozen
class Called:
    """What a call of the command line came to."""

    status: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """The environment for a child: no keys, this package, a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN"))}
    return kept | {
        "PYTHONPATH": str(Path(alloy_trio.__file__).parent.parent),
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "OLLAMA_HOST": NO_OLLAMA,
    }


@pytest.fixture
def alloy(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., Called]:
    """Call the command line in this process, with a pipe as its standard input and a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    for name in list(os.environ):
        if name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OLLAMA_HOST", NO_OLLAMA)

    def call(*arguments: str, stdin: str | IO[str] = "", provider: Provider | None = None) -> Called:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin) if isinstance(stdin, str) else stdin)
        if provider is not None:
            monkeypatch.setattr("alloy_trio.cli._equip.choose_provider", lambda settings: provider)
        status = main(arguments)
        printed = capsys.readouterr()
        return Called(status, printed.out, printed.err)

    return call


class Host:
    """A host that says what it was told to, in chunks, and then waits, ends the stream or cuts it."""

    def __init__(self) -> None:
        self.words: tuple[str, ...] = ("Hello ", "world")
        self.ending = "stop"
        self.status = 200
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.gone = threading.Event()
        self.url = ""

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.headers.append({name.lower(): value for name, value in handler.headers.items()})
        self.asked.append(json.loads(handler.rfile.read(int(handler.headers["content-length"]))))
        if self.status != 200:
            body = json.dumps({"error": {"message": "no such thing here", "type": "invalid"}}).encode()
            handler.send_response(self.status)
            handler.send_header("content-type", "application/json")
            handler.send_header("content-length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
            return
        handler.send_response(200)
        handler.send_header("content-type", "text/event-stream")
        handler.send_header("connection", "close")
        handler.end_headers()
        for word in self.words:
            self._send(handler, {"content": word}, None)
        if self.ending == "hang":
            # Until the client closes the connection.
            handler.connection.settimeout(30)
            if not handler.connection.recv(1):
                self.gone.set()
        elif self.ending != "cut":
            self._send(handler, {}, self.ending)
            handler.wfile.write(b"data: [DONE]\n\n")

    def _send(self, handler: BaseHTTPRequestHandler, delta: dict[str, str], reason: str | None) -> None:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        chunk = {
            "id": "c1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [choice],
        }
        handler.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        handler.wfile.flush()


@pytest.fixture
def host() -> Iterator[Host]:
    """A running :class:`Host`; its ``url`` is for ``--base-url``."""
    told = Host()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.close_connection = True
            told.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def secret(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> str:
    """A key that is set everywhere, and must be seen nowhere."""
    for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "OPENAI_COMPATIBLE_API_KEY"):
        environment[name] = SECRET
    return SECRET
