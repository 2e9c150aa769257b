"""Asking providers until one answers: the acting side of :mod:`alloy_trio._attempts`.

The loop's own retry and fallback and the providers ``Retry`` and ``Fallback`` are this one series of attempts, with
different sinks below it. What is counted where:

* an attempt that failed while another follows is reported once, as an AttemptFailed with its usage;
* a RemoteError that leaves carries in ``usage`` what has not been reported so: the last attempt's usage, and when
  nobody listens, that of all;
* a completion carries the failed attempts' usage in ``other_usage``, whether or not it was reported on the way.

So whoever reads deltas adds up AttemptFailed and, at a failure, the error's usage; whoever reads the completion
adds up its two usages; nobody adds both.

Each attempt gets its cost here, where its model is known: further up there are only sums, whose models differ and
which are larger than any call was. A cost that could not be told here stays unknown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from typing import TypeAlias

import attrs
import trio

from alloy_trio._abc import DeltaSink, Provider
from alloy_trio._attempts import Next, RetryPolicy, Wait, decide
from alloy_trio._seed import source
from alloy_trio.values import (
    NO_USAGE,
    AttemptFailed,
    Completion,
    CompletionRequest,
    Delta,
    ErrorInfo,
    RemoteError,
    Usage,
    UsageDelta,
)

Price: TypeAlias = Callable[[Usage, str, tuple[str, ...]], Usage]
"""Gives the usage of one call its cost, if that is known: by the provider's name and names of the model."""

_above: ContextVar[Meter | None] = ContextVar("alloy_trio_meter", default=None)


async def ask(provider: Provider, request: CompletionRequest, meter: Meter, *, streaming: bool) -> Completion:
    """Ask a provider once; a series of attempts inside of it reports to ``meter``, also for a whole answer.

    A whole answer has no sink on its way, and yet what failed before a cancel is to be counted: hence the context
    variable. It also brings the run's prices to where an attempt is made.
    """
    meter.begin(provider, _above.get())
    token = _above.set(meter)
    try:
        completion = await (provider.stream(request, meter) if streaming else provider.complete(request))
    finally:
        _above.reset(token)
    return meter.with_cost(completion)


class Meter:
    """A delta sink that remembers what decides about the next attempt and what was used, and passes all on.

    Args:
        onward: where the deltas go; None drops them.
        price: what calls cost; default: as the meter says that is above when somebody is asked.

    Attributes:
        output_reached: whether anything of an answer went onward.
        failed: usage of attempts that were reported as failed.
        current: usage that the running attempt last reported.
    """

    def __init__(self, onward: DeltaSink | None = None, price: Price | None = None) -> None:
        self.output_reached = False
        self.failed = NO_USAGE
        self.current = NO_USAGE
        self._onward = onward
        self._price = price
        self._asked: Provider | None = None
        self._series_inside = False

    @property
    def reports(self) -> bool:
        """Whether somebody learns of failed attempts by their deltas."""
        return self._onward is not None

    @classmethod
    def for_whole_answer(cls) -> Meter:
        """The meter of a call without a sink: failed attempts go to whoever asked, if that is one of us."""
        return cls(_above.get())

    def begin(self, provider: Provider, above: Meter | None) -> None:
        """Remember who is asked, so that its usage gets its cost, and only here."""
        self._asked, self._series_inside = provider, False
        if above is not None:
            above._series_inside = True
            self._price = self._price or above._price

    def with_cost(self, completion: Completion) -> Completion:
        """The same with what it cost, at the prices of the model that answered.

        Not so its ``other_usage``: of that neither the models are known nor how many calls it is of.
        """
        usage, asked = completion.usage, self._asked
        if self._price is None or self._series_inside or asked is None or usage.cost_cents is not None:
            return completion
        name, models = asked.name, (completion.model, asked.model)
        if (origin := completion.message.origin) is not None:
            name, models = origin.provider, (completion.model, origin.model)
        usage = self._price(usage, name, models)
        return completion if usage is completion.usage else attrs.evolve(completion, usage=usage)

    def _attempt_with_cost(self, usage: Usage) -> Usage:
        asked = self._asked
        # Who handles failures itself may have asked several models; if by a series of ours, all has its cost already.
        if self._price is None or self._series_inside or asked is None or asked.handles_failures:
            return usage
        return self._price(usage, asked.name, (asked.model,))

    async def send(self, delta: Delta) -> None:
        """Hand over one delta; see :class:`alloy_trio.abc.DeltaSink`."""
        await self.send_all((delta,))

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        """Hand over deltas that arrived together; see :class:`alloy_trio.abc.DeltaSink`.

        *Cancellation*: what they say of usage is remembered in any case.
        """
        items = tuple([self.note(delta) for delta in deltas])
        if self._onward is None:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await self._onward.send_all(items)

    def note(self, delta: Delta) -> Delta:
        """Remember what counts of a delta, and return it with its cost."""
        if isinstance(delta, UsageDelta):
            self.current = self._attempt_with_cost(delta.usage)
            return delta if self.current is delta.usage else UsageDelta(self.current)
        elif isinstance(delta, AttemptFailed):
            self.failed = self.failed + delta.usage
            self.current = NO_USAGE
        else:
            self.output_reached = True
        return delta

    def unreported(self, error: BaseException | None = None) -> Usage:
        """What the running attempt used, with its cost, now that it ended without a completion."""
        # The error's figure is the newer one; calls that hand over no pieces have only that.
        if isinstance(error, RemoteError) and error.usage != NO_USAGE:
            return self._attempt_with_cost(error.usage)
        return self._attempt_with_cost(self.current)


class Series:
    """Attempts at completions, decided by :func:`alloy_trio._attempts.decide`.

    A provider that failed for good is not asked again by the same series.

    Args:
        providers: the first and those that are next in turn, entered.
        policies: how often and how patiently, for each provider.
    """

    def __init__(self, providers: Sequence[Provider], policies: Sequence[RetryPolicy]) -> None:
        self._providers = providers
        self._policies = policies
        self._index = 0

    @property
    def provider(self) -> Provider:
        """The one whose turn it is."""
        return self._providers[self._index]

    async def complete(self, request: CompletionRequest, meter: Meter, *, streaming: bool) -> Completion:
        """Get one completion.

        Args:
            request: sent to each provider as it stands.
            meter: a new one; learns of output, usage and failed attempts.
            streaming: ask for pieces, which go to the meter, or for whole answers.

        Returns:
            The answer, with the failed attempts' usage added to its ``other_usage``.

        Raises:
            RemoteError: the last provider's last error; what its ``usage`` counts is said above.

        *Cancellation*: ``meter`` holds what was reported.
        """
        attempt = 0
        while True:
            attempt += 1
            provider = self.provider
            failed_before = meter.failed
            try:
                completion = await ask(provider, request, meter, streaming=streaming)
            except RemoteError as error:
                used = meter.unreported(error)
                failed = self._after(error, attempt, meter.output_reached, used)
                if failed is None:
                    error.usage = used if meter.reports else meter.failed + used
                    raise
                if failed.next_provider is not None:
                    attempt = 0
            else:
                # What failed inside of the answering provider's call is in its other_usage already.
                if failed_before == NO_USAGE:
                    return completion
                return attrs.evolve(completion, other_usage=completion.other_usage + failed_before)
            await meter.send(failed)
            # After the report, so that a slow reader's time is not added to the delay that it reads.
            await trio.sleep(failed.delay_seconds)

    def _after(
        self, error: RemoteError, attempt: int, output_reached: bool, used: Usage
    ) -> AttemptFailed | None:
        """What is reported before the next attempt; None when there is none."""
        decision = decide(
            error,
            attempt=attempt,
            output_reached=output_reached,
            providers_left=len(self._providers) - self._index - 1,
            remaining_seconds=trio.current_effective_deadline() - trio.current_time(),
            policy=self._policies[self._index],
            jitter=source().jitter(),
        )
        match decision:
            case Wait(delay_seconds):
                return AttemptFailed(ErrorInfo.of(error), delay_seconds, usage=used)
            case Next():
                self._index += 1
                return AttemptFailed(ErrorInfo.of(error), 0.0, self.provider.name, used)
            case _:
                return None
