"""The reading half of :mod:`._convert`: decoded JSON to values, one hook for each kind of type.

Nothing is coerced, and every failure says what was expected where.
"""

from __future__ import annotations

import base64
import binascii
import functools
import re
import types
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn

from ._completion import Delta
from ._messages import Block, Opaque

Structure = Callable[[Any, Any], Any]

_NAMES: dict[Any, str] = {
    dict: "object",
    list: "array",
    tuple: "array",
    type(None): "null",
    bytes: "base64 text",
    Decimal: "a number as text",
    datetime: "a time as ISO 8601 text with its offset from UTC",
}


class Mismatch(Exception):
    """A value is not of its type."""


class _Inside(Mismatch):
    """Something is wrong inside an array or object; the cause says what."""


def register(made: cattrs.Converter) -> None:
    """Teach a converter to read every public type strictly."""
    made.register_structure_hook_func(lambda kind: kind is Any, lambda value, _: value)
    for plain in (str, int, bool):
        made.register_structure_hook(plain, _exactly(plain))
    made.register_structure_hook(float, _structure_float)
    made.register_structure_hook(bytes, _structure_bytes)
    made.register_structure_hook(Decimal, _structure_decimal)
    made.register_structure_hook(datetime, _structure_datetime)
    made.register_structure_hook_factory(_is_literal, _structure_literal)
    made.register_structure_hook_factory(_is_array, functools.partial(_structure_array, made))
    made.register_structure_hook_factory(_is_object, functools.partial(_structure_object, made))
    made.register_structure_hook_factory(attrs.has, functools.partial(_structure_class, made))
    made.register_structure_hook_factory(is_union, functools.partial(_structure_union, made))


# What a type is


def is_union(kind: Any) -> bool:
    """Whether a type is a union, ``X | None`` included."""
    return get_origin(kind) in (Union, types.UnionType)


def _is_literal(kind: Any) -> bool:
    return get_origin(kind) is Literal


def _is_array(kind: Any) -> bool:
    return get_origin(kind) in (tuple, list)


def _is_object(kind: Any) -> bool:
    return kind is dict or get_origin(kind) is dict


def tag_of(cls: type) -> str:
    """The ``"type"`` that stands for a class: its name in snake_case."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()


TAGGED = {cls: tag_of(cls) for cls in (*get_args(Block), *get_args(Delta))}
"""The classes that always carry their tag."""


def place_of(error: BaseException) -> tuple[str, str]:
    """Where in the JSON an error is, and what it says."""
    if isinstance(error, _Inside) and error.__cause__ is not None:
        path, cause = place_of(error.__cause__)
        return joined(str(error), path), cause
    if isinstance(error, cattrs.ClassValidationError):
        noted, bare = error.group_exceptions()
        if noted:
            inner, note = noted[0]
            if isinstance(inner, KeyError) and inner.args == (note.name,):
                return note.name, "missing"
            path, cause = place_of(inner)
            return joined(note.name, path), cause
        return place_of(bare[0])
    return "", str(error)


def joined(step: str, path: str) -> str:
    """A path with one step before it: ``content`` and ``[0].text`` make ``content[0].text``."""
    return f"{step}.{path}" if step and path and not path.startswith("[") else step + path


def _expected(what: str, value: Any) -> Mismatch:
    # The value's type and not the value, which may be long, or secret.
    return Mismatch(f"expected {what}, got {_NAMES.get(type(value), type(value).__name__)}")


# The hooks


def _exactly(plain: type) -> Structure:
    def structure(value: Any, _: Any) -> Any:
        if type(value) is not plain:
            raise _expected(plain.__name__, value)
        return value

    return structure


def _structure_float(value: Any, _: Any) -> float:
    if type(value) is int:
        return float(value)  # JSON does not tell 2 from 2.0
    if type(value) is not float:
        raise _expected("float", value)
    return value


def _structure_bytes(value: Any, _: Any) -> bytes:
    if type(value) is not str:
        raise _expected(_NAMES[bytes], value)
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise _expected(_NAMES[bytes], value) from exc


def _structure_decimal(value: Any, _: Any) -> Decimal:
    if type(value) is not str:
        raise _expected(_NAMES[Decimal], value)
    try:
        number = Decimal(value)
    except InvalidOperation as exc:
        raise _expected(_NAMES[Decimal], value) from exc
    if not number.is_finite():
        raise _expected(_NAMES[Decimal], value)
    return number


def _structure_datetime(value: Any, _: Any) -> datetime:
    if type(value) is not str:
        raise _expected(_NAMES[datetime], value)
    try:
        time = datetime.fromisoformat(value)
    except ValueError as exc:
        raise _expected(_NAMES[datetime], value) from exc
    if time.tzinfo is None:
        raise _expected(_NAMES[datetime], value)
    return time


def _structure_literal(kind: Any) -> Structure:
    choices = get_args(kind)

    def structure(value: Any, _: Any) -> Any:
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise _expected(f"one of {', '.join(map(repr, choices))}", value)
        return value

    return structure


def _structure_array(made: cattrs.Converter, kind: Any) -> Structure:
    build = get_origin(kind)
    element = get_args(kind)[0]
    if build is tuple and get_args(kind)[1:] != (...,):
        raise TypeError(f"{kind} is not an array of one type")
    structure_element: Structure | None = None

    def structure(value: Any, _: Any) -> Any:
        nonlocal structure_element
        if type(value) is not list:
            raise _expected("array", value)
        if structure_element is None:  # found late: types may hold themselves
            structure_element = made.get_structure_hook(element)
        items = []
        for index, item in enumerate(value):
            try:
                items.append(structure_element(item, element))
            except Exception as exc:
                raise _Inside(f"[{index}]") from exc
        return build(items)

    return structure


def _structure_object(made: cattrs.Converter, kind: Any) -> Structure:
    held = get_args(kind)[1] if get_args(kind) else Any

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise _expected("object", value)
        if held is Any:
            return value
        items = {}
        for key, item in value.items():
            try:
                items[key] = made.structure(item, held)
            except Exception as exc:
                raise _Inside(f"[{key!r}]") from exc
        return items

    return structure


def _structure_class(made: cattrs.Converter, cls: Any) -> Structure:
    read = make_dict_structure_fn(cls, made, _cattrs_detailed_validation=True)
    tag = TAGGED.get(cls)

    def structure(value: Any, _: Any) -> Any:
        if type(value) is not dict:
            raise _expected(cls.__name__, value)
        if tag is not None and value.get("type", tag) != tag:
            raise Mismatch(f"expected the type {tag!r}, got {value['type']!r}")
        return read(value, cls)

    return structure


def _structure_union(made: cattrs.Converter, union: Any) -> Structure:
    members = [member for member in get_args(union) if member is not type(None)]
    optional = len(members) < len(get_args(union))
    classes = {tag_of(member): member for member in members if attrs.has(member)}
    by_kind: dict[type, Any] = {}
    for member in members:
        if member not in classes.values():
            by_kind.setdefault(str if _is_literal(member) else get_origin(member) or member, member)
    if tuple in by_kind:
        by_kind[list] = by_kind.pop(tuple)
    expected = ", ".join([*sorted(classes), *(_NAMES.get(kind, kind.__name__) for kind in by_kind)])

    def structure(value: Any, _: Any) -> Any:
        if value is None and optional:
            return None
        if len(members) == 1:
            return made.structure(value, members[0])
        if type(value) is dict and classes:
            tag = value.get("type")
            if isinstance(tag, str) and tag in classes:
                return made.structure(value, classes[tag])
            if isinstance(tag, str) and Opaque in members:
                return Opaque("", value)
            raise _expected(f"'type' to be one of {', '.join(sorted(classes))}", tag)
        if type(value) in by_kind:
            return made.structure(value, by_kind[type(value)])
        raise _expected(f"one of {expected}", value)

    return structure
