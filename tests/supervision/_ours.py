"""Runs a scenario under the supervisor of this package."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from unittest.mock import patch

import trio
import trio.testing

from alloy_trio import ChildExists, ChildNotFound, ChildRunning, RestartLimitExceeded
from alloy_trio.supervision import ChildSpec, Supervisor, grace, open_supervisor
from alloy_trio.supervision._mailbox import Mailbox, Message

from ._scenarios import Action, Child, Rules, Scenario, Step


class StartFailed(Exception):
    """As the scenario says."""


class Crash(Exception):
    """As the scenario says."""


class Life:
    """One run of a leaf: how it is told to leave, and that it has."""

    def __init__(self) -> None:
        self.told = trio.Event()
        self.left = trio.Event()
        self.how = ""


def trace(scenario: Scenario) -> list[str]:
    """What happened, in order."""
    world = World()
    with patch("alloy_trio.supervision._engine.Mailbox", Gate):
        trio.run(world.play, scenario, clock=trio.testing.MockClock(autojump_threshold=0))
    return world.trace


class World:
    """Everything that is going on in one scenario."""

    def __init__(self) -> None:
        self.trace: list[str] = []
        self.supervisors: dict[str, Supervisor] = {}
        self.gates: dict[str, Gate] = {}
        self.lives: dict[str, Life] = {}
        self.attempts: dict[str, int] = {}

    async def play(self, scenario: Scenario) -> None:
        """Run it to its end."""
        opened = False
        try:
            with suppress(RestartLimitExceeded):
                async with (
                    self.supervisor("root", scenario.root) as supervisor,
                    trio.open_nursery() as nursery,
                ):
                    opened = True
                    # As Erlang's parent, the steps go on when the root has ended.
                    nursery.cancel_scope.shield = True
                    await self.settle()
                    for step in scenario.steps:
                        await self.take(step, nursery)
                        await self.settle()
                    self.trace.append("close")
                    nursery.cancel_scope.shield = False
                    del supervisor
        except StartFailed:
            pass
        if not opened:
            self.trace.append("start root fail")

    def supervisor(self, name: str, rules: Rules) -> Any:
        """Open one that keeps the trace."""
        return _Traced(self, name, rules)

    def spec(self, child: Child) -> ChildSpec:
        """As the package wants it."""
        fn: Callable[..., Awaitable[None]] = self.leaf if child.sub is None else self.sub
        options: dict[str, Any] = {"restart": child.restart, "significant": child.significant}
        kind: Any = "worker" if child.sub is None else "supervisor"
        shutdown: Any = child.shutdown
        return ChildSpec(child.name, fn, args=(child,), shutdown=shutdown, kind=kind, **options)

    def attempt(self, child: Child) -> str:
        """What comes of its next start."""
        number = self.attempts.get(child.name, 0)
        self.attempts[child.name] = number + 1
        outcome = child.starts[number] if number < len(child.starts) else "ok"
        if outcome != "ok":
            self.trace.append(f"start {child.name} {outcome}")
        if outcome == "fail":
            raise StartFailed
        return outcome

    async def leaf(self, child: Child, *, task_status: trio.TaskStatus[None]) -> None:
        """A child without children."""
        if self.attempt(child) == "ignore":
            return
        life = self.lives[child.name] = Life()
        self.trace.append(f"start {child.name} ok")
        task_status.started()
        reason = "normal"
        try:
            try:
                await life.told.wait()
            except trio.Cancelled:
                reason = life.how or await self.stopped(child)
                if reason != "normal":
                    raise
            if life.how == "crash":
                reason = "crash"
                raise Crash
        finally:
            self.trace.append(f"end {child.name} {reason}")
            del self.lives[child.name]
            life.left.set()

    async def stopped(self, child: Child) -> str:
        """What a leaf does that was cancelled; returns with what reason it ends."""
        with grace() as held:
            if child.on_stop == "stuck":
                await trio.sleep_forever()
            await trio.lowlevel.checkpoint()
        if held.cancelled_caught:
            return "killed"
        return {"obey": "shutdown", "raise": "crash", "return": "normal"}[child.on_stop]

    async def sub(self, child: Child, *, task_status: trio.TaskStatus[Supervisor]) -> None:
        """A child that is a supervisor."""
        if self.attempt(child) == "ignore":
            return
        assert child.sub is not None
        opened = False
        try:
            async with self.supervisor(child.name, child.sub) as supervisor:
                opened = True
                task_status.started(supervisor)
                await trio.sleep_forever()
        finally:
            if not opened:
                self.trace.append(f"start {child.name} fail")

    async def settle(self) -> None:
        """Wait until no supervisor has anything to do, however long it takes by the clock."""
        while not all(gate.idle for gate in self.gates.values()):  # noqa: ASYNC110  this moves the mock clock
            await trio.sleep(0.001)

    async def take(self, step: Step, nursery: trio.Nursery) -> None:
        """Do what the step says."""
        gate = self.gates.get(step.supervisor)
        if len(step.actions) > 1:
            if gate is None:
                return
            gate.opened = trio.Event()
        answers: list[tuple[Action, list[str]]] = []
        for action in step.actions:
            answer: list[str] = []
            if action.what != "leave":
                answers.append((action, answer))
            nursery.start_soon(self.act, action, answer)
            # Until it waits in the supervisor's mailbox, if it has to.
            await trio.testing.wait_all_tasks_blocked()
        if gate is not None:
            gate.opened.set()
        await self.settle()
        for action, answer in answers:
            self.trace.append(f"{action.title}: {answer[0]}")

    async def act(self, action: Action, answer: list[str]) -> None:
        """Do one thing, and keep what is said to it."""
        if action.what == "leave":
            await self.leave(action)
            return
        supervisor = self.supervisors.get(action.supervisor)
        if supervisor is None:
            answer.append("closed")
            return
        try:
            answer.append(await self.call(supervisor, action))
        except ChildExists:
            answer.append("exists")
        except ChildRunning as error:
            answer.append("restarting" if "is being restarted" in str(error) else "running")
        except ChildNotFound:
            answer.append("not_found")
        except trio.ClosedResourceError:
            answer.append("closed")
        except StartFailed:
            answer.append("failed")

    async def leave(self, action: Action) -> None:
        """Have a leaf end by itself."""
        assert isinstance(action.child, str) and action.how is not None
        life = self.lives.get(action.child)
        if life is None:
            return
        life.how = action.how
        if action.how == "shutdown":
            self.supervisors[action.supervisor].child(action.child).cancel()
        else:
            life.told.set()
        await life.left.wait()

    async def call(self, supervisor: Supervisor, action: Action) -> str:
        """Make a call; returns what Erlang would say."""
        if action.what == "which":
            return ",".join(f"{child.name}={child.status}" for child in supervisor.children())
        if action.what == "count":
            count = supervisor.count()
            return f"{count.specs},{count.active},{count.supervisors},{count.workers}"
        if isinstance(action.child, Child):
            await supervisor.start(self.spec(action.child))
            return "ok"
        assert action.child is not None
        if action.what == "delete":
            supervisor.delete(action.child)
        elif action.what == "terminate":
            await supervisor.terminate(action.child)
        else:
            await supervisor.restart(action.child)
        return "ok"


class Gate(Mailbox):
    """A mailbox that can be kept from being read, as ``sys:suspend`` does in Erlang."""

    def __init__(self) -> None:
        super().__init__()
        self.idle = False
        self.opened = trio.Event()
        self.opened.set()

    async def next(self) -> Message:
        """The next message, once the gate is open."""
        self.idle = True
        message = await super().next()
        self.idle = False
        await self.opened.wait()
        return message


class _Traced:
    """``open_supervisor`` with a line for its start, its giving up and its end."""

    def __init__(self, world: World, name: str, rules: Rules) -> None:
        self._world = world
        self._name = name
        options: dict[str, Any] = {"auto_shutdown": rules.auto_shutdown, "max_restarts": rules.max_restarts}
        strategy: Any = rules.strategy
        specs = [world.spec(child) for child in rules.children]
        self._scope = open_supervisor(specs, strategy, within=1e9, name=name, **options)

    async def __aenter__(self) -> Supervisor:
        supervisor = await self._scope.__aenter__()
        world, engine = self._world, supervisor._engine
        announce = engine.announcer.announce

        def traced(event: Any, *rest: Any) -> None:
            if event == "escalation" and engine.outcome == "gave_up":
                world.trace.append(f"give up {self._name}")
            announce(event, *rest)

        engine.announcer.announce = traced  # type: ignore[method-assign]
        end = engine.announcer.end

        def ended() -> None:
            # Here and not where the block is left: the root's goes on, as the parent does in Erlang.
            del world.supervisors[self._name], world.gates[self._name]
            world.trace.append(f"end {self._name} shutdown")
            end()

        engine.announcer.end = ended  # type: ignore[method-assign]
        world.supervisors[self._name] = supervisor
        world.gates[self._name] = engine._mailbox  # type: ignore[assignment]
        world.trace.append(f"start {self._name} ok")
        return supervisor

    async def __aexit__(self, *exception: Any) -> bool | None:
        return await self._scope.__aexit__(*exception)
