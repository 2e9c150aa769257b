"""The file tools: read, write and edit.

They are plain functions, so each call runs in a worker thread and a slow disk holds up nobody. What they do is in
:mod:`._reading` and :mod:`._writing`, which load with the first call: a run that touches no file need not pay for them.
"""

from __future__ import annotations

import attrs

from ._pages import PAGE_CHARS
from ._tool import ToolContext, ToolOutput, tool


@attrs.frozen
class Replacement:
    """One thing to replace, as a model writes it."""

    old: str
    new: str
    replace_all: bool = False


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
    from ._reading import read_file

    return read_file(path, context, offset, limit, skip)


@tool(concurrent=False)
def write(path: str, content: str, context: ToolContext) -> str:
    """Write a text file. What was in it before is replaced; missing directories are made.

    Args:
        path: the file, relative to the working directory or absolute
        content: all of its new text
    """
    from ._writing import write_file

    return write_file(path, content, context)


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
    from ._writing import edit_file

    return edit_file(path, context, old, new, replace_all, edits)
