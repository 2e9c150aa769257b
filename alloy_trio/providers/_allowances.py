"""What response headers tell about an account's limits, and how it comes to whoever waits on them.

Vendors send, with every answer, how much of a limit is left. The sources, and what was seen on recorded answers:

* OpenAI, Azure, Groq, xAI: ``x-ratelimit-{limit,remaining,reset}-{requests,tokens}``; reset is the time until the
  whole limit is back, as ``"6m0s"`` or ``"20ms"``. Azure sends bare numbers, on some hosts milliseconds and on
  others seconds, and xAI sends none: those are not read. Groq's requests are those of a day.
* Anthropic: ``anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}``, reset an RFC 3339 time; tokens is
  the most restrictive of its token limits.
* Mistral: ``x-ratelimit-{limit,remaining}-{req,tokens}-minute``.

Where no reset can be read, the limit is one of a minute that comes back evenly.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import Literal, TypeAlias

import attrs

Kind: TypeAlias = Literal["requests", "tokens"]
Headers: TypeAlias = Mapping[str, str]

_SPELLINGS: dict[Kind, tuple[tuple[str, str, str], ...]] = {
    "requests": (
        (
            "anthropic-ratelimit-requests-limit",
            "anthropic-ratelimit-requests-remaining",
            "anthropic-ratelimit-requests-reset",
        ),
        ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
        ("x-ratelimit-limit-req-minute", "x-ratelimit-remaining-req-minute", ""),
    ),
    "tokens": (
        (
            "anthropic-ratelimit-tokens-limit",
            "anthropic-ratelimit-tokens-remaining",
            "anthropic-ratelimit-tokens-reset",
        ),
        ("x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"),
        ("x-ratelimit-limit-tokens-minute", "x-ratelimit-remaining-tokens-minute", ""),
    ),
}
"""The names of limit, rest and reset, by vendor."""

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m(?!s))?(?:(\d+(?:\.\d+)?)s)?(?:(\d+(?:\.\d+)?)ms)?")
_UNITS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)


@attrs.frozen(kw_only=True)
class Allowance:
    """What is left of one limit.

    Args:
        kind: what is limited.
        limit: the whole of it.
        remaining: what is left, the request that was answered already taken off.
        refill_seconds: until the whole limit is back; it comes back evenly.
    """

    kind: Kind
    limit: float
    remaining: float
    refill_seconds: float


def allowances(headers: Headers, *, now: float) -> tuple[Allowance, ...]:
    """Read the limits that response headers tell of.

    Args:
        headers: names in lower case.
        now: seconds since the epoch, for a reset that is a time of day.
    """
    found = []
    for kind, spellings in _SPELLINGS.items():
        for limit_name, remaining_name, reset_name in spellings:
            limit, remaining = _count(headers.get(limit_name)), _count(headers.get(remaining_name))
            # A limit of zero is how some hosts say that there is none.
            if limit and remaining is not None:
                refill = _seconds(headers.get(reset_name, ""), now)
                if refill is None:
                    refill = 60.0 * (1.0 - min(remaining / limit, 1.0))
                found.append(Allowance(kind=kind, limit=limit, remaining=remaining, refill_seconds=refill))
                break
    return tuple(found)


def _count(value: str | None) -> float | None:
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


def _seconds(value: str, now: float) -> float | None:
    if not value or value.isdigit():
        return None
    match = _DURATION.fullmatch(value)
    if match is not None:
        return sum(float(part) * unit for part, unit in zip(match.groups(), _UNITS, strict=True) if part)
    try:
        return max(datetime.fromisoformat(value).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None


_watcher: ContextVar[Callable[[Headers], None] | None] = ContextVar("alloy_trio_headers", default=None)


@contextmanager
def headers_watched(watch: Callable[[Headers], None]) -> Iterator[None]:
    """Let ``watch`` see the headers of every answer that is given inside the block.

    The block's tasks tell it, through however many providers lie between, and no other request's headers get
    mixed in: that is why it is a context variable and not an attribute of a provider that many share.
    """
    outer = _watcher.get()

    def tell(headers: Headers) -> None:
        watch(headers)
        if outer is not None:
            outer(headers)

    token = _watcher.set(tell)
    try:
        yield
    finally:
        _watcher.reset(token)


def headers_arrived(headers: Headers) -> None:
    """Tell whoever watches. A provider calls it for every answer that has a head, an error's too."""
    watch = _watcher.get()
    if watch is not None:
        watch(headers)
