"""Usage adds up, and never hides an unknown price."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.values import NO_USAGE, Usage

COUNTS = st.integers(min_value=0, max_value=10**9)
# Few digits: sums of money are exact as long as they fit the decimal context's 28 digits.
CENTS = st.none() | st.decimals(min_value=0, max_value=10**9, places=6)
USAGES = st.builds(
    Usage,
    input_tokens=COUNTS,
    cache_read_tokens=COUNTS,
    cache_write_tokens=COUNTS,
    output_tokens=COUNTS,
    reasoning_tokens=COUNTS,
    cost_cents=CENTS,
)


@given(USAGES, USAGES)
def test_the_order_of_adding_does_not_matter(a: Usage, b: Usage) -> None:
    assert a + b == b + a


@given(st.one_of(USAGES, st.just(NO_USAGE)), st.one_of(USAGES, st.just(NO_USAGE)), USAGES)
def test_the_grouping_of_adding_does_not_matter(a: Usage, b: Usage, c: Usage) -> None:
    assert (a + b) + c == a + (b + c)


@given(USAGES)
def test_no_usage_changes_nothing(a: Usage) -> None:
    assert a + NO_USAGE == a
    assert NO_USAGE + a == a


@given(USAGES, USAGES)
def test_tokens_add_up(a: Usage, b: Usage) -> None:
    assert (a + b).total_tokens == a.total_tokens + b.total_tokens
    assert (a + b).reasoning_tokens == a.reasoning_tokens + b.reasoning_tokens


def test_the_total_counts_reasoning_once() -> None:
    usage = Usage(
        input_tokens=1,
        cache_read_tokens=20,
        cache_write_tokens=300,
        output_tokens=4000,
        reasoning_tokens=4000,
    )
    assert usage.total_tokens == 4321


def test_an_unknown_price_makes_the_sum_unknown() -> None:
    known = Usage(output_tokens=1, cost_cents=Decimal(1))
    unknown = Usage(output_tokens=1)
    assert (known + known).cost_cents == Decimal(2)
    assert (known + unknown).cost_cents is None
    assert (unknown + known).cost_cents is None
    assert (unknown + unknown).cost_cents is None


def test_money_adds_exactly() -> None:
    assert sum([Usage(output_tokens=1, cost_cents=Decimal("0.1"))] * 3, NO_USAGE).cost_cents == Decimal("0.3")


def test_a_usage_adds_to_usages_only() -> None:
    with pytest.raises(TypeError):
        Usage() + 1  # type: ignore[operator]
