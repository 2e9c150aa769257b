"""The file tools: read, write and edit.

They are plain functions, so each call runs in a worker thread and a slow disk holds up nobody. What they open is
reached by a walk that does not leave the allowed directories (:mod:`._walk`), what they write takes the place of the
old file in one step (:mod:`._replacing`).
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from alloy_trio.values import Image, ToolError

from ._diff import diff
from ._edits import Change, Replacement, applied, changes_of, composed
from ._encodings import Encoded, as_utf_8, checked, is_utf_16, presentable
from ._opening import content_of, opened
from ._pages import PAGE_CHARS, page
from ._replacing import replace, status_of
from ._seen import HASHED_BYTES, check_unchanged, remember, turn
from ._tool import ToolContext, ToolOutput, tool
from ._walk import walked

MAX_IMAGE_BYTES = 5_000_000
"""The vendors' common limit for one picture."""

MAX_EDIT_BYTES = 20_000_000
"""A file that is edited is held in memory, several times over."""

MAX_EDITS = 100
"""Replacements of one call; each of them is one pass over the file."""

_SMALL = 1_000_000
_HEAD = 8192
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}


@tool(max_result_chars=PAGE_CHARS + 2_000)
def read(
    path: str,
    context: ToolContext,
    offset: int | None = None,
    limit: int | None = None,
    skip: int | None = None,
) -> ToolOutput:
    """Read a text file, or look at a picture (PNG, JPEG, GIF, WebP).

    A long file comes in pages: a note at the end says which lines were shown and how to go on.

    Args:
        path: the file, relative to the working directory or absolute
        offset: the first line to show, counted from 1; the beginning of the file if left out
        limit: how many lines to show at most; as many as fit if left out
        skip: how many bytes of the first line to leave out; only for going on in a line that is too long for one
            page, with the number from the note
    """
    first = 1 if offset is None else offset
    if first < 1 or (limit is not None and limit < 1) or (skip is not None and skip < 0):
        raise ToolError("offset and limit count lines, and start at 1; skip counts bytes, and starts at 0")
    with (
        _explained(path, "read"),
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


@tool(concurrent=False)
def write(path: str, content: str, context: ToolContext) -> str:
    """Write a text file. What was in it before is replaced; missing directories are made.

    Args:
        path: the file, relative to the working directory or absolute
        content: all of its new text
    """
    raw = checked(content, "content").encode()
    with _explained(path, "write"), walked(path, context, for_write=True) as place:
        if not place.names:
            raise ToolError(f"{path} is a directory, so it is left as it is")
        if path.endswith(("/", "/.")):
            raise ToolError(f"{path} ends like the name of a directory; name a file")
        name = place.names[-1]
        with turn(place), place.parent() as directory:
            old = status_of(name, directory, path)
            if old is not None:
                check_unchanged(
                    context, place, path, old, lambda: content_of(name, directory, path, HASHED_BYTES)
                )
            remember(context, place, replace(name, directory, raw, old, path), raw)
    lines = content.count("\n") + (not content.endswith("\n") and content != "")
    return f"{'Created' if old is None else 'Replaced'} {path}: {lines} lines, {len(content)} characters."


@tool(concurrent=False)
def edit(
    path: str,
    context: ToolContext,
    old: str | None = None,
    new: str | None = None,
    replace_all: bool = False,
    edits: list[Replacement] | None = None,
) -> ToolOutput:
    """Replace text in a file: one piece (old and new), or several at once (edits). The answer shows what changed.

    Args:
        path: the file, relative to the working directory or absolute
        old: the text to replace, exactly as it stands in the file, indentation included; it has to be there
            just once, so give enough of what is around it
        new: the text to put there
        replace_all: replace every place where old stands, instead of the only one
        edits: several replacements, instead of old and new; they are made in this order, all of them or none
    """
    wanted = _wanted(old, new, replace_all, edits)
    with _explained(path, "edit"), walked(path, context, for_write=True) as place, turn(place):
        with opened(place, path) as file:
            status = os.fstat(file.fileno())
            raw = file.read(MAX_EDIT_BYTES + 1)
        if len(raw) > MAX_EDIT_BYTES:
            raise ToolError(f"{path} has more than {MAX_EDIT_BYTES} bytes, too many to edit")
        check_unchanged(context, place, path, status, lambda: raw)
        name = place.names[-1]
        before = Encoded.of(raw, path)
        changes, text, count = _changed(before, wanted, path)
        shown = presentable(diff(before.text, changes, path))
        status_of(name, place.directory, path)
        content = before.bytes_of(text)
        remember(context, place, replace(name, place.directory, content, status, path), content)
    places = "1 place" if count == 1 else f"{count} places"
    return ToolOutput(f"Edited {path} in {places}:\n{shown}", {"replaced": count})


def _wanted(
    old: str | None, new: str | None, replace_all: bool, edits: list[Replacement] | None
) -> list[Replacement]:
    if edits:
        if old or new:
            raise ToolError("old and new are given, and edits too; give one of both")
        if len(edits) > MAX_EDITS:
            raise ToolError(f"these are {len(edits)} edits, and one call may have {MAX_EDITS}")
        wanted = edits
    elif old is None or new is None:
        raise ToolError('give old and new, or edits; to delete text, give new as ""')
    else:
        wanted = [Replacement(old, new, replace_all)]
    for each in wanted:
        if not each.old:
            raise ToolError("old is empty, so there is no place to edit; give text of the file, or use write")
        checked(each.old, "old")
        checked(each.new, "new")
    return wanted


def _changed(before: Encoded, wanted: list[Replacement], path: str) -> tuple[list[Change], str, int]:
    """What the replacements change, the text after them, and at how many places."""
    changes: list[Change] = []
    text, count = before.text, 0
    for number, each in enumerate(wanted, 1):
        which = "" if len(wanted) == 1 else f"edit {number} of {len(wanted)}: "
        if before.damaged_at is not None and not each.new.isascii():
            raise ToolError(
                f"{which}{path} is not UTF-8 text (byte {before.damaged_at}), so only ASCII can be put into it; "
                "nothing was changed"
            )
        try:
            found = changes_of(text, each.old, each.new, everywhere=each.replace_all, path=path)
        except ToolError as exc:
            raise ToolError(f"{which}{presentable(str(exc))}") from None
        changes = composed(len(before.text), changes, found) if changes else found
        text = applied(text, found)
        count += len(found)
    if text == before.text:
        raise ToolError("the edits undo each other, so nothing would change")
    return changes, text, count


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
def _explained(path: str, verb: str) -> Iterator[None]:
    """Turn what the operating system says into words for the model."""
    try:
        yield
    except OSError as exc:
        why = os.strerror(exc.errno) if exc.errno else str(exc)
        hint = "; it is a link" if exc.errno == errno.ELOOP else ""
        raise ToolError(f"cannot {verb} {path}: {why}{hint}") from exc
