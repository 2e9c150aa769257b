"""The validator: it agrees with the reference implementation, and says what is wrong."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alloy_trio.tools import _keywords
from alloy_trio.tools._jsonschema import compile_schema
from alloy_trio.tools._problems import json_equal, place
from alloy_trio.values import ToolDefinitionError


def deep(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"not": schema}
    return schema


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-4, 4)
    | st.sampled_from([0.5, 1.0, -2.0])
    | st.text("ab", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


def schema_strategy() -> st.SearchStrategy[Any]:
    small = st.integers(0, 3)
    scalar = st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["string", "integer", "number", "boolean", "null", "array", "object"])
            | st.lists(st.sampled_from(["string", "integer", "null"]), min_size=1, max_size=2, unique=True),
            "enum": st.lists(json_values, min_size=1, max_size=3),
            "const": json_values,
            "minimum": st.integers(-2, 2),
            "exclusiveMaximum": st.integers(-2, 2),
            "multipleOf": st.sampled_from([2, 0.5]),
            "minLength": small,
            "maxLength": small,
            "pattern": st.sampled_from(["^a", "b$", "ab"]),
            "minItems": small,
            "maxItems": small,
            "uniqueItems": st.booleans(),
            "minProperties": small,
            "maxProperties": small,
            "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
            "format": st.just("date"),
            "x-unknown": st.just(1),
        },
    )

    def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
        several = st.lists(inner, min_size=1, max_size=3)
        return st.tuples(
            scalar,
            st.fixed_dictionaries(
                {},
                optional={
                    "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
                    "patternProperties": st.dictionaries(st.sampled_from(["^a", "b"]), inner, max_size=2),
                    "additionalProperties": inner,
                    "propertyNames": inner,
                    "items": inner,
                    "prefixItems": several,
                    "anyOf": several,
                    "oneOf": several,
                    "allOf": several,
                    "not": inner,
                    "$ref": st.just("#/$defs/d"),
                },
            ),
        ).map(lambda pair: {**pair[0], **pair[1]})

    return st.recursive(st.booleans() | scalar, wider, max_leaves=6)


@given(schema_strategy(), schema_strategy(), json_values)
def test_it_accepts_what_the_reference_implementation_accepts(
    schema: Any, definition: Any, value: Any
) -> None:
    oracle = pytest.importorskip("jsonschema", reason="the oracle is not installed (group `oracles`)")
    if isinstance(schema, dict):
        schema = {**schema, "$defs": {"d": definition}}
    # A definition that leads back to itself at once sends the reference implementation round for ever.
    assume("'$ref'" not in repr(definition))
    expected = oracle.Draft202012Validator(schema).is_valid(value)
    assert (not compile_schema(schema)(value)) == expected


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": "integer"}, "3", ['input: expected an integer, got "3"']),
        ({"type": "integer"}, True, ["input: expected an integer, got true"]),
        ({"type": ["string", "null"]}, 3, ["input: expected a string or null, got 3"]),
        ({"enum": ["C", "F"]}, "K", ['input: expected one of "C", "F", got "K"']),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, 3, ["input: expected a string or null, got 3"]),
        ({"type": "object", "required": ["city"]}, {}, ["city: missing"]),
        (
            {"properties": {"unit": {}}, "additionalProperties": False},
            {"untis": 1},
            ['untis: unknown argument; did you mean "unit"?'],
        ),
        (
            {"properties": {"city": {}}, "additionalProperties": False},
            {"xyz": 1},
            ["xyz: unknown argument; the arguments are: city"],
        ),
        ({"additionalProperties": False}, {"x": 1}, ["x: unknown argument; there are no arguments"]),
        (
            {"properties": {"a": {"items": {"properties": {"b c": {"minLength": 2}}}}}},
            {"a": [{}, {"b c": "x"}]},
            ['a[1]["b c"]: expected at least 2 characters, got 1'],
        ),
        ({"type": "array", "uniqueItems": True}, [1, 2, 1.0], ["[2]: 1.0 is there twice; every item once"]),
        ({"minimum": 3}, 2, ["input: expected at least 3, got 2"]),
        ({"multipleOf": 0.1}, 0.35, ["input: expected a multiple of 0.1, got 0.35"]),
        ({"type": "number"}, float("nan"), ["input: expected a number, got NaN"]),
    ],
)
def test_it_says_where_what_was_expected_and_what_came(schema: Any, value: Any, words: list[str]) -> None:
    assert [str(problem) for problem in compile_schema(schema)(value)] == words


def test_it_lists_everything_that_is_wrong_at_once() -> None:
    schema = {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "integer"}},
        "required": ["a", "b", "c"],
        "additionalProperties": False,
    }
    found = compile_schema(schema)({"a": 1, "b": "x", "zz": 0})
    assert [place(problem.location) for problem in found] == ["c", "a", "b", "zz"]


def test_in_a_union_it_speaks_of_the_branch_that_was_meant() -> None:
    point = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    validate = compile_schema({"anyOf": [{"type": "null"}, point]})
    assert [str(each) for each in validate({"x": "1"})] == ['x: expected an integer, got "1"']


def test_a_digit_written_number_is_a_multiple_by_its_digits() -> None:
    assert compile_schema({"multipleOf": 0.1})(0.3) == ()


def test_a_recursive_schema_checks_all_levels() -> None:
    tree = {
        "$ref": "#/$defs/n",
        "$defs": {"n": {"properties": {"kids": {"items": {"$ref": "#/$defs/n"}}, "v": {"type": "string"}}}},
    }
    validate = compile_schema(tree)
    assert validate({"v": "a", "kids": [{"v": "b", "kids": []}]}) == ()
    assert [str(each) for each in validate({"kids": [{"kids": [{"v": 1}]}]})] == [
        "kids[0].kids[0].v: expected a string, got 1"
    ]


def test_a_reference_to_nothing_but_itself_ends() -> None:
    assert compile_schema({"$ref": "#"})(3) == ()


@pytest.mark.parametrize(
    "schema",
    [
        3,
        {"type": "text"},
        {"properties": []},
        {"required": "city"},
        {"enum": []},
        {"anyOf": {}},
        {"pattern": "("},
        {"minLength": "3"},
        {"$ref": "#/$defs/nope"},
        {"$ref": "https://example.com/schema"},
        {"properties": {"a": {"items": 7}}},
        {"type": []},
        {"type": [["string"]]},
        {"type": {"string": 1}},
        {"required": [1]},
        {"patternProperties": []},
        {"patternProperties": {"(": {}}},
        {"prefixItems": []},
        {"uniqueItems": 1},
        {"minItems": -1},
        {"maxLength": 1.5},
        {"multipleOf": 0},
        {"minimum": True},
        {"pattern": "a{99999999999999999999}"},
        {"pattern": "(" * 5_000 + ")" * 5_000},
        {"$ref": "#anchor"},
        {"$ref": 3},
        {"$defs": []},
        {"$defs": {"unused": {"$ref": "#/$defs/nope"}}},
        {"anyOf": [{"$ref": "#/anyOf/7"}]},
        {"allOf": [{"not": None}]},
        deep(100_000),
        {"$defs": {str(n): {"not": {"$ref": f"#/$defs/{n + 1}"}} for n in range(5_000)} | {"5000": {}}},
    ],
    ids=lambda schema: repr(schema)[:40] if not isinstance(schema, dict) or "not" not in schema else "deep",
)
def test_a_malformed_schema_is_refused_when_it_is_compiled(schema: Any) -> None:
    with pytest.raises(ToolDefinitionError, match="schema is wrong at"):
        compile_schema(schema)


@given(st.data())
def test_whatever_stands_in_a_schema_it_is_compiled_or_refused(data: st.DataObject) -> None:
    schema = data.draw(schema_strategy().filter(lambda each: isinstance(each, dict) and each))
    damaged = {
        **schema,
        data.draw(st.sampled_from([*sorted(schema), "$ref", "items"])): data.draw(json_values),
    }
    oracle = pytest.importorskip("jsonschema", reason="the oracle is not installed (group `oracles`)")
    value = data.draw(json_values)
    try:
        validate = compile_schema(damaged)
    except ToolDefinitionError:
        return
    validate(value)
    # What is wrong to others is not right to us, but for what asserts nothing, is said twice, or is of draft 7.
    metaschema = oracle.Draft202012Validator(oracle.Draft202012Validator.META_SCHEMA)
    wrong = [error for error in metaschema.iter_errors(damaged) if error.validator != "uniqueItems"]
    assert {error.path[0] for error in wrong} <= {"format", "items"}, wrong


def test_a_value_that_is_too_deep_to_be_checked_is_a_finding() -> None:
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    nested = compile_schema({"$ref": "#/$defs/n", "$defs": {"n": {"items": {"$ref": "#/$defs/n"}}}})
    assert [str(each) for each in nested(value)] == ["input: is nested too deeply to be checked"]
    assert compile_schema({"uniqueItems": True})([value]) != ()


def test_references_that_double_at_each_step_are_not_followed_for_years(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_keywords, "MAX_REFERENCES", 10_000)
    doubled: dict[str, Any] = {
        str(step): {"allOf": [{"$ref": f"#/$defs/{step + 1}"}] * 2} for step in range(40)
    }
    validate = compile_schema({"$ref": "#/$defs/0", "$defs": {**doubled, "40": {"type": "integer"}}})
    assert [str(each) for each in validate(1)] == ["input: takes too long to be checked"]
    # A long value that refers once for each of its items is no such thing, nor does one check count for the next.
    tree = compile_schema({"items": {"$ref": "#/$defs/n"}, "$defs": {"n": {"type": "integer"}}})
    for _ in range(3):
        assert tree([1] * 9_000) == ()


def test_a_const_beside_an_enum_has_to_be_in_it() -> None:
    assert compile_schema({"enum": [1, 2], "const": 2})(2) == ()
    assert compile_schema({"enum": [1, 2], "const": 3})(3) != ()


def test_tuples_of_draft_7_are_understood() -> None:
    validate = compile_schema({"items": [{"type": "string"}, {"type": "integer"}], "additionalItems": False})
    assert validate(["a", 1]) == ()
    assert len(validate(["a", "b", 2])) == 2


@given(json_values)
def test_json_equality_is_reflexive(value: Any) -> None:
    assert json_equal(value, value)


def test_json_equality_tells_true_from_one_and_not_1_from_1_0() -> None:
    assert not json_equal(True, 1)
    assert not json_equal([0], [False])
    assert json_equal({"a": [1]}, {"a": [1.0]})
    assert not json_equal("1", 1)
