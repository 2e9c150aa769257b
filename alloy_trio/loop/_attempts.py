"""One completion: attempts at providers until one answers, its pieces turned into events."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from alloy_trio._abc import Provider
from alloy_trio._asking import Meter, Price, Purse, Series, outside_of_attempts
from alloy_trio._attempts import RetryPolicy
from alloy_trio._seed import source
from alloy_trio.values import (
    NO_USAGE,
    AttemptFailed,
    Completion,
    CompletionRequest,
    Delta,
    EventName,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
    Usage,
    UsageDelta,
)

from ._emitter import Emitter, error_payload

if TYPE_CHECKING:
    from alloy_trio.models import ModelInfo

_OUTPUT = frozenset({"text_delta", "thinking_delta", "tool_input_delta"})
"""Events that are part of an answer."""

_ONCE = RetryPolicy(max_retries=0)

_Show: TypeAlias = Callable[[Delta], Awaitable[None]]
LayAround: TypeAlias = Callable[[_Show], _Show]


class Pieces(Meter):
    """The engine's own delta sink: puts the pieces of an answer straight into the reader's buffer.

    Args:
        emitter: where events go.
        provider: the name of the provider that is asked first.
        price: what calls cost, here and in every series of attempts inside of a provider.
        purse: what pays for them; None where there is no budget.
        lay_around: lays middleware around the way of each piece to the reader; None where there is none.

    Attributes:
        text: the visible text so far, in pieces.
    """

    def __init__(
        self,
        emitter: Emitter,
        provider: str,
        price: Price,
        purse: Purse | None = None,
        lay_around: LayAround | None = None,
    ) -> None:
        super().__init__(price=price, purse=purse)
        self._emitter = emitter
        self._provider = provider
        self._shown: list[Delta] = []
        self._show = None if lay_around is None else lay_around(self._add_to_shown)
        self._attempt = 0
        self.text: list[str] = []

    @property
    def reports(self) -> bool:
        """Failed attempts become events."""
        return True

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        """Hand over deltas that arrived together; see :class:`alloy_trio.abc.DeltaSink`."""
        # What Meter.note() does is done here on the way: this is the one pass over each delta of a run.
        items: list[tuple[EventName, Any]] = []
        text = self.text
        if self.spending is not None:
            deltas = self.hear(deltas)
        if self._show is not None:
            deltas, text = await self._as_shown(deltas), []
        for delta in deltas:
            if isinstance(delta, TextDelta):
                text.append(delta.text)
                items.append(("text_delta", delta.text))
            elif isinstance(delta, UsageDelta):
                # Its cost is asked for only if the attempt fails: see unreported().
                self.current = delta.usage
            elif isinstance(delta, ThinkingDelta):
                items.append(("thinking_delta", delta.text))
            elif isinstance(delta, ToolInputDelta):
                payload = {"id": delta.id, "name": delta.name, "partial_json": delta.partial_json}
                items.append(("tool_input_delta", payload))
            elif isinstance(delta, AttemptFailed):
                self.note(delta)
                items.append(self._attempt_failed(delta))
            else:
                raise TypeError(f"a provider sent {delta!r}, which is no delta")
        if not self.output_reached:
            self.output_reached = any(name in _OUTPUT for name, _ in items)
        await self._emitter.send(items)

    async def _as_shown(self, deltas: Iterable[Delta]) -> list[Delta]:
        """What middleware lets through. What it was given counts as arrived, whatever it makes of it."""
        assert self._show is not None
        for delta in deltas:
            if isinstance(delta, UsageDelta | AttemptFailed):
                self._shown.append(delta)
                continue
            self.output_reached = True
            if isinstance(delta, TextDelta):
                self.text.append(delta.text)
            with outside_of_attempts():
                await self._show(delta)
        shown, self._shown = self._shown, []
        return shown

    async def _add_to_shown(self, delta: Delta) -> None:
        self._shown.append(delta)

    def _attempt_failed(self, failed: AttemptFailed) -> tuple[EventName, Any]:
        self._attempt += 1
        error = error_payload(failed.error)
        if failed.next_provider is None:
            return "retry", {"attempt": self._attempt, "delay_seconds": failed.delay_seconds, "error": error}
        start, self._provider = self._provider, failed.next_provider
        self._attempt = 0
        return "fallback", {"from_provider": start, "to_provider": failed.next_provider, "error": error}


class Unshown(Pieces):
    """The same for an answer that is not the run's: only failed attempts become events."""

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        """Drop the pieces of the answer; see :class:`alloy_trio.abc.DeltaSink`."""
        heard = self.hear(deltas)
        await super().send_all([delta for delta in heard if isinstance(delta, UsageDelta | AttemptFailed)])


class Attempts:
    """Completes requests, trying again and elsewhere as :class:`alloy_trio._asking.Series` does.

    A provider that handles failures itself is asked once: retries over retries multiply.

    Args:
        providers: the first and its fallbacks, entered.
        policy: how often and how patiently.
        emitter: where events go.
        streaming: ask for pieces, or for whole answers.
        overrides: what the user knows better of models.
        purse: what pays for attempts; None where there is no budget.
        lay_around: lays middleware around the pieces of answers; None where there is none.

    Attributes:
        spent: usage of calls that did not end in a completion and are not counted anywhere else yet.
        partial_text: what had arrived of an answer that did not become a completion.
        output_reached: whether the reader has seen anything of the last answer that was asked for.
    """

    def __init__(
        self,
        providers: Sequence[Provider],
        policy: RetryPolicy,
        emitter: Emitter,
        *,
        streaming: bool,
        overrides: Mapping[str, ModelInfo] | None = None,
        purse: Purse | None = None,
        lay_around: LayAround | None = None,
    ) -> None:
        self._policy = policy
        self.ask(providers)
        self._emitter = emitter
        self._streaming = streaming
        self._overrides = overrides
        self._purse = purse
        self._lay_around = lay_around
        self.spent = NO_USAGE
        self.partial_text = ""
        self.output_reached = False

    def ask(self, providers: Sequence[Provider]) -> None:
        """Ask these from the next completion on."""
        policies = [_ONCE if provider.handles_failures else self._policy for provider in providers]
        self._series = Series(providers, policies)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Get one completion.

        A provider that failed for good is not asked again in this run.

        Raises:
            RemoteError: the last provider's last error.

        *Cancellation*: ``spent`` and ``partial_text`` hold what was reported and received.
        """
        name = self._series.provider.name
        pieces = Pieces(self._emitter, name, self._priced, self._purse, self._lay_around)
        return await self._complete(request, pieces)

    async def complete_unshown(self, request: CompletionRequest) -> Completion:
        """The same for an answer that the reader of the run does not see."""
        name = self._series.provider.name
        return await self._complete(request, Unshown(self._emitter, name, self._priced, self._purse))

    async def _complete(self, request: CompletionRequest, pieces: Pieces) -> Completion:
        try:
            completion = await self._series.complete(request, pieces, streaming=self._streaming)
        except BaseException as error:
            self.spent = self.spent + pieces.failed + pieces.unreported(error)
            self.partial_text = "".join(pieces.text)
            self.output_reached = pieces.output_reached
            raise
        self.partial_text = ""
        return completion

    def _priced(self, usage: Usage, provider: str, models: tuple[str, ...]) -> Usage:
        if usage == NO_USAGE or usage.cost_cents is not None:
            return usage
        from alloy_trio.models import priced

        return priced(
            usage, provider=provider, models=models, now_ms=source().now_ms(), overrides=self._overrides
        )
