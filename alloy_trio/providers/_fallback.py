"""A provider that goes on to the next one when one fails."""

from __future__ import annotations

from alloy_trio._asking import Meter, Series
from alloy_trio._attempts import RetryPolicy
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.values import Completion, CompletionRequest

from ._around import Around

_ONCE = RetryPolicy(max_retries=0)


class Fallback(Around):
    """Asks the next provider when one failed with a RemoteError, unless output reached the caller.

    Whatever the vendor's reason was, the next one is asked. A LocalError, such as a ConfigurationError for a missing
    key, is raised at once: it is to be mended, and another provider's answers would hide it.

    Each is asked once: write ``Fallback(Retry(first), Retry(second))`` for more. Every request starts with the
    first one again; the answer's origin names the one that answered. A failed attempt is reported as an
    :class:`~alloy_trio.AttemptFailed` that names the next provider, and its usage is in the completion's
    ``other_usage``. A run adds no retries and no fallbacks of its own.

    Args:
        first: the one to ask.
        others: asked in order when the one before raised a RemoteError.

    Raises:
        ConfigurationError: one of them is no provider.
    """

    handles_failures = True

    def __init__(self, first: Provider, *others: Provider) -> None:
        super().__init__(first, *others)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask for the whole answer; see :meth:`alloy_trio.abc.Provider.complete`.

        Raises:
            RemoteError: the last provider's; its ``usage`` is that of all attempts, but for what the run around it
                was told.
        """
        return await self._series().complete(request, Meter.for_whole_answer(), streaming=False)

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        """Ask for the answer's pieces; see :meth:`alloy_trio.abc.Provider.stream`.

        Raises:
            RemoteError: the last provider's; its ``usage`` is what no AttemptFailed has reported.
        """
        return await self._series().complete(request, Meter(deltas), streaming=True)

    def _series(self) -> Series:
        return Series(self.inner, (_ONCE,) * len(self.inner))
