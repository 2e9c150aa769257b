"""What a tool returned, as JSON data and as text for a model; pure.

Nothing is guessed: what JSON cannot hold is refused with the place where it was found, because a model
that reads ``<object at 0x7f…>`` is misled.
"""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping, Sequence, Set
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from typing import Any, TypeGuard

import attrs

from ._problems import Location, place

CUT_NOTE = "\n[... {count} characters cut here{where} ...]\n"
"""The line that stands where the middle of a long text was."""

MAX_DEPTH = 100
"""Levels of objects and arrays in one another. Every reader of JSON has such a limit, most a few hundred."""

MAX_NUMBER_BITS = 14_000
"""Bits of an integer, some 4,200 digits; Python itself writes and reads no more than 4,300."""


class NotPlain(Exception):
    """A value that JSON cannot hold; the text says which and where."""


def plain(value: object) -> Any:
    """Copy a value into JSON data: attrs classes, dataclasses, enums, dates, paths and sets included.

    Raises:
        NotPlain: something in it is not JSON: bytes, NaN, a circle, half a surrogate pair, an object; or it is
            nested deeper than :data:`MAX_DEPTH`.
    """
    return _plain(value, (), set())


def to_text(value: object) -> str:
    """Write what a tool returned for the model: a str as it is, everything else as compact JSON.

    Raises:
        NotPlain: as :func:`plain`.
    """
    data = plain(value)
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def cut(text: str, limit: int, where: str = "") -> str:
    """Keep the head and the tail of a text that is longer than ``limit`` characters.

    Two thirds go to the head: what a listing or a file begins with says more than how it ends, while errors
    stand at the end. The result, with the line that says how much is missing, is not longer than the limit
    unless the limit is shorter than that line.

    Args:
        text: the text.
        limit: characters that may be left.
        where: what that line says further: where the rest of it is.
    """
    if len(text) <= limit:
        return text
    # The count's own width depends on the count; taking the widest that it can have is exact enough.
    room = max(limit - len(CUT_NOTE.format(count=len(text), where=where)), 0)
    tail = room // 3
    head = room - tail
    note = CUT_NOTE.format(count=len(text) - room, where=where)
    return text[:head] + note + (text[-tail:] if tail else "")


def _plain(value: object, location: Location, above: set[int]) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(str.__str__(value), location)
    if _is_enum(value):
        return _plain(value.value, location, above)
    if isinstance(value, int):
        if value.bit_length() > MAX_NUMBER_BITS:
            raise _refused(location, f"it is a number of {value.bit_length()} bits, too many digits to write")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise _refused(location, f"{value} is not a JSON number")
        return float(value)
    return _object(value, location, above)


def _object(value: object, location: Location, above: set[int]) -> Any:
    if id(value) in above:
        raise _refused(location, "it contains itself")
    if len(above) >= MAX_DEPTH:
        raise _refused((), f"it is nested deeper than {MAX_DEPTH} levels")
    above.add(id(value))
    try:
        if isinstance(value, Mapping):
            return _mapping(value, location, above)
        if attrs.has(type(value)):
            kind: Any = type(value)
            return {
                each.alias: _plain(getattr(value, each.name), (*location, each.alias), above)
                for each in attrs.fields(kind)
            }
        if is_dataclass(value) and not isinstance(value, type):
            return {
                each.name: _plain(getattr(value, each.name), (*location, each.name), above)
                for each in dataclass_fields(value)
            }
        if hasattr(value, "_asdict"):
            return _mapping(value._asdict(), location, above)
        if isinstance(value, Set):
            items = [_plain(item, (*location, "{}"), above) for item in value]
            # A set of str has another order in each process; a model's input must not depend on that.
            return sorted(items, key=lambda item: json.dumps(item, sort_keys=True))
        if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray | memoryview):
            return [_plain(item, (*location, index), above) for index, item in enumerate(value)]
        return _scalar(value, location)
    finally:
        above.discard(id(value))


def _mapping(value: Mapping[Any, Any], location: Location, above: set[int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, item in value.items():
        name = _plain(key, location, above)
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str):
            raise _refused(location, f"the key {key!r} is a {type(key).__name__}, and JSON keys are strings")
        if name in result:
            raise _refused(location, f"the key {name!r} is there twice")
        result[name] = _plain(item, (*location, name), above)
    return result


def _scalar(value: object, location: Location) -> str:
    import datetime
    import decimal
    import pathlib
    import uuid

    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, decimal.Decimal | pathlib.PurePath | uuid.UUID):
        return _text(str(value), location)
    kind = "bytes" if isinstance(value, bytes | bytearray | memoryview) else f"a {type(value).__name__}"
    raise _refused(location, f"{kind} is not something that JSON can hold")


def _text(text: str, location: Location) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as exc:
            raise _refused(location, f"character {exc.start} is half a surrogate pair, not text") from exc
    return text


def _is_enum(value: object) -> TypeGuard[enum.Enum]:
    return isinstance(value, enum.Enum)


def _refused(location: Location, why: str) -> NotPlain:
    return NotPlain(f"{place(location)}: {why}" if location else why)
