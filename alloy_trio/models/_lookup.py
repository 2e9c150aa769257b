"""Finds what is known about a model: the facts, completed by what the user knows better."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from decimal import Decimal

import attrs

from alloy_trio.values import ConfigurationError

from ._facts import Row, file_name, find, has_facts
from ._info import ModelInfo, Prices
from ._names import FREE, names_of

_FREE_PRICES = (Prices(input=Decimal(0), output=Decimal(0)),)


def model_info(
    provider: str, model: str, overrides: Mapping[str, int | ModelInfo] | None = None
) -> ModelInfo | None:
    """What is known about a model, or None.

    Found are the vendor's own names and what is made of them: dated (``-20250929``, ``-2025-04-14``,
    ``@20250929``), ``-latest``, in a region (``us.anthropic.claude-…-v1:0``, ARNs), as a variant (``:free``,
    ``:nitro``), or behind its vendor's name (``openai/gpt-5``). The name as it stands goes first.

    Args:
        provider: the configured provider's name, like ``"anthropic"``.
        model: the model's name, as configured or as the vendor answered.
        overrides: names to context windows or ModelInfo; what they say wins over the facts.

    Raises:
        ConfigurationError: an override is not what it should be.
    """
    known = _known(provider, model)
    given = _override(model, check_overrides(overrides)) if overrides else None
    if given is None or known is None:
        return given or known
    fields = {field.name: getattr(given, field.name) for field in attrs.fields(ModelInfo)}
    return attrs.evolve(known, **{name: value for name, value in fields.items() if value not in (None, ())})


def check_overrides(overrides: Mapping[str, int | ModelInfo]) -> dict[str, ModelInfo]:
    """The overrides of ``model_metadata_overrides``, each as a ModelInfo.

    Raises:
        ConfigurationError: one of them is not what it should be; the message says which and what to write.
    """
    name = "model_metadata_overrides"
    given: object = overrides
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{name} got {type(given).__name__}; write {{'model': 900_000}}")
    checked: dict[str, ModelInfo] = {}
    for model, value in given.items():
        if not isinstance(model, str) or not model.strip():
            raise ConfigurationError(f"{name} has the key {model!r}; write the model's name")
        if isinstance(value, ModelInfo):
            checked[model] = value
        elif isinstance(value, int) and not isinstance(value, bool) and value > 0:
            checked[model] = ModelInfo(context_window=value)
        else:
            raise ConfigurationError(
                f"{name}[{model!r}] is {value!r}; write its context window as a whole number of tokens,"
                " or ModelInfo(context_window=…)"
            )
    return checked


@functools.lru_cache(maxsize=1024)
def _known(provider: str, model: str) -> ModelInfo | None:
    row = _row(provider, model)
    free = model.strip().lower().endswith(FREE)
    if free:
        # Of free variants little is written down; all but the price is that of the model.
        row = {**(_row(provider, model.strip()[: -len(FREE)]) or {}), **(row or {})}
    if not row:
        return None
    return ModelInfo(
        context_window=row.get("context_window"),
        max_output_tokens=row.get("max_output_tokens"),
        prices=_FREE_PRICES if free else tuple(Prices(**prices) for prices in row.get("prices", ())),
        capabilities=row.get("capabilities", ()),
        deprecated=row.get("deprecated"),
    )


def _row(provider: str, model: str) -> Row | None:
    if not has_facts(provider):
        return None
    own = file_name(provider)
    for name in names_of(model):
        row = find(own, name)
        if row is not None:
            return row
    # A gateway's spelling: the vendor before the model. OpenRouter asks what the vendor asks; elsewhere the
    # vendor has to be the provider itself.
    for name in names_of(model):
        vendor, slash, rest = name.partition("/")
        if slash and (own == "openrouter" or file_name(vendor) == own):
            row = find(vendor, rest)
            if row is not None:
                return row
    return None


def _override(model: str, overrides: Mapping[str, ModelInfo]) -> ModelInfo | None:
    by_name = {name.strip().lower(): info for name, info in overrides.items()}
    names = list(names_of(model))
    for name in names:
        if name in by_name:
            return by_name[name]
    for start in sorted(by_name, key=len, reverse=True):
        rest = names[0].removeprefix(start)
        info = by_name[start]
        if rest != names[0] and any(re.fullmatch(p, rest, re.IGNORECASE) for p in info.suffix_patterns):
            return info
    return None
