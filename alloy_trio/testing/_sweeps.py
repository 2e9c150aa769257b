"""Sweeps: a script is run again and again, and in each run something else happens to it.

A script is an async function without arguments that drives an agent, or anything else, and asserts what it likes. A
sweep looks at all runs of the engine that are made inside of it, however deep, and asserts of each what has to hold
whatever happens: see :mod:`alloy_trio.testing`, "Invariants".
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio
import trio.testing

from alloy_trio._watching import watcher
from alloy_trio.values import Event, Result

from ._invariants import result_problems
from ._leaks import Inventory, assert_nothing_left
from ._seeded import Clock, run_seeded

if TYPE_CHECKING:
    from collections.abc import Iterator

Script: TypeAlias = Callable[[], Awaitable[object]]

PROMPT_SECONDS = 1.0
"""How long a script may go on after it was cancelled, on its clock: a command that ignores SIGTERM has half a second
before it is killed, and with the mock clock all that does not wait takes no time."""

MOST_STEPS = 200_000
"""Steps of a script that are swept before it is taken for one that never ends. Arbitrary."""

STEPS_AFTER_CANCEL = 2_000
"""Steps that a script may take after its cancel, beyond as many as it had taken before. Arbitrary: what cleans up takes
a few for each task."""


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
        at: the smallest step, fault or seed at which it shows.
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
    are well formed, its usage is no less than was reported, its records are true. And of the script: it ended promptly,
    and has left no task, thread, process, file or socket.

    An exception that the script raises, cancelled or not, is a failure too.

    Args:
        script: what to run.
        clock: ``"mock"``, or ``"real"`` for what waits for processes or sockets; then the steps differ from run to run,
            and each run is cancelled somewhere, but not everywhere for certain.
        seed: of the schedule, see :func:`run_seeded`.
        only: cancel before this step alone, to look at one failure.
        prompt_seconds: how long it may go on after its cancel, on its clock.

    Raises:
        SweepFailure: with the smallest step at which something is wrong, what it is, where the script was, and how to
            run just that.
    """
    started = time.perf_counter()
    runs = results = 0
    step = 1 if only is None else only
    while True:
        run = _Run(script, clock, seed, cancel_before=step, prompt_seconds=prompt_seconds)
        try:
            run.perform()
        except BaseException as error:  # border: what a script raises is what the sweep found
            if not isinstance(error, Exception | BaseExceptionGroup | _NeverEnds):
                raise
            raise SweepFailure(_described(error, run, step, script), step) from error
        runs += 1
        results += len(run.seen)
        if only is not None or not run.cancelled:
            return SweepReport(
                runs=runs, steps=run.steps, results=results, seconds=time.perf_counter() - started
            )
        step += 1
        if step > MOST_STEPS:
            raise SweepFailure(f"the script takes more than {MOST_STEPS} steps; does it end?", step)


class _Run:
    """One run of a script under a sweep.

    Attributes:
        steps: those it has taken.
        cancelled: whether the step of the cancel was reached.
        seen: the runs of the engine in it.
        where: the tasks at the moment of the cancel, and where they were.
    """

    def __init__(
        self, script: Script, clock: Clock, seed: int, *, cancel_before: int, prompt_seconds: float
    ) -> None:
        self.steps = 0
        self.cancelled = False
        self.seen: list[tuple[Result, Sequence[Event]]] = []
        self.where = ""
        self._script = script
        self._clock: Clock = clock
        self._seed = seed
        self._cancel_before = cancel_before
        self._prompt_seconds = prompt_seconds
        self._scope: trio.CancelScope | None = None
        self._cancelled_at = 0.0
        self._late = 0.0

    def perform(self) -> None:
        """Run it, and assert what has to hold.

        Raises:
            AssertionError: something does not.
        """
        before = Inventory.now()
        stepper = _Stepper(self._step)
        run_seeded(self._main, stepper, seed=self._seed, clock=self._clock, instruments=(stepper,))
        assert_nothing_left(before)
        if self._late > self._prompt_seconds:
            raise AssertionError(
                f"it went on for {self._late:.3f} s after it was cancelled, and may for {self._prompt_seconds:g} s"
            )
        problems = [
            f"{result.request_id}: {problem}"
            for result, events in self.seen
            for problem in result_problems(result, events)
        ]
        if problems:
            raise AssertionError("\n".join(problems))

    async def _main(self, stepper: _Stepper) -> None:
        token = watcher.set(lambda result, events: self.seen.append((result, events)))
        before = Inventory.now()
        try:
            with trio.CancelScope() as self._scope, stepper.on():
                await self._script()
        finally:
            if self.cancelled:
                self._late = trio.current_time() - self._cancelled_at
            watcher.reset(token)
        with trio.CancelScope(shield=True):
            # What a finished task leaves to trio's own is done a step later.
            await trio.lowlevel.checkpoint()
            tasks = Inventory.now().tasks - before.tasks
        if tasks:
            raise AssertionError(f"tasks are left in a nursery outside of the script: {', '.join(tasks)}")

    def _step(self) -> None:
        self.steps += 1
        if self.steps == self._cancel_before and self._scope is not None:
            self.cancelled = True
            self._cancelled_at = trio.current_time()
            self.where = _places()
            self._scope.cancel(reason="the sweep cancels here")
        elif self.cancelled and self.steps > 2 * self._cancel_before + STEPS_AFTER_CANCEL:
            raise _NeverEnds(
                f"it has taken {self.steps - self._cancel_before} steps since it was cancelled before step "
                f"{self._cancel_before}; does something swallow trio.Cancelled?"
            )


class _NeverEnds(BaseException):
    """No Exception: whoever swallows a cancel swallows those as likely."""


class _Stepper(trio.abc.Instrument):
    """Counts the steps of the tasks that a script has started."""

    def __init__(self, step: Callable[[], None]) -> None:
        self._step = step
        self._tasks: set[trio.lowlevel.Task] = set()

    @contextmanager
    def on(self) -> Iterator[None]:
        """Count the steps of this task and those below, from its next one on."""
        task = trio.lowlevel.current_task()
        self._tasks.add(task)
        try:
            yield
        finally:
            self._tasks.clear()

    def task_spawned(self, task: trio.lowlevel.Task) -> None:
        """A task belongs to the script if its parent does."""
        nursery = task.parent_nursery
        if nursery is not None and nursery.parent_task in self._tasks:
            self._tasks.add(task)

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        """It takes no more steps."""
        self._tasks.discard(task)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count it."""
        if task not in self._tasks:
            return
        try:
            self._step()
        except _NeverEnds as error:
            # No cancel ends it and an instrument may not raise: so the task itself gets it instead of what it waits for.
            thrown: Any = task
            thrown._next_send_fn, thrown._next_send = task.coro.throw, error


def _places() -> str:
    """The tasks of the run, and the line that each is about to go on from."""
    lines = []
    root = trio.lowlevel.current_root_task()
    waiting: list[trio.lowlevel.Task] = [root] if root is not None else []
    while waiting:
        task = waiting.pop(0)
        frames = list(_frames(task))
        if frames:
            lines.append(f"  {task.name}: {' < '.join(reversed(frames[-3:]))}")
        for nursery in task.child_nurseries:
            waiting.extend(nursery.child_tasks)
    return "\n".join(lines)


def _frames(task: trio.lowlevel.Task) -> Iterable[str]:
    for frame, line in task.iter_await_frames():
        module = str(frame.f_globals.get("__name__", "?"))
        if not module.startswith(("trio.", "contextlib")):
            yield f"{module}:{line} {frame.f_code.co_name}"


def _described(error: BaseException, run: _Run, step: int, script: Any) -> str:
    name = getattr(script, "__qualname__", repr(script))
    what = f"cancelled before step {step}" if run.cancelled else f"not cancelled (it has {run.steps} steps)"
    where = f"\nthere it was:\n{run.where}" if run.where else ""
    return f"{name}, {what}: {error}{where}\nrun just that with cancel_sweep({name}, only={step})"
