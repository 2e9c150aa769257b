"""Every public value as JSON and back."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC
from decimal import Decimal
from typing import Any, get_args

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import alloy_trio.values as values
from alloy_trio.values import (
    AttemptFailed,
    Audio,
    Block,
    Completion,
    CompletionRequest,
    ConfigurationError,
    Delta,
    Document,
    ErrorInfo,
    Event,
    EventName,
    Image,
    Message,
    Opaque,
    OpenRound,
    Origin,
    Result,
    ServerTool,
    ServerToolResult,
    ServerToolUse,
    Session,
    Status,
    StopReason,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolCallRecord,
    ToolInputDelta,
    ToolOutcome,
    ToolResult,
    ToolSpec,
    ToolUse,
    Usage,
    UsageDelta,
    Video,
    from_json,
    to_json,
)

# Any character, lone surrogates too; but no pair of them, which JSON reads as the character it stands for.
WORDS = st.text(st.characters(exclude_categories=()), max_size=8).filter(
    lambda text: text == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
)
COUNTS = st.integers(min_value=0, max_value=2**70)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(WORDS, PLAIN, max_size=3)
EXTRA = st.none() | OBJECTS


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


def several(strategy: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(strategy, max_size=most).map(tuple)


def media(cls: type) -> st.SearchStrategy[Any]:
    return st.one_of(
        st.builds(cls, WORDS, data=st.binary(max_size=8), title=maybe(WORDS)),
        st.builds(cls, WORDS, url=WORDS, title=maybe(WORDS)),
    )


USAGES = st.builds(
    Usage,
    input_tokens=COUNTS,
    cache_read_tokens=COUNTS,
    cache_write_tokens=COUNTS,
    output_tokens=COUNTS,
    reasoning_tokens=COUNTS,
    cost_cents=maybe(st.decimals(allow_nan=False, allow_infinity=False)),
)
ORIGINS = st.builds(Origin, WORDS, WORDS)
ERRORS = st.builds(ErrorInfo, WORDS, WORDS, maybe(COUNTS), maybe(WORDS))
TEXTS = st.builds(Text, WORDS, several(OBJECTS, 2), extra=EXTRA)
TOOL_USES = st.builds(ToolUse, WORDS, WORDS, OBJECTS, maybe(WORDS), extra=EXTRA)
OPAQUES = st.builds(Opaque, WORDS, OBJECTS)
RESULT_BLOCKS = TEXTS | media(Image) | media(Document)
BLOCKS: dict[type, st.SearchStrategy[Any]] = {
    Text: TEXTS,
    Thinking: st.builds(Thinking, WORDS, maybe(WORDS), maybe(WORDS), extra=EXTRA),
    ToolUse: TOOL_USES,
    ToolResult: st.builds(ToolResult, WORDS, WORDS | several(RESULT_BLOCKS), st.booleans()),
    ServerToolUse: st.builds(ServerToolUse, WORDS, WORDS, OBJECTS, extra=EXTRA),
    ServerToolResult: st.builds(ServerToolResult, WORDS, PLAIN, is_error=st.booleans(), extra=EXTRA),
    Image: media(Image),
    Audio: media(Audio),
    Video: media(Video),
    Document: media(Document),
    Opaque: OPAQUES,
}
ANY_BLOCK = st.one_of(*BLOCKS.values())
MESSAGES = st.builds(Message, st.sampled_from(["user", "assistant"]), several(ANY_BLOCK), maybe(ORIGINS))
DELTAS: dict[type, st.SearchStrategy[Any]] = {
    TextDelta: st.builds(TextDelta, WORDS),
    ThinkingDelta: st.builds(ThinkingDelta, WORDS),
    ToolInputDelta: st.builds(ToolInputDelta, WORDS, WORDS, WORDS),
    UsageDelta: st.builds(UsageDelta, USAGES),
    AttemptFailed: st.builds(AttemptFailed, ERRORS, FLOATS, maybe(WORDS), USAGES),
}
ANY_DELTA = st.one_of(*DELTAS.values())
SPECS = st.builds(
    ToolSpec, WORDS, WORDS, OBJECTS, st.booleans(), several(WORDS), st.dictionaries(WORDS, WORDS)
)
SERVER_TOOLS = st.builds(ServerTool, WORDS, OBJECTS)
RECORDS = st.builds(
    ToolCallRecord,
    id=WORDS,
    name=WORDS,
    input=OBJECTS,
    output=WORDS,
    error=maybe(WORDS),
    duration_ms=COUNTS,
    outcome=st.sampled_from(get_args(ToolOutcome)),
    start_seq=maybe(COUNTS),
    end_seq=maybe(COUNTS),
    data=PLAIN,
)
TIMES = st.datetimes(timezones=st.just(UTC))
OPEN_ROUNDS = st.builds(OpenRound, MESSAGES, several(st.builds(ToolResult, WORDS, WORDS)))
PUBLIC: dict[Any, st.SearchStrategy[Any]] = {
    **BLOCKS,
    **DELTAS,
    Block: ANY_BLOCK,
    Delta: ANY_DELTA,
    Origin: ORIGINS,
    Usage: USAGES,
    ErrorInfo: ERRORS,
    Message: MESSAGES,
    ToolSpec: SPECS,
    ServerTool: SERVER_TOOLS,
    ToolCallRecord: RECORDS,
    OpenRound: OPEN_ROUNDS,
    CompletionRequest: st.builds(
        CompletionRequest,
        several(MESSAGES),
        tools=several(SPECS),
        server_tools=several(SERVER_TOOLS),
        system=maybe(WORDS),
        max_tokens=maybe(COUNTS),
        tool_choice=maybe(WORDS),
        output_schema=maybe(OBJECTS),
    ),
    Completion: st.builds(
        Completion, MESSAGES, st.sampled_from(get_args(StopReason)), USAGES, WORDS, maybe(WORDS), USAGES
    ),
    Result: st.builds(
        Result,
        text=WORDS,
        messages=several(MESSAGES),
        usage=USAGES,
        tool_calls=several(RECORDS),
        status=st.sampled_from(get_args(Status)),
        turns=COUNTS,
        stop_reason=maybe(WORDS),
        error=maybe(ERRORS),
        pending=several(TOOL_USES),
        open_round=maybe(OPEN_ROUNDS),
        request_id=WORDS,
        correlation_id=WORDS,
    ),
    Session: st.builds(
        Session,
        id=WORDS,
        messages=several(MESSAGES),
        usage=USAGES,
        metadata=OBJECTS,
        created_at=TIMES,
        updated_at=TIMES,
    ),
    Event: st.builds(
        Event,
        event=st.sampled_from(get_args(EventName)),
        seq=COUNTS,
        correlation_id=WORDS,
        turn=COUNTS,
        ts_ms=COUNTS,
        payload=PLAIN,
        parent_id=maybe(WORDS),
    ),
    tuple[Message, ...]: several(MESSAGES),
    tuple[Block, ...]: several(ANY_BLOCK),
    tuple[Delta, ...]: several(ANY_DELTA),
    tuple[Event, ...]: several(
        st.builds(
            Event,
            event=st.just("run_end"),
            seq=COUNTS,
            correlation_id=WORDS,
            turn=COUNTS,
            ts_ms=COUNTS,
            payload=PLAIN,
        )
    ),
}


def test_every_public_value_is_covered_here() -> None:
    named = [getattr(values, name) for name in values.__all__]
    public = {each for each in named if isinstance(each, type) and attrs.has(each)}
    assert len(public) > 20
    assert public - PUBLIC.keys() == set()


@pytest.mark.parametrize("kind", PUBLIC, ids=str)
def test_a_value_written_and_read_is_the_same(kind: Any) -> None:
    @given(PUBLIC[kind])
    def round_trip(value: Any) -> None:
        text = to_json(value)
        assert from_json(text, kind) == value
        assert from_json(text.encode(), kind) == value  # UTF-8 has no lone surrogates: they are escaped

    round_trip()


@given(ANY_BLOCK | ANY_DELTA)
def test_blocks_and_deltas_carry_their_type_wherever_they_stand(value: Any) -> None:
    tag = json.loads(to_json(value))["type"]
    assert tag.replace("_", "") == type(value).__name__.lower()
    assert json.loads(to_json((value,)))[0]["type"] == tag


def test_the_text_is_compact_and_in_the_order_of_the_attributes() -> None:
    message = Message(
        "assistant",
        (Text("naïve"), ToolUse("1", "read", {"b": 1, "a": [None, 2.5]})),
        Origin("openai", "gpt"),
    )
    assert to_json(message) == (
        '{"role":"assistant","content":[{"type":"text","text":"naïve","citations":[]},'
        '{"type":"tool_use","id":"1","name":"read","input":{"b":1,"a":[null,2.5]}}],'
        '"origin":{"provider":"openai","model":"gpt"}}'
    )


def test_bytes_are_base64_and_money_is_text() -> None:
    assert json.loads(to_json(Image("image/png", b"\x00\xff")))["data"] == "AP8="
    assert json.loads(to_json(Usage(cost_cents=Decimal("0.10"))))["cost_cents"] == "0.10"


def test_what_is_none_by_default_is_left_out_and_other_defaults_are_written() -> None:
    assert json.loads(to_json(ToolResult("1", ""))) == {
        "type": "tool_result",
        "tool_use_id": "1",
        "content": "",
        "is_error": False,
    }
    assert set(json.loads(to_json(Usage()))) == {
        "input_tokens",
        "cache_read_tokens",
        "cache_write_tokens",
        "output_tokens",
        "reasoning_tokens",
    }


def test_a_lone_surrogate_is_an_escape() -> None:
    text = to_json(Text("a\ud83db"))
    assert "\\ud83d" in text
    assert from_json(text.encode("utf-8"), Text).text == "a\ud83db"


def test_unknown_keys_are_ignored() -> None:
    assert from_json('{"type":"text","text":"x","mood":"good"}', Text) == Text("x")
    assert from_json('{"role":"user","content":[],"v":2}', Message) == Message("user", ())


def test_a_block_of_an_unknown_type_becomes_opaque() -> None:
    written = {"type": "hologram", "data": [1]}
    assert from_json(json.dumps(written), Block) == Opaque("", written)
    message = from_json(json.dumps({"role": "user", "content": [written]}), Message)
    assert message.content == (Opaque("", written),)


def test_a_delta_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected 'type' to be one of attempt_failed, text_delta"):
        from_json('{"type":"hologram_delta"}', Delta)


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("[1,", Message, "this is not JSON: Expecting value"),
        ("", Message, "this is not JSON"),
        ("NaN", Any, "this is not JSON: it holds NaN"),
        ("[-Infinity]", Any, "this is not JSON: it holds -Infinity"),
        ("1e999", Any, "this is not JSON: the number 1e999 is too large"),
        (b"\xff", Any, "this is not JSON"),
        ("[" * 100_000, Any, "this is not JSON"),
        ("[]", Message, "expected Message, got array"),
        ("{}", tuple[Message, ...], "expected array, got object"),
        ('"ab"', tuple[str, ...], "expected array, got str"),
        ('["a",1]', tuple[str, ...], "[1]: expected str, got int"),
        ('{"role":"user"}', Message, "content: missing"),
        ('{"role":"system","content":[]}', Message, "role: expected one of 'user', 'assistant', got str"),
        ('{"role":"user","content":"hi"}', Message, "content: expected array, got str"),
        ('{"role":"user","content":[{"text":"x"}]}', Message, "content[0]: expected 'type' to be one of"),
        ('{"role":"user","content":["x"]}', Message, "content[0]: expected one of audio"),
        ('{"input_tokens":"3"}', Usage, "input_tokens: expected int, got str"),
        ('{"input_tokens":true}', Usage, "input_tokens: expected int, got bool"),
        ('{"input_tokens":3.0}', Usage, "input_tokens: expected int, got float"),
        ('{"input_tokens":null}', Usage, "input_tokens: expected int, got null"),
        ('{"cost_cents":0.1}', Usage, "cost_cents: expected a number as text, got float"),
        ('{"cost_cents":"a lot"}', Usage, "cost_cents: expected a number as text, got str"),
        ('{"cost_cents":"NaN"}', Usage, "cost_cents: expected a number as text, got str"),
        ('{"tool_use_id":"1","content":"","is_error":1}', ToolResult, "is_error: expected bool, got int"),
        ('{"tool_use_id":"1","content":7}', ToolResult, "content: expected one of str, array, got int"),
        ('{"tool_use_id":"1","content":[{"text":"x"}]}', ToolResult, "content[0]: expected 'type'"),
        ('{"type":"text","text":"x"}', ToolUse, "expected the type 'tool_use', got 'text'"),
        ('{"id":"1","name":"x","input":[]}', ToolUse, "input: expected object, got array"),
        ('{"media_type":"image/png","data":"%"}', Image, "data: expected base64 text, got str"),
        ('{"media_type":"image/png"}', Image, "Image got neither data nor url"),
        ('{"type":"image","media_type":"image/png"}', Block, "Image got neither data nor url"),
        ('{"type":"attempt_failed","error":{},"delay_seconds":0}', Delta, "error.kind: missing"),
        ('{"error":{"kind":"","message":""},"delay_seconds":"1"}', AttemptFailed, "delay_seconds: expected"),
        ("3", Status, "expected one of 'completed'"),
        ("{}", object, "Unsupported type"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(text: str | bytes, kind: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        from_json(text, kind)
    assert str(caught.value).startswith(says)
    assert caught.value.__cause__ is not None


def test_the_place_is_named_through_everything() -> None:
    request = CompletionRequest([Message.user("a"), Message.user("b"), Message.user("c")])
    broken = json.loads(to_json(request))
    broken["messages"][2]["content"][0]["text"] = 3
    with pytest.raises(ConfigurationError) as caught:
        from_json(json.dumps(broken), CompletionRequest)
    assert str(caught.value) == "messages[2].content[0].text: expected str, got int"
    with pytest.raises(ConfigurationError) as caught:
        from_json('{"a":[{"input_tokens":{}}]}', dict[str, tuple[Usage, ...]])
    assert str(caught.value) == "['a'][0].input_tokens: expected int, got object"


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (object(), "the value is of type object"),
        (float("nan"), "the value is nan"),
        ([Usage(), {1, 2}], "[1] is of type set"),
        (ToolUse("1", "x", {"a": [float("inf")]}), "input['a'][0] is inf"),
        (ToolUse("1", "x", {"a": {1: 2}}), "input['a'] has the key 1, which is not a str"),
        (ToolUse("1", "x", {"a": b"raw"}), "input['a'] is of type bytes"),
        (ToolUse("1", "x", {"a": Usage()}), "input['a'] is of type Usage"),
        (Message.user([Text("x", extra={"a": Decimal(1)})]), "content[0].extra['a'] is of type Decimal"),
        (ServerToolResult("1", b"raw"), "content is of type bytes"),
        (AttemptFailed(ErrorInfo("a", "b"), float("inf")), "delay_seconds is inf"),
        (Usage(cost_cents=Decimal("NaN")), "cost_cents is NaN"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(value: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        to_json(value)
    assert str(caught.value) == f"this has no form in JSON: {says}"


def test_plain_data_that_holds_itself_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["self"] = endless
    with pytest.raises(ConfigurationError, match="nested too deeply, or holds itself"):
        to_json(ToolUse("1", "x", endless))


def test_a_whole_number_will_do_for_a_float() -> None:
    delta = from_json('{"type":"attempt_failed","error":{"kind":"a","message":"b"},"delay_seconds":2}', Delta)
    assert isinstance(delta, AttemptFailed)
    assert (delta.delay_seconds, type(delta.delay_seconds)) == (2.0, float)


def test_values_are_imported_without_cattrs() -> None:
    code = "import sys, alloy_trio.values; sys.exit('cattrs' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
