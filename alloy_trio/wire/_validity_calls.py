"""Calls and their results in an encoded request: the rule that all vendors share. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import attrs


@attrs.frozen(kw_only=True)
class Turn:
    """What one side said before the other did.

    Args:
        where: its place in the body, for the reader.
        model: it is the model's.
        calls: the ids of the calls in it.
        results: the ids of the calls that it answers.
    """

    where: str
    model: bool
    calls: tuple[str, ...] = ()
    results: tuple[str, ...] = ()


def unpaired(turns: Iterable[Turn]) -> Iterator[str]:
    """Calls that the next turn does not answer, and results of what the turn before did not call."""
    before: Turn | None = None
    for turn in turns:
        called = Counter(before.calls if before is not None else ())
        answered = Counter(turn.results)
        for ident in called - answered:
            yield f"{before.where if before else ''} calls {ident!r}, and {turn.where} has no result of it"
        for ident in answered - called:
            if ident in called:
                yield f"{turn.where} has {answered[ident]} results of {ident!r}"
            else:
                yield f"{turn.where} has a result of {ident!r}, which the turn before does not call"
        for ident, times in Counter(turn.calls).items():
            if times > 1:
                yield f"{turn.where} has {times} calls with the id {ident!r}"
        if turn.model and turn.results:
            yield f"{turn.where} is the model's and holds results"
        if not turn.model and turn.calls:
            yield f"{turn.where} is not the model's and holds calls"
        before = turn
    if before is not None:
        for ident in before.calls:
            yield f"{before.where} calls {ident!r}, and nothing follows"


def repeated(turns: Iterable[Turn]) -> Iterator[str]:
    """Ids that two turns call by, for vendors that want them to differ throughout."""
    seen: dict[str, str] = {}
    for turn in turns:
        for ident in dict.fromkeys(turn.calls):
            if ident in seen:
                yield f"{turn.where} calls {ident!r}, an id that {seen[ident]} has used"
            seen.setdefault(ident, turn.where)
