"""Supervisors under supervisors, and how a tree is drawn."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from alloy_trio import RestartLimitExceeded
from alloy_trio.supervision import (
    ChildCount,
    ChildSpec,
    Supervisor,
    open_supervisor,
    run_supervisor,
    supervisor_child,
)

from ._children import Boom, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_tree_starts_depth_first_and_stops_in_reverse(stage: Stage) -> None:
    low = supervisor_child("low", stage.specs("bc"), strategy="one_for_all")
    async with open_supervisor([stage.spec("a"), low, stage.spec("d")], name="top") as supervisor:
        assert isinstance(supervisor.child("low").value, Supervisor)
        assert supervisor.child("low").value.name == "low"
        assert supervisor.count() == ChildCount(specs=3, active=3, supervisors=1, workers=2)
        await stage.crash("c")
    assert stage.take() == "+a +b +c +d -c -b +b +c -d -c -b -a"


async def test_a_tree_is_drawn(stage: Stage) -> None:
    low = supervisor_child("low", stage.specs("b"), strategy="rest_for_one")
    lowest = supervisor_child("lowest", [low])
    async with open_supervisor([stage.spec("a"), lowest, stage.spec("c")], name="top") as supervisor:
        await stage.crash("b", "b", "c")
        await supervisor.terminate("a")
        assert supervisor.tree() == (
            "top (one_for_one)\n"
            "├─ a: stopped\n"
            "├─ lowest (one_for_one): running\n"
            "│  └─ low (rest_for_one): running\n"
            "│     └─ b: running, restarted 2 times\n"
            "└─ c: running, restarted 1 time"
        )
    assert supervisor.tree().splitlines()[1:] == [
        "├─ a: stopped",
        "├─ lowest: stopped",
        "└─ c: stopped, restarted 1 time",
    ]


async def test_a_supervisor_that_a_child_opens_in_its_midst_belongs_to_the_tree(stage: Stage) -> None:
    async def child(*, task_status: trio.TaskStatus[None]) -> None:
        async with open_supervisor(stage.specs("a"), name="inner"):
            task_status.started()
            await trio.sleep_forever()

    async with open_supervisor([ChildSpec("child", child)]) as supervisor:
        assert supervisor.tree().splitlines()[1:] == [
            "└─ child: running",
            "   └─ inner (one_for_one)",
            "      └─ a: running",
        ]
        await supervisor.terminate("child")
        assert "inner" not in supervisor.tree()
    assert stage.take() == "+a -a"


async def test_giving_up_goes_up_level_by_level(stage: Stage) -> None:
    middle = supervisor_child(
        "middle", [supervisor_child("low", stage.specs("a"), max_restarts=0)], max_restarts=0
    )
    with pytest.raises(RestartLimitExceeded, match="child 'middle' of supervisor 'top'") as caught:
        async with open_supervisor([middle, stage.spec("b")], name="top", max_restarts=1):
            await stage.crash("a")
            await stage.crash("a")
            await trio.sleep_forever()
    causes = []
    error: BaseException | None = caught.value
    while error is not None:
        causes.append(str(error).partition(" ended")[0])
        error = error.__cause__
    assert causes == [
        "child 'middle' of supervisor 'top'",
        "child 'low' of supervisor 'middle'",
        "child 'a' of supervisor 'low'",
        "a failed",
    ]
    assert stage.take() == "+a +b -a +a -a -b"


async def test_a_supervisor_that_gives_up_ends_by_shutdown_and_so_a_transient_one_stays_down(
    stage: Stage,
) -> None:
    low = supervisor_child("low", stage.specs("a"), max_restarts=0, restart="transient")
    async with open_supervisor([low, stage.spec("b")]) as supervisor:
        await stage.crash("a")
        assert supervisor.child("low").status == "stopped"


async def test_a_worker_that_raises_restartlimitexceeded_has_crashed() -> None:
    starts = 0

    async def worker() -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            raise RestartLimitExceeded("of a supervisor that it had")
        await trio.sleep_forever()

    async with open_supervisor([ChildSpec("worker", worker, restart="transient")]):
        await trio.testing.wait_all_tasks_blocked()
        assert starts == 2


async def test_an_auto_shutdown_below_ends_only_that_supervisor(stage: Stage) -> None:
    significant = stage.spec("a", restart="temporary", significant=True)
    low = supervisor_child("low", [significant], auto_shutdown="any_significant", restart="transient")
    async with open_supervisor([low, stage.spec("b")]) as supervisor:
        await stage.leave("a")
        assert [child.status for child in supervisor.children()] == ["stopped", "running"]


async def test_a_supervisor_that_cannot_open_is_a_failed_start(stage: Stage) -> None:
    stage.refuses["b"] = 1
    with pytest.raises(Boom) as caught:
        async with open_supervisor([stage.spec("a"), supervisor_child("low", stage.specs("cb"))], name="top"):
            pytest.fail("the body must not run")
    assert stage.take() == "+a +c !b -c -a"
    assert caught.value.__notes__ == [
        "child 'b' of supervisor 'low' could not be started",
        "child 'low' of supervisor 'top' could not be started",
    ]


async def test_keyboardinterrupt_goes_through_all_levels(stage: Stage) -> None:
    with pytest.raises(KeyboardInterrupt):
        async with open_supervisor([stage.spec("a"), supervisor_child("low", stage.specs("bc"))]):
            await stage.leave("b", KeyboardInterrupt())
            await trio.sleep_forever()
    assert stage.take() == "+a +b +c -b -c -a"


async def test_a_supervisor_runs_in_any_nursery(stage: Stage) -> None:
    async with trio.open_nursery() as nursery:
        supervisor = await nursery.start(run_supervisor, stage.specs("ab"))
        assert supervisor.count().active == 2
        nursery.cancel_scope.cancel()
    assert stage.take() == "+a +b -b -a"
