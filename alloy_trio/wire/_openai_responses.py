"""OpenAI's Responses protocol: the request side, and the codec.

Spoken by OpenAI, Azure, xAI, DeepSeek and servers after the open specification. Nothing is stored at the
vendor (``store: false``): the whole conversation travels with each request, and reasoning goes back
encrypted.

``input`` is the body's last key and everything before it stays the same from turn to turn, so the bytes of a
turn are those of the turn before with more at the end: what the vendor's prefix cache wants.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alloy_trio.values import (
    Completion,
    CompletionRequest,
    ConfigurationError,
    Message,
    Origin,
    ServerTool,
    ToolSpec,
)

from ._call_ids import renamed_calls, with_ids
from ._codec import Codec, Decoder, ThinkingOption, WireRequest, WireSettings, dump
from ._faults import parse_error
from ._memo import memo
from ._openai_responses_input import callers_of, items_of, render, wire_name
from ._openai_responses_stream import ResponsesDecoder, is_blocked

_NO_IDS: Mapping[str, str] = {}
_EFFORTS = "none, minimal, low, medium, high, xhigh"


class ResponsesCodec(Codec):
    """``POST {base_url}/responses``, where base_url ends in ``/v1``."""

    def encode(self, request: CompletionRequest, settings: WireSettings, *, stream: bool) -> WireRequest:
        """Render a request; see :meth:`Codec.encode`."""
        fields = _fields(request, settings, stream)
        fields.update(settings.extra_body)
        if "input" in fields:  # extra_body has the last word, here too
            return WireRequest(path="/responses", body=dump(fields))
        body = dump(fields)[:-1] + b',"input":[' + _input(request, settings) + b"]}"
        return WireRequest(path="/responses", body=body)

    def decoder(self, settings: WireSettings) -> Decoder:
        """A fresh decoder for one answer."""
        return ResponsesDecoder(settings)

    def completion_from_error(self, settings: WireSettings, status: int, body: bytes) -> Completion | None:
        """A prompt that Azure's content filter blocks comes as 400 and is a refusal."""
        error = parse_error(body) if status == 400 else None
        return ResponsesDecoder(settings).refusal(error) if is_blocked(error) else None


def _input(request: CompletionRequest, settings: WireSettings) -> bytes:
    origin = settings.origin
    chunks: list[bytes] = []
    before: Message | None = None
    renamed = renamed_calls(request.messages)
    for place, message in enumerate(request.messages):
        chunks.append(_chunk(message, before, origin, renamed.get(place, _NO_IDS)))
        before = message
    return b",".join([chunk for chunk in chunks if chunk])


def _chunk(message: Message, before: Message | None, origin: Origin, ids: Mapping[str, str]) -> bytes:
    key = ("openai_responses", origin.provider, origin.model, *ids.items())
    callers: dict[str, Any] = {}
    named = b"{}"
    if message.role == "user" and before is not None and before.origin == origin:
        # What a result has to repeat of its call is part of the key; almost always there is nothing.
        named = memo.encoded(before, (*key, "callers"), lambda made: dump(callers_of(made, origin)))
        if named != b"{}":
            callers = {ids.get(ident, ident): who for ident, who in callers_of(before, origin).items()}

    def encode(made: Message) -> bytes:
        return render(items_of(with_ids(made, ids), origin, callers))

    return memo.encoded(message, (*key, named), encode)


def _fields(request: CompletionRequest, settings: WireSettings, stream: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {"model": settings.model}
    if request.system is not None:
        fields["instructions"] = request.system
    tools = [_tool(tool) for tool in request.tools] + [_server_tool(tool) for tool in request.server_tools]
    if tools:
        fields["tools"] = tools
        if request.tool_choice is not None:
            fields["tool_choice"] = _tool_choice(request)
    elif request.tool_choice not in (None, "auto", "none"):
        raise ConfigurationError(
            f"tool_choice is {request.tool_choice!r}, but there are no tools; give tools or leave it out"
        )
    fields["store"] = False
    fields["include"] = ["reasoning.encrypted_content"]
    caps = [cap for cap in (request.max_tokens, settings.max_tokens) if cap is not None]
    if caps:  # no default: reasoning counts too, so any number of ours would cut answers off
        fields["max_output_tokens"] = min(caps)
    if settings.temperature is not None:
        fields["temperature"] = settings.temperature
    if settings.thinking is not None:
        fields["reasoning"] = _reasoning(settings.thinking)
    if request.output_schema is not None:
        fields["text"] = {"format": _output_format(request.output_schema)}
    fields["stream"] = stream
    return fields


def _tool(tool: ToolSpec) -> dict[str, Any]:
    # `strict` is always said: left out, this protocol takes it for true.
    rendered: dict[str, Any] = {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": tool.input_schema,
        "strict": tool.strict,
    }
    if tool.allowed_callers:
        rendered["allowed_callers"] = list(tool.allowed_callers)
    return rendered


def _server_tool(tool: ServerTool) -> dict[str, Any]:
    return {"type": tool.name, **tool.options}


def _tool_choice(request: CompletionRequest) -> Any:
    choice = request.tool_choice
    if choice in ("auto", "required", "none"):
        return choice
    if any(tool.name == choice for tool in request.tools):
        return {"type": "function", "name": choice}
    if any(tool.name == choice for tool in request.server_tools):
        return {"type": choice}
    known = [tool.name for tool in request.tools] + [tool.name for tool in request.server_tools]
    names = ", ".join(map(repr, known))
    raise ConfigurationError(
        f"tool_choice is {choice!r}, but no tool has that name; "
        f"write 'auto', 'required', 'none' or one of {names}"
    )


def _reasoning(thinking: ThinkingOption) -> dict[str, Any]:
    if isinstance(thinking, str):
        return {"effort": thinking, "summary": "auto"}
    if isinstance(thinking, Mapping):
        return dict(thinking)
    raise ConfigurationError(
        f"thinking is {thinking!r}, but the Responses protocol takes an effort, not a budget in tokens; "
        f"write thinking='medium' (one of {_EFFORTS}) "
        "or a dict such as {'effort': 'high', 'summary': 'detailed'}"
    )


def _output_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    title = schema.get("title")
    return {
        "type": "json_schema",
        "name": wire_name(title) if isinstance(title, str) and title else "answer",
        "schema": schema,
        "strict": _fits_strict(schema),
    }


def _fits_strict(schema: Any) -> bool:
    # Strict wants every object closed and every property required, all the way down; else the vendor
    # answers 400.
    if isinstance(schema, list):
        return all(_fits_strict(each) for each in schema)
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if isinstance(properties, Mapping) or schema.get("type") == "object":
        names = set(properties or {})
        required = schema.get("required") or ()
        if schema.get("additionalProperties") is not False or names != set(required):
            return False
    data = ("enum", "const", "default", "examples")
    return all(_fits_strict(value) for key, value in schema.items() if key not in data)
