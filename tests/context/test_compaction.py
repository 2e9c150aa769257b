"""Plans for conversations that no longer fit: pure, against conversations made at random."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.context import (
    Compaction,
    Gauge,
    Plan,
    Room,
    check_window,
    estimate_message,
    is_summary,
    plan,
    room_in,
)
from alloy_trio.context._room import LEAST_WORKING_TOKENS
from alloy_trio.context._summary import HEADING, summary_message, truncation_message
from alloy_trio.context._units import as_request, first_request, present_request
from alloy_trio.values import (
    Block,
    ConfigurationError,
    Image,
    Message,
    Opaque,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    from_json,
    to_json,
)
from alloy_trio.wire import problems, repair
from alloy_trio.wire._readers import READERS

from ..wire.histories import histories  # noqa: TID252 - one strategy makes the conversations of many vendors

WIRES = sorted(READERS)
ROOM = Room(window=4_000, reserve=500, keep=500)
SUMMARY = "## Goal\nFind it.\n## Facts\nIt is red."


def grown(message: Message, factor: int) -> Message:
    """The same message, its words and results so many times as long."""

    def more(block: Block) -> Block:
        if isinstance(block, Text | Thinking):
            return attrs.evolve(block, text=block.text * factor)
        if isinstance(block, ToolResult) and isinstance(block.content, str):
            return attrs.evolve(block, content=block.content * factor)
        return block

    return attrs.evolve(message, content=[more(block) for block in message.content])


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Message, ...]:
    """A valid conversation that is too long for a small window, or may be; with summaries in it."""
    messages: list[Message] = []
    for _ in range(draw(st.integers(1, 3))):
        part = repair(draw(histories()))
        messages += [grown(message, draw(st.sampled_from([1, 1, 20, 100, 500]))) for message in part]
        if draw(st.booleans()):
            made = draw(st.sampled_from([summary_message(SUMMARY), truncation_message(7, "It is red.")]))
            if not messages or not messages[-1].tool_uses:
                messages.append(made)
    return repair(messages)


def planned(messages: tuple[Message, ...], room: Room = ROOM, *, harder: bool = False) -> Plan | None:
    sizes = [estimate_message(message) for message in messages]
    return plan(messages, sizes, room=room, fixed=100, size=100 + sum(sizes), harder=harder)


def outcomes(made: Plan) -> list[tuple[Message, ...]]:
    return [made.shortened, *([made.summarised(SUMMARY)] if made.kind == "summarised" else [])]


@given(conversations(), st.booleans())
@settings(max_examples=50)
def test_what_is_left_is_valid_for_every_provider_and_smaller(
    messages: tuple[Message, ...], harder: bool
) -> None:
    made = planned(messages, harder=harder)
    if made is None:
        return
    assert made.messages == messages
    assert made.after < made.before
    for left in outcomes(made):
        assert problems(left) == ()
        assert {wire: found for wire in WIRES if (found := problems(left, wire))} == {}
        assert repair(left) is left
        assert from_json(to_json(left), tuple[Message, ...]) == left


@given(conversations(), st.booleans())
@settings(max_examples=50)
def test_a_round_is_kept_whole_or_not_at_all(messages: tuple[Message, ...], harder: bool) -> None:
    made = planned(messages, harder=harder)
    if made is None:
        return
    before = [message.tool_uses for message in messages if message.tool_uses]
    for left in outcomes(made):
        for message in left:
            if message.tool_uses:
                names = [(use.id, use.name, use.input) for use in message.tool_uses]
                assert names in [[(use.id, use.name, use.input) for use in uses] for uses in before]


@given(conversations(), st.booleans())
@settings(max_examples=50)
def test_the_first_request_and_the_present_one_are_kept(messages: tuple[Message, ...], harder: bool) -> None:
    made = planned(messages, harder=harder)
    first, present = first_request(messages), present_request(messages)
    if made is None or first is None or present is None:
        return

    def said(message: Message) -> list[Block]:
        return [block for block in message.content if not isinstance(block, ToolResult)]

    for left in outcomes(made):
        places = [place for place, message in enumerate(left) if said(message) == said(messages[present])]
        assert places
        if estimate_message(as_request(messages[first])) <= ROOM.window / 4 / made.scale:
            assert any(said(message) == said(messages[first]) for message in left)


@given(conversations())
@settings(max_examples=50)
def test_reasoning_does_not_outlive_what_it_was_bound_to(messages: tuple[Message, ...]) -> None:
    made = planned(messages)
    if made is None:
        return
    for left in outcomes(made):
        for place, message in enumerate(left):
            untouched = place < len(messages) and all(
                new is old for new, old in zip(left[:place], messages, strict=False)
            )
            if not untouched:
                assert not any(isinstance(block, Thinking) for block in message.content)


@given(conversations())
@settings(max_examples=50)
def test_recent_messages_stay_word_for_word_unless_their_results_are_cut(
    messages: tuple[Message, ...],
) -> None:
    made = planned(messages)
    if made is None or made.kind == "cut":
        return
    kept = [b for m in messages[made.recent :] for b in m.content if isinstance(b, Text | ToolUse | Image)]
    left = [b for m in made.shortened for b in m.content if isinstance(b, Text | ToolUse | Image)]
    assert [(type(b), _words(b)) for b in left[len(left) - len(kept) :]] == [
        (type(b), _words(b)) for b in kept
    ]


def _words(block: Block) -> object:
    return block.text if isinstance(block, Text) else getattr(block, "input", None)


@given(conversations())
@settings(max_examples=50)
def test_what_fits_is_left_alone_also_what_was_just_shortened(messages: tuple[Message, ...]) -> None:
    roomy = Room(window=10_000_000, reserve=1_000, keep=1_000)
    assert planned(messages, roomy) is None
    made = planned(messages)
    if made is not None and made.after <= ROOM.limit:
        assert planned(made.shortened) is None


def user(text: str) -> Message:
    return Message.user(text)


def round_(number: int, chars: int) -> tuple[Message, Message]:
    use = ToolUse(f"c{number}", "read", {"path": f"file{number}"})
    return Message.assistant([use]), Message.user([ToolResult(use.id, "words " * (chars // 6))])


def rounds(count: int, chars: int) -> tuple[Message, ...]:
    return tuple(message for number in range(count) for message in round_(number, chars))


def test_old_results_are_cleared_in_one_batch_and_recent_ones_stay() -> None:
    messages = (user("go"), *rounds(10, 3_000))
    made = planned(messages)
    assert made is not None and made.kind == "cleared"
    results = [b.text for m in made.shortened for b in m.content if isinstance(b, ToolResult)]
    cleared = [text.startswith("[This result of read was removed") for text in results]
    assert cleared == sorted(cleared, reverse=True) and sum(cleared) == 9
    assert "It began: words words" in results[0]
    assert len(made.old) == sum(cleared)


def test_errors_stay_errors_and_small_results_stay() -> None:
    use, other = ToolUse("a", "read", {}), ToolUse("b", "read", {})
    results = Message.user([ToolResult("a", "no " * 1_000, is_error=True), ToolResult("b", "small")])
    messages = (user("go"), Message.assistant([use, other]), results, *rounds(7, 3_500))
    made = planned(messages)
    assert made is not None and made.kind == "cleared"
    first, second = made.shortened[2].content
    assert isinstance(first, ToolResult) and first.is_error and first.text.startswith("[This result")
    assert second is results.content[1]


def test_many_words_are_summarised() -> None:
    talk = tuple(m for n in range(30) for m in (user(f"{n} " * 100), Message.assistant("yes " * 100)))
    made = planned((user("my name is Ada"), *talk))
    assert made is not None and made.kind == "summarised"
    left = made.summarised(SUMMARY)
    assert left[0].text == "my name is Ada"
    assert is_summary(left[1]) and left[1].text.startswith(HEADING) and left[1].text.endswith(SUMMARY)
    assert left[2:] == talk[-len(left[2:]) :]
    assert is_summary(made.shortened[1]) and f"{len(made.old)} earlier messages" in made.shortened[1].text


def test_an_earlier_summary_is_not_part_of_what_is_summarised() -> None:
    talk = tuple(m for n in range(30) for m in (user(f"{n} " * 100), Message.assistant("yes " * 100)))
    made = planned((user("go"), summary_message("It is red."), *talk))
    assert made is not None and made.kind == "summarised"
    assert made.previous == "It is red."
    assert not any(map(is_summary, made.old))
    assert made.shortened[1].text.endswith("It is red.")
    assert sum(map(is_summary, made.shortened)) == sum(map(is_summary, made.summarised(SUMMARY))) == 1


def test_a_huge_newest_result_is_cut_in_the_middle_and_nothing_else_is_touched() -> None:
    thought = Message.assistant([Thinking("hm", "sig"), ToolUse("a", "read", {})])
    huge = Message.user([ToolResult("a", "first line\n" + "x y " * 50_000 + "\nlast line")])
    made = planned((user("go"), thought, huge))
    assert made is not None and made.kind == "cut"
    assert made.shortened[:2] == (user("go"), thought)
    (result,) = made.shortened[2].content
    assert isinstance(result, ToolResult)
    assert result.text.startswith("first line") and result.text.endswith("last line")
    assert "characters were cut out here" in result.text
    assert made.after <= ROOM.limit


def test_what_the_user_asks_is_never_cut() -> None:
    assert planned((user("long " * 10_000),)) is None
    made = planned((user("hello"), *rounds(2, 400), Message.assistant("hi"), user("long " * 10_000)))
    assert made is None or made.shortened[-1].text == "long " * 10_000


def test_what_was_pasted_into_a_first_request_of_long_ago_does_not_fill_the_window_for_ever() -> None:
    made = planned((user("this: " + "long " * 10_000), Message.assistant("ok"), user("and now?")))
    assert made is not None
    assert made.shortened[0].text.startswith("this: long") and made.after <= ROOM.limit
    assert made.shortened[-1].text == "and now?"


def test_opaque_reasoning_goes_with_what_hangs_on_it() -> None:
    item = Opaque("openai", {"type": "reasoning", "id": "rs_1"})
    answer = Message.assistant([item, Text("words", extra={"id": "msg_1", "phase": "final"})])
    made = planned((user("go"), *rounds(20, 800), answer))
    assert made is not None
    assert made.shortened[-1].content == (Text("words", extra={"phase": "final"}),)


def test_one_pause_of_the_vendor_is_not_parted() -> None:
    parts = (Message.assistant("a" * 900), Message.assistant("b" * 900))
    made = planned(
        (user("go"), *rounds(20, 800), *parts, user("next")), Room(window=4_000, reserve=500, keep=300)
    )
    assert made is not None
    kept = [message.text[:1] for message in made.shortened]
    assert ("a" in kept) == ("b" in kept)


def test_defaults_are_shares_of_the_window() -> None:
    assert room_in(200_000, Compaction()) == Room(window=200_000, reserve=25_000, keep=25_000)
    assert room_in(8_000, Compaction(reserve_tokens=100_000)).limit > 0


def test_a_window_without_room_to_work_in_is_refused_and_the_message_says_what_is_enough() -> None:
    for compaction in (
        Compaction(),
        Compaction(reserve_tokens=900),
        Compaction(reserve_tokens=1, keep_recent_tokens=1),
        Compaction(reserve_tokens=3_000, keep_recent_tokens=9_000),
    ):
        for fixed in (0, 1_234, 50_000):
            with pytest.raises(ConfigurationError, match=r"write max_tokens=\d+ or more") as raised:
                check_window(LEAST_WORKING_TOKENS, compaction, fixed)
            least = int(str(raised.value).split("max_tokens=")[2].split()[0])
            assert check_window(least, compaction, fixed).window == least
            with pytest.raises(ConfigurationError):
                check_window(least - 30, compaction, fixed)


@pytest.mark.parametrize("bad", [0, -1, 1.5, True, "1000"])
def test_shares_that_cannot_be_are_refused(bad: object) -> None:
    with pytest.raises(ConfigurationError, match="reserve_tokens"):
        Compaction(reserve_tokens=bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="keep_recent_tokens"):
        Compaction(keep_recent_tokens=bad)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="fallback"):
        Compaction(fallback=bad)  # type: ignore[arg-type]


def test_a_gauge_is_not_fooled_by_a_conversation_that_changed_in_its_middle() -> None:
    gauge, messages = Gauge(), [user("a"), user("b " * 1_000), user("c")]
    before = gauge.size(messages)
    assert gauge.size([messages[0], user("b"), messages[2]]) < before - 400
