"""The file tools: read, write and edit.

They are plain functions, so each call runs in a worker thread and a slow disk holds up nobody. Writing goes
to a new file beside the old one, which then takes its place in one step: a reader sees the old text or
the new, a full disk or a kill harms neither, and another name of the same file keeps its bytes.
"""

from __future__ import annotations

import codecs
import errno
import functools
import operator
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from alloy_trio.values import Image, ToolError

from ._edits import applied, changes_of, diff
from ._paths import check, resolve
from ._problems import close_match
from ._threads import stop_if_cancelled
from ._tool import ToolContext, ToolOutput, tool

READ_CHARS = 40_000
"""Characters of text that one read returns at most, some 10,000 tokens; the rest is read page by page."""

MAX_IMAGE_BYTES = 5_000_000
"""The vendors' common limit for one picture."""

MAX_EDIT_BYTES = 20_000_000
"""A file that is edited is held in memory, several times over."""

MAX_READ_CHARS = 200_000_000
"""A file is read through to count its lines; beyond this, that takes too long."""

_CHUNK = 1 << 16
_LISTED = 50
_IMAGES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@tool(max_result_chars=READ_CHARS + 2_000)
def read(path: str, context: ToolContext, offset: int | None = None, limit: int | None = None) -> ToolOutput:
    """Read a text file, or look at a picture (PNG, JPEG, GIF, WebP).

    A long file comes in pages: a note at the end says which lines were shown and how to go on.

    Args:
        path: the file, relative to the working directory or absolute
        offset: the first line to show, counted from 1; the beginning of the file if left out
        limit: how many lines to show at most; as many as fit if left out
    """
    first = 1 if offset is None else offset
    if first < 1 or (limit is not None and limit < 1):
        raise ToolError("offset and limit count lines, and start at 1")
    resolved = resolve(path, context, for_write=False)
    with _explained(path, "read"), _opened(resolved, path, context) as file:
        head = file.read(8192)
        kind = _picture(head)
        if kind is not None:
            return _image(file, head, kind, path)
        encoding = next((name for bom, name in _BOMS.items() if head.startswith(bom)), "utf-8")
        if b"\0" in head and encoding != "utf-16":
            size = os.fstat(file.fileno()).st_size
            raise ToolError(
                f"{path} is not text ({size} bytes with NUL among them); read shows text and pictures"
            )
        file.seek(0)
        return ToolOutput(_page(_decoded(file, encoding), first, limit))


@tool(concurrent=False)
def write(path: str, content: str, context: ToolContext) -> str:
    """Write a text file. What was in it before is replaced; missing directories are made.

    Args:
        path: the file, relative to the working directory or absolute
        content: all of its new text
    """
    resolved = resolve(path, context, for_write=True)
    with _explained(path, "write"):
        existed = resolved.exists()
        resolved.parent.mkdir(parents=True, exist_ok=True)
        _replace(resolved, path, _encoded(content))
    lines = content.count("\n") + (not content.endswith("\n") and content != "")
    return f"{'Replaced' if existed else 'Created'} {path}: {lines} lines, {len(content)} characters."


@tool(concurrent=False)
def edit(path: str, old: str, new: str, context: ToolContext, replace_all: bool = False) -> ToolOutput:
    """Replace a piece of text in a file. The answer shows what changed.

    Args:
        path: the file, relative to the working directory or absolute
        old: the text to replace, exactly as it stands in the file, indentation included; it has to be there
            just once, so give enough of what is around it
        new: the text to put there
        replace_all: replace every place where old stands, instead of the only one
    """
    if not old:
        raise ToolError("old is empty, so there is no place to edit; give text of the file, or use write")
    resolved = resolve(path, context, for_write=True)
    with _explained(path, "edit"):
        with _opened(resolved, path, context) as file:
            if os.fstat(file.fileno()).st_size > MAX_EDIT_BYTES:
                raise ToolError(f"{path} has more than {MAX_EDIT_BYTES} bytes, too many to edit")
            raw = file.read()
        try:
            before = raw.decode()
        except UnicodeDecodeError as exc:
            raise ToolError(f"{path} is not UTF-8 text (byte {exc.start}), so it is left as it is") from None
        changes = changes_of(before, old, new, everywhere=replace_all, path=path)
        shown = diff(before, changes, path)
        _replace(resolved, path, _encoded(applied(before, changes)))
    places = "1 place" if len(changes) == 1 else f"{len(changes)} places"
    return ToolOutput(f"Edited {path} in {places}:\n{shown}", {"replaced": len(changes)})


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise ToolError(
            f"character {exc.start} is half of a surrogate pair, which no file can hold"
        ) from None


def _decoded(file: IO[bytes], encoding: str) -> Iterator[str]:
    """The text in chunks. What is no text is replaced, also a character that the end of the file cuts."""
    decode = codecs.getincrementaldecoder(encoding)("replace").decode
    while raw := file.read(_CHUNK):
        stop_if_cancelled()
        yield decode(raw)
    yield decode(b"", True)


def _page(chunks: Iterator[str], first: int, limit: int | None) -> str:
    shown: list[str] = []
    room = READ_CHARS
    number = 0
    more = False
    for number, (line, length) in enumerate(_lines(chunks), 1):
        if number < first:
            continue
        if more or (limit is not None and number >= first + limit) or (shown and length >= room):
            more = True
            continue
        if length >= room:
            line = f"{line[:room]} [... {length - room} characters of this line are not shown]"
        shown.append(line)
        room -= len(line) + 1
    if number == 0:
        return "(the file is empty)"
    if not shown:
        raise ToolError(f"there is no line {first}; the file has {number} lines")
    text = "\n".join(shown)
    last = first + len(shown) - 1
    if more:
        return f"{text}\n[lines {first} to {last} of {number}; go on with offset={last + 1}]"
    return text if first == 1 else f"{text}\n[lines {first} to {last}, the end of the file]"


def _lines(chunks: Iterator[str]) -> Iterator[tuple[str, int]]:
    """Lines as they end in ``\\n``: not at a form feed or U+2028, where str.splitlines would cut too.

    Each with its length, and of its text no more than a page can show: a file may be one line.
    """
    kept, length, read = "", 0, 0
    for chunk in chunks:
        read += len(chunk)
        if read > MAX_READ_CHARS:
            raise ToolError(
                f"the file has more than {MAX_READ_CHARS} characters; look for what you need with grep"
            )
        first, *others = chunk.split("\n")
        kept += first[: READ_CHARS + 1 - len(kept)] if len(kept) <= READ_CHARS else ""
        length += len(first)
        for other in others:
            yield kept.removesuffix("\r"), length
            kept, length = other[: READ_CHARS + 1], len(other)
    if length:
        yield kept.removesuffix("\r"), length


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
def _opened(resolved: Path, path: str, context: ToolContext) -> Iterator[IO[bytes]]:
    """Open a regular file for reading. Nothing else: a pipe or a device could block, or have no end."""
    try:
        # O_NONBLOCK: opening a pipe would wait for its writer before we could see that it is one.
        number = os.open(resolved, _flags("O_RDONLY", "O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW", "O_BINARY"))
    except FileNotFoundError:
        raise ToolError(f"{path} is not there{_similar(resolved, context)}") from None
    try:
        mode = os.fstat(number).st_mode
        if stat.S_ISDIR(mode):
            raise ToolError(f"{path} is a directory; {_listing(resolved)}")
        if not stat.S_ISREG(mode):
            raise ToolError(f"{path} is not a regular file but a device, pipe or socket, which is not opened")
        with open(number, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(number)


def _similar(resolved: Path, context: ToolContext) -> str:
    parent = resolved.parent
    try:
        check(parent, str(parent), context)
    except ToolError:
        return ""  # one file is allowed, not what lies beside it
    if not parent.is_dir():
        return "; neither is the directory that it should be in"
    match = close_match(resolved.name, [each.name for each in parent.iterdir()])
    return f"; did you mean {match}?" if match else f"; {_listing(parent)}"


def _listing(directory: Path) -> str:
    names = sorted(f"{each.name}/" if each.is_dir() else each.name for each in directory.iterdir())
    if not names:
        return "the directory is empty"
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"the directory holds {', '.join(names[:_LISTED])}{more}"


def _replace(resolved: Path, path: str, content: bytes) -> None:
    """Put a new file in the place of the old one, in one step, with the old one's mode and owner."""
    old = resolved.stat() if resolved.exists() else None
    if old is not None and not stat.S_ISREG(old.st_mode):
        kind = "a directory" if stat.S_ISDIR(old.st_mode) else "no regular file"
        raise ToolError(f"{path} is {kind}, so it is left as it is")
    if old is not None and not _may_be_written(resolved, old):
        mode = f"{stat.S_IMODE(old.st_mode):04o}"
        raise ToolError(f"{path} is protected against writing (mode {mode}), so it is left as it is")
    temporary = resolved.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with open(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb"
        ) as file:
            if old is not None:
                _take_over(file.fileno(), old)
            file.write(content)
            file.flush()
            # Without it, a crash of the machine may leave the new name with no bytes in it.
            os.fsync(file.fileno())
        os.replace(temporary, resolved)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _may_be_written(resolved: Path, old: os.stat_result) -> bool:
    """Whether the file itself may be written: to replace it, its directory's rights would be enough."""
    # Root may write anything; that somebody took all rights to write away still means something.
    if not old.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        return False
    return os.access(resolved, os.W_OK, effective_ids=os.access in os.supports_effective_ids)


def _flags(*names: str) -> int:
    """Flags for os.open: those of them that this platform has."""
    return functools.reduce(operator.or_, (getattr(os, name, 0) for name in names))


def _take_over(number: int, old: os.stat_result) -> None:
    if not hasattr(os, "fchown"):
        return  # Windows: a new file has its directory's rights
    new = os.fstat(number)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(number, old.st_uid, old.st_gid)
        except PermissionError:
            # Only root may give files away; somebody else's file that we may replace becomes ours.
            pass
    os.fchmod(number, stat.S_IMODE(old.st_mode))


@contextmanager
def _explained(path: str, verb: str) -> Iterator[None]:
    """Turn what the operating system says into words for the model."""
    try:
        yield
    except OSError as exc:
        why = os.strerror(exc.errno) if exc.errno else str(exc)
        hint = "; it is a link" if exc.errno == errno.ELOOP else ""
        raise ToolError(f"cannot {verb} {path}: {why}{hint}") from exc
