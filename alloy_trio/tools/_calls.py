"""One call of a round: how far it has come, and what it came to."""

from __future__ import annotations

import math
from typing import Any

import attrs
import trio

from alloy_trio.values import ResultBlock, Text, ToolError, ToolOutcome, ToolUse

from . import _answers as answers
from ._limit import Interrupted
from ._plain import NotPlain, cut, plain, to_text
from ._tool import MAX_RESULT_CHARS, ToolOutput

STOPPED = "the run was stopped"

_LEAST_WORDS = 500
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
    blocks: tuple[ResultBlock, ...] = ()
    data: Any = None

    @property
    def started(self) -> bool:
        return self.start_seq is not None

    def settle(self, outcome: ToolOutcome, words: str) -> None:
        """Let it end other than completed."""
        self.outcome = outcome
        words = cut(words, max(self.limit, _LEAST_WORDS))
        self.answer(words, words, is_error=True)
        if self.started and self.thread_may_stay and outcome == "interrupted":
            self.data = {"may_still_run": True}

    def answer(
        self, content: str | tuple[ResultBlock, ...], output: str, *, is_error: bool = False, data: Any = None
    ) -> None:
        self.content, self.output, self.is_error, self.data = content, output, is_error, data


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


def render(call: Call, returned: object) -> None:
    """Make the result of what a tool returned; all its text together is cut to the call's limit."""
    try:
        output = returned if isinstance(returned, ToolOutput) else ToolOutput(_text(returned))
        data = plain(output.data)
        text = cut(_text(output.text), call.limit)
        left = call.limit - len(text)
        blocks: list[ResultBlock] = []
        for block in output.blocks:
            if not isinstance(block, ResultBlock):
                raise NotPlain(f"a block is a {type(block).__name__}, not Text, Image, Document or Opaque")
            if isinstance(block, Text):
                block = attrs.evolve(block, text=cut(_text(block.text), max(left, 0)))
                left -= len(block.text)
            blocks.append(block)
    except NotPlain as exc:
        raise ToolError(answers.unusable(call.use.name, str(exc))) from exc
    call.blocks = tuple(blocks)
    words = text or ("" if blocks else answers.NO_OUTPUT)
    call.answer((*((Text(words),) if words else ()), *blocks) if blocks else words, words, data=data)


def _text(value: object) -> str:
    return "" if value is None else to_text(value)


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
