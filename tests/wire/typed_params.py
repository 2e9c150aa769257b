"""Checks JSON against a TypedDict of a vendor's client, field by field; also that no field is unknown.

Pydantic reads ``Iterable`` fields lazily and lets unknown fields pass, so it would let most mistakes through.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from typing import Any, Literal, Union

import typing_extensions


def mismatches(value: Any, annotation: Any, where: str = "$") -> list[str]:
    """Where the value is not what the annotation says, in words; empty when it fits."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if annotation is Any or annotation is object:
        return []
    if origin in (
        typing.Annotated,
        typing_extensions.Required,
        typing_extensions.NotRequired,
        typing.Required,
    ):
        return mismatches(value, args[0], where)
    if origin in (Union, types.UnionType):
        found = [mismatches(value, arg, where) for arg in args]
        # The reading that fails least is the one that was meant.
        return [] if any(not reading for reading in found) else min(found, key=len)
    if origin is Literal:
        return [] if value in args else [f"{where}: {value!r} is none of {args}"]
    if annotation is None or annotation is type(None):
        return [] if value is None else [f"{where}: {value!r} is not null"]
    if typing_extensions.is_typeddict(annotation):
        return _object(value, annotation, where)
    if origin in (dict, collections.abc.Mapping):
        if not isinstance(value, dict):
            return [f"{where}: {type(value).__name__} is no object"]
        return [bad for key, item in value.items() for bad in mismatches(item, args[1], f"{where}.{key}")]
    if origin is not None and issubclass(origin, collections.abc.Iterable):
        if not isinstance(value, list):
            return [f"{where}: {type(value).__name__} is no list"]
        return [bad for i, item in enumerate(value) for bad in mismatches(item, args[0], f"{where}[{i}]")]
    if getattr(annotation, "__name__", "") == "SequenceNotStr" or origin is not None:
        return [] if isinstance(value, list) else [f"{where}: {type(value).__name__} is no list"]
    if isinstance(annotation, type):
        wanted = (int, float) if annotation is float else annotation
        if isinstance(value, bool) and annotation is not bool:
            return [f"{where}: a bool is no {annotation.__name__}"]
        return (
            []
            if isinstance(value, wanted)
            else [f"{where}: {type(value).__name__} is no {annotation.__name__}"]
        )
    raise AssertionError(f"{where}: cannot check {annotation!r}")


def _object(value: Any, annotation: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {type(value).__name__} is no object"]
    hints = typing_extensions.get_type_hints(annotation, include_extras=True)
    required = {name for name, hint in hints.items() if typing.get_origin(hint) is typing_extensions.Required}
    required |= annotation.__required_keys__ & set(hints)
    found = [f"{where}: {name} is missing" for name in sorted(required - set(value))]
    found += [f"{where}: {name} is unknown to {annotation.__name__}" for name in value if name not in hints]
    for name, item in value.items():
        if name in hints:
            found += mismatches(item, hints[name], f"{where}.{name}")
    return found
