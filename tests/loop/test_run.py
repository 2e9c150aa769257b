"""``run`` and ``stream`` on scripted models."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio
import trio.testing

import alloy_trio
from alloy_trio import (
    AuthenticationFailed,
    Completion,
    CompletionRequest,
    ConfigurationError,
    Event,
    Message,
    Overloaded,
    RateLimited,
    Result,
    ServerTool,
    StreamTruncated,
    Text,
    TextDelta,
    ToolError,
    ToolResult,
    ToolUse,
    Usage,
    UsageDelta,
    run,
    server_tool,
    stream,
    tool,
)
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.providers import Scripted
from alloy_trio.testing import Disturbance, disturb_sweep
from alloy_trio.wire import problems


@tool
async def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@tool
async def sleepy(seconds: float) -> str:
    """Sleep."""
    await trio.sleep(seconds)
    return "slept"


@tool
async def broken() -> str:
    """Fail."""
    raise ToolError("it is broken")


def call(name: str, id: str = "", **input: Any) -> ToolUse:
    return ToolUse(id, name, input)


def check_events(events: list[Event]) -> None:
    """The envelope's promises that hold for every run."""
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    assert len({event.correlation_id for event in events}) == 1
    assert events[0].event == "run_start"
    assert [event.event for event in events].count("run_end") == 1
    assert events[-1].event == "run_end"
    started = {event.seq: event.payload["id"] for event in events if event.event == "tool_start"}
    ended = [
        (event.payload["start_seq"], event.payload["id"]) for event in events if event.event == "tool_end"
    ]
    assert sorted(started.items()) == sorted(ended)


class Flaky(Provider):
    """Sends pieces, then raises, as often as the script says; then answers."""

    def __init__(self, *failures: tuple[list[Any], Exception], name: str = "flaky") -> None:
        self.name, self.model = name, "flaky"
        self.failures = list(failures)
        self.asked = 0
        self.entered = 0

    async def __aenter__(self) -> Flaky:
        self.entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.entered -= 1

    async def complete(self, request: CompletionRequest) -> Completion:
        return await self.stream(request, Nowhere())

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        assert self.entered > 0
        self.asked += 1
        await trio.lowlevel.checkpoint()
        if self.failures:
            pieces, error = self.failures.pop(0)
            await deltas.send_all(pieces)
            raise error
        await deltas.send(TextDelta("fine"))
        return Completion(Message.assistant("fine"), "end_turn", Usage(input_tokens=5, output_tokens=1))


class Nowhere:
    async def send(self, delta: Any) -> None:
        await trio.lowlevel.checkpoint()

    async def send_all(self, deltas: Any) -> None:
        await trio.lowlevel.checkpoint()


async def test_the_main_job() -> None:
    model = Scripted([[Text("Let me see. "), call("double", number=21)], "It is 42."])
    result = await run("Double 21", provider=model, tools=[double])
    assert result.text == "It is 42."
    assert (result.status, result.stop_reason, result.turns) == ("completed", "end_turn", 2)
    (record,) = result.tool_calls
    assert (record.name, record.input, record.output, record.outcome) == (
        "double",
        {"number": 21},
        "42",
        "completed",
    )
    assert result.usage.output_tokens > 0
    assert [message.role for message in result.messages] == ["user", "assistant", "user", "assistant"]
    model.assert_exhausted()


async def test_stream_gives_the_same_with_events() -> None:
    script = [[Text("Let me see. "), call("double", number=21)], "It is 42."]
    async with stream("Double 21", provider=Scripted(script), tools=[double], request_id="req-1") as events:
        seen = [event async for event in events]
    check_events(seen)
    plain = await run("Double 21", provider=Scripted(script), tools=[double], request_id="req-1")
    assert events.result == attrs_without_durations(plain, events.result)
    assert "".join(event.payload for event in seen if event.event == "text_delta") == "Let me see. It is 42."
    assert seen[-1].payload["status"] == "completed"
    assert {event.correlation_id for event in seen} == {"req-1"}
    assert [event.payload for event in seen if event.event == "turn_start"] == [{"turn": 1}, {"turn": 2}]
    assert [event.turn for event in seen if event.event == "tool_start"] == [1]


def attrs_without_durations(left: Result, right: Result) -> Result:
    """``left`` with what may differ between run and stream (time and numbering) taken from ``right``."""
    import attrs

    calls = tuple(
        attrs.evolve(mine, duration_ms=other.duration_ms, start_seq=other.start_seq, end_seq=other.end_seq)
        for mine, other in zip(left.tool_calls, right.tool_calls, strict=True)
    )
    return attrs.evolve(left, tool_calls=calls)


async def test_leaving_early_cancels_and_the_result_is_there(autojump_clock: trio.testing.MockClock) -> None:
    model = Scripted([[call("sleepy", id="a", seconds=1000)], "never"])
    start = trio.current_time()
    async with stream("go", provider=model, tools=[sleepy]) as events:
        async for event in events:
            if event.event == "tool_start":
                break
    assert trio.current_time() == start
    result = events.result
    assert result.status == "cancelled"
    assert [record.outcome for record in result.tool_calls] == ["interrupted"]
    assert problems(result.messages) == ()
    assert result.usage.output_tokens > 0
    rest = [event.event async for event in events]
    assert rest == ["tool_end", "run_end"]


async def test_a_timeout_is_a_result(autojump_clock: trio.testing.MockClock) -> None:
    model = Scripted([[call("double", id="a", number=1), call("sleepy", id="b", seconds=100)], "never"])
    result = await run("go", provider=model, tools=[double, sleepy], timeout=5)
    assert trio.current_time() == pytest.approx(5, abs=0.01) or trio.current_time() > 0
    assert result.status == "timeout"
    assert {record.id: record.outcome for record in result.tool_calls} == {
        "a": "completed",
        "b": "interrupted",
    }
    assert problems(result.messages) == ()


async def test_cancellation_from_outside_propagates_from_run(autojump_clock: trio.testing.MockClock) -> None:
    with trio.move_on_after(3) as scope:
        await run("go", provider=Scripted([[call("sleepy", seconds=100)]]), tools=[sleepy])
    assert scope.cancelled_caught


async def test_a_transient_error_is_tried_again_with_an_event(autojump_clock: trio.testing.MockClock) -> None:
    model = Flaky(([], Overloaded("busy")), ([], RateLimited("slow down", retry_after=30)))
    async with stream("go", provider=model) as events:
        seen = [event async for event in events]
    check_events(seen)
    retries = [event.payload for event in seen if event.event == "retry"]
    assert [retry["error"]["kind"] for retry in retries] == ["Overloaded", "RateLimited"]
    assert retries[1]["delay_seconds"] >= 30
    assert [retry["attempt"] for retry in retries] == [1, 2]
    assert events.result.text == "fine"


async def test_nothing_is_sent_again_after_output(autojump_clock: trio.testing.MockClock) -> None:
    model = Flaky(([UsageDelta(Usage(input_tokens=7)), TextDelta("half an ans")], StreamTruncated("cut")))
    async with stream("go", provider=model) as events:
        seen: list[Event] = []
        with pytest.raises(StreamTruncated) as caught:
            async for event in events:
                seen.append(event)
    check_events(seen)
    assert model.asked == 1
    result = events.result
    assert caught.value.result == result
    assert (result.status, result.text) == ("error", "half an ans")
    assert result.error is not None and result.error.kind == "StreamTruncated"
    assert result.usage.input_tokens == 7
    assert result.messages == (Message.user("go"),)


async def test_usage_of_failed_attempts_is_counted(autojump_clock: trio.testing.MockClock) -> None:
    model = Flaky(([UsageDelta(Usage(input_tokens=7))], StreamTruncated("cut")))
    async with stream("go", provider=model) as events:
        result = await events.drain()
    assert result.usage.input_tokens == 12


async def test_run_raises_with_the_partial_result(autojump_clock: trio.testing.MockClock) -> None:
    model = Flaky(([], AuthenticationFailed("wrong key", status=401)))
    with pytest.raises(AuthenticationFailed) as caught:
        await run("go", provider=model)
    assert caught.value.result is not None
    assert caught.value.result.status == "error"
    assert caught.value.result.error.status == 401
    assert model.entered == 0


async def test_fallback_providers_are_asked_in_order(autojump_clock: trio.testing.MockClock) -> None:
    first = Flaky(*[([], Overloaded("busy"))] * 4, name="first")
    second = Flaky(([], AuthenticationFailed("no")), name="second")
    third = Flaky(name="third")
    async with stream("go", provider=first, fallback_providers=[second, third]) as events:
        seen = [event async for event in events]
    moves = [(e.payload["from_provider"], e.payload["to_provider"]) for e in seen if e.event == "fallback"]
    assert moves == [("first", "second"), ("second", "third")]
    assert (first.asked, second.asked, third.asked) == (4, 1, 1)
    assert (first.entered, second.entered, third.entered) == (0, 0, 0)
    assert events.result.text == "fine"


async def test_retries_give_up_rather_than_sleep_past_the_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    model = Flaky(([], RateLimited("slow down", retry_after=60)))
    with trio.fail_after(10), pytest.raises(RateLimited):
        await run("go", provider=model)
    assert trio.current_time() < 1


async def test_one_broken_tool_leaves_its_siblings_alone() -> None:
    model = Scripted(
        [[call("broken", id="a"), call("double", id="b", number=2), call("missing", id="c")], "ok"]
    )
    result = await run("go", provider=model, tools=[double, broken])
    results = result.messages[2].content
    assert [block.tool_use_id for block in results] == ["a", "b", "c"]
    assert [block.is_error for block in results] == [True, False, True]
    assert results[0].text == "it is broken"
    assert [record.outcome for record in result.tool_calls] == ["failed", "completed", "not_started"]


async def test_malformed_arguments_are_answered_and_never_run() -> None:
    ran = []

    @tool
    async def touch(path: str = "x") -> str:
        """Touch."""
        ran.append(path)
        return "touched"

    model = Scripted([[ToolUse("a", "touch", {}, invalid_input='{"path": ')], "sorry"])
    result = await run("go", provider=model, tools=[touch])
    assert ran == []
    assert result.tool_calls[0].outcome == "not_started"
    assert result.messages[2].content[0].is_error


async def test_max_tokens_is_incomplete() -> None:
    completion = Completion(
        Message.assistant((Text("half"), call("double", id="a", number=1))), "max_tokens", Usage()
    )
    result = await run("go", provider=Scripted([completion]), tools=[double])
    assert result.status == "incomplete"
    assert result.tool_calls[0].outcome == "not_started"


async def test_an_earlier_conversation_is_repaired_and_continued() -> None:
    broken_history = [Message.user("hi"), Message.assistant((call("double", id="x", number=1),))]
    model = Scripted(["better"])
    result = await run("go on", provider=model, messages=broken_history)
    assert problems(model.requests[0].messages) == ()
    assert result.messages[-1].text == "better"


async def test_none_continues_the_conversation_as_it_stands() -> None:
    model = Scripted(["yes"])
    await run(None, provider=model, messages=[Message.user("are you there?")])
    assert model.requests[0].messages == (Message.user("are you there?"),)


async def test_a_slow_reader_slows_the_stream() -> None:
    model = Scripted(["word " * 500])
    async with stream("go", provider=model, event_buffer=8) as events:
        await trio.testing.wait_all_tasks_blocked()
        held = events.statistics()
        assert held.waiting <= 8 + 1
        result = await events.drain()
    assert result.text == "word " * 500


async def test_the_result_is_not_there_before_the_end() -> None:
    async with stream("go", provider=Scripted(["x"])) as events:
        with pytest.raises(RuntimeError, match="no result yet"):
            _ = events.result


async def test_one_task_reads_at_a_time() -> None:
    async with stream("go", provider=Scripted([[call("sleepy", seconds=1e9)]]), tools=[sleepy]) as events:
        async for event in events:
            if event.event == "tool_start":
                break
        async with trio.open_nursery() as nursery:
            nursery.start_soon(events.__anext__)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await events.__anext__()
            nursery.cancel_scope.cancel()


async def test_the_body_s_own_exception_leaves_the_block_unwrapped() -> None:
    with pytest.raises(ZeroDivisionError):
        async with stream("go", provider=Scripted(["x"])):
            raise ZeroDivisionError


async def test_a_bug_in_a_provider_is_raised_as_it_is() -> None:
    model = Flaky(([], KeyError("bug")))
    with pytest.raises(KeyError):
        await run("go", provider=model)
    model = Flaky(([], KeyError("bug")))
    with pytest.raises(KeyError):
        async with stream("go", provider=model) as events:
            await events.drain()
    assert events.result.status == "error"


async def test_one_provider_object_serves_many_runs_at_once() -> None:
    model = Flaky()
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(lambda: run("go", provider=model))
    assert (model.asked, model.entered) == (20, 0)


async def test_public_functions_are_checkpoints() -> None:
    with trio.testing.assert_checkpoints():
        await run("go", provider=Scripted(["x"]))
    with trio.testing.assert_checkpoints():
        async with stream("go", provider=Scripted(["x"])) as events:
            await events.drain()


async def read_some(events: AsyncIterator[Event], count: int) -> list[Event]:
    return [await events.__anext__() for _ in range(count)]


@pytest.mark.parametrize(
    ("prompt", "options", "words"),
    [
        (None, {}, "nothing to answer"),
        ("  ", {}, "empty"),
        (7, {}, "int"),
        (Message.assistant("x"), {}, "assistant"),
        ("go", {"provider": Scripted}, "Scripted(model="),
        ("go", {"provider": "openai"}, "provider_from_name"),
        ("go", {"provider": None}, "NoneType"),
        ("go", {"tools": [len]}, "@tool"),
        ("go", {"tools": [double, double]}, "double"),
        ("go", {"max_turn": 3}, "max_turns"),
        ("go", {"max_turns": 0}, "max_turns"),
        ("go", {"max_turns": True}, "max_turns"),
        ("go", {"timeout": -1}, "timeout"),
        ("go", {"timeout": math.nan}, "timeout"),
        ("go", {"event_buffer": 0}, "event_buffer"),
        ("go", {"until_tool": "finish"}, "finish"),
        ("go", {"tool_choice": "finish"}, "finish"),
        ("go", {"tool_choice": "required"}, "tools"),
        ("go", {"messages": ["hi"]}, "Message.user"),
        ("go", {"messages": 3}, "wrong kind"),
        ("go", {"max_pending": 3}, "agent"),
        ("go", {"working_directory": "/no/such/place"}, "/no/such/place"),
        ("go", {"working_directory": 3}, "wrong kind"),
        ("go", {"fallback_providers": ["openai"]}, r"fallback_providers\[0\]"),
    ],
)
async def test_bad_options_are_told_before_anything_is_sent(
    prompt: Any, options: dict[str, Any], words: str
) -> None:
    model = Scripted(["never"])
    merged = {"provider": model, **options}
    with pytest.raises(ConfigurationError, match=words.replace("(", r"\(")):
        await run(prompt, **merged)
    with pytest.raises(ConfigurationError, match=words.replace("(", r"\(")):
        async with stream(prompt, **merged):
            pytest.fail("the body must not run")
    assert model.requests == []


def test_the_typed_options_are_the_real_ones() -> None:
    import attrs

    from alloy_trio.loop._options import Options, RunOptions

    assert set(RunOptions.__annotations__) == {field.name for field in attrs.fields(Options)}


# --- Cancel at every checkpoint. ---------------------------------------------------------------------------


SCRIPT = [
    [
        Text("one"),
        call("double", id="a", number=1),
        call("sleepy", id="b", seconds=5),
        call("broken", id="c"),
    ],
    [call("double", id="d", number=2)],
    "done",
]


def test_a_cancel_at_any_step_leaves_a_valid_history_and_whole_events() -> None:
    statuses = set()

    async def script(disturbance: Disturbance) -> None:
        with trio.CancelScope() as scope:
            disturbance.arm(scope.cancel)
            reported = 0
            seen: list[Event] = []
            opened = None
            async with stream("go", provider=Scripted(SCRIPT), tools=[double, sleepy, broken]) as events:
                opened = events
                async for event in events:
                    seen.append(event)
                    if event.event == "turn_end":
                        reported += event.payload["usage"]["output_tokens"]
        disturbance.disarm()
        if opened is None:
            return
        if scope.cancel_called and not scope.cancelled_caught:
            assert seen[-1].event == "run_end"
        seen += [event async for event in opened]
        if not seen:
            return
        check_events(seen)
        result = opened.result
        statuses.add(result.status)
        assert result.error is None
        assert problems(result.messages) == ()
        assert result.usage.output_tokens >= reported
        uses = [use.id for message in result.messages for use in message.tool_uses]
        results = [
            block.tool_use_id
            for message in result.messages
            for block in message.content
            if isinstance(block, ToolResult)
        ]
        assert uses == results == [record.id for record in result.tool_calls]
        started = {event.payload["id"] for event in seen if event.event == "tool_start"}
        for record in result.tool_calls:
            if record.outcome == "not_started":
                assert record.id not in started
                assert "not" in record.output
            else:
                assert record.id in started
        # The next request works with what is left.
        again = await run("again", provider=Scripted(["fine"]), messages=result.messages)
        assert again.text == "fine"

    assert disturb_sweep(script).steps > 20
    assert statuses == {"cancelled", "completed"}


def test_run_works_in_a_later_trio_run_with_the_same_objects() -> None:
    model = Flaky()
    for _ in range(2):
        assert trio.run(lambda: run("go", provider=model)).text == "fine"


def test_the_facade_has_everything_it_promises() -> None:
    for name in alloy_trio.__all__:
        assert getattr(alloy_trio, name) is not None


async def test_code_execution_offers_the_vendor_s_sandbox_once() -> None:
    model = Scripted(["x", "y", "z"])
    await run("go", provider=model)
    await run("go", provider=model, code_execution=True)
    await run("go", provider=model, code_execution=True, tools=[server_tool("code_execution", memory=1)])
    assert [request.server_tools for request in model.requests] == [
        (),
        (ServerTool("code_execution"),),
        (ServerTool("code_execution", {"memory": 1}),),
    ]
