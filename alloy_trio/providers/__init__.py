"""Models that can be asked. Names load on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._bedrock import Bedrock
    from ._cassette_record import Recorder, record
    from ._cassette_replay import NotRecorded, Replayer, replay
    from ._demo import Demo
    from ._fallback import Fallback
    from ._hedge import Hedge
    from ._http import Host, HttpOptions, HttpProvider, bearer
    from ._limits import LimitStatistics, RateLimit
    from ._presets import PROVIDERS, Preset, provider_from_name
    from ._retry import Retry
    from ._scripted import Scripted
    from ._scripted_turns import Delayed, Streamed
    from ._vendors import (
        XAI,
        Anthropic,
        AzureOpenAI,
        DeepSeek,
        Gemini,
        Groq,
        Mistral,
        Ollama,
        OpenAI,
        OpenAICompatible,
        OpenRouter,
        Together,
    )

_HOME = {
    "Anthropic": "_vendors",
    "AzureOpenAI": "_vendors",
    "Bedrock": "_bedrock",
    "DeepSeek": "_vendors",
    "Delayed": "_scripted_turns",
    "Demo": "_demo",
    "Fallback": "_fallback",
    "Gemini": "_vendors",
    "Groq": "_vendors",
    "Hedge": "_hedge",
    "Host": "_http",
    "HttpOptions": "_http",
    "HttpProvider": "_http",
    "LimitStatistics": "_limits",
    "Mistral": "_vendors",
    "Ollama": "_vendors",
    "NotRecorded": "_cassette_replay",
    "OpenAI": "_vendors",
    "OpenAICompatible": "_vendors",
    "OpenRouter": "_vendors",
    "PROVIDERS": "_presets",
    "Preset": "_presets",
    "RateLimit": "_limits",
    "Recorder": "_cassette_record",
    "Replayer": "_cassette_replay",
    "Retry": "_retry",
    "Scripted": "_scripted",
    "Streamed": "_scripted_turns",
    "Together": "_vendors",
    "XAI": "_vendors",
    "bearer": "_http",
    "provider_from_name": "_presets",
    "record": "_cassette_record",
    "replay": "_cassette_replay",
}

__all__ = [
    "PROVIDERS",
    "Anthropic",
    "AzureOpenAI",
    "Bedrock",
    "DeepSeek",
    "Delayed",
    "Demo",
    "Fallback",
    "Gemini",
    "Groq",
    "Hedge",
    "Host",
    "HttpOptions",
    "HttpProvider",
    "LimitStatistics",
    "Mistral",
    "NotRecorded",
    "Ollama",
    "OpenAI",
    "OpenAICompatible",
    "OpenRouter",
    "Preset",
    "RateLimit",
    "Recorder",
    "Replayer",
    "Retry",
    "Scripted",
    "Streamed",
    "Together",
    "XAI",
    "bearer",
    "provider_from_name",
    "record",
    "replay",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
