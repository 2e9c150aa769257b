"""A request in lines for people, and how two of them differ. Pure.

The lines are for messages of errors: control characters are escaped, long lines are cut into pieces, and bytes are
shown by their number and digest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from alloy_trio.values import (
    Block,
    CompletionRequest,
    Message,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)

WIDTH = 120
"""Where lines are cut, in characters. Arbitrary: what a screen and a log have room for."""

MOST_LINES = 60
"""Of a difference, or of one request. Arbitrary; the first difference is the one that matters."""

MOST_COMPARED = 1_000
"""Lines of each side that are compared after the first difference: the comparison takes the square of that."""

CONTEXT = 3

_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def readable(request: CompletionRequest) -> list[str]:
    """A request in lines; what has its default is left out."""
    return [piece for line in _lines(request) for piece in _cut(line)]


def last_message(request: CompletionRequest) -> str:
    """All text of the last message, results of tools included."""
    return "\n".join(_words(request.messages[-1])) if request.messages else ""


def excerpt(request: CompletionRequest) -> str:
    """The end of a request, for a message."""
    lines = readable(request)
    left_out = len(lines) - MOST_LINES
    shown = [f"… {left_out} lines …", *lines[left_out:]] if left_out > 0 else lines
    return "\n".join(f"  {line}" for line in shown)


def difference(expected: CompletionRequest, got: CompletionRequest, names: tuple[str, str]) -> str:
    """How two requests differ, as a unified diff; ``""`` where their lines are the same.

    Args:
        expected: the one that was wanted.
        got: the one that came.
        names: what each is called.
    """
    import difflib

    left, right = readable(expected), readable(got)
    if left == right:
        return ""
    same = next(
        (at for at, (one, other) in enumerate(zip(left, right, strict=False)) if one != other),
        min(len(left), len(right)),
    )
    # A conversation mostly differs at its end. What is the same before it need not be compared.
    start = max(0, same - CONTEXT)
    left, right = (side[start : start + MOST_COMPARED] for side in (left, right))
    lines = list(difflib.unified_diff(left, right, *names, lineterm="", n=CONTEXT))
    head = [*lines[:2], *([f"  … {start} lines are the same …"] if start else [])]
    body = [line for line in lines[2:] if not line.startswith("@@")]
    if len(body) > MOST_LINES:
        body = [*body[:MOST_LINES], f"… {len(body) - MOST_LINES} more lines …"]
    return "\n".join((*head, *body))


def _lines(request: CompletionRequest) -> Iterator[str]:
    if request.system is not None:
        yield from _indented("system", request.system)
    for name in ("max_tokens", "tool_choice"):
        if (value := getattr(request, name)) is not None:
            yield f"{name}: {value}"
    if request.output_schema is not None:
        yield f"output_schema: {_json(request.output_schema)}"
    for tool in request.tools:
        yield f"tool {tool.name}: {_json(tool.input_schema)}"
        yield from _indented("  description", tool.description)
        yield from _others(tool, "  ", "name", "input_schema", "description")
    for server_tool in request.server_tools:
        yield f"server tool {server_tool.name}: {_json(server_tool.options)}"
    for message in request.messages:
        by = f" ({message.origin.provider}/{message.origin.model})" if message.origin is not None else ""
        yield f"{message.role}{by}:"
        for block in message.content:
            yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Text() | Thinking():
            yield from _indented(f"  {type(block).__name__.lower()}", block.text)
            yield from _others(block, "    ", "text")
        case ToolUse() | ServerToolUse():
            yield f"  call of {block.name} ({block.id}): {_json(block.input)}"
            yield from _others(block, "    ", "id", "name", "input")
        case ToolResult():
            what = f"  {'error' if block.is_error else 'result'} of {block.tool_use_id}"
            if isinstance(block.content, str):
                yield from _indented(what, block.content)
                return
            yield f"{what}:"
            for part in block.content:
                yield from (f"  {line}" for line in _block(part))
        case ServerToolResult():
            yield f"  result of {block.tool_use_id}: {_json(block.content)}"
            yield from _others(block, "    ", "tool_use_id", "content")
        case _:
            yield f"  {type(block).__name__.lower()}:"
            yield from _others(block, "    ")


def _others(value: Any, indent: str, *told: str) -> Iterator[str]:
    """The attributes that are not told otherwise and have not their default."""
    for field in attrs.fields(type(value)):
        held = getattr(value, field.name)
        if field.name in told or held is None or held is False or held == () or held == {}:
            continue
        if isinstance(held, bytes):
            held = f"{len(held)} bytes, sha256 {hashlib.sha256(held).hexdigest()[:16]}"
        yield f"{indent}{field.name}: {held if isinstance(held, str) else _json(held)}"


def _indented(what: str, text: str) -> Iterator[str]:
    lines = text.split("\n")
    if len(lines) == 1:
        yield f"{what}: {text}"
        return
    yield f"{what}:"
    indent = " " * (len(what) - len(what.lstrip()) + 2)
    yield from (f"{indent}{line}" for line in lines)


def _words(message: Message) -> Iterator[str]:
    for block in message.content:
        if isinstance(block, (Text, ToolResult)):
            yield block.text


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=repr)


def _cut(line: str) -> Sequence[str]:
    line = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
    if len(line) <= WIDTH:
        return (line,)
    return [line[at : at + WIDTH] for at in range(0, len(line), WIDTH)]
