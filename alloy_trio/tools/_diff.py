"""What changes do to a text, as a unified diff.

Linear in the text, whatever is in it: a difference is not looked for, since the places are known. Between pieces
of work the thread asks whether it is to stop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from ._edits import Change, applied
from ._threads import stop_if_cancelled

CONTEXT_LINES = 3
"""Unchanged lines that are shown around a change, as every diff does."""

DIFF_CHARS = 60_000
"""Characters of a diff; twice what reaches the model."""

_BATCH = 100
_PIECES = 1_000


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
