"""What a supervisor is asked: start, terminate, restart, delete, and the handle of a child."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from alloy_trio import ChildExists, ChildNotFound, ChildRunning, ConfigurationError, RestartLimitExceeded
from alloy_trio.supervision import ChildCount, ChildInfo, ChildSpec, Supervisor, open_supervisor

from ._children import Boom, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_a_started_child_comes_last_and_its_handle_has_what_it_started_with(stage: Stage) -> None:
    async with open_supervisor(stage.specs("ab")) as supervisor:
        with trio.testing.assert_checkpoints():
            child = await supervisor.start(stage.spec("c"))
        assert (child.name, child.status, child.value) == ("c", "running", "c is ready")
        assert repr(child) == "<ChildHandle 'c': running>"
    assert stage.take() == "+a +b +c -c -b -a"


async def test_a_start_that_fails_raises_what_the_child_raised_and_keeps_nothing(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a"), max_restarts=0) as supervisor:
        stage.refuses["b"] = 1
        with pytest.raises(Boom, match="b does not start"):
            await supervisor.start(stage.spec("b"))
        assert [child.name for child in supervisor.children()] == ["a"]
        assert supervisor.statistics().failed_starts == 1
        await supervisor.start(stage.spec("b"))


async def test_a_name_that_is_taken_is_refused_whether_the_child_runs_or_not(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a")) as supervisor:
        for _ in range(2):
            with pytest.raises(ChildExists, match="has a child 'a' already"):
                await supervisor.start(stage.spec("a"))
            await supervisor.terminate("a")


async def test_a_spec_that_cannot_be_is_refused(stage: Stage) -> None:
    async with open_supervisor() as supervisor:
        with pytest.raises(ConfigurationError, match="auto_shutdown"):
            await supervisor.start(stage.spec("a", restart="transient", significant=True))
        with pytest.raises(ConfigurationError, match="it has to be a ChildSpec"):
            await supervisor.start("a")  # type: ignore[arg-type]


async def test_terminate_restart_delete(stage: Stage) -> None:
    async with open_supervisor(stage.specs("ab")) as supervisor:
        child = supervisor.child("a")
        with trio.testing.assert_checkpoints():
            await supervisor.terminate("a")
        assert child.status == "stopped"
        await supervisor.terminate("a")
        with trio.testing.assert_checkpoints():
            assert (await supervisor.restart("a")).status == "running"
        with pytest.raises(ChildRunning, match="child 'a' of supervisor 'supervisor' runs"):
            supervisor.delete("a")
        with pytest.raises(ChildRunning, match="terminate it first"):
            await supervisor.restart("a")
        await supervisor.terminate("a")
        supervisor.delete("a")
        assert child.status == "stopped"
        assert stage.take() == "+a +b -a +a -a"
        assert supervisor.count() == ChildCount(specs=1, active=1, supervisors=0, workers=1)


async def test_what_is_not_there_is_not_found(stage: Stage) -> None:
    async with open_supervisor(stage.specs("ab")) as supervisor:
        for call in (supervisor.terminate, supervisor.restart):
            with pytest.raises(ChildNotFound, match="has no child 'x'; it has: 'a', 'b'"):
                await call("x")
        with pytest.raises(ChildNotFound):
            supervisor.delete("x")
        with pytest.raises(ChildNotFound):
            supervisor.child("x")
    async with open_supervisor() as supervisor:
        with pytest.raises(ChildNotFound, match="it has: none"):
            supervisor.delete("x")


async def test_a_restart_that_fails_leaves_the_child_stopped(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a"), max_restarts=0) as supervisor:
        await supervisor.terminate("a")
        stage.refuses["a"] = 1
        with pytest.raises(Boom):
            await supervisor.restart("a")
        assert supervisor.child("a").status == "stopped"


async def test_a_child_that_returns_before_it_started_is_kept_as_stopped() -> None:
    async def nothing_to_do(*, task_status: trio.TaskStatus[None]) -> None:
        pass

    async with open_supervisor([ChildSpec("a", nothing_to_do)]) as supervisor:
        child = await supervisor.start(ChildSpec("b", nothing_to_do))
        assert child.status == "stopped"
        await supervisor.start(ChildSpec("t", nothing_to_do, restart="temporary"))
        assert [(child.name, child.status) for child in supervisor.children()] == [
            ("a", "stopped"),
            ("b", "stopped"),
        ]
        assert supervisor.count().specs == 2


async def test_children_are_told_with_how_they_ended_last(stage: Stage) -> None:
    async with open_supervisor([stage.spec("a", restart="transient"), stage.spec("b")]) as supervisor:
        await stage.leave("a")
        await stage.crash("b")
        assert supervisor.children() == (
            ChildInfo(
                name="a",
                status="stopped",
                restarts=0,
                restart="transient",
                significant=False,
                kind="worker",
                reason="normal",
            ),
            ChildInfo(
                name="b",
                status="running",
                restarts=1,
                restart="permanent",
                significant=False,
                kind="worker",
                reason=None,
            ),
        )
        assert repr(supervisor) == "<Supervisor 'supervisor': 2 children>"


async def test_calls_wait_for_a_restart_that_is_under_way_and_are_served_in_order(
    autojump_clock: MockClock, stage: Stage
) -> None:
    starts = 0

    async def slow(*, task_status: trio.TaskStatus[None]) -> None:
        nonlocal starts
        starts += 1
        if starts > 1:
            await trio.sleep(10)
        task_status.started()
        await trio.sleep(10)
        raise Boom

    served: list[str] = []

    async def call(what: str, name: str) -> None:
        if what == "start":
            await supervisor.start(stage.spec(name))
        else:
            await supervisor.terminate(name)
        served.append(f"{what} {name} at {trio.current_time() - began:g}")

    async with open_supervisor([ChildSpec("slow", slow), stage.spec("a")]) as supervisor:
        began = trio.current_time()
        await trio.sleep(11)
        async with trio.open_nursery() as nursery:
            for what, name in (("terminate", "a"), ("start", "b"), ("terminate", "b"), ("start", "c")):
                nursery.start_soon(call, what, name)
                await trio.testing.wait_all_tasks_blocked()
            assert supervisor.child("slow").status == "starting"
            with pytest.raises(ChildRunning):
                supervisor.delete("slow")
        assert served == ["terminate a at 20", "start b at 20", "terminate b at 20", "start c at 20"]


async def test_a_waiting_call_that_is_cancelled_is_taken_back(
    autojump_clock: MockClock, stage: Stage
) -> None:
    async def slow(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(10)
        task_status.started()
        await trio.sleep_forever()

    async with open_supervisor(stage.specs("a")) as supervisor, trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.start, ChildSpec("slow", slow))
        await trio.testing.wait_all_tasks_blocked()
        for call in (supervisor.terminate("a"), supervisor.start(stage.spec("b"))):
            with trio.move_on_after(5) as scope:
                await call
            assert scope.cancelled_caught
        assert supervisor.child("slow").status == "starting" if trio.current_time() < 10 else "running"
    assert stage.take() == "+a -a"


async def test_a_start_that_is_cancelled_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    ended = False

    async def never(*, task_status: trio.TaskStatus[None]) -> None:
        nonlocal ended
        try:
            await trio.sleep_forever()
        finally:
            ended = True

    async with open_supervisor() as supervisor:
        with trio.move_on_after(3) as scope:
            await supervisor.start(ChildSpec("a", never))
        assert scope.cancelled_caught and ended
        assert supervisor.children() == ()
        with trio.CancelScope() as scope:
            scope.cancel()
            await supervisor.start(ChildSpec("a", never))
        assert scope.cancelled_caught
        assert supervisor.statistics().failed_starts == 1


async def test_a_start_that_fails_while_it_is_cancelled_is_logged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async def bad(*, task_status: trio.TaskStatus[None]) -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Boom

    async with open_supervisor() as supervisor:
        with trio.move_on_after(3) as scope:
            await supervisor.start(ChildSpec("a", bad))
        assert scope.cancelled_caught
    assert caplog.messages == ["child 'a' of supervisor 'supervisor' could not be started"]


async def test_a_start_that_somebody_else_puts_an_end_to_is_refused(autojump_clock: MockClock) -> None:
    refused: list[str] = []

    async def never(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep_forever()

    async def start(name: str) -> None:
        with pytest.raises(trio.ClosedResourceError) as caught:
            await supervisor.start(ChildSpec(name, never))
        refused.append(str(caught.value))

    async with trio.open_nursery() as nursery:
        async with open_supervisor() as supervisor:
            nursery.start_soon(start, "a")
            await trio.testing.wait_all_tasks_blocked()
            supervisor.child("a").cancel()
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(start, "b")
            await trio.testing.wait_all_tasks_blocked()
    assert refused == [f"child {name!r} was cancelled before it had started" for name in "ab"]


async def test_a_termination_that_is_cancelled_goes_on(autojump_clock: MockClock) -> None:
    async def slow_to_end() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(10)

    async with open_supervisor([ChildSpec("a", slow_to_end, shutdown=100.0)]) as supervisor:
        with trio.move_on_after(3) as scope:
            await supervisor.terminate("a")
        assert scope.cancelled_caught
        assert supervisor.child("a").status == "stopping"
        await trio.sleep(10)
        assert supervisor.child("a").status == "stopped"


async def test_calls_after_the_end_are_refused(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a")) as supervisor:
        child = supervisor.child("a")
    with pytest.raises(trio.ClosedResourceError, match="takes no calls any more"):
        await supervisor.start(stage.spec("b"))
    with pytest.raises(trio.ClosedResourceError):
        await supervisor.terminate("a")
    with pytest.raises(trio.ClosedResourceError, match="does not run, and will not by itself"):
        await child.wait_running()
    child.cancel()
    assert child.status == "stopped"
    assert (await child.wait_exit()).reason == "shutdown"
    assert supervisor.count().active == 0


async def test_calls_that_wait_when_the_supervisor_gives_up_are_refused(
    autojump_clock: MockClock, stage: Stage
) -> None:
    outcomes: list[str] = []

    async def call(supervisor: Supervisor) -> None:
        with pytest.raises(trio.ClosedResourceError):
            await supervisor.start(stage.spec("b"))
        outcomes.append("refused")

    async def slow_to_end() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(10)
        raise Boom

    async with trio.open_nursery() as nursery:
        with pytest.raises(RestartLimitExceeded):
            async with open_supervisor(
                [*stage.specs("a"), ChildSpec("slow", slow_to_end)], max_restarts=0
            ) as supervisor:
                nursery.start_soon(supervisor.terminate, "slow")
                await trio.testing.wait_all_tasks_blocked()
                await stage.crash("a")
                nursery.start_soon(call, supervisor)
                await trio.sleep_forever()
    assert outcomes == ["refused"]


async def test_a_child_may_call_its_supervisor_once_it_has_started(stage: Stage) -> None:
    async def starts_another(*, task_status: trio.TaskStatus[None]) -> None:
        with pytest.raises(RuntimeError, match="before started"):
            await holder[0].start(stage.spec("too early"))
        task_status.started()
        await holder[0].start(stage.spec("b"))
        await holder[0].terminate("starter")
        pytest.fail("it was terminated")

    holder: list[Supervisor] = []
    async with open_supervisor() as supervisor:
        holder.append(supervisor)
        child = await supervisor.start(ChildSpec("starter", starts_another))
        assert (await child.wait_exit()).reason == "shutdown"
        await trio.testing.wait_all_tasks_blocked()
        assert [child.name for child in supervisor.children()] == ["starter", "b"]


async def test_a_handle_waits_out_restarts_and_knows_the_end(autojump_clock: MockClock, stage: Stage) -> None:
    starts = 0

    async def slow(*, task_status: trio.TaskStatus[int]) -> None:
        nonlocal starts
        await trio.sleep(10)
        starts += 1
        task_status.started(starts)
        await trio.sleep(10)
        if starts < 3:
            raise Boom(str(starts))

    async with open_supervisor([ChildSpec("a", slow, restart="transient")]) as supervisor:
        child = supervisor.child("a")
        for number in (1, 2, 3):
            assert await child.wait_running() == number
            exit = await child.wait_exit()
            assert exit.reason == (f"Boom: {number}" if number < 3 else "normal")
        with pytest.raises(trio.ClosedResourceError):
            await child.wait_running()


async def test_a_handle_chains_what_the_child_failed_with(stage: Stage) -> None:
    async with open_supervisor([stage.spec("a", restart="temporary")]) as supervisor:
        child = supervisor.child("a")
        await stage.crash("a")
        with pytest.raises(trio.ClosedResourceError) as caught:
            await child.wait_running()
        assert str(caught.value.__cause__) == "a failed"
        assert child.info().status == "stopped"


async def test_a_handle_of_a_child_that_never_ran_has_no_exit(stage: Stage) -> None:
    async def watch() -> None:
        with pytest.raises(trio.ClosedResourceError, match="has never run"):
            await supervisor.child("b").wait_exit()

    async def first(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.sleep_forever()

    async with open_supervisor() as supervisor:
        await supervisor.start(ChildSpec("a", first))
        supervisor._engine.records["b"] = type(supervisor._engine.records["a"])(stage.spec("b"))
        await watch()
        assert supervisor.child("b").value is None
        supervisor.child("b").cancel()
        del supervisor._engine.records["b"]


async def test_functions_without_a_signature_can_be_children() -> None:
    class Callable:
        __signature__ = "none"

        async def __call__(self) -> None:
            await trio.sleep_forever()

    async with open_supervisor([ChildSpec("a", Callable())]) as supervisor:
        assert supervisor.child("a").status == "running"
