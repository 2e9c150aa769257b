"""OpenAI Responses, read without the package's codec."""

from __future__ import annotations

import base64
import json
from typing import Any

from alloy_trio.providers import OpenAI
from alloy_trio.values import (
    Block,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    ServerTool,
    Text,
    Thinking,
    ToolResult,
    ToolSpec,
    ToolUse,
)

from ._model import Answer, Entry, Parsed, Wire, arguments, sse_objects

_OWN = {"model", "input", "instructions", "tools", "tool_choice", "temperature", "stream", "text"}
_MODEL_ITEMS = ("function_call", "reasoning", "message")


def parse(request: dict[str, Any], provider: str, model: str) -> Parsed:
    messages: list[Message] = []
    for item in _dialogue(request):
        role = _role(item)
        blocks = _blocks(item, role, provider)
        if messages and messages[-1].role == role:
            blocks = [*messages[-1].content, *blocks]
            messages.pop()
        messages.append(Message(role, blocks, Origin(provider, model) if role == "assistant" else None))
    extra = {key: value for key, value in request.items() if key not in _OWN}
    tools = request.get("tools") or []
    known = {"type", "name", "description", "parameters", "strict"}
    if any(set(tool) - known for tool in tools if tool["type"] == "function"):
        extra["tools"] = tools  # fields that a ToolSpec does not have: sent as they are
    loaded = [
        tool for item in _items(request) for tool in item.get("tools") or () if tool["type"] == "function"
    ]
    if loaded:
        extra["tools"] = tools  # the others came into the conversation by an item of it: run, but not listed
    schema = None
    if (text := request.get("text")) is not None:
        if set(text) == {"format"} and text["format"]["type"] == "json_schema":
            schema = text["format"]["schema"]
        else:
            extra["text"] = text
    return Parsed(
        messages=tuple(messages),
        system="\n\n".join(_system(request)) or None,
        tools=tuple(
            ToolSpec(
                tool["name"], tool.get("description") or "", tool["parameters"], bool(tool.get("strict"))
            )
            for tool in {
                tool["name"]: tool for tool in [*tools, *loaded] if tool["type"] == "function"
            }.values()
        ),
        server_tools=tuple(
            ServerTool(tool["type"], {key: value for key, value in tool.items() if key != "type"})
            for tool in tools
            if tool["type"] != "function" and "tools" not in extra
        ),
        tool_choice=request.get("tool_choice"),
        output_schema=schema,
        provider_options={"temperature": request["temperature"]}
        if request.get("temperature") is not None
        else {},
        extra_body=extra,
    )


def _items(request: dict[str, Any]) -> list[dict[str, Any]]:
    given = request["input"]
    return [{"role": "user", "content": given}] if isinstance(given, str) else given


def _is_system(item: dict[str, Any]) -> bool:
    return item.get("role") in ("system", "developer") and item.get("type", "message") == "message"


def _system(request: dict[str, Any]) -> list[str]:
    """The instructions, and the texts of the system messages before the dialogue."""
    texts = [request["instructions"]] if request.get("instructions") else []
    for item in _items(request):
        if not _is_system(item):
            break
        said = [_part_said(part) for part in _parts(item["content"])]
        texts.append("".join(words for kind, words in said if kind == "text"))
    return texts


def _dialogue(request: dict[str, Any]) -> list[dict[str, Any]]:
    items = _items(request)
    start = next((place for place, item in enumerate(items) if not _is_system(item)), len(items))
    return items[start:]


def _role(item: dict[str, Any]) -> str:
    kind = item.get("type", "message")
    if kind == "message":
        return "assistant" if item["role"] == "assistant" else "user"
    return "user" if kind.endswith("_output") or kind == "additional_tools" else "assistant"


def _parts(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _blocks(item: dict[str, Any], role: str, provider: str) -> list[Block]:
    match item.get("type", "message"):
        case "message" if role == "assistant":
            rest = {key: value for key, value in item.items() if key not in ("type", "role", "content")}
            return [
                Text(part["text"], part.get("annotations") or (), extra=rest or None)
                for part in _parts(item["content"])
            ]
        case "message":
            return [_part(part, provider) for part in _parts(item["content"])]
        case "function_call":
            given = arguments(item["arguments"])
            rest = {key: value for key, value in item.items() if key not in ("type", "call_id", "name")}
            return [ToolUse(item["call_id"], item["name"], given, extra=rest)]
        case "function_call_output":
            output = item["output"]
            if not isinstance(output, str):
                output = [_part(part, provider, within=True) for part in output]
            return [ToolResult(item["call_id"], output)]
        case "reasoning":
            rest = {key: value for key, value in item.items() if key not in ("type", "encrypted_content")}
            return [Thinking("", item.get("encrypted_content"), extra=rest)]
    return [Opaque(provider, item)]


def _part(part: dict[str, Any], provider: str, *, within: bool = False) -> Any:
    match part:
        case {"type": "input_text" | "text" | "output_text", "text": text}:
            return Text(text)
        case {"type": "input_image", "image_url": url} if part.get("detail", "auto") == "auto":
            return Image(*_data(url)) if url.startswith("data:") else Image("image/*", url=url)
        case {"type": "input_file", "file_data": url, "filename": name}:
            return Document(*_data(url), title=name)
        case {"type": "input_file", "file_url": url}:
            return Document("application/octet-stream", url=url)
    # A part that no block holds. Outside of a result it is a message of its own.
    return Opaque(provider, part if within else {"role": "user", "content": [part]})


def _data(url: str) -> tuple[str, bytes]:
    head, _, data = url.removeprefix("data:").partition(";base64,")
    return head, base64.b64decode(data, validate=True)


def entries(request: dict[str, Any]) -> list[Entry]:
    found: list[Entry] = [("system", "text", text) for text in ["\n\n".join(_system(request))] if text]
    for item in _dialogue(request):
        role = item.get("role") if item.get("type", "message") == "message" else _role(item)
        found += [(role, *said) for said in _said(item)]
    return found


def _said(item: dict[str, Any]) -> list[tuple[str, Any]]:
    match item.get("type", "message"):
        case "message":
            return [_part_said(part) for part in _parts(item["content"])]
        case "function_call":
            value = {"id": item["call_id"], "name": item["name"], "arguments": arguments(item["arguments"])}
            value["namespace"] = item.get("namespace")
            return [("call", value)]
        case "function_call_output":
            said = [_part_said(part) for part in _parts(item["output"])]
            return [("result", {"id": item["call_id"], "content": said})]
        case "reasoning":
            return [("reasoning", {key: value for key, value in item.items() if value})]
    return [("other", item)]


def _part_said(part: dict[str, Any]) -> tuple[str, Any]:
    return (
        ("text", part["text"]) if part["type"] in ("input_text", "output_text", "text") else ("other", part)
    )


def settings(request: dict[str, Any]) -> dict[str, Any]:
    rest = {
        key: value
        for key, value in request.items()
        if key not in ("input", "instructions") and value is not None
    }
    if not rest.get("tools"):
        rest.pop("tools", None)
    else:
        tools = [
            {**tool, "description": tool.get("description") or "", "strict": bool(tool.get("strict"))}
            if tool["type"] == "function"
            else tool
            for tool in rest["tools"]
        ]
        rest["tools"] = sorted(tools, key=lambda tool: (tool["type"], tool.get("name", "")))
    return rest


def answer(body: str, streamed: bool) -> Answer:
    if streamed:
        last = [event for event in sse_objects(body) if event.get("type", "").startswith("response.")][-1]
        output = last["response"]["output"]
    else:
        output = json.loads(body)["output"]
    words = [
        part.get("text", part.get("refusal", ""))
        for item in output
        if item["type"] == "message"
        for part in item["content"]
    ]
    calls = [item for item in output if item["type"] == "function_call"]
    return Answer(
        "".join(words),
        tuple((call["call_id"], call["name"], arguments(call["arguments"])) for call in calls),
        tuple(item["arguments"] for item in output if item["type"] == "tool_search_call"),
        tuple(call.get("namespace") for call in calls),
    )


def same_reasoning(record: dict[str, Any]) -> dict[str, str]:
    """Each form of a stream's reasoning items: the vendor encrypts anew in each event that holds the item."""
    if record["response_kind"] != "sse":
        return {}
    found = {}
    for event in sse_objects(record["body"]):
        items = [event["item"]] if "item" in event else (event.get("response") or {}).get("output") or []
        for item in items:
            if item["type"] == "reasoning" and item.get("encrypted_content"):
                found[item["encrypted_content"]] = f"encrypted reasoning of {item['id']}"
    return found


def whole(request: dict[str, Any], records: list[dict[str, Any]]) -> dict[str, Any]:
    """Put back the conversation that the vendor kept: ours travels whole with each request."""
    if previous := request.get("previous_response_id"):
        earlier = next(record for record in records if _output(record).get("id") == previous)
        before = whole(earlier["request"], records)
        kept = [*_items(before), *_output(earlier)["output"]]
    elif name := request.get("conversation"):
        kept = []
        for record in records:
            if record["request"] == request:
                break
            if record["request"].get("conversation") == name:
                kept += [*_items(record["request"]), *_output(record)["output"]]
    else:
        return request
    rest = {
        key: value for key, value in request.items() if key not in ("previous_response_id", "conversation")
    }
    return {**rest, "input": [*kept, *_items(request)]}


def _output(record: dict[str, Any]) -> dict[str, Any]:
    """The answer as a response object."""
    if record["response_kind"] != "sse":
        return json.loads(record["body"])
    return [event for event in sse_objects(record["body"]) if "response" in event][-1]["response"]


def _provider(url: str, model: str, parsed: Parsed) -> OpenAI:
    return OpenAI(
        model=model,
        base_url=f"{url}/v1",
        api_key="sk-test",
        extra_body=parsed.extra_body,
        **parsed.provider_options,
    )


WIRE = Wire(
    family="openai_responses",
    endpoint="responses",
    parse=parse,
    entries=entries,
    settings=settings,
    answer=answer,
    provider=_provider,
    provider_name="openai",
    whole=whole,
    same=same_reasoning,
    answered=lambda request: any(item.get("type") == "function_call_output" for item in _items(request)),
)
