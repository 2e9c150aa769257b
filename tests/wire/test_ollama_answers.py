"""Answers of Ollama: what they mean, in any division, cut anywhere."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
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
    Message,
    Rejected,
    RemoteError,
    StreamTruncated,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolInputDelta,
    Usage,
    UsageDelta,
)
from alloy_trio.wire._codec import WireSettings
from alloy_trio.wire._faults import fault_from_response
from alloy_trio.wire._ollama import OllamaCodec
from alloy_trio.wire._ollama_stream import OllamaDecoder
from alloy_trio.wire._ollama_window import Window

from .recordings import body_of, cuts, fixtures, load

SETTINGS = WireSettings(provider="ollama", model="asked-model")
FIXTURES = fixtures("ollama")

Outcome = tuple[list[Delta], Completion | type[RemoteError]]


def read(chunks: Iterable[bytes], decoder: OllamaDecoder | None = None) -> Outcome:
    decoder = decoder or OllamaCodec().decoder(SETTINGS)
    deltas: list[Delta] = []
    try:
        for chunk in chunks:
            deltas += decoder.receive(chunk)
        deltas += decoder.receive_end()
        return deltas, decoder.finish()
    except RemoteError as error:
        return deltas, type(error)


def bytewise(body: bytes) -> Iterator[bytes]:
    return (body[at : at + 1] for at in range(len(body)))


def check(deltas: list[Delta], completion: Completion) -> None:
    """What holds for every answer."""
    message = completion.message
    assert message.role == "assistant" and message.origin == SETTINGS.origin
    assert completion.model
    texts = [delta.text for delta in deltas if isinstance(delta, TextDelta)]
    thoughts = [delta.text for delta in deltas if isinstance(delta, ThinkingDelta)]
    assert all(texts) and all(thoughts)
    assert "".join(texts) == message.text
    assert "".join(thoughts) == "".join(b.text for b in message.content if isinstance(b, Thinking))
    written: dict[str, str] = {}
    for delta in deltas:
        if isinstance(delta, ToolInputDelta):
            written[delta.id] = written.get(delta.id, "") + delta.partial_json
    calls = message.tool_uses
    assert list(written) == [call.id for call in calls]
    for call in calls:
        if call.invalid_input is not None:
            assert written[call.id] == call.invalid_input
        elif written[call.id]:
            assert json.loads(written[call.id]) == call.input
    usages = [delta.usage for delta in deltas if isinstance(delta, UsageDelta)]
    assert (usages[-1] if usages else Usage()) == completion.usage
    if completion.stop_reason != "max_tokens":
        assert (completion.stop_reason == "tool_use") == bool(calls)


@pytest.mark.parametrize("name", FIXTURES)
def test_an_answer_means_what_its_fixture_says(name: str) -> None:
    expect = FIXTURES[name]["expect"]
    deltas, outcome = read([body_of(FIXTURES[name])])
    if "error" in expect:
        assert outcome is getattr(alloy_trio.values, expect["error"])
        return
    assert isinstance(outcome, Completion)
    check(deltas, outcome)
    content = outcome.message.content
    assert outcome.stop_reason == expect["stop"]
    assert outcome.message.text == expect.get("text", "")
    assert "".join(b.text for b in content if isinstance(b, Thinking)) == expect.get("thinking", "")
    assert outcome.usage == Usage(**expect["usage"])
    assert outcome.model == expect.get("model", "qwen3")
    calls = outcome.message.tool_uses
    assert len(calls) == len(expect.get("calls", []))
    for call, expected in zip(calls, expect.get("calls", []), strict=True):
        assert call.id == expected["id"] if "id" in expected else call.id.startswith("call_made_")
        told = (expected["name"], expected["input"], expected.get("invalid_input"))
        assert (call.name, call.input, call.invalid_input) == told
    assert len({call.id for call in calls}) == len(calls)
    if "blocks" in expect:
        assert [type(block).__name__ for block in content] == expect["blocks"]


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


def end_of_answer(body: bytes) -> int:
    """Where the answer is complete, found without the decoder: after the line with done, or with an error."""
    at = 0
    for line in body.split(b"\n"):
        at += len(line)
        try:
            value = json.loads(line.decode("utf-8-sig"))
        except ValueError:
            value = None
        if isinstance(value, dict) and (value.get("done") or value.get("error")):
            return at - (len(line) - len(line.rstrip()))
        at += 1
    return len(body)


def check_cuts(body: bytes) -> None:
    whole = read([body])[1]
    soonest = end_of_answer(body)
    decoder = OllamaCodec().decoder(SETTINGS)
    for at in range(len(body)):
        try:
            completion = decoder.finish()
            assert at >= soonest, f"an answer after {at} bytes of {soonest}"
            assert completion == whole
        except StreamTruncated:
            assert at < soonest or not isinstance(whole, Completion)
        except RemoteError:
            # The error that the stream ends in, met as its last line.
            assert not isinstance(whole, Completion)
        try:
            decoder.receive(body[at : at + 1])
        except RemoteError:
            assert not isinstance(whole, Completion)
            break


# A web page that is cut is as little an answer as the whole one; it fails in its own way from the first byte on.
@pytest.mark.parametrize("name", [name for name in FIXTURES if name != "html"])
def test_a_fixture_cut_anywhere_gives_the_whole_answer_or_none(name: str) -> None:
    check_cuts(body_of(FIXTURES[name]))


@pytest.mark.parametrize("name", FIXTURES)
def test_finish_changes_nothing(name: str) -> None:
    body = body_of(FIXTURES[name])
    asked = OllamaCodec().decoder(SETTINGS)
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
    except RemoteError as error:
        outcome = type(error)
    assert (deltas, outcome) == read([body])


def test_what_came_before_an_error_was_handed_out_and_is_not_an_answer() -> None:
    deltas, outcome = read([body_of(FIXTURES["error_in_the_stream"])])
    assert deltas == [TextDelta("Hel")]
    assert outcome is alloy_trio.values.ServerFault


# --- ids --------------------------------------------------------------------------------------------------


def test_made_ids_differ_from_turn_to_turn_and_are_the_same_when_the_exchange_is_read_again() -> None:
    body = json.dumps(
        {
            "message": {"tool_calls": [{"function": {"name": "f", "arguments": {}}}] * 2},
            "done": True,
            "done_reason": "stop",
        }
    ).encode()
    codec, messages, seen = OllamaCodec(), (Message.user("go"),), set()
    for turn in range(3):
        wire = codec.encode(CompletionRequest(messages), SETTINGS, stream=True)
        ids = []
        for _ in range(2):
            outcome = read([body], codec.decoder_for(wire, SETTINGS))[1]
            assert isinstance(outcome, Completion)
            ids.append([call.id for call in outcome.message.tool_uses])
        assert ids[0] == ids[1]
        seen.update(ids[0])
        assert len(seen) == 2 * (turn + 1)
        messages = (*messages, outcome.message, Message.user("go on"))


# --- input that was cut -----------------------------------------------------------------------------------


def ended(read_tokens: int | None) -> bytes:
    last: dict[str, Any] = {"message": {"content": "Sure!"}, "done": True, "done_reason": "stop"}
    return json.dumps(last | ({} if read_tokens is None else {"prompt_eval_count": read_tokens})).encode()


@pytest.mark.parametrize(
    ("read_tokens", "least", "cut"),
    [
        (8192, 10, True),  # the whole window: there was no room for an answer left
        (9000, 10, True),
        (8191, 9000, True),  # fewer than there are words, and a whole context of the model
        (2050, 9000, True),  # half a context of 4096 and two, as seen
        (4096, 9000, True),
        (2050, 2000, False),  # all that there was
        (5000, 9000, False),  # an old server does not count what it had in its cache
        (3, 9000, False),
        (None, 9000, False),
        (7000, 6000, False),
    ],
)
def test_an_answer_to_input_that_was_cut_is_an_overflow(
    read_tokens: int | None, least: int, cut: bool
) -> None:
    window = Window(num_ctx=8192, num_predict=1000, least_input=least)
    decoder = OllamaDecoder(SETTINGS, window)
    deltas, outcome = read([ended(read_tokens)], decoder)
    if not cut:
        assert isinstance(outcome, Completion)
        return
    assert outcome is ContextOverflow
    # What it used was used.
    assert decoder.usage.input_tokens == read_tokens
    assert UsageDelta(decoder.usage) in deltas


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (404, "model 'nonexistent-model:latest' not found", Rejected),
        (400, "registry.ollama.ai/library/gemma:latest does not support tools", Rejected),
        (
            400,
            "the prompt is longer than the context length currently available to the model; shorten the prompt",
            ContextOverflow,
        ),
        (500, "llama runner process has terminated: exit status 2", alloy_trio.values.ServerFault),
        (
            503,
            "server busy, please try again. maximum pending requests exceeded",
            alloy_trio.values.Overloaded,
        ),
        (401, "unauthorized", alloy_trio.values.AuthenticationFailed),
    ],
)
def test_the_server_s_errors_have_their_types(status: int, text: str, error: type[RemoteError]) -> None:
    body = json.dumps({"error": text}).encode()
    fault = fault_from_response(status, {}, body, provider="ollama", now=0.0)
    assert type(fault) is error
    assert text[:40] in str(fault)


# --- recordings -------------------------------------------------------------------------------------------

RECORDS = 13


def test_every_recording_is_read_alike_in_any_division_and_cut_nowhere() -> None:
    records = load("ollama_native")
    assert len(records) == RECORDS
    for record in records:
        body = body_of(record)
        if record["status"] != 200:
            fault = fault_from_response(record["status"], {}, body, provider="ollama", now=0.0)
            assert type(fault) is Rejected
            continue
        deltas, outcome = read([body])
        assert isinstance(outcome, Completion), record["id"]
        check(deltas, outcome)
        assert read(bytewise(body)) == (deltas, outcome)
        for seed in range(5):
            assert read(cuts(body, seed)) == (deltas, outcome)
        check_cuts(body)


def test_recordings_mean_what_their_json_says() -> None:
    """The oracle is the recorded JSON itself, read without the decoder: pieces joined, counts of the last line."""
    for record in load("ollama_native"):
        if record["status"] != 200:
            continue
        lines = [json.loads(line) for line in record["body"].splitlines() if line.strip()]
        outcome = read([body_of(record)])[1]
        assert isinstance(outcome, Completion)
        messages = [line["message"] for line in lines]
        content = outcome.message.content
        assert outcome.message.text == "".join(message["content"] for message in messages)
        thoughts = "".join(block.text for block in content if isinstance(block, Thinking))
        assert thoughts == "".join(message.get("thinking", "") for message in messages)
        calls = [call for message in messages for call in message.get("tool_calls", ())]
        assert [(use.id, use.name, use.input) for use in outcome.message.tool_uses] == [
            (call["id"], call["function"]["name"], call["function"]["arguments"]) for call in calls
        ]
        assert outcome.stop_reason == ("tool_use" if calls else "end_turn")
        last = lines[-1]
        counts = Usage(input_tokens=last.get("prompt_eval_count", 0), output_tokens=last.get("eval_count", 0))
        assert outcome.usage == counts
        assert outcome.model == last["model"]
        assert not any(isinstance(block, Text) and not block.text for block in content)
