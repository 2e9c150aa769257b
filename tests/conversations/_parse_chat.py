"""Chat Completions, read without the package's codec."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

from alloy_trio.providers import OpenAICompatible
from alloy_trio.values import (
    Block,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    Text,
    ToolResult,
    ToolSpec,
    ToolUse,
)

from ._model import Answer, Entry, Parsed, Wire, arguments, sse_objects

_OWN = {
    "model",
    "messages",
    "tools",
    "tool_choice",
    "temperature",
    "stream",
    "stream_options",
    "response_format",
}
_SYSTEM = ("system", "developer")


def parse(request: dict[str, Any], provider: str, model: str) -> Parsed:
    messages: list[Message] = []
    results: list[Block] = []
    for message in _dialogue(request):
        if message["role"] == "tool":
            results.append(_result(message, provider))
            continue
        if results:
            messages.append(Message.user(results))
            results = []
        if message["role"] == "user":
            messages.append(Message.user([_part(part, provider) for part in _parts(message)]))
        else:
            blocks: list[Block] = [_part(part, provider) for part in _parts(message)]
            blocks += [_use(call) for call in message.get("tool_calls") or ()]
            messages.append(Message("assistant", blocks, Origin(provider, model)))
    if results:
        messages.append(Message.user(results))
    extra = {key: value for key, value in request.items() if key not in _OWN}
    tools = request.get("tools") or []
    schema = None
    if (response_format := request.get("response_format")) is not None:
        if response_format["type"] == "json_schema":
            schema = response_format["json_schema"]["schema"]
        else:
            extra["response_format"] = response_format
    choice = request.get("tool_choice")
    return Parsed(
        messages=tuple(messages),
        system="\n\n".join(_system(request)) or None,
        tools=tuple(_spec(tool["function"]) for tool in tools),
        tool_choice=choice["function"]["name"] if isinstance(choice, dict) else choice,
        output_schema=schema,
        provider_options={"temperature": request["temperature"]}
        if request.get("temperature") is not None
        else {},
        extra_body=extra,
    )


def _spec(function: dict[str, Any]) -> ToolSpec:
    return ToolSpec(
        function["name"],
        function.get("description") or "",
        function["parameters"],
        bool(function.get("strict")),
    )


def _system(request: dict[str, Any]) -> list[str]:
    """The texts of the messages before the dialogue."""
    texts = []
    for message in request["messages"]:
        if message["role"] not in _SYSTEM:
            break
        texts.append("".join(part["text"] for part in _parts(message)))
    return texts


def _dialogue(request: dict[str, Any]) -> list[dict[str, Any]]:
    return request["messages"][len(_system(request)) :]


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content or []


def _part(part: dict[str, Any], provider: str) -> Block:
    match part:
        case {"type": "text", "text": text}:
            return Text(text)
        case {"type": "image_url", "image_url": {"url": url, **others}} if others.keys() <= {"detail"}:
            if url.startswith("data:"):
                return Image(*_data(url))
            return Image("image/*", url=url)
        case {"type": "file", "file": {"file_data": url, "filename": name, **others}} if not others:
            return Document(*_data(url), title=name)
    return Opaque(provider, part)


def _data(url: str) -> tuple[str, bytes]:
    head, _, data = url.removeprefix("data:").partition(";base64,")
    return head, base64.b64decode(data, validate=True)


def _result(message: dict[str, Any], provider: str) -> ToolResult:
    parts = _parts(message)
    if all(part["type"] == "text" for part in parts):
        return ToolResult(message["tool_call_id"], "".join(part["text"] for part in parts))
    return ToolResult(message["tool_call_id"], [_part(part, provider) for part in parts])


def _use(call: dict[str, Any]) -> ToolUse:
    given = arguments(call["function"]["arguments"])
    if not isinstance(given, dict):
        return ToolUse(call["id"], call["function"]["name"], {}, invalid_input=call["function"]["arguments"])
    return ToolUse(call["id"], call["function"]["name"], given)


def entries(request: dict[str, Any]) -> list[Entry]:
    found: list[Entry] = [("system", "text", text) for text in ["\n\n".join(_system(request))] if text]
    for message in _with_media_in_results(_dialogue(request)):
        role = message["role"]
        said = [_said(part) for part in _parts(message)]
        if role == "tool":
            found.append((role, "result", {"id": message["tool_call_id"], "content": said}))
            continue
        found += [(role, *each) for each in said]
        for call in message.get("tool_calls") or ():
            function = call["function"]
            value = {
                "id": call["id"],
                "name": function["name"],
                "arguments": arguments(function["arguments"]),
            }
            value["type"] = call.get("type", "function")
            found.append((role, "call", value))
    return found


def _said(part: dict[str, Any]) -> tuple[str, Any]:
    return ("text", part["text"]) if part["type"] == "text" else ("other", part)


_FOLLOWS = re.compile(r"(?:\A\(see|\n\(more follows in) the next user message\)\Z")
_BELONGS = re.compile(r"What the tool call (\S+) returned besides text:")


def _with_media_in_results(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Pictures of results put back into them.

    OpenAI takes text only in a ``tool`` message, so ours follow in the next ``user`` message, under a line
    that names the call; some recorded hosts take them in place. What is said is the same: whose pictures
    they are is compared.
    """
    parts: dict[str, list[dict[str, Any]]] = {}
    left = []
    for message in messages:
        kept, owner = [], None
        for part in _parts(message):
            named = _BELONGS.fullmatch(part.get("text", "")) if message["role"] == "user" else None
            if named:
                owner = named[1]
            elif owner is not None and part["type"] != "text":
                parts.setdefault(owner, []).append(part)
            else:
                kept.append(part)
        if kept or owner is None:
            left.append({**message, "content": kept} if owner is not None else message)
    return [
        {**message, "content": _in_place(message["content"], parts[message["tool_call_id"]])}
        if message.get("tool_call_id") in parts
        else message
        for message in left
    ]


def _in_place(text: str, media: list[dict[str, Any]]) -> list[dict[str, Any]]:
    words = _FOLLOWS.sub("", text)
    return [*([{"type": "text", "text": words}] if words else []), *media]


def settings(request: dict[str, Any]) -> dict[str, Any]:
    rest = {key: value for key, value in request.items() if key != "messages" and value is not None}
    if not rest.get("tools"):
        rest.pop("tools", None)
    else:
        rest["tools"] = sorted(
            (
                {
                    **function,
                    "description": function.get("description") or "",
                    "strict": bool(function.get("strict")),
                }
                for function in (tool["function"] for tool in rest["tools"])
            ),
            key=lambda tool: tool["name"],
        )
    return rest


def answer(body: str, streamed: bool) -> Answer:
    text = ""
    calls: dict[int, dict[str, Any]] = {}
    if not streamed:
        message = json.loads(body)["choices"][0]["message"]
        text = _plain(message.get("content"))
        calls = dict(enumerate(_whole(call) for call in message.get("tool_calls") or ()))
    for chunk in sse_objects(body) if streamed else ():
        if failed := (chunk.get("error") or {}).get("failed_generation"):
            # The host's own check refused the call: the model is to hear of it, so it is a call all the same.
            failed_call = json.loads(failed)
            calls[0] = {
                "id": "",
                "name": failed_call["name"],
                "arguments": json.dumps(failed_call["arguments"]),
            }
        for choice in chunk.get("choices") or ():
            delta = choice.get("delta") or {}
            text += _plain(delta.get("content"))
            for piece in delta.get("tool_calls") or ():
                function = piece.get("function") or {}
                call = calls.setdefault(
                    piece.get("index", len(calls)), {"id": "", "name": "", "arguments": ""}
                )
                call["id"] = call["id"] or piece.get("id") or ""
                call["name"] = call["name"] or function.get("name") or ""
                call["arguments"] += function.get("arguments") or ""
    return Answer(text, tuple((c["id"], c["name"], arguments(c["arguments"])) for c in calls.values()))


def _whole(call: dict[str, Any]) -> dict[str, Any]:
    return {"id": call["id"], **{key: call["function"][key] for key in ("name", "arguments")}}


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part["type"] == "text")
    return content or ""


def _provider(url: str, model: str, parsed: Parsed) -> OpenAICompatible:
    return OpenAICompatible(
        model=model,
        base_url=f"{url}/v1",
        api_key="sk-test",
        extra_body=parsed.extra_body,
        **parsed.provider_options,
    )


WIRE = Wire(
    family="openai_chat",
    endpoint="chat_completions",
    parse=parse,
    entries=entries,
    settings=settings,
    answer=answer,
    provider=_provider,
    provider_name="openai-compatible",
    answered=lambda request: any(message["role"] == "tool" for message in request["messages"]),
)
