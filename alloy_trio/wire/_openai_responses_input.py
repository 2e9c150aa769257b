"""Messages of ours as the Responses protocol's input items.

What is private to the origin (ids, encrypted reasoning, the vendor's own items) goes back there only, and as
it came. Two links between items have to hold, or the vendor answers 400. Reasoning stands directly before the
item that it produced, so reasoning that nothing follows any more (its call was cut off) is left out. An item
with an id wants the reasoning that produced it, so where reasoning cannot be sent the items after it go
without ids.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from alloy_trio.values import (
    ConfigurationError,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    ResultBlock,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)

from ._codec import dump, parse_arguments
from ._openai_responses_items import REFUSAL, Item, digest

MAX_CALL_ID = 64
"""The vendor's limit of ``call_id``; ids of other providers may be longer."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

_EXTENSIONS = {
    "application/msword": "doc",
    "application/vnd.ms-excel": "xls",
    "application/vnd.ms-powerpoint": "ppt",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
}
"""Where the extension is not the media type's second half. The vendor goes by the file name's extension."""


def items_of(message: Message, origin: Origin, callers: Mapping[str, Any]) -> list[Item]:
    """What a message is on the wire.

    Args:
        message: a turn of the conversation.
        origin: who is asked; what is private to another origin is left out.
        callers: by call id, who made the calls that this message answers, where the vendor said.

    Raises:
        ConfigurationError: the message holds what the protocol cannot carry.
    """
    if message.role == "user":
        return _user_items(message, origin, callers)
    return _assistant_items(message, own=message.origin == origin)


def callers_of(message: Message, origin: Origin) -> dict[str, Any]:
    """The calls of a message that the vendor's own program made; their results have to name it again."""
    if message.origin != origin:
        return {}
    return {use.id: use.extra["caller"] for use in message.tool_uses if use.extra and "caller" in use.extra}


def wire_call_id(ident: str) -> str:
    """A call's id as the vendor takes it: the same for the call and its result."""
    if 0 < len(ident) <= MAX_CALL_ID:
        return ident
    return "call_" + digest(ident)[:32]


def wire_name(name: str) -> str:
    """A tool's name as the vendor takes it. A model may have called what no tool may be named."""
    return name if _NAME.fullmatch(name) else re.sub(r"[^a-zA-Z0-9_-]", "_", name)[:64] or "_"


def _user_items(message: Message, origin: Origin, callers: Mapping[str, Any]) -> list[Item]:
    items: list[Item] = []
    parts: list[Item] = []
    for block in message.content:
        if isinstance(block, ToolResult | Opaque) and parts:
            items.append({"role": "user", "content": parts})
            parts = []
        match block:
            case ToolResult():
                items.append(_output_item(block, origin, callers))
            case Opaque():
                if block.provider == origin.provider:
                    items.append(block.raw)
            case Text() | Image() | Document():
                parts.append(_input_part(block))
            case _:
                raise ConfigurationError(
                    f"a user message holds {type(block).__name__}, which the Responses protocol cannot "
                    "carry; it takes Text, Image, Document and ToolResult"
                )
    if parts:
        items.append({"role": "user", "content": parts})
    return items


def _output_item(result: ToolResult, origin: Origin, callers: Mapping[str, Any]) -> Item:
    content = result.content
    output: Any = content
    if not isinstance(content, str):
        kept = (b for b in content if not isinstance(b, Opaque) or b.provider == origin.provider)
        output = [_input_part(block) for block in kept] or ""
    call_id = wire_call_id(result.tool_use_id)
    item: Item = {"type": "function_call_output", "call_id": call_id, "output": output}
    if result.tool_use_id in callers:
        item["caller"] = callers[result.tool_use_id]
    return item


def _input_part(block: ResultBlock) -> Item:
    if isinstance(block, Text):
        return {"type": "input_text", "text": block.text}
    if isinstance(block, Opaque):
        return block.raw
    if isinstance(block, Image):
        return {"type": "input_image", "detail": "auto", "image_url": block.url or _data_url(block)}
    if block.data is None:
        return {"type": "input_file", "file_url": block.url}
    if block.media_type.startswith("text/"):
        # As text: every server of this protocol reads it, files only some.
        text = block.data.decode("utf-8", "replace")
        return {"type": "input_text", "text": f"{block.title}:\n{text}" if block.title else text}
    return {"type": "input_file", "filename": _file_name(block), "file_data": _data_url(block)}


def _data_url(block: Image | Document) -> str:
    return f"data:{block.media_type};base64,{base64.b64encode(block.data or b'').decode()}"


def _file_name(block: Document) -> str:
    kind = block.media_type.partition(";")[0]
    ending = "." + _EXTENSIONS.get(kind, kind.rpartition("/")[2])
    name = block.title or "document"
    return name if name.lower().endswith(ending) else name + ending


def _assistant_items(message: Message, *, own: bool) -> list[Item]:
    items: list[Item] = []
    linked = True  # the reasoning so far could be sent, so ids may be
    for block in message.content:
        extra = (getattr(block, "extra", None) or {}) if own else {}
        match block:
            case Text():
                _add_text(items, block, extra, linked)
            case Thinking():
                if own and (block.signature is not None or extra.get("content")):
                    item = {"type": "reasoning", "summary": [], **extra}
                    if block.signature is not None:
                        item["encrypted_content"] = block.signature
                    items.append(item)
                else:
                    linked = False
            case ToolUse():
                items.append(_call_item(block, extra, linked))
            case ServerToolUse() | ServerToolResult():
                if extra:
                    items.append(extra)
            case Opaque():
                if own:
                    _add(items, block.raw)
            case ToolResult():
                raise ConfigurationError(
                    "an assistant message holds a ToolResult; results stand in the user message after it"
                )
            case _:
                # What another provider's model made; this one takes no media in its own turns.
                items.append({"role": "assistant", "content": f"[{block.media_type} omitted]"})
    while items and items[-1].get("type") == "reasoning":
        items.pop()
    for place, (item, after) in enumerate(pairwise(items)):
        if item.get("type") == "reasoning" and after.get("role") == "assistant" and "id" not in after:
            # By its id the vendor would look for the message that it wrote, and this is another.
            items[place] = {key: value for key, value in item.items() if key != "id"}
    if not own:
        # DeepSeek answers 400 to words between a call and its result, and that may be any server's reading.
        items.sort(key=lambda item: item.get("type") == "function_call")
    return items


def _add_text(items: list[Item], block: Text, extra: Mapping[str, Any], linked: bool) -> None:
    if not block.text:
        return
    if linked and "id" in extra:
        fields = {key: value for key, value in extra.items() if key != REFUSAL}
        part: Item = (
            {"type": "refusal", "refusal": block.text}
            if REFUSAL in extra
            else {"type": "output_text", "text": block.text, "annotations": list(block.citations)}
        )
        head = {"type": "message", "role": "assistant", "status": "completed"}
        _add(items, {**head, **fields, "content": [part]})
        return
    item: Item = {"role": "assistant", "content": block.text}
    if "phase" in extra:
        item["phase"] = extra["phase"]
    items.append(item)


def _add(items: list[Item], item: Item) -> None:
    # The parts of one message item were separate blocks; they are one item again.
    last = items[-1] if items else {}
    if item.get("type") == last.get("type") == "message" and "id" in item and item["id"] == last.get("id"):
        items[-1] = {**last, "content": [*last["content"], *item["content"]]}
    else:
        items.append(item)


def _call_item(use: ToolUse, extra: Mapping[str, Any], linked: bool) -> Item:
    written = extra.get("arguments")
    if use.invalid_input is not None:
        # Broken JSON is refused by some servers; the model sees what it wrote all the same.
        arguments = dump({"_invalid": use.invalid_input}).decode()
    elif isinstance(written, str) and parse_arguments(written)[0] == use.input:
        arguments = written
    else:
        arguments = dump(use.input).decode()
    fields = {key: value for key, value in extra.items() if key != "arguments" and (linked or key != "id")}
    return {
        "type": "function_call",
        "call_id": wire_call_id(use.id),
        "name": wire_name(use.name),
        "arguments": arguments,
        **fields,
    }


def render(items: Iterable[Item]) -> bytes:
    """Items as the inside of a JSON array."""
    return b",".join([dump(item) for item in items])
