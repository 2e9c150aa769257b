"""Something that a script wants to be done to it, once, before one of its steps."""

from __future__ import annotations

from collections.abc import Callable


class Disturbance:
    """What is done, and when.

    Args:
        at: before which of the steps that are counted, from 1.

    Attributes:
        steps: how many have been counted.
        done: whether it was done.
        error: what it raised, if it did.
    """

    def __init__(self, at: int) -> None:
        self.at = at
        self.steps = 0
        self.done = False
        self.error: Exception | None = None
        self._what: Callable[[], object] | None = None

    def arm(self, what: Callable[[], object]) -> None:
        """Count steps from here on, and do it before the one that is meant."""
        self._what = what

    def disarm(self) -> None:
        """Count no more, and do it no more."""
        self._what = None

    def step(self) -> bool:
        """Count a step, if it is armed; whether it was done now."""
        if self._what is None:
            return False
        self.steps += 1
        if self.steps != self.at:
            return False
        what, self._what, self.done = self._what, None, True
        try:
            what()
        except Exception as error:  # border: trio's instruments may not raise; the sweep does
            self.error = error
        return True
