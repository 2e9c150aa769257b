"""One run of a child: its task, the scope that stops it, and how it ended."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import trio

from alloy_trio.values import RestartLimitExceeded

from ._decisions import ExitKind
from ._spec import ChildSpec

if TYPE_CHECKING:
    from typing import Self

    from ._subscriptions import Announcer

GRACE_SECONDS = 5.0
"""What :func:`grace` gives where no supervisor says how much: as much as a ChildSpec does if nothing is said."""


class Owner(Protocol):
    """What a run needs to know of supervisors: of the one that it belongs to, and of those opened inside it."""

    @property
    def announcer(self) -> Announcer:
        """Makes the supervisor's events."""

    @property
    def above(self) -> Run | None:
        """The run of a child that the supervisor was opened in, if it was."""

    @property
    def exceeded(self) -> RestartLimitExceeded | None:
        """Why it gives up, if it does."""

    def run_started(self, run: Run) -> None:
        """The child called ``started()``."""

    def run_ended(self, run: Run) -> None:
        """The child's task has ended."""

    def cut_short(self) -> None:
        """Give the supervisor's children no more time for their clean-up."""


class Run:
    """A child from one start to its end.

    Args:
        spec: what to run.
        number: tells it from the child's other runs.
        owner: the supervisor.

    Attributes:
        started: whether the child has started, and ``value`` what it passed to ``started()``.
        stopping: whether the supervisor stops it.
        error: what it raised, or None.
        passing: an exception that no supervisor keeps to itself, like KeyboardInterrupt.
        nested: the supervisors that are open inside it.
    """

    __slots__ = (
        "_graces",
        "_scope",
        "ended",
        "error",
        "grace_ends",
        "nested",
        "number",
        "owner",
        "passing",
        "spec",
        "started",
        "stopping",
        "value",
    )

    def __init__(self, spec: ChildSpec, number: int, owner: Owner) -> None:
        self.spec = spec
        self.number = number
        self.owner = owner
        self._scope = trio.CancelScope()
        self._graces: list[trio.CancelScope] | None = None
        self.grace_ends = math.inf
        self.started = False
        self.value: Any = None
        self.stopping = False
        self.ended = False
        self.error: Exception | None = None
        self.passing: BaseException | None = None
        self.nested: list[Owner] = []

    @trio.lowlevel.enable_ki_protection
    async def work(self, waits_for_started: bool) -> None:
        """The child's task. Raises nothing: the supervisor decides what an exception comes to."""
        _current.set(self)
        try:
            with self._scope:
                if waits_for_started:
                    await _unprotected(self.spec.fn, self.spec.args, task_status=_TaskStatus(self))
                else:
                    # Not as soon as the task was made: what comes before the first checkpoint is done, then, when
                    # the next child is started.
                    self.start(None)
                    await _unprotected(self.spec.fn, self.spec.args)
        except Exception as error:  # border: a supervised child; its supervisor decides what follows
            self.error = error
        except BaseException as error:  # border: the supervisor raises it again, once all have ended
            self.passing = error
        self.ended = True
        self.owner.run_ended(self)

    @property
    def how(self) -> ExitKind:
        """How it ended by itself."""
        if self.error is not None:
            # As a supervisor of OTP's that gives up exits with the reason shutdown.
            gave_up = self.spec.kind == "supervisor" and isinstance(self.error, RestartLimitExceeded)
            return "shutdown" if gave_up else "crash"
        return "shutdown" if self._scope.cancelled_caught else "normal"

    @property
    def reason(self) -> str:
        """How it ended, in a line."""
        error = self.error or self.passing
        if error is not None:
            said = str(error)
            return f"{type(error).__name__}: {said}" if said else type(error).__name__
        return self.how

    def start(self, value: object) -> None:
        """The child has started."""
        if self.started:
            raise RuntimeError(f"child {self.spec.name!r} called started() twice")
        self.started = True
        self.value = value
        self.owner.run_started(self)

    def refuse_to_wait_for_itself(self) -> None:
        """Refuse a call of the supervisor, which waits for the child to start, by that child."""
        run = current_run()
        while run is not None:
            if run is self and not run.started:
                raise RuntimeError(
                    f"child {run.spec.name!r} calls its supervisor before started(), which the supervisor waits for;"
                    " call started() first"
                )
            run = run.owner.above

    def cancel(self, reason: str) -> None:
        """Cancel the child; what cleans up under :func:`grace` has the child's shutdown time from now on."""
        if self.ended or self._scope.cancel_called:
            return
        shutdown = self.spec.shutdown
        self._limit(trio.current_time() + (0.0 if isinstance(shutdown, str) else shutdown))
        self._scope.cancel(reason=reason)

    def cut_short(self) -> None:
        """The time for cleaning up is over, here and in the supervisors inside."""
        self._limit(-math.inf)
        for supervisor in tuple(self.nested):
            supervisor.cut_short()

    def _limit(self, deadline: float) -> None:
        self.grace_ends = min(self.grace_ends, deadline)
        for scope in self._graces or ():
            scope.deadline = self.grace_ends

    def enter_grace(self, scope: trio.CancelScope) -> None:
        """Bound a shielded scope by the shutdown time, also when that begins later."""
        scope.deadline = self.grace_ends
        if self._graces is None:
            self._graces = []
        self._graces.append(scope)

    def leave_grace(self, scope: trio.CancelScope) -> None:
        """The scope has been left."""
        assert self._graces is not None
        self._graces.remove(scope)


_current: ContextVar[Run | None] = ContextVar("alloy_trio_supervised", default=None)


def current_run() -> Run | None:
    """The run of a child that the calling code is part of."""
    return _current.get()


@trio.lowlevel.disable_ki_protection
async def _unprotected(fn: Callable[..., Awaitable[object]], args: tuple[Any, ...], **keywords: Any) -> None:
    await fn(*args, **keywords)


class _TaskStatus:
    """What a child gets as ``task_status``."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def started(self, value: object = None) -> None:
        self._run.start(value)


def takes_task_status(fn: Callable[..., object]) -> bool:
    """Whether a function has a parameter of this name that can be given by keyword."""
    try:
        parameter = inspect.signature(fn).parameters.get("task_status")
    except (TypeError, ValueError):
        return False  # written in C, without a signature
    return parameter is not None and parameter.kind in (
        parameter.KEYWORD_ONLY,
        parameter.POSITIONAL_OR_KEYWORD,
    )


class grace:
    """A shield for the clean-up of a supervised child, for as long as its shutdown time.

    Inside the block a cancel from outside is not felt until ``shutdown`` seconds after the child was cancelled;
    then the block is cut off as by ``trio.move_on_after``. A ``"brutal"`` shutdown leaves no time. In code that no
    supervisor runs it lasts five seconds from where it is entered. ::

        try:
            await trio.sleep_forever()
        finally:
            with grace():
                await connection.say_goodbye()

    Args:
        scope: entered in the place of a shield of its own, so that the code inside can say from when on it is one. Its
            deadline is set here when the child is cancelled.
    """

    def __init__(self, scope: trio.CancelScope | None = None) -> None:
        self._is_own = scope is None
        self._scope = trio.CancelScope(shield=True) if scope is None else scope
        self._run: Run | None = None

    def __enter__(self) -> Self:
        run = _current.get()
        # A task that outlived the child in somebody else's nursery is no part of it any more.
        if run is not None and not run.ended:
            self._run = run
            run.enter_grace(self._scope)
        elif self._is_own:
            self._scope.deadline = trio.current_time() + GRACE_SECONDS
        self._scope.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        if self._run is not None:
            self._run.leave_grace(self._scope)
        return self._scope.__exit__(kind, error, traceback)

    @property
    def cancelled_caught(self) -> bool:
        """After the block, whether it was cut off."""
        return self._scope.cancelled_caught
