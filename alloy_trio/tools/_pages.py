"""A text file as pages: lines counted from 1, as many as a model can take at once, and how to go on.

A file may have ten million lines or one of a gigabyte. Lines that are not shown are counted as bytes, not read as
text, and what lies behind the page is counted only where that is quick. Memory is bounded by the page.
"""

from __future__ import annotations

import codecs
from typing import IO

from alloy_trio.values import ToolError

from ._threads import stop_if_cancelled

PAGE_CHARS = 40_000
"""Characters of text that one page has at most, some 10,000 tokens."""

SEARCHED_BYTES = 1 << 33
"""Bytes that are looked through for the line where a page begins; some seconds when they are in memory."""

COUNTED_BYTES = 1 << 26
"""Bytes behind a page in which lines are still counted, only to say how many there are."""

_CHUNK = 1 << 18
_WINDOW = 4 * PAGE_CHARS + 4  # as UTF-8, a page and a character more


def page(file: IO[bytes], size: int, first: int, limit: int | None, skip: int) -> str:
    """One page of a text.

    Args:
        file: as UTF-8, at its beginning.
        size: how many bytes of it to look at; it may grow meanwhile.
        first: the line that it begins with.
        limit: how many lines to show at most; as many as fit if None.
        skip: bytes of the first line to leave out.

    Raises:
        ToolError: there is no such line, or not so much of it.
    """
    if size == 0:
        return "(the file is empty)"
    start = _start_of(file, size, first)
    if skip:
        _check_skip(file, size, start, first, skip)
    start += skip
    file.seek(start)
    raw = file.read(min(_WINDOW, size - start))
    if not raw:
        return "(the file is empty)"  # it has become so just now
    part = _Part(raw, first, skip, whole=start + len(raw) >= size)
    if skip:
        part.at = _boundary(raw)
    elif start == 0 and raw.startswith(codecs.BOM_UTF8):
        part.at = len(codecs.BOM_UTF8)
    while part.at < len(raw) and (limit is None or len(part.lines) < limit) and part.take():
        pass
    return part.text(file, start, size)


class _Part:
    """What of a window of bytes is shown."""

    def __init__(self, raw: bytes, first: int, skip: int, *, whole: bool) -> None:
        self.lines: list[str] = []
        self.at = 0
        self._raw = raw
        self._first = first
        self._skip = skip
        self._whole = whole
        self._room = PAGE_CHARS
        self._damaged = False
        self._cut = False

    def take(self) -> bool:
        """Show the next line; False if the page is full."""
        end = self._raw.find(b"\n", self.at)
        complete = end >= 0 or self._whole
        piece = self._raw[self.at : end if end >= 0 else len(self._raw)]
        line = self._decoded(piece).removesuffix("\r")
        if complete and len(line) <= self._room:
            self.lines.append(line)
            self._room -= len(line) + 1
            self.at = end + 1 if end >= 0 else len(self._raw)
            return True
        if not self.lines:
            # Where the page ends in it is told by bytes that are not text, each of which counts by itself.
            shown = piece.decode("utf-8", "surrogateescape")[:PAGE_CHARS].encode("utf-8", "surrogateescape")
            self.lines.append(self._decoded(shown))
            self.at += len(shown)
            self._cut = True
        return False

    def text(self, file: IO[bytes], start: int, size: int) -> str:
        """The page, with notes about what is not shown."""
        last = self._first + len(self.lines) - 1
        position = start + self.at
        if self._cut:
            file.seek(position)
            rest, ended = _rest_of_line(file, size - position)
            more = str(rest) if ended else f"more than {rest}"
            self.lines[-1] += (
                f" [... {more} bytes of this line are not shown; go on in it with "
                f"offset={last}, skip={self._skip + self.at}]"
            )
            position = min(position + rest + 1, size) if ended else position + rest
        text = "\n".join(self.lines)
        if self._damaged:
            text += "\n[what is not UTF-8 in it is shown as \ufffd]"
        if position >= size:
            if self._first == 1 and not self._skip:
                return text
            return f"{text}\n[lines {self._first} to {last}, the end of the file]"
        total = f"a file of {size} bytes"
        if size - position <= COUNTED_BYTES:
            file.seek(position)
            total = str(last + _lines_in(file, size - position))
        return f"{text}\n[lines {self._first} to {last} of {total}; go on with offset={last + 1}]"

    def _decoded(self, piece: bytes) -> str:
        try:
            return piece.decode()
        except UnicodeDecodeError:
            self._damaged = True
            return piece.decode("utf-8", "replace")


def _start_of(file: IO[bytes], size: int, line: int) -> int:
    """Where a line begins."""
    position, passed, last = 0, 0, b""
    while passed < line - 1 and position < size:
        if position > SEARCHED_BYTES:
            raise ToolError(
                f"line {line} is not within the first {SEARCHED_BYTES} bytes of the file; look for it with grep"
            )
        stop_if_cancelled()
        chunk = file.read(min(_CHUNK, size - position))
        if not chunk:
            break  # it has become shorter
        found = chunk.count(b"\n")
        if passed + found >= line - 1:
            position += len(chunk) - len(chunk.split(b"\n", line - 1 - passed)[-1])
            passed, last = line - 1, b"\n"
        else:
            position += len(chunk)
            passed, last = passed + found, chunk[-1:]
    if passed < line - 1 or position >= size:
        count = passed + (last != b"\n")
        raise ToolError(f"there is no line {line}; the file has {count} line{'s' * (count != 1)}")
    return position


def _check_skip(file: IO[bytes], size: int, start: int, line: int, skip: int) -> None:
    file.seek(start)
    length, _ = _rest_of_line(file, min(size - start, skip + 1), bounded=False)
    if length <= skip:
        raise ToolError(f"line {line} has {length} bytes, so there is nothing behind skip={skip}")


def _rest_of_line(file: IO[bytes], left: int, *, bounded: bool = True) -> tuple[int, bool]:
    """How many bytes there are up to the end of the line, and whether that is where it ends."""
    length = 0
    while length < left:
        if bounded and length >= COUNTED_BYTES:
            return length, False
        stop_if_cancelled()
        chunk = file.read(min(_CHUNK, left - length))
        if not chunk:
            break
        at = chunk.find(b"\n")
        if at >= 0:
            return length + at, True
        length += len(chunk)
    return length, True


def _lines_in(file: IO[bytes], left: int) -> int:
    count, last = 0, b"\n"
    while left > 0:
        stop_if_cancelled()
        chunk = file.read(min(_CHUNK, left))
        if not chunk:
            break
        left -= len(chunk)
        count += chunk.count(b"\n")
        last = chunk[-1:]
    return count + (last != b"\n")


def _boundary(raw: bytes) -> int:
    """Where the next character begins: a character has up to three bytes more after its first one."""
    return next((at for at, byte in enumerate(raw[:4]) if byte & 0xC0 != 0x80), 0)
