"""What models of the vendors leave in a conversation: their ids, signatures, and blocks of their own."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from alloy_trio.testing._invariants import EVERY_WIRE
from alloy_trio.values import (
    Audio,
    Block,
    Document,
    Image,
    Message,
    Origin,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    Video,
)
from alloy_trio.wire import problems


@attrs.frozen(kw_only=True, eq=False)
class Vendor:
    """How the answers of one vendor's models look.

    Args:
        origin: who made them.
        call_ids: what ids of calls look like, with a place for a number.
        thinking: reasoning; blocks that may not stand alone are one list.
        others: between reasoning and calls.
        call_extra: fields of the vendor's on the first call of an answer.
    """

    origin: Origin
    call_ids: str
    thinking: Sequence[Thinking] = (Thinking("Let me see."),)
    others: Sequence[Sequence[Block]] = ()
    call_extra: dict[str, Any] | None = None


_SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}
_FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
_CODE = {"executableCode": {"language": "PYTHON", "code": "1"}}
_OUTPUT = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}}

VENDORS: dict[str, Vendor] = {
    "anthropic": Vendor(
        origin=Origin("anthropic", "claude-sonnet-4-6"),
        call_ids="toolu_{:02}",
        thinking=[Thinking("Let me see.", "c2ln"), Thinking("", redacted="cmVk"), Thinking("Hm.")],
        others=[
            [
                ServerToolUse("srvtoolu_1", "web_search", {}, extra=_SEARCH),
                ServerToolResult("srvtoolu_1", "found", extra=_FOUND),
            ]
        ],
    ),
    "openai": Vendor(
        origin=Origin("openai", "gpt-5.4"),
        call_ids="call_{}",
        thinking=[
            Thinking("Let me see.", "c2ln", extra={"id": "rs_1", "summary": []}),
            Thinking("Hm.", extra={"id": "rs_2", "summary": []}),
        ],
    ),
    "gemini": Vendor(
        origin=Origin("gemini", "gemini-3.5-flash"),
        call_ids="call_f00_{}",
        thinking=[Thinking("Let me see."), Thinking("Hm.", "c2ln")],
        others=[
            [
                ServerToolUse("made", "code_execution", {}, extra=_CODE),
                ServerToolResult("made", "1", extra=_OUTPUT),
            ],
            [Text("Signed.", extra={"thoughtSignature": "c2ln"})],
        ],
        call_extra={"thoughtSignature": "c2ln"},
    ),
    "bedrock": Vendor(
        origin=Origin("bedrock", "anthropic.claude-sonnet-4-6"),
        call_ids="tooluse_{}",
        thinking=[Thinking("Let me see.", "c2ln")],
    ),
    "mistral": Vendor(origin=Origin("mistral", "magistral-medium"), call_ids="abcDEF{:03}"),
    "deepseek": Vendor(origin=Origin("deepseek", "deepseek-v4-flash"), call_ids="call_00_{}"),
    "ollama": Vendor(origin=Origin("ollama", "qwen3"), call_ids="call_{}"),
}

_MEDIA: tuple[Image | Audio | Video | Document, ...] = (
    Document("text/plain", data=b"plain"),
    Image("image/png", data=b"PNG"),
    Image("image/png", url="https://example.org/a.png"),
    Document("application/pdf", data=b"%PDF"),
    Document("application/pdf", url="https://example.org/a.pdf"),
    Audio("audio/wav", data=b"RIFF"),
    Video("video/mp4", data=b"film"),
    Video("video/mp4", url="https://example.org/a.mp4"),
)


def media(provider: str | None) -> SearchStrategy[Image | Audio | Video | Document]:
    """What a provider can take; None for what all can."""
    return st.sampled_from(_taken(provider))


def result_media(provider: str | None) -> SearchStrategy[Image | Document]:
    """The same for what stands in a tool's result."""
    return st.sampled_from([one for one in _taken(provider) if isinstance(one, Image | Document)])


@functools.cache
def _taken(provider: str | None) -> tuple[Image | Audio | Video | Document, ...]:
    readers = EVERY_WIRE if provider is None else (provider,)
    return tuple(
        one
        for one in _MEDIA
        if not any(problems((Message.user([Text("x"), one]),), reader) for reader in readers)
    )
