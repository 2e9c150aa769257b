"""A script in which something is done at step k, one run for each k.

It differs from :func:`alloy_trio.testing.cancel_sweep` in what is done: that cancels all of the script, this what the
script says, so that an agent lives on and can be asked again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from alloy_trio.testing import no_leaks, run_seeded

MOST_STEPS = 5_000


class Disturbance:
    """What is done, and when.

    Attributes:
        steps: how many have been counted.
        done: whether it was done.
    """

    def __init__(self, at: int) -> None:
        self.at = at
        self.steps = 0
        self.done = False
        self._what: Callable[[], object] | None = None

    def arm(self, what: Callable[[], object]) -> None:
        """Count steps from here on, and do it before the one that is meant."""
        self._what = what

    def disarm(self) -> None:
        """Do it no more."""
        self._what = None

    def step(self) -> None:
        """Count one."""
        if self._what is None:
            return
        self.steps += 1
        if self.steps == self.at:
            what, self._what, self.done = self._what, None, True
            what()


class _Stepper(trio.abc.Instrument):
    def __init__(self, disturbance: Disturbance) -> None:
        self._disturbance = disturbance

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._disturbance.step()


def sweep(script: Callable[[Disturbance], Awaitable[object]], *, seed: int = 0) -> int:
    """Run a script until the disturbance comes too late; returns at how many steps it was made.

    Raises:
        AssertionError: of the script's, with the step; or it left something behind.
    """
    for at in range(1, MOST_STEPS):
        disturbance = Disturbance(at)
        instruments: Any = (_Stepper(disturbance),)
        try:
            with no_leaks():
                run_seeded(script, disturbance, seed=seed, instruments=instruments)
        except BaseException as error:
            error.add_note(f"disturbed before step {at}")
            raise
        if not disturbance.done:
            return at - 1
    raise AssertionError(f"the script has more than {MOST_STEPS} steps")
