"""Verdicts about conversations, remembered: the runs of a sweep come to the same ones again and again.

They are kept in a tree, a message to a node, so that a conversation is compared with what is like it up to where they
part. It is judged as the messages that were seen first: what the codecs remember of those is used again.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from alloy_trio.values import Block, Message, ToolResult

from ._invariants import history_problems


class _Node:
    def __init__(self, messages: tuple[Message, ...]) -> None:
        self.messages = messages
        self.problems: tuple[str, ...] | None = None
        self.begins_valid = False
        self.next: list[_Node] = []

    def followed_by(self, message: Message) -> _Node:
        for node in self.next:
            if _alike(node.messages[-1], message):
                return node
        node = _Node((*self.messages, message))
        self.next.append(node)
        return node


class Verdicts:
    """What makes conversations invalid for some provider, found out once for each."""

    def __init__(self) -> None:
        self._root = _Node(())

    def problems(self, messages: Sequence[Message]) -> tuple[str, ...]:
        """In words; nothing when it is valid for all."""
        node = self._root
        path = [node]
        for message in messages:
            node = node.followed_by(message)
            path.append(node)
        if node.problems is None:
            if node.begins_valid and node.messages[-1].role == "user":
                # What a valid one begins with is valid: its rules are about what stands before.
                node.problems = ()
            else:
                node.problems = tuple(history_problems(node.messages))
        if not node.problems:
            for begun in path:
                begun.begins_valid = True
        return node.problems


def _alike(known: Message, message: Message) -> bool:
    """Whether two messages differ at most in the words of results: what a tool said makes nothing invalid."""
    if known is message or known == message:
        return True
    if len(known.content) != len(message.content) or attrs.evolve(known, content=message.content) != message:
        return False
    return all(map(_alike_blocks, known.content, message.content))


def _alike_blocks(known: Block, block: Block) -> bool:
    if known == block:
        return True
    if not (isinstance(known, ToolResult) and isinstance(block, ToolResult)):
        return False
    if not (_is_words(known.content) and _is_words(block.content)):
        return False
    return attrs.evolve(known, content=block.content, is_error=block.is_error) == block


def _is_words(content: object) -> bool:
    return isinstance(content, str) and content.isascii() and bool(content.strip())
