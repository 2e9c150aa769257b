"""Where a result goes that is too long to show: a file in the run's private directory, which ``read`` opens."""

from __future__ import annotations

import os

import trio

from ._belongings import Belongings
from ._private import PrivateDirectory

MAX_FILE_CHARS = 20_000_000
"""Characters of one result that are kept; arbitrary, more than a model pages through."""

MAX_KEPT_BYTES = 500_000_000
"""Bytes of all results that one run or agent keeps: the private directory may lie in memory."""

MAX_LINE_CHARS = 10_000
"""Longer lines are broken in the file, so that ``read`` pages through it by lines alone; JSON is often a single one."""


class Spill:
    """Keeps the whole texts of one run's or agent's long results.

    Args:
        directory: where the files go.
    """

    def __init__(self, directory: PrivateDirectory) -> None:
        self._directory = directory
        self._room = MAX_KEPT_BYTES
        # One file at a time, and from a limiter of its own: the call may hold the last of the tools' threads.
        self._limiter = trio.CapacityLimiter(1)

    async def keep(self, stem: str, text: str) -> str:
        """Put a text into a file.

        Returns:
            The path, and what was done to the text.

        Raises:
            OSError: it cannot be written, or the room is used up.

        *Cancellation*: does not interrupt it; the writing is bounded by :data:`MAX_FILE_CHARS`.
        """
        path = ""
        with trio.CancelScope(shield=True):
            path = await trio.to_thread.run_sync(self._write, stem, text, limiter=self._limiter)
        return path

    async def aclose(self) -> None:
        """Nothing is open: the files go with the directory."""
        await trio.lowlevel.checkpoint()

    def _write(self, stem: str, text: str) -> str:
        whole = text[:MAX_FILE_CHARS]
        lines = broken(whole)
        content = lines.encode()
        if len(content) > self._room:
            raise OSError(f"the results that were kept before fill the {MAX_KEPT_BYTES} bytes that there are")
        try:
            file = self._directory.create(stem)
        except ValueError as exc:
            raise OSError(str(exc)) from exc
        try:
            with file:
                file.write(content)
        except OSError:
            os.unlink(file.name)
            raise
        self._room -= len(content)
        return file.name if lines is whole else f"{file.name}, lines broken after {MAX_LINE_CHARS} characters"


def broken(text: str) -> str:
    """A text whose lines have at most :data:`MAX_LINE_CHARS` characters."""
    if len(text) <= MAX_LINE_CHARS or max(map(len, text.split("\n"))) <= MAX_LINE_CHARS:
        return text
    return "\n".join(
        line[at : at + MAX_LINE_CHARS]
        for line in text.split("\n")
        for at in range(0, max(len(line), 1), MAX_LINE_CHARS)
    )


async def spilled(text: str, stem: str, shown: int, belongings: Belongings | None) -> str:
    """Keep a text that is too long, and say where.

    Args:
        text: all of it.
        stem: what the file is named after.
        shown: how many characters of it are shown.
        belongings: the run's; None where nothing can be kept.

    Returns:
        Words for the place where the middle is missing; empty when there is no place for it.
    """
    if belongings is None:
        return ""
    keeper = belongings.setdefault("spill", lambda: Spill(belongings.private))
    try:
        path = await keeper.keep(stem, text)
    except OSError as exc:
        return f"; they could not be kept ({exc.strerror or exc})"
    what = "all of it is" if len(text) <= MAX_FILE_CHARS else f"its first {MAX_FILE_CHARS} characters are"
    # The line from which on something is missing: half of what is shown is well before the cut.
    line = broken(text[: shown // 2]).count("\n") + 1
    return f"; {what} in {path}: call read with this path and offset={line}"
