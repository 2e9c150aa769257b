"""What the turn loop asks of its driver, and what it is told in return. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import attrs

from alloy_trio.values import Completion, CompletionRequest, ErrorInfo, ToolCallRecord, ToolResult, ToolUse

if TYPE_CHECKING:
    from alloy_trio.context import Compact, Compacted

NOT_RUN_AFTER_CUT = (
    "This tool was not run: the answer that asked for it was cut off ({reason}). "
    "Ask again if it is still needed."
)

NOT_RUN_AFTER_STOP = "This tool was not run: the run was stopped first. Ask again if it is still needed."

NOT_RUN_AFTER_LIMIT = "This tool was not run: {reason}."


@attrs.frozen
class Complete:
    """Ask the model; the outcome is a Completion, or a LimitMet.

    Args:
        request: what it is asked.
        closing: whether this is the one answer after a limit. Then a LimitMet is also the outcome of a failure.
    """

    request: CompletionRequest
    closing: bool = False


@attrs.frozen
class LimitMet:
    """The model was not asked, or has not answered, for the reason given."""

    error: ErrorInfo


@attrs.frozen
class RunTools:
    """Run the calls; the outcome is a ToolOutcomes."""

    calls: tuple[ToolUse, ...]


@attrs.frozen
class ToolOutcomes:
    """A result and a record for each call of a round, in the calls' order; but for those that wait for a decision."""

    results: tuple[ToolResult, ...]
    records: tuple[ToolCallRecord, ...]
    pending: tuple[ToolUse, ...] = ()
    limit: ErrorInfo | None = None

    def without(self, calls: tuple[ToolUse, ...], limit: ErrorInfo | None) -> ToolOutcomes:
        """The same, and further calls that a limit did not allow."""
        if limit is None:
            return self
        rest = not_run(calls, NOT_RUN_AFTER_LIMIT.format(reason=limit.message))
        return ToolOutcomes(
            (*self.results, *rest.results), (*self.records, *rest.records), self.pending, limit
        )


Step: TypeAlias = "Complete | RunTools | Compact"
Outcome: TypeAlias = "Completion | LimitMet | ToolOutcomes | Compacted"


def not_run(calls: tuple[ToolUse, ...], text: str) -> ToolOutcomes:
    """The outcomes of calls that did not start, and what the model is told of it."""
    return ToolOutcomes(
        tuple(ToolResult(call.id, text, is_error=True) for call in calls),
        tuple(
            ToolCallRecord(
                id=call.id, name=call.name, input=call.input, output=text, error=text, outcome="not_started"
            )
            for call in calls
        ),
    )
