"""One answer of Chat Completions as it grows, from deltas or from a whole message.

Both have the same fields. Reasoning, text, the host's own tool runs and what we do not know stand in the
order in which they came; calls stand last, as the wire has them.
"""

from __future__ import annotations

import copy
from typing import Any, TypeAlias

from alloy_trio.values import (
    Block,
    Delta,
    Opaque,
    ServerToolResult,
    ServerToolUse,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolInputDelta,
)

from ._codec import parse_arguments
from ._openai_chat_calls import ReasoningDetails, ToolCalls
from ._openai_chat_messages import MESSAGE_FIELDS

_REASONING = ("reasoning_content", "reasoning", "reasoning_text")
"""Where hosts put readable reasoning; some send it twice, so the first that says something counts."""

_COMMON = frozenset(
    ("role", "content", "refusal", "tool_calls", "function_call", "reasoning_details", *_REASONING)
)
"""What nearly every message has; the rest is looked at only when there is more."""

_Segment: TypeAlias = tuple[type[Text] | type[Thinking], list[str]]
"""A stretch of text or of reasoning, in the pieces in which it came."""


class Answer:
    """What has been received of one answer.

    Args:
        provider: the configured provider's name, for blocks that only it understands.

    Attributes:
        calls: its tool calls.
        refused: the model's words are a refusal.
    """

    def __init__(self, provider: str) -> None:
        self.calls = ToolCalls()
        self.refused = False
        self._provider = provider
        self._segments: list[_Segment | Block] = []
        self._kind: type[Text] | type[Thinking] | None = None  # of the segment that grows
        self._pieces: list[str] = []  # its text
        self._details = ReasoningDetails()
        self._fields: dict[str, Any] = {}
        self._citations: list[dict[str, Any]] = []
        self._sources: list[dict[str, Any]] = []
        self._audio: dict[str, Any] = {}

    def __bool__(self) -> bool:
        return bool(self._segments or self.calls)

    def fork(self) -> Answer:
        """A copy that can grow without changing this one."""
        other = copy.copy(self)
        other.calls = self.calls.fork()
        other._segments = [
            (part[0], part[1].copy()) if isinstance(part, tuple) else part for part in self._segments
        ]
        if isinstance(last := other._segments[-1] if self._kind else None, tuple):
            other._pieces = last[1]
        other._details = self._details.fork()
        other._fields = self._fields.copy()
        other._citations = self._citations.copy()
        other._audio = self._audio.copy()
        return other

    def add(self, message: dict[str, Any], seed: str, deltas: list[Delta], *, streamed: bool) -> None:
        """Take a delta, or a whole message.

        Args:
            message: the fields.
            seed: what the answer is known by; ids that the host does not give are made from it.
            deltas: appended to.
            streamed: it is a delta.
        """
        content = message.get("content")
        if len(message) == 1 and content and type(content) is str:
            # The delta that most deltas are.
            if self._kind is Text:
                self._pieces.append(content)
                deltas.append(TextDelta(content))
            else:
                self.say(Text, content, deltas)
            return
        readable = ""
        for name in _REASONING:
            if message.get(name):
                readable = message[name]
                break
        details = message.get("reasoning_details")
        if details:
            text = self._details.add(details, streamed=streamed)
            readable = readable or text
        if readable:
            self.say(Thinking, readable, deltas)
        if content:
            self.add_content(content, deltas)
        if message.get("refusal"):
            self.refused = True
            self.say(Text, message["refusal"], deltas)
        calls = message.get("tool_calls")
        if calls:
            for call in _dicts(calls):
                # In a whole message each entry is a call, whatever its index says.
                self.calls.add(call if streamed else call | {"index": None}, seed, deltas)
        elif message.get("function_call"):
            self.calls.add({"index": 0, "function": message["function_call"]}, seed, deltas)
        if not _COMMON.issuperset(message):
            self._add_rarities(message, deltas)

    def add_content(self, content: Any, deltas: list[Delta]) -> None:
        """Take a ``content``: text, or Mistral's list of chunks."""
        if isinstance(content, str):
            self.say(Text, content, deltas)
            return
        for part in content if isinstance(content, list) else [content]:
            kind = part.get("type") if isinstance(part, dict) else None
            if isinstance(part, str):
                self.say(Text, part, deltas)
            elif kind in ("text", "output_text"):
                self.say(Text, part.get("text"), deltas)
            elif kind == "thinking":
                thinking = part.get("thinking")
                for piece in thinking if isinstance(thinking, list) else [thinking]:
                    self.say(Thinking, piece.get("text") if isinstance(piece, dict) else piece, deltas)
            elif kind == "refusal":
                self.refused = True
                self.say(Text, part.get("refusal"), deltas)
            elif isinstance(part, dict):
                self._put(Opaque(self._provider, part))

    def add_sources(self, chunk: dict[str, Any]) -> None:
        """Take what Perplexity repeats beside the choices of each chunk."""
        found = chunk.get("search_results") or chunk.get("citations")
        if isinstance(found, list):
            self._sources = [item if isinstance(item, dict) else {"url": item} for item in found]

    def say(self, kind: type[Text] | type[Thinking], text: Any, deltas: list[Delta]) -> None:
        """Take words; anything else is passed over."""
        if not text or type(text) is not str:
            return
        if self._kind is kind:
            self._pieces.append(text)
        else:
            self._kind, self._pieces = kind, [text]
            self._segments.append((kind, self._pieces))
        deltas.append(TextDelta(text) if kind is Text else ThinkingDelta(text))

    def _put(self, block: Block) -> None:
        self._segments.append(block)
        self._kind = None

    def blocks(self) -> list[Block]:
        """Everything but the calls. What belongs to the whole message is on the first block of its kind."""
        extra = self._fields.copy()
        if self._details:
            extra[MESSAGE_FIELDS[0]] = self._details.whole()
        citations = (*self._citations, *self._sources)
        blocks: list[Block] = []
        for part in self._segments:
            if not isinstance(part, tuple):
                blocks.append(part)
            elif part[0] is Thinking:
                blocks.append(Thinking("".join(part[1]), extra=extra or None))
                extra = {}
            else:
                blocks.append(Text("".join(part[1]), citations))
                citations = ()
        if extra:
            blocks.insert(0, Thinking("", extra=extra))
        if self._audio.get("id"):
            blocks.append(Opaque(self._provider, {"audio": self._audio}))
        return blocks

    def _add_rarities(self, message: dict[str, Any], deltas: list[Delta]) -> None:
        self._citations += _dicts(message.get("annotations"))
        if message.get("executed_tools"):
            self._add_executed(message["executed_tools"], deltas)
        for name in MESSAGE_FIELDS[1:]:
            if message.get(name) is not None:
                self._fields[name] = message[name]
        for image in _dicts(message.get("images")):
            self._put(Opaque(self._provider, {"images": [image]}))
        audio = message.get("audio")
        if isinstance(audio, dict):
            self.say(Text, audio.get("transcript"), deltas)
            # The sound itself is not kept: its id is what goes back.
            self._audio |= {name: audio[name] for name in ("id", "expires_at") if audio.get(name)}

    def _add_executed(self, tools: Any, deltas: list[Delta]) -> None:
        """Take Groq's own tools: a call, and in the same object or in a later one its output."""
        for tool in _dicts(tools):
            ident, name = f"executed_{tool.get('index', 0)}", str(tool.get("type", ""))
            if not any(isinstance(part, ServerToolUse) and part.id == ident for part in self._segments):
                raw = tool.get("arguments")
                raw = raw if isinstance(raw, str) else ""
                self._put(ServerToolUse(ident, name, parse_arguments(raw)[0]))
                deltas.append(ToolInputDelta(ident, name, raw))
            if tool.get("output") is not None:
                self._put(ServerToolResult(ident, tool["output"]))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
