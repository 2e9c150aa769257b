"""Replacing pieces of a text.

Linear in the text, whatever is in it: a difference is not looked for, since the places are known. Between pieces
of work the thread asks whether it is to stop.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from alloy_trio.values import ToolError

from ._nearest import hint
from ._threads import stop_if_cancelled

_PIECES = 1_000


@attrs.frozen
class Change:
    """A piece of a text, from ``start`` up to ``end``, and what takes its place."""

    start: int
    end: int
    new: str


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
        raise ToolError(f"old is not in {path}, so nothing was changed. {hint(text, old)}")
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


def composed(length: int, first: Sequence[Change], second: Sequence[Change]) -> list[Change]:
    """Changes of a text, and changes of what came of it, as changes of the first text.

    Args:
        length: characters of the first text.
        first: its changes.
        second: the changes of the text after that.
    """
    result: list[tuple[int, int, list[str]]] = []

    def put(start: int, end: int, parts: list[str]) -> None:
        if result and result[-1][1] == start:
            start, _, before = result.pop()
            before += parts
            parts = before
        result.append((start, end, parts))

    queue = iter(second)
    change = next(queue, None)
    here = 0  # in the text between
    for number, (start, end, text) in enumerate(_pieces(length, first)):
        if number % _PIECES == 0:
            stop_if_cancelled()
        stop = here + (end - start if text is None else len(text))
        done = here
        parts: list[str] = []
        while change is not None and change.start < stop:
            low, high = max(change.start, here), min(change.end, stop)
            new = [change.new] if change.start >= here else []
            if text is None:
                put(start + low - here, start + high - here, new)
            else:
                parts += [text[done - here : low - here], *new]
                done = high
            if change.end > stop:
                break
            change = next(queue, None)
        if text is not None:
            put(start, end, [*parts, text[done - here :]])
        here = stop
    return [Change(start, end, "".join(parts)) for start, end, parts in result]


def _pieces(length: int, changes: Sequence[Change]) -> Iterator[tuple[int, int, str | None]]:
    """A changed text in order: pieces of the original, and what stands instead of them (None: they stay)."""
    done = 0
    for change in changes:
        if done < change.start:
            yield done, change.start, None
        yield change.start, change.end, change.new
        done = change.end
    if done < length:
        yield done, length, None


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
