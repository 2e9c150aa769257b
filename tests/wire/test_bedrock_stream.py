"""Answers on Bedrock's wire: every case of the project's own fixtures, in any division and cut anywhere."""

from __future__ import annotations

import base64
import copy
import json
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
from alloy_trio.wire import WireSettings
from alloy_trio.wire._bedrock import BedrockCodec
from alloy_trio.wire._bedrock_stream import BedrockDecoder

from . import recordings
from .event_messages import message, stream
from .recordings import cuts, fixtures

SETTINGS = WireSettings(provider="bedrock", model="us.anthropic.claude-made-up-1")
FIXTURES = fixtures("bedrock")
ANSWERS = [name for name, fixture in FIXTURES.items() if "error" not in fixture["expect"]]
ERRORS = [name for name in FIXTURES if name not in ANSWERS]


def decoder() -> BedrockDecoder:
    return BedrockCodec().decoder(SETTINGS)


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
    return recordings.body_of(FIXTURES[name])


def bytewise(body: bytes) -> list[bytes]:
    return [body[i : i + 1] for i in range(len(body))]


def end_of(name: str) -> tuple[int, int]:
    """Where the message with the reason ends, and where the terminal one does; twice the length of a body."""
    at, reason = 0, -1
    body = body_of(name)
    for event in FIXTURES[name].get("events", ()):
        at += len(stream([event]))
        if event[0] == "messageStop":
            reason = at
        elif event[0] == "metadata":
            return reason, at
    return (reason if reason >= 0 else len(body)), len(body)


# ---- what each fixture means


def test_the_bytes_of_a_fixture_are_its_events() -> None:
    for name, fixture in FIXTURES.items():
        if fixture["stream"]:
            assert stream(fixture["events"]) == body_of(name), name


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_read(name: str) -> None:
    expect = FIXTURES[name]["expect"]
    _, completion = read([body_of(name)])
    said = completion.message
    assert completion.stop_reason == expect["stop_reason"]
    assert said.text == expect["text"]
    assert said.role == "assistant"
    assert said.origin == SETTINGS.origin
    assert completion.model == expect.get("model", SETTINGS.model)
    assert [type(block).__name__ for block in said.content] == expect["blocks"]
    uses = [
        {"id": use.id, "name": use.name, "input": use.input, "invalid_input": use.invalid_input}
        for use in said.tool_uses
    ]
    assert uses == expect["tool_uses"]
    assert attrs.asdict(completion.usage) == {**expect["usage"], "cost_cents": None}
    thinking = [[b.text, b.signature, b.redacted] for b in said.content if isinstance(b, Thinking)]
    assert thinking == expect.get("thinking", [])
    assert [b.raw for b in said.content if isinstance(b, Opaque)] == expect.get("opaque", [])
    server = [[b.id, b.name, b.input] for b in said.content if isinstance(b, ServerToolUse)]
    assert server == expect.get("server", [])
    results = [
        [b.tool_use_id, b.content, b.is_error] for b in said.content if isinstance(b, ServerToolResult)
    ]
    assert results == expect.get("server_results", [])
    cited = [c for b in said.content if isinstance(b, Text) for c in b.citations]
    assert cited == expect.get("citations", [])


@pytest.mark.parametrize("name", ERRORS)
def test_what_is_no_answer_is_its_error(name: str) -> None:
    expect = FIXTURES[name]["expect"]
    reader = decoder()
    reader.receive(body_of(name))
    with pytest.raises(RemoteError) as caught:
        reader.finish()
    assert type(caught.value) is getattr(values, expect["error"])
    assert caught.value.provider == "bedrock"
    assert caught.value.transient is expect.get("transient", True)
    if "usage" in expect:
        assert attrs.asdict(reader.usage) == {**expect["usage"], "cost_cents": None}


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
    thoughts = "".join(b.text for b in completion.message.content if isinstance(b, Thinking))
    assert "".join(d.text for d in deltas if isinstance(d, ThinkingDelta)) == thoughts
    reported = [d.usage for d in deltas if isinstance(d, UsageDelta)]
    assert reported == ([] if name == "no_metadata" else [completion.usage])
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
    assert calls == [
        ToolInputDelta("tooluse_1", "ls", ""),
        ToolInputDelta("tooluse_1", "ls", '{"pa'),
        ToolInputDelta("tooluse_1", "ls", 'th":"."}'),
    ]


def test_what_came_before_an_error_is_given_however_the_bytes_come() -> None:
    for name in ("model_stream_error", "damaged"):
        for chunks in ([body_of(name)], bytewise(body_of(name))):
            reader = decoder()
            deltas = []
            for chunk in chunks:
                if reader.failure is None:
                    deltas += reader.receive(chunk)
            assert deltas == [TextDelta("Hel")]


# ---- cut anywhere


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_cut_before_its_end_is_truncated(name: str) -> None:
    body = body_of(name)
    whole = read([body])[1]
    reason, end = end_of(name)
    reader = decoder()
    for at in range(len(body) + 1):
        if at >= end:
            assert reader.finish() == whole
        elif at == reason:
            # A clean end between reason and usage is the same answer; the usage is not known.
            early = reader.finish()
            assert attrs.evolve(early, usage=whole.usage, model=whole.model) == whole
            assert early.usage == Usage()
        else:
            with pytest.raises(StreamTruncated, match="not used"):
                reader.finish()
        reader.receive(body[at : at + 1])
    assert reader.terminated or not FIXTURES[name]["stream"] or name == "no_metadata"


@pytest.mark.parametrize("name", ["call", "thinking", "server_tool", "calls_whole"])
def test_a_fresh_decoder_of_every_beginning_says_truncated(name: str) -> None:
    body = body_of(name)
    reason, end = end_of(name)
    for at in set(range(0, end, 7)) - {reason}:
        with pytest.raises(StreamTruncated, match="not used"):
            read([body[:at]])


@pytest.mark.parametrize("name", ERRORS)
def test_an_error_that_is_cut_is_a_truncated_answer_until_it_is_whole(name: str) -> None:
    body = body_of(name)
    whole = getattr(values, FIXTURES[name]["expect"]["error"])
    reason, _ = end_of(name)
    seen: list[type[Exception]] = []
    for at in range(len(body)):
        with pytest.raises(RemoteError) as caught:
            read([body[:at]])
        if at == reason:  # a clean end, where the reason itself is the error
            assert type(caught.value) is whole
        else:
            seen.append(type(caught.value))
    # First the one, then perhaps the other: nothing else, and no way back.
    assert set(seen) <= {StreamTruncated, whole}
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


def test_the_request_id_is_on_completions_and_errors() -> None:
    reader = decoder()
    reader.request_id = "req-1"
    reader.receive(body_of("text"))
    assert reader.finish().request_id == "req-1"
    for name in ("throttled_in_a_call", "malformed_output", "not_json", "metadata_without_a_reason"):
        reader = decoder()
        reader.request_id = "req-2"
        reader.receive(body_of(name))
        with pytest.raises(RemoteError) as caught:
            reader.finish()
        assert caught.value.request_id == "req-2"


def test_the_vendors_own_blocks_keep_their_wire_form() -> None:
    _, completion = read([body_of("server_tool_whole")])
    use, result = completion.message.content[:2]
    assert isinstance(use, ServerToolUse) and isinstance(result, ServerToolResult)
    sent = json.loads(body_of("server_tool_whole"))["output"]["message"]["content"]
    assert [{"toolUse": use.extra}, {"toolResult": result.extra}] == sent[:2]


def test_a_decoder_can_be_copied_while_it_reads() -> None:
    body = body_of("call")
    reader = decoder()
    reader.receive(body[:600])
    twin = copy.deepcopy(reader)
    reader.receive(body[600:])
    assert reader.finish() == read([body])[1]
    assert not twin.terminated
    twin.receive(body[600:])
    assert twin.finish() == reader.finish()


@pytest.mark.parametrize(
    ("event", "value"),
    [
        (
            "contentBlockStart",
            {"contentBlockIndex": "0", "start": {"toolUse": {"toolUseId": "a", "name": "b"}}},
        ),
        (
            "contentBlockStart",
            {"contentBlockIndex": [0], "start": {"toolUse": {"toolUseId": "a", "name": "b"}}},
        ),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": {"toolUseId": 1, "name": "b"}}}),
        ("contentBlockStart", {"contentBlockIndex": 0, "start": {"toolUse": "x"}}),
        ("contentBlockStart", {"contentBlockIndex": 0}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": 1}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {}}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": "x"}),
        ("contentBlockDelta", {"contentBlockIndex": 1}),
        ("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"reasoningContent": {"text": "x"}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"reasoningContent": {"text": 3}}}),
        ("contentBlockDelta", {"contentBlockIndex": 2, "delta": {"reasoningContent": None}}),
        ("messageStop", {}),
        ("messageStop", {"stopReason": None}),
        ("messageStop", {"stopReason": 3}),
        ("metadata", []),
        ("messageStop", "text"),
        ("contentBlockDelta", None),
    ],
)
def test_an_event_against_the_protocol_is_a_malformed_reply(event: str, value: Any) -> None:
    reader = decoder()
    reader.receive(message("contentBlockDelta", {"contentBlockIndex": 1, "delta": {"text": "a"}}))
    reader.receive(message(event, value))
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
    events = copy.deepcopy(fixture["events"]) if fixture["stream"] else [["", json.loads(fixture["body"])]]
    value = data.draw(st.sampled_from(events))[1]
    holder, key = data.draw(st.sampled_from(list(_slots(value))))
    if data.draw(st.booleans()) and isinstance(holder, dict):
        del holder[key]
    else:
        holder[key] = data.draw(JUNK)
    body = stream(events) if fixture["stream"] else json.dumps(value).encode()
    assert isinstance(outcome([body]), tuple)


def _slots(value: Any) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        yield value, key
        yield from _slots(inner)


def test_encrypted_reasoning_in_pieces_is_the_bytes_of_all() -> None:
    _, completion = read([body_of("thinking_redacted")])
    (first, second) = [b.redacted for b in completion.message.content if isinstance(b, Thinking)]
    assert first is not None and base64.b64decode(first) == b"\x00\x01\x02\xff"
    assert second == first
