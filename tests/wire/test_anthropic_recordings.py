"""Recorded answers of Anthropic's: whole, divided, cut anywhere, and as the vendor's client reads them."""

from __future__ import annotations

import json
import random
import re
import sys
from typing import Any

import pytest

from alloy_trio.values import (
    Completion,
    Delta,
    MalformedReply,
    RemoteError,
    StreamTruncated,
    TextDelta,
    ToolUse,
    Usage,
)
from alloy_trio.wire import AnthropicCodec, WireSettings
from alloy_trio.wire._faults import fault_from_response

from .recordings import body_of, cuts, load, load_errors
from .test_faults import EXPECTED

SETTINGS = WireSettings(provider="anthropic", model="recorded")

# Two answers that a host spliced together. The first never ends; ours reads the second alone.
SPLICED = {"59e9c1e28b76-00": ["toolu_second"]}

TERMINAL = re.compile(rb'data: ?\{ *"type": ?"message_stop"[^\n]*?\}')


def answers() -> list[dict[str, Any]]:
    return [
        record for record in load("anthropic") if record["status"] == 200 and record["endpoint"] == "messages"
    ]


def streams() -> list[dict[str, Any]]:
    return [record for record in answers() if record["response_kind"] == "sse"]


def read(chunks: Any) -> tuple[list[Delta], Completion]:
    decoder = AnthropicCodec().decoder(SETTINGS)
    deltas = [delta for chunk in chunks for delta in decoder.receive(chunk)]
    return deltas + decoder.receive_end(), decoder.finish()


def test_every_recorded_answer_is_read() -> None:
    records = answers()
    assert len(records) > 500
    for record in records:
        deltas, completion = read([body_of(record)])
        assert completion.model, record["id"]
        assert completion.usage.total_tokens > 0, record["id"]
        if record["response_kind"] == "sse":
            text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
            assert text == completion.message.text, record["id"]
        assert (completion.stop_reason == "tool_use") == bool(completion.message.tool_uses), record["id"]
        if record["id"] in SPLICED:
            assert [use.id for use in completion.message.tool_uses] == SPLICED[record["id"]]


def test_any_division_of_a_recorded_answer_gives_the_same() -> None:
    for record in answers():
        body = body_of(record)
        whole = read([body])
        assert read(cuts(body, seed=len(body), pieces=12)) == whole, record["id"]
        if record["response_kind"] == "sse" and len(body) < 40_000:
            assert read(body[i : i + 1] for i in range(len(body))) == whole, record["id"]


def test_a_recorded_stream_cut_before_its_end_is_truncated() -> None:
    """After every byte of the shorter streams, at every line's edges of the longer ones."""
    for record in streams():
        body = body_of(record)
        found = TERMINAL.search(body)
        assert found is not None, record["id"]
        if len(body) < 12_000:
            steps = set(range(found.end()))
        else:
            breaks = [at.start() for at in re.finditer(rb"[\n}]", body[: found.end()])]
            steps = {min(at + near, found.end() - 1) for at in breaks for near in (0, 1)}
        decoder = AnthropicCodec().decoder(SETTINGS)
        sent = 0
        for at in sorted(steps):
            decoder.receive(body[sent:at])
            sent = at
            with pytest.raises(StreamTruncated):
                decoder.finish()
        decoder.receive(body[sent : found.end()])
        assert decoder.finish() == read([body])[1], record["id"]


def test_a_recorded_body_cut_before_its_end_is_truncated() -> None:
    rng = random.Random(7)
    for record in answers():
        body = body_of(record).rstrip()
        if record["response_kind"] == "json" and len(body) < 200_000:
            for at in {0, 1, len(body) - 1, *(rng.randrange(len(body)) for _ in range(4))}:
                with pytest.raises(StreamTruncated):
                    read([body[:at]])


def test_beginnings_of_recorded_streams_are_truncated_for_a_fresh_decoder_too() -> None:
    rng = random.Random(11)
    for record in streams():
        body = body_of(record)
        found = TERMINAL.search(body)
        assert found is not None
        for at in (rng.randrange(found.end()) for _ in range(4)):
            with pytest.raises(StreamTruncated):
                read([body[:at]])


def test_documented_stream_errors_are_what_they_should_be() -> None:
    checked = 0
    for record in load_errors("anthropic"):
        if record["status"] >= 400:
            continue
        expect = record["expect"]
        body = body_of(record)
        for chunks in ([body], [body[i : i + 1] for i in range(len(body))]):
            if expect["error"] == "length_in_tool_call":
                completion = read(chunks)[1]
                assert completion.stop_reason == "max_tokens"
                assert completion.message.tool_uses == ()
                continue
            with pytest.raises(RemoteError) as caught:
                read(chunks)
            wanted = StreamTruncated if expect["error"] == "stream_cut" else EXPECTED[expect["error"]]
            assert type(caught.value) is wanted, record["id"]
            assert caught.value.transient is expect["retryable"], record["id"]
        checked += 1
    assert checked == 6


def test_recorded_errors_name_the_request() -> None:
    checked = 0
    for record in load("anthropic"):
        if record["status"] >= 400 and "request-id" in record["response_headers"]:
            headers = {name.lower(): value for name, value in record["response_headers"].items()}
            fault = fault_from_response(
                record["status"], headers, body_of(record), provider="anthropic", now=0.0
            )
            assert fault.request_id == record["response_headers"]["request-id"]
            assert not fault.transient
            checked += 1
    assert checked > 3


def test_a_body_that_is_not_a_message_is_malformed() -> None:
    for record in load("anthropic"):
        if record["endpoint"] == "count_tokens":
            with pytest.raises(MalformedReply):
                read([body_of(record)])


# ---- the vendor's own client as a judge from outside

# Where its reading differs, and why ours is meant.
DIFFERENT = {
    "59e9c1e28b76-00": "two spliced answers: the client joins the blocks of both",
    "9a7cd9ad72f6-00": "a refusal: its explanation is our text",
    "f17a7eab02bd-00": "a refusal: its explanation is our text",
}


class VendorsClient:
    """The vendor's client, whose network is one recorded answer."""

    def __init__(self) -> None:
        anthropic = pytest.importorskip("anthropic", reason="the vendor's client is not installed")
        # It brings its own HTTP library, and which one depends on its version.
        http = sys.modules.get("httpx2") or sys.modules["httpx"]

        def answer(request: Any) -> Any:
            body = body_of(self.record)
            found = TERMINAL.search(body)
            if found is None:
                return http.Response(200, headers={"content-type": "application/json"}, content=body)
            # A few recordings hold several answers one after the other; the client would read on.
            body = body[: found.end()] + b"\n\n"
            return http.Response(200, headers={"content-type": "text/event-stream"}, content=body)

        network = http.Client(transport=http.MockTransport(answer))
        self.client = anthropic.Anthropic(api_key="none", http_client=network, max_retries=0)
        self.record: dict[str, Any] = {}

    def message(self, record: dict[str, Any]) -> Any:
        self.record = record
        asked = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "x"}]}
        if record["response_kind"] != "sse":
            return self.client.messages.create(**asked)
        with self.client.messages.stream(**asked) as stream:
            return stream.get_final_message()


@pytest.mark.filterwarnings("ignore::UserWarning")  # pydantic's, about blocks that are newer than the client
def test_the_vendors_own_client_reads_the_same() -> None:
    client = VendorsClient()
    checked = 0
    for record in answers():
        if record["id"] in DIFFERENT:
            continue
        theirs = client.message(record)
        ours = read([body_of(record)])[1]
        where = record["id"]
        assert ours.message.text == "".join(b.text for b in theirs.content if b.type == "text"), where
        calls = [(b.id, b.name, b.input) for b in theirs.content if b.type == "tool_use"]
        assert [(use.id, use.name, use.input) for use in ours.message.tool_uses] == calls, where
        thoughts = [(b.thinking, b.signature or None) for b in theirs.content if b.type == "thinking"]
        assert [
            (b.text, b.signature)
            for b in ours.message.content
            if type(b).__name__ == "Thinking" and not b.redacted
        ] == thoughts, where
        stop = theirs.stop_reason
        assert ours.stop_reason == ("tool_use" if stop == "end_turn" and calls else stop), where
        assert ours.usage == Usage(
            input_tokens=theirs.usage.input_tokens,
            cache_read_tokens=theirs.usage.cache_read_input_tokens or 0,
            cache_write_tokens=theirs.usage.cache_creation_input_tokens or 0,
            output_tokens=theirs.usage.output_tokens,
            reasoning_tokens=ours.usage.reasoning_tokens,
        ), where
        assert ours.model == theirs.model, where
        checked += 1
    assert checked > 500


def test_calls_and_reasoning_return_to_the_vendor_as_they_came() -> None:
    """Every recorded answer, sent back: each block that goes is the recorded one, byte for byte."""
    from alloy_trio.values import CompletionRequest, Message, ToolResult

    seen: dict[str, int] = {}
    for record in answers():
        if record["response_kind"] == "sse":
            continue
        sent = json.loads(record["body"])["content"]
        message = read([body_of(record)])[1].message
        results = [ToolResult(block.id, "ok") for block in message.content if isinstance(block, ToolUse)]
        request = CompletionRequest((Message.user("hi"), message, Message.user(results or "go on")))
        encoded = AnthropicCodec(prompt_cache=False).encode(request, SETTINGS, stream=False)
        wire = [m for m in json.loads(encoded.body)["messages"] if m["role"] == "assistant"]
        back = wire[0]["content"] if wire else []
        kept = [
            {key: value for key, value in block.items() if key != "citations" or value}
            for block in sent
            if not (block["type"] == "text" and not block["text"].strip())
            and not (block["type"] == "thinking" and not block.get("signature"))
        ]
        if record["id"] in DIFFERENT:
            continue
        assert back == kept, record["id"]
        for block in back:
            seen[block["type"]] = seen.get(block["type"], 0) + 1
    assert {"thinking", "redacted_thinking", "tool_use", "server_tool_use", "web_search_tool_result"} <= set(
        seen
    )
