"""Every public value as JSON and back."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import alloy_trio.values as values
from alloy_trio.testing import strategies
from alloy_trio.testing.strategies._registered import STRATEGIES
from alloy_trio.values import (
    AttemptFailed,
    Block,
    CompletionRequest,
    ConfigurationError,
    Delta,
    ErrorInfo,
    Event,
    Image,
    Message,
    Opaque,
    Origin,
    ServerToolResult,
    Status,
    Text,
    ToolResult,
    ToolUse,
    Usage,
    from_json,
    to_json,
)

PUBLIC_CLASSES = {
    each
    for each in (getattr(values, name) for name in values.__all__)
    if isinstance(each, type) and attrs.has(each)
}
ANY_BLOCK = strategies.blocks()
ANY_DELTA = strategies.deltas()
HUGE = st.integers(min_value=0, max_value=2**70)
NUMBERS = st.builds(
    Usage,
    input_tokens=HUGE,
    output_tokens=HUGE,
    cost_cents=st.none() | st.decimals(allow_nan=False, allow_infinity=False),
)
PUBLIC: dict[Any, st.SearchStrategy[Any]] = {
    **{kind: st.from_type(kind) for kind in STRATEGIES if kind in PUBLIC_CLASSES},
    Usage: strategies.usages() | NUMBERS,
    Block: ANY_BLOCK,
    Delta: ANY_DELTA,
    tuple[Message, ...]: strategies.histories(),
    tuple[Block, ...]: st.lists(ANY_BLOCK, max_size=3).map(tuple),
    tuple[Delta, ...]: st.lists(ANY_DELTA, max_size=3).map(tuple),
    tuple[Event, ...]: strategies.event_streams(),
}


def test_every_public_value_is_covered_here() -> None:
    assert len(PUBLIC_CLASSES) > 20
    assert PUBLIC_CLASSES - PUBLIC.keys() == set()


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
