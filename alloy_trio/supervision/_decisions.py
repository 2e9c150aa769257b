"""What the policy is told, and what it decides: plain values, so that both can be written down and replayed."""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from ._spec import ChildSpec

ExitKind: TypeAlias = Literal["normal", "shutdown", "crash"]
"""How a child ended by itself: it returned, its scope was cancelled, it raised."""

Outcome: TypeAlias = Literal["closed", "auto_shutdown", "gave_up", "not_opened"]
"""Why a supervisor ended."""

Problem: TypeAlias = Literal["exists", "running", "restarting", "not_found", "failed"]
"""Why a call was not done."""


# What happened. Times are seconds of any clock that does not go back.
@attrs.frozen
class Open:
    """The supervisor begins, with these children in order of their start."""

    specs: tuple[ChildSpec, ...]


@attrs.frozen
class Started:
    """The child whose start was decided last has started."""

    now: float


@attrs.frozen
class Ignored:
    """The child whose start was decided last returned before it had started: it has nothing to do."""


@attrs.frozen
class Failed:
    """The child whose start was decided last raised before it had started."""


@attrs.frozen
class Stopped:
    """The child whose stop was decided last has ended."""


@attrs.frozen
class Exited:
    """A child that had started ended by itself. ``number`` says which of its runs it was."""

    name: str
    number: int
    how: ExitKind
    now: float


@attrs.frozen
class TryAgain:
    """A :class:`Retry` has come back."""

    name: str
    now: float


@attrs.frozen
class Due:
    """The time of a :class:`Wait` has passed."""

    name: str
    ticket: int


@attrs.frozen
class Add:
    """Call: start a new child."""

    spec: ChildSpec


@attrs.frozen
class Terminate:
    """Call: stop a child."""

    name: str


@attrs.frozen
class Restart:
    """Call: start a stopped child again."""

    name: str


@attrs.frozen
class Delete:
    """Call: forget a stopped child."""

    name: str


@attrs.frozen
class Close:
    """Whoever opened the supervisor is done with it."""


Happening: TypeAlias = (
    Open
    | Started
    | Ignored
    | Failed
    | Stopped
    | Exited
    | TryAgain
    | Due
    | Add
    | Terminate
    | Restart
    | Delete
    | Close
)


# What is to be done. At most one Start or Stop comes at a time, as the last of its tuple.
@attrs.frozen
class Start:
    """Start the child, and tell whether it Started, Ignored or Failed. ``again``: this is a restart."""

    name: str
    number: int
    again: bool


@attrs.frozen
class Stop:
    """Cancel the child, and tell when it has Stopped; it may have ended meanwhile."""

    name: str
    number: int


@attrs.frozen
class Retry:
    """Tell TryAgain, behind everything that waits to be told already."""

    name: str


@attrs.frozen
class Wait:
    """Tell Due with this ticket in ``seconds``, or somewhat earlier."""

    name: str
    ticket: int
    seconds: float


@attrs.frozen
class Opened:
    """All children have started."""


@attrs.frozen
class Answer:
    """The call is done, or there is a problem."""

    problem: Problem | None = None


@attrs.frozen
class Closing:
    """The end begins; ``name`` is the child that it is owed to, if it is."""

    outcome: Outcome
    name: str | None = None


@attrs.frozen
class End:
    """Nothing runs any more."""

    outcome: Outcome


Decision: TypeAlias = Start | Stop | Retry | Wait | Opened | Answer | Closing | End
