"""The scripted model: a double that is checked like what it stands for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

import alloy_trio
from alloy_trio.providers import Delayed, Scripted, Streamed
from alloy_trio.values import (
    Completion,
    CompletionRequest,
    ConfigurationError,
    Delta,
    MalformedReply,
    Message,
    Origin,
    Overloaded,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolInputDelta,
    ToolResult,
    ToolUse,
    Usage,
    UsageDelta,
)

ASKED = CompletionRequest((Message.user("one two three"),))


class Sink:
    def __init__(self) -> None:
        self.deltas: list[Delta] = []

    async def send(self, delta: Delta) -> None:
        await trio.lowlevel.checkpoint()
        self.deltas.append(delta)

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        for delta in deltas:
            await self.send(delta)


async def test_turns_come_in_order_and_may_be_anything() -> None:
    whole = Completion(Message.assistant("whole"), "stop_sequence", Usage(output_tokens=99), "other")

    async def later(request: CompletionRequest) -> list[Text]:
        await trio.lowlevel.checkpoint()
        return [Text(request.messages[-1].text.upper())]

    model = Scripted(["a", [Text("b"), Text("c")], whole, later, lambda request: "e"])
    completions = [await model.complete(ASKED) for _ in range(5)]
    assert [completion.message.text for completion in completions] == [
        "a",
        "bc",
        "whole",
        "ONE TWO THREE",
        "e",
    ]
    assert (completions[2].stop_reason, completions[2].usage, completions[2].model) == (
        "stop_sequence",
        Usage(output_tokens=99),
        "other",
    )
    assert model.requests == [ASKED] * 5
    model.assert_exhausted()


async def test_an_exception_is_raised_also_when_a_function_returns_it() -> None:
    model = Scripted([Overloaded("first"), lambda request: Overloaded("second")])
    for words in ("first", "second"):
        with pytest.raises(Overloaded, match=words):
            await model.complete(ASKED)


async def test_blocks_before_an_exception_are_streamed() -> None:
    sink = Sink()
    with pytest.raises(Overloaded):
        await Scripted([[Text("half of"), Overloaded("gone")]]).stream(ASKED, sink)
    assert sink.deltas == [UsageDelta(Usage(input_tokens=3)), TextDelta("half "), TextDelta("of")]


async def test_asking_beyond_the_script_names_what_was_asked() -> None:
    model = Scripted(["only"])
    await model.complete(ASKED)
    with pytest.raises(AssertionError, match=r"1 turns and was asked for one more(?s:.*)text: one two three"):
        await model.complete(ASKED)


async def test_assert_exhausted_names_the_next_turn() -> None:
    model = Scripted(["first", "second"])
    await model.complete(ASKED)
    with pytest.raises(AssertionError, match=r"1 of the script's 2 turns.*'second'"):
        model.assert_exhausted()


@pytest.mark.parametrize("turn", [7, None, Overloaded, [7], [Overloaded("x"), Text("y")], ["words"]])
def test_what_is_no_turn_is_refused_when_the_script_is_made(turn: object) -> None:
    with pytest.raises(ConfigurationError, match="turn 2 of a script"):
        Scripted(["fine", turn])  # type: ignore[list-item]


def test_a_str_instead_of_a_script_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"write Scripted\(\['hello'\]\)"):
        Scripted("hello")


async def test_a_function_that_returns_nonsense_is_named() -> None:
    with pytest.raises(ConfigurationError, match="turn 1 of a script returned 7"):
        await Scripted([lambda request: 7]).complete(ASKED)  # type: ignore[list-item, return-value]


async def test_calls_without_an_id_are_numbered_through_the_script() -> None:
    model = Scripted([[ToolUse("", "a", {}), ToolUse("mine", "b", {})], [ToolUse("", "c", {})]])
    ids = [use.id for _ in range(2) for use in (await model.complete(ASKED)).message.tool_uses]
    assert ids == ["call_1", "mine", "call_2"]


async def test_messages_carry_their_origin() -> None:
    own = Completion(Message("assistant", "x", Origin("other", "m")), "end_turn")
    model = Scripted(["a", Completion(Message.assistant("b"), "end_turn"), own], name="n", model="m")
    origins = [(await model.complete(ASKED)).message.origin for _ in range(3)]
    assert origins == [Origin("n", "m"), Origin("n", "m"), Origin("other", "m")]


@pytest.mark.parametrize(
    ("turn", "limit", "text", "uses", "reason"),
    [
        ("one two three", 3, "one two three", 0, "end_turn"),
        ("one two three", 2, "one two ", 0, "max_tokens"),
        ([Text("one"), ToolUse("", "t", {"a": 1})], 4, "one", 1, "tool_use"),
        ([Text("one"), ToolUse("", "t", {"a": 1})], 3, "one", 0, "max_tokens"),
        ([Text("one two"), ToolUse("", "t", {})], 1, "one ", 0, "max_tokens"),
    ],
)
async def test_max_tokens_cuts_and_leaves_no_half_call(
    turn: str | list[Text | ToolUse], limit: int, text: str, uses: int, reason: str
) -> None:
    request = CompletionRequest((Message.user("go"),), max_tokens=limit)
    completion = await Scripted([turn]).complete(request)
    assert completion.message.text == text
    assert len(completion.message.tool_uses) == uses
    assert completion.stop_reason == reason
    assert completion.usage.output_tokens <= limit


BLOCKS = st.lists(
    st.one_of(
        st.builds(Text, st.text(min_size=1)),
        st.builds(Thinking, st.text(min_size=1)),
        st.builds(
            ToolUse,
            st.just(""),
            st.just("t"),
            st.dictionaries(st.text(), st.one_of(st.integers(), st.text())),
        ),
    ),
    max_size=5,
)


@given(BLOCKS, st.one_of(st.none(), st.integers(0, 20)))
def test_the_deltas_add_up_to_the_completion(
    blocks: list[Text | Thinking | ToolUse], limit: int | None
) -> None:
    async def streamed() -> tuple[Completion, list[Delta]]:
        sink = Sink()
        request = CompletionRequest((Message.user("go"),), max_tokens=limit)
        return await Scripted([blocks]).stream(request, sink), sink.deltas

    completion, deltas = trio.run(streamed)
    content = completion.message.content
    assert "".join(d.text for d in deltas if isinstance(d, TextDelta)) == completion.message.text
    thought = "".join(block.text for block in content if isinstance(block, Thinking))
    assert "".join(d.text for d in deltas if isinstance(d, ThinkingDelta)) == thought
    inputs: dict[str, str] = {}
    for delta in deltas:
        if isinstance(delta, ToolInputDelta):
            inputs[delta.id] = inputs.get(delta.id, "") + delta.partial_json
    assert {use.id: use.input for use in completion.message.tool_uses} == {
        id: json.loads(text) for id, text in inputs.items()
    }
    assert deltas[-1] == UsageDelta(completion.usage)


async def test_usage_counts_the_words_of_the_conversation_whichever_way_it_grew() -> None:
    """The count is kept between turns; a conversation that went another way is counted anew."""
    model = Scripted(["a b"] * 4)
    first = (Message.user("one two three"),)
    longer = (*first, Message.assistant("x y"), Message.user([ToolResult("1", "p q r s")]))
    asked = [first, longer, (Message.user("z"), *longer[1:]), first]
    counts = [
        (await model.complete(CompletionRequest(messages, system="be brief"))).usage for messages in asked
    ]
    assert [usage.input_tokens for usage in counts] == [5, 11, 9, 5]
    assert {usage.output_tokens for usage in counts} == {2}


async def test_a_cancelled_call_takes_nothing_from_the_script() -> None:
    model = Scripted(["first"])
    with trio.CancelScope() as scope:
        scope.cancel()
        await model.complete(ASKED)
    assert model.requests == []
    assert (await model.complete(ASKED)).message.text == "first"


async def test_every_call_is_a_checkpoint() -> None:
    model = Scripted(["a", "b"])
    with trio.testing.assert_checkpoints():
        await model.complete(ASKED)
    with trio.testing.assert_checkpoints():
        await model.stream(ASKED, Sink())


async def test_a_delay_passes_before_the_answer_whatever_it_is(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async def slowly(request: CompletionRequest) -> Delayed:
        await trio.sleep(1)
        return Delayed(2, "c")

    model = Scripted([Delayed(5, "a"), Delayed(1, Overloaded("b")), Delayed(3, slowly)])
    waited = []
    for _ in range(3):
        start = trio.current_time()
        try:
            await model.complete(ASKED)
        except Overloaded:
            pass
        waited.append(trio.current_time() - start)
    assert waited == [5, 1, 6]
    model.assert_exhausted()


async def test_a_cancel_during_a_delay_has_asked(autojump_clock: trio.testing.MockClock) -> None:
    model = Scripted([Delayed(5, "a"), "b"])
    with trio.move_on_after(1):
        await model.complete(ASKED)
    assert model.requests == [ASKED]
    assert (await model.complete(ASKED)).message.text == "b"


class Timed(Sink):
    """Remembers what came together, and when."""

    def __init__(self) -> None:
        super().__init__()
        self.together: list[tuple[float, list[Delta]]] = []

    async def send(self, delta: Delta) -> None:
        await self.send_all((delta,))

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        items = list(deltas)
        if not isinstance(items[0], UsageDelta):
            self.together.append((trio.current_time(), items))


async def test_a_streamed_turn_arrives_in_its_pieces_and_at_its_times(
    autojump_clock: trio.testing.MockClock,
) -> None:
    use = ToolUse("", "t", {"a": 1})
    turn = Streamed(["Hel", 0.5, ["lo", TextDelta("!")], Thinking("so"), use, 2], between=1)
    model, sink = Scripted([turn, turn]), Timed()
    start = trio.current_time()
    completion = await model.stream(ASKED, sink)
    assert completion.message.content == (Text("Hello!"), Thinking("so"), ToolUse("call_1", "t", {"a": 1}))
    assert completion.stop_reason == "tool_use"
    assert [(at - start, deltas) for at, deltas in sink.together] == [
        (0, [TextDelta("Hel")]),
        (1.5, [TextDelta("lo"), TextDelta("!")]),
        (2.5, [ThinkingDelta("so")]),
        (3.5, [ToolInputDelta("call_1", "t", ""), ToolInputDelta("call_1", "t", '{"a": 1}')]),
    ]
    assert trio.current_time() - start == 5.5
    start = trio.current_time()
    assert (await model.complete(ASKED)).message.text == "Hello!"
    assert trio.current_time() - start == 5.5


async def test_a_streamed_turn_fails_after_some_pieces() -> None:
    """Also in the midst of a call's arguments."""
    opened = ToolInputDelta("1", "t", '{"pa')
    for turn, reached in (
        (Streamed(["one ", "two", Overloaded("gone")]), [TextDelta("one "), TextDelta("two")]),
        (Streamed([opened, MalformedReply("cut")]), [opened]),
    ):
        sink = Sink()
        with pytest.raises((Overloaded, MalformedReply)):
            await Scripted([turn]).stream(ASKED, sink)
        assert sink.deltas[1:] == reached


@pytest.mark.parametrize(
    ("pieces", "content"),
    [
        ([], ()),
        (["a", TextDelta("b"), ThinkingDelta("c"), ThinkingDelta("d"), "e"], (Text("ab"), Thinking("cd"), Text("e"))),
        (["a", Text("b")], (Text("a"), Text("b"))),
        ([ToolInputDelta("1", "t", ""), ToolInputDelta("1", "t", "{}")], (ToolUse("1", "t", {}),)),
        (
            [ToolInputDelta("1", "t", '{"a":'), ToolInputDelta("1", "t", "2}"), ToolInputDelta("2", "t", "")],
            (ToolUse("1", "t", {"a": 2}), ToolUse("2", "t", {})),
        ),
        ([ToolInputDelta("1", "t", "[1]")], (ToolUse("1", "t", {}, "[1]"),)),
        ([ToolInputDelta("1", "t", '{"a')], (ToolUse("1", "t", {}, '{"a'),)),
    ],
)  # fmt: skip
async def test_pieces_that_belong_together_become_one_block(
    pieces: Sequence[Any], content: tuple[Any, ...]
) -> None:
    completion = await Scripted([Streamed(pieces)]).stream(ASKED, Sink())
    assert completion.message.content == content


async def test_a_streamed_turn_is_cut_by_max_tokens_too() -> None:
    request = CompletionRequest((Message.user("go"),), max_tokens=2)
    sink = Sink()
    completion = await Scripted([Streamed(["one two ", "three"])]).stream(request, sink)
    assert (completion.message.text, completion.stop_reason) == ("one two ", "max_tokens")
    assert [delta for delta in sink.deltas if isinstance(delta, TextDelta)] == [
        TextDelta("one "),
        TextDelta("two "),
    ]


@pytest.mark.parametrize(
    "pieces",
    [[None], [True], [-1], [float("nan")], [Overloaded("x"), "y"], [["a", 1.0]], [["a", Overloaded("x")]]],
)
def test_what_is_no_piece_is_refused(pieces: Any) -> None:
    with pytest.raises(ConfigurationError, match="piece 1 of a Streamed"):
        Streamed(pieces)


@pytest.mark.parametrize("seconds", [-1, "1", None, float("nan")])
def test_a_delay_has_to_be_seconds(seconds: Any) -> None:
    with pytest.raises(ConfigurationError, match="seconds="):
        Delayed(seconds, "a")
    with pytest.raises(ConfigurationError, match="between="):
        Streamed([], between=seconds)


def test_a_delay_of_nonsense_is_no_turn() -> None:
    with pytest.raises(ConfigurationError, match="turn 1 of a script"):
        Scripted([Delayed(1, 7)])  # type: ignore[arg-type]


async def test_a_strict_script_lets_the_expected_requests_through() -> None:
    answered = CompletionRequest((Message.user([ToolResult("1", "it is 4 degrees")]),))
    expect = ["two", None, ASKED, lambda request: len(request.messages) == 1, "4 degrees"]
    model = Scripted(["a", "b", "c", "d", "e"], expect=expect)
    for request in (ASKED, ASKED, ASKED, ASKED, answered):
        await model.complete(request)
    model.assert_exhausted()


def nobody(request: CompletionRequest) -> bool:
    return False


@pytest.mark.parametrize(
    ("expected", "words"),
    [
        (
            "four",
            "request 1 was to have 'four' in its last message, and is\n  user:\n    text: one two three",
        ),
        (nobody, "request 1 is not what nobody expects:\n  user:\n    text: one two three"),
        (
            CompletionRequest((Message.user("one"),), max_tokens=3),
            "request 1 is not the one expected:\n--- expected\n+++ got\n-max_tokens: 3\n user:\n"
            "-  text: one\n+  text: one two three",
        ),
    ],
)
async def test_a_strict_script_fails_on_another_request_and_shows_the_difference(
    expected: Any, words: str
) -> None:
    model = Scripted(["a"], expect=[expected])
    with pytest.raises(AssertionError) as caught:
        await model.complete(ASKED)
    assert str(caught.value) == words
    assert model.requests == [ASKED]


async def test_an_unexpected_request_that_was_survived_fails_in_the_end() -> None:
    """A tool's error goes to the model, whatever it was; here the tool asks a model of its own."""
    inner = Scripted(["a"], expect=["something else"])

    @alloy_trio.tool
    async def ask() -> str:
        """Ask."""
        return (await inner.complete(ASKED)).message.text

    outer = Scripted([[ToolUse("", "ask", {})], "done"])
    result = await alloy_trio.run("go", provider=outer, tools=[ask])
    assert result.text == "done"
    with pytest.raises(AssertionError, match="was to have 'something else'"):
        inner.assert_exhausted()


@pytest.mark.parametrize("expect", [[], ["a", "b"], "a"])
def test_there_is_one_expectation_for_each_turn(expect: Any) -> None:
    with pytest.raises(ConfigurationError, match="expectations for 1 turns"):
        Scripted(["a"], expect=expect)


def test_nonsense_is_no_expectation() -> None:
    with pytest.raises(ConfigurationError, match="expectation 2 of a script is 7"):
        Scripted(["a", "b"], expect=[None, 7])  # type: ignore[list-item]
