"""Reads answers of Chat Completions, streamed or whole, from hosts that agree on little but the outline.

Where the answer ends: the finish reason says that it is complete, and content that came after it would not
belong to it; usage follows, then ``[DONE]``. So a stream that stops after its finish reason gives the same
answer as the whole one, at worst without usage, and one that stops before gives none.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from typing import Any

from alloy_trio.values import (
    Completion,
    Delta,
    MalformedReply,
    Message,
    Overloaded,
    RemoteError,
    ServerFault,
    StopReason,
    StreamTruncated,
    Text,
    UsageDelta,
)

from ._codec import Decoder, WireSettings, excerpt
from ._dialects import Dialect
from ._faults import error_codes, fault_from_error
from ._openai_chat_answer import Answer
from ._openai_chat_calls import failed_call
from ._openai_chat_usage import read_usage

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
"""Finish reasons in lower case. All others (stop, eos, tool_calls, nothing, …) end the turn, or call tools if
there are calls: hosts say ``stop`` after calls and ``tool_calls`` after none."""

_BROKEN = {"error": ServerFault, "abort": ServerFault, "insufficient_system_resource": Overloaded}
"""Finish reasons of an answer that the host broke off; the last is DeepSeek's."""

_REFUSED_PROMPT = frozenset({"contentfilter", "contentpolicyviolation", "responsibleaipolicyviolation"})

_PLAIN = frozenset(
    {
        *("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider"),
        *("choices", "usage", "obfuscation", "p", "stream_options"),
    }
)
"""Fields of a chunk that say nothing beside its choices, once the answer has a name; usage may be null."""

_decode = json.JSONDecoder().raw_decode


class ChatDecoder(Decoder):
    """One answer of Chat Completions."""

    def __init__(self, settings: WireSettings, dialect: Dialect) -> None:
        super().__init__(settings)
        self._dialect = dialect
        self._answer = Answer(settings.provider)
        self._model = ""
        self._id = ""
        self._seed = ""  # what the ids are made of that the host does not give
        self._finish: str | None = None
        self._usage_seen = False

    def __deepcopy__(self, memo: dict[int, Any]) -> ChatDecoder:
        # finish() may be asked after every byte: pieces of a long answer are shared, not copied.
        other = copy.copy(self)
        other._answer = self._answer.fork()
        other._framing = copy.deepcopy(self._framing, memo)
        return other

    def answered_by_error(self, error: Any, deltas: list[Delta]) -> bool:
        """Take an error object that is an answer: a refused prompt, or a call that the host found wrong.

        Args:
            error: as it stood on the wire, with or without its ``error`` wrapper.
            deltas: appended to.

        Returns:
            Whether it is one. If so the answer has ended.
        """
        inner = error.get("error") if isinstance(error, dict) else None
        found = inner if isinstance(inner, dict) else error
        if not isinstance(found, dict):
            return False
        codes = error_codes(error)
        if "toolusefailed" in codes:
            call = failed_call(found.get("failed_generation"))
            if call is None:
                return False
            # Groq withholds a call that breaks its tool's schema. As a call, the model is told what is wrong.
            piece = {"function": {"name": call[0], "arguments": call[1]}}
            self._answer.calls.add(piece, f"{self._id}{call}", deltas)
            self._finish = "tool_calls"
        elif codes & _REFUSED_PROMPT or _is_moderation(found):
            self._answer.refused = True
            self._answer.say(Text, found.get("message"), deltas)
            self._finish = "content_filter"
        else:
            return False
        self.terminated = True
        return True

    def _on_event(self, event: str, data: str, deltas: list[Delta]) -> None:
        chunk: Any = None
        try:
            # Unlike json.loads this does not look for white space around, which no event but the odd one has.
            chunk, end = _decode(data)
        except ValueError:
            end = -1
        if end != len(data):
            mark = data.strip()
            if mark in ("[DONE]", ""):  # some send "[DONE] ", or blank lines to keep the connection
                self.terminated = mark != ""
                return
            if event == "error" and not data.startswith("{"):
                raise self._fault(data)
            chunk = self._load(data)
        if type(chunk) is not dict:
            raise MalformedReply(
                f"an event of the stream is not an object: {excerpt(data)}", provider=self.settings.provider
            )
        choices = chunk.get("choices")
        if type(choices) is not list:
            choices = []
        # Nearly every event is a piece of the answer and nothing beside it.
        plain = (
            self._id and choices and event != "error" and _PLAIN.issuperset(chunk) and not chunk.get("usage")
        )
        if not plain:
            # First of all: what reports why the answer failed may say what it used as well.
            self._on_usage(chunk, choices, deltas)
            self._check(chunk, deltas, named_error=event == "error")
            if self.terminated:
                return
            if self._finish is None:
                self._name(chunk)
                self._answer.add_sources(chunk)
        if choices and self._finish is None:
            self._on_choices(choices, deltas)
        if plain and self._finish is not None:
            self._on_usage(chunk, choices, deltas)  # may stand in a choice

    def _on_choices(self, choices: Any, deltas: list[Delta]) -> None:
        for choice in choices:
            if type(choice) is dict and not choice.get("index"):
                delta = choice.get("delta")
                if delta and type(delta) is dict:
                    self._answer.add(delta, self._seed, deltas, streamed=True)
                elif type(delta) is not dict:
                    self._on_message(choice, deltas)
                reason = choice.get("finish_reason")
                if reason and isinstance(reason, str):
                    self._on_finish(choice)

    def _on_body(self, body: Any) -> None:
        self._answer = self._answer.fork()
        if isinstance(body, list) and len(body) == 1:
            body = body[0]  # Gemini's compatible endpoint wraps its errors so
        if not isinstance(body, dict):
            raise MalformedReply(
                f"the answer is not a JSON object: {excerpt(repr(body))}", provider=self.settings.provider
            )
        self._check(body, [])
        if self.terminated:
            return
        choices = body.get("choices")
        choices = (
            [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
        )
        if not choices:
            raise MalformedReply(
                f"the answer has neither choices nor an error: {excerpt(repr(body))}; "
                "is the base_url that of a Chat Completions API?",
                provider=self.settings.provider,
            )
        choice = next((choice for choice in choices if not choice.get("index")), choices[0])
        message = choice.get("message")
        if not isinstance(message, dict):
            message = {"content": choice.get("text")}
        self._name(body)
        self._on_usage(body, choices, [])  # before what may raise: a failed answer was paid for too
        self._answer.add_sources(body)
        self._answer.add(message, self._seed, [], streamed=False)
        self._on_finish(choice)

    def _name(self, chunk: dict[str, Any]) -> None:
        for name in ("id", "model"):
            value = chunk.get(name)
            if isinstance(value, str) and not getattr(self, f"_{name}"):
                setattr(self, f"_{name}", value)
        self._seed = self._seed or self._id or f"{self._model}/{chunk.get('created')}"

    def _check(self, chunk: dict[str, Any], deltas: list[Delta], *, named_error: bool = False) -> None:
        """Raise the error that a chunk or body reports."""
        error = chunk.get("error")
        if not error:
            groq = chunk.get("x_groq")
            if isinstance(groq, dict) and groq.get("error"):
                error = groq["error"]
            elif named_error or _is_bare_error(chunk):
                error = chunk
        if error and not self.answered_by_error(error, deltas):
            raise self._fault(error)

    def _fault(self, error: Any) -> RemoteError:
        return fault_from_error(error, provider=self.settings.provider, request_id=self.request_id)

    def _on_message(self, choice: dict[str, Any], deltas: list[Delta]) -> None:
        """Take a streamed choice without a delta."""
        message = choice.get("message")
        if isinstance(message, dict):
            if not self._answer:  # a whole answer as the only chunk
                self._answer.add(message, self._seed, deltas, streamed=False)
        elif choice.get("text"):
            self._answer.add_content(choice["text"], deltas)  # the legacy completions

    def _on_finish(self, choice: dict[str, Any]) -> None:
        reason, native = (
            value if isinstance(value, str) else ""
            for value in (choice.get("finish_reason"), choice.get("native_finish_reason"))
        )
        if "MALFORMED_FUNCTION_CALL" in f"{reason} {native}".upper():
            raise MalformedReply(
                "the model wrote a tool call that its host could not read; sent again, it may succeed",
                provider=self.settings.provider,
            )
        if reason in _BROKEN:
            raise _BROKEN[reason](
                f"{self.settings.provider} broke off the answer with the finish reason {reason!r} and no "
                "explanation; try again later",
                provider=self.settings.provider,
                request_id=self.request_id,
            )
        if _STOPS.get(native.lower()) == "refusal":
            self._answer.refused = True
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

    def _complete_at_eof(self) -> Completion:
        return super()._complete_at_eof() if self._finish is None else self._complete()

    def _complete(self) -> Completion:
        reason = self._finish
        if reason is None:
            whole = self._answer.calls.all_whole()
            if not (self._dialect.finish_reason_optional and self._usage_seen and whole):
                raise StreamTruncated(
                    "the stream says that it is done but gave no finish reason; the answer may be incomplete "
                    "and was not used",
                    provider=self.settings.provider,
                    request_id=self.request_id,
                )
            reason = ""
        stop: StopReason = "refusal" if self._answer.refused else _STOPS.get(reason.lower(), "end_turn")
        uses = self._answer.calls.uses(cut=stop not in ("end_turn", "stop_sequence"))
        if uses and stop in ("end_turn", "stop_sequence"):
            stop = "tool_use"
        return Completion(
            message=Message("assistant", (*self._answer.blocks(), *uses), self.settings.origin),
            stop_reason=stop,
            usage=self.usage,
            model=self._model or self.settings.model,
            request_id=self.request_id or self._id or None,
        )


def _is_bare_error(chunk: dict[str, Any]) -> bool:
    """Mistral's and FastAPI's errors stand alone, without an ``error`` around them."""
    if chunk.get("object") == "error":
        return True
    return "choices" not in chunk and (
        "detail" in chunk or ("message" in chunk and ("code" in chunk or "type" in chunk))
    )


def _is_moderation(error: dict[str, Any]) -> bool:
    """OpenRouter's 403 for a prompt that the model's vendor wants moderated."""
    metadata = error.get("metadata")
    return isinstance(metadata, dict) and "flagged_input" in metadata
