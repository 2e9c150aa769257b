"""Ids of calls that differ throughout a conversation, for vendors that want that. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from alloy_trio.values import Block, Message, ToolResult, ToolUse


def renamed_calls(messages: Sequence[Message]) -> dict[int, dict[str, str]]:
    """New ids, by the place of a message, for calls whose id an earlier message has used.

    Some providers count them afresh with every answer. A user's message gets the ids of the calls before it.
    """
    renamed: dict[int, dict[str, str]] = {}
    seen: set[str] = set()
    ids: dict[str, str] = {}
    for place, message in enumerate(messages):
        if message.role == "user":
            if ids:
                renamed[place] = ids
            continue
        ids = {}
        own = [block.id for block in message.content if isinstance(block, ToolUse)]
        for ident in own:
            if ident in seen:
                number = 2
                while f"{ident}-{number}" in seen or f"{ident}-{number}" in own:
                    number += 1
                ids[ident] = f"{ident}-{number}"
        if ids:
            renamed[place] = ids
        seen.update(ids.get(ident, ident) for ident in own)
    return renamed


def with_ids(message: Message, ids: Mapping[str, str]) -> Message:
    """The message with other ids for some of its calls or results."""
    return (
        attrs.evolve(message, content=[_with_id(block, ids) for block in message.content]) if ids else message
    )


def _with_id(block: Block, ids: Mapping[str, str]) -> Block:
    if isinstance(block, ToolUse):
        return attrs.evolve(block, id=ids.get(block.id, block.id))
    if isinstance(block, ToolResult):
        return attrs.evolve(block, tool_use_id=ids.get(block.tool_use_id, block.tool_use_id))
    return block
