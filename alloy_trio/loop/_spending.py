"""What pays for a run's attempts: prices and sizes made into reservations, and settled by what came back.

A reservation is an upper bound: of the input by its bytes (:mod:`alloy_trio.loop._bounds`), or by the model's own last
figure and the bytes of what came after; of the output by ``max_tokens``, which is lowered where the rest does not buy
as much; and of the price by the dearest list that may hold for the call (:func:`alloy_trio.models.dearest`).

What an attempt is settled by:

* an answer, by its usage. Where its cost is not known, nobody can say that it was less than what was reserved;
* a failure, by the usage that the provider reported. Without any it cost nothing: vendors bill no errors;
* where pieces of an answer had arrived, also a token for each of their bytes that the usage does not count yet: usage
  comes late, and is billed all the same;
* what was cancelled before any usage came: its input, and the pieces as above. Of an answer that was to come as a whole
  nothing can be seen, and vendors finish it: that is settled by all that was reserved.

So a budget may count more than the Result does, which has what was reported; it never counts less.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

import attrs
import trio

from alloy_trio._abc import Provider
from alloy_trio._budget import EXACT, Budget, BudgetExceeded, Quote, Reservation
from alloy_trio._seed import source
from alloy_trio.models import Rates, dearest, model_info
from alloy_trio.values import (
    NO_USAGE,
    Completion,
    CompletionRequest,
    ConfigurationError,
    Delta,
    ErrorInfo,
    PriceUnknown,
    RemoteError,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
    Usage,
)

from ._bounds import AROUND, CHOICE_TOKENS, CLOSING_TOKENS, most_input, most_of, size
from ._machine import RunState
from ._steps import Complete, LimitMet

if TYPE_CHECKING:
    from alloy_trio.models import ModelInfo

    from ._options import Options

LEAST_OUTPUT = 256
"""Tokens of output below which an answer is not worth its input, unless the provider's own cap is lower."""

USUAL_OUTPUT = 8_192
"""Output that is allowed where neither the user nor the facts say how much a model can put out, and the budget does not
buy its whole window. Most hosts refuse a number that is too high for the model; this one all current models take."""

_PER_MILLION = -6
_FREE = Rates(Decimal(0), Decimal(0), Decimal(0))


def open_purse(
    options: Options, providers: Iterable[Provider], parents: Iterable[Budget | None], state: RunState
) -> Purse:
    """Make what pays for a run.

    Args:
        options: has its limits.
        providers: those that it may ask.
        parents: budgets that it is to spend from too.
        state: where it starts from; what a paused run has used counts.

    Raises:
        PriceUnknown: a limit in cents stands, and the price of one of the models is not known.
        ConfigurationError: one of the parents belongs to another ``trio.run``.
    """
    token = trio.lowlevel.current_trio_token()
    above = [parent for parent in parents if parent is not None]
    if any(parent.home not in (None, token) for parent in above):
        raise ConfigurationError(
            "a run was started in a trio.run of its own by a tool of a run that has a budget, which two of them cannot "
            "share; from a worker thread use trio.from_thread.run(…), or make the tool an async function"
        )
    budget = Budget(
        options.max_budget_cents,
        options.max_total_tokens,
        options.max_tool_calls,
        parents=above,
        home=token,
    )
    ran = sum(record.outcome in ("completed", "failed", "interrupted") for record in state.records)
    budget.count(state.usage, ran)
    purse = Purse(budget, options.model_metadata_overrides, closing_answer=options.closing_answer)
    purse.check_prices(providers)
    return purse


async def within_limits(
    step: Complete, purse: Purse | None, ask: Callable[[CompletionRequest], Awaitable[Completion]]
) -> Completion | LimitMet:
    """Ask for a completion; that a limit does not allow it is an outcome.

    So is the failure of a closing answer: the run ended at its limit, and that no answer could be had after it makes no
    error of it.
    """
    if step.closing and purse is not None:
        purse.keeps_back = False
    try:
        return await ask(step.request)
    except BudgetExceeded as error:
        return LimitMet(error.info())
    except RemoteError as error:
        if not step.closing:
            raise
        return LimitMet(ErrorInfo.of(error))


class Purse:
    """What one run's attempts are paid from.

    Args:
        budget: where it is put aside.
        overrides: what the user knows better of models.
        closing_answer: whether to keep back what a last answer of 256 tokens to the request at hand would cost. What
            is put into the conversation after it is not in that.

    Attributes:
        keeps_back: cleared once the closing answer is asked for.
    """

    def __init__(
        self, budget: Budget, overrides: Mapping[str, ModelInfo] | None, *, closing_answer: bool = False
    ) -> None:
        self.budget = budget
        self.keeps_back = closing_answer
        self._overrides = overrides
        self._reported: dict[tuple[str, str], _Reported] = {}

    def check_prices(self, providers: Iterable[Provider]) -> None:
        """Check that everything is known that a call of these can cost.

        Raises:
            PriceUnknown: it is not, and a limit in cents stands.
        """
        for provider in providers:
            for one in _asked(provider):
                self._rates(one, self._info(one), 0)

    async def pay(
        self, provider: Provider, request: CompletionRequest, *, streaming: bool, patient: bool
    ) -> Spending:
        """Put aside what an attempt may cost at most.

        Args:
            provider: whose model is asked.
            request: what it is asked.
            streaming: whether the answer comes in pieces.
            patient: wait for what others hold, if need be.

        Raises:
            BudgetExceeded: there is not enough for a useful answer.
            PriceUnknown: a limit in cents stands and the model's price is not known.

        *Cancellation*: nothing is put aside.
        """
        info = self._info(provider)
        input_tokens = self._input_tokens(provider, request)
        rates = self._rates(provider, info, input_tokens)
        caps = [cap for cap in (request.max_tokens, provider.max_tokens) if cap is not None]
        if info is not None and info.max_output_tokens is not None:
            caps.append(info.max_output_tokens)
        window = info.context_window if info is not None and not caps else None
        most = min(caps, default=USUAL_OUTPUT + provider.thinking_budget)
        quote = self._quote(rates, input_tokens, most, provider.thinking_budget)
        reservation = None
        if window is not None and window > most:
            # Left unsaid, the output is as much as the vendor allows, which the window bounds.
            reservation = self.budget.reserve_nowait(attrs.evolve(quote, wanted=window, least=window))
        if reservation is None:
            reservation = await self.budget.reserve(quote, patient=patient)
        output = reservation.output_tokens
        if output < most or not (caps or output == window):
            request = attrs.evolve(request, max_tokens=output)
        return Spending(self, provider, request, quote, reservation, streaming)

    def remember(self, provider: Provider, request: CompletionRequest, completion: Completion) -> None:
        """Note how large the model found a request: the next one is that and what came after."""
        usage = completion.usage
        tokens = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
        if tokens:
            self._reported[provider.name, provider.model] = _Reported(request, tokens, usage.output_tokens)

    def _input_tokens(self, provider: Provider, request: CompletionRequest) -> int:
        before = self._reported.get((provider.name, provider.model))
        more = None if before is None else before.most_input(request, provider.model)
        return most_input(request, provider.model) if more is None else more

    def _quote(self, rates: Rates, input_tokens: int, most: int, thinking: int) -> Quote:
        per_token = EXACT.scaleb(rates.output, _PER_MILLION)
        of_input = EXACT.scaleb(EXACT.multiply(rates.input, Decimal(input_tokens)), _PER_MILLION)
        of_input = EXACT.add(of_input, rates.request)
        last = min(LEAST_OUTPUT, most)
        words = EXACT.scaleb(EXACT.multiply(rates.input, Decimal(CLOSING_TOKENS)), _PER_MILLION)
        closing = EXACT.add(EXACT.fma(per_token, Decimal(last), of_input), words)
        return Quote(
            input_cents=of_input,
            output_cents=per_token,
            input_tokens=input_tokens,
            wanted=most,
            # What is not above the thinking budget, vendors refuse.
            least=min(max(last, thinking + 1), most),
            kept_cents=closing if self.keeps_back else Decimal(0),
            kept_tokens=input_tokens + last + CLOSING_TOKENS if self.keeps_back else 0,
        )

    def _info(self, provider: Provider) -> ModelInfo | None:
        return model_info(provider.name, provider.model, self._overrides)

    def _rates(self, provider: Provider, info: ModelInfo | None, input_tokens: int) -> Rates:
        if not self.budget.limits_cents:
            return _FREE
        at = datetime.datetime.fromtimestamp(source().now_ms() / 1000, datetime.UTC)
        rates = None if info is None else dearest(info, input_tokens=input_tokens, at=at)
        if rates is None:
            raise PriceUnknown(
                f"max_budget_cents= is set, but what {provider.model!r} of {provider.name} costs is not known; say it "
                f"with model_metadata_overrides={{{provider.model!r}: ModelInfo(prices=Prices(input=…, output=…))}}, "
                "in cents per million tokens"
            )
        return rates


class Spending:
    """What was put aside for one attempt; see :class:`alloy_trio._asking.Spending`."""

    def __init__(
        self,
        purse: Purse,
        provider: Provider,
        request: CompletionRequest,
        quote: Quote,
        reservation: Reservation,
        streaming: bool,
    ) -> None:
        self.request = request
        self.budget = purse.budget
        self._purse = purse
        self._provider = provider
        self._quote = quote
        self._reservation = reservation
        self._streaming = streaming
        self._heard_tokens = 0

    @property
    def open(self) -> bool:
        """Whether it is still to be settled."""
        return self._reservation.open

    def heard(self, delta: Delta) -> None:
        """A piece of the answer arrived."""
        match delta:
            case TextDelta(text) | ThinkingDelta(text) | ToolInputDelta(_, _, text):
                self._heard_tokens += size(text)
            case _:
                pass

    def settle(self, completion: Completion) -> None:
        """The attempt came to an answer."""
        if self.open:
            self._purse.remember(self._provider, self.request, completion)
            used = completion.usage + completion.other_usage
            self._reservation.settle(used.cost_cents, used.total_tokens)

    def fail(self, usage: Usage, *, refused: bool) -> None:
        """The attempt came to none: the provider failed (``refused``), or it was cancelled or broke on this side."""
        reservation, quote = self._reservation, self._quote
        if usage == NO_USAGE and refused and not self._heard_tokens:
            reservation.release()
        elif usage == NO_USAGE and not refused and not self._streaming:
            reservation.settle(None, reservation.tokens)
        else:
            known = usage != NO_USAGE
            cents, tokens = (
                (usage.cost_cents, usage.total_tokens) if known else (quote.input_cents, quote.input_tokens)
            )
            more = max(self._heard_tokens - usage.output_tokens, 0)
            if cents is not None and more:
                guess = EXACT.fma(quote.output_cents, Decimal(more), cents)
                cents = max(cents, min(guess, reservation.cents))
            reservation.settle(cents, max(tokens, min(tokens + more, reservation.tokens)))

    def release(self) -> None:
        """It was no attempt after all."""
        self._reservation.release()


@attrs.frozen
class _Reported:
    request: CompletionRequest
    input_tokens: int
    output_tokens: int

    def most_input(self, request: CompletionRequest, model: str) -> int | None:
        """The most input of a request that goes on from the reported one; None if it does not."""
        before, now = self.request, request
        count = len(before.messages)
        if len(now.messages) < count or any(
            old is not new for old, new in zip(before.messages, now.messages, strict=False)
        ):
            return None
        if (now.system, now.tools, now.server_tools, now.output_schema) != (
            before.system,
            before.tools,
            before.server_tools,
            before.output_schema,
        ):
            return None
        tokens = self.input_tokens + (CHOICE_TOKENS if now.tool_choice != before.tool_choice else 0)
        after = now.messages[count:]
        if after and after[0].role == "assistant":
            # Reasoning that is not to be read may be more than its bytes.
            tokens += max(most_of(after[:1], model), self.output_tokens + AROUND)
            after = after[1:]
        return tokens + most_of(after, model)


def _asked(provider: Provider) -> Iterator[Provider]:
    """The providers whose models are asked, whatever is around them."""
    if not provider.inner:
        yield provider
    for inner in provider.inner:
        yield from _asked(inner)
