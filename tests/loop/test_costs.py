"""What a run costs: priced where a call is counted, by the model that answered, unless the vendor has said."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import attrs
import pytest
import trio

import alloy_trio
from alloy_trio import (
    Completion,
    CompletionRequest,
    ConfigurationError,
    Message,
    ModelInfo,
    Origin,
    Overloaded,
    Prices,
    Rejected,
    TextDelta,
    Usage,
    UsageDelta,
    tool,
)
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.providers import Fallback, Hedge, Retry

SONNET = "claude-sonnet-4-6"  # 300 cents a million in, 1500 out
USED = Usage(input_tokens=1000, output_tokens=100)
COST = Decimal("0.45")


class Steps(Provider):
    """Answers with what it was given, or raises it; reports an error's usage on the way."""

    def __init__(
        self, steps: Sequence[Completion | Exception], *, name: str = "anthropic", model: str = SONNET
    ) -> None:
        self.name = name
        self.model = model
        self._steps = list(steps)

    async def complete(self, request: CompletionRequest) -> Completion:
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        step = self._steps.pop(0)
        if isinstance(step, Exception):
            await deltas.send(UsageDelta(step.usage))  # type: ignore[attr-defined]
            raise step
        await deltas.send_all((TextDelta(step.message.text), UsageDelta(step.usage)))
        return step


def answer(usage: Usage = USED, *, model: str = "", origin: Origin | None = None, **more: Any) -> Completion:
    return Completion(
        Message("assistant", (alloy_trio.Text("hi"),), origin), "end_turn", usage, model, **more
    )


def failure(usage: Usage = USED, kind: type[Exception] = Overloaded) -> Exception:
    error: Any = kind("busy")
    error.usage = usage
    return error  # type: ignore[no-any-return]


async def used(streaming: bool, *providers: Provider, **options: Any) -> Usage:
    options.setdefault("fallback_providers", providers[1:])
    if not streaming:
        return (await alloy_trio.run("?", provider=providers[0], **options)).usage
    async with alloy_trio.stream("?", provider=providers[0], **options) as events:
        return (await events.drain()).usage


both_ways = pytest.mark.parametrize("streaming", [False, True], ids=["run", "stream"])


@both_ways
async def test_a_call_costs_what_the_configured_models_prices_say(streaming: bool) -> None:
    assert await used(streaming, Steps([answer()])) == Usage(
        input_tokens=1000, output_tokens=100, cost_cents=COST
    )


@both_ways
async def test_the_vendors_own_cost_wins(streaming: bool) -> None:
    reported = Usage(input_tokens=1000, cost_cents=Decimal("9.9"))
    assert (await used(streaming, Steps([answer(reported)]))).cost_cents == Decimal("9.9")


async def test_the_model_that_answered_counts_before_the_one_that_was_configured() -> None:
    azure = Steps([answer(model="gpt-4o-2024-05-13")], name="azure", model="my-deployment")
    assert (await used(False, azure)).cost_cents == Decimal("0.65")


async def test_the_origin_of_the_message_says_who_answered() -> None:
    outer = Steps([answer(origin=Origin("openai", "gpt-4o"))], name="anthropic", model=SONNET)
    assert (await used(False, outer)).cost_cents == Decimal("0.35")


async def test_a_model_without_prices_costs_nobody_knows_what() -> None:
    assert await used(False, Steps([answer()], name="own", model="mine")) == USED


@both_ways
async def test_a_failed_attempt_costs_too(streaming: bool, autojump_clock: Any) -> None:
    usage = await used(streaming, Steps([failure(), failure(), answer()]))
    assert usage == Usage(input_tokens=3000, output_tokens=300, cost_cents=3 * COST)


@both_ways
async def test_each_attempt_is_priced_by_the_model_that_was_asked(streaming: bool) -> None:
    second = Steps([answer()], name="openai", model="gpt-4o")
    usage = await used(streaming, Steps([failure(kind=Rejected)]), second)
    assert usage.cost_cents == COST + Decimal("0.35")


@both_ways
async def test_an_attempt_at_an_unknown_price_makes_the_whole_unknown(streaming: bool) -> None:
    first = Steps([failure(kind=Rejected)], name="own", model="mine")
    usage = await used(streaming, first, Steps([answer()]))
    assert usage == Usage(input_tokens=2000, output_tokens=200)


async def test_what_a_vendor_used_besides_costs_nobody_knows_what_unless_it_says() -> None:
    """Which models that was, and in how many calls, is not told."""
    assert (await used(False, Steps([answer(other_usage=USED)]))).cost_cents is None
    told = attrs.evolve(USED, cost_cents=Decimal(1))
    assert (await used(False, Steps([answer(other_usage=told)]))).cost_cents == COST + 1


class Openly(Provider):
    """A user's provider that handles failures itself, without a word on what they cost."""

    name, model, handles_failures = "anthropic", SONNET, True

    async def complete(self, request: CompletionRequest) -> Completion:
        raise failure(kind=Rejected)


async def test_the_usage_of_who_handles_failures_itself_may_be_of_several_models() -> None:
    with pytest.raises(Rejected) as caught:
        await alloy_trio.run("?", provider=Openly())
    assert caught.value.result is not None
    assert caught.value.result.usage == USED


GPT = {"name": "openai", "model": "gpt-4o"}
GPT_COST = Decimal("0.35")


@both_ways
@pytest.mark.parametrize(
    ("first", "second", "cost"),
    [
        ({}, GPT, COST + GPT_COST),
        (GPT, {}, COST + GPT_COST),
        ({"name": "own", "model": "mine"}, GPT, None),
        (GPT, {"name": "own", "model": "mine"}, None),
    ],
)
@pytest.mark.parametrize("answers", [True, False], ids=["answered", "failed"])
async def test_an_attempt_inside_of_a_provider_costs_what_its_own_model_costs(
    streaming: bool, first: dict[str, str], second: dict[str, str], cost: Decimal | None, answers: bool
) -> None:
    last = answer() if answers else failure(kind=Rejected)
    for around in (Fallback, lambda one, two: Hedge(one, two, after=60)):
        provider = around(Steps([failure(kind=Rejected)], **first), Steps([last], **second))
        if answers:
            usage = await used(streaming, provider)
        else:
            with pytest.raises(Rejected) as caught:
                await used(streaming, provider)
            assert caught.value.result is not None
            usage = caught.value.result.usage
        assert usage == Usage(input_tokens=2000, output_tokens=200, cost_cents=cost)


@both_ways
async def test_attempts_inside_of_a_provider_are_not_priced_as_one_large_call(
    streaming: bool, autojump_clock: Any
) -> None:
    tiers = ModelInfo(prices=(Prices(input=100, output=0), Prices(input=900, output=0, above_tokens=1500)))
    usage = await used(
        streaming,
        Retry(Steps([failure(), failure(), answer()])),
        model_metadata_overrides={SONNET: tiers},
    )
    assert usage.cost_cents == Decimal("0.3")


class Slow(Steps):
    """Reports usage and then says nothing."""

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        await deltas.send(UsageDelta(USED))
        await trio.sleep_forever()
        raise AssertionError


@pytest.mark.parametrize("failed", [Usage(), USED])
async def test_a_timeout_inside_of_a_provider_costs_what_the_running_model_costs(
    failed: Usage, autojump_clock: Any
) -> None:
    first = Steps([failure(failed, Rejected)])
    usage = await used(True, Fallback(first, Slow([], **GPT)), timeout=5)
    assert usage.cost_cents == GPT_COST + (COST if failed == USED else 0)


async def test_who_lost_a_race_costs_what_its_own_model_costs(autojump_clock: Any) -> None:
    for streaming in (True, False):
        usage = await used(streaming, Hedge(Slow([]), Steps([answer()], **GPT), after=1))
        assert usage == Usage(input_tokens=2000, output_tokens=200, cost_cents=COST + GPT_COST)


@both_ways
async def test_a_run_that_failed_says_what_it_cost(streaming: bool) -> None:
    with pytest.raises(Rejected) as caught:
        await used(streaming, Steps([failure(kind=Rejected)]))
    assert caught.value.result is not None
    assert caught.value.result.usage.cost_cents == COST


async def test_the_events_carry_the_cost() -> None:
    @tool
    async def look() -> str:
        """Look."""
        return "seen"

    asking = Completion(Message("assistant", (alloy_trio.ToolUse("1", "look", {}),)), "tool_use", USED)
    async with alloy_trio.stream("?", provider=Steps([asking, answer()]), tools=[look]) as events:
        costs = [
            event.payload["usage"]["cost_cents"] async for event in events if "usage" in (event.payload or ())
        ]
    assert costs == ["0.45", "0.45", "0.90"]


@both_ways
async def test_prices_of_ones_own_count(streaming: bool) -> None:
    mine = ModelInfo(prices=Prices(input=1000, output=0))
    usage = await used(
        streaming,
        Steps([answer()], name="own", model="mine-20260101"),
        model_metadata_overrides={"mine": mine},
    )
    assert usage.cost_cents == 1


async def test_an_override_that_cannot_be_is_refused_before_anything_is_sent() -> None:
    provider = Steps([answer()])
    with pytest.raises(ConfigurationError, match=r"model_metadata_overrides\['m'\] is '1M'"):
        await used(False, provider, model_metadata_overrides={"m": "1M"})
    with pytest.raises(ConfigurationError, match="model_metadata_overrides got int"):
        await used(False, provider, model_metadata_overrides=900_000)
    assert await used(False, provider, model_metadata_overrides={}) == await used(False, Steps([answer()]))
