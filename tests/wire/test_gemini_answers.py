"""Answers of Gemini's protocol: what they mean, in any division, cut anywhere, and as the vendor reads them."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Iterable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import alloy_trio.values
from alloy_trio.values import (
    Audio,
    Completion,
    CompletionRequest,
    Delta,
    Document,
    Image,
    MalformedReply,
    Message,
    Opaque,
    Overloaded,
    RemoteError,
    ServerToolResult,
    ServerToolUse,
    StreamTruncated,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolInputDelta,
    ToolUse,
    Usage,
    UsageDelta,
    Video,
)
from alloy_trio.wire import Decoder, WireSettings
from alloy_trio.wire._faults import fault_from_response
from alloy_trio.wire._gemini import GeminiCodec
from alloy_trio.wire._gemini_array import ArrayFraming
from alloy_trio.wire._gemini_calls import MADE_ID

from .recordings import body_of, cuts, fixtures, load, load_errors

SETTINGS = WireSettings(provider="host", model="asked-model")
FIXTURES = fixtures("gemini")
ENDPOINTS = ("generateContent", "streamGenerateContent")

NO_ANSWER = {
    "08a3d485bd21-00": "a hand-made answer without a finish reason",
    "1fd24fa35eff-00": "UNEXPECTED_TOOL_CALL",
    "24df5881ceb9-00": "UNEXPECTED_TOOL_CALL",
    "644831904346-00": "UNEXPECTED_TOOL_CALL",
    "d3ff8a81cbd7-00": "UNEXPECTED_TOOL_CALL",
}
"""Recorded with status 200, and yet no answer that can be used: MalformedReply."""

Outcome = tuple[list[Delta], Completion | type[RemoteError]]


def decoder() -> Decoder:
    return GeminiCodec().decoder(SETTINGS)


def read(chunks: Iterable[bytes]) -> Outcome:
    reading = decoder()
    deltas: list[Delta] = []
    try:
        for chunk in chunks:
            deltas += reading.receive(chunk)
        deltas += reading.receive_end()
        return deltas, reading.finish()
    except RemoteError as error:
        return deltas, type(error)


def same(outcome: Outcome, other: Outcome) -> bool:
    """Whether two readings of the same bytes agree; what came in one chunk with an error may be lost."""
    if isinstance(other[1], Completion):
        return outcome == other
    (short, kind), (long, other_kind) = sorted([outcome, other], key=lambda each: len(each[0]))
    return kind is other_kind and short == long[: len(short)]


def bytewise(body: bytes) -> Iterator[bytes]:
    return (body[at : at + 1] for at in range(len(body)))


def form_of(body: bytes) -> str:
    start = body.lstrip()[:1]
    return "array" if start == b"[" else "body" if start in (b"{", b"<", b'"') else "sse"


def check_deltas(deltas: list[Delta], completion: Completion) -> None:
    message = completion.message
    assert all(delta.text for delta in deltas if isinstance(delta, TextDelta | ThinkingDelta))
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == message.text
    thoughts = "".join(delta.text for delta in deltas if isinstance(delta, ThinkingDelta))
    assert thoughts == "".join(block.text for block in message.content if isinstance(block, Thinking))
    written: dict[str, str] = {}
    for delta in deltas:
        if isinstance(delta, ToolInputDelta):
            assert delta.id in written or not delta.partial_json  # a call opens with nothing
            written[delta.id] = written.get(delta.id, "") + delta.partial_json
    for call in message.tool_uses:
        if call.invalid_input is not None:
            assert written[call.id] == call.invalid_input
        else:
            assert json.loads(written[call.id]) == call.input
    for block in message.content:
        if isinstance(block, ServerToolUse):
            assert json.loads(written[block.id]) == block.input
    usages = [delta.usage for delta in deltas if isinstance(delta, UsageDelta)]
    assert (usages[-1] if usages else Usage()) == completion.usage


def check_message(completion: Completion) -> None:
    """What holds for every answer."""
    message = completion.message
    assert (message.role, message.origin) == ("assistant", SETTINGS.origin)
    assert completion.model
    calls = message.tool_uses
    assert len({call.id for call in calls}) == len(calls)
    assert all(call.id and call.name for call in calls)
    assert all(block.text or block.extra for block in message.content if isinstance(block, Text))
    assert (completion.stop_reason == "tool_use") <= bool(calls)
    assert (completion.stop_reason == "end_turn") <= (not calls)
    assert completion.usage.reasoning_tokens <= completion.usage.output_tokens


# --- fixtures ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIXTURES)
def test_an_answer_means_what_its_fixture_says(name: str) -> None:
    expect = FIXTURES[name]["expect"]
    body = body_of(FIXTURES[name])
    deltas, outcome = read([body])
    if "error" in expect:
        assert outcome is getattr(alloy_trio.values, expect["error"])
        return
    assert isinstance(outcome, Completion), outcome
    check_message(outcome)
    content = outcome.message.content
    assert outcome.stop_reason == expect["stop"]
    assert outcome.message.text == expect.get("text", "")
    assert (outcome.model, outcome.request_id) == ("test-model-1", "resp-1")
    texts = [block for block in content if isinstance(block, Text)]
    if "texts" in expect:
        assert [block.text for block in texts] == expect["texts"]
    if "text_extra" in expect:
        assert [block.extra for block in texts] == expect["text_extra"]
    thoughts = [block for block in content if isinstance(block, Thinking)]
    assert "".join(block.text for block in thoughts) == expect.get("thinking", "")
    assert [block.signature for block in thoughts] == expect.get("signatures", [])
    check_calls(outcome.message.tool_uses, expect.get("calls", []))
    assert outcome.usage == Usage(**expect["usage"])
    assert [block.raw for block in content if isinstance(block, Opaque)] == expect.get("opaque", [])
    citations = [item for block in texts for item in block.citations]
    assert citations == expect.get("citations", [])
    media = [block for block in content if isinstance(block, Image | Audio | Video | Document)]
    assert [
        [type(block).__name__, block.media_type, base64.b64encode(block.data or b"").decode()]
        for block in media
    ] == expect.get("media", [])
    check_server_tools(outcome, expect.get("server", []))
    if form_of(body) != "body":  # whole bodies have no deltas
        check_deltas(deltas, outcome)


def check_calls(calls: tuple[ToolUse, ...], expected: list[dict[str, Any]]) -> None:
    assert len(calls) == len(expected)
    for call, wanted in zip(calls, expected, strict=True):
        assert (call.name, call.input, call.invalid_input) == (
            wanted["name"],
            wanted["input"],
            wanted.get("invalid_input"),
        )
        made = bool(call.extra and call.extra.get(MADE_ID))
        assert made == (wanted["id"] is None)
        assert call.id == (wanted["id"] or call.id)
        if "extra" in wanted:
            assert call.extra == wanted["extra"]


def check_server_tools(completion: Completion, expected: list[list[Any]]) -> None:
    runs = [block for block in completion.message.content if isinstance(block, ServerToolUse)]
    results = [block for block in completion.message.content if isinstance(block, ServerToolResult)]
    assert len(runs) == len(results) == len(expected)
    for run, result, (ident, name, asked, content, failed) in zip(runs, results, expected, strict=True):
        assert (run.id, run.name, run.input) == (ident or run.id, name, asked)
        assert (result.tool_use_id, result.content, result.is_error) == (run.id, content, failed)


@pytest.mark.parametrize("name", FIXTURES)
def test_any_division_of_a_fixture_gives_the_same(name: str) -> None:
    body = body_of(FIXTURES[name])
    whole = read([body])
    assert same(read(bytewise(body)), whole)
    for seed in range(10):
        assert same(read(cuts(body, seed)), whole)


@given(data=st.data(), name=st.sampled_from(sorted(FIXTURES)))
def test_any_division_that_hypothesis_finds_gives_the_same(data: st.DataObject, name: str) -> None:
    body = body_of(FIXTURES[name])
    ends = sorted(data.draw(st.lists(st.integers(0, len(body)), max_size=12)))
    chunks = [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]
    assert same(read(chunks), read([body]))


def earliest_end(body: bytes) -> int:
    """Where an answer can be complete at the soonest, found without the decoder: the end of the first line that
    holds a finish reason, or of the array or object."""
    if form_of(body) != "sse":
        return len(body.rstrip())
    at = 0
    for line in body.split(b"\n"):
        try:
            event = json.loads(line.removeprefix(b"data:").strip())
        except ValueError:
            event = {}
        candidates = event.get("candidates", [{}])
        reason = candidates[0].get("finishReason", "") if not candidates[0].get("index") else ""
        if reason not in ("", "FINISH_REASON_UNSPECIFIED") or event.get("promptFeedback"):
            return at + len(line.rstrip())
        at += len(line) + 1
    return len(body)


def ask_everywhere(body: bytes, *, usage_may_follow: bool = False) -> tuple[int, Outcome]:
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
                if usage_may_follow and isinstance(whole, Completion):
                    early = attrs.evolve(early, usage=whole.usage)
                assert early == whole
            deltas += reading.receive(piece)
        deltas += reading.receive_end()
        final = reading.finish()
        assert reading.finish() == final
        return truncated, (deltas, final)
    except RemoteError as error:
        # An error that the stream reports is met in receive(), or already as the last, unclosed event.
        return truncated, (deltas, type(error))


@pytest.mark.parametrize("name", sorted(FIXTURES.keys() - {"html", "not_an_object"}))
def test_a_fixture_cut_anywhere_gives_the_same_answer_or_none(name: str) -> None:
    body = body_of(FIXTURES[name])
    truncated, outcome = ask_everywhere(body, usage_may_follow=name == "usage_after_the_reason")
    assert same(outcome, read([body]))
    if isinstance(outcome[1], Completion):
        assert truncated >= earliest_end(body)


@pytest.mark.parametrize("name", ["text", "text_array", "text_whole", "call_in_pieces", "array_dense"])
def test_a_fresh_decoder_given_a_beginning_says_that_it_is_one(name: str) -> None:
    body = body_of(FIXTURES[name])
    for end in range(0, earliest_end(body), 7):
        assert read([body[:end]])[1] is StreamTruncated, body[:end][-60:]


def test_elements_of_an_array_are_handed_out_as_they_complete() -> None:
    body = body_of(FIXTURES["text_array"])
    reading = decoder()
    first = body.index(b"\n,\r\n")
    assert TextDelta("Hel") in reading.receive(body[:first])
    assert not reading.terminated
    reading.receive(body[first:])
    assert reading.terminated


def test_an_element_without_end_is_given_up_at_the_limit() -> None:
    for piece in (b"[", b'["', b'[{"a":"'):
        framing = ArrayFraming(max_element_bytes=100)
        framing.receive(piece[:-1])
        with pytest.raises(MalformedReply):
            for _ in range(20):
                framing.receive(piece[-1:] + b"aaaaaaaaa\\")


@given(
    st.lists(
        st.dictionaries(st.text(max_size=5), st.recursive(st.text(), lambda s: st.lists(s, max_size=3)))
    ),
    st.randoms(use_true_random=False),
)
def test_any_array_of_objects_comes_apart_into_its_elements(values: list[Any], rng: random.Random) -> None:
    text = json.dumps(values, ensure_ascii=rng.random() < 0.5, indent=rng.choice([None, 1]))
    body = text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()
    framing = ArrayFraming()
    events = [event for chunk in cuts(body, rng.randrange(99), 12) for event in framing.receive(chunk)]
    assert [json.loads(data) for name, data, _ in events if not name] == json.loads(body)
    assert events[-1][0] == "closed"


def test_calls_of_different_answers_have_different_ids_and_the_same_bytes_the_same() -> None:
    body = body_of(FIXTURES["calls_in_parallel"])
    other = body.replace(b"resp-1", b"resp-2")
    unnamed = body.replace(b'"responseId"', b'"other"')

    def ids(answer: bytes) -> list[str]:
        outcome = read([answer])[1]
        assert isinstance(outcome, Completion)
        return [call.id for call in outcome.message.tool_uses]

    found = [*ids(body), *ids(other), *ids(unnamed)]
    assert len(set(found)) == 9
    assert ids(body) == ids(body)
    later = unnamed.replace(b'"promptTokenCount": 100', b'"promptTokenCount": 333')
    assert not set(ids(later)) & set(ids(unnamed))


def test_the_usage_is_kept_when_the_answer_fails() -> None:
    reading = decoder()
    reading.receive(body_of(FIXTURES["error_in_the_stream"]))
    with pytest.raises(Overloaded) as caught:
        reading.finish()
    assert reading.usage.total_tokens == 101
    assert caught.value.request_id == "resp-1"
    whole = decoder()
    whole.receive(body_of(FIXTURES["unexpected_call"]))
    with pytest.raises(MalformedReply, match="UNEXPECTED_TOOL_CALL") as malformed:
        whole.finish()
    assert whole.usage.total_tokens == 120
    assert malformed.value.transient


def test_what_fails_again_when_sent_again_is_not_transient() -> None:
    for name in ("missing_signature", "malformed_call"):
        reading = decoder()
        reading.receive(body_of(FIXTURES[name]))
        with pytest.raises(MalformedReply) as caught:
            reading.finish()
        assert caught.value.transient == FIXTURES[name]["expect"].get("transient", True)


ODD = st.sampled_from([None, 3, -1.5, True, "", "x", [], [None], [3], {}, {"a": None}, [[]], float("nan")])


@given(st.data(), st.sampled_from(sorted(FIXTURES)), st.booleans())
def test_whatever_stands_in_an_answer_it_is_read_or_refused(
    data: st.DataObject, name: str, whole: bool
) -> None:
    found = re.findall(r"data: (\{.*\})", FIXTURES[name]["body"])
    try:
        chunks = [json.loads(text) for text in found] or json.loads(FIXTURES[name]["body"])
    except ValueError:
        return
    changed: Any = chunks
    while isinstance(changed, dict | list) and changed:
        keys = sorted(changed) if isinstance(changed, dict) else range(len(changed))
        key = data.draw(st.sampled_from(keys))
        if data.draw(st.integers(0, 3)) == 0 and changed is not chunks:
            changed[key] = data.draw(ODD)
            break
        changed = changed[key]
    if isinstance(chunks, dict) or (whole and chunks and isinstance(chunks[0], dict)):
        body = json.dumps(chunks if isinstance(chunks, dict) else chunks[0]).encode()
    else:
        body = json.dumps(chunks).encode()
    outcome = read([body])
    assert same(read(bytewise(body)), outcome)
    if isinstance(outcome[1], Completion):
        GeminiCodec().encode(
            CompletionRequest([outcome[1].message, Message.user("?")]), SETTINGS, stream=True
        )


def test_the_request_id_of_the_headers_wins() -> None:
    reading = decoder()
    reading.request_id = "req-1"
    reading.receive(body_of(FIXTURES["text"]))
    assert reading.finish().request_id == "req-1"


# --- recordings -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answers() -> list[dict[str, Any]]:
    return [
        record for record in load("gemini") if record["status"] == 200 and record["endpoint"] in ENDPOINTS
    ]


def test_every_recorded_answer_is_read(answers: list[dict[str, Any]]) -> None:
    assert len(answers) == 535
    assert len(NO_ANSWER) <= len(answers) * 0.02
    for record in answers:
        body = body_of(record)
        deltas, outcome = read([body])
        if record["id"] in NO_ANSWER:
            assert outcome is MalformedReply, record["id"]
            continue
        assert isinstance(outcome, Completion), (record["id"], outcome)
        check_message(outcome)
        if form_of(body) != "body":
            check_deltas(deltas, outcome)


def test_recorded_answers_come_out_alike_in_any_division(answers: list[dict[str, Any]]) -> None:
    for number, record in enumerate(answers):
        body = body_of(record)
        whole = read([body])
        assert same(read(bytewise(body)), whole) or len(body) > 100_000, record["id"]
        for seed in range(3):
            assert same(read(cuts(body, number + seed * 1000)), whole), record["id"]


def test_a_recorded_stream_cut_anywhere_gives_the_same_answer_or_none(answers: list[dict[str, Any]]) -> None:
    streams = [record for record in answers if form_of(body_of(record)) != "body"]
    assert len(streams) == 72
    for record in streams:
        body = body_of(record)
        truncated, outcome = ask_everywhere(body)
        assert same(outcome, read([body])), record["id"]
        assert truncated >= earliest_end(body), record["id"]


def test_recordings_cut_at_sampled_places_give_no_answer(answers: list[dict[str, Any]]) -> None:
    rng = random.Random(0)
    for record in answers:
        body = body_of(record)
        soonest = earliest_end(body)
        for _ in range(4):
            assert read([body[: rng.randrange(soonest)]])[1] is StreamTruncated, record["id"]


# --- errors -----------------------------------------------------------------------------------------------


def test_every_recorded_error_status_is_of_its_type() -> None:
    special = {"5fd9d0285816-00": "AuthenticationFailed", "80756450d099-00": "AuthenticationFailed"}
    seen = 0
    for record in load("gemini"):
        if record["status"] == 200:
            continue
        error = fault_from_response(
            record["status"], record["response_headers"], body_of(record), provider="host", now=0.0
        )
        wanted = "RateLimited" if record["status"] == 429 else "Rejected"
        assert type(error).__name__ == special.get(record["id"], wanted), record["id"]
        assert error.retry_after == (48.0 if record["status"] == 429 else None)
        seen += 1
    assert seen == 8


ERRORS = {
    "rate_limit": "RateLimited",
    "overloaded": "Overloaded",
    "server": "ServerFault",
    "auth": "AuthenticationFailed",
    "invalid_request": "Rejected",
    "stream_cut": "StreamTruncated",
    "malformed_tool_call": "MalformedReply",
}


def test_the_documented_errors_are_of_their_types() -> None:
    records = load_errors("gemini")
    assert len(records) == 9
    for record in records:
        expect = record["expect"]
        if record["status"] != 200:
            error = fault_from_response(
                record["status"], record["response_headers"], body_of(record), provider="host", now=0.0
            )
            assert (type(error).__name__, error.transient) == (ERRORS[expect["error"]], expect["retryable"])
            assert error.retry_after == expect["retry_after_s"], record["id"]
            continue
        outcome = read([body_of(record)])[1]
        if expect["error"] == "content_filter":
            assert isinstance(outcome, Completion)
            assert outcome.stop_reason == "refusal"
        else:
            assert isinstance(outcome, type)
            assert outcome.__name__ == ERRORS[expect["error"]], record["id"]
            assert outcome("x").transient == expect["retryable"]


# --- an independent reader --------------------------------------------------------------------------------

NUMBERED = (
    "1266d8bca3c6-00",
    "737259932109-00",
    "86a9238c95c2-00",
    "9231164c2ede-00",
    "a019caa73383-00",
    "b44e3932706b-00",
    "bba1947c96c7-00",
    "d84b13d1b98c-00",
)
CLIENT_CANNOT = {
    **dict.fromkeys(NUMBERED, "finish reasons written as numbers"),
    "7961c15980f7-00": "a made-up signature, which is no base64",
}
"""What the vendor's client cannot read, and we can."""

_CUT_MARK = re.compile(rb"([A-Za-z0-9+/_-]*)__MEDIA_CUT_\d+__")

STOPS = {"STOP": "end_turn", "MAX_TOKENS": "max_tokens", "SAFETY": "refusal", "MODEL_ARMOR": "refusal"}


class TheirReading:
    """An answer as google-genai reads it, chunk by chunk."""

    def __init__(self, responses: list[Any]) -> None:
        self.parts = [
            part
            for response in responses
            for candidate in (response.candidates or [])[:1]
            for part in (candidate.content.parts if candidate.content else None) or []
        ]
        reasons = [response.candidates[0].finish_reason for response in responses if response.candidates]
        self.reason = next((reason.name for reason in reversed(reasons) if reason is not None), None)
        usages = [response.usage_metadata for response in responses if response.usage_metadata]
        self.usage = usages[-1] if usages else None
        self.model = responses[-1].model_version
        self.id = responses[-1].response_id

    def text(self, *, thought: bool) -> str:
        return "".join(part.text for part in self.parts if part.text and bool(part.thought) == thought)

    def calls(self) -> list[tuple[str, Any]]:
        """Calls in pieces the client hands out as they are; they are put together here, for flat strings."""
        calls: list[tuple[str, Any]] = []
        for part in self.parts:
            call = part.function_call
            if call is None:
                continue
            if call.name:
                calls.append((call.name, dict(call.args or {})))
            for piece in call.partial_args or []:
                name = piece.json_path.removeprefix("$.")
                calls[-1][1][name] = calls[-1][1].get(name, "") + piece.string_value
        return calls


def test_the_vendors_own_client_reads_the_same(answers: list[dict[str, Any]]) -> None:
    genai = pytest.importorskip("google.genai", reason="the vendor's client is the judge here")
    import httpx

    served = b""

    def serve(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=served)

    options = genai.types.HttpOptions(httpx_client=httpx.Client(transport=httpx.MockTransport(serve)))
    clients = {
        "google": genai.Client(api_key="test-key", http_options=options),
        "vertex": genai.Client(vertexai=True, api_key="test-key", http_options=options),
    }
    compared, unreadable = 0, []
    for record in answers:
        if record["id"] in NO_ANSWER:
            continue
        # What the recordings cut short is made base64 again.
        body = _CUT_MARK.sub(lambda cut: cut[1][: len(cut[1]) // 4 * 4], body_of(record))
        models = clients[record["vendor"]].models
        try:
            if form_of(body) == "body":
                served = body
                theirs = TheirReading([models.generate_content(model="gemini-x", contents="hi")])
            else:
                served = as_events(body)
                theirs = TheirReading(list(models.generate_content_stream(model="gemini-x", contents="hi")))
        except (ValueError, AttributeError):
            unreadable.append(record["id"])
            continue
        ours = read([body])[1]
        assert isinstance(ours, Completion)
        compare(ours, theirs, record["id"])
        compared += 1
    assert set(unreadable) == CLIENT_CANNOT.keys()
    assert compared == len(answers) - len(NO_ANSWER) - len(CLIENT_CANNOT)


def as_events(body: bytes) -> bytes:
    """An array as the events that the client asks for."""
    if form_of(body) != "array":
        return body
    return b"".join(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in json.loads(body))


def compare(ours: Completion, theirs: TheirReading, where: str) -> None:
    content = ours.message.content
    stop = STOPS[theirs.reason or ""]
    calls = theirs.calls()
    assert ours.stop_reason == ("tool_use" if stop == "end_turn" and calls else stop), where
    if stop != "refusal":  # then the words are the vendor's reason
        assert ours.message.text == theirs.text(thought=False), where
    thoughts = "".join(block.text for block in content if isinstance(block, Thinking))
    assert thoughts == theirs.text(thought=True), where
    assert [(call.name, call.input) for call in ours.message.tool_uses] == calls, where
    ids = [part.function_call.id for part in theirs.parts if part.function_call and part.function_call.name]
    for call, ident in zip(ours.message.tool_uses, ids, strict=True):
        assert call.id == ident or (ident is None and call.extra is not None and call.extra[MADE_ID])
    assert sorted(signatures(content)) == sorted(
        part.thought_signature for part in theirs.parts if part.thought_signature
    ), where
    kinds = (ServerToolUse, ServerToolResult)
    assert sum(isinstance(block, kinds) for block in content) == sum(
        bool(part.executable_code or part.code_execution_result or part.tool_call or part.tool_response)
        for part in theirs.parts
    )
    assert (ours.model, ours.request_id) == (theirs.model or "asked-model", theirs.id), where
    usage = theirs.usage
    if usage is not None:
        prompt, cached = usage.prompt_token_count or 0, usage.cached_content_token_count or 0
        tools, thinking = usage.tool_use_prompt_token_count or 0, usage.thoughts_token_count or 0
        assert ours.usage == Usage(
            input_tokens=prompt - cached + tools,
            cache_read_tokens=cached,
            output_tokens=(usage.candidates_token_count or 0) + thinking,
            reasoning_tokens=thinking,
        ), where
        if where not in WRONG_TOTALS:
            assert ours.usage.total_tokens == usage.total_token_count, where


WRONG_TOTALS = {
    "3f71d109785c-00": "the recorded total is less than its parts",
    "4486d36e57e9-00": "the recorded total is less than its parts",
}


def signatures(content: tuple[Any, ...]) -> list[bytes]:
    found = []
    for block in content:
        extra = block.raw if isinstance(block, Opaque) else getattr(block, "extra", None) or {}
        signature = getattr(block, "signature", None) or extra.get("thoughtSignature")
        if signature:
            found.append(base64.b64decode(signature.replace("-", "+").replace("_", "/") + "=="))
    return found
