"""Vendors' recorded traffic, recorded once more by us and replayed: nothing of it is lost or changed.

It is also the test that what takes credentials out takes nothing else out: real conversations are full of ids,
signatures and encrypted reasoning.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import trio

import alloy_trio
from alloy_trio.abc import Provider
from alloy_trio.providers import Anthropic, Gemini, OpenAI, OpenAICompatible, record, replay
from alloy_trio.testing import Exchange, open_replay_server
from alloy_trio.tools import Tool
from alloy_trio.values import AlloyError, Completion, CompletionRequest, Delta, Message, RemoteError

SHARE = int(os.environ.get("ALLOY_TRIO_CASSETTE_SHARE", "40"))
"""One of so many exchanges is played; 1 plays all."""

Recordings = Callable[[str], list[dict[str, Any]]]

VENDORS: dict[str, tuple[frozenset[str], Callable[[str], Provider]]] = {
    "anthropic": (
        frozenset({"messages"}),
        lambda url: Anthropic("claude-sonnet-4-6", base_url=url, api_key="none"),
    ),
    "openai_responses": (
        frozenset({"responses"}),
        lambda url: OpenAI("gpt-5.4", base_url=f"{url}/v1", api_key="none"),
    ),
    "openai_chat": (
        frozenset({"chat_completions"}),
        lambda url: OpenAICompatible("m", base_url=f"{url}/v1", api_key="none"),
    ),
    "gemini": (
        frozenset({"generateContent", "streamGenerateContent"}),
        lambda url: Gemini("gemini-3.5-flash", base_url=url, api_key="none"),
    ),
}


class Sink:
    def __init__(self) -> None:
        self.pieces: list[tuple[Delta, ...]] = []

    async def send(self, delta: Delta) -> None:
        await self.send_all((delta,))

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        await trio.lowlevel.checkpoint()
        self.pieces.append(tuple(deltas))


async def answers(provider: Provider, records: list[dict[str, Any]]) -> list[Any]:
    """What the provider says to a question named after each exchange."""
    said: list[Any] = []
    async with provider:
        for each in records:
            request = CompletionRequest((Message.user(each["id"]),))
            sink = Sink()
            end: Completion | dict[str, Any]
            try:
                end = await (provider.stream(request, sink) if each["stream"] else provider.complete(request))
            except RemoteError as error:
                end = {"kind": type(error), **vars(error)}
            said.append((each["id"], sink.pieces, end))
    return said


@pytest.mark.parametrize("family", VENDORS)
async def test_a_vendors_answers_are_replayed_as_they_were(
    family: str, recordings: Recordings, tmp_path: Path
) -> None:
    endpoints, make = VENDORS[family]
    usable = [each for each in recordings(family) if each["endpoint"] in endpoints]
    streams = [each for each in usable if each["stream"]]
    records = [*streams[:: max(1, SHARE // 4)], *[each for each in usable if not each["stream"]][::SHARE]]
    assert len(records) > 10
    file = tmp_path / "run.jsonl"
    async with open_replay_server(map(Exchange.from_record, records)) as server:
        recorded = await answers(record(make(server.url), file), records)
        assert server.problems == []
    player = replay(file)
    assert await answers(player, records) == recorded
    player.assert_exhausted()


async def run(provider: Provider, tools: list[Tool]) -> tuple[Any, list[Any]]:
    seen = []
    async with alloy_trio.stream(
        "Go on", provider=provider, tools=tools, max_turns=6, max_retries=0
    ) as events:
        try:
            async for event in events:
                seen.append((event.event, event.turn, untimed(event.payload)))
        except AlloyError as error:
            return type(error), seen
    return (events.result.messages, events.result.usage, events.result.status), seen


def untimed(payload: Any) -> Any:
    return (
        {**payload, "duration_ms": 0} if isinstance(payload, dict) and "duration_ms" in payload else payload
    )


async def test_runs_over_a_vendors_answers_give_the_same_results_and_events(
    recordings: Recordings, tmp_path: Path
) -> None:
    """The tools that were called are there, and say what is to be said about their input."""
    conversations: dict[str, list[dict[str, Any]]] = {}
    for each in recordings("anthropic"):
        if each["endpoint"] == "messages" and each["status"] == 200:
            conversations.setdefault(each["conversation"], []).append(each)
    long = [each for each in conversations.values() if len(each) > 2][:: max(1, SHARE // 8)]
    assert len(long) >= 3
    for number, exchanges in enumerate(long):
        exchanges.sort(key=lambda each: each["turn"])
        names = {
            spec["name"]
            for each in exchanges
            for spec in (each["request"] or {}).get("tools") or ()
            if "input_schema" in spec
        }
        tools = [Tool(name, "A tool.", {"type": "object"}, echo) for name in sorted(names)]
        file = tmp_path / f"{number}.jsonl"
        async with open_replay_server(map(Exchange.from_record, exchanges)) as server:
            recorded = await run(record(VENDORS["anthropic"][1](server.url), file), tools)
        assert await run(replay(file), tools) == recorded


async def echo(given: dict[str, Any], context: Any) -> str:
    return f"got {sorted(given)}"
