"""How many tokens a request is: estimated, and corrected by what the model's own usage says. Pure.

Tokenizers differ, so the estimate is no tokenizer's. It is a bit on the high side for prose and code and near to the
truth for digits and encoded data; what is systematically wrong with it, the first usage figure puts right.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from operator import is_
from typing import Any

from alloy_trio.values import (
    Block,
    Document,
    Image,
    Message,
    Opaque,
    ServerTool,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolSpec,
    ToolUse,
    Usage,
)

MESSAGE_TOKENS = 6
"""What a vendor's template adds to each message: the role and its marks. Seen between 3 and 7."""

CALL_TOKENS = 12
"""The same for a call or a result: its name's and id's marks."""

IMAGE_TOKENS = 1_600
"""For one picture: what Anthropic's and OpenAI's usual ones come to at most. Gemini counts 258 for a tile, the largest
pictures of new models up to 4,800; the usage figure tells."""

PAGE_TOKENS = 3_000
"""For a page of a document that is no plain text (Anthropic: 1,500 to 3,000, its picture included)."""

PAGE_BYTES = 50_000
"""Of a document whose pages cannot be counted, so much is a page. Arbitrary: text pages are smaller, scans larger."""

LINKED_TOKENS = 10_000
"""For a document, sound or film that is given by its URL: nobody knows before."""

BYTES_PER_TOKEN_OF_SOUND = 500
"""16 kB a second are 32 tokens (Gemini); as film, at 1 Mbit and 290 tokens a second, it is nearly the same."""

LEAST_PLAUSIBLE = 0.4
"""A usage figure below this share of the estimate is none: servers that do not count what they had in their cache
(Ollama), hosts that count nothing. Where the estimate is highest, with Cyrillic prose, it is about twice the truth."""

MOST_PLAUSIBLE_WINDOWS = 2
"""A usage figure above so many windows cannot be what the model read at once; vendors' own tools add up their calls."""

UNSEEN_SHARE = 1 / 4
"""Of the window, what vendors may add to a request that we do not see: prompts of their own, what links point to."""

UNSURE = 1.75
"""How much more than its estimate a part that was not measured yet may turn out to be: digits, of which some
tokenizers make one token each, in what has been prose so far."""

RATIO_FROM = 2_000
"""The ratio of usage to estimate is learned from this many tokens on: below, what vendors add unseen decides it."""

LEAST_RATIO, MOST_RATIO = 0.75, 4.0
"""Bounds of the ratio. What comes next may be of another kind than what was counted: prose first, then a dump of
numbers. No tokenizer is known to need four times the estimate for a text."""

_CHEAP = b" abcdefghijklmnopqrstuvwxyz"
_ASCII = bytes(range(128))


def estimate_text(text: str) -> int:
    """The tokens of a text.

    Lower-case letters and spaces are 3.5 to a token, every other ASCII character is 0.75 of one, and a byte beyond
    ASCII 0.45: a Chinese character has three of them.
    """
    data = text.encode("utf-8", "surrogatepass")
    dear = len(data.translate(None, _CHEAP))
    beyond = 0 if text.isascii() else len(data.translate(None, _ASCII))
    return -(-((len(data) - dear) * 40 + (dear - beyond) * 105 + beyond * 63) // 140)


def estimate_message(message: Message) -> int:
    """The tokens of a message with all that it holds."""
    return MESSAGE_TOKENS + sum(map(estimate_block, message.content))


def estimate_fixed(
    system: str | None, tools: Iterable[ToolSpec] = (), server_tools: Iterable[ServerTool] = ()
) -> int:
    """The tokens that stand before every conversation: the system prompt and the tools."""
    total = MESSAGE_TOKENS + estimate_text(system) if system else 0
    for tool in tools:
        total += CALL_TOKENS + estimate_text(tool.name) + estimate_text(tool.description)
        total += _estimate_json(tool.input_schema)
    for server_tool in server_tools:
        total += CALL_TOKENS + estimate_text(server_tool.name) + _estimate_json(server_tool.options)
    return total


def estimate_block(block: Block) -> int:
    """The tokens of one block."""
    match block:
        case Text(text):
            return estimate_text(text)
        case ToolResult(_, content):
            parts = estimate_text(content) if isinstance(content, str) else sum(map(estimate_block, content))
            return CALL_TOKENS + parts
        case ToolUse(_, name, arguments, invalid):
            said = _estimate_json(arguments) if invalid is None else estimate_text(invalid)
            return CALL_TOKENS + estimate_text(name) + said
        case Thinking(text, signature, redacted):
            # The encrypted form holds what may not be read, at four characters to a token.
            return max(estimate_text(text), len(signature or redacted or "") // 4)
        case Image():
            return IMAGE_TOKENS
        case Opaque(_, raw):
            return _estimate_json(raw)
        case ServerToolUse(_, name, arguments):
            return CALL_TOKENS + estimate_text(name) + _estimate_json(arguments)
        case ServerToolResult(_, content):
            return CALL_TOKENS + _estimate_json(content)
        case _:
            return _estimate_media(block)


def _estimate_media(block: Any) -> int:
    if block.data is None:
        return LINKED_TOKENS
    if not isinstance(block, Document):
        return 1 + len(block.data) // BYTES_PER_TOKEN_OF_SOUND
    if block.media_type.startswith("text/"):
        return estimate_text(block.data.decode("utf-8", "replace"))
    data: bytes = block.data
    pages = data.count(b"/Type /Page") + data.count(b"/Type/Page")
    return PAGE_TOKENS * max(1, pages, len(data) // PAGE_BYTES)


def _estimate_json(value: Any) -> int:
    if isinstance(value, str):
        return estimate_text(value)
    return estimate_text(json.dumps(value, ensure_ascii=False, default=str)) if value else 1


class Gauge:
    """How many tokens the next request is: the last usage figure, and an estimate of what came after it.

    Messages are estimated once; a turn costs what it added.

    Args:
        fixed: the estimate of what stands before the conversation, see :func:`estimate_fixed`.

    Attributes:
        ratio: how many tokens one estimated token turned out to be.
    """

    def __init__(self, fixed: int = 0) -> None:
        self.fixed = fixed
        self.ratio = 1.0
        self._estimated: list[Message] = []
        self._sizes: list[int] = []  # of these
        self._total = 0
        self._known: tuple[int, int] | None = None  # a usage figure, and the estimate of the same

    def sizes(self, messages: Sequence[Message]) -> list[int]:
        """The estimate of each message."""
        sizes, estimated = self._sizes, self._estimated
        if len(messages) < len(estimated) or not all(map(is_, estimated, messages)):
            sizes.clear()
            estimated.clear()
            self._total, self._known = 0, None
        for place in range(len(sizes), len(messages)):
            sizes.append(estimate_message(messages[place]))
            estimated.append(messages[place])
            self._total += sizes[place]
        return sizes

    def estimate(self, messages: Sequence[Message]) -> int:
        """The uncorrected estimate of the request."""
        self.sizes(messages)
        return self.fixed + self._total

    def size(self, messages: Sequence[Message]) -> int:
        """The tokens of the request that would be sent."""
        estimate = self.estimate(messages)
        if self._known is None:
            return round(estimate * self.ratio)
        figure, known = self._known
        return figure + round((estimate - known) * self.ratio)

    def most(self, messages: Sequence[Message]) -> int:
        """The same with what was not measured yet taken for as much as it may be; nothing was measured: the same."""
        size = self.size(messages)
        return size if self._known is None else round(self._known[0] + (size - self._known[0]) * UNSURE)

    @property
    def is_measured(self) -> bool:
        """Whether the size is mostly the model's own figure, not an estimate."""
        return self._known is not None and 4 * self._known[1] >= 3 * (self.fixed + self._total)

    def answered(self, messages: Sequence[Message], usage: Usage, window: int) -> None:
        """Learn from an answer.

        Args:
            messages: the conversation, the answer included.
            usage: of the call that answered.
            window: tokens of the context window.
        """
        estimate, figure = self.estimate(messages), usage.total_tokens
        self._known = None
        most = min(MOST_PLAUSIBLE_WINDOWS * window, MOST_RATIO * estimate + UNSEEN_SHARE * window)
        if 0 < LEAST_PLAUSIBLE * estimate <= figure <= most:
            self._known = (figure, estimate)
            if estimate >= min(RATIO_FROM, window // 8):
                self.ratio = min(max(figure / estimate, LEAST_RATIO), MOST_RATIO)

    def overflowed(self, window: int) -> None:
        """Learn that the request did not fit, though by its estimate it should have."""
        self._known = None
        self.ratio = min(max(self.ratio, window / max(self.fixed + self._total, 1)), MOST_RATIO)


__all__ = [
    "Gauge",
    "estimate_block",
    "estimate_fixed",
    "estimate_message",
    "estimate_text",
]
