"""An agent does what the reference says it should, whatever is done to it, and whenever."""

from __future__ import annotations

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ._reference import Round
from ._replaying import Op, replay

FULL = os.environ.get("ALLOY_TRIO_FULL") == "1"
"""All of the steps that are wanted of the machine, instead of those of every day (nox -s agents)."""

EXAMPLES, STEPS = (600, 60) if FULL else (60, 40)

SECONDS = st.sampled_from([0, 0, 0, 1, 2, 4])
WHICH = st.integers(0, 3)
TOOLS = st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=3).map(tuple)
ROUNDS = st.one_of(
    st.builds(Round, st.integers(1, 3)),
    st.builds(Round, st.integers(1, 3), TOOLS),
    st.builds(Round, st.integers(1, 3), st.just(()), st.just(True)),
)
PLANS = st.lists(ROUNDS, min_size=1, max_size=4).map(tuple)


class Machine(RuleBasedStateMachine):
    """Writes down what is done; at the end all of it is replayed in one run, in virtual time."""

    performed = 0

    def __init__(self) -> None:
        super().__init__()
        self.ops: list[Op] = []
        self.max_pending = 0

    @initialize(max_pending=st.sampled_from([0, 1, 3]))
    def begin(self, max_pending: int) -> None:
        self.max_pending = max_pending

    @rule(
        seconds=SECONDS,
        plan=PLANS,
        how=st.sampled_from(["chat", "send", "stream"]),
        deadline=st.one_of(st.none(), st.none(), st.integers(0, 8)),
    )
    def ask(self, seconds: int, plan: Any, how: Any, deadline: int | None) -> None:
        self.ops.append(Op("ask", seconds, plan=plan, how=how, deadline=deadline))

    @rule(what=st.sampled_from(["cancel", "leave", "choose"]), seconds=SECONDS, which=WHICH)
    def about_one(self, what: str, seconds: int, which: int) -> None:
        self.ops.append(Op(what, seconds, which))

    @rule(seconds=SECONDS)
    def steer(self, seconds: int) -> None:
        self.ops.append(Op("steer", seconds))

    @rule(seconds=SECONDS)
    def follow_up(self, seconds: int) -> None:
        self.ops.append(Op("follow_up", seconds))

    @rule(seconds=SECONDS)
    def reset(self, seconds: int) -> None:
        self.ops.append(Op("reset", seconds))

    @rule(seconds=st.integers(5, 30))
    def wait(self, seconds: int) -> None:
        self.ops.append(Op("wait", seconds))

    @precondition(lambda self: len(self.ops) > 10)
    @rule()
    def close(self) -> None:
        if all(op.what != "close" for op in self.ops):
            self.ops.append(Op("close"))

    def teardown(self) -> None:
        type(self).performed += len(self.ops)
        replay(self.ops, self.max_pending)


def test_whatever_is_done_to_an_agent_it_does_what_the_reference_says() -> None:
    Machine.performed = 0
    how = settings(
        max_examples=EXAMPLES,
        stateful_step_count=STEPS,
        suppress_health_check=list(HealthCheck),
        deadline=None,
    )
    run_state_machine_as_test(Machine, settings=how)
    print(f"{Machine.performed} steps")
    assert Machine.performed >= (10_000 if FULL else 100)


ANSWERS = (Round(2),)
WORKS = (Round(1, ((3, False), (1, True))), Round(1))


@pytest.mark.parametrize(
    "ops",
    [
        [Op("ask", plan=WORKS), Op("steer", 2), Op("follow_up"), Op("cancel", 0)],
        [
            Op("ask", plan=WORKS, how="send"),
            Op("steer"),
            Op("steer", 2),
            Op("cancel", 0),
            Op("ask", plan=ANSWERS),
        ],
        [Op("ask", plan=ANSWERS), Op("ask", plan=WORKS, how="stream"), Op("choose", which=1), Op("leave", 3)],
        [
            Op("ask", plan=ANSWERS),
            Op("ask", plan=WORKS),
            Op("ask", plan=WORKS),
            Op("close"),
            Op("reset"),
            Op("steer"),
        ],
        [
            Op("ask", plan=WORKS),
            Op("follow_up"),
            Op("follow_up"),
            Op("steer", 2),
            Op("follow_up", 1),
            Op("steer", 4),
        ],
        [Op("ask", plan=WORKS), Op("follow_up"), Op("follow_up", 2), Op("steer"), Op("cancel", 1)],
        [
            Op("ask", plan=(Round(1, fails=True),)),
            Op("steer"),
            Op("reset"),
            Op("reset", 3),
            Op("ask", plan=ANSWERS),
        ],
    ],
)
@pytest.mark.parametrize("max_pending", [0, 3])
def test_what_was_thought_of(ops: list[Op], max_pending: int) -> None:
    replay(ops, max_pending)
