"""The turn loop and what drives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._events import EventStatistics, EventStream
from ._options import Options, RunOptions, check_options
from ._performance import Performance
from ._run import new_state, performed, resume, run, stream
from ._surroundings import Inbox, Owner, Surroundings

if TYPE_CHECKING:
    from ._decisions import Approve, Decision, Deny, Edit

__all__ = [
    "Approve",
    "Decision",
    "Deny",
    "Edit",
    "EventStatistics",
    "EventStream",
    "Inbox",
    "Options",
    "Owner",
    "Performance",
    "RunOptions",
    "Surroundings",
    "check_options",
    "new_state",
    "performed",
    "resume",
    "run",
    "stream",
]

_LATE = {"Approve": "_decisions", "Decision": "_decisions", "Deny": "_decisions", "Edit": "_decisions"}
"""What only a paused run needs."""


def __getattr__(name: str) -> Any:
    if name in _LATE:
        from importlib import import_module

        value = getattr(import_module(f".{_LATE[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
