"""Gemini's parts that are no calls, read into blocks of ours.

What stands on a part beside its data (above all its signature) goes back with it. A picture's block has no
place for that, so an Opaque block after it holds it, and is put back onto the picture's part.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, TypeAlias

from alloy_trio.values import (
    Audio,
    Block,
    Document,
    Image,
    Opaque,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    Video,
)

Part: TypeAlias = dict[str, Any]

SIGNATURE = "thoughtSignature"
BESIDE = frozenset((SIGNATURE, "videoMetadata", "mediaResolution", "partMetadata"))
"""Fields of a part that describe its data and are none."""

CODE_TOOL = "code_execution"


class Words:
    """Text or reasoning in pieces; more may be added while there is no signature."""

    __slots__ = ("extra", "pieces", "thought")

    def __init__(self, thought: bool, pieces: list[str], extra: dict[str, Any] | None) -> None:
        self.thought = thought
        self.pieces = pieces
        self.extra = extra

    def block(self, citations: tuple[dict[str, Any], ...] = ()) -> Block:
        """The block that they are, once nothing more is added."""
        text, extra = "".join(self.pieces), self.extra
        if not self.thought:
            return Text(text, citations, extra=extra)
        signature = extra.get(SIGNATURE) if extra else None
        rest = {key: value for key, value in extra.items() if key != SIGNATURE} if extra else None
        return Thinking(text, signature, extra=rest or None)


def server_block(part: Part, ident: str) -> ServerToolUse | ServerToolResult | None:
    """What the vendor's own tools did, or None when the part is something else.

    Args:
        part: the wire's part; it is kept whole.
        ident: the call's id, where the part has none.
    """
    for kind in ("executableCode", "codeExecutionResult", "toolCall", "toolResponse"):
        held = part.get(kind)
        if not isinstance(held, dict):
            continue
        ident = held["id"] if isinstance(held.get("id"), str) and held["id"] else ident
        rest = {key: value for key, value in held.items() if key != "id"}
        if kind == "executableCode":
            return ServerToolUse(ident, CODE_TOOL, rest, extra=part)
        if kind == "codeExecutionResult":
            failed = held.get("outcome") not in (None, "OUTCOME_OK")
            return ServerToolResult(ident, rest, is_error=failed, extra=part)
        if kind == "toolCall":
            arguments = held.get("args")
            name = str(held.get("toolType") or held.get("tool_type") or "tool").lower()
            return ServerToolUse(ident, name, arguments if isinstance(arguments, dict) else {}, extra=part)
        return ServerToolResult(ident, held.get("response"), extra=part)
    return None


def media_blocks(part: Part, provider: str) -> list[Block]:
    """A part that holds a file, or what we do not know."""
    held = part.get("inlineData")
    rest = {key: value for key, value in part.items() if key != "inlineData"}
    if isinstance(held, dict) and held.keys() == {"mimeType", "data"} and rest.keys() <= BESIDE:
        data = _decoded(held["data"])
        if data is not None and isinstance(held["mimeType"], str):
            block = _media(held["mimeType"])(held["mimeType"], data=data)
            return [block, Opaque(provider, rest)] if rest else [block]
    if isinstance(part.get("thought"), bool) and len(part) == 1:
        return []  # an empty thought
    return [Opaque(provider, part)]


def _media(media_type: str) -> type[Image | Audio | Video | Document]:
    kinds: dict[str, type[Image | Audio | Video]] = {"image": Image, "audio": Audio, "video": Video}
    return kinds.get(media_type.partition("/")[0], Document)


def _decoded(data: Any) -> bytes | None:
    try:
        found = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None
    # Only what comes out the same again: signed data has to go back as it came.
    return found if base64.b64encode(found).decode() == data else None
