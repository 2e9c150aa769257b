"""A provider that answers from a recording."""

from __future__ import annotations

import os
from collections import deque
from os import PathLike
from types import TracebackType
from typing import Any, Self

import trio

from alloy_trio._abc import whole_deltas
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.values import Completion, CompletionRequest, ConfigurationError, LocalError

from ._cassette_file import Read, checked_path, in_order, read_recording, whose
from ._cassette_keys import Keys
from ._cassette_lines import Asked, Exchange
from ._cassette_record import Recorder
from ._readable import difference, excerpt
from ._removing import Remover, environment_secrets

CANCEL_SECONDS = 60.0
"""How long a replayed request that was cancelled when it was recorded waits for being cancelled again. Arbitrary:
longer than most deadlines, short enough to be noticed."""


class NotRecorded(LocalError):
    """A recording has no answer to a request. The message shows how the nearest recorded request differs."""


def replay(
    file: str | PathLike[str],
    *,
    provider: str | None = None,
    update: Provider | None = None,
    paced: bool = False,
) -> Replayer:
    """A provider that answers from a file that :func:`record` wrote, without network and keys.

    A request gets the answer of the recorded request that is equal to it; of several equal ones each is answered once,
    in the order in which they were made. What has no answer raises :class:`NotRecorded`.

    Args:
        file: the file, which is read at once.
        provider: whose answers, where the file has several providers': a name, a model, or name/model. Default: who
            was asked first.
        update: who is asked for what the file lacks, and for what was cancelled. Such answers are appended to it; it
            need not exist.
        paced: hand the pieces over as slowly as they came. Default: at once.

    Raises:
        ConfigurationError: the file cannot be read, is no recording, of a newer format, or has nothing of this
            provider.
    """
    return Replayer(file, provider=provider, update=update, paced=paced)


class Replayer(Provider):
    """What :func:`replay` makes; to a run it is what was recorded."""

    def __init__(
        self,
        file: str | PathLike[str],
        *,
        provider: str | None = None,
        update: Provider | None = None,
        paced: bool = False,
    ) -> None:
        self._path = checked_path(file)
        self._read = Read() if update is not None and not self._path.exists() else read_recording(self._path)
        self._paced = paced
        self._misses: list[str] = []
        self._recorder = None if update is None else Recorder(update, file, "append")
        asked = Asked.of(update) if update is not None else whose(self._read, provider)
        if asked is None:
            raise ConfigurationError(
                f"the recording {self._path} has nothing of {provider or 'any provider'}{self._others()}"
            )
        asked.imitated_by(self)
        self.inner = () if self._recorder is None else self._recorder.inner
        self._keys = Keys(Remover(environment_secrets(os.environ)), self.name, self.model)
        self._waiting: dict[str, deque[Exchange]] = {}
        for exchange in in_order(self._read):
            self._waiting.setdefault(exchange.key, deque()).append(exchange)

    def __repr__(self) -> str:
        return f"replay({str(self._path)!r}, provider='{self.name}/{self.model}')"

    def assert_exhausted(self) -> None:
        """Check that every answer of this provider was asked for, and that none was missing.

        Raises:
            AssertionError: some are left, or a request had no answer; says which.
        """
        if self._misses:
            raise AssertionError(f"{len(self._misses)} requests had no answer; the first: {self._misses[0]}")
        left = self._left()
        if left:
            raise AssertionError(
                f"{len(left)} recorded requests were not asked; the first is\n{excerpt(left[0].request)}"
            )

    async def __aenter__(self) -> Self:
        if self._recorder is not None:
            await self._recorder.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._recorder is not None:
            await self._recorder.__aexit__(kind, error, traceback)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer as it was recorded; see :meth:`alloy_trio.abc.Provider.complete`.

        Raises:
            NotRecorded: there is no answer.

        *Cancellation*: before the answer is taken, nothing has happened. One checkpoint at least.
        """
        return await self._answer(request, None)

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        """Answer as it was recorded, piece by piece; see :meth:`alloy_trio.abc.Provider.stream`.

        What was recorded as a whole answer is handed over in one piece.

        Raises:
            NotRecorded: there is no answer.

        *Cancellation*: as in :meth:`complete`.
        """
        return await self._answer(request, deltas)

    async def _answer(self, request: CompletionRequest, deltas: DeltaSink | None) -> Completion:
        await trio.lowlevel.checkpoint()
        kept, key = self._keys.of(request)
        waiting = self._waiting.get(key)
        exchange = waiting.popleft() if waiting else None
        if self._recorder is not None and (exchange is None or exchange.cancelled):
            return await self._recorder.ask(request, deltas, None if exchange is None else exchange.number)
        if exchange is not None:
            return await self._play(exchange, deltas)
        self._misses.append(self._miss(kept))
        raise NotRecorded(self._misses[-1])

    async def _play(self, exchange: Exchange, deltas: DeltaSink | None) -> Completion:
        for piece in exchange.pieces or ():
            if self._paced:
                await trio.sleep(piece.after)
            if deltas is not None:
                await deltas.send_all(piece.deltas)
        if self._paced:
            await trio.sleep(exchange.seconds)
        if exchange.error is not None:
            raise exchange.error.error()
        if exchange.completion is None:
            await trio.sleep(CANCEL_SECONDS)
            raise NotRecorded(
                f"the recording {self._path} has no end of this answer: it was cancelled then, and is not now"
            )
        if deltas is not None and exchange.pieces is None:
            await deltas.send_all(whole_deltas(exchange.completion))
        return exchange.completion

    def _miss(self, request: CompletionRequest) -> str:
        said = [f"the recording {self._path} has no answer to this request to {self.name}/{self.model}"]
        if self._read.cut:
            said.append("its last line is cut off: the recording was broken off there")
        mine = [entry for entry in self._read.exchanges if self._is_of(entry[1])]
        if not mine:
            said.append(f"it has none of that model{self._others()}")
        elif equal := sum(exchange.request == request for _, exchange in mine):
            said.append(f"it was made {'once' if equal == 1 else f'{equal} times'} then, and now once more")
        else:
            left = {id(exchange) for exchange in self._left()}
            line, nearest = max(
                mine, key=lambda entry: _likeness(entry[1].request, request, id(entry[1]) in left)
            )
            differs = difference(nearest.request, request, (f"recorded, line {line}", "asked now"))
            said.append(
                f"the nearest that was recorded differs:\n{differs or '(in what is not shown here)'}\n"
                "(tools run anew when a run is replayed: where a result differs, their answer has changed)\n"
            )
        said.append(
            "record it anew, or what is missing: replay(file, update=provider), alloy --replay FILE --record FILE"
        )
        return "; ".join(said).replace("\n; ", "\n")

    def _left(self) -> list[Exchange]:
        return [
            exchange for waiting in self._waiting.values() for exchange in waiting if self._is_of(exchange)
        ]

    def _is_of(self, exchange: Exchange) -> bool:
        return (exchange.provider.name, exchange.provider.model) == (self.name, self.model)

    def _others(self) -> str:
        others = sorted({str(exchange.provider) for _, exchange in self._read.exchanges})
        return f"; it has {', '.join(others)}" if others else "; it is empty"


def _likeness(recorded: CompletionRequest, asked: CompletionRequest, is_left: bool) -> tuple[Any, ...]:
    """How like two requests are; more is likelier to have been meant."""
    same = 0
    for one, other in zip(recorded.messages, asked.messages, strict=False):
        if one != other:
            break
        same += 1
    rest = sum(
        getattr(recorded, name) == getattr(asked, name)
        for name in ("system", "tools", "server_tools", "max_tokens", "tool_choice", "output_schema")
    )
    return same, -abs(len(recorded.messages) - len(asked.messages)), rest, is_left
