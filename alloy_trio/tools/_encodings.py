"""How the bytes of a text file become text, and bytes again that are the same where nothing changed."""

from __future__ import annotations

import codecs
import io
from typing import IO

import attrs

from alloy_trio.values import ToolError

UTF_16_BYTES = 20_000_000
"""A file in UTF-16 that is shown is made into UTF-8 in memory, several times over."""

_UTF_16 = {codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}


def is_utf_16(head: bytes) -> bool:
    """Whether a file begins with the mark of UTF-16."""
    return head[:2] in _UTF_16


def as_utf_8(file: IO[bytes], size: int, path: str) -> tuple[IO[bytes], int]:
    """A file in UTF-16 as UTF-8, with its size.

    Raises:
        ToolError: it is too large for that.
    """
    if size > UTF_16_BYTES:
        raise ToolError(
            f"{path} is UTF-16 of {size} bytes, and {UTF_16_BYTES} of it can be shown at most; make it UTF-8 first"
        )
    data = file.read(size).decode("utf-16", "replace").encode()
    return io.BytesIO(data), len(data)


@attrs.frozen
class Encoded:
    """The text of a file, with what it takes to write it again.

    Bytes that are no text stand in it as halves of surrogate pairs, which no other text has.
    """

    text: str
    _codec: str = "utf-8"
    _mark: bytes = b""
    damaged_at: int | None = None

    @classmethod
    def of(cls, raw: bytes, path: str) -> Encoded:
        """Read a file's content.

        Raises:
            ToolError: it is not text.
        """
        mark = raw[:2]
        if mark in _UTF_16:
            try:
                return cls(raw[2:].decode(_UTF_16[mark]), _UTF_16[mark], mark)
            except UnicodeDecodeError as exc:
                raise ToolError(
                    f"{path} begins as UTF-16 but is not (byte {exc.start + 2}), so it is left as it is"
                ) from None
        try:
            return cls(raw.decode())
        except UnicodeDecodeError as exc:
            if b"\0" in raw:
                raise ToolError(f"{path} is not text, so it is left as it is") from None
            return cls(raw.decode("utf-8", "surrogateescape"), damaged_at=exc.start)

    def bytes_of(self, text: str) -> bytes:
        """Another text in the same encoding."""
        errors = "surrogateescape" if self.damaged_at is not None else "strict"
        return self._mark + text.encode(self._codec, errors)


def presentable(text: str) -> str:
    """A text of :class:`Encoded` for the model."""
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def checked(text: str, name: str) -> str:
    """A text that a model wrote.

    Raises:
        ToolError: it holds what no file can.
    """
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ToolError(
            f"character {exc.start} of {name} is half of a surrogate pair, which no file can hold"
        ) from None
    return text
