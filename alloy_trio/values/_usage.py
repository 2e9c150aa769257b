"""Token counts and cost of model calls."""

from __future__ import annotations

from decimal import Decimal

import attrs


@attrs.frozen(kw_only=True)
class Usage:
    """What one or several model calls used, in tokens and, where the price is known, in cents.

    The first four counts do not overlap and add up to the vendor's total, whichever way the vendor splits
    it. Usages add with ``+``. A call whose price is unknown makes the cost of the whole sum unknown: a
    partial sum would look like a true one.

    Args:
        input_tokens: input read at the full price, neither from nor into a cache.
        cache_read_tokens: input served from the vendor's cache.
        cache_write_tokens: input written to the vendor's cache.
        output_tokens: everything generated, reasoning included.
        reasoning_tokens: the part of ``output_tokens`` that was reasoning; 0 where the vendor does not say.
        cost_cents: US cents; None where the price is unknown.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_cents: Decimal | None = None

    @property
    def total_tokens(self) -> int:
        """All tokens, in and out."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        if not isinstance(other, Usage):
            return NotImplemented
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            cost_cents=_add_cost(self, other),
        )


def _add_cost(left: Usage, right: Usage) -> Decimal | None:
    # Usage() is the neutral element: no tokens were used, so its missing price hides nothing.
    if left.cost_cents is None:
        return right.cost_cents if left == NO_USAGE else None
    if right.cost_cents is None:
        return left.cost_cents if right == NO_USAGE else None
    return left.cost_cents + right.cost_cents


NO_USAGE = Usage()
