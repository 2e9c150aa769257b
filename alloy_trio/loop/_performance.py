"""One run on trio: the machine's steps performed, and the state closed however it ends."""

from __future__ import annotations

import copy
import math
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import trio

from alloy_trio._abc import Provider
from alloy_trio._attempts import RetryPolicy
from alloy_trio._scopes import split_cancelled
from alloy_trio.context import Headroom, estimate_fixed, window_of
from alloy_trio.tools import Belongings, ToolContext
from alloy_trio.values import (
    AlloyError,
    Completion,
    CompletionRequest,
    ContextOverflow,
    ErrorInfo,
    Halt,
    Message,
    Pause,
    ToolUse,
)
from alloy_trio.wire import repair

from ._attempts import Attempts, LayAround
from ._emitter import Emitter, EventBuffer, usage_payload
from ._events import EventStream
from ._machine import RunState, turns
from ._options import Options, chosen_room
from ._rounds import Refusals, Round
from ._steps import Complete, Outcome, RunTools, Step, ToolOutcomes
from ._surroundings import Here, Surroundings, here

if TYPE_CHECKING:
    from alloy_trio._middleware import RunInfo
    from alloy_trio.context import Compacted, Plan

    from ._spending import Purse


class Performance:
    """One run on trio.

    Args:
        state: where it starts from; it is changed by the run.
        provider: the model.
        options: checked ones.
        surroundings: what it is part of; None for nothing.
        listened: whether ``events`` will be read; otherwise its events go to the run that it is part of, if any.
            Where they are read, answers are asked for in pieces.
        refusals: calls that were denied, and why.
        approved: ids of the calls that were decided about.

    Attributes:
        events: the events to read; None where nobody listens.
        error: the engine's own error that ended it, or None.
    """

    def __init__(
        self,
        state: RunState,
        provider: Provider,
        options: Options,
        surroundings: Surroundings | None = None,
        *,
        listened: bool,
        refusals: Refusals | None = None,
        approved: frozenset[str] = frozenset(),
    ) -> None:
        self.state = state
        self.error: AlloyError | None = None
        self._options = options
        self._surroundings = surroundings or Surroundings()
        self._refusals = refusals or {}
        self._approved = approved
        self._entered = False
        self._closed = False
        self._here: Here | None = None
        parent = self._surroundings.parent
        self._buffer = EventBuffer(options.event_buffer) if listened else None
        self._emitter = Emitter(
            state.correlation_id,
            self._buffer if listened or parent is None else parent.into,
            parent=parent,
        )
        self.events = None if self._buffer is None else EventStream(self._buffer, self._emitter)
        self._provider = provider
        self._known_window: tuple[Provider | None, int] = (None, 0)
        self._tools = {tool.name: tool for tool in options.own_tools}
        self._purse = self._open_purse()
        self._budget = None if self._purse is None else self._purse.budget
        self._own_belongings = Belongings() if self._surroundings.belongings is None else None
        self._tool_context = ToolContext.at(
            options.working_directory,
            options.allowed_paths,
            context=options.context,
            agent=self._surroundings.agent,
            budget=None if self._budget is None else self._budget.view,
            state=self._surroundings.state,
            belongings=self._surroundings.belongings or self._own_belongings,
        )
        self._attempts = Attempts(
            (provider, *options.fallback_providers),
            RetryPolicy(max_retries=options.max_retries, backoff_seconds=options.retry_backoff),
            self._emitter,
            streaming=self._emitter.into is not None,
            overrides=options.model_metadata_overrides,
            purse=self._purse,
            lay_around=self._lay_around_deltas(),
        )
        if options.compaction is not None:
            state.headroom = self._headroom()

    def go_on_from(self, messages: Sequence[Message]) -> None:
        """Put an earlier conversation before what the run starts from; for a request that had to wait for its turn."""
        self.state.messages = list(repair((*messages, *self.state.messages)))

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """Perform beside a reader, who is let in once the providers are entered."""
        await self.perform(entered=task_status.started)
        if self.error is not None and not self._entered:
            raise self.error

    async def perform(self, *, entered: Callable[[], None] = lambda: None) -> None:
        """Perform the run to its end; an error of the engine's kind is kept in ``error``.

        Args:
            entered: called when the providers are entered, or could not be in time.

        *Cancellation*: the state is closed and its result valid; the events end with run_end.
        """
        state = self.state
        timeout = self._options.timeout
        above, agent = here.get(), self._surroundings.agent
        agents = (() if agent is None else (agent,)) + (() if above is None else above.agents)
        self._here = Here(self._emitter, self._budget, agents)
        token = here.set(self._here)
        try:
            with trio.move_on_after(math.inf if timeout is None else timeout) as scope:
                async with AsyncExitStack() as stack:
                    self._stack = stack
                    await self._change_provider()  # one may have been chosen while it waited for its turn
                    for provider in (self._provider, *self._options.fallback_providers):
                        await stack.enter_async_context(provider)
                    self._entered = True
                    entered()
                    await self._in_session()
                    # Here already, for the reader's sake: closing connections may take its time.
                    self._close()
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
        except Halt as halt:
            state.end("halted", ErrorInfo.of(halt))
        except BaseException as error:
            failed = split_cancelled(error)[1]
            state.end("cancelled") if failed is None else state.end("error", ErrorInfo.of(failed))
            raise
        finally:
            here.reset(token)
            self._close()
            if self._own_belongings is not None:
                await self._own_belongings.aclose()

    def cancel_unstarted(self) -> None:
        """Close a run that will not be performed: its only event is run_end, its status ``"cancelled"``."""
        self.state.end("cancelled")
        self._close()

    async def _in_session(self) -> None:
        if self._options.middleware and not self._surroundings.session_is_open:
            from ._around import laid_around

            await laid_around(self._options.middleware, "session", self._run_turns, self._info)()
        else:
            await self._run_turns()

    async def _run_turns(self) -> None:
        tools = [tool.name for tool in self.state.rules.tools]
        payload = {"provider": self._provider.name, "model": self._provider.model, "tools": tools}
        self._emitter.emit("run_start", payload)
        steps = turns(self.state)
        outcome: Outcome | ContextOverflow | None = None
        while True:
            try:
                step = _next_step(steps, outcome)
            except StopIteration:
                return
            try:
                outcome = await self._perform_step(step)
            except ContextOverflow as overflow:
                # An answer of which the reader has seen something is not asked for again.
                if not isinstance(step, Complete) or self._attempts.output_reached:
                    raise
                outcome = overflow
            except Pause:
                # Before a completion; calls that are paused are outcomes.
                self.state.end("paused")
                return
            self._open_inbox()

    def _open_inbox(self) -> None:
        """Take what was said meanwhile to where the machine sees it; without an await before it looks."""
        inbox = self._surroundings.inbox
        for said, heard in (
            (inbox.steered, self.state.steered),
            (inbox.follow_ups, self.state.follow_ups),
        ):
            heard.extend(said)
            said.clear()

    async def _perform_step(self, step: Step) -> Outcome:
        if isinstance(step, Complete):
            if self._purse is None and not step.closing:
                return await self._complete(step.request)
            from ._spending import within_limits

            return await within_limits(step, self._purse, self._complete)
        if isinstance(step, RunTools):
            return await self._run_tools(step.calls)
        return await self._compact(step.plan)

    async def _complete(self, request: CompletionRequest) -> Completion:
        await self._change_provider()
        turn = self.state.turns + 1
        if turn != self._emitter.turn:  # the same turn again, after its request was found too large
            self._emitter.turn = turn
            await self._emitter.send((("turn_start", {"turn": turn}),))
        completion = await self._ask(request, self._attempts.complete)
        usage = completion.usage + completion.other_usage
        self._emitter.emit("turn_end", {"stop_reason": completion.stop_reason, "usage": usage_payload(usage)})
        return completion

    async def _ask(
        self, request: CompletionRequest, innermost: Callable[[CompletionRequest], Awaitable[Completion]]
    ) -> Completion:
        if not self._options.middleware:
            return await innermost(request)
        from ._around import answered

        return await answered(self._options.middleware, innermost, self._info, request, self.state)

    async def _compact(self, plan: Plan) -> Compacted:
        await self._change_provider()
        from ._compacting import Compacting

        compacting = Compacting(plan, self.state, self._options, self._summarise)
        outcome, payload = await compacting.perform(self._info)
        # Nothing is awaited from here on until the machine has taken it.
        if payload is not None:
            self._emitter.emit("compaction", payload)
        return outcome

    async def _summarise(self, request: CompletionRequest) -> Completion:
        completion = await self._ask(request, self._attempts.complete_unshown)
        self.state.usage = self.state.usage + completion.usage + completion.other_usage
        return completion

    def _headroom(self) -> Headroom:
        rules, options = self.state.rules, self._options
        compaction = None if options.compaction is True else options.compaction
        return Headroom(
            self._window,
            compaction,
            fixed=estimate_fixed(rules.system, rules.tools, rules.server_tools),
            room=None if options.max_tokens is None else chosen_room(options),
            gauge=self._surroundings.gauge,
        )

    def _window(self) -> int:
        """The window of the model that is asked next."""
        wanted = self._surroundings.provider
        provider = self._provider if wanted is None else wanted()
        if self._known_window[0] is not provider:
            window = window_of(provider.name, provider.model, self._options.model_metadata_overrides)
            self._known_window = provider, window
        return self._known_window[1]

    async def _change_provider(self) -> None:
        """Enter another model where one was chosen meanwhile; the history is fitted to it by its codec."""
        wanted = self._surroundings.provider
        if wanted is None or (provider := wanted()) is self._provider:
            return
        await self._stack.enter_async_context(provider)
        if self._purse is not None:
            self._purse.check_prices((provider,))
        self._provider = provider
        self._attempts.ask((provider, *self._options.fallback_providers))

    async def _run_tools(self, calls: tuple[ToolUse, ...]) -> Outcome:
        budget, limit = self._budget, None
        rest: tuple[ToolUse, ...] = ()
        if budget is not None and (taken := budget.take_tool_calls(len(calls))) < len(calls):
            calls, rest, limit = calls[:taken], calls[taken:], budget.no_tool_calls().info()
        watched = bool(self._options.middleware or self._refusals)
        round_ = Round(
            calls,
            self._tools,
            context=self._tool_context,
            emitter=self._emitter,
            default_timeout=self._options.tool_timeout,
            middleware=self._options.middleware,
            info=self._info if watched else None,
            refusals=self._refusals,
        )
        try:
            outcomes = await round_.run() if calls else ToolOutcomes((), ())
        except BaseException:
            # The calls were made: whatever stopped the run, each gets the answer that is true of it.
            self.state.add_outcomes(round_.stopped().without(rest, limit))
            raise
        return outcomes.without(rest, limit)

    def _info(self) -> RunInfo:
        from alloy_trio._middleware import RunInfo

        agent = self._surroundings.agent
        return RunInfo(
            agent_id=None if agent is None else agent.id,
            correlation_id=self.state.correlation_id,
            turn=self._emitter.turn,
            context=self._options.context,
            usage=self.state.usage,
            budget=None if self._budget is None else self._budget.view,
            deadline=trio.current_effective_deadline(),
            approved=self._approved,
        )

    def _open_purse(self) -> Purse | None:
        """What pays for the run; None where nothing limits it."""
        # Also of who started it without knowing: the code of a tool.
        above = here.get()
        parents = (self._surroundings.budget, None if above is None else above.budget)
        if parents == (None, None) and not self._options.has_limits:
            return None
        from ._spending import open_purse

        return open_purse(
            self._options, (self._provider, *self._options.fallback_providers), parents, self.state
        )

    def _lay_around_deltas(self) -> LayAround | None:
        middleware = self._options.middleware
        if not middleware:
            return None
        from ._around import has, laid_around

        if not has(middleware, "delta"):
            return None
        return lambda show: laid_around(middleware, "delta", show, self._info)

    @trio.lowlevel.enable_ki_protection
    def _close(self) -> None:
        # No await from here on: the closing of a cancelled run is one step.
        if self._closed:
            return
        self._closed = True
        state, attempts = self.state, self._attempts
        state.close()
        state.usage = state.usage + attempts.spent
        state.text += attempts.partial_text
        result = state.result()
        if self.error is not None:
            self.error.result = result
        if self.events is not None:
            self.events._finish(result, self.error)
        payload = {"status": result.status, "usage": usage_payload(result.usage), "turns": result.turns}
        self._emitter.emit("run_end", payload)
        self._emitter.tell(result)
        if self._here is not None:
            self._here.emitter = None
        if self._buffer is not None:
            self._buffer.end()


def _next_step(steps: Generator[Step, Outcome, None], outcome: Outcome | ContextOverflow | None) -> Step:
    if isinstance(outcome, ContextOverflow):
        return steps.throw(outcome)
    return next(steps) if outcome is None else steps.send(outcome)
