"""Agents that work for a run: as one of its tools, or with a task of their own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

import attrs

from alloy_trio.loop import (
    Options,
    Performance,
    RunOptions,
    check_options,
    discovered,
    here,
    new_state,
    performed,
)
from alloy_trio.tools import Tool, ToolContext, ToolOutput
from alloy_trio.values import AlloyError, Message, Result, ToolError, Usage

if TYPE_CHECKING:
    from alloy_trio._abc import Provider

    from ._core import Core

_DEFAULTS = Options()

_DESCRIPTION = (
    "Ask the agent {name}, which works by itself and answers. It remembers what it was asked before."
)

_SCHEMA = {
    "type": "object",
    "properties": {"prompt": {"type": "string", "description": "the task, with all that it needs to know"}},
    "required": ["prompt"],
    "additionalProperties": False,
}


def agent_tool(core: Core, name: str | None, description: str | None) -> Tool:
    """An agent as a tool; see :meth:`alloy_trio.Agent.as_tool`."""
    called = name or core.id

    async def execute(given: dict[str, Any], context: ToolContext) -> ToolOutput:
        try:
            result = await core.answer(given["prompt"])
        except AlloyError as error:
            raise ToolError(f"{called} failed: {error}") from error
        return answered(called, result)

    return Tool(
        name=called,
        description=description or _DESCRIPTION.format(name=called),
        input_schema=_SCHEMA,
        execute=execute,
        # The agent's own limits and the run's deadline hold; a limit for tools would cut an agent's work.
        timeout=math.inf,
    )


def answered(name: str, result: Result) -> ToolOutput:
    """What a sub-agent came to, as a tool's output.

    Raises:
        ToolError: it did not come to an answer.
    """
    if result.status in ("cancelled", "error", "halted", "paused"):
        why = f": {result.error.message}" if result.error else ""
        raise ToolError(f"{name} ended without an answer ({result.status}{why})")
    note = (
        "" if result.status == "completed" else f"\n[{name} was stopped before it was done: {result.status}]"
    )
    return ToolOutput(f"{result.text}{note}".lstrip(), data=_told(result))


async def delegated(core: Core, prompt: str | Message, provider: Provider, changed: RunOptions) -> Result:
    """Run a task with a conversation of its own, as a part of the run that calls, if there is one."""
    core.requests.check_open()
    given: dict[str, Any] = attrs.asdict(core.options, recurse=False, filter=_was_given)
    checked = await discovered(check_options(provider, cast("RunOptions", {**given, **changed})))
    above = here.get()
    surroundings = core.surroundings(parent=None if above is None else above.emitter)
    performance = Performance(new_state(prompt, checked), provider, checked, surroundings, listened=False)
    with core.requests.beside():
        try:
            return await performed(performance)
        finally:
            core.conversation.counts.add_delegated(performance.state.result())


def _was_given(field: attrs.Attribute[Any], value: Any) -> bool:
    # What is at its default was not asked for: with a provider that handles failures itself, that makes a difference.
    return bool(value != getattr(_DEFAULTS, field.name))


def _told(result: Result) -> Mapping[str, Any]:
    return {
        "status": result.status,
        "turns": result.turns,
        "correlation_id": result.correlation_id,
        "usage": _plain(result.usage),
    }


def _plain(usage: Usage) -> dict[str, Any]:
    cost = usage.cost_cents
    return {**attrs.asdict(usage), "cost_cents": None if cost is None else str(cost)}
