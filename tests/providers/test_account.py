"""When the next request of an account may start."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.providers._account import (
    FIRST_PAUSE,
    FORGOTTEN_AFTER,
    GROWTH,
    LONGEST_PAUSE,
    WINDOW_SECONDS,
    Account,
)
from alloy_trio.providers._allowances import Allowance

# Halves add up without rounding, so that times compare.
gaps = st.integers(0, 200).map(lambda half: half / 2)
sizes = st.integers(0, 60)


@given(
    st.lists(st.tuples(gaps, sizes), max_size=40),
    st.none() | st.integers(1, 5),
    st.none() | st.integers(1, 100),
)
def test_no_minute_has_more_requests_or_tokens_than_allowed(
    arrivals: list[tuple[float, int]], requests: int | None, tokens: int | None
) -> None:
    account = Account(requests, tokens)
    now = 0.0
    starts: list[tuple[float, int]] = []
    for gap, need in arrivals:
        now = account.ready_at([need], now + gap)
        account.start(need, now)
        starts.append((now, need))
    for begin, _ in starts:
        minute = [need for at, need in starts if begin <= at < begin + WINDOW_SECONDS]
        assert len(minute) <= (requests or math.inf)
        # One that is bigger than the whole limit goes through alone.
        assert sum(minute) <= (tokens or math.inf) or len([need for need in minute if need]) == 1


@given(
    st.lists(st.tuples(gaps, sizes), max_size=10),
    st.lists(sizes, min_size=1, max_size=10),
    st.integers(1, 5),
    st.integers(60, 100),
)
def test_the_wait_that_is_foretold_for_a_queue_is_what_it_comes_to(
    before: list[tuple[float, int]], queue: list[int], requests: int, tokens: int
) -> None:
    account = Account(requests, tokens)
    now = 0.0
    for gap, need in before:
        now = account.ready_at([need], now + gap)
        account.start(need, now)
    foretold = account.ready_at(queue, now)
    for need in queue:
        now = account.ready_at([need], now)
        account.start(need, now)
    assert now == foretold


@given(st.lists(st.tuples(gaps, sizes), max_size=20))
def test_without_a_limit_nobody_waits(arrivals: list[tuple[float, int]]) -> None:
    account = Account()
    now = 0.0
    for gap, need in arrivals:
        now += gap
        assert account.ready_at([need], now) == now
        account.start(need, now)


def test_usage_takes_the_estimate_s_place_within_its_minute() -> None:
    account = Account(tokens_per_minute=100)
    start = account.start(90, 0.0)
    assert account.ready_at([50], 1.0) == 60.0
    account.settle(start, 40)
    assert (account.tokens, account.ready_at([50], 1.0)) == (40, 1.0)
    assert account.ready_at([50], 70.0) == 70.0
    account.settle(start, 1_000)
    assert (account.tokens, account.ready_at([100], 70.0)) == (0, 70.0)


def test_a_hint_pauses_and_a_shorter_one_does_not_end_it() -> None:
    account = Account()
    account.refuse(account.start(1, 0.0), 20.0, 1.0)
    account.refuse(account.start(1, 0.0), 5.0, 2.0)
    assert account.ready_at([1], 3.0) == 21.0


def test_without_hints_pauses_double_once_a_burst_until_an_answer_comes() -> None:
    account = Account()
    pauses = []
    now = 0.0
    for _ in range(9):
        burst = [account.start(1, now) for _ in range(2)]
        for start in burst:
            account.refuse(start, None, now + 0.5)
        pauses.append(account.paused_until - now - 0.5)
        now = account.paused_until
    assert pauses == [FIRST_PAUSE * 2**n for n in range(6)] + [LONGEST_PAUSE] * 3
    account.accept()
    account.refuse(account.start(1, now), None, now)
    assert account.paused_until - now == FIRST_PAUSE


def burst(account: Account, sent: int, accepted: int, now: float) -> None:
    starts = [account.start(1, now) for _ in range(sent)]
    for start in starts[accepted:]:
        account.refuse(start, 1.0, now + 1)


def test_a_burst_teaches_how_much_a_minute_lets_through() -> None:
    account = Account()
    burst(account, 40, 10, 0.0)
    assert account.learned_limit(2.0) == 10
    assert account.ready_at([1], 2.0) == 60.0
    assert account.ready_at([1] * 10, 60.0) == 60.0
    assert account.ready_at([1] * 11, 60.0) == 120.0


def test_what_was_learned_grows_and_is_forgotten() -> None:
    account = Account()
    burst(account, 40, 10, 0.0)
    assert account.learned_limit(61.0) == 10 * GROWTH
    assert account.learned_limit(121.0) == 10 * GROWTH**2
    assert account.learned_limit(1.0 + FORGOTTEN_AFTER * WINDOW_SECONDS) == math.inf


def test_a_429_after_few_requests_teaches_no_rate() -> None:
    account = Account()
    burst(account, 3, 2, 0.0)
    assert account.learned_limit(2.0) == math.inf
    assert account.ready_at([1], 2.0) == 2.0


def left(remaining: float, *, limit: float = 100, refill: float = 60.0, kind: str = "requests") -> Allowance:
    return Allowance(kind=kind, limit=limit, remaining=remaining, refill_seconds=refill)  # type: ignore[arg-type]


def test_headers_tell_what_is_left_and_it_comes_back_evenly() -> None:
    account = Account()
    account.observe(account.start(1, 0.0), left(1), 0.0)
    assert account.ready_at([1], 0.0) == 0.0
    assert account.ready_at([1, 1], 0.0) == pytest.approx(60 / 99)
    account.start(1, 0.0)
    assert account.ready_at([1], 0.0) == pytest.approx(60 / 99)
    assert account.ready_at([1], 60.0) == 60.0


def test_what_started_since_a_request_is_taken_off_what_its_headers_tell() -> None:
    account = Account()
    first = account.start(1, 0.0)
    account.start(1, 1.0)
    account.start(1, 1.0)
    account.observe(first, left(2), 2.0)
    assert account.ready_at([1], 2.0) == pytest.approx(2.0 + 60 / 98)


def test_the_headers_of_the_later_request_stand() -> None:
    account = Account()
    first, second = account.start(1, 0.0), account.start(1, 1.0)
    account.observe(second, left(0, refill=600.0), 2.0)
    account.observe(first, left(50), 3.0)
    assert account.ready_at([1], 3.0) > 3.0
    account.observe(second, left(100), 4.0)
    assert account.ready_at([1], 4.0) == 4.0


def test_headers_about_tokens_hold_back_by_tokens() -> None:
    account = Account()
    account.observe(account.start(10, 0.0), left(40, kind="tokens"), 0.0)
    assert account.ready_at([40], 0.0) == 0.0
    assert account.ready_at([70], 0.0) == pytest.approx(30.0)
    assert account.ready_at([1_000], 0.0) == 60.0  # more than there ever is waits for the whole


@given(st.integers(0, 10), st.integers(1, 10), st.floats(0.1, 1e4), st.integers(1, 20))
def test_a_wait_for_headers_ends_at_their_reset_at_the_latest(
    remaining: int, limit: int, refill: float, ahead: int
) -> None:
    account = Account()
    account.observe(account.start(1, 0.0), left(remaining, limit=limit, refill=refill), 0.0)
    assert 0.0 <= account.ready_at([1] * ahead, 0.0) <= refill
