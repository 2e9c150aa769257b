"""Reads Ollama's answers: a line of JSON for each piece, the last one with ``done``.

A whole answer is the same object on a line of its own, so both are read alike.
"""

from __future__ import annotations

import copy
import hashlib
import json
import re
from typing import Any, TypeAlias

from alloy_trio.values import (
    Block,
    Completion,
    ContextOverflow,
    Delta,
    MalformedReply,
    Message,
    StopReason,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolInputDelta,
    ToolUse,
    Usage,
    UsageDelta,
)

from ._codec import Decoder, Framing, WireSettings, excerpt, parse_arguments
from ._faults import fault_from_error
from ._ndjson import LineParser
from ._ollama_window import Window, was_cut

_LOADED = ("load", "unload")
"""Reasons of an answer that says nothing: the model was only loaded, or unloaded."""

# Nearly every line, just as the server writes it, where nothing in it is escaped. To find the text so takes a third of
# the time of reading the JSON; whatever differs is read as that.
_STRING = r'"[^"\\\x00-\x1f]*+"'
_PIECE = re.compile(
    rf'\{{"model":{_STRING},"created_at":{_STRING},'
    r'"message":\{"role":"assistant","content":"([^"\\\x00-\x1f]+)"\},"done":false\}'
).fullmatch

_Segment: TypeAlias = tuple[type[Text] | type[Thinking], list[str]]
"""A stretch of text or of reasoning, in the pieces in which it came."""


class OllamaDecoder(Decoder):
    """One answer of ``/api/chat``.

    Args:
        settings: the configured model.
        window: what the request asked for; None when the request is not known.
        seed: what the request is known by. Ids that the server does not give are made from it.
    """

    def __init__(self, settings: WireSettings, window: Window | None = None, seed: str = "") -> None:
        super().__init__(settings)
        self._window = window
        self._seed = seed
        self._segments: list[_Segment] = []
        self._calls: list[ToolUse] = []
        self._model = ""
        self._reason = ""

    def __deepcopy__(self, memo: dict[int, Any]) -> OllamaDecoder:
        # finish() may be asked after every byte: pieces of a long answer are shared, not copied.
        other = copy.copy(self)
        other._segments = [(kind, pieces.copy()) for kind, pieces in self._segments]
        other._calls = self._calls.copy()
        other._framing = copy.deepcopy(self._framing, memo)
        return other

    def _new_framing(self) -> Framing:
        return LineParser()

    def _mode_of(self, start: bytes) -> str:
        return "body" if start in b'["<' else "stream"

    def _on_event(self, event: str, data: str, deltas: list[Delta]) -> None:
        piece = _PIECE(data)
        if piece is not None and self._segments and self._segments[-1][0] is Text:
            text = piece[1]
            self._segments[-1][1].append(text)
            deltas.append(TextDelta(text))
            return
        chunk = self._load(data)
        if chunk.get("error"):
            raise fault_from_error(chunk, provider=self.settings.provider, request_id=self.request_id)
        message = chunk.get("message")
        if type(message) is dict:
            self._say(Thinking, message.get("thinking"), deltas)
            self._say(Text, message.get("content"), deltas)
            calls = message.get("tool_calls")
            if type(calls) is list:
                for call in calls:
                    self._call(call, chunk, deltas)
        if chunk.get("done") is True:
            self._on_done(chunk, deltas)

    def _on_body(self, body: Any) -> None:
        raise MalformedReply(
            f"the answer is not a JSON object: {excerpt(repr(body))}; is base_url that of an Ollama server?",
            provider=self.settings.provider,
        )

    def _say(self, kind: type[Text] | type[Thinking], text: Any, deltas: list[Delta]) -> None:
        if not text or type(text) is not str:
            return
        if self._segments and self._segments[-1][0] is kind:
            self._segments[-1][1].append(text)
        else:
            self._segments.append((kind, [text]))
        deltas.append(TextDelta(text) if kind is Text else ThinkingDelta(text))

    def _call(self, raw: Any, chunk: dict[str, Any], deltas: list[Delta]) -> None:
        function = raw.get("function") if isinstance(raw, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(function, dict) or not isinstance(name, str) or not name:
            raise MalformedReply(
                f"a tool call of the answer has no name: {excerpt(repr(raw))}",
                provider=self.settings.provider,
            )
        arguments = function.get("arguments")
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        value, invalid = parse_arguments("" if arguments is None else text)
        given = raw.get("id")
        ident = given if isinstance(given, str) and given else self._made_id(chunk, name, text)
        taken = {call.id for call in self._calls}
        number = 1
        while ident in taken:
            number += 1
            ident = f"{given or ident}-{number}"
        self._calls.append(ToolUse(ident, name, value, invalid))
        deltas.append(ToolInputDelta(ident, name, ""))
        if arguments is not None:
            deltas.append(ToolInputDelta(ident, name, text))

    def _made_id(self, chunk: dict[str, Any], name: str, arguments: str) -> str:
        # The request differs from turn to turn, so ids do; the same exchange read again gives the same ones.
        parts = (self._seed, chunk.get("created_at"), len(self._calls), name, arguments)
        return "call_made_" + hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def _on_done(self, chunk: dict[str, Any], deltas: list[Delta]) -> None:
        model, reason = chunk.get("model"), chunk.get("done_reason")
        self._model = model if isinstance(model, str) else ""
        self._reason = reason if isinstance(reason, str) else ""
        read, written = _count(chunk.get("prompt_eval_count")), _count(chunk.get("eval_count"))
        if read or written:
            self.usage = Usage(input_tokens=read, output_tokens=written)
            deltas.append(UsageDelta(self.usage))
        if self._window is not None and was_cut(read, self._window):
            raise ContextOverflow(
                f"{self.settings.provider} read only {read} tokens of the request, which has more: it cut the "
                "input to the context of the model. The answer is to something else and was not used; shorten "
                "the conversation, or use a model with a larger context",
                provider=self.settings.provider,
                request_id=self.request_id,
            )
        if self._reason in _LOADED and not (self._segments or self._calls):
            raise MalformedReply(
                f"{self.settings.provider} did no more than {self._reason} the model; sent again, the request "
                "may be answered",
                provider=self.settings.provider,
            )
        self.terminated = True

    def _complete(self) -> Completion:
        stop: StopReason = "max_tokens" if self._reason == "length" else "end_turn"
        if self._calls and stop == "end_turn":
            stop = "tool_use"
        said: list[Block] = [kind("".join(pieces)) for kind, pieces in self._segments]
        return Completion(
            message=Message("assistant", (*said, *self._calls), self.settings.origin),
            stop_reason=stop,
            usage=self.usage,
            model=self._model or self.settings.model,
            request_id=self.request_id,
        )


def _count(value: Any) -> int:
    return value if type(value) is int and value > 0 else 0
