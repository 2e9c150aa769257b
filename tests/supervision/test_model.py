"""The policy and a simulation of what OTP's manual says go through the same lives, and never differ.

A share runs with the other tests; ``ALLOY_TRIO_FULL=1`` takes 1,000,000 steps.
"""

from __future__ import annotations

import os

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from ._model import Delays, Flags, Spec
from ._pair import NAMES, SECONDS, Pair, campaign

FULL = os.environ.get("ALLOY_TRIO_FULL") == "1"
STEPS = 1_000_000 if FULL else 20_000

delays = st.none() | st.builds(
    Delays,
    first=st.sampled_from([0.0, 0.25, 1.0]),
    factor=st.sampled_from([1.0, 2.0, 3.0]),
    most=st.sampled_from([0.0, 1.0, 8.0]),
    healthy=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
)
flags = st.builds(
    Flags,
    strategy=st.sampled_from(["one_for_one", "one_for_all", "rest_for_one"]),
    intensity=st.sampled_from([0, 1, 2, 4, 9]),
    period=st.sampled_from([0.25, 1.0, 5.0]),
    auto_shutdown=st.sampled_from(["never", "any_significant", "all_significant"]),
    delays=delays,
)
names = st.sampled_from(NAMES)
specs = st.builds(
    Spec,
    id=names,
    restart=st.sampled_from(["permanent", "transient", "temporary"]),
    significant=st.booleans(),
    type=st.sampled_from(["worker", "supervisor"]),
    delays=delays,
)


def allowed(spec: Spec, flags: Flags) -> Spec:
    """As OTP has it: what is significant must be able to end, and must mean something."""
    may = spec.restart != "permanent" and flags.auto_shutdown != "never"
    return spec._replace(significant=spec.significant and may)


class Lives(RuleBasedStateMachine):
    """A supervisor, what its children do, and what is asked of it; each comparison is made by the pair."""

    pair: Pair

    @initialize(flags=flags, specs=st.lists(specs, max_size=4, unique_by=lambda spec: spec.id))
    def opens(self, flags: Flags, specs: list[Spec]) -> None:
        self.flags = flags
        self.pair = Pair(flags, [allowed(spec, flags) for spec in specs])

    @precondition(lambda self: self.pair.asked is not None and self.pair.asked[0] == "start")
    @rule(outcome=st.sampled_from(["ok", "ok", "ok", "error", "ignore"]))
    def a_start_comes_to(self, outcome: str) -> None:
        self.pair.report(outcome)

    @precondition(lambda self: self.pair.asked is not None and self.pair.asked[0] == "stop")
    @rule(stuck=st.sampled_from(SECONDS))
    def a_stop_is_done(self, stuck: float) -> None:
        self.pair.passes(stuck)
        self.pair.report("ok")

    @precondition(lambda self: self.pair.asked is None and self.pair.mailbox and not self.pair.over)
    @rule()
    def the_next_message_is_served(self) -> None:
        self.pair.serve()

    @precondition(lambda self: self.pair.alive)
    @rule(data=st.data(), reason=st.sampled_from(["error", "normal", "shutdown", "killed"]))
    def a_child_leaves(self, data: st.DataObject, reason: str) -> None:
        self.pair.leaves(data.draw(st.sampled_from(sorted(self.pair.alive))), reason)

    @precondition(lambda self: self.pair.waits)
    @rule(data=st.data())
    def a_delay_passes(self, data: st.DataObject) -> None:
        self.pair.rings(data.draw(st.integers(0, len(self.pair.waits) - 1)))

    @rule(seconds=st.sampled_from(SECONDS))
    def time_passes(self, seconds: float) -> None:
        self.pair.passes(seconds)

    @rule(call=st.sampled_from(["terminate_child", "restart_child"]), name=names)
    def somebody_calls(self, call: str, name: str) -> None:
        self.pair.mailbox.append((call, name))

    @rule(spec=specs)
    def somebody_adds_a_child(self, spec: Spec) -> None:
        self.pair.mailbox.append(("start_child", allowed(spec, self.flags)))

    @rule(name=names)
    def somebody_deletes_a_child(self, name: str) -> None:
        self.pair.delete(name)

    @precondition(lambda self: len(self.pair.history) > 40)
    @rule()
    def the_block_is_left(self) -> None:
        self.pair.mailbox.append(("shut_down",))


TestLives = Lives.TestCase
TestLives.settings = settings(max_examples=2_000 if FULL else 80, stateful_step_count=80, deadline=None)


def test_random_lives_do_not_differ_from_the_manual() -> None:
    assert campaign(seed=1, steps=STEPS) >= STEPS
