"""Who is told of what runs do: seams for proofs, which see runs however deep in a program they are made.

Each costs one look at a context variable where nobody watches.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from typing import TypeAlias

from alloy_trio.values import Event, Result, ToolUse

Watcher: TypeAlias = Callable[[Result, Sequence[Event]], None]
"""Gets what a run came to and all of its own events; called in the step in which it ends. It must not raise."""

watcher: ContextVar[Watcher | None] = ContextVar("alloy_trio_watcher", default=None)
"""In force for all runs that are made where it is set. Without one a run keeps no events for it."""

ExecutionWatcher: TypeAlias = Callable[[ToolUse, Callable[[], Awaitable[object]]], Awaitable[object]]
"""Async function of a call that has started and of what executes it. What it returns or raises is taken for the tool's
own, within its time limit."""

execution_watcher: ContextVar[ExecutionWatcher | None] = ContextVar(
    "alloy_trio_execution_watcher", default=None
)
"""In force for the tool calls of all runs that are made where it is set."""
