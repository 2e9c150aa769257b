"""The policy and the simulation of OTP's supervisor side by side: both are told the same, and have to say the same."""

from __future__ import annotations

import random
from collections import deque
from typing import Any, TypeAlias

from alloy_trio.supervision import Backoff, ChildSpec
from alloy_trio.supervision._decisions import (
    Add,
    Answer,
    Close,
    Closing,
    Decision,
    Delete,
    Due,
    End,
    Exited,
    Failed,
    Happening,
    Ignored,
    Open,
    Opened,
    Restart,
    Retry,
    Start,
    Started,
    Stop,
    Stopped,
    Terminate,
    TryAgain,
    Wait,
)
from alloy_trio.supervision._policy import Policy
from alloy_trio.supervision._spec import Rules

from ._model import Delays, Flags, Simulation, Spec, Work

Message: TypeAlias = tuple[Any, ...]
"""("exit", name, run, reason), ("try_again", name), ("alarm", name, number), ("start_child", Spec),
("terminate_child", name), ("restart_child", name) or ("shut_down",)."""

REASONS = {"normal": "normal", "shutdown": "shutdown", "error": "crash", "killed": "crash"}
"""From Erlang's reasons to the kinds of this package."""

ANSWERS = {"already_started": "exists", "already_present": "exists", "error": "failed"}
"""From Erlang's errors to the problems of this package, where they differ."""

STATUSES = {"undefined": "stopped"}


async def _nothing() -> None:
    pass


def _backoff(delays: Delays | None) -> Backoff | None:
    if delays is None:
        return None
    return Backoff(
        first_seconds=delays.first,
        factor=delays.factor,
        most_seconds=delays.most,
        healthy_after_seconds=delays.healthy,
    )


def _child_spec(spec: Spec) -> ChildSpec:
    options: dict[str, Any] = {"restart": spec.restart, "significant": spec.significant, "kind": spec.type}
    return ChildSpec(spec.id, _nothing, backoff=_backoff(spec.delays), **options)


class Pair:
    """One supervisor, twice, and the world around it.

    Attributes:
        asked: what both wait for: ("start", name, run, again), ("stop", name, run) or None.
        mailbox: what they have not been told yet, in order.
        alive: from run to name, of children that run.
        waits: delays that have not passed, as (name, number).
        over: whether the supervisor has ended.
        steps: how often something was told, and all it says compared.
    """

    def __init__(self, flags: Flags, specs: list[Spec]) -> None:
        rules: Any = {
            "strategy": flags.strategy,
            "max_restarts": flags.intensity,
            "within": flags.period,
            "auto_shutdown": flags.auto_shutdown,
            "backoff": _backoff(flags.delays),
        }
        self.policy = Policy(Rules(**rules))
        self.model = Simulation(flags)
        self.asked: Message | None = None
        self.mailbox: deque[Message] = deque()
        self.alive: dict[int, str] = {}
        self.waits: list[tuple[str, int]] = []
        self.over = False
        self.steps = 0
        self.now = 0.0
        self.history: list[Any] = [flags, *specs]
        self._work: Work
        children = tuple(map(_child_spec, specs))
        self._begin(("open",), Open(children), self.model.init(specs))

    def serve(self) -> None:
        """Tell the next message; none may be under way."""
        message = self.mailbox.popleft()
        kind, *about = message
        subject: Any = about[0] if about else None
        happening: Happening
        if kind == "exit":
            happening = Exited(subject, about[1], REASONS[about[2]], self.now)  # type: ignore[arg-type]
            work = self.model.exit_signal(about[1], about[2])
        elif kind == "try_again":
            happening, work = TryAgain(subject, self.now), self.model.try_again(subject)
        elif kind == "alarm":
            happening, work = Due(subject, about[1]), self.model.alarm(about[1])
        elif kind == "start_child":
            happening, work = Add(_child_spec(subject)), self.model.start_child(subject)
        elif kind == "terminate_child":
            happening, work = Terminate(subject), self.model.terminate_child(subject)
        elif kind == "restart_child":
            happening, work = Restart(subject), self.model.restart_child(subject)
        else:
            happening, work = Close(), self.model.shut_down()
        self._begin(message, happening, work)

    def report(self, outcome: str) -> None:
        """Tell what came of the start (ok, ignore, error) or the stop (ok) that both wait for."""
        assert self.asked is not None
        what, name, run, *_ = self.asked
        happening: Happening
        if what == "stop":
            self.alive.pop(run, None)
            happening = Stopped()
        elif outcome == "ok":
            self.alive[run] = name
            happening = Started(self.now)
        else:
            happening = Ignored() if outcome == "ignore" else Failed()
        self._step((outcome, *self.asked), happening, outcome)

    def delete(self, name: str) -> None:
        """Call delete_child, which is answered even while something is under way."""
        self.history.append(("delete_child", name))
        (theirs,) = self.policy.step(Delete(name))
        ours = self.model.delete_child(name)
        assert isinstance(theirs, Answer), self._told(theirs)
        assert (theirs.problem or "ok") == ours, self._told(f"{theirs}, and the model says {ours}")
        self._compare_children()

    def leaves(self, run: int, reason: str) -> None:
        """A child ends by itself; the supervisor will hear of it in turn."""
        self.mailbox.append(("exit", self.alive.pop(run), run, reason))

    def passes(self, seconds: float) -> None:
        """Time goes on."""
        self.now += seconds
        self.history.append(("now", self.now))

    def rings(self, place: int) -> None:
        """A delay has passed."""
        self.mailbox.append(("alarm", *self.waits.pop(place)))

    def _begin(self, message: Message, happening: Happening, work: Work) -> None:
        assert self.asked is None
        self._work = work
        self._step(message, happening, None)

    def _step(self, message: Message, happening: Happening, outcome: str | None) -> None:
        self.steps += 1
        self.history.append(message)
        decisions = self.policy.step(happening)
        model = self.model
        model.clock = self.now
        try:
            asked = self._work.send(outcome)  # type: ignore[arg-type]
        except StopIteration:
            asked = None
        said = [("answer", ANSWERS.get(one[1], one[1])) if one[0] == "answer" else one for one in model.said]
        model.said.clear()
        expected = said if asked is None else [*said, asked]
        found = [_as_said(decision) for decision in decisions]
        assert found == expected, self._told(f"{found}, and the model says {expected}")
        self.asked = asked
        for one in said:
            if one[0] == "retry":
                self.mailbox.append(("try_again", one[1]))
            elif one[0] == "wait":
                self.waits.append((one[1], one[2]))
            elif one[0] == "end":
                self.over = True
                assert self.alive == {}, self._told("it is over, and children run")
        assert len(self.policy.recent) <= model.flags.intensity + 1, self._told("it remembers every restart")
        self._compare_children()

    def _compare_children(self) -> None:
        policy = self.policy
        children = list(policy.children.values())
        found = [
            (one.spec.name, policy.status(one), policy.rests(one), one.restarts, one.ticket)
            for one in children
        ]
        expected = [
            (
                id,
                STATUSES.get(status, status),
                self.model.rests(row),
                row.restarts,
                row.alarm if row.waits_for == "alarm" else 0,
            )
            for (id, status), row in zip(self.model.which_children(), self.model.rows, strict=True)
        ]
        assert found == expected, self._told(f"{found}, and the model says {expected}")
        supervisors = sum(child.spec.kind == "supervisor" for child in children)
        active = sum(child.status == "running" for child in children)
        count = (len(children), active, supervisors, len(children) - supervisors)
        assert count == self.model.count_children(), self._told(str(count))

    def _told(self, said: object) -> str:
        return f"after {'; '.join(map(str, self.history))} the policy says {said}"


def _as_said(decision: Decision) -> Message:
    """In the words of the simulation."""
    match decision:
        case Start(name, number, again):
            return ("start", name, number, again)
        case Stop(name, number):
            return ("stop", name, number)
        case Retry(name):
            return ("retry", name)
        case Wait(name, ticket, seconds):
            return ("wait", name, ticket, seconds)
        case Opened():
            return ("opened",)
        case Answer(problem):
            return ("answer", problem or "ok")
        case Closing(outcome, name):
            return ("closing", outcome, name)
        case End(outcome):
            return ("end", outcome)


NAMES = "abcdef"
SECONDS = (0.0, 0.25, 0.5, 1.0, 3.0)
"""Times are multiples of a quarter, so that sums and differences are exact in both."""


def random_delays(rng: random.Random) -> Delays:
    """Of a child or a supervisor."""
    return Delays(
        rng.choice([0.0, 0.25, 1.0]),
        rng.choice([1.0, 2.0, 3.0]),
        rng.choice([0.0, 1.0, 8.0]),
        rng.choice([0.0, 0.5, 1.0, 3.0]),
    )


def random_spec(rng: random.Random, name: str, flags: Flags) -> Spec:
    """A child that may be under these flags."""
    restart = rng.choice(["permanent", "permanent", "transient", "temporary"])
    significant = flags.auto_shutdown != "never" and restart != "permanent" and rng.random() < 0.6
    delays = random_delays(rng) if rng.random() < 0.1 else None
    return Spec(name, restart, significant, rng.choice(["worker", "supervisor"]), delays)


def random_pair(rng: random.Random) -> Pair:
    """A supervisor that was just opened."""
    flags = Flags(
        rng.choice(["one_for_one", "one_for_all", "rest_for_one"]),
        rng.choice([0, 1, 2, 4, 9, 99]),
        rng.choice([0.25, 1.0, 5.0]),
        rng.choice(["never", "any_significant", "all_significant"]),
        random_delays(rng) if rng.random() < 0.3 else None,
    )
    return Pair(flags, [random_spec(rng, name, flags) for name in NAMES[: rng.randint(0, 5)]])


def random_move(rng: random.Random, pair: Pair) -> None:
    """One more thing happens; calls are made more seldom than children end."""
    chance = rng.random()
    if chance < 0.6:
        if pair.asked is not None:
            pair.report(rng.choices(OUTCOMES, WEIGHTS)[0] if pair.asked[0] == "start" else "ok")
        elif pair.mailbox:
            pair.serve()
    elif chance < 0.8:
        if pair.alive:
            pair.leaves(rng.choice(list(pair.alive)), rng.choice(["normal", "shutdown", "error", "killed"]))
    elif chance < 0.87:
        if pair.waits:
            pair.rings(rng.randrange(len(pair.waits)))
    elif chance < 0.91:
        pair.passes(rng.choice(SECONDS))
    elif chance < 0.93:
        pair.mailbox.append(("terminate_child", rng.choice(NAMES)))
    elif chance < 0.95:
        pair.mailbox.append(("restart_child", rng.choice(NAMES)))
    elif chance < 0.97:
        pair.delete(rng.choice(NAMES))
    elif chance < 0.999:
        pair.mailbox.append(("start_child", random_spec(rng, rng.choice(NAMES), pair.model.flags)))
    else:
        pair.mailbox.append(("shut_down",))


OUTCOMES = ("ok", "ignore", "error")
WEIGHTS = (0.82, 0.05, 0.13)


def campaign(seed: int, steps: int) -> int:
    """Take random supervisors through random lives; returns how many steps were compared."""
    rng = random.Random(seed)
    done = 0
    while done < steps:
        pair = random_pair(rng)
        for _ in range(rng.choice([20, 100, 400])):
            if pair.over:
                break
            random_move(rng, pair)
        done += pair.steps
    return done
