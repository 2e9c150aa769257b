"""What a user may implement."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._abc import DeltaSink, MemoryStore, Provider

if TYPE_CHECKING:
    from ._middleware import Middleware, RunInfo

__all__ = ["DeltaSink", "MemoryStore", "Middleware", "Provider", "RunInfo"]

_LATE = {"Middleware": "_middleware", "RunInfo": "_middleware"}
"""What a plain run does without."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        from importlib import import_module

        value = getattr(import_module(f"alloy_trio.{_LATE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
