"""Long answers in the wire formats, shaped like recorded ones."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any, Literal, TypeAlias, get_args
from zlib import crc32

Wire: TypeAlias = Literal["anthropic", "openai", "openai-compatible"]
WIRES: tuple[Wire, ...] = get_args(Wire)

PATHS: dict[Wire, str] = {
    "anthropic": "/v1/messages",
    "openai": "/v1/responses",
    "openai-compatible": "/v1/chat/completions",
}
"""Where each is asked, below the host."""

MORE_WIRES = ("gemini", "bedrock", "ollama")
"""Of these there are streams as well."""


def base_url(wire: Wire, host: str) -> str:
    """The host's address as the vendor's own SDK wants it."""
    return host if wire == "anthropic" else f"{host}/v1"


def events(wire: str, deltas: int) -> list[bytes]:
    """A streamed answer of so many pieces of text, event by event; joined they are the body."""
    return list(_MAKERS[wire]([f" word{number % 997}" for number in range(deltas)]))


def whole(wire: Wire, deltas: int) -> bytes:
    """The same answer at once."""
    text = "".join(f" word{number % 997}" for number in range(deltas))
    body: dict[str, Any]
    if wire == "anthropic":
        content = [{"type": "text", "text": text}]
        body = {**_MESSAGE, "content": content, "stop_reason": "end_turn", "usage": _USAGE}
    elif wire == "openai":
        body = _response([_item(text)], "completed")
    else:
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        usage = {"prompt_tokens": 20, "completion_tokens": deltas, "total_tokens": 20 + deltas}
        body = {**_CHUNK, "object": "chat.completion", "choices": [choice], "usage": usage}
    return _json(body)


_USAGE = {
    "input_tokens": 20,
    "cache_creation_input_tokens": 0,
    "cache_read_input_tokens": 0,
    "output_tokens": 1,
}
_MESSAGE = {"id": "msg_01QLjHm7HKTUHTaJ1mYvyTg4", "type": "message", "role": "assistant", "model": "m"}
_CHUNK = {"id": "chatcmpl-Bc5GkSfhGzNCbTUPCjSRBE4x3dVlD", "created": 1748531000, "model": "m"}
_ITEM = "msg_68a4b1f2c5d081a19f6e0d6e6a1b2c3d"


def _anthropic(words: list[str]) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        return b"event: " + kind.encode() + b"\ndata: " + _json({"type": kind, **fields}) + b"\n\n"

    start: dict[str, Any] = {**_MESSAGE, "content": [], "stop_reason": None, "usage": _USAGE}
    yield event("message_start", message=start)
    yield event("content_block_start", index=0, content_block={"type": "text", "text": ""})
    for word in words:
        yield event("content_block_delta", index=0, delta={"type": "text_delta", "text": word})
    yield event("content_block_stop", index=0)
    usage = {"output_tokens": len(words)}
    yield event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=usage)
    yield event("message_stop")


def _chat(words: list[str]) -> Iterator[bytes]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data({"choices": [choice], "usage": None})

    def data(fields: dict[str, Any]) -> bytes:
        return b"data: " + _json({**_CHUNK, "object": "chat.completion.chunk", **fields}) + b"\n\n"

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for word in words:
        yield chunk({"content": word})
    yield chunk({}, "stop")
    usage = {"prompt_tokens": 20, "completion_tokens": len(words), "total_tokens": 20 + len(words)}
    yield data({"choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _responses(words: list[str]) -> Iterator[bytes]:
    number = -1

    def event(kind: str, **fields: Any) -> bytes:
        nonlocal number
        number += 1
        fields = {"type": kind, "sequence_number": number, **fields}
        return b"event: " + kind.encode() + b"\ndata: " + _json(fields) + b"\n\n"

    place = {"item_id": _ITEM, "output_index": 0, "content_index": 0}
    text = "".join(words)
    part = {"type": "output_text", "annotations": [], "text": ""}
    yield event("response.created", response=_response([], "in_progress"))
    yield event("response.in_progress", response=_response([], "in_progress"))
    opened = {**_item(""), "status": "in_progress", "content": []}
    yield event("response.output_item.added", output_index=0, item=opened)
    yield event("response.content_part.added", **place, part=part)
    for word in words:
        yield event("response.output_text.delta", **place, delta=word, logprobs=[], obfuscation="aB3dE6gH9")
    yield event("response.output_text.done", **place, text=text, logprobs=[])
    yield event("response.content_part.done", **place, part={**part, "text": text})
    yield event("response.output_item.done", output_index=0, item=_item(text))
    yield event("response.completed", response=_response([_item(text)], "completed"))


def _gemini(words: list[str]) -> Iterator[bytes]:
    for number, word in enumerate(words, 1):
        candidate: dict[str, Any] = {"content": {"parts": [{"text": word}], "role": "model"}, "index": 0}
        if number == len(words):
            candidate["finishReason"] = "STOP"
        usage = {
            "promptTokenCount": 20,
            "candidatesTokenCount": number,
            "totalTokenCount": 20 + number,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 20}],
        }
        fields = {"modelVersion": "m", "responseId": "LopyaprkJPyY-8YPw8HLkAY"}
        yield b"data: " + _json({"candidates": [candidate], "usageMetadata": usage, **fields}) + b"\r\n\r\n"


def _bedrock(words: list[str]) -> Iterator[bytes]:
    def event(kind: str, **fields: Any) -> bytes:
        named = {":event-type": kind, ":content-type": "application/json", ":message-type": "event"}
        headers = b"".join(
            bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
            for name, value in named.items()
        )
        payload = _json({**fields, "p": "abcdefghijklmnopqrstuvwxyz"})  # padding, against who counts bytes
        prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
        message = prelude + struct.pack(">I", crc32(prelude)) + headers + payload
        return message + struct.pack(">I", crc32(message))

    yield event("messageStart", role="assistant")
    for word in words:
        yield event("contentBlockDelta", contentBlockIndex=0, delta={"text": word})
    yield event("contentBlockStop", contentBlockIndex=0)
    yield event("messageStop", stopReason="end_turn")
    usage = {"inputTokens": 20, "outputTokens": len(words), "totalTokens": 20 + len(words)}
    yield event("metadata", usage=usage, metrics={"latencyMs": 900})


def _ollama(words: list[str]) -> Iterator[bytes]:
    head = {"model": "m", "created_at": "2026-05-24T20:26:46.294874Z"}
    for word in words:
        message = {"role": "assistant", "content": word}
        yield _json({**head, "message": message, "done": False}) + b"\n"
    counts = {
        "prompt_eval_count": 20,
        "prompt_eval_duration": 10,
        "eval_count": len(words),
        "eval_duration": 900,
    }
    end = {"done_reason": "stop", "done": True, "total_duration": 1000, "load_duration": 10, **counts}
    yield _json({**head, "message": {"role": "assistant", "content": ""}, **end}) + b"\n"


_MAKERS: dict[str, Callable[[list[str]], Iterator[bytes]]] = {
    "anthropic": _anthropic,
    "openai": _responses,
    "openai-compatible": _chat,
    "gemini": _gemini,
    "bedrock": _bedrock,
    "ollama": _ollama,
}


def _item(text: str) -> dict[str, Any]:
    part = {"type": "output_text", "annotations": [], "logprobs": [], "text": text}
    return {"id": _ITEM, "type": "message", "status": "completed", "content": [part], "role": "assistant"}


def _response(output: list[dict[str, Any]], status: str) -> dict[str, Any]:
    usage = {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": 40,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 60,
    }
    return {
        "id": "resp_68a4b1f2c5d081a19f6e0d6e6a1b2c3d",
        "object": "response",
        "created_at": 1748531000,
        "status": status,
        "error": None,
        "incomplete_details": None,
        "model": "m",
        "output": output,
        "usage": usage if status == "completed" else None,
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
