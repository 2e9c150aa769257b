"""Replacing pieces of a text, and showing what that changed.

Linear in the text, whatever is in it: a difference is not looked for, since the places are known. Between pieces
of work the thread asks whether it is to stop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from alloy_trio.values import ToolError

from ._problems import close_match
from ._threads import stop_if_cancelled

CONTEXT_LINES = 3
"""Unchanged lines that are shown around a change, as every diff does."""

DIFF_CHARS = 60_000
"""Characters of a diff; twice what reaches the model."""

SEARCHED_LINES = 5_000
COMPARED_CHARS = 200
"""How many lines are compared to one that was not found, and up to which length; a line of code has less.
Comparing takes the square of the length."""

_BATCH = 100
_PIECES = 1_000


@attrs.frozen
class Change:
    """A piece of a text, from ``start`` up to ``end``, and what takes its place."""

    start: int
    end: int
    new: str


def replaced(text: str, old: str, new: str, *, everywhere: bool, path: str) -> tuple[str, int]:
    """Replace in a text.

    Returns:
        The new text, and in how many places it differs.

    Raises:
        ToolError: as :func:`changes_of`.
    """
    changes = changes_of(text, old, new, everywhere=everywhere, path=path)
    return applied(text, changes), len(changes)


def changes_of(text: str, old: str, new: str, *, everywhere: bool, path: str) -> list[Change]:
    """Find what is to be replaced.

    A model writes ``\\n``; where the text ends its lines with ``\\r\\n``, that is meant, in both old and new.

    Raises:
        ToolError: old is not there, or more than once, or nothing would change.
    """
    if old == new:
        raise ToolError("old and new are the same, so nothing would change")
    places = list(_places(text, old))
    if not places:
        raise ToolError(f"old is not in {path}, so nothing was changed. {_nearest(text, old)}")
    if len(places) > 1 and not everywhere:
        lines = ", ".join(str(text.count("\n", 0, start) + 1) for start, _ in places[:10])
        raise ToolError(
            f"old is in {path} {len(places)} times (lines {lines}{', …' if len(places) > 10 else ''}), so "
            "nothing was changed; give more of the text around the right one, or set replace_all"
        )
    if "\n" not in new or "\r" in new:
        return [Change(start, end, new) for start, end in places]
    with_returns = new.replace("\n", "\r\n")
    mostly = _ends_in_returns(text)
    changes = []
    for start, end in places:
        piece = text[start:end]
        returns = _ends_in_returns(piece) if "\n" in piece else mostly
        changes.append(Change(start, end, with_returns if returns else new))
    return changes


def applied(text: str, changes: Sequence[Change]) -> str:
    """The text with changes, which are in order and do not overlap."""
    pieces: list[str] = []
    done = 0
    for change in changes:
        pieces += [text[done : change.start], change.new]
        done = change.end
    return "".join([*pieces, text[done:]])


def diff(text: str, changes: Sequence[Change], path: str) -> str:
    """What changes do to a text, as a unified diff of at most about :data:`DIFF_CHARS` characters."""
    shown = [f"--- a/{path}", f"+++ b/{path}"]
    room = DIFF_CHARS
    grown = 0  # lines that the new text is ahead by
    for done, hunk in enumerate(_hunks(text, changes)):
        if room <= 0:
            shown.append(f"[... changes from line {hunk.line} on are not shown]")
            break
        lines, ahead = hunk.rendered(text, grown)
        grown += ahead
        shown += lines
        room -= sum(map(len, lines)) + len(lines)
        if done % _BATCH == 0:
            stop_if_cancelled()
    return "\n".join(shown)


@attrs.define
class _Hunk:
    """Whole lines that change, from ``start`` up to ``end``; ``line`` counts from 1."""

    start: int
    end: int
    line: int
    changes: list[Change]

    def rendered(self, text: str, grown: int) -> tuple[list[str], int]:
        """Its lines, and by how many the new text is longer, before a header that counts them."""
        before = _lines(text[self.start : self.end])
        moved = [Change(each.start - self.start, each.end - self.start, each.new) for each in self.changes]
        after = _lines(applied(text[self.start : self.end], moved))
        same = _common(before, after)
        same_at_end = _common(before[same:][::-1], after[same:][::-1])
        old, new = before[same : len(before) - same_at_end], after[same : len(after) - same_at_end]
        above = (_lines_above(text, self.start) + before[:same])[-CONTEXT_LINES:]
        below = (before[len(before) - same_at_end :] + _lines_below(text, self.end))[:CONTEXT_LINES]
        first = self.line + same - len(above)
        around = len(above) + len(below)
        header = f"@@ -{_range(first, len(old) + around)} +{_range(first + grown, len(new) + around)} @@"
        marked = (
            *((" ", line) for line in above),
            *(("-", line) for line in old),
            *(("+", line) for line in new),
            *((" ", line) for line in below),
        )
        return [header, *(each for mark, line in marked for each in _shown(mark, line))], len(new) - len(old)


def _hunks(text: str, changes: Sequence[Change]) -> Iterator[_Hunk]:
    """Changes gathered by the lines that they touch; neighbours whose contexts meet are one hunk."""
    hunk: _Hunk | None = None
    line, counted = 1, 0
    for number, change in enumerate(changes):
        if number % _PIECES == 0:
            stop_if_cancelled()
        if hunk is not None and (change.start < hunk.end or _near(text, hunk.end, change.start)):
            hunk.changes.append(change)
        else:
            if hunk is not None:
                yield hunk
            start = text.rfind("\n", 0, change.start) + 1
            line += text.count("\n", counted, start)
            counted = start
            hunk = _Hunk(start, start, line, [change])
        if change.end >= hunk.end:
            # The line in which it ends belongs to it too: it may be joined to the one before.
            hunk.end = text.find("\n", change.end) + 1 or len(text)
    if hunk is not None:
        yield hunk


def _near(text: str, end: int, start: int) -> bool:
    """Whether so few lines lie between two places that both would show them."""
    at = end
    for _ in range(2 * CONTEXT_LINES + 1):
        at = text.find("\n", at, start) + 1
        if at == 0:
            return True
    return False


def _lines(text: str) -> list[str]:
    """Lines with their ends; they end in ``\\n`` and in nothing else."""
    *whole, last = text.split("\n")
    return [f"{line}\n" for line in whole] + ([last] if last else [])


def _lines_above(text: str, at: int) -> list[str]:
    start = at
    for _ in range(CONTEXT_LINES):
        if start:
            start = text.rfind("\n", 0, start - 1) + 1
    return _lines(text[start:at])


def _lines_below(text: str, at: int) -> list[str]:
    end = at
    for _ in range(CONTEXT_LINES):
        end = text.find("\n", end) + 1 or len(text)
    return _lines(text[at:end])


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """How many lines are the same at the beginning."""
    return next(
        (number for number, (one, other) in enumerate(zip(first, second, strict=False)) if one != other),
        min(len(first), len(second)),
    )


def _range(first: int, count: int) -> str:
    return f"{first if count else first - 1},{count}" if count != 1 else str(first)


def _shown(mark: str, line: str) -> Iterator[str]:
    if line.endswith("\n"):
        yield f"{mark}{line[:-1].removesuffix(chr(13))}"
    else:
        yield f"{mark}{line}"
        yield "\\ No newline at end of file"


def _places(text: str, old: str) -> Iterator[tuple[int, int]]:
    """Where a text holds another, from left to right, not overlapping."""
    if "\r" in old or "\r\n" not in text:
        yield from _found(text, old)
        return
    # Looked for without the returns, of which as many are added again as stand before the place.
    pieces = text.split("\r\n")
    removed = 0
    end_of_piece = len(pieces[0])

    def original(at: int) -> int:
        nonlocal removed, end_of_piece
        while end_of_piece < at:
            removed += 1
            end_of_piece += 1 + len(pieces[removed])
        return at + removed

    for start, end in _found("\n".join(pieces), old):
        yield original(start), original(end)


def _found(text: str, old: str) -> Iterator[tuple[int, int]]:
    number = 0
    start = text.find(old)
    while start >= 0:
        yield start, start + len(old)
        start = text.find(old, start + len(old))
        number += 1
        if number % _PIECES == 0:
            stop_if_cancelled()


def _ends_in_returns(text: str) -> bool:
    return 2 * text.count("\r\n") > text.count("\n")


def _nearest(text: str, old: str) -> str:
    """A hint at the line that was probably meant."""
    wanted = next((line.strip() for line in old.splitlines() if line.strip()), "")
    if not wanted:
        return "Read the file to see what it holds."
    at = text.find(wanted)
    if at >= 0:
        start = text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        line = text[start : end if end >= 0 else len(text)].removesuffix("\r")
        more = "" if len(line) <= COMPARED_CHARS else f" and {len(line) - COMPARED_CHARS} characters more"
        return (
            f"Its first line is there in line {text.count(chr(10), 0, at) + 1}: {line[:COMPARED_CHARS]!r}{more}; "
            "compare spaces and what follows."
        )
    lines = [line.strip() for line in text.split("\n", SEARCHED_LINES)[:SEARCHED_LINES]]
    compared = [line for line in lines if 0 < len(line) <= COMPARED_CHARS]
    best: list[str] = []
    for number in range(0, len(compared), _BATCH):
        stop_if_cancelled()
        match = close_match(wanted[:COMPARED_CHARS], compared[number : number + _BATCH])
        best += [match] if match else []
    match = close_match(wanted[:COMPARED_CHARS], best)
    return f"The nearest line is {match!r}." if match else "Read the file to see what it holds."
