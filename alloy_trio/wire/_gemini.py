"""Gemini's own protocol, generateContent: the request side, and the codec.

Source: ai.google.dev, "Generating content", and what the vendor's Python client sends. Schemas go as they
are, in the fields that take JSON Schema (``parametersJsonSchema``, ``responseJsonSchema``): the older ones
know a subset without ``$ref``.

``contents`` is the body's last key and everything before it stays the same from turn to turn, so the bytes of
a turn are those of the turn before with more at the end: what the vendor's prefix cache wants.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from alloy_trio.values import CompletionRequest, ConfigurationError, Message, ServerTool, ToolResult, ToolSpec

from ._codec import Codec, Decoder, ThinkingOption, WireRequest, WireSettings, dump
from ._gemini_contents import Named, calls_of, render, wire_name
from ._gemini_stream import GeminiDecoder
from ._memo import memo

SERVER_TOOLS = {"web_search": "googleSearch", "web_fetch": "urlContext"}
"""Other vendors' names of tools that Gemini has too. All others are Gemini's own: ``google_search``,
``url_context``, ``code_execution``, ``file_search``, ``google_maps``, …"""

EFFORTS = {"minimal": 1_024, "low": 1_024, "medium": 8_192, "high": 24_576, "xhigh": 24_576}
"""Budgets, in tokens, for efforts on models before Gemini 3, which know no effort. Source: the vendor's table
for its OpenAI-compatible endpoint."""

_OFF = ("none", "off", "disabled")
_OPENING = dump({"role": "user", "parts": [{"text": "(The conversation goes on from here.)"}]})
"""Stands before a history that begins with the model's turn: the vendor wants calls after a user's turn."""

_MERGED = ("generationConfig", "toolConfig")


class GeminiCodec(Codec):
    """``POST {base_url}/v1beta/models/{model}:generateContent``, where base_url names the host only."""

    def encode(self, request: CompletionRequest, settings: WireSettings, *, stream: bool) -> WireRequest:
        """Render a request; see :meth:`Codec.encode`.

        ``extra_body`` is merged into ``generationConfig`` and ``toolConfig`` field by field, and over
        everything else whole.
        """
        fields = _fields(request, settings)
        for key, value in settings.extra_body.items():
            merged = key in _MERGED and isinstance(value, Mapping) and key in fields
            fields[key] = {**fields[key], **value} if merged else value
        model = settings.model if "/" in settings.model else f"models/{settings.model}"
        path = f"/v1beta/{quote(model)}:" + ("streamGenerateContent?alt=sse" if stream else "generateContent")
        headers = (("content-type", "application/json"),)
        if "contents" in fields:  # extra_body has the last word, here too
            return WireRequest(path=path, headers=headers, body=dump(fields))
        head = dump(fields)[:-1] + (b"," if fields else b"")
        body = head + b'"contents":[' + b",".join(_contents(request, settings)) + b"]}"
        return WireRequest(path=path, headers=headers, body=body)

    def decoder(self, settings: WireSettings) -> Decoder:
        """A fresh decoder for one answer."""
        return GeminiDecoder(settings)


def generation_of(model: str) -> int:
    """The model's generation: 3 of ``gemini-3.5-flash``; 0 where the name does not tell.

    The names that move on with the vendor (``gemini-flash-latest``) have passed 3.
    """
    found = re.search(r"gemini-(\d{1,3})(?![\d])", model)
    if found:
        return int(found[1])
    return 3 if re.search(r"gemini-.*latest", model) else 0


def _contents(request: CompletionRequest, settings: WireSettings) -> list[bytes]:
    origin, generation = settings.origin, generation_of(settings.model)
    key = ("gemini", origin.provider, origin.model)
    known: dict[str, Named] = {}
    places: dict[str, int] = {}
    chunks: list[bytes] = []
    for message in request.messages:
        # What a result repeats of its call is part of the key.
        calls = _answered(message, known, places)
        fn = partial(render, origin=origin, calls=calls, generation=generation)
        chunk = memo.encoded(message, (*key, *calls.items()), fn)
        if chunk:
            chunks.append(chunk)
        if message.role == "assistant":
            made = calls_of(message, origin)
            known.update(made)
            places.update(zip(made, itertools.count(len(places)), strict=False))
    if not chunks:
        raise ConfigurationError(
            "the request has no message with content, and Gemini needs one; "
            "give a prompt or messages that hold some text"
        )
    if chunks[0].startswith(b'{"role":"model"'):
        chunks.insert(0, _OPENING)
    return chunks


def _answered(message: Message, known: Mapping[str, Named], places: Mapping[str, int]) -> dict[str, Named]:
    """The calls that a message has results of, in the order in which they were called."""
    if message.role != "user":
        return {}
    answered = [block.tool_use_id for block in message.content if isinstance(block, ToolResult)]
    return {ident: known[ident] for ident in sorted(known.keys() & answered, key=places.__getitem__)}


def _fields(request: CompletionRequest, settings: WireSettings) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if request.system:
        fields["systemInstruction"] = {"parts": [{"text": request.system}]}
    tools = [{"functionDeclarations": [_tool(tool) for tool in request.tools]}] if request.tools else []
    tools += [_server_tool(tool) for tool in request.server_tools]
    if tools:
        fields["tools"] = tools
    tool_config = _tool_config(request, settings)
    if tool_config:
        fields["toolConfig"] = tool_config
    generation = _generation_config(request, settings)
    if generation:
        fields["generationConfig"] = generation
    return fields


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "name": wire_name(tool.name),
        "description": tool.description,
        "parametersJsonSchema": tool.input_schema,
    }


def _server_tool(tool: ServerTool) -> dict[str, Any]:
    head, *rest = tool.name.split("_")
    return {SERVER_TOOLS.get(tool.name) or head + "".join(map(str.capitalize, rest)): tool.options}


def _tool_config(request: CompletionRequest, settings: WireSettings) -> dict[str, Any]:
    choice = request.tool_choice
    config: dict[str, Any] = {}
    if request.tools and request.server_tools and generation_of(settings.model) >= 3:
        # Without it the vendor refuses to mix its own tools with functions.
        config["includeServerSideToolInvocations"] = True
    if request.tools:
        if choice in (None, "auto"):
            # VALIDATED is AUTO with calls that fit their schemas; left out, the vendor takes AUTO.
            strict = any(tool.strict for tool in request.tools)
            calling = {"mode": "VALIDATED" if strict else "AUTO"} if strict or choice else {}
        elif choice in ("required", "none"):
            calling = {"mode": "ANY" if choice == "required" else "NONE"}
        else:
            return {**config, "functionCallingConfig": _one_tool(request)}
        return {**config, "functionCallingConfig": calling} if calling else config
    if choice not in (None, "auto", "none"):
        raise ConfigurationError(
            f"tool_choice is {choice!r}, but there are no tools that Gemini could be made to call; "
            "give tools or leave it out"
        )
    return config


def _one_tool(request: CompletionRequest) -> dict[str, Any]:
    choice = request.tool_choice
    if not any(tool.name == choice for tool in request.tools):
        known = ", ".join(repr(tool.name) for tool in request.tools)
        raise ConfigurationError(
            f"tool_choice is {choice!r}, but no tool has that name; "
            f"write 'auto', 'required', 'none' or one of {known}"
        )
    return {"mode": "ANY", "allowedFunctionNames": [wire_name(choice or "")]}


def _generation_config(request: CompletionRequest, settings: WireSettings) -> dict[str, Any]:
    config: dict[str, Any] = {}
    caps = [cap for cap in (request.max_tokens, settings.max_tokens) if cap is not None]
    if caps:  # no default: reasoning counts too, so any number of ours would cut answers off
        config["maxOutputTokens"] = min(caps)
    if settings.temperature is not None:
        config["temperature"] = settings.temperature
    if settings.thinking is not None:
        config["thinkingConfig"] = _thinking(settings.thinking, settings.model)
    if request.output_schema is not None:
        config["responseMimeType"] = "application/json"
        config["responseJsonSchema"] = request.output_schema
    return config


def _thinking(thinking: ThinkingOption, model: str) -> dict[str, Any]:
    if isinstance(thinking, Mapping):
        return dict(thinking)
    if thinking is True:
        return {"includeThoughts": True}
    if not thinking or thinking in _OFF:
        return {"thinkingBudget": 0}
    if isinstance(thinking, int):
        return {"thinkingBudget": thinking, "includeThoughts": True}
    if generation_of(model) not in (1, 2):
        return {"thinkingLevel": thinking, "includeThoughts": True}
    if thinking not in EFFORTS:
        raise ConfigurationError(
            f"thinking is {thinking!r}, which {model} does not know; write one of {', '.join(EFFORTS)}, "
            "a budget in tokens, or 'none'"
        )
    return {"thinkingBudget": EFFORTS[thinking], "includeThoughts": True}
