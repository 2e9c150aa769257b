"""Bakes the facts about models into the package: ``nox -s models``. Nothing imports it.

Reads the price data of genai-prices (https://github.com/pydantic/genai-prices), whose version pyproject.toml
pins, and writes what :mod:`alloy_trio.models` uses of it, one model a line, so that a refresh is a diff that
can be read. ``--check`` writes nothing and fails where the file is not what would be written.

How a file of facts looks is said in ``alloy_trio/models/_facts.py``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genai_prices import types as theirs
from genai_prices.data import providers as their_providers

PACKAGE_FACTS = Path(__file__).with_name("facts")
LIMITS: dict[str, dict[str, dict[str, int]]] = json.loads(
    Path(__file__).with_name("_limits.json").read_text(encoding="utf-8")
)

OUR_NAMES = {"aws": "bedrock", "google": "gemini", "x-ai": "xai"}
"""Where our provider's name is another one."""

PRICES = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write",
    "cache_write_1h_mtok": "cache_write_1h",
    "output_reasoning_mtok": "reasoning",
}
"""Their prices that apply to what a Usage counts, and our names. Theirs are US dollars, ours cents."""

SIGNS = {"equals": "=", "starts_with": "^", "ends_with": "$", "contains": "*", "regex": "~"}

PRICED_ABILITIES = {
    "cache_read_mtok": "prompt_caching",
    "input_audio_mtok": "audio_input",
    "input_image_mtok": "image_input",
    "input_video_mtok": "video_input",
    "output_audio_mtok": "audio_output",
    "output_image_mtok": "image_output",
    "web_searches_kcount": "web_search",
}
"""What has a price can be done."""


def cents(dollars: Decimal) -> str:
    """A price in cents, in plain notation and without idle zeros."""
    text = f"{dollars * 100:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def alternatives(clause: Any) -> list[list[str]]:
    """A clause as alternatives, each a list of patterns that all have to match."""
    if isinstance(clause, theirs.ClauseOr):
        return [way for part in clause.or_ for way in alternatives(part)]
    if isinstance(clause, theirs.ClauseAnd):
        ways: list[list[str]] = [[]]
        for part in clause.and_:
            ways = [way + more for way in ways for more in alternatives(part)]
        return ways
    kind, text = next(iter(vars(clause).items()))
    # They compare in lower case, except that a regex is taken as it is (and searched in a name in lower case).
    return [[SIGNS[kind] + (text if kind == "regex" else text.lower())]]


def prices_of(model: theirs.ModelInfo) -> Iterator[dict[str, Any]]:
    """The model's price lists; the last one that holds for a call counts."""
    lists = model.prices if isinstance(model.prices, list) else [theirs.ConditionalPrice(prices=model.prices)]
    for conditional in lists:
        given = {key: price for key, price in vars(conditional.prices).items() if price is not None}
        known = {PRICES[key]: price for key, price in given.items() if key in PRICES}
        if not given and model.id.lower().endswith(":free"):
            known = {"input": Decimal(0), "output": Decimal(0)}
        rest = when(conditional.constraint)
        if requests := given.get("requests_kcount"):
            rest["request"] = cents(requests / 1000)
        yield {name: cents(base_of(price)) for name, price in known.items()} | rest
        tiers = [price for price in known.values() if isinstance(price, theirs.TieredPrices)]
        for start in sorted({tier.start for price in tiers for tier in price.tiers}):
            above = {name: cents(price_above(price, start)) for name, price in known.items()}
            yield above | rest | {"above_tokens": start}


def base_of(price: Decimal | theirs.TieredPrices) -> Decimal:
    return price.base if isinstance(price, theirs.TieredPrices) else price


def price_above(price: Decimal | theirs.TieredPrices, start: int) -> Decimal:
    """The price of a call that is just larger than a tier's start."""
    if not isinstance(price, theirs.TieredPrices):
        return price
    reached = [tier for tier in price.tiers if tier.start <= start]
    return max(reached, key=lambda tier: tier.start).price if reached else price.base


def when(constraint: Any) -> dict[str, Any]:
    if constraint is None:
        return {}
    if isinstance(constraint, theirs.StartDateConstraint):
        return {"since": constraint.start_date.isoformat()}
    if isinstance(constraint, theirs.TimeOfDateConstraint):
        return {"daily": [utc(constraint.start_time), utc(constraint.end_time)]}
    raise TypeError(f"genai-prices has a constraint that is not known here: {constraint!r}")


def utc(at: time) -> str:
    moment = datetime.combine(date(2000, 1, 1), at if at.tzinfo else at.replace(tzinfo=UTC))
    return moment.astimezone(UTC).strftime("%H:%M")


def facts_of(model: theirs.ModelInfo, provider: str) -> dict[str, Any]:
    """One line of a file of facts."""
    row: dict[str, Any] = {"id": model.id}
    match = [way[0] if len(way) == 1 else way for way in alternatives(model.match)]
    if match != ["=" + model.id.lower()]:
        row["match"] = match
    for name in ("context_window", "max_output_tokens"):
        known = getattr(model, name, None) or LIMITS[name].get(provider, {}).get(model.id)
        if known is not None:
            row[name] = known
    if model.deprecated:
        row["deprecated"] = True
    lists = list(prices_of(model))
    if any("input" in prices for prices in lists):
        row["prices"] = lists
    current = model.get_prices(datetime.max.replace(tzinfo=UTC))
    if abilities := sorted(
        name for key, name in PRICED_ABILITIES.items() if vars(current).get(key) is not None
    ):
        row["capabilities"] = abilities
    return row


def render(provider: theirs.Provider, baked_on: str) -> str:
    """A provider's file."""
    source = {"source": f"genai-prices {version('genai-prices')}", "date": baked_on}
    borrowed = [OUR_NAMES.get(name, name) for name in provider.fallback_model_providers or ()]
    name = OUR_NAMES.get(provider.id, provider.id)
    head = json.dumps({**source, "fallback": borrowed})[:-1]
    lines = ",\n".join(json.dumps(facts_of(model, name), separators=(",", ":")) for model in provider.models)
    return f'{head}, "models": [\n{lines}\n]}}\n'


def date_of(text: str | None) -> str | None:
    return None if text is None else json.loads(text)["date"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail where a file differs")
    check: bool = parser.parse_args().check
    today = datetime.now(UTC).date().isoformat()
    present = {path.name: path.read_text(encoding="utf-8") for path in PACKAGE_FACTS.glob("*.json")}
    texts: dict[str, str] = {}
    for provider in their_providers:
        name = f"{OUR_NAMES.get(provider.id, provider.id)}.json"
        # What is as it was keeps its date: the day on which it was last found different.
        as_before = render(provider, date_of(present.get(name)) or today)
        texts[name] = as_before if as_before == present.get(name) else render(provider, today)
    changed = sorted(name for name in texts.keys() | present.keys() if texts.get(name) != present.get(name))
    if check:
        print("\n".join(changed) or "as baked")
        return 1 if changed else 0
    PACKAGE_FACTS.mkdir(exist_ok=True)
    for name in changed:
        if name in texts:
            (PACKAGE_FACTS / name).write_text(texts[name], encoding="utf-8")
        else:
            (PACKAGE_FACTS / name).unlink()
    models = sum(len(provider.models) for provider in their_providers)
    print(f"{len(texts)} providers, {models} models, {len(changed)} files changed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
