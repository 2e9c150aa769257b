"""What is asked of a model, what comes back, and the pieces in which it arrives."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import attrs

from ._messages import Message
from ._result import ErrorInfo
from ._usage import Usage

StopReason: TypeAlias = Literal[
    "end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "pause_turn", "context_overflow"
]


@attrs.frozen
class ToolSpec:
    """A tool as a model sees it.

    Args:
        name: what the model calls it.
        description: what it is for.
        input_schema: JSON Schema of its input, an object.
        strict: ask the vendor to enforce the schema.
        allowed_callers: who may call it, in the vendor's words (Anthropic's ``code_execution_…``).
        native: for vendors whose models know the tool by themselves, its type in the vendor's words by the vendor's
            name, as ``{"anthropic": "memory_20250818"}``. There it is sent as that; everywhere else as the rest says.
    """

    name: str
    description: str
    input_schema: dict[str, Any]
    strict: bool = False
    allowed_callers: tuple[str, ...] = ()
    native: dict[str, str] = attrs.field(factory=dict)


@attrs.frozen
class ServerTool:
    """A tool that the vendor runs on its own side; ``options`` are in the vendor's words."""

    name: str
    options: dict[str, Any] = attrs.field(factory=dict)


def _messages(messages: Iterable[Message]) -> tuple[Message, ...]:
    return tuple(messages)


@attrs.frozen(kw_only=True)
class CompletionRequest:
    """One model call.

    Args:
        messages: a valid conversation; the last message is usually the user's.
        tools: what the model may call.
        server_tools: what the vendor may run itself.
        system: the system prompt.
        max_tokens: cap of the output, in tokens; None leaves it to the provider.
        tool_choice: ``"auto"``, ``"required"``, ``"none"`` or a tool's name.
        output_schema: JSON Schema that the answer's text has to follow.
    """

    messages: tuple[Message, ...] = attrs.field(converter=_messages, kw_only=False)
    tools: tuple[ToolSpec, ...] = ()
    server_tools: tuple[ServerTool, ...] = ()
    system: str | None = None
    max_tokens: int | None = None
    tool_choice: str | None = None
    output_schema: dict[str, Any] | None = None


@attrs.frozen
class Completion:
    """A model's whole answer to one request.

    Args:
        message: an assistant message with its origin.
        stop_reason: why the model stopped. Tool uses are to be run only after ``"tool_use"``.
        usage: the answering call's.
        model: the model that answered, as the vendor names it.
        request_id: the vendor's id of the request.
        other_usage: of failed attempts and hedged losers.
    """

    message: Message
    stop_reason: StopReason
    usage: Usage = attrs.field(factory=Usage)
    model: str = ""
    request_id: str | None = None
    other_usage: Usage = attrs.field(factory=Usage)


@attrs.frozen
class TextDelta:
    """More of the answer's text."""

    text: str


@attrs.frozen
class ThinkingDelta:
    """More of the model's readable reasoning."""

    text: str


@attrs.frozen
class ToolInputDelta:
    """More of a call's arguments, as raw JSON text; empty when the call has just been opened."""

    id: str
    name: str
    partial_json: str


@attrs.frozen
class UsageDelta:
    """The usage so far. Replaces the one before within an attempt; attempts add up."""

    usage: Usage


@attrs.frozen
class AttemptFailed:
    """An attempt failed and another follows.

    Args:
        error: what failed.
        delay_seconds: how long is waited before the next attempt.
        next_provider: the provider that is tried next, when it is another one.
        usage: what the failed attempt used.
    """

    error: ErrorInfo
    delay_seconds: float
    next_provider: str | None = None
    usage: Usage = attrs.field(factory=Usage)


Delta: TypeAlias = TextDelta | ThinkingDelta | ToolInputDelta | UsageDelta | AttemptFailed
