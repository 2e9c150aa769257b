"""Every recorded stream of every wire that we read, cut after every byte: about twelve million cuts, in minutes.

``nox -s sweep`` runs it; elsewhere it is deselected, and the tests of each wire cut a sample. One decoder reads
a stream byte by byte, and before each byte it is asked for its completion, which changes nothing. Where an answer may
end at the soonest is found here without a decoder, in lines and JSON. Before that place there is no answer,
whatever had arrived; from there on it is the whole one, but for its usage, which may follow, or none.

Recorded streams of protocols that we do not speak (Cohere's, Gemini's interactions, Bedrock's older
``invoke-with-response-stream``, MCP) are not here.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import attrs
import pytest

from alloy_trio.values import Completion, RemoteError, StreamTruncated
from alloy_trio.wire import (
    AnthropicCodec,
    BedrockCodec,
    ChatCodec,
    Codec,
    Decoder,
    GeminiCodec,
    OllamaCodec,
    ResponsesCodec,
    WireSettings,
)
from alloy_trio.wire._dialects import DIALECTS, SNOWFLAKE

from .recordings import body_of, load

pytestmark = pytest.mark.sweep

SETTINGS = WireSettings(provider="host", model="asked")


class Family(NamedTuple):
    """One wire's recordings.

    Args:
        endpoints: those that speak this wire.
        streams: how many of its streams are recorded.
        codec: what reads an answer of this vendor.
        is_end: whether the answer may be complete with this event: its name and its data.
    """

    endpoints: tuple[str, ...]
    streams: int
    codec: Callable[[str], Codec]
    is_end: Callable[[str, Any], bool]


def chat_end(_name: str, event: Any) -> bool:
    if event == "[DONE]":
        return True
    if not isinstance(event, dict):
        return False
    choices = [choice for choice in event.get("choices") or () if isinstance(choice, dict)]
    return bool(event.get("error")) or any(
        choice.get("finish_reason") for choice in choices if not choice.get("index")
    )


def gemini_end(_name: str, event: Any) -> bool:
    if not isinstance(event, dict):
        return False
    first = (event.get("candidates") or [{}])[0]
    reason = "" if first.get("index") else first.get("finishReason", "")
    return reason not in ("", "FINISH_REASON_UNSPECIFIED") or bool(event.get("promptFeedback"))


def responses_end(_name: str, event: Any) -> bool:
    ends = {"response.completed", "response.incomplete", "response.failed", "error"}
    return isinstance(event, dict) and event.get("type") in ends


def anthropic_end(_name: str, event: Any) -> bool:
    return isinstance(event, dict) and event.get("type") in ("message_stop", "error")


def ollama_end(_name: str, event: Any) -> bool:
    return isinstance(event, dict) and bool(event.get("done") or event.get("error"))


def bedrock_end(name: str, _event: Any) -> bool:
    return name == "messageStop"


FAMILIES = {
    "anthropic": Family(("messages",), 122, lambda _: AnthropicCodec(), anthropic_end),
    "openai_chat": Family(
        ("chat_completions",),
        306,
        lambda vendor: ChatCodec(SNOWFLAKE if vendor == "snowflake" else DIALECTS["openai"]),
        chat_end,
    ),
    "openai_responses": Family(("responses",), 140, lambda _: ResponsesCodec(), responses_end),
    "gemini": Family(("streamGenerateContent",), 72, lambda _: GeminiCodec(), gemini_end),
    "bedrock": Family(("converse-stream",), 35, lambda _: BedrockCodec(), bedrock_end),
    "ollama_native": Family(("chat",), 2, lambda _: OllamaCodec(), ollama_end),
}


def events(body: bytes, kind: str) -> Iterator[tuple[str, Any, int]]:
    """A stream's events, found without a decoder: name, data, and the offset at which each is whole."""
    at = 0
    if kind == "eventstream":
        while at < len(body):
            size = int.from_bytes(body[at : at + 4], "big")
            head = body[at : at + 200]
            at += size
            mark = head.find(b":event-type\x07")
            length = int.from_bytes(head[mark + 12 : mark + 14], "big")
            yield (head[mark + 14 : mark + 14 + length].decode() if mark > 0 else ""), None, at
        return
    if kind == "json_array":
        # An array is whole with its bracket, whatever its elements say.
        return
    for line in body.split(b"\n"):
        text = line.strip()
        if kind == "sse":
            text = text.removeprefix(b"data:").strip() if text.startswith(b"data:") else b""
        if text == b"[DONE]":
            yield "", "[DONE]", at + len(line.rstrip())
        elif text:
            try:
                yield "", json.loads(text), at + len(line.rstrip())
            except ValueError:
                pass
        at += len(line) + 1


def soonest_end(body: bytes, kind: str, is_end: Callable[[str, Any], bool]) -> int:
    """Where the answer can be complete at the soonest."""
    return next((end for name, event, end in events(body, kind) if is_end(name, event)), len(body.rstrip()))


def ask(decoder: Decoder) -> Completion | type[RemoteError]:
    try:
        return decoder.finish()
    except RemoteError as error:
        return type(error)


def sweep(codec: Codec, body: bytes, soonest: int) -> Counter[str]:
    """Cut after every byte. Returns how often there was what."""
    at_once = codec.decoder(SETTINGS)
    at_once.receive(body)
    at_once.receive_end()
    whole = ask(at_once)
    decoder = codec.decoder(SETTINGS)
    seen: Counter[str] = Counter()
    for at in range(len(body) + 1):
        found = ask(decoder)
        if found is StreamTruncated:
            seen["truncated"] += 1
        else:
            assert at >= soonest, f"{found!r} after {at} bytes, {body[max(0, at - 80) : at]!r}"
            if isinstance(found, Completion) and isinstance(whole, Completion):
                found = attrs.evolve(found, usage=whole.usage)
            assert found == whole, f"another outcome after {at} bytes"
            seen["answer" if isinstance(whole, Completion) else "error"] += 1
        if at < len(body) and decoder.failure is None:
            decoder.receive(body[at : at + 1])
    assert ask(decoder) == whole
    return seen


@pytest.mark.parametrize("family", FAMILIES)
def test_a_stream_cut_after_any_byte_gives_the_whole_answer_or_none(
    family: str, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoints, expected, codec_for, is_end = FAMILIES[family]
    records = [
        record
        for record in load(family)
        if record["stream"] and record["endpoint"] in endpoints and record["status"] == 200
    ]
    assert len(records) == expected
    total: Counter[str] = Counter()
    start = time.perf_counter()
    for record in records:
        body = body_of(record)
        soonest = soonest_end(body, record["response_kind"], is_end)
        try:
            total += sweep(codec_for(record["vendor"]), body, soonest)
        except AssertionError as error:
            error.add_note(f"in the recording {record['id']}")
            raise
    assert total["truncated"] > total["answer"] + total["error"]
    with capsys.disabled():
        counts = ", ".join(f"{count:,} {what}" for what, count in total.most_common())
        print(f"\n{family}: {len(records)} streams, {counts}; {time.perf_counter() - start:.0f} s")
