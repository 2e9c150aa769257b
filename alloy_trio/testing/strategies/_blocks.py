"""Blocks and messages, each by itself: any value of its class, whatever it is worth in a conversation."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from alloy_trio.values import (
    Audio,
    Block,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    ResultBlock,
    Role,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Video,
)

from ._plain import json_objects, json_values, several, texts


def _extra() -> SearchStrategy[dict[str, Any] | None]:
    return st.none() | json_objects(max_size=2)


def origins() -> SearchStrategy[Origin]:
    """Who made a message: the providers that there are, or anybody."""
    known = st.sampled_from([Origin("anthropic", "claude-sonnet-4-6"), Origin("openai", "gpt-5.4")])
    return known | st.builds(Origin, texts(), texts())


def text_blocks() -> SearchStrategy[Text]:
    """Text blocks, some with citations."""
    return st.builds(Text, texts(), several(json_objects(max_size=2), 2), extra=_extra())


def thinking_blocks() -> SearchStrategy[Thinking]:
    """Reasoning, open, signed or redacted."""
    return st.builds(Thinking, texts(), st.none() | texts(), st.none() | texts(), extra=_extra())


def tool_uses() -> SearchStrategy[ToolUse]:
    """Calls of any tool with any input, some of which was no JSON."""
    return st.one_of(
        st.builds(ToolUse, texts(), texts(), json_objects(), extra=_extra()),
        st.builds(ToolUse, texts(), texts(), st.just({}), texts(), extra=_extra()),
    )


def tool_results() -> SearchStrategy[ToolResult]:
    """Results of calls."""
    return st.builds(ToolResult, texts(), texts() | several(result_blocks()), st.booleans())


def result_blocks() -> SearchStrategy[ResultBlock]:
    """What a result may hold."""
    return st.one_of(text_blocks(), images(), documents(), opaques())


def server_tool_uses() -> SearchStrategy[ServerToolUse]:
    """Calls that the vendor runs."""
    return st.builds(ServerToolUse, texts(), texts(), json_objects(), extra=_extra())


def server_tool_results() -> SearchStrategy[ServerToolResult]:
    """What came of them."""
    return st.builds(ServerToolResult, texts(), json_values(), is_error=st.booleans(), extra=_extra())


def images() -> SearchStrategy[Image]:
    """Pictures, by data or by URL."""
    return _media(Image, "image/png", "image/jpeg")


def audios() -> SearchStrategy[Audio]:
    """Sounds, by data or by URL."""
    return _media(Audio, "audio/wav", "audio/mp3")


def videos() -> SearchStrategy[Video]:
    """Films, by data or by URL."""
    return _media(Video, "video/mp4", "video/webm")


def documents() -> SearchStrategy[Document]:
    """Documents, by data or by URL."""
    return _media(Document, "text/plain", "application/pdf")


def opaques() -> SearchStrategy[Opaque]:
    """What a vendor sent and nobody knows."""
    return st.builds(Opaque, st.sampled_from(["anthropic", "openai"]) | texts(), json_objects())


def blocks() -> SearchStrategy[Block]:
    """Any block."""
    return st.one_of(
        text_blocks(),
        thinking_blocks(),
        tool_uses(),
        tool_results(),
        server_tool_uses(),
        server_tool_results(),
        images(),
        audios(),
        videos(),
        documents(),
        opaques(),
    )


def messages(role: Role | None = None) -> SearchStrategy[Message]:
    """Any message, of a valid conversation or not; for those see :func:`histories`.

    Args:
        role: whose; None for either.
    """
    roles: SearchStrategy[Role] = st.sampled_from(("user", "assistant")) if role is None else st.just(role)
    return st.builds(Message, roles, several(blocks()), st.none() | origins())


def _media(kind: Any, *types: str) -> SearchStrategy[Any]:
    media_types = st.sampled_from(types) | texts()
    titles = st.none() | texts()
    return st.one_of(
        st.builds(kind, media_types, data=st.binary(max_size=8), title=titles),
        st.builds(kind, media_types, url=st.just("https://example.org/it") | texts(), title=titles),
    )
