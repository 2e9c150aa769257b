"""Where a run may be stopped, and what is then true of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from alloy_trio import (
    Completion,
    CompletionRequest,
    ConfigurationError,
    Message,
    Rejected,
    StreamTruncated,
    Text,
    TextDelta,
    ToolContext,
    ToolResult,
    ToolUse,
    Usage,
    run,
    stream,
    tool,
)
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.providers import Scripted
from alloy_trio.tools import read
from alloy_trio.wire import problems


@tool
async def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@pytest.mark.parametrize("words", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("buffer", [1, 2, 3, 8])
async def test_a_run_that_waits_for_its_reader_before_its_tools_answers_them(
    words: int, buffer: int, autojump_clock: trio.testing.MockClock
) -> None:
    script = [[Text("word " * words), ToolUse("a", "double", {"number": 1})], "done"]
    async with stream(
        "go", provider=Scripted(script), tools=[double], timeout=5, event_buffer=buffer
    ) as events:
        await trio.sleep(20)
        result = await events.drain()
    assert problems(result.messages) == ()
    assert len(result.tool_calls) == sum(len(message.tool_uses) for message in result.messages)
    assert result.status in ("timeout", "completed")


@pytest.mark.parametrize("leave_after", range(12))
async def test_leaving_a_slow_stream_anywhere_answers_every_call(leave_after: int) -> None:
    script = [[Text("a b c d "), ToolUse("a", "double", {"number": 1})], "done"]
    async with stream("go", provider=Scripted(script), tools=[double], event_buffer=1) as events:
        for _ in range(leave_after):
            await events.__anext__()
        await trio.testing.wait_all_tasks_blocked()
    assert problems(events.result.messages) == ()


async def test_a_path_that_is_given_as_a_str_opens_nothing(tmp_path: Path) -> None:
    script = [[ToolUse("a", "read", {"path": "/etc/hostname"})], "done"]
    with pytest.raises(ConfigurationError, match="allowed_paths"):
        await run("go", provider=Scripted(script), tools=[read], allowed_paths=str(tmp_path))


@pytest.mark.parametrize("name", ["tools", "messages", "fallback_providers"])
async def test_a_str_is_no_sequence_of_anything(name: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        await run("go", provider=Scripted(["x"]), **{name: "abc"})


async def test_a_tool_that_only_reports_progress_starves_nobody(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def talk(context: ToolContext) -> str:
        """Talk on and on."""
        while True:
            await context.progress("and on")

    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await trio.lowlevel.checkpoint()
            beats += 1
            if beats == 100:
                scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(beat)
        with trio.CancelScope() as scope:
            await run("go", provider=Scripted([[ToolUse("a", "talk", {})]]), tools=[talk])
        assert scope.cancelled_caught
        nursery.cancel_scope.cancel()


async def test_the_prompt_may_hold_the_results_of_the_last_calls() -> None:
    before = [Message.user("double 21"), Message.assistant((ToolUse("a", "double", {"number": 21}),))]
    model = Scripted(["It is 42."])
    result = await run(Message.user((ToolResult("a", "42"),)), provider=model, messages=before)
    assert model.requests[0].messages[-1] == Message.user((ToolResult("a", "42"),))
    assert problems(result.messages) == ()


@pytest.mark.parametrize("empty", [Message.user(()), Message.user("  "), Message.user((Text(""),))])
async def test_an_empty_prompt_message_is_refused(empty: Message) -> None:
    with pytest.raises(ConfigurationError, match="empty"):
        await run(empty, provider=Scripted(["x"]))


class Refusing(Provider):
    """Calls a tool, then cannot send what came of it."""

    name = model = "refusing"

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.asked = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        await trio.lowlevel.checkpoint()
        self.asked += 1
        if self.asked > 1:
            raise self.error
        calls = (Text("Let me see."), ToolUse("a", "double", {"number": 1}))
        return Completion(Message.assistant(calls), "tool_use", Usage(input_tokens=9))


async def test_any_error_of_ours_in_the_middle_of_a_run_carries_its_result() -> None:
    with pytest.raises(ConfigurationError) as caught:
        await run("go", provider=Refusing(ConfigurationError("no video here")), tools=[double])
    result = caught.value.result
    assert result is not None
    assert (result.status, result.usage.input_tokens, len(result.tool_calls)) == ("error", 9, 1)


async def test_one_error_object_in_two_runs_carries_two_results() -> None:
    error = Rejected("no")
    results = []
    for question in ("one", "two"):
        with pytest.raises(Rejected) as caught:
            await run(question, provider=Scripted([error]))
        results.append(caught.value.result)
    assert [result.messages[0].text for result in results] == ["one", "two"]


class Paused(Provider):
    """Pauses after the first half, and breaks in the second."""

    name = model = "paused"

    def __init__(self) -> None:
        self.asked = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        raise AssertionError("it is streamed")

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        self.asked += 1
        if self.asked == 1:
            await deltas.send(TextDelta("first half, "))
            return Completion(Message.assistant("first half, "), "pause_turn")
        await deltas.send(TextDelta("second"))
        raise StreamTruncated("cut")


async def test_the_text_of_a_paused_answer_that_breaks_has_both_halves() -> None:
    with pytest.raises(StreamTruncated):
        async with stream("go", provider=Paused()) as events:
            await events.drain()
    assert events.result.text == "first half, second"


async def test_what_was_said_before_a_tool_is_not_taken_for_the_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def late(request: CompletionRequest) -> str:
        await trio.sleep(100)
        return "never"

    script: list[Any] = [[Text("Let me see."), ToolUse("a", "double", {"number": 1})], late]
    result = await run("go", provider=Scripted(script), tools=[double], timeout=5)
    assert (result.status, result.text) == ("timeout", "")


class SlowToEnter(Provider):
    """Takes its time before it can be asked."""

    name = model = "slow"
    left = 0

    async def __aenter__(self) -> SlowToEnter:
        await trio.sleep(100)
        return self

    async def complete(self, request: CompletionRequest) -> Completion:
        raise AssertionError("it is never asked")


async def test_the_timeout_covers_the_entry_of_a_provider(autojump_clock: trio.testing.MockClock) -> None:
    result = await run("go", provider=SlowToEnter(), timeout=5)
    assert result.status == "timeout"
    async with stream("go", provider=SlowToEnter(), timeout=5) as events:
        assert (await events.drain()).status == "timeout"
    assert trio.current_time() < 20


async def test_a_timeout_of_zero_is_a_result() -> None:
    result = await run("go", provider=Scripted(["x"]), timeout=0)
    assert result.status == "timeout"


class Interrupter(trio.abc.Instrument):
    """Sends KeyboardInterrupt at the k-th step of a task."""

    def __init__(self, step: int) -> None:
        self.step = step

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.step -= 1
        if self.step == 0:
            import signal

            signal.raise_signal(signal.SIGINT)


def test_ctrl_c_at_any_step_leaves_a_valid_history_or_none() -> None:
    outcomes = set()
    for step in range(1, 60):
        seen: list[Any] = []

        async def main(seen: list[Any] = seen) -> None:
            script = [[ToolUse("a", "double", {"number": 1})], "done"]
            async with stream("go", provider=Scripted(script), tools=[double]) as events:
                seen.append(events)
                await events.drain()

        try:
            trio.run(
                main, instruments=[Interrupter(step)], clock=trio.testing.MockClock(autojump_threshold=0)
            )
            outcomes.add("ended")
        except BaseException as error:  # border: what Ctrl-C left with is looked at
            outcomes.add("interrupted")
            alone = error
            while isinstance(alone, BaseExceptionGroup):
                (alone,) = alone.exceptions
            assert isinstance(alone, KeyboardInterrupt)
        if seen and seen[0]._result is not None:
            assert problems(seen[0]._result.messages) == ()
    assert outcomes == {"ended", "interrupted"}
