"""Opening a file that may be read, and what is told when it cannot be."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from alloy_trio.values import ToolError

from ._problems import close_match
from ._walk import Place, flags, shown

LISTED = 50
"""Names that a listing shows."""

LOOKED_AT = 10_000
"""Entries of a directory that are looked at for a listing."""

_READ = flags("O_RDONLY", "O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW", "O_NOCTTY")
_LIST = flags("O_RDONLY", "O_DIRECTORY", "O_CLOEXEC", "O_NOFOLLOW")


@contextmanager
def opened(place: Place, path: str) -> Iterator[IO[bytes]]:
    """Open a regular file. Nothing else: a pipe or a device could block, have no end, or do something.

    Raises:
        ToolError: it is no regular file; the text tells what there is instead.
        OSError: it cannot be opened.
    """
    if not place.names:
        raise ToolError(f"{path} is a directory; {_listing(place.directory)}")
    try:
        if len(place.names) > 1:
            raise FileNotFoundError
        # Before it is opened, since opening a device may already do something.
        _check_regular(os.stat(place.names[0], dir_fd=place.directory, follow_symlinks=False), path)
        file = _regular(place.names[0], place.directory, path)
    except FileNotFoundError:
        raise ToolError(f"{path} is not there{_similar(place)}") from None
    with file:
        yield file


def content_of(name: bytes, directory: int, path: str, limit: int) -> bytes | None:
    """What is in a regular file; None if it is more than a number of bytes, or may not be read."""
    try:
        file = _regular(name, directory, path)
    except PermissionError:
        return None
    with file:
        content = file.read(limit + 1)
    return None if len(content) > limit else content


def _regular(name: bytes, directory: int, path: str) -> IO[bytes]:
    number = os.open(name, _READ, dir_fd=directory)
    try:
        # It can be another file than it was; a pipe does no harm, since O_NONBLOCK does not wait for its writer.
        _check_regular(os.fstat(number), path)
        return open(number, "rb")
    except BaseException:
        os.close(number)
        raise


def _check_regular(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise ToolError(f"{path} is not a regular file but a device, pipe or socket, which is not opened")


def _similar(place: Place) -> str:
    if len(place.names) > 1:
        return "; neither is the directory that it should be in"
    if not place.open_to_view:
        return ""  # one file is allowed, not what lies beside it
    try:
        names, _ = _entries(place.directory)
    except PermissionError:
        return ""
    match = close_match(shown(place.names[0]), [name.removesuffix("/") for name in names])
    return f"; did you mean {match}?" if match else f"; {_listing(place.directory)}"


def _listing(directory: int) -> str:
    try:
        names, whole = _entries(directory)
    except PermissionError:
        return "it may not be listed"
    if not names:
        return "the directory is empty"
    more = len(names) - LISTED
    rest = "" if more <= 0 and whole else f" and {'' if whole else 'at least '}{max(more, 0)} more"
    return f"the directory holds {', '.join(names[:LISTED])}{rest}"


def _entries(directory: int) -> tuple[list[str], bool]:
    """Names in a directory, in order, directories with a slash; and whether they are all."""
    number = os.open(".", _LIST, dir_fd=directory)
    try:
        names: list[str] = []
        with os.scandir(number) as entries:
            for entry in entries:
                if len(names) == LOOKED_AT:
                    return sorted(names), False
                # A link to a directory gets no slash: to know it for one, it would have to be followed.
                slash = "/" if entry.is_dir(follow_symlinks=False) else ""
                names.append(shown(os.fsencode(entry.name)) + slash)
        return sorted(names), True
    finally:
        os.close(number)
