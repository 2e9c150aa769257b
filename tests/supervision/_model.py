"""Erlang/OTP's supervisor as its manual tells it, to be compared with the policy of this package.

Written from supervisor(3) and the chapter on supervisors in OTP's design principles, and it shares nothing with the
policy: the children are rows of a list, a message is dealt with from top to bottom, and where the supervisor process
would wait for a child, the simulation yields and is sent what came of it. The delays before restarts, which OTP does
not have, are told by :class:`alloy_trio.supervision.Backoff`.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

Work: TypeAlias = Generator[tuple[Any, ...], str, Any]
"""Yields ("start", id, run, again) and ("stop", id, run); is sent "ok", "ignore" or "error"."""


class Delays(NamedTuple):
    """Before restarts: the first, how much longer each further one is, the longest, and when all is well again."""

    first: float
    factor: float
    most: float
    healthy: float


class Flags(NamedTuple):
    """The supervisor flags."""

    strategy: str
    intensity: int
    period: float
    auto_shutdown: str
    delays: Delays | None


class Spec(NamedTuple):
    """A child specification."""

    id: str
    restart: str
    significant: bool
    type: str
    delays: Delays | None


@dataclass(eq=False)
class Row:
    """A line of which_children, and what else is known of the child."""

    spec: Spec
    pid: int | None = None
    waits_for: str | None = None  # "retry" or "alarm": it is about to be restarted
    alarm: int = 0
    restarts: int = 0
    since: float = 0.0
    pause: float | None = None


@dataclass(eq=False)
class Simulation:
    """One supervisor process. Set ``clock`` before it goes on; ``said`` collects what it tells others."""

    flags: Flags
    clock: float = 0.0
    rows: list[Row] = field(default_factory=list)
    said: list[tuple[Any, ...]] = field(default_factory=list)
    restarted_at: list[float] = field(default_factory=list)
    runs: int = 0
    alarms: int = 0
    busy_with: tuple[str, Row] | None = None
    to_come: list[Row] = field(default_factory=list)  # whom the work under way is going to start

    # What others send to it.

    def init(self, specs: list[Spec]) -> Work:
        """Children are started from left to right; if one cannot be, those before it are terminated."""
        self.rows = [Row(spec) for spec in specs]
        self.to_come = list(self.rows)
        for row in list(self.rows):
            if (yield from self.start(row, again=False)) == "error":
                yield from self.terminate("not_opened", row.spec.id)
                return
        self.said.append(("opened",))

    def exit_signal(self, pid: int, reason: str) -> Work:
        """A child is gone: permanent ones are always restarted, transient ones after an abnormal exit."""
        for row in self.rows:
            if row.pid == pid:
                break
        else:
            return  # no child of ours, or not any more
        abnormal = reason not in ("normal", "shutdown")
        if row.spec.restart == "permanent" or (row.spec.restart == "transient" and abnormal):
            yield from self.restart(row)
            return
        row.pid = None
        self.forget_if_temporary(row)
        auto = self.flags.auto_shutdown
        active = [other for other in self.rows if other.spec.significant and (other.pid or other.waits_for)]
        if row.spec.significant and (auto == "any_significant" or (auto == "all_significant" and not active)):
            yield from self.terminate("auto_shutdown", row.spec.id)

    def try_again(self, id: str) -> Work:
        """The start of a restart had failed: the next attempt is a restart like any other."""
        row = self.find(id)
        if row is not None and row.waits_for == "retry":
            yield from self.restart(row)

    def alarm(self, number: int) -> Work:
        """A delay is over, unless something else has ended it."""
        for row in self.rows:
            if row.waits_for == "alarm" and row.alarm == number:
                yield from self.start_again(row)
                return

    def start_child(self, spec: Spec) -> Work:
        """An id that is known is refused; a child that fails to start is discarded."""
        known = self.find(spec.id)
        if known is not None:
            self.answer("already_started" if known.pid else "already_present")
            return
        row = Row(spec)
        self.rows.append(row)
        outcome = yield from self.start(row, again=False)
        if outcome == "error":
            self.rows.remove(row)
        self.answer(outcome)

    def terminate_child(self, id: str) -> Work:
        """The process, if any, is terminated; the specification is kept unless it is temporary."""
        row = self.find(id)
        if row is None:
            self.answer("not_found")
            return
        row.waits_for = None
        if row.pid:
            yield from self.stop(row)
        self.answer("ok")

    def restart_child(self, id: str) -> Work:
        """Only what does not run, and is not about to."""
        row = self.find(id)
        if row is None or row.pid or row.waits_for:
            self.answer(self.why_not(row))
            return
        self.answer((yield from self.start(row, again=False)))

    def delete_child(self, id: str) -> str:
        """Answered at once, also while work is under way: what that still needs is refused."""
        row = self.find(id)
        if row is None or self.child(row) != "undefined":
            return self.why_not(row)
        self.rows.remove(row)
        return "ok"

    def shut_down(self) -> Work:
        """The parent is done with it."""
        yield from self.terminate("closed", None)

    # What it says of itself.

    def which_children(self) -> list[tuple[str, str]]:
        """The ids, in start order, and ``running``, ``restarting`` or ``undefined``; what it is busy with as such."""
        return [(row.spec.id, self.child(row)) for row in self.rows]

    def count_children(self) -> tuple[int, int, int, int]:
        """specs, active, supervisors, workers."""
        of_type = [row.spec.type for row in self.rows]
        active = sum(self.child(row) == "running" for row in self.rows)
        return len(self.rows), active, of_type.count("supervisor"), of_type.count("worker")

    def child(self, row: Row) -> str:
        """One line of which_children."""
        if self.busy_with is not None and self.busy_with[1] is row:
            return self.busy_with[0]
        if row.pid:
            return "running"
        return "restarting" if row.waits_for or row in self.to_come else "undefined"

    def rests(self, row: Row) -> bool:
        """Whether nothing runs, and no restart is under way that is going to start it."""
        if self.child(row) != "undefined":
            return False
        restarting = [other for other in self.rows if other.waits_for and row in self.group(other)]
        return row.spec.restart == "temporary" or not restarting

    # What it does.

    def restart(self, row: Row) -> Work:
        """More than ``intensity`` restarts within ``period`` seconds, and everything is terminated."""
        delays = row.spec.delays or self.flags.delays
        if delays is not None:
            if row.pid and self.clock - row.since >= delays.healthy:
                row.pause = None
            row.pause = min(delays.most, delays.first if row.pause is None else row.pause * delays.factor)
        row.pid = None
        self.restarted_at.append(self.clock)
        if sum(self.clock - at <= self.flags.period for at in self.restarted_at) > self.flags.intensity:
            yield from self.terminate("gave_up", row.spec.id)
        elif delays is None:
            yield from self.start_again(row)
        else:
            group = self.about_to_restart(row)
            row.waits_for, row.alarm = "alarm", 0  # of which the number is not known yet
            yield from self.stop_all(group)
            self.alarms += 1
            row.alarm = self.alarms
            self.said.append(("wait", row.spec.id, row.alarm, row.pause))

    def start_again(self, row: Row) -> Work:
        """The child, and with it all others or those after it, unless they are temporary."""
        group = self.about_to_restart(row)
        self.to_come = [other for other in group if other.spec.restart != "temporary"]
        yield from self.stop_all(group)
        for other in list(self.to_come):
            if (yield from self.start(other, again=True)) == "error":
                self.to_come = []
                other.waits_for = "retry"
                self.said.append(("retry", other.spec.id))
                return

    def group(self, row: Row) -> list[Row]:
        """Who shares its fate."""
        if self.flags.strategy == "one_for_one":
            return [row]
        if self.flags.strategy == "one_for_all":
            return list(self.rows)
        return self.rows[self.rows.index(row) :]

    def about_to_restart(self, row: Row) -> list[Row]:
        """The group: whatever else was to restart one of it comes to nothing."""
        group = self.group(row)
        for other in group:
            other.waits_for = None
        return group

    def stop_all(self, rows: list[Row]) -> Work:
        """In reversed start order."""
        for row in reversed(rows):
            if row.pid:
                yield from self.stop(row)

    def terminate(self, outcome: str, id: str | None) -> Work:
        """The supervisor itself: its children first, from right to left."""
        self.said.append(("closing", outcome, id))
        self.to_come = []
        rows = list(self.rows)
        for row in rows:
            row.waits_for = None
        yield from self.stop_all(rows)
        self.said.append(("end", outcome))

    def start(self, row: Row, *, again: bool) -> Work:
        """Run the start function; returns what came of it."""
        if row in self.to_come:
            self.to_come.remove(row)
        self.runs += 1
        row.restarts += again
        run = self.runs
        self.busy_with = ("starting", row)
        outcome = yield ("start", row.spec.id, run, again)
        self.busy_with = None
        if outcome == "ok":
            row.pid, row.since = run, self.clock
        elif outcome == "ignore":
            self.forget_if_temporary(row)
        return outcome

    def stop(self, row: Row) -> Work:
        """Terminate the process, and wait for its end."""
        self.busy_with = ("stopping", row)
        yield ("stop", row.spec.id, row.pid)
        self.busy_with = None
        row.pid = None
        self.forget_if_temporary(row)

    def forget_if_temporary(self, row: Row) -> None:
        """The specification of a temporary child goes with its process."""
        if row.spec.restart == "temporary":
            self.rows.remove(row)

    def find(self, id: str) -> Row | None:
        """By its id."""
        return next((row for row in self.rows if row.spec.id == id), None)

    def why_not(self, row: Row | None) -> str:
        """The error for a child that would have to be at rest."""
        if row is None:
            return "not_found"
        return "restarting" if self.child(row) == "restarting" else "running"

    def answer(self, what: str) -> None:
        """To whoever called; ``ignore`` is a success with no process."""
        self.said.append(("answer", "ok" if what == "ignore" else what))
