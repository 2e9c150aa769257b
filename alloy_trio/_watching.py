"""Who is told of every run that ends: a seam for proofs, which see runs however deep in a program they are made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import TypeAlias

from alloy_trio.values import Event, Result

Watcher: TypeAlias = Callable[[Result, Sequence[Event]], None]
"""Gets what a run came to and all of its own events; called in the step in which it ends. It must not raise."""

watcher: ContextVar[Watcher | None] = ContextVar("alloy_trio_watcher", default=None)
"""In force for all runs that are made where it is set. Without one a run keeps no events for it."""
