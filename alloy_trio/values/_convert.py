"""Values to JSON and back; the one place where a cattrs converter is made.

What the JSON looks like: an object per value, its keys in the order of the attributes. What may be one of
several classes (blocks, deltas) carries ``"type"`` with the class's name in snake_case, wherever it stands.
Bytes are base64, Decimals strings, tuples arrays. An optional field that is None is left out; every other
field is written, also when it has its default, so that a reader in another language need not know our
defaults.

Reading is strict about types (nothing is coerced: ``"3"`` is not 3, ``true`` is not 1) and lenient about what
is new: unknown keys are ignored, and a block of an unknown type becomes an Opaque that holds the object.

The standard library's json does the parsing, also where a faster one is installed: those turn integers beyond
64 bits into floats and write floats differently, so that equal values would not be equal texts everywhere.
"""

from __future__ import annotations

import base64
import functools
import json
import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn, TypeVar, get_args, get_origin, overload

import attrs
import cattrs
from cattrs.gen import make_dict_unstructure_fn, override

from ._errors import ConfigurationError
from ._structuring import TAGGED, Mismatch, is_union, joined, place_of, register, tag_of

T = TypeVar("T")
_Unstructure = Callable[[Any], Any]

_SURROGATE = re.compile("[\ud800-\udfff]")


def to_json(value: Any) -> str:
    """Any public value, or a tuple, list or dict of them, as compact JSON.

    The text is free of lone surrogates (they are escaped), so that it can always be written as UTF-8.

    Raises:
        ConfigurationError: the value holds what JSON cannot: NaN, an infinity, or an object that is neither
            plain data nor a value of ours. The message names the place.
    """
    try:
        text = json.dumps(
            converter().unstructure(value), ensure_ascii=False, allow_nan=False, separators=(",", ":")
        )
    except RecursionError as exc:
        raise ConfigurationError(
            "this has no form in JSON: it is nested too deeply, or holds itself"
        ) from exc
    except (TypeError, ValueError) as exc:
        raise ConfigurationError(f"this has no form in JSON: {next(_culprits(value, ''), str(exc))}") from exc
    if not text.isascii():
        text = _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return text


@overload
def from_json(text: str | bytes, type: type[T]) -> T: ...
@overload
def from_json(text: str | bytes, type: Any) -> Any: ...
def from_json(text: str | bytes, type: Any) -> Any:
    """The value that :func:`to_json` wrote.

    Args:
        text: JSON, as str or as UTF-8 bytes.
        type: what it is: a public class, a union such as ``Block``, or ``tuple[Message, ...]``.

    Raises:
        ConfigurationError: the text is not JSON, or not of that type. The message names the place, as in
            ``messages[2].content[0].text: expected str, got int``.
    """
    try:
        data = json.loads(text, parse_constant=_no_constant, parse_float=_finite)
    except (ValueError, RecursionError) as exc:
        raise ConfigurationError(f"this is not JSON: {exc}") from exc
    try:
        return converter().structure(data, type)
    except (cattrs.BaseValidationError, cattrs.StructureHandlerNotFoundError, Mismatch) as exc:
        path, cause = place_of(exc)
        raise ConfigurationError(f"{path}: {cause}" if path else str(cause)) from exc
    except ConfigurationError as exc:
        raise ConfigurationError(str(exc)) from exc


@functools.cache
def converter() -> cattrs.Converter:
    """The converter that all of the project's JSON goes through. Upper rooms may add hooks for their types.

    attrs classes, unions of them, tuples, and dicts need no hook of their own.
    """
    made = cattrs.Converter(detailed_validation=True)
    register(made)
    made.register_unstructure_hook(bytes, lambda value: base64.b64encode(value).decode())
    made.register_unstructure_hook(Decimal, _unstructure_decimal)
    made.register_unstructure_hook(datetime, datetime.isoformat)
    made.register_unstructure_hook_func(lambda kind: kind is Any or _is_plain_dict(kind), _plain)
    made.register_unstructure_hook_factory(attrs.has, functools.partial(_unstructure_class, made))
    made.register_unstructure_hook_factory(is_union, functools.partial(_unstructure_union, made))
    return made


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which JSON has no form for")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text} is too large")
    return value


def _is_plain_dict(kind: Any) -> bool:
    return get_origin(kind) is dict and get_args(kind)[1] is Any


def _plain(value: Any) -> Any:
    """Plain JSON data, as it is; tuples become lists, everything else is refused."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not a str")
        return {key: _plain(item) for key, item in value.items()}
    raise TypeError(f"{type(value).__name__} is not plain data")


def _unstructure_decimal(value: Decimal) -> str:
    if not value.is_finite():
        raise ValueError(f"{value} is not a finite number")
    return str(value)


def _unstructure_class(made: cattrs.Converter, cls: Any) -> _Unstructure:
    attrs.resolve_types(cls)
    left_out = {
        field.name: override(omit_if_default=True) for field in attrs.fields(cls) if field.default is None
    }
    write = make_dict_unstructure_fn(cls, made, **left_out)  # type: ignore[arg-type]
    tag = TAGGED.get(cls)
    return write if tag is None else lambda value: {"type": tag, **write(value)}


def _unstructure_union(made: cattrs.Converter, union: Any) -> _Unstructure:
    members = [member for member in get_args(union) if member is not type(None)]
    alone = len(members) == 1
    generic = {get_origin(member): member for member in members if get_origin(member) in (tuple, list, dict)}

    def unstructure(value: Any) -> Any:
        if value is None:
            return None
        if alone:
            return made.unstructure(value, members[0])
        written = made.unstructure(value, generic.get(type(value), type(value)))
        if attrs.has(type(value)) and "type" not in written:
            return {"type": tag_of(type(value)), **written}
        return written

    return unstructure


def _culprits(value: Any, path: str, ours: bool = False, plain: bool = False) -> Iterator[str]:
    """The places in a value that have no form in JSON; slow, for the error message.

    ``ours`` inside a value of ours. There, what is in a dict or in a field for anything is ``plain`` data,
    from which bytes and Decimals could not be read back.
    """
    where = path or "the value"
    if attrs.has(type(value)) and not plain:
        for field in attrs.fields(type(value)):
            step = joined(path, field.name)
            yield from _culprits(getattr(value, field.name), step, True, field.type in (Any, "Any"))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _culprits(item, f"{path}[{index}]", ours, plain)
    elif isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                yield f"{where} has the key {key!r}, which is not a str"
            yield from _culprits(item, f"{path}[{key!r}]", ours, plain or ours)
    elif isinstance(value, float | Decimal) and not math.isfinite(value):
        yield f"{where} is {value}"
    elif not isinstance(value, str | int | float | None) and (
        plain or not isinstance(value, bytes | Decimal)
    ):
        yield f"{where} is of type {type(value).__name__}"
