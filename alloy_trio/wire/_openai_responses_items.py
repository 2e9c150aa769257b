"""The Responses protocol's items read into blocks of ours.

An answer is a list of items: messages, reasoning, calls, and whatever the vendor's own tools left behind.
What an item carries beside the words (its id, ``phase``, ``namespace``, ``caller``) is kept in the block's
``extra``, so that :mod:`._openai_responses_input` can send it back as it came. Null fields are left out: the
vendor writes them but does not take them back everywhere.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from alloy_trio.values import Block, Opaque, ServerToolResult, ServerToolUse, Text, Thinking, ToolUse

from ._codec import dump, parse_arguments

Item: TypeAlias = dict[str, Any]

_COUNTED = re.compile(r"(?:call)?[_-]?\d{1,4}")

REFUSAL = "refusal_part"
"""In a Text's ``extra``: it came as the content part "refusal"."""


def blocks_of(item: Item, provider: str, answer: str = "") -> list[Block]:
    """What an output item becomes. Every item becomes something, except an empty message.

    Args:
        item: one of the answer's items.
        provider: the configured provider's name.
        answer: the answer's id.
    """
    if item.get("type") == "function_call":
        return [_tool_use(item, answer)]
    read = _READERS.get(item.get("type", ""))
    return read(item, provider) if read is not None else [Opaque(provider, item)]


def visible_text(item: Item) -> str:
    """What of an item is streamed as deltas: words, readable reasoning, or a call's arguments."""
    match item.get("type"):
        case "message":
            return "".join(_words(part) for part in _parts(item, "content"))
        case "reasoning":
            return reasoning_text(item)
        case "function_call":
            return _arguments(item)
    return ""


def reasoning_text(item: Item) -> str:
    """A reasoning item's summary and open reasoning, as one readable text."""
    parts = [*_parts(item, "summary"), *_parts(item, "content")]
    return "\n\n".join(text for part in parts if isinstance(text := part.get("text"), str) and text)


def call_id_of(item: Item, answer: str = "") -> str:
    """What names a call: the vendor's ``call_id``, else the item's own id.

    Some servers count the calls of each answer anew (``call_0``). Such a name gets the answer's id to it, so
    that no two calls of a conversation share one.
    """
    for value in (item.get("call_id"), item.get("id")):
        if isinstance(value, str) and value:
            return f"{value}_{digest(answer)[:16]}" if answer and _COUNTED.fullmatch(value) else value
    return "call"


def is_whole_call(item: Item) -> bool:
    """Whether a call of an answer that was cut off had been finished before the cut."""
    status = item.get("status")
    if status is not None:
        return bool(status == "completed")
    arguments = _arguments(item)
    return bool(arguments) and parse_arguments(arguments)[1] is None


def _parts(item: Item, key: str) -> list[dict[str, Any]]:
    parts = item.get(key)
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []


def _words(part: Mapping[str, Any]) -> str:
    words = part.get("refusal") if part.get("type") == "refusal" else part.get("text")
    return words if isinstance(words, str) else ""


def _arguments(item: Item) -> str:
    arguments = item.get("arguments")
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else dump(arguments).decode()


def _rest(item: Item, *read: str) -> dict[str, Any] | None:
    return {key: value for key, value in item.items() if value is not None and key not in read} or None


def _message(item: Item, provider: str) -> list[Block]:
    if item.get("role", "assistant") != "assistant":
        return [Opaque(provider, item)]
    fields = _rest(item, "type", "role", "content")
    blocks: list[Block] = []
    for part in _parts(item, "content"):
        match part.get("type"):
            case "output_text" | "text":
                if text := _words(part):
                    blocks.append(Text(text, part.get("annotations") or (), extra=fields))
            case "refusal":
                if text := _words(part):
                    blocks.append(Text(text, extra={**(fields or {}), REFUSAL: True}))
            case _:
                blocks.append(Opaque(provider, {**item, "content": [part]}))
    return blocks


def _reasoning(item: Item, provider: str) -> list[Block]:
    signature = item.get("encrypted_content")
    return [
        Thinking(
            reasoning_text(item),
            signature if isinstance(signature, str) else None,
            extra=_rest(item, "type", "encrypted_content"),
        )
    ]


def _tool_use(item: Item, answer: str) -> ToolUse:
    raw = _arguments(item)
    arguments, invalid = parse_arguments(raw)
    extra = _rest(item, "type", "call_id", "name", "arguments") or {}
    if invalid is None and raw.encode("utf-8", "surrogatepass") != dump(arguments):
        extra["arguments"] = raw  # sent back as written, else the vendor's prefix cache misses from here on
    return ToolUse(
        call_id_of(item, answer), str(item.get("name") or ""), arguments, invalid, extra=extra or None
    )


def _server_call(name: str, asked: str, answered: str | None) -> Callable[[Item, str], list[Block]]:
    def read(item: Item, provider: str) -> list[Block]:
        value = item.get(asked)
        if isinstance(value, str) and asked == "arguments":
            value = parse_arguments(value)[0]
        ident = str(item.get("id") or call_id_of(item))
        called = str(item.get("name") or name)
        given = value if isinstance(value, dict) else {} if value is None else {asked: value}
        blocks: list[Block] = [ServerToolUse(ident, called, given, extra=item)]
        failure = item.get("error")
        result = item.get(answered) if answered is not None and not failure else failure
        if result is not None:
            blocks.append(ServerToolResult(ident, result, is_error=bool(failure)))
        return blocks

    return read


_READERS: dict[str, Callable[[Item, str], list[Block]]] = {
    "message": _message,
    "reasoning": _reasoning,
    "web_search_call": _server_call("web_search", "action", None),
    "file_search_call": _server_call("file_search", "queries", "results"),
    "code_interpreter_call": _server_call("code_interpreter", "code", "outputs"),
    "image_generation_call": _server_call("image_generation", "revised_prompt", "result"),
    "mcp_call": _server_call("mcp", "arguments", "output"),
}


def digest(text: str) -> str:
    """A text's SHA-256 in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
