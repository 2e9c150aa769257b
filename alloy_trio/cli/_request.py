"""One request, followed to its end whatever that is."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Protocol

import attrs
import trio

from alloy_trio._scopes import open_service
from alloy_trio.abc import Provider
from alloy_trio.loop import EventStream, stream
from alloy_trio.tools import Tool
from alloy_trio.values import AlloyError, ConfigurationError, Event, LocalError, Result, Usage

from ._interrupts import Interrupts
from ._render import Activity, one_line, usage_words
from ._settings import Settings

if TYPE_CHECKING:
    from alloy_trio.values import Session

FAILED, USAGE, STOPPED = 1, 2, 3
"""Exit statuses beside 0 and those of signals."""


class View(Protocol):
    """Shows a run."""

    def event(self, event: Event) -> None:
        """Show one event."""
        ...

    def end(self, result: Result) -> None:
        """Show what is left to show."""
        ...


@attrs.frozen(kw_only=True)
class Ended:
    """How a request ended: the exit status, and the result unless nothing was begun."""

    status: int
    result: Result | None


@attrs.define(eq=False)
class Kept:
    """A conversation between its requests; None before the first."""

    session: Session | None = None


def follow(
    prompt: str,
    *,
    provider: Provider,
    tools: Sequence[Tool],
    kept: Kept | None = None,
    settings: Settings,
    view: View,
    activity: Activity,
    interrupts: Interrupts,
) -> Ended:
    """Run a request and show it; a signal ends it in order.

    Args:
        kept: the conversation that it is part of, and that has it in it afterwards; None for none.

    Raises:
        OutputLost: standard output takes nothing more; the request was cancelled.
    """
    options: dict[str, Any] = {
        "tools": tools,
        "system_prompt": settings.system,
        "max_turns": settings.max_turns,
        "working_directory": settings.directory,
        "until_tool": settings.until_tool,
        "timeout": settings.timeout,
        "max_budget_cents": settings.max_budget_cents,
        "discover_context": settings.context,
    }

    async def show() -> Result:
        scope = trio.CancelScope()
        interrupts.cancels(scope)
        async with _asked(prompt, kept, provider=provider, **options) as events:
            with scope:
                async for event in events:
                    view.event(event)
        # After an interrupt: how it was closed, up to run_end.
        async for event in events:
            view.event(event)
        view.end(events.result)
        return events.result

    async def attempt() -> Ended:
        activity.now("waiting")
        async with open_service(activity.count_seconds):
            try:
                result = await show()
            except ConfigurationError as error:
                return _failed(error, USAGE, view, activity)
            except AlloyError as error:
                return _failed(error, FAILED, view, activity)
            status = _status(result, interrupts.received)
        explanation = _explain(result, status)
        if explanation:
            activity.line(f"alloy: {explanation}")
        elif settings.verbose:
            activity.line(f"alloy: done after {result.turns} turns; {_used(result.usage)}")
        return Ended(status=status, result=result)

    interrupts.hold()
    return trio.run(attempt)


@asynccontextmanager
async def _asked(prompt: str, kept: Kept | None, **options: Any) -> AsyncIterator[EventStream]:
    if kept is None:
        async with stream(prompt, **options) as events:
            yield events
        return
    # Each request has a trio run of its own, and so an agent; what binds them together is the session.
    from alloy_trio.agents import open_agent

    async with open_agent(session=kept.session, **options) as agent:
        try:
            async with agent.stream(prompt) as events:
                yield events
        finally:
            kept.session = agent.export_session()


def _failed(error: AlloyError, status: int, view: View, activity: Activity) -> Ended:
    result: Result | None = getattr(error, "result", None)
    if result is not None:
        view.end(result)
    words = str(error) if status == USAGE else f"{type(error).__name__}: {error}"
    # A vendor's words go into one line; ours may be a difference to be read line by line.
    activity.line(f"alloy: {words if isinstance(error, LocalError) else ' '.join(words.split())}")
    if result is not None and result.usage.total_tokens:
        activity.line(f"alloy: used until then: {_used(result.usage)}")
    return Ended(status=status, result=result)


def _status(result: Result, received: int | None) -> int:
    if result.status == "completed":
        return 0
    if result.status == "error":
        return FAILED
    if result.status == "cancelled":
        return FAILED if received is None else 128 + received
    return STOPPED


def _explain(result: Result, status: int) -> str:
    """Why a run did not complete, and what to do."""
    turns = f"{result.turns} turn{'' if result.turns == 1 else 's'}"
    used = f"after {turns}; {_used(result.usage)}"
    if result.status == "cancelled":
        return f"interrupted {used}"
    if result.status == "max_turns":
        return f"stopped {used}: that is all that --max-turns allows"
    if result.status == "budget_exceeded":
        why = f": {one_line(result.error.message)}" if result.error is not None else ""
        return f"stopped {used}{why}"
    if result.status == "timeout":
        return f"stopped {used}: the time of --timeout is up"
    if result.status == "incomplete":
        return f"the answer was cut ({result.stop_reason}) {used}"
    if status == 0 and result.stop_reason != "refusal":
        return ""
    if status == 0:
        return "the model refused to answer"
    why = f": {one_line(result.error.message)}" if result.error is not None else ""
    return f"stopped ({result.status}) {used}{why}"


def _used(usage: Usage) -> str:
    return usage_words(attrs.asdict(usage))
