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


def parse_arguments(raw: str) -> tuple[dict[str, Any], str | None]:
    """A call's arguments: the decoded object, or ``{}`` and the raw text when it is not a JSON object.

    An empty text is an empty object: that is how wires write a call without arguments.
    """
    if not raw.strip():
        return {}, None
    try:
        value = json.loads(raw, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError):
        return {}, raw
    return (value, None) if isinstance(value, dict) else ({}, raw)
