"""The strategies make what they say, of every public value, and shrink to what can be read."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from typing import Any

import attrs
import pytest
import trio
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument

from alloy_trio import RemoteError, Result, run, tool, values
from alloy_trio.testing import (
    Scripted,
    assert_events_well_formed,
    assert_valid_history,
    no_leaks,
    run_seeded,
    strategies,
)
from alloy_trio.testing._invariants import EVERY_WIRE
from alloy_trio.values import Audio, Event, Message, Text, Thinking, ToolResult, ToolUse, Video
from alloy_trio.wire import problems, repair

# Here and not above: without the oracle, all but what it judges is still to be tested.
try:
    import jsonschema
except ModuleNotFoundError:
    jsonschema = None  # type: ignore[assignment]
judged_by_jsonschema = pytest.mark.skipif(
    jsonschema is None, reason="the oracle jsonschema is not installed (group `oracles`)"
)

FULL = bool(os.environ.get("ALLOY_TRIO_FULL"))
MANY = settings(max_examples=5_000 if FULL else 150, suppress_health_check=[HealthCheck.too_slow])


@tool
async def weather(city: str, days: int = 1) -> str:
    """Report the weather."""
    await trio.sleep(1)
    return f"{city}: sun for {days} days"


NOTHING = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}


def shrunk(strategy: Any, holds: Any = lambda _: True) -> Any:
    return find(strategy, holds, settings=settings(max_examples=500, database=None, derandomize=True))


# --- every public value -----------------------------------------------------------------------------------


def test_there_is_a_strategy_for_every_public_value() -> None:
    named = [getattr(values, name) for name in values.__all__]
    public = {each for each in named if isinstance(each, type) and attrs.has(each)}
    assert len(public) > 20
    from alloy_trio.testing.strategies._registered import STRATEGIES

    assert public - STRATEGIES.keys() == set()


@given(st.from_type(Result))
def test_types_stand_for_their_strategies(result: Result) -> None:
    assert_valid_history(result.messages, "anthropic")
    assert [record.id for record in result.tool_calls] == [
        use.id for message in result.messages for use in message.tool_uses
    ]
    assert (result.status == "error") == (result.error is not None)
    assert (result.status == "paused") == bool(result.pending)


@given(...)
def test_annotations_are_enough(message: Message, event: Event, error: RemoteError) -> None:
    assert isinstance(message, Message) and event.seq > 0 and error.message


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [
        (strategies.messages(), Message("user", ())),
        (strategies.histories(), (Message.user("Hello."),)),
        (strategies.tool_uses(), ToolUse("", "", {})),
        (strategies.usages(), values.Usage()),
        (strategies.tool_schemas(), NOTHING),
        (strategies.scripts(), ["So it is."]),
        (strategies.inputs(weather.input_schema), {"city": ""}),
        (strategies.deltas(), values.TextDelta("")),
    ],
    ids=["message", "history", "tool_use", "usage", "schema", "script", "input", "delta"],
)  # fmt: skip
def test_what_is_shrunk_can_be_read(strategy: Any, expected: Any) -> None:
    assert shrunk(strategy) == expected


def test_a_history_shrinks_to_what_matters() -> None:
    def calls_twice(history: tuple[Message, ...]) -> bool:
        return any(len(message.tool_uses) == 2 for message in history)

    found = shrunk(strategies.histories(), calls_twice)
    assert [message.role for message in found] == ["user", "assistant", "user"]
    assert [type(block) for block in found[1].content] == [ToolUse, ToolUse]
    assert [use.name for use in found[1].tool_uses] == ["read", "read"]
    assert [type(block) for block in found[2].content] == [ToolResult, ToolResult]


# --- conversations ----------------------------------------------------------------------------------------


@MANY
@given(strategies.histories())
def test_a_history_is_valid_for_every_vendor(history: tuple[Message, ...]) -> None:
    assert_valid_history(history)
    assert repair(history) is history


@pytest.mark.parametrize("provider", EVERY_WIRE)
def test_a_history_for_one_vendor_is_valid_for_it(provider: str) -> None:
    @settings(MANY, max_examples=MANY.max_examples // 3)
    @given(strategies.histories(provider))
    def valid(history: tuple[Message, ...]) -> None:
        assert_valid_history(history, provider)

    valid()


def test_a_vendor_that_hears_and_sees_is_shown_something() -> None:
    def holds(kind: type) -> Any:
        return lambda history: any(isinstance(block, kind) for block in history[0].content)

    assert shrunk(strategies.histories("gemini"), holds(Audio))
    assert shrunk(strategies.histories("gemini"), holds(Video))


@given(strategies.histories(thinking=False))
def test_models_may_be_kept_from_thinking(history: tuple[Message, ...]) -> None:
    assert not any(isinstance(block, Thinking) for message in history for block in message.content)


@pytest.mark.parametrize("way", strategies.WAYS_TO_BREAK)
def test_each_way_to_break_a_history_is_found(way: str) -> None:
    @settings(MANY, max_examples=MANY.max_examples // 3)
    @given(strategies.broken_histories([way]))
    def broken(history: strategies.BrokenHistory) -> None:
        assert history.way == way
        with pytest.raises(AssertionError, match="the conversation is invalid"):
            assert_valid_history(history.messages, history.provider)
        if history.provider is None:
            assert problems(history.messages) != ()
            assert_valid_history(repair(history.messages))
        else:
            assert problems(history.messages) == ()  # it is that vendor alone who minds

    broken()


@pytest.mark.parametrize("ways", [["nonsense"], []])
def test_a_way_that_is_not_known_is_refused(ways: list[str]) -> None:
    with pytest.raises(InvalidArgument, match="call_not_answered"):
        strategies.broken_histories(ways)


# --- tools ------------------------------------------------------------------------------------------------


@MANY
@given(
    strategies.tool_schemas().flatmap(lambda schema: st.tuples(st.just(schema), strategies.inputs(schema)))
)
@judged_by_jsonschema
def test_inputs_fit_their_schema(given: tuple[Any, Any]) -> None:
    schema, value = given
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(value)


@MANY
@given(
    strategies.tool_schemas().flatmap(
        lambda schema: st.tuples(st.just(schema), strategies.invalid_inputs(schema))
    )
)
@judged_by_jsonschema
def test_invalid_inputs_are_objects_that_do_not_fit(given: tuple[Any, Any]) -> None:
    schema, value = given
    assert isinstance(value, dict)
    assert not jsonschema.Draft202012Validator(schema).is_valid(value)


TREE = {"$ref": "#/$defs/tree"}


def one(name: str, schema: Any, **more: Any) -> dict[str, Any]:
    """The schema of an object with one property."""
    return {"type": "object", "properties": {name: schema}, "required": [name], **more}


@pytest.mark.parametrize(
    "schema",
    [
        one("n", {"type": "integer", "exclusiveMinimum": 3, "maximum": 5}),
        one("n", {"type": "number", "minimum": 0.2, "exclusiveMaximum": 0.3}),
        one("n", {"type": "integer", "multipleOf": 7, "minimum": 8}),
        one("p", {"type": "array", "prefixItems": [{"type": "string"}, True], "items": False, "minItems": 2}),
        one("u", {"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 2}),
        one("r", {"type": "string", "pattern": "^a+$"}),
        one("t", TREE, **{"$defs": {"tree": one("of", {"type": "array", "items": TREE}, additionalProperties=False)}}),
        {"type": "object", "additionalProperties": {"type": ["integer", "null"]}, "minProperties": 1},
        {"oneOf": [one("a", {"const": 1}), one("b", True, **{"not": {"required": ["a"]}})]},
        {"type": "object", "required": ["anything"]},
    ],
    ids=lambda schema: str(schema)[:60],
)  # fmt: skip
@judged_by_jsonschema
def test_the_keywords_of_other_tools_schemas_are_followed(schema: dict[str, Any]) -> None:
    @settings(max_examples=50)
    @given(strategies.inputs(schema))
    def fits(value: Any) -> None:
        jsonschema.Draft202012Validator(schema).validate(value)

    fits()


# --- runs -------------------------------------------------------------------------------------------------


@MANY
@given(strategies.event_streams())
def test_event_streams_are_well_formed(events: tuple[Event, ...]) -> None:
    assert_events_well_formed(events)


@given(strategies.event_streams().filter(lambda events: len(events) > 2), st.data())
def test_an_event_stream_that_lost_an_event_is_not(events: tuple[Event, ...], data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(events) - 1))
    if events[number].parent_id is None:
        with pytest.raises(AssertionError):
            assert_events_well_formed([*events[:number], *events[number + 1 :]])


def test_event_streams_hold_every_kind_that_a_script_makes() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=300)
    @given(strategies.event_streams())
    def count(events: tuple[Event, ...]) -> None:
        seen.update(event.event for event in events)
        seen.update("child" for event in events if event.parent_id)

    count()
    assert {"tool_start", "tool_progress", "tool_end", "thinking_delta", "child"} <= seen.keys()


@settings(max_examples=1_000 if FULL else 60)
@given(strategies.scripts([weather]))
def test_scripts_can_be_run(script: list[Any]) -> None:
    async def play() -> Result:
        provider = Scripted(script * 5)  # retries take turns too
        try:
            return await run("x", provider=provider, tools=[weather], max_retries=3)
        except RemoteError as error:
            came_to = error.result
        assert came_to is not None
        return came_to

    with no_leaks():
        result = run_seeded(play)
    assert_valid_history(result.messages)


@given(strategies.scripts([weather], failing=False))
def test_models_may_be_kept_from_failing(script: list[Any]) -> None:
    assert not any(isinstance(turn, BaseException) for turn in script)


@given(strategies.faults(transient=True), strategies.faults(transient=False))
def test_faults_are_transient_or_not(passing: RemoteError, lasting: RemoteError) -> None:
    assert passing.transient
    assert not lasting.transient


def test_every_kind_of_remote_error_is_a_fault() -> None:
    seen: set[type] = set()

    @settings(max_examples=300)
    @given(strategies.faults())
    def collect(error: RemoteError) -> None:
        seen.add(type(error))

    collect()
    assert seen == set(RemoteError.__subclasses__())


@settings(max_examples=500 if FULL else 60)
@given(strategies.supervisor_scenarios())
def test_supervisor_scenarios_can_be_played(scenario: strategies.SupervisorScenario) -> None:
    with no_leaks():
        told = run_seeded(scenario.play)
    assert run_seeded(scenario.play) == told
    assert told[-1] in ("closed", "gave up", "shut down by itself", "did not open")
    if told[-1] == "closed":
        assert len(told) == len(scenario.operations) + 1


def test_supervisors_give_up_and_shut_down_in_some_scenarios() -> None:
    for end in ("gave up", "shut down by itself", "did not open"):
        found = shrunk(
            strategies.supervisor_scenarios(), lambda one, end=end: run_seeded(one.play)[-1] == end
        )
        assert len(found.operations) <= 2


# --- what it costs ----------------------------------------------------------------------------------------


def test_the_kit_is_imported_without_hypothesis() -> None:
    code = (
        "import sys, alloy_trio.testing.plugin; from alloy_trio.testing import run_seeded, cancel_sweep\n"
        "sys.exit('hypothesis' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_without_hypothesis_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "from alloy_trio import MissingExtra\n"
        "for name in ('strategies', '_state_machine'):\n"
        "    try:\n"
        "        __import__('alloy_trio.testing.' + name)\n"
        "    except MissingExtra as error:\n"
        "        assert 'pip install \"alloy-trio[testing]\"' in str(error)\n"
        "    else:\n"
        "        raise AssertionError(name)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_text_never_holds_half_a_pair_before_its_other_half() -> None:
    @settings(max_examples=500)
    @given(strategies.texts())
    def whole(text: str) -> None:
        assert values.from_json(values.to_json(Text(text)), Text) == Text(text)

    whole()
