"""Answers of Chat Completions: what they mean, in any division, cut anywhere, from many hosts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import alloy_trio.values
from alloy_trio.values import (
    Completion,
    CompletionRequest,
    ContextOverflow,
    Delta,
    MalformedReply,
    Opaque,
    RateLimited,
    Rejected,
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
from alloy_trio.wire import _dialects
from alloy_trio.wire._codec import WireSettings
from alloy_trio.wire._dialects import SNOWFLAKE, Dialect
from alloy_trio.wire._faults import fault_from_response
from alloy_trio.wire._openai_chat import ChatCodec
from alloy_trio.wire._openai_chat_decoder import ChatDecoder

from .recordings import body_of, cuts, fixtures, load, load_errors

SETTINGS = WireSettings(provider="host", model="asked-model")
FIXTURES = fixtures("openai_chat")

NO_ANSWER: dict[str, tuple[type[RemoteError], str]] = {
    "0402744ca642-00": (
        StreamTruncated,
        "llama.cpp gave up: a line `error: {…}`, which is no field of SSE, then nothing",
    ),
    "0c6bd9f6e0b0-01": (StreamTruncated, "an empty stream"),
    "5c9e4c9892e4-00": (StreamTruncated, "plain text, of which nothing is an event"),
    "758b92ca985e-00": (MalformedReply, "a test server's echo of the request"),
    "9d9e9f7662f7-01": (StreamTruncated, "an empty body"),
    "d89a94fe85fd-01": (StreamTruncated, "an empty body"),
}
"""Recorded with status 200, and yet no answer."""

Outcome = tuple[list[Delta], Completion | type[RemoteError]]


def dialect_of(record: dict[str, Any]) -> Dialect:
    if record.get("vendor") == "snowflake":
        return SNOWFLAKE
    dialect = getattr(_dialects, record.get("dialect", "OPENAI"))
    assert isinstance(dialect, Dialect)
    return dialect


def decoder_for(record: dict[str, Any]) -> ChatDecoder:
    return ChatCodec(dialect_of(record)).decoder(SETTINGS)


def read(decoder: ChatDecoder, chunks: Iterable[bytes]) -> Outcome:
    deltas: list[Delta] = []
    try:
        for chunk in chunks:
            deltas += decoder.receive(chunk)
        deltas += decoder.receive_end()
        return deltas, decoder.finish()
    except RemoteError as error:
        return deltas, type(error)


def check_same(one: Outcome, other: Outcome) -> None:
    """Two readings of the same bytes agree."""
    assert one[1] == other[1]
    assert one[0] == other[0]


def bytewise(body: bytes) -> Iterator[bytes]:
    return (body[at : at + 1] for at in range(len(body)))


def answer_of(completion: Completion) -> tuple[Any, ...]:
    """A completion without its usage, which may come after the end of the answer."""
    return completion.message, completion.stop_reason, completion.model, completion.request_id


def check_deltas(deltas: list[Delta], completion: Completion) -> None:
    message = completion.message
    texts = [delta.text for delta in deltas if isinstance(delta, TextDelta)]
    thoughts = [delta.text for delta in deltas if isinstance(delta, ThinkingDelta)]
    assert all(texts)
    assert all(thoughts)
    assert "".join(texts) == message.text
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
        elif written[call.id].strip() not in ("", "null"):
            assert json.loads(written[call.id]) == call.input
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
    fixture = FIXTURES[name]
    expect = fixture["expect"]
    deltas, outcome = read(decoder_for(fixture), [body_of(fixture)])
    if "error" in expect:
        assert outcome is getattr(alloy_trio.values, expect["error"])
        return
    assert isinstance(outcome, Completion)
    check_message(outcome)
    content = outcome.message.content
    assert outcome.stop_reason == expect["stop"]
    assert outcome.message.text == expect.get("text", "")
    assert "".join(b.text for b in content if isinstance(b, Thinking)) == expect.get("thinking", "")
    calls = outcome.message.tool_uses
    expected_calls = expect.get("calls", [])
    assert len(calls) == len(expected_calls)
    for call, expected in zip(calls, expected_calls, strict=True):
        assert call.id == expected["id"] if "id" in expected else call.id.startswith("call_made_")
        assert (call.name, call.input, call.invalid_input) == (
            expected["name"],
            expected["input"],
            expected.get("invalid_input"),
        )
        if "extra" in expected:
            assert call.extra == expected["extra"]
    usage = dict(expect["usage"])
    if "cost_cents" in usage:
        usage["cost_cents"] = Decimal(usage["cost_cents"])
    assert outcome.usage == Usage(**usage)
    extras = [block.extra for block in content if isinstance(block, Thinking) and block.extra]
    assert extras == ([expect["thinking_extra"]] if "thinking_extra" in expect else [])
    assert [block.raw for block in content if isinstance(block, Opaque)] == expect.get("opaque", [])
    citations = [item for block in content if isinstance(block, Text) for item in block.citations]
    assert citations == expect.get("citations", [])
    if "blocks" in expect:
        assert [type(block).__name__ for block in content] == expect["blocks"]
    runs = [block for block in content if isinstance(block, ServerToolUse)]
    outputs = {block.tool_use_id: block.content for block in content if isinstance(block, ServerToolResult)}
    assert [[run.id, run.name, run.input, outputs.get(run.id)] for run in runs] == expect.get("server", [])
    # Whole bodies have no deltas, and an event that only the end of the bytes closes has none either.
    if body_of(fixture)[:1] not in (b"{", b"["):
        check_deltas(deltas, outcome)


@pytest.mark.parametrize("name", FIXTURES)
def test_any_division_of_a_fixture_gives_the_same(name: str) -> None:
    body = body_of(FIXTURES[name])
    whole = read(decoder_for(FIXTURES[name]), [body])
    check_same(read(decoder_for(FIXTURES[name]), bytewise(body)), whole)
    for seed in range(20):
        check_same(read(decoder_for(FIXTURES[name]), cuts(body, seed)), whole)


@given(data=st.data(), name=st.sampled_from(sorted(FIXTURES)))
def test_any_division_that_hypothesis_finds_gives_the_same(data: st.DataObject, name: str) -> None:
    body = body_of(FIXTURES[name])
    ends = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    chunks = [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]
    check_same(read(decoder_for(FIXTURES[name]), chunks), read(decoder_for(FIXTURES[name]), [body]))


def earliest_end(body: bytes) -> int:
    """Where a stream's answer can be complete at the soonest, found without the decoder: the end of the line
    that holds the first finish reason, or [DONE], or an error."""
    at = 0
    for line in body.splitlines(keepends=True):
        at += len(line)
        data = line.removeprefix(b"data:").strip()
        if data == b"[DONE]":
            return at - (len(line) - len(line.rstrip()))
        if data.startswith(b"{"):
            try:
                chunk = json.loads(data)
            except ValueError:
                continue
            choices = [choice for choice in chunk.get("choices") or () if isinstance(choice, dict)]
            if chunk.get("error") or any(c.get("finish_reason") for c in choices if not c.get("index")):
                return at - (len(line) - len(line.rstrip()))
    return len(body)


def check_cuts(record: dict[str, Any], worth: Callable[[bytes, int], bool]) -> int:
    """Ask for the completion after each byte that ``worth`` selects; returns how often none was given."""
    body = body_of(record)
    whole = read(decoder_for(record), [body])[1]
    soonest = earliest_end(body) if body[:1] not in (b"{", b"[") else len(body.rstrip())
    decoder = decoder_for(record)
    truncated = 0
    for at in range(len(body)):
        try:
            if worth(body, at):
                completion = decoder.finish()
                assert at >= soonest, f"an answer after {at} bytes, {body[max(0, at - 80) : at]!r}"
                assert isinstance(whole, Completion)
                assert answer_of(completion) == answer_of(whole)
        except StreamTruncated:
            truncated += 1
        except RemoteError:
            # The error that the stream ends in, met as its last event, whole or not.
            assert not isinstance(whole, Completion)
        try:
            decoder.receive(body[at : at + 1])
        except RemoteError:
            assert not isinstance(whole, Completion)
            break
    return truncated


# A web page that is cut is as little an answer as the whole one.
@pytest.mark.parametrize("name", [name for name in FIXTURES if name != "whole_html"])
def test_a_fixture_cut_anywhere_gives_the_same_answer_or_none(name: str) -> None:
    body = body_of(FIXTURES[name])
    truncated = check_cuts(FIXTURES[name], lambda _body, _at: True)
    assert truncated or not body


@pytest.mark.parametrize("name", FIXTURES)
def test_finish_changes_nothing(name: str) -> None:
    body = body_of(FIXTURES[name])
    asked = decoder_for(FIXTURES[name])
    deltas: list[Delta] = []
    outcome: Completion | type[RemoteError]
    try:
        for piece in bytewise(body):
            for _ in range(2):
                try:
                    asked.finish()
                except RemoteError:
                    pass
            deltas += asked.receive(piece)
        deltas += asked.receive_end()
        outcome = asked.finish()
        assert asked.finish() == outcome
    except RemoteError as error:
        outcome = type(error)
    check_same((deltas, outcome), read(decoder_for(FIXTURES[name]), [body]))


def test_content_after_the_finish_reason_is_not_part_of_the_answer() -> None:
    fixture = FIXTURES["text"]
    body = fixture["body"]
    late = body.replace("data: [DONE]", body.partition("\n\n")[2].partition("\n\n")[0] + "\n\ndata: [DONE]")
    assert late != body
    read_late = read(decoder_for(fixture), [late.encode()])[1]
    assert read_late == read(decoder_for(fixture), [body.encode()])[1]


def test_an_id_that_the_host_does_not_give_differs_from_answer_to_answer() -> None:
    body = FIXTURES["calls_without_ids"]["body"]
    ids = set()
    for other in (body, body.replace("chatcmpl-fix", "chatcmpl-other")):
        outcome = read(decoder_for({}), [other.encode()])[1]
        assert isinstance(outcome, Completion)
        ids |= {call.id for call in outcome.message.tool_uses}
    assert len(ids) == 4


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(["", "x", "{}", "stop"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["type", "text", "id", "index"]), inner)
    ),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    for key, item in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        yield from places(item, (*path, key))


@given(data=st.data(), name=st.sampled_from(sorted(FIXTURES)))
def test_an_odd_value_anywhere_is_an_answer_or_an_error_of_ours(data: st.DataObject, name: str) -> None:
    """No host's mistake comes out as a KeyError or a TypeError."""
    body = FIXTURES[name]["body"]
    parts = [body] if body[:1] in "{[" else body.split("\n\n")
    values = {}
    for number, part in enumerate(parts):
        try:
            values[number] = json.loads(part.removeprefix("data: "))
        except ValueError:
            continue
    for _ in range(data.draw(st.integers(1, 3))):
        spots = [(number, path) for number, value in values.items() for path in places(value)]
        if not spots:
            return
        number, path = data.draw(st.sampled_from(spots))
        holder = values[number]
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = data.draw(JSON)
    prefix = "" if body[:1] in "{[" else "data: "
    for number, value in values.items():
        parts[number] = prefix + json.dumps(value)
    odd = "\n\n".join(parts).encode()
    whole = read(decoder_for(FIXTURES[name]), [odd])
    if isinstance(whole[1], Completion):
        check_message(whole[1])
        codec = ChatCodec(dialect_of(FIXTURES[name]))
        codec.encode(CompletionRequest((whole[1].message,)), SETTINGS, stream=False)
    check_same(read(decoder_for(FIXTURES[name]), bytewise(odd)), whole)


# --- errors with a status ---------------------------------------------------------------------------------


def test_a_blocked_prompt_is_a_refusal_with_the_hosts_words() -> None:
    body = json.dumps(
        {"error": {"message": "The prompt was filtered.", "code": "content_filter", "status": 400}}
    ).encode()
    completion = ChatCodec().completion_from_error(SETTINGS, 400, body)
    assert completion is not None
    assert completion.stop_reason == "refusal"
    assert completion.message.text == "The prompt was filtered."
    assert completion.message.origin == SETTINGS.origin


def test_a_prompt_that_openrouter_flags_is_a_refusal() -> None:
    error = {"code": 403, "message": "Flagged", "metadata": {"reasons": ["violence"], "flagged_input": "…"}}
    completion = ChatCodec().completion_from_error(SETTINGS, 403, json.dumps({"error": error}).encode())
    assert completion is not None
    assert completion.stop_reason == "refusal"


@pytest.mark.parametrize(
    ("generation", "name", "arguments"),
    [
        ('{"name": "add", "arguments": {"b": 1}}', "add", {"b": 1}),
        ('[{"name": "add", "parameters": {"b": 1}}]', "add", {"b": 1}),
        ('{"name": "add", "arguments": "{\\"b\\": 1}"}', "add", {"b": 1}),
    ],
)
def test_a_call_that_groq_withholds_is_a_call(generation: str, name: str, arguments: dict[str, Any]) -> None:
    error = {
        "message": "Failed to call a function.",
        "code": "tool_use_failed",
        "failed_generation": generation,
    }
    completion = ChatCodec().completion_from_error(SETTINGS, 400, json.dumps({"error": error}).encode())
    assert completion is not None
    assert completion.stop_reason == "tool_use"
    assert [(call.name, call.input) for call in completion.message.tool_uses] == [(name, arguments)]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b'"words"',
        b'{"error": "words"}',
        b'{"error": {"message": "no", "code": "invalid_api_key"}}',
        b'{"error": {"message": "no", "code": "tool_use_failed", "failed_generation": "<function=add>"}}',
        b'{"error": {"message": "no", "code": "tool_use_failed"}}',
    ],
)
def test_other_errors_are_no_answers(body: bytes) -> None:
    assert ChatCodec().completion_from_error(SETTINGS, 400, body) is None


# --- recordings -------------------------------------------------------------------------------------------


def recorded(*, stream: bool | None = None) -> list[dict[str, Any]]:
    return [r for r in load("openai_chat") if r["status"] == 200 and stream in (None, r["stream"])]


def test_every_recording_is_read_and_only_the_listed_ones_are_no_answers() -> None:
    failed = {}
    stops = {
        "stop": "end_turn",
        "tool_calls": "tool_use",
        "function_call": "tool_use",
        "length": "max_tokens",
    }
    for record in recorded():
        deltas, outcome = read(decoder_for(record), [body_of(record)])
        if not isinstance(outcome, Completion):
            failed[record["id"]] = outcome
            continue
        check_message(outcome)
        if record["response_kind"] == "sse":
            check_deltas(deltas, outcome)
        if record["stop"] and outcome.stop_reason != "refusal":
            expected = stops.get(record["stop"][0], "end_turn")
            assert outcome.stop_reason == expected or (
                outcome.stop_reason == "tool_use" and expected == "end_turn"
            )
        assert outcome.message.content, record["id"]
    assert failed == {ident: error for ident, (error, _reason) in NO_ANSWER.items()}


def test_any_division_of_a_recorded_stream_gives_the_same() -> None:
    for record in recorded(stream=True):
        body = body_of(record)
        whole = read(decoder_for(record), [body])
        for seed in (1, 2):
            check_same(read(decoder_for(record), cuts(body, seed, pieces=30)), whole)
        if len(body) < 20_000:
            check_same(read(decoder_for(record), bytewise(body)), whole)


def test_any_division_of_a_recorded_body_gives_the_same() -> None:
    for record in recorded(stream=False):
        body = body_of(record)
        whole = read(decoder_for(record), [body])
        assert read(decoder_for(record), cuts(body, 1)) == whole
        if len(body) < 2_000:
            assert read(decoder_for(record), bytewise(body)) == whole


def test_a_recorded_stream_cut_anywhere_gives_the_same_answer_or_none() -> None:
    def everywhere(body: bytes, at: int) -> bool:
        return True

    def where_something_can_end(body: bytes, at: int) -> bool:
        # Between two of these places no event can have become whole.
        return body[at - 1] in b"}]\n\r " and (at > len(body) - 3_000 or at % 8 == 0)

    truncated = 0
    for record in recorded(stream=True):
        small = len(record["body"]) < 5_000
        truncated += check_cuts(record, everywhere if small else where_something_can_end)
    assert truncated > 100_000


def test_a_recorded_body_cut_anywhere_is_truncated() -> None:
    rng = random.Random(3)
    for record in recorded(stream=False):
        body = body_of(record)
        end = len(body.rstrip())
        if record["id"] in NO_ANSWER:
            continue
        for at in sorted({0, 1, end // 2, end - 1, *(rng.randrange(end) for _ in range(12))}):
            assert read(decoder_for(record), [body[:at]])[1] is StreamTruncated, (record["id"], at)


def test_recorded_usage_adds_up_to_the_vendors_total() -> None:
    compared = 0
    for record in recorded(stream=False):
        outcome = read(decoder_for(record), [body_of(record)])[1]
        if isinstance(outcome, Completion) and (raw := json.loads(record["body"]).get("usage")):
            assert outcome.usage.total_tokens == raw["total_tokens"], record["id"]
            compared += 1
    assert compared > 1_300


def test_a_recorded_error_status_is_the_error_it_should_be() -> None:
    kinds = {401: "AuthenticationFailed", 404: "Rejected", 429: "RateLimited"}
    seen = 0
    for record in load("openai_chat"):
        status = record["status"]
        if status == 200:
            continue
        seen += 1
        body = body_of(record)
        completion = ChatCodec(dialect_of(record)).completion_from_error(SETTINGS, status, body)
        headers = {name.lower(): value for name, value in record["response_headers"].items()}
        fault = fault_from_response(status, headers, body, provider="host", now=0.0)
        if completion is not None:
            assert status == 400
            assert completion.stop_reason in ("refusal", "tool_use")
        elif status in kinds:
            assert type(fault).__name__ == kinds[status], record["id"]
        else:
            overflow = "maximum context length" in record["body"] or "too long" in record["body"]
            assert isinstance(fault, ContextOverflow if overflow else Rejected), record["id"]
            assert not fault.transient
    assert seen > 30


def test_the_documented_faults_inside_a_stream_are_what_they_should_be() -> None:
    errors = {"server": ServerFault, "rate_limit": RateLimited, "stream_cut": StreamTruncated}
    seen = 0
    for record in load_errors("openai_chat"):
        kind = record["expect"]["error"]
        if record["status"] != 200:
            if kind == "content_filter":
                completion = ChatCodec().completion_from_error(SETTINGS, record["status"], body_of(record))
                assert completion is not None
                assert completion.stop_reason == "refusal"
            continue
        seen += 1
        outcome = read(decoder_for(record), [body_of(record)])[1]
        if kind == "length_in_tool_call":
            assert isinstance(outcome, Completion)
            assert (outcome.stop_reason, outcome.message.tool_uses) == ("max_tokens", ())
        elif kind == "malformed_tool_call":
            assert isinstance(outcome, Completion)
            assert [call.invalid_input for call in outcome.message.tool_uses] == ['{"path": a}']
        else:
            assert outcome is errors[kind], record["id"]
    assert seen == 11


# --- a judge from outside ---------------------------------------------------------------------------------


class Judge:
    """OpenAI's client, answered with recordings."""

    def __init__(self) -> None:
        import httpx
        import openai

        self._record: dict[str, Any] = {}
        self._client = openai.OpenAI(
            api_key="none",
            base_url="http://judge",
            max_retries=0,
            http_client=httpx.Client(transport=httpx.MockTransport(self._respond)),
        )

    def _respond(self, _request: Any) -> Any:
        import httpx

        kind = "text/event-stream" if self._record["stream"] else "application/json"
        return httpx.Response(200, headers={"content-type": kind}, content=body_of(self._record))

    def read(self, record: dict[str, Any]) -> Any:
        """The completion that it makes of a recorded answer."""
        from openai.lib.streaming.chat import ChatCompletionStreamState

        self._record = record
        messages: Any = [{"role": "user", "content": "?"}]
        if not record["stream"]:
            return self._client.chat.completions.create(model="m", messages=messages)
        state = ChatCompletionStreamState()
        with self._client.chat.completions.create(model="m", messages=messages, stream=True) as chunks:
            for chunk in chunks:
                state.handle_chunk(chunk)
        return state.current_completion_snapshot


UNREAD_BY_THE_JUDGE = {
    "f0741d9e4c26-00": "chunks of the legacy completions",
    "e67d5d8d1d0f-00": "an error of Groq's that is a call to us",
    "a40f3e37f306-00": "an error of Azure's that is a refusal to us",
}


def test_openais_own_client_reads_the_same() -> None:
    openai = pytest.importorskip("openai", reason="the judge is OpenAI's client, which is not installed")
    judge = Judge()
    unread, compared = set(), 0
    for record in recorded(stream=True) + recorded(stream=False):
        outcome = read(decoder_for(record), [body_of(record)])[1]
        if not isinstance(outcome, Completion) or (record["vendor"] == "mistral" and record["stream"]):
            continue  # Mistral's chunks and calls without index are beyond the judge
        try:
            choice = judge.read(record).choices[0]
        except (AttributeError, TypeError, openai.APIError):
            unread.add(record["id"])
            continue
        message = choice.message
        if isinstance(message.content, list) or (message.audio and message.audio.id):
            continue  # Mistral's chunks; what was said is not text to the judge
        ours = outcome.message
        assert ours.text == (message.content or "") + (message.refusal or ""), record["id"]
        calls = [call for call in message.tool_calls or () if call.type == "function"]
        for ours_call, call in zip(ours.tool_uses, calls, strict=len(calls) > 0):
            assert (ours_call.name, ours_call.input) == (
                call.function.name,
                json.loads(call.function.arguments or "{}"),
            ), record["id"]
            assert ours_call.id == call.id or not call.id, record["id"]
        if choice.finish_reason == "tool_calls":
            assert outcome.stop_reason == "tool_use", record["id"]
        compared += 1
    assert compared > 1400
    assert unread <= set(UNREAD_BY_THE_JUDGE)
