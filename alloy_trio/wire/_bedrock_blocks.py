"""Messages as Bedrock's Converse API writes them. Source: docs.aws.amazon.com, "ContentBlock".

What the vendor refuses is not sent: empty texts, reasoning without its signature, reasoning and blocks of its
own that another model made. What it cannot carry at all is an error that says so, as far as the user gave it;
in what a model or a tool made it becomes a note, because nobody could act on the error.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from alloy_trio.values import (
    Audio,
    Block,
    ConfigurationError,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    ResultBlock,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Video,
)

from ._bedrock_media import media, note
from ._bedrock_models import Family
from ._codec import dump

_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_EMPTY_RESULT = {"text": "(no output)"}
"""The vendor wants a result to hold something, and no empty text."""

_WITH_DOCUMENT = {"text": "(A document is attached.)"}
"""The vendor wants a text beside a document."""


@attrs.frozen(kw_only=True)
class Circumstances:
    """What decides, beside the message itself, how it is written. Part of the memo's key.

    Args:
        origin: who asks; reasoning and the vendor's own blocks return to their origin only.
        family: the family of models.
        calls: whether calls and results are written as such; else as text, because the vendor refuses them
            in a request without tools.
        ids: calls that get another id.
        names: the names of the message's documents, in their order.
    """

    origin: Origin
    family: Family
    calls: bool
    ids: tuple[tuple[str, str], ...] = ()
    names: tuple[str, ...] = ()


def wire_blocks(message: Message, origin: Origin) -> list[Block]:
    """What of a message goes onto the wire, in the wire's order."""
    own = message.origin == origin
    kept = [block for block in message.content if _goes(block, message, own, origin)]
    if message.role == "user":
        # Claude wants the results before everything else.
        kept.sort(key=lambda block: not isinstance(block, ToolResult))
    while kept and isinstance(kept[-1], Thinking):
        kept.pop()  # of an answer that was cut: Claude wants something after it
    return kept


def documents(message: Message) -> Iterator[Document]:
    """The documents of a user's message, those in results first."""
    if message.role == "user":
        for block in message.content:
            if isinstance(block, ToolResult) and not isinstance(block.content, str):
                yield from (part for part in block.content if isinstance(part, Document))
        yield from (block for block in message.content if isinstance(block, Document))


def render_content(message: Message, circumstances: Circumstances) -> bytes:
    """A message's blocks as JSON, joined by commas; empty when nothing of it goes onto the wire."""
    return dump(_Renderer(message, circumstances).blocks())[1:-1]


def has_calls(messages: Sequence[Message]) -> bool:
    """Whether any message holds a call or a result."""
    kinds = (ToolUse, ToolResult, ServerToolUse, ServerToolResult)
    return any(isinstance(block, kinds) for message in messages for block in message.content)


def fit_id(ident: str) -> str:
    """An id of a call that the wire accepts, the same for the call and its result."""
    if _ID.fullmatch(ident):
        return ident
    return "tooluse_" + hashlib.sha256(ident.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def _goes(block: Block, message: Message, own: bool, origin: Origin) -> bool:
    match block:
        case Text(text):
            return bool(text.strip())
        case Thinking():
            return own and bool(block.redacted or block.signature)
        case ServerToolUse() | ServerToolResult():
            return own and bool(block.extra)
        case Opaque(provider):
            return provider == origin.provider and (own or message.role == "user")
        case ToolUse():
            return message.role == "assistant"
        case ToolResult():
            return message.role == "user"
        case _:
            return True


class _Renderer:
    def __init__(self, message: Message, circumstances: Circumstances) -> None:
        self._message = message
        self._given = circumstances
        self._ids: Mapping[str, str] = dict(circumstances.ids)
        self._names = iter(circumstances.names)
        self._own = message.origin == circumstances.origin

    def blocks(self) -> list[dict[str, Any]]:
        kept = wire_blocks(self._message, self._given.origin)
        rendered = [part for block in kept for part in self._render(block)]
        if any("document" in part for part in rendered) and not any("text" in part for part in rendered):
            rendered.append(_WITH_DOCUMENT)
        return rendered

    def _render(self, block: Block) -> list[dict[str, Any]]:
        match block:
            case Text():
                return [self._text(block)]
            case Thinking() if not self._given.calls and self._message.tool_uses:
                return []  # it led to calls that are not written as such
            case Thinking():
                return [{"reasoningContent": _reasoning(block)}]
            case ToolUse():
                return [self._tool_use(block)]
            case ToolResult():
                return self._tool_result(block)
            case ServerToolUse():
                return [{"toolUse": block.extra}] if self._given.calls else []
            case ServerToolResult():
                return [{"toolResult": block.extra}] if self._given.calls else []
            case Opaque():
                return [block.raw]
            case _ if self._message.role == "assistant":
                return [{"text": note(block)}]
            case _:
                return [media(block, self._name(block))]

    def _text(self, block: Text) -> dict[str, Any]:
        if self._own and block.citations and self._given.family == "claude":
            cited = {"content": [{"text": block.text}], "citations": list(block.citations)}
            return {"citationsContent": cited}
        return {"text": block.text}

    def _tool_use(self, block: ToolUse) -> dict[str, Any]:
        given = block.input if block.invalid_input is None else {"invalid_json": block.invalid_input}
        if not self._given.calls:
            return {"text": f"[called the tool {block.name} with {dump(given).decode()}]"}
        name = block.name
        if not _NAME.fullmatch(name):  # in a history that other providers wrote
            name = re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "_"
        return {"toolUse": {"toolUseId": self._id(block.id), "name": name, "input": given}}

    def _tool_result(self, block: ToolResult) -> list[dict[str, Any]]:
        if isinstance(block.content, str):
            parts = [{"text": block.content}] if block.content.strip() else []
        else:
            parts = [self._result_part(part) for part in block.content if self._goes_in_result(part)]
        parts = parts or [_EMPTY_RESULT]
        if not self._given.calls:
            return [{"text": "[the tool failed:]" if block.is_error else "[the tool returned:]"}, *parts]
        result: dict[str, Any] = {"toolUseId": self._id(block.tool_use_id), "content": parts}
        if block.is_error:
            result["status"] = "error"
        return [{"toolResult": result}]

    def _goes_in_result(self, part: ResultBlock) -> bool:
        if isinstance(part, Opaque):
            return part.provider == self._given.origin.provider
        return not isinstance(part, Text) or bool(part.text.strip())

    def _result_part(self, part: ResultBlock) -> dict[str, Any]:
        if isinstance(part, Text):
            return {"text": part.text}
        if isinstance(part, Opaque):
            return part.raw
        name = self._name(part)
        try:
            return media(part, name)
        except ConfigurationError:
            # A tool made it, not the user: the model is told, and the conversation goes on.
            return {"text": note(part)}

    def _id(self, ident: str) -> str:
        return fit_id(self._ids.get(ident, ident))

    def _name(self, block: Image | Audio | Video | Document) -> str:
        return next(self._names) if isinstance(block, Document) else ""


def _reasoning(block: Thinking) -> dict[str, Any]:
    if block.redacted:
        return {"redactedContent": block.redacted}
    return {"reasoningText": {"text": block.text, "signature": block.signature}}
