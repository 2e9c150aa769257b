"""What calls cost: every kind of token at its price, and unknown where one is missing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio import ModelInfo, Prices, Usage
from alloy_trio.models import cost_cents, dearest, priced

AT = datetime(2026, 11, 20, tzinfo=UTC)
AT_MS = 1_795_132_800_000
FULL = ModelInfo(
    prices=(
        Prices(input=300, output=1500, cache_read=30, cache_write=375, cache_write_1h=600, reasoning=1000),
        Prices(input=600, output=2000, cache_read=60, cache_write=750, above_tokens=200_000),
    )
)
COUNTS = st.integers(0, 10**7)
USAGES = st.builds(
    Usage, input_tokens=COUNTS, cache_read_tokens=COUNTS, cache_write_tokens=COUNTS, output_tokens=COUNTS
)


@pytest.mark.parametrize(
    ("usage", "cents"),
    [
        (Usage(input_tokens=1_000_000 // 10), "30"),
        (Usage(cache_read_tokens=100_000), "3"),
        (Usage(cache_write_tokens=100_000), "37.5"),
        (Usage(output_tokens=1_000_000), "1500"),
        (Usage(output_tokens=1_000_000, reasoning_tokens=400_000), "1300"),
        (Usage(input_tokens=7, cache_read_tokens=11, cache_write_tokens=13, output_tokens=17), "0.032805"),
        (Usage(input_tokens=200_000), "60"),
        (Usage(input_tokens=200_001), "120.0006"),
        (Usage(input_tokens=1, cache_read_tokens=100_000, cache_write_tokens=100_000), "81.0006"),
    ],
)
def test_every_kind_of_token_has_its_price(usage: Usage, cents: str) -> None:
    assert str(cost_cents(FULL, usage, at=AT)) in (cents, str(Decimal(cents)))
    assert cost_cents(FULL, usage, at=AT) == Decimal(cents)


def test_what_is_kept_for_an_hour_has_the_price_of_an_hour() -> None:
    usage = Usage(cache_write_tokens=100_000)
    assert cost_cents(FULL, usage, at=AT, cache_ttl="1h") == 60
    assert cost_cents(ModelInfo(prices=Prices(input=100)), usage, at=AT, cache_ttl="1h") == 10


def test_what_has_no_price_of_its_own_is_input_or_output() -> None:
    info = ModelInfo(prices=Prices(input=100, output=200))
    usage = Usage(
        input_tokens=10_000,
        cache_read_tokens=10_000,
        cache_write_tokens=10_000,
        output_tokens=10_000,
        reasoning_tokens=5_000,
    )
    assert cost_cents(info, usage, at=AT) == 3 + 2


def test_a_call_may_have_a_price_whatever_its_size() -> None:
    info = ModelInfo(prices=Prices(input=100, output=100, request="1.2"))
    assert cost_cents(info, Usage(input_tokens=10_000), at=AT) == Decimal("2.2")


def test_a_missing_price_makes_the_cost_unknown_only_where_it_is_needed() -> None:
    only_input = ModelInfo(prices=Prices(input=100))
    assert cost_cents(only_input, Usage(input_tokens=10_000), at=AT) == 1
    assert cost_cents(only_input, Usage(input_tokens=10_000, output_tokens=1), at=AT) is None
    only_output = ModelInfo(prices=Prices(output=100))
    assert cost_cents(only_output, Usage(cache_read_tokens=1), at=AT) is None
    for nothing in (ModelInfo(), ModelInfo(prices=Prices()), ModelInfo(prices=Prices(cache_read=5))):
        assert cost_cents(nothing, Usage(input_tokens=1), at=AT) is None


@given(USAGES, USAGES)
def test_without_tiers_the_cost_of_a_sum_is_the_sum_of_the_costs(one: Usage, other: Usage) -> None:
    flat = ModelInfo(prices=FULL.prices[0])
    costs = [cost_cents(flat, usage, at=AT) for usage in (one, other, one + other)]
    assert None not in costs
    assert costs[0] + costs[1] == costs[2]  # type: ignore[operator]


@given(USAGES)
def test_a_cost_is_never_below_zero_and_in_a_dearer_tier_never_less(usage: Usage) -> None:
    low, cost = cost_cents(ModelInfo(prices=FULL.prices[0]), usage, at=AT), cost_cents(FULL, usage, at=AT)
    assert low is not None and cost is not None and 0 <= low <= cost


def test_the_vendors_own_cost_stays() -> None:
    usage = Usage(input_tokens=1000, cost_cents=Decimal("0.7"))
    assert priced(usage, provider="anthropic", models=("claude-sonnet-4-6",), now_ms=AT_MS) is usage


def test_nothing_used_has_no_cost_that_could_hide_anything() -> None:
    assert priced(Usage(), provider="anthropic", models=("claude-sonnet-4-6",), now_ms=AT_MS) == Usage()


def test_the_first_name_that_has_a_price_counts() -> None:
    usage = Usage(input_tokens=1000)
    models = ("", "deployment-7", "gpt-4o-2024-05-13", "gpt-4o")
    assert priced(usage, provider="azure", models=models, now_ms=AT_MS).cost_cents == Decimal("0.5")
    assert priced(usage, provider="azure", models=("deployment-7",), now_ms=AT_MS).cost_cents is None


def test_a_price_of_ones_own_for_any_of_the_names_comes_before_the_facts() -> None:
    usage = Usage(input_tokens=1000)
    models = ("gpt-4o-2024-05-13", "deployment-7")
    for own, cents in (
        (ModelInfo(prices=Prices(input=100)), "0.1"),
        (ModelInfo(context_window=7), "0.5"),
    ):
        cost = priced(
            usage, provider="azure", models=models, now_ms=AT_MS, overrides={"deployment-7": own}
        ).cost_cents
        assert cost == Decimal(cents)


def test_a_price_of_ones_own_counts_for_a_provider_without_facts() -> None:
    usage = priced(
        Usage(input_tokens=1000),
        provider="vllm",
        models=("mine",),
        now_ms=AT_MS,
        overrides={"mine": ModelInfo(prices=Prices(input=100))},
    )
    assert usage == Usage(input_tokens=1000, cost_cents=Decimal("0.1"))


def test_the_moment_of_the_call_decides_between_dated_prices() -> None:
    overrides = {"mine": ModelInfo(prices=(Prices(input=100), Prices(input=300, since="2026-11-20")))}
    costs = [
        priced(
            Usage(input_tokens=1000), provider="v", models=("mine",), now_ms=now_ms, overrides=overrides
        ).cost_cents
        for now_ms in (AT_MS - 1, AT_MS)
    ]
    assert costs == [Decimal("0.1"), Decimal("0.3")]


def test_the_dearest_price_counts_all_that_tokens_may_turn_out_to_be() -> None:
    assert dearest(FULL, input_tokens=100, at=AT) == (375, 1500, 0)
    assert dearest(FULL, input_tokens=200_000, at=AT) == (375, 1500, 0)
    assert dearest(FULL, input_tokens=200_001, at=AT) == (750, 2000, 0)
    reasoning = ModelInfo(prices=Prices(input=1, output=2, reasoning=3, request=4))
    assert dearest(reasoning, input_tokens=1, at=AT) == (1, 3, 4)


@pytest.mark.parametrize("prices", [(), Prices(input=1), Prices(output=1), Prices(request=1)])
def test_without_a_price_for_input_and_output_there_is_no_bound(prices: Prices | tuple[()]) -> None:
    assert dearest(ModelInfo(prices=prices), input_tokens=1, at=AT) is None


def test_a_price_from_tomorrow_on_or_of_another_hour_may_be_the_one() -> None:
    info = ModelInfo(
        prices=(
            Prices(input=900, output=0),
            Prices(input=1, output=0, since="2026-01-01"),
            Prices(input=5, output=0, daily=("16:30", "00:30")),
            Prices(input=7, output=0, since="2026-11-21"),
            Prices(input=800, output=0, since="2026-11-22"),
        )
    )
    rates = dearest(info, input_tokens=1, at=AT)
    assert rates is not None and rates.input == 7


RATE = st.none() | st.integers(0, 1000)
LISTS = st.lists(
    st.builds(
        Prices,
        input=st.integers(0, 1000),
        output=st.integers(0, 1000),
        cache_read=RATE,
        cache_write=RATE,
        reasoning=RATE,
        request=st.none() | st.integers(0, 9),
        above_tokens=st.none() | st.integers(1, 100),
        since=st.sampled_from([None, "2026-11-19", "2026-11-20", "2026-11-21", "2026-11-22"]),
        daily=st.sampled_from([None, ("00:00", "06:00"), ("23:00", "01:00")]),
    ),
    min_size=1,
    max_size=4,
)


@given(LISTS, st.tuples(*[st.integers(0, 60)] * 4), st.integers(0, 50), st.integers(0, 24 * 60 - 1))
def test_no_call_within_the_bounds_costs_more_than_its_dearest_price(
    prices: list[Prices], counts: tuple[int, int, int, int], more: int, minutes: int
) -> None:
    info = ModelInfo(prices=tuple(prices))
    plain, read, written, output = counts
    usage = Usage(
        input_tokens=plain,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=output // 2,
    )
    size = plain + read + written + more
    rates = dearest(info, input_tokens=size, at=AT)
    assert rates is not None
    cost = cost_cents(info, usage, at=AT + timedelta(minutes=minutes))
    assert cost is not None and cost <= (rates.input * size + rates.output * output) / 10**6 + rates.request
