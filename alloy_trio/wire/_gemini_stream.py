"""Reads Gemini's answers: events, a JSON array of chunks, or one object. All three hold the same kind of object.

Where the answer ends: the finish reason says that it is complete, but no event says that nothing follows, and
usage may. So an answer is there once a finish reason has come and the bytes have ended, not within a chunk. A
stream that stops between two chunks after its finish reason gives the same answer, at worst with an older
usage; one that stops before gives none. An array ends with its bracket.

Parts stay what they are on the wire. Only pieces of a stream without a signature are put together: a
signature belongs to its own part, and is refused on any other.
"""

from __future__ import annotations

import copy
from typing import Any, Self

from alloy_trio.values import (
    Block,
    Completion,
    Delta,
    MalformedReply,
    Message,
    ServerToolUse,
    StopReason,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
    ToolUse,
    UsageDelta,
)

from ._codec import Decoder, WireSettings, dump, excerpt
from ._faults import fault_from_error
from ._gemini_array import CLOSED, ArrayFraming
from ._gemini_calls import MADE_ID, OpenCall, made_id, tool_use
from ._gemini_ends import SAME_AGAIN, End, end_of, finish_reason_of, usage_of
from ._gemini_parts import Part, Words, media_blocks, server_block

_CITING = ("groundingMetadata", "citationMetadata", "urlContextMetadata")


class GeminiDecoder(Decoder):
    """Reads one answer of generateContent or streamGenerateContent."""

    def __init__(self, settings: WireSettings) -> None:
        super().__init__(settings)
        self._made: list[Words | Block] = []
        self._ids: list[str] = []  # of the calls, in their order
        self._open: OpenCall | None = None
        self._code_id = ""  # of the vendor's own call whose result comes next
        self._citing: dict[str, Any] = {}
        self._end: End | None = None
        self._whole = True  # the last event was all there
        self._model = ""
        self._reported: dict[str, Any] = {}  # the usage as it was last reported
        self._answer_id = ""

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # finish() tries an unclosed event on a copy, to which nothing more is given.
        copied = copy.copy(self)
        copied._made = [
            Words(made.thought, [*made.pieces], made.extra) if isinstance(made, Words) else made
            for made in self._made
        ]
        copied._ids, copied._citing = [*self._ids], {**self._citing}
        copied._open = self._open.copy() if self._open is not None else None
        return copied

    def _mode_of(self, start: bytes) -> str:
        if start != b"[":
            return super()._mode_of(start)
        self._framing = ArrayFraming()
        return "stream"

    def _complete_at_eof(self) -> Completion:
        if self._end is None or not self._whole or self._framing.pending() is not None:
            return super()._complete_at_eof()
        return self._complete()

    def _on_event(self, event: str, data: str, deltas: list[Delta]) -> None:
        if event == CLOSED:
            self.terminated = self._end is not None
        elif not data.startswith("[DONE]"):  # which gateways add
            self._whole = False
            self._take(self._load(data), data, deltas)
            self._whole = True

    def _on_body(self, body: Any) -> None:
        if not isinstance(body, dict):
            raise self._malformed("the answer is not an object", body)
        # It runs on a shallow copy, so what grows is made anew.
        self._made, self._ids, self._citing, self._open = [], [], {}, None
        self._take(body, "", [])
        if self._end is None:
            raise self._malformed("the answer has no finish reason", body)

    def _take(self, value: dict[str, Any], data: str, deltas: list[Delta]) -> None:
        if "error" in value:
            ident = self.request_id or self._answer_id or None
            raise fault_from_error(value["error"], provider=self.settings.provider, request_id=ident)
        if not self._answer_id:
            self._answer_id = _text(value, "responseId")
        if not self._model:
            self._model = _text(value, "modelVersion")
        reported = value.get("usageMetadata")
        if isinstance(reported, dict) and reported != self._reported:
            self._reported = reported
            usage = usage_of(reported)
            if usage is not None:
                self.usage = usage
                deltas.append(UsageDelta(usage))
        candidates = value.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else ():
            if isinstance(candidate, dict) and not candidate.get("index"):  # the first one only
                self._on_candidate(candidate, value, data, deltas)
        if not candidates:
            self._on_feedback(value.get("promptFeedback"), deltas)

    def _on_feedback(self, feedback: Any, deltas: list[Delta]) -> None:
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            words = _text(feedback, "blockReasonMessage")
            self._refuse(words or f"The prompt was blocked ({feedback['blockReason']}).", deltas)

    def _on_candidate(
        self, candidate: dict[str, Any], value: dict[str, Any], data: str, deltas: list[Delta]
    ) -> None:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        for part in parts if isinstance(parts, list) else ():
            text = part.get("text") if isinstance(part, dict) else None
            if text and data and len(part) == 1 and isinstance(text, str) and self._adds(text):
                deltas.append(TextDelta(text))  # nearly all there is
                continue
            self._check(part)
            if isinstance(text, str):
                self._on_text(text, part, bool(data), deltas)
            elif isinstance(part, dict):
                self._on_part(part, self._answer_id or data or str(value), deltas)
            else:
                raise self._malformed("a part of the answer is no object", part)
        if len(candidate) > 2:
            cited = {name: candidate[name] for name in _CITING if candidate.get(name)}
            self._check(cited)
            self._citing.update(cited)
        reason = finish_reason_of(candidate) if "finishReason" in candidate else ""
        if reason:
            self._on_end(reason, _text(candidate, "finishMessage"), deltas)

    # Parts

    def _adds(self, text: str) -> bool:
        """Put more words to the last ones, where that can be."""
        last = self._made[-1] if self._made else None
        if not isinstance(last, Words) or last.thought or last.extra is not None:
            return False
        last.pieces.append(text)
        return True

    def _on_text(self, text: str, part: Part, streamed: bool, deltas: list[Delta]) -> None:
        thought = part.get("thought") is True
        extra = None
        if len(part) > 1 + ("thought" in part):
            extra = {key: held for key, held in part.items() if key not in ("text", "thought")}
        if text:
            deltas.append(ThinkingDelta(text) if thought else TextDelta(text))
        elif not extra:
            return
        last = self._made[-1] if streamed and extra is None and self._made else None
        if isinstance(last, Words) and last.extra is None and last.thought is thought:
            last.pieces.append(text)
        else:
            self._made.append(Words(thought, [text], extra))

    def _on_part(self, part: Part, seed: str, deltas: list[Delta]) -> None:
        if isinstance(part.get("functionCall"), dict):
            self._on_call(part, part["functionCall"], seed, deltas)
            return
        made = made_id(seed, f"s{len(self._made)}")
        block = server_block(part, self._code_id or made if "codeExecutionResult" in part else made)
        if block is None:
            self._made += media_blocks(part, self.settings.provider)
            return
        self._made.append(block)
        if isinstance(block, ServerToolUse):
            self._code_id = block.id
            deltas.append(ToolInputDelta(block.id, block.name, ""))
            deltas.append(ToolInputDelta(block.id, block.name, dump(block.input).decode()))

    def _on_call(self, part: Part, call: dict[str, Any], seed: str, deltas: list[Delta]) -> None:
        if self._open is not None:
            self._on_more(self._open, part, call, deltas)
            return
        name, partial = _text(call, "name"), bool(call.get("willContinue")) or "partialArgs" in call
        if not name:
            if call.get("args") or partial:
                raise self._malformed("a call has no name", part)
            return
        extra = {key: held for key, held in part.items() if key != "functionCall"}
        ident = _text(call, "id")
        if not ident:
            ident = made_id(seed, str(len(self._ids)))
            extra[MADE_ID] = True
        while ident in self._ids:
            ident += "-2"
        self._ids.append(ident)
        deltas.append(ToolInputDelta(ident, name, ""))
        if partial:
            self._open = OpenCall(ident, name, extra)
            self._on_more(self._open, {}, call, deltas)
            return
        use = tool_use(ident, call, extra)
        self._made.append(use)
        raw = use.invalid_input if use.invalid_input is not None else dump(use.input).decode()
        deltas.append(ToolInputDelta(ident, name, raw))

    def _on_more(self, open_call: OpenCall, part: Part, call: dict[str, Any], deltas: list[Delta]) -> None:
        if call.get("name", open_call.name) != open_call.name or "args" in call:
            raise self._malformed("a call begins before the one before it has ended", part)
        open_call.extra.update({key: held for key, held in part.items() if key != "functionCall"})
        open_call.take(call.get("partialArgs"))
        if call.get("willContinue"):
            return
        self._open = None
        arguments = open_call.arguments()
        self._made.append(ToolUse(open_call.id, open_call.name, arguments, extra=open_call.extra or None))
        deltas.append(ToolInputDelta(open_call.id, open_call.name, dump(arguments).decode()))

    # The end

    def _on_end(self, reason: str, words: str, deltas: list[Delta]) -> None:
        end = end_of(reason)
        if end == "malformed" or (end == "end_turn" and self._open is not None):
            what = words or "a call was left unfinished"
            raise MalformedReply(
                f"{self.settings.provider} ended the answer as {reason}: {excerpt(what)}; "
                + ("sent again it fails again" if reason in SAME_AGAIN else "asked again, it may do better"),
                provider=self.settings.provider,
                request_id=self.request_id or self._answer_id or None,
                transient=reason not in SAME_AGAIN,
            )
        self._end = end
        if end == "refusal" and self._last_words() is None:
            self._refuse(words or f"The answer was blocked ({reason}).", deltas)

    def _refuse(self, words: str, deltas: list[Delta]) -> None:
        self._end = "refusal"
        self._made.append(Words(False, [words], None))
        deltas.append(TextDelta(words))

    def _complete(self) -> Completion:
        stop: StopReason = "end_turn" if self._end is None or self._end == "malformed" else self._end
        cited = self._last_words()
        citations = tuple({name: held} for name, held in self._citing.items())
        blocks: list[Block] = []
        for made in self._made:
            if isinstance(made, Words):
                blocks.append(made.block(citations if made is cited else ()))
            else:
                blocks.append(made)
        if stop == "end_turn" and any(isinstance(block, ToolUse) for block in blocks):
            stop = "tool_use"
        return Completion(
            Message("assistant", blocks, self.settings.origin),
            stop,
            self.usage,
            self._model or self.settings.model,
            self.request_id or self._answer_id or None,
        )

    def _check(self, kept: Any) -> None:
        try:
            dump(kept)
        except ValueError as exc:  # NaN or an infinity: JSON has no form for them, so they could not go back
            raise self._malformed("the answer holds a number that is none", kept) from exc

    def _last_words(self) -> Words | None:
        words = (made for made in reversed(self._made) if isinstance(made, Words))
        return next((made for made in words if not made.thought and any(made.pieces)), None)

    def _malformed(self, what: str, seen: Any) -> MalformedReply:
        return MalformedReply(f"{what}: {excerpt(str(seen))}", provider=self.settings.provider)


def _text(value: dict[str, Any], name: str) -> str:
    held = value.get(name)
    return held if isinstance(held, str) else ""
