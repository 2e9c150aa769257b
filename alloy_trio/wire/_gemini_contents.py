"""Messages as Gemini's contents. Source: ai.google.dev, "Function calling" and "Thought signatures".

Signatures, reasoning and what the vendor's own tools did return to their origin only, each on its own part. A
call that another model made carries no signature; models from Gemini 3 on refuse the first call of a step
without one, so it gets the value that the vendor documents for that.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from alloy_trio.values import (
    Audio,
    Block,
    ConfigurationError,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Video,
)

from ._codec import dump, parse_arguments
from ._gemini_calls import MADE_ID
from ._gemini_parts import BESIDE, SIGNATURE, Part

NO_SIGNATURE = "skip_thought_signature_validator"
"""What the vendor documents for calls whose signature does not exist."""

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,63}")

_Media = Image | Audio | Video | Document


class Named(NamedTuple):
    """What the result of a call repeats: the call's name, and its id where the vendor knows it."""

    name: str
    id: str | None


def wire_name(name: str) -> str:
    """A tool's name as the wire takes it. A model may have called what no tool may be named."""
    if _NAME.fullmatch(name):
        return name
    name = re.sub(r"[^a-zA-Z0-9_.:-]", "_", name)[:63]
    return name if _NAME.fullmatch(name) else "_" + name


def calls_of(message: Message, origin: Origin) -> dict[str, Named]:
    """The calls of a message, by id."""
    own = message.origin == origin
    return {use.id: Named(wire_name(use.name), _sent_id(use, own)) for use in message.tool_uses}


def render(message: Message, origin: Origin, calls: Mapping[str, Named], generation: int) -> bytes:
    """A message as JSON; empty when nothing of it goes onto the wire.

    Args:
        message: what to write.
        origin: who asks.
        calls: the calls that the message answers.
        generation: of the model; from 3 on it checks signatures and takes files within results.

    Raises:
        ConfigurationError: the message holds what the protocol cannot carry.
    """
    if message.role == "user":
        parts = _user_parts(message, origin, calls, generation)
        return dump({"role": "user", "parts": parts}) if parts else b""
    parts = _model_parts(message, own=message.origin == origin)
    if generation >= 3:
        _sign_first_call(parts)
    return dump({"role": "model", "parts": parts}) if parts else b""


def _user_parts(message: Message, origin: Origin, calls: Mapping[str, Named], generation: int) -> list[Part]:
    results: list[Part] = []
    files: list[Part] = []  # that cannot stand within their result
    others: list[Part] = []
    # Calls without ids are told apart by nothing but their order.
    order = {ident: place for place, ident in enumerate(calls)}
    ordered = sorted(
        message.content, key=lambda b: order.get(b.tool_use_id, 0) if isinstance(b, ToolResult) else 0
    )
    for block in ordered:
        match block:
            case ToolResult():
                results.append(_result(block, calls, generation, files))
            case Text():
                if block.text:
                    others.append({"text": block.text})
            case Image() | Audio() | Video() | Document():
                others.append(_file(block))
            case Opaque():
                if block.provider == origin.provider:
                    _add_opaque(others, block)
            case _:
                raise ConfigurationError(
                    f"a user message holds {type(block).__name__}, which Gemini's protocol cannot carry; "
                    "it takes Text, Image, Audio, Video, Document and ToolResult"
                )
    if not (results or others) and message.content:
        others.append({"text": ""})  # the vendor takes it, beside a system prompt
    return [*results, *files, *others]


def _result(result: ToolResult, calls: Mapping[str, Named], generation: int, files: list[Part]) -> Part:
    named = calls.get(result.tool_use_id)
    if named is None:
        raise ConfigurationError(
            f"a ToolResult answers {result.tool_use_id!r}, but no message before it has a call with that id, "
            "and Gemini wants the call's name; give the conversation whole, or repair it first"
        )
    response: Part = {"error" if result.is_error else "output": result.text}
    rendered: Part = {"name": named.name, "response": response}
    if named.id is not None:
        rendered = {"id": named.id, **rendered}
    content = () if isinstance(result.content, str) else result.content
    within: list[Part] = []
    beside: list[Part] = []
    for block in content:
        if isinstance(block, Image | Document):
            (within if generation >= 3 and block.data is not None else beside).append(_file(block))
    if within:
        rendered["parts"] = within
    if beside:
        files += [{"text": f"Files of the result of {named.name}:"}, *beside]
    return {"functionResponse": rendered}


def _file(block: _Media) -> Part:
    if block.data is None:
        return {"fileData": {"mimeType": block.media_type, "fileUri": block.url}}
    data = base64.b64encode(block.data).decode()
    return {"inlineData": {"mimeType": block.media_type, "data": data}}


def _add_opaque(parts: list[Part], block: Opaque) -> None:
    if parts and block.raw.keys() <= BESIDE and parts[-1].keys() <= {"inlineData", "fileData"}:
        parts[-1].update(block.raw)
    else:
        parts.append(block.raw)


def _model_parts(message: Message, *, own: bool) -> list[Part]:
    parts: list[Part] = []
    for block in message.content:
        if isinstance(block, ToolResult):
            raise ConfigurationError(
                "an assistant message holds a ToolResult; results stand in the user message after it"
            )
        if isinstance(block, Opaque):
            if own:
                _add_opaque(parts, block)
        elif (part := _model_part(block, own)) is not None:
            parts.append(part)
    return parts


def _model_part(block: Block, own: bool) -> Part | None:
    extra = (getattr(block, "extra", None) or {}) if own else {}
    match block:
        case Text():
            return {"text": block.text, **extra} if block.text or extra else None
        case Thinking():
            if not own or not (block.text or block.signature):
                return None
            signed = {} if block.signature is None else {SIGNATURE: block.signature}
            return {"text": block.text, "thought": True, **signed, **extra}
        case ToolUse():
            return _call(block, own, extra)
        case ServerToolUse() | ServerToolResult():
            return extra or None
        case Image() | Audio() | Video() | Document():
            # Another provider's picture: this one takes none but its own in the model's turns.
            return _file(block) if own else {"text": f"[{block.media_type} omitted]"}
    return None


def _call(use: ToolUse, own: bool, extra: Mapping[str, Any]) -> Part:
    arguments = use.input if use.invalid_input is None else _invalid(use.invalid_input)
    call: Part = {"name": wire_name(use.name), "args": arguments}
    ident = _sent_id(use, own)
    if ident is not None:
        call = {"id": ident, **call}
    beside = {key: value for key, value in extra.items() if key not in ("functionCall", MADE_ID)}
    return {"functionCall": {**call, **extra.get("functionCall", {})}, **beside}


def _invalid(raw: str) -> dict[str, Any]:
    # The wire takes an object only; the model sees what it wrote.
    value, invalid = parse_arguments(raw)
    return {"_invalid": raw} if invalid is not None else value


def _sent_id(use: ToolUse, own: bool) -> str | None:
    return None if own and use.extra and use.extra.get(MADE_ID) else use.id


def _sign_first_call(parts: list[Part]) -> None:
    for place, part in enumerate(parts):
        if "functionCall" in part:
            if SIGNATURE not in part:
                parts[place] = {**part, SIGNATURE: NO_SIGNATURE}
            return
