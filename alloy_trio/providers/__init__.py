"""Models that can be asked. Names load on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._demo import Demo
    from ._http import HttpOptions, HttpProvider
    from ._presets import PROVIDERS, Anthropic, OpenAI, OpenAICompatible, Preset, provider_from_name
    from ._scripted import Scripted

_HOME = {
    "Anthropic": "_presets",
    "Demo": "_demo",
    "HttpOptions": "_http",
    "HttpProvider": "_http",
    "OpenAI": "_presets",
    "OpenAICompatible": "_presets",
    "PROVIDERS": "_presets",
    "Preset": "_presets",
    "Scripted": "_scripted",
    "provider_from_name": "_presets",
}

__all__ = [
    "PROVIDERS",
    "Anthropic",
    "Demo",
    "HttpOptions",
    "HttpProvider",
    "OpenAI",
    "OpenAICompatible",
    "Preset",
    "Scripted",
    "provider_from_name",
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
