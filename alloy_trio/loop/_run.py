"""``run`` and ``stream``: the machine's steps, performed on trio."""

from __future__ import annotations

import copy
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Unpack

import trio

from alloy_trio._abc import Provider
from alloy_trio._attempts import RetryPolicy
from alloy_trio._scopes import open_service, split_cancelled
from alloy_trio._seed import source
from alloy_trio.tools import ToolContext, ToolRound
from alloy_trio.values import AlloyError, ConfigurationError, ErrorInfo, Message, Result, Text
from alloy_trio.wire import repair

from ._attempts import Attempts
from ._events import Emitter, EventStream, usage_payload
from ._machine import Complete, Outcome, Rules, RunState, Step, ToolOutcomes, turns
from ._options import Options, RunOptions, check_options


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
    checked = check_options(provider, options)
    state = _new_state(prompt, checked)
    performance = _Performance(
        state, provider, checked, Emitter(state.correlation_id, capacity=None), streaming=False
    )
    await performance.perform()
    if performance.error is not None:
        raise performance.error
    return state.result()


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
    checked = check_options(provider, options)
    state = _new_state(prompt, checked)
    emitter = Emitter(state.correlation_id, capacity=checked.event_buffer)
    events = EventStream(emitter)
    performance = _Performance(state, provider, checked, emitter, streaming=True)
    try:
        async with open_service(performance.serve, events):
            yield events
    finally:
        events._leave()


def _new_state(prompt: str | Message | None, options: Options) -> RunState:
    asked = () if prompt is None else (_prompt_message(prompt),)
    # Together: the prompt may hold the results of the conversation's last calls.
    messages = list(repair((*options.messages, *asked)))
    if not messages:
        raise ConfigurationError(
            "there is nothing to answer; give a prompt, or messages= with a conversation"
        )
    request_id = options.request_id or source().new_id("run")
    rules = Rules(
        tools=tuple(tool.spec for tool in options.own_tools),
        server_tools=options.server_tools,
        system=options.system_prompt,
        max_turns=options.max_turns,
        until_tool=options.until_tool,
        tool_choice=options.tool_choice,
        output_schema=options.output_schema,
    )
    return RunState(rules=rules, messages=messages, request_id=request_id, correlation_id=request_id)


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


class _Performance:
    """One run on trio: performs the machine's steps and closes the state however it ends."""

    def __init__(
        self, state: RunState, provider: Provider, options: Options, emitter: Emitter, *, streaming: bool
    ) -> None:
        self.error: AlloyError | None = None
        self._entered = False
        self._closed = False
        self._state = state
        self._options = options
        self._emitter = emitter
        self._providers: Sequence[Provider] = (provider, *options.fallback_providers)
        policy = RetryPolicy(max_retries=options.max_retries, backoff_seconds=options.retry_backoff)
        self._attempts = Attempts(
            self._providers,
            policy,
            emitter,
            streaming=streaming,
            overrides=options.model_metadata_overrides,
        )
        self._tools = {tool.name: tool for tool in options.own_tools}
        self._tool_context = ToolContext.at(
            options.working_directory, options.allowed_paths, context=options.context
        )

    async def serve(self, events: EventStream, *, task_status: trio.TaskStatus[None]) -> None:
        """Perform beside a reader, who is let in once the providers are entered."""
        await self.perform(events, entered=task_status.started)
        if self.error is not None and not self._entered:
            raise self.error

    async def perform(
        self, events: EventStream | None = None, entered: Callable[[], None] = lambda: None
    ) -> None:
        """Perform the run to its end; an error of the engine's kind is kept in ``error``.

        Args:
            events: where the result is to be found, if somebody reads.
            entered: called when the providers are entered, or could not be in time.

        *Cancellation*: the state is closed and its result valid; the events end with run_end.
        """
        state = self._state
        timeout = self._options.timeout
        try:
            with trio.move_on_after(math.inf if timeout is None else timeout) as scope:
                async with AsyncExitStack() as stack:
                    for provider in self._providers:
                        await stack.enter_async_context(provider)
                    self._entered = True
                    entered()
                    self._start()
                    await self._take_steps()
                    # Here already, for the reader's sake: closing connections may take its time.
                    self._close(events)
            if scope.cancelled_caught:
                state.end(
                    "timeout", ErrorInfo("Timeout", f"the run did not end within its timeout of {timeout} s")
                )
                if not self._entered:
                    entered()
        except AlloyError as error:
            state.end("error", ErrorInfo.of(error))
            # One object may be raised into several runs; each has a result of its own.
            self.error = error if error.result is None else copy.copy(error)
        except BaseException as error:
            failed = split_cancelled(error)[1]
            state.end("cancelled") if failed is None else state.end("error", ErrorInfo.of(failed))
            raise
        finally:
            self._close(events)

    def _start(self) -> None:
        first = self._providers[0]
        tools = [tool.name for tool in self._state.rules.tools]
        self._emitter.emit("run_start", {"provider": first.name, "model": first.model, "tools": tools})

    async def _take_steps(self) -> None:
        steps = turns(self._state)
        outcome: Outcome | None = None
        while True:
            try:
                step = next(steps) if outcome is None else steps.send(outcome)
            except StopIteration:
                return
            outcome = await self._perform_step(step)

    async def _perform_step(self, step: Step) -> Outcome:
        if isinstance(step, Complete):
            self._emitter.turn = self._state.turns + 1
            await self._emitter.send((("turn_start", {"turn": self._emitter.turn}),))
            completion = await self._attempts.complete(step.request)
            usage = completion.usage + completion.other_usage
            self._emitter.emit(
                "turn_end", {"stop_reason": completion.stop_reason, "usage": usage_payload(usage)}
            )
            return completion
        round_ = ToolRound(
            step.calls,
            self._tools,
            context=self._tool_context,
            emit=self._emitter.emit,
            send=self._emitter.send,
            default_timeout=self._options.tool_timeout,
        )
        try:
            await self._emitter.wait_for_room()
            await round_.run()
        except BaseException:
            # The calls were made: whatever stopped the run, each gets the answer that is true of it.
            self._state.add_outcomes(ToolOutcomes(round_.results(), round_.records()))
            raise
        return ToolOutcomes(round_.results(), round_.records())

    @trio.lowlevel.enable_ki_protection
    def _close(self, events: EventStream | None) -> None:
        # No await from here on: the closing of a cancelled run is one step.
        if self._closed:
            return
        self._closed = True
        state, attempts = self._state, self._attempts
        state.close()
        state.usage = state.usage + attempts.spent
        state.text += attempts.partial_text
        result = state.result()
        if self.error is not None:
            self.error.result = result
        if events is not None:
            events._finish(result, self.error)
        payload = {"status": result.status, "usage": usage_payload(result.usage), "turns": result.turns}
        self._emitter.emit("run_end", payload)
        self._emitter.end()


__all__ = ["run", "stream"]
