"""The facts and our arithmetic agree with the library that the facts were baked from, on all of its models."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import alloy_trio
from alloy_trio import ModelInfo, Usage
from alloy_trio.models import cost_cents, model_info

theirs = pytest.importorskip("genai_prices", reason="the oracle genai-prices is not installed (group models)")

from genai_prices.data import providers  # noqa: E402 (after the check that it is there)
from genai_prices.types import TieredPrices, TimeOfDateConstraint  # noqa: E402

ROOT = Path(__file__).parent.parent.parent
FACTS = Path(alloy_trio.__file__).parent / "models" / "facts"
BAKED_FROM = json.loads((FACTS / "openai.json").read_text(encoding="utf-8"))["source"]
OURS = {"aws": "bedrock", "google": "gemini", "x-ai": "xai"}

pytestmark = pytest.mark.skipif(
    f"genai-prices {theirs.__version__}" != BAKED_FROM,
    reason=f"the facts are of {BAKED_FROM}; other versions have other prices",
)


def whole_names(clause: Any) -> Iterator[str]:
    """The texts of a match clause that are names or parts of names."""
    for part in getattr(clause, "or_", None) or getattr(clause, "and_", None) or ():
        yield from whole_names(part)
    for kind in ("equals", "starts_with", "contains", "ends_with"):
        if text := getattr(clause, kind, None):
            yield text


def cases() -> Iterator[tuple[Any, str, Any, ModelInfo]]:
    """(provider, name, their model, our facts) for every name that they know of every model."""
    for provider in providers:
        for model in provider.models:
            for name in sorted({model.id, *whole_names(model.match)}):
                found = provider.find_model(name, all_providers=providers)
                ours = model_info(OURS.get(provider.id, provider.id), name)
                if found is not None:
                    assert ours is not None, (provider.id, name)
                    yield provider, name, found, ours


def price_lists(model: Any) -> list[Any]:
    return [one.prices for one in model.prices] if isinstance(model.prices, list) else [model.prices]


def moments(model: Any) -> list[datetime]:
    """Now, and around each moment at which the model's prices change."""
    found = [datetime(2026, 11, 20, 12, tzinfo=UTC)]
    for one in model.prices if isinstance(model.prices, list) else ():
        limit = one.constraint
        if isinstance(limit, TimeOfDateConstraint):
            for edge in (limit.start_time, limit.end_time):
                at = datetime.combine(found[0].date(), edge)
                found += [at - timedelta(minutes=1), at, at + timedelta(minutes=1)]
        elif limit is not None:
            at = datetime.combine(limit.start_date, datetime.min.time(), UTC)
            found += [at - timedelta(seconds=1), at]
    return found


def usages(model: Any, chance: random.Random) -> Iterator[Usage]:
    """Random ones, and some whose input is at the edge of a tier."""
    starts = {
        tier.start
        for prices in price_lists(model)
        for price in vars(prices).values()
        if isinstance(price, TieredPrices)
        for tier in price.tiers
    }
    sizes = [chance.randrange(2_000_000), *starts, *(start + 1 for start in starts)]
    for size in sizes:
        read = chance.choice((0, chance.randrange(size + 1)))
        written = chance.choice((0, chance.randrange(size - read + 1)))
        output = chance.randrange(100_000)
        yield Usage(
            input_tokens=size - read - written,
            cache_read_tokens=read,
            cache_write_tokens=written,
            output_tokens=output,
            reasoning_tokens=chance.choice((0, chance.randrange(output + 1))),
        )


def their_usage(usage: Usage, ttl: str) -> Any:
    return theirs.Usage(
        input_tokens=usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        cache_write_1h_tokens=usage.cache_write_tokens if ttl == "1h" else 0,
        output_tokens=usage.output_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
    )


def test_every_name_of_every_model_leads_to_the_same_window() -> None:
    """Where they know one; some that they do not know are kept by hand."""
    windows = [(ours.context_window, found.context_window) for _, _, found, ours in cases()]
    known = [pair for pair in windows if pair[1] is not None]
    assert len(known) > 2000
    assert [pair for pair in known if pair[0] != pair[1]] == []
    # Free variants have the window of their model; what else is beyond theirs is kept by hand.
    beyond = [name for _, name, found, ours in cases() if ours.context_window and not found.context_window]
    assert len([name for name in beyond if not name.endswith(":free")]) < 30


def test_every_model_costs_the_same_at_all_times_and_sizes() -> None:
    """Where we say that the price is unknown, they have no price of tokens for what was used."""
    chance = random.Random(20261120)
    checked = unknown = 0
    wrong = []
    for provider, name, found, ours in cases():
        if name != found.id:
            continue
        for at in moments(found):
            for usage in usages(found, chance):
                for ttl in ("5m", "1h"):
                    mine = cost_cents(ours, usage, at=at, cache_ttl=ttl)
                    have = vars(found.get_prices(at))
                    if mine is None:
                        unknown += 1
                        if have.get("input_mtok") is not None and have.get("output_mtok") is not None:
                            wrong.append((provider.id, name, at, usage))
                        continue
                    checked += 1
                    price = found.calc_price(their_usage(usage, ttl), provider, genai_request_timestamp=at)
                    if mine != price.total_price * 100:
                        wrong.append((provider.id, name, at, usage, mine, price.total_price))
    assert wrong == []
    assert checked > 5000 and unknown > 100


def test_what_they_cannot_price_but_by_the_free_mark_is_unknown_and_not_free() -> None:
    """They take a model without any price for one that costs nothing."""
    usage = Usage(input_tokens=1000, output_tokens=10)
    at = datetime(2026, 11, 20, tzinfo=UTC)
    for provider, name, found, ours in cases():
        if name == found.id and all(not vars(prices) for prices in price_lists(found)):
            free = name.lower().endswith(":free")
            assert cost_cents(ours, usage, at=at) == (0 if free else None), (provider.id, name)


def test_the_files_are_as_the_script_bakes_them() -> None:
    script = ROOT / "alloy_trio" / "models" / "_bake.py"
    if not script.exists():
        pytest.skip("this is an installed copy, without the scripts of the project")
    done = subprocess.run(
        [sys.executable, str(script), "--check"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "as baked\n", "")


def test_the_project_pins_the_version_that_the_facts_are_of() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    pin = re.search(r'"genai-prices ==([^"]+)"', project)
    assert pin is not None and f"genai-prices {pin[1]}" == BAKED_FROM
