"""ModelInfo and Prices as values: strict about what is put in, whole after JSON."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import alloy_trio
from alloy_trio import ConfigurationError, ModelInfo, Prices

CENTS = st.none() | st.decimals(0, 10**6, places=4)
TIMES = st.times().map(lambda at: f"{at:%H:%M}")
PRICES = st.builds(
    Prices,
    **dict.fromkeys(
        ("input", "output", "cache_read", "cache_write", "cache_write_1h", "reasoning", "request"), CENTS
    ),
    above_tokens=st.none() | st.integers(1, 10**7),
    since=st.none() | st.dates().map(str),
    daily=st.none() | st.tuples(TIMES, TIMES),
)
INFOS = st.builds(
    ModelInfo,
    context_window=st.none() | st.integers(1, 10**8),
    max_output_tokens=st.none() | st.integers(1, 10**8),
    suffix_patterns=st.lists(st.sampled_from([r"-\d{8}", "-fast", "(?:-x)+"])),
    prices=st.lists(PRICES, max_size=3),
    capabilities=st.lists(st.sampled_from(["web_search", "prompt_caching"]), unique=True),
    deprecated=st.none() | st.booleans(),
)


@given(INFOS)
def test_a_model_info_is_the_same_after_json(info: ModelInfo) -> None:
    assert alloy_trio.from_json(alloy_trio.to_json(info), ModelInfo) == info


def test_prices_are_taken_as_decimal_int_or_str_and_kept_exact() -> None:
    prices = Prices(input=300, output="1500.5", cache_read=Decimal("0.1"))
    assert (prices.input, prices.output, prices.cache_read) == (
        Decimal(300),
        Decimal("1500.5"),
        Decimal("0.1"),
    )


def test_one_price_list_needs_no_tuple() -> None:
    assert ModelInfo(prices=Prices(input=1)) == ModelInfo(prices=(Prices(input=1),))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Prices(input=0.5), "write cents per million tokens as a Decimal"),
        (lambda: Prices(input=True), "write cents per million tokens as a Decimal"),
        (lambda: Prices(output="a lot"), "must be a number of cents, 0 or more"),
        (lambda: Prices(output=Decimal("NaN")), "must be a number of cents, 0 or more"),
        (lambda: Prices(output=-1), "must be a number of cents, 0 or more"),
        (lambda: Prices(since="yesterday"), "write one like '2026-10-01'"),
        (lambda: Prices(daily=("noon", "night")), "write ('16:30', '00:30')"),
        (lambda: Prices(daily=("01:00",)), "write ('16:30', '00:30')"),
        (lambda: Prices(above_tokens=0), "above_tokens=0 must be a whole number of tokens, 1 or more"),
        (lambda: ModelInfo(context_window=0), "context_window=0 must be a whole number of tokens, 1 or more"),
        (lambda: ModelInfo(context_window=True), "context_window=True must be a whole number"),
        (lambda: ModelInfo(max_output_tokens=1.5), "max_output_tokens=1.5 must be a whole number"),
        (lambda: ModelInfo(suffix_patterns="-fast"), "is one string; write ('-fast',)"),
        (lambda: ModelInfo(suffix_patterns=("(",)), "no regular expression"),
    ],
)  # fmt: skip
def test_what_cannot_be_says_what_to_write_instead(make: Any, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert text in str(caught.value)


def test_a_model_info_is_frozen() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        ModelInfo().context_window = 5  # type: ignore[misc]


DATED = ModelInfo(
    prices=(Prices(input=1), Prices(input=2, since="2026-10-01"), Prices(input=3, daily=("16:30", "00:30")))
)


@pytest.mark.parametrize(
    ("at", "price"),
    [
        (datetime(2026, 9, 30, 16, 29, 59, tzinfo=UTC), 1),
        (datetime(2026, 9, 30, 16, 30, tzinfo=UTC), 3),
        (datetime(2026, 10, 1, 0, 29, tzinfo=UTC), 3),
        (datetime(2026, 10, 1, 0, 30, tzinfo=UTC), 2),
        (datetime(2026, 10, 1, 0, 30), 2),  # without a zone it is UTC
        (datetime(2026, 10, 1, 2, 30, tzinfo=timezone(timedelta(hours=3))), 3),
        (date(2026, 10, 1), 3),
    ],
)
def test_the_last_price_list_that_holds_at_the_moment_counts(at: datetime | date, price: int) -> None:
    prices = DATED.prices_for(at, 0)
    assert prices is not None and prices.input == price


def test_where_no_price_list_holds_the_first_counts() -> None:
    info = ModelInfo(prices=(Prices(input=1, since="2030-01-01"), Prices(input=2, since="2031-01-01")))
    prices = info.prices_for(date(2026, 1, 1), 0)
    assert prices is not None and prices.input == 1


def test_a_model_without_prices_has_none_for_any_call() -> None:
    assert ModelInfo(context_window=1).prices_for(date(2026, 1, 1), 0) is None
