"""JSON as the codecs write and read it, and what of it goes into error messages."""

from __future__ import annotations

import json
import math
from typing import Any


def excerpt(text: str | bytes, limit: int = 200) -> str:
    """The beginning of a text, fit for an error message."""
    if isinstance(text, bytes):
        text = text[: limit * 4].decode("utf-8", "replace")
    text = " ".join(text.split())
    return text if len(text) <= limit else text[:limit] + "…"


_decode = json.JSONDecoder().raw_decode


def load(text: str) -> Any:
    """What json.loads gives, in half the time when no white space stands around the value.

    Raises:
        ValueError: the text is not JSON.
    """
    try:
        value, end = _decode(text)
    except ValueError:
        return json.loads(text)
    return value if end == len(text) else json.loads(text)


def dump(value: Any) -> bytes:
    """JSON as compact UTF-8 bytes, the same for the same value.

    Raises:
        ValueError: the value holds NaN or an infinity, which JSON has no form for.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Lone surrogates come out of models' \ud83d escapes; no UTF-8 exists for them and servers answer 400.
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()


def _refuse_constant(name: str) -> None:
    # NaN and the infinities: Python reads them, but no wire would take them back.
    raise ValueError(name)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):  # 1e999
        raise ValueError(text)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        # Which of the two is meant? Readers differ, so that one could be checked and the other be run.
        raise ValueError("a key is there twice")
    return made


MAX_DEPTH = 100
"""Levels of objects and arrays in a call's arguments. What reads and writes them takes some stack for each."""


def too_deep(value: Any) -> bool:
    """Whether an object or array has more levels than arguments may have. Takes no stack itself."""
    level = [value]
    for _ in range(MAX_DEPTH):
        items = (each.values() if isinstance(each, dict) else each for each in level)
        level = [inner for each in items for inner in each if isinstance(inner, dict | list)]
        if not level:
            return False
    return True


def parse_arguments(raw: str) -> tuple[dict[str, Any], str | None]:
    """A call's arguments: the decoded object, or ``{}`` and the raw text when it is not a JSON object.

    Nor is it one when it contradicts itself, by a key that is there twice, holds a number that JSON or a float has
    no form for, or has more than :data:`MAX_DEPTH` levels. An empty text is an empty object: that is how wires
    write a call without arguments.
    """
    if not raw.strip():
        return {}, None
    try:
        value = json.loads(raw, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return {}, raw
    if not isinstance(value, dict) or (raw.count("{") + raw.count("[") > MAX_DEPTH and too_deep(value)):
        return {}, raw
    return value, None
