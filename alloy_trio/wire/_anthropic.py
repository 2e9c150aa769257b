"""Anthropic's Messages API: requests. Source: docs.claude.com.

A body is joined from parts that were encoded before: each message once, through the memo. Only what changes
from turn to turn is laid over the finished bytes: the cache marks, four at most, on the tools, the system
prompt, and the ends of the last message and of the user's message before it. The vendor looks for an earlier
mark only some twenty blocks back from each one, and a turn with many calls can be longer than that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from alloy_trio.values import (
    CompletionRequest,
    ConfigurationError,
    Message,
    ServerTool,
    ToolSpec,
)

from ._anthropic_blocks import CONTAINER, fit_id, may_be_marked, render_message, wire_blocks
from ._anthropic_schema import closed
from ._anthropic_stream import AnthropicDecoder
from ._anthropic_turns import may_reason, without_orphans, without_trailing_space
from ._call_ids import renamed_calls
from ._codec import Codec, WireRequest, WireSettings, dump
from ._memo import memo

VERSION = "2023-06-01"

DEFAULT_MAX_TOKENS = 16_384
"""The wire has no default. Every current model can write this much, and it is room for a long file."""

SERVER_TOOLS: Mapping[str, str] = {
    "web_search": "web_search_20250305",
    "web_fetch": "web_fetch_20250910",
    "code_execution": "code_execution_20250825",
    "tool_search_tool_bm25": "tool_search_tool_bm25_20251119",
    "tool_search_tool_regex": "tool_search_tool_regex_20251119",
    "advisor": "advisor_20260301",
}
"""The versions of the vendor's tools that most of its models run; ``options={"type": …}`` names another."""

_BETAS: tuple[tuple[str, str], ...] = (
    ("advisor_20260301", "advisor-tool-2026-03-01"),
    ("code_execution_20250522", "code-execution-2025-05-22"),
    ("computer_20250124", "computer-use-2025-01-24"),
    ("computer_20251124", "computer-use-2025-11-24"),
    ("mcp_toolset", "mcp-client-2025-11-20"),
    ("web_fetch_20250910", "web-fetch-2025-09-10"),
)
"""Which types of tools have to be announced in a header."""

_MARK = b',"cache_control":{"type":"ephemeral"}'

_OPENING = dump(
    {"role": "user", "content": [{"type": "text", "text": "(The conversation goes on from here.)"}]}
)
"""Stands before a history that begins with the model's words: the vendor wants the user to speak first."""


class AnthropicCodec(Codec):
    """The Messages API.

    Args:
        prompt_cache: set cache marks. Input costs a quarter more where the cache is written, and a tenth
            where it is read; the vendor ignores marks on short prompts.

    Attributes:
        default_max_tokens: the cap that is sent when nobody gives one, beside a thinking budget.
    """

    default_max_tokens = DEFAULT_MAX_TOKENS

    def __init__(self, *, prompt_cache: bool = True) -> None:
        self._prompt_cache = prompt_cache

    def encode(self, request: CompletionRequest, settings: WireSettings, *, stream: bool) -> WireRequest:
        """Render a request.

        Raises:
            ConfigurationError: a sound or film, an image or document of a type that the wire does not know, a
                server tool without a known type, a thinking budget above max_tokens, or no message at all.
        """
        extra = dict(settings.extra_body)
        messages = (
            _dumped(extra.pop("messages")) if "messages" in extra else self._messages(request, settings)
        )
        fields = self._fields(request, settings)
        if stream:
            fields["stream"] = True
        fields.update(extra)
        headers = [("content-type", "application/json"), ("anthropic-version", VERSION)]
        betas = sorted({beta for tool in fields.get("tools", ()) for beta in _betas(tool)})
        if betas:
            headers.append(("anthropic-beta", ",".join(betas)))
        body = b"".join((dump(fields)[:-1], b',"messages":[', b",".join(messages), b"]}"))
        return WireRequest(path="/v1/messages", headers=tuple(headers), body=body)

    def decoder(self, settings: WireSettings) -> AnthropicDecoder:
        """A fresh decoder for one answer with status 200."""
        return AnthropicDecoder(settings)

    def _fields(self, request: CompletionRequest, settings: WireSettings) -> dict[str, Any]:
        fields: dict[str, Any] = {"model": settings.model, "max_tokens": _max_tokens(request, settings)}
        if settings.temperature is not None:
            fields["temperature"] = settings.temperature
        thinking, effort = _thinking(settings.thinking)
        sent = partial(wire_blocks, origin=settings.origin)
        if thinking is not None and may_reason(thinking, list(without_orphans(request.messages)), sent):
            fields["thinking"] = thinking
        output_config: dict[str, Any] = {} if effort is None else {"effort": effort}
        if request.output_schema is not None:
            output_config["format"] = {"type": "json_schema", "schema": closed(request.output_schema)}
        if output_config:
            fields["output_config"] = output_config
        # Other makers' models are served by this wire too, and know none of the vendor's own tools.
        native = "claude" in settings.model.lower()
        tools = [_tool(spec, native=native) for spec in request.tools]
        tools += map(_server_tool, request.server_tools)
        if tools and request.tool_choice is not None:
            fields["tool_choice"] = _tool_choice(request.tool_choice)
        container = _container(request.messages, settings)
        if container is not None:
            fields["container"] = container
        mark: dict[str, Any] = {"cache_control": {"type": "ephemeral"}} if self._prompt_cache else {}
        if tools:
            # A deferred tool is not in the prompt and may carry no mark.
            if not tools[-1].get("defer_loading"):
                tools[-1] = {**tools[-1], **mark}
            fields["tools"] = tools
        if request.system and request.system.strip():
            fields["system"] = [{"type": "text", "text": request.system, **mark}]
        return fields

    def _messages(self, request: CompletionRequest, settings: WireSettings) -> list[bytes]:
        origin = settings.origin
        key = ("anthropic", settings.provider, settings.model)
        renamed = renamed_calls(request.messages)
        encoded: list[tuple[bytes, Message]] = []
        render = partial(render_message, origin=origin, ids={})
        for place, message in enumerate(without_orphans(without_trailing_space(request.messages))):
            if place in renamed:
                ids = renamed[place]
                again = partial(render_message, origin=origin, ids=ids)
                chunk = memo.encoded(message, (*key, *ids.items()), again)
            else:
                chunk = memo.encoded(message, key, render)
            if chunk:
                encoded.append((chunk, message))
        if not encoded:
            raise ConfigurationError(
                "the request has no message with content, and Anthropic's models need one; "
                "give a prompt or messages that hold some text"
            )
        chunks = [chunk for chunk, _ in encoded]
        if self._prompt_cache and "cache_control" not in settings.extra_body:
            for place in _marked([message for _, message in encoded], settings):
                chunks[place] = chunks[place].removesuffix(b"}]}") + _MARK + b"}]}"
        if encoded[0][1].role == "assistant":
            chunks.insert(0, _OPENING)
        return chunks


def _dumped(messages: Sequence[Any]) -> list[bytes]:
    return [dump(message) for message in messages]


def _marked(messages: Sequence[Message], settings: WireSettings) -> Iterator[int]:
    """The places of the messages that get a cache mark: the last one, and the user's one before it."""
    last = len(messages) - 1
    marks = 0
    for place in range(last, -1, -1):
        if marks == 0 or messages[place].role == "user":
            blocks = wire_blocks(messages[place], settings.origin)
            if may_be_marked(blocks[-1]):
                yield place
                marks += 1
                if marks == 2:
                    return


def _max_tokens(request: CompletionRequest, settings: WireSettings) -> int:
    thinking = settings.thinking
    if isinstance(thinking, Mapping):
        thinking = thinking.get("budget_tokens")
    budget = thinking if isinstance(thinking, int) and not isinstance(thinking, bool) else 0
    asked = [limit for limit in (request.max_tokens, settings.max_tokens) if limit is not None]
    if not asked:
        return DEFAULT_MAX_TOKENS + max(budget, 0)
    # A provider's own max_tokens caps what a request asks for.
    limit = min(asked)
    if budget >= limit:
        raise ConfigurationError(
            f"max_tokens is {limit} and thinking may use {budget} of them, so that nothing is left for the "
            "answer; raise max_tokens above the thinking budget, or lower the budget"
        )
    return limit


def _thinking(thinking: Any) -> tuple[Any, str | None]:
    """The wire's ``thinking`` object, and the effort that goes into ``output_config``."""
    if thinking is None or isinstance(thinking, Mapping):
        return (None if thinking is None else dict(thinking)), None
    if thinking in (False, 0, "none", "off", "disabled"):
        return {"type": "disabled"}, None
    if isinstance(thinking, str):
        return {"type": "adaptive"}, thinking
    if thinking is True:
        return {"type": "adaptive"}, None
    return {"type": "enabled", "budget_tokens": thinking}, None


def _tool(spec: ToolSpec, *, native: bool) -> dict[str, Any]:
    if native and "anthropic" in spec.native:
        return {"type": spec.native["anthropic"], "name": spec.name, **_switches(spec)}
    schema = closed(spec.input_schema) if spec.strict else spec.input_schema
    tool: dict[str, Any] = {
        "name": spec.name,
        "description": spec.description,
        "input_schema": schema if "type" in schema else {"type": "object", **schema},
    }
    return {**tool, **_switches(spec)}


def _switches(spec: ToolSpec) -> dict[str, Any]:
    switches: dict[str, Any] = {"strict": True} if spec.strict else {}
    if spec.allowed_callers:
        switches["allowed_callers"] = list(spec.allowed_callers)
    return switches


def _server_tool(tool: ServerTool) -> dict[str, Any]:
    kind = tool.options.get("type") or SERVER_TOOLS.get(tool.name)
    if kind is None:
        raise ConfigurationError(
            f"{tool.name!r} is no server tool of Anthropic's that is known ({', '.join(SERVER_TOOLS)}); "
            "name its type in the tool's options: {'type': '…'}"
        )
    rendered = {"type": kind, "name": tool.name, **tool.options}
    if kind == "mcp_toolset":
        del rendered["name"]  # it is named by mcp_server_name
    return rendered


def _betas(tool: Any) -> Iterator[str]:
    kind = tool.get("type") if isinstance(tool, dict) else None
    return (beta for name, beta in _BETAS if name == kind)


def _tool_choice(choice: str) -> dict[str, Any]:
    named = {"auto": "auto", "required": "any", "none": "none"}.get(choice)
    return {"type": "tool", "name": choice} if named is None else {"type": named}


def _container(messages: Sequence[Message], settings: WireSettings) -> str | None:
    """The sandbox whose call the last message answers."""
    for message in messages[-2:]:
        for use in message.tool_uses:
            if message.origin == settings.origin and use.extra and isinstance(use.extra.get(CONTAINER), str):
                found: str = use.extra[CONTAINER]
                return found
    return None


__all__ = ["DEFAULT_MAX_TOKENS", "SERVER_TOOLS", "AnthropicCodec", "fit_id"]
