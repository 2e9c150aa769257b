"""Who may read a conversation next, and what each of them would refuse of it. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

import attrs

from alloy_trio.values import (
    AlloyError,
    CompletionRequest,
    ConfigurationError,
    Message,
    Origin,
    ToolSpec,
)

from ._anthropic import AnthropicCodec
from ._bedrock import BedrockCodec
from ._codec import Codec, WireSettings
from ._dialects import DIALECTS, Dialect
from ._gemini import GeminiCodec
from ._ollama import OllamaCodec
from ._openai_chat import ChatCodec
from ._openai_responses import ResponsesCodec
from ._validity import WIRES, request_problems

_GO_ON = Message.user("Go on.")
_TOOL = ToolSpec("tool", "A tool.", {"type": "object", "properties": {}})


@attrs.frozen(kw_only=True)
class Reader:
    """A provider as far as a conversation is concerned.

    Args:
        codec: makes the codec.
        rules: whose rules hold, see :data:`~alloy_trio.wire._validity.WIRES`.
        model: one that asks for all that any of the provider's models asks for.
    """

    codec: Callable[[], Codec]
    rules: str
    model: str


def _chat(name: str, dialect: Dialect) -> Reader:
    rules = name if name in WIRES else "openai_chat"
    return Reader(codec=lambda: ChatCodec(dialect), rules=rules, model=f"{name}-model")


_RESPONSES = Reader(codec=ResponsesCodec, rules="openai_responses", model="gpt-5.4")

READERS: Mapping[str, Reader] = {
    **{name: _chat(name, dialect) for name, dialect in DIALECTS.items()},
    "anthropic": Reader(codec=AnthropicCodec, rules="anthropic", model="claude-sonnet-4-6"),
    "bedrock": Reader(codec=BedrockCodec, rules="bedrock", model="anthropic.claude-sonnet-4-6"),
    "gemini": Reader(codec=GeminiCodec, rules="gemini", model="gemini-3.5-flash"),
    "ollama": Reader(codec=OllamaCodec, rules="ollama", model="qwen3"),
    "openai": _RESPONSES,
    "openai-compatible": _chat("compatible", DIALECTS["compatible"]),
    "openai_chat": _chat("openai", DIALECTS["openai"]),
    "openai_responses": _RESPONSES,
    "xai": attrs.evolve(_RESPONSES, model="grok-4.3"),
}
"""By the names of providers and of protocols."""


def problems_for(messages: Sequence[Message], name: str) -> tuple[str, ...]:
    """What a provider would refuse of the request that would be sent, in words.

    It is asked as each of its models that took part, which get back what is theirs, and as one that did not.

    Raises:
        ConfigurationError: the name is not known.
    """
    reader = READERS.get(name)
    if reader is None:
        close = difflib.get_close_matches(name, READERS, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ConfigurationError(f"{name!r} is no wire; {hint}write one of {', '.join(sorted(READERS))}")
    whole = tuple(messages) if messages and messages[-1].role == "user" else (*messages, _GO_ON)
    took_part = [message.origin for message in whole if message.origin and message.origin.provider == name]
    origins = dict.fromkeys([*took_part, Origin(name, reader.model)])
    found = [problem for origin in origins for problem in _sent(whole, reader, origin)]
    return tuple(dict.fromkeys(found))


def _sent(messages: tuple[Message, ...], reader: Reader, origin: Origin) -> tuple[str, ...]:
    settings = WireSettings(provider=origin.provider, model=origin.model)
    request = CompletionRequest(messages, tools=(_TOOL,))
    try:
        body = reader.codec().encode(request, settings, stream=True).body
    except AlloyError as error:
        return (str(error),)
    return request_problems(reader.rules, body, model=origin.model)
