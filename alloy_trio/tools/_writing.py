"""What the tools write and edit do.

What they write takes the place of the old file in one step (:mod:`._replacing`), reached by a walk that does not leave
the allowed directories (:mod:`._walk`).
"""

from __future__ import annotations

import os

from alloy_trio.values import ToolError

from ._diff import diff
from ._edits import Change, applied, changes_of, composed
from ._encodings import Encoded, checked, presentable
from ._files import Replacement
from ._opening import content_of, opened
from ._reading import explained
from ._replacing import replace, status_of
from ._seen import HASHED_BYTES, check_unchanged, remember, turn
from ._tool import ToolContext, ToolOutput
from ._walk import walked

MAX_EDIT_BYTES = 20_000_000
"""A file that is edited is held in memory, several times over."""

MAX_EDITS = 100
"""Replacements of one call; each of them is one pass over the file."""


def write_file(path: str, content: str, context: ToolContext) -> str:
    """See :func:`alloy_trio.tools.write`.

    Raises:
        ToolError: with words for the model; the file is as it was.
    """
    raw = checked(content, "content").encode()
    with explained(path, "write"), walked(path, context, for_write=True) as place:
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


def edit_file(
    path: str,
    context: ToolContext,
    old: str | None,
    new: str | None,
    replace_all: bool,
    edits: list[Replacement] | None,
) -> ToolOutput:
    """See :func:`alloy_trio.tools.edit`.

    Raises:
        ToolError: with words for the model; the file is as it was.
    """
    wanted = _wanted(old, new, replace_all, edits)
    with explained(path, "edit"), walked(path, context, for_write=True) as place, turn(place):
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
