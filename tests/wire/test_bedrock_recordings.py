"""Recorded exchanges of Bedrock's: read whole, divided, cut anywhere, and as the vendor's client reads them;
and the recorded requests, written again."""

from __future__ import annotations

import base64
import copy
import json
import random
import re
from typing import Any
from urllib.parse import unquote

import attrs
import pytest

from alloy_trio.values import (
    Block,
    Completion,
    CompletionRequest,
    Delta,
    Document,
    Image,
    MalformedReply,
    Message,
    Opaque,
    RemoteError,
    ServerTool,
    ServerToolResult,
    ServerToolUse,
    StreamTruncated,
    Text,
    TextDelta,
    Thinking,
    ToolResult,
    ToolSpec,
    ToolUse,
    Usage,
    Video,
)
from alloy_trio.wire import WireSettings
from alloy_trio.wire._bedrock import BedrockCodec
from alloy_trio.wire._faults import fault_from_response

from . import bedrock_oracle
from .recordings import body_of, cuts, load, load_errors
from .test_faults import EXPECTED

ENDPOINTS = ("converse", "converse-stream")
SETTINGS = WireSettings(provider="bedrock", model="recorded")


def exchanges() -> list[dict[str, Any]]:
    return [record for record in load("bedrock") if record["endpoint"] in ENDPOINTS]


def answers() -> list[dict[str, Any]]:
    return [record for record in exchanges() if record["status"] == 200]


def streams() -> list[dict[str, Any]]:
    return [record for record in answers() if record["response_kind"] == "eventstream"]


def read(chunks: Any) -> tuple[list[Delta], Completion]:
    decoder = BedrockCodec().decoder(SETTINGS)
    deltas = [delta for chunk in chunks for delta in decoder.receive(chunk)]
    return deltas + decoder.receive_end(), decoder.finish()


def end_of(body: bytes) -> tuple[int, int]:
    """Where the message with the reason ends, and where the terminal one does."""
    at, reason = 0, -1
    while True:
        size = int.from_bytes(body[at : at + 4], "big")
        piece, at = body[at : at + size], at + size
        if b"messageStop" in piece[:100]:
            reason = at
        elif b"metadata" in piece[:100]:
            return reason, at


# ---- answers


def test_every_recorded_answer_is_read() -> None:
    records = answers()
    assert len(records) == 266
    for record in records:
        deltas, completion = read([body_of(record)])
        assert completion.usage.total_tokens > 0, record["id"]
        if record["response_kind"] == "eventstream":
            text = "".join(delta.text for delta in deltas if isinstance(delta, TextDelta))
            assert text == completion.message.text, record["id"]
        assert (completion.stop_reason == "tool_use") == bool(completion.message.tool_uses), record["id"]
        if record["stop"] == ["guardrail_intervened"]:
            assert completion.stop_reason == "refusal", record["id"]


def test_any_division_of_a_recorded_answer_gives_the_same() -> None:
    for record in answers():
        body = body_of(record)
        whole = read([body])
        assert read(body[i : i + 1] for i in range(len(body))) == whole, record["id"]
        assert read(cuts(body, seed=len(body), pieces=12)) == whole, record["id"]


def test_a_recorded_stream_cut_anywhere_before_its_end_is_truncated() -> None:
    assert len(streams()) == 35
    for record in streams():
        body = body_of(record)
        whole = read([body])[1]
        reason, end = end_of(body)
        decoder = BedrockCodec().decoder(SETTINGS)
        for at in range(end):
            if at == reason:
                assert attrs.evolve(decoder.finish(), usage=whole.usage) == whole, record["id"]
            else:
                with pytest.raises(StreamTruncated):
                    decoder.finish()
            decoder.receive(body[at : at + 1])
        assert decoder.finish() == whole, record["id"]


def test_beginnings_of_recorded_answers_are_truncated_for_a_fresh_decoder_too() -> None:
    rng = random.Random(11)
    for record in answers():
        body = body_of(record).rstrip()
        is_stream = record["response_kind"] == "eventstream"
        reason, end = end_of(body) if is_stream else (-1, len(body))
        for at in {0, 1, end - 1, *(rng.randrange(end) for _ in range(4))} - {reason}:
            with pytest.raises(StreamTruncated):
                read([body[:at]])


def test_recorded_usage_adds_up_to_the_vendors_total() -> None:
    cached = 0
    for record in answers():
        reported = re.search(rb'"totalTokens": ?(\d+)', body_of(record))
        assert reported is not None
        usage = read([body_of(record)])[1].usage
        assert usage.total_tokens == int(reported[1]), record["id"]
        cached += usage.cache_read_tokens + usage.cache_write_tokens > 0
    assert cached > 15


# ---- errors

ERRORS = {
    "UnrecognizedClientException": "AuthenticationFailed",
    "ExpiredTokenException": "AuthenticationFailed",
    "Input Tokens Exceeded": "ContextOverflow",
}


def test_every_recorded_error_is_classified() -> None:
    checked = 0
    for record in exchanges():
        if record["status"] == 200:
            continue
        headers = {name.lower(): value for name, value in record["response_headers"].items()}
        fault = fault_from_response(record["status"], headers, body_of(record), provider="bedrock", now=0.0)
        seen = headers.get("x-amzn-errortype", "") + record["body"]
        expected = next((kind for words, kind in ERRORS.items() if words in seen), "Rejected")
        assert type(fault).__name__ == expected, record["id"]
        assert not fault.transient
        assert fault.request_id == headers.get("x-amzn-requestid")
        checked += 1
    assert checked == 16


def test_documented_errors_are_what_they_should_be() -> None:
    checked = 0
    for record in load_errors("bedrock"):
        expect, body = record["expect"], body_of(record)
        wanted = {**EXPECTED, "stream_cut": StreamTruncated, "stream_corrupt": MalformedReply}[
            expect["error"]
        ]
        if record["status"] >= 400:
            faults = [
                fault_from_response(
                    record["status"], record["response_headers"], body, provider="bedrock", now=0.0
                )
            ]
        else:
            faults = []
            for chunks in ([body], [body[i : i + 1] for i in range(len(body))]):
                decoder = BedrockCodec().decoder(SETTINGS)
                with pytest.raises(RemoteError) as caught:
                    for chunk in chunks:
                        decoder.receive(chunk)
                    decoder.finish()
                faults.append(caught.value)
        for fault in faults:
            assert type(fault) is wanted, record["id"]
            assert fault.transient is expect["retryable"], record["id"]
            assert fault.retry_after == expect["retry_after_s"], record["id"]
            assert fault.provider == "bedrock", record["id"]
        checked += 1
    assert checked == 16


# ---- the vendor's own client as a judge from outside


UNREADABLE = {
    "c2ec0f8cb7ee-00": "a made-up type beside a block's one key: the client refuses it",
    "d584900d7647-00": "a made-up type beside a block's one key: the client refuses it",
}


def test_the_vendors_own_client_reads_the_same() -> None:
    for record in answers():
        ours = read([body_of(record)])[1]
        where = record["id"]
        if record["response_kind"] == "eventstream":
            theirs = bedrock_oracle.collected(bedrock_oracle.parsed_events(body_of(record)))
        else:
            if record["id"] in UNREADABLE:
                continue
            found = bedrock_oracle.parsed(body_of(record))
            theirs = {**found, "content": found["output"]["message"]["content"]}
        content = theirs["content"]
        text = "".join(
            block.get("text", "")
            + "".join(piece["text"] for piece in block.get("citationsContent", {}).get("content", ()))
            for block in content
        )
        assert ours.message.text == text, where
        calls = [block["toolUse"] for block in content if "toolUse" in block]
        for call in calls:
            if isinstance(call.get("input", ""), str):
                call["input"] = json.loads(call.get("input") or "{}")
        asked = [
            (b.id, b.name, b.input) for b in ours.message.content if isinstance(b, ToolUse | ServerToolUse)
        ]
        assert asked == [(call["toolUseId"], call["name"], call["input"]) for call in calls], where
        server = [call["toolUseId"] for call in calls if call.get("type") == "server_tool_use"]
        assert [b.id for b in ours.message.content if isinstance(b, ServerToolUse)] == server, where
        thoughts = [_thought(block["reasoningContent"]) for block in content if "reasoningContent" in block]
        assert [
            (b.text, b.signature, base64.b64decode(b.redacted) if b.redacted else None)
            for b in ours.message.content
            if isinstance(b, Thinking)
        ] == thoughts, where
        stop = {"guardrail_intervened": "refusal"}.get(theirs["stopReason"], theirs["stopReason"])
        ours_called = bool(ours.message.tool_uses)
        assert ours.stop_reason == ("tool_use" if stop == "end_turn" and ours_called else stop), where
        usage = theirs["usage"]
        assert ours.usage == Usage(
            input_tokens=usage["inputTokens"],
            output_tokens=usage["outputTokens"],
            cache_read_tokens=usage.get("cacheReadInputTokens", 0),
            cache_write_tokens=usage.get("cacheWriteInputTokens", 0),
        ), where


def _thought(block: dict[str, Any]) -> tuple[str, str | None, bytes | None]:
    said = {**block.get("reasoningText", {}), **block}
    return said.get("text", ""), said.get("signature"), said.get("redactedContent")


# ---- recorded requests, written again

# What is left out of the comparison, in the recorded and in the written request.
IGNORED = {
    "an empty inferenceConfig, system, or additionalModelRequestFields": "the same as none",
    "cachePoint": "where the prompt is cached: we mark it by our own rule, few recorded clients did",
    "toolResult.status 'success'": "the default",
    "outputConfig…jsonSchema.name and .description": "a schema's name means nothing; it holds its own description",
    "outputConfig…jsonSchema.schema": "as an object: the white space of its text means nothing",
    "a text of white space": "refused by some models, so never sent",
    "two messages in a row from one side": "joined: most models of the vendor's want the roles to alternate",
}

EXCEPTIONS = {
    "7363ab43135c-00": "a minimum length, which Claude may refuse, goes into the description",
    "6b93f55cf1ed-00": "the schema is closed, as Claude wants it",
    "f009b2d3ad85-00": "the schema is closed, as Claude wants it",
    "f1123e36f5f1-00": "it begins with the model's words, which not every model takes: a message goes before",
}


def requests() -> list[dict[str, Any]]:
    return [record for record in exchanges() if record["request"]]


def test_recorded_requests_written_again_are_the_same() -> None:
    checked, excepted = 0, set()
    for record in requests():
        recorded = _uncut(record["request"])
        request, settings = _parse(recorded, _model(record))
        wire = BedrockCodec(prompt_cache=False).encode(
            request, settings, stream=record["endpoint"] == "converse-stream"
        )
        assert unquote(wire.path) == unquote(record["path"])
        if _plain(json.loads(wire.body)) != _plain(recorded):
            excepted.add(record["id"])
        checked += 1
    assert checked > 250
    assert excepted == set(EXCEPTIONS)
    assert len(excepted) <= checked * 0.02


def test_recorded_requests_written_again_are_what_the_vendors_client_sends() -> None:
    for record in requests():
        request, settings = _parse(_uncut(record["request"]), _model(record))
        is_stream = record["endpoint"] == "converse-stream"
        wire = BedrockCodec().encode(request, settings, stream=is_stream)
        body = json.loads(wire.body)
        path, theirs = bedrock_oracle.written(body, settings.model, stream=is_stream)
        assert (wire.path, body) == (path, theirs), record["id"]


def _model(record: dict[str, Any]) -> str:
    return unquote(record["path"].split("/")[2])


def _uncut(request: dict[str, Any]) -> dict[str, Any]:
    """With short stand-ins for media that the recordings cut."""
    text = re.sub(r'"[^"]*__MEDIA_CUT_\d+__[^"]*"', '"Y3V0"', json.dumps(request))
    found: dict[str, Any] = json.loads(text)
    return found


def _parse(recorded: dict[str, Any], model: str) -> tuple[CompletionRequest, WireSettings]:
    settings = WireSettings(provider="bedrock", model=model)
    left = copy.deepcopy(recorded)
    messages = [
        Message(
            message["role"],
            [_block(block) for block in message["content"] if "cachePoint" not in block],
            settings.origin if message["role"] == "assistant" else None,
        )
        for message in left.pop("messages")
    ]
    asked: dict[str, Any] = {}
    told: dict[str, Any] = {}
    system = [block for block in left.get("system", ()) if "cachePoint" not in block]
    if len(system) == 1:
        asked["system"] = left.pop("system")[0]["text"]
    if "toolConfig" in left:
        tools = [tool for tool in left["toolConfig"]["tools"] if "cachePoint" not in tool]
        asked["tools"] = [_spec(tool["toolSpec"]) for tool in tools if "toolSpec" in tool]
        asked["server_tools"] = [
            ServerTool(tool["systemTool"]["name"]) for tool in tools if "systemTool" in tool
        ]
        for kind, value in left.pop("toolConfig").get("toolChoice", {}).items():
            asked["tool_choice"] = {"auto": "auto", "any": "required"}.get(kind, value.get("name"))
    if "outputConfig" in left:
        schema = left.pop("outputConfig")["textFormat"]["structure"]["jsonSchema"]["schema"]
        asked["output_schema"] = json.loads(schema)
    inference = left.get("inferenceConfig", {})
    if set(inference) <= {"maxTokens", "temperature"}:
        left.pop("inferenceConfig", None)
        told |= {"max_tokens": inference.get("maxTokens"), "temperature": inference.get("temperature")}
    thinking = left.pop("additionalModelRequestFields", None)
    return CompletionRequest(messages, **asked), attrs.evolve(
        settings, thinking=thinking or None, extra_body=left, **told
    )


def _spec(tool: dict[str, Any]) -> ToolSpec:
    schema = tool["inputSchema"]["json"]
    return ToolSpec(tool["name"], tool.get("description", ""), schema, tool.get("strict", False))


_TYPES = {
    "pdf": "application/pdf", "txt": "text/plain", "csv": "text/csv", "md": "text/markdown",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}  # fmt: skip


def _block(block: dict[str, Any]) -> Block:
    (kind, value), *more = block.items()
    if kind == "text":
        return Text(value)
    if kind == "reasoningContent":
        if "redactedContent" in value:
            return Thinking("", redacted=value["redactedContent"])
        return Thinking(value["reasoningText"]["text"], value["reasoningText"]["signature"])
    if kind == "toolUse":
        if value.get("type") == "server_tool_use":
            return ServerToolUse(value["toolUseId"], value["name"], value["input"], extra=value)
        return ToolUse(value["toolUseId"], value["name"], value["input"])
    if kind == "toolResult":
        if "type" in value:
            return ServerToolResult(value["toolUseId"], value["content"], extra=value)
        parts = [_block(part) for part in value["content"]]
        return ToolResult(value["toolUseId"], parts, value.get("status") == "error")  # type: ignore[arg-type]
    if kind in ("image", "video", "document") and not more and "/" not in value["format"]:
        source = value["source"]
        where = {"url": source["s3Location"]["uri"]} if "s3Location" in source else {}
        if "bytes" in source:
            where = {"data": base64.b64decode(source["bytes"], validate=True)}
        if kind == "image" and where:
            return Image(f"image/{value['format']}", **where)
        if kind == "video" and where:
            return Video(f"video/{value['format']}", **where)
        if kind == "document" and where and "citations" not in value:
            return Document(_TYPES[value["format"]], title=value["name"], **where)
    return Opaque("bedrock", block)


def _plain(request: dict[str, Any]) -> dict[str, Any]:
    """A request without what is ignored."""
    plain = {
        key: value
        for key, value in copy.deepcopy(request).items()
        if value or key not in ("inferenceConfig", "system", "additionalModelRequestFields")
    }
    messages: list[dict[str, Any]] = []
    for message in plain["messages"]:
        if messages and messages[-1]["role"] == message["role"]:
            messages[-1]["content"] += message["content"]
        else:
            messages.append(message)
    for message in messages:
        message["content"] = [block for block in message["content"] if "cachePoint" not in block]
        message["content"] = [block for block in message["content"] if block.get("text", "x").strip()]
        for block in message["content"]:
            result = block.get("toolResult", {})
            if result.get("status") == "success" and "type" not in result:
                del result["status"]
    plain["messages"] = messages
    if "system" in plain:
        plain["system"] = [block for block in plain["system"] if "cachePoint" not in block]
    if "toolConfig" in plain:
        tools = plain["toolConfig"]["tools"]
        plain["toolConfig"]["tools"] = [tool for tool in tools if "cachePoint" not in tool]
    if "outputConfig" in plain:
        schema = plain["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
        plain["outputConfig"]["textFormat"]["structure"]["jsonSchema"] = json.loads(schema["schema"])
    return plain
