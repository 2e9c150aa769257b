"""A validator for the part of JSON Schema (draft 2020-12) that tools use; pure.

:func:`compile_schema` turns a schema into a function that lists everything that is wrong with a value, in
words that a model can act on. Only references inside the schema itself (``#/...``) are followed;
``format``, the rarer keywords (``if``, ``contains``, ``unevaluated…``, ``dependent…``) and unknown ones
assert nothing. ``items`` as an array, the way of draft 7, is understood too: servers still send it.

A failure of ``enum``, ``const`` or ``type`` hides the other findings at the same place: they would only
repeat that the value is of the wrong kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._keywords import (
    References,
    TooMuch,
    compiled_pattern,
    expect,
    fits_any,
    fits_not,
    fits_one,
    malformed,
    numbers,
    sizes,
    strings,
    unique_items,
)
from ._problems import (
    ENOUGH,
    EXPECTED,
    Check,
    Location,
    Problem,
    Validator,
    is_kind,
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
    try:
        check = compiler.compile(schema, "#")
    except RecursionError:
        raise malformed(
            "#", "it is nested too deeply, or refers on too many times", "write it flatter"
        ) from None

    def validate(value: object) -> tuple[Problem, ...]:
        problems: list[Problem] = []
        compiler.references.begin()
        try:
            check(value, (), problems)
        except RecursionError:
            problems.append(Problem((), "is nested too deeply to be checked"))
        except TooMuch:
            problems.append(Problem((), "takes too long to be checked"))
        finally:
            compiler.references.end()
        return tuple(problems)

    return validate


class _Compiler:
    """Compiles one schema document; knows its root, for the references."""

    def __init__(self, root: object) -> None:
        self.references = References()
        self._root = root
        self._compiled: dict[str, Check] = {}

    def compile(self, schema: object, where: str) -> Check:
        if schema is True:
            return lambda value, location, problems: None
        if schema is False:
            return lambda value, location, problems: problems.append(Problem(location, "is not allowed here"))
        if not isinstance(schema, Mapping):
            raise malformed(where, f"{shown(schema)} is not a schema", "write an object, true or false")
        first = self._kind_check(schema, where)
        for name, each in (expect(schema, "$defs", Mapping, where) if "$defs" in schema else {}).items():
            self.compile(each, f"{where}/$defs/{name}")  # nothing refers to it perhaps, and it may be wrong
        rest: list[Check] = []
        for maker in (self._combined, self._referred, numbers, strings, self._arrays, self._objects):
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
            allowed = expect(schema, "enum", list, where)
            if not allowed:
                raise malformed(f"{where}/enum", "it is empty", "list at least one value")
        if "const" in schema:
            const = [schema["const"]]
            allowed = const if allowed is None else [each for each in allowed if json_equal(each, *const)]
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if (
            not isinstance(kinds, list)
            or not all(isinstance(kind, str) and kind in EXPECTED for kind in kinds)
            or ("type" in schema and not kinds)
        ):
            raise malformed(f"{where}/type", f"{shown(kinds)} is no type", "use " + ", ".join(EXPECTED))
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
        reference = expect(schema, "$ref", str, where)
        if reference not in self._compiled:
            target = self._look_up(reference, where)
            # Set before compiling: a schema that refers to itself finds this and not itself again.
            self._compiled[reference] = lambda value, location, problems: compiled(value, location, problems)
            compiled = self.references.guarded(self.compile(target, reference))
        return [lambda value, location, problems: self._compiled[reference](value, location, problems)]

    def _look_up(self, reference: str, where: str) -> object:
        if not reference.startswith("#"):
            raise malformed(
                where, f"$ref {reference!r} points outside", "write the schema inline or under $defs"
            )
        target: Any = self._root
        for step in reference[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(target, Mapping) and key in target:
                target = target[key]
            elif isinstance(target, list) and key.isdecimal() and int(key) < len(target):
                target = target[int(key)]
            else:
                raise malformed(where, f"$ref {reference!r} points to nothing", "define it under $defs")
        if reference[1:] and not reference.startswith("#/"):
            raise malformed(where, f"$ref {reference!r} names an anchor", "point to it as #/$defs/name")
        return target

    def _combined(self, schema: Mapping[str, Any], where: str) -> list[Check]:
        checks: list[Check] = []
        if "allOf" in schema:
            checks.extend(self._branches(schema, "allOf", where))
        if "anyOf" in schema:
            checks.append(fits_any(self._branches(schema, "anyOf", where)))
        if "oneOf" in schema:
            checks.append(fits_one(self._branches(schema, "oneOf", where)))
        if "not" in schema:
            checks.append(fits_not(self.compile(schema["not"], f"{where}/not")))
        return checks

    def _branches(self, schema: Mapping[str, Any], keyword: str, where: str) -> list[Check]:
        branches = expect(schema, keyword, list, where)
        if not branches:
            raise malformed(f"{where}/{keyword}", "it is empty", "list at least one schema")
        return [self.compile(branch, f"{where}/{keyword}/{index}") for index, branch in enumerate(branches)]

    def _arrays(self, schema: Mapping[str, Any], where: str) -> list[Check]:
        checks = sizes(schema, where, "minItems", "maxItems", "items", list | tuple)
        prefix = schema.get("prefixItems", [])
        items: object = schema.get("items", True)
        if isinstance(items, list):
            prefix, items = items, schema.get("additionalItems", True)
        if not isinstance(prefix, list):
            raise malformed(
                f"{where}/prefixItems", f"{shown(prefix)} is no list", "list one schema per place"
            )
        if not schema.get("prefixItems", True):
            raise malformed(
                f"{where}/prefixItems", "it is empty", "list one schema per place, or leave it out"
            )
        leading = [self.compile(each, f"{where}/prefixItems/{index}") for index, each in enumerate(prefix)]
        others = self.compile(items, f"{where}/items")

        def check(value: object, location: Location, problems: list[Problem]) -> None:
            if not isinstance(value, list | tuple):
                return
            if items is False and len(value) > len(leading):
                problems.append(Problem(location, f"expected at most {len(leading)} items, got {len(value)}"))
                value = value[: len(leading)]
            for index, item in enumerate(value):
                if len(problems) >= ENOUGH:
                    return
                (leading[index] if index < len(leading) else others)(item, (*location, index), problems)

        if leading or "items" in schema:
            checks.append(check)
        unique = schema.get("uniqueItems", False)
        if not isinstance(unique, bool):
            raise malformed(f"{where}/uniqueItems", f"{shown(unique)} was given", "write true or false")
        if unique:
            checks.append(unique_items)
        return checks

    def _objects(self, schema: Mapping[str, Any], where: str) -> list[Check]:
        checks = sizes(schema, where, "minProperties", "maxProperties", "keys", Mapping)
        required = expect(schema, "required", list, where) if "required" in schema else []
        if not all(isinstance(name, str) for name in required):
            raise malformed(f"{where}/required", "it holds something that is no key", "list strings")
        properties = {
            key: self.compile(each, f"{where}/properties/{key}")
            for key, each in (
                expect(schema, "properties", Mapping, where) if "properties" in schema else {}
            ).items()
        }
        patterns = [
            (compiled_pattern(key, where), self.compile(each, f"{where}/patternProperties/{key}"))
            for key, each in (
                expect(schema, "patternProperties", Mapping, where) if "patternProperties" in schema else {}
            ).items()
        ]
        closed = schema.get("additionalProperties", True) is False
        additional = self.compile(schema.get("additionalProperties", True), f"{where}/additionalProperties")
        names = self.compile(schema.get("propertyNames", True), f"{where}/propertyNames")

        def check(value: object, location: Location, problems: list[Problem]) -> None:
            if not isinstance(value, Mapping):
                return
            problems.extend(Problem((*location, key), "missing") for key in required if key not in value)
            for key, item in value.items():
                if len(problems) >= ENOUGH:
                    return
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
