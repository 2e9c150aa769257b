"""OpenAI's Responses protocol: the answer.

An answer is a list of items. A stream tells of each item when it opens, piece by piece, and whole when it is
done (``response.output_item.done``); its terminal event (``response.completed``, ``response.incomplete`` or
``response.failed``) repeats the whole answer, though some servers leave its ``output`` empty. So the message
is made from the terminal event's items when it has any, else from those that were done, else from the
pieces.

Deltas are made from the pieces as they come. Where an item ends with more text than its pieces had (some
servers send no pieces at all), the rest is one more delta.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from alloy_trio.values import (
    Block,
    Completion,
    Delta,
    MalformedReply,
    Message,
    RemoteError,
    StopReason,
    Text,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
    ToolUse,
    UsageDelta,
)

from ._codec import Decoder, WireSettings, excerpt
from ._faults import error_codes, fault_from_error
from ._history import told_apart
from ._openai_responses_items import REFUSAL, Item, blocks_of, call_id_of, is_whole_call, visible_text
from ._openai_responses_usage import usage_of

if TYPE_CHECKING:
    from typing import Self


class ResponsesDecoder(Decoder):
    """Reads one answer of the Responses protocol."""

    def __init__(self, settings: WireSettings) -> None:
        super().__init__(settings)
        self._response: dict[str, Any] = {}  # the answer's own fields, as last seen
        self._outcome: Literal["completed", "incomplete", "refused"] = "completed"
        self._items: list[Item] = []  # the answer's items, once terminated
        self._open: dict[int, Item] = {}  # by output_index, as they opened
        self._done: dict[int, Item] = {}
        self._pieces: dict[int, list[str]] = {}  # what was handed over of each item
        self._part: dict[int, int] = {}  # which part of a reasoning item the last piece belonged to

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # finish() tries an unclosed event on a copy. Items are never changed in place, so their lists do.
        copied = copy.copy(self)
        copied._open, copied._done, copied._part = {**self._open}, {**self._done}, {**self._part}
        copied._pieces = {index: [*pieces] for index, pieces in self._pieces.items()}
        return copied

    def refusal(self, error: Any) -> Completion:
        """The answer that an error about blocked content is."""
        self._fail(error)
        return self._complete()

    # Events

    def _on_event(self, event: str, data: str, deltas: list[Delta]) -> None:
        if data.startswith("[DONE]"):
            return  # some servers close with it, but it is not this protocol's terminal event
        value = self._load(data)
        kind = value.get("type", event)
        handler = _HANDLERS.get(kind)
        if handler is not None:
            handler(self, value, deltas)
        elif value.get("error") and not (isinstance(kind, str) and kind.startswith("response.")):
            raise self._fault(value["error"])  # no event of this protocol: a proxy's way to fail

    def _on_text(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        text = self._piece(value)
        if text:
            self._pieces.setdefault(_index(value), []).append(text)
            deltas.append(TextDelta(text))

    def _on_thinking(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        text = self._piece(value)
        if not text:
            return
        index = _index(value)
        pieces = self._pieces.setdefault(index, [])
        part = value.get("summary_index", value.get("content_index", 0))
        if pieces and self._part.get(index) != part:
            text = "\n\n" + text
        self._part[index] = part
        pieces.append(text)
        deltas.append(ThinkingDelta(text))

    def _on_arguments(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        text = self._piece(value)
        index = _index(value)
        if text and index in self._open:
            item = self._open[index]
            self._pieces.setdefault(index, []).append(text)
            deltas.append(ToolInputDelta(self._call_id(item), str(item.get("name") or ""), text))

    def _on_arguments_done(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        index = _index(value)
        if index in self._open and isinstance(value.get("arguments"), str):
            whole = {**self._open[index], "arguments": value["arguments"], "status": "completed"}
            self._open[index] = whole
            self._catch_up(index, whole, deltas)

    def _on_item_added(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        index, item = _index(value), self._item(value)
        self._open[index] = item
        # A call of the vendor's own tool is announced too: it is output, and may have an effect.
        if str(item.get("type", "")).endswith("_call"):
            name = item.get("name") or str(item["type"]).removesuffix("_call")
            deltas.append(ToolInputDelta(self._call_id(item), str(name), ""))

    def _on_item_done(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        index, item = _index(value), self._item(value)
        if index not in self._open:
            self._on_item_added(value, deltas)
        self._done[index] = item
        self._catch_up(index, item, deltas)

    def _on_progress(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        response = value.get("response")
        if isinstance(response, dict):
            self._response = response
            self._report(deltas)

    def _on_terminal(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        response = value.get("response")
        if not isinstance(response, dict):
            raise self._malformed("a terminal event has no response", value)
        self._response = response if "id" in response else {**self._response, **response}
        self._report(deltas)
        status = response.get("status")
        if value["type"] == "response.failed" or status in ("failed", "cancelled"):
            self._on_failure(response.get("error"), deltas)
            return
        cut = value["type"] == "response.incomplete" or status == "incomplete"
        self._settle(response, "incomplete" if cut else "completed")
        if not self._open:
            for index, item in enumerate(self._items):
                self._on_item_done({"output_index": index, "item": item}, deltas)
        self.terminated = True

    def _on_error(self, value: dict[str, Any], deltas: list[Delta]) -> None:
        # Flat as documented, or nested as it is seen.
        flat = {key: held for key, held in value.items() if key not in ("type", "sequence_number")}
        self._on_failure(value.get("error") or flat, deltas)

    def _on_failure(self, error: Any, deltas: list[Delta]) -> None:
        self._fail(error)
        deltas.append(TextDelta(self._items[-1]["content"][0]["text"]))
        self.terminated = True

    # A whole body

    def _on_body(self, body: Any) -> None:
        if not isinstance(body, dict):
            if isinstance(body, list) and body and isinstance(body[0], dict) and "error" in body[0]:
                raise self._fault(body)
            raise self._malformed("the answer is not an object", body)
        self._response = body
        self._report([])
        status, error = body.get("status"), body.get("error")
        if error or status in ("failed", "cancelled"):
            # A bare string's code stands beside it (xAI).
            self._fail(body if isinstance(error, str) else error)
            return
        if status in ("queued", "in_progress"):
            raise MalformedReply(
                f"the answer's status is {status!r}: it is made in the background and is not there yet; "
                "leave 'background' out of extra_body",
                provider=self.settings.provider,
                transient=False,
            )
        if not isinstance(body.get("output"), list):
            raise self._malformed("the answer has no list of output items", body)
        self._settle(body, "incomplete" if status == "incomplete" else "completed")

    # The end

    def _settle(self, response: dict[str, Any], outcome: Literal["completed", "incomplete"]) -> None:
        output = response.get("output")
        if isinstance(output, list) and output:
            if not all(isinstance(item, dict) for item in output):
                raise self._malformed("the answer's output holds what is no item", output)
            self._items = output
        else:
            indexes = sorted(self._done.keys() | self._open.keys() | self._pieces.keys())
            self._items = [self._done.get(index) or self._rebuilt(index) for index in indexes]
        self._outcome = outcome

    def _rebuilt(self, index: int) -> Item:
        # An item that was never done, from its pieces.
        item = self._open.get(index, {"type": "message"})
        text = "".join(self._pieces.get(index, ()))
        match item.get("type"):
            case "message":
                return {**item, "content": [{"type": "output_text", "text": text}]}
            case "reasoning":
                return {**item, "summary": [{"type": "summary_text", "text": text}]}
            case "function_call":
                return {**item, "arguments": item.get("arguments") or text}
        return item

    def _complete(self) -> Completion:
        cut = self._outcome == "incomplete"
        blocks: list[Block] = []
        for item in self._items:
            if not (cut and item.get("type") == "function_call" and not is_whole_call(item)):
                blocks += blocks_of(item, self.settings.provider, self._answer_id() or "")
        uses = iter(told_apart(tuple(block for block in blocks if isinstance(block, ToolUse))))
        blocks = [next(uses) if isinstance(block, ToolUse) else block for block in blocks]
        return Completion(
            Message("assistant", blocks, self.settings.origin),
            self._stop_reason(blocks),
            self.usage,
            str(self._response.get("model") or self.settings.model),
            self.request_id or self._answer_id(),
        )

    def _stop_reason(self, blocks: list[Block]) -> StopReason:
        if self._outcome == "refused":
            return "refusal"
        if self._outcome == "incomplete":
            details = self._response.get("incomplete_details")
            reason = details.get("reason") if isinstance(details, dict) else None
            return "refusal" if reason == "content_filter" else "max_tokens"
        if any(isinstance(block, Text) and block.extra and REFUSAL in block.extra for block in blocks):
            return "refusal"
        return "tool_use" if any(isinstance(block, ToolUse) for block in blocks) else "end_turn"

    # Parts of events

    def _answer_id(self) -> str | None:
        ident = self._response.get("id")
        return ident if isinstance(ident, str) else None

    def _call_id(self, item: Item) -> str:
        return call_id_of(item, self._answer_id() or "")

    def _piece(self, value: dict[str, Any]) -> str:
        piece = value.get("delta")
        if not isinstance(piece, str):
            raise self._malformed("a delta is not text", value)
        return piece

    def _item(self, value: dict[str, Any]) -> Item:
        item = value.get("item")
        if not isinstance(item, dict):
            raise self._malformed("an event has no item", value)
        return item

    def _catch_up(self, index: int, item: Item, deltas: list[Delta]) -> None:
        full, sent = visible_text(item), "".join(self._pieces.get(index, ()))
        rest = full[len(sent) :]
        if not rest or not full.startswith(sent):
            return
        self._pieces[index] = [full]
        match item.get("type"):
            case "message":
                deltas.append(TextDelta(rest))
            case "reasoning":
                deltas.append(ThinkingDelta(rest))
            case "function_call":
                deltas.append(ToolInputDelta(self._call_id(item), str(item.get("name") or ""), rest))

    def _report(self, deltas: list[Delta]) -> None:
        reported = self._response.get("usage")
        if isinstance(reported, dict):
            self.usage = usage_of(reported)
            deltas.append(UsageDelta(self.usage))

    def _fail(self, error: Any) -> None:
        """Raise what the vendor reports; blocked content is an answer, not an error."""
        if not is_blocked(error):
            raise self._fault(error)
        inner = error.get("error", error) if isinstance(error, dict) else None
        words = inner.get("message") if isinstance(inner, dict) else None
        text = words if isinstance(words, str) and words else "The provider's content filter blocked this."
        self._items = [{"type": "message", "content": [{"type": "output_text", "text": text}]}]
        self._outcome = "refused"

    def _malformed(self, what: str, seen: Any) -> MalformedReply:
        return MalformedReply(f"{what}: {excerpt(str(seen))}", provider=self.settings.provider)

    def _fault(self, error: Any) -> RemoteError:
        ident = self.request_id or self._answer_id()
        return fault_from_error(error, provider=self.settings.provider, request_id=ident)


def is_blocked(error: Any) -> bool:
    """Whether an error says that the vendor's content filter blocked the prompt or the answer."""
    return "contentfilter" in error_codes(error)


def _index(value: dict[str, Any]) -> int:
    index = value.get("output_index")
    return index if isinstance(index, int) else 0


_Handler = Callable[[ResponsesDecoder, dict[str, Any], list[Delta]], None]
_HANDLERS: dict[Any, _Handler] = {
    "response.output_text.delta": ResponsesDecoder._on_text,
    "response.refusal.delta": ResponsesDecoder._on_text,
    "response.reasoning_summary_text.delta": ResponsesDecoder._on_thinking,
    "response.reasoning_text.delta": ResponsesDecoder._on_thinking,
    "response.function_call_arguments.delta": ResponsesDecoder._on_arguments,
    "response.function_call_arguments.done": ResponsesDecoder._on_arguments_done,
    "response.output_item.added": ResponsesDecoder._on_item_added,
    "response.output_item.done": ResponsesDecoder._on_item_done,
    "response.created": ResponsesDecoder._on_progress,
    "response.in_progress": ResponsesDecoder._on_progress,
    "response.completed": ResponsesDecoder._on_terminal,
    "response.incomplete": ResponsesDecoder._on_terminal,
    "response.failed": ResponsesDecoder._on_terminal,
    "error": ResponsesDecoder._on_error,
}
