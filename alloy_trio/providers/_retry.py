"""A provider that tries again."""

from __future__ import annotations

from alloy_trio._asking import Meter, Series
from alloy_trio._attempts import RetryPolicy
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.values import Completion, CompletionRequest, ConfigurationError

from ._around import Around, checked_seconds, with_inner


class Retry(Around):
    """Asks a provider again when it failed for a moment, as a run does by itself.

    For what is not a run, for one provider of a :class:`Fallback` or a :class:`Hedge`, and where the number of
    retries belongs to the provider. A transient error is tried again after a delay: the one that the vendor asked
    for, else a random one below a bound that doubles. Nothing is tried again once output reached the caller, nor
    when the delay would end after the effective deadline: the error is raised at once then.

    Each failed attempt is reported as an :class:`~alloy_trio.AttemptFailed`, and its usage is in the completion's
    ``other_usage``. A run adds no retries of its own.

    Args:
        provider: the one to ask.
        max_retries: attempts after the first.
        backoff: seconds; bound of the first delay.

    Raises:
        ConfigurationError: an argument cannot work, or the provider is a Retry already or has one inside.
    """

    handles_failures = True

    def __init__(self, provider: Provider, max_retries: int = 3, backoff: float = 1.0) -> None:
        super().__init__(provider)
        if any(isinstance(one, Retry) for one in with_inner(provider)):
            got = "Retry" if isinstance(provider, Retry) else f"{type(provider).__name__} with a Retry in it"
            raise ConfigurationError(
                f"Retry got a {got}; retries over retries multiply, so give max_retries once: to the outer "
                "Retry, or to those inside"
            )
        if not isinstance(max_retries, int) or isinstance(max_retries, bool) or max_retries < 0:
            raise ConfigurationError(f"max_retries={max_retries!r} must be a whole number, 0 or more")
        checked_seconds("backoff", backoff)
        self._policy = RetryPolicy(max_retries=max_retries, backoff_seconds=backoff)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask for the whole answer; see :meth:`alloy_trio.abc.Provider.complete`.

        Raises:
            RemoteError: the last attempt's; its ``usage`` is that of all attempts, but for what the run around it
                was told.
        """
        return await self._series().complete(request, Meter.for_whole_answer(), streaming=False)

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        """Ask for the answer's pieces; see :meth:`alloy_trio.abc.Provider.stream`.

        Raises:
            RemoteError: the last attempt's; its ``usage`` is what no AttemptFailed has reported.
        """
        return await self._series().complete(request, Meter(deltas), streaming=True)

    def _series(self) -> Series:
        return Series(self.inner, (self._policy,))
