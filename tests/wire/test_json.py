"""A call's arguments as models write them: an object, or the raw text of what is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.wire._gemini_calls import tool_use
from alloy_trio.wire._json import MAX_DEPTH, parse_arguments, too_deep

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), json_values))
def test_an_object_is_read_as_it_is(value: dict[str, Any]) -> None:
    assert parse_arguments(json.dumps(value)) == (value, None)


@pytest.mark.parametrize("raw", ["", " ", "\n\t"])
def test_no_text_is_no_arguments(raw: str) -> None:
    assert parse_arguments(raw) == ({}, None)


@pytest.mark.parametrize(
    "raw",
    [
        '{"a": 1, "a": 1}',
        '{"a": {"b": 1, "b": 2}}',
        '{"a": [{"": 1, "": 2}]}',
        '{"a": 1, "\\u0061": 2}',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e400}',
        '{"a": -1e999999999}',
        '{"a": ' + "9" * 5_000 + "}",
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a":' * 100_000 + "1" + "}" * 100_000,
        '{"a": ' + "[" * MAX_DEPTH + "]" * MAX_DEPTH + "}",
        "[" * 100_000,
        "[]",
        "null",
        '"{}"',
        "{",
        "{} {}",
        '{"a": 01}',
        '{"a": "\n"}',
        "\ud83d",
    ],
    ids=lambda raw: ascii(raw[:24]),
)
def test_what_is_no_object_or_contradicts_itself_is_kept_as_it_was_written(raw: str) -> None:
    assert parse_arguments(raw) == ({}, raw)


def test_the_deepest_arguments_are_read_and_deeper_ones_are_not() -> None:
    deepest = '{"a":' + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1) + "}"
    value, invalid = parse_arguments(deepest)
    assert (list(value), invalid) == (["a"], None)
    # Many brackets beside one another, or in a text, are not deep.
    wide = {"a": [[]] * 1_000, "b": "[{" * 1_000}
    assert parse_arguments(json.dumps(wide)) == (wide, None)


def test_large_texts_and_half_pairs_are_read_as_they_are() -> None:
    large = {"a": "x" * 5_000_000}
    assert parse_arguments(json.dumps(large)) == (large, None)
    assert parse_arguments('{"a": "\\ud83d"}') == ({"a": "\ud83d"}, None)


@given(st.integers(0, 2 * MAX_DEPTH), st.booleans())
def test_depth_is_counted_in_objects_and_arrays(depth: int, objects: bool) -> None:
    value: Any = 1
    for _ in range(depth):
        value = {"a": value, "b": 1} if objects else [1, value]
    assert too_deep([value]) == (depth + 1 > MAX_DEPTH)


def test_arguments_that_came_as_an_object_are_measured_too() -> None:
    deep: Any = []
    for _ in range(MAX_DEPTH):
        deep = [deep]
    call = tool_use("1", {"name": "f", "args": {"a": deep}}, {})
    assert call.input == {}
    assert call.invalid_input is not None
    assert json.loads(call.invalid_input) == {"a": deep}
