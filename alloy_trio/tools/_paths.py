"""Containment of paths that are handed to other programs, and what every path has to be.

The path is resolved as the kernel would, links followed, before it is compared, and compared by whole
components: ``/allowed-evil`` is not inside ``/allowed``. Nothing is expanded or decoded: ``~``, ``%2e`` and a
backslash are names like others.

Another program opens the path by itself, so a directory that is swapped for a link after this check leads it
elsewhere. What the file tools open themselves is walked by descriptors instead (:mod:`._walk`).
"""

from __future__ import annotations

import os
from pathlib import Path

from alloy_trio.values import ToolError

from ._tool import ToolContext

MAX_COMPONENT_BYTES = 255
"""NAME_MAX of the common file systems."""

MAX_PATH_BYTES = 4095
"""Linux's PATH_MAX without the closing NUL."""


def resolve(path: str, context: ToolContext, *, for_write: bool) -> Path:
    """Resolve a path and check that it may be touched. Touches the disk, so call it in a thread.

    Args:
        path: as the model wrote it; relative to the working directory.
        context: says what is allowed.
        for_write: refuses the inside of ``.git`` too, whose files other programs run.

    Raises:
        ToolError: it may not be touched, or no such path can exist.
    """
    encoded(path)
    resolved = Path(os.path.realpath(os.path.join(context.working_directory, path)))
    check(resolved, path, context)
    if resolved.is_symlink():
        raise ToolError(f"{path} is a link that leads back to itself")
    if for_write and any(part.lower() == ".git" for part in resolved.parts):
        raise ToolError(f"{path} is inside of .git, where nothing is written; use git itself")
    return resolved


def check(resolved: Path, path: str, context: ToolContext) -> None:
    """Refuse a resolved path outside the allowed directories.

    Raises:
        ToolError: names the path as the model wrote it, and what is allowed.
    """
    if not any(resolved == root or root in resolved.parents for root in context.allowed_paths):
        raise outside(path, context)


def outside(path: str, context: ToolContext) -> ToolError:
    """The refusal of a path that leads out of what is allowed; it does not tell what is there."""
    allowed = ", ".join(map(str, context.allowed_paths)) or "no directory at all"
    return ToolError(f"{path} is outside of what may be touched ({allowed})")


def encoded(path: str) -> bytes:
    """A path as the system takes it.

    Raises:
        ToolError: no such path can exist.
    """
    if not path:
        raise ToolError("the path is empty; name a file")
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        raise ToolError(
            "the path holds half of a surrogate pair, which no file name can; write it again"
        ) from None
    if b"\0" in raw:
        raise ToolError("the path holds a NUL character, which no file name can; write it again")
    if len(raw) > MAX_PATH_BYTES or max(map(len, raw.split(b"/"))) > MAX_COMPONENT_BYTES:
        raise ToolError(f"the path is too long ({len(raw)} bytes); a name in it may have 255, all of it 4095")
    return raw
