"""The promise about inputs: what is checked is what the schema says, by the judgement of others, and nothing crashes.

Inputs that fit a tool's schema are made by hypothesis-jsonschema, and changed by a mutator of our own; the package
jsonschema says of each whether it fits. A share runs with the other tests. ``ALLOY_TRIO_FULL=1`` runs 10,000 inputs of
each built-in tool, and 2,000 signatures with 10 inputs each.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import os
import tempfile
import uuid
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, NotRequired, TypedDict, Union

import attrs
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alloy_trio import tools
from alloy_trio.tools import Belongings, Tool, ToolContext, ToolError, ToolRound
from alloy_trio.tools._answers import invalid_input
from alloy_trio.tools._jsonschema import compile_schema
from alloy_trio.tools._problems import Problem
from alloy_trio.tools._schema import read_signature
from alloy_trio.values import ToolUse, to_json

from .mutations import mutated

jsonschema = pytest.importorskip("jsonschema", reason="the oracle is not installed (group `oracles`)")
fitting = pytest.importorskip(
    "hypothesis_jsonschema", reason="what makes inputs is not installed (group `oracles`)"
)

FULL = os.environ.get("ALLOY_TRIO_FULL") == "1"
VARIANTS = 9
"""Changed inputs for each one that fits."""

INPUTS = 10_000 if FULL else 150
SIGNATURES = 2_000 if FULL else 60

BUILT_IN = ("read", "write", "edit", "bash", "scratchpad", "memory")
searching = settings(
    max_examples=max(INPUTS // (VARIANTS + 1), 1),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def inputs_of(schema: dict[str, Any], root: dict[str, Any] | None = None) -> st.SearchStrategy[Any]:
    """What fits a schema.

    Objects are put together here: hypothesis-jsonschema 0.23 makes them with a part of Hypothesis that newer versions
    have changed.
    """
    root = schema if root is None else root
    if "$ref" in schema:
        target = root["$defs"][schema["$ref"].rpartition("/")[2]]
        return st.deferred(lambda: inputs_of(target, root))
    if not schema.keys() - {"description", "default"}:
        return ANYTHING
    if "anyOf" in schema:
        return st.one_of([inputs_of(each, root) for each in schema["anyOf"]])
    if "prefixItems" in schema:
        return st.tuples(*(inputs_of(each, root) for each in schema["prefixItems"])).map(list)
    if schema.get("type") == "array" and not schema.get("uniqueItems") and schema.get("items") is not False:
        return st.lists(inputs_of(schema.get("items", {}), root), max_size=4)
    if schema.get("type") != "object":
        found: st.SearchStrategy[Any] = fitting.from_schema(schema)
        return found
    properties = {key: inputs_of(each, root) for key, each in schema.get("properties", {}).items()}
    required = {key: properties.pop(key) for key in schema.get("required", ())}
    named = st.fixed_dictionaries(required, optional=properties)
    if schema.get("additionalProperties") is False:
        return named
    keys = inputs_of(schema.get("propertyNames", {"type": "string"}), root)
    others = st.dictionaries(keys, inputs_of(schema.get("additionalProperties", {}), root), max_size=3)
    return st.tuples(others, named).map(lambda pair: {**pair[0], **pair[1]})


def words_of(schema: Any) -> tuple[str, ...]:
    """The keys and choices that a schema speaks of."""
    found: set[str] = {"x"}
    waiting = [schema]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            found.update(each.get("properties", ()))
            found.update(choice for choice in each.get("enum", ()) if isinstance(choice, str))
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)
    return tuple(sorted(found))


MEANT: dict[str, tuple[str, ...]] = {
    "path": ("a", "./a", "b/c", "/memories/a", "/memories"),
    "old_path": ("/memories/a",),
    "new_path": ("/memories/b", "/memories/c/d"),
    "old": ("one", "two\n", "e"),
    "old_str": ("one", "o"),
    "insert_text": ("three",),
    "command": ("ls", "cat a", "wc -l a | head -n 3", "grep -rn one . && ls"),
    "key": ("a",),
}
"""What a model would write; chance alone finds no file that is there."""


def variants(value: Any, seed: int, schema: dict[str, Any]) -> list[Any]:
    """The value, and others that come of it: as it might be meant, and with something changed."""
    random, words = Random(seed), words_of(schema)
    meant = {
        key: random.choice(MEANT[key])
        for key, each in schema["properties"].items()
        if key in MEANT and "enum" not in each and random.random() < 0.8
    }
    every = [
        value,
        value | {key: each for key, each in meant.items() if key in value or random.random() < 0.5},
    ]
    every += [mutated(random.choice(every[:2]), random, words) for _ in range(VARIANTS - 1)]
    return every


def assert_agreed(schema: dict[str, Any], value: Any) -> bool:
    """Whether the value fits; both say the same."""
    ours = compile_schema(schema)(value)
    theirs = jsonschema.Draft202012Validator(schema).is_valid(value)
    assert (not ours) == theirs, (value, ours)
    return theirs


async def run(tool: Tool, inputs: list[Any]) -> tuple[int, int]:
    """Run a tool on each input in a directory of its own. Numbers of results and of errors."""
    belongings = Belongings()
    with tempfile.TemporaryDirectory() as directory:
        await trio.Path(directory, "a").write_text("one\ntwo\n")
        round_ = ToolRound(
            [
                ToolUse(str(number), tool.name, each if isinstance(each, dict) else {"input": each})
                for number, each in enumerate(inputs)
            ],
            {tool.name: tool},
            context=ToolContext.at(
                directory, belongings=belongings, state={"memory": {"a": "one\n"}, "scratchpad": {"a": "one"}}
            ),
            emit=lambda name, payload: 1,
            default_timeout=60,
        )
        try:
            results = await round_.run()
        finally:
            await belongings.aclose()
    to_json(results)
    to_json(round_.records())
    for record in round_.records():
        assert record.outcome != "interrupted" or "timeout" in record.input, record
        # A tool's own words, and not those of an exception that it did not foresee.
        assert record.error is None or not record.error.startswith(f"{tool.name} failed: "), record
    return len(results), sum(each.is_error for each in results)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_input_of_a_built_in_tool_is_judged_as_others_do_and_answered(name: str) -> None:
    tool: Tool = getattr(tools, name)
    schema = tool.input_schema
    counted = {"inputs": 0, "fitting": 0, "errors": 0}

    @searching
    @given(inputs_of(schema), st.integers(0, 2**32))
    def judge(value: Any, seed: int) -> None:
        inputs = variants(value, seed, schema)
        assert assert_agreed(schema, value)
        counted["fitting"] += sum(assert_agreed(schema, each) for each in inputs)
        answered, errors = trio.run(run, tool, inputs)
        counted["inputs"] += answered
        counted["errors"] += errors

    judge()
    print(name, counted)
    assert counted["inputs"] >= INPUTS / 2
    assert 0 < counted["fitting"] < counted["inputs"]
    assert counted["inputs"] - counted["fitting"] <= counted["errors"], "what does not fit is an error"


# ---- signatures


class Colour(enum.Enum):
    RED = "red"
    GREEN = 2
    NONE = None


class Level(enum.IntEnum):
    LOW = 0
    HIGH = 1


class Options(TypedDict, total=False):
    depth: int
    tags: NotRequired[list[str]]


@attrs.frozen
class Point:
    x: int
    y: float = 0.0


@dataclasses.dataclass
class Line:
    start: Point
    end: Point | None = None


@attrs.frozen
class Tree:
    value: int
    children: list[Tree] = attrs.field(factory=list)


SCALARS = st.sampled_from(
    [
        str, int, float, bool, None, Any, datetime.datetime, datetime.date, datetime.time, uuid.UUID, decimal.Decimal,
        Path, bytes, Colour, Level, Literal["a", "b"], Literal[1, True, "1", None], Literal[0, 1], Options, Point, Line,
        Tree, Annotated[int, "how many"],
    ]
)  # fmt: skip
HASHABLE = st.sampled_from([str, int, float, bool, Colour, Literal["a", 1], int | bool, str | None])


def wider(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    names = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True)
    fields = names.flatmap(lambda keys: st.fixed_dictionaries(dict.fromkeys(keys, inner)))
    return st.one_of(
        inner.map(lambda hint: list[hint]),
        inner.map(lambda hint: tuple[hint, ...]),
        inner.map(lambda hint: dict[str, hint]),
        inner.map(lambda hint: hint | None if hint not in (None, Any) else hint),
        st.lists(inner, min_size=0, max_size=3).map(lambda hints: tuple[tuple(hints)]),
        st.lists(inner.filter(lambda hint: hint is not Any), min_size=2, max_size=3).map(either),
        HASHABLE.map(lambda hint: set[hint]),
        fields.map(lambda hints: TypedDict("Made", hints)),
        fields.map(lambda hints: dataclasses.make_dataclass("Made", list(hints.items()))),
    )


def either(hints: list[Any]) -> Any:
    return Union[tuple(hints)]  # noqa: UP007 - of members that are known only now


HINTS = st.recursive(SCALARS, wider, max_leaves=5)


@settings(
    max_examples=SIGNATURES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
@given(st.lists(HINTS, min_size=1, max_size=3), st.data())
def test_every_input_of_a_generated_signature_is_judged_as_others_do(
    hints: list[Any], data: st.DataObject
) -> None:
    names = "abc"[: len(hints)]
    namespace: dict[str, Any] = {}
    exec(f"def made({', '.join(names)}=None): ...", namespace)
    function = namespace["made"]
    function.__annotations__.update(zip(names, hints, strict=True))
    signature = read_signature(function, context_type=ToolContext)
    schema = signature.schema
    jsonschema.Draft202012Validator.check_schema(schema)
    json.dumps(schema, allow_nan=False)
    value = data.draw(inputs_of(schema))
    assert assert_agreed(schema, value)
    inputs = variants(value, data.draw(st.integers(0, 2**32)), schema)
    for each in inputs:
        fits = assert_agreed(schema, each)
        arguments, problems = signature.bind(each) if isinstance(each, dict) else ({}, ("no object",))
        assert fits or problems
        # What fits may still be refused by what no schema says, as that a date exists; it is then said which.
        assert not (arguments and problems)
        assert len(invalid_input("made", [Problem(("a",), str(each)) for each in problems])) < 20_000


@pytest.mark.parametrize("name", BUILT_IN)
@pytest.mark.parametrize(
    "given_input",
    [
        {},
        {"path": "x" * 5_000_000, "content": "x", "command": "x" * 5_000_000, "action": "x" * 5_000_000},
        {"path": "a", "content": "\ud800", "old": "\ud800", "new": "", "command": "\ud800", "action": "read"},
        {"path": float("nan"), "command": float("nan"), "action": float("nan")},
        {"path": 10**4_000, "command": -(10**4_000), "timeout": 1e308, "action": 0},
        {f"key{number}": number for number in range(50_000)},
        {"x" * 5_000_000: "y" * 5_000_000},
    ],
    ids=["nothing", "huge", "surrogates", "nan", "digits", "many", "long"],
)
async def test_monstrous_inputs_are_answered_with_a_short_error(
    name: str, given_input: dict[str, Any]
) -> None:
    tool: Tool = getattr(tools, name)
    round_ = ToolRound(
        [ToolUse("1", name, given_input)], {name: tool}, context=ToolContext(), emit=lambda name, payload: 1
    )
    (result,) = await round_.run()
    assert result.is_error
    assert len(str(result.content)) <= 6_000


async def test_an_input_deeper_than_any_stack_is_an_error() -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = [deep]
    for name in BUILT_IN:
        tool: Tool = getattr(tools, name)
        with pytest.raises(ToolError):
            tool.prepare({"path": deep, "command": 1, "action": 1})
