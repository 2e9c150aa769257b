"""OTP's supervisor as a machine that decides: it is told what happened, and says what to do.

It has no clock and starts nothing. The rules are those of Erlang/OTP 25, ``supervisor(3)`` of stdlib 4.2, where
that page is silent those of its implementation, which a test runs beside this one.

Theory of operation
    A message is dealt with to its end before the next, as by OTP's process, so decisions that take time (start a
    child, stop a child) are made one at a time: the rest of the work is the *agenda*, and each report (Started,
    Stopped, …) takes the next piece from it. When the agenda is empty, its *purpose* says what that means; when a
    start fails, the rest of it is dropped, and the purpose says what follows.

    A restart whose start fails is not repeated in place. The child waits as ``"restarting"``, and a Retry goes to
    the end of the queue, so that calls get their turn between two attempts. Each attempt counts as a restart.

    A delay, which OTP does not have, lies between the stops of a restart and its starts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Literal, TypeAlias

import attrs

from ._decisions import (
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
    Outcome,
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
from ._spec import ChildSpec, Rules

ChildStatus: TypeAlias = Literal["starting", "running", "stopping", "restarting", "stopped"]

Decisions: TypeAlias = tuple[Decision, ...]

Purpose: TypeAlias = Literal["open", "restart", "delay", "add", "revive", "terminate", "close"]

_IDLE_ANSWER = (Answer(),)


@attrs.define(eq=False)
class Child:
    """One child, as the policy sees it.

    Attributes:
        status: between two messages ``"running"``, ``"restarting"`` (a start failed, or is delayed) or ``"stopped"``.
        number: which run of the supervisor's children is its latest; 0 before the first.
        restarts: how often the supervisor started it again.
        started_at: when its latest run started.
        delay: the last delay before a restart, 0.0 if it has none to continue from.
        ticket: of the Wait that it is in, or 0.
    """

    spec: ChildSpec
    status: ChildStatus = "stopped"
    number: int = 0
    restarts: int = 0
    started_at: float = 0.0
    delay: float = 0.0
    ticket: int = 0

    def rest(self) -> None:
        """Neither runs nor waits."""
        self.status = "stopped"
        self.ticket = 0


class Policy:
    """The state of one supervisor, and :meth:`step`.

    Attributes:
        children: by name, in order of their start.
        recent: when children were restarted lately, the oldest first.
    """

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.children: dict[str, Child] = {}
        self.recent: deque[float] = deque()
        self._numbers = 0
        self._tickets = 0
        self._agenda: deque[tuple[bool, Child]] = deque()  # (whether to start it, child)
        self._purpose: Purpose
        self._delayed: Child | None = None  # whom the purpose "delay" is about
        self._at_work: Child | None = None  # whom the decision under way is about
        self._outcome: Outcome

    def step(self, happening: Happening) -> Decisions:
        """Take in what happened; returns what to do, in order.

        After a Start or a Stop only the report on it may come, or Delete.
        """
        return _STEPS[type(happening)](self, happening)

    def status(self, child: Child) -> ChildStatus:
        """The child's status; ``"restarting"`` also if it is at rest only because others have their turn first."""
        meant = child is self._delayed or any(child is other for _, other in self._agenda)
        return (
            "restarting"
            if meant and child.status == "stopped" and self._at_work is not None
            else child.status
        )

    def rests(self, child: Child) -> bool:
        """Whether the child does not run, and no restart is under way that is going to start it."""
        if self.status(child) != "stopped":
            return False
        if self.rules.strategy == "one_for_one":
            return True
        # After a start that failed, and in a delay, those that are restarted along are at rest as well.
        return not any(
            (other.status == "restarting" or other is self._delayed) and child in self._bound_to(other)
            for other in self.children.values()
        )

    # Messages.

    def _open(self, happening: Open) -> Decisions:
        for spec in happening.specs:
            self.children[spec.name] = Child(spec)
        return self._begin("open", starts=self.children.values())

    def _exited(self, happening: Exited) -> Decisions:
        child = self.children.get(happening.name)
        if child is None or child.number != happening.number or child.status != "running":
            return ()  # it was stopped meanwhile, which took its end into account
        kind = child.spec.restart
        if kind == "permanent" or (kind == "transient" and happening.how == "crash"):
            return self._restart(child, happening.now)
        self._leave(child)
        if not child.spec.significant:
            return ()
        if self.rules.auto_shutdown == "all_significant" and any(
            other.spec.significant and other.status != "stopped" for other in self.children.values()
        ):
            return ()
        return self._close("auto_shutdown", child)

    def _try_again(self, happening: TryAgain) -> Decisions:
        child = self.children.get(happening.name)
        # Other messages came before: it may be gone, stopped, running, or in a delay of its own.
        if child is None or child.status != "restarting" or child.ticket:
            return ()
        return self._restart(child, happening.now)

    def _due(self, happening: Due) -> Decisions:
        child = self.children.get(happening.name)
        if child is None or child.ticket != happening.ticket:
            return ()
        return self._start_again(child)

    def _add(self, happening: Add) -> Decisions:
        spec = happening.spec
        if spec.name in self.children:
            return (Answer("exists"),)
        child = self.children[spec.name] = Child(spec)
        return self._begin("add", starts=(child,))

    def _terminate(self, happening: Terminate) -> Decisions:
        child = self.children.get(happening.name)
        if child is None:
            return (Answer("not_found"),)
        if child.status == "running":
            return self._begin("terminate", stops=(child,))
        child.rest()
        return _IDLE_ANSWER

    def _revive(self, happening: Restart) -> Decisions:
        child = self.children.get(happening.name)
        if child is None:
            return (Answer("not_found"),)
        if child.status != "stopped":
            return (Answer("restarting" if child.status == "restarting" else "running"),)
        return self._begin("revive", starts=(child,))

    def _delete(self, happening: Delete) -> Decisions:
        child = self.children.get(happening.name)
        if child is None:
            return (Answer("not_found"),)
        status = self.status(child)
        if status != "stopped":
            return (Answer("restarting" if status == "restarting" else "running"),)
        del self.children[happening.name]
        return _IDLE_ANSWER

    def _closed(self, _: Close) -> Decisions:
        return self._close("closed", None)

    # Reports.

    def _started(self, happening: Started) -> Decisions:
        child = self._reported()
        child.status = "running"
        child.started_at = happening.now
        return self._next()

    def _ignored(self, _: Ignored) -> Decisions:
        self._leave(self._reported())
        return self._next()

    def _stopped(self, _: Stopped) -> Decisions:
        self._leave(self._reported())
        return self._next()

    def _failed(self, _: Failed) -> Decisions:
        child = self._reported()
        self._agenda.clear()
        if self._purpose == "restart":
            child.status = "restarting"
            return (Retry(child.spec.name),)
        child.rest()
        if self._purpose == "open":
            return self._close("not_opened", child)
        if self._purpose == "add":
            del self.children[child.spec.name]
        return (Answer("failed"),)

    def _reported(self) -> Child:
        child, self._at_work = self._at_work, None
        if child is None:
            raise RuntimeError("a report came, but no start or stop is under way")
        return child

    # Rules.

    def _restart(self, child: Child, now: float) -> Decisions:
        """Restart a child that ended, or whose restart failed, unless that happened too often."""
        recent = self.recent
        oldest = now - self.rules.within
        while recent and recent[0] < oldest:
            recent.popleft()
        recent.append(now)
        if len(recent) > self.rules.max_restarts:
            return self._close("gave_up", child)
        backoff = child.spec.backoff or self.rules.backoff
        if backoff is None:
            return self._start_again(child)
        if child.status == "running" and now - child.started_at >= backoff.healthy_after_seconds:
            child.delay = 0.0
        child.delay = backoff.after(child.delay)
        child.rest()
        self._delayed = child
        return self._begin("delay", stops=self._to_stop(child))

    def _start_again(self, child: Child) -> Decisions:
        child.rest()
        if self.rules.strategy == "one_for_one":
            return self._begin("restart", starts=(child,))
        stops = self._to_stop(child)
        starts = [other for other in self._bound_to(child) if other.spec.restart != "temporary"]
        return self._begin("restart", stops=stops, starts=starts)

    def _bound_to(self, child: Child) -> list[Child]:
        """Who is restarted with this child, itself included."""
        if self.rules.strategy == "one_for_one":
            return [child]
        everybody = list(self.children.values())
        return everybody if self.rules.strategy == "one_for_all" else everybody[everybody.index(child) :]

    def _to_stop(self, child: Child) -> list[Child]:
        bound = self._bound_to(child)
        for other in bound:
            if other.status == "restarting":
                other.rest()  # it is started with the others now
        return [other for other in reversed(bound) if other.status == "running"]

    def _close(self, outcome: Outcome, owed_to: Child | None) -> Decisions:
        if owed_to is not None:
            owed_to.rest()
        stops = []
        for child in reversed(self.children.values()):
            if child.status == "running":
                stops.append(child)
            else:
                child.rest()
        self._outcome = outcome
        closing = Closing(outcome, None if owed_to is None else owed_to.spec.name)
        return (closing, *self._begin("close", stops=stops))

    def _leave(self, child: Child) -> None:
        """The child has ended for good or until somebody asks for it; a temporary one is forgotten."""
        child.rest()
        if child.spec.restart == "temporary":
            del self.children[child.spec.name]

    # The agenda.

    def _begin(
        self, purpose: Purpose, *, stops: Iterable[Child] = (), starts: Iterable[Child] = ()
    ) -> Decisions:
        self._purpose = purpose
        self._agenda.extend((False, child) for child in stops)
        self._agenda.extend((True, child) for child in starts)
        return self._next()

    def _next(self) -> Decisions:
        if not self._agenda:
            return self._done()
        start, child = self._agenda.popleft()
        self._at_work = child
        if not start:
            child.status = "stopping"
            return (Stop(child.spec.name, child.number),)
        child.status = "starting"
        self._numbers += 1
        child.number = self._numbers
        again = self._purpose == "restart"
        child.restarts += again
        return (Start(child.spec.name, child.number, again),)

    def _done(self) -> Decisions:
        purpose = self._purpose
        child, self._delayed = self._delayed, None
        if child is not None:
            self._tickets += 1
            child.status = "restarting"
            child.ticket = self._tickets
            return (Wait(child.spec.name, child.ticket, child.delay),)
        if purpose == "restart":
            return ()
        if purpose == "open":
            return (Opened(),)
        if purpose == "close":
            return (End(self._outcome),)
        return _IDLE_ANSWER


_STEPS: dict[type, Callable[[Policy, Any], Decisions]] = {
    Open: Policy._open,
    Started: Policy._started,
    Ignored: Policy._ignored,
    Failed: Policy._failed,
    Stopped: Policy._stopped,
    Exited: Policy._exited,
    TryAgain: Policy._try_again,
    Due: Policy._due,
    Add: Policy._add,
    Terminate: Policy._terminate,
    Restart: Policy._revive,
    Delete: Policy._delete,
    Close: Policy._closed,
}
