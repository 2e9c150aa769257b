"""Old messages as the text of a record, bounded, in parts that fit into a request of their own. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from alloy_trio.values import (
    Block,
    Message,
    Opaque,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)

from ._clearing import cut_text
from ._tokens import estimate_text

MOST_PARTS = 8
"""Requests that one summary may take. With more to tell, each block of the record is told more shortly."""

BLOCK_TOKENS = 2_000
"""Tokens of one block of the record at first: a page of text. Results that matter were talked about."""

LEAST_BLOCK_TOKENS = 60
"""Tokens of one block at least; when even so there is too much, the middle of the record is left out."""


def record(messages: Sequence[Message], part_tokens: int) -> list[str]:
    """The messages as text, in at most :data:`MOST_PARTS` parts of at most so many tokens each."""
    blocks = [block for message in messages for block in _told(message)]
    most = BLOCK_TOKENS
    while True:
        short = [cut_text(block, most) for block in blocks]
        parts = _packed(short, part_tokens)
        if len(parts) <= MOST_PARTS:
            return parts
        if most <= LEAST_BLOCK_TOKENS:
            half = MOST_PARTS // 2
            left_out = len(parts) - MOST_PARTS
            gap = f"[{left_out} of {len(parts)} parts of the record are left out here]\n"
            return [*parts[:half], gap + parts[-half], *parts[-half + 1 :]]
        most = max(most // 2, LEAST_BLOCK_TOKENS)


def _packed(blocks: Sequence[str], tokens: int) -> list[str]:
    parts: list[list[str]] = []
    room = 0
    for block in blocks:
        for piece in _pieces(block, tokens):
            size = estimate_text(piece) + 1
            if not parts or size > room:
                parts.append([])
                room = tokens
            parts[-1].append(piece)
            room -= size
    return ["\n".join(part) for part in parts]


def _pieces(text: str, tokens: int) -> Iterator[str]:
    size = estimate_text(text)
    if size < tokens:
        yield text
    else:
        middle = len(text) // 2
        yield from _pieces(text[:middle], tokens)
        yield from _pieces(text[middle:], tokens)


def _told(message: Message) -> Iterator[str]:
    who = "User" if message.role == "user" else "Assistant"
    for block in message.content:
        told = _told_block(block)
        if told:
            yield f"{who}: {told}" if isinstance(block, Text) else told


def _told_block(block: Block) -> str:
    match block:
        case Text(text):
            return text.strip()
        case ToolUse(ident, name, arguments, invalid):
            return f"Call {ident} of {name}: {_json(arguments) if invalid is None else invalid}"
        case ToolResult(ident, _, is_error):
            others = (
                0 if isinstance(block.content, str) else sum(not isinstance(b, Text) for b in block.content)
            )
            beside = f" [and {others} parts that are no text]" if others else ""
            return f"{'Error' if is_error else 'Result'} of call {ident}: {block.text}{beside}"
        case ServerToolUse(_, name, arguments):
            return f"Call of {name}: {_json(arguments)}"
        case ServerToolResult(_, content):
            return f"Its result: {content if isinstance(content, str) else _json(content)}"
        case Thinking() | Opaque():
            return ""  # reasoning is not part of what was said, and a vendor's own items nobody else can read
        case _:
            return f"[{type(block).__name__} {block.media_type}{f' {block.title!r}' if block.title else ''}]"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
