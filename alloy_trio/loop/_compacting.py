"""A conversation shortened as planned: the summary asked for, or done without."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

import attrs

from alloy_trio._budget import BudgetExceeded
from alloy_trio.context import Compacted, Compaction, Plan, SummaryFailed, summarising
from alloy_trio.values import (
    Completion,
    CompletionRequest,
    ContextOverflow,
    MalformedReply,
    Message,
    RemoteError,
)
from alloy_trio.wire import repair

from ._around import Info, laid_around
from ._machine import RunState
from ._options import Options

Ask: TypeAlias = Callable[[CompletionRequest], Awaitable[Completion]]


BY_MIDDLEWARE = "middleware"
"""The kind of a compaction for which middleware did not proceed."""

NOTHING = "nothing"


class Compacting:
    """One shortening of a run's conversation.

    Args:
        plan: how.
        state: the run's.
        options: the run's.
        ask: gets a completion for a summary, and counts what it used.
    """

    def __init__(self, plan: Plan, state: RunState, options: Options, ask: Ask) -> None:
        assert state.headroom is not None
        self._plan = plan
        self._headroom = state.headroom
        self._request = state.request()
        self._options = options
        self._ask = ask
        self._kind = BY_MIDDLEWARE

    async def perform(self, info: Info) -> tuple[Compacted, dict[str, Any] | None]:
        """Shorten, with middleware around it.

        Args:
            info: tells middleware of the run.

        Returns:
            The conversation, and the event's payload; None where nothing was done.

        Raises:
            RemoteError: no summary could be had, and there is no fallback: the provider's own error, or MalformedReply.

        *Cancellation*: nothing was changed.
        """
        messages, gauge = self._plan.messages, self._headroom.gauge
        before = gauge.size(messages)
        shortened: Sequence[Message] = await laid_around(
            self._options.middleware, "compaction", self._shortened, info
        )(messages)
        shortened = repair(tuple(shortened))
        if not shortened:
            raise RuntimeError("middleware around a compaction returned no messages; return the conversation")
        if self._kind == NOTHING:
            return Compacted(shortened), None
        after = gauge.size(shortened)
        return Compacted(shortened), {"before_tokens": before, "after_tokens": after, "kind": self._kind}

    async def _shortened(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        plan: Plan | None = self._plan
        if messages is not self._plan.messages:
            plan = self._headroom.again(self._plan, messages)
            if plan is None:
                return messages
        assert plan is not None
        if self._options.on_compaction is not None:
            await self._options.on_compaction(plan.old, self._options.context)
        request = attrs.evolve(self._request, messages=messages)
        fallback = self._options.compaction is True or cast("Compaction", self._options.compaction).fallback
        shortened, self._kind = await compact(plan, request, self._ask, truncate=bool(fallback))
        return shortened


async def compact(
    plan: Plan, request: CompletionRequest, ask: Ask, *, truncate: bool = True
) -> tuple[tuple[Message, ...], str]:
    """Shorten a conversation.

    Args:
        plan: how.
        request: what would be sent next, as it is.
        ask: gets a completion.
        truncate: do without a summary when none can be had.

    Returns:
        The conversation, and what was done: ``"cleared"``, ``"cut"``, ``"summarised"`` or ``"truncated"``.
        Nothing, where the budget does not allow a summary and it is not done without: the next request will meet the
        same limit.

    Raises:
        RemoteError: no summary could be had, and it is not done without: the provider's error, or MalformedReply.

    *Cancellation*: nothing was changed.
    """
    if plan.kind != "summarised":
        return plan.shortened, plan.kind
    try:
        text = await _summarise(plan, request, ask)
    except RemoteError:
        if not truncate:
            raise
    except BudgetExceeded:
        if not truncate:
            return plan.messages, NOTHING
    except SummaryFailed as failed:
        if not truncate:
            raise MalformedReply(
                f"the conversation has to be shortened, and no summary came of it: {failed}; "
                'Compaction(fallback="truncate") goes on without one',
                transient=False,
            ) from failed
    else:
        return plan.summarised(text), "summarised"
    return plan.shortened, "truncated"


async def _summarise(plan: Plan, request: CompletionRequest, ask: Ask) -> str:
    steps = summarising(plan, request)
    try:
        asked = next(steps)
        while True:
            try:
                completion = await ask(asked)
            except ContextOverflow as error:
                asked = steps.throw(error)
            else:
                asked = steps.send(completion)
    except StopIteration as done:
        text: str = done.value
        return text
