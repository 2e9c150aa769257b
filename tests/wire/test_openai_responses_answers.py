"""Answers of the Responses protocol: what they mean, in any division, cut anywhere, from many hosts."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import alloy_trio.values
from alloy_trio.values import (
    Completion,
    Delta,
    MalformedReply,
    Opaque,
    RemoteError,
    ServerFault,
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
from alloy_trio.wire import Decoder, WireSettings
from alloy_trio.wire._faults import fault_from_response
from alloy_trio.wire._openai_responses import ResponsesCodec

from .recordings import body_of, cuts, fixtures, load, load_errors

SETTINGS = WireSettings(provider="host", model="asked-model")
FIXTURES = fixtures("openai_responses")

NO_ANSWER: dict[str, tuple[type[RemoteError], str]] = {
    "12477f9ac56d-00": (ServerFault, "the stream reports an error"),
    "19fb3340df3e-00": (MalformedReply, "a background response, queued"),
    "19fb3340df3e-02": (MalformedReply, "a background response, queued"),
    "19fb3340df3e-03": (MalformedReply, "a background response, in progress"),
    "75026b42cbed-00": (MalformedReply, "a token count, of another endpoint"),
    "95631dc6ac6d-00": (MalformedReply, "a background response, queued"),
    "95631dc6ac6d-01": (MalformedReply, "a background response, in progress"),
    "976bef0125ed-00": (MalformedReply, "a token count, of another endpoint"),
    "976bef0125ed-01": (MalformedReply, "a token count, of another endpoint"),
    "9bd28c3ee6ee-00": (MalformedReply, "a background response, queued"),
    "9bd28c3ee6ee-01": (MalformedReply, "a background response, queued"),
    "ae4f0f598081-00": (MalformedReply, "a token count, of another endpoint"),
}
"""Recorded with status 200, and yet no answer."""

EDITED = {
    "abaa9607fe2e-00": "the pieces of the text were shortened by hand",
    "c8cd167cfaad-00": "the pieces of the text were shortened by hand",
}
"""Streams whose pieces do not add up to their items."""

SEVERAL_ANSWERS = {"8e9e9e8fd332-00": "four answers one after the other in one body"}

Outcome = tuple[list[Delta], Completion | type[RemoteError]]


def decoder() -> Decoder:
    return ResponsesCodec().decoder(SETTINGS)


def read(chunks: Iterable[bytes]) -> Outcome:
    reading = decoder()
    deltas: list[Delta] = []
    try:
        for chunk in chunks:
            deltas += reading.receive(chunk)
        deltas += reading.receive_end()
        return deltas, reading.finish()
    except RemoteError as error:
        named = error.provider
        kind = type(error)
    assert named == "host"
    return deltas, kind


def bytewise(body: bytes) -> Iterator[bytes]:
    return (body[at : at + 1] for at in range(len(body)))


def is_stream(body: bytes) -> bool:
    return body.lstrip()[:1] not in (b"{", b"[", b"<")


def texts_of(deltas: Iterable[Delta]) -> str:
    return "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))


def check_deltas(deltas: list[Delta], completion: Completion) -> None:
    message = completion.message
    thoughts = [delta.text for delta in deltas if isinstance(delta, ThinkingDelta)]
    assert all(delta.text for delta in deltas if isinstance(delta, TextDelta | ThinkingDelta))
    assert texts_of(deltas) == message.text
    assert "".join(thoughts) == "".join(
        block.text for block in message.content if isinstance(block, Thinking)
    )
    written: dict[str, str] = {}
    for delta in deltas:
        if isinstance(delta, ToolInputDelta):
            written[delta.id] = written.get(delta.id, "") + delta.partial_json
    for call in message.tool_uses:
        if call.invalid_input is not None:
            assert written[call.id] == call.invalid_input
        else:
            assert json.loads(written[call.id] or "{}") == call.input
    for block in message.content:
        if isinstance(block, ServerToolUse):
            assert block.extra is not None
            assert {block.id, block.extra.get("call_id")} & written.keys()
    usages = [delta.usage for delta in deltas if isinstance(delta, UsageDelta)]
    assert (usages[-1] if usages else Usage()) == completion.usage


def check_message(completion: Completion) -> None:
    """What holds for every answer."""
    assert completion.message.role == "assistant"
    assert completion.message.origin == SETTINGS.origin
    assert completion.model
    calls = completion.message.tool_uses
    assert len({call.id for call in calls}) == len(calls)
    assert all(call.id and call.name for call in calls)
    assert all(block.text for block in completion.message.content if isinstance(block, Text))
    if completion.stop_reason == "tool_use":
        assert calls
    if completion.stop_reason == "end_turn":
        assert not calls
    usage = completion.usage
    counts = (usage.input_tokens, usage.cache_read_tokens, usage.cache_write_tokens, usage.output_tokens)
    assert all(count >= 0 for count in counts)
    assert usage.reasoning_tokens <= usage.output_tokens


# --- fixtures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIXTURES)
def test_an_answer_means_what_its_fixture_says(name: str) -> None:
    expect = FIXTURES[name]["expect"]
    body = body_of(FIXTURES[name])
    deltas, outcome = read([body])
    if "error" in expect:
        assert outcome is getattr(alloy_trio.values, expect["error"])
        return
    assert isinstance(outcome, Completion)
    check_message(outcome)
    content = outcome.message.content
    assert outcome.stop_reason == expect["stop"]
    assert outcome.message.text == expect.get("text", "")
    assert (outcome.model, outcome.request_id) in [("test-model-1", "resp_1"), ("asked-model", None)]
    thoughts = [block for block in content if isinstance(block, Thinking)]
    assert "".join(block.text for block in thoughts) == expect.get("thinking", "")
    assert [block.signature for block in thoughts] == expect.get("signatures", [])
    calls = outcome.message.tool_uses
    expected_calls = expect.get("calls", [])
    assert [(call.id, call.name, call.input, call.invalid_input) for call in calls] == [
        (call["id"], call["name"], call["input"], call.get("invalid_input")) for call in expected_calls
    ]
    for call, expected in zip(calls, expected_calls, strict=True):
        if "extra" in expected:
            assert call.extra == expected["extra"]
    if "text_extra" in expect:
        assert [block.extra for block in content if isinstance(block, Text)] == expect["text_extra"]
    usage = dict(expect["usage"])
    if "cost_cents" in usage:
        usage["cost_cents"] = Decimal(usage["cost_cents"])
    assert outcome.usage == Usage(**usage)
    assert [block.raw for block in content if isinstance(block, Opaque)] == expect.get("opaque", [])
    citations = [item for block in content if isinstance(block, Text) for item in block.citations]
    assert citations == expect.get("citations", [])
    runs = [block for block in content if isinstance(block, ServerToolUse)]
    outputs = {block.tool_use_id: block.content for block in content if isinstance(block, ServerToolResult)}
    assert [[run.id, run.name, run.input, outputs.get(run.id)] for run in runs] == expect.get("server", [])
    if is_stream(body):  # whole bodies have no deltas
        check_deltas(deltas, outcome)


@pytest.mark.parametrize("name", FIXTURES)
def test_any_division_of_a_fixture_gives_the_same(name: str) -> None:
    body = body_of(FIXTURES[name])
    whole = read([body])
    assert read(bytewise(body)) == whole
    for seed in range(20):
        assert read(cuts(body, seed)) == whole


@given(data=st.data(), name=st.sampled_from(sorted(FIXTURES)))
def test_any_division_that_hypothesis_finds_gives_the_same(data: st.DataObject, name: str) -> None:
    body = body_of(FIXTURES[name])
    ends = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    chunks = [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]
    assert read(chunks) == read([body])


TERMINALS = {"response.completed", "response.incomplete", "response.failed", "error"}


def earliest_end(body: bytes) -> int:
    """Where an answer can be complete at the soonest, found without the decoder: the end of the line that
    holds the terminal event, or of the body."""
    if not is_stream(body):
        return len(body.rstrip())
    at = 0
    for line in body.split(b"\n"):
        data = line.removeprefix(b"data:").strip()
        if data.startswith(b"{"):
            try:
                event = json.loads(data)
            except ValueError:
                event = {}
            if event.get("type") in TERMINALS:
                return at + len(line.rstrip())
        at += len(line) + 1
    return len(body)


def ask_everywhere(body: bytes) -> tuple[int, Outcome]:
    """Read byte by byte and ask for the completion before each: how often there was none, and the outcome."""
    soonest = earliest_end(body)
    whole = read([body])[1]
    reading = decoder()
    deltas: list[Delta] = []
    truncated = 0
    try:
        for at, piece in enumerate(bytewise(body)):
            try:
                early = reading.finish()
            except StreamTruncated:
                truncated += 1
            else:
                assert at >= soonest, f"an answer after {at} bytes, {body[max(0, at - 80) : at]!r}"
                assert early == whole
            deltas += reading.receive(piece)
        deltas += reading.receive_end()
        final = reading.finish()
        assert reading.finish() == final
        return truncated, (deltas, final)
    except RemoteError as error:
        # An error that the stream reports is met in receive(), or already as the last, unclosed event.
        return truncated, (deltas, type(error))


@pytest.mark.parametrize("name", sorted(FIXTURES.keys() - {"html"}))
def test_a_fixture_cut_anywhere_gives_the_same_answer_or_none(name: str) -> None:
    body = body_of(FIXTURES[name])
    truncated, outcome = ask_everywhere(body)
    assert outcome == read([body])
    if isinstance(outcome[1], Completion):
        assert truncated == earliest_end(body)


@pytest.mark.parametrize("name", ["text", "call", "server_tools", "text_whole"])
def test_a_fresh_decoder_given_a_beginning_says_that_it_is_one(name: str) -> None:
    body = body_of(FIXTURES[name])
    for end in range(0, earliest_end(body), 7):
        assert read([body[:end]])[1] is StreamTruncated, body[:end][-60:]


def test_the_usage_is_kept_when_the_answer_fails() -> None:
    reading = decoder()
    response = {"id": "resp_1", "status": "failed", "error": {"code": "server_error", "message": "x"}}
    usage = {"input_tokens": 7, "output_tokens": 3}
    event = {"type": "response.failed", "response": {**response, "usage": usage}}
    reading.receive(f"data: {json.dumps(event)}\n\n".encode())
    with pytest.raises(ServerFault) as caught:
        reading.finish()
    assert reading.usage == Usage(input_tokens=7, output_tokens=3)
    assert caught.value.request_id == "resp_1"


def test_the_request_id_of_the_headers_wins() -> None:
    reading = decoder()
    reading.request_id = "req_1"
    reading.receive(body_of(FIXTURES["text"]))
    assert reading.finish().request_id == "req_1"


# --- errors with a status ---------------------------------------------------------------------------------


def test_a_blocked_prompt_is_a_refusal_with_the_hosts_words() -> None:
    error = {"message": "The prompt was filtered.", "code": "content_filter", "innererror": {"code": "x"}}
    completion = ResponsesCodec().completion_from_error(SETTINGS, 400, json.dumps({"error": error}).encode())
    assert completion is not None
    assert completion.stop_reason == "refusal"
    assert completion.message.text == "The prompt was filtered."
    assert completion.message.origin == SETTINGS.origin


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, b""),
        (400, b"<html>"),
        (400, b'{"error":{"message":"No.","code":"invalid_value"}}'),
        (500, b'{"error":{"message":"No.","code":"content_filter"}}'),
    ],
)
def test_other_errors_are_errors(status: int, body: bytes) -> None:
    assert ResponsesCodec().completion_from_error(SETTINGS, status, body) is None


# --- recordings -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers() -> list[dict[str, Any]]:
    return [record for record in load("openai_responses") if record["status"] == 200]


def test_every_recorded_answer_is_read(answers: list[dict[str, Any]]) -> None:
    assert len(answers) > 600
    for record in answers:
        body = body_of(record)
        deltas, outcome = read([body])
        if record["id"] in NO_ANSWER:
            assert outcome is NO_ANSWER[record["id"]][0], record["id"]
            continue
        assert isinstance(outcome, Completion), (record["id"], outcome)
        check_message(outcome)
        if is_stream(body) and record["id"] not in EDITED:
            check_deltas(deltas, outcome)


def test_recorded_answers_come_out_alike_in_any_division(answers: list[dict[str, Any]]) -> None:
    for number, record in enumerate(answers):
        body = body_of(record)
        whole = read([body])
        for seed in range(3):
            assert read(cuts(body, number + seed * 1000)) == whole, record["id"]


def test_a_recorded_stream_cut_anywhere_gives_the_same_answer_or_none(answers: list[dict[str, Any]]) -> None:
    streams = [record for record in answers if is_stream(body_of(record)) and record["id"] not in NO_ANSWER]
    assert len(streams) > 130
    for record in streams:
        body = body_of(record)
        if len(body) > 60_000:
            continue  # the next test samples the long ones
        truncated, outcome = ask_everywhere(body)
        assert outcome == read([body]), record["id"]
        assert truncated >= earliest_end(body), record["id"]


def test_long_recordings_cut_at_sampled_places_give_the_same_answer_or_none(
    answers: list[dict[str, Any]],
) -> None:
    rng = random.Random(0)
    for record in answers:
        body = body_of(record)
        if record["id"] in NO_ANSWER or not body:
            continue
        soonest = earliest_end(body)
        for _ in range(2):
            assert read([body[: rng.randrange(soonest)]])[1] is StreamTruncated, record["id"]


def test_every_recorded_error_status_is_of_its_type() -> None:
    expected = {400: "Rejected", 401: "AuthenticationFailed"}
    special = {"872911be1d82-00": "ContextOverflow", "d8e7d0f223e4-00": "AuthenticationFailed"}
    seen = 0
    for record in load("openai_responses"):
        if record["status"] == 200:
            continue
        error = fault_from_response(
            record["status"], record["response_headers"], body_of(record), provider="host", now=0.0
        )
        assert type(error).__name__ == special.get(record["id"], expected[record["status"]]), record["id"]
        seen += 1
    assert seen == 8


ERRORS = {
    "rate_limit": "RateLimited",
    "server": "ServerFault",
    "context_overflow": "ContextOverflow",
    "stream_cut": "StreamTruncated",
}


def test_the_documented_errors_are_of_their_types() -> None:
    records = load_errors("openai_responses")
    assert len(records) == 6
    for record in records:
        expect = record["expect"]
        if record["status"] != 200:
            error = fault_from_response(
                record["status"], record["response_headers"], body_of(record), provider="host", now=0.0
            )
            assert (type(error).__name__, error.transient) == (ERRORS[expect["error"]], expect["retryable"])
            continue
        outcome = read([body_of(record)])[1]
        if expect["error"] is None:
            assert isinstance(outcome, Completion)
            assert outcome.stop_reason == "max_tokens"
            assert outcome.usage.reasoning_tokens == 64
        else:
            assert isinstance(outcome, type)
            assert outcome.__name__ == ERRORS[expect["error"]], record["id"]
            assert outcome("x").transient == expect["retryable"]


# --- an independent reader --------------------------------------------------------------------------------


def test_the_vendors_own_client_reads_the_same(answers: list[dict[str, Any]]) -> None:
    pytest.importorskip("openai", reason="the vendor's client is the judge here")
    from openai._models import construct_type
    from openai._streaming import SSEDecoder
    from openai.types.responses import Response, ResponseStreamEvent

    compared = 0
    for record in answers:
        body = body_of(record)
        if record["id"] in NO_ANSWER or record["id"] in SEVERAL_ANSWERS or "/compact" in record["path"]:
            continue
        if is_stream(body):
            response: Any = None
            for sse in SSEDecoder().iter_bytes(iter([body])):
                event: Any = construct_type(type_=ResponseStreamEvent, value=sse.json()) if sse.data else None
                if event is not None and event.type in ("response.completed", "response.incomplete"):
                    response = event.response
        else:
            response = construct_type(type_=Response, value=json.loads(body))
        ours = read([body])[1]
        assert isinstance(ours, Completion)
        if not response.output:
            continue
        assert ours.message.text == response.output_text, record["id"]
        calls = [item for item in response.output if item.type == "function_call"]
        assert [call.name for call in ours.message.tool_uses] == [call.name for call in calls]
        for call, theirs in zip(ours.message.tool_uses, calls, strict=True):
            # A server that counts per answer (call_0) has its name kept, with the answer's to it.
            counted = len(theirs.call_id) == len("call_0")
            assert call.id.startswith(theirs.call_id + "_") if counted else call.id == theirs.call_id
        assert [call.input for call in ours.message.tool_uses] == [
            json.loads(call.arguments) for call in calls
        ]
        if response.status == "incomplete":
            assert ours.stop_reason == "max_tokens"
        else:
            assert ours.stop_reason == ("tool_use" if calls else "end_turn")
        assert ours.model == response.model
        if response.usage is not None:
            total = response.usage.input_tokens + response.usage.output_tokens
            assert ours.usage.total_tokens == total, record["id"]
            assert ours.usage.output_tokens == response.usage.output_tokens
            details = response.usage.input_tokens_details
            assert ours.usage.cache_read_tokens == (details.cached_tokens if details else 0)
        compared += 1
    assert compared > 550
