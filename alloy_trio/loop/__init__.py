"""The turn loop and what drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._emitter import Emitter
from ._events import EventStatistics, EventStream
from ._machine import Rules, RunState
from ._options import Options, RunOptions, check_options
from ._performance import Performance
from ._run import discovered, new_state, performed, resume, rules_of, run, stream, taken_up
from ._surroundings import Here, Inbox, Owner, Surroundings, here

if TYPE_CHECKING:
    from ._around import session_around
    from ._decisions import Approve, Decision, Deny, Edit
    from ._log import LoggingMiddleware
    from ._tool_policy import ToolPolicy

__all__ = [
    "Approve",
    "Decision",
    "Deny",
    "Edit",
    "Emitter",
    "EventStatistics",
    "EventStream",
    "Here",
    "Inbox",
    "LoggingMiddleware",
    "Options",
    "Owner",
    "Performance",
    "Rules",
    "RunOptions",
    "RunState",
    "Surroundings",
    "ToolPolicy",
    "check_options",
    "discovered",
    "here",
    "new_state",
    "performed",
    "resume",
    "rules_of",
    "run",
    "session_around",
    "stream",
    "taken_up",
]

_LATE = {
    "Approve": "_decisions",
    "Decision": "_decisions",
    "Deny": "_decisions",
    "Edit": "_decisions",
    "LoggingMiddleware": "_log",
    "ToolPolicy": "_tool_policy",
    "session_around": "_around",
}
"""What a plain run does without."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        from importlib import import_module

        value = getattr(import_module(f".{_LATE[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
