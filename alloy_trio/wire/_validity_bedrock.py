"""What Bedrock's Converse API asks of a conversation. Source: docs.aws.amazon.com, and the vendor's errors. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from ._validity_calls import Turn, repeated, unpaired

_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def bedrock_problems(body: dict[str, Any], model: str) -> Iterator[str]:
    """See :func:`request_problems`."""
    messages = body.get("messages") or []
    if not messages:
        yield "messages is empty"
        return
    claude = not model or "claude" in model
    if messages[0].get("role") != "user":
        yield "messages[0] is not the user's; the user speaks first"
    for place, (one, other) in enumerate(pairwise(messages)):
        if one.get("role") == other.get("role"):
            yield f"messages[{place + 1}] has the role of the message before; they have to alternate"
    turns = []
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        blocks = [block for block in message.get("content") or () if "cachePoint" not in block]
        yield from _message(where, message.get("role"), blocks, claude=claude)
        turns.append(
            Turn(
                where=where,
                model=message.get("role") == "assistant",
                calls=_ids(blocks, "toolUse"),
                results=_ids(blocks, "toolResult"),
            )
        )
    yield from unpaired(turns)
    yield from repeated(turns)
    if any(turn.calls or turn.results for turn in turns) and not body.get("toolConfig"):
        yield "calls or results in a request without toolConfig"
    last = messages[-1]
    end = (last.get("content") or [{}])[-1].get("text", "")
    if last.get("role") == "assistant" and end != end.rstrip():
        yield f"messages[{len(messages) - 1}] is the last message and ends with white space"
    if claude:
        yield from _open_turn(body, messages)
    names = Counter(_document_names(messages))
    yield from (f"{times} documents are named {name!r}" for name, times in names.items() if times > 1)


def _ids(blocks: list[dict[str, Any]], kind: str) -> tuple[str, ...]:
    # What the vendor's own tools did has a type, and stands in one message with its result.
    return tuple(
        str(block[kind].get("toolUseId")) for block in blocks if kind in block and "type" not in block[kind]
    )


def _message(where: str, role: Any, blocks: list[dict[str, Any]], *, claude: bool) -> Iterator[str]:
    if role not in ("user", "assistant"):
        yield f"{where} has the role {role!r}"
    if not blocks:
        yield f"{where} is empty"
        return
    other = False
    for number, block in enumerate(blocks):
        at = f"{where}.content[{number}]"
        if not block.get("text", "x").strip():
            yield f"{at} is an empty text"
        if "toolUse" in block:
            yield from _call(at, block["toolUse"])
        elif "toolResult" in block:
            if other and claude and role == "user":
                yield f"{at} is a result with something before it"
            if not block["toolResult"].get("content"):
                yield f"{at} is a result without content"
            if not all(part.get("text", "x").strip() for part in block["toolResult"].get("content") or ()):
                yield f"{at} is a result with an empty text"
        elif "reasoningContent" in block:
            yield from _reasoning(at, block["reasoningContent"], claude=claude)
        other = other or "toolResult" not in block
    kinds = {kind for block in blocks for kind in block}
    if "document" in kinds and "text" not in kinds:
        yield f"{where} has a document and no text"
    if claude and "reasoningContent" in blocks[-1]:
        yield f"{where} ends with reasoning; the vendor wants something after it"


def _call(where: str, call: dict[str, Any]) -> Iterator[str]:
    if not _ID.fullmatch(call.get("toolUseId", "")):
        yield f"{where} calls by the id {call.get('toolUseId')!r}, which does not match {_ID.pattern}"
    if not _NAME.fullmatch(call.get("name", "")):
        yield f"{where} calls {call.get('name')!r}, which does not match {_NAME.pattern}"
    if not isinstance(call.get("input"), dict):
        yield f"{where} has an input that is no object"


def _reasoning(where: str, block: dict[str, Any], *, claude: bool) -> Iterator[str]:
    text = block.get("reasoningText")
    if text is None and not block.get("redactedContent"):
        yield f"{where} is reasoning without content"
    if claude and text is not None and not text.get("signature"):
        yield f"{where} is reasoning without a signature"


def _open_turn(body: dict[str, Any], messages: list[dict[str, Any]]) -> Iterator[str]:
    """With a budget for reasoning, a turn that goes on after results has to have begun with reasoning."""
    thinking = (body.get("additionalModelRequestFields") or {}).get("thinking") or {}
    if thinking.get("type") != "enabled" or len(messages) < 2:
        return
    answered = any("toolResult" in block for block in messages[-1]["content"])
    if answered and "reasoningContent" not in messages[-2]["content"][0]:
        yield (
            f"messages[{len(messages) - 2}] calls tools without reasoning before, "
            "and the request has a budget for reasoning"
        )


def _document_names(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "document" and isinstance(item, dict) and "name" in item:
                yield str(item["name"])
            else:
                yield from _document_names(item)
    elif isinstance(value, list):
        for item in value:
            yield from _document_names(item)
