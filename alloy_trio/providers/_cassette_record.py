"""Recording what a provider is asked and what it says."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from os import PathLike
from types import TracebackType
from typing import Any, Literal, Self

import attrs
import trio

from alloy_trio._seed import source
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.values import (
    Completion,
    CompletionRequest,
    ConfigurationError,
    Delta,
    RemoteError,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
)

from ._around import with_inner
from ._cassette_file import Writer, checked_path
from ._cassette_keys import Keys
from ._cassette_lines import Asked, Exchange, Failure, Piece
from ._removing import Remover, environment_secrets, provider_secrets


def record(
    provider: Provider, file: str | PathLike[str], *, mode: Literal["new", "append", "replace"] = "new"
) -> Recorder:
    """A provider that asks another one and writes what is said into a file, for :func:`replay`.

    Each line is an exchange as JSON: the request, the deltas with their grouping and times, and the completion, the
    RemoteError, or that it was cancelled. Any other exception is not recorded. Keys and what looks like one are taken
    out: see the guide. Inside of a Retry or a Fallback each attempt is recorded, around them what they come to.

    A request whose line cannot be written (a full disk) fails with a LocalError, and so does each later one.

    Args:
        provider: who is asked.
        file: the file, made when the provider is entered first.
        mode: what becomes of a file that is there already: ``"new"``, an error; ``"append"``, it is added to;
            ``"replace"``.

    Raises:
        ConfigurationError: an argument cannot work; on entering, the file cannot be written.
    """
    return Recorder(provider, file, mode)


class Recorder(Provider):
    """What :func:`record` makes; to a run it is what it records."""

    def __init__(self, provider: Provider, file: str | PathLike[str], mode: str = "new") -> None:
        if not isinstance(provider, Provider):
            raise ConfigurationError(
                f"record got {provider!r}, which is no provider; write record(provider, file)"
            )
        if mode not in ("new", "append", "replace"):
            raise ConfigurationError(f"mode={mode!r} must be 'new', 'append' or 'replace'")
        self._provider = provider
        self._asked = Asked.of(provider)
        self._writer = Writer(checked_path(file), mode)
        self._remover = Remover(())
        self._keys = Keys(self._remover, provider.name, provider.model)
        self._asked.imitated_by(self)
        # A budget sees the model itself, or the one who makes attempts at it.
        self.inner = (provider,) if provider.inner else ()

    def __repr__(self) -> str:
        return f"record({self._provider!r}, {str(self._writer.path)!r})"

    async def __aenter__(self) -> Self:
        self._writer.open()
        try:
            await self._provider.__aenter__()
        except BaseException:
            self._writer.close()
            raise
        providers = tuple(with_inner(self._provider))
        self._remover = Remover((*environment_secrets(os.environ), *provider_secrets(providers)))
        self._keys = Keys(self._remover, self.name, self.model)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._provider.__aexit__(kind, error, traceback)
        finally:
            self._writer.close()

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask the recorded provider; see :meth:`alloy_trio.abc.Provider.complete`.

        *Cancellation*: is recorded.
        """
        return await self.ask(request, None)

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        """Ask the recorded provider; see :meth:`alloy_trio.abc.Provider.stream`.

        *Cancellation*: is recorded, with what was handed over.
        """
        return await self.ask(request, deltas)

    async def ask(
        self, request: CompletionRequest, deltas: DeltaSink | None, instead_of: int | None = None
    ) -> Completion:
        """Ask and record, perhaps for the second time; for :class:`Replayer`."""
        listener = None if deltas is None else _Listener(deltas)
        started = trio.current_time()
        kept, key = self._keys.of(request)
        exchange = Exchange(
            key=key,
            number=self._writer.number(),
            at_ms=source().now_ms(),
            provider=self._asked,
            request=kept,
            instead_of=instead_of,
        )

        def write(**end: Any) -> None:
            last = started if listener is None else listener.last
            pieces = None if listener is None else self._pieces(listener.pieces)
            seconds = round(trio.current_time() - last, 3)
            self._writer.write(
                attrs.evolve(exchange, pieces=pieces, seconds=seconds, **end), cancelled="cancelled" in end
            )

        try:
            if listener is None:
                completion = await self._provider.complete(request)
            else:
                completion = await self._provider.stream(request, listener)
        except trio.Cancelled:
            write(cancelled=True)
            raise
        except RemoteError as error:
            failure = Failure.of(error)
            write(error=attrs.evolve(failure, message=self._remover.text(failure.message)))
            raise
        write(completion=self._remover.value(completion))
        return completion

    def _pieces(self, pieces: Iterable[Piece]) -> tuple[Piece, ...]:
        """The pieces without credentials, also such as are spread over several deltas."""
        pieces = tuple(pieces)
        deltas = [delta for piece in pieces for delta in piece.deltas]
        kept = iter(_without_secrets(deltas, self._remover))
        return tuple(Piece(piece.after, tuple(next(kept) for _ in piece.deltas)) for piece in pieces)


class _Listener:
    """Remembers what is handed over, and when."""

    def __init__(self, onward: DeltaSink) -> None:
        self.pieces: list[Piece] = []
        self.last = trio.current_time()
        self._onward = onward

    async def send(self, delta: Delta) -> None:
        """See :class:`alloy_trio.abc.DeltaSink`."""
        self._note((delta,))
        await self._onward.send(delta)

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        """See :class:`alloy_trio.abc.DeltaSink`."""
        together = tuple(deltas)
        self._note(together)
        await self._onward.send_all(together)

    def _note(self, deltas: tuple[Delta, ...]) -> None:
        now = trio.current_time()
        self.pieces.append(Piece(round(now - self.last, 3), deltas))
        self.last = now


def _without_secrets(deltas: Sequence[Delta], remover: Remover) -> list[Delta]:
    kept = [remover.value(delta) for delta in deltas]
    streams: dict[tuple[Any, ...], list[int]] = {}
    for at, delta in enumerate(deltas):
        if isinstance(delta, ToolInputDelta):
            streams.setdefault((ToolInputDelta, delta.id), []).append(at)
        elif isinstance(delta, TextDelta | ThinkingDelta):
            streams.setdefault((type(delta),), []).append(at)
    for places in streams.values():
        whole = "".join(_said(deltas[at]) for at in places)
        if (clean := remover.text(whole)) != "".join(_said(kept[at]) for at in places):
            # Where it was spread over several, the first one that says something says all.
            first = next(at for at in places if _said(deltas[at]))
            for at in places:
                kept[at] = _saying(kept[at], clean if at == first else "")
    return kept


def _said(delta: Any) -> str:
    text: str = delta.partial_json if isinstance(delta, ToolInputDelta) else delta.text
    return text


def _saying(delta: Any, text: str) -> Delta:
    name = "partial_json" if isinstance(delta, ToolInputDelta) else "text"
    changed: Delta = attrs.evolve(delta, **{name: text})
    return changed
