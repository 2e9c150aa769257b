"""``run``, ``stream`` and ``resume``: a run on its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Unpack

from alloy_trio._abc import Provider
from alloy_trio._scopes import open_service
from alloy_trio._seed import source
from alloy_trio.values import ConfigurationError, Message, Result, Text
from alloy_trio.wire import repair

from ._events import EventStream
from ._machine import Rules, RunState
from ._options import Options, RunOptions, check_options
from ._performance import Performance

if TYPE_CHECKING:
    from ._decisions import Decision
    from ._rounds import Refusals


async def run(prompt: str | Message | None, *, provider: Provider, **options: Unpack[RunOptions]) -> Result:
    """Ask a model, run the tools that it calls, repeat until it has answered.

    Args:
        prompt: the question; None when ``messages=`` holds the conversation.
        provider: the model to ask.
        options: see :class:`RunOptions`.

    Returns:
        The Result of a run that ended by itself: also after a limit, a cut or its own ``timeout``.

    Raises:
        ConfigurationError: an option cannot work; nothing was sent.
        RemoteError: the provider failed; its ``result`` is the partial Result.

    *Cancellation*: every tool, process and connection of the run is gone when Cancelled leaves. Who wants the
    partial Result then uses :func:`stream` or ``timeout=``.
    """
    checked = await discovered(check_options(provider, options))
    performance = Performance(new_state(prompt, checked), provider, checked, listened=False)
    return await performed(performance)


@asynccontextmanager
async def stream(
    prompt: str | Message | None, *, provider: Provider, **options: Unpack[RunOptions]
) -> AsyncIterator[EventStream]:
    """Like :func:`run`, with the run's events while they happen.

    Use it as ``async with stream(…) as events``, then iterate. Leaving the block ends the run; afterwards
    ``events.result`` is there in any case.

    Args:
        prompt: the question; None when ``messages=`` holds the conversation.
        provider: the model to ask.
        options: see :class:`RunOptions`.

    Raises:
        ConfigurationError: on entry, an option cannot work; nothing was sent.
        RemoteError: from the iteration, after the run_end event; its ``result`` is the partial Result.

    *Cancellation*: as for :func:`run`; ``events.result`` holds the partial Result.
    *Backpressure*: the run waits while ``event_buffer`` events are unread.
    """
    checked = await discovered(check_options(provider, options))
    performance = Performance(new_state(prompt, checked), provider, checked, listened=True)
    events = performance.events
    assert events is not None
    try:
        async with open_service(performance.serve):
            yield events
    finally:
        events._leave()


async def resume(
    result: Result, *, decisions: Mapping[str, Decision], provider: Provider, **options: Unpack[RunOptions]
) -> Result:
    """Go on with a paused run, here or on another machine: ``from_json(text, Result)`` brings one back.

    Give the options that the run was given; ``messages`` and ``request_id`` come from the result. Turns and usage are
    counted on.

    Args:
        result: of a run with status ``"paused"``. What is in it is trusted: keep it where only you can write.
        decisions: for each pending call, by its id: :class:`Approve`, :class:`Deny` or :class:`Edit`.
        provider: the model to ask.
        options: see :class:`RunOptions`.

    Raises:
        ConfigurationError: the run is not paused, a decision is missing or is about no pending call, or an option
            cannot work; nothing was run.
        RemoteError: as for :func:`run`.

    *Cancellation*: as for :func:`run`.
    """
    if "messages" in options:
        raise ConfigurationError(
            "messages= was given to resume, which goes on with the result's own; leave it out"
        )
    checked = await discovered(check_options(provider, options))
    state, refusals, approved = taken_up(result, decisions, checked)
    performance = Performance(state, provider, checked, listened=False, refusals=refusals, approved=approved)
    return await performed(performance)


def taken_up(
    result: Result, decisions: Mapping[str, Decision], options: Options
) -> tuple[RunState, Refusals, frozenset[str]]:
    """Where a paused run goes on from, why some of its calls shall not run, and the ids of those decided about.

    Raises:
        ConfigurationError: the run is not paused, or a decision is missing or is about no pending call.
    """
    from ._decisions import decided

    if not isinstance(result, Result) or result.status != "paused":
        seen = (
            f"status is {result.status!r}"
            if isinstance(result, Result)
            else f"kind is {type(result).__name__}"
        )
        raise ConfigurationError(f"the result's {seen}; only a paused run can be resumed")
    calls, refusals = decided(result.pending, decisions)
    state = RunState(
        rules=rules_of(options),
        messages=list(result.messages),
        request_id=result.request_id,
        correlation_id=result.correlation_id,
        usage=result.usage,
        turns=result.turns,
        records=list(result.tool_calls),
        text=result.text,
        stop_reason=result.stop_reason,
        pending=calls,
        open_round=result.open_round,
    )
    return state, refusals, frozenset(call.id for call in calls)


async def discovered(options: Options) -> Options:
    """The options with what the project tells its agents, where that is asked for."""
    if not options.discover_context:
        return options
    from ._discovering import with_context

    return await with_context(options)


async def performed(performance: Performance) -> Result:
    """Perform a run, and return or raise what it came to."""
    await performance.perform()
    if performance.error is not None:
        raise performance.error
    return performance.state.result()


def new_state(
    prompt: str | Message | None,
    options: Options,
    *,
    request_id: str | None = None,
    rules: Rules | None = None,
) -> RunState:
    """Where a run starts from.

    Args:
        prompt: what is asked; None when the options hold the conversation.
        options: checked ones.
        request_id: takes the place of theirs.
        rules: made of them before; None to make them.

    Raises:
        ConfigurationError: there is nothing to answer.
    """
    asked = () if prompt is None else (_prompt_message(prompt),)
    # Together: the prompt may hold the results of the conversation's last calls.
    messages = list(repair((*options.messages, *asked)))
    if not messages:
        raise ConfigurationError(
            "there is nothing to answer; give a prompt, or messages= with a conversation"
        )
    request_id = request_id or options.request_id or source().new_id("run")
    return RunState(
        rules=rules or rules_of(options), messages=messages, request_id=request_id, correlation_id=request_id
    )


def rules_of(options: Options) -> Rules:
    """What of the options the turn loop has to know."""
    return Rules(
        tools=tuple(tool.spec for tool in options.own_tools),
        server_tools=options.server_tools,
        system=options.system_prompt,
        max_turns=options.max_turns,
        until_tool=options.until_tool,
        tool_choice=options.tool_choice,
        output_schema=options.output_schema,
        closing_answer=options.closing_answer,
    )


def _prompt_message(prompt: str | Message) -> Message:
    if isinstance(prompt, str):
        prompt = Message.user(prompt)
    elif not isinstance(prompt, Message):
        raise ConfigurationError(
            f"the prompt is {type(prompt).__name__}; give a str, a Message, or None with messages="
        )
    if prompt.role != "user":
        raise ConfigurationError(
            f"the prompt is a message of the role {prompt.role!r}; it must be the user's"
        )
    if not any(not isinstance(block, Text) or block.text.strip() for block in prompt.content):
        raise ConfigurationError("the prompt is empty; write a question, or give None with messages=")
    return prompt
