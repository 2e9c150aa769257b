"""One call of a round: how far it has come, and what it came to."""

from __future__ import annotations

import math
from typing import Any

import attrs
import trio

from alloy_trio.values import ResultBlock, Text, ToolOutcome, ToolUse

from . import _answers as answers
from ._limit import Interrupted
from ._tool import MAX_RESULT_CHARS, ToolOutput

STOPPED = "the run was stopped"

LEAST_WORDS = 500
"""Characters that an error may have however little of a result the tool wants shown."""


@attrs.define(eq=False)
class Call:
    """One call, and how far it has come."""

    use: ToolUse
    limit: int = MAX_RESULT_CHARS
    thread_may_stay: bool = False
    started_at: float = math.nan
    start_seq: int | None = None
    end_seq: int | None = None
    duration_ms: int = 0
    outcome: ToolOutcome | None = None
    content: str | tuple[ResultBlock, ...] = ""
    is_error: bool = False
    output: str = ""
    result: ToolOutput | None = None
    data: Any = None

    @property
    def started(self) -> bool:
        return self.start_seq is not None

    @property
    def room(self) -> int:
        """Characters that an error may have."""
        return max(self.limit, LEAST_WORDS)

    def settle(self, outcome: ToolOutcome, words: str) -> None:
        """Let it end other than completed, with words that are short enough."""
        self.outcome = outcome
        self.fail(words)
        if self.started and self.thread_may_stay and outcome == "interrupted":
            self.data = {"may_still_run": True}

    def fail(self, words: str, data: Any = None) -> None:
        """Answer with an error."""
        self.content, self.output, self.is_error, self.data = words, words, True, data

    def answer(self, result: ToolOutput) -> None:
        """Answer with a result that is fit to be sent."""
        self.result, self.output, self.is_error, self.data = result, result.text, False, result.data
        words = (Text(result.text),) if result.text else ()
        self.content = (*words, *result.blocks) if result.blocks else result.text


def if_closed(call: Call, reason: str = STOPPED) -> tuple[ToolOutcome, str]:
    """What an open call comes to when the round ends."""
    if call.started:
        return "interrupted", answers.interrupted(call.use.name, STOPPED, thread_left=call.thread_may_stay)
    return "not_started", answers.not_started(call.use.name, reason)


def ending(
    call: Call, error: BaseException | None, limit: str | None, *, stopped: bool
) -> tuple[ToolOutcome, str]:
    """What a started call came to that did not return.

    Args:
        error: what it raised, unless it only was cancelled.
        limit: its time limit in seconds, when that was met.
        stopped: whether the run itself is being stopped.
    """
    name = call.use.name
    if isinstance(error, Interrupted):
        return "interrupted", answers.failure(name, error)
    if limit is None and not stopped and error is not None:
        return "failed", answers.failure(name, error)
    reason = STOPPED if limit is None else f"it took longer than its limit of {limit} s"
    words = answers.interrupted(name, reason, thread_left=call.thread_may_stay)
    return "interrupted", words if error is None else f"{words}\n{answers.failure(name, error)}"


def divided(error: BaseException) -> tuple[BaseException | None, BaseException | None]:
    """Part what the tool did wrong from what passes through it: cancellation and Ctrl-C."""
    if isinstance(error, Exception | SystemExit):
        return error, None
    assert isinstance(error, BaseExceptionGroup)
    return error.split((Exception, SystemExit))


def stopped(error: BaseException | None, fatal: BaseException | None) -> bool:
    """Whether a call that raised was being stopped by the run, and did not fail by itself."""
    if error is None or fatal is not None:
        return True
    return met_cancel(error) and trio.current_effective_deadline() == -math.inf


def met_cancel(error: BaseException | None) -> bool:
    """Whether an exception came of a cancellation: raised while one was on its way through."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        if isinstance(each, trio.Cancelled):
            return True
        seen.add(id(each))
        waiting += [each.__context__, each.__cause__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
    return False


def only(group: BaseExceptionGroup[BaseException]) -> BaseException | None:
    """The one exception in a group of groups; None if there are several."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        if len(error.exceptions) != 1:
            return None
        error = error.exceptions[0]
    return error
