"""Rounds of tool calls: order, barriers, limits, failures, and the truth about what ran."""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.tools import Tool, ToolContext, ToolError, ToolOutput, ToolRound, tool, tools_by_name
from alloy_trio.values import ConfigurationError, Halt, Image, Text, ToolResult, ToolUse


class Events:
    """A stream of events that assigns seqs, and checks that tool events are paired."""

    def __init__(self) -> None:
        self.all: list[tuple[str, dict[str, Any]]] = []

    def emit(self, name: str, payload: dict[str, Any]) -> int:
        self.all.append((name, payload))
        return len(self.all)

    async def send(self, items: Iterable[tuple[str, Any]]) -> None:
        await trio.lowlevel.checkpoint()
        for name, payload in items:
            self.emit(name, payload)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [payload for each, payload in self.all if each == name]

    def assert_paired(self) -> None:
        open_calls: dict[int, str] = {}
        for seq, (name, payload) in enumerate(self.all, 1):
            if name == "tool_start":
                open_calls[seq] = payload["id"]
            elif name == "tool_end":
                assert open_calls.pop(payload["start_seq"]) == payload["id"]
            else:
                assert payload["id"] in open_calls.values(), "progress outside of its call"
        assert open_calls == {}


def round_of(events: Events, calls: Iterable[ToolUse], tools: Iterable[Tool], **options: Any) -> ToolRound:
    return ToolRound(
        calls,
        tools_by_name(tools),
        context=options.pop("context", ToolContext()),
        emit=events.emit,
        send=events.send,
        **options,
    )


def use(number: int, name: str, /, **given: Any) -> ToolUse:
    return ToolUse(str(number), name, given)


@tool
async def sleep(seconds: float) -> str:
    await trio.sleep(seconds)
    return f"slept {seconds:g}"


@tool(concurrent=False)
async def alone(seconds: float) -> str:
    await trio.sleep(seconds)
    return "alone"


@tool
async def fail(how: str = "value") -> str:
    if how == "tool":
        raise ToolError("the words for the model")
    if how == "group":
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 0)
            raise KeyError("inside")
    raise ValueError(how)


async def test_results_keep_the_order_of_the_calls(autojump_clock: trio.testing.MockClock) -> None:
    events = Events()
    calls = [use(1, "sleep", seconds=3), use(2, "sleep", seconds=1), use(3, "sleep", seconds=2)]
    results = await round_of(events, calls, [sleep]).run()
    assert results == tuple(ToolResult(str(n), f"slept {s}") for n, s in ((1, 3), (2, 1), (3, 2)))
    assert trio.current_time() == 3
    assert [each["id"] for each in events.named("tool_start")] == ["1", "2", "3"]
    assert [each["id"] for each in events.named("tool_end")] == ["2", "3", "1"]
    assert [each["duration_ms"] for each in events.named("tool_end")] == [1000, 2000, 3000]


async def test_calls_start_in_their_order_whatever_the_scheduler_does(
    autojump_clock: trio.testing.MockClock,
) -> None:
    for _ in range(20):
        events = Events()
        await round_of(events, [use(n, "sleep", seconds=1) for n in range(8)], [sleep]).run()
        assert [each["id"] for each in events.named("tool_start")] == [str(n) for n in range(8)]


async def test_a_barrier_runs_alone_between_its_neighbours(autojump_clock: trio.testing.MockClock) -> None:
    events = Events()
    names = ["sleep", "sleep", "alone", "alone", "sleep", "sleep"]
    round_ = round_of(events, [use(n, name, seconds=n + 1) for n, name in enumerate(names)], [sleep, alone])
    await round_.run()
    assert [(name.removeprefix("tool_"), payload["id"]) for name, payload in events.all] == [
        *(("start", "0"), ("start", "1"), ("end", "0"), ("end", "1")),
        *(("start", "2"), ("end", "2"), ("start", "3"), ("end", "3")),
        *(("start", "4"), ("start", "5"), ("end", "4"), ("end", "5")),
    ]
    assert trio.current_time() == 2 + 3 + 4 + 6


async def test_a_failing_call_leaves_its_siblings_alone(autojump_clock: trio.testing.MockClock) -> None:
    events = Events()
    calls = [
        use(1, "fail"),
        use(2, "sleep", seconds=5),
        use(3, "fail", how="tool"),
        use(4, "fail", how="group"),
    ]
    round_ = round_of(events, calls, [sleep, fail])
    results = await round_.run()
    assert [(each.content, each.is_error) for each in results] == [
        ("fail failed: ValueError: value", True),
        ("slept 5", False),
        ("the words for the model", True),
        ("fail failed: KeyError: 'inside'", True),
    ]
    assert [each.outcome for each in round_.records()] == ["failed", "completed", "failed", "failed"]
    assert events.named("tool_end")[0]["error"] == "fail failed: ValueError: value"
    events.assert_paired()


async def test_a_call_that_cannot_run_is_answered_without_starting() -> None:
    events = Events()
    calls = [
        use(1, "slep", seconds=1),
        ToolUse("2", "sleep", {}, invalid_input='{"seconds": 1'),
        use(3, "sleep", seconds="1", minutes=2),
        ToolUse("4", "sleep", {}, invalid_input="[1]"),
    ]
    round_ = round_of(events, calls, [sleep])
    texts = [each.content for each in await round_.run()]
    assert texts[0] == 'No tool is named "slep", so nothing ran. The tools are: sleep. Did you mean sleep?'
    assert str(texts[1]).startswith("The input for sleep was not valid JSON (")
    assert "did not run" in str(texts[1])
    assert texts[2] == (
        "The input for sleep was wrong, so it did not run:\n"
        '- seconds: expected a number, got "1"\n'
        "- minutes: unknown argument; the arguments are: seconds"
    )
    assert "was JSON, but a list" in str(texts[3])
    assert events.all == []
    assert {each.outcome for each in round_.records()} == {"not_started"}
    assert all(each.is_error for each in round_.results())
    assert all(each.error == each.output and each.start_seq is None for each in round_.records())


async def test_a_call_over_its_limit_is_interrupted_and_the_model_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool(timeout=2)
    async def short(seconds: float) -> None:
        await trio.sleep(seconds)

    events = Events()
    calls = [use(1, "sleep", seconds=100), use(2, "short", seconds=100), use(3, "sleep", seconds=9)]
    round_ = round_of(events, calls, [sleep, short], default_timeout=10)
    first, second, third = await round_.run()
    assert trio.current_time() == 10
    assert "longer than its limit of 10 s" in str(first.content)
    assert "may have taken effect" in str(first.content)
    assert "longer than its limit of 2 s" in str(second.content)
    assert third == ToolResult("3", "slept 9")
    assert [each.outcome for each in round_.records()] == ["interrupted", "interrupted", "completed"]
    assert [each.duration_ms for each in round_.records()] == [10_000, 2_000, 9_000]
    events.assert_paired()


async def test_no_limit_is_no_limit(autojump_clock: trio.testing.MockClock) -> None:
    assert (await round_of(Events(), [use(1, "sleep", seconds=1e6)], [sleep], default_timeout=None).run())[
        0
    ].content == "slept 1e+06"


async def test_a_cancel_finds_each_call_in_one_of_three_states(
    autojump_clock: trio.testing.MockClock,
) -> None:
    events = Events()
    calls = [
        use(1, "sleep", seconds=1),
        use(2, "sleep", seconds=5),
        use(3, "alone", seconds=1),
        use(4, "sleep", seconds=1),
    ]
    round_ = round_of(events, calls, [sleep, alone])
    with trio.move_on_after(3) as scope:
        await round_.run()
    assert scope.cancelled_caught
    records = round_.records()
    assert [each.outcome for each in records] == ["completed", "interrupted", "not_started", "not_started"]
    assert [each.duration_ms for each in records] == [1000, 3000, 0, 0]
    texts = [str(each.content) for each in round_.results()]
    assert texts[0] == "slept 1"
    assert "stopped after it had started" in texts[1]
    assert "may have taken effect" in texts[1]
    assert texts[2] == "alone did not run: the run was stopped."
    assert [each.start_seq for each in records] == [1, 2, None, None]
    assert [each.end_seq for each in records] == [3, 4, None, None]
    events.assert_paired()


@pytest.mark.parametrize("checkpoints", range(40))
async def test_wherever_a_cancel_comes_every_call_is_answered_truthfully(
    checkpoints: int, autojump_clock: trio.testing.MockClock
) -> None:
    effects: list[str] = []

    @tool
    async def act(name: str) -> str:
        await trio.lowlevel.checkpoint()
        effects.append(f"{name} begun")
        await trio.lowlevel.checkpoint()
        effects.append(f"{name} done")
        return name

    @tool(concurrent=False)
    async def barrier(name: str) -> str:
        effects.append(f"{name} begun")
        await trio.lowlevel.checkpoint()
        effects.append(f"{name} done")
        return name

    events = Events()
    calls = [use(n, "barrier" if n in (2, 4) else "act", name=str(n)) for n in range(6)]
    round_ = round_of(events, calls, [act, barrier])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(round_.run)
        for _ in range(checkpoints):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    records = round_.records()
    assert len(round_.results()) == len(calls)
    for record in records:
        begun, done = f"{record.id} begun" in effects, f"{record.id} done" in effects
        if record.outcome == "completed":
            assert done
        elif record.outcome == "not_started":
            assert not begun
        else:
            assert record.outcome == "interrupted"
            assert record.start_seq is not None
    events.assert_paired()


async def test_a_round_that_never_ran_is_closed_with_the_reason() -> None:
    events = Events()
    round_ = round_of(events, [use(1, "sleep", seconds=1)], [sleep])
    assert [each.outcome for each in round_.records()] == ["not_started"]
    round_.close("the answer was cut off")
    round_.close()
    assert round_.results()[0] == ToolResult("1", "sleep did not run: the answer was cut off.", is_error=True)
    assert events.all == []


async def test_a_running_round_can_be_looked_at(autojump_clock: trio.testing.MockClock) -> None:
    events = Events()
    round_ = round_of(events, [use(1, "sleep", seconds=1), use(2, "sleep", seconds=9)], [sleep])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(round_.run)
        await trio.sleep(5)
        assert [each.outcome for each in round_.records()] == ["completed", "interrupted"]
        assert len(events.named("tool_end")) == 1
    assert [each.outcome for each in round_.records()] == ["completed", "completed"]
    events.assert_paired()


async def test_a_tool_that_fails_while_it_is_cancelled_was_interrupted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def clumsy(way: str) -> None:
        if way == "finally":
            try:
                await trio.sleep(100)
            finally:
                raise ValueError("while cleaning up")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 100)
            try:
                await trio.sleep(100)
            except trio.Cancelled as exc:
                raise ValueError("in a nursery") from exc

    for limit, outer in ((2, math.inf), (None, 2)):
        for way in ("finally", "nursery"):
            events = Events()
            round_ = round_of(events, [use(1, "clumsy", way=way)], [clumsy], default_timeout=limit)
            with trio.move_on_after(outer):
                await round_.run()
            (record,) = round_.records()
            assert record.outcome == "interrupted", (limit, way)
            assert "ValueError" in record.output
            events.assert_paired()


async def test_an_interrupt_from_the_keyboard_passes_through(autojump_clock: trio.testing.MockClock) -> None:
    @tool
    async def pressed() -> None:
        await trio.sleep(0.5)
        raise KeyboardInterrupt

    events = Events()
    round_ = round_of(events, [use(1, "pressed"), use(2, "sleep", seconds=1)], [pressed, sleep])
    with pytest.raises(KeyboardInterrupt):
        await round_.run()
    assert [each.outcome for each in round_.records()] == ["interrupted", "interrupted"]
    events.assert_paired()


@pytest.mark.parametrize(
    ("returned", "content"),
    [
        ("text", "text"),
        ("", "(no output)"),
        (None, "(no output)"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (3, "3"),
        (ToolOutput("words", data={"n": 1}), "words"),
        (ToolOutput("", blocks=[Text("a")]), (Text("a"),)),
        (ToolOutput("see", blocks=[Image("image/png", b"x")]), (Text("see"), Image("image/png", b"x"))),
    ],
)
async def test_what_a_tool_returns_becomes_the_result(returned: Any, content: Any) -> None:
    @tool
    async def give() -> Any:
        return returned

    round_ = round_of(Events(), [use(1, "give")], [give])
    assert await round_.run() == (ToolResult("1", content),)
    (record,) = round_.records()
    assert record.outcome == "completed"
    assert record.error is None
    assert record.data == ({"n": 1} if returned == ToolOutput("words", data={"n": 1}) else None)


@pytest.mark.parametrize(
    "nonsense",
    [
        b"bytes",
        float("nan"),
        object(),
        "\ud800",
        {1: {2: object()}},
        ToolOutput(3),  # type: ignore[arg-type]
        ToolOutput("a", data=object()),
        ToolOutput("a", blocks=["not a block"]),  # type: ignore[list-item]
    ],
    ids=repr,
)
async def test_nonsense_is_a_clear_error_that_says_it_ran(nonsense: Any) -> None:
    @tool
    async def give() -> Any:
        return nonsense

    events = Events()
    round_ = round_of(events, [use(1, "give")], [give])
    (result,) = await round_.run()
    if isinstance(nonsense, ToolOutput) and nonsense.text == 3:  # type: ignore[comparison-overlap]
        assert result == ToolResult("1", "3")
        return
    assert result.is_error
    assert str(result.content).startswith("give ran, but what it returned cannot be read: ")
    assert [each.outcome for each in round_.records()] == ["failed"]
    events.assert_paired()


async def test_a_coroutine_from_a_plain_function_is_explained() -> None:
    async def later() -> str:
        return ""

    @tool
    def forgetful() -> Any:
        return later()

    (result,) = await round_of(Events(), [use(1, "forgetful")], [forgetful]).run()
    assert "make it async def" in str(result.content)


async def test_an_exception_that_cannot_be_printed_is_still_an_answer() -> None:
    class Broken(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    @tool
    async def broken() -> None:
        raise Broken

    (result,) = await round_of(Events(), [use(1, "broken")], [broken]).run()
    assert str(result.content).startswith("broken failed: ")
    assert "Broken" in str(result.content)


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        ('{"seconds": 1, "seconds": 2}', 'had the key "seconds" twice in one object'),
        ('{"seconds": NaN}', "held NaN, which is not valid JSON"),
        ('{"seconds": -Infinity}', "held -Infinity, which is not valid JSON"),
        ('{"seconds": 1e400}', "was nested too deeply, or held a number too large"),
        ('{"seconds": ' + "[" * 200 + "]" * 200 + "}", "was nested too deeply, or held a number too large"),
        ("[" * 100_000 + "]" * 100_000, "was nested too deeply"),
        ('{"seconds": ' + "9" * 5_000 + "}", "was not valid JSON (Exceeds the limit"),
        ("1", "was JSON, but a int and not an object"),
        ("x" * 5_000_000, "was not valid JSON ("),
    ],
    ids=lambda value: value[:20],
)
async def test_json_that_never_runs_is_explained(raw: str, why: str) -> None:
    events = Events()
    (result,) = await round_of(events, [ToolUse("1", "sleep", {}, invalid_input=raw)], [sleep]).run()
    assert result.is_error
    assert str(result.content).startswith(f"The input for sleep {why}")
    assert len(str(result.content)) < 400
    assert events.all == []


async def test_long_results_and_long_errors_are_cut_in_the_middle() -> None:
    @tool(max_result_chars=1000)
    async def talk(how: str) -> Any:
        text = "".join(map(str, range(10_000)))
        if how == "error":
            raise ToolError(text)
        return ToolOutput(text, blocks=[Text(text), Image("image/png", b"x")]) if how == "blocks" else text

    calls = [use(1, "talk", how="text"), use(2, "talk", how="error"), use(3, "talk", how="blocks")]
    plain, error, blocks = await round_of(Events(), calls, [talk]).run()
    for each in (plain, error):
        assert len(str(each.content)) <= 1000
        assert str(each.content).startswith("012345")
        assert str(each.content).endswith("9999")
        assert "characters cut here" in str(each.content)
    assert sum(len(each.text) for each in blocks.content if isinstance(each, Text)) < 1100
    assert isinstance(blocks.content[-1], Image)


async def test_the_context_tells_the_deadline_and_carries_progress_and_state(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def look(context: ToolContext) -> float:
        await context.progress("half", {"percent": 50})
        context.state["seen"] = True
        return context.deadline

    events = Events()
    base = ToolContext(context={"user": "x"})
    (result,) = await round_of(events, [use(1, "look")], [look], context=base, default_timeout=7).run()
    assert result.content == "7.0"
    assert events.named("tool_progress") == [
        {"id": "1", "name": "look", "text": "half", "data": {"percent": 50}}
    ]
    assert base.state == {"seen": True}
    events.assert_paired()


async def test_a_tool_that_only_reports_meets_its_limit_and_lets_others_run() -> None:
    @tool(timeout=0.05)
    async def chatty(context: ToolContext) -> None:
        give_up = time.monotonic() + 20
        while time.monotonic() < give_up:
            await context.progress("x")

    class Deaf(Events):
        async def send(self, items: Iterable[tuple[str, Any]]) -> None:
            await trio.lowlevel.checkpoint_if_cancelled()  # as where nobody reads

    events = Deaf()
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await trio.lowlevel.checkpoint()
            beats += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        round_ = round_of(events, [use(1, "chatty")], [chatty])
        await round_.run()
        nursery.cancel_scope.cancel()
    (record,) = round_.records()
    assert record.outcome == "interrupted"
    assert "longer than its limit of 0.05 s" in record.output
    assert record.duration_ms < 5_000
    assert beats > 10


async def test_waiting_for_the_reader_is_no_execution(autojump_clock: trio.testing.MockClock) -> None:
    class Slow(Events):
        async def send(self, items: Iterable[tuple[str, Any]]) -> None:
            await trio.sleep(10)
            await super().send(items)

    @tool(timeout=2)
    async def work(seconds: float, context: ToolContext) -> str:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(context.progress, "begun")
        await trio.sleep(seconds)
        await context.progress("half")
        await trio.sleep(seconds)
        return "done"

    events = Slow()
    calls = [use(1, "work", seconds=0.9), use(2, "work", seconds=1.1)]
    round_ = round_of(events, calls, [work])
    await round_.run()
    assert [each.outcome for each in round_.records()] == ["completed", "interrupted"]
    assert [each.duration_ms for each in round_.records()] == [21_800, 22_000]
    events.assert_paired()


async def test_a_cancel_reaches_a_call_that_waits_for_the_reader(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Stuck(Events):
        async def send(self, items: Iterable[tuple[str, Any]]) -> None:
            await trio.sleep_forever()

    @tool(timeout=2)
    async def work(context: ToolContext) -> None:
        await context.progress("half")

    events = Stuck()
    round_ = round_of(events, [use(1, "work")], [work])
    with trio.move_on_after(5):
        await round_.run()
    assert trio.current_time() == 5
    assert [each.outcome for each in round_.records()] == ["interrupted"]
    assert "the run was stopped" in round_.records()[0].output


async def test_a_reader_that_changes_its_event_changes_nothing_else() -> None:
    @tool
    async def look(paths: list[str]) -> str:
        return ",".join(paths)

    class Meddling(Events):
        def emit(self, name: str, payload: dict[str, Any]) -> int:
            if name == "tool_start":
                payload["input"]["paths"].append("x")
            return super().emit(name, payload)

    call = use(1, "look", paths=["a"])
    round_ = round_of(Meddling(), [call], [look])
    (result,) = await round_.run()
    assert result.content == "a"
    assert call.input == round_.records()[0].input == {"paths": ["a"]}


async def test_a_tool_that_asks_for_the_end_of_the_program_has_failed() -> None:
    """As command-line libraries do, whose functions make tempting tools."""

    @tool
    def plain() -> None:
        raise SystemExit(2)

    @tool
    async def grouped() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise SystemExit("usage: grouped FILE")

    events = Events()
    round_ = round_of(
        events, [use(1, "plain"), use(2, "grouped"), use(3, "sleep", seconds=0)], [plain, grouped, sleep]
    )
    first, second, third = await round_.run()
    assert first.content == (
        "plain failed: it asked for the program to end (exit status 2), which was not done"
    )
    assert "usage: grouped FILE" in str(second.content)
    assert third.content == "slept 0"
    assert [each.outcome for each in round_.records()] == ["failed", "failed", "completed"]
    events.assert_paired()


async def test_progress_that_json_cannot_hold_fails_the_call() -> None:
    @tool
    async def look(context: ToolContext) -> None:
        await context.progress("half", object())

    (result,) = await round_of(Events(), [use(1, "look")], [look]).run()
    assert "not something that JSON can hold" in str(result.content)


async def test_an_empty_round_is_a_checkpoint_and_nothing_else() -> None:
    with trio.testing.assert_checkpoints():
        assert await round_of(Events(), [], []).run() == ()


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="two tools are named 'sleep'"):
        tools_by_name([sleep, tool(name="sleep")(lambda: "")])
    with pytest.raises(ConfigurationError, match="put @tool before the function"):
        tools_by_name([len])  # type: ignore[list-item]


class TestAround:
    """What is laid around a call."""

    @staticmethod
    async def run(around: Callable[..., Awaitable[ToolOutput]], **given: Any) -> tuple[ToolRound, Events]:
        events = Events()
        round_ = round_of(events, [use(1, "sleep", **given)], [sleep], around=around)
        await round_.run()
        events.assert_paired()
        return round_, events

    async def test_it_may_change_the_input_and_the_result(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        async def around(call: ToolUse, proceed: Any) -> ToolOutput:
            output = await proceed(attrs.evolve(call, input={"seconds": 2}))
            return ToolOutput(f"[{output.text}]")

        round_, events = await self.run(around, seconds="never valid")
        assert round_.results()[0].content == "[slept 2]"
        assert events.named("tool_start")[0]["input"] == {"seconds": 2}
        assert round_.records()[0].input == {"seconds": "never valid"}

    async def test_it_may_block(self) -> None:
        async def around(call: ToolUse, proceed: Any) -> ToolOutput:
            raise ToolError("not on Sundays")

        round_, events = await self.run(around, seconds=1)
        assert events.all == []
        assert round_.records()[0].outcome == "blocked"
        assert round_.results()[0] == ToolResult("1", "not on Sundays", is_error=True)

    async def test_it_may_answer_itself(self) -> None:
        async def around(call: ToolUse, proceed: Any) -> ToolOutput:
            return ToolOutput("from the cache")

        round_, events = await self.run(around, seconds=1)
        assert events.all == []
        assert round_.results()[0] == ToolResult("1", "from the cache")

    async def test_a_failure_of_the_tool_passes_through_it_as_a_tool_error(self) -> None:
        seen = []

        async def around(call: ToolUse, proceed: Any) -> ToolOutput:
            try:
                return await proceed(call)
            except ToolError as exc:
                seen.append(str(exc))
                raise

        round_, _ = await self.run(around, seconds="x")
        assert round_.records()[0].outcome == "not_started"
        assert seen == [round_.records()[0].output]

    async def test_anything_else_that_it_raises_ends_the_round_unwrapped(
        self, autojump_clock: trio.testing.MockClock
    ) -> None:
        async def around(call: ToolUse, proceed: Any) -> ToolOutput:
            if call.id == "2":
                await trio.sleep(1)
                raise Halt("enough")
            return await proceed(call)  # type: ignore[no-any-return]

        events = Events()
        calls = [use(1, "sleep", seconds=9), use(2, "sleep", seconds=9)]
        round_ = round_of(events, calls, [sleep], around=around)
        with pytest.raises(Halt, match="enough"):
            await round_.run()
        assert [each.outcome for each in round_.records()] == ["interrupted", "not_started"]
        events.assert_paired()

    async def test_proceeding_twice_is_refused(self, autojump_clock: trio.testing.MockClock) -> None:
        async def around(call: ToolUse, proceed: Any) -> ToolOutput:
            await proceed(call)
            return await proceed(call)  # type: ignore[no-any-return]

        with pytest.raises(RuntimeError, match="called twice"):
            await self.run(around, seconds=1)


class TestThreads:
    """Plain functions."""

    async def test_they_run_beside_each_other_in_threads(self) -> None:
        barrier = threading.Barrier(2, timeout=30)
        main = threading.get_ident()

        @tool
        def meet() -> bool:
            barrier.wait()
            return threading.get_ident() != main

        results = await round_of(Events(), [use(1, "meet"), use(2, "meet")], [meet]).run()
        assert [each.content for each in results] == ["true", "true"]

    async def test_their_exceptions_come_unwrapped(self) -> None:
        @tool
        def fails() -> None:
            raise ValueError("plain")

        (result,) = await round_of(Events(), [use(1, "fails")], [fails]).run()
        assert result.content == "fails failed: ValueError: plain"

    async def test_one_that_asks_is_told_to_stop(self) -> None:
        started = threading.Event()

        @tool
        def polite() -> None:
            started.set()
            while True:
                trio.from_thread.check_cancelled()
                time.sleep(0.001)

        events = Events()
        round_ = round_of(events, [use(1, "polite")], [polite])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(round_.run)
            await trio.to_thread.run_sync(started.wait)
            nursery.cancel_scope.cancel()
        assert [each.outcome for each in round_.records()] == ["interrupted"]
        events.assert_paired()

    async def test_one_that_never_asks_is_waited_for_and_named(
        self, mock_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        started, release = threading.Event(), threading.Event()

        @tool
        def deaf() -> str:
            started.set()
            release.wait(30)
            return "done after all"

        events = Events()
        round_ = round_of(events, [use(1, "deaf")], [deaf])
        with caplog.at_level(logging.WARNING, "alloy_trio.tools"):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(round_.run)
                await trio.to_thread.run_sync(started.wait)
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await trio.testing.wait_all_tasks_blocked()
                    assert caplog.messages == []
                    mock_clock.jump(1.5)
                    await trio.testing.wait_all_tasks_blocked()
                    assert len(caplog.messages) == 1
                    assert "the tool deaf was cancelled" in caplog.messages[0]
                    release.set()
        # It ran to its end, and that is what is said.
        assert round_.results()[0] == ToolResult("1", "done after all")
        assert round_.records()[0].outcome == "completed"
        events.assert_paired()

    async def test_one_that_may_be_abandoned_is_left_and_the_record_says_so(self) -> None:
        started, release, ended = threading.Event(), threading.Event(), threading.Event()

        @tool(abandon=True)
        def deaf(context: ToolContext) -> None:
            started.set()
            release.wait(30)
            trio.from_thread.run(context.progress, "too late")
            ended.set()

        limiter = trio.CapacityLimiter(1)
        events = Events()
        round_ = round_of(events, [use(1, "deaf")], [deaf], limiter=limiter)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(round_.run)
            await trio.to_thread.run_sync(started.wait)
            nursery.cancel_scope.cancel()
        (record,) = round_.records()
        assert not ended.is_set()
        assert record.outcome == "interrupted"
        assert record.data == {"may_still_run": True}
        assert "may still be running" in record.output
        assert limiter.borrowed_tokens == 1, "the thread that was left holds its place"
        release.set()
        async with limiter:
            assert ended.is_set()
        assert events.named("tool_progress") == []
        events.assert_paired()

    async def test_a_call_that_waits_for_a_thread_has_not_started(self) -> None:
        started, release = threading.Event(), threading.Event()

        @tool
        def slow() -> None:
            started.set()
            while not release.wait(0.001):
                trio.from_thread.check_cancelled()

        limiter = trio.CapacityLimiter(1)
        events = Events()
        round_ = round_of(events, [use(1, "slow"), use(2, "slow")], [slow], limiter=limiter)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(round_.run)
            await trio.to_thread.run_sync(started.wait)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert [each.outcome for each in round_.records()] == ["interrupted", "not_started"]
        assert limiter.borrowed_tokens == 0
        events.assert_paired()

    async def test_a_cancel_together_with_the_free_place_comes_first(self) -> None:
        @tool
        def work() -> str:
            return "ran"

        limiter = trio.CapacityLimiter(1)
        events = Events()
        round_ = round_of(events, [use(1, "work")], [work], limiter=limiter)
        limiter.acquire_on_behalf_of_nowait(self)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(round_.run)
            await trio.testing.wait_all_tasks_blocked()
            limiter.release_on_behalf_of(self)
            nursery.cancel_scope.cancel()
        assert [each.outcome for each in round_.records()] == ["not_started"]
        assert limiter.borrowed_tokens == 0
        assert events.all == []

    async def test_places_are_given_back_whatever_happens(self) -> None:
        @tool
        def quick(how: str) -> str:
            if how == "fail":
                raise ValueError
            return how

        limiter = trio.CapacityLimiter(2)
        calls = [use(n, "quick", how=random.choice(["fail", "go"])) for n in range(10)]
        calls.append(use(10, "quick", how=3))
        await round_of(Events(), calls, [quick], limiter=limiter).run()
        assert limiter.borrowed_tokens == 0

    async def test_a_thread_reports_progress(self) -> None:
        @tool
        def work(context: ToolContext) -> str:
            trio.from_thread.run(context.progress, "half")
            return "done"

        events = Events()
        await round_of(events, [use(1, "work")], [work]).run()
        assert [each["text"] for each in events.named("tool_progress")] == ["half"]
        events.assert_paired()


@given(
    st.lists(
        st.tuples(st.sampled_from(["sleep", "alone", "fail", "gone"]), st.integers(0, 4)),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 20),
)
def test_any_round_cancelled_at_any_time_is_answered_in_full(plan: list[tuple[str, int]], at: int) -> None:
    events = Events()
    calls = [
        use(n, name) if name in ("fail", "gone") else use(n, name, seconds=seconds)
        for n, (name, seconds) in enumerate(plan)
    ]
    round_ = round_of(events, calls, [sleep, alone, fail])

    async def main() -> None:
        with trio.move_on_after(at + 0.5):
            await round_.run()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    events.assert_paired()
    assert [each.tool_use_id for each in round_.results()] == [call.id for call in calls]
    for record, result in zip(round_.records(), round_.results(), strict=True):
        assert result.is_error == (record.outcome != "completed")
        assert (record.start_seq is None) == (record.outcome in ("not_started", "blocked"))
        assert (record.end_seq is None) == (record.start_seq is None)
