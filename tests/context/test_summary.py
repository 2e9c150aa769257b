"""How a summary is asked for, judged and found again; no trio, no provider."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.context import (
    Plan,
    Room,
    SummaryFailed,
    estimate_message,
    estimate_text,
    is_summary,
    plan,
    summarising,
)
from alloy_trio.context._clearing import cut_text
from alloy_trio.context._rendering import MOST_PARTS, record
from alloy_trio.context._summary import summary_message, summary_texts, truncation_message
from alloy_trio.values import (
    Completion,
    CompletionRequest,
    ContextOverflow,
    Image,
    Message,
    Opaque,
    ServerToolResult,
    ServerToolUse,
    StopReason,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    from_json,
    to_json,
)

SUMMARY = "## Goal\nFind it.\n## Facts\nIt is red."
ROOM = Room(window=8_000, reserve=1_000, keep=1_000)
TALK = tuple(m for n in range(60) for m in (Message.user(f"{n} " * 100), Message.assistant("yes " * 100)))


def barely_too_long() -> tuple[Message, ...]:
    """So that the conversation and the wish for a summary still fit into the window."""
    said = list(TALK[:2])
    while sum(map(estimate_message, said)) <= ROOM.limit:
        said.append(Message.user("word " * 20) if len(said) % 2 == 0 else Message.assistant("yes " * 20))
    return tuple(said)


BARELY = barely_too_long()


def planned(messages: tuple[Message, ...] = TALK, *, room: Room = ROOM) -> Plan:
    sizes = [estimate_message(message) for message in messages]
    made = plan(messages, sizes, room=room, fixed=0, size=sum(sizes))
    assert made is not None and made.kind == "summarised"
    return made


def answer(text: str, reason: StopReason = "end_turn", *blocks: ToolUse) -> Completion:
    return Completion(Message("assistant", (Text(text), *blocks)), reason)


def drive(
    made: Plan, answers: Iterator[Completion | ContextOverflow], **asked: object
) -> tuple[str, list[CompletionRequest]]:
    steps = summarising(made, CompletionRequest(made.messages, **asked))  # type: ignore[arg-type]
    requests = [next(steps)]
    try:
        while True:
            said = next(answers)
            requests.append(steps.throw(said) if isinstance(said, ContextOverflow) else steps.send(said))
    except StopIteration as done:
        return done.value, requests


def test_summaries_are_found_again_also_from_json() -> None:
    for made in (summary_message(SUMMARY), truncation_message(3, SUMMARY)):
        again = from_json(to_json(made), Message)
        assert is_summary(again) and summary_texts([again]) == SUMMARY
    assert is_summary(truncation_message(3, "")) and summary_texts([truncation_message(3, "")]) == ""


@pytest.mark.parametrize(
    "message",
    [
        Message.user("[Summary of the earlier conversation] is what I want"),
        Message.assistant(summary_message(SUMMARY).text),
        Message.user([*summary_message(SUMMARY).content, Text("and now?")]),
        Message.user([Image("image/png", b"x")]),
    ],
)
def test_what_only_looks_like_a_summary_is_none(message: Message) -> None:
    assert not is_summary(message)


def test_a_forced_choice_of_tools_and_a_schema_are_not_kept_for_a_summary() -> None:
    roomy = planned(BARELY)
    for choice, asked in ((None, None), ("auto", "auto"), ("required", "none"), ("read", "none")):
        text, requests = drive(roomy, iter([answer(SUMMARY)]), tool_choice=choice, output_schema={})
        assert text == SUMMARY and len(requests) == 1
        assert requests[0].tool_choice == asked and requests[0].output_schema is None


def test_a_conversation_too_long_to_ask_about_is_told_in_parts_that_fit() -> None:
    made = planned()
    text, requests = drive(made, iter([answer(SUMMARY) for _ in range(MOST_PARTS)]))
    assert text == SUMMARY and 2 <= len(requests) <= MOST_PARTS
    for request in requests:
        assert (
            sum(map(estimate_message, request.messages)) + estimate_text(request.system or "") < ROOM.window
        )
        assert request.tools == () and request.messages[-1].text.endswith("Answer with the summary only.")


def test_parts_that_are_too_large_after_all_are_halved_and_given_up_in_the_end() -> None:
    made = planned()
    text, requests = drive(made, iter([ContextOverflow("no"), *[answer(SUMMARY)] * MOST_PARTS]))
    assert text == SUMMARY
    assert len(requests[1].messages[0].text) < len(requests[0].messages[0].text)
    with pytest.raises(SummaryFailed, match="do not fit"):
        drive(made, iter([ContextOverflow("no")] * 10))


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (answer(""), "says nothing"),
        (answer("Sure!"), "says nothing"),
        (answer(SUMMARY, "max_tokens"), "'max_tokens'"),
        (answer(SUMMARY, "refusal"), "'refusal'"),
        (answer(SUMMARY, "context_overflow"), "'context_overflow'"),
        (answer(SUMMARY, "tool_use", ToolUse("a", "read", {})), "called tools"),
        (answer("## Goal\n" + "long " * 40_000), "longer than what it sums up"),
    ],
)
def test_a_summary_that_is_no_good_is_not_taken(said: Completion, why: str) -> None:
    with pytest.raises(SummaryFailed, match=why):
        drive(planned(), iter([said] * 10))


def test_a_summary_that_is_too_long_loses_its_middle() -> None:
    text, _ = drive(planned(BARELY), iter([answer("## Goal\n" + "long " * 3_000 + "\nend")]))
    assert text.startswith("## Goal") and text.endswith("end") and "were cut out here" in text
    assert estimate_text(text) <= 2 * ROOM.summary


def test_the_record_tells_everything_but_reasoning() -> None:
    messages = [
        Message.user([Text("look"), Image("image/png", b"x", title="cat")]),
        Message.assistant(
            [
                Thinking("secret", "sig"),
                Opaque("p", {"secret": 1}),
                ServerToolUse("s", "web_search", {"q": "x"}),
                ServerToolResult("s", [{"title": "found"}]),
                Text("I read"),
                ToolUse("a", "read", {"path": "ä.txt"}),
                ToolUse("b", "read", {}, '{"path": '),
            ]
        ),
        Message.user(
            [ToolResult("a", "text"), ToolResult("b", [Text("no"), Image("image/png", b"x")], is_error=True)]
        ),
    ]
    (part,) = record(messages, 10_000)
    for told in (
        "User: look",
        "[Image image/png 'cat']",
        'Call of web_search: {"q": "x"}',
        'Its result: [{"title": "found"}]',
        "Assistant: I read",
        'Call a of read: {"path": "ä.txt"}',
        'Call b of read: {"path": ',
        "Result of call a: text",
        "Error of call b: no [and 1 parts that are no text]",
    ):
        assert told in part
    assert "secret" not in part


@given(st.lists(st.integers(0, 20_000), max_size=40), st.integers(100, 3_000))
def test_a_record_is_bounded_whatever_was_said(lengths: list[int], tokens: int) -> None:
    parts = record([Message.user("wörds 1 " * (length // 8)) for length in lengths], tokens)
    assert len(parts) <= MOST_PARTS
    assert all(estimate_text(part) <= tokens + 30 for part in parts)


@given(st.text(max_size=300).map(lambda text: text * 40), st.integers(0, 3_000))
def test_a_cut_text_keeps_its_ends_within_its_tokens(text: str, tokens: int) -> None:
    cut = cut_text(text, tokens)
    assert cut is text or estimate_text(cut) <= max(tokens, 60)
    assert (cut is text) == (estimate_text(text) <= tokens)
