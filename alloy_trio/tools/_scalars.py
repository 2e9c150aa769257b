"""The types that are one JSON scalar: each with its schema and its conversion; pure.

A conversion is called only with a value that fits the schema beside it.
"""

from __future__ import annotations

import base64
import binascii
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from collections.abc import Callable, Iterable
from typing import Any

from alloy_trio.values import ToolDefinitionError

from ._problems import Location, Problem, is_kind, json_equal, shown, wrong

_Convert = Callable[[Any, Location, list[Problem]], Any]
_Pair = tuple[dict[str, Any], _Convert | None]

_DECIMAL = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def _integer(value: Any, location: Location, problems: list[Problem]) -> Any:
    return int(value)


def _float(value: Any, location: Location, problems: list[Problem]) -> Any:
    try:
        return float(value)
    except OverflowError:
        problems.append(
            Problem(location, "expected a number that a float can hold, got one with too many digits")
        )


def _parsed(parse: Callable[[str], Any], expected: str) -> _Convert:
    def convert(value: Any, location: Location, problems: list[Problem]) -> Any:
        try:
            return parse(value)
        except (ValueError, OverflowError, decimal.InvalidOperation, binascii.Error):
            problems.append(wrong(location, expected, value))

    return convert


def _base64(value: str) -> bytes:
    return base64.b64decode(value, validate=True)


def _decimal(value: str | float) -> decimal.Decimal:
    # By its digits: the number 0.1 that a model wrote is 0.1, and not what binary makes of it.
    return decimal.Decimal(value if isinstance(value, str) else repr(value))


_PATH: _Pair = ({"type": "string"}, _parsed(pathlib.Path, "a path"))

SCALARS: dict[Any, _Pair] = {
    str: ({"type": "string"}, None),
    bool: ({"type": "boolean"}, None),
    int: ({"type": "integer"}, _integer),
    float: ({"type": "number"}, _float),
    datetime.datetime: (
        {"type": "string", "format": "date-time"},
        _parsed(datetime.datetime.fromisoformat, 'a date and time like "2026-03-31T09:30:00+02:00"'),
    ),
    datetime.date: (
        {"type": "string", "format": "date"},
        _parsed(datetime.date.fromisoformat, 'a date like "2026-03-31"'),
    ),
    datetime.time: (
        {"type": "string", "format": "time"},
        _parsed(datetime.time.fromisoformat, 'a time like "09:30:00"'),
    ),
    pathlib.Path: _PATH,
    pathlib.PurePath: _PATH,
    uuid.UUID: (
        {"type": "string", "format": "uuid"},
        _parsed(uuid.UUID, 'a UUID like "12345678-1234-5678-1234-567812345678"'),
    ),
    decimal.Decimal: (
        {"anyOf": [{"type": "string", "pattern": _DECIMAL}, {"type": "number"}]},
        _parsed(_decimal, 'a decimal number like "12.50"'),
    ),
    bytes: ({"type": "string", "contentEncoding": "base64"}, _parsed(_base64, "base64 text")),
}


def literal_shape(members: tuple[Any, ...], where: str) -> _Pair:
    """The schema and conversion of ``Literal[...]``; members of an Enum stand for their values."""
    return _choice(
        [(member.value if isinstance(member, enum.Enum) else member, member) for member in members], where
    )


def enum_shape(cls: type[enum.Enum], where: str) -> _Pair:
    """The schema and conversion of an Enum: the model writes the values."""
    return _choice([(member.value, member) for member in cls], where)


def _choice(pairs: Iterable[tuple[Any, Any]], where: str) -> _Pair:
    options = list(pairs)
    values = [value for value, _ in options]
    for value in values:
        if value is not None and not isinstance(value, str | int | float):
            raise ToolDefinitionError(
                f"{where} allows {shown(value)}, which a model cannot write as JSON; give the choices str, "
                "int, float, bool or None as values"
            )
    if not values:
        raise ToolDefinitionError(f"{where} is an Enum without members, so no value fits; add members")
    schema: dict[str, Any] = {"enum": json.loads(json.dumps(values))}
    kinds = ("string", "integer", "number", "boolean", "null")
    kind = next((kind for kind in kinds if all(is_kind(value, kind) for value in values)), None)
    if kind is not None:
        schema = {"type": kind, **schema}

    def convert(value: Any, location: Location, problems: list[Problem]) -> Any:
        return next(member for known, member in options if json_equal(known, value))

    return schema, (
        None if all(value is member and isinstance(member, str) for value, member in options) else convert
    )
