"""What a supervisor and its children may go through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

import attrs
import trio
import trio.testing
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from alloy_trio.values import LocalError

_NAMES = ("a", "b", "c")

Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
RestartKind: TypeAlias = Literal["permanent", "transient", "temporary"]
AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]
What: TypeAlias = Literal["start", "terminate", "restart", "delete", "cancel", "crash", "leave", "wait"]


@attrs.frozen(kw_only=True)
class ChildPlan:
    """A child of a scenario.

    Args:
        name: the child's.
        restart: ``"permanent"``, ``"transient"`` or ``"temporary"``.
        significant: whether its end may end the supervisor.
        shutdown: seconds that its clean-up has, or ``"brutal"``.
        cleanup_seconds: how long its clean-up takes.
        failed_starts: how many of its first starts fail.
    """

    name: str
    restart: RestartKind = "permanent"
    significant: bool = False
    shutdown: float | Literal["brutal"] = 5.0
    cleanup_seconds: float = 0.0
    failed_starts: int = 0


@attrs.frozen
class Operation:
    """Something done to a supervisor, or by one of its children.

    Args:
        what: a call of the supervisor's (``"start"``, ``"terminate"``, ``"restart"``, ``"delete"``, ``"cancel"``), what
            a child does by itself (``"crash"``, ``"leave"``), or ``"wait"``.
        child: whom it is about.
        seconds: how long is waited.
    """

    what: What
    child: str = ""
    seconds: float = 0.0


class ChildCrashed(Exception):
    """What a child of a scenario fails with."""


@attrs.frozen(kw_only=True)
class SupervisorScenario:
    """A supervisor, its first children, and what happens to them one after the other.

    Args:
        children: those it is opened with; others that operations name are started by ``"start"``.
        strategy: whom the end of a child takes along.
        max_restarts: restarts allowed in ``within`` seconds.
        within: seconds.
        auto_shutdown: whether the end of significant children ends it.
        operations: what happens.
    """

    children: tuple[ChildPlan, ...]
    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    within: float = 5.0
    auto_shutdown: AutoShutdown = "never"
    operations: tuple[Operation, ...] = ()

    async def play(self) -> tuple[str, ...]:
        """Let it happen to a real supervisor; returns what came of each operation, and how it ended.

        Between two operations all tasks come to rest. Meant for a mock clock, as :func:`run_seeded` has.

        *Cancellation*: ends the supervisor and its children.
        """
        return await _Play(self).perform()


class _Play:
    """One performance of a scenario."""

    def __init__(self, scenario: SupervisorScenario) -> None:
        self._scenario = scenario
        self._orders: dict[str, trio.MemorySendChannel[str]] = {}
        self._starts: dict[str, int] = {}
        self._told: list[str] = []

    async def perform(self) -> tuple[str, ...]:
        from alloy_trio.supervision import open_supervisor
        from alloy_trio.values import RestartLimitExceeded

        scenario = self._scenario
        ended = "closed"
        try:
            async with open_supervisor(
                [self._spec(plan) for plan in scenario.children],
                scenario.strategy,
                scenario.max_restarts,
                scenario.within,
                scenario.auto_shutdown,
            ) as supervisor:
                ended = "shut down by itself"
                for operation in scenario.operations:
                    # What a call came to, also one that the supervisor's own end cut.
                    self._told.append(f"{operation.what} {operation.child}".strip())
                    self._told[-1] += f": {await self._operate(supervisor, operation)}"
                    await trio.testing.wait_all_tasks_blocked()
                ended = "closed"
        except RestartLimitExceeded:
            ended = "gave up"
        except ChildCrashed:
            ended = "did not open"
        return (*self._told, ended)

    async def _operate(self, supervisor: Any, operation: Operation) -> str:
        name = operation.child
        try:
            match operation.what:
                case "wait":
                    await trio.sleep(operation.seconds)
                case "start":
                    await supervisor.start(self._spec(ChildPlan(name=name)))
                case "terminate":
                    await supervisor.terminate(name)
                case "restart":
                    await supervisor.restart(name)
                case "delete":
                    supervisor.delete(name)
                case "cancel":
                    supervisor.child(name).cancel()
                case "crash" | "leave":
                    if name not in self._orders:
                        return "does not run"
                    await self._orders[name].send(operation.what)
        except (LocalError, ChildCrashed, trio.ClosedResourceError) as error:
            return type(error).__name__
        return "done"

    def _spec(self, plan: ChildPlan) -> Any:
        from alloy_trio.supervision import ChildSpec

        return ChildSpec(
            plan.name,
            self._live,
            args=(plan,),
            restart=plan.restart,
            significant=plan.significant,
            shutdown=plan.shutdown,
        )

    async def _live(self, plan: ChildPlan, *, task_status: trio.TaskStatus[None]) -> None:
        from alloy_trio.supervision import grace

        self._starts[plan.name] = self._starts.get(plan.name, 0) + 1
        if self._starts[plan.name] <= plan.failed_starts:
            raise ChildCrashed(f"{plan.name} does not start")
        send, receive = trio.open_memory_channel[str](1)
        self._orders[plan.name] = send
        try:
            with send, receive:
                task_status.started()
                if await receive.receive() == "crash":
                    raise ChildCrashed(plan.name)
        finally:
            if self._orders.get(plan.name) is send:
                del self._orders[plan.name]
            with grace():
                await trio.sleep(plan.cleanup_seconds)


def supervisor_scenarios(
    *, max_operations: int = 8, names: Iterable[str] = _NAMES
) -> SearchStrategy[SupervisorScenario]:
    """Scenarios for :mod:`alloy_trio.supervision`: rules, children, and a list of operations.

    Args:
        max_operations: operations at most.
        names: of the children.
    """
    return _scenarios(max_operations, tuple(names))


@st.composite
def _scenarios(draw: st.DrawFn, max_operations: int, names: tuple[str, ...]) -> SupervisorScenario:
    auto: AutoShutdown = draw(st.sampled_from(["never", "never", "any_significant", "all_significant"]))
    children = tuple(
        draw(_children(name, significant=auto != "never"))
        for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=len(names)))
    )
    return SupervisorScenario(
        children=children,
        strategy=draw(st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"])),
        max_restarts=draw(st.integers(0, 4)),
        within=draw(st.sampled_from([5.0, 1.0])),
        auto_shutdown=auto,
        operations=tuple(draw(st.lists(_operations(names), max_size=max_operations))),
    )


@st.composite
def _children(draw: st.DrawFn, name: str, *, significant: bool) -> ChildPlan:
    restart: RestartKind = draw(st.sampled_from(["permanent", "transient", "temporary"]))
    return ChildPlan(
        name=name,
        restart=restart,
        significant=significant and restart != "permanent" and draw(st.booleans()),
        shutdown=draw(st.sampled_from([5.0, 0.0, "brutal"])),
        cleanup_seconds=draw(st.sampled_from([0.0, 0.0, 1.0])),
        failed_starts=0 if draw(st.integers(0, 9)) else 1,
    )


def _operations(names: tuple[str, ...]) -> SearchStrategy[Operation]:
    calls: SearchStrategy[What] = st.sampled_from(
        ("crash", "crash", "leave", "terminate", "restart", "start", "delete", "cancel")
    )
    waits = st.builds(Operation, st.just("wait"), seconds=st.sampled_from([1.0, 0.25, 6.0]))
    return st.one_of(
        st.builds(Operation, calls, st.sampled_from(names)),
        st.builds(Operation, calls, st.sampled_from(names)),
        waits,
    )
