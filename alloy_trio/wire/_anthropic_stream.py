"""Anthropic's Messages API: answers. Source: docs.claude.com, "Streaming messages".

Events carry the index of the block that they belong to; a block is opened, grows and is closed. The terminal
event is ``message_stop``; before it nothing is complete. A whole body is the same blocks, grown already.

What is not obvious:

* An empty input on the wire is an empty object, unless the answer was cut by its length in just that block:
  then the call is unfinished, and is dropped like one whose JSON breaks off.
* Of a refused answer no call survives; the vendor's explanation is added to the text.
* ``usage`` counts what the answering model read and wrote. Where the vendor compacted the conversation first,
  asked another model for advice, or fell back to one, ``usage.iterations`` says what that took besides; it
  becomes the completion's ``other_usage``.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from typing import Any

from alloy_trio.values import (
    Block,
    Completion,
    Delta,
    MalformedReply,
    Message,
    ServerToolUse,
    StopReason,
    StreamTruncated,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
    ToolUse,
    Usage,
    UsageDelta,
)

from ._anthropic_parts import CALLS, Part, string
from ._codec import Decoder, WireSettings, excerpt, load
from ._faults import fault_from_error

_STOPS: dict[str, StopReason] = {
    "end_turn": "end_turn",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_use",
    "pause_turn": "pause_turn",
    "compaction": "pause_turn",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_overflow",
}


class AnthropicDecoder(Decoder):
    """Reads one answer, streamed or whole."""

    def __init__(self, settings: WireSettings) -> None:
        super().__init__(settings)
        self._handlers = _HANDLERS
        self._parts: dict[int, Part] = {}
        self._spoken = False  # text has been given to the caller
        self._model = ""
        self._stop: str | None = None
        self._refusal: str | None = None
        self._container: str | None = None
        self._counts: dict[str, Any] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> AnthropicDecoder:
        # Asked whether an event without its blank line ends the answer: only what ends it matters then, and
        # that changes no part, so the parts may be shared.
        looking = copy.copy(self)
        looking._handlers = _ENDINGS
        return looking

    def _on_event(self, event: str, data: str, deltas: list[Delta]) -> None:
        try:
            value = load(data)
            handler = self._handlers.get(value["type"])
            if handler is not None:
                handler(self, value, deltas)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
            if event == "error" and data.lstrip()[:1] not in "{[":  # plain words, not half an object
                raise fault_from_error(
                    data, provider=self.settings.provider, request_id=self.request_id
                ) from exc
            raise self._malformed(f"an event of the stream cannot be read: {excerpt(data)}") from exc

    def _on_delta(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        part = self._parts[value["index"]]
        delta = value["delta"]
        kind = delta["type"]
        if kind == "text_delta" and part.kind == "text":
            text = delta["text"]
            if text:
                deltas.append(TextDelta(string(text)))
                part.pieces.append(text)
                self._spoken = True
        elif kind == "input_json_delta" and part.kind in CALLS:
            text = delta["partial_json"]
            if text:
                deltas.append(ToolInputDelta(part.id, part.name, string(text)))
                part.pieces.append(text)
        elif kind == "thinking_delta" and part.kind == "thinking":
            text = delta["thinking"]
            if text:
                deltas.append(ThinkingDelta(string(text)))
                part.pieces.append(text)
        elif kind == "signature_delta":
            part.signature = string(delta["signature"])
        elif kind == "citations_delta":
            part.citations.append(delta["citation"])
        else:
            part.grow(delta)

    def _on_block_start(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        part = Part(value["content_block"])
        index = value["index"]
        if not isinstance(index, int):
            raise TypeError("a block without a number")
        self._parts[index] = part
        raw = part.raw
        if part.kind == "text" and raw["text"]:
            self._on_delta({**value, "delta": {"type": "text_delta", "text": raw["text"]}}, deltas)
        elif part.kind == "thinking" and raw["thinking"]:
            self._on_delta(
                {**value, "delta": {"type": "thinking_delta", "thinking": raw["thinking"]}}, deltas
            )
        elif part.kind in CALLS:
            deltas.append(ToolInputDelta(part.id, part.name, ""))

    def _on_block_stop(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        part = self._parts[value["index"]]
        if part.kind in CALLS and not part.pieces and part.raw.get("input"):
            # The whole input came with the opening, as calls from the vendor's sandbox do.
            given = json.dumps(part.raw["input"], ensure_ascii=False)
            self._on_delta({**value, "delta": {"type": "input_json_delta", "partial_json": given}}, deltas)

    def _on_message_start(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        if self._spoken:
            raise self._malformed("a second answer began in the middle of the first")
        # A host that lost its upstream before any text begins again: what was before is void.
        message = value["message"]
        self._parts = {}
        self._counts = {}
        self._stop = None
        self._model = string(message.get("model") or "")
        self._add_usage(message.get("usage"), deltas)

    def _on_message_delta(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        said = self._refusal
        self._read_end(value["delta"])
        if self._refusal and not said:
            text = "\n\n" + self._refusal if self._spoken else self._refusal
            place = max(self._parts, default=-1) + 1
            self._on_block_start({"index": place, "content_block": {"type": "text", "text": text}}, deltas)
        self._add_usage(value.get("usage"), deltas)

    def _on_message_stop(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        if self._stop is None:
            raise StreamTruncated(
                f"{self.settings.provider}'s answer ended without a stop reason; it was not used",
                provider=self.settings.provider,
                request_id=self.request_id,
            )
        self.terminated = True

    def _on_error(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        raise fault_from_error(value, provider=self.settings.provider, request_id=self.request_id)

    def _on_body(self, body: Any) -> None:
        if isinstance(body, dict) and body.get("type") == "error":
            raise fault_from_error(body, provider=self.settings.provider, request_id=self.request_id)
        try:
            self._parts = {index: Part.whole(block) for index, block in enumerate(body["content"])}
            self._model = string(body.get("model") or "")
            self._counts = {}
            self._read_end(body)
            if self._refusal:
                spoken = any(part.kind == "text" and any(part.pieces) for part in self._parts.values())
                text = "\n\n" + self._refusal if spoken else self._refusal
                self._parts[len(self._parts)] = Part.whole({"type": "text", "text": text})
            self._add_usage(body.get("usage"), [])
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise self._malformed(f"the answer is not a message: {excerpt(json.dumps(body))}") from exc
        if self._stop is None:
            raise self._malformed("the answer does not say why it ended")

    def _read_end(self, end: dict[str, Any]) -> None:
        stop = end.get("stop_reason")
        if stop is not None:
            self._stop = string(stop)
        container = end.get("container")
        if isinstance(container, dict) and isinstance(container.get("id"), str):
            self._container = container["id"]
        details = end.get("stop_details")
        if stop == "refusal" and isinstance(details, dict) and isinstance(details.get("explanation"), str):
            self._refusal = details["explanation"]

    def _add_usage(self, reported: Any, deltas: list[Delta]) -> None:
        """Later reports replace earlier ones field by field; they are cumulative."""
        if not isinstance(reported, dict):
            return
        self._counts = {
            **self._counts,
            **{key: value for key, value in reported.items() if value is not None},
        }
        self.usage = _usage(self._counts)
        deltas.append(UsageDelta(self.usage))

    def _complete(self) -> Completion:
        cut = self._stop in ("max_tokens", "model_context_window_exceeded")
        parts = [self._parts[index] for index in sorted(self._parts)]
        answered = {part.raw.get("tool_use_id") for part in parts}
        content: list[Block] = []
        for part in parts:
            may_be_cut = cut and part is parts[-1]
            block = part.block(self.settings.provider, container=self._container, may_be_cut=may_be_cut)
            if block is None or (self._stop == "refusal" and isinstance(block, ToolUse)):
                continue
            if (
                isinstance(block, ServerToolUse)
                and block.id not in answered
                and (cut or self._stop == "refusal")
            ):
                continue  # its result will not come any more, and the vendor refuses a call without one
            content.append(block)
        message = Message("assistant", content, self.settings.origin)
        stop: StopReason = _STOPS.get(self._stop or "", "end_turn")
        if stop == "end_turn" and message.tool_uses:
            stop = "tool_use"
        elif stop == "tool_use" and not message.tool_uses:
            stop = "end_turn"
        return Completion(
            message,
            stop,
            usage=self.usage,
            model=self._model,
            request_id=self.request_id,
            other_usage=_besides(self._counts, self.usage),
        )

    def _malformed(self, what: str) -> MalformedReply:
        provider = self.settings.provider
        return MalformedReply(
            f"{provider} does not follow its protocol: {what}; the answer was not used",
            provider=provider,
            request_id=self.request_id,
        )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _usage(counts: Mapping[str, Any]) -> Usage:
    details = counts.get("output_tokens_details")
    return Usage(
        input_tokens=_count(counts.get("input_tokens")),
        cache_read_tokens=_count(counts.get("cache_read_input_tokens")),
        cache_write_tokens=_count(counts.get("cache_creation_input_tokens")),
        output_tokens=_count(counts.get("output_tokens")),
        reasoning_tokens=_count(details.get("thinking_tokens")) if isinstance(details, dict) else 0,
    )


def _besides(counts: Mapping[str, Any], usage: Usage) -> Usage:
    """What the iterations took beyond the reported total."""
    iterations = counts.get("iterations")
    if not isinstance(iterations, list):
        return Usage()
    spent = Usage()
    for iteration in iterations:
        if isinstance(iteration, dict):
            spent += _usage(iteration)
    return Usage(
        input_tokens=max(0, spent.input_tokens - usage.input_tokens),
        cache_read_tokens=max(0, spent.cache_read_tokens - usage.cache_read_tokens),
        cache_write_tokens=max(0, spent.cache_write_tokens - usage.cache_write_tokens),
        output_tokens=max(0, spent.output_tokens - usage.output_tokens),
    )


_Handler = Callable[[AnthropicDecoder, dict[str, Any], list[Delta]], None]

_ENDINGS: dict[str, _Handler] = {
    "message_stop": AnthropicDecoder._on_message_stop,
    "error": AnthropicDecoder._on_error,
}

_HANDLERS: dict[str, _Handler] = {
    "content_block_delta": AnthropicDecoder._on_delta,
    "content_block_start": AnthropicDecoder._on_block_start,
    "content_block_stop": AnthropicDecoder._on_block_stop,
    "message_start": AnthropicDecoder._on_message_start,
    "message_delta": AnthropicDecoder._on_message_delta,
    **_ENDINGS,
}
