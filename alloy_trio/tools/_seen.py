"""What a model has seen of files, so that it does not write over what it has not seen; and one writer at a time.

A file that was shown is remembered by size, time and inode, a small one also by its content. Other programs work in
the same directories: what they changed since then would be lost to a model that works from memory. A file that was
never shown is not protected: whoever edits it names what stands there, whoever writes it means to replace it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakValueDictionary

from alloy_trio.values import ToolError

from ._threads import stop_if_cancelled
from ._tool import ToolContext
from ._walk import Place

HASHED_BYTES = 20_000_000
"""Up to this size a file is known by its content too: the time of a file changes also where its text does not."""

REMEMBERED = 2_000
"""Files of which this is known; of more, the first ones are forgotten."""

_WAIT_SECONDS = 0.05
_guard = threading.Lock()


class _Turn:
    """A lock that a weak dictionary can hold."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


# Of the whole process: agents that share a directory also share its files.
_turns: WeakValueDictionary[object, _Turn] = WeakValueDictionary()


@contextmanager
def turn(place: Place) -> Iterator[None]:
    """Be the only one of this process who changes the file, until the end of the block."""
    status = os.fstat(place.directory)
    # Without regard to case: on some systems a.txt and A.TXT are one file, on the others this costs nothing.
    key = (status.st_dev, status.st_ino, b"/".join(place.names).lower())
    with _guard:
        mine = _turns.setdefault(key, _Turn())
    while not mine.lock.acquire(timeout=_WAIT_SECONDS):
        stop_if_cancelled()
    try:
        yield
    finally:
        mine.lock.release()


def digest(content: bytes) -> str:
    """A content in few characters."""
    import hashlib

    return hashlib.blake2b(content, digest_size=16).hexdigest()


def remember(context: ToolContext, place: Place, status: os.stat_result, content: bytes | None) -> None:
    """Note how a file looks that was shown or written.

    Args:
        context: keeps it, for the time of the run or agent.
        place: where the file is.
        status: of the file when it was opened.
        content: all of it, where that is at hand.
    """
    seen = _files(context)
    note = [*_stamp(status), None if content is None else digest(content)]
    with _guard:
        seen.pop(place.key, None)
        seen[place.key] = note
        while len(seen) > REMEMBERED:
            del seen[next(iter(seen))]


def check_unchanged(
    context: ToolContext,
    place: Place,
    path: str,
    status: os.stat_result,
    content: Callable[[], bytes | None],
) -> None:
    """Refuse to change a file that was changed by somebody else since it was shown.

    Args:
        context: knows what was shown.
        place: where the file is.
        path: as the model wrote it.
        status: of the file as it is now.
        content: gets all of it, or None if that cannot be.

    Raises:
        ToolError: it has changed.
    """
    note = _files(context).get(place.key)
    if note is None:
        return
    *stamp, known = note
    now = None if known is None else content()
    if (stamp != _stamp(status)) if now is None else (digest(now) != known):
        raise ToolError(
            f"{path} was changed by somebody else since you last saw it, so it is left as it is; read it again"
        )


def _files(context: ToolContext) -> dict[str, Any]:
    files: dict[str, Any] = context.state.setdefault("files", {})
    return files


def _stamp(status: os.stat_result) -> list[int]:
    return [status.st_size, status.st_mtime_ns, status.st_ino]
