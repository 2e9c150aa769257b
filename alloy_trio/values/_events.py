"""The event envelope, version 1."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

EventName: TypeAlias = Literal[
    "run_start",
    "turn_start",
    "text_delta",
    "thinking_delta",
    "tool_input_delta",
    "tool_start",
    "tool_progress",
    "tool_end",
    "turn_end",
    "retry",
    "fallback",
    "compaction",
    "run_end",
    "child_start",
    "child_exit",
    "child_restart",
    "escalation",
]


# Without a slot for weak references, so that the loop may lay it out itself: see loop/_events.py.
@attrs.frozen(kw_only=True, weakref_slot=False)
class Event:
    """One thing that happened in a run.

    Args:
        v: version of the envelope.
        event: what happened.
        seq: counts from 1 without a gap within one correlation id.
        correlation_id: names the run.
        turn: the model call it belongs to, counted from 1; 0 before the first.
        ts_ms: milliseconds since the epoch.
        payload: plain JSON data, or the text itself for text_delta and thinking_delta.
        parent_id: the correlation id of the run that this one is part of.
    """

    v: int = 1
    event: EventName
    seq: int
    correlation_id: str
    turn: int
    ts_ms: int
    payload: Any
    parent_id: str | None = None
