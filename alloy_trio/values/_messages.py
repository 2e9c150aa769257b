"""Messages and the blocks that they are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import attrs

from ._errors import ConfigurationError

Role: TypeAlias = Literal["user", "assistant"]


@attrs.frozen
class Origin:
    """The configured provider and model that made a message."""

    provider: str
    model: str


def _citations(citations: Iterable[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple(citations)


@attrs.frozen
class Text:
    """Text, from either side.

    Args:
        text: the words.
        citations: the vendor's own citation objects, as they came.
        extra: fields of the vendor's that must return to the origin with this block.
    """

    text: str
    citations: tuple[dict[str, Any], ...] = attrs.field(default=(), converter=_citations)
    extra: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class Thinking:
    """A model's reasoning.

    Args:
        text: readable reasoning or its summary; may be empty.
        signature: the vendor's proof or encrypted form, returned byte for byte to the origin only.
        redacted: reasoning that the vendor shows only encrypted.
        extra: fields of the vendor's that must return to the origin with this block.
    """

    text: str
    signature: str | None = None
    redacted: str | None = None
    extra: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class ToolUse:
    """The model asks for a tool call.

    Args:
        id: names the call; its result carries the same id.
        name: the tool.
        input: the decoded arguments; empty when ``invalid_input`` is set.
        invalid_input: the model's raw text when it was not a JSON object. Such a call never runs and is
            answered with an error result.
        extra: fields of the vendor's that must return to the origin with this block.
    """

    id: str
    name: str
    input: dict[str, Any]
    invalid_input: str | None = None
    extra: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class _Media:
    media_type: str
    data: bytes | None = None
    url: str | None = None
    title: str | None = None

    def __attrs_post_init__(self) -> None:
        if (self.data is None) == (self.url is None):
            raise ConfigurationError(
                f"{type(self).__name__} got {'neither data nor url' if self.data is None else 'data and url'}; "
                "give exactly one of them: data=<bytes> or url='https://…'"
            )


@attrs.frozen
class Image(_Media):
    """A picture, as bytes or by URL; ``media_type`` is like ``"image/png"``."""


@attrs.frozen
class Audio(_Media):
    """Sound, as bytes or by URL; ``media_type`` is like ``"audio/wav"``."""


@attrs.frozen
class Video(_Media):
    """A film, as bytes or by URL; ``media_type`` is like ``"video/mp4"``."""


@attrs.frozen
class Document(_Media):
    """A document, as bytes or by URL; ``media_type`` is like ``"application/pdf"`` or ``"text/plain"``."""


@attrs.frozen
class Opaque:
    """Something we do not know, kept as it came and returned only to its origin."""

    provider: str
    raw: dict[str, Any]


ResultBlock: TypeAlias = Text | Image | Document | Opaque


def _result_content(content: str | Iterable[ResultBlock]) -> str | tuple[ResultBlock, ...]:
    return content if isinstance(content, str) else tuple(content)


@attrs.frozen
class ToolResult:
    """The answer to one ToolUse, in a user message."""

    tool_use_id: str
    content: str | tuple[ResultBlock, ...] = attrs.field(converter=_result_content)
    is_error: bool = False

    @property
    def text(self) -> str:
        """The text parts, joined by newlines."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(block.text for block in self.content if isinstance(block, Text))


@attrs.frozen
class ServerToolUse:
    """A call that the vendor runs on its own side; we never answer it.

    ``extra`` is the wire's own object, which returns to the origin as it came.
    """

    id: str
    name: str
    input: dict[str, Any]
    extra: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class ServerToolResult:
    """What a vendor's own tool returned; ``content`` is the vendor's JSON.

    ``extra`` is the wire's own object, which returns to the origin as it came.
    """

    tool_use_id: str
    content: Any
    is_error: bool = attrs.field(default=False, kw_only=True)
    extra: dict[str, Any] | None = attrs.field(default=None, kw_only=True)


Block: TypeAlias = (
    Text
    | Thinking
    | ToolUse
    | ToolResult
    | ServerToolUse
    | ServerToolResult
    | Image
    | Audio
    | Video
    | Document
    | Opaque
)


def _content(content: str | Iterable[Block]) -> tuple[Block, ...]:
    return (Text(content),) if isinstance(content, str) else tuple(content)


@attrs.frozen
class Message:
    """One turn of a conversation.

    Args:
        role: ``"user"`` or ``"assistant"``.
        content: blocks; a plain str becomes one Text.
        origin: who made it; thinking, signatures and opaque blocks go back only there.

    Raises:
        ConfigurationError: the role is neither of the two.
    """

    role: Role
    content: tuple[Block, ...] = attrs.field(converter=_content)
    origin: Origin | None = None

    def __attrs_post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            raise ConfigurationError(
                f"a Message got the role {self.role!r}; use 'user' or 'assistant' "
                "(a system prompt is given as system_prompt=…)"
            )

    @classmethod
    def user(cls, content: str | Iterable[Block]) -> Message:
        """A message from the user's side."""
        return cls("user", content)

    @classmethod
    def assistant(cls, content: str | Iterable[Block]) -> Message:
        """A message from the model's side."""
        return cls("assistant", content)

    @property
    def text(self) -> str:
        """All Text blocks, joined as they stand."""
        return "".join(block.text for block in self.content if isinstance(block, Text))

    @property
    def tool_uses(self) -> tuple[ToolUse, ...]:
        """The calls that we have to answer."""
        return tuple(block for block in self.content if isinstance(block, ToolUse))
