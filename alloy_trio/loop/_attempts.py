"""One completion: attempts at providers until one answers, its pieces turned into events."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import trio

from alloy_trio._abc import Provider
from alloy_trio._attempts import Next, RetryPolicy, Wait, decide
from alloy_trio._seed import source
from alloy_trio.values import (
    NO_USAGE,
    AttemptFailed,
    Completion,
    CompletionRequest,
    Delta,
    ErrorInfo,
    EventName,
    RemoteError,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
    Usage,
    UsageDelta,
)

from ._events import Emitter, error_payload

_OUTPUT = frozenset({"text_delta", "thinking_delta", "tool_input_delta"})
"""Events that are part of an answer."""


class Pieces:
    """The engine's own delta sink: puts the pieces of one attempt straight into the reader's buffer.

    Attributes:
        output_reached: whether anything of the answer went to the caller.
        text: the visible text so far, in pieces.
    """

    def __init__(self, emitter: Emitter, provider: str) -> None:
        self._emitter = emitter
        self._provider = provider
        self._failed = NO_USAGE
        self._current = NO_USAGE
        self._attempt = 0
        self.output_reached = False
        self.text: list[str] = []

    @property
    def usage(self) -> Usage:
        """What was reported so far, over all attempts made below this sink."""
        return self._failed + self._current

    async def send(self, delta: Delta) -> None:
        """Hand over one delta; see :class:`alloy_trio.abc.DeltaSink`."""
        await self.send_all((delta,))

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        """Hand over deltas that arrived together; see :class:`alloy_trio.abc.DeltaSink`."""
        items: list[tuple[EventName, Any]] = []
        text = self.text
        for delta in deltas:
            if isinstance(delta, TextDelta):
                text.append(delta.text)
                items.append(("text_delta", delta.text))
            elif isinstance(delta, UsageDelta):
                self._current = delta.usage
            elif isinstance(delta, ThinkingDelta):
                items.append(("thinking_delta", delta.text))
            elif isinstance(delta, ToolInputDelta):
                payload = {"id": delta.id, "name": delta.name, "partial_json": delta.partial_json}
                items.append(("tool_input_delta", payload))
            elif isinstance(delta, AttemptFailed):
                items.append(self._attempt_failed(delta))
            else:
                raise TypeError(f"a provider sent {delta!r}, which is no delta")
        if not self.output_reached:
            self.output_reached = any(name in _OUTPUT for name, _ in items)
        await self._emitter.send(items)

    def _attempt_failed(self, failed: AttemptFailed) -> tuple[EventName, Any]:
        self._failed = self._failed + failed.usage
        self._current = NO_USAGE
        self._attempt += 1
        error = error_payload(failed.error)
        if failed.next_provider is None:
            return "retry", {"attempt": self._attempt, "delay_seconds": failed.delay_seconds, "error": error}
        start, self._provider = self._provider, failed.next_provider
        self._attempt = 0
        return "fallback", {"from_provider": start, "to_provider": failed.next_provider, "error": error}


class Attempts:
    """Completes requests, trying again and elsewhere by :func:`alloy_trio._attempts.decide`.

    Args:
        providers: the first and its fallbacks, entered.
        policy: how often and how patiently.
        emitter: where events go.
        streaming: ask for pieces, or for whole answers.

    Attributes:
        spent: usage of calls that did not end in a completion and are not counted anywhere else yet.
        partial_text: what had arrived of an answer that did not become a completion.
    """

    def __init__(
        self, providers: Sequence[Provider], policy: RetryPolicy, emitter: Emitter, *, streaming: bool
    ) -> None:
        self._providers = providers
        self._policy = policy
        self._emitter = emitter
        self._streaming = streaming
        self._index = 0
        self.spent = NO_USAGE
        self.partial_text = ""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Get one completion.

        A provider that failed for good is not asked again in this run.

        Raises:
            RemoteError: the last provider's last error.

        *Cancellation*: ``spent`` and ``partial_text`` hold what was reported and received.
        """
        attempt = 0
        while True:
            attempt += 1
            provider = self._providers[self._index]
            pieces = Pieces(self._emitter, provider.name)
            try:
                if self._streaming:
                    completion = await provider.stream(request, pieces)
                else:
                    completion = await provider.complete(request)
            except RemoteError as error:
                self._count(pieces, error.usage)
                delay = self._after(error, attempt, pieces.output_reached)
                if delay is None:
                    attempt = 0
                    continue
            except BaseException:
                self._count(pieces)
                raise
            else:
                self.partial_text = ""
                return completion
            await trio.sleep(delay)

    def _count(self, pieces: Pieces, reported: Usage = NO_USAGE) -> None:
        # The error's figure is the same one, for calls that hand over no pieces.
        self.spent = self.spent + (reported if pieces.usage == NO_USAGE else pieces.usage)
        self.partial_text = "".join(pieces.text)

    def _after(self, error: RemoteError, attempt: int, output_reached: bool) -> float | None:
        """Seconds to wait before the same provider is asked again, or None for the next provider."""
        provider = self._providers[self._index]
        decision = decide(
            error,
            attempt=attempt,
            output_reached=output_reached,
            providers_left=len(self._providers) - self._index - 1,
            remaining_seconds=trio.current_effective_deadline() - trio.current_time(),
            policy=self._policy,
            jitter=source().jitter(),
        )
        payload = error_payload(ErrorInfo.of(error))
        match decision:
            case Wait(delay_seconds):
                self._emitter.emit(
                    "retry", {"attempt": attempt, "delay_seconds": delay_seconds, "error": payload}
                )
                return delay_seconds
            case Next():
                self._index += 1
                to_provider = self._providers[self._index].name
                names = {"from_provider": provider.name, "to_provider": to_provider}
                self._emitter.emit("fallback", {**names, "error": payload})
                return None
            case _:
                raise error
