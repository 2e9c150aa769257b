"""Who is asked when nobody is named: a key in the environment, else an Ollama that runs."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from alloy_trio.abc import Provider
from alloy_trio.cli._equip import LOCAL_SECONDS, another_model, choose_provider
from alloy_trio.cli._settings import Settings
from alloy_trio.providers import PROVIDERS, Anthropic, Demo, Groq, OpenAICompatible, OpenRouter
from alloy_trio.values import ConfigurationError


class Tags(HTTPServer):
    """Answers ``GET /api/tags`` as it is told to."""

    status = 200
    body = json.dumps({"models": [{"name": "nomic-embed-text:latest"}, {"name": "gemma3:4b"}, {"name": "b"}]})

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), TagsHandler)
        self.asked: list[str] = []

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server_port}"


class TagsHandler(BaseHTTPRequestHandler):
    server: Tags

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def tags(monkeypatch: pytest.MonkeyPatch) -> Iterator[Tags]:
    """A running Ollama, as far as this is about it, and no keys."""
    for name in list(os.environ):
        if name.endswith("_API_KEY"):
            monkeypatch.delenv(name)
    with Tags() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        yield server
        server.shutdown()
        thread.join()


def test_without_a_key_a_running_ollama_is_asked_with_the_model_pulled_last(tags: Tags) -> None:
    provider = choose_provider(Settings())
    assert (provider.name, provider.model) == ("ollama", "gemma3:4b")
    assert tags.asked == ["/api/tags"]
    assert choose_provider(Settings(model="qwen3")).model == "qwen3"


def test_a_key_comes_before_a_running_ollama(tags: Tags, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "x")
    assert choose_provider(Settings()).name == "groq"
    assert tags.asked == []


def test_the_first_of_the_table_whose_key_is_set_is_asked(
    tags: Tags, monkeypatch: pytest.MonkeyPatch
) -> None:
    for preset in reversed(PROVIDERS):
        if preset.example_model and not preset.local:
            for variable in preset.env_vars:
                monkeypatch.setenv(variable, "x")
            if preset.env_vars:
                assert choose_provider(Settings()).name == preset.name


def test_an_ollama_without_models_is_still_one_that_runs(tags: Tags) -> None:
    tags.body = '{"models": []}'
    example = next(preset.example_model for preset in PROVIDERS if preset.local)
    provider = choose_provider(Settings())
    assert (provider.name, provider.model) == ("ollama", example)


@pytest.mark.parametrize(
    "body", ["", "<html>", "[]", '{"models": 7}', '{"models": [7]}', '{"error": "x"}', "\x00" * 100]
)
def test_something_else_on_its_port_is_not_taken_for_an_ollama(tags: Tags, body: str) -> None:
    tags.body = body
    with pytest.raises(ConfigurationError, match="start Ollama"):
        choose_provider(Settings())


def test_a_port_that_accepts_and_says_nothing_does_not_hold_us_up(
    tags: Tags, monkeypatch: pytest.MonkeyPatch
) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("OLLAMA_HOST", f"127.0.0.1:{silent.getsockname()[1]}")
        before = time.monotonic()
        with pytest.raises(ConfigurationError, match="ANTHROPIC_API_KEY"):
            choose_provider(Settings())
        assert time.monotonic() - before < LOCAL_SECONDS + 2


def test_an_alias_is_as_good_as_the_name() -> None:
    for preset in PROVIDERS:
        for alias in preset.aliases:
            assert another_model(f"{alias}/some-model", Demo(), Settings()).name == preset.name
    assert another_model("ollama/qwen3", Demo(), Settings()).name == "ollama"


@pytest.mark.parametrize(
    ("present", "named", "asked"),
    [
        (Groq("llama-3.3-70b-versatile"), "openai/gpt-oss-120b", ("groq", "openai/gpt-oss-120b")),
        (Groq("llama-3.3-70b-versatile"), "groq/openai/gpt-oss-20b", ("groq", "openai/gpt-oss-20b")),
        (Groq("llama-3.3-70b-versatile"), "anthropic", ("anthropic", "claude-sonnet-4-6")),
        (OpenRouter("x/y"), "anthropic/claude-sonnet-4.6", ("openrouter", "anthropic/claude-sonnet-4.6")),
        (OpenRouter("x/y"), "meta-llama/llama-4", ("openrouter", "meta-llama/llama-4")),
        (
            OpenAICompatible("m", base_url="http://localhost:1/v1"),
            "openai/gpt-oss-20b",
            ("openai-compatible", "openai/gpt-oss-20b"),
        ),
        (Anthropic("claude-sonnet-4-6"), "openai/gpt-5.4", ("openai", "gpt-5.4")),
        (Anthropic("claude-sonnet-4-6"), "claude-opus-4-1", ("anthropic", "claude-opus-4-1")),
    ],
)
def test_a_name_with_a_slash_is_a_model_of_a_host_whose_models_have_slashes(
    monkeypatch: pytest.MonkeyPatch, present: Provider, named: str, asked: tuple[str, str]
) -> None:
    for name in ("GROQ", "OPENAI", "ANTHROPIC", "OPENROUTER"):
        monkeypatch.setenv(f"{name}_API_KEY", "x")
    # A server of one's own has no address but the one that was given.
    url = "http://localhost:1/v1" if present.name == "openai-compatible" else None
    provider = another_model(named, present, Settings(base_url=url))
    assert (provider.name, provider.model) == asked
