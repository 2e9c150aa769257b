"""Children under a supervisor on trio: starts, exits, restarts, the end."""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from alloy_trio import ConfigurationError, RestartLimitExceeded
from alloy_trio.supervision import ChildSpec, grace, open_supervisor

from ._children import Boom, Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


async def test_children_start_in_order_and_stop_in_reverse(autojump_clock: MockClock, stage: Stage) -> None:
    async with open_supervisor(stage.specs("abc")) as supervisor:
        assert stage.take() == "+a +b +c"
        assert [child.status for child in supervisor.children()] == ["running"] * 3
    assert stage.take() == "-c -b -a"


async def test_a_plain_function_has_started_at_its_first_checkpoint(autojump_clock: MockClock) -> None:
    log: list[str] = []

    async def child(name: str) -> None:
        log.append(f"+{name}")
        await trio.sleep_forever()

    async with open_supervisor([ChildSpec(name, child, args=(name,)) for name in "abcdefgh"]):
        assert log == [f"+{name}" for name in "abcdefgh"]


async def test_the_opening_waits_for_started(autojump_clock: MockClock) -> None:
    async def slow(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.sleep(7)
        task_status.started()
        await trio.sleep_forever()

    began = trio.current_time()
    async with open_supervisor([ChildSpec("a", slow), ChildSpec("b", partial(slow))]):
        assert trio.current_time() - began == 14


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("one_for_one", "-b +b"), ("one_for_all", "-b -c -a +a +b +c"), ("rest_for_one", "-b -c +b +c")],
)
async def test_a_crash_restarts_whom_the_strategy_says(
    autojump_clock: MockClock, stage: Stage, strategy: Any, expected: str
) -> None:
    async with open_supervisor(stage.specs("abc"), strategy):
        stage.take()
        await stage.crash("b")
        assert stage.take() == expected


@pytest.mark.parametrize(
    ("restart", "after_return", "after_cancel", "after_crash"),
    [
        ("permanent", "-a +a", "-a +a", "-a +a"),
        ("transient", "-a", "-a", "-a +a"),
        ("temporary", "-a", "-a", "-a"),
    ],
)
async def test_restart_kinds(
    autojump_clock: MockClock,
    stage: Stage,
    restart: Any,
    after_return: str,
    after_cancel: str,
    after_crash: str,
) -> None:
    async def one(how: str) -> str:
        async with open_supervisor([stage.spec("a", restart=restart)]) as supervisor:
            stage.take()
            if how == "cancel":
                supervisor.child("a").cancel()
                await trio.testing.wait_all_tasks_blocked()
            else:
                await stage.leave("a", Boom() if how == "crash" else None)
            return stage.take()

    assert await one("return") == after_return
    assert await one("cancel") == after_cancel
    assert await one("crash") == after_crash


async def test_a_scope_inside_the_child_that_is_cancelled_is_a_normal_end(
    autojump_clock: MockClock, stage: Stage
) -> None:
    async def child() -> None:
        with trio.move_on_after(3):
            await trio.sleep_forever()

    async with open_supervisor([ChildSpec("a", child, restart="transient")]) as supervisor:
        exit = await supervisor.child("a").wait_exit()
        assert (exit.reason, exit.error) == ("normal", None)


async def test_a_child_gets_the_same_arguments_at_each_start(autojump_clock: MockClock) -> None:
    seen: list[tuple[int, int]] = []

    async def child(a: int, b: int) -> None:
        seen.append((a, b))
        raise Boom

    with pytest.raises(RestartLimitExceeded):
        async with open_supervisor([ChildSpec("a", child, args=[1, 2])], max_restarts=2):
            await trio.sleep_forever()
    assert seen == [(1, 2)] * 3


async def test_a_start_that_fails_stops_the_others_and_leaves_the_opening_as_it_is(
    autojump_clock: MockClock, stage: Stage
) -> None:
    stage.refuses["c"] = 1
    with pytest.raises(Boom, match="c does not start") as caught:
        async with open_supervisor(stage.specs("abcd")):
            pytest.fail("the body must not run")
    assert stage.take() == "+a +b !c -b -a"
    assert caught.value.__notes__ == ["child 'c' of supervisor 'supervisor' could not be started"]


async def test_too_many_restarts_stop_the_children_and_cancel_the_body(
    autojump_clock: MockClock, stage: Stage
) -> None:
    body = "runs"
    with pytest.raises(
        RestartLimitExceeded, match=r"child 'b' .*Boom: b failed.* 1 restarts within 5 s"
    ) as caught:
        async with open_supervisor(stage.specs("abc"), max_restarts=1):
            stage.take()
            await stage.crash("b")
            try:
                await stage.crash("b")
                await trio.sleep_forever()
            except trio.Cancelled:
                body = "cancelled"
                raise
    assert body == "cancelled"
    assert stage.take() == "-b +b -b -c -a"
    assert str(caught.value.__cause__) == "b failed"


async def test_a_permanent_child_that_returns_too_often_has_no_cause(autojump_clock: MockClock) -> None:
    with pytest.raises(RestartLimitExceeded, match="it returned") as caught:
        async with open_supervisor([ChildSpec("a", trio.sleep, args=(0,))]):
            await trio.sleep_forever()
    assert caught.value.__cause__ is None


async def test_restarts_that_lie_apart_do_not_add_up(autojump_clock: MockClock, stage: Stage) -> None:
    async with open_supervisor(stage.specs("a"), max_restarts=1, within=5.0):
        for _ in range(10):
            await stage.crash("a")
            await trio.sleep(5.1)
    assert stage.take() == "+a" + " -a +a" * 10 + " -a"


async def test_a_restart_that_fails_is_tried_again_and_counted(
    autojump_clock: MockClock, stage: Stage
) -> None:
    async with open_supervisor(stage.specs("ab"), max_restarts=3) as supervisor:
        stage.refuses["a"] = 2
        stage.take()
        await stage.crash("a")
        assert stage.take() == "-a !a !a +a"
        assert supervisor.children()[0].restarts == 3
    stage.refuses["a"] = 9
    with pytest.raises(RestartLimitExceeded, match="a does not start"):
        stage.refuses["a"] = 0
        async with open_supervisor(stage.specs("ab"), max_restarts=3):
            stage.refuses["a"] = 9
            stage.take()
            await stage.crash("a")
            await trio.sleep_forever()
    assert stage.take() == "-a !a !a !a -b"


async def test_the_body_s_exception_leaves_unwrapped_once_the_children_have_ended(
    autojump_clock: MockClock, stage: Stage
) -> None:
    with pytest.raises(Boom):
        async with open_supervisor(stage.specs("ab")):
            raise Boom
    assert stage.take() == "+a +b -b -a"


async def test_a_body_that_fails_while_the_supervisor_gives_up_makes_a_group(
    autojump_clock: MockClock, stage: Stage
) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_supervisor(stage.specs("a"), max_restarts=0):
            try:
                await stage.crash("a")
                await trio.sleep_forever()
            finally:
                raise Boom("the body")
    assert [type(error) for error in caught.value.exceptions] == [Boom, RestartLimitExceeded]


async def test_a_cancel_from_outside_passes_and_children_stop_in_order_after_the_body(
    autojump_clock: MockClock, stage: Stage
) -> None:
    with trio.move_on_after(1) as scope:
        async with open_supervisor(stage.specs("abc")):
            try:
                await trio.sleep_forever()
            finally:
                stage.log.append("body")
    assert scope.cancelled_caught
    assert stage.take() == "+a +b +c body -c -b -a"


async def test_a_cancel_while_children_start_stops_those_that_have(
    autojump_clock: MockClock, stage: Stage
) -> None:
    async def never(*, task_status: trio.TaskStatus[None]) -> None:
        try:
            await trio.sleep_forever()
        finally:
            stage.log.append("never cancelled")

    with trio.move_on_after(1) as scope:
        async with open_supervisor([*stage.specs("ab"), ChildSpec("never", never), *stage.specs("c")]):
            pytest.fail("the body must not run")
    assert scope.cancelled_caught
    assert stage.take() == "+a +b never cancelled -b -a"


async def test_leaving_the_block_ends_a_restart_that_does_not_get_ready(
    autojump_clock: MockClock, stage: Stage
) -> None:
    starts = 0

    async def once(*, task_status: trio.TaskStatus[None]) -> None:
        nonlocal starts
        starts += 1
        if starts == 1:
            task_status.started()
            raise Boom
        await trio.sleep_forever()

    with trio.fail_after(5):
        async with open_supervisor([stage.spec("a"), ChildSpec("once", once)]) as supervisor:
            await trio.sleep(1)
            assert supervisor.child("once").status == "starting"
    assert starts == 2
    assert stage.take() == "+a -a"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), GeneratorExit()])
async def test_what_is_no_exception_passes_and_is_not_restarted(
    autojump_clock: MockClock, stage: Stage, error: BaseException
) -> None:
    with pytest.raises(type(error)) as caught:
        async with open_supervisor(stage.specs("abc")):
            await stage.leave("b", error)
            await trio.sleep_forever()
    assert caught.value is error
    assert stage.take() == "+a +b +c -b -c -a"


async def test_a_group_that_holds_what_is_no_exception_passes_whole(
    autojump_clock: MockClock, stage: Stage
) -> None:
    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_supervisor(stage.specs("ab")):
            await stage.leave("a", BaseExceptionGroup("both", [KeyboardInterrupt(), Boom()]))
            await trio.sleep_forever()
    assert [type(error) for error in caught.value.exceptions] == [KeyboardInterrupt, Boom]


async def test_keyboardinterrupt_at_a_start_leaves_the_opening(
    autojump_clock: MockClock, stage: Stage
) -> None:
    async def child(*, task_status: trio.TaskStatus[None]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        async with open_supervisor([*stage.specs("a"), ChildSpec("b", child)]):
            pytest.fail("the body must not run")
    assert stage.take() == "+a -a"


@pytest.mark.parametrize("how", ["return", "crash"])
async def test_an_auto_shutdown_cancels_the_body_and_ends_without_an_error(
    autojump_clock: MockClock, stage: Stage, how: str
) -> None:
    significant = stage.spec("b", restart="temporary", significant=True)
    reached = False
    async with open_supervisor(
        [stage.spec("a"), significant, stage.spec("c")], auto_shutdown="any_significant"
    ):
        await stage.leave("b", Boom() if how == "crash" else None)
        await trio.sleep_forever()
        reached = True  # pragma: no cover
    assert not reached
    assert stage.take() == "+a +b +c -b -c -a"


async def test_all_significant_waits_for_the_last(autojump_clock: MockClock, stage: Stage) -> None:
    significant: dict[str, Any] = {"restart": "transient", "significant": True}
    async with open_supervisor(
        stage.specs("ab", **significant), auto_shutdown="all_significant"
    ) as supervisor:
        await stage.leave("a")
        await trio.sleep(100)
        assert supervisor.child("b").status == "running"
        await stage.leave("b")
        await trio.sleep_forever()
    assert stage.take() == "+a +b -a -b"


async def test_a_child_that_ends_itself_before_the_body_begins_is_dealt_with(
    autojump_clock: MockClock, stage: Stage
) -> None:
    quick = ChildSpec("quick", trio.sleep, args=(0,), restart="temporary", significant=True)
    async with open_supervisor([quick, *stage.specs("a")], auto_shutdown="any_significant"):
        await trio.sleep_forever()
    assert stage.take() == "+a -a"


async def test_started_twice_is_the_child_s_mistake(autojump_clock: MockClock) -> None:
    async def child(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        task_status.started()

    async with open_supervisor([ChildSpec("a", child, restart="temporary")]) as supervisor:
        await trio.testing.wait_all_tasks_blocked()
        assert supervisor.children() == ()
        assert supervisor.statistics().exits == 1


async def test_what_a_child_fails_with_is_logged_with_its_traceback(
    autojump_clock: MockClock, stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    async def bad_at_goodbyes() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise Boom("on the way out")

    async with open_supervisor(
        [*stage.specs("a"), ChildSpec("b", bad_at_goodbyes)], max_restarts=9, name="sup"
    ):
        stage.refuses["a"] = 1
        await stage.crash("a")
    messages = [(record.levelno, record.getMessage()) for record in caplog.records]
    assert messages == [
        (logging.ERROR, "child 'a' of supervisor 'sup' failed"),
        (logging.ERROR, "child 'a' of supervisor 'sup' could not be started"),
        (logging.ERROR, "child 'b' of supervisor 'sup' failed while it was stopped"),
    ]
    assert all(
        record.exc_info is not None and isinstance(record.exc_info[1], Boom) for record in caplog.records
    )


async def test_two_children_of_one_name_are_refused_before_anything_starts(
    autojump_clock: MockClock, stage: Stage
) -> None:
    with pytest.raises(ConfigurationError, match="two children are named"):
        async with open_supervisor(stage.specs("aa")):
            pytest.fail("the body must not run")
    assert stage.take() == ""


async def test_no_task_is_left(autojump_clock: MockClock, stage: Stage) -> None:
    before = trio.lowlevel.current_statistics().tasks_living
    async with open_supervisor(stage.specs("abc"), "one_for_all"):
        await stage.crash("a")
    assert trio.lowlevel.current_statistics().tasks_living == before


async def test_an_own_mistake_of_the_supervisor_s_task_leaves_the_block(
    autojump_clock: MockClock, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with trio.open_nursery():
        with pytest.raises(ZeroDivisionError):
            async with open_supervisor(stage.specs("a")) as supervisor:
                monkeypatch.setattr(supervisor._engine.policy, "step", lambda happening: 1 / 0)
                await stage.crash("a")
                await trio.sleep_forever()


async def test_grace_outside_of_a_supervised_child_lasts_five_seconds(autojump_clock: MockClock) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        began = trio.current_time()
        with grace() as held:
            await trio.sleep_forever()
        assert held.cancelled_caught
        assert trio.current_time() - began == 5
