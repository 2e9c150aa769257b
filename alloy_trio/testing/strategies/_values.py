"""Requests, answers, what runs come to, and what they cost."""

from __future__ import annotations

from datetime import UTC
from decimal import Decimal
from typing import Any, get_args

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from alloy_trio.values import (
    AttemptFailed,
    Completion,
    CompletionRequest,
    Delta,
    ErrorInfo,
    Message,
    OpenRound,
    Result,
    Session,
    Status,
    StopReason,
    TextDelta,
    ThinkingDelta,
    ToolCallRecord,
    ToolInputDelta,
    ToolOutcome,
    ToolUse,
    Usage,
    UsageDelta,
)

from ._blocks import messages, tool_results
from ._histories import histories
from ._plain import COUNTS, IDS, NAMES, json_objects, json_values, several, texts
from ._schemas import server_tools, tool_schemas, tool_specs

SECONDS = st.floats(min_value=0, max_value=1e6)
_MONEY = st.decimals(min_value=0, max_value=10**6, places=4)


def usages(*, priced: bool | None = None) -> SearchStrategy[Usage]:
    """Tokens and their cost; reasoning is never more than the output that it is part of.

    Args:
        priced: whether the cost is known; None for either.
    """
    cost: SearchStrategy[Decimal | None] = st.none()
    if priced is not False:
        cost = _MONEY if priced else st.none() | _MONEY

    @st.composite
    def made(draw: st.DrawFn) -> Usage:
        output = draw(COUNTS)
        return Usage(
            input_tokens=draw(COUNTS),
            cache_read_tokens=draw(COUNTS),
            cache_write_tokens=draw(COUNTS),
            output_tokens=output,
            reasoning_tokens=draw(st.integers(0, output)),
            cost_cents=draw(cost),
        )

    return made()


def error_infos() -> SearchStrategy[ErrorInfo]:
    """Errors as data."""
    kinds = st.sampled_from(["RateLimited", "ServerFault", "ToolError"]) | texts()
    return st.builds(ErrorInfo, kinds, texts(), st.none() | st.integers(400, 599), st.none() | texts())


def deltas() -> SearchStrategy[Delta]:
    """Pieces of answers, each by itself."""
    return st.one_of(*DELTAS.values())


DELTAS: dict[type[Any], SearchStrategy[Any]] = {
    TextDelta: st.builds(TextDelta, texts()),
    ThinkingDelta: st.builds(ThinkingDelta, texts()),
    ToolInputDelta: st.builds(ToolInputDelta, IDS | texts(), NAMES | texts(), texts()),
    UsageDelta: st.builds(UsageDelta, usages()),
    AttemptFailed: st.builds(AttemptFailed, error_infos(), SECONDS, st.none() | texts(), usages()),
}


def completion_requests() -> SearchStrategy[CompletionRequest]:
    """What a model is asked: a valid conversation, with tools and settings."""
    choices = st.sampled_from([None, "auto", "required", "none"]) | NAMES
    return st.builds(
        CompletionRequest,
        histories(max_turns=2),
        tools=several(tool_specs(), 2),
        server_tools=several(server_tools(), 1),
        system=st.none() | texts(),
        max_tokens=st.none() | COUNTS,
        tool_choice=choices,
        output_schema=st.none() | tool_schemas(max_properties=2),
    )


def completions() -> SearchStrategy[Completion]:
    """Answers of models."""
    return st.builds(
        Completion,
        messages("assistant"),
        st.sampled_from(get_args(StopReason)),
        usages(),
        texts(),
        st.none() | texts(),
        usages(),
    )


def tool_call_records() -> SearchStrategy[ToolCallRecord]:
    """What became of calls; one that never started has no time and no events."""
    return st.tuples(IDS, NAMES, json_objects()).flatmap(lambda call: _record(ToolUse(*call)))


@st.composite
def _record(draw: st.DrawFn, use: ToolUse) -> ToolCallRecord:
    outcome: ToolOutcome = draw(st.sampled_from(get_args(ToolOutcome)))
    started = outcome not in ("not_started", "blocked")
    start = draw(st.integers(1, 1000)) if started else None
    return ToolCallRecord(
        id=use.id,
        name=use.name,
        input=use.input,
        output=draw(texts()),
        error=None if outcome == "completed" else draw(texts()),
        duration_ms=draw(COUNTS) if started else 0,
        outcome=outcome,
        start_seq=start,
        end_seq=None if start is None else start + draw(st.integers(1, 9)),
        data=draw(json_values()) if outcome == "completed" else None,
    )


def open_rounds() -> SearchStrategy[OpenRound]:
    """Turns in whose midst a run was paused."""
    return st.builds(OpenRound, messages("assistant"), several(tool_results(), 2))


@st.composite
def _results(draw: st.DrawFn, status: Status | None) -> Result:
    how: Status = draw(st.sampled_from(get_args(Status))) if status is None else status
    said = draw(histories(max_turns=2))
    answers = [message for message in said if message.role == "assistant"]
    records = [draw(_record(use)) for message in answers for use in message.tool_uses]
    asked: tuple[ToolUse, ...] = ()
    unfinished: OpenRound | None = None
    if how == "paused":
        asked = (ToolUse("call_open", draw(NAMES), draw(json_objects())),)
        unfinished = OpenRound(Message("assistant", asked), ())
    return Result(
        text=answers[-1].text if answers else "",
        messages=said,
        usage=draw(usages()),
        tool_calls=tuple(records),
        status=how,
        turns=len(answers),
        stop_reason=draw(st.sampled_from(get_args(StopReason))) if answers else None,
        error=draw(error_infos()) if how == "error" else None,
        pending=asked,
        open_round=unfinished,
        request_id=draw(IDS | texts()),
        correlation_id=draw(IDS),
    )


def results(status: Status | None = None) -> SearchStrategy[Result]:
    """What runs come to: a valid conversation, a record for each of its calls, and a status that the rest fits.

    Args:
        status: how they ended; None for any way.
    """
    return _results(status)


@st.composite
def sessions(draw: st.DrawFn) -> Session:
    """Conversations that outlive their agent."""
    created, later = sorted(draw(st.tuples(_TIMES, _TIMES)))
    return Session(
        id=draw(IDS | texts()),
        messages=draw(histories(max_turns=2)),
        usage=draw(usages()),
        metadata=draw(json_objects()),
        created_at=created,
        updated_at=later,
    )


_TIMES = st.datetimes(timezones=st.just(UTC))


def usage_payload(usage: Usage) -> dict[str, Any]:
    """A usage as events carry it."""
    written = attrs.asdict(usage)
    cost = usage.cost_cents
    return {**written, "cost_cents": None if cost is None else str(cost)}


def error_payload(error: ErrorInfo) -> dict[str, Any]:
    """An error as events carry it."""
    return attrs.asdict(error)
