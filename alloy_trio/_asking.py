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

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol, TypeAlias

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
    LocalError,
    RemoteError,
    Usage,
    UsageDelta,
)

if TYPE_CHECKING:
    from alloy_trio._budget import Budget

Price: TypeAlias = Callable[[Usage, str, tuple[str, ...]], Usage]
"""Gives the usage of one call its cost, if that is known: by the provider's name and names of the model."""

_above: ContextVar[Meter | None] = ContextVar("alloy_trio_meter", default=None)


class Spending(Protocol):
    """What one attempt may cost, put aside until it is settled by what came back."""

    @property
    def budget(self) -> Budget:
        """Where it was put aside."""
        ...

    @property
    def open(self) -> bool:
        """Whether it is still to be settled."""
        ...

    @property
    def request(self) -> CompletionRequest:
        """The request, with no more output than was paid for."""
        ...

    def heard(self, delta: Delta) -> None:
        """A piece of the answer arrived."""
        ...

    def settle(self, completion: Completion) -> None:
        """The attempt came to an answer; its usage has its cost."""
        ...

    def fail(self, usage: Usage, *, refused: bool) -> None:
        """The attempt came to none: the provider failed (``refused``), or it was cancelled or broke on this side."""
        ...

    def release(self) -> None:
        """It was no attempt after all."""
        ...


class Purse(Protocol):
    """What pays for a run's attempts."""

    @property
    def budget(self) -> Budget:
        """Where it puts money aside."""
        ...

    async def pay(
        self, provider: Provider, request: CompletionRequest, *, streaming: bool, patient: bool
    ) -> Spending:
        """Put aside what an attempt may cost; may wait for what others hold, if ``patient``."""
        ...


_inside: ContextVar[tuple[Spending, ...]] = ContextVar("alloy_trio_inside", default=())
"""The attempts that the caller is inside of."""


async def ask(provider: Provider, request: CompletionRequest, meter: Meter, *, streaming: bool) -> Completion:
    """Ask a provider once; a series of attempts inside of it reports to ``meter``, also for a whole answer.

    A whole answer has no sink on its way, and yet what failed before a cancel is to be counted: hence the context
    variable. It also brings the run's prices to where an attempt is made.
    """
    meter.begin(provider, _above.get())
    token = _above.set(meter)
    try:
        if meter.purse is not None and not provider.inner:
            return await _ask_and_pay(meter.purse, provider, request, meter, streaming=streaming)
        completion = await (provider.stream(request, meter) if streaming else provider.complete(request))
    finally:
        _above.reset(token)
    return meter.with_cost(completion)


async def _ask_and_pay(
    purse: Purse, provider: Provider, request: CompletionRequest, meter: Meter, *, streaming: bool
) -> Completion:
    around = _inside.get()
    # Those for whom it would wait may wait for the attempt that this one is made inside of.
    patient = not any(one.open for one in around)
    spending = meter.spending = await purse.pay(provider, request, streaming=streaming, patient=patient)
    token = _inside.set((*around, spending))
    try:
        request = spending.request
        completion = await (provider.stream(request, meter) if streaming else provider.complete(request))
        completion = meter.with_cost(completion)
        spending.settle(completion)
        return completion
    except BaseException as error:
        spending.fail(meter.unreported(error), refused=isinstance(error, RemoteError))
        raise
    finally:
        _inside.reset(token)
        meter.spending = None


async def pass_on(
    provider: Provider, request: CompletionRequest, deltas: DeltaSink | None = None
) -> Completion:
    """Ask for somebody who adds no attempts: at no cost, unless a budget has to see that an attempt is made."""
    above = _above.get()
    if above is None or above.purse is None:
        return await (provider.complete(request) if deltas is None else provider.stream(request, deltas))
    meter = Meter.for_whole_answer() if deltas is None else Meter(deltas)
    try:
        return await ask(provider, request, meter, streaming=deltas is not None)
    except RemoteError as error:
        # Further up nobody prices it: whose it is, is known here.
        error.usage = meter.unreported(error)
        raise


@contextmanager
def outside_of_attempts() -> Iterator[None]:
    """What is run inside is no part of the attempt that runs here, but a reader's, who may ask models of its own."""
    token = _above.set(None)
    try:
        yield
    finally:
        _above.reset(token)


class Meter:
    """A delta sink that remembers what decides about the next attempt and what was used, and passes all on.

    Args:
        onward: where the deltas go; None drops them.
        price: what calls cost; default: as the meter says that is above when somebody is asked.
        purse: what pays for attempts; default: as for ``price``, else nothing does.

    Attributes:
        spending: what was put aside for the running attempt.
        output_reached: whether anything of an answer went onward.
        failed: usage of attempts that were reported as failed.
        current: usage that the running attempt last reported.
    """

    def __init__(
        self, onward: DeltaSink | None = None, price: Price | None = None, purse: Purse | None = None
    ) -> None:
        self.purse = purse
        self.spending: Spending | None = None
        self.output_reached = False
        self.failed = NO_USAGE
        self.current = NO_USAGE
        self._onward = onward
        self._price = price
        self._asked: Provider | None = None
        self._series_inside = False
        self._root: Meter | None = None

    @property
    def root(self) -> Meter:
        """The one whose reader all that this one passes on is for."""
        return self if self._root is None else self._root

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
            self._root = above.root
            above._series_inside = True
            self._price = self._price or above._price
            if above.purse is not None:
                self._take_over(above)

    def _take_over(self, above: Meter) -> None:
        if self.purse is None:
            self.purse = above.purse
        spending = above.spending
        # What it paid for is not one attempt, as it looked: those inside pay for themselves.
        if spending is not None and self.purse is not None and spending.budget in self.purse.budget.levels:
            spending.release()

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
            if self.spending is not None:
                self.spending.heard(delta)
        return delta

    def hear(self, deltas: Iterable[Delta]) -> Iterable[Delta]:
        """Let the running attempt know what arrived, and return it; for those who do not :meth:`note` it."""
        if self.spending is None:
            return deltas
        deltas = tuple(deltas)
        for delta in deltas:
            self.spending.heard(delta)
        return deltas

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
        failure: RemoteError | None = None
        while True:
            attempt += 1
            provider = self.provider
            failed_before = meter.failed
            try:
                completion = await ask(provider, request, meter, streaming=streaming)
            except LocalError as error:
                if failure is not None:
                    said = ErrorInfo.of(failure)
                    error.add_note(f"the attempt before it failed: {said.kind}: {said.message}")
                raise
            except RemoteError as error:
                failure = error
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
