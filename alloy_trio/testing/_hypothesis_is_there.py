"""Imported before what is made of Hypothesis; says what to install where it is missing."""

from __future__ import annotations

from alloy_trio.values import MissingExtra

try:
    import hypothesis  # noqa: F401 - it is enough that it can be
except ImportError as error:
    raise MissingExtra(
        "the strategies and the state machine need Hypothesis, which is not installed: "
        'pip install "alloy-trio[testing]"'
    ) from error
