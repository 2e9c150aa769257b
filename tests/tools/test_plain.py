"""What tools return, as text: nothing is guessed, nothing grows without bound."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.tools._plain import NotPlain, cut, plain, to_text


class Colour(enum.Enum):
    RED = "red"


@attrs.frozen
class Point:
    x: int
    _y: int = 0


@dataclasses.dataclass
class Line:
    start: Point
    names: list[str]


class Pair(NamedTuple):
    left: int
    right: Any


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_json_stays_as_it_is(value: Any) -> None:
    assert plain(value) == value
    if not isinstance(value, str):
        assert json.loads(to_text(value)) == value


def test_python_values_become_json() -> None:
    value = {
        "line": Line(Point(1, 2), ["a"]),
        "pair": Pair(1, (2, 3)),
        "colour": Colour.RED,
        "day": datetime.date(2026, 3, 31),
        "path": Path("a/b"),
        "id": uuid.UUID(int=1),
        "price": decimal.Decimal("1.50"),
        "set": {"b", "a"},
        5: None,
    }
    assert plain(value) == {
        "line": {"start": {"x": 1, "y": 2}, "names": ["a"]},
        "pair": {"left": 1, "right": [2, 3]},
        "colour": "red",
        "day": "2026-03-31",
        "path": "a/b",
        "id": "00000000-0000-0000-0000-000000000001",
        "price": "1.50",
        "set": ["a", "b"],
        "5": None,
    }


def test_a_text_is_not_quoted_and_json_is_compact() -> None:
    assert to_text("hé") == "hé"
    assert to_text({"a": [1, "é"]}) == '{"a":[1,"é"]}'


CIRCLE: list[Any] = []
CIRCLE.append(CIRCLE)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (float("nan"), "nan is not a JSON number"),
        ({"a": [1, float("inf")]}, r"a\[1\]: inf is not"),
        (b"raw", "bytes is not something"),
        (object(), "a object is not something"),
        ("\ud800", "half a surrogate pair"),
        ({"\udfff": 1}, "half a surrogate pair"),
        (CIRCLE, "contains itself"),
        ({(1, 2): 3}, "JSON keys are strings"),
        ({1: "a", "1": "b"}, "there twice"),
        ((each for each in ()), "a generator is not"),
    ],
    ids=repr,
)
def test_what_json_cannot_hold_is_refused_with_its_place(value: object, why: str) -> None:
    with pytest.raises(NotPlain, match=why):
        plain(value)


def test_the_same_object_twice_is_no_circle() -> None:
    shared = [1]
    assert plain([shared, shared]) == [[1], [1]]


@given(st.text(max_size=300), st.integers(1, 200))
def test_a_cut_text_keeps_head_and_tail_within_the_limit(text: str, limit: int) -> None:
    result = cut(text, limit)
    if len(text) <= limit:
        assert result == text
        return
    head, note, tail = result.partition("\n[... ")
    count, _, tail = tail.partition(" characters cut here ...]\n")
    assert note
    assert text.startswith(head)
    assert text.endswith(tail)
    assert len(head) + int(count) + len(tail) == len(text)
    assert len(result) <= max(limit, 40)
