"""Messages as Anthropic's wire writes them. Source: docs.claude.com, "Messages" and "Errors".

What the vendor refuses is not sent: empty texts, reasoning without its signature, reasoning and blocks of
its own that another model made. What it cannot carry at all is an error that says so, as far as the user gave
it; in what a model or a tool made it becomes a note, because nobody could act on the error.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

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

from ._codec import dump

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_IMAGES = frozenset(("image/jpeg", "image/png", "image/gif", "image/webp"))

CONTAINER = "container"
"""Where a call from the vendor's sandbox keeps the sandbox's id, in its ``extra``. The request that answers
the call has to name it."""


def fit_id(ident: str) -> str:
    """An id of a call that the wire accepts, the same for the call and its result."""
    if _ID.fullmatch(ident):
        return ident
    return "toolu_" + hashlib.sha256(ident.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def fit_name(name: str) -> str:
    """A tool's name as the wire accepts it in a history that other providers wrote."""
    if _NAME.fullmatch(name):
        return name
    return re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:128] or "_"


def wire_blocks(message: Message, origin: Origin) -> list[Block]:
    """What of a message goes onto the wire, in the wire's order."""
    own = message.origin == origin
    kept = [block for block in message.content if _goes(block, message, own, origin)]
    if message.role == "user":
        # The vendor wants the results before everything else.
        kept.sort(key=lambda block: not isinstance(block, ToolResult))
    while kept and isinstance(kept[-1], Thinking):
        kept.pop()  # of an answer that was cut: "The final block in an assistant message cannot be `thinking`"
    return kept


def render_message(message: Message, origin: Origin, ids: Mapping[str, str]) -> bytes:
    """A message as JSON; empty when nothing of it goes onto the wire.

    Args:
        message: what to write.
        origin: who asks; reasoning and the vendor's own blocks return to their origin only.
        ids: calls that get another id.
    """
    own = message.origin == origin
    blocks = [_render(block, message.role, own, ids, origin) for block in wire_blocks(message, origin)]
    return dump({"role": message.role, "content": blocks}) if blocks else b""


def may_be_marked(block: Block) -> bool:
    """Whether a cache mark may stand on the block. Not on reasoning, nor on what we do not know."""
    return isinstance(block, Text | ToolUse | ToolResult | Image | Document)


def _goes(block: Block, message: Message, own: bool, origin: Origin) -> bool:
    match block:
        case Text(text):
            return bool(text.strip())
        case Thinking():
            return own and bool(block.redacted or block.signature)
        case ServerToolUse() | ServerToolResult():
            return own
        case Opaque(provider):
            return provider == origin.provider and (own or message.role == "user")
        case ToolUse():
            return message.role == "assistant"
        case ToolResult():
            return message.role == "user"
        case _:
            return True


def _render(block: Block, role: str, own: bool, ids: Mapping[str, str], origin: Origin) -> dict[str, Any]:
    match block:
        case Text():
            return _text(block, own)
        case Thinking():
            return _thinking(block)
        case ToolUse():
            return _tool_use(block, own, ids)
        case ToolResult():
            return _tool_result(block, ids, origin)
        case ServerToolUse():
            return block.extra or {
                "type": "server_tool_use",
                "id": block.id,
                "name": block.name,
                "input": block.input,
            }
        case ServerToolResult():
            return block.extra or {
                "type": "web_search_tool_result",
                "tool_use_id": block.tool_use_id,
                "content": block.content,
            }
        case Opaque():
            return block.raw
        case _ if role == "assistant":
            return {"type": "text", "text": _note(block)}
        case Image():
            return _image(block)
        case Document():
            return _document(block)
        case _:
            raise ConfigurationError(
                f"a message holds {type(block).__name__} ({block.media_type}), which Anthropic's models "
                "cannot take; send its transcript as text, or use a provider that can, such as Gemini"
            )


def _text(block: Text, own: bool) -> dict[str, Any]:
    rendered: dict[str, Any] = {"type": "text", "text": block.text}
    if own and block.citations:
        rendered["citations"] = list(block.citations)
    if own and block.extra:
        rendered.update(block.extra)
    return rendered


def _thinking(block: Thinking) -> dict[str, Any]:
    if block.redacted:
        return {"type": "redacted_thinking", "data": block.redacted, **(block.extra or {})}
    return {"type": "thinking", "thinking": block.text, "signature": block.signature, **(block.extra or {})}


def _tool_use(block: ToolUse, own: bool, ids: Mapping[str, str]) -> dict[str, Any]:
    rendered = {
        "type": "tool_use",
        "id": fit_id(ids.get(block.id, block.id)),
        "name": fit_name(block.name),
        "input": block.input if block.invalid_input is None else {"invalid_json": block.invalid_input},
    }
    if own and block.extra:
        rendered.update((key, value) for key, value in block.extra.items() if key != CONTAINER)
    return rendered


def _tool_result(block: ToolResult, ids: Mapping[str, str], origin: Origin) -> dict[str, Any]:
    rendered: dict[str, Any] = {
        "type": "tool_result",
        "tool_use_id": fit_id(ids.get(block.tool_use_id, block.tool_use_id)),
    }
    if isinstance(block.content, str):
        if block.content.strip():
            rendered["content"] = block.content
    else:
        parts = [_result_part(part) for part in block.content if _is_result_part(part, origin)]
        if parts:
            rendered["content"] = parts
    if block.is_error:
        rendered["is_error"] = True
    return rendered


def _is_result_part(part: ResultBlock, origin: Origin) -> bool:
    if isinstance(part, Opaque):
        return part.provider == origin.provider
    return not isinstance(part, Text) or bool(part.text.strip())


def _result_part(part: ResultBlock) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Opaque):
        return part.raw
    try:
        return _image(part) if isinstance(part, Image) else _document(part)
    except ConfigurationError:
        # A tool made it, not the user: the model is told, and the conversation goes on.
        return {"type": "text", "text": _note(part)}


def _image(block: Image) -> dict[str, Any]:
    if block.data is None:
        return {"type": "image", "source": {"type": "url", "url": block.url}}
    media_type = block.media_type.lower().replace("image/jpg", "image/jpeg")
    if media_type not in _IMAGES:
        raise ConfigurationError(
            f"a message holds an image of the type {block.media_type!r}, which Anthropic's models cannot "
            "take; convert it to PNG, JPEG, GIF or WebP"
        )
    return {"type": "image", "source": _base64(media_type, block.data)}


def _document(block: Document) -> dict[str, Any]:
    media_type = block.media_type.partition(";")[0].strip().lower()
    source: dict[str, Any]
    if block.data is None:
        source = {"type": "url", "url": block.url}
    elif media_type == "application/pdf":
        source = _base64(media_type, block.data)
    elif media_type.startswith("text/") or media_type in ("application/json", "application/xml"):
        source = {"type": "text", "media_type": "text/plain", "data": block.data.decode("utf-8", "replace")}
    else:
        raise ConfigurationError(
            f"a message holds a document of the type {block.media_type!r}, which Anthropic's models cannot "
            "take; convert it to PDF or plain text"
        )
    rendered: dict[str, Any] = {"type": "document", "source": source}
    if block.title:
        rendered["title"] = block.title
    return rendered


def _base64(media_type: str, data: bytes) -> dict[str, Any]:
    return {"type": "base64", "media_type": media_type, "data": base64.b64encode(data).decode("ascii")}


def _note(block: Image | Audio | Video | Document) -> str:
    title = f" {block.title!r}" if block.title else ""
    return f"[{type(block).__name__.lower()}{title} of the type {block.media_type}, not shown]"
