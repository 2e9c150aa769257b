"""Texts, JSON data and the like, of which the values are made."""

from __future__ import annotations

from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")

COUNTS = st.integers(min_value=0, max_value=2**40)
NAMES = st.one_of(
    st.sampled_from(["read", "write", "search"]), st.from_regex(r"[a-z][a-z0-9_]{0,11}", fullmatch=True)
)
"""What functions are called."""

IDS = st.from_regex(r"[a-z][a-z0-9]{0,7}", fullmatch=True)
TIMES_MS = st.integers(min_value=0, max_value=2**42)


def texts(*, max_size: int = 12) -> SearchStrategy[str]:
    """Any text that JSON can hold, lone surrogates among it: a model may write their escapes.

    A surrogate never stands before its other half, as JSON reads those two as the character that they stand for.
    """
    return st.text(st.characters(exclude_categories=()), max_size=max_size).map(_without_pairs)


def json_values(*, max_leaves: int = 6) -> SearchStrategy[Any]:
    """JSON data: None, booleans, numbers, texts, lists and objects."""
    return st.recursive(
        st.none() | st.booleans() | st.integers() | finite() | texts(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(), inner, max_size=3),
        max_leaves=max_leaves,
    )


def json_objects(*, max_size: int = 3) -> SearchStrategy[dict[str, Any]]:
    """JSON objects, as tools' inputs are."""
    return st.dictionaries(texts(), json_values(), max_size=max_size)


def finite() -> SearchStrategy[float]:
    """Floats that JSON can hold."""
    return st.floats(allow_nan=False, allow_infinity=False)


def several(strategy: SearchStrategy[T], most: int = 3, *, least: int = 0) -> SearchStrategy[tuple[T, ...]]:
    """A tuple of a few."""
    return st.lists(strategy, min_size=least, max_size=most).map(tuple)


def _without_pairs(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
