"""Long conversations in small windows, as a model sees them that counts on its own and refuses what does not fit."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import trio
import trio.testing

from alloy_trio.abc import Middleware, Provider
from alloy_trio.context import Compaction, is_summary
from alloy_trio.loop import run, stream
from alloy_trio.tools import Tool, scratchpad, tool
from alloy_trio.values import (
    Block,
    Completion,
    CompletionRequest,
    ConfigurationError,
    ContextOverflow,
    Event,
    Image,
    MalformedReply,
    Message,
    Origin,
    Overloaded,
    Result,
    Text,
    TextDelta,
    Thinking,
    ToolResult,
    ToolUse,
    Usage,
)
from alloy_trio.wire import problems, repair

FACT = "The launch code is CRIMSON-7431."
NOTE = "the vault is behind panel 88"
SUMMARY = "## Goal\nFind the vault.\n## Done\nLooked at many things, and wrote down what was in them.\n"
WIRES = ("anthropic", "bedrock", "deepseek", "gemini", "mistral", "ollama", "openai_chat", "openai_responses")


def count(text: str) -> int:
    """Tokens as a bad tokenizer has them: three letters to one, everything else on its own, two beyond ASCII."""
    return sum(
        -(-len(word) // 3) if word.isalpha() and word.isascii() else 1 if word.isascii() else 2 * len(word)
        for word in re.findall(r"[A-Za-z]+|[^A-Za-z\s]|\s+", text)
    )


def count_block(block: Block) -> int:
    if isinstance(block, Text | Thinking):
        return count(block.text) + 4
    if isinstance(block, ToolResult):
        parts = [Text(block.content)] if isinstance(block.content, str) else block.content
        return 12 + sum(map(count_block, parts))
    if isinstance(block, ToolUse):
        return 12 + count(json.dumps(block.input))
    return 1_200 if isinstance(block, Image) else 20 + count(repr(block))


_counted: dict[int, tuple[Message, int]] = {}


def count_message(message: Message) -> int:
    held = _counted.get(id(message))
    if held is None or held[0] is not message:
        held = _counted[id(message)] = message, 8 + sum(map(count_block, message.content))
    return held[1]


def wants_summary(request: CompletionRequest) -> bool:
    return "Answer with the summary only." in request.messages[-1].text


Say = Callable[[CompletionRequest], Sequence[Block]]
Sums = Callable[[CompletionRequest], Completion | str]


class Small(Provider):
    """A model with a small window, which it enforces.

    Args:
        window: tokens, counted as it counts.
        say: what it says to a request of the run's.
        sums: what it says when it is asked for a summary.
        figure: what it says that it used, made of what it did use.
    """

    name, model = "small", "small"

    def __init__(
        self,
        window: int,
        say: Say,
        *,
        sums: Sums = lambda request: SUMMARY,
        figure: Callable[[int], int] = lambda tokens: tokens,
    ) -> None:
        self.window = window
        self.requests: list[CompletionRequest] = []
        self.summaries: list[CompletionRequest] = []
        self.refused: list[int] = []
        self.largest = 0
        self._say, self._sums, self._figure = say, sums, figure
        self._checked: set[int] = set()

    async def complete(self, request: CompletionRequest) -> Completion:
        self._check(request)
        tokens = sum(map(count_message, request.messages)) + count(request.system or "")
        tokens += sum(count(spec.description + json.dumps(spec.input_schema)) for spec in request.tools)
        if tokens > self.window:
            self.refused.append(tokens)
            raise ContextOverflow(f"{tokens} tokens are more than {self.window}", provider=self.name)
        self.largest = max(self.largest, tokens)
        if wants_summary(request):
            self.summaries.append(request)
            said = self._sums(request)
            if isinstance(said, Completion):
                return said
            content: Sequence[Block] = (Text(said),)
        else:
            self.requests.append(request)
            content = self._say(request)
        message = Message("assistant", content, Origin(self.name, self.model))
        output = count_message(message)
        uses = "tool_use" if message.tool_uses else "end_turn"
        usage = Usage(input_tokens=self._figure(tokens), output_tokens=output)
        return Completion(message, uses, usage, self.model)

    def _check(self, request: CompletionRequest) -> None:
        messages = request.messages
        assert problems(messages) == ()
        assert repair(messages) is messages
        # The rest of the conversation is what it was when it was last looked at.
        if len(messages) > 1 and id(messages[1]) not in self._checked:
            self._checked.add(id(messages[1]))
            # Ollama's codec also refuses what is longer than a window of its own, which is not this model's.
            found = [(wire, found) for wire in WIRES for found in problems(messages, wire)]
            assert [(wire, problem) for wire, problem in found if "the window of 131072" not in problem] == []


def words(random_: random.Random, chars: int) -> str:
    kinds = [
        "the quick brown fox jumps over the lazy dog and goes home again ",
        "def find(path: Path, *, deep: bool = False) -> list[str]:\n    return [p.name for p in path]\n",
        '{"id": 482913, "total": 99.12, "tags": ["a1", "b2"], "ok": true},\n',
        "速い茶色の狐がのろまな犬を飛び越える。",
        "d41d8cd98f00b204e9800998ecf8427e:QmFzZTY0RGF0YQ==",
    ]
    kind = random_.choice(kinds)
    return (kind * (chars // len(kind) + 1))[:chars]


class Worker:
    """What a model does that works for a number of turns, remembers a note, and answers with what it remembers."""

    def __init__(self, turns: int, seed: int = 0, most: int = 3_000) -> None:
        self.turns = turns
        self.turn = 0
        self.most = most
        self.random = random.Random(seed)
        self.without_fact = 0

    def __call__(self, request: CompletionRequest) -> Sequence[Block]:
        self.turn += 1
        if FACT not in "".join(message.text for message in request.messages):
            self.without_fact += 1
        number = self.turn
        if number == 3:
            return [ToolUse(f"n{number}", "scratchpad", {"action": "write", "key": "vault", "value": NOTE})]
        if number == self.turns - 1:
            return [ToolUse(f"n{number}", "scratchpad", {"action": "read", "key": "vault"})]
        if number >= self.turns:
            read = [b.text for m in request.messages for b in m.content if isinstance(b, ToolResult)]
            return [Text(f"{FACT} And {read[-1]}.")]
        blocks: list[Block] = []
        if number % 3 == 0:
            blocks.append(Thinking(words(self.random, 300), "c2ln"))
        if number % 2:
            blocks.append(Text(words(self.random, 200)))
        calls = self.random.choice([1, 1, 1, 2, 3])
        chars = [int(self.most ** self.random.uniform(0.3, 1.0)) for _ in range(calls)]
        blocks += [
            ToolUse(f"c{number}_{n}", "look", {"chars": c, "seed": number}) for n, c in enumerate(chars)
        ]
        return blocks


@tool
async def look(chars: int, seed: int) -> str:
    """Look at something.

    Args:
        chars: how much of it
        seed: which
    """
    return words(random.Random(seed), chars)


TOOLS: tuple[Tool, ...] = (look, scratchpad)


async def converse(model: Small, turns: int = 500, **options: Any) -> tuple[Result, list[Event]]:
    options = {"max_tokens": model.window, "tools": TOOLS, "max_turns": turns, **options}
    async with stream(f"{FACT} Find the vault.", provider=model, event_buffer=100_000, **options) as events:
        seen = [event async for event in events]
    return events.result, seen


def kinds(events: Sequence[Event]) -> list[str]:
    return [event.payload["kind"] for event in events if event.event == "compaction"]


async def test_500_turns_stay_in_their_window_and_keep_what_was_planted() -> None:
    worker = Worker(500)
    model = Small(32_000, worker)
    result, events = await converse(model)
    assert result.status == "completed" and result.turns == 500
    assert model.refused == []
    assert worker.without_fact == 0
    assert FACT in result.text and NOTE in result.text
    done = kinds(events)
    assert set(done) <= {"cleared", "summarised"}
    assert result.usage.output_tokens > 0


def failing(request: CompletionRequest) -> str:
    raise Overloaded("busy", transient=False)


def overflowing(request: CompletionRequest) -> str:
    raise ContextOverflow("too long")


def ended(reason: str, *blocks: Block) -> Sums:
    message = Message("assistant", blocks or (Text(SUMMARY),), Origin("small", "small"))
    return lambda request: Completion(message, reason, Usage(input_tokens=10, output_tokens=10))


RUBBISH: dict[str, Sums] = {
    "fails": failing,
    "does not fit": overflowing,
    "is empty": lambda request: "",
    "says nothing": lambda request: "OK.",
    "is too long": lambda request: "## Goal\n" + "word " * 20_000,
    "is cut": ended("max_tokens"),
    "is refused": ended("refusal"),
    "calls tools": ended("tool_use", ToolUse("x", "look", {"chars": 1, "seed": 1})),
}


@pytest.mark.parametrize("sums", RUBBISH.values(), ids=RUBBISH)
async def test_without_a_summary_that_is_any_good_the_conversation_goes_on_truncated(sums: Sums) -> None:
    worker = Worker(200)
    model = Small(16_000, worker, sums=sums)
    result, events = await converse(model, 200)
    assert result.status == "completed" and model.refused == [] and worker.without_fact == 0
    assert FACT in result.text and NOTE in result.text
    assert "truncated" in kinds(events) and "summarised" not in kinds(events)


@pytest.mark.parametrize(("window", "most"), [(2_500, 300), (4_000, 500), (8_000, 1_000), (128_000, 30_000)])
async def test_small_and_large_windows_are_kept(window: int, most: int) -> None:
    worker = Worker(200, most=most)
    model = Small(window, worker)
    result, _ = await converse(model, 200)
    assert result.status == "completed" and model.refused == [] and worker.without_fact == 0
    assert FACT in result.text and NOTE in result.text


@pytest.mark.parametrize("window", [8_000, 32_000])
async def test_results_that_are_larger_than_the_window_are_cut(window: int) -> None:
    worker = Worker(100, most=300_000)
    model = Small(window, worker)
    result, _ = await converse(model, 100)
    assert result.status == "completed" and model.refused == [] and worker.without_fact == 0
    assert FACT in result.text and NOTE in result.text


FIGURES: dict[str, Callable[[int], int]] = {
    "nothing": lambda tokens: 0,
    "too much": lambda tokens: 10**9,
    "twice the window": lambda tokens: 31_000,
    "half": lambda tokens: tokens // 2,
    "anything": lambda tokens: [0, tokens, tokens // 3, tokens * 3, 10**7][tokens % 5],
}


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
async def test_a_model_that_reports_a_wrong_usage_costs_a_retry_at_most_now_and_then(
    figure: Callable[[int], int],
) -> None:
    worker = Worker(200)
    model = Small(16_000, worker, figure=figure)
    result, events = await converse(model, 200)
    assert result.status == "completed" and worker.without_fact == 0
    assert FACT in result.text and NOTE in result.text
    assert len(model.refused) <= 5
    assert len(kinds(events)) < 100  # never one for each turn


@pytest.mark.parametrize("figure", [lambda tokens: tokens, lambda tokens: 0], ids=["measured", "unmeasured"])
async def test_a_window_that_is_smaller_than_was_believed_is_found_out(figure: Callable[[int], int]) -> None:
    worker = Worker(200)
    model = Small(16_000, worker, figure=figure)
    result, _ = await converse(model, 200, max_tokens=32_000)
    assert result.status == "completed" and worker.without_fact == 0
    assert 1 <= len(model.refused) <= 6


async def test_without_compaction_the_overflow_is_the_runs_error() -> None:
    model = Small(4_000, Worker(100))
    with pytest.raises(ContextOverflow) as raised:
        await run("go", provider=model, tools=TOOLS, max_turns=100, compaction=None)
    assert raised.value.result is not None and raised.value.result.status == "error"
    assert problems(raised.value.result.messages) == ()
    assert len(model.refused) == 1 and model.summaries == []


async def test_a_prompt_larger_than_the_window_is_never_cut() -> None:
    model = Small(4_000, Worker(3))
    with pytest.raises(ContextOverflow, match="tokens are more than 4000"):
        await run("word " * 4_000, provider=model, max_tokens=4_000)
    assert len(model.refused) == 1


async def test_a_prompt_that_cannot_fit_by_any_count_is_not_sent() -> None:
    model = Small(4_000, Worker(3))
    with pytest.raises(ContextOverflow, match="hand over the long part as a file"):
        await run("word " * 40_000, provider=model, max_tokens=4_000)
    assert model.refused == []


async def test_without_fallback_the_summarys_error_ends_the_run_and_nothing_is_lost() -> None:
    model = Small(8_000, Worker(200), sums=failing)
    with pytest.raises(Overloaded) as raised:
        await converse(model, 200, compaction=Compaction(fallback=None))
    result = raised.value.result
    assert result is not None and problems(result.messages) == ()
    assert sum(len(message.tool_uses) for message in result.messages) == len(result.tool_calls)


async def test_without_fallback_a_useless_summary_is_a_malformed_reply() -> None:
    with pytest.raises(MalformedReply, match=r"says nothing: 'OK\.'"):
        await converse(
            Small(8_000, Worker(200), sums=lambda r: "OK."), 200, compaction=Compaction(fallback=None)
        )


async def test_the_summary_is_asked_for_in_place_first_and_updates_the_one_before() -> None:
    model = Small(16_000, Worker(200))
    await converse(model, 200, system_prompt="Be brief.")
    asked, sent = model.summaries[0], model.requests
    before = next(
        request for request in reversed(sent) if request.messages == asked.messages[: len(request.messages)]
    )
    assert asked.system == "Be brief." and asked.tools == before.tools and asked.tool_choice is None
    assert all(new is old for new, old in zip(asked.messages, before.messages, strict=False))
    assert "bring it up to date" not in asked.messages[-1].text
    again = model.summaries[-1]
    assert sum(map(is_summary, again.messages)) == 1
    assert "bring it up to date" in again.messages[-1].text


async def test_a_model_that_calls_tools_for_a_summary_is_asked_again_without_any() -> None:
    def sums(request: CompletionRequest) -> Completion | str:
        return (
            SUMMARY if request.tool_choice == "none" else ended("tool_use", ToolUse("x", "look", {}))(request)
        )

    model = Small(16_000, Worker(100), sums=sums)
    _, events = await converse(model, 100)
    assert "summarised" in kinds(events)
    assert [request.tool_choice for request in model.summaries][:2] == [None, "none"]


async def test_what_does_not_fit_is_summarised_in_parts() -> None:
    talk = [
        m
        for n in range(60)
        for m in (Message.user(f"Wish {n}: {'yes ' * 150}"), Message.assistant("ok " * 150))
    ]
    model = Small(6_000, lambda request: [Text("done")])
    async with stream("now", provider=model, messages=talk, max_tokens=6_000) as events:
        seen = [event async for event in events]
    assert events.result.text == "done"
    assert len(model.refused) <= 1  # nothing was measured yet: it may be tried in place
    assert kinds(seen) == ["summarised"]
    assert len(model.summaries) > 1 and all(len(request.messages) == 1 for request in model.summaries)
    assert (
        "Part 1 of" in model.summaries[0].messages[0].text
        and "Wish 1:" in model.summaries[0].messages[0].text
    )
    assert "The summary so far:\n<summary>\n## Goal" in model.summaries[1].messages[0].text
    first, summary, *rest = model.requests[0].messages
    assert first.text.startswith("Wish 0:") and is_summary(summary) and rest[-1].text == "now"


async def test_summaries_are_paid_for_but_are_no_turns_and_are_not_read_by_anybody() -> None:
    model = Small(16_000, Worker(100))
    result, events = await converse(model, 100)
    summaries, answers = len(model.summaries), len(model.requests)
    assert summaries and answers == 100 == result.turns
    assert [event.turn for event in events if event.event == "turn_start"] == list(range(1, 101))
    text = "".join(event.payload for event in events if event.event == "text_delta")
    assert SUMMARY not in text and SUMMARY not in result.text
    plain = sum(event.payload["usage"]["output_tokens"] for event in events if event.event == "turn_end")
    assert result.usage.output_tokens == plain + summaries * (8 + count(SUMMARY) + 4)


async def test_the_event_says_what_was_won() -> None:
    _, events = await converse(Small(16_000, Worker(100)), 100)
    payloads = [event.payload for event in events if event.event == "compaction"]
    assert payloads
    for payload in payloads:
        assert payload.keys() == {"before_tokens", "after_tokens", "kind"}
        assert 0 < payload["after_tokens"] < payload["before_tokens"]


async def test_on_compaction_sees_what_goes_before_it_goes() -> None:
    seen: list[tuple[tuple[Message, ...], Any, int]] = []
    model = Small(8_000, Worker(100))

    async def remember(messages: tuple[Message, ...], context: Any) -> None:
        seen.append((messages, context, len(model.summaries)))

    _, events = await converse(model, 100, on_compaction=remember, context={"who": "me"})
    assert len(seen) == len(kinds(events))
    assert all(messages and context == {"who": "me"} for messages, context, _ in seen)
    assert seen[0][2] == 0
    assert not any(is_summary(message) for messages, _, _ in seen for message in messages)


async def test_what_on_compaction_raises_ends_the_run() -> None:
    async def fail(messages: tuple[Message, ...], context: Any) -> None:
        raise KeyError("disk")

    with pytest.raises(KeyError, match="disk"):
        await run(FACT, provider=Small(8_000, Worker(100)), tools=TOOLS, max_tokens=8_000, on_compaction=fail)


class Around(Middleware):
    def __init__(self, change: Callable[[tuple[Message, ...]], Any] | None = None) -> None:
        self.seen: list[tuple[int, int]] = []
        self.change = change

    async def compaction(self, messages: Any, proceed: Any, run: Any) -> Any:
        left = await proceed(messages)
        self.seen.append((len(messages), len(left)))
        return left if self.change is None else self.change(left)


async def test_middleware_lies_around_a_compaction() -> None:
    around = Around(lambda left: [*left, Message.user("Remember the vault.")])
    model = Small(8_000, Worker(60))
    result, events = await converse(model, 60, middleware=[around])
    assert result.status == "completed" and len(around.seen) == len(kinds(events)) > 0
    assert any("Remember the vault." in message.text for message in model.requests[-1].messages)


async def test_middleware_may_shorten_by_itself_and_what_it_leaves_is_repaired() -> None:
    class Drops(Middleware):
        async def compaction(self, messages: Any, proceed: Any, run: Any) -> Any:
            return [messages[0], *messages[-1:]]

    result, _ = await converse(Small(8_000, Worker(60)), 60, middleware=[Drops()])
    assert result.status == "completed"


async def test_an_answer_without_a_word_for_want_of_room_is_asked_for_again_once() -> None:
    said: list[Completion | str] = []

    def answer(reason: str) -> Completion:
        thought = Message("assistant", (Thinking("hm", "sig"),), Origin("small", "small"))
        return Completion(thought, reason, Usage(input_tokens=9_000, output_tokens=5))

    class Silent(Small):
        async def complete(self, request: CompletionRequest) -> Completion:
            if not wants_summary(request) and len(said) < 1:
                said.append("")
                return answer("context_overflow")
            return await super().complete(request)

    talk = [m for n in range(20) for m in (Message.user("yes " * 300), Message.assistant("ok " * 300))]
    model = Silent(32_000, lambda request: [Text("done")])
    result = await run("now", provider=model, messages=talk, max_tokens=32_000)
    assert result.text == "done" and result.status == "completed" and result.turns == 2
    assert len(result.messages) < len(talk)
    assert result.usage.input_tokens > 9_000
    assert not any(isinstance(block, Thinking) for message in result.messages for block in message.content)


async def test_an_overflow_that_comes_again_is_raised() -> None:
    class Full(Small):
        async def complete(self, request: CompletionRequest) -> Completion:
            if not wants_summary(request):
                self.refused.append(len(request.messages))
                raise ContextOverflow("full")
            return await super().complete(request)

    talk = [m for n in range(20) for m in (Message.user("yes " * 300), Message.assistant("ok " * 300))]
    model = Full(32_000, lambda request: [])
    with pytest.raises(ContextOverflow, match="full"):
        await run("now", provider=model, messages=talk)
    assert len(model.refused) == 2 and model.refused[1] < model.refused[0]
    nothing = Full(32_000, lambda request: [])
    with pytest.raises(ContextOverflow, match="full"):
        await run("hello", provider=nothing)
    assert len(nothing.refused) == 1


async def test_what_the_reader_has_seen_is_not_asked_for_again() -> None:
    class Breaks(Small):
        async def stream(self, request: CompletionRequest, deltas: Any) -> Completion:
            self.refused.append(1)
            await deltas.send(TextDelta("I thought"))
            raise ContextOverflow("full")

    talk = [m for n in range(20) for m in (Message.user("yes " * 300), Message.assistant("ok " * 300))]
    model = Breaks(32_000, lambda request: [])
    with pytest.raises(ContextOverflow):
        async with stream("now", provider=model, messages=talk) as events:
            await events.drain()
    assert model.refused == [1] and events.result.text == "I thought"


async def test_a_paused_answer_is_not_shortened_before_it_goes_on() -> None:
    parts = iter([("pause_turn", "one " * 9_000), ("end_turn", "two")])

    class Pausing(Small):
        async def complete(self, request: CompletionRequest) -> Completion:
            self.requests.append(request)
            reason, text = next(parts)
            return Completion(Message("assistant", (Text(text),), Origin("small", "small")), reason)

    model = Pausing(4_000, lambda request: [])
    result = await run("now", provider=model, max_tokens=4_000)
    assert result.status == "completed" and model.summaries == []
    assert model.requests[1].messages[:-1] == model.requests[0].messages


async def test_the_models_own_window_is_looked_up_and_overrides_count() -> None:
    worker = Worker(150)
    model = Small(16_000, worker)
    result, events = await converse(model, 150, max_tokens=None, model_metadata_overrides={"small": 16_000})
    assert result.status == "completed" and model.refused == [] and kinds(events)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": 0}, "max_tokens=0"),
        ({"max_tokens": "many"}, "max_tokens='many'"),
        ({"max_tokens": 500}, r"max_tokens=500 is too small a window.*write max_tokens=1\d\d\d or more"),
        (
            {"max_tokens": 4_000, "system_prompt": "long " * 9_000},
            "the system prompt and the tools take about",
        ),
        ({"compaction": True}, None),
        ({"compaction": 7}, "compaction=7"),
        ({"compaction": Compaction}, "must be a Compaction"),
        ({"compaction": None, "max_tokens": 10}, None),
        ({"on_compaction": 7}, "on_compaction=7"),
    ],
)
async def test_options_that_cannot_work_are_refused(options: dict[str, Any], message: str | None) -> None:
    model = Small(4_000, lambda request: [Text("hi")])
    if message is None:
        assert (await run("hello", provider=model, **options)).text == "hi"
        return
    with pytest.raises(ConfigurationError, match=message):
        await run("hello", provider=model, **options)
    assert model.requests == []


async def test_a_cancel_in_the_midst_of_a_summary_leaves_the_conversation_whole(
    autojump_clock: trio.testing.MockClock,
) -> None:
    class Slow(Small):
        async def complete(self, request: CompletionRequest) -> Completion:
            if wants_summary(request):
                await trio.sleep_forever()
            return await super().complete(request)

    model = Slow(8_000, Worker(100))
    with trio.move_on_after(5):
        async with stream(FACT, provider=model, tools=TOOLS, max_turns=100, max_tokens=8_000) as events:
            await events.drain()
    result = events.result
    assert result.status == "cancelled" and problems(result.messages) == ()
    assert sum(len(message.tool_uses) for message in result.messages) == len(result.tool_calls)
