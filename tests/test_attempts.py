"""What follows a failed attempt."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from alloy_trio._attempts import (
    HINT_SPREAD,
    MAX_BACKOFF_SECONDS,
    MAX_HINT_SECONDS,
    Next,
    Raise,
    RetryPolicy,
    Wait,
    decide,
)
from alloy_trio.values import AuthenticationFailed, Overloaded, RateLimited, RemoteError


def after(error: RemoteError, **given_: object) -> object:
    defaults = {
        "attempt": 1,
        "output_reached": False,
        "providers_left": 0,
        "remaining_seconds": math.inf,
        "policy": RetryPolicy(),
        "jitter": 0.5,
    }
    return decide(error, **{**defaults, **given_})


def test_a_transient_error_is_tried_again_with_full_jitter() -> None:
    assert [after(Overloaded("x"), attempt=n) for n in (1, 2, 3)] == [Wait(0.5), Wait(1.0), Wait(2.0)]


def test_retries_end() -> None:
    assert after(Overloaded("x"), attempt=4) == Raise()
    assert after(Overloaded("x"), attempt=1, policy=RetryPolicy(max_retries=0)) == Raise()


def test_the_next_provider_is_asked_once_retries_are_over() -> None:
    assert after(Overloaded("x"), attempt=4, providers_left=1) == Next()
    assert after(AuthenticationFailed("x"), providers_left=1) == Next()


def test_what_is_not_transient_is_not_tried_again() -> None:
    assert after(AuthenticationFailed("x")) == Raise()


def test_nothing_is_sent_again_once_output_reached_the_caller() -> None:
    assert after(Overloaded("x"), output_reached=True, providers_left=3) == Raise()


def test_a_server_s_hint_is_obeyed_in_full() -> None:
    assert after(RateLimited("x", retry_after=7), jitter=0.0) == Wait(7)
    assert after(RateLimited("x", retry_after=0), jitter=0.9) == Wait(0)


def test_a_hint_that_is_too_long_is_surfaced() -> None:
    assert after(RateLimited("x", retry_after=MAX_HINT_SECONDS + 1)) == Raise()
    assert after(RateLimited("x", retry_after=MAX_HINT_SECONDS + 1), providers_left=1) == Next()


def test_nobody_sleeps_past_the_deadline() -> None:
    assert after(RateLimited("x", retry_after=7), jitter=0.0, remaining_seconds=7.0) == Raise()
    assert after(RateLimited("x", retry_after=7), jitter=0.0, remaining_seconds=7.1) == Wait(7)


@given(
    attempt=st.integers(1, 5000),
    hint=st.none() | st.floats(0, 1e6),
    jitter=st.floats(0, 1, exclude_max=True),
    remaining=st.floats(0, 1e6) | st.just(math.inf),
    backoff=st.floats(0, 1e6),
)
def test_a_wait_is_bounded(
    attempt: int, hint: float | None, jitter: float, remaining: float, backoff: float
) -> None:
    decision = after(
        RateLimited("x", retry_after=hint),
        attempt=attempt,
        jitter=jitter,
        remaining_seconds=remaining,
        policy=RetryPolicy(max_retries=10_000, backoff_seconds=backoff),
    )
    if isinstance(decision, Wait):
        assert 0 <= decision.delay_seconds < max(remaining, 1e-300)
        if hint is None:
            assert decision.delay_seconds <= MAX_BACKOFF_SECONDS
        else:
            assert hint <= decision.delay_seconds <= hint * (1 + HINT_SPREAD)
