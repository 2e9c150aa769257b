"""What is known about models: context windows, output limits, prices. Facts as data, dated, and overridable.

Everything here loads on first use, and the facts of a provider only when one of its models is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._cost import Rates, cost_cents, dearest, priced
    from ._info import ModelInfo, Prices
    from ._lookup import check_overrides, model_info

__all__ = ["ModelInfo", "Prices", "Rates", "check_overrides", "cost_cents", "dearest", "model_info", "priced"]

_HOME = {
    "ModelInfo": "_info",
    "Prices": "_info",
    "Rates": "_cost",
    "check_overrides": "_lookup",
    "cost_cents": "_cost",
    "dearest": "_cost",
    "model_info": "_lookup",
    "priced": "_cost",
}


def __getattr__(name: str) -> Any:
    # Making the values' classes costs milliseconds; a run with a model that nothing is known of needs none.
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
