"""Repairing conversations, and saying what is wrong with them."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.values import (
    Block,
    Image,
    Message,
    Opaque,
    Origin,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)
from alloy_trio.wire._history import UNKNOWN_OUTCOME, problems, repair


def call(ident: str, name: str = "read") -> ToolUse:
    return ToolUse(ident, name, {"path": ident})


def answer(ident: str, text: str = "done") -> ToolResult:
    return ToolResult(ident, text)


def unknown(ident: str) -> ToolResult:
    return ToolResult(ident, UNKNOWN_OUTCOME, is_error=True)


def user(*content: Block) -> Message:
    return Message("user", content)


def model(*content: Block) -> Message:
    return Message("assistant", content, Origin("p", "m"))


def other(*content: Block) -> Message:
    return Message("assistant", content, Origin("q", "n"))


VALID = (
    Message.user("read a and b"),
    model(Thinking("hm", "sig"), Text("reading"), call("1"), call("2")),
    user(answer("2"), answer("1"), Text("go on")),
    model(Text("both are empty")),
    model(ServerToolUse("s", "web_search", {}), Text("and so is the web")),
    Message.user("thanks"),
    user(Image("image/png", b"x"), Opaque("p", {"type": "x"})),
    model(call("1")),
    user(answer("1")),
    model(Thinking("hm", "sig")),
    other(Text("I go on")),
)


def test_a_valid_conversation_is_returned_itself() -> None:
    assert problems(VALID) == ()
    assert repair(VALID) is VALID


def test_a_valid_list_becomes_a_tuple_of_the_same_objects() -> None:
    repaired = repair(list(VALID))
    assert repaired == VALID
    assert all(now is before for now, before in zip(repaired, VALID, strict=True))


def test_an_empty_conversation_is_valid() -> None:
    assert problems(()) == ()
    assert repair([]) == ()


def test_untouched_messages_stay_the_same_objects() -> None:
    broken = (*VALID, model(call("9")))
    assert all(now is before for now, before in zip(repair(broken), broken, strict=False))


@pytest.mark.parametrize(
    ("broken", "says", "repaired"),
    [
        pytest.param(
            [Message.user("a"), model(call("1"))],
            ["messages[1] calls '1', and the next message has no result of it"],
            [Message.user("a"), model(call("1")), user(unknown("1"))],
            id="a call at the end without a result",
        ),
        pytest.param(
            [model(call("1"), call("2")), user(answer("1"), Text("next"))],
            ["messages[0] calls '2', and the next message has no result of it"],
            [model(call("1"), call("2")), user(answer("1"), unknown("2"), Text("next"))],
            id="one of two calls without a result",
        ),
        pytest.param(
            [model(call("1")), model(Text("well"))],
            ["messages[0] calls '1', and the next message has no result of it"],
            [model(call("1")), user(unknown("1")), model(Text("well"))],
            id="the model goes on without a result",
        ),
        pytest.param(
            [user(answer("1"), Text("hello"))],
            ["messages[0] has a result of '1', which the message before does not call"],
            [Message.user("hello")],
            id="a result without a call",
        ),
        pytest.param(
            [user(answer("1")), model(call("1"))],
            [
                "messages[0] has a result of '1', which the message before does not call",
                "messages[1] calls '1', and the next message has no result of it",
            ],
            [model(call("1")), user(unknown("1"))],
            id="a result before its call",
        ),
        pytest.param(
            [model(call("1")), user(answer("1", "first"), answer("1", "second"))],
            ["messages[1] has 2 results of '1'"],
            [model(call("1")), user(answer("1", "first"))],
            id="two results of one call",
        ),
        pytest.param(
            [
                model(call("1"), call("1", "write"), call("1-2")),
                user(answer("1", "a"), answer("1-2"), answer("1", "b")),
            ],
            ["messages[0] has 2 calls with the id '1'", "messages[1] has 2 results of '1'"],
            [
                model(call("1"), ToolUse("1-3", "write", {"path": "1"}), call("1-2")),
                user(answer("1", "a"), answer("1-2"), answer("1-3", "b")),
            ],
            id="two calls of one id",
        ),
        pytest.param(
            [model(call("1")), user(Text("meanwhile"), answer("1"))],
            ["messages[1] has something before its results; results come first"],
            [model(call("1")), user(answer("1"), Text("meanwhile"))],
            id="text before the results",
        ),
        pytest.param(
            [model(call("1"), call("2")), user(answer("1")), user(answer("2"), Text("and"))],
            [
                "messages[0] calls '2', and the next message has no result of it",
                "messages[2] has a result of '2', which the message before does not call",
            ],
            [model(call("1"), call("2")), user(answer("1"), answer("2")), Message.user("and")],
            id="results in two messages",
        ),
        pytest.param(
            [model(call("1")), Message.user("wait"), model(Text("yes?")), user(answer("1"))],
            [
                "messages[0] calls '1', and the next message has no result of it",
                "messages[3] has a result of '1', which the message before does not call",
            ],
            [model(call("1")), user(answer("1"), Text("wait")), model(Text("yes?"))],
            id="a result that comes late",
        ),
        pytest.param(
            [Message("user", ()), model(), Message.user("x"), model()],
            ["messages[0] is empty", "messages[1] is empty", "messages[3] is empty"],
            [Message.user("x")],
            id="empty messages",
        ),
        pytest.param(
            [model(call("1")), model(answer("1")), Message.user("so?")],
            [
                "messages[0] calls '1', and the next message has no result of it",
                "messages[1] is the model's and holds a ToolResult; "
                "results stand in the user message after calls",
            ],
            [model(call("1")), user(answer("1"), Text("so?"))],
            id="a result in the model's mouth",
        ),
        pytest.param(
            [model(Text("both"), call("1")), model(call("2")), user(answer("2"), answer("1"), Text("so?"))],
            [
                "messages[0] calls '1', and the next message has no result of it",
                "messages[2] has a result of '1', which the message before does not call",
            ],
            [model(Text("both"), call("1"), call("2")), user(answer("2"), answer("1"), Text("so?"))],
            id="each call of an answer in a message of its own",
        ),
        pytest.param(
            [model(call("1")), model(call("2")), user(answer("1")), user(answer("2"))],
            [
                "messages[0] calls '1', and the next message has no result of it",
                "messages[1] calls '2', and the next message has no result of it",
                "messages[2] has a result of '1', which the message before does not call",
                "messages[3] has a result of '2', which the message before does not call",
            ],
            [model(call("1"), call("2")), user(answer("1"), answer("2"))],
            id="each call and each result in a message of its own",
        ),
        pytest.param(
            [model(call("1")), other(call("2")), user(answer("1"), answer("2"))],
            [
                "messages[0] calls '1', and the next message has no result of it",
                "messages[2] has a result of '1', which the message before does not call",
            ],
            [model(call("1")), user(answer("1")), other(call("2")), user(answer("2"))],
            id="calls of two models before the results of both",
        ),
        pytest.param(
            [model(call("1")), model(call("2")), user(answer("2"))],
            ["messages[0] calls '1', and the next message has no result of it"],
            [model(call("1")), user(unknown("1")), model(call("2")), user(answer("2"))],
            id="two calls in a row of which only the second was answered",
        ),
        pytest.param(
            [model(Thinking("hm", "s")), model(Text("well")), model(call("1")), user(answer("1"))],
            ["messages[0] ends with reasoning, and what it led to is a message of its own"],
            [model(Thinking("hm", "s"), Text("well")), model(call("1")), user(answer("1"))],
            id="reasoning in a message of its own",
        ),
        pytest.param(
            [model(Thinking("hm", "s")), user(call("2")), model(call("1")), user(answer("1"))],
            ["messages[1] is the user's and holds a ToolUse, which only a model makes"],
            [model(Thinking("hm", "s"), call("1")), user(answer("1"))],
            id="neighbours only after the repair",
        ),
        pytest.param(
            [user(Text("x"), call("1"), Thinking("hm")), user(answer("1"))],
            [
                "messages[0] is the user's and holds a ToolUse, which only a model makes",
                "messages[0] is the user's and holds a Thinking, which only a model makes",
                "messages[1] has a result of '1', which the message before does not call",
            ],
            [Message.user("x")],
            id="a call in the user's mouth",
        ),
    ],
)
def test_what_is_wrong_is_said_and_repaired(
    broken: list[Message], says: list[str], repaired: list[Message]
) -> None:
    assert list(problems(broken)) == says
    assert list(repair(broken)) == repaired
    assert problems(repaired) == ()


IDS = st.sampled_from(["a", "a-2", "b", "c"])
TEXTS = st.sampled_from(["one", "two", "three"]).map(Text)
BLOCKS = st.one_of(
    TEXTS,
    IDS.map(call),
    st.builds(ToolResult, IDS, st.sampled_from(["r", "s"])),
    st.just(Thinking("hm")),
    st.just(ServerToolUse("s", "web_search", {})),
    st.just(Image("image/png", b"x")),
    st.just(Opaque("p", {})),
)
MESSAGES = st.builds(
    Message,
    st.sampled_from(["user", "assistant"]),
    st.lists(BLOCKS, max_size=5),
    st.sampled_from([None, Origin("p", "m"), Origin("q", "n")]),
)
CONVERSATIONS = st.lists(MESSAGES, max_size=7).map(tuple)


@given(CONVERSATIONS)
def test_a_repaired_conversation_is_valid(messages: tuple[Message, ...]) -> None:
    assert problems(repair(messages)) == ()


@given(CONVERSATIONS)
def test_repairing_again_changes_nothing(messages: tuple[Message, ...]) -> None:
    once = repair(messages)
    assert repair(once) is once


@given(CONVERSATIONS)
def test_a_conversation_is_repaired_exactly_when_it_has_problems(messages: tuple[Message, ...]) -> None:
    assert (repair(messages) is messages) == (not problems(messages))


@given(CONVERSATIONS)
def test_no_word_is_lost_nor_moved_to_the_other_side(messages: tuple[Message, ...]) -> None:
    def words(conversation: tuple[Message, ...]) -> list[tuple[str, str]]:
        return [
            (message.role, block.text)
            for message in conversation
            for block in message.content
            if isinstance(block, Text)
        ]

    assert words(repair(messages)) == words(messages)


@given(CONVERSATIONS)
def test_every_call_of_the_model_stays_and_is_answered_once(messages: tuple[Message, ...]) -> None:
    repaired = repair(messages)
    calls = [
        use.input["path"] for message in messages if message.role == "assistant" for use in message.tool_uses
    ]
    assert [use.input["path"] for message in repaired for use in message.tool_uses] == calls
    results = [block for message in repaired for block in message.content if isinstance(block, ToolResult)]
    assert len(results) == len(calls)


@given(CONVERSATIONS)
def test_no_result_of_a_known_call_is_lost(messages: tuple[Message, ...]) -> None:
    """Counted per call: as many true results as there were after it, before the same id was called again.

    Where two parts of one answer call by the same id, the results of both are kept.
    """
    expected = 0
    for place, message in enumerate(messages):
        if message.role != "assistant":
            continue
        for ident, times in Counter(use.id for use in message.tool_uses).items():
            found = 0
            for later in messages[place + 1 :]:
                found += sum(
                    isinstance(block, ToolResult) and block.tool_use_id == ident for block in later.content
                )
                if later.role == "assistant" and any(use.id == ident for use in later.tool_uses):
                    break
            expected += min(times, found)
    kept = [
        block
        for message in repair(messages)
        for block in message.content
        if isinstance(block, ToolResult) and block.content != UNKNOWN_OUTCOME
    ]
    assert len(kept) >= expected
    given = [block for message in messages for block in message.content if isinstance(block, ToolResult)]
    assert not Counter(result.content for result in kept) - Counter(result.content for result in given)
