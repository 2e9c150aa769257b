"""The simulation of OTP's manual does what Erlang/OTP does, so what is compared with it is compared with OTP.

It has one supervisor only: scenarios with supervisors below are the other differential test's.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import pytest

from . import _scenarios, _theirs
from ._model import Flags, Simulation, Spec, Work
from ._scenarios import AMPLE_SECONDS, Action, Child, Rules, Scenario, Step

SCENARIOS = 4_000 if os.environ.get("ALLOY_TRIO_FULL") == "1" else 100

SAID = {"already_started": "exists", "already_present": "exists", "error": "failed"}


def significant(name: str, starts: tuple[str, ...]) -> Child:
    """A child whose end by itself may end the supervisor."""
    return Child(name, "transient", AMPLE_SECONDS, True, "obey", starts, None)


def leaves(name: str, how: str) -> Action:
    """A child ends by itself."""
    return Action("leave", "root", name, how)


RARE = {
    # One significant child ends for good while another waits for its next attempt: that one still counts.
    -1: Scenario(
        Rules("one_for_one", 5, "all_significant", (significant("a", ()), significant("b", ("ok", "fail")))),
        (Step("root", (leaves("b", "crash"), leaves("a", "normal"))), Step("root", (leaves("b", "normal"),))),
    ),
    # A child that waits for its next attempt is terminated: the attempt finds nothing to do.
    -2: Scenario(
        Rules("one_for_one", 5, "any_significant", (significant("a", ("ok", "fail")),)),
        (
            Step("root", (leaves("a", "crash"), Action("terminate", "root", "a"))),
            Step("root", (Action("which", "root"),)),
            Step("root", (Action("restart", "root", "a"),)),
        ),
    ),
}
"""Scenarios that chance hardly ever makes."""


class Player:
    """Takes a simulation through a scenario, and keeps the trace that the driver of Erlang keeps."""

    def __init__(self, scenario: Scenario) -> None:
        root = scenario.root
        self.scenario = scenario
        self.trace: list[str] = []
        self.simulation = Simulation(Flags(root.strategy, root.max_restarts, 1e9, root.auto_shutdown, None))
        self.children = {child.name: child for child in root.children}
        self.attempts: dict[str, int] = {}
        self.alive: dict[str, int] = {}
        self.mailbox: deque[tuple[Action | str, list[str]]] = deque()
        self.over = False

    def play(self) -> list[str]:
        """Returns what happened, in order."""
        self.work(self.simulation.init([spec(child) for child in self.scenario.root.children]), [])
        if self.over:
            return [*self.trace[:-1], "start root fail"]
        self.trace.append("start root ok")
        self.settle()
        for step in self.scenario.steps:
            if len(step.actions) == 1 or not self.over:
                self.take(step)
        self.trace.append("close")
        if not self.over:
            self.work(self.simulation.shut_down(), [])
        return self.trace

    def take(self, step: Step) -> None:
        """All its actions wait before the first is served."""
        answers: list[tuple[Action, list[str]]] = []
        for action in step.actions:
            answer: list[str] = []
            if action.what != "leave":
                answers.append((action, answer))
                self.mailbox.append((action, answer))
            elif action.child in self.alive:
                assert isinstance(action.child, str) and action.how is not None
                self.trace.append(f"end {action.child} {action.how}")
                self.mailbox.append((action._replace(supervisor=str(self.alive.pop(action.child))), answer))
        self.settle()
        self.trace += [f"{action.title}: {(*answer, 'closed')[0]}" for action, answer in answers]

    def settle(self) -> None:
        """Serve what waits."""
        while self.mailbox:
            message, answer = self.mailbox.popleft()
            if not self.over:
                self.serve(message, answer)

    def serve(self, message: Action | str, answer: list[str]) -> None:
        """An action, or the id of a child that is to be tried again."""
        simulation = self.simulation
        if isinstance(message, str):
            self.work(simulation.try_again(message), answer)
            return
        what, about, child, how = message
        if isinstance(child, Child):
            if simulation.find(child.name) is None:
                self.children[child.name] = child
            self.work(simulation.start_child(spec(child)), answer)
        elif child is None:
            found = simulation.count_children() if what == "count" else None
            lines = [
                f"{id}={'stopped' if one == 'undefined' else one}" for id, one in simulation.which_children()
            ]
            answer.append(",".join(lines if found is None else map(str, found)))
        elif what == "leave":
            assert how is not None
            self.work(simulation.exit_signal(int(about), how), answer)
        elif what == "delete":
            answer.append(simulation.delete_child(child))
        else:
            calls = {"terminate": simulation.terminate_child, "restart": simulation.restart_child}
            self.work(calls[what](child), answer)

    def work(self, work: Work, answer: list[str]) -> None:
        """Do what the supervisor waits for, as it goes on."""
        outcome = None
        while True:
            try:
                asked = work.send(outcome)  # type: ignore[arg-type]
            except StopIteration:
                asked = None
            for what, *about in self.simulation.said:
                self.heard(what, about, answer)
            self.simulation.said.clear()
            if asked is None:
                return
            what, name, run, *_ = asked
            outcome = self.start(name, run) if what == "start" else self.stop(name, run)

    def heard(self, what: str, about: list[str], answer: list[str]) -> None:
        """Something that the supervisor tells others."""
        if what == "answer":
            answer.append(SAID.get(about[0], about[0]))
        elif what == "retry":
            self.mailbox.append((about[0], []))
        elif what == "end":
            self.over = True
            self.trace.append("end root shutdown")
        elif what == "closing" and about[0] == "gave_up":
            self.trace.append("give up root")

    def start(self, name: str, run: int) -> str:
        """As the child says of this attempt."""
        starts, number = self.children[name].starts, self.attempts.get(name, 0)
        self.attempts[name] = number + 1
        outcome = starts[number] if number < len(starts) else "ok"
        self.trace.append(f"start {name} {outcome}")
        if outcome == "ok":
            self.alive[name] = run
        return {"ok": "ok", "ignore": "ignore", "fail": "error"}[outcome]

    def stop(self, name: str, run: int) -> str:
        """As the child takes it; it may have left already."""
        if self.alive.get(name) == run:
            del self.alive[name]
            child = self.children[name]
            ends = {"obey": "shutdown", "stuck": "killed", "raise": "crash", "return": "normal"}
            self.trace.append(f"end {name} {'killed' if child.shutdown == 'brutal' else ends[child.on_stop]}")
        return "ok"


def spec(child: Child) -> Spec:
    """As the simulation wants it."""
    return Spec(child.name, child.restart, child.significant, "worker", None)


def is_flat(scenario: Scenario) -> bool:
    """Whether it has one supervisor."""
    return all(child.sub is None for child in scenario.root.children)


@pytest.mark.skipif(_theirs.missing() is not None, reason=str(_theirs.missing()))
def test_the_simulation_and_erlang_have_the_same_traces(tmp_path: Path) -> None:
    made = {seed: _scenarios.make(seed) for seed in range(SCENARIOS)}
    scenarios = {seed: scenario for seed, scenario in made.items() if is_flat(scenario)}
    assert len(scenarios) > SCENARIOS / 3
    scenarios.update(RARE)
    theirs = _theirs.traces(scenarios, tmp_path)
    ours = {seed: Player(scenario).play() for seed, scenario in scenarios.items()}
    different = [seed for seed in scenarios if ours[seed] != theirs[seed]]
    for seed in different[:3]:
        print(
            f"{seed}: {scenarios[seed]}\n  model  {'; '.join(ours[seed])}\n  Erlang {'; '.join(theirs[seed])}"
        )
    assert different == []
