"""Output of one command while it comes in: shown, kept as a head and a tail, and put into a file when it is long.

Memory is bounded, whatever comes: what is shown has a limit, head and tail are small, and the file is written in
batches by a worker thread that is waited for, so that a command which is faster than the disk waits for it.
"""

from __future__ import annotations

import codecs
import os
import re
from typing import BinaryIO

import trio

from ._belongings import Belongings
from ._limit import Limit
from ._long_results import MAX_LINE_CHARS, broken
from ._plain import CUT_NOTE
from ._tool import ToolContext

PROGRESS_CHARS = 200_000
"""Characters of output that one call shows as progress; a command that never stops talking fills no log."""

MAX_FILE_BYTES = 50_000_000
"""Bytes of one call's output that are put into a file; arbitrary, more than a model pages through."""

MAX_KEPT_BYTES = 500_000_000
"""Bytes that all calls of one run or agent put into files: the private directory may lie in memory."""

BATCH_CHARS = 1 << 18
"""Characters that are written at once. Up to 16 bytes of memory each, until they are on the disk."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_VISIBLE = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), *range(127, 160))} | {13: "\\r"}


def visible(text: str) -> str:
    """A text whose control characters are to be seen: escape sequences as ``\\x1b[31m``, CRLF as a line end.

    They would move the cursor of a person's terminal, and tell a model nothing when they are dropped.
    """
    if "\r\n" in text:
        text = text.replace("\r\n", "\n")
    return text.translate(_VISIBLE) if _CONTROL.search(text) else text


class Output:
    """The output of one call.

    Args:
        room: characters of head and tail together.
        context: the call's; None to show nothing and to keep no file.
        limit: the call's, which stands still while somebody else is waited for.
        stem: what the file is named after.
    """

    def __init__(self, room: int, context: ToolContext | None, limit: Limit, stem: str = "bash") -> None:
        self.limit = limit
        self._context = context
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._carriage = ""
        self._room = room
        self._tail_room = room // 3
        self._head_room = room - self._tail_room
        self._head = ""
        self._tail = ""
        self._count = 0
        belongings = None if context is None else context.belongings
        self._file = None if belongings is None else _File(belongings, stem)

    async def feed(self, chunk: bytes) -> None:
        """Take what came.

        *Backpressure*: waits for whoever reads the run's events, which does not count as time of the call, and for
        the disk, which does.
        """
        await self._take(self._decode(chunk))

    async def end(self) -> str:
        """What was kept. Ends the output: a character that is not whole by now never will be."""
        await self._take(self._decode(b"", True), last=True)
        if self._file is not None:
            await self._file.end()
        # Where nothing else was wanted, the tail is still as it came.
        self._tail = visible(self._tail)[-self._tail_room :] if self._tail_room else ""
        note = CUT_NOTE.format(count=self.missing, where=self._where()) if self.missing else ""
        return f"{self._head}{note}{self._tail}"

    def close(self) -> None:
        """Close what is open, also in a call that is cancelled. Twice is once."""
        if self._file is not None:
            self._file.close()

    @property
    def missing(self) -> int:
        """Characters that were cut out of the middle."""
        return self._count - len(self._head) - len(self._tail)

    async def _take(self, text: str, *, last: bool = False) -> None:
        text = self._carriage + text
        self._carriage = ""
        file = self._file
        keeping = file is not None and not file.is_full
        if keeping or self._count <= max(PROGRESS_CHARS, self._room):
            if text.endswith("\r") and not last:
                text, self._carriage = text[:-1], "\r"
            text = visible(text)
        if keeping and file is not None and self._count + len(text) > self._room:
            # Up to here nothing was cut, so head and tail are all of it.
            file.add(text if self._count > self._room else f"{self._head}{self._tail}{text}")
        shown = text[: max(PROGRESS_CHARS - self._count, 0)]
        self._count += len(text)
        room = self._head_room - len(self._head)
        self._head += text[:room]
        if self._tail_room:
            self._tail = (self._tail + text[room:])[-self._tail_room :]
        if shown and self._context is not None:
            with self.limit.paused():
                await self._context.progress(shown)
        if file is not None and file.has_batch:
            await file.write()

    def _where(self) -> str:
        # The first line that is not shown whole, as the file counts them.
        return "" if self._file is None else self._file.where(broken(self._head).count("\n") + 1)


class _Room:
    """How many bytes one run or agent may still put into files, and the one thread that does."""

    def __init__(self) -> None:
        self.left = MAX_KEPT_BYTES
        self.limiter = trio.CapacityLimiter(1)

    async def aclose(self) -> None:
        """Nothing is open: the files go with the directory."""
        await trio.lowlevel.checkpoint()


class _File:
    """A file of the private directory. What goes wrong with it goes wrong with no call: it is told in its note."""

    def __init__(self, belongings: Belongings, stem: str) -> None:
        self._directory = belongings.private
        self._room = belongings.setdefault("bash output", _Room)
        self._stem = stem
        self._file: BinaryIO | None = None
        self._name = ""
        self._pending: list[str] = []
        self._pending_chars = 0
        self._written = 0
        self._column = 0
        self._has_long_line = False
        self._problem = ""
        self.is_full = False

    @property
    def has_batch(self) -> bool:
        return self._pending_chars >= BATCH_CHARS

    def add(self, text: str) -> None:
        """Have a text written with the next batch."""
        self._pending.append(text)
        self._pending_chars += len(text)

    async def write(self) -> None:
        """Write what is pending.

        *Cancellation*: is met before; a batch that was begun is written.
        """
        pending, self._pending, self._pending_chars = self._pending, [], 0
        if not self.is_full:
            await trio.to_thread.run_sync(self._write, pending, limiter=self._room.limiter)

    async def end(self) -> None:
        if self._pending:
            await self.write()
        self.close()

    def close(self) -> None:
        file, self._file = self._file, None
        if file is None:
            return
        try:
            file.close()  # unbuffered in effect: batches are larger than its buffer, and flushed
        except OSError as exc:
            self._fail(exc)

    def where(self, line: int) -> str:
        """Words for the place where the middle is missing."""
        if self._problem:
            return f"; they could not be kept ({self._problem})"
        if not self._written:
            return ""
        what = f"the first {self._written} bytes of all are" if self.is_full else "all of it is"
        long = f", lines broken after {MAX_LINE_CHARS} characters" if self._has_long_line else ""
        return f"; {what} in {self._name}{long}: call read with this path and offset={line}"

    def _write(self, pending: list[str]) -> None:
        content = self._broken("".join(pending)).encode()
        left = min(MAX_FILE_BYTES - self._written, self._room.left)
        if len(content) > left:
            self.is_full = True
            content = content[:left].decode(errors="ignore").encode()  # no half character at the end
        try:
            if self._file is None:
                self._file = self._directory.create(self._stem)
                self._name = self._file.name
            self._file.write(content)
            self._file.flush()
        except (OSError, ValueError) as exc:
            self._fail(exc)
        else:
            self._written += len(content)
            self._room.left -= len(content)

    def _fail(self, exc: OSError | ValueError) -> None:
        """Give up, and give the disk back what was taken of it."""
        self._problem = (isinstance(exc, OSError) and exc.strerror) or str(exc)
        self.is_full = True
        self._room.left += self._written
        self._written = 0
        self.close()
        if self._name:
            try:
                os.unlink(self._name)
            except OSError:
                pass  # it goes with its directory

    def _broken(self, text: str) -> str:
        """The text with lines of at most :data:`MAX_LINE_CHARS`, counted from batch to batch."""
        pieces: list[str] = []
        at, room = 0, MAX_LINE_CHARS - self._column
        while len(text) - at > room:
            found = text.rfind("\n", at, at + room + 1)
            if found < 0:
                self._has_long_line = True
                pieces.append(text[at : at + room] + "\n")
            else:
                pieces.append(text[at : found + 1])
            at = at + room if found < 0 else found + 1
            room, self._column = MAX_LINE_CHARS, 0
        rest = text[at:]
        line_end = rest.rfind("\n")
        self._column = self._column + len(rest) if line_end < 0 else len(rest) - line_end - 1
        return "".join([*pieces, rest])
