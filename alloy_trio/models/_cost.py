"""From tokens to cents."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Literal

import attrs

from alloy_trio.values import NO_USAGE, Usage

from ._facts import has_facts

if TYPE_CHECKING:
    import datetime

    from ._info import ModelInfo


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
