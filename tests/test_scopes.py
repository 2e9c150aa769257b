"""Start order, order of death, unwrapped errors."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from alloy_trio._scopes import open_service


class Boom(Exception):
    pass


async def serve_forever(log: list[str], *, task_status: trio.TaskStatus[str]) -> None:
    task_status.started("value")
    try:
        await trio.sleep_forever()
    finally:
        log.append("service ended")


async def test_the_started_value_is_yielded_and_the_service_ends_with_the_body() -> None:
    log: list[str] = []
    async with open_service(serve_forever, log) as value:
        await trio.testing.wait_all_tasks_blocked()
        log.append(f"body has {value}")
    assert log == ["body has value", "service ended"]


async def test_the_body_s_exception_leaves_unwrapped() -> None:
    log: list[str] = []
    with pytest.raises(Boom):
        async with open_service(serve_forever, log):
            raise Boom
    assert log == ["service ended"]


async def test_a_failure_before_started_leaves_the_entry_as_it_is() -> None:
    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        await trio.lowlevel.checkpoint()
        raise Boom

    with pytest.raises(Boom):
        async with open_service(serve):
            pytest.fail("the body must not run")


async def test_a_failing_service_cancels_the_body_and_leaves_unwrapped() -> None:
    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        await trio.lowlevel.checkpoint()
        raise Boom

    with pytest.raises(Boom):
        async with open_service(serve):
            await trio.sleep_forever()


async def test_a_group_appears_when_both_truly_failed() -> None:
    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()
        try:
            await trio.sleep_forever()
        finally:
            raise Boom("service")

    with pytest.raises(ExceptionGroup) as caught:
        async with open_service(serve):
            await trio.testing.wait_all_tasks_blocked()
            raise ValueError("body")
    assert [type(error) for error in caught.value.exceptions] == [ValueError, Boom]


async def test_a_service_that_ends_early_leaves_the_body_alone() -> None:
    async def serve(*, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()

    went_on = False
    async with open_service(serve):
        await trio.testing.wait_all_tasks_blocked()
        await trio.lowlevel.checkpoint()
        went_on = True
    assert went_on


async def test_cancellation_from_outside_passes_and_ends_both(autojump_clock: trio.testing.MockClock) -> None:
    log: list[str] = []
    with trio.move_on_after(1) as scope:
        async with open_service(serve_forever, log):
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert log == ["service ended"]


async def test_a_body_cancelled_by_its_own_inner_scope_goes_on() -> None:
    log: list[str] = []
    async with open_service(serve_forever, log):
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio.sleep_forever()
        log.append("went on")
    assert log == ["went on", "service ended"]
