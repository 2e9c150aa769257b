"""What response headers tell about limits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.providers._allowances import Allowance, allowances, headers_arrived, headers_watched

OPENAI = {
    "x-ratelimit-limit-requests": "15000",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-requests": "14999",
    "x-ratelimit-remaining-tokens": "1999993",
    "x-ratelimit-reset-requests": "4ms",
    "x-ratelimit-reset-tokens": "0s",
}
ANTHROPIC = {
    "anthropic-ratelimit-requests-limit": "4000",
    "anthropic-ratelimit-requests-remaining": "3999",
    "anthropic-ratelimit-requests-reset": "2025-08-02T12:06:21Z",
    "anthropic-ratelimit-tokens-limit": "480000",
    "anthropic-ratelimit-tokens-remaining": "480000",
    "anthropic-ratelimit-tokens-reset": "2025-08-02T12:06:21Z",
}
NOON = 1754136371.0  # 2025-08-02T12:06:11Z


def test_openai_s_headers_are_read() -> None:
    assert allowances(OPENAI, now=0.0) == (
        Allowance(kind="requests", limit=15000, remaining=14999, refill_seconds=0.004),
        Allowance(kind="tokens", limit=2000000, remaining=1999993, refill_seconds=0.0),
    )


def test_anthropic_s_headers_are_read_by_the_clock() -> None:
    assert allowances(ANTHROPIC, now=NOON) == (
        Allowance(kind="requests", limit=4000, remaining=3999, refill_seconds=10.0),
        Allowance(kind="tokens", limit=480000, remaining=480000, refill_seconds=10.0),
    )
    assert allowances(ANTHROPIC, now=NOON + 99)[0].refill_seconds == 0.0


def test_mistral_s_headers_are_those_of_a_minute() -> None:
    headers = {"x-ratelimit-limit-req-minute": "100", "x-ratelimit-remaining-req-minute": "75"}
    assert allowances(headers, now=0.0) == (
        Allowance(kind="requests", limit=100, remaining=75, refill_seconds=15.0),
    )


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("20ms", 0.02),
        ("1s", 1.0),
        ("8.64s", 8.64),
        ("6m0s", 360.0),
        ("1h30m", 5400.0),
        ("2m59.56s", 179.56),
        ("1d2h", 93600.0),
        ("2d", 172800.0),
        ("500", 30.0),  # no unit: milliseconds on one host, seconds on another, so the limit is a minute's
        ("", 30.0),
        ("soon", 30.0),
    ],
)
def test_resets_are_read_as_vendors_write_them(written: str, seconds: float) -> None:
    headers = {
        "x-ratelimit-limit-requests": "100",
        "x-ratelimit-remaining-requests": "50",
        "x-ratelimit-reset-requests": written,
    }
    (allowance,) = allowances(headers, now=0.0)
    assert allowance.refill_seconds == pytest.approx(seconds)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-ratelimit-remaining-requests": "119"},
        {"x-ratelimit-limit-requests": "0", "x-ratelimit-remaining-requests": "0"},
        {"x-ratelimit-limit-requests": "many", "x-ratelimit-remaining-requests": "3"},
        {"x-ratelimit-limit-requests": "-1", "x-ratelimit-remaining-requests": "-1"},
    ],
)
def test_what_makes_no_sense_is_left_out(headers: dict[str, str]) -> None:
    assert allowances(headers, now=0.0) == ()


@given(st.dictionaries(st.sampled_from([*OPENAI, *ANTHROPIC]), st.text(max_size=12)))
def test_no_header_breaks_the_reader(headers: dict[str, str]) -> None:
    for allowance in allowances(headers, now=0.0):
        assert allowance.refill_seconds >= 0


def test_watchers_see_what_arrives_inside_their_block_and_each_other_does_too() -> None:
    inner, outer = [], []
    with headers_watched(outer.append):
        with headers_watched(inner.append):
            headers_arrived({"a": "1"})
        headers_arrived({"b": "2"})
    headers_arrived({"c": "3"})
    assert (inner, outer) == ([{"a": "1"}], [{"a": "1"}, {"b": "2"}])
