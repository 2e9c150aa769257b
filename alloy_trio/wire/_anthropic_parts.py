"""The blocks of an answer of Anthropic's, while they grow and when they are done."""

from __future__ import annotations

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

from ._anthropic_blocks import CONTAINER
from ._codec import parse_arguments

CALLS = frozenset(("tool_use", "server_tool_use", "mcp_tool_use"))


class Part:
    """A block while it grows.

    Raises:
        KeyError, TypeError, ValueError: it is not a block as the wire has them.
    """

    __slots__ = ("citations", "id", "kind", "name", "pieces", "raw", "signature")

    def __init__(self, raw: dict[str, Any]) -> None:
        self.raw = dict(raw)
        self.kind = string(raw["type"])
        self.pieces: list[str] = []  # of text, reasoning or a call's JSON
        self.signature: str | None = string(raw.get("signature") or "") or None
        self.citations: list[Any] = list(raw.get("citations") or ())
        called = self.kind in CALLS
        self.id = string(raw["id"]) if called else ""
        self.name = string(raw["name"]) if called else ""
        if self.kind == "redacted_thinking":
            string(raw["data"])

    @classmethod
    def whole(cls, raw: dict[str, Any]) -> Part:
        """A block that came in one piece."""
        part = cls(raw)
        if part.kind in ("text", "thinking"):
            part.pieces.append(string(raw[part.kind]))
        elif part.kind in CALLS and raw["input"]:
            # An input that was cut before it could be read is an empty object: it counts as unfinished.
            given = raw["input"]
            part.pieces.append(given if isinstance(given, str) else json.dumps(given))
        return part

    def grow(self, delta: dict[str, Any]) -> None:
        """Add a piece that nobody here knows: texts and lists get longer, anything else is replaced."""
        for key, value in delta.items():
            if key == "type":
                continue
            held = self.raw.get(key)
            if key == "partial_json":
                self.pieces.append(string(value))
            elif isinstance(held, str) and isinstance(value, str):
                self.raw[key] = held + value
            elif isinstance(held, list) and isinstance(value, list):
                self.raw[key] = [*held, *value]
            else:
                self.raw[key] = value

    def block(self, provider: str, *, container: str | None, may_be_cut: bool) -> Block | None:
        """The block that it became; None when nothing of it is left.

        Args:
            provider: who answered.
            container: the sandbox that the answer used.
            may_be_cut: it is the last block of an answer that was cut by its length.
        """
        text = "".join(self.pieces)
        raw = self.raw
        match self.kind:
            case "text":
                extra = _rest(raw, "text", "citations")
                return Text(text, self.citations, extra=extra) if text or self.citations else None
            case "thinking":
                return Thinking(text, self.signature, extra=_rest(raw, "thinking", "signature"))
            case "redacted_thinking":
                return Thinking("", redacted=raw["data"], extra=_rest(raw, "data"))
            case "tool_use":
                return self._tool_use(text, container, may_be_cut=may_be_cut)
            case "server_tool_use" | "mcp_tool_use":
                given, _ = parse_arguments(text)
                return ServerToolUse(self.id, self.name, given, extra={**raw, "input": given})
            case kind if kind.endswith("_tool_result") and isinstance(raw.get("tool_use_id"), str):
                found = raw.get("content")
                failed = isinstance(found, dict) and str(found.get("type")).endswith("_error")
                is_error = failed or raw.get("is_error") is True
                return ServerToolResult(raw["tool_use_id"], found, is_error=is_error, extra=raw)
            case _:
                return Opaque(provider, {**raw, "input": parse_arguments(text)[0]} if text else raw)

    def _tool_use(self, text: str, container: str | None, *, may_be_cut: bool) -> ToolUse | None:
        given, invalid = parse_arguments(text)
        if may_be_cut and (invalid is not None or not text):
            return None
        extra = _rest(self.raw, "id", "name", "input")
        caller = self.raw.get("caller")
        if container is not None and isinstance(caller, dict) and caller.get("type") != "direct":
            extra = {**(extra or {}), CONTAINER: container}
        return ToolUse(self.id, self.name, given, invalid, extra=extra)


def string(value: Any) -> str:
    """The value, which has to be a str.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected a string, got {type(value).__name__}")
    return value


def _rest(raw: dict[str, Any], *known: str) -> dict[str, Any] | None:
    """The fields that nobody here knows, to be returned to the origin."""
    return {key: value for key, value in raw.items() if key != "type" and key not in known} or None
