"""A validator for the part of JSON Schema (draft 2020-12) that tools use; pure.

:func:`compile_schema` turns a schema into a function that lists everything that is wrong with a value, in
words that a model can act on. Only references inside the schema itself (``#/...``) are followed;
``format``, the rarer keywords (``if``, ``contains``, ``unevaluated…``, ``dependent…``) and unknown ones
assert nothing. ``items`` as an array, the way of draft 7, is understood too: servers still send it.

A failure of ``enum``, ``const`` or ``type`` hides the other findings at the same place: they would only
repeat that the value is of the wrong kind.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from alloy_trio.values import ToolDefinitionError

from ._problems import (
    EXPECTED,
    Check,
    Location,
    Problem,
    Validator,
    is_kind,
    is_number,
    json_equal,
    one_of,
    shown,
    unknown_key,
    wrong,
)


def compile_schema(schema: object) -> Validator:
    """Make a validator from a JSON Schema.

    Args:
        schema: the schema as Python data; true and false are schemas too.

    Returns:
        A function from a value to everything that is wrong with it; empty when it fits.

    Raises:
        ToolDefinitionError: the schema itself is malformed, or refers to something outside itself.
    """
    compiler = _Compiler(schema)
    check = compiler.compile(schema, "#")

    def validate(value: object) -> tuple[Problem, ...]:
        problems: list[Problem] = []
        check(value, (), problems)
        return tuple(problems)

    return validate


def _fail(where: str, seen: str, instead: str) -> ToolDefinitionError:
    return ToolDefinitionError(f"the input schema is wrong at {where}: {seen}; {instead}")


class _Compiler:
    """Compiles one schema document; knows its root, for the references."""

    def __init__(self, root: object) -> None:
        self._root = root
        self._references: dict[str, Check] = {}

    def compile(self, schema: object, where: str) -> Check:
        if schema is True:
            return lambda value, location, problems: None
        if schema is False:
            return lambda value, location, problems: problems.append(Problem(location, "is not allowed here"))
        if not isinstance(schema, Mapping):
            raise _fail(where, f"{shown(schema)} is not a schema", "write an object, true or false")
        first = self._kind_check(schema, where)
        rest: list[Check] = []
        for maker in (self._combined, self._referred, _numbers, _strings, self._arrays, self._objects):
            rest.extend(maker(schema, where))
        if not rest:
            return first

        def check(value: object, location: Location, problems: list[Problem]) -> None:
            before = len(problems)
            first(value, location, problems)
            if len(problems) == before:
                for each in rest:
                    each(value, location, problems)

        return check

    def _kind_check(self, schema: Mapping[str, Any], where: str) -> Check:
        allowed: list[Any] | None = None
        if "enum" in schema:
            allowed = _expect(schema, "enum", list, where)
            if not allowed:
                raise _fail(f"{where}/enum", "it is empty", "list at least one value")
        if "const" in schema:
            allowed = [schema["const"]]
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if not isinstance(kinds, list) or any(kind not in EXPECTED for kind in kinds):
            raise _fail(f"{where}/type", f"{shown(kinds)} is no type", "use " + ", ".join(EXPECTED))
        expected = " or ".join(EXPECTED[kind] for kind in kinds)

        def check(value: object, location: Location, problems: list[Problem]) -> None:
            if allowed is not None and not any(json_equal(value, each) for each in allowed):
                problems.append(wrong(location, one_of(allowed), value))
            elif kinds and not any(is_kind(value, kind) for kind in kinds):
                problems.append(wrong(location, expected, value))

        return check

    def _referred(self, schema: Mapping[str, Any], where: str) -> list[Check]:
        if "$ref" not in schema:
            return []
        reference = _expect(schema, "$ref", str, where)
        if reference not in self._references:
            target = self._look_up(reference, where)
            # Set before compiling: a schema that refers to itself finds this and not itself again.
            self._references[reference] = lambda value, location, problems: compiled(
                value, location, problems
            )
            compiled = _once(self.compile(target, reference))
        return [lambda value, location, problems: self._references[reference](value, location, problems)]

    def _look_up(self, reference: str, where: str) -> object:
        if not reference.startswith("#"):
            raise _fail(where, f"$ref {reference!r} points outside", "write the schema inline or under $defs")
        target: Any = self._root
        for step in reference[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target, Mapping) and key in target:
                target = target[key]
            elif isinstance(target, list) and key.isdecimal() and int(key) < len(target):
                target = target[int(key)]
            else:
                raise _fail(where, f"$ref {reference!r} points to nothing", "define it under $defs")
        if reference[1:] and not reference.startswith("#/"):
            raise _fail(where, f"$ref {reference!r} names an anchor", "point to it as #/$defs/name")
        return target

    def _combined(self, schema: Mapping[str, Any], where: str) -> list[Check]:
        checks: list[Check] = []
        if "allOf" in schema:
            checks.extend(self._branches(schema, "allOf", where))
        if "anyOf" in schema:
            checks.append(_any_of(self._branches(schema, "anyOf", where)))
        if "oneOf" in schema:
            checks.append(_one_of(self._branches(schema, "oneOf", where)))
        if "not" in schema:
            checks.append(_negated(self.compile(schema["not"], f"{where}/not")))
        return checks

    def _branches(self, schema: Mapping[str, Any], keyword: str, where: str) -> list[Check]:
        branches = _expect(schema, keyword, list, where)
        if not branches:
            raise _fail(f"{where}/{keyword}", "it is empty", "list at least one schema")
        return [self.compile(branch, f"{where}/{keyword}/{index}") for index, branch in enumerate(branches)]

    def _arrays(self, schema: Mapping[str, Any], where: str) -> list[Check]:
        checks = _sizes(schema, where, "minItems", "maxItems", "items", list | tuple)
        prefix = schema.get("prefixItems", [])
        items: object = schema.get("items", True)
        if isinstance(items, list):
            prefix, items = items, schema.get("additionalItems", True)
        if not isinstance(prefix, list):
            raise _fail(f"{where}/prefixItems", f"{shown(prefix)} is no list", "list one schema per place")
        leading = [self.compile(each, f"{where}/prefixItems/{index}") for index, each in enumerate(prefix)]
        others = self.compile(items, f"{where}/items")

        def check(value: object, location: Location, problems: list[Problem]) -> None:
            if not isinstance(value, list | tuple):
                return
            if items is False and len(value) > len(leading):
                problems.append(Problem(location, f"expected at most {len(leading)} items, got {len(value)}"))
                value = value[: len(leading)]
            for index, item in enumerate(value):
                (leading[index] if index < len(leading) else others)(item, (*location, index), problems)

        if leading or "items" in schema:
            checks.append(check)
        if schema.get("uniqueItems") is True:
            checks.append(_unique)
        return checks

    def _objects(self, schema: Mapping[str, Any], where: str) -> list[Check]:
        checks = _sizes(schema, where, "minProperties", "maxProperties", "keys", Mapping)
        required = _expect(schema, "required", list, where) if "required" in schema else []
        properties = {
            key: self.compile(each, f"{where}/properties/{key}")
            for key, each in (
                _expect(schema, "properties", Mapping, where) if "properties" in schema else {}
            ).items()
        }
        patterns = [
            (_pattern(key, where), self.compile(each, f"{where}/patternProperties/{key}"))
            for key, each in schema.get("patternProperties", {}).items()
        ]
        closed = schema.get("additionalProperties", True) is False
        additional = self.compile(schema.get("additionalProperties", True), f"{where}/additionalProperties")
        names = self.compile(schema.get("propertyNames", True), f"{where}/propertyNames")

        def check(value: object, location: Location, problems: list[Problem]) -> None:
            if not isinstance(value, Mapping):
                return
            problems.extend(Problem((*location, key), "missing") for key in required if key not in value)
            for key, item in value.items():
                names(key, (*location, key), problems)
                here = [properties[key]] if key in properties else []
                here.extend(each for pattern, each in patterns if pattern.search(key))
                if here or not closed:
                    for each in here or [additional]:
                        each(item, (*location, key), problems)
                else:
                    problems.append(unknown_key(location, key, properties))

        checks.append(check)
        return checks


def _expect(schema: Mapping[str, Any], keyword: str, kind: Any, where: str) -> Any:
    value = schema[keyword]
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = {list: "an array", str: "a string", Mapping: "an object"}.get(kind, "a number")
        raise _fail(f"{where}/{keyword}", f"{shown(value)} was given", f"write {wanted}")
    return value


def _once(check: Check) -> Check:
    """Guard a reference that leads back to itself without going deeper into the value."""
    active: set[tuple[int, int, Location]] = set()

    def guarded(value: object, location: Location, problems: list[Problem]) -> None:
        key = (threading.get_ident(), id(value), location)
        if key not in active:
            active.add(key)
            try:
                check(value, location, problems)
            finally:
                active.discard(key)

    return guarded


def _pattern(text: str, where: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as exc:
        raise _fail(
            where, f"the pattern {text!r} does not compile ({exc})", "mend it or leave it out"
        ) from exc


def _numbers(schema: Mapping[str, Any], where: str) -> list[Check]:
    rules: list[tuple[str, Callable[[Any, Any], bool], str]] = [
        ("minimum", lambda value, bound: value >= bound, "at least"),
        ("maximum", lambda value, bound: value <= bound, "at most"),
        ("exclusiveMinimum", lambda value, bound: value > bound, "more than"),
        ("exclusiveMaximum", lambda value, bound: value < bound, "less than"),
        ("multipleOf", _is_multiple, "a multiple of"),
    ]
    used = [
        (holds, words, _expect(schema, keyword, int | float, where))
        for keyword, holds, words in rules
        if keyword in schema
    ]

    def check(value: object, location: Location, problems: list[Problem]) -> None:
        if is_number(value):
            for holds, words, bound in used:
                if not holds(value, bound):
                    problems.append(Problem(location, f"expected {words} {bound}, got {shown(value)}"))

    return [check] if used else []


def _is_multiple(value: float, step: float) -> bool:
    from fractions import Fraction

    # By the digits that were written: 0.3 is a multiple of 0.1 there, and not in binary.
    return step != 0 and Fraction(repr(value)) % Fraction(repr(step)) == 0


def _strings(schema: Mapping[str, Any], where: str) -> list[Check]:
    checks = _sizes(schema, where, "minLength", "maxLength", "characters", str)
    if "pattern" in schema:
        text = _expect(schema, "pattern", str, where)
        pattern = _pattern(text, f"{where}/pattern")

        def check(value: object, location: Location, problems: list[Problem]) -> None:
            if isinstance(value, str) and not pattern.search(value):
                problems.append(Problem(location, f"expected text that matches {text}, got {shown(value)}"))

        checks.append(check)
    return checks


def _sizes(schema: Mapping[str, Any], where: str, least: str, most: str, noun: str, kind: Any) -> list[Check]:
    low = _expect(schema, least, int | float, where) if least in schema else 0
    high = _expect(schema, most, int | float, where) if most in schema else math.inf

    def check(value: object, location: Location, problems: list[Problem]) -> None:
        if isinstance(value, kind):
            size = len(value)
            if size < low:
                problems.append(Problem(location, f"expected at least {low} {noun}, got {size}"))
            elif size > high:
                problems.append(Problem(location, f"expected at most {high} {noun}, got {size}"))

    return [check] if low > 0 or high < math.inf else []


def _unique(value: object, location: Location, problems: list[Problem]) -> None:
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            if any(json_equal(item, other) for other in value[:index]):
                problems.append(Problem((*location, index), f"{shown(item)} is there twice; every item once"))


def _findings(check: Check, value: object, location: Location) -> list[Problem]:
    problems: list[Problem] = []
    check(value, location, problems)
    return problems


def _any_of(branches: list[Check]) -> Check:
    def check(value: object, location: Location, problems: list[Problem]) -> None:
        found = []
        for branch in branches:
            wrongs = _findings(branch, value, location)
            if not wrongs:
                return
            found.append(wrongs)
        problems.extend(_closest(found, value, location))

    return check


def _one_of(branches: list[Check]) -> Check:
    def check(value: object, location: Location, problems: list[Problem]) -> None:
        found = [_findings(branch, value, location) for branch in branches]
        fitting = sum(not wrongs for wrongs in found)
        if fitting > 1:
            problems.append(
                Problem(location, f"fits {fitting} of the allowed forms, and must fit exactly one")
            )
        elif fitting == 0:
            problems.extend(_closest(found, value, location))

    return check


def _closest(found: list[list[Problem]], value: object, location: Location) -> list[Problem]:
    """What to say when no branch fits: the findings of the one that was most likely meant."""
    meant = [wrongs for wrongs in found if not any(w.expected and w.location == location for w in wrongs)]
    if meant:
        return min(meant, key=len)
    expected = dict.fromkeys(
        w.expected for wrongs in found for w in wrongs if w.location == location and w.expected
    )
    return [wrong(location, " or ".join(expected), value)]


def _negated(check: Check) -> Check:
    def negated(value: object, location: Location, problems: list[Problem]) -> None:
        if not _findings(check, value, location):
            problems.append(Problem(location, f"{shown(value)} is not allowed here"))

    return negated
