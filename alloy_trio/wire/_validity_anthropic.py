"""What Anthropic's Messages API asks of a conversation. Source: docs.claude.com, and the vendor's errors. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby
from typing import Any, TypeAlias

from ._validity_calls import Turn, repeated, unpaired

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_THINKING = ("thinking", "redacted_thinking")
_ROLES = ("user", "assistant", "system")
"""The newest models take words of the system's between the turns; they are on neither side."""

_Block: TypeAlias = dict[str, Any]
_Placed: TypeAlias = tuple[str, _Block]


def anthropic_problems(body: dict[str, Any], model: str) -> Iterator[str]:
    """See :func:`request_problems`."""
    messages = body.get("messages") or []
    if not messages:
        yield "messages is empty"
        return
    if messages[0].get("role") != "user":
        yield "messages[0] is not the user's; the user speaks first"
    for place, message in enumerate(messages):
        yield from _message(f"messages[{place}]", message, last=place == len(messages) - 1)
    turns = _turns(messages)
    described = [_turn(role, blocks) for role, blocks in turns]
    yield from unpaired(described)
    yield from repeated(described)
    for role, blocks in turns:
        if role == "user":
            yield from _results_first(blocks)
    yield from _server_tools(turns)
    yield from _open_turn(body, turns)
    marks = _count(body, "cache_control")
    if marks > 4:
        yield f"{marks} cache marks; the vendor takes 4"


def _blocks(message: dict[str, Any]) -> list[_Block]:
    content = message.get("content")
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())


def _message(where: str, message: dict[str, Any], *, last: bool) -> Iterator[str]:
    role, blocks = message.get("role"), _blocks(message)
    if role not in _ROLES:
        yield f"{where} has the role {role!r}"
    if not blocks:
        yield f"{where} is empty"
    for number, block in enumerate(blocks):
        yield from _block(f"{where}.content[{number}]", block, role)
    if role == "assistant" and blocks:
        end = blocks[-1]
        if end.get("type") in _THINKING:
            yield f"{where} ends with reasoning; the vendor wants something after it"
        if last and end.get("type") == "text" and end["text"] != end["text"].rstrip():
            yield f"{where} is the last message and ends with white space"


def _block(where: str, block: _Block, role: Any) -> Iterator[str]:
    kind = block.get("type")
    if kind == "text":
        if not block.get("text", "").strip():
            yield f"{where} is an empty text"
    elif kind == "thinking":
        if not block.get("signature"):
            yield f"{where} is reasoning without a signature"
        if not isinstance(block.get("thinking"), str):
            yield f"{where} is reasoning without its text"
    elif kind == "redacted_thinking":
        if not block.get("data"):
            yield f"{where} is redacted reasoning without its data"
    elif kind == "tool_use":
        if not _ID.fullmatch(block.get("id", "")):
            yield f"{where} calls by the id {block.get('id')!r}, which does not match {_ID.pattern}"
        if not _NAME.fullmatch(block.get("name", "")):
            yield f"{where} calls {block.get('name')!r}, which does not match {_NAME.pattern}"
        if not isinstance(block.get("input"), dict):
            yield f"{where} has an input that is no object"
    elif kind == "tool_result":
        inner = block.get("content")
        for number, part in enumerate(inner if isinstance(inner, list) else ()):
            if part.get("type") == "text" and not part.get("text", "").strip():
                yield f"{where}.content[{number}] is an empty text"
    if kind in (*_THINKING, "tool_use", "server_tool_use", "mcp_tool_use") and role != "assistant":
        yield f"{where} is {kind} in a message that is not the model's"
    if kind == "tool_result" and role != "user":
        yield f"{where} is tool_result in a message that is not the user's"
    if "cache_control" in block and kind in _THINKING:
        yield f"{where} is reasoning with a cache mark"


def _turns(messages: list[dict[str, Any]]) -> list[tuple[str, list[_Placed]]]:
    """Neighbours of one role are one turn to the vendor."""
    placed = [
        (message.get("role", ""), f"messages[{place}]", block)
        for place, message in enumerate(messages)
        for block in _blocks(message)
        if message.get("role") != "system"
    ]
    return [
        (role, [(where, block) for _, where, block in group])
        for role, group in groupby(placed, key=lambda item: item[0])
    ]


def _turn(role: str, blocks: list[_Placed]) -> Turn:
    return Turn(
        where=blocks[0][0],
        model=role == "assistant",
        calls=tuple(str(b.get("id")) for _, b in blocks if b.get("type") == "tool_use"),
        results=tuple(str(b.get("tool_use_id")) for _, b in blocks if b.get("type") == "tool_result"),
    )


def _results_first(blocks: list[_Placed]) -> Iterator[str]:
    before = False
    for where, block in blocks:
        if block.get("type") != "tool_result":
            before = True
        elif before:
            yield f"{where} has something before its results"
            return


def _server_tools(turns: list[tuple[str, list[_Placed]]]) -> Iterator[str]:
    """Each call of the vendor's own tools has its result, unless the vendor goes on with the turn."""
    placed = [
        (number, where, block)
        for number, (role, blocks) in enumerate(turns)
        if role == "assistant"
        for where, block in blocks
    ]
    last = placed[-1][0] if placed else -1
    later = [block.get("type") for _, blocks in turns[last + 1 :] for _, block in blocks]
    goes_on = all(kind == "tool_result" for kind in later)
    called: dict[str, tuple[int, str]] = {}
    answered: set[str] = set()
    for number, where, block in placed:
        kind = str(block.get("type"))
        if kind in ("server_tool_use", "mcp_tool_use"):
            called[block.get("id", "")] = (number, where)
        elif kind.endswith("_tool_result"):
            ident = block.get("tool_use_id", "")
            answered.add(ident)
            if ident not in called:
                yield f"{where} has a {kind} of {ident!r}, which nothing before it calls"
    for ident, (number, where) in called.items():
        if ident not in answered and not (number == last and goes_on):
            yield f"{where} has a call of the vendor's own tool, {ident!r}, without its result"


def _open_turn(body: dict[str, Any], turns: list[tuple[str, list[_Placed]]]) -> Iterator[str]:
    """With a budget for reasoning, a turn that goes on after results has to have begun with reasoning."""
    thinking = body.get("thinking")
    if not isinstance(thinking, dict) or thinking.get("type") != "enabled" or len(turns) < 2:
        return
    answered = turns[-1][0] == "user" and any(b.get("type") == "tool_result" for _, b in turns[-1][1])
    where, first = turns[-2][1][0]
    if answered and first.get("type") not in _THINKING:
        yield f"{where} calls tools without reasoning before, and the request has a budget for reasoning"


def _count(value: Any, key: str) -> int:
    if isinstance(value, dict):
        return (key in value and value[key] is not None) + sum(_count(v, key) for v in value.values())
    return sum(_count(item, key) for item in value) if isinstance(value, list) else 0
