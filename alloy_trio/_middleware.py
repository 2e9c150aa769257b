"""What may be laid around the parts of a run: the contract of middleware, re-exported by :mod:`alloy_trio.abc`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from alloy_trio.tools import ToolOutput
    from alloy_trio.values import Completion, CompletionRequest, Delta, Message, ToolResult, ToolUse, Usage


@attrs.frozen(kw_only=True)
class RunInfo:
    """What middleware is told of the run that it is laid around, as it stands at that moment.

    Args:
        agent_id: the agent's id; None for a run without an agent.
        correlation_id: the one on the run's events; that of the agent around its session.
        turn: the model call that runs or was answered last, from 1; 0 before the first.
        context: the run's ``context`` option.
        usage: what was used so far.
        budget: the run's budget, or None.
        deadline: trio time at which the run is cut off; ``inf`` if never.
        approved: ids of the calls that a person has decided about: asking again would never end.
    """

    agent_id: str | None
    correlation_id: str
    turn: int
    context: Mapping[str, Any]
    usage: Usage
    budget: Any
    deadline: float
    approved: frozenset[str] = frozenset()


class Middleware:
    """Functions around the parts of a run; write those that you need.

    Each gets what is to be done, ``proceed``, and the :class:`RunInfo`. It calls ``await proceed(…)`` once, with the
    same value or a changed one, and returns what that returned, or something else; or it answers itself. It may open
    scopes and use ``finally``. Of several objects the first in the list is the outermost.

    Everywhere :class:`alloy_trio.Halt` ends the run with status ``"halted"``. Around calls, batches and completions
    :class:`alloy_trio.Pause` suspends it with status ``"paused"``. An AlloyError ends it as a provider's would;
    anything else is a bug, and leaves as it is.

    *Cancellation*: ``trio.Cancelled`` passes; awaiting in a clean-up needs a shield with a bound.
    """

    async def session(self, proceed: Callable[[], Awaitable[None]], run: RunInfo) -> None:
        """Around the life of an agent, or around a run that has none.

        What comes after ``proceed()`` is the end of the session: it runs shielded when the agent is closed, for a
        bounded time.
        """
        await proceed()

    async def completion(
        self,
        request: CompletionRequest,
        proceed: Callable[[CompletionRequest], Awaitable[Completion]],
        run: RunInfo,
    ) -> Completion:
        """Around one model call, its retries and fallbacks included."""
        return await proceed(request)

    async def tool_batch(
        self,
        calls: tuple[ToolUse, ...],
        proceed: Callable[[tuple[ToolUse, ...]], Awaitable[tuple[ToolResult, ...]]],
        run: RunInfo,
    ) -> tuple[ToolResult, ...]:
        """Around all calls of one turn. Each call keeps its id and name, and needs exactly one result."""
        return await proceed(calls)

    async def tool_call(
        self, call: ToolUse, proceed: Callable[[ToolUse], Awaitable[ToolOutput]], run: RunInfo
    ) -> ToolOutput:
        """Around one call, before its input is checked. The call keeps its id and name.

        ``proceed`` raises :class:`alloy_trio.ToolError` when the tool failed; raise one yourself to block the call.
        """
        return await proceed(call)

    async def compaction(
        self,
        messages: tuple[Message, ...],
        proceed: Callable[[tuple[Message, ...]], Awaitable[tuple[Message, ...]]],
        run: RunInfo,
    ) -> tuple[Message, ...]:
        """Around the shortening of the conversation; returns the one that takes its place."""
        return await proceed(messages)

    async def delta(self, delta: Delta, proceed: Callable[[Delta], Awaitable[None]], run: RunInfo) -> None:
        """Around each piece of an answer on its way to the reader; not to call ``proceed`` drops it for the reader.

        The conversation is not changed by it: that is :meth:`completion`'s.
        """
        await proceed(delta)
