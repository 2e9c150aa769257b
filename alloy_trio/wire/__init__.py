"""Bytes to values and back: one pure codec per protocol. Codecs load on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._codec import Codec, Decoder, ThinkingOption, WireRequest, WireSettings

if TYPE_CHECKING:
    from ._anthropic import AnthropicCodec
    from ._bedrock import BedrockCodec
    from ._dialects import COMPATIBLE, DIALECTS, Dialect
    from ._faults import fault_from_response, request_id_of, scrub
    from ._gemini import GeminiCodec
    from ._history import problems, repair, told_apart
    from ._ollama import OllamaCodec
    from ._openai_chat import ChatCodec
    from ._openai_responses import ResponsesCodec
    from ._sigv4 import AwsCredentials, sign
    from ._validity import request_problems

_HOME = {
    "COMPATIBLE": "_dialects",
    "DIALECTS": "_dialects",
    "AnthropicCodec": "_anthropic",
    "AwsCredentials": "_sigv4",
    "BedrockCodec": "_bedrock",
    "ChatCodec": "_openai_chat",
    "Dialect": "_dialects",
    "GeminiCodec": "_gemini",
    "OllamaCodec": "_ollama",
    "ResponsesCodec": "_openai_responses",
    "fault_from_response": "_faults",
    "problems": "_history",
    "repair": "_history",
    "request_id_of": "_faults",
    "request_problems": "_validity",
    "scrub": "_faults",
    "sign": "_sigv4",
    "told_apart": "_history",
}

__all__ = [
    "COMPATIBLE",
    "DIALECTS",
    "AnthropicCodec",
    "AwsCredentials",
    "BedrockCodec",
    "ChatCodec",
    "Codec",
    "Decoder",
    "Dialect",
    "GeminiCodec",
    "OllamaCodec",
    "ResponsesCodec",
    "ThinkingOption",
    "WireRequest",
    "WireSettings",
    "fault_from_response",
    "problems",
    "repair",
    "request_id_of",
    "request_problems",
    "scrub",
    "sign",
    "told_apart",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
