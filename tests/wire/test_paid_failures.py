"""An answer that failed was paid for: what it reports of its usage is kept, also where the same event is the error."""

from __future__ import annotations

import json
from typing import Any

import pytest

from alloy_trio.values import MalformedReply, RemoteError, ServerFault, Usage
from alloy_trio.wire import BedrockCodec, ChatCodec, Codec, GeminiCodec, ResponsesCodec, WireSettings
from alloy_trio.wire._dialects import DIALECTS

SETTINGS = WireSettings(provider="host", model="m")
USAGE = Usage(input_tokens=200, output_tokens=2)

CHAT_USAGE = {"prompt_tokens": 200, "completion_tokens": 2, "total_tokens": 202}
CHAT = {"id": "c", "model": "m", "usage": CHAT_USAGE}
BROKEN = {"index": 0, "message": {"role": "assistant", "content": "so"}, "finish_reason": "error"}
PIECE = {"index": 0, "delta": {"content": "so"}, "finish_reason": "error"}


def event(**value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def whole(**value: Any) -> bytes:
    return json.dumps(value).encode()


CASES: dict[str, tuple[Codec, bytes, type[RemoteError]]] = {
    "chat, whole": (ChatCodec(DIALECTS["openai"]), whole(**CHAT, choices=[BROKEN]), ServerFault),
    "chat, streamed": (ChatCodec(DIALECTS["openrouter"]), event(**CHAT, choices=[PIECE]), ServerFault),
    "chat, an error beside the usage": (
        ChatCodec(DIALECTS["openrouter"]),
        event(**CHAT, choices=[], error={"code": 502, "message": "upstream broke"}),
        ServerFault,
    ),
    "responses, whole": (
        ResponsesCodec(),
        whole(id="r", status="failed", output=[], usage={"input_tokens": 200, "output_tokens": 2}),
        ServerFault,
    ),
    "gemini, streamed": (
        GeminiCodec(),
        event(
            candidates=[{"finishReason": "MALFORMED_FUNCTION_CALL", "index": 0}],
            usageMetadata={"promptTokenCount": 200, "candidatesTokenCount": 2, "totalTokenCount": 202},
        ),
        MalformedReply,
    ),
    "bedrock, whole": (
        BedrockCodec(),
        whole(
            output={"message": {"role": "assistant", "content": [{"text": "so"}]}},
            stopReason="malformed_tool_use",
            usage={"inputTokens": 200, "outputTokens": 2, "totalTokens": 202},
        ),
        MalformedReply,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_usage_of_a_failed_answer_is_kept(case: str) -> None:
    codec, body, error = CASES[case]
    decoder = codec.decoder(SETTINGS)
    decoder.receive(body)
    decoder.receive_end()
    with pytest.raises(error):
        decoder.finish()
    assert decoder.usage == USAGE
