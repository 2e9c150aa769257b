"""A supervisor that gives up: what it raises, and who below is ended by that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alloy_trio.values import RestartLimitExceeded

if TYPE_CHECKING:
    from ._running import Owner, Run
    from ._spec import Rules


def limit_exceeded(name: str, child: str, run: Run | None, rules: Rules) -> RestartLimitExceeded:
    """What leaves the block of a supervisor that gives up.

    Args:
        name: the supervisor's.
        child: the name of the one whose end was one too many.
        run: its latest run, if there was one.
        rules: whose limit it is.
    """
    exceeded = RestartLimitExceeded(
        f"child {child!r} of supervisor {name!r} ended ({how(run)}) when {rules.max_restarts} restarts within"
        f" {rules.within:g} s had been used up; see what ends it, or allow more with max_restarts and within, or space"
        " them with backoff"
    )
    exceeded.__cause__ = None if run is None else run.error
    return exceeded


def how(run: Run | None) -> str:
    """How a child that was one too many ended, in a line."""
    return "it returned" if run is None or run.error is None else run.reason


def given_up(owner: Owner) -> RestartLimitExceeded | None:
    """Why a supervisor, or one above it, gives up; None if none does."""
    below: Owner | None = owner
    while below is not None:
        if below.exceeded is not None:
            return below.exceeded
        below = None if below.above is None else below.above.owner
    return None
