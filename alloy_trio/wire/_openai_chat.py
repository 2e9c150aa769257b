"""Chat Completions: the protocol of OpenAI that most other hosts speak too, each in its own dialect.

This module writes requests. ``_openai_chat_messages`` renders the conversation, ``_openai_chat_decoder``
reads answers, ``_dialects`` has what hosts disagree on.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

from alloy_trio.values import Completion, CompletionRequest, ConfigurationError, Message, ServerTool, ToolSpec

from ._codec import Codec, WireRequest, WireSettings, dump
from ._dialects import OPENAI, Dialect
from ._faults import parse_error
from ._memo import memo
from ._openai_chat_decoder import ChatDecoder
from ._openai_chat_messages import render_message

_NO_NAMES: Mapping[str, str] = {}
_ROLE = b'{"role":"'


class ChatCodec(Codec):
    """Chat Completions in one host's dialect."""

    def __init__(self, dialect: Dialect = OPENAI) -> None:
        self.dialect = dialect

    def encode(self, request: CompletionRequest, settings: WireSettings, *, stream: bool) -> WireRequest:
        body = self._head(request, settings, stream)
        body |= settings.extra_body
        if "messages" in body:
            return WireRequest(path=self.dialect.chat_path, body=dump(body))
        # The conversation stands last: a turn's body begins with the body of the turn before it.
        chunks = [dump(message) for message in self._system(request)]
        chunks += self._messages(request.messages, settings)
        return WireRequest(
            path=self.dialect.chat_path, body=dump(body)[:-1] + b',"messages":[' + b",".join(chunks) + b"]}"
        )

    def decoder(self, settings: WireSettings) -> ChatDecoder:
        return ChatDecoder(settings, self.dialect)

    def completion_from_error(self, settings: WireSettings, status: int, body: bytes) -> Completion | None:
        """A refused prompt, or a call that the host found wrong (Groq), as the answer that it is.

        Args:
            settings: the configured model.
            status: the HTTP status.
            body: the response's body.

        Returns:
            None when the response is an error.
        """
        error = parse_error(body)
        decoder = self.decoder(settings)
        return decoder.finish() if error is not None and decoder.answered_by_error(error, []) else None

    def _head(self, request: CompletionRequest, settings: WireSettings, stream: bool) -> dict[str, Any]:
        """Everything but the messages."""
        dialect = self.dialect
        body: dict[str, Any] = {"model": settings.model}
        if stream:
            body["stream"] = True
            if dialect.stream_usage:
                body["stream_options"] = {"include_usage": True}
        caps = [cap for cap in (settings.max_tokens, request.max_tokens) if cap is not None]
        if caps:
            body[dialect.max_tokens_field] = min(caps)
        if settings.temperature is not None:
            body["temperature"] = settings.temperature
        if request.tools:
            body["tools"] = [self._tool(tool) for tool in request.tools]
        if request.tool_choice is not None:
            self._tool_choice(request, body)
        for server_tool in request.server_tools:
            self._server_tool(server_tool, body)
        if request.output_schema is not None:
            body["response_format"] = self._response_format(request.output_schema)
        self._thinking(settings, body)
        return body

    def _tool(self, tool: ToolSpec) -> dict[str, Any]:
        if tool.allowed_callers and "direct" not in tool.allowed_callers:
            raise ConfigurationError(
                f"the tool {tool.name!r} may only be called by {', '.join(tool.allowed_callers)}, but in "
                "Chat Completions every call comes from the model itself; add 'direct' or leave the tool out"
            )
        function: dict[str, Any] = {
            "name": tool.name,
            "description": tool.description,
            "parameters": tool.input_schema,
        }
        if tool.strict and self.dialect.strict:
            function["strict"] = True
        return {"type": "function", "function": function}

    def _tool_choice(self, request: CompletionRequest, body: dict[str, Any]) -> None:
        choice = request.tool_choice
        names: set[str | None] = {tool.name for tool in request.tools}
        if choice in ("auto", "none"):
            if names:  # without tools hosts refuse the field, and it would say nothing
                body["tool_choice"] = choice
        elif choice == "required" and names:
            body["tool_choice"] = self.dialect.required_word
        elif choice in names:
            body["tool_choice"] = {"type": "function", "function": {"name": choice}}
        else:
            raise ConfigurationError(
                f"tool_choice is {choice!r}, but the tools are {sorted(filter(None, names))}; "
                "use 'auto', 'required', 'none' or the name of one of the tools"
            )

    def _server_tool(self, tool: ServerTool, body: dict[str, Any]) -> None:
        how = self.dialect.web_search if tool.name == "web_search" else None
        if how == "web_search_options":
            body["web_search_options"] = dict(tool.options)
        elif how == "plugins":
            body.setdefault("plugins", []).append({"id": "web", **tool.options})
        else:
            raise ConfigurationError(
                f"this host runs no server tool {tool.name!r} in Chat Completions; use a provider that does "
                "(Anthropic, OpenAI, Gemini), or switch on the host's own one with extra_body"
            )

    def _response_format(self, schema: dict[str, Any]) -> dict[str, Any]:
        if not self.dialect.json_schema:
            return {"type": "json_object"}
        described: dict[str, Any] = {"name": "answer", "schema": schema}
        if self.dialect.strict and _is_strict(schema):
            described["strict"] = True
        return {"type": "json_schema", "json_schema": described}

    def _thinking(self, settings: WireSettings, body: dict[str, Any]) -> None:
        thinking, dialect = settings.thinking, self.dialect
        if isinstance(thinking, str):
            if thinking == "none" and dialect.effort_off is not None:
                _put(body, *dialect.effort_off)
                return
            effort = dict(dialect.efforts).get(thinking, thinking)
            _put(body, dialect.effort_field, effort)
            for field, value in dialect.effort_fields if effort != "none" else ():
                _put(body, field, value)
        elif isinstance(thinking, Mapping):
            body |= thinking
        elif thinking is not None:
            if dialect.budget_field is None or isinstance(thinking, bool):
                raise ConfigurationError(
                    f"thinking={thinking!r} is a budget in tokens, but this host asks for an effort; "
                    "use thinking='low', 'medium' or 'high', or a dict of the host's own fields"
                )
            _put(body, dialect.budget_field, thinking)

    def _system(self, request: CompletionRequest) -> list[dict[str, Any]]:
        texts = [request.system] if request.system else []
        if request.output_schema is not None and not self.dialect.json_schema:
            schema = dump(request.output_schema).decode()
            texts.append(f"Answer with nothing but JSON that follows this JSON Schema:\n{schema}")
        return [{"role": self.dialect.system_role, "content": "\n\n".join(texts)}] if texts else []

    def _messages(self, messages: tuple[Message, ...], settings: WireSettings) -> list[bytes]:
        dialect = self.dialect
        names = _NO_NAMES
        if dialect.tool_result_name:
            names = {call.id: call.name for message in messages for call in message.tool_uses}
        origin = settings.origin
        keys = [("openai_chat", settings.provider, settings.model, dialect, own) for own in (False, True)]
        chunks = []
        answers_own = False

        def render(message: Message) -> bytes:
            return b",".join(map(dump, render_message(message, settings, dialect, names, answers_own)))

        for message in messages:
            chunks.append(memo.encoded(message, keys[answers_own], render))
            answers_own = message.origin == origin
        chunks = [chunk for chunk in chunks if chunk]
        return self._bridged(chunks) if dialect.assistant_after_tool else chunks

    def _bridged(self, chunks: list[bytes]) -> list[bytes]:
        # Results and what the user says next may be two messages of ours.
        bridge = dump({"role": "assistant", "content": self.dialect.assistant_after_tool})
        bridged = chunks[:1]
        for before, chunk in itertools.pairwise(chunks):
            # Inside of a JSON string the quotes would be escaped: this finds the last role, nothing else.
            role = before.rfind(_ROLE) + len(_ROLE)
            if chunk.startswith(_ROLE + b'user"') and before.startswith(b'tool"', role):
                bridged.append(bridge)
            bridged.append(chunk)
        return bridged


def _put(body: dict[str, Any], field: str, value: str | int | bool) -> None:
    """Set a field; a dot in its name descends."""
    *parents, name = field.split(".")
    for parent in parents:
        body = body.setdefault(parent, {})
    body[name] = value


def _is_strict(schema: Any) -> bool:
    """Whether all objects of the schema are closed and require all they have: OpenAI's strict mode."""
    if isinstance(schema, list):
        return all(_is_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        closed = schema.get("additionalProperties") is False
        if not closed or set(schema.get("required", ())) != set(properties or ()):
            return False
    return all(_is_strict(value) for value in schema.values())
