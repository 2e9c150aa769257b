"""From tokens to cents."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, NamedTuple

import attrs

from alloy_trio.values import NO_USAGE, Usage

from ._facts import has_facts

if TYPE_CHECKING:
    import datetime

    from ._info import ModelInfo, Prices

_CALL_DAYS = 1
"""A call that starts now has ended by then: a price that holds from tomorrow on may be the one that it costs."""


class Rates(NamedTuple):
    """What tokens cost, in US cents per million, and what a call costs beside, in cents."""

    input: Decimal
    output: Decimal
    request: Decimal


def cost_cents(
    info: ModelInfo,
    usage: Usage,
    *,
    at: datetime.datetime | datetime.date,
    cache_ttl: Literal["5m", "1h"] = "5m",
) -> Decimal | None:
    """What a call costs by the price list, in US cents; None where a price that it needs is not known.

    Tokens only: what a vendor asks for its searches and other server tools is not in it.

    Args:
        info: the model.
        usage: one call's; a sum of several might be priced as one large call.
        at: when the call was made.
        cache_ttl: how long the vendor was asked to keep what was written to its cache.
    """
    size = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    prices = info.prices_for(at, size)
    if prices is None:
        return None
    plain, output = prices.input, prices.output
    if plain is None and output is None and prices.request is None:
        return None
    written = _first(prices.cache_write_1h if cache_ttl == "1h" else None, prices.cache_write, plain)
    reasoning = min(usage.reasoning_tokens, usage.output_tokens)
    total = Decimal(0)
    for tokens, rate in (
        (usage.input_tokens, plain),
        (usage.cache_read_tokens, _first(prices.cache_read, plain)),
        (usage.cache_write_tokens, written),
        (usage.output_tokens - reasoning, output),
        (reasoning, _first(prices.reasoning, output)),
    ):
        if tokens:
            if rate is None:
                return None
            total += tokens * rate
    return total / 1_000_000 + (prices.request or 0)


def dearest(info: ModelInfo, *, input_tokens: int, at: datetime.datetime) -> Rates | None:
    """The most that a call which starts now can be asked for, by the price list; None where a price is not known.

    So the dearest of what its input may count as (read, from the cache, into the cache for five minutes), of what its
    output may (reasoning or not), and of all lists that may hold for it: those for larger inputs, for another time of
    the day, or from tomorrow on.

    Args:
        info: the model.
        input_tokens: the most that the call may have, cached ones included.
        at: when it starts.
    """
    found: list[Rates] = []
    for prices in _may_hold(info.prices, input_tokens, at):
        if prices.input is None or prices.output is None:
            return None
        inputs = (prices.input, prices.cache_read, prices.cache_write)
        outputs = (prices.output, prices.reasoning)
        found.append(
            Rates(
                max(rate for rate in inputs if rate is not None),
                max(rate for rate in outputs if rate is not None),
                prices.request or Decimal(0),
            )
        )
    return Rates(*map(max, zip(*found, strict=True))) if found else None


def _may_hold(lists: tuple[Prices, ...], input_tokens: int, at: datetime.datetime) -> list[Prices]:
    """The price lists of which one will hold for a call; see ModelInfo.prices_for()."""
    import datetime

    start = at.astimezone(datetime.UTC) if at.tzinfo is not None else at
    today, end = f"{start:%Y-%m-%d}", f"{start + datetime.timedelta(days=_CALL_DAYS):%Y-%m-%d}"
    may: list[Prices] = []
    for prices in reversed(lists):
        too_small = prices.above_tokens is not None and input_tokens <= prices.above_tokens
        if too_small or (prices.since or "") > end:
            continue
        may.append(prices)
        if prices.above_tokens is None and prices.daily is None and (prices.since or "") <= today:
            return may  # this one does hold, so those before it do not count
    return [*may, *lists[:1]]


def priced(
    usage: Usage,
    *,
    provider: str,
    models: tuple[str, ...],
    now_ms: int,
    overrides: Mapping[str, ModelInfo] | None = None,
) -> Usage:
    """The same usage with its cost, if that is known; a cost that the vendor reported stays.

    Args:
        usage: one call's.
        provider: the configured provider's name.
        models: names of the model, the vendor's own first. The first that has a price counts, but a price in
            ``overrides``, for whichever name, comes before the facts.
        now_ms: when the call was made, in milliseconds since the epoch.
        overrides: as :func:`check_overrides` returns them.
    """
    if usage.cost_cents is not None or usage == NO_USAGE or not (overrides or has_facts(provider)):
        return usage
    import datetime

    from ._lookup import model_info

    at = datetime.datetime.fromtimestamp(now_ms / 1000, datetime.UTC)
    for model in sorted(models, key=lambda name: not _has_override(name, overrides)):
        info = model_info(provider, model, overrides)
        cost = None if info is None else cost_cents(info, usage, at=at)
        if cost is not None:
            return attrs.evolve(usage, cost_cents=cost)
    return usage


def _has_override(model: str, overrides: Mapping[str, ModelInfo] | None) -> bool:
    from ._lookup import model_info

    # Of nobody's models there are no facts, so this is the override alone.
    given = model_info("", model, overrides) if overrides else None
    return given is not None and bool(given.prices)


def _first(*rates: Decimal | None) -> Decimal | None:
    return next((rate for rate in rates if rate is not None), None)
