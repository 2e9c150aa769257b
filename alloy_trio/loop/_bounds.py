"""How many tokens a request can be at most: an upper bound, where an estimate would let a budget be exceeded. Pure.

A token is at least one byte of what it stands for, so bytes are counted, four times as many as tokens in English. What
vendors put around it is allowed for by constants, each well above what they document. Pictures and other media cost by
rules of their own, which only constants can stand for.
"""

from __future__ import annotations

import json
from typing import Any

from alloy_trio.values import (
    Audio,
    Block,
    CompletionRequest,
    Document,
    Image,
    Message,
    Opaque,
    ResultBlock,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolSpec,
    ToolUse,
    Video,
)

AROUND = 8
"""Tokens around a message, a block or a tool: roles and separators. OpenAI documents three a message."""

REQUEST_TOKENS = 64
"""What stands before the conversation though nobody wrote it: a date, a line on the model's channels."""

TOOLS_TOKENS = 600
"""The vendor's own instructions for tools. Anthropic documents 159 to 530, and 346 for most; what more newer models
take is in the schemas' bytes, which are several times their tokens."""

NATIVE_TOKENS = 1_000
"""A tool that the vendor's models know by themselves, beside our words for it."""

CHOICE_TOKENS = 200
"""What another choice of tools may add to those instructions. Anthropic documents up to 76."""

CLOSING_TOKENS = 600
"""What is said to a model when its last answer is asked for, and the other choice of tools that goes with it."""

IMAGE_TOKENS = 10_000
"""A picture, however large. Vendors scale it down first, and then count at most some 5,000."""

DEAR_IMAGE_TOKENS = 50_000
"""The same for gpt-4o-mini, which counts up to 48,169: it wants the price of a picture to be gpt-4o's."""

MEDIA_TOKENS = 10_000
"""The least for a document, sound or film, however few bytes it has."""

DOCUMENT_TOKENS_PER_BYTE = 3
"""A PDF is compressed, and its pages count as text and as pictures: up to some 3,000 tokens for each 1,000 bytes."""

URL_TOKENS = 200_000
"""A document, sound or film that the vendor fetches: as much as most models take in at all."""


def most_input(request: CompletionRequest, model: str) -> int:
    """The most input tokens that a request can have with a model."""
    total = REQUEST_TOKENS + size(request.system) + most_of(request.messages, model)
    if request.tools or request.server_tools:
        total += TOOLS_TOKENS
        total += sum(
            size(spec.name) + size(spec.description) + size(spec.input_schema) + _hidden(spec)
            for spec in request.tools
        )
        total += sum(size(spec.name) + size(spec.options) + AROUND for spec in request.server_tools)
    return total + (TOOLS_TOKENS + size(request.output_schema) if request.output_schema is not None else 0)


def _hidden(spec: ToolSpec) -> int:
    # What a vendor tells its models of a tool that it knows by itself, nobody is shown: Anthropic's take up to 700.
    return AROUND + (NATIVE_TOKENS if spec.native else 0)


def most_of(messages: tuple[Message, ...], model: str) -> int:
    """The most tokens that these messages can be with a model."""
    return sum(
        AROUND + sum(AROUND + _block(block, model) for block in message.content) for message in messages
    )


def _block(block: Block, model: str) -> int:
    match block:
        case Text():
            return size(block.text) + size(block.citations or None) + size(block.extra)
        case Thinking():
            return size(block.text) + size(block.signature) + size(block.redacted) + size(block.extra)
        case ToolUse():
            given = block.input if block.invalid_input is None else block.invalid_input
            return size(block.id) + size(block.name) + size(given) + size(block.extra)
        case ToolResult():
            return size(block.tool_use_id) + _content(block.content, model)
        case Image():
            return DEAR_IMAGE_TOKENS if "4o-mini" in model else IMAGE_TOKENS
        case Document() | Audio() | Video():
            return size(block.title) + _media(block)
        case Opaque():
            return size(block.raw)
        case ServerToolUse():
            return size(block.name) + size(block.input) + size(block.extra)
        case ServerToolResult():
            return size(block.content) + size(block.extra)


def _content(content: str | tuple[ResultBlock, ...], model: str) -> int:
    return (
        size(content) if isinstance(content, str) else sum(AROUND + _block(part, model) for part in content)
    )


def _media(media: Document | Audio | Video) -> int:
    if media.data is None:
        return URL_TOKENS
    if media.media_type.startswith("text/"):
        return len(media.data)
    each = DOCUMENT_TOKENS_PER_BYTE if isinstance(media, Document) else 1
    return max(each * len(media.data), MEDIA_TOKENS)


def size(value: Any) -> int:
    """Bytes of a text, or of a value as JSON that is escaped, for so a vendor may show it to a model."""
    if value is None:
        return 0
    if not isinstance(value, str):
        value = json.dumps(value, skipkeys=True, default=str)
    # Asking whether it is ASCII costs nothing, encoding a copy.
    return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
