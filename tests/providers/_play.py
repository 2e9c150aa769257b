"""A provider that plays what is written down: pieces, pauses, and an error or an answer at the end."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from types import TracebackType
from typing import Any, TypeAlias

import trio

from alloy_trio import (
    AttemptFailed,
    Completion,
    CompletionRequest,
    Message,
    Origin,
    RemoteError,
    TextDelta,
    Usage,
    UsageDelta,
)
from alloy_trio.abc import DeltaSink, Provider

Act: TypeAlias = Any
"""A delta is sent, a float is slept, an exception is raised, a Completion is returned."""

ASK = CompletionRequest((Message.user("go"),))


def used(tokens: int) -> Usage:
    return Usage(output_tokens=tokens)


def failing(error: RemoteError, tokens: int) -> RemoteError:
    """The error of a call that the vendor counts so many tokens for."""
    error.usage = used(tokens)
    return error


def answer(text: str = "fine", tokens: int = 1, *, by: str = "play", other: int = 0) -> Completion:
    return Completion(
        Message("assistant", Message.assistant(text).content, Origin(by, "model")),
        "end_turn",
        used(tokens),
        "model",
        other_usage=used(other),
    )


class Play(Provider):
    """Plays one turn for each call, and fails when there is none left.

    Attributes:
        asked: when each call came.
        reported: the usage that was sent last.
    """

    def __init__(self, *turns: Iterable[Act], name: str = "play") -> None:
        self.name, self.model = name, f"{name}-model"
        self.turns = [list(turn) for turn in turns]
        self.asked: list[float] = []
        self.entered = 0
        self.running = 0
        self.cancelled = 0
        self.reported = Usage()

    async def __aenter__(self) -> Play:
        await trio.lowlevel.checkpoint()
        self.entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.entered -= 1

    async def complete(self, request: CompletionRequest) -> Completion:
        return await self._play(None)

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        return await self._play(deltas)

    async def _play(self, deltas: DeltaSink | None) -> Completion:
        assert self.entered > 0
        turn = self.turns[len(self.asked)]
        self.asked.append(trio.current_time())
        self.running += 1
        try:
            await trio.lowlevel.checkpoint()
            for act in turn:
                if isinstance(act, Completion):
                    return act
                if isinstance(act, BaseException):
                    raise copy.copy(
                        act
                    )  # whoever catches it may write on it, and the turn may be played again
                if isinstance(act, int | float):
                    await trio.sleep(act)
                elif deltas is not None:
                    if isinstance(act, UsageDelta):
                        self.reported = act.usage
                    await deltas.send(act)
        except trio.Cancelled:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1
        raise AssertionError("a turn has to end with an exception or a Completion")


class Ledger:
    """A sink that keeps everything, and adds usage up as a caller of a provider should."""

    def __init__(self) -> None:
        self.deltas: list[Any] = []
        self.failed = Usage()
        self.current = Usage()

    async def send(self, delta: Any) -> None:
        await self.send_all((delta,))

    async def send_all(self, deltas: Iterable[Any]) -> None:
        for delta in deltas:
            self.deltas.append(delta)
            if isinstance(delta, AttemptFailed):
                self.failed, self.current = self.failed + delta.usage, Usage()
            elif isinstance(delta, UsageDelta):
                self.current = delta.usage
        await trio.lowlevel.checkpoint()

    @property
    def text(self) -> str:
        return "".join(delta.text for delta in self.deltas if isinstance(delta, TextDelta))

    @property
    def failures(self) -> list[tuple[str, float, str | None, int]]:
        return [
            (delta.error.kind, delta.delay_seconds, delta.next_provider, delta.usage.output_tokens)
            for delta in self.deltas
            if isinstance(delta, AttemptFailed)
        ]

    def total(self, error: RemoteError) -> int:
        """What everything used, after a call that raised."""
        return (self.failed + error.usage).output_tokens
