"""What a run comes to."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import attrs

from ._errors import RemoteError
from ._messages import Message, ToolResult, ToolUse
from ._usage import Usage

Status: TypeAlias = Literal[
    "completed",
    "incomplete",
    "max_turns",
    "budget_exceeded",
    "halted",
    "timeout",
    "cancelled",
    "paused",
    "error",
]
ToolOutcome: TypeAlias = Literal["completed", "failed", "blocked", "interrupted", "not_started"]


@attrs.frozen
class ErrorInfo:
    """An error as data.

    Args:
        kind: the exception's class name.
        message: its text.
        status: the HTTP status, where there was one.
        request_id: the vendor's id of the request.
    """

    kind: str
    message: str
    status: int | None = None
    request_id: str | None = None

    @classmethod
    def of(cls, error: BaseException) -> ErrorInfo:
        """Describe an exception."""
        if isinstance(error, RemoteError):
            return cls(type(error).__name__, error.message, error.status, error.request_id)
        return cls(type(error).__name__, str(error))


@attrs.frozen(kw_only=True)
class ToolCallRecord:
    """What became of one tool call.

    Args:
        id: the call's id.
        name: the tool.
        input: what the model asked for.
        output: the text that the model was given.
        error: why it failed, or None.
        duration_ms: milliseconds of execution; 0 if it never started.
        outcome: ``"completed"``, ``"failed"``, ``"blocked"`` (by middleware), ``"interrupted"`` (started, then
            cancelled or timed out: it may have taken effect) or ``"not_started"``.
        start_seq: the ``seq`` of its tool_start event; None if it never started.
        end_seq: the ``seq`` of its tool_end event; None if it never started.
        data: what the tool returned for programs rather than for the model.
    """

    id: str
    name: str
    input: dict[str, Any]
    output: str
    error: str | None = None
    duration_ms: int = 0
    outcome: ToolOutcome
    start_seq: int | None = None
    end_seq: int | None = None
    data: Any = None


@attrs.frozen
class OpenRound:
    """The turn in whose midst a run was paused, as ``resume`` needs it.

    Args:
        message: the model's, with all of its calls.
        results: of the calls that do not wait for a decision.
    """

    message: Message
    results: tuple[ToolResult, ...] = ()


@attrs.frozen(kw_only=True)
class Result:
    """What a run came to, however it ended.

    Args:
        text: the answer; after a cut, cancel or error what had arrived of it.
        messages: the whole conversation, always valid for a next request.
        usage: the sum over all model calls, failed attempts included.
        tool_calls: one record for each call, in the model's order.
        status: how the run ended.
        turns: model calls that were answered.
        stop_reason: the last completion's; None if there was none.
        error: what went wrong, or None.
        pending: calls that wait for a decision (status ``"paused"``).
        open_round: the turn that these calls belong to, which is not in ``messages``.
        request_id: the caller's name for the request, or a generated one.
        correlation_id: the one on the run's events.
    """

    text: str
    messages: tuple[Message, ...]
    usage: Usage
    tool_calls: tuple[ToolCallRecord, ...] = ()
    status: Status
    turns: int = 0
    stop_reason: str | None = None
    error: ErrorInfo | None = None
    pending: tuple[ToolUse, ...] = ()
    open_round: OpenRound | None = None
    request_id: str
    correlation_id: str
