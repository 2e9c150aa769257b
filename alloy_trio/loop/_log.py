"""What a run does, in a log: the ready-made middleware for it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from alloy_trio._middleware import Middleware, RunInfo
from alloy_trio.tools import ToolOutput
from alloy_trio.values import Completion, CompletionRequest, Message, ToolUse


class LoggingMiddleware(Middleware):
    """Writes a line for each model call, tool call and compaction, and for the ends of a session.

    Names, numbers and times are written, and no content: what is asked, answered and handed to tools may be secret.

    Args:
        logger: where to; its name is enough.
        level: of the lines; what fails is written one level up from INFO, as a warning.
    """

    def __init__(self, logger: logging.Logger | str = "alloy_trio.run", level: int = logging.INFO) -> None:
        self._logger = logging.getLogger(logger) if isinstance(logger, str) else logger
        self._level = level

    async def session(self, proceed: Callable[[], Awaitable[None]], run: RunInfo) -> None:
        """Write when it begins and ends."""
        self._write(run, "begins")
        started = trio.current_time()
        try:
            await proceed()
        finally:
            self._write(run, "ends after %.3f s", trio.current_time() - started)

    async def completion(
        self,
        request: CompletionRequest,
        proceed: Callable[[CompletionRequest], Awaitable[Completion]],
        run: RunInfo,
    ) -> Completion:
        """Write what was answered by which model, and what it used."""
        started = trio.current_time()
        try:
            completion = await proceed(request)
        except BaseException as error:
            self._failed(run, f"turn {run.turn}", error, started)
            raise
        usage = completion.usage + completion.other_usage
        cost = "unknown" if usage.cost_cents is None else f"{usage.cost_cents:f} cents"
        self._write(
            run,
            "turn %d: %s answered after %.3f s (%s); %d tokens in, %d out, cost %s",
            run.turn,
            completion.model,
            trio.current_time() - started,
            completion.stop_reason,
            usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
            usage.output_tokens,
            cost,
        )
        return completion

    async def tool_call(
        self, call: ToolUse, proceed: Callable[[ToolUse], Awaitable[ToolOutput]], run: RunInfo
    ) -> ToolOutput:
        """Write which tool ran for how long."""
        started = trio.current_time()
        try:
            output = await proceed(call)
        except BaseException as error:
            self._failed(run, f"tool {call.name} ({call.id})", error, started)
            raise
        took = trio.current_time() - started
        self._write(run, "tool %s (%s) ended after %.3f s", call.name, call.id, took)
        return output

    async def compaction(
        self,
        messages: tuple[Message, ...],
        proceed: Callable[[tuple[Message, ...]], Awaitable[tuple[Message, ...]]],
        run: RunInfo,
    ) -> tuple[Message, ...]:
        """Write how much shorter the conversation became."""
        shorter = await proceed(messages)
        self._write(run, "compaction: %d messages became %d", len(messages), len(shorter))
        return shorter

    def _write(self, run: RunInfo, words: str, *values: object) -> None:
        self._logger.log(self._level, f"%s: {words}", run.correlation_id, *values)

    def _failed(self, run: RunInfo, what: str, error: BaseException, started: float) -> None:
        level = max(self._level, logging.WARNING) if isinstance(error, Exception) else self._level
        # The kind alone: an error's words may hold what was asked for.
        took = trio.current_time() - started
        self._logger.log(
            level, "%s: %s ended with %s after %.3f s", run.correlation_id, what, type(error).__name__, took
        )
