"""The events of a supervisor: what, in which order, for whom, and what happens to a slow reader."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from alloy_trio import ConfigurationError, Event, Lagged, RestartLimitExceeded
from alloy_trio._seed import seeded
from alloy_trio.supervision import ChildEvents, SupervisorStatistics, open_supervisor, supervisor_child

from ._children import Stage


@pytest.fixture
def stage() -> Stage:
    return Stage()


def told(event: Event) -> str:
    return f"{event.event} {event.payload['child']} {event.payload['reason']} {event.payload['restarts']}"


async def gather(events: ChildEvents) -> list[str]:
    return [told(event) async for event in events]


async def test_each_thing_that_happens_to_a_child_is_an_event(
    autojump_clock: MockClock, stage: Stage
) -> None:
    gathered: list[str] = []

    async def listen(task_status: trio.TaskStatus[None]) -> None:
        async with supervisor.events() as events:
            task_status.started()
            gathered.extend(await gather(events))

    async with trio.open_nursery() as nursery:
        with pytest.raises(RestartLimitExceeded):
            async with open_supervisor(stage.specs("ab"), max_restarts=3, name="sup") as supervisor:
                await nursery.start(listen)
                await supervisor.start(stage.spec("c"))
                await supervisor.terminate("c")
                stage.refuses["a"] = 2
                await stage.crash("a")
                await stage.crash("b")
                await trio.sleep_forever()
    assert gathered == [
        "child_start c None 0",
        "child_exit c shutdown 0",
        "child_exit a Boom: a failed 0",
        "child_restart a Boom: a failed 1",
        "child_restart a Boom: a does not start 2",
        "child_restart a Boom: a does not start 3",
        "child_start a None 3",
        "child_exit b Boom: b failed 0",
        "escalation b Boom: b failed 0",
        "child_exit a shutdown 3",
    ]


async def test_the_envelope_is_that_of_all_events(stage: Stage) -> None:
    with seeded(1, now_ms=lambda: 77):
        async with open_supervisor(stage.specs("a"), name="sup") as supervisor, supervisor.events() as events:
            await stage.crash("a")
            seen = [await anext(events) for _ in range(3)]
    assert [event.seq for event in seen] == [2, 3, 4]
    assert {(event.v, event.turn, event.ts_ms, event.parent_id) for event in seen} == {(1, 0, 77, None)}
    assert {event.correlation_id for event in seen} == {supervisor.id}
    assert seen[0].payload == {"supervisor": "sup", "child": "a", "reason": "Boom: a failed", "restarts": 0}


async def test_events_of_supervisors_below_are_heard_above_with_their_own_numbers(stage: Stage) -> None:
    tree = [supervisor_child("low", [stage.spec("a")]), stage.spec("b")]
    async with open_supervisor(tree) as supervisor, supervisor.events() as events:
        low = supervisor.child("low").value
        async with low.events() as low_events:
            await stage.crash("a")
            await stage.crash("b")
            first, *_, last = [await anext(events) for _ in range(6)]
            assert (first.payload["supervisor"], last.payload["supervisor"]) == ("low", "supervisor")
            assert (first.correlation_id, first.parent_id) == (low.id, supervisor.id)
            assert await anext(low_events) == first


async def test_a_reader_that_lags_is_told_how_many_it_missed(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a"), max_restarts=9) as supervisor:
        async with supervisor.events(buffer=2) as slow, supervisor.events() as fast:
            await stage.crash("a", "a")
            with pytest.raises(Lagged, match="4 events were missed: more than 2 were waiting") as caught:
                await anext(slow)
            assert caught.value.missed == 4
            assert [told(await anext(slow)) for _ in range(2)] == [
                "child_restart a Boom: a failed 2",
                "child_start a None 2",
            ]
            assert told(await anext(fast)) == "child_exit a Boom: a failed 0"


async def test_events_end_with_the_supervisor(stage: Stage) -> None:
    async with open_supervisor(stage.specs("a")) as supervisor:
        pass
    async with supervisor.events() as events:
        assert await gather(events) == []


async def test_reading_is_a_checkpoint_can_be_cancelled_and_is_for_one_task(
    autojump_clock: MockClock, stage: Stage
) -> None:
    async with open_supervisor(stage.specs("a")) as supervisor, supervisor.events() as events:
        with trio.move_on_after(1) as scope:
            await anext(events)
        assert scope.cancelled_caught
        async with trio.open_nursery() as nursery:
            nursery.start_soon(anext, events)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await anext(events)
            await stage.crash("a")
        with trio.testing.assert_checkpoints():
            assert told(await anext(events)) == "child_restart a Boom: a failed 1"


async def test_a_buffer_for_nothing_is_refused() -> None:
    async with open_supervisor() as supervisor:
        with pytest.raises(ConfigurationError, match="give it room"):
            supervisor.events(buffer=0)


async def test_statistics_count_what_was_done(stage: Stage) -> None:
    async with open_supervisor(stage.specs("ab")) as supervisor:
        stage.refuses["a"] = 1
        await stage.crash("a")
        await supervisor.terminate("b")
        assert supervisor.statistics() == SupervisorStatistics(
            children=2, running=1, starts=3, failed_starts=1, exits=2, restarts=2, overdue=0
        )
