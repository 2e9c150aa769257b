"""A supervisor as users see it, and the block that it lives in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, NoReturn

import trio

from alloy_trio._scopes import split_cancelled
from alloy_trio.values import ChildExists, ChildNotFound, ChildRunning, ConfigurationError

from ._decisions import Add, Answer, Delete, Problem, Restart, Terminate
from ._engine import Engine
from ._handle import ChildHandle
from ._report import ChildCount, ChildInfo, ChildRecord, SupervisorStatistics
from ._spec import AutoShutdown, Backoff, ChildSpec, Rules, Strategy
from ._subscriptions import ChildEvents
from ._tree import drawn

EVENT_BUFFER = 1_000
"""Events that a subscriber may lag behind if it does not say how many. Arbitrary."""


class Supervisor:
    """Looks after its children; see :func:`open_supervisor`.

    Calls are served one after the other, as by OTP's process, between restarts and not in the middle of one.

    Attributes:
        name: names it in messages and events.
        id: the ``correlation_id`` of its events.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.id = engine.announcer.correlation_id

    def __repr__(self) -> str:
        return f"<Supervisor {self.name!r}: {len(self._engine.policy.children)} children>"

    async def start(self, spec: ChildSpec) -> ChildHandle:
        """Start a child, behind those that are there.

        A child that returns before it called ``started()`` has nothing to do: it is kept as stopped, and a
        temporary one is forgotten.

        Returns:
            The child's handle.

        Raises:
            ChildExists: there is a child of this name, running or not.
            ConfigurationError: the spec cannot be under this supervisor.
            trio.ClosedResourceError: the supervisor ends.
            Exception: the child raised it before it had started; the child is not kept.

        *Cancellation*: the child is cancelled and waited for, and not kept.
        """
        self._engine.rules.check(spec)
        return await self._started(Add(spec))

    async def restart(self, name: str) -> ChildHandle:
        """Start a stopped child again.

        Raises:
            ChildNotFound: there is no such child; a temporary one is forgotten once it has ended.
            ChildRunning: it runs, or is about to.
            trio.ClosedResourceError: the supervisor ends.
            Exception: the child raised it before it had started; it stays stopped.

        *Cancellation*: the child is cancelled and waited for, and stays stopped.
        """
        return await self._started(Restart(name))

    async def terminate(self, name: str) -> None:
        """Stop a child, and wait until it has ended. It is not restarted; a temporary one is forgotten.

        A child that does not run is left as it is; one that waits for a restart gives that up.

        Raises:
            ChildNotFound: there is no such child.
            trio.ClosedResourceError: the supervisor ends.

        *Cancellation*: the child ends all the same, but it is not waited for.
        """
        call = await self._engine.ask(Terminate(name))
        if call.problem is not None:
            self._refuse(name, call.problem)

    @trio.lowlevel.enable_ki_protection
    def delete(self, name: str) -> None:
        """Forget a stopped child.

        Raises:
            ChildNotFound: there is no such child.
            ChildRunning: it runs, or is about to; terminate it first.
        """
        (answer,) = self._engine.policy.step(Delete(name))
        assert isinstance(answer, Answer)
        if answer.problem is not None:
            self._refuse(name, answer.problem)
        self._engine.settle(name)

    def child(self, name: str) -> ChildHandle:
        """The handle of a child.

        Raises:
            ChildNotFound: there is no such child.
        """
        record = self._engine.records.get(name)
        if record is None:
            self._refuse(name, "not_found")
        return ChildHandle(self._engine, record)

    def children(self) -> tuple[ChildInfo, ...]:
        """The children in order of their start."""
        return tuple(ChildHandle(self._engine, record).info() for record in self._in_order())

    def count(self) -> ChildCount:
        """How many children there are."""
        specs = [record.spec for record in self._engine.records.values()]
        supervisors = sum(spec.kind == "supervisor" for spec in specs)
        active = sum(child.status == "running" for child in self._engine.policy.children.values())
        return ChildCount(
            specs=len(specs), active=active, supervisors=supervisors, workers=len(specs) - supervisors
        )

    def events(self, *, buffer: int = EVENT_BUFFER) -> AbstractAsyncContextManager[ChildEvents]:
        """Subscribe to child_start, child_exit, child_restart and escalation, here and in supervisors below.

        Args:
            buffer: events that may wait to be read; beyond that the oldest are lost, and :class:`Lagged` says so.
        """
        if buffer < 1:
            raise ConfigurationError(f"an event buffer of {buffer} holds nothing; give it room for 1 or more")
        return self._engine.announcer.subscribed(buffer)

    def statistics(self) -> SupervisorStatistics:
        """What it has done so far."""
        engine = self._engine
        return SupervisorStatistics(
            children=len(engine.policy.children),
            running=self.count().active,
            starts=engine.starts,
            failed_starts=engine.failed_starts,
            exits=engine.exits,
            restarts=engine.restarts,
            overdue=engine.overdue,
        )

    def tree(self) -> str:
        """The supervisor, its children and the supervisors below, drawn in lines for people to read."""
        return drawn(self._engine)

    async def _started(self, happening: Add | Restart) -> ChildHandle:
        call = await self._engine.ask(happening)
        if call.error is not None:
            raise call.error
        if call.problem == "failed":
            raise trio.ClosedResourceError(f"child {call.name!r} was cancelled before it had started")
        if call.problem is not None or call.record is None:
            self._refuse(call.name, call.problem or "not_found")
        return ChildHandle(self._engine, call.record)

    def _refuse(self, name: str, problem: Problem) -> NoReturn:
        of = f"supervisor {self.name!r}"
        if problem == "not_found":
            known = ", ".join(map(repr, self._engine.policy.children)) or "none"
            raise ChildNotFound(f"{of} has no child {name!r}; it has: {known}")
        if problem == "exists":
            raise ChildExists(
                f"{of} has a child {name!r} already; restart it, or terminate and delete it first, or take another name"
            )
        state = "is being restarted" if problem == "restarting" else "runs"
        raise ChildRunning(f"child {name!r} of {of} {state}; terminate it first")

    def _in_order(self) -> list[ChildRecord]:
        return [
            self._engine.records[name]
            for name in self._engine.policy.children
            if name in self._engine.records
        ]


@asynccontextmanager
async def open_supervisor(
    children: Iterable[ChildSpec] = (),
    strategy: Strategy = "one_for_one",
    max_restarts: int = 3,
    within: float = 5.0,
    auto_shutdown: AutoShutdown = "never",
    *,
    name: str = "supervisor",
    backoff: Backoff | None = None,
) -> AsyncIterator[Supervisor]:
    """Run children, and restart them by Erlang/OTP's rules while the block goes on.

    The children are started in order, each once the one before has started. A start that fails stops those that
    have started, and leaves the opening as it is. When the block is left, whatever the reason, they are stopped
    one after the other, the last first.

    Args:
        children: to start with.
        strategy: whom the end of one child takes along into its restart: nobody (``"one_for_one"``), all
            (``"one_for_all"``), or those that were started after it (``"rest_for_one"``).
        max_restarts: restarts, attempts that fail included, that are allowed ``within`` that many seconds. One more
            and the supervisor gives up.
        within: seconds.
        auto_shutdown: whether the supervisor ends when a significant child has ended by itself
            (``"any_significant"``), or the last of them that ran (``"all_significant"``). The block is cancelled
            then, and left without an error.
        name: for messages, events and the tree.
        backoff: delays before restarts, for children without their own; None restarts at once, as OTP does.

    Raises:
        RestartLimitExceeded: it gave up; the child's exception is chained. The block was cancelled.
        ConfigurationError: rules or specs that cannot be, or two children of one name.

    What a child raises that is no ``Exception``, like KeyboardInterrupt, passes: the children are stopped, and it
    leaves the block. So does the body's own exception, unwrapped. A group appears only when both truly failed.

    *Cancellation*: reaches the body. Once that has ended, the children are stopped in order, each within its
    shutdown time; a child that takes longer is named in a warning and an event, and waited for. Trio cannot kill.
    """
    options: dict[str, Any] = {"strategy": strategy, "max_restarts": max_restarts, "within": within}
    engine, specs = engine_for(children, name=name, auto_shutdown=auto_shutdown, backoff=backoff, **options)
    async with running(engine, specs) as supervisor:
        yield supervisor


def engine_for(
    children: Iterable[ChildSpec], *, name: str, **rules: Any
) -> tuple[Engine, tuple[ChildSpec, ...]]:
    """The engine of a supervisor that is not running yet, and its children once they are checked."""
    checked = Rules(**rules)
    specs = checked.check_all(children)
    return Engine(name, checked), specs


@asynccontextmanager
async def running(engine: Engine, specs: tuple[ChildSpec, ...]) -> AsyncIterator[Supervisor]:
    """The block in which a supervisor runs; see :func:`open_supervisor`."""
    body_error: BaseException | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(engine.run, specs, name=f"supervisor {engine.name!r}")
        try:
            with engine.body_scope:
                await engine.opened.wait()
                if engine.outcome != "not_opened":
                    yield Supervisor(engine)
        except BaseException as error:  # border: raised again once the children have ended
            body_error = error
        engine.close_soon()
        while not engine.over.is_set():
            try:
                with trio.CancelScope(shield=True):
                    await engine.over.wait()
            except KeyboardInterrupt as error:
                # Whoever presses Ctrl-C now has waited enough.
                engine.cut_short()
                if not isinstance(body_error, KeyboardInterrupt):
                    engine.errors.append(error)
    errors = engine.errors
    if body_error is not None and errors:
        # The supervisor's end cancelled the body; only what else it raised counts.
        body_error = split_cancelled(body_error)[1]
    if body_error is not None:
        errors = [body_error, *errors]
    if len(errors) > 1:
        raise BaseExceptionGroup(f"several things failed under supervisor {engine.name!r}", errors)
    for failure in errors:
        raise failure
