"""What Claude asks of a conversation as a whole, on either wire: the vendor's own, and Bedrock's. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from alloy_trio.values import Block, Message, ServerToolResult, ServerToolUse, Text, Thinking, ToolResult


def without_trailing_space(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages; where they end with the model's words, no white space stands there: it is refused."""
    yield from messages[:-1]
    for message in messages[-1:]:
        last = message.content[-1] if message.content else None
        if message.role == "assistant" and isinstance(last, Text) and last.text != last.text.rstrip():
            trimmed = Text(last.text.rstrip(), last.citations, extra=last.extra)
            yield Message(message.role, (*message.content[:-1], trimmed), message.origin)
        else:
            yield message


def without_orphans(messages: Iterable[Message]) -> Iterator[Message]:
    """The messages without calls of the vendor's own tools that an answer was cut off in: they are refused."""
    messages = list(messages)
    blocks = [block for message in messages for block in message.content]
    answered = {block.tool_use_id for block in blocks if isinstance(block, ServerToolResult)}
    for place, message in enumerate(messages):
        orphans = [b for b in message.content if isinstance(b, ServerToolUse) and b.id not in answered]
        if orphans and not _goes_on(messages[place + 1 :]):
            kept = [block for block in message.content if block not in orphans]
            yield Message(message.role, kept, message.origin)
        else:
            yield message


def _goes_on(later: Sequence[Message]) -> bool:
    """Whether the vendor's tools still run: its turn was paused, or waits for calls that these tools made."""
    if not later:
        return True
    return len(later) == 1 and all(isinstance(block, ToolResult) for block in later[0].content)


def may_reason(thinking: Any, messages: Sequence[Message], sent: Callable[[Message], list[Block]]) -> bool:
    """Whether the vendor lets the model reason in this way now.

    On a budget, in the middle of a turn, only if the turn began with reasoning; one that another model began
    did not.

    Args:
        thinking: the wire's object.
        messages: the conversation.
        sent: what of a message goes onto the wire.
    """
    if not isinstance(thinking, Mapping) or thinking.get("type") != "enabled":
        return True
    answered = False
    first: Block | None = None  # of the turn that the results answer
    for message in reversed(messages):
        blocks = sent(message)
        if blocks and message.role == "user":
            if first is not None:
                break
            answered = answered or isinstance(blocks[0], ToolResult)
        elif blocks:
            if not answered:
                break
            first = blocks[0]
    return first is None or isinstance(first, Thinking)
