"""The turn loop and what drives it."""

from __future__ import annotations

from ._events import EventStatistics, EventStream
from ._options import RunOptions
from ._run import run, stream

__all__ = ["EventStatistics", "EventStream", "RunOptions", "run", "stream"]
