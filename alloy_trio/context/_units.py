"""A conversation as units that are kept or given up whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from alloy_trio.values import Message, Text, ToolResult

from ._summary import is_summary


def boundaries(messages: Sequence[Message]) -> list[int]:
    """Where the conversation may be cut: before which messages.

    Calls stay with their results, and neighbouring messages of the model's, which may be parts of one answer, with
    each other.
    """
    return [
        place
        for place, message in enumerate(messages)
        if place == 0
        or not (_has_results(message) or (_is_models(message) and _is_models(messages[place - 1])))
    ]


def recent_from(messages: Sequence[Message], sizes: Sequence[int], tokens: float) -> int:
    """From where on the conversation is no larger than so many tokens; its last unit is recent in any case."""
    cuts = boundaries(messages)
    total = 0
    end = len(messages)
    recent = cuts[-1]
    for cut in reversed(cuts):
        total += sum(sizes[cut:end])
        if total > tokens:
            break
        recent = end = cut
    return recent


def first_request(messages: Sequence[Message]) -> int | None:
    """The place of the first thing that the user said."""
    return next((place for place, message in enumerate(messages) if _is_request(message)), None)


def present_request(messages: Sequence[Message]) -> int | None:
    """The place of the last thing that the user said."""
    places = range(len(messages) - 1, -1, -1)
    return next((place for place in places if _is_request(messages[place])), None)


def as_request(message: Message) -> Message:
    """What the user said in a message, without the results of calls."""
    if not _has_results(message):
        return message
    return attrs.evolve(
        message, content=[block for block in message.content if not isinstance(block, ToolResult)]
    )


def _is_request(message: Message) -> bool:
    return (
        message.role == "user"
        and not is_summary(message)
        and any(
            bool(block.text.strip()) if isinstance(block, Text) else not isinstance(block, ToolResult)
            for block in message.content
        )
    )


def _has_results(message: Message) -> bool:
    return message.role == "user" and any(isinstance(block, ToolResult) for block in message.content)


def _is_models(message: Message) -> bool:
    return message.role == "assistant"
