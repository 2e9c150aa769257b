"""Ollama's own protocol, ``POST /api/chat``: the request side, and the codec.

``_ollama_messages`` renders the conversation, ``_ollama_stream`` reads answers, ``_ollama_window`` sees to it
that the server reads all of the input or says that it did not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import attrs

from alloy_trio.values import CompletionRequest, ConfigurationError, Message, ToolSpec

from ._codec import Codec, WireRequest, WireSettings, dump
from ._memo import memo
from ._ollama_messages import render_message, without_images
from ._ollama_stream import OllamaDecoder
from ._ollama_window import MAX_NUM_CTX, STEP, Measure, Window, measure, plan

_NO_NAMES: Mapping[str, str] = {}

_THINK = {"none": False, "off": False, "minimal": "low", "xhigh": "high", "max": "high"}
"""Efforts that the wire has no word for; it knows low, medium, high, true and false."""


@attrs.frozen(kw_only=True)
class OllamaRequest(WireRequest):
    """A request that remembers which window it asked for."""

    window: Window


class OllamaCodec(Codec):
    """``POST {base_url}/api/chat``.

    Args:
        max_num_ctx: the largest context window to ask for, in tokens.
    """

    def __init__(self, max_num_ctx: int = MAX_NUM_CTX) -> None:
        if type(max_num_ctx) is not int or max_num_ctx < STEP:
            raise ConfigurationError(
                f"max_num_ctx={max_num_ctx!r} must be a number of tokens, {STEP} or more; for a smaller window "
                "give extra_body={'options': {'num_ctx': …}}"
            )
        self.max_num_ctx = max_num_ctx

    def encode(self, request: CompletionRequest, settings: WireSettings, *, stream: bool) -> OllamaRequest:
        """Render a request; see :meth:`Codec.encode`.

        ``extra_body["options"]`` is merged over the options that are made here; a ``num_ctx`` in it is the window.

        Raises:
            ConfigurationError: the wire cannot carry something of the request.
            ContextOverflow: the input may not fit into the largest window.
        """
        head = _head(request, settings, stream)
        extra = dict(settings.extra_body)
        options = extra.pop("options", {})
        if not isinstance(options, Mapping):
            raise ConfigurationError(f"extra_body's options are {options!r}; give a dict")
        head |= extra
        if "messages" in head:  # extra_body has the last word, here too
            parts = [measure(dump(head))]
            inner = dump(head.pop("messages"))[1:-1]
        else:
            chunks, parts = self._messages(request, settings)
            parts.append(measure(dump(head.get("tools"))))
            inner = b",".join(chunks)
        caps = [cap for cap in (settings.max_tokens, request.max_tokens) if cap is not None]
        window = plan(
            parts,
            max_tokens=min(caps) if caps else None,
            max_num_ctx=self.max_num_ctx,
            fixed=_fixed(options.get("num_ctx")),
            provider=settings.provider,
        )
        made: dict[str, Any] = {"num_ctx": window.num_ctx, "num_predict": window.num_predict}
        if settings.temperature is not None:
            made["temperature"] = settings.temperature
        # The options stand last: they change from turn to turn, and a turn's body begins with that of the turn before.
        tail = dump({"options": made | dict(options)})[1:]
        body = dump(head)[:-1] + b',"messages":[' + inner + b"]," + tail
        return OllamaRequest(path="/api/chat", body=body, window=window)

    def decoder(self, settings: WireSettings) -> OllamaDecoder:
        """A fresh decoder for one answer to a request that is not known."""
        return OllamaDecoder(settings)

    def decoder_for(self, wire: WireRequest, settings: WireSettings) -> OllamaDecoder:
        """A fresh decoder for the answer to ``wire``; it notices input that was cut."""
        window = wire.window if isinstance(wire, OllamaRequest) else None
        return OllamaDecoder(settings, window, hashlib.sha256(wire.body).hexdigest())

    def _messages(
        self, request: CompletionRequest, settings: WireSettings
    ) -> tuple[list[bytes], list[Measure]]:
        chunks: list[bytes] = []
        parts: list[Measure] = []
        system = _system(request)
        if system:
            chunks.append(dump({"role": "system", "content": system}))
            parts.append(measure(chunks[0]))
        names = _NO_NAMES
        for message in request.messages:
            answered = tuple(names.items())

            def render(message: Message, names: Mapping[str, str] = names) -> list[dict[str, Any]]:
                return render_message(message, settings, names)

            key = ("ollama", settings.provider, settings.model, answered)
            chunk = memo.encoded(message, key, lambda made: b",".join(map(dump, render(made))))
            if chunk:
                chunks.append(chunk)
                counted = memo.encoded(message, (*key, "size"), lambda made: _sizes(render(made)))
                most, least = counted.split()
                parts.append(Measure(int(most), int(least)))
            names = {call.id: call.name for call in message.tool_uses} if message.tool_uses else _NO_NAMES
        return chunks, parts


def _sizes(rendered: list[dict[str, Any]]) -> bytes:
    # As bytes, because that is what the memo keeps for as long as the message lives.
    texts, images = without_images(rendered)
    size = measure(dump(texts), images)
    return b"%d %d" % (size.most, size.least)


def _head(request: CompletionRequest, settings: WireSettings, stream: bool) -> dict[str, Any]:
    """Everything but the messages and the options."""
    # `stream` is always said: left out, this protocol takes it for true.
    body: dict[str, Any] = {"model": settings.model, "stream": stream, "truncate": False, "shift": False}
    for server_tool in request.server_tools:
        raise ConfigurationError(
            f"Ollama runs no server tool {server_tool.name!r}; use a provider that does (Anthropic, OpenAI, Gemini)"
        )
    choice = request.tool_choice
    if choice not in (None, "auto", "none"):
        raise ConfigurationError(
            f"tool_choice is {choice!r}, but Ollama cannot make a model call a tool; use 'auto' or 'none', and say "
            "in the prompt what is to be called"
        )
    if request.tools and choice != "none":
        body["tools"] = [_tool(tool) for tool in request.tools]
    elif request.output_schema is not None:
        body["format"] = request.output_schema
    body |= _thinking(settings)
    return body


def _system(request: CompletionRequest) -> str:
    texts = [request.system] if request.system else []
    if request.output_schema is not None:
        # `format` holds the model to the schema without telling it of it, and not at all on ollama.com
        # (ollama#12362). With tools it would forbid every call (ollama#8095, #11037), so there it is left out.
        schema = dump(request.output_schema).decode()
        texts.append(f"Answer with nothing but JSON that follows this JSON Schema:\n{schema}")
    return "\n\n".join(texts)


def _tool(tool: ToolSpec) -> dict[str, Any]:
    if tool.allowed_callers and "direct" not in tool.allowed_callers:
        raise ConfigurationError(
            f"the tool {tool.name!r} may only be called by {', '.join(tool.allowed_callers)}, but with Ollama "
            "every call comes from the model itself; add 'direct' or leave the tool out"
        )
    function = {"name": tool.name, "description": tool.description, "parameters": tool.input_schema}
    return {"type": "function", "function": function}


def _thinking(settings: WireSettings) -> dict[str, Any]:
    thinking = settings.thinking
    if thinking is None:
        return {}
    if isinstance(thinking, Mapping):
        return dict(thinking)
    if isinstance(thinking, bool | str):
        return {"think": thinking if isinstance(thinking, bool) else _THINK.get(thinking, thinking)}
    raise ConfigurationError(
        f"thinking={thinking!r} is a budget in tokens, but Ollama takes an effort; "
        "use thinking='low', 'medium', 'high', True or False"
    )


def _fixed(num_ctx: Any) -> int | None:
    if num_ctx is None:
        return None
    if type(num_ctx) is not int or num_ctx < 1:
        raise ConfigurationError(f"num_ctx is {num_ctx!r}; give a number of tokens")
    return num_ctx
