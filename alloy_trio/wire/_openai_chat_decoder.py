"""Reads answers of Chat Completions, streamed or whole, from hosts that agree on little but the outline.

Where the answer ends: the finish reason says that it is complete, and whatever content came after it would not
belong to it; usage follows, then ``[DONE]``. So a stream that stops after its finish reason gives the same answer
as the whole one, at worst without usage, and one that stops before gives none.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, TypeAlias

from alloy_trio.values import (
    Block,
    Completion,
    Delta,
    MalformedReply,
    Message,
    Opaque,
    Overloaded,
    ServerFault,
    ServerToolResult,
    ServerToolUse,
    StopReason,
    StreamTruncated,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolInputDelta,
    UsageDelta,
)

from ._codec import Decoder, WireSettings, excerpt, parse_arguments
from ._dialects import Dialect
from ._faults import error_codes, fault_from_error
from ._openai_chat_calls import ReasoningDetails, ToolCalls, failed_call
from ._openai_chat_messages import MESSAGE_FIELDS
from ._openai_chat_usage import read_usage

_REASONING = ("reasoning_content", "reasoning", "reasoning_text")

_STOPS: dict[str, StopReason] = {
    "length": "max_tokens",
    "max_tokens": "max_tokens",
    "max_output_tokens": "max_tokens",
    "model_length": "context_overflow",  # Mistral
    "model_context_window_exceeded": "context_overflow",
    "content_filter": "refusal",
    "content_filtered": "refusal",
    "refusal": "refusal",
    "safety": "refusal",
    "guardrail_intervened": "refusal",
    "stop_sequence": "stop_sequence",
}
"""Finish reasons in lower case. All others (stop, eos, tool_calls, "", …) end the turn, or call tools if there
are calls: hosts say ``stop`` after calls and ``tool_calls`` after none."""

_REFUSED_PROMPT = frozenset({"contentfilter", "contentpolicyviolation", "responsibleaipolicyviolation"})

_Segment: TypeAlias = tuple[type[Text] | type[Thinking], list[str]]
"""A stretch of text or of reasoning, in the pieces in which it came."""


class ChatDecoder(Decoder):
    """One answer of Chat Completions."""

    def __init__(self, settings: WireSettings, dialect: Dialect) -> None:
        super().__init__(settings)
        self._dialect = dialect
        self._model = ""
        self._id = ""
        self._finish: str | None = None
        self._refused = False
        self._usage_seen = False
        self._segments: list[_Segment | Block] = []
        self._calls = ToolCalls()
        self._details = ReasoningDetails()
        self._fields: dict[str, Any] = {}
        self._citations: list[dict[str, Any]] = []
        self._sources: list[dict[str, Any]] = []
        self._audio: dict[str, Any] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> ChatDecoder:
        other = copy.copy(self)
        other._sse = copy.deepcopy(self._sse, memo)
        other._own()
        return other

    def answered_by_error(self, error: Any, deltas: list[Delta]) -> bool:
        """Take an error object that is an answer: a refused prompt, or a call that the host found wrong.

        Returns:
            Whether it is one. If so the answer has ended.
        """
        codes = error_codes(error)
        inner = error.get("error") if isinstance(error, dict) else None
        found = inner if isinstance(inner, dict) else error
        if not isinstance(found, dict):
            return False
        if "toolusefailed" in codes:
            call = failed_call(found.get("failed_generation"))
            if call is None:
                return False
            # The host withheld a call that breaks its tool's schema. As a call, the model is told what is wrong.
            piece = {"function": {"name": call[0], "arguments": call[1]}}
            deltas += self._calls.add(piece, f"{self._id}{call}")
            self._finish = "tool_calls"
        elif codes & _REFUSED_PROMPT or _is_moderation(found):
            self._refused = True
            self._finish = "content_filter"
            message = found.get("message")
            self._say(Text, message if isinstance(message, str) else "", deltas)
        else:
            return False
        self.terminated = True
        return True

    def _on_event(self, event: str, data: str, deltas: list[Delta]) -> None:
        if data[:1] in "[ " and data.strip() in ("[DONE]", ""):
            self.terminated = bool(data)
            return
        if event == "error" and data[:1] != "{":
            raise self._fault(data)
        chunk = self._load(data)
        self._check(chunk, deltas, named_error=event == "error")
        if self.terminated:
            return
        choices = chunk.get("choices")
        if self._finish is None:
            if not self._id and isinstance(chunk.get("id"), str):
                self._id = chunk["id"]
            if not self._model and isinstance(chunk.get("model"), str):
                self._model = chunk["model"]
            if choices:
                self._sources_of(chunk)
                for choice in choices:
                    if isinstance(choice, dict) and not choice.get("index"):
                        self._on_choice(choice, deltas)
        self._on_usage(chunk, choices, deltas)

    def _on_body(self, body: Any) -> None:
        self._own()
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        if not isinstance(body, dict):
            if isinstance(body, str | list) and body:
                raise self._fault(body)
            raise MalformedReply(f"the answer is not an object: {excerpt(repr(body))}", provider=self.settings.provider)
        self._check(body, [])
        if self.terminated:
            return
        choices = [choice for choice in body.get("choices") or () if isinstance(choice, dict)]
        if not choices:
            raise MalformedReply(
                f"the answer has no choices and no error: {excerpt(repr(body))}; is this the address of Chat Completions?",
                provider=self.settings.provider,
            )
        choice = next((choice for choice in choices if not choice.get("index")), choices[0])
        self._model = body.get("model") if isinstance(body.get("model"), str) else ""
        self._id = body.get("id") if isinstance(body.get("id"), str) else ""
        self._sources_of(body)
        message = choice.get("message")
        if not isinstance(message, dict):
            message = {"content": choice.get("text")}
        self._on_message(message, [], streamed=False)
        self._finish = ""  # the body is whole, whatever it says
        self._on_finish(choice)
        self._on_usage(body, choices, [])

    def _own(self) -> None:
        """Part from the state that a shallow copy shares."""
        self._segments = [
            (part[0], part[1].copy()) if isinstance(part, tuple) else part for part in self._segments
        ]
        self._calls = self._calls.fork()
        self._details = self._details.fork()
        self._fields = self._fields.copy()
        self._citations = self._citations.copy()
        self._audio = self._audio.copy()

    def _check(self, chunk: dict[str, Any], deltas: list[Delta], *, named_error: bool = False) -> None:
        """Raise the error that a chunk or body reports."""
        error = chunk.get("error")
        if not error:
            groq = chunk.get("x_groq")
            if isinstance(groq, dict) and groq.get("error"):
                error = groq["error"]
            elif named_error or chunk.get("object") == "error" or ("choices" not in chunk and _is_bare_error(chunk)):
                error = chunk
        if error and not self.answered_by_error(error, deltas):
            raise self._fault(error)

    def _fault(self, error: Any) -> Exception:
        return fault_from_error(error, provider=self.settings.provider, request_id=self.request_id)

    def _on_choice(self, choice: dict[str, Any], deltas: list[Delta]) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            if delta:
                self._on_message(delta, deltas, streamed=True)
        elif isinstance(choice.get("message"), dict) and not self._segments and not self._calls:
            self._on_message(choice["message"], deltas, streamed=True)  # a whole answer as the only chunk
        elif choice.get("text"):
            self._on_content(choice["text"], deltas)  # the legacy completions' chunk
        if choice.get("finish_reason"):
            self._on_finish(choice)

    def _on_message(self, message: dict[str, Any], deltas: list[Delta], *, streamed: bool) -> None:
        """Take a delta, or a whole message, which has the same fields."""
        readable = next((message[name] for name in _REASONING if isinstance(message.get(name), str) and message[name]), "")
        details = message.get("reasoning_details")
        if details:
            text = self._details.add(details, streamed=streamed)
            readable = readable or text
        if readable:
            self._say(Thinking, readable, deltas)
        if message.get("executed_tools"):
            self._on_executed(message["executed_tools"], deltas)
        content = message.get("content")
        if content:
            self._on_content(content, deltas)
        refusal = message.get("refusal")
        if refusal and isinstance(refusal, str):
            self._refused = True
            self._say(Text, refusal, deltas)
        calls = message.get("tool_calls")
        if not calls and message.get("function_call"):
            calls = [{"index": 0, "function": message["function_call"]}]
        for call in calls or ():
            if isinstance(call, dict):
                deltas += self._calls.add(call if streamed else {**call, "index": None}, self._id or self._model)
        if len(message) > 2:
            self._on_rarities(message, deltas)

    def _on_rarities(self, message: dict[str, Any], deltas: list[Delta]) -> None:
        for annotation in message.get("annotations") or ():
            if isinstance(annotation, dict):
                self._citations.append(annotation)
        for name in MESSAGE_FIELDS[1:]:
            if message.get(name) is not None:
                self._fields[name] = message[name]
        for image in message.get("images") or ():
            self._segments.append(Opaque(self.settings.provider, {"images": [image]}))
        audio = message.get("audio")
        if isinstance(audio, dict):
            transcript = audio.get("transcript")
            if isinstance(transcript, str):
                self._say(Text, transcript, deltas)
            # The sound itself is not kept: its id is what goes back.
            self._audio |= {name: audio[name] for name in ("id", "expires_at") if audio.get(name)}

    def _on_content(self, content: Any, deltas: list[Delta]) -> None:
        if isinstance(content, str):
            self._say(Text, content, deltas)
            return
        for part in content if isinstance(content, list) else [content]:
            kind = part.get("type") if isinstance(part, dict) else None
            if isinstance(part, str):
                self._say(Text, part, deltas)
            elif kind in ("text", "output_text"):
                self._say(Text, part.get("text"), deltas)
            elif kind == "thinking":
                self._on_thinking(part, deltas)
            elif kind == "refusal":
                self._refused = True
                self._say(Text, part.get("refusal"), deltas)
            elif isinstance(part, dict):
                self._segments.append(Opaque(self.settings.provider, part))

    def _on_thinking(self, part: dict[str, Any], deltas: list[Delta]) -> None:
        thinking = part.get("thinking")
        for piece in thinking if isinstance(thinking, list) else [thinking]:
            self._say(Thinking, piece.get("text") if isinstance(piece, dict) else piece, deltas)

    def _on_executed(self, tools: Any, deltas: list[Delta]) -> None:
        """Groq's own tools: the call, and in the same object or in a later one its output."""
        for tool in tools if isinstance(tools, list) else ():
            if not isinstance(tool, dict):
                continue
            ident, name = f"executed_{tool.get('index', 0)}", str(tool.get("type", ""))
            if not any(isinstance(part, ServerToolUse) and part.id == ident for part in self._segments):
                raw = tool.get("arguments")
                raw = raw if isinstance(raw, str) else ""
                self._segments.append(ServerToolUse(ident, name, parse_arguments(raw)[0]))
                deltas.append(ToolInputDelta(ident, name, raw))
            if tool.get("output") is not None:
                self._segments.append(ServerToolResult(ident, tool["output"]))

    def _sources_of(self, chunk: dict[str, Any]) -> None:
        """Perplexity repeats what it found beside the choices of each chunk."""
        found = chunk.get("search_results") or chunk.get("citations")
        if isinstance(found, list):
            self._sources = [item if isinstance(item, dict) else {"url": item} for item in found]

    def _on_finish(self, choice: dict[str, Any]) -> None:
        reasons = [choice.get(name) for name in ("finish_reason", "native_finish_reason")]
        reason, native = (reason if isinstance(reason, str) else "" for reason in reasons)
        words = f"{reason} {native}".upper()
        if "MALFORMED_FUNCTION_CALL" in words:
            raise MalformedReply(
                "the model wrote a tool call that its host could not read; the same request may succeed when sent again",
                provider=self.settings.provider,
            )
        if reason in ("error", "abort", "aborted"):
            raise ServerFault(
                f"{self.settings.provider} broke off the answer (finish reason {reason!r}) and did not say why; try again later",
                provider=self.settings.provider,
                request_id=self.request_id,
            )
        if reason == "insufficient_system_resource":  # DeepSeek
            raise Overloaded(
                f"{self.settings.provider} broke off the answer for lack of capacity; try again later",
                provider=self.settings.provider,
                request_id=self.request_id,
            )
        if _STOPS.get(native.lower()) == "refusal":
            self._refused = True
        self._finish = reason

    def _on_usage(self, chunk: dict[str, Any], choices: Any, deltas: list[Delta]) -> None:
        raw = chunk.get("usage")
        if not raw:
            groq = chunk.get("x_groq")
            if isinstance(groq, dict):
                raw = groq.get("usage")
            elif choices and isinstance(choices[0], dict):
                raw = choices[0].get("usage")  # Moonshot
        if not isinstance(raw, Mapping):
            return
        usage = read_usage(raw)
        if usage is not None:
            self._usage_seen = True
            if usage != self.usage:
                self.usage = usage
                deltas.append(UsageDelta(usage))

    def _say(self, kind: type[Text] | type[Thinking], text: Any, deltas: list[Delta]) -> None:
        if not text or not isinstance(text, str):
            return
        last = self._segments[-1] if self._segments else None
        if isinstance(last, tuple) and last[0] is kind:
            last[1].append(text)
        else:
            self._segments.append((kind, [text]))
        deltas.append(TextDelta(text) if kind is Text else ThinkingDelta(text))

    def _complete_at_eof(self) -> Completion:
        return super()._complete_at_eof() if self._finish is None else self._complete()

    def _complete(self) -> Completion:
        reason = self._finish
        if reason is None:
            if not (self._dialect.finish_reason_optional and self._usage_seen and self._calls.all_whole()):
                raise StreamTruncated(
                    "the stream says that it is done but gave no finish reason; the answer may be incomplete and was not used",
                    provider=self.settings.provider,
                    request_id=self.request_id,
                )
            reason = ""
        stop: StopReason = "refusal" if self._refused else _STOPS.get(reason.lower(), "end_turn")
        uses = self._calls.uses(cut=stop != "end_turn")
        if uses and stop in ("end_turn", "stop_sequence"):
            stop = "tool_use"
        content = [*self._blocks(), *uses]
        return Completion(
            message=Message("assistant", content, self.settings.origin),
            stop_reason=stop,
            usage=self.usage,
            model=self._model or self.settings.model,
            request_id=self.request_id or self._id or None,
        )

    def _blocks(self) -> list[Block]:
        """Everything but the calls. What hangs on the message as a whole hangs on the first block of its kind."""
        extra = self._fields.copy()
        if self._details:
            extra[MESSAGE_FIELDS[0]] = self._details.whole()
        citations = [*self._citations, *self._sources]
        blocks: list[Block] = []
        for part in self._segments:
            if not isinstance(part, tuple):
                blocks.append(part)
            elif part[0] is Thinking:
                blocks.append(Thinking("".join(part[1]), extra=extra or None))
                extra = {}
            else:
                blocks.append(Text("".join(part[1]), citations))
                citations = []
        if extra:
            blocks.insert(0, Thinking("", extra=extra))
        if self._audio.get("id"):
            blocks.append(Opaque(self.settings.provider, {"audio": self._audio}))
        return blocks


def _is_bare_error(chunk: dict[str, Any]) -> bool:
    """Mistral's and FastAPI's errors stand alone, without an ``error`` around them."""
    return "detail" in chunk or ("message" in chunk and ("code" in chunk or "type" in chunk))


def _is_moderation(error: dict[str, Any]) -> bool:
    """OpenRouter's 403 for a prompt that the model's vendor wants moderated."""
    metadata = error.get("metadata")
    return isinstance(metadata, dict) and "flagged_input" in metadata
