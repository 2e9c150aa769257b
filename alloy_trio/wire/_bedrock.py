"""Amazon Bedrock's Converse API: requests. Source: docs.aws.amazon.com, "Converse".

A body is joined from parts that were encoded before: each message once, through the memo. Only what changes
from turn to turn is laid over the finished bytes: the cache marks, blocks of their own here, after the system
prompt, the tools, and the last message and the user's message before it, as far as the model takes them.

What is not obvious:

* Roles must alternate, so what follows from the same side is joined.
* Calls and results are refused in a request without tools, and there is no way to send tools and forbid
  their use. Where tools may not be used, a request has none, and says in words what was called before.
* Two documents may not have the same name.
* No default for max_tokens: without it the vendor lets a model write as much as it can.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import Any
from urllib.parse import quote

import attrs

from alloy_trio.values import (
    Block,
    CompletionRequest,
    ConfigurationError,
    Image,
    Message,
    ServerTool,
    Text,
    ToolResult,
    ToolSpec,
    ToolUse,
)

from ._anthropic_schema import closed
from ._anthropic_turns import may_reason, without_trailing_space
from ._bedrock_blocks import Circumstances, documents, has_calls, render_content, wire_blocks
from ._bedrock_media import document_name
from ._bedrock_models import (
    SYSTEM_TOOLS,
    Caching,
    budget_of,
    caching_of,
    family_of,
    thinking_fields,
)
from ._bedrock_stream import BedrockDecoder
from ._call_ids import renamed_calls
from ._codec import Codec, WireRequest, WireSettings, dump
from ._memo import memo

_MARK = {"cachePoint": {"type": "default"}}
_MARK_BYTES = b"," + dump(_MARK)

_OPENING = dump({"role": "user", "content": [{"text": "(The conversation goes on from here.)"}]})
"""Stands before a history that begins with the model's words: the vendor wants the user to speak first."""


class BedrockCodec(Codec):
    """The Converse API.

    Args:
        prompt_cache: set cache marks for models that are known to take them. Input costs a quarter more
            where a Claude's cache is written, and a tenth where it is read.
    """

    def __init__(self, *, prompt_cache: bool = True) -> None:
        self._prompt_cache = prompt_cache

    def encode(self, request: CompletionRequest, settings: WireSettings, *, stream: bool) -> WireRequest:
        """Render a request.

        Raises:
            ConfigurationError: media of a type that the wire does not know, or by an address outside S3; a way
                to ask for reasoning that the model is not known to have; a thinking budget above max_tokens; or
                no message at all.
        """
        extra = dict(settings.extra_body)
        caching = caching_of(settings.model) if self._prompt_cache else Caching(False, False, False)
        if "messages" in extra:
            messages = [dump(message) for message in extra.pop("messages")]
        else:
            messages = self._messages(request, settings, caching)
        fields = {**_fields(request, settings, caching), **extra}
        head = dump(fields)[:-1] + (b"," if fields else b"")
        path = f"/model/{quote(settings.model, safe='')}/" + ("converse-stream" if stream else "converse")
        accept = "application/vnd.amazon.eventstream" if stream else "application/json"
        return WireRequest(
            path=path,
            headers=(("content-type", "application/json"), ("accept", accept)),
            body=b"".join((head, b'"messages":[', b",".join(messages), b"]}")),
        )

    def decoder(self, settings: WireSettings) -> BedrockDecoder:
        """A fresh decoder for one answer with status 200."""
        return BedrockDecoder(settings)

    def _messages(self, request: CompletionRequest, settings: WireSettings, caching: Caching) -> list[bytes]:
        encoded = list(_encoded(request, settings))
        if not encoded:
            raise ConfigurationError(
                "the request has no message with content, and Bedrock's models need one; "
                "give a prompt or messages that hold some text"
            )
        marked = set(_marked([message for _, message in encoded], settings, caching))
        chunks = [
            (message.role, chunk + _MARK_BYTES if place in marked else chunk)
            for place, (chunk, message) in enumerate(encoded)
        ]
        rendered = [
            b'{"role":"%s","content":[%s]}' % (role.encode(), b",".join(chunk for _, chunk in turn))
            for role, turn in groupby(chunks, key=lambda item: item[0])
        ]
        return [_OPENING, *rendered] if encoded[0][1].role == "assistant" else rendered


def _encoded(request: CompletionRequest, settings: WireSettings) -> Iterator[tuple[bytes, Message]]:
    """The content of each message that goes onto the wire."""
    calls = _may_call(request) or "toolConfig" in settings.extra_body or not has_calls(request.messages)
    usual = Circumstances(origin=settings.origin, family=family_of(settings.model), calls=calls)
    render = partial(render_content, circumstances=usual)
    key = ("bedrock", settings.provider, settings.model, calls)
    renamed = renamed_calls(request.messages)
    taken: set[str] = set()
    number = 0
    for place, message in enumerate(without_trailing_space(request.messages)):
        names: list[str] = []
        for document in documents(message):
            number += 1
            names.append(document_name(document.title, number, taken))
        if names or place in renamed:
            special = attrs.evolve(usual, ids=tuple(renamed.get(place, {}).items()), names=tuple(names))
            again = partial(render_content, circumstances=special)
            chunk = memo.encoded(message, (*key, special.ids, special.names), again)
        else:
            chunk = memo.encoded(message, key, render)
        if chunk:
            yield chunk, message


def _marked(messages: Sequence[Message], settings: WireSettings, caching: Caching) -> Iterator[int]:
    """The places of the messages that a cache mark follows: the last one, and the user's one before it."""
    if not caching.system:
        return
    marks = 0
    for place in range(len(messages) - 1, -1, -1):
        last = wire_blocks(messages[place], settings.origin)[-1]
        if (marks == 0 or messages[place].role == "user") and _may_be_marked(last, caching):
            yield place
            marks += 1
            if marks == 2:
                return


def _may_be_marked(block: Block, caching: Caching) -> bool:
    # The vendor refuses a mark behind a document or a film, and what we do not know is left alone.
    return isinstance(block, Text | Image) or (caching.calls and isinstance(block, ToolUse | ToolResult))


def _fields(request: CompletionRequest, settings: WireSettings, caching: Caching) -> dict[str, Any]:
    """The body's fields other than the messages."""
    fields: dict[str, Any] = {}
    inference = _inference(request, settings)
    if inference:
        fields["inferenceConfig"] = inference
    additional = thinking_fields(settings.model, settings.thinking)
    sent = partial(wire_blocks, origin=settings.origin)
    if not may_reason(additional.get("thinking"), request.messages, sent):
        del additional["thinking"]
    if additional:
        fields["additionalModelRequestFields"] = additional
    if request.output_schema is not None:
        schema = {"name": "answer", "schema": dump(closed(request.output_schema)).decode()}
        fields["outputConfig"] = {"textFormat": {"type": "json_schema", "structure": {"jsonSchema": schema}}}
    if _may_call(request):
        tools = [*map(_tool, request.tools), *(_server_tool(tool, settings) for tool in request.server_tools)]
        config: dict[str, Any] = {"tools": [*tools, _MARK] if caching.tools else tools}
        if request.tool_choice is not None:
            config["toolChoice"] = _tool_choice(request.tool_choice)
        fields["toolConfig"] = config
    if request.system and request.system.strip():
        system: list[dict[str, Any]] = [{"text": request.system}]
        fields["system"] = [*system, _MARK] if caching.system else system
    return fields


def _may_call(request: CompletionRequest) -> bool:
    return bool(request.tools or request.server_tools) and request.tool_choice != "none"


def _inference(request: CompletionRequest, settings: WireSettings) -> dict[str, Any]:
    inference: dict[str, Any] = {}
    # A provider's own max_tokens caps what a request asks for.
    asked = [limit for limit in (request.max_tokens, settings.max_tokens) if limit is not None]
    if asked:
        inference["maxTokens"] = limit = min(asked)
        budget = budget_of(settings.thinking)
        if budget >= limit:
            raise ConfigurationError(
                f"max_tokens is {limit} and thinking may use {budget} of them, so that nothing is left for the "
                "answer; raise max_tokens above the thinking budget, or lower the budget"
            )
    if settings.temperature is not None:
        inference["temperature"] = settings.temperature
    return inference


def _tool(spec: ToolSpec) -> dict[str, Any]:
    schema = closed(spec.input_schema) if spec.strict else spec.input_schema
    tool: dict[str, Any] = {"name": spec.name}
    if spec.description:
        tool["description"] = spec.description
    tool["inputSchema"] = {"json": schema if "type" in schema else {"type": "object", **schema}}
    if spec.strict:
        tool["strict"] = True
    return {"toolSpec": tool}


def _server_tool(tool: ServerTool, settings: WireSettings) -> dict[str, Any]:
    if tool.name not in SYSTEM_TOOLS:
        return {"systemTool": {"name": tool.name, **tool.options}}
    if family_of(settings.model) != "nova":
        raise ConfigurationError(
            f"{tool.name!r} is run by Bedrock only for Amazon's Nova models, and this is {settings.model!r}; "
            "leave it out, or use the model's maker as the provider"
        )
    return {"systemTool": {"name": SYSTEM_TOOLS[tool.name], **tool.options}}


def _tool_choice(choice: str) -> Mapping[str, Any]:
    named = {"auto": "auto", "required": "any"}.get(choice)
    return {"tool": {"name": choice}} if named is None else {named: {}}


__all__ = ["BedrockCodec"]
