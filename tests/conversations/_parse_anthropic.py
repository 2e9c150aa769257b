"""Anthropic Messages, read without the package's codec."""

from __future__ import annotations

import base64
import json
from typing import Any

from alloy_trio.providers import Anthropic
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

_OWN = {
    "model",
    "messages",
    "system",
    "tools",
    "tool_choice",
    "max_tokens",
    "temperature",
    "thinking",
    "stream",
}


def parse(request: dict[str, Any], provider: str, model: str) -> Parsed:
    messages: list[Message] = []
    for message in request["messages"]:
        role = message["role"]
        blocks = [_block(block, provider) for block in _list(message["content"])]
        if role == "assistant" and messages and messages[-1].role == role:
            blocks = [*messages.pop().content, *blocks]  # the vendor takes them for one turn
        messages.append(Message(role, blocks, Origin(provider, model) if role == "assistant" else None))
    extra = {key: value for key, value in request.items() if key not in _OWN}
    tools = request.get("tools") or []
    specs = [_spec(tool) for tool in tools if "input_schema" in tool or tool["type"].startswith("memory_")]
    server = [
        ServerTool(tool["name"], {key: value for key, value in tool.items() if key != "name"})
        for tool in tools
        if "input_schema" not in tool and not tool["type"].startswith("memory_")
    ]
    known = {"name", "description", "input_schema", "strict", "type"}
    if any(
        set(tool) - known or tool.get("type", "").startswith("memory_")
        for tool in tools
        if tool["name"] in {s.name for s in specs}
    ):
        extra["tools"] = tools  # fields that a ToolSpec does not have: sent as they are
    schema = None
    output = request.get("output_config")
    if output is not None and set(output) == {"format"} and set(output["format"]) == {"type", "schema"}:
        schema = extra.pop("output_config")["format"]["schema"]
    choice = request.get("tool_choice")
    named = None
    if choice is not None:
        if set(choice) - {"type", "name"}:
            extra["tool_choice"] = choice
        else:
            named = {"auto": "auto", "any": "required", "none": "none"}.get(
                choice["type"], choice.get("name")
            )
    return Parsed(
        messages=tuple(messages),
        system="\n\n".join(_texts(request.get("system"))) or None,
        tools=tuple(specs),
        server_tools=() if "tools" in extra else tuple(server),
        tool_choice=named,
        output_schema=schema,
        provider_options={
            key: request[key] for key in ("max_tokens", "temperature", "thinking") if request.get(key)
        },
        extra_body=extra,
    )


def _spec(tool: dict[str, Any]) -> ToolSpec:
    schema = tool.get("input_schema", {"type": "object"})
    return ToolSpec(tool["name"], tool.get("description") or "", schema, bool(tool.get("strict")))


def _list(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def _texts(content: Any) -> list[str]:
    return [block["text"] for block in _list(content)]


def _block(block: dict[str, Any], provider: str) -> Block:
    match block["type"]:
        case "text":
            return Text(block["text"], block.get("citations") or ())
        case "thinking":
            return Thinking(block["thinking"], block["signature"])
        case "redacted_thinking":
            return Thinking("", redacted=block["data"])
        case "tool_use":
            return ToolUse(block["id"], block["name"], block["input"])
        case "tool_result":
            content = block.get("content") or ""
            if not isinstance(content, str):
                content = [_block(part, provider) for part in content]
                content = content[0].text if len(content) == 1 and isinstance(content[0], Text) else content
            return ToolResult(block["tool_use_id"], content, bool(block.get("is_error")))
        case "image" | "document" if set(block) == {"type", "source"}:
            kind = Image if block["type"] == "image" else Document
            source = block["source"]
            if source["type"] == "base64":
                return kind(source["media_type"], base64.b64decode(source["data"], validate=True))
            if source["type"] == "url":
                return kind("image/*" if kind is Image else "application/pdf", url=source["url"])
            if source["type"] == "text":
                return kind(source["media_type"], source["data"].encode())
    return Opaque(provider, block)


def entries(request: dict[str, Any]) -> list[Entry]:
    found: list[Entry] = [
        ("system", "text", text) for text in ["\n\n".join(_texts(request.get("system")))] if text
    ]
    for message in request["messages"]:
        for block in _list(message["content"]):
            found.append((message["role"], *_said(block)))
    return found


def _said(block: dict[str, Any]) -> tuple[str, Any]:
    match block["type"]:
        case "text":
            return "text", block["text"]
        case "tool_use":
            return "call", {"id": block["id"], "name": block["name"], "arguments": block["input"]}
        case "tool_result":
            said = [_said(part) for part in _list(block.get("content"))]
            return "result", {
                "id": block["tool_use_id"],
                "content": said,
                "error": bool(block.get("is_error")),
            }
        case "thinking" | "redacted_thinking":
            return "reasoning", block
    return "other", block


def settings(request: dict[str, Any]) -> dict[str, Any]:
    rest = {
        key: value
        for key, value in request.items()
        if key not in ("messages", "system") and value is not None
    }
    if not rest.get("tools"):
        rest.pop("tools", None)
    else:
        tools = [
            {**tool, "description": tool.get("description") or "", "strict": bool(tool.get("strict"))}
            if "input_schema" in tool
            else tool
            for tool in rest["tools"]
        ]
        rest["tools"] = sorted(tools, key=lambda tool: tool["name"])
    return rest


def answer(body: str, streamed: bool) -> Answer:
    if not streamed:
        content = json.loads(body)["content"]
    else:
        blocks: dict[int, dict[str, Any]] = {}
        for event in sse_objects(body):
            if event["type"] == "content_block_start":
                blocks[event["index"]] = {**event["content_block"], "json": ""}
            elif event["type"] == "content_block_delta":
                delta, block = event["delta"], blocks[event["index"]]
                if delta["type"] == "text_delta":
                    block["text"] += delta["text"]
                elif delta["type"] == "input_json_delta":
                    block["json"] += delta["partial_json"]
        content = [blocks[index] for index in sorted(blocks)]
        for block in content:
            if block["type"] == "tool_use" and block["json"]:
                block["input"] = arguments(block["json"])
    return Answer(
        "".join(block["text"] for block in content if block["type"] == "text"),
        tuple(
            (block["id"], block["name"], block["input"]) for block in content if block["type"] == "tool_use"
        ),
    )


def _provider(url: str, model: str, parsed: Parsed) -> Anthropic:
    return Anthropic(
        model=model, base_url=url, api_key="sk-test", extra_body=parsed.extra_body, **parsed.provider_options
    )


WIRE = Wire(
    family="anthropic",
    endpoint="messages",
    parse=parse,
    entries=entries,
    settings=settings,
    answer=answer,
    provider=_provider,
    provider_name="anthropic",
    # A result of the vendor's own tool that went back counts: "web_search_tool_result", "mcp_tool_result", …
    answered=lambda request: any(
        block["type"].endswith("tool_result")
        for message in request["messages"]
        for block in _list(message["content"])
    ),
)
