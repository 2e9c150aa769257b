"""Sweeps: a script is run again and again, and in each run something else happens to it.

A script is an async function without arguments that drives an agent, or anything else, and asserts what it likes. A
sweep looks at all runs of the engine that are made inside of it, however deep, and asserts of each what has to hold
whatever happens.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any, TypeVar

import attrs

from alloy_trio.values import AlloyError, ConfigurationError

from ._disturbance import Disturbance
from ._faults import Disturber, planned_faults
from ._providers_seen import providers_seen
from ._seeded import Clock
from ._stepping import NeverEnds
from ._trial import Ground, Script, Trial

T = TypeVar("T")

PROMPT_SECONDS = 1.0
"""How long a script may go on after it was cancelled, on its clock: a command that ignores SIGTERM has half a second
before it is killed, and with the mock clock all that does not wait takes no time."""

LATE_SECONDS = 60.0
"""How much longer than undisturbed a script may take with a fault in it, beyond the fault itself: the engine's three
retries wait for up to 7 seconds, or three times for what the vendor asked."""


@attrs.frozen(kw_only=True)
class SweepReport:
    """What a sweep has done.

    Args:
        runs: runs of the script.
        steps: the scheduling steps of an undisturbed run.
        results: runs of the engine that were looked at.
        seconds: of the whole sweep, by the wall clock.
    """

    runs: int
    steps: int
    results: int
    seconds: float


class SweepFailure(AssertionError):
    """A sweep found something.

    Attributes:
        at: the smallest step, number of a fault, or seed at which it shows: what ``only`` or ``seeds`` takes.
    """

    def __init__(self, message: str, at: int) -> None:
        super().__init__(message)
        self.at = at


def cancel_sweep(
    script: Script,
    *,
    clock: Clock = "mock",
    seed: int = 0,
    only: int | None = None,
    prompt_seconds: float = PROMPT_SECONDS,
) -> SweepReport:
    """Cancel a script before each of its steps, one run for each.

    A step is what a task does between two checkpoints at which trio switches; a cancel can become visible nowhere
    else. After each run it is asserted of every run of the engine: its history is valid for every provider, its events
    are well formed, its usage is no less than was reported, its records are true. Of each exchange with a provider: it
    was asked with a valid conversation, and for nothing that its reader had seen a part of. Of providers, tools and the
    script: none returned when it had got the cancel. And of the script: it ended promptly, and has left no task,
    thread, process, file or socket.

    An exception that the script raises, cancelled or not, is a failure too.

    Args:
        script: what to run.
        clock: ``"mock"``, or ``"real"`` for what waits for processes or sockets; then the steps differ from run to run,
            and each run is cancelled somewhere, but not everywhere for certain.
        seed: of the schedule, see :func:`run_seeded`.
        only: cancel before this step alone, to look at one failure.
        prompt_seconds: how long it may go on after its cancel, on its clock.

    Raises:
        SweepFailure: with the smallest step at which something is wrong, 0 being a run without a cancel; what it is,
            where the script was, and how to run just that.
    """
    sweep = _Sweep(script, clock, seed)

    def again(step: int) -> str:
        return f"cancel_sweep({sweep.name}, only={step})"

    with sweep.goes_on():
        # First without a cancel: a script that fails by itself is told apart, and its steps are known.
        first = only or 0
        plain = Trial(sweep.ground, cancel_before=first, prompt_seconds=prompt_seconds)
        sweep.perform(plain, first, _cancelled(first), again(first))
        for step in count(1) if only is None else ():
            if clock == "mock" and step > plain.steps:
                break
            trial = Trial(sweep.ground, cancel_before=step, prompt_seconds=prompt_seconds)
            sweep.perform(trial, step, _cancelled(step), again(step))
            if clock == "real" and not trial.cancelled:
                break  # by a real clock the steps differ from run to run
    return sweep.report(plain.steps)


def disturb_sweep(
    script: Callable[[Disturbance], Awaitable[object]],
    *,
    seed: int = 0,
    only: int | None = None,
) -> SweepReport:
    """Do something to a script before each of its steps, one run for each: what, the script says.

    For what is to go on afterwards: a request is cancelled, and the agent is asked again. After each run it is asserted
    what :func:`cancel_sweep` asserts, without a cancel of the script's. It is run with the mock clock.

    Args:
        script: what to run. It gets the disturbance, and arms it.
        seed: of the schedule, see :func:`run_seeded`.
        only: do it before this step alone, to look at one failure.

    Raises:
        SweepFailure: with the smallest step at which something is wrong, counted from where the script has armed it;
            what it is, and how to run just that.
    """
    sweep = _Sweep(script, "mock", seed)  # type: ignore[arg-type]
    with sweep.goes_on():
        step = 1 if only is None else only
        while True:
            disturbance = Disturbance(step)
            sweep.ground.script = partial(script, disturbance)
            trial = Trial(sweep.ground, disturbance=disturbance)
            again = f"disturb_sweep({sweep.name}, only={step})"
            sweep.perform(trial, step, f"disturbed before step {step}", again)
            if only is not None or not disturbance.done:
                return sweep.report(disturbance.steps)
            step += 1


def fault_sweep(
    script: Script,
    *,
    clock: Clock = "mock",
    seed: int = 0,
    only: int | None = None,
    allow: type[BaseException] | tuple[type[BaseException], ...] = AlloyError,
    late_seconds: float = LATE_SECONDS,
) -> SweepReport:
    """Let each exchange with a provider and each execution of a tool go wrong in each way, one run for each.

    The exchanges are those of an undisturbed run: each call of a provider's ``complete`` or ``stream``, whoever makes
    it; a provider that names others as its ``inner`` makes none itself. Each is refused (no connection, overloaded,
    429 with a wait, a key that is not right), overloaded with all that come after it, delayed, and broken off at
    several places (cut, reset, corrupt). Each execution of a tool fails before and after the tool ran, raises what is
    no ToolError, takes longer than its limit, and is cancelled alone.

    After each run it is asserted what :func:`cancel_sweep` asserts, and that no call was started twice, that nothing
    was done twice that may be done :func:`once`, and that the script did not take much longer than undisturbed.

    Args:
        script: what to run. It may raise what is in ``allow``, alone or in groups.
        clock: as for :func:`cancel_sweep`; delays of the faults are slept on it.
        seed: of the schedule.
        only: this fault alone, by its number, to look at one failure.
        allow: exceptions that a fault may lead to.
        late_seconds: how much longer it may take, beyond what the fault itself takes.

    Raises:
        SweepFailure: with the number of the first fault after which something is wrong, 0 being the undisturbed run;
            what it is, and how to run just that.
    """
    sweep = _Sweep(script, clock, seed)
    allowed = allow if isinstance(allow, tuple) else (allow,)
    with providers_seen():
        plain = Trial(sweep.ground)
        sweep.perform(plain, 0, "undisturbed", f"fault_sweep({sweep.name}, only=0)")
        for number, planned in enumerate(planned_faults(plain.seen.watched), 1):
            if only is not None and number != only:
                continue
            disturber = Disturber(planned)
            longest = plain.seconds + late_seconds
            trial = Trial(sweep.ground, disturber=disturber, allow=allowed, longest_seconds=longest)
            again = f"fault_sweep({sweep.name}, only={number})"
            sweep.perform(trial, number, f"fault {number}, {planned}", again)
    return sweep.report(plain.steps)


def schedule_sweep(
    script: Callable[[], Awaitable[T]],
    *,
    seeds: Iterable[int] = range(5000),
    clock: Clock = "mock",
    same: Callable[[T], object] | None = None,
) -> SweepReport:
    """Run a script under many schedules: in each, trio runs what is ready at the same time in another order.

    After each run it is asserted what :func:`cancel_sweep` asserts, without a cancel.

    Args:
        script: what to run.
        seeds: one schedule each, see :func:`run_seeded`.
        clock: ``"mock"``, or ``"real"`` for what waits for processes or sockets; then a seed does not fix all.
        same: takes what the script returned, and returns what of it must be equal under all schedules.

    Raises:
        SweepFailure: with the first of the seeds under which something is wrong, what it is, and how to run just that.
        ConfigurationError: there are no seeds.
    """
    sweep = _Sweep(script, clock, 0)
    name = sweep.name
    first: tuple[int, object] | None = None
    trial: Trial | None = None
    with sweep.goes_on():
        for seed in seeds:
            trial = Trial(sweep.ground, seed=seed)
            again = f"schedule_sweep({name}, seeds=[{seed}])"
            sweep.perform(trial, seed, f"seed {seed}", again)
            if same is None:
                continue
            returned: Any = trial.returned
            now = same(returned)
            if first is None:
                first = seed, now
            elif first[1] != now:
                raise sweep.failure(
                    trial,
                    seed,
                    f"seed {seed}",
                    f"it came to {_cut(now)}, and with seed {first[0]} to {_cut(first[1])}",
                    f"schedule_sweep({name}, seeds=[{first[0]}, {seed}], same=…)",
                )
    if trial is None:
        raise ConfigurationError("schedule_sweep got no seeds; write seeds=range(1000)")
    return sweep.report(trial.steps)


class _Sweep:
    """The runs of one sweep, counted."""

    def __init__(self, script: Script, clock: Clock, seed: int) -> None:
        self.name = str(getattr(script, "__qualname__", repr(script)))
        self.ground = Ground(script=script, clock=clock, seed=seed)
        self._started = time.perf_counter()
        self._runs = 0
        self._results = 0

    @contextmanager
    def goes_on(self) -> Iterator[None]:
        """See providers, and let the garbage collector pass over what was there before: each look at it costs a run."""
        freezes = not gc.get_freeze_count()
        if freezes:
            gc.freeze()
        try:
            with providers_seen():
                yield
        finally:
            if freezes:
                gc.unfreeze()

    def perform(self, trial: Trial, at: int, what: str, again: str) -> None:
        """Perform one run; what is wrong becomes a SweepFailure."""
        try:
            trial.perform()
        except BaseException as error:  # border: what a script raises is what the sweep found
            if not isinstance(error, Exception | BaseExceptionGroup | NeverEnds):
                raise
            raise self.failure(trial, at, what, "\n".join(_words(error)), again) from error
        self._runs += 1
        self._results += len(trial.seen.results)

    def failure(self, trial: Trial, at: int, what: str, found: str, again: str) -> SweepFailure:
        """What was found, in words."""
        return SweepFailure(f"{self.name}, {what}: {found}{trial.trace()}\nrun just that with {again}", at)

    def report(self, steps: int) -> SweepReport:
        """What was done."""
        seconds = time.perf_counter() - self._started
        return SweepReport(runs=self._runs, steps=steps, results=self._results, seconds=seconds)


def _words(error: BaseException) -> Iterator[str]:
    """What was raised, groups taken apart; each thing once."""
    said: dict[str, None] = {}
    waiting = [error]
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions
        elif type(each) is AssertionError and str(each):
            said[str(each)] = None
        else:
            said[f"{type(each).__name__}: {each}"] = None
    yield from said


def _cancelled(step: int) -> str:
    return f"cancelled before step {step}" if step else "undisturbed"


def _cut(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 500 else f"{shown[:500]}…"
