"""What follows a failed attempt at a completion. Pure: fields and numbers in, a decision out.

Full jitter after "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): the delay is drawn from zero up
to the exponential bound, so that agents that failed together do not come back together.
"""

from __future__ import annotations

from typing import TypeAlias

import attrs

from alloy_trio.values import RemoteError

MAX_BACKOFF_SECONDS = 60.0
"""Upper bound of our own backoff. Arbitrary; overloads that last longer are the fallback's business."""

MAX_HINT_SECONDS = 120.0
"""The longest wait that a server may ask of us; a longer one is surfaced as the error instead of slept.
openai-python draws the line at the same place."""

HINT_SPREAD = 0.1
"""A server's hint is obeyed in full and stretched by up to this part, so that agents do not return together."""


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often and how patiently.

    Args:
        max_retries: attempts after the first, for each provider.
        backoff_seconds: bound of the first delay; doubles with each retry.
    """

    max_retries: int = 3
    backoff_seconds: float = 1.0


@attrs.frozen
class Wait:
    """Send the same again after a delay."""

    delay_seconds: float


@attrs.frozen
class Next:
    """Go on to the next provider."""


@attrs.frozen
class Raise:
    """Give up; the error is the answer."""


Decision: TypeAlias = Wait | Next | Raise


def decide(
    error: RemoteError,
    *,
    attempt: int,
    output_reached: bool,
    providers_left: int,
    remaining_seconds: float,
    policy: RetryPolicy,
    jitter: float,
) -> Decision:
    """Decide what follows a failure.

    Args:
        error: what the attempt raised.
        attempt: which attempt at this provider failed, from 1.
        output_reached: whether text, thinking, tool input or a server tool of the attempt reached the caller.
            Then nothing is ever sent again: the caller would see the output twice.
        providers_left: how many further providers there are.
        remaining_seconds: until the effective deadline; ``inf`` if there is none.
        policy: the limits.
        jitter: a random number from 0 up to 1.
    """
    if output_reached:
        return Raise()
    if error.transient and attempt <= policy.max_retries:
        delay = _delay(error.retry_after, attempt, policy, jitter)
        # Sleeping past the deadline would only hide the reason behind a timeout.
        if delay is not None and delay < remaining_seconds:
            return Wait(delay)
    return Next() if providers_left > 0 else Raise()


def _delay(hint: float | None, attempt: int, policy: RetryPolicy, jitter: float) -> float | None:
    if hint is not None:
        return hint * (1 + HINT_SPREAD * jitter) if hint <= MAX_HINT_SECONDS else None
    # 2.0 ** 1024 overflows; the bound is reached long before.
    bound = policy.backoff_seconds * 2.0 ** min(attempt - 1, 64)
    return jitter * min(bound, MAX_BACKOFF_SECONDS)
