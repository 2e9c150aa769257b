"""Messages as Chat Completions writes them.

The wire knows four roles and one message per tool result; ours knows two. So a user message becomes its
results, each a ``tool`` message, and then one ``user`` message with the rest. Results are text here: their
pictures and documents follow in that user message, under a line that says whose they are.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import string
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
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Video,
)

from ._codec import WireSettings, dump
from ._dialects import Dialect

MESSAGE_FIELDS = ("reasoning_details", "extra_content", "thought_signature")
"""Fields of an answer's message that its host wants back as they came: OpenRouter's and Gemini's."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_OWN_NAME = re.compile(r"[a-zA-Z0-9_.:/-]{1,128}")
_ALPHANUMERIC = string.digits + string.ascii_letters


def fit_id(ident: str, dialect: Dialect) -> str:
    """An id that the host accepts: the same one where it can be, else nine letters and digits made of it."""
    if re.fullmatch(dialect.tool_id_pattern, ident):
        return ident
    number = int.from_bytes(hashlib.sha256(ident.encode("utf-8", "surrogatepass")).digest())
    digits = []
    for _ in range(9):
        number, digit = divmod(number, len(_ALPHANUMERIC))
        digits.append(_ALPHANUMERIC[digit])
    return "".join(digits)


def _wire_id(ident: str, mine: bool, dialect: Dialect) -> str:
    # What a host named itself it knows again, whatever its documentation says.
    return ident if mine and not dialect.tool_id_strict else fit_id(ident, dialect)


def _wire_name(name: str, mine: bool) -> str:
    # Other providers allow names that hosts refuse, and a model may have called what no tool may be named.
    fits = _OWN_NAME if mine else _NAME
    return name if fits.fullmatch(name) else re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "_"


def render_message(
    message: Message,
    settings: WireSettings,
    dialect: Dialect,
    names: Mapping[str, str],
    answers_own: bool = False,
) -> list[dict[str, Any]]:
    """The wire's messages for one of ours, none if nothing of it may go there.

    Args:
        message: what to write.
        settings: says who asks; reasoning and unknown fields return to their origin only.
        dialect: the host's ways.
        names: tool names by the id of the call, for hosts that want them with the results.
        answers_own: the results in it are of calls that this host made: their ids are its own, and stay.

    Raises:
        ConfigurationError: the wire, or this host, cannot carry a block of the user's.
    """
    if message.role == "assistant":
        return _assistant(message, settings, dialect)
    return _user(message, settings, dialect, names, answers_own)


def _user(
    message: Message, settings: WireSettings, dialect: Dialect, names: Mapping[str, str], answers_own: bool
) -> list[dict[str, Any]]:
    rendered: list[dict[str, Any]] = []
    attached: list[dict[str, Any]] = []
    parts: list[dict[str, Any]] = []
    for block in message.content:
        if isinstance(block, ToolResult):
            ident = _wire_id(block.tool_use_id, answers_own, dialect)
            rendered.append(_tool_result(block, ident, settings, dialect, names, attached))
        else:
            part = _part(block, settings, dialect)
            if part is not None:
                parts.append(part)
    parts = attached + parts
    if rendered and parts and dialect.assistant_after_tool:
        rendered.append({"role": "assistant", "content": dialect.assistant_after_tool})
    if parts:
        plain = len(parts) == 1 and parts[0].get("type") == "text"
        rendered.append({"role": "user", "content": parts[0]["text"] if plain else parts})
    elif not rendered and any(isinstance(block, Text) for block in message.content):
        rendered.append({"role": "user", "content": ""})
    return rendered


def _tool_result(
    result: ToolResult,
    ident: str,
    settings: WireSettings,
    dialect: Dialect,
    names: Mapping[str, str],
    attached: list[dict[str, Any]],
) -> dict[str, Any]:
    text = result.text
    blocks = () if isinstance(result.content, str) else result.content
    parts = [_part(block, settings, dialect) for block in blocks if not isinstance(block, Text)]
    media = [part for part in parts if part is not None]
    if media:
        attached.append({"type": "text", "text": f"What the tool call {ident} returned besides text:"})
        attached.extend(media)
        text = f"{text}\n(more follows in the next user message)" if text else "(see the next user message)"
    if result.is_error and not text.lower().startswith("error"):
        # The wire has no flag for it.
        text = f"Error: {text}"
    rendered = {"role": "tool", "tool_call_id": ident, "content": text}
    if dialect.tool_result_name and result.tool_use_id in names:
        rendered["name"] = names[result.tool_use_id]
    return rendered


def _part(block: Block, settings: WireSettings, dialect: Dialect) -> dict[str, Any] | None:
    if isinstance(block, Text):
        return {"type": "text", "text": block.text} if block.text else None
    if isinstance(block, Image | Audio | Video | Document):
        return _media(block, dialect)
    if isinstance(block, Opaque):
        return block.raw if block.provider == settings.provider else None
    if isinstance(block, ServerToolUse | ServerToolResult | Thinking):
        return None
    raise ConfigurationError(
        f"a user message holds a {type(block).__name__}; a tool call belongs into an assistant message"
    )


def _media(block: Image | Audio | Video | Document, dialect: Dialect) -> dict[str, Any]:
    if isinstance(block, Image):
        return {"type": "image_url", "image_url": {"url": _url(block)}}
    if isinstance(block, Audio):
        if block.data is None:
            raise ConfigurationError(
                "Chat Completions takes audio as bytes only, but Audio has a url; give data=<bytes> instead"
            )
        kind = block.media_type.partition("/")[2].partition(";")[0].removeprefix("x-")
        kind = {"mpeg": "mp3", "wave": "wav", "vnd.wave": "wav", "mp4": "m4a"}.get(kind, kind)
        return {"type": "input_audio", "input_audio": {"data": _base64(block.data), "format": kind}}
    if isinstance(block, Video):
        if not dialect.video:
            raise ConfigurationError(
                "this host takes no video in Chat Completions; send single pictures as Image, or use another "
                "provider (Gemini, OpenRouter)"
            )
        return {"type": "video_url", "video_url": {"url": _url(block)}}
    if block.data is not None and block.media_type.partition(";")[0].startswith("text/"):
        text = block.data.decode("utf-8", "replace")
        return {"type": "text", "text": f"{block.title}:\n\n{text}" if block.title else text}
    if dialect.documents == "document_url":
        return {"type": "document_url", "document_url": _url(block)}
    if dialect.documents is None:
        raise ConfigurationError(
            f"this host takes no documents ({block.media_type}) in Chat Completions; send their text instead"
        )
    if block.data is None and not dialect.document_urls:
        raise ConfigurationError(
            "this host takes documents as bytes only, but Document has a url; load it and give data=<bytes>"
        )
    name = block.title or _file_name(block.media_type)
    return {"type": "file", "file": {"filename": name, "file_data": _url(block)}}


def _file_name(media_type: str) -> str:
    subtype = media_type.partition("/")[2].partition(";")[0]
    return f"document.{subtype}" if subtype.isalnum() else "document"


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _url(block: Image | Audio | Video | Document) -> str:
    return block.url if block.data is None else f"data:{block.media_type};base64,{_base64(block.data)}"  # type: ignore[return-value]


def _assistant(message: Message, settings: WireSettings, dialect: Dialect) -> list[dict[str, Any]]:
    mine = message.origin is not None and message.origin == settings.origin
    text = "".join(_assistant_text(block) for block in message.content)
    calls = [_tool_call(block, mine, dialect) for block in message.content if isinstance(block, ToolUse)]
    fields: dict[str, Any] = {}
    chunks: list[dict[str, Any]] = []
    if mine:
        for block in message.content:
            if isinstance(block, Opaque) and block.provider == settings.provider:
                _replay_opaque(block.raw, fields, chunks)
        _replay_reasoning(message, bool(calls), dialect, fields, chunks)
    if dialect.reasoning_required:
        fields.setdefault(dialect.reasoning_field, "")
    if not (text or calls or chunks or any(value for value in fields.values())):
        return []
    content: Any = text
    if chunks:
        content = [*chunks, {"type": "text", "text": text}] if text else chunks
    elif not text:
        content = dialect.empty_content if calls else ""
    rendered: dict[str, Any] = {"role": "assistant", "content": content, **fields}
    if calls:
        rendered["tool_calls"] = calls
    return [rendered]


def _assistant_text(block: Block) -> str:
    if isinstance(block, Image | Audio | Video | Document):
        # Another vendor's model made it; no host takes it back from the assistant's side.
        return f"[{block.media_type} that cannot be shown here]"
    return block.text if isinstance(block, Text) else ""


def _tool_call(call: ToolUse, mine: bool, dialect: Dialect) -> dict[str, Any]:
    extra = dict(call.extra or {}) if mine else {}
    rendered: dict[str, Any] = {"id": _wire_id(call.id, mine, dialect), "type": "function"}
    if extra.pop("type", None) == "custom":
        rendered["type"] = "custom"
        rendered["custom"] = {"name": call.name, "input": call.input.get("input", "")}
    else:
        rendered["function"] = {"name": _wire_name(call.name, mine), "arguments": _arguments(call)}
    if "extra_content" in extra:
        rendered["extra_content"] = extra["extra_content"]
    return rendered


def _arguments(call: ToolUse) -> str:
    # What the model wrote goes back as valid JSON, which hosts insist on, and readable to the model.
    if call.invalid_input is not None:
        return dump({"invalid_json": call.invalid_input}).decode()
    try:
        return dump(call.input).decode()
    except ValueError:  # 1e999 is JSON to read but infinite to write
        return dump({"invalid_json": json.dumps(call.input)}).decode()


def _replay_opaque(raw: dict[str, Any], fields: dict[str, Any], chunks: list[dict[str, Any]]) -> None:
    if "type" in raw:
        chunks.append(raw)
    elif isinstance(raw.get("audio"), dict):
        fields["audio"] = {"id": raw["audio"].get("id")}
    else:
        for name, value in raw.items():
            if isinstance(value, list) and isinstance(fields.get(name), list):
                fields[name] = fields[name] + value
            else:
                fields[name] = value


def _replay_reasoning(
    message: Message, calls: bool, dialect: Dialect, fields: dict[str, Any], chunks: list[dict[str, Any]]
) -> None:
    replay = dialect.reasoning_replay == "always" or (calls and dialect.reasoning_replay == "with_tool_calls")
    thoughts = [block for block in message.content if isinstance(block, Thinking)]
    for thought in thoughts:
        for name, value in (thought.extra or {}).items():
            if name in MESSAGE_FIELDS and (replay or name != "reasoning_details"):
                fields[name] = fields[name] + value if isinstance(fields.get(name), list) else value
    if not replay:
        return
    if dialect.reasoning_field == "content":
        written = [_thinking_chunk(thought) for thought in thoughts if thought.text]
        chunks[:0] = written
    elif "reasoning_details" not in fields:
        text = "".join(thought.text for thought in thoughts)
        if text:
            fields[dialect.reasoning_field] = text


def _thinking_chunk(thought: Thinking) -> dict[str, Any]:
    chunk: dict[str, Any] = {"type": "thinking", "thinking": [{"type": "text", "text": thought.text}]}
    if thought.signature is not None:
        chunk["signature"] = thought.signature
    return chunk
