"""What may be known about one model, as values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation

import attrs

from alloy_trio.values import ConfigurationError


def _cents(value: Decimal | int | str | None) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise ConfigurationError(
            f"a price is {value!r}; write cents per million tokens as a Decimal, an int or a str, like '12.5'"
        )
    try:
        cents = Decimal(value)
    except InvalidOperation:
        cents = Decimal("NaN")
    if not cents.is_finite() or cents < 0:
        raise ConfigurationError(f"a price is {value!r}; it must be a number of cents, 0 or more")
    return cents


def _day(value: date | str | None) -> str | None:
    if value is None:
        return None
    try:
        return (date.fromisoformat(value) if isinstance(value, str) else value).isoformat()
    except ValueError as exc:
        raise ConfigurationError(f"since={value!r} is not a date; write one like '2026-10-01'") from exc


def _hours(value: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    try:
        start, end = (time.fromisoformat(at).strftime("%H:%M") for at in value)
    except (TypeError, ValueError) as exc:
        raise ConfigurationError(
            f"daily={value!r} is not two times of day; write ('16:30', '00:30')"
        ) from exc
    return start, end


def _count(instance: object, field: attrs.Attribute[int | None], value: object) -> None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ConfigurationError(f"{field.name}={value!r} must be a whole number of tokens, 1 or more")


def _names(values: Iterable[str]) -> tuple[str, ...]:
    # Not tuple itself as the converter: attrs asks inspect for its signature, which takes 3 ms.
    return tuple(values)


def _patterns(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ConfigurationError(f"suffix_patterns={values!r} is one string; write ({values!r},)")
    patterns = tuple(values)
    for pattern in patterns:
        try:
            re.compile(pattern)
        except (TypeError, re.error) as exc:
            raise ConfigurationError(
                f"suffix_patterns has {pattern!r}, which is no regular expression: {exc}"
            ) from exc
    return patterns


def _price_lists(values: Prices | Iterable[Prices]) -> tuple[Prices, ...]:
    return (values,) if isinstance(values, Prices) else tuple(values)


@attrs.frozen(kw_only=True)
class Prices:
    """A price list, and when it holds: US cents per million tokens, as Decimal, int or str.

    Args:
        input: for input neither from nor into a cache; None: unknown.
        output: for everything generated; None: unknown.
        cache_read: for input from the cache; None: as ``input``.
        cache_write: for input into the cache, kept five minutes; None: as ``input``.
        cache_write_1h: for input into the cache, kept an hour; None: as ``cache_write``.
        reasoning: for the reasoning among the output; None: as ``output``.
        request: cents for a call, whatever its size.
        above_tokens: the list is for calls with more input than this, cached tokens included; None: for all.
        since: the day from which it holds (UTC), like ``"2026-10-01"``; None: always.
        daily: the hours in which it holds (UTC), like ``("16:30", "00:30")``; None: all day.
    """

    input: Decimal | None = attrs.field(default=None, converter=_cents)
    output: Decimal | None = attrs.field(default=None, converter=_cents)
    cache_read: Decimal | None = attrs.field(default=None, converter=_cents)
    cache_write: Decimal | None = attrs.field(default=None, converter=_cents)
    cache_write_1h: Decimal | None = attrs.field(default=None, converter=_cents)
    reasoning: Decimal | None = attrs.field(default=None, converter=_cents)
    request: Decimal | None = attrs.field(default=None, converter=_cents)
    above_tokens: int | None = attrs.field(default=None, validator=_count)
    since: str | None = attrs.field(default=None, converter=_day)
    daily: tuple[str, ...] | None = attrs.field(default=None, converter=_hours)

    def hold(self, at: datetime, input_tokens: int) -> bool:
        """Whether the list is for a call at a moment (UTC) with so much input."""
        if self.above_tokens is not None and input_tokens <= self.above_tokens:
            return False
        if self.since is not None and f"{at:%Y-%m-%d}" < self.since:
            return False
        if self.daily is None:
            return True
        start, end = self.daily
        now = f"{at:%H:%M}"
        return start <= now < end if start <= end else now >= start or now < end


@attrs.frozen(kw_only=True)
class ModelInfo:
    """What is known about a model; None and () stand for what is not.

    As an override it completes what is known: a field that is left out stays as the facts have it.

    Args:
        context_window: tokens that a conversation may have.
        max_output_tokens: tokens that one answer may have.
        suffix_patterns: regular expressions. An override counts also for a model whose name is the given one
            and a rest that one of them matches as a whole; dates and ``-latest`` need none.
        prices: a :class:`Prices`, or several; the last one that holds for a call counts, the first where none
            does.
        capabilities: what it is known to do beyond text: ``"prompt_caching"``, ``"web_search"``,
            ``"image_input"``, ``"audio_input"``, ``"video_input"``, ``"image_output"``, ``"audio_output"``.
            What is missing may be possible all the same.
        deprecated: whether its vendor has announced its end.
    """

    context_window: int | None = attrs.field(default=None, validator=_count)
    max_output_tokens: int | None = attrs.field(default=None, validator=_count)
    suffix_patterns: tuple[str, ...] = attrs.field(default=(), converter=_patterns)
    prices: tuple[Prices, ...] = attrs.field(default=(), converter=_price_lists)
    capabilities: tuple[str, ...] = attrs.field(default=(), converter=_names)
    deprecated: bool | None = None

    def prices_for(self, at: datetime | date, input_tokens: int) -> Prices | None:
        """The price list for a call; a moment without zone is UTC, a day its beginning."""
        if not self.prices:
            return None
        if not isinstance(at, datetime):
            at = datetime.combine(at, time(), UTC)
        elif at.tzinfo is not None:
            at = at.astimezone(UTC)
        for prices in reversed(self.prices):
            if prices.hold(at, input_tokens):
                return prices
        return self.prices[0]


__all__ = ["ModelInfo", "Prices"]
