"""One round of tool calls: all calls of a model's turn, run as structured concurrency.

Each call is a child task of :meth:`ToolRound.run`. At every moment each call is in one of three states: not
started, started, or settled; the step from the first to the second is where its tool_start event is
emitted, and the step to the third where its tool_end is. So whatever a cancel meets,
:meth:`ToolRound.results` can say truthfully what ran, and no tool_start stays without its tool_end.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import attrs
import trio

from alloy_trio._watching import execution_watcher
from alloy_trio.values import (
    ConfigurationError,
    EventName,
    ToolCallRecord,
    ToolError,
    ToolOutcome,
    ToolResult,
    ToolUse,
)

from . import _answers as answers
from ._calls import STOPPED, Call, divided, ending, if_closed, met_cancel, only, stopped
from ._limit import Limit
from ._plain import NotPlain, cut, plain
from ._rendering import rendered
from ._reports import Reporter, Send
from ._tool import PreparedCall, Tool, ToolContext, ToolOutput

_logger = logging.getLogger("alloy_trio.tools")

DEFAULT_TIMEOUT = 120.0
"""Seconds of one execution, unless the run or the tool says otherwise (the option ``tool_timeout``)."""

Emit: TypeAlias = Callable[[EventName, dict[str, Any]], int]
Proceed: TypeAlias = Callable[[ToolUse], Awaitable[ToolOutput]]
Around: TypeAlias = Callable[[ToolUse, Proceed], Awaitable[ToolOutput]]


def tools_by_name(tools: Iterable[Tool]) -> dict[str, Tool]:
    """Index tools by the names that a model uses.

    Raises:
        ConfigurationError: two tools have one name, or something is not a tool.
    """
    named: dict[str, Tool] = {}
    for each in tools:
        if not isinstance(each, Tool):
            raise ConfigurationError(
                f"{each!r} is given as a tool and is none; put @tool before the function"
            )
        if named.setdefault(each.name, each) is not each:
            raise ConfigurationError(f"two tools are named {each.name!r}; rename one with @tool(name=…)")
    return named


class ToolRound:
    """The calls of one turn.

    Args:
        calls: what the model asked for.
        tools: what there is, by name.
        context: what the tools are told; deadline and progress are filled in for each call.
        emit: puts an event (name, payload) into the stream without waiting, and returns its seq.
        send: puts events into the stream, waiting while it is full; None leaves tool_progress events out.
        default_timeout: seconds of one execution for tools that do not say; None for no limit.
        around: async function of (call, proceed) laid around each call; it may change the call, answer
            itself, or raise ToolError to block. Whatever else it raises ends the round.
        limiter: the worker threads for plain functions; None for those that the trio run shares.
    """

    def __init__(
        self,
        calls: Iterable[ToolUse],
        tools: Mapping[str, Tool],
        *,
        context: ToolContext,
        emit: Emit,
        send: Send | None = None,
        default_timeout: float | None = DEFAULT_TIMEOUT,
        around: Around | None = None,
        limiter: trio.CapacityLimiter | None = None,
    ) -> None:
        self._tools = tools
        self._calls = [self._opened(use) for use in calls]
        self._context = context
        self._emit = emit
        self._send = send
        self._default_timeout = default_timeout
        self._around = around
        self._limiter = limiter

    async def run(self) -> tuple[ToolResult, ...]:
        """Run the calls and return their results, in the calls' order.

        *Cancellation*: every call that runs is cancelled and waited for. Then, and after any other exception,
        the round is closed: :meth:`results` and :meth:`records` tell what became of each call.

        *Ordering*: tool_start events come in the calls' order, except that a call may be late which waits
        for a thread or for what is laid around it.
        """
        try:
            await trio.lowlevel.checkpoint()
            for batch in self._batches():
                await self._run_batch(batch)
        finally:
            self.close()
        return self.results()

    def close(self, reason: str = STOPPED) -> None:
        """Settle what is open: started calls are interrupted, the others did not run. Never waits.

        Args:
            reason: why they did not run, as the model will read it: ``"the run was stopped"``.
        """
        for call in self._calls:
            if call.outcome is None:
                self._settle(call, *if_closed(call, reason))

    def results(self) -> tuple[ToolResult, ...]:
        """One result for each call, in the calls' order; open ones as if the round was closed now."""
        return tuple(
            ToolResult(call.use.id, if_closed(call)[1], is_error=True)
            if call.outcome is None
            else ToolResult(call.use.id, call.content, call.is_error)
            for call in self._calls
        )

    def records(self) -> tuple[ToolCallRecord, ...]:
        """One record for each call, in the calls' order; open ones as if the round was closed now."""
        records = []
        for call in self._calls:
            outcome, words = (call.outcome, call.output) if call.outcome is not None else if_closed(call)
            records.append(
                ToolCallRecord(
                    id=call.use.id,
                    name=call.use.name,
                    input=call.use.input,
                    output=words,
                    error=words if call.is_error or call.outcome is None else None,
                    duration_ms=call.duration_ms,
                    outcome=outcome,
                    start_seq=call.start_seq,
                    end_seq=call.end_seq,
                    data=call.data,
                )
            )
        return tuple(records)

    def _opened(self, use: ToolUse) -> Call:
        tool = self._tools.get(use.name)
        return Call(use) if tool is None else Call(use, limit=tool.max_result_chars)

    def _batches(self) -> Iterator[list[Call]]:
        """What runs at the same time; a barrier is a batch of its own."""
        batch: list[Call] = []
        for call in self._calls:
            tool = self._tools.get(call.use.name)
            if tool is None or tool.concurrent:
                batch.append(call)
                continue
            if batch:
                yield batch
            yield [call]
            batch = []
        if batch:
            yield batch

    async def _run_batch(self, batch: list[Call]) -> None:
        if len(batch) == 1:
            await self._run_call(batch[0])
            return
        try:
            async with trio.open_nursery() as nursery:
                for call in batch:
                    nursery.start_soon(self._run_call, call)
                    # trio shuffles tasks that become ready together; one at a time they start in order.
                    await trio.lowlevel.checkpoint()
        except BaseExceptionGroup as group:
            error = only(group)
            if error is None:
                raise
        else:
            return
        raise error

    async def _run_call(self, call: Call) -> None:
        if self._around is None:
            await self._execute(call, call.use)
            return

        async def proceed(use: ToolUse) -> ToolOutput:
            if call.started or call.outcome is not None:
                raise RuntimeError(f"proceed was called twice for {call.use.name}; a call runs once")
            await self._execute(call, use)
            if call.result is None:
                raise ToolError(call.output)
            return call.result

        try:
            output = await self._around(call.use, proceed)
            if output is not call.result:
                await self._answer(call, output)
        except ToolError as exc:
            words = await self._short(call, answers.failure(call.use.name, exc))
            if call.outcome is None:
                self._settle(call, "blocked", words)
            else:
                call.fail(words, call.data)
        else:
            call.outcome = call.outcome or "completed"

    async def _execute(self, call: Call, use: ToolUse) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        tool = self._tools.get(use.name)
        if tool is None:
            self._settle(call, "not_started", answers.unknown_tool(use.name, self._tools))
            return
        if use.invalid_input is not None:
            self._settle(call, "not_started", answers.invalid_json(use))
            return
        try:
            shown = plain(use.input)
        except NotPlain as exc:
            self._settle(call, "not_started", answers.invalid_value(use.name, str(exc)))
            return
        call.thread_may_stay = tool.abandons
        seconds = tool.timeout if tool.timeout is not None else self._default_timeout
        limit = Limit(math.inf if seconds is None else seconds)
        error: BaseException | None = None
        fatal: BaseException | None = None
        try:
            prepared = tool.prepare(use.input, self._limiter)
            async with prepared.admitted():
                await trio.lowlevel.checkpoint_if_cancelled()
                limit.start()
                with limit.scope:
                    self._start(call, use, shown)
                    returned = await self._run_prepared(prepared, use, self._context_for(call, limit))
                    with limit.paused():
                        await self._answer(call, returned)
                    self._settle(call, "completed")
        # SystemExit too: command-line libraries raise it for a wrong argument, and that is the model's.
        except (Exception, SystemExit, BaseExceptionGroup) as exc:  # border: a tool call
            error, fatal = divided(exc)
        finally:
            if call.started and call.outcome is None:
                scope = limit.scope
                ended_by_scope = scope.cancelled_caught or (scope.cancel_called and met_cancel(error))
                met = f"{seconds:g}" if ended_by_scope else None
                outcome, words = ending(call, error, met, stopped=stopped(error, fatal))
                self._settle(call, outcome, await self._short(call, words))
        if error is not None:
            _logger.debug("the tool %s failed", use.name, exc_info=error)
            if call.outcome is None:
                self._settle(call, "not_started", await self._short(call, answers.failure(use.name, error)))
        if fatal is not None:
            raise fatal

    async def _run_prepared(self, prepared: PreparedCall, use: ToolUse, context: ToolContext) -> object:
        watching = execution_watcher.get()
        if watching is None:
            return await prepared.run(context)
        return await watching(use, partial(prepared.run, context))

    def _start(self, call: Call, use: ToolUse, shown: dict[str, Any]) -> None:
        call.started_at = trio.current_time()
        # A copy of the input, so that what a reader does to its event changes neither the history nor the record.
        call.start_seq = self._emit("tool_start", {"id": use.id, "name": use.name, "input": shown})

    async def _answer(self, call: Call, returned: object) -> None:
        """Answer with what a tool or what is around it returned.

        *Cancellation*: none; what was done is told, also when its text has to be put into a file first.
        """

        async def keep(text: str) -> str:
            return await self._kept(call, text, call.limit)

        call.answer(await rendered(call.use.name, returned, call.limit, keep))

    async def _short(self, call: Call, words: str) -> str:
        """An error's words, cut if they are too long."""
        if len(words) <= call.room:
            return words
        return cut(words, call.room, await self._kept(call, words, call.room))

    async def _kept(self, call: Call, text: str, shown: int) -> str:
        if "read" not in self._tools:
            return ""  # nothing else opens the file
        from ._long_results import spilled

        stem = call.use.name if call.use.name in self._tools else "result"
        return await spilled(text, stem, shown, self._context.belongings)

    def _settle(self, call: Call, outcome: ToolOutcome, words: str | None = None) -> None:
        if words is None:
            call.outcome = outcome
        else:
            call.settle(outcome, words)
        if call.started:
            call.duration_ms = round((trio.current_time() - call.started_at) * 1000)
            payload = {
                "id": call.use.id,
                "name": call.use.name,
                "duration_ms": call.duration_ms,
                "error": call.output if call.is_error else None,
                "outcome": outcome,
                "start_seq": call.start_seq,
            }
            call.end_seq = self._emit("tool_end", payload)

    def _context_for(self, call: Call, limit: Limit) -> ToolContext:
        return attrs.evolve(
            self._context,
            deadline=trio.current_effective_deadline(),
            report=Reporter(call, self._send, limit),
            limit=limit,
        )
