"""Random scenarios for two supervisors that are to do the same, and how each is written for Erlang."""

from __future__ import annotations

import math
import random
from typing import NamedTuple, TypeAlias

STUCK_SECONDS = 0.02
"""How long a child that resists its shutdown is given. Small, as Erlang waits in real time."""
AMPLE_SECONDS = 1000.0
"""For children that obey: never reached, however busy the machine is."""


class Rules(NamedTuple):
    """Of one supervisor."""

    strategy: str
    max_restarts: int
    auto_shutdown: str
    children: tuple[Child, ...]


class Child(NamedTuple):
    """What is specified of a child, and how it behaves.

    ``starts`` says what comes of its first starts, one after the other; those beyond succeed.
    """

    name: str
    restart: str
    shutdown: float | str
    significant: bool
    on_stop: str
    starts: tuple[str, ...]
    sub: Rules | None


class Action(NamedTuple):
    """Something done to a supervisor: a call, or one of its children ends by itself (``leave``)."""

    what: str
    supervisor: str
    child: str | Child | None = None
    how: str | None = None

    @property
    def title(self) -> str:
        """As it stands in the trace."""
        if self.child is None:
            return f"{self.what} {self.supervisor}"
        name = self.child if isinstance(self.child, str) else self.child.name
        return f"{self.what} {name} in {self.supervisor}"


class Step(NamedTuple):
    """Actions that the supervisor finds waiting at once, in this order; one alone waits for nobody."""

    supervisor: str
    actions: tuple[Action, ...]


class Scenario(NamedTuple):
    """A root supervisor, and what it goes through until it is closed."""

    root: Rules
    steps: tuple[Step, ...]


Names: TypeAlias = dict[str, list[str]]


def make(seed: int) -> Scenario:
    """The scenario of this number."""
    rng = random.Random(seed)
    names: Names = {}
    root = _rules(rng, "root", names, deep=True)
    steps = tuple(_step(rng, names, root) for _ in range(rng.randint(2, 9)))
    return Scenario(root, steps)


def _rules(rng: random.Random, name: str, names: Names, *, deep: bool) -> Rules:
    auto = rng.choice(["never", "never", "any_significant", "all_significant"])
    here = names[name] = []
    children = tuple(
        _child(rng, f"{'' if name == 'root' else name}{letter}", auto, names, deep=deep)
        for letter in "abcd"[: rng.randint(0 if deep else 1, 4 if deep else 3)]
    )
    here += [child.name for child in children]
    strategy = rng.choice(["one_for_one", "one_for_all", "rest_for_one"])
    return Rules(strategy, rng.choice([0, 1, 2, 3, 5, 8]), auto, children)


def _child(rng: random.Random, name: str, auto: str, names: Names, *, deep: bool) -> Child:
    restart = rng.choice(["permanent", "permanent", "transient", "temporary"])
    significant = auto != "never" and restart != "permanent" and rng.random() < 0.6
    starts = tuple(rng.choices(["ok", "fail", "ignore"], [0.95, 0.03, 0.02])) + tuple(
        rng.choices(["ok", "fail", "ignore"], [0.6, 0.33, 0.07], k=rng.randint(0, 6))
    )
    if deep and rng.random() < 0.2:
        sub = _rules(rng, name, names, deep=False)
        return Child(name, restart, math.inf, significant, "obey", starts, sub)
    on_stop = rng.choices(["obey", "stuck", "raise", "return"], [0.6, 0.15, 0.15, 0.1])[0]
    shutdown: float | str = STUCK_SECONDS if on_stop == "stuck" else rng.choice([AMPLE_SECONDS, math.inf])
    if rng.random() < 0.15:
        shutdown = "brutal"
    return Child(name, restart, shutdown, significant, on_stop, starts, None)


def _step(rng: random.Random, names: Names, root: Rules) -> Step:
    supervisor = rng.choice(["root", "root", *names])
    autos = {
        "root": root.auto_shutdown,
        **{child.name: child.sub.auto_shutdown for child in root.children if child.sub},
    }
    auto = autos.get(supervisor, "never")
    if rng.random() < 0.3:
        # Only what arrives as a message: delete, which and count are plain functions here, and never wait.
        kinds = ["leave", "leave", "leave", "terminate", "restart", "start"]
        return Step(
            supervisor, tuple(_action(rng, supervisor, names, auto, kinds) for _ in range(rng.randint(2, 4)))
        )
    kinds = ["leave"] * 5 + ["terminate", "restart", "delete", "start", "which", "count"]
    return Step(supervisor, (_action(rng, supervisor, names, auto, kinds),))


def _action(rng: random.Random, supervisor: str, names: Names, auto: str, kinds: list[str]) -> Action:
    kind = rng.choice(kinds)
    if kind in ("which", "count"):
        return Action(kind, supervisor)
    known = names[supervisor]
    prefix = "" if supervisor == "root" else supervisor
    if kind == "start":
        name = rng.choice([*known, f"{prefix}x", f"{prefix}y", f"{prefix}z"])
        if name not in known:
            known.append(name)
        if name in names:
            return Action("terminate", supervisor, f"{prefix}u")  # a supervisor's name has to stay its own
        return Action(kind, supervisor, _child(rng, name, auto, names, deep=False))
    name = rng.choice([*known, f"{prefix}u"])
    if kind == "leave":
        if name in names:
            return Action("restart", supervisor, name)  # a supervisor does not leave by itself
        return Action(kind, supervisor, name, rng.choice(["normal", "shutdown", "crash", "crash", "crash"]))
    return Action(kind, supervisor, name)


def as_erlang(scenarios: dict[int, Scenario]) -> str:
    """Terms for ``file:consult``."""
    return "".join(
        f"{{{number}, {_rules_term(one.root)}, {_steps_term(one)}}}.\n" for number, one in scenarios.items()
    )


def _rules_term(rules: Rules) -> str:
    children = ", ".join(map(_child_term, rules.children))
    return f"{{{rules.strategy}, {rules.max_restarts}, {rules.auto_shutdown}, [{children}]}}"


def _child_term(child: Child) -> str:
    shutdown = {"brutal": "brutal_kill", math.inf: "infinity"}.get(child.shutdown)
    if shutdown is None:
        assert isinstance(child.shutdown, float)
        shutdown = str(round(child.shutdown * 1000))
    starts = ", ".join(child.starts)
    sub = "none" if child.sub is None else _rules_term(child.sub)
    significant = str(child.significant).lower()
    return f"{{{child.name}, {child.restart}, {shutdown}, {significant}, {child.on_stop}, [{starts}], {sub}}}"


def _steps_term(scenario: Scenario) -> str:
    steps = []
    for step in scenario.steps:
        actions = ", ".join(map(_action_term, step.actions))
        steps.append(
            f"{{do, {actions}}}" if len(step.actions) == 1 else f"{{burst, {step.supervisor}, [{actions}]}}"
        )
    return f"[{', '.join(steps)}]"


def _action_term(action: Action) -> str:
    parts = [action.what, action.supervisor]
    if isinstance(action.child, Child):
        parts.append(_child_term(action.child))
    elif action.child is not None:
        parts.append(action.child)
    if action.how is not None:
        parts.append(action.how)
    return f"{{{', '.join(parts)}}}"
