"""The rules, as decisions out of events and times; no task runs here."""

from __future__ import annotations

import math
from typing import Any

import pytest

from alloy_trio import ConfigurationError
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


async def nothing() -> None:
    pass


def spec(name: str, **options: Any) -> ChildSpec:
    return ChildSpec(name, nothing, **options)


class Machine:
    """A policy whose starts and stops are reported on at once; starts that are to fail or to be ignored are named."""

    def __init__(self, *specs: ChildSpec, **rules: Any) -> None:
        self.policy = Policy(Rules(**rules))
        self.now = 0.0
        self.fail: list[str] = []
        self.ignore: list[str] = []
        self.log: list[str] = []
        self.told: list[Decision] = []
        self.tell(Open(specs))

    def tell(self, happening: Happening) -> str:
        """Returns what came of it: +a started, !a did not, ~a ignored, -a stopped, and what else was decided."""
        self.log = []
        decisions = self.policy.step(happening)
        while decisions:
            report: Happening | None = None
            for decision in decisions:
                assert report is None, "a start or stop comes last"
                report = self.report(decision)
            decisions = () if report is None else self.policy.step(report)
        return " ".join(self.log)

    def report(self, decision: Decision) -> Happening | None:
        self.told.append(decision)
        if isinstance(decision, Start):
            for names, mark, report in ((self.fail, "!", Failed()), (self.ignore, "~", Ignored())):
                if decision.name in names:
                    names.remove(decision.name)
                    self.log.append(f"{mark}{decision.name}")
                    return report
            self.log.append(f"+{decision.name}")
            return Started(self.now)
        if isinstance(decision, Stop):
            self.log.append(f"-{decision.name}")
            return Stopped()
        self.log.append(
            {
                Retry: lambda: f"retry {decision.name}",
                Wait: lambda: f"wait {decision.name} {decision.seconds:g}",
                Opened: lambda: "opened",
                Answer: lambda: decision.problem or "ok",
                Closing: lambda: f"{decision.outcome}{'' if decision.name is None else ' ' + decision.name}",
                End: lambda: "end",
            }[type(decision)]()
        )
        return None

    def exits(self, name: str, how: Any = "crash", at: float | None = None) -> str:
        self.now = self.now if at is None else at
        return self.tell(Exited(name, self.policy.children[name].number, how, self.now))

    def again(self, name: str) -> str:
        return self.tell(TryAgain(name, self.now))

    @property
    def statuses(self) -> str:
        return " ".join(f"{name}={child.status}" for name, child in self.policy.children.items())


ABC = (spec("a"), spec("b"), spec("c"))


def test_children_start_in_order_and_stop_in_reverse() -> None:
    machine = Machine(*ABC)
    assert machine.log == ["+a", "+b", "+c", "opened"]
    assert machine.tell(Close()) == "closed -c -b -a end"


def test_a_start_that_fails_at_the_opening_stops_what_had_started() -> None:
    policy = Machine.__new__(Machine)
    policy.policy, policy.now, policy.fail, policy.ignore, policy.told = Policy(Rules()), 0.0, ["c"], [], []
    assert policy.tell(Open((*ABC, spec("d")))) == "+a +b !c not_opened c -b -a end"


def test_a_child_that_ignores_its_start_is_kept_and_a_temporary_one_forgotten() -> None:
    machine = Machine()
    machine.ignore = ["a", "t"]
    assert machine.tell(Add(spec("a"))) == "~a ok"
    assert machine.tell(Add(spec("t", restart="temporary"))) == "~t ok"
    assert machine.statuses == "a=stopped"
    assert machine.tell(Restart("a")) == "+a ok"


@pytest.mark.parametrize(
    ("kind", "how", "expected"),
    [
        ("permanent", "normal", "+a"),
        ("permanent", "shutdown", "+a"),
        ("permanent", "crash", "+a"),
        ("transient", "normal", ""),
        ("transient", "shutdown", ""),
        ("transient", "crash", "+a"),
        ("temporary", "normal", ""),
        ("temporary", "shutdown", ""),
        ("temporary", "crash", ""),
    ],
)
def test_who_is_restarted(kind: Any, how: str, expected: str) -> None:
    machine = Machine(spec("a", restart=kind))
    assert machine.exits("a", how) == expected
    assert machine.statuses == {"temporary": ""}.get(kind, "a=running" if expected else "a=stopped")


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("one_for_one", "+b"), ("one_for_all", "-c -a +a +b +c"), ("rest_for_one", "-c +b +c")],
)
def test_who_is_restarted_with_it(strategy: str, expected: str) -> None:
    machine = Machine(*ABC, strategy=strategy)
    assert machine.exits("b") == expected
    assert machine.policy.children["b"].restarts == 1


def test_temporary_siblings_are_stopped_and_not_started_again() -> None:
    machine = Machine(spec("a"), spec("t", restart="temporary"), spec("b"), strategy="one_for_all")
    assert machine.exits("a") == "-b -t +a +b"
    assert machine.statuses == "a=running b=running"


def test_a_restart_of_all_takes_in_children_that_had_ended_or_were_terminated() -> None:
    machine = Machine(spec("a", restart="transient"), spec("b"), spec("c"), strategy="one_for_all")
    machine.exits("a", "normal")
    machine.tell(Terminate("c"))
    assert machine.statuses == "a=stopped b=running c=stopped"
    assert machine.exits("b") == "+a +b +c"


def test_the_exit_of_a_run_that_is_over_is_not_counted() -> None:
    machine = Machine(*ABC, strategy="one_for_all", max_restarts=1)
    late = Exited("a", machine.policy.children["a"].number, "crash", 0.0)
    machine.exits("b")
    assert machine.tell(late) == ""
    assert machine.tell(Exited("nobody", 1, "crash", 0.0)) == ""
    machine.tell(Terminate("c"))
    assert machine.exits("c") == ""
    assert machine.statuses == "a=running b=running c=stopped"


def test_one_restart_more_than_allowed_gives_up() -> None:
    machine = Machine(*ABC, max_restarts=2, within=5.0)
    assert [machine.exits("b", at=float(at)) for at in (0, 1)] == ["+b", "+b"]
    assert machine.exits("b", at=2.0) == "gave_up b -c -a end"


def test_no_restart_is_allowed_at_all() -> None:
    assert Machine(*ABC, max_restarts=0).exits("a") == "gave_up a -c -b end"


def test_restarts_count_together_whosever_they_are() -> None:
    machine = Machine(*ABC, max_restarts=2)
    assert [machine.exits(name) for name in "abc"] == ["+a", "+b", "gave_up c -b -a end"]


@pytest.mark.parametrize(("third", "expected"), [(5.0, "gave_up a end"), (5.000001, "+a")])
def test_a_restart_counts_for_the_whole_period_and_no_longer(third: float, expected: str) -> None:
    machine = Machine(spec("a"), max_restarts=2, within=5.0)
    assert [machine.exits("a", at=at) for at in (0.0, 3.0)] == ["+a", "+a"]
    assert machine.exits("a", at=third) == expected


def test_a_slow_trickle_goes_on_for_ever_and_is_not_remembered() -> None:
    machine = Machine(spec("a"), max_restarts=3, within=5.0)
    for number in range(1_000):
        assert machine.exits("a", at=number * 1.7) == "+a"
    assert len(machine.policy.recent) <= 4


def test_a_restart_that_fails_is_tried_again_behind_other_messages_and_counted() -> None:
    machine = Machine(*ABC, max_restarts=3)
    machine.fail = ["b", "b"]
    assert machine.exits("b") == "!b retry b"
    assert machine.statuses == "a=running b=restarting c=running"
    assert machine.again("b") == "!b retry b"
    assert machine.again("b") == "+b"
    assert machine.exits("a") == "gave_up a -c -b end"


def test_retries_use_up_the_limit() -> None:
    machine = Machine(*ABC, max_restarts=1)
    machine.fail = ["b"] * 9
    assert machine.exits("b") == "!b retry b"
    assert machine.again("b") == "gave_up b -c -a end"


def test_under_one_for_all_a_failed_restart_begins_anew_with_all() -> None:
    machine = Machine(*ABC, strategy="one_for_all", max_restarts=9)
    machine.fail = ["b"]
    assert machine.exits("c") == "-b -a +a !b retry b"
    assert machine.statuses == "a=running b=restarting c=stopped"
    assert machine.again("b") == "-a +a +b +c"


def test_under_rest_for_one_a_failed_restart_goes_on_from_where_it_failed() -> None:
    machine = Machine(*ABC, spec("d"), strategy="rest_for_one", max_restarts=9)
    machine.fail = ["c"]
    assert machine.exits("b") == "-d -c +b !c retry c"
    assert machine.again("c") == "+c +d"


def test_a_retry_finds_nothing_to_do_when_others_came_first() -> None:
    machine = Machine(*ABC, strategy="one_for_all", max_restarts=9)
    machine.fail = ["b"]
    machine.exits("c")
    assert machine.exits("a") == "+a +b +c"
    assert machine.again("b") == ""
    machine.fail = ["b"]
    machine.exits("b")
    assert machine.tell(Terminate("b")) == "ok"
    assert machine.again("b") == ""
    assert machine.tell(Delete("b")) == "ok"
    assert machine.again("b") == ""


def test_a_temporary_child_is_forgotten_however_it_ends() -> None:
    machine = Machine(spec("t", restart="temporary"), spec("u", restart="temporary"))
    assert machine.exits("t") == ""
    assert machine.tell(Terminate("u")) == "-u ok"
    assert machine.statuses == ""
    assert machine.tell(Restart("t")) == "not_found"


@pytest.mark.parametrize("how", ["normal", "shutdown", "crash"])
def test_the_end_of_any_significant_child_ends_the_supervisor(how: str) -> None:
    machine = Machine(
        spec("a", restart="temporary", significant=True),
        spec("b"),
        spec("c", restart="temporary"),
        auto_shutdown="any_significant",
    )
    assert machine.exits("c", how) == ""
    assert machine.exits("a", how) == "auto_shutdown a -b end"


def test_a_significant_transient_child_that_crashes_is_restarted() -> None:
    machine = Machine(spec("a", restart="transient", significant=True), auto_shutdown="any_significant")
    assert machine.exits("a", "crash") == "+a"
    assert machine.exits("a", "normal") == "auto_shutdown a end"


def test_the_end_of_the_last_significant_child_ends_the_supervisor() -> None:
    significant: dict[str, Any] = {"restart": "transient", "significant": True}
    machine = Machine(
        spec("a", **significant),
        spec("b", **significant),
        spec("c"),
        auto_shutdown="all_significant",
        max_restarts=9,
    )
    machine.fail = ["b"]
    machine.exits("b")
    assert machine.exits("a", "normal") == ""  # b waits for its restart, and so goes on
    machine.again("b")
    assert machine.exits("b", "shutdown") == "auto_shutdown b -c end"


def test_a_significant_child_that_was_terminated_ends_nothing() -> None:
    machine = Machine(
        spec("a", restart="transient", significant=True), spec("b"), auto_shutdown="any_significant"
    )
    assert machine.tell(Terminate("a")) == "-a ok"
    assert machine.tell(Terminate("a")) == "ok"


def test_calls_and_their_problems() -> None:
    machine = Machine(spec("a"), max_restarts=9)
    assert machine.tell(Add(spec("a"))) == "exists"
    assert machine.tell(Restart("a")) == "running"
    assert machine.tell(Delete("a")) == "running"
    assert [machine.tell(kind("x")) for kind in (Terminate, Restart, Delete)] == ["not_found"] * 3
    assert machine.tell(Terminate("a")) == "-a ok"
    assert machine.tell(Add(spec("a"))) == "exists"
    assert machine.tell(Restart("a")) == "+a ok"
    machine.fail = ["a"]
    machine.exits("a")
    assert machine.tell(Restart("a")) == "restarting"
    assert machine.tell(Delete("a")) == "restarting"
    assert machine.tell(Terminate("a")) == "ok"
    assert machine.tell(Delete("a")) == "ok"
    assert machine.statuses == ""


def test_a_failing_start_by_call_is_neither_kept_nor_tried_again_nor_counted() -> None:
    machine = Machine(spec("a"), max_restarts=0)
    machine.fail = ["x"]
    assert machine.tell(Add(spec("x"))) == "!x failed"
    assert machine.statuses == "a=running"
    machine.tell(Terminate("a"))
    machine.fail = ["a"]
    assert machine.tell(Restart("a")) == "!a failed"
    assert machine.statuses == "a=stopped"


def test_children_that_were_added_come_last() -> None:
    machine = Machine(*ABC, strategy="rest_for_one")
    machine.tell(Add(spec("d")))
    assert machine.exits("c") == "-d +c +d"
    assert machine.tell(Close()) == "closed -d -c -b -a end"


def test_what_is_about_to_start_cannot_be_deleted() -> None:
    policy = Policy(Rules(strategy="one_for_all"))
    policy.step(Open((spec("a"), spec("b"))))
    policy.step(Started(0.0))
    policy.step(Started(0.0))
    number = policy.children["a"].number
    assert policy.step(Exited("a", number, "crash", 0.0)) == (Stop("b", policy.children["b"].number),)
    assert policy.step(Delete("b")) == (Answer("running"),)
    assert policy.step(Stopped()) == (Start("a", 3, True),)
    assert policy.status(policy.children["b"]) == "restarting"
    assert policy.step(Delete("b")) == (Answer("restarting"),)
    assert policy.step(Delete("a")) == (Answer("running"),)
    assert policy.step(Started(0.0)) == (Start("b", 4, True),)
    assert policy.step(Started(0.0)) == ()


def test_a_report_that_belongs_to_nothing_is_refused() -> None:
    machine = Machine(spec("a"))
    with pytest.raises(RuntimeError, match="no start or stop is under way"):
        machine.policy.step(Stopped())


BACKOFF = Backoff(first_seconds=1.0, factor=3.0, most_seconds=8.0, healthy_after_seconds=10.0)


def due(machine: Machine) -> str:
    (*_, wait) = [decision for decision in machine.told if isinstance(decision, Wait)]
    return machine.tell(Due(wait.name, wait.ticket))


def test_delays_grow_up_to_the_longest_and_begin_anew_with_a_child_that_was_healthy() -> None:
    machine = Machine(spec("a"), backoff=BACKOFF, max_restarts=99)
    for seconds in ("1", "3", "8", "8"):
        assert machine.exits("a") == f"wait a {seconds}"
        assert machine.statuses == "a=restarting"
        assert due(machine) == "+a"
    assert machine.exits("a", at=9.0) == "wait a 8"
    due(machine)
    assert machine.exits("a", at=19.0) == "wait a 1"


def test_a_failed_restart_waits_too_and_counts_when_it_is_tried_again() -> None:
    machine = Machine(spec("a", backoff=BACKOFF), max_restarts=2)
    machine.exits("a")
    machine.fail = ["a"]
    assert due(machine) == "!a retry a"
    assert machine.again("a") == "wait a 3"
    assert machine.again("a") == ""  # it is in a delay of its own
    assert due(machine) == "+a"
    assert machine.exits("a") == "gave_up a end"


def test_those_who_are_restarted_with_it_stop_before_the_delay() -> None:
    machine = Machine(*ABC, strategy="rest_for_one", backoff=BACKOFF, max_restarts=99)
    assert machine.exits("b") == "-c wait b 1"
    assert machine.statuses == "a=running b=restarting c=stopped"
    assert due(machine) == "+b +c"
    machine.fail = ["c"]
    machine.exits("b")
    assert due(machine) == "+b !c retry c"
    assert machine.exits("b") == "wait b 8"
    assert machine.statuses == "a=running b=restarting c=stopped"


def test_a_delay_is_over_when_the_child_was_terminated_meanwhile() -> None:
    machine = Machine(spec("a"), backoff=BACKOFF, max_restarts=99)
    machine.exits("a")
    assert machine.tell(Restart("a")) == "restarting"
    machine.tell(Terminate("a"))
    assert due(machine) == ""
    machine.tell(Restart("a"))
    assert due(machine) == ""
    machine.exits("a")
    machine.tell(Terminate("a"))
    machine.tell(Delete("a"))
    assert due(machine) == ""


def test_a_child_in_a_delay_cannot_be_deleted_while_its_siblings_stop() -> None:
    policy = Policy(Rules(strategy="one_for_all", backoff=BACKOFF))
    policy.step(Open((spec("a"), spec("b"))))
    policy.step(Started(0.0))
    policy.step(Started(0.0))
    policy.step(Exited("a", 1, "crash", 0.0))
    assert policy.step(Delete("a")) == (Answer("restarting"),)
    assert policy.step(Stopped()) == (Wait("a", 1, 1.0),)


def test_the_end_does_not_wait_for_delays() -> None:
    machine = Machine(spec("a"), spec("b"), backoff=BACKOFF)
    machine.exits("a")
    assert machine.tell(Close()) == "closed -b end"
    assert machine.statuses == "a=stopped b=stopped"


@pytest.mark.parametrize(
    "options",
    [
        {"strategy": "simple_one_for_one"},
        {"max_restarts": -1},
        {"max_restarts": 1.5},
        {"max_restarts": True},
        {"within": 0},
        {"within": -1.0},
        {"within": math.nan},
        {"within": "5"},
        {"auto_shutdown": "always"},
    ],
)
def test_rules_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="it has to be"):
        Rules(**options)


@pytest.mark.parametrize(
    "options",
    [
        {"name": ""},
        {"name": 3},
        {"fn": None},
        {"args": "abc"},
        {"restart": "always"},
        {"shutdown": "kill"},
        {"shutdown": -1},
        {"shutdown": math.nan},
        {"shutdown": True},
        {"significant": 1},
        {"kind": "manager"},
    ],
)
def test_specs_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="it has to be"):
        ChildSpec(**{"name": "a", "fn": nothing, **options})


def test_a_child_that_cannot_end_cannot_be_significant() -> None:
    with pytest.raises(ConfigurationError, match="never ends by itself"):
        spec("a", significant=True)
    with pytest.raises(ConfigurationError, match='has auto_shutdown="never"'):
        Rules().check_all([spec("a", restart="transient", significant=True)])


def test_two_children_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two children are named 'a'"):
        Rules().check_all([spec("a"), spec("b"), spec("a")])
    with pytest.raises(ConfigurationError, match="a child is 'a'"):
        Rules().check_all(["a"])  # type: ignore[list-item]
    assert Rules().check_all(iter(ABC)) == ABC


@pytest.mark.parametrize(
    "options",
    [
        {"first_seconds": -1},
        {"first_seconds": math.inf},
        {"factor": 0.5},
        {"most_seconds": math.nan},
        {"jitter": 1.5},
        {"healthy_after_seconds": "soon"},
    ],
)
def test_delays_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"Backoff\.\w+ is"):
        Backoff(**options)


def test_delays_do_not_overflow() -> None:
    backoff = Backoff(first_seconds=1.0, factor=1e300, most_seconds=60.0)
    assert backoff.after(backoff.after(backoff.after(0.0))) == 60.0
    assert Backoff(first_seconds=90.0, most_seconds=60.0).after(0.0) == 60.0
