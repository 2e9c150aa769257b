"""Token counts as Chat Completions hosts report them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from alloy_trio.values import Usage

_CENTS_PER_TICK = Decimal("1e-8")
"""xAI counts cost in ten-billionths of a US dollar."""


def read_usage(raw: Mapping[str, Any]) -> Usage | None:
    """A usage object of any host's, or None when it counts nothing yet.

    ``prompt_tokens`` includes what came from and went into a cache. For most, reasoning is part of
    ``completion_tokens``; xAI counts it beside them and Gemini's compatible endpoint in the total only. So
    what a total holds beyond prompt and completion was generated.
    """
    counts = [raw.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")]
    if not any(isinstance(count, int) for count in counts):
        return None
    prompt, completion, total = (_count(count) for count in counts)
    details = _mapping(raw.get("prompt_tokens_details"))
    generated = _mapping(raw.get("completion_tokens_details"))
    reasoning = _first(generated.get("reasoning_tokens"), raw.get("reasoning_tokens"))
    output = max(completion, total - prompt)
    if not total and reasoning > completion:
        output = completion + reasoning
    # Some (Grok on Azure) report more cached tokens than the prompt had.
    cache_read = min(
        prompt,
        _first(
            details.get("cached_tokens"),
            raw.get("prompt_cache_hit_tokens"),  # DeepSeek
            raw.get("cached_tokens"),  # Moonshot, Together
            raw.get("num_cached_tokens"),  # Mistral
            raw.get("cache_read_input_tokens"),  # proxies in front of Anthropic
        ),
    )
    cache_write = min(
        prompt - cache_read, _first(details.get("cache_write_tokens"), raw.get("cache_creation_input_tokens"))
    )
    return Usage(
        input_tokens=prompt - cache_read - cache_write,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        output_tokens=output,
        reasoning_tokens=min(reasoning, output),
        cost_cents=_cost_cents(raw),
    )


def _cost_cents(raw: Mapping[str, Any]) -> Decimal | None:
    ticks = raw.get("cost_in_usd_ticks")
    if _is_number(ticks):
        return Decimal(str(ticks)) * _CENTS_PER_TICK
    cost = raw.get("cost")  # OpenRouter: US dollars
    if isinstance(cost, Mapping):
        cost = cost.get("total_cost")  # Perplexity
    if not _is_number(cost):
        return None
    dollars = Decimal(str(cost))
    upstream = _mapping(raw.get("cost_details")).get("upstream_inference_cost")
    if raw.get("is_byok") is True and _is_number(upstream):
        # With a key of one's own OpenRouter's cost is its fee; the model is paid for elsewhere.
        dollars += Decimal(str(upstream))
    return dollars * 100


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")


def _count(value: Any) -> int:
    return max(0, value) if isinstance(value, int) else 0


def _first(*values: Any) -> int:
    """The first count that is not nothing."""
    return next((count for count in map(_count, values) if count), 0)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
