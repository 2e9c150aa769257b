"""Functions around the parts of a run, and runs that wait for a person."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import trio
import trio.testing

import alloy_trio
from alloy_trio import (
    Approve,
    ConfigurationError,
    Deny,
    Edit,
    Halt,
    LoggingMiddleware,
    Message,
    Pause,
    Result,
    ServerFault,
    Text,
    TextDelta,
    ToolContext,
    ToolError,
    ToolOutput,
    ToolPolicy,
    ToolResult,
    ToolUse,
    resume,
    run,
    stream,
    tool,
)
from alloy_trio.abc import Middleware
from alloy_trio.providers import Scripted
from alloy_trio.wire import problems


@tool
async def double(number: int) -> int:
    """Double a number."""
    return 2 * number


@tool
async def erase(name: str) -> str:
    """Erase something."""
    return f"erased {name}"


def calls(*uses: ToolUse) -> list[ToolUse]:
    return list(uses)


TWO = calls(ToolUse("1", "double", {"number": 4}), ToolUse("2", "erase", {"name": "a"}))


class Journal(Middleware):
    """Writes down the order of what it is laid around."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self.name = name
        self.seen = seen

    async def session(self, proceed: Any, run: Any) -> None:
        self.seen.append(f"{self.name} session")
        await proceed()
        self.seen.append(f"{self.name} session ends")

    async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
        self.seen.append(f"{self.name} completion {run.turn}")
        return await proceed(request)

    async def tool_batch(self, calls: Any, proceed: Any, run: Any) -> Any:
        self.seen.append(f"{self.name} batch {len(calls)}")
        return await proceed(calls)

    async def tool_call(self, call: Any, proceed: Any, run: Any) -> Any:
        self.seen.append(f"{self.name} call {call.name}")
        return await proceed(call)


async def test_the_first_is_the_outermost() -> None:
    seen: list[str] = []
    model = Scripted([[ToolUse("1", "double", {"number": 4})], "8"])
    result = await run(
        "x", provider=model, tools=[double], middleware=[Journal("a", seen), Journal("b", seen)]
    )
    assert result.text == "8"
    assert seen == [
        "a session",
        "b session",
        "a completion 1",
        "b completion 1",
        "a batch 1",
        "b batch 1",
        "a call double",
        "b call double",
        "a completion 2",
        "b completion 2",
        "b session ends",
        "a session ends",
    ]


async def test_middleware_may_change_what_is_asked_and_what_is_answered() -> None:
    class Changes(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
            asked = alloy_trio.CompletionRequest((Message.user("instead"),))
            return await proceed(asked)

        async def delta(self, delta: Any, proceed: Any, run: Any) -> None:
            if isinstance(delta, TextDelta):
                await proceed(TextDelta(delta.text.upper()))

    model = Scripted([lambda request: request.messages[-1].text])
    async with stream("x", provider=model, middleware=[Changes()]) as events:
        shown = "".join([event.payload async for event in events if event.event == "text_delta"])
    assert shown == "INSTEAD"
    assert events.result.text == "instead"


async def test_middleware_may_edit_block_and_answer_calls() -> None:
    class Guard(Middleware):
        async def tool_call(self, call: Any, proceed: Any, run: Any) -> ToolOutput:
            if call.input.get("number") == 1:
                raise ToolError("not one")
            if call.input.get("number") == 2:
                return ToolOutput("answered in place", data=[1])
            output: ToolOutput = await proceed(ToolUse(call.id, call.name, {"number": 10}))
            return ToolOutput(output.text + "!")

    uses = [ToolUse(str(number), "double", {"number": number}) for number in (1, 2, 3)]
    result = await run("x", provider=Scripted([uses, "ok"]), tools=[double], middleware=[Guard()])
    assert [(record.output, record.outcome) for record in result.tool_calls] == [
        ("not one", "blocked"),
        ("answered in place", "completed"),
        ("20!", "completed"),
    ]
    assert problems(result.messages) == ()


async def test_a_call_keeps_its_name() -> None:
    class Renames(Middleware):
        async def tool_call(self, call: Any, proceed: Any, run: Any) -> Any:
            return await proceed(ToolUse(call.id, "erase", {"name": "all"}))

    with pytest.raises(RuntimeError, match="keeps its name"):
        await run("x", provider=Scripted([TWO]), tools=[double, erase], middleware=[Renames()])


async def test_a_second_proceed_is_an_error() -> None:
    class Twice(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
            await proceed(request)
            return await proceed(request)

    with pytest.raises(RuntimeError, match="twice"):
        await run("x", provider=Scripted(["a", "b"]), middleware=[Twice()])


async def test_a_batch_that_drops_a_result_is_an_error() -> None:
    class Drops(Middleware):
        async def tool_batch(self, calls: Any, proceed: Any, run: Any) -> Any:
            return (await proceed(calls))[1:]

    with pytest.raises(RuntimeError, match="exactly one"):
        await run("x", provider=Scripted([TWO]), tools=[double, erase], middleware=[Drops()])


async def test_a_batch_may_change_results_and_answer_all_by_itself() -> None:
    class Changes(Middleware):
        async def tool_batch(self, calls: Any, proceed: Any, run: Any) -> Any:
            results = await proceed(calls)
            return tuple(ToolResult(each.tool_use_id, "changed") for each in results)

    class Answers(Middleware):
        async def tool_batch(self, calls: Any, proceed: Any, run: Any) -> Any:
            return tuple(ToolResult(each.id, (Text("a"), Text("b"))) for each in calls)

    class Blocks(Middleware):
        async def tool_batch(self, calls: Any, proceed: Any, run: Any) -> Any:
            raise ToolError("none of this")

    for middleware, output, outcome in (
        (Changes(), "changed", "completed"),
        (Answers(), "ab", "completed"),
        (Blocks(), "none of this", "blocked"),
    ):
        result = await run(
            "x", provider=Scripted([TWO, "ok"]), tools=[double, erase], middleware=[middleware]
        )
        assert {(record.output, record.outcome) for record in result.tool_calls} == {(output, outcome)}
        assert problems(result.messages) == ()


async def test_halt_ends_the_run_and_leaves_a_valid_history() -> None:
    class Halts(Middleware):
        async def tool_call(self, call: Any, proceed: Any, run: Any) -> Any:
            if call.name == "erase":
                raise Halt("enough")
            return await proceed(call)

    result = await run("x", provider=Scripted([TWO]), tools=[double, erase], middleware=[Halts()])
    assert result.status == "halted"
    assert result.error is not None and result.error.message == "enough"
    assert problems(result.messages) == ()
    assert len(result.tool_calls) == 2


async def test_calls_that_halt_together_halt_once() -> None:
    class Halts(Middleware):
        async def tool_call(self, call: Any, proceed: Any, run: Any) -> Any:
            raise Halt(f"no {call.name}")

    result = await run("x", provider=Scripted([TWO]), tools=[double, erase], middleware=[Halts()])
    assert (result.status, len(result.tool_calls)) == ("halted", 2)


async def test_a_bug_in_middleware_leaves_as_it_is_and_the_history_valid() -> None:
    class Breaks(Middleware):
        async def tool_call(self, call: Any, proceed: Any, run: Any) -> Any:
            if call.name == "erase":
                raise ZeroDivisionError
            return await proceed(call)

    with pytest.raises(ZeroDivisionError):
        async with stream(
            "x", provider=Scripted([TWO]), tools=[double, erase], middleware=[Breaks()]
        ) as events:
            await events.drain()
    assert events.result.status == "error"
    assert problems(events.result.messages) == ()


ASKS = ToolPolicy(ask=["erase"])


async def paused(uses: list[ToolUse] = TWO, **options: Any) -> Result:
    result = await run(
        "x", provider=Scripted([[Text("I will"), *uses]]), tools=[double, erase], middleware=[ASKS], **options
    )
    assert result.status == "paused"
    assert problems(result.messages) == ()
    return result


async def test_a_paused_run_has_run_what_could_run() -> None:
    result = await paused()
    assert [call.id for call in result.pending] == ["2"]
    assert [(record.name, record.output) for record in result.tool_calls] == [("double", "8")]
    assert result.messages == (Message.user("x"),)


@pytest.mark.parametrize(
    ("decision", "output", "outcome"),
    [
        (Approve(), "erased a", "completed"),
        (Deny("never"), "never", "blocked"),
        (Edit({"name": "b"}), "erased b", "completed"),
        (Edit({"who": "b"}), "", "not_started"),
    ],
)
async def test_a_paused_run_goes_on_elsewhere(decision: Any, output: str, outcome: str) -> None:
    text = alloy_trio.to_json(await paused())
    again = alloy_trio.from_json(text, Result)
    model = Scripted([lambda request: request.messages[-1].content[1].content])
    result = await resume(
        again, decisions={"2": decision}, provider=model, tools=[double, erase], middleware=[ASKS]
    )
    assert result.status == "completed"
    assert (result.tool_calls[1].outcome, result.turns) == (outcome, 2)
    assert result.tool_calls[1].output.startswith(output)
    assert [type(block).__name__ for block in result.messages[1].content] == ["Text", "ToolUse", "ToolUse"]
    assert problems(result.messages) == ()
    assert (result.pending, result.open_round) == ((), None)


async def test_calls_keep_their_order_whichever_waits() -> None:
    first = await paused([TWO[1], TWO[0]])
    result = await resume(
        first, decisions={"2": Approve()}, provider=Scripted(["ok"]), tools=[double, erase], middleware=[ASKS]
    )
    assert [record.id for record in result.tool_calls] == ["2", "1"]
    assert [block.tool_use_id for block in result.messages[2].content] == ["2", "1"]  # type: ignore[union-attr]


async def test_decisions_are_checked() -> None:
    result = await paused()
    options: Any = {"provider": Scripted([]), "tools": [double, erase], "middleware": [ASKS]}
    with pytest.raises(ConfigurationError, match="says nothing about erase"):
        await resume(result, decisions={}, **options)
    with pytest.raises(ConfigurationError, match="does not wait"):
        await resume(result, decisions={"2": Approve(), "1": Approve()}, **options)
    with pytest.raises(ConfigurationError, match="the decision about"):
        await resume(result, decisions={"2": True}, **options)  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="leave it out"):
        await resume(result, decisions={"2": Approve()}, messages=(), **options)
    done = await run("x", provider=Scripted(["ok"]))
    with pytest.raises(ConfigurationError, match="only a paused run"):
        await resume(done, decisions={}, provider=Scripted([]))


async def test_a_middleware_that_always_pauses_lets_a_decided_call_pass() -> None:
    class Always(Middleware):
        async def tool_call(self, call: Any, proceed: Any, run: Any) -> Any:
            raise Pause

    uses = calls(TWO[1])
    first = await run("x", provider=Scripted([uses]), tools=[erase], middleware=[Always()])
    assert first.status == "paused"
    result = await resume(
        first, decisions={"2": Approve()}, provider=Scripted(["ok"]), tools=[erase], middleware=[Always()]
    )
    assert result.tool_calls[0].output == "erased a"


async def test_a_run_may_pause_before_a_model_call() -> None:
    class Stops(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
            if run.turn == 2:
                raise Pause
            return await proceed(request)

    use = calls(TWO[0])
    first = await run("x", provider=Scripted([use]), tools=[double], middleware=[Stops()])
    assert (first.status, first.pending, first.turns) == ("paused", (), 1)
    result = await resume(first, decisions={}, provider=Scripted(["done"]), tools=[double])
    assert (result.status, result.turns) == ("completed", 2)


async def test_a_provider_error_while_resuming_carries_the_result() -> None:
    with pytest.raises(ServerFault) as caught:
        await resume(
            await paused(),
            decisions={"2": Approve()},
            provider=Scripted([ServerFault("no", transient=False)]),
            tools=[double, erase],
            middleware=[ASKS],
        )
    assert caught.value.result is not None
    assert problems(caught.value.result.messages) == ()
    assert len(caught.value.result.tool_calls) == 2


async def test_cancelled_while_it_resumes_the_open_calls_are_answered(
    autojump_clock: trio.testing.MockClock,
) -> None:
    @tool
    async def erase(name: str) -> str:
        """Erase slowly."""
        await trio.sleep(100)
        return name

    first = await paused()
    result = await resume(
        first,
        decisions={"2": Approve()},
        provider=Scripted([]),
        tools=[double, erase],
        middleware=[ASKS],
        timeout=5,
    )
    assert result.status == "timeout"
    assert [record.outcome for record in result.tool_calls] == ["completed", "interrupted"]
    assert problems(result.messages) == ()


async def test_an_approval_waits_for_a_person_while_siblings_go_on(
    autojump_clock: trio.testing.MockClock,
) -> None:
    asked: list[str] = []

    async def person(call: ToolUse, run: Any) -> Any:
        asked.append(call.name)
        await trio.sleep(1000)
        return Edit({"name": "b"})

    async with stream(
        "x",
        provider=Scripted([TWO, "ok"]),
        tools=[double, erase],
        middleware=[ToolPolicy(ask=["er*"], approver=person)],
        tool_timeout=5,
    ) as events:
        seen = [(event.event, event.payload) async for event in events]
    assert asked == ["erase"]
    assert [payload["name"] for event, payload in seen if event == "tool_end"] == ["double", "erase"]
    assert events.result.tool_calls[1].output == "erased b"


async def test_a_policy_knows_names_and_patterns() -> None:
    policy = ToolPolicy(
        allow=["read", "git_*"], deny=["git_push", "rm?"], ask=["git_*", "w*"], default="deny"
    )
    verdicts = {
        name: policy.verdict(name) for name in ("read", "git_log", "git_push", "rm1", "write", "other")
    }
    assert verdicts == {
        "read": "allow",
        "git_log": "ask",
        "git_push": "deny",
        "rm1": "deny",
        "write": "ask",
        "other": "deny",
    }
    with pytest.raises(ConfigurationError):
        ToolPolicy(allow="read")
    with pytest.raises(ConfigurationError):
        ToolPolicy(default="maybe")  # type: ignore[arg-type]


async def test_a_denied_call_tells_the_model() -> None:
    result = await run(
        "x", provider=Scripted([TWO, "ok"]), tools=[double, erase], middleware=[ToolPolicy(deny=["erase"])]
    )
    assert [record.outcome for record in result.tool_calls] == ["completed", "blocked"]
    assert "may not be called" in result.tool_calls[1].output


async def test_the_log_has_names_and_numbers_and_no_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="alloy_trio.run")
    model = Scripted([[ToolUse("1", "erase", {"name": "secret-name"})], "secret-answer"])
    await run(
        "secret-question", provider=model, tools=[erase], middleware=[LoggingMiddleware()], request_id="r"
    )
    text = "\n".join(record.getMessage() for record in caplog.records if record.name == "alloy_trio.run")
    assert "r: turn 1" in text and "tool erase (1) ended" in text and "r: ends after" in text
    assert "secret" not in text


async def test_tools_and_middleware_see_the_same_run() -> None:
    seen: list[Any] = []

    @tool
    async def look(context: ToolContext) -> str:
        """Look."""
        seen.append(context.context)
        return "ok"

    class Looks(Middleware):
        async def tool_call(self, call: Any, proceed: Any, run: Any) -> Any:
            seen.append(
                (run.context, run.turn, run.correlation_id, run.agent_id, run.usage.output_tokens > 0)
            )
            return await proceed(call)

    model = Scripted([[ToolUse("1", "look", {})], "ok"])
    await run("x", provider=model, tools=[look], middleware=[Looks()], context={"a": 1}, request_id="r")
    assert seen == [({"a": 1}, 1, "r", None, True), {"a": 1}]


async def test_what_is_no_middleware_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"write ToolPolicy\(\)"):
        await run("x", provider=Scripted([]), middleware=[ToolPolicy])  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="middleware"):
        await run("x", provider=Scripted([]), middleware=[lambda: None])  # type: ignore[list-item]


async def test_usage_of_an_answer_that_middleware_did_not_hand_on_is_counted(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Slow(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
            completion = await proceed(request)
            await trio.sleep(100)
            return completion

    class Stops(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
            await proceed(request)
            raise Halt("seen enough")

    full = await run("x", provider=Scripted(["an answer"]))
    late = await run("x", provider=Scripted(["an answer"]), middleware=[Slow()], timeout=5)
    assert (late.status, late.usage) == ("timeout", full.usage)
    halted = await run("x", provider=Scripted(["an answer"]), middleware=[Stops()])
    assert (halted.status, halted.usage) == ("halted", full.usage)


async def test_an_error_under_way_is_not_lost_in_a_cancelled_run() -> None:
    class Wrong(BaseException):
        pass

    @tool
    async def breaks() -> str:
        """Break when it is cancelled."""
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            raise Wrong from None
        return "never"

    with pytest.raises(Wrong):
        with trio.move_on_after(0.01):
            await run("x", provider=Scripted([[ToolUse("1", "breaks", {})]]), tools=[breaks])
