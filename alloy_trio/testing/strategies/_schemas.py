"""Tools as a model is told of them, and what it then calls them with: what fits, and what does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from alloy_trio.tools._jsonschema import compile_schema
from alloy_trio.values import ServerTool, ToolSpec

from ._plain import NAMES, finite, json_objects, json_values, several, texts

_DESCRIPTIONS = st.none() | st.just("what it is")
_MOST_DEEP = 4
"""How deep a schema that refers to itself is followed, where that can be avoided. Arbitrary."""


def tool_schemas(*, max_properties: int = 3) -> SearchStrategy[dict[str, Any]]:
    """JSON Schemas of tools' inputs, as signatures of functions make them: closed objects, also nested ones.

    Args:
        max_properties: of an object.
    """
    scalars: SearchStrategy[dict[str, Any]] = st.one_of(
        st.sampled_from([{"type": kind} for kind in ("string", "integer", "number", "boolean")]),
        st.sampled_from([{"type": "string", "minLength": 1}, {"type": "string", "maxLength": 3}]),
        st.builds(
            lambda low, more: {"type": "integer", "minimum": low, "maximum": low + more}, _SMALL, _SMALL
        ),
        several(texts(max_size=4), least=1).map(lambda words: {"enum": list(dict.fromkeys(words))}),
        st.just({"anyOf": [{"type": "string"}, {"type": "null"}]}),
    )
    inner = st.recursive(
        scalars,
        lambda deeper: st.one_of(
            deeper.map(lambda items: {"type": "array", "items": items}),
            deeper.map(lambda values: {"type": "object", "additionalProperties": values}),
            _objects(deeper, max_properties),
        ),
        max_leaves=4,
    )
    return _objects(inner, max_properties)


_SMALL = st.integers(min_value=0, max_value=9)


@st.composite
def _objects(draw: st.DrawFn, inner: SearchStrategy[dict[str, Any]], max_properties: int) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name in draw(st.lists(NAMES, unique=True, max_size=max_properties)):
        described = draw(_DESCRIPTIONS)
        schema = draw(inner)
        properties[name] = schema if described is None else {**schema, "description": described}
    required = [name for name in properties if draw(st.booleans())]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def tool_specs() -> SearchStrategy[ToolSpec]:
    """Tools as a model is told of them."""
    native: SearchStrategy[dict[str, str]] = st.just({}) | st.just({"anthropic": "memory_20250818"})
    return st.builds(ToolSpec, NAMES, texts(), tool_schemas(), st.booleans(), several(texts(), 1), native)


def server_tools() -> SearchStrategy[ServerTool]:
    """Tools that the vendor runs."""
    return st.builds(ServerTool, st.sampled_from(["web_search", "code_execution"]) | NAMES, json_objects())


def inputs(schema: Mapping[str, Any]) -> SearchStrategy[Any]:
    """Values that fit a JSON Schema: the inputs that a model may call a tool with.

    Known are the keywords of the schemas that ``@tool`` and :func:`tool_schemas` make: type, enum, const, anyOf, oneOf,
    ``$ref`` into the schema, properties, required, additionalProperties, items, prefixItems, and the bounds of numbers,
    lengths and sizes. Others are searched for by trial.

    Args:
        schema: of a tool: ``my_tool.input_schema``.
    """
    fits = compile_schema(schema)
    return _fitting(schema, schema, 0).filter(lambda value: not fits(value))


def invalid_inputs(schema: Mapping[str, Any]) -> SearchStrategy[dict[str, Any]]:
    """JSON objects that do not fit the schema of a tool: a key too few or too many, or something of the wrong kind.

    Args:
        schema: an object's; one that any object fits has none.
    """
    fits = compile_schema(schema)
    valid = inputs(schema).filter(lambda value: isinstance(value, dict))
    return st.one_of(
        valid.flatmap(_spoiled), st.dictionaries(NAMES, json_values(max_leaves=2), max_size=2)
    ).filter(lambda value: bool(fits(value)))


@st.composite
def _spoiled(draw: st.DrawFn, value: dict[str, Any]) -> dict[str, Any]:
    names = sorted(value)
    way = draw(st.sampled_from(["wrong", "missing", "unknown"] if names else ["unknown"]))
    if way == "unknown":
        return {**value, draw(NAMES): draw(json_values(max_leaves=1))}
    name = draw(st.sampled_from(names))
    if way == "missing":
        return {key: each for key, each in value.items() if key != name}
    return {**value, name: draw(json_values(max_leaves=2))}


def _fitting(schema: Any, root: Mapping[str, Any], depth: int) -> SearchStrategy[Any]:
    if schema is True or not schema:
        return json_values(max_leaves=2)
    if schema is False:
        return st.nothing()
    if "$ref" in schema:
        target = _target(schema["$ref"], root)
        return st.deferred(lambda: _fitting(target, root, depth + 1))
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(list(schema["enum"]))
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            branches = [_fitting({**_beside(schema), **branch}, root, depth) for branch in schema[keyword]]
            return st.one_of(*sorted(branches, key=lambda branch: branch.is_empty))
    kinds = schema.get("type", _guessed(schema))
    kinds = [kinds] if isinstance(kinds, str) else kinds
    return st.one_of(*(_MAKERS[kind](schema, root, depth) for kind in kinds))


def _beside(schema: Mapping[str, Any]) -> dict[str, Any]:
    """What holds beside a choice, as far as it says what kind of value there is."""
    return {key: each for key, each in schema.items() if key == "type"}


def _guessed(schema: Mapping[str, Any]) -> list[str]:
    if "properties" in schema or "additionalProperties" in schema:
        return ["object"]
    return ["array"] if "items" in schema or "prefixItems" in schema else list(_MAKERS)


def _target(reference: str, root: Mapping[str, Any]) -> Any:
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        found = found[int(key)] if isinstance(found, list) else found[key]
    return found


def _strings(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> SearchStrategy[str]:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" in schema:
        return st.from_regex(schema["pattern"])
    most = max(least, 12) if most is None else most
    return st.text(st.characters(exclude_categories=["Cs"]), min_size=least, max_size=most)


def _integers(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> SearchStrategy[int]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if "exclusiveMinimum" in schema:
        low = int(schema["exclusiveMinimum"]) + 1
    if "exclusiveMaximum" in schema:
        high = -(-schema["exclusiveMaximum"] // 1) - 1
    step = schema.get("multipleOf", 1)
    if step == 1:
        return st.integers(None if low is None else -int(-low // 1), None if high is None else int(high // 1))
    return st.integers(
        None if low is None else -int(-low // step), None if high is None else int(high // step)
    ).map(lambda times: times * step)


def _numbers(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> SearchStrategy[Any]:
    if "multipleOf" in schema:
        return _integers(schema, root, depth)
    low, high = schema.get("minimum"), schema.get("maximum")
    floats: SearchStrategy[Any] = finite()
    if low is not None or high is not None or {"exclusiveMinimum", "exclusiveMaximum"} & schema.keys():
        floats = st.floats(
            schema.get("exclusiveMinimum", low),
            schema.get("exclusiveMaximum", high),
            allow_nan=False,
            allow_infinity=False,
            exclude_min="exclusiveMinimum" in schema,
            exclude_max="exclusiveMaximum" in schema,
        )
    try:
        whole = _integers(schema, root, depth)
        whole.validate()
    except InvalidArgument:
        return floats  # there is no whole number between the bounds
    return whole | floats


def _arrays(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> SearchStrategy[list[Any]]:
    leading = [_fitting(each, root, depth + 1) for each in schema.get("prefixItems", ())]
    items = schema.get("items", True)
    least = max(schema.get("minItems", 0) - len(leading), 0)
    most = schema.get("maxItems")
    most = least + (2 if depth < _MOST_DEEP else 0) if most is None else max(most - len(leading), 0)
    if items is False:
        most = 0
    most = min(most, least + 3)
    rest = st.lists(
        _fitting(items, root, depth + 1),
        min_size=least,
        max_size=most,
        unique_by=repr if schema.get("uniqueItems") else None,
    )
    return st.tuples(st.tuples(*leading), rest).map(lambda parts: [*parts[0], *parts[1]])


def _closed_or_open(
    schema: Mapping[str, Any], root: Mapping[str, Any], depth: int
) -> SearchStrategy[dict[str, Any]]:
    properties: Mapping[str, Any] = schema.get("properties", {})
    required = [name for name in schema.get("required", ()) if name in properties]
    unnamed = {name: True for name in schema.get("required", ()) if name not in properties}
    deep = depth >= _MOST_DEEP
    named = st.fixed_dictionaries(
        {name: _fitting({**properties, **unnamed}[name], root, depth + 1) for name in (*required, *unnamed)},
        optional={
            name: _fitting(each, root, depth + 1)
            for name, each in properties.items()
            if name not in required and not deep
        },
    )
    additional = schema.get("additionalProperties", not properties)
    if additional is False or (additional is True and properties) or deep:
        return named
    least = max(schema.get("minProperties", 0) - len(properties), 0)
    more = st.dictionaries(
        texts(max_size=4).filter(lambda name: name not in properties),
        _fitting(additional, root, depth + 1),
        min_size=least,
        max_size=max(least, schema.get("maxProperties", 2)),
    )
    return st.tuples(more, named).map(lambda parts: {**parts[1], **parts[0]})


_MAKERS: dict[str, Any] = {
    "null": lambda schema, root, depth: st.none(),
    "boolean": lambda schema, root, depth: st.booleans(),
    "integer": _integers,
    "number": _numbers,
    "string": _strings,
    "array": _arrays,
    "object": _closed_or_open,
}
