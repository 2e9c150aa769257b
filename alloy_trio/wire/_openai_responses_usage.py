"""The Responses protocol's usage object as a Usage, cost included where a server says it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from alloy_trio.values import Usage

_TICKS_PER_CENT = 10**8
"""xAI reports the cost in ticks of 1e-10 dollars (checked against its price list)."""


def usage_of(reported: dict[str, Any]) -> Usage:
    """The counts without overlap: the vendor's input includes what was read from and written to its cache."""
    read, written = _detail(reported, "input", "cached"), _detail(reported, "input", "cache_write")
    output, reasoning = _count(reported.get("output_tokens")), _detail(reported, "output", "reasoning")
    return Usage(
        input_tokens=max(0, _count(reported.get("input_tokens")) - read - written),
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        reasoning_tokens=min(reasoning, output),
        cost_cents=_cost(reported),
    )


def _detail(reported: dict[str, Any], side: str, name: str) -> int:
    details = reported.get(f"{side}_tokens_details")
    return _count(details.get(f"{name}_tokens")) if isinstance(details, dict) else 0


def _count(value: Any) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    return max(0, int(value)) if whole else 0


def _cost(reported: dict[str, Any]) -> Decimal | None:
    ticks, dollars = reported.get("cost_in_usd_ticks"), reported.get("cost")
    if isinstance(ticks, int):
        return Decimal(ticks) / _TICKS_PER_CENT
    if isinstance(dollars, int | float | str):
        try:
            cents = Decimal(str(dollars)) * 100
        except ArithmeticError:
            return None  # no number: the cost is as unknown as if nothing were said
        return cents if cents.is_finite() else None
    return None
