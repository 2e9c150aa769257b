"""The event envelope."""

from __future__ import annotations

from typing import get_args

import attrs
import pytest

from alloy_trio.values import Event, EventName


def test_an_event_is_of_version_1_and_stands_alone_unless_said() -> None:
    event = Event(event="text_delta", seq=1, correlation_id="c", turn=1, ts_ms=0, payload="hi")
    assert (event.v, event.parent_id) == (1, None)


def test_an_event_is_frozen_and_written_by_name() -> None:
    event = Event(event="run_end", seq=1, correlation_id="c", turn=0, ts_ms=0, payload={})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.seq = 2  # type: ignore[misc]
    with pytest.raises(TypeError):
        Event(1, "run_end", 1, "c", 0, 0, {})  # type: ignore[misc]


def test_the_envelope_has_exactly_the_promised_fields_and_names() -> None:
    assert [field.name for field in attrs.fields(Event)] == (
        ["v", "event", "seq", "correlation_id", "turn", "ts_ms", "payload", "parent_id"]
    )
    promised = """
        run_start turn_start text_delta thinking_delta tool_input_delta tool_start tool_progress tool_end
        turn_end retry fallback compaction run_end child_start child_exit child_restart escalation
    """
    assert " ".join(get_args(EventName)) == " ".join(promised.split())
