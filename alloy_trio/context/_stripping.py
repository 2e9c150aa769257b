"""Messages without their reasoning. Pure.

Vendors bind reasoning to the conversation that it was made in: Anthropic's newest models refuse it when an earlier
message, the system prompt or a tool has changed, and OpenAI's items refer to each other by ids. So where the
conversation before a message is shortened, its reasoning goes, and with it what cannot stand alone.
"""

from __future__ import annotations

import attrs

from alloy_trio.values import (
    Block,
    Message,
    Opaque,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolUse,
)

_ITEM_ID = "id"
"""By it OpenAI knows an item, and looks for the reasoning that the item came from."""


def without_reasoning(message: Message) -> Message | None:
    """The message without reasoning and what only stands beside it; None if nothing is left.

    Calls stay, whatever they are signed with. A message without reasoning is returned itself.
    """
    if message.role != "assistant" or not any(map(_is_reasoning, message.content)):
        return message
    kept: list[Block] = []
    items = {block.id for block in message.content if isinstance(block, ServerToolUse) and _is_item(block)}
    for block in message.content:
        if isinstance(block, Thinking | Opaque):
            continue  # of what is not known it is not known either whether it stands alone
        if isinstance(block, ServerToolUse) and block.id in items:
            continue
        if isinstance(block, ServerToolResult) and block.tool_use_id in items:
            continue
        if isinstance(block, Text | ToolUse) and block.extra and _ITEM_ID in block.extra:
            rest = {key: value for key, value in block.extra.items() if key != _ITEM_ID}
            block = attrs.evolve(block, extra=rest or None)
        kept.append(block)
    return attrs.evolve(message, content=kept) if kept else None


def _is_reasoning(block: Block) -> bool:
    if isinstance(block, Opaque):
        kind = str(block.raw.get("type", ""))
        return "reasoning" in kind or "thinking" in kind
    return isinstance(block, Thinking)


def _is_item(use: ServerToolUse) -> bool:
    # OpenAI's items are named after what they are (web_search_call); Anthropic's blocks stand by themselves.
    return str((use.extra or {}).get("type", "")).endswith("_call")
