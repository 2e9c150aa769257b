"""Answers on Anthropic's wire: every case of the project's own fixtures, in any division and cut anywhere."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import alloy_trio.values as values
from alloy_trio.values import (
    Completion,
    Delta,
    Opaque,
    RemoteError,
    ServerToolResult,
    ServerToolUse,
    StreamTruncated,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolInputDelta,
    Usage,
    UsageDelta,
)
from alloy_trio.wire import AnthropicCodec, Decoder, WireSettings

from .recordings import cuts, fixtures

SETTINGS = WireSettings(provider="anthropic", model="claude-made-up-1")
FIXTURES = fixtures("anthropic")
ANSWERS = [name for name, fixture in FIXTURES.items() if "error" not in fixture["expect"]]
ERRORS = [name for name in FIXTURES if name not in ANSWERS]
TERMINAL = re.compile(rb'data: \{"type": ?"message_stop"\}')


def decoder() -> Decoder:
    return AnthropicCodec().decoder(SETTINGS)


def read(chunks: Any) -> tuple[list[Delta], Completion]:
    reader = decoder()
    deltas = [delta for chunk in chunks for delta in reader.receive(chunk)]
    return deltas + reader.receive_end(), reader.finish()


def outcome(chunks: Any) -> Any:
    """What comes of an answer, as something that compares."""
    try:
        return read(chunks)
    except RemoteError as error:
        return type(error), str(error)


def body_of(name: str) -> bytes:
    return FIXTURES[name]["body"].encode("utf-8", "surrogatepass")


def bytewise(body: bytes) -> list[bytes]:
    return [body[i : i + 1] for i in range(len(body))]


# ---- what each fixture means


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read(name: str) -> None:
    expect = FIXTURES[name]["expect"]
    _, completion = read([body_of(name)])
    message = completion.message
    assert completion.stop_reason == expect["stop_reason"]
    assert message.text == expect["text"]
    assert message.role == "assistant"
    assert message.origin == SETTINGS.origin
    assert completion.model == "claude-made-up-1"
    assert [type(block).__name__ for block in message.content] == expect["blocks"]
    uses = [
        {"id": use.id, "name": use.name, "input": use.input, "invalid_input": use.invalid_input}
        for use in message.tool_uses
    ]
    assert uses == expect["tool_uses"]
    assert attrs.asdict(completion.usage) == {**expect["usage"], "cost_cents": None}
    assert attrs.asdict(completion.other_usage) == {
        **expect.get("other_usage", dict.fromkeys(expect["usage"], 0)),
        "cost_cents": None,
    }
    thinking = [[b.text, b.signature, b.redacted] for b in message.content if isinstance(b, Thinking)]
    assert thinking == expect.get("thinking", [])
    assert [b.raw for b in message.content if isinstance(b, Opaque)] == expect.get("opaque", [])
    server = [[b.id, b.name, b.input] for b in message.content if isinstance(b, ServerToolUse)]
    assert server == expect.get("server", [])
    failed = [b.is_error for b in message.content if isinstance(b, ServerToolResult)]
    assert failed == expect.get("server_failed", [False] * len(failed))
    cited = [c for b in message.content if isinstance(b, Text) for c in b.citations]
    assert cited == expect.get("citations", [])


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_no_answer_is_its_error(name: str) -> None:
    expected = getattr(values, FIXTURES[name]["expect"]["error"])
    with pytest.raises(RemoteError) as caught:
        read([body_of(name)])
    assert type(caught.value) is expected
    assert caught.value.provider == "anthropic"


# ---- split anywhere


@pytest.mark.parametrize("name", FIXTURES)
def test_any_division_of_an_answer_gives_the_same(name: str) -> None:
    body = body_of(name)
    whole = outcome([body])
    assert outcome(bytewise(body)) == whole
    for seed in range(8):
        assert outcome(cuts(body, seed)) == whole


@pytest.mark.parametrize("name", ANSWERS)
def test_the_deltas_add_up_to_the_answer(name: str) -> None:
    if not FIXTURES[name]["stream"]:
        assert read([body_of(name)])[0] == []
        return
    deltas, completion = read([body_of(name)])
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == completion.message.text
    assert all(d.text for d in deltas if isinstance(d, TextDelta | ThinkingDelta))
    assert [d.usage for d in deltas if isinstance(d, UsageDelta)][-1] == completion.usage
    opened = {d.id for d in deltas if isinstance(d, ToolInputDelta)}
    for use in completion.message.tool_uses:
        assert use.id in opened
        raw = "".join(d.partial_json for d in deltas if isinstance(d, ToolInputDelta) and d.id == use.id)
        if use.invalid_input is not None:
            assert raw == use.invalid_input
        else:
            assert json.loads(raw or "{}") == use.input
    # A server tool's call is output that reached the caller: the retry logic has to see it.
    assert {b.id for b in completion.message.content if isinstance(b, ServerToolUse)} <= opened


def test_a_call_is_announced_before_its_input() -> None:
    deltas, _ = read([body_of("call")])
    calls = [d for d in deltas if isinstance(d, ToolInputDelta)]
    assert calls[0] == ToolInputDelta("toolu_1", "read", "")
    assert all(d.partial_json for d in calls[1:])


# ---- cut anywhere


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_cut_before_its_end_is_truncated(name: str) -> None:
    body = body_of(name)
    whole = read([body])[1]
    found = TERMINAL.search(body)
    ends = found.end() if found else len(body)
    reader = decoder()
    for at in range(len(body)):
        if at < ends:
            with pytest.raises(StreamTruncated):
                reader.finish()
        else:
            assert reader.finish() == whole
        reader.receive(body[at : at + 1])
    assert reader.finish() == whole
    assert reader.terminated or not FIXTURES[name]["stream"] or not body.endswith(b"\n")


@pytest.mark.parametrize("name", ["call", "thinking", "web_search", "calls_whole", "crlf_and_comments"])
def test_a_fresh_decoder_of_every_beginning_says_truncated(name: str) -> None:
    body = body_of(name)
    found = TERMINAL.search(body)
    for at in range(0, found.end() if found else len(body), 7):
        with pytest.raises(StreamTruncated, match="not used"):
            read([body[:at]])


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_that_is_cut_is_a_truncated_answer_until_it_is_whole(name: str) -> None:
    body = body_of(name)
    whole = getattr(values, FIXTURES[name]["expect"]["error"])
    seen: list[type[Exception]] = []
    for at in range(len(body)):
        with pytest.raises(RemoteError) as caught:
            read([body[:at]])
        seen.append(type(caught.value))
    # First the one, then perhaps the other: nothing else, and no way back.
    assert set(seen) <= {StreamTruncated, whole}
    if name != "error_in_plain_words":  # of which half is words as well
        assert sorted(seen, key=lambda kind: kind is not StreamTruncated) == seen


def test_asking_for_the_end_changes_nothing() -> None:
    for name in ANSWERS:
        body = body_of(name)
        asked, deltas = decoder(), []
        for byte in bytewise(body):
            deltas += asked.receive(byte)
            try:
                asked.finish()
            except StreamTruncated:
                pass
        assert (deltas, asked.finish()) == read([body])


# ---- what else is promised


def test_usage_is_known_as_soon_as_it_is_reported() -> None:
    body = body_of("usage")
    reader = decoder()
    reader.receive(body[: body.index(b"content_block_start")])
    assert reader.usage == Usage(
        input_tokens=3, cache_read_tokens=500, cache_write_tokens=70, output_tokens=2
    )
    with pytest.raises(StreamTruncated):
        reader.finish()
    assert reader.usage.total_tokens == 575


def test_the_request_id_is_on_completions_and_errors() -> None:
    reader = decoder()
    reader.request_id = "req_1"
    reader.receive(body_of("text"))
    assert reader.finish().request_id == "req_1"
    for name in ("overloaded_at_once", "delta_without_a_block", "error_in_plain_words", "no_reason"):
        reader = decoder()
        reader.request_id = "req_2"
        reader.receive(body_of(name))
        with pytest.raises(RemoteError) as caught:
            reader.finish()
        assert caught.value.request_id == "req_2"


def test_the_sandbox_of_a_call_is_kept_with_the_call() -> None:
    _, completion = read([body_of("call_from_the_sandbox")])
    (use,) = completion.message.tool_uses
    assert use.extra == {
        "caller": {"type": "code_execution_20250825", "tool_id": "srvtoolu_1"},
        "container": "container_1",
    }


def test_a_call_of_the_models_own_needs_no_sandbox() -> None:
    _, completion = read([body_of("direct_call_beside_a_sandbox")])
    assert completion.message.tool_uses[0].extra == {"caller": {"type": "direct"}}


def test_the_vendors_own_blocks_keep_their_wire_form() -> None:
    _, completion = read([body_of("web_search")])
    use = next(b for b in completion.message.content if isinstance(b, ServerToolUse))
    assert use.extra == {
        "type": "server_tool_use",
        "id": "srvtoolu_1",
        "name": "web_search",
        "input": {"query": "answer"},
    }


def test_a_decoder_can_be_copied_while_it_reads() -> None:
    body = body_of("call")
    reader = decoder()
    reader.receive(body[:400])
    before = copy.copy(reader.usage)
    twin = copy.deepcopy(reader)
    reader.receive(body[400:])
    assert reader.finish() == read([body])[1]
    assert twin.usage == before
    assert not twin.terminated


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_start", "index": "0", "content_block": {"type": "text", "text": ""}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": 5}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": 7}},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "name": "x"}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "tool_use", "id": 1, "name": "x"},
        },
        {"type": "content_block_start", "index": 0, "content_block": {"type": "redacted_thinking"}},
        {"type": "content_block_start", "index": 0},
        {"type": "content_block_stop", "index": 9},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": 1}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta"}},
        {"type": "content_block_delta", "index": 1},
        {"type": "message_delta", "delta": None},
        {"type": "message_delta", "delta": {"stop_reason": 3}},
        {"type": "message_start", "message": "x"},
        {},
        [],
        "text",
        None,
    ],
)
def test_an_event_against_the_protocol_is_a_malformed_reply(event: Any) -> None:
    reader = decoder()
    opened = {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}
    reader.receive(f"data: {json.dumps(opened)}\n\n".encode())
    reader.receive(f"data: {json.dumps(event)}\n\n".encode())
    with pytest.raises(values.MalformedReply):
        reader.finish()


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(name=st.sampled_from(sorted(ANSWERS)), data=st.data())
def test_a_damaged_answer_is_an_answer_or_an_error_of_the_providers(name: str, data: st.DataObject) -> None:
    """No damage to the JSON of one event, or to the body, gives any other exception."""
    fixture = FIXTURES[name]
    lines = fixture["body"].split("\n") if fixture["stream"] else [fixture["body"]]
    places = [i for i, line in enumerate(lines) if line.startswith(("data: {", "{"))]
    place = data.draw(st.sampled_from(places))
    prefix = "data: " if lines[place].startswith("data: ") else ""
    value = json.loads(lines[place].removeprefix("data: ").strip())
    holder, key = data.draw(st.sampled_from(list(_slots(value))))
    if data.draw(st.booleans()) and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = data.draw(JUNK)
    lines[place] = prefix + json.dumps(value)
    result = outcome(["\n".join(lines).encode("utf-8", "surrogatepass")])
    assert isinstance(result, tuple)


def _slots(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _slots(inner)
