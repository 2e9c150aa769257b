"""Conversations in which many models took part: what each of them leaves behind, put together at random."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import attrs
from hypothesis import strategies as st

from alloy_trio.values import (
    Block,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)

ORIGINS: dict[str, Origin] = {
    "anthropic": Origin("anthropic", "claude-sonnet-4-6"),
    "bedrock": Origin("bedrock", "anthropic.claude-sonnet-4-6"),
    "deepseek": Origin("deepseek", "deepseek-v4-flash"),
    "gemini": Origin("gemini", "gemini-3.5-flash"),
    "groq": Origin("groq", "openai/gpt-oss-120b"),
    "mistral": Origin("mistral", "magistral-medium"),
    "ollama": Origin("ollama", "qwen3"),
    "openai": Origin("openai", "gpt-5.4"),
    "openrouter": Origin("openrouter", "z-ai/glm-5"),
}

_WORDS = st.sampled_from(["", " ", "\n", "words", "words ", "wörds\u2028", "\ud83d", '"}]}{"role":"user"'])
_INPUTS = st.sampled_from([{}, {"path": "a"}, {"deep": {"list": [1, None, "x"]}}])
_IDS = {
    "anthropic": st.sampled_from(["toolu_01A", "toolu_01B", "toolu_01C"]),
    "bedrock": st.sampled_from(["tooluse_A-1", "tooluse_B.2"]),
    "deepseek": st.sampled_from(["call_00_rGGuLWLHvYxVPMtiENE41150", "call_01_rGGuLWLHvYxVPMtiENE41150"]),
    "gemini": st.sampled_from(["call_f00_0_0", "lx8q24je", "call_f00_0_1"]),
    "groq": st.sampled_from(["fc_1", "functions.read:0", "x" * 70]),
    "mistral": st.sampled_from(["wVug6SNgl", "abcDEF123"]),
    "ollama": st.sampled_from(["call_0", "call_1"]),
    "openai": st.sampled_from(["call_abc", "call_" + "d" * 59]),
    "openrouter": st.sampled_from(["read:0", "call 1", "0"]),
}
_FOREIGN_IDS = st.sampled_from(["a", "b c", "é", "call_0", "", "x" * 100])
_NAMES = st.sampled_from(["read", "write", "a.b", "odd name", "9lives", "n" * 64])


def _calls(who: str, extra: st.SearchStrategy[dict[str, Any] | None]) -> st.SearchStrategy[Block]:
    raw = st.none() | st.just('{"path": ') if who != "bedrock" else st.none()
    return st.builds(ToolUse, _IDS[who], _NAMES, _INPUTS, raw, extra=extra)


def _server(use: dict[str, Any], result: dict[str, Any] | None) -> st.SearchStrategy[list[Block]]:
    ident = str(use.get("id") or use.get("toolUseId") or "made")
    blocks: list[Block] = [ServerToolUse(ident, "web_search", {}, extra=use)]
    if result is not None:
        blocks.append(ServerToolResult(ident, "found", extra=result))
    return st.just(blocks)


def _alone(block: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Block]]:
    return block.map(lambda made: [made])


def _answer(who: str) -> st.SearchStrategy[list[Block]]:
    """What a model of a vendor's answers, in the order in which it may."""
    thinking, others, call_extra = _KINDS[who]
    return st.builds(
        lambda first, middle, calls: [*first, *(block for some in middle for block in some), *calls],
        st.lists(thinking, max_size=2),
        st.lists(_alone(st.builds(Text, _WORDS)) | others, max_size=3),
        st.lists(_calls(who, call_extra), max_size=3),
    )


_CITED = {
    "type": "web_search_result_location",
    "url": "u",
    "title": None,
    "cited_text": "c",
    "encrypted_index": "secret",
}
_SEARCHED = {"type": "search", "query": "secret query"}
_OWN_IDS = ("id", "tool_use_id")
"""Fields of ``extra`` by which a vendor knows its items; no two of them are the same."""

_PLAIN = st.builds(Thinking, st.just("secret thought"))
_NONE: st.SearchStrategy[dict[str, Any] | None] = st.none()
_KINDS: dict[str, tuple[Any, st.SearchStrategy[list[Block]], st.SearchStrategy[dict[str, Any] | None]]] = {
    "anthropic": (
        st.builds(Thinking, st.just("secret thought"), st.sampled_from([None, "secret/sig+=="]))
        | st.just(Thinking("", redacted="secretdata")),
        _server(
            {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []},
        )
        | _server({"type": "server_tool_use", "id": "srvtoolu_2", "name": "web_search", "input": {}}, None)
        | _alone(st.just(Text("cited words", (_CITED,)))),
        _NONE | st.just({"caller": {"type": "direct"}}),
    ),
    "bedrock": (
        st.builds(Thinking, st.just("secret thought"), st.sampled_from([None, "secret/sig+=="])),
        _alone(st.just(Text("more words"))),
        _NONE,
    ),
    "deepseek": (_PLAIN, _alone(st.just(Text("more words"))), _NONE),
    "gemini": (
        st.builds(Thinking, st.just("secret thought"), st.sampled_from([None, "c2VjcmV0"])),
        _server(
            {"executableCode": {"language": "PYTHON", "code": "1"}},
            {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}},
        )
        | _alone(st.just(Text("signed words", extra={"thoughtSignature": "c2VjcmV0"})))
        | st.just(
            [Image("image/png", data=b"PNG"), Opaque("gemini", {"thoughtSignature": "c2VjcmV0"})],
        ),
        _NONE | st.just({"thoughtSignature": "c2VjcmV0"}) | st.just({"made_id": True}),
    ),
    "groq": (_PLAIN, _server({}, {}), _NONE),
    "mistral": (
        _PLAIN,
        _alone(st.just(Opaque("mistral", {"type": "reference", "reference_ids": [1]}))),
        _NONE,
    ),
    "ollama": (_PLAIN, _alone(st.just(Text("more words"))), _NONE),
    "openai": (
        st.sampled_from(
            [
                Thinking("secret thought", "secretblob", extra={"id": "rs_1", "summary": []}),
                Thinking("secret thought", None, extra={"id": "rs_2", "summary": []}),
            ]
        ),
        _server({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": _SEARCHED}, None)
        | _alone(st.just(Text("item words", extra={"id": "msg_1", "phase": "commentary"})))
        | _alone(
            st.just(Opaque("openai", {"type": "compaction", "id": "cmp_1", "encrypted_content": "secret"}))
        ),
        _NONE | st.just({"status": "completed"}),
    ),
    "openrouter": (
        st.just(Thinking("secret thought", extra={"reasoning_details": [{"type": "reasoning.text"}]})),
        _alone(st.just(Text("more words"))),
        _NONE,
    ),
}


def _ours() -> st.SearchStrategy[Block]:
    parts = st.one_of(
        st.builds(Text, _WORDS),
        st.just(Image("image/png", data=b"PNG")),
        st.just(Document("text/plain", data=b"plain")),
        st.just(Opaque("elsewhere", {"secret": 1})),
    )
    ids = st.one_of(*_IDS.values(), _FOREIGN_IDS)
    results = st.builds(ToolResult, ids, _WORDS | st.lists(parts, max_size=2), st.booleans())
    return st.one_of(
        st.builds(Text, _WORDS),
        st.just(Image("image/png", data=b"PNG")),
        st.just(Document("text/plain", data=b"plain")),
        st.just(Opaque("anthropic", {"type": "text", "text": "raw words"})),
        results,
        results,
    )


@st.composite
def _answering(draw: st.DrawFn, before: list[Block]) -> list[Block]:
    """What the user's side says: the results of most calls, and then something else."""
    said: list[Block] = []
    for block in before:
        if isinstance(block, ToolUse) and draw(st.integers(0, 9)):
            said.append(ToolResult(block.id, draw(_WORDS), draw(st.booleans())))
    if draw(st.booleans()):
        said.reverse()
    return said + draw(st.lists(_ours(), max_size=2))


@st.composite
def histories(draw: st.DrawFn) -> tuple[Message, ...]:
    """A conversation that moves between the models at any point, and in which anything may have been lost.

    Its texts and results are numbered, so that each can be found again.
    """
    messages: list[Message] = []
    before: list[Block] = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.integers(0, 3)):
            messages.append(Message("user", draw(_answering(before))))
        who = draw(st.sampled_from(sorted(ORIGINS)))
        before = draw(_answer(who))
        if not draw(st.integers(0, 7)) and all(isinstance(b, Text | Thinking | ToolUse) for b in before):
            before = draw(st.permutations(before))
        origin: Origin | None = ORIGINS[who]
        if not draw(st.integers(0, 7)):
            # Somebody wrote it by hand: nothing in it is the vendor's own.
            origin = draw(st.sampled_from([None, *ORIGINS.values()]))
            before = [_stripped(block) for block in before if not isinstance(block, Opaque)]
        messages.append(Message("assistant", before, origin))
    if draw(st.booleans()):
        messages.append(Message("user", draw(_answering(before))))
    return tuple(_numbered(messages))


def _stripped(block: Block) -> Block:
    if isinstance(block, Thinking):
        return Thinking(block.text)
    if isinstance(block, Text | ToolUse | ServerToolUse | ServerToolResult):
        return attrs.evolve(block, extra=None)
    return block


def _numbered(messages: list[Message]) -> Iterator[Message]:
    number = 0

    def mark(text: str) -> str:
        nonlocal number
        number += 1
        return f"{text.rstrip()} no{number}." + text[len(text.rstrip()) :] if text.strip() else text

    for message in messages:
        blocks: list[Block] = []
        for block in message.content:
            if isinstance(block, ServerToolUse | Thinking | Opaque):
                number += 1
            if isinstance(block, Opaque) and "id" in block.raw:
                block = attrs.evolve(block, raw={**block.raw, "id": f"{block.raw['id']}{number}"})
            if isinstance(block, Text):
                block = attrs.evolve(block, text=mark(block.text))
            if isinstance(block, Text | Thinking | ServerToolUse | ServerToolResult) and block.extra:
                own = {key: f"{block.extra[key]}{number}" for key in _OWN_IDS if key in block.extra}
                block = attrs.evolve(block, extra={**block.extra, **own})
            if isinstance(block, ServerToolUse):
                block = attrs.evolve(block, id=f"{block.id}{number}")
            elif isinstance(block, ServerToolResult):
                block = attrs.evolve(block, tool_use_id=f"{block.tool_use_id}{number}")
            elif isinstance(block, ToolResult) and isinstance(block.content, str):
                block = attrs.evolve(block, content=mark(block.content))
            elif isinstance(block, ToolResult):
                inner = [
                    attrs.evolve(part, text=mark(part.text)) if isinstance(part, Text) else part
                    for part in block.content
                ]
                block = attrs.evolve(block, content=inner)
            blocks.append(block)
        yield attrs.evolve(message, content=blocks)


def as_written(text: str) -> bytes:
    """A text as it stands within JSON."""
    return (
        json.dumps(text, ensure_ascii=False)[1:-1]
        .encode("utf-8", "surrogatepass")
        .decode("utf-8", "replace")
        .encode()
    )
