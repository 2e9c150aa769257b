"""The blocks of an answer of Bedrock's, while they grow and when they are done."""

from __future__ import annotations

import base64
import json
from typing import Any

from alloy_trio.values import (
    Block,
    Opaque,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolUse,
)

from ._codec import parse_arguments

SERVER_TOOL = "server_tool_use"
"""The ``type`` of a call that the vendor runs."""


class Part:
    """A block while it grows.

    Args:
        start: what its opening event holds: an object with one key, which says what it is; empty for texts
            and reasoning, which show by their first piece what they are.

    Raises:
        KeyError, TypeError: it is not a block as the wire has them.
    """

    __slots__ = ("citations", "id", "kind", "name", "pieces", "raw", "redacted", "signature")

    def __init__(self, start: dict[str, Any]) -> None:
        self.kind = ""
        self.raw: dict[str, Any] = {}
        if start:
            self.kind, held = _union(start)
            self.raw = held if isinstance(held, dict) else {self.kind: held}
        self.pieces: list[str] = []  # of text, reasoning or a call's JSON
        self.citations: list[Any] = []
        self.signature = ""
        self.redacted = ""  # base64
        called = self.kind == "toolUse"
        self.id = string(self.raw["toolUseId"]) if called else ""
        self.name = string(self.raw["name"]) if called else ""

    @classmethod
    def whole(cls, block: dict[str, Any]) -> Part:
        """A block that came in one piece."""
        kind, value = _union(block)
        if kind == "text":
            part = cls({})
            part.pieces.append(string(value))
        elif kind == "citationsContent":
            part = cls({})
            part.pieces += [string(piece["text"]) for piece in value.get("content") or ()]
            part.citations += value.get("citations") or ()
            kind = "text"
        elif kind == "reasoningContent":
            part = cls({})
            part.reason({**value.get("reasoningText", {}), **value})
        else:
            part = cls({kind: value})
            if kind == "toolUse" and value["input"]:
                given = value["input"]
                part.pieces.append(given if isinstance(given, str) else json.dumps(given))
        part.kind = kind
        return part

    def must_be(self, kind: str) -> None:
        """It is of this kind, unless another has been said.

        Raises:
            TypeError: another one has.
        """
        if self.kind != kind:
            if self.kind:
                raise TypeError(f"{kind} in a block of {self.kind}")
            self.kind = kind

    def reason(self, piece: dict[str, Any]) -> str:
        """Add a piece of reasoning; returns what of it can be read."""
        self.must_be("reasoningContent")
        text = string(piece.get("text") or "")
        if text:
            self.pieces.append(text)
        self.signature += string(piece.get("signature") or "")
        self.redacted = _joined(self.redacted, string(piece.get("redactedContent") or ""))
        return text

    def grow(self, delta: dict[str, Any]) -> None:
        """Add a piece of a block that is not text: texts and lists get longer, the rest is replaced."""
        kind, value = _union(delta)
        self.must_be(kind)
        if isinstance(value, list):  # of a result of the vendor's own tool
            value = {"content": value}
        elif not isinstance(value, dict):
            value = {kind: value}
        for key, piece in value.items():
            held = self.raw.get(key)
            grows = isinstance(held, str | list) and type(held) is type(piece)
            self.raw[key] = held + piece if held is not None and grows else piece

    def block(self, provider: str, *, may_be_cut: bool) -> Block | None:
        """The block that it became; None when nothing of it is left.

        Args:
            provider: who answered.
            may_be_cut: it is the last block of an answer that was cut by its length.
        """
        text = "".join(self.pieces)
        match self.kind:
            case "text":
                return Text(text, self.citations) if text or self.citations else None
            case "reasoningContent" if self.redacted:
                return Thinking(text, self.signature or None, redacted=self.redacted)
            case "reasoningContent":
                return Thinking(text, self.signature or None) if text or self.signature else None
            case "toolUse":
                return self._tool_use(text, may_be_cut=may_be_cut)
            case "toolResult" if isinstance(self.raw.get("toolUseId"), str):
                failed = self.raw.get("status") == "error"
                found = self.raw.get("content")
                return ServerToolResult(self.raw["toolUseId"], found, is_error=failed, extra=self.raw)
            case "":
                return None
            case kind:
                return Opaque(provider, self.raw if list(self.raw) == [kind] else {kind: self.raw})

    def _tool_use(self, text: str, *, may_be_cut: bool) -> Block | None:
        given, invalid = parse_arguments(text)
        if self.raw.get("type") == SERVER_TOOL:
            return ServerToolUse(self.id, self.name, given, extra={**self.raw, "input": given})
        if may_be_cut and (invalid is not None or not text):
            return None
        return ToolUse(self.id, self.name, given, invalid)


def string(value: Any) -> str:
    """The value, which has to be a str.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    return value


def _union(value: dict[str, Any]) -> tuple[str, Any]:
    """The one key of a union, and what it holds. Some answers carry a ``type`` beside it."""
    for kind, held in value.items():
        if kind != "type" and held is not None:
            return kind, dict(held) if isinstance(held, dict) else held
    raise KeyError("a block without content")


def _joined(held: str, piece: str) -> str:
    """Bytes as one base64 text; a single piece stays as it came."""
    if not held or not piece:
        return held or piece
    return base64.b64encode(base64.b64decode(held) + base64.b64decode(piece)).decode("ascii")
