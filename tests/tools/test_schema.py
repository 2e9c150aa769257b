"""Signatures: what a model sees, what it may give, and what the function gets."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import decimal
import enum
import functools
import json
import sys
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    Required,
    TypedDict,
    Union,
)

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.tools import ToolContext
from alloy_trio.tools._answers import invalid_input
from alloy_trio.tools._plain import plain
from alloy_trio.tools._problems import ENOUGH
from alloy_trio.tools._schema import Signature, read_signature
from alloy_trio.values import ToolDefinitionError


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


@attrs.frozen
class Point:
    x: int
    y: float = 0.0


@dataclasses.dataclass
class Line:
    start: Point
    end: Point | None = None
    tags: list[str] = dataclasses.field(default_factory=list)


class Pair(NamedTuple):
    left: str
    right: int = 1


class Options(TypedDict):
    depth: int
    wide: NotRequired[bool]


class Partial(TypedDict, total=False):
    a: Required[int]
    b: str


@attrs.frozen
class Tree:
    name: str
    children: list[Tree] = attrs.field(factory=list)


@attrs.frozen
class Positive:
    value: int

    def __attrs_post_init__(self) -> None:
        if self.value <= 0:
            raise ValueError("value has to be positive")


UserId = NewType("UserId", int)


def read(function: Callable[..., Any]) -> Signature:
    return read_signature(function, context_type=ToolContext)


def of_type(hint: Any) -> Signature:
    def function(x: Any) -> None: ...

    function.__annotations__["x"] = hint
    return read(function)


# Per type: a strategy of JSON values that fit it, and what the function gets for one of them.
TYPES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text()),
    (int, st.integers()),
    (float, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-1000, 1000)),
    (bool, st.booleans()),
    (None, st.none()),
    (Any, st.none() | st.lists(st.integers())),
    (Optional[int], st.none() | st.integers()),  # noqa: UP045 - the older way of writing it
    (Union[int, str], st.integers() | st.text()),  # noqa: UP007
    (float | int | None, st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)),
    (list[int], st.lists(st.integers())),
    (Sequence[str], st.lists(st.text())),
    (tuple[int, ...], st.lists(st.integers())),
    (tuple[int, str], st.tuples(st.integers(), st.text()).map(list)),
    (tuple[()], st.just([])),
    (tuple, st.lists(st.integers() | st.text())),
    (bytes, st.binary().map(lambda value: base64.b64encode(value).decode())),
    (list[Options], st.lists(st.fixed_dictionaries({"depth": st.integers()}), max_size=3)),
    (Partial, st.fixed_dictionaries({"a": st.integers()}, optional={"b": st.text()})),
    (set[str], st.lists(st.text(), unique=True)),
    (frozenset[int], st.lists(st.integers(), unique=True)),
    (dict[str, list[int]], st.dictionaries(st.text(), st.lists(st.integers()))),
    (Mapping[Literal["a", "b"], int], st.dictionaries(st.sampled_from("ab"), st.integers())),
    (Literal["C", "F", 3, None], st.sampled_from(["C", "F", 3, None])),
    (Colour, st.sampled_from(["red", 2])),
    (Annotated[int, "how many"], st.integers()),
    (datetime.datetime, st.datetimes().map(datetime.datetime.isoformat)),
    (datetime.date, st.dates().map(datetime.date.isoformat)),
    (datetime.time, st.times().map(datetime.time.isoformat)),
    (uuid.UUID, st.uuids().map(str)),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.integers(-5, 5)),
    (Path, st.text("abc/", min_size=1)),
    (UserId, st.integers()),
    (Point, st.fixed_dictionaries({"x": st.integers()}, optional={"y": st.floats(-1, 1)})),
    (
        Line,
        st.fixed_dictionaries({"start": st.just({"x": 1})}, optional={"end": st.none() | st.just({"x": 2})}),
    ),
    (Pair, st.fixed_dictionaries({"left": st.text()}, optional={"right": st.integers()})),
    (Options, st.fixed_dictionaries({"depth": st.integers()}, optional={"wide": st.booleans()})),
    (
        Tree,
        st.recursive(
            st.fixed_dictionaries({"name": st.text()}),
            lambda inner: st.fixed_dictionaries({"name": st.text(), "children": st.lists(inner, max_size=2)}),
            max_leaves=5,
        ),
    ),
]
SIGNATURES = [(of_type(hint), values) for hint, values in TYPES]
anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(-2, 2)
    | st.sampled_from(["", "a", "red", "C", "3"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["x", "y", "name", "depth", "left", "start", "a"]), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@pytest.mark.parametrize(("signature", "values"), SIGNATURES, ids=[str(hint) for hint, _ in TYPES])
@given(st.data())
def test_values_of_the_type_are_accepted(
    signature: Signature, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    before = json.dumps(value)
    arguments, problems = signature.bind({"x": value})
    assert problems == ()
    assert set(arguments) == {"x"}
    assert json.dumps(value) == before


@pytest.mark.parametrize(("signature", "values"), SIGNATURES, ids=[str(hint) for hint, _ in TYPES])
@settings(max_examples=40)
@given(st.data())
def test_the_schema_says_what_the_reference_implementation_accepts(
    signature: Signature, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    oracle = pytest.importorskip("jsonschema", reason="the oracle is not installed (group `oracles`)")
    value = data.draw(values | anything)
    fits = oracle.Draft202012Validator(signature.schema).is_valid({"x": value})
    _, problems = signature.bind({"x": value})
    # What fits may still be refused, by what no schema says: that a date exists.
    assert fits or problems
    if not fits:
        return
    assert all("expected a" in str(each) for each in problems), problems


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the statement `type` is of Python 3.12")
def test_an_alias_that_leads_back_to_itself_is_followed() -> None:
    namespace: dict[str, Any] = {}
    exec("type Tree = dict[str, Tree | int]", namespace)
    signature = of_type(namespace["Tree"])
    assert signature.schema["properties"]["x"] == {"$ref": "#/$defs/Tree"}
    assert signature.bind({"x": {"a": {"b": 1.0}}}) == ({"x": {"a": {"b": 1}}}, ())
    _, problems = signature.bind({"x": {"a": {"b": "1"}}})
    assert str(problems[0]) == 'x.a.b: expected an object or an integer, got "1"'


def test_an_empty_tuple_holds_nothing() -> None:
    assert of_type(tuple[()]).bind({"x": []}) == ({"x": ()}, ())
    _, problems = of_type(tuple[()]).bind({"x": [1]})
    assert "expected at most 0 items, got 1" in str(problems[0])


def test_an_input_that_is_wrong_a_million_times_is_read_no_further_than_helps() -> None:
    for hint, wrong in ((list[str], 1), (set[str], 1), (list[datetime.date], "x"), (dict[str, str], 1)):
        many = (
            {str(index): wrong for index in range(100_000)} if hint == dict[str, str] else [wrong] * 1_000_000
        )
        _, problems = of_type(hint).bind({"x": many})
        assert 0 < len(problems) <= 2 * ENOUGH
    _, problems = of_type(int).bind({f"y{index}": 1 for index in range(100_000)})
    assert len(problems) <= ENOUGH + 1
    _, problems = of_type(int).bind({"x" * 5_000_000: 1, "x": "y" * 5_000_000})
    assert len(invalid_input("f", problems)) < 1_000


def test_many_items_of_a_set_are_compared_in_no_time() -> None:
    many = 200_000  # each with each would take hours
    arguments, problems = of_type(set[int]).bind({"x": list(range(many))})
    assert (len(arguments["x"]), problems) == (many, ())
    _, problems = of_type(set[int]).bind({"x": [*range(many), 7]})
    assert str(problems[0]) == "x[200000]: 7 is there twice; every item once"


def test_the_schemas_are_valid_by_the_reference_implementation() -> None:
    oracle = pytest.importorskip("jsonschema", reason="the oracle is not installed (group `oracles`)")
    for signature, _ in SIGNATURES:
        oracle.Draft202012Validator.check_schema(signature.schema)


class TestConversion:
    """What the function gets."""

    @pytest.mark.parametrize(
        ("hint", "value", "argument"),
        [
            (int, 3.0, 3),
            (float, 3, 3.0),
            (int | float, 3, 3),
            (float | int, 3, 3),
            (float | int, 3.5, 3.5),
            (tuple[int, str], [1, "a"], (1, "a")),
            (set[str], ["a", "b"], {"a", "b"}),
            (Literal[1, True, "a"], True, True),
            (Colour, "red", Colour.RED),
            (Colour, 2.0, Colour.BLUE),
            (Literal[Colour.RED], "red", Colour.RED),
            (datetime.date, "2026-03-31", datetime.date(2026, 3, 31)),
            (
                datetime.datetime | datetime.date,
                "2026-03-31T01:02:03",
                datetime.datetime(2026, 3, 31, 1, 2, 3),
            ),
            (datetime.date | str, "no date", "no date"),
            (decimal.Decimal, 0.1, decimal.Decimal("0.1")),
            (bytes, "aGk=", b"hi"),
            (Path, "a/b", Path("a/b")),
            (Line, {"start": {"x": 1}, "end": {"x": 2, "y": 3}}, Line(Point(1), Point(2, 3.0))),
            (Pair, {"left": "a"}, Pair("a", 1)),
            (Options, {"depth": 1}, {"depth": 1}),
            (Tree, {"name": "a", "children": [{"name": "b"}]}, Tree("a", [Tree("b")])),
            (dict[str, Point], {"p": {"x": 1}}, {"p": Point(1)}),
            (list[Point | None], [None, {"x": 1}], [None, Point(1)]),
        ],
    )
    def test_the_argument_is_of_the_annotated_type(self, hint: Any, value: Any, argument: Any) -> None:
        arguments, problems = of_type(hint).bind({"x": value})
        assert problems == ()
        assert arguments["x"] == argument
        assert type(arguments["x"]) is type(argument)

    @pytest.mark.parametrize(
        ("hint", "value", "words"),
        [
            (int, "3", 'x: expected an integer, got "3"'),
            (int, True, "x: expected an integer, got true"),
            (int, 3.5, "x: expected an integer, got 3.5"),
            (str, 3, "x: expected a string, got 3"),
            (bool, 1, "x: expected true or false, got 1"),
            (float, float("inf"), "x: expected a number, got Infinity"),
            (float, 10**400, "x: expected a number that a float can hold, got one with too many digits"),
            (Literal["C", "F"], "K", 'x: expected one of "C", "F", got "K"'),
            (Literal[1], True, "x: expected 1, got true"),
            (Colour, "RED", 'x: expected one of "red", 2, got "RED"'),
            (int | None, "a", 'x: expected an integer or null, got "a"'),
            (tuple[int, str], [1], "x: expected at least 2 items, got 1"),
            (set[str], ["a", "a"], 'x[1]: "a" is there twice; every item once'),
            (datetime.date, "2026-02-30", 'x: expected a date like "2026-03-31", got "2026-02-30"'),
            (bytes, "?", 'x: expected base64 text, got "?"'),
            (Point, {"x": 1, "z": 2}, "x.z: unknown key; the keys are: x, y"),
            (Line, {"start": {"x": "1"}}, 'x.start.x: expected an integer, got "1"'),
            (list[Point | None], [{}], "x[0].x: missing"),
            (Positive, {"value": 0}, "x: not a valid Positive: value has to be positive"),
        ],
    )
    def test_nothing_is_coerced_and_the_words_say_what_is_wrong(
        self, hint: Any, value: Any, words: str
    ) -> None:
        arguments, problems = of_type(hint).bind({"x": value})
        assert arguments == {}
        assert [str(problem) for problem in problems] == [words]


class TestSignature:
    """What the model sees."""

    def test_descriptions_defaults_and_required(self) -> None:
        def weather(
            city: str,
            days: Annotated[int, "how many"] = 3,
            unit: Literal["C", "F"] = "C",
            colour: Colour = Colour.RED,
        ) -> str:
            """Report the weather.

            Args:
                city: the city's name
                days: not this one
            """
            return ""

        signature = read(weather)
        assert signature.description == "Report the weather."
        assert signature.schema == {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "the city's name"},
                "days": {"type": "integer", "description": "how many", "default": 3},
                "unit": {"type": "string", "enum": ["C", "F"], "default": "C"},
                "colour": {"enum": ["red", 2], "default": "red"},
            },
            "required": ["city"],
            "additionalProperties": False,
        }

    def test_a_default_that_json_cannot_say_is_left_out(self) -> None:
        def function(a: str = None, b: Any = object()) -> None: ...  # type: ignore[assignment] # noqa: B008, RUF013

        assert read(function).schema["properties"] == {"a": {"type": "string"}, "b": {}}
        assert read(function).bind({}) == ({}, ())

    @pytest.mark.parametrize("hint", [ToolContext, ToolContext | None, Optional[ToolContext]])  # noqa: UP045
    def test_the_context_is_not_the_models_to_give(self, hint: Any) -> None:
        def function(a: str, where: Any, b: int = 1) -> None: ...

        function.__annotations__["where"] = hint
        signature = read(function)
        assert signature.context_name == "where"
        assert set(signature.schema["properties"]) == {"a", "b"}
        assert str(signature.bind({"a": "", "where": 1})[1][0]).startswith("where: unknown argument")

    def test_only_recursive_types_become_definitions(self) -> None:
        assert "$defs" not in of_type(Line).schema
        assert of_type(Tree).schema["$defs"] == {
            "Tree": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "children": {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
                },
                "required": ["name"],
                "additionalProperties": False,
            }
        }

    def test_partials_bound_methods_and_callable_objects_are_read(self) -> None:
        class Thing:
            def method(self, a: int) -> None: ...

            def __call__(self, b: str) -> None: ...

        def function(a: int, c: str) -> None: ...

        assert set(read(Thing().method).schema["properties"]) == {"a"}
        assert set(read(Thing()).schema["properties"]) == {"b"}
        assert read(functools.partial(function, c="x")).schema["required"] == ["a"]

    def test_the_schema_is_plain_json(self) -> None:
        for signature, _ in SIGNATURES:
            assert plain(signature.schema) == signature.schema


def no_annotation(x): ...  # type: ignore[no-untyped-def]
def star(*x: str) -> None: ...
def stars(**x: str) -> None: ...
def positional(x: str, /) -> None: ...
def a_class(x: Signature.__class__) -> None: ...  # type: ignore[name-defined]
def callback(x: Callable[[], None]) -> None: ...
def int_keys(x: dict[int, str]) -> None: ...
def nested(x: list[dict[str, object | complex]]) -> None: ...
def unknown_name(x: NoSuchType) -> None: ...  # type: ignore[name-defined] # noqa: F821
def two_contexts(a: ToolContext, b: ToolContext) -> None: ...


class Method:
    def method(self, x: str) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (no_annotation, "parameter 'x' has no annotation.*write x: str"),
        (star, r"is \*x.*write x: list\[str\]"),
        (stars, r"is \*\*x.*dict"),
        (positional, "positional-only.*remove the /"),
        (callback, "which a model cannot write as JSON; use str, int"),
        (int_keys, r"dict\[int, str\].*write dict\[str"),
        (nested, "parameter 'x', its items, its values is complex"),
        (unknown_name, "NoSuchType.*outside of functions and of TYPE_CHECKING"),
        (two_contexts, "twice"),
        (Method.method, r"make the tool from the bound method"),
        (a_class, "cannot write as JSON"),
    ],
)
def test_what_a_model_cannot_give_is_refused_when_the_tool_is_defined(
    function: Callable[..., Any], words: str
) -> None:
    with pytest.raises(ToolDefinitionError, match=f"(?s)the tool {function.__name__}.*{words}"):
        read(function)
