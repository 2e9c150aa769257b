"""What has to hold of every run, found broken where it is."""

from __future__ import annotations

import attrs
import pytest

from alloy_trio import ConfigurationError, Event, Message, ToolResult, ToolUse, Usage, run, stream, tool
from alloy_trio.providers import Anthropic, Scripted
from alloy_trio.testing import (
    assert_events_well_formed,
    assert_usage_never_falls,
    assert_valid_history,
    no_leaks,
    run_seeded,
)
from alloy_trio.testing._invariants import result_problems


@tool
async def double(number: int) -> int:
    """Double a number."""
    return 2 * number


async def events_of_a_run() -> list[Event]:
    model = Scripted([[ToolUse("1", "double", {"number": 2}), ToolUse("2", "double", {"number": 3})], "done"])
    async with stream("x", provider=model, tools=[double], request_id="r") as events:
        return [event async for event in events]


async def test_a_whole_run_is_well_formed() -> None:
    assert_events_well_formed(await events_of_a_run())
    assert_events_well_formed([])


async def test_each_event_that_is_missing_or_comes_twice_is_found() -> None:
    events = await events_of_a_run()
    for number in range(len(events)):
        with pytest.raises(AssertionError):
            assert_events_well_formed([*events[:number], *events[number + 1 :]])
        with pytest.raises(AssertionError):
            assert_events_well_formed([*events[: number + 1], *events[number:]])


async def test_renumbered_events_without_an_end_are_found() -> None:
    events = await events_of_a_run()
    for left_out in ("tool_start", "tool_end", "run_start", "run_end"):
        first = next(number for number, event in enumerate(events) if event.event == left_out)
        kept = [*events[:first], *events[first + 1 :]]
        renumbered = [attrs.evolve(event, seq=number) for number, event in enumerate(kept, 1)]
        with pytest.raises(AssertionError, match=left_out.removeprefix("tool_")):
            assert_events_well_formed(renumbered)


async def test_usage_that_falls_is_found() -> None:
    events = await events_of_a_run()
    end = events[-1]
    fallen = attrs.evolve(end, payload={**end.payload, "usage": {**end.payload["usage"], "output_tokens": 0}})
    with pytest.raises(AssertionError, match="usage fell"):
        assert_events_well_formed([*events[:-1], fallen])


async def test_usage_is_followed_from_the_turns_to_the_result() -> None:
    model = Scripted([[ToolUse("1", "double", {"number": 2})], "done"])
    async with stream("x", provider=model, tools=[double], request_id="r") as stream_:
        events = [event async for event in stream_]
    assert_usage_never_falls(events, stream_.result)
    assert_usage_never_falls([])
    less = attrs.evolve(stream_.result, usage=Usage(input_tokens=1))
    with pytest.raises(AssertionError, match=r"run_end says usage was .* and the Result 1 input_tokens"):
        assert_usage_never_falls(events, less)
    fallen = attrs.evolve(events[-1], payload={**events[-1].payload, "usage": {"output_tokens": 0}})
    with pytest.raises(AssertionError, match="usage fell: the turns reported"):
        assert_usage_never_falls([*events[:-1], fallen])


async def test_a_call_that_failed_without_words_is_found() -> None:
    events = await events_of_a_run()
    at = next(number for number, event in enumerate(events) if event.event == "tool_end")
    odd = attrs.evolve(events[at], payload={**events[at].payload, "outcome": "interrupted"})
    with pytest.raises(AssertionError, match="is interrupted without an error"):
        assert_events_well_formed([*events[:at], odd, *events[at + 1 :]])


async def test_a_failure_that_the_model_took_for_a_result_is_found() -> None:
    failing = Scripted(
        [[ToolUse("1", "double", {"number": "two"})], [ToolUse("1", "double", {"number": 2})], "x"]
    )
    result = await run("x", provider=failing, tools=[double])
    assert list(result_problems(result)) == []  # an id that two turns use belongs to each of them
    told = result.messages[2]
    block = told.content[0]
    assert isinstance(block, ToolResult)
    untold = attrs.evolve(told, content=(attrs.evolve(block, is_error=False),))
    messages = (*result.messages[:2], untold, *result.messages[3:])
    assert any(
        "was not told that it failed" in problem
        for problem in result_problems(attrs.evolve(result, messages=messages))
    )


def test_a_history_is_judged_for_one_vendor_or_all() -> None:
    call = Message("assistant", (ToolUse("not-nine-letters", "double", {"number": 1}),))
    whole = [Message.user("x"), call, Message("user", (ToolResult("not-nine-letters", "2"),))]
    assert_valid_history(whole)
    assert_valid_history(whole, provider="mistral")
    assert_valid_history(whole, provider=Anthropic(model="claude-sonnet-4-6", api_key="k"))
    with pytest.raises(AssertionError, match="invalid"):
        assert_valid_history(whole[:2])
    with pytest.raises(ConfigurationError, match="is no wire"):
        assert_valid_history(whole, provider="nobody")


def test_two_seeded_runs_are_equal_and_another_seed_differs() -> None:
    first, second = (run_seeded(events_of_a_run) for _ in range(2))
    assert first == second

    async def ids() -> str:
        async with stream("x", provider=Scripted(["a"])) as events:
            return (await events.drain()).request_id

    assert run_seeded(ids, seed=1) == run_seeded(ids, seed=1) != run_seeded(ids, seed=2)
    with pytest.raises(ConfigurationError):
        run_seeded(ids, clock="sundial")  # type: ignore[arg-type]


def test_files_and_threads_that_stay_are_found(tmp_path: object) -> None:
    import threading

    with no_leaks():
        with open("/dev/null"):
            pass
    kept = []
    with pytest.raises(AssertionError, match="file: /dev/null"):
        with no_leaks(settling_seconds=0.05):
            kept.append(open("/dev/null"))  # noqa: SIM115 - left open, to be found
    kept.pop().close()
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="forgotten")
    with pytest.raises(AssertionError, match="thread: forgotten"):
        with no_leaks(settling_seconds=0.05):
            thread.start()
    stop.set()
    thread.join()


async def test_a_task_that_stays_is_found() -> None:
    import trio

    with pytest.raises(AssertionError, match="task: forgotten"):
        with no_leaks(settling_seconds=0.05):
            task = trio.lowlevel.spawn_system_task(trio.sleep, 0, name="forgotten")
    assert task.name == "forgotten"


def test_an_exception_of_the_block_passes() -> None:
    with pytest.raises(ZeroDivisionError):
        with no_leaks():
            raise ZeroDivisionError
