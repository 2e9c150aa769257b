"""Items of the Responses protocol and blocks of ours, in both directions.

An answer is a list of items: messages, reasoning, calls, and whatever the vendor's own tools left behind.
What an item carries beside the words (its id, ``phase``, ``namespace``, ``caller``) is kept in the block's
``extra``, and goes back to the origin, and only there, as it came. Null fields are left out: the vendor
writes them but does not take them back everywhere.

Two links between items have to hold, or the vendor answers 400. Reasoning stands directly before the item
that it produced, so reasoning that nothing follows any more (its call was cut off) is left out. An item with
an id wants the reasoning that produced it, so where reasoning cannot be sent the items after it go without
ids.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from alloy_trio.values import (
    Block,
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

Item: TypeAlias = dict[str, Any]

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

_REFUSAL = "refusal_part"  # in a Text's extra: it came as the content part "refusal"


# From items to blocks


def blocks_of(item: Item, provider: str) -> list[Block]:
    """What an output item becomes. Every item becomes something, except an empty message."""
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


def call_id_of(item: Item) -> str:
    """What names a call: the vendor's ``call_id``, else the item's own id."""
    for value in (item.get("call_id"), item.get("id")):
        if isinstance(value, str) and value:
            return value
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
                    blocks.append(Text(text, extra={**(fields or {}), _REFUSAL: True}))
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


def _function_call(item: Item, provider: str) -> list[Block]:
    raw = _arguments(item)
    arguments, invalid = parse_arguments(raw)
    extra = _rest(item, "type", "call_id", "name", "arguments") or {}
    if invalid is None and raw.encode("utf-8", "surrogatepass") != dump(arguments):
        extra["arguments"] = raw  # sent back as written, else the vendor's prefix cache misses from here on
    return [ToolUse(call_id_of(item), str(item.get("name") or ""), arguments, invalid, extra=extra or None)]


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
    "function_call": _function_call,
    "web_search_call": _server_call("web_search", "action", None),
    "file_search_call": _server_call("file_search", "queries", "results"),
    "code_interpreter_call": _server_call("code_interpreter", "code", "outputs"),
    "image_generation_call": _server_call("image_generation", "revised_prompt", "result"),
    "mcp_call": _server_call("mcp", "arguments", "output"),
}


# From blocks to items


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
    return "call_" + hashlib.sha256(ident.encode("utf-8", "surrogatepass")).hexdigest()[:32]


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
                items.append(_output_item(block, callers))
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


def _output_item(result: ToolResult, callers: Mapping[str, Any]) -> Item:
    content = result.content
    output: Any = content if isinstance(content, str) else [_input_part(block) for block in content]
    call_id = wire_call_id(result.tool_use_id)
    item: Item = {"type": "function_call_output", "call_id": call_id, "output": output}
    if result.tool_use_id in callers:
        item["caller"] = callers[result.tool_use_id]
    return item


def _input_part(block: ResultBlock) -> Item:
    if isinstance(block, Text):
        return {"type": "input_text", "text": block.text}
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
    return items


def _add_text(items: list[Item], block: Text, extra: Mapping[str, Any], linked: bool) -> None:
    if not block.text:
        return
    if linked and "id" in extra:
        fields = {key: value for key, value in extra.items() if key != _REFUSAL}
        part: Item = (
            {"type": "refusal", "refusal": block.text}
            if _REFUSAL in extra
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
