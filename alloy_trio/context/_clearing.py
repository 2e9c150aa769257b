"""Tool results made smaller: old ones cleared in one batch, huge ones cut in the middle. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import attrs

from alloy_trio.values import Message, Text, ToolResult

from ._tokens import estimate_block, estimate_text

_Change: TypeAlias = Callable[[ToolResult, str], ToolResult]

LEAST_CLEARED = 200
"""Tokens below which clearing a result gains nothing worth its note."""

HEAD_CHARS = 120
"""What a cleared result's note still shows of its beginning: enough to know it again."""

LEAST_CUT = 150
"""Tokens that a result keeps when it is cut, whatever the room is: its note and a few lines."""

HEAD_SHARE = 2 / 3
"""How much of what a cut result keeps is its beginning. Outputs say what they are at the beginning, and how it went
at the end."""

CLEARED = "[This result of {name} was removed to make room ({chars} characters{media}). It began: {head}]"

CUT = (
    "\n[… {chars} characters were cut out here, because the whole would not fit into your context window …]\n"
)


def clear_results(messages: Sequence[Message], end: int) -> tuple[Message, ...]:
    """The messages, each large tool result before the place ``end`` replaced by a note.

    Messages that need no change are the same objects; a cleared result is not cleared again.
    """
    return _changed(messages, range(end), _cleared)


def cut_results(messages: Sequence[Message], start: int, tokens: int) -> tuple[Message, ...]:
    """The messages, each tool result from the place ``start`` on cut to what keeps all of them within ``tokens``.

    Only the largest are cut, all to one size; none to less than a few lines.
    """
    results = [
        estimate_block(block)
        for message in messages[start:]
        for block in message.content
        if isinstance(block, ToolResult)
    ]
    if sum(results) <= tokens:
        return tuple(messages)
    most = max(LEAST_CUT, _water_level(results, tokens))
    return _changed(messages, range(start, len(messages)), lambda result, _: _cut(result, most))


def _changed(messages: Sequence[Message], places: range, change: _Change) -> tuple[Message, ...]:
    changed = list(messages)
    names: dict[str, str] = {}
    for place, message in enumerate(messages):
        if message.role == "assistant":
            names = {use.id: use.name for use in message.tool_uses}
        elif place in places:
            content = tuple(
                change(block, names.get(block.tool_use_id, "a tool"))
                if isinstance(block, ToolResult)
                else block
                for block in message.content
            )
            if any(new is not old for new, old in zip(content, message.content, strict=True)):
                changed[place] = attrs.evolve(message, content=content)
    return tuple(changed)


def _cleared(result: ToolResult, name: str) -> ToolResult:
    if estimate_block(result) < LEAST_CLEARED:
        return result
    text = result.text
    others = 0 if isinstance(result.content, str) else sum(not isinstance(b, Text) for b in result.content)
    media = f", {others} other parts" if others else ""
    head = " ".join(text[: 4 * HEAD_CHARS].split())[:HEAD_CHARS]
    note = CLEARED.format(name=name, chars=len(text), media=media, head=head or "(no text)")
    return attrs.evolve(result, content=note)


def _cut(result: ToolResult, most: int) -> ToolResult:
    size = estimate_block(result)
    if size <= most:
        return result
    return attrs.evolve(result, content=cut_text(result.text or "[What this call returned is no text]", most))


def cut_text(text: str, tokens: int) -> str:
    """Head and tail of a text, together with the note between them within so many tokens by the estimate.

    A text that fits is returned itself; what is left is never less than the note.
    """
    size = estimate_text(text)
    if size <= tokens:
        return text
    note = estimate_text(CUT) + 4
    chars = int(len(text) * max(tokens - note, 0) / size)
    while True:
        head = int(chars * HEAD_SHARE)
        tail = chars - head
        kept = text[:head] + CUT.format(chars=len(text) - chars) + (text[-tail:] if tail else "")
        # Characters differ in what they cost: a denser head needs another try.
        if chars == 0 or estimate_text(kept) <= tokens:
            return kept
        chars = chars * 4 // 5


def _water_level(sizes: Sequence[int], total: int) -> int:
    """The size to which each must be cut so that they come to ``total``."""
    left = total
    for place, size in enumerate(ordered := sorted(sizes)):
        share = left // (len(ordered) - place)
        if size > share:
            return max(share, 0)
        left -= size
    return max(sizes)
