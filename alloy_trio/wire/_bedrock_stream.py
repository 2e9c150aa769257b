"""Bedrock's Converse API: answers. Source: docs.aws.amazon.com, "ConverseStream".

Events carry the index of the block that they belong to. Only a call, a result of the vendor's own tools and
an image are opened by an event; texts and reasoning begin with their first piece. ``messageStop`` tells the
reason, ``metadata`` follows with the usage and is the terminal event. A stream that ends cleanly between the
two is the same answer without its usage.

What is not obvious:

* Errors come as messages of their own kind, and may come after much output.
* An answer that the vendor could not make out (``malformed_…``) is an error; it is raised with the end, so
  that the usage is counted.
* ``inputTokens`` does not hold what was read from or written to the cache. Should ``totalTokens`` say
  otherwise, the total is right.
"""

from __future__ import annotations

import json
from collections.abc import Callable
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

from ._bedrock_parts import Part, string
from ._codec import Decoder, WireSettings, excerpt, load
from ._eventstream import EventStreamParser
from ._faults import fault_from_error

_STOPS: dict[str, StopReason] = {
    "end_turn": "end_turn",
    "tool_use": "tool_use",
    "max_tokens": "max_tokens",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
    "model_context_window_exceeded": "context_overflow",
}


class BedrockDecoder(Decoder):
    """Reads one answer, streamed or whole."""

    def __init__(self, settings: WireSettings) -> None:
        super().__init__(settings)
        self._parts: dict[int, Part] = {}
        self._stop: str | None = None
        self._model = settings.model

    def _new_framing(self) -> EventStreamParser:
        self._messages = EventStreamParser()
        return self._messages

    def _on_event(self, event: str, data: str, deltas: list[Delta]) -> None:
        handler = _HANDLERS.get(event)
        try:
            if handler is not None:
                handler(self, load(data), deltas)
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as exc:
            raise self._malformed(f"a {event} event cannot be read: {excerpt(data)}") from exc
        if handler is None and event.startswith(("exception:", "error:")):
            self._on_error(event.partition(":")[2], data)

    def _on_delta(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        index = value["contentBlockIndex"]
        delta = value["delta"]
        part = self._parts.get(index)
        if part is None:
            part = self._open(index, {})
        text = delta.get("text")
        if text is not None:
            if part.kind != "text":
                part.must_be("text")
            if text:
                if type(text) is not str:
                    raise TypeError("a text that is none")
                deltas.append(TextDelta(text))
                part.pieces.append(text)
        elif "toolUse" in delta:
            if part.kind != "toolUse":
                raise KeyError("a call that was not opened")
            text = string(delta["toolUse"]["input"])
            if text:
                deltas.append(ToolInputDelta(part.id, part.name, text))
                part.pieces.append(text)
        elif "reasoningContent" in delta:
            text = part.reason(delta["reasoningContent"])
            if text:
                deltas.append(ThinkingDelta(text))
        elif "citation" in delta:
            part.must_be("text")
            part.citations.append(delta["citation"])
        else:
            part.grow(delta)

    def _on_block_start(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        part = self._open(value["contentBlockIndex"], value["start"])
        if part.kind == "toolUse":
            deltas.append(ToolInputDelta(part.id, part.name, ""))

    def _on_message_stop(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        self._stop = string(value["stopReason"])

    def _on_metadata(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        self._read_besides(value)
        if value.get("usage") is not None:
            deltas.append(UsageDelta(self.usage))
        if self._stop is None:
            raise StreamTruncated(
                f"{self.settings.provider}'s answer ended without a stop reason; it was not used",
                provider=self.settings.provider,
                request_id=self.request_id,
            )
        self.terminated = True

    def _on_error(self, kind: str, data: str) -> None:
        try:
            said = load(data)
        except ValueError:
            said = data
        error = {"code": kind, **said} if isinstance(said, dict) else {"code": kind, "message": str(said)}
        raise fault_from_error(error, provider=self.settings.provider, request_id=self.request_id)

    def _on_body(self, body: Any) -> None:
        if isinstance(body, dict) and "output" not in body and ("message" in body or "__type" in body):
            raise fault_from_error(body, provider=self.settings.provider, request_id=self.request_id)
        try:
            self._read_besides(body)
            content = body["output"]["message"]["content"]
            self._parts = {index: Part.whole(block) for index, block in enumerate(content)}
            self._stop = string(body["stopReason"])
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise self._malformed(f"the answer is not a message: {excerpt(json.dumps(body))}") from exc

    def _open(self, index: Any, start: dict[str, Any]) -> Part:
        if not isinstance(index, int):
            raise TypeError("a block without a number")
        part = self._parts[index] = Part(start)
        return part

    def _read_besides(self, value: dict[str, Any]) -> None:
        usage = value.get("usage")
        if isinstance(usage, dict):
            self.usage = _usage(usage)
        trace = value.get("trace")
        router = trace.get("promptRouter") if isinstance(trace, dict) else None
        if isinstance(router, dict) and isinstance(router.get("invokedModelId"), str):
            self._model = router["invokedModelId"]

    def _complete_at_eof(self) -> Completion:
        if self._stop is not None and self._messages.is_between_messages:
            return self._complete()
        return super()._complete_at_eof()

    def _complete(self) -> Completion:
        said = self._stop or ""
        if said.startswith("malformed"):
            raise self._malformed(f"it stopped with {said!r}: the model wrote something that cannot be read")
        stop: StopReason = _STOPS.get(said, "end_turn")
        cut = stop in ("max_tokens", "context_overflow")
        parts = [self._parts[index] for index in sorted(self._parts)]
        answered = {part.raw.get("toolUseId") for part in parts if part.kind == "toolResult"}
        content: list[Block] = []
        for part in parts:
            block = part.block(self.settings.provider, may_be_cut=cut and part is parts[-1])
            if block is None or (stop == "refusal" and isinstance(block, ToolUse)):
                continue
            if isinstance(block, ServerToolUse) and block.id not in answered and (cut or stop == "refusal"):
                continue  # its result will not come any more
            content.append(block)
        message = Message("assistant", content, self.settings.origin)
        if stop == "end_turn" and message.tool_uses:
            stop = "tool_use"
        elif stop == "tool_use" and not message.tool_uses:
            stop = "end_turn"
        return Completion(message, stop, usage=self.usage, model=self._model, request_id=self.request_id)

    def _malformed(self, what: str) -> MalformedReply:
        provider = self.settings.provider
        return MalformedReply(
            f"{provider} does not follow its protocol: {what}; the answer was not used",
            provider=provider,
            request_id=self.request_id,
        )


def _count(value: Any) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _usage(counts: dict[str, Any]) -> Usage:
    given, out = _count(counts.get("inputTokens")), _count(counts.get("outputTokens"))
    read, written = _count(counts.get("cacheReadInputTokens")), _count(counts.get("cacheWriteInputTokens"))
    if counts.get("totalTokens") == given + out:
        given = max(0, given - read - written)
    return Usage(input_tokens=given, cache_read_tokens=read, cache_write_tokens=written, output_tokens=out)


_Handler = Callable[[BedrockDecoder, dict[str, Any], list[Delta]], None]

_HANDLERS: dict[str, _Handler] = {
    "contentBlockDelta": BedrockDecoder._on_delta,
    "contentBlockStart": BedrockDecoder._on_block_start,
    "messageStop": BedrockDecoder._on_message_stop,
    "metadata": BedrockDecoder._on_metadata,
}
