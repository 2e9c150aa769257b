"""Python types as JSON Schema, and JSON values as Python arguments; pure.

For each annotation a :class:`Shape` is made: the schema that a model sees, and a function that turns a
value *that fits the schema* into the Python value. Whether it fits is decided by the schema alone
(:mod:`._jsonschema`), so what a model is told and what is accepted cannot come apart. A conversion adds
only what a schema cannot say: that a date exists, that base64 decodes, that a class accepts its fields.

Nothing is coerced: ``"3"`` is not 3, true is not 1. 3.0 is 3, because JSON has one type of numbers.
"""

from __future__ import annotations

import collections.abc as abc
import enum
import sys
import types
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import attrs

from alloy_trio.values import ToolDefinitionError

from ._jsonschema import compile_schema
from ._problems import ENOUGH, Location, Problem, Validator, wrong
from ._scalars import SCALARS, enum_shape, literal_shape

Convert = Callable[[Any, Location, list[Problem]], Any]


@attrs.frozen
class Shape:
    """A type, seen from both sides.

    Args:
        schema: what the model sees.
        convert: makes the argument from a value that fits; None where the JSON value is the argument.
    """

    schema: dict[str, Any]
    convert: Convert | None = None

    def __call__(self, value: Any, location: Location, problems: list[Problem]) -> Any:
        return value if self.convert is None else self.convert(value, location, problems)


_ARRAYS: dict[Any, Callable[[list[Any]], Any] | None] = {
    list: list,
    set: set,
    frozenset: frozenset,
    abc.Sequence: None,
    abc.MutableSequence: None,
    abc.Collection: None,
    abc.Iterable: None,
    abc.Set: frozenset,
    abc.MutableSet: set,
}
_OBJECTS = (dict, abc.Mapping, abc.MutableMapping)
_WRAPPERS = (typing.Required, typing.NotRequired, typing.Final, getattr(typing, "ReadOnly", typing.Final))
_SUPPORTED = (
    "str, int, float, bool, None, list, tuple, set, dict[str, …], Optional and unions, Literal, Enum, "
    "TypedDict, dataclasses, attrs classes, NamedTuple, datetime, Path, UUID, Decimal, bytes or Any"
)


class Shapes:
    """Makes the shapes of one signature, and holds the definitions that recursive types need."""

    def __init__(self) -> None:
        self.definitions: dict[str, Any] = {}
        self._finished: dict[Any, Shape] = {}
        self._open: dict[Any, str] = {}
        self._recursive: set[Any] = set()

    def shape(self, hint: Any, where: str) -> Shape:
        """The shape of a resolved annotation.

        Args:
            hint: the annotation, without strings in it.
            where: names the place in errors, like ``parameter 'city'``.

        Raises:
            ToolDefinitionError: a JSON Schema cannot express the type.
        """
        if hint in (Any, object):
            return Shape({})
        if hint is None or hint is types.NoneType:
            return Shape({"type": "null"})
        origin = get_origin(hint) or hint
        if origin is Annotated:
            return self._annotated(hint, where)
        if origin in _WRAPPERS:
            return self.shape(get_args(hint)[0], where)
        if origin in (Union, types.UnionType):
            return self._union(get_args(hint), where)
        if origin is Literal:
            return Shape(*literal_shape(get_args(hint), where))
        if origin is typing.LiteralString:
            return self.shape(str, where)
        if isinstance(hint, typing.NewType):
            return self.shape(hint.__supertype__, where)
        if type(hint).__name__ == "TypeAliasType":  # `type X = ...`, Python 3.12
            return self._named(hint, where, lambda: self.shape(hint.__value__, where))
        if origin in (tuple, *_ARRAYS):
            return self._array(hint, origin, where)
        if origin in _OBJECTS:
            return self._mapping(hint, where)
        if isinstance(hint, type):
            return self._class(hint, where)
        raise _unsupported(hint, where)

    def _class(self, hint: Any, where: str) -> Shape:
        if hint in SCALARS:
            schema, convert = SCALARS[hint]
            return Shape(dict(schema), convert)
        if issubclass(hint, enum.Enum):
            return Shape(*enum_shape(hint, where))
        if typing.is_typeddict(hint):
            return self._named(hint, where, lambda: self._typed_dict(hint, where))
        fields = _constructor_fields(hint, where)
        if fields is None:
            raise _unsupported(hint, where)
        return self._named(hint, where, lambda: self._record(hint, fields, where))

    def _annotated(self, hint: Any, where: str) -> Shape:
        inner, *notes = get_args(hint)
        shape = self.shape(inner, where)
        for note in notes:
            words = note if isinstance(note, str) else getattr(note, "documentation", None)
            if isinstance(words, str):
                return attrs.evolve(shape, schema={**shape.schema, "description": words})
        return shape

    def _union(self, members: tuple[Any, ...], where: str) -> Shape:
        # An int is also a number: where both are allowed, 3 stays an int.
        ordered = sorted(members, key=lambda member: member is float) if int in members else list(members)
        shapes = [self.shape(member, where) for member in ordered]
        schema = {"anyOf": [shape.schema for shape in shapes]}
        if all(shape.convert is None for shape in shapes):
            return Shape(schema)
        validators: list[Validator] = []

        def convert(value: Any, location: Location, problems: list[Problem]) -> Any:
            if not validators:  # made late: the definitions are complete only now
                validators.extend(compile_schema(self.document(shape.schema)) for shape in shapes)
            first: list[Problem] | None = None
            for shape, validator in zip(shapes, validators, strict=True):
                if not validator(value):
                    found: list[Problem] = []
                    result = shape(value, location, found)
                    if not found:
                        return result
                    first = first or found
            problems.extend(first or [])
            return None

        return Shape(schema, convert)

    def document(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A schema with the definitions that it may refer to."""
        return {**schema, "$defs": dict(self.definitions)} if self.definitions else schema

    def _array(self, hint: Any, origin: Any, where: str) -> Shape:
        args = get_args(hint)
        bare = hint is tuple or hint is typing.Tuple  # noqa: UP006 - the older way of writing it
        if origin is tuple and not bare and args[-1:] != (Ellipsis,):
            return self._fixed_tuple(() if args == ((),) else args, where)
        item = self.shape(args[0] if args else Any, f"{where}, its items")
        make = tuple if origin is tuple else _ARRAYS[origin]
        schema: dict[str, Any] = {"type": "array"}
        if item.schema:
            schema["items"] = item.schema
        unique = make in (set, frozenset)
        if unique:
            schema["uniqueItems"] = True
        if make in (list, None) and item.convert is None:
            return Shape(schema)

        def convert(value: Any, location: Location, problems: list[Problem]) -> Any:
            items = []
            for index, each in enumerate(value):
                if len(problems) >= ENOUGH:
                    break
                items.append(item(each, (*location, index), problems))
            if problems or make is None:
                return items
            try:
                return make(items)
            except TypeError:
                problems.append(wrong(location, "items that a set can hold (no arrays, no objects)", value))

        return Shape(schema, convert)

    def _fixed_tuple(self, members: tuple[Any, ...], where: str) -> Shape:
        shapes = [self.shape(member, f"{where}, item {index}") for index, member in enumerate(members)]
        schema = {
            "type": "array",
            "prefixItems": [shape.schema for shape in shapes],
            "items": False,
            "minItems": len(shapes),
            "maxItems": len(shapes),
        }
        if not shapes:
            del schema["prefixItems"]

        def convert(value: Any, location: Location, problems: list[Problem]) -> Any:
            pairs = enumerate(zip(shapes, value, strict=True))
            return tuple(shape(each, (*location, index), problems) for index, (shape, each) in pairs)

        return Shape(schema, convert)

    def _mapping(self, hint: Any, where: str) -> Shape:
        key_hint, value_hint = get_args(hint) or (str, Any)
        key, item = self.shape(key_hint, f"{where}, its keys"), self.shape(value_hint, f"{where}, its values")
        names = key.schema.get("enum", [""])
        if key.schema.get("type") != "string" or not all(isinstance(name, str) for name in names):
            raise ToolDefinitionError(
                f"{where} is {_name(hint)}: the keys of a JSON object are strings; write dict[str, …]"
            )
        schema: dict[str, Any] = {"type": "object"}
        if item.schema:
            schema["additionalProperties"] = item.schema
        if set(key.schema) - {"type", "description"}:
            schema["propertyNames"] = key.schema
        if key.convert is None and item.convert is None:
            return Shape(schema)

        def convert(value: Any, location: Location, problems: list[Problem]) -> Any:
            return {
                key(name, (*location, name), problems): item(each, (*location, name), problems)
                for name, each in value.items()
            }

        return Shape(schema, convert)

    def _named(self, hint: Any, where: str, build: Callable[[], Shape]) -> Shape:
        """A class or alias, which may lead back to itself: then it becomes a definition with a name."""
        if hint in self._finished:
            return self._finished[hint]
        if hint in self._open:
            self._recursive.add(hint)
            return Shape(
                {"$ref": f"#/$defs/{self._open[hint]}"},
                lambda value, location, problems: self._finished[hint](value, location, problems),
            )
        base = name = hint.__name__
        number = 1
        while name in self._open.values() or name in self.definitions:
            number += 1
            name = f"{base}{number}"
        self._open[hint] = name
        try:
            shape = build()
        finally:
            del self._open[hint]
        if hint in self._recursive:
            self.definitions[name] = shape.schema
            shape = attrs.evolve(shape, schema={"$ref": f"#/$defs/{name}"})
        self._finished[hint] = shape
        return shape

    def _typed_dict(self, hint: Any, where: str) -> Shape:
        fields = []
        for name, each in _hints(hint, where).items():
            origin = get_origin(each)
            required = origin is typing.Required or (
                origin is not typing.NotRequired and name in hint.__required_keys__
            )
            fields.append((name, name, each, required))
        return self._fields(hint, fields, dict, where)

    def _record(self, hint: Any, fields: list[tuple[str, str, bool]], where: str) -> Shape:
        hints = _hints(hint, where)
        full = []
        for name, argument, required in fields:
            if name not in hints:
                raise ToolDefinitionError(
                    f"{where} is {_name(hint)}, whose field {name!r} has no annotation; write {name}: str"
                )
            full.append((name, argument, hints[name], required))
        return self._fields(hint, full, hint, where)

    def _fields(self, hint: Any, fields: list[Any], make: Callable[..., Any], where: str) -> Shape:
        shapes = {
            argument: self.shape(each, f"{where}, field {name!r} of {hint.__name__}")
            for name, argument, each, _ in fields
        }
        schema: dict[str, Any] = {
            "type": "object",
            "properties": {argument: shape.schema for argument, shape in shapes.items()},
            "required": [argument for _, argument, _, required in fields if required],
            "additionalProperties": False,
        }

        def convert(value: Any, location: Location, problems: list[Problem]) -> Any:
            before = len(problems)
            given = {key: shapes[key](each, (*location, key), problems) for key, each in value.items()}
            if len(problems) > before:
                return None
            try:
                return make(**given)
            except (TypeError, ValueError) as exc:
                problems.append(Problem(location, f"not a valid {hint.__name__}: {exc}"))

        return Shape(schema, convert)


def _constructor_fields(cls: Any, where: str) -> list[tuple[str, str, bool]] | None:
    """The fields of a class as (name, argument of its constructor, required); None if it has none."""
    if attrs.has(cls):
        return [
            (each.name, each.alias or each.name, each.default is attrs.NOTHING)
            for each in attrs.fields(cls)
            if each.init
        ]
    if "__dataclass_fields__" in vars(cls):
        import dataclasses

        missing = dataclasses.MISSING
        return [
            (each.name, each.name, each.default is missing and each.default_factory is missing)
            for each in dataclasses.fields(cls)
            if each.init
        ]
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return [(name, name, name not in cls._field_defaults) for name in cls._fields]
    return None


def _hints(cls: Any, where: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError as exc:
        module = sys.modules.get(cls.__module__)
        raise ToolDefinitionError(
            f"{where} is {_name(cls)}, which names a type that cannot be found ({exc}); define or import it "
            f"in {getattr(module, '__name__', cls.__module__)}, outside of functions and of TYPE_CHECKING"
        ) from exc


def _name(hint: Any) -> str:
    return (
        hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint).replace("typing.", "")
    )


def _unsupported(hint: Any, where: str) -> ToolDefinitionError:
    return ToolDefinitionError(
        f"{where} is {_name(hint)}, which a model cannot write as JSON; use {_SUPPORTED}"
    )
