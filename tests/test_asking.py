"""A series of attempts: what is counted, and who is told, however providers are put around each other."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio import (
    AttemptFailed,
    Completion,
    CompletionRequest,
    ErrorInfo,
    Message,
    ModelInfo,
    Overloaded,
    Prices,
    Rejected,
    RemoteError,
    Result,
    TextDelta,
    Usage,
    UsageDelta,
    run,
    stream,
)
from alloy_trio._asking import Meter, Series
from alloy_trio._attempts import RetryPolicy
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.providers import Fallback, Hedge, RateLimit, Retry

ASK = CompletionRequest((Message.user("go"),))


def used(tokens: int) -> Usage:
    return Usage(output_tokens=tokens)


class Weary(Provider):
    """Fails so often, each time after some tokens; then answers, or hangs."""

    def __init__(self, failures: int, *, hangs: bool = False, name: str = "weary") -> None:
        self.name, self.model = name, name
        self.failures, self.hangs = failures, hangs
        self.asked = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        if self.asked <= self.failures:
            error = Overloaded("x")
            error.usage = used(10**self.asked)
            raise error
        if self.hangs:
            await trio.sleep_forever()
        return Completion(Message.assistant("fine"), "end_turn", used(1))


class Plain(Provider):
    """A user's provider around another that knows nothing of all this."""

    def __init__(self, inner: Provider) -> None:
        self.inner = inner
        self.name, self.model = inner.name, inner.model

    async def complete(self, request: CompletionRequest) -> Completion:
        return await self.inner.complete(request)


async def series(provider: Provider, meter: Meter, *, retries: int, streaming: bool) -> Completion:
    policy = RetryPolicy(max_retries=retries)
    return await Series((provider,), (policy,)).complete(ASK, meter, streaming=streaming)


@pytest.mark.parametrize("streaming", [True, False])
async def test_failed_attempts_are_in_other_usage_and_in_the_reports(
    autojump_clock: trio.testing.MockClock, streaming: bool
) -> None:
    meter = Meter()
    completion = await series(Weary(2), meter, retries=2, streaming=streaming)
    assert (completion.usage, completion.other_usage, meter.failed) == (used(1), used(110), used(110))


async def test_the_error_that_leaves_has_all_when_nobody_listens_and_else_what_was_not_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    with pytest.raises(Overloaded) as caught:
        await series(Weary(9), Meter(), retries=2, streaming=False)
    assert caught.value.usage == used(1110)
    above = Meter()
    with pytest.raises(Overloaded) as caught:
        await series(Weary(9), Meter(above), retries=2, streaming=False)
    assert (caught.value.usage, above.failed) == (used(1000), used(110))


async def test_each_provider_has_its_own_retries(autojump_clock: trio.testing.MockClock) -> None:
    first, second = Weary(9), Weary(2)
    policies = RetryPolicy(max_retries=1), RetryPolicy(max_retries=2)
    await Series((first, second), policies).complete(ASK, Meter(), streaming=False)
    assert (first.asked, second.asked) == (2, 3)


async def test_usage_of_an_attempt_is_the_error_s_word_or_else_what_was_reported_last() -> None:
    meter = Meter()
    meter.note(UsageDelta(used(5)))
    meter.note(UsageDelta(used(7)))
    error = Overloaded("x")
    assert meter.unreported(error) == meter.unreported(None) == used(7)
    error.usage = used(8)
    assert meter.unreported(error) == used(8)
    meter.note(AttemptFailed(ErrorInfo.of(error), 0.0, None, used(8)))
    assert (meter.failed, meter.unreported(None), meter.output_reached) == (used(8), used(0), False)
    meter.note(TextDelta(""))
    assert meter.output_reached


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("hangs", [True, False])
async def test_attempts_below_a_user_s_own_provider_are_counted_once_too(
    autojump_clock: trio.testing.MockClock, streaming: bool, hangs: bool
) -> None:
    provider = Fallback(Plain(Retry(Weary(2, hangs=hangs))))
    if streaming:
        async with stream("go", provider=provider, timeout=60) as events:
            result = await events.drain()
    else:
        result = await run("go", provider=provider, timeout=60)
    assert result.usage == (used(110) if hangs else used(111))


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_fallback_after_attempts_below_a_user_s_own_provider_counts_them_once(
    autojump_clock: trio.testing.MockClock, streaming: bool
) -> None:
    provider = Fallback(Plain(Retry(Weary(9), max_retries=1)), Weary(0, name="spare"))
    meter = Meter()
    ask = provider.stream(ASK, meter) if streaming else provider.complete(ASK)
    completion = await ask
    assert completion.usage + completion.other_usage == used(111)


class Careful(Provider):
    """Handles failures, and says so."""

    name = model = "careful"
    handles_failures = True

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        raise Overloaded("x")


async def test_a_run_asks_any_provider_that_handles_failures_once() -> None:
    careful = Careful()
    with pytest.raises(RemoteError):
        await run("go", provider=careful)
    assert careful.asked == 1


class Priced(Provider):
    """Plays turns of (seconds, tokens, seconds, end), the last one again and again, and keeps what was used."""

    def __init__(self, number: int, turns: list[tuple[float, int, float, str]]) -> None:
        self.name, self.model = f"own-{number}", f"model-{number}"
        self.turns = turns
        self.calls: list[int] = []
        self.rate = 10**number
        """Cents for a token, in a call of up to nine of them."""

    async def complete(self, request: CompletionRequest) -> Completion:
        return await self._play(None)

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        return await self._play(deltas)

    async def _play(self, deltas: DeltaSink | None) -> Completion:
        before, tokens, after, end = self.turns[min(len(self.calls), len(self.turns) - 1)]
        call, usage = len(self.calls), Usage(input_tokens=tokens)
        self.calls.append(0)
        await trio.sleep(before)
        if deltas is not None:
            self.calls[call] = tokens
            await deltas.send(UsageDelta(usage))
            if end == "spoken":
                await deltas.send(TextDelta("x"))
        await trio.sleep(after)
        self.calls[call] = tokens
        if end in ("answer", "spoken"):
            return Completion(Message.assistant("fine"), "end_turn", usage, self.model)
        error = Overloaded("x") if end == "overloaded" else Rejected("x")
        error.usage = usage
        raise error

    def facts(self) -> ModelInfo:
        # A sum of calls that is priced as one large call shows.
        prices = [
            Prices(input=rate * 10**6, output=0, above_tokens=above)
            for rate, above in ((self.rate, None), (100 * self.rate, 9))
        ]
        return ModelInfo(prices=tuple(prices))


SECONDS = st.sampled_from([0.0, 0.5, 2.0])
TURNS = st.lists(
    st.tuples(
        SECONDS,
        st.integers(0, 9),
        SECONDS,
        st.sampled_from(["answer", "spoken", "overloaded", "overloaded", "rejected"]),
    ),
    min_size=1,
    max_size=3,
)
TREES = st.recursive(
    st.just("model"),
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["fallback", "hedge"]), inner, inner),
        st.tuples(st.sampled_from(["plain", "limit"]), inner),
    ),
    max_leaves=4,
)


@given(TREES, st.data(), st.booleans(), st.sampled_from([0.3, 1.0, 3.0, 60.0]), st.booleans())
def test_every_attempt_is_counted_once_and_costs_what_its_own_model_costs(
    tree: object, data: st.DataObject, streaming: bool, timeout: float, free: bool
) -> None:
    models: list[Priced] = []

    def build(tree: object) -> Provider:
        if tree == "model":
            models.append(Priced(len(models), data.draw(TURNS)))
            return Retry(models[-1], max_retries=1) if data.draw(st.booleans()) else models[-1]
        assert isinstance(tree, tuple)
        kind, *inner = tree
        one, *others = [build(part) for part in inner]
        if kind == "hedge":
            return Hedge(one, others[0], after=1)
        return {"fallback": Fallback, "plain": Plain, "limit": RateLimit}[kind](one, *others)

    provider = build(tree)
    known = {model.model: model.facts() for model in models[int(free) :]}

    options: Any = {"timeout": timeout, "max_retries": 0, "model_metadata_overrides": known}

    async def main() -> Usage:
        result: Result | None
        try:
            if streaming:
                async with stream("go", provider=provider, **options) as events:
                    result = await events.drain()
            else:
                result = await run("go", provider=provider, **options)
        except RemoteError as error:
            result = error.result
        assert result is not None
        return result.usage

    usage = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert usage.input_tokens == sum(sum(model.calls) for model in models)
    if usage != Usage():
        cents = sum(sum(model.calls) * model.rate for model in models)
        unknown = free and any(models[0].calls)
        assert usage.cost_cents == (None if unknown else cents)
