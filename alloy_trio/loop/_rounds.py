"""The calls of one turn: their middleware, the decisions about them, and what is true of them if it all is stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import attrs

from alloy_trio.tools import Tool, ToolContext, ToolOutput, ToolRound
from alloy_trio.values import Halt, Pause, Text, ToolCallRecord, ToolError, ToolResult, ToolUse

from ._emitter import Emitter
from ._steps import ToolOutcomes

if TYPE_CHECKING:
    from alloy_trio._middleware import Middleware, RunInfo

WAITS = "This tool was not run: it waits for a decision."

Refusals: TypeAlias = Mapping[str, str]
"""Why calls shall not run, by their ids."""


class Round:
    """The calls of one turn, performed once.

    Args:
        calls: what the model asked for.
        tools: what there is, by name.
        context: what the tools are told.
        emitter: where events go.
        default_timeout: seconds of one execution for tools that do not say.
        middleware: laid around the calls and around all of them together.
        info: tells it of the run.
        refusals: calls that were denied.
    """

    def __init__(
        self,
        calls: tuple[ToolUse, ...],
        tools: Mapping[str, Tool],
        *,
        context: ToolContext,
        emitter: Emitter,
        default_timeout: float,
        middleware: Sequence[Middleware] = (),
        info: Callable[[], RunInfo] | None = None,
        refusals: Refusals | None = None,
    ) -> None:
        self._calls = calls
        self._tools = tools
        self._context = context
        self._emitter = emitter
        self._default_timeout = default_timeout
        self._middleware = middleware
        self._info = info
        self._refusals = refusals or {}
        self._round: ToolRound | None = None
        self._pending: set[str] = set()

    async def run(self) -> ToolOutcomes:
        """Run the calls.

        *Cancellation*: and after any other exception, :meth:`outcomes` tells what became of each call.
        """
        if not self._middleware or self._info is None:
            await self._proceed(self._calls)
            return self.outcomes()
        from ._around import laid_around

        batch = laid_around(self._middleware, "tool_batch", self._proceed, self._info)
        try:
            results = await batch(self._calls)
        except ToolError as error:
            if self._round is not None:
                raise
            results = tuple(ToolResult(call.id, str(error), is_error=True) for call in self._calls)
        except Pause:
            if self._round is not None:
                raise RuntimeError(
                    "a tool_batch raised Pause after it had proceeded; what has run cannot wait"
                ) from None
            return ToolOutcomes((), (), self._calls)
        return self._as_answered(results)

    def outcomes(self) -> ToolOutcomes:
        """What became of the calls so far; those that did not run yet are told not to have."""
        round_ = self._round or self._new_round(self._calls)
        waits = tuple(call for call in self._calls if call.id in self._pending)
        return ToolOutcomes(
            tuple(result for result in round_.results() if result.tool_use_id not in self._pending),
            tuple(record for record in round_.records() if record.id not in self._pending),
            waits,
        )

    def stopped(self) -> ToolOutcomes:
        """The same for a round that was stopped: there is nothing left to decide about."""
        self._pending.clear()
        return self.outcomes()

    async def _proceed(self, calls: tuple[ToolUse, ...]) -> tuple[ToolResult, ...]:
        if [(call.id, call.name) for call in calls] != [(call.id, call.name) for call in self._calls]:
            raise RuntimeError(
                "a tool_batch proceeded with other calls than it was given; each keeps its id, its name and its place"
            )
        self._round = self._new_round(calls)
        await self._emitter.wait_for_room()
        try:
            return await self._round.run()
        except BaseExceptionGroup as group:
            # Several calls that halt the run at the same time say one thing.
            halts, others = group.split(Halt)
            if halts is None or others is not None:
                raise
            raise Halt(*_first(halts).args) from group

    def _new_round(self, calls: tuple[ToolUse, ...]) -> ToolRound:
        around = None
        if self._info is not None and (self._middleware or self._refusals):
            around = self._around
        return ToolRound(
            calls,
            self._tools,
            context=self._context,
            emit=self._emitter.emit,
            send=self._emitter.send,
            default_timeout=self._default_timeout,
            around=around,
        )

    async def _around(self, call: ToolUse, proceed: Callable[..., object]) -> ToolOutput:
        assert self._info is not None
        if call.id in self._refusals:
            raise ToolError(self._refusals[call.id])
        from ._around import laid_around_call

        try:
            return await laid_around_call(self._middleware, proceed, self._info)(call)  # type: ignore[arg-type]
        except Pause:
            # Its siblings go on: they need not wait for what a person decides about this one.
            self._pending.add(call.id)
            raise ToolError(WAITS) from None

    def _as_answered(self, results: Sequence[ToolResult]) -> ToolOutcomes:
        """What a tool_batch returned, as outcomes.

        Raises:
            RuntimeError: it dropped a result, or made one up.
        """
        given = [result.tool_use_id for result in results]
        if sorted(given) != sorted(call.id for call in self._calls):
            raise RuntimeError(
                f"a tool_batch returned results for the calls {', '.join(given) or '(none)'}, and was given "
                f"{', '.join(call.id for call in self._calls)}; each call needs exactly one"
            )
        by_id = {result.tool_use_id: result for result in results}
        ran = self.outcomes()
        records = {record.id: record for record in ran.records} if self._round is not None else {}
        waiting = {call.id for call in ran.pending}
        settled = [call for call in self._calls if call.id not in waiting]
        return ToolOutcomes(
            tuple(by_id[call.id] for call in settled),
            tuple(_record(call, by_id[call.id], records.get(call.id)) for call in settled),
            ran.pending,
        )


def _record(call: ToolUse, result: ToolResult, ran: ToolCallRecord | None) -> ToolCallRecord:
    words = _words(result)
    if ran is None:
        return ToolCallRecord(
            id=call.id,
            name=call.name,
            input=call.input,
            output=words,
            error=words if result.is_error else None,
            outcome="blocked" if result.is_error else "completed",
        )
    return ran if ran.output == words else attrs.evolve(ran, output=words)


def _first(group: BaseExceptionGroup[Halt]) -> Halt:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _words(result: ToolResult) -> str:
    if isinstance(result.content, str):
        return result.content
    return "".join(block.text for block in result.content if isinstance(block, Text))
