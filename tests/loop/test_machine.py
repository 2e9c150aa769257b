"""The turn loop, driven by hand: no trio, no clock."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.loop._machine import UNTIL_TOOL_REMINDERS, Rules, RunState, turns
from alloy_trio.loop._steps import Complete, RunTools, ToolOutcomes
from alloy_trio.values import (
    Completion,
    Message,
    Text,
    ToolCallRecord,
    ToolResult,
    ToolUse,
    Usage,
)
from alloy_trio.wire import problems


def state(**rules: object) -> RunState:
    return RunState(rules=Rules(**rules), messages=[Message.user("go")], request_id="r", correlation_id="r")


def answer(text: str, reason: str = "end_turn") -> Completion:
    return Completion(Message.assistant(text), reason, Usage(input_tokens=10, output_tokens=1))


def calling(*calls: ToolUse, reason: str = "tool_use", text: str = "") -> Completion:
    blocks = ((Text(text),) if text else ()) + calls
    return Completion(Message.assistant(blocks), reason, Usage(input_tokens=10, output_tokens=1))


def outcomes(calls: tuple[ToolUse, ...], outcome: str = "completed") -> ToolOutcomes:
    return ToolOutcomes(
        tuple(ToolResult(call.id, "ok") for call in calls),
        tuple(
            ToolCallRecord(id=call.id, name=call.name, input=call.input, output="ok", outcome=outcome)
            for call in calls
        ),
    )


def drive(run: RunState, script: list[Completion], outcome: str = "completed") -> list[object]:
    """Perform the steps with scripted completions; every tool call comes to ``outcome``."""
    steps, machine = [], turns(run)
    answers = iter(script)
    sent = None
    while True:
        try:
            step = machine.send(sent)
        except StopIteration:
            return steps
        steps.append(step)
        sent = next(answers) if isinstance(step, Complete) else outcomes(step.calls, outcome)


CALL = ToolUse("a", "look", {"x": 1})


def test_an_answer_ends_the_run() -> None:
    run = state()
    drive(run, [answer("hello")])
    result = run.result()
    assert (result.text, result.status, result.turns, result.stop_reason) == (
        "hello",
        "completed",
        1,
        "end_turn",
    )
    assert result.messages == (Message.user("go"), Message.assistant("hello"))


def test_calls_are_run_and_their_results_sent() -> None:
    run = state()
    steps = drive(run, [calling(CALL, text="let me see"), answer("done")])
    assert [type(step) for step in steps] == [Complete, RunTools, Complete]
    assert steps[2].request.messages[-1] == Message("user", (ToolResult("a", "ok"),))
    assert run.result().text == "done"
    assert run.result().usage == Usage(input_tokens=20, output_tokens=2)


@pytest.mark.parametrize("reason", ["max_tokens", "context_overflow", "refusal"])
def test_after_a_cut_no_call_is_run_and_each_is_answered(reason: str) -> None:
    run = state()
    steps = drive(run, [calling(CALL, reason=reason, text="half")])
    assert not any(isinstance(step, RunTools) for step in steps)
    result = run.result()
    assert result.status == ("completed" if reason == "refusal" else "incomplete")
    assert result.stop_reason == reason
    assert [record.outcome for record in result.tool_calls] == ["not_started"]
    assert "not run" in result.messages[-1].content[0].text
    assert problems(result.messages) == ()


def test_a_paused_turn_is_sent_back_unchanged_and_its_text_joined() -> None:
    run = state()
    steps = drive(run, [answer("one ", "pause_turn"), answer("two")])
    assert steps[1].request.messages == (Message.user("go"), Message.assistant("one "))
    assert run.result().text == "one two"
    assert run.result().status == "completed"


def test_max_turns_ends_with_the_results_in_the_history() -> None:
    run = state(max_turns=2)
    drive(run, [calling(CALL), calling(ToolUse("b", "look", {}))])
    assert run.result().status == "max_turns"
    assert run.result().messages[-1].content == (ToolResult("b", "ok"),)


def test_until_tool_ends_when_the_tool_succeeded() -> None:
    run = state(until_tool="look")
    steps = drive(run, [answer("all done"), calling(CALL)])
    assert "look" in steps[1].request.messages[-1].text
    assert run.result().status == "completed"
    assert isinstance(steps[-1], RunTools)


def test_until_tool_goes_on_when_the_tool_failed() -> None:
    run = state(until_tool="look", max_turns=3)
    drive(run, [calling(CALL)] * 3, outcome="failed")
    assert run.result().status == "max_turns"


def test_until_tool_stops_reminding() -> None:
    run = state(until_tool="look")
    steps = drive(run, [answer("no")] * (UNTIL_TOOL_REMINDERS + 1))
    assert len(steps) == UNTIL_TOOL_REMINDERS + 1
    assert run.result().status == "incomplete"
    assert "look" in run.result().error.message


def test_a_forced_choice_is_not_kept_up_after_a_call() -> None:
    run = state(tool_choice="look")
    steps = drive(run, [calling(CALL), answer("done")])
    assert [step.request.tool_choice for step in steps if isinstance(step, Complete)] == ["look", None]


def test_an_empty_answer_leaves_no_empty_message() -> None:
    run = state()
    drive(run, [Completion(Message.assistant(()), "end_turn")])
    assert run.result().messages == (Message.user("go"),)
    assert run.result().status == "completed"


def test_calls_with_one_id_or_none_get_ids_of_their_own() -> None:
    run = state()
    same = (
        ToolUse("a", "look", {}),
        ToolUse("a", "look", {"x": 2}),
        ToolUse("", "look", {}),
        ToolUse("a_2", "look", {}),
    )
    steps = drive(run, [calling(*same), answer("done")])
    ids = [call.id for call in steps[1].calls]
    assert len(set(ids)) == 4
    assert ids[0] == "a" and ids[3] == "a_2" and "" not in ids
    assert problems(run.result().messages) == ()


call_lists = st.lists(
    st.builds(
        ToolUse, st.sampled_from(["", "a", "b", "a_2"]), st.sampled_from(["look", "make"]), st.just({})
    ),
    max_size=4,
)
completions = st.builds(
    lambda text, calls, reason: calling(*calls, reason=reason, text=text),
    st.text(max_size=3),
    call_lists,
    st.sampled_from(
        ["end_turn", "tool_use", "max_tokens", "stop_sequence", "refusal", "pause_turn", "context_overflow"]
    ),
)


@given(
    script=st.lists(completions, min_size=8, max_size=8),
    max_turns=st.integers(1, 6),
    until_tool=st.sampled_from([None, "look"]),
    outcome=st.sampled_from(["completed", "failed", "interrupted", "blocked"]),
)
def test_any_script_ends_with_a_valid_history_and_all_usage(
    script: list[Completion], max_turns: int, until_tool: str | None, outcome: str
) -> None:
    run = state(max_turns=max_turns, until_tool=until_tool)
    machine = turns(run)
    sent, used = None, 0
    answers = iter(script)
    while True:
        # Whoever drives may stop here: between two steps all but the calls just made are answered.
        try:
            step = machine.send(sent)
        except StopIteration:
            break
        if isinstance(step, Complete):
            assert problems(step.request.messages) == ()
            sent, used = next(answers), used + 1
        else:
            sent = outcomes(step.calls, outcome)
    result = run.result()
    assert run.status is not None
    assert problems(result.messages) == ()
    assert result.turns == used <= max_turns
    assert result.usage.input_tokens == 10 * used
    assert len(result.tool_calls) == sum(len(message.tool_uses) for message in result.messages)
