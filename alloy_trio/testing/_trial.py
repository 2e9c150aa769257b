"""One run of a script under a sweep, and what is asserted of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import TypeAlias

import attrs
import trio

from ._disturbance import Disturbance
from ._faults import Disturber
from ._invariants import event_problems, record_problems, usage_problems
from ._leaks import Inventory, assert_nothing_left, tasks_now
from ._observed import Asked, Observation, Watched
from ._seeded import Clock, run_seeded
from ._stepping import NeverEnds, Stepper, places
from ._verdicts import Verdicts

Script: TypeAlias = Callable[[], Awaitable[object]]

MOST_STEPS = 200_000
"""Steps of a script before it is taken for one that never ends. Arbitrary."""

LONGEST_SECONDS = 120.0
"""How long a script may take by a real clock before it is taken for one that waits for ever. Arbitrary."""

STEPS_AFTER_CANCEL = 2_000
"""Steps that a script may take after its cancel, beyond as many as it had taken before. Arbitrary: what cleans up takes
a few for each task."""

_SHOWN = 12
_PATIENCE = "the sweep's patience"


@attrs.define(eq=False, kw_only=True)
class Ground:
    """What all runs of one sweep have in common.

    Args:
        script: what is run.
        clock: on which clock.
        seed: of the schedule, where the sweep does not change it.
    """

    script: Script
    clock: Clock
    seed: int
    before: Inventory = attrs.field(init=False, factory=Inventory.now)
    verdicts: Verdicts = attrs.field(init=False, factory=Verdicts)


class Trial:
    """One run.

    Args:
        ground: what is run.
        seed: of the schedule; None for the sweep's.
        cancel_before: the step before which it is cancelled; 0 for none.
        prompt_seconds: how long it may go on after that.
        disturber: does something to its exchanges and executions; None for nothing.
        disturbance: what it does to itself; None for nothing.
        allow: what the script may raise.
        longest_seconds: how long it may take, beyond what the disturber takes.

    Attributes:
        steps: those it has taken.
        cancelled: whether the step of the cancel was reached.
        seconds: how long it took, on its clock.
        returned: what the script returned.
        raised: what it raised that it may; None for nothing.
        seen: what was seen of it.
        where: the tasks at the moment of the cancel or of the end of patience, and where they were.
    """

    def __init__(
        self,
        ground: Ground,
        *,
        seed: int | None = None,
        cancel_before: int = 0,
        prompt_seconds: float = 0.0,
        disturber: Disturber | None = None,
        disturbance: Disturbance | None = None,
        allow: tuple[type[BaseException], ...] = (),
        longest_seconds: float = math.inf,
    ) -> None:
        self.steps = 0
        self.cancelled = False
        self.seconds = 0.0
        self.returned: object = None
        self.raised: BaseException | None = None
        self.seen = Observation(disturber)
        self.where = ""
        self._ground = ground
        self._seed = ground.seed if seed is None else seed
        self._cancel_before = cancel_before
        self._prompt_seconds = prompt_seconds
        self._allow = allow
        self._disturber = disturber
        self._disturbance = disturbance
        self._longest_seconds = longest_seconds
        self._scope = trio.CancelScope()
        mock = ground.clock == "mock"
        self._stepper = Stepper(self._step, self.seen.delivered, self._lose_patience if mock else None)
        self._cancelled_at = 0.0
        self._late = 0.0
        self._never = ""

    def perform(self) -> None:
        """Run it, and assert what has to hold.

        Raises:
            AssertionError: something does not.
        """
        ground = self._ground
        run_seeded(self._main, seed=self._seed, clock=ground.clock, instruments=(self._stepper,))
        assert_nothing_left(ground.before)
        problems = list(self._problems())
        if problems:
            raise AssertionError("\n".join(problems))

    def trace(self) -> str:
        """What it came to last, in words."""
        told = self.seen.watched[-_SHOWN:]
        words = "".join(f"\n  {each}" for each in told)
        return f"\nthere it was:\n{self.where}" * bool(self.where) + f"\nwhat it did last:{words}" * bool(
            told
        )

    async def _main(self) -> None:
        before = tasks_now()
        alarm = trio.CancelScope()
        if self._ground.clock == "real":
            # Not with the mock clock: a task more would be another schedule than the script has by itself.
            trio.lowlevel.spawn_system_task(self._wait_for_long, alarm, name=_PATIENCE)
        started = trio.current_time()
        script = Watched(what="the script")
        self.seen.watched.append(script)
        with ExitStack() as stack:
            stack.callback(alarm.cancel, reason="the script has ended")
            stack.enter_context(self.seen.on())
            try:
                with self._scope, self._stepper.on():
                    self.returned = await self._ground.script()
            except BaseException as error:  # border: what the script may raise under a fault
                if not self._allowed(error):
                    raise
                self.raised = error
            finally:
                now = trio.current_time()
                self.seconds, self._late = now - started, now - self._cancelled_at
                self.seen.watched.remove(script)
        if script.met_cancel and not self._scope.cancelled_caught and self.raised is None:
            self.seen.found.append("the script returned though it was cancelled; let trio.Cancelled pass")
        with trio.CancelScope(shield=True):
            # What a finished task leaves to trio's own is done a step later.
            await trio.lowlevel.checkpoint()
            tasks = tasks_now() - before
        tasks.pop(_PATIENCE, None)
        if tasks:
            raise AssertionError(f"tasks are left in a nursery outside of the script: {', '.join(tasks)}")

    async def _wait_for_long(self, alarm: trio.CancelScope) -> None:
        with alarm:
            await trio.sleep(LONGEST_SECONDS)
            self._lose_patience()

    def _lose_patience(self) -> None:
        self.where = places()
        self._never = "the script waits for ever"
        self._stepper.break_off(self._never)

    def _allowed(self, error: BaseException) -> bool:
        if isinstance(error, BaseExceptionGroup):
            return all(map(self._allowed, error.exceptions))
        return isinstance(error, self._allow)

    def _step(self) -> None:
        self.steps += 1
        if self._disturbance is not None and self._disturbance.step():
            self.where = places()
        if self.steps == self._cancel_before:
            self.cancelled = True
            self._cancelled_at = trio.current_time()
            self.where = places()
            self._stepper.scope = self._scope
            self._scope.cancel(reason="the sweep cancels here")
        elif self.cancelled and self.steps > 2 * self._cancel_before + STEPS_AFTER_CANCEL:
            self._never = (
                f"it has taken {self.steps - self._cancel_before} steps since it was cancelled before step "
                f"{self._cancel_before}; does something swallow trio.Cancelled?"
            )
            raise NeverEnds(self._never)
        elif self.steps > MOST_STEPS:
            self._never = f"it has taken more than {MOST_STEPS} steps; does it end?"
            raise NeverEnds(self._never)

    def _problems(self) -> Iterator[str]:
        if self._never:
            yield self._never  # also where what was raised for it has been lost on its way
        if self.cancelled and self._late > self._prompt_seconds:
            yield f"it went on for {self._late:.3f} s after it was cancelled, and may for {self._prompt_seconds:g} s"
        if self._disturbance is not None and self._disturbance.error is not None:
            yield f"the disturbance itself failed: {self._disturbance.error!r}"
        held_up = 0.0 if self._disturber is None else self._disturber.seconds
        if self.seconds > self._longest_seconds + held_up:
            yield f"it took {self.seconds:.3f} s, and may take {self._longest_seconds + held_up:.3f} s"
        yield from self.seen.found
        verdicts = self._ground.verdicts
        used = _used(self.seen.exchanges)
        for result, events in self.seen.results:
            of_run = used.get(result.correlation_id, Counter())
            for problem in (
                *verdicts.problems(result.messages),
                *event_problems(events),
                *record_problems(result, events),
                *usage_problems(result, events, of_run),
            ):
                yield f"{result.request_id}: {problem}"
        for asked in reversed(self.seen.exchanges):
            for problem in verdicts.problems(asked.request.messages):
                yield f"{asked.what} was asked with an invalid conversation: {problem}"


def _used(exchanges: list[Asked]) -> dict[str, Counter[str]]:
    """The tokens that the providers of each run have reported."""
    used: dict[str, Counter[str]] = {}
    for asked in exchanges:
        if asked.run_id is not None:
            used.setdefault(asked.run_id, Counter()).update(
                {
                    "input_tokens": asked.used.input_tokens,
                    "cache_read_tokens": asked.used.cache_read_tokens,
                    "cache_write_tokens": asked.used.cache_write_tokens,
                    "output_tokens": asked.used.output_tokens,
                }
            )
    return used
