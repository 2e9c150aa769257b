"""What an attempt may cost at most, and what a limit may be."""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation

import attrs

from alloy_trio.values import ConfigurationError

EXACT = Context(prec=100)
"""Digits enough that nothing is rounded, whatever the prices are, and whatever the caller's own context says."""

ZERO = Decimal(0)


@attrs.frozen(kw_only=True)
class Quote:
    """The most that one attempt can cost, by how many tokens it may put out.

    Args:
        input_cents: cents for the input, and for the call itself.
        output_cents: cents for each token of output.
        input_tokens: tokens of input.
        wanted: tokens of output that it would like to be allowed.
        least: tokens of output below which it is no use.
        kept_cents: cents that have to be left over.
        kept_tokens: tokens that have to be left over.
    """

    input_cents: Decimal = ZERO
    output_cents: Decimal = ZERO
    input_tokens: int = 0
    wanted: int
    least: int = 1
    kept_cents: Decimal = ZERO
    kept_tokens: int = 0

    def cents(self, output_tokens: int) -> Decimal:
        """What it costs at most with so much output."""
        return EXACT.fma(self.output_cents, Decimal(output_tokens), self.input_cents)

    def tokens(self, output_tokens: int) -> int:
        """How many tokens it takes at most with so much output."""
        return self.input_tokens + output_tokens

    def affordable(self, cents: Decimal | None, tokens: int | None) -> int:
        """The output that so many cents and tokens are enough for, up to what is wanted; below zero when for none.

        Args:
            cents: None for no limit.
            tokens: None for no limit.
        """
        most = self.wanted
        if tokens is not None:
            most = min(most, tokens - self.kept_tokens - self.input_tokens)
        if cents is not None:
            rest = EXACT.subtract(EXACT.subtract(cents, self.kept_cents), self.input_cents)
            if rest < 0:
                return -1
            if EXACT.multiply(self.output_cents, Decimal(max(most, 0))) > rest:
                most = int(EXACT.divide_int(rest, self.output_cents))
        return most


def checked_cents(what: str, value: object) -> Decimal | None:
    """A limit in cents that was given as ``what``.

    Raises:
        ConfigurationError: it is none.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, Decimal | int | str):
        raise ConfigurationError(
            f"{what}={value!r} must be US cents as a Decimal, an int or a str, like '12.5'; a float is not exact"
        )
    try:
        cents = Decimal(value)
    except InvalidOperation:
        cents = Decimal("NaN")
    if not cents.is_finite() or cents < 0:
        raise ConfigurationError(f"{what}={value!r} must be a number of US cents, 0 or more, like '12.5'")
    return cents


def checked_count(what: str, value: object) -> int | None:
    """A limit in tokens or calls that was given as ``what``.

    Raises:
        ConfigurationError: it is none.
    """
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 0):
        raise ConfigurationError(f"{what}={value!r} must be a whole number, 0 or more, or None for no limit")
    return value
