"""What the tool read does: a page of text, or a picture.

What is opened is reached by a walk that does not leave the allowed directories (:mod:`._walk`).
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from alloy_trio.values import Image, ToolError

from ._encodings import as_utf_8, is_utf_16
from ._opening import opened
from ._pages import page
from ._seen import remember
from ._tool import ToolContext, ToolOutput
from ._walk import walked

MAX_IMAGE_BYTES = 5_000_000
"""The vendors' common limit for one picture."""

_SMALL = 1_000_000
_HEAD = 8192
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


def read_file(
    path: str, context: ToolContext, offset: int | None, limit: int | None, skip: int | None
) -> ToolOutput:
    """See :func:`alloy_trio.tools.read`.

    Raises:
        ToolError: with words for the model.
    """
    first = 1 if offset is None else offset
    if first < 1 or (limit is not None and limit < 1) or (skip is not None and skip < 0):
        raise ToolError("offset and limit count lines, and start at 1; skip counts bytes, and starts at 0")
    with (
        explained(path, "read"),
        walked(path, context, for_write=False) as place,
        opened(place, path) as file,
    ):
        status = os.fstat(file.fileno())
        size = status.st_size
        content = file.read(_SMALL + 1) if size <= _SMALL else None
        if content is not None and len(content) > _SMALL:
            content = None  # it grows while it is read
            file.seek(0)
        remember(context, place, status, content)
        source: IO[bytes] = file if content is None else io.BytesIO(content)
        head = source.read(_HEAD)
        kind = _picture(head)
        if kind is not None:
            return _image(source, head, kind, path)
        source.seek(0)
        if content is not None:
            size = len(content)
        if is_utf_16(head):
            source, size = as_utf_8(source, size, path)
        elif b"\0" in head:
            raise ToolError(
                f"{path} is not text ({size} bytes with NUL among them); read shows text and pictures"
            )
        return ToolOutput(page(source, size, first, limit, skip or 0))


def _picture(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _IMAGES.items() if head.startswith(magic)), None)


def _image(file: IO[bytes], head: bytes, kind: str, path: str) -> ToolOutput:
    data = head + file.read(MAX_IMAGE_BYTES + 1 - len(head))
    if len(data) > MAX_IMAGE_BYTES:
        raise ToolError(f"{path} is a picture of more than {MAX_IMAGE_BYTES} bytes, too large to look at")
    return ToolOutput(f"{path} ({kind}, {len(data)} bytes)", blocks=(Image(kind, data),))


@contextmanager
def explained(path: str, verb: str) -> Iterator[None]:
    """Turn what the operating system says into words for the model."""
    try:
        yield
    except OSError as exc:
        why = os.strerror(exc.errno) if exc.errno else str(exc)
        hint = "; it is a link" if exc.errno == errno.ELOOP else ""
        raise ToolError(f"cannot {verb} {path}: {why}{hint}") from exc
