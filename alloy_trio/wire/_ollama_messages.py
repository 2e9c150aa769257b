"""Messages as Ollama's ``/api/chat`` writes them.

Four roles, each message with one text and beside it its pictures, as bytes. Results of tools are messages of
their own; the wire knows them by the tool's name and, since 0.12, by the call's id.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
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


def render_message(
    message: Message, settings: WireSettings, names: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The wire's messages for one of ours, none if nothing of it may go there.

    Args:
        message: what to write.
        settings: says who asks; reasoning returns to its origin only.
        names: the tools' names by the id of the call that is answered.

    Raises:
        ConfigurationError: the wire cannot carry a block of the user's.
    """
    return _assistant(message, settings) if message.role == "assistant" else _user(message, names)


def _user(message: Message, names: Mapping[str, str]) -> list[dict[str, Any]]:
    rendered: list[dict[str, Any]] = []
    texts: list[str] = []
    images: list[str] = []
    said = False
    for block in message.content:
        if isinstance(block, ToolResult):
            rendered.append(_result(block, names.get(block.tool_use_id)))
            continue
        said = said or isinstance(block, Text)
        _take(block, texts, images)
    if texts or images or (said and not rendered):
        rendered.append(_with_images({"role": "user", "content": "\n\n".join(texts)}, images))
    return rendered


def _result(result: ToolResult, name: str | None) -> dict[str, Any]:
    texts: list[str] = []
    images: list[str] = []
    for block in [Text(result.content)] if isinstance(result.content, str) else result.content:
        _take(block, texts, images)
    text = "\n".join(texts)
    if result.is_error and not text.lower().startswith("error"):
        text = f"Error: {text}"  # the wire has no flag for it
    rendered: dict[str, Any] = {"role": "tool", "content": text}
    if name is not None:
        rendered["tool_name"] = name
    return _with_images(rendered | {"tool_call_id": result.tool_use_id}, images)


def _with_images(rendered: dict[str, Any], images: list[str]) -> dict[str, Any]:
    return rendered | {"images": images} if images else rendered


def _take(block: Block, texts: list[str], images: list[str]) -> None:
    if isinstance(block, Text):
        if block.text:
            texts.append(block.text)
    elif isinstance(block, Image):
        if block.data is None:
            raise ConfigurationError(
                "Ollama takes pictures as bytes only, but Image has a url; load it and give data=<bytes>"
            )
        images.append(base64.b64encode(block.data).decode("ascii"))
    elif isinstance(block, Document) and block.data is not None and block.media_type.startswith("text/"):
        text = block.data.decode("utf-8", "replace")
        texts.append(f"{block.title}:\n\n{text}" if block.title else text)
    elif isinstance(block, Document | Audio | Video):
        raise ConfigurationError(
            f"Ollama takes text and pictures, but a message holds {block.media_type}; send its text, or pictures "
            "of it as Image"
        )
    elif isinstance(block, ToolUse):
        raise ConfigurationError(
            "a user message holds a ToolUse; a tool call belongs into an assistant message"
        )
    # What is left only another vendor's model can read: Thinking, Opaque, server tools.


def _assistant(message: Message, settings: WireSettings) -> list[dict[str, Any]]:
    mine = message.origin is not None and message.origin == settings.origin
    texts: list[str] = []
    thoughts: list[str] = []
    calls: list[dict[str, Any]] = []
    for block in message.content:
        if isinstance(block, Text):
            texts.append(block.text)
        elif isinstance(block, ToolUse):
            calls.append({"id": block.id, "function": {"name": block.name, "arguments": _arguments(block)}})
        elif isinstance(block, Thinking):
            if mine:
                thoughts.append(block.text)
        elif isinstance(block, ToolResult):
            raise ConfigurationError(
                "an assistant message holds a ToolResult; results stand in the user message after it"
            )
        elif not isinstance(block, Opaque | ServerToolUse | ServerToolResult):
            texts.append(f"[{block.media_type} that cannot be shown here]")
    rendered: dict[str, Any] = {"role": "assistant", "content": "".join(texts)}
    if any(thoughts):
        rendered["thinking"] = "".join(thoughts)
    if calls:
        rendered["tool_calls"] = calls
    return [rendered] if len(rendered) > 2 or rendered["content"] else []


def _arguments(call: ToolUse) -> dict[str, Any]:
    """An object, always: what was none goes back as text in one."""
    if call.invalid_input is not None:
        return {"invalid_json": call.invalid_input}
    try:
        dump(call.input)
    except ValueError:  # 1e999 is JSON to read but infinite to write
        return {"invalid_json": json.dumps(call.input)}
    return call.input


def without_images(rendered: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The messages' text alone, and how many pictures were left out of it."""
    images = sum(len(message.get("images", ())) for message in rendered)
    if not images:
        return list(rendered), 0
    return [{k: v for k, v in message.items() if k != "images"} for message in rendered], images
