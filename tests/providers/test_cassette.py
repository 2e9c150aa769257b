"""Traffic recorded to a file and answered from it: what goes in comes out."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

import alloy_trio
from alloy_trio._seed import seeded
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.providers import (
    Delayed,
    Fallback,
    Hedge,
    NotRecorded,
    Retry,
    Scripted,
    Streamed,
    record,
    replay,
)
from alloy_trio.testing import no_leaks, strategies
from alloy_trio.values import (
    AuthenticationFailed,
    Completion,
    CompletionRequest,
    ConfigurationError,
    Delta,
    LocalError,
    Message,
    Overloaded,
    RateLimited,
    RemoteError,
    ServerFault,
    TextDelta,
    ToolResult,
    ToolUse,
    TransportError,
    Usage,
    UsageDelta,
)

ASKED = CompletionRequest((Message.user("one two three"),))


def asked(text: str) -> CompletionRequest:
    return CompletionRequest((Message.user(text),))


class Sink:
    """Remembers what was handed over together."""

    def __init__(self) -> None:
        self.pieces: list[tuple[Delta, ...]] = []

    async def send(self, delta: Delta) -> None:
        await self.send_all((delta,))

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        await trio.lowlevel.checkpoint()
        self.pieces.append(tuple(deltas))

    @property
    def text(self) -> str:
        return "".join(d.text for piece in self.pieces for d in piece if isinstance(d, TextDelta))


class Said(Provider):
    """Says what it is told to, in the pieces that it is told."""

    name, model = "said", "m"

    def __init__(self, pieces: Iterable[Iterable[Delta]], end: Completion | RemoteError) -> None:
        self.pieces = [tuple(piece) for piece in pieces]
        self.end = end

    async def complete(self, request: CompletionRequest) -> Completion:
        await trio.lowlevel.checkpoint()
        if isinstance(self.end, RemoteError):
            raise self.end
        return self.end

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        for piece in self.pieces:
            await deltas.send_all(piece)
        return await self.complete(request)


async def outcome(
    provider: Provider, request: CompletionRequest, *, streaming: bool = True
) -> tuple[list[tuple[Delta, ...]], Completion | dict[str, Any]]:
    """The pieces, and the completion or all that there is to an error."""
    sink = Sink()
    async with provider:
        try:
            end = await (provider.stream(request, sink) if streaming else provider.complete(request))
        except RemoteError as error:
            return sink.pieces, {"kind": type(error), "args": error.args, **vars(error)}
    return sink.pieces, end


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "run.jsonl"


def read(file: Path) -> bytes:
    return file.read_bytes()


def write(file: Path, data: str | bytes) -> None:
    file.write_bytes(data.encode() if isinstance(data, str) else data)


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read(file).decode().splitlines()]


WORDS = strategies.texts()
REQUESTS = strategies.completion_requests()
KINDS = [RemoteError, *RemoteError.__subclasses__()]


@st.composite
def errors(draw: st.DrawFn) -> RemoteError:
    error: RemoteError = draw(st.sampled_from(KINDS))(
        draw(WORDS),
        status=draw(st.none() | st.integers(100, 599)),
        request_id=draw(st.none() | WORDS),
        retry_after=draw(st.none() | st.floats(0, 1e6)),
        transient=draw(st.booleans()),
        provider=draw(st.none() | WORDS),
    )
    error.usage = draw(strategies.usages())
    return error


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(REQUESTS, st.lists(st.lists(strategies.deltas(), min_size=1, max_size=3), max_size=3)),
        max_size=3,
    ),
    st.data(),
    st.booleans(),
)
def test_what_is_recorded_is_replayed(
    tmp_path_factory: pytest.TempPathFactory, asked: list[Any], data: st.DataObject, streaming: bool
) -> None:
    """Every kind of request, delta, completion and error; equal requests in their order."""
    file = tmp_path_factory.mktemp("recorded") / "run.jsonl"
    providers = [Said(pieces, data.draw(strategies.completions() | errors())) for _, pieces in asked]

    async def main() -> None:
        seen = []
        for (request, _), provider in zip(asked, providers, strict=True):
            recorder = record(provider, file, mode="append")
            seen.append(await outcome(recorder, request, streaming=streaming))
            assert seen[-1] == await outcome(provider, request, streaming=streaming)
        if asked:
            player = replay(file)
            assert [await outcome(player, request, streaming=streaming) for request, _ in asked] == seen
            player.assert_exhausted()

    trio.run(main)


async def test_a_line_can_be_read_by_others(file: Path) -> None:
    async with record(Scripted(["Hi"], name="v", model="m"), file) as provider:
        await provider.stream(ASKED, Sink())
    (line,) = lines(file)
    assert (line["v"], line["number"], line["provider"]["name"], line["provider"]["model"]) == (
        1,
        1,
        "v",
        "m",
    )
    said = '{"content": [{"text": "one two three", "type": "Text"}], "role": "user", "type": "Message"}'
    digest = hashlib.sha256(said.encode()).hexdigest()
    canonical = f'["v", "m", {{"messages": [], "type": "CompletionRequest"}}, ["{digest}"]]'
    assert line["key"] == hashlib.sha256(canonical.encode()).hexdigest()
    assert line["request"]["messages"][0]["content"][0]["text"] == "one two three"
    assert [delta["type"] for piece in line["pieces"] for delta in piece["deltas"]] == [
        "usage_delta",
        "text_delta",
        "usage_delta",
    ]
    assert line["completion"]["stop_reason"] == "end_turn"


async def test_the_order_of_keys_in_what_a_tool_was_called_with_is_of_no_matter(file: Path) -> None:
    def request(given: dict[str, Any]) -> CompletionRequest:
        said = (ToolUse("1", "t", given),)
        return CompletionRequest(
            (Message.user("a"), Message.assistant(said), Message.user([ToolResult("1", "r")]))
        )

    async with record(Scripted(["Hi"]), file) as provider:
        await provider.complete(request({"a": 1, "b": [2]}))
    async with replay(file) as player:
        assert (await player.complete(request({"b": [2], "a": 1}))).message.text == "Hi"


async def test_a_whole_answer_is_replayed_as_a_stream_and_the_other_way_round(file: Path) -> None:
    async with record(Scripted(["Hi you", "Ho you"]), file) as provider:
        await provider.complete(asked("a"))
        await provider.stream(asked("b"), Sink())
    sink = Sink()
    async with replay(file) as player:
        assert (await player.stream(asked("a"), sink)).message.text == "Hi you"
        assert sink.pieces == [(TextDelta("Hi you"),)]
        assert (await player.complete(asked("b"))).message.text == "Ho you"


async def test_a_stream_without_pieces_is_replayed_without_them(file: Path) -> None:
    provider = Said([], Completion(Message.assistant("told in no piece"), "end_turn"))
    await outcome(record(provider, file), ASKED)
    assert (await outcome(replay(file), ASKED))[0] == []


async def test_equal_requests_are_answered_in_the_order_in_which_they_were_made(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    """Their answers came in another one."""
    said: list[str] = []

    async def ask(provider: Provider, seconds: float) -> None:
        await trio.sleep(seconds)
        said.append((await provider.complete(ASKED)).message.text)

    async with (
        record(Scripted([Delayed(9, "first"), "second"]), file) as provider,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(ask, provider, 0)
        nursery.start_soon(ask, provider, 1)
    assert said == ["second", "first"]
    async with replay(file) as player:
        assert [(await player.complete(ASKED)).message.text for _ in range(2)] == ["first", "second"]


async def test_parallel_runs_share_a_recorder(file: Path) -> None:
    def answer(request: CompletionRequest) -> str:
        return f"to {request.messages[-1].text}"

    async def run(provider: Provider, number: int, into: dict[int, str]) -> None:
        into[number] = (await alloy_trio.run(f"question {number}", provider=provider)).text

    recorded: dict[int, str] = {}
    replayed: dict[int, str] = {}
    for provider, into in ((record(Scripted([answer] * 20), file), recorded), (None, replayed)):
        async with trio.open_nursery() as nursery:
            one = provider or replay(file)
            for number in range(20):
                nursery.start_soon(run, one, number, into)
    assert replayed == recorded == {number: f"to question {number}" for number in range(20)}


async def test_pieces_come_at_once_or_at_their_times(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    turn = Streamed(["a ", 2, "b ", 3])
    async with record(Scripted([turn, Delayed(4, "c")]), file) as provider:
        await provider.stream(asked("a"), Sink())
        await provider.complete(asked("b"))
    for paced, seconds in ((False, (0, 0)), (True, (5, 4))):
        async with replay(file, paced=paced) as player:
            start = trio.current_time()
            await player.stream(asked("a"), Sink())
            middle = trio.current_time()
            await player.complete(asked("b"))
            assert (middle - start, trio.current_time() - middle) == seconds


# Errors and cancels


async def test_a_run_that_retries_is_replayed_with_its_retries(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    turns = [RateLimited("slow down", retry_after=7, status=429), TransportError("reset"), "whole"]
    seen = []
    for provider in (record(Scripted(turns), file), None):
        with seeded(1):
            async with alloy_trio.stream("go", provider=provider or replay(file)) as events:
                payloads = [(event.event, event.payload) async for event in events]
        seen.append((payloads, events.result.usage))
    assert seen[0] == seen[1]
    assert [name for name, _ in seen[0][0]].count("retry") == 2


async def test_each_attempt_is_recorded_inside_and_one_outcome_around(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    inside, around = tmp_path / "inside", tmp_path / "around"
    async with Retry(record(Scripted([Overloaded("no"), "yes"]), inside)) as provider:
        await provider.complete(ASKED)
    assert ["error" in line for line in lines(inside)] == [True, False]
    async with record(Retry(Scripted([Overloaded("no"), "yes"])), around) as recorder:
        sink = Sink()
        completion = await recorder.stream(ASKED, sink)
    assert len(lines(around)) == 1
    async with Retry(replay(inside)) as provider:
        assert (await provider.complete(ASKED)).message.text == "yes"
    player = replay(around)
    assert player.handles_failures
    again = Sink()
    async with player:
        assert await player.stream(ASKED, again) == completion
    assert again.pieces == sink.pieces
    assert any(isinstance(delta, alloy_trio.AttemptFailed) for piece in sink.pieces for delta in piece)


async def test_several_providers_share_a_file(file: Path) -> None:
    first = record(Scripted([AuthenticationFailed("no")], name="a", model="x/1"), file)
    second = record(Scripted(["from b"], name="b", model="y"), file, mode="append")
    made: list[Callable[[], Provider]] = [
        lambda: Fallback(first, second),
        lambda: Fallback(replay(file, provider="a/x/1"), replay(file, provider="b")),
        lambda: Fallback(replay(file), replay(file, provider="b/y")),
    ]
    for make in made:
        result = await alloy_trio.run("go", provider=make())
        assert result.text == "from b"
        assert result.messages[-1].origin == alloy_trio.Origin("b", "y")


async def test_an_error_of_a_class_of_somebodys_own_is_replayed_as_ours(file: Path) -> None:
    class Odd(Overloaded):
        pass

    async with record(Scripted([Odd("no", status=529)]), file) as provider:
        with pytest.raises(Odd):
            await provider.complete(ASKED)
    async with replay(file) as player:
        with pytest.raises(Overloaded) as caught:
            await player.complete(ASKED)
    assert (type(caught.value), caught.value.status, caught.value.transient) == (Overloaded, 529, True)


@pytest.mark.parametrize("error", [ConfigurationError("no key"), ValueError("a bug")])
async def test_what_is_no_answer_of_a_provider_is_not_recorded(file: Path, error: Exception) -> None:
    async with record(Scripted([error]), file) as provider:
        with pytest.raises(type(error)):
            await provider.complete(ASKED)
    assert read(file) == b""


async def test_a_cancelled_answer_is_replayed_as_far_as_it_came(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async def stopped(provider: Provider) -> tuple[str, bool]:
        sink = Sink()
        async with provider:
            with trio.move_on_after(5) as scope:
                await provider.stream(ASKED, sink)
        return sink.text, scope.cancelled_caught

    assert await stopped(record(Scripted([Streamed(["one ", 9, "two"])]), file)) == ("one ", True)
    assert lines(file)[0]["cancelled"]
    assert await stopped(replay(file)) == ("one ", True)


async def test_a_cancelled_answer_that_nobody_cancels_any_more_fails(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    async with record(Scripted([Delayed(9, "a")]), file) as provider:
        with trio.move_on_after(1):
            await provider.complete(ASKED)
    async with replay(file) as player:
        with pytest.raises(NotRecorded, match="it was cancelled then, and is not now"):
            await player.complete(ASKED)


async def test_update_asks_again_for_what_was_cancelled(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    model = Scripted([Delayed(9, "late"), "a", "b"])
    async with record(model, file) as provider:
        with trio.move_on_after(1):
            await provider.complete(ASKED)
    for _ in range(2):
        async with replay(file, update=model) as provider:
            assert (await provider.complete(ASKED)).message.text == "a"
    player = replay(file)
    async with player:
        assert (await player.complete(ASKED)).message.text == "a"
    player.assert_exhausted()
    assert len(model.requests) == 2


async def test_a_recorder_that_is_not_entered_says_so(file: Path) -> None:
    model = Scripted(["a"])
    with pytest.raises(ConfigurationError, match="is not open; use record"):
        await record(model, file).complete(ASKED)
    assert model.requests == []


async def test_an_answer_that_comes_after_the_recorder_was_left_is_not_lost_in_silence(
    file: Path, autojump_clock: trio.testing.MockClock
) -> None:
    provider = record(Scripted([Delayed(5, "a")]), file)

    async def ask() -> None:
        with pytest.raises(LocalError, match="it was left before the answer came"):
            await provider.complete(ASKED)

    async with trio.open_nursery() as nursery:
        async with provider:
            nursery.start_soon(ask)
            await trio.sleep(1)


async def test_a_hedge_is_replayed_with_its_loser(file: Path, autojump_clock: trio.testing.MockClock) -> None:
    slow = record(Scripted([Delayed(50, "slow")], name="a"), file)
    fast = record(Scripted(["fast"], name="b"), file, mode="append")
    made: list[Callable[[], Provider]] = [
        lambda: Hedge(slow, fast, after=1),
        lambda: Hedge(replay(file, provider="a"), replay(file, provider="b"), after=1),
    ]
    for make in made:
        assert (await alloy_trio.run("go", provider=make())).text == "fast"


async def test_a_request_that_was_cancelled_before_it_began_takes_no_answer(file: Path) -> None:
    async with record(Scripted(["a"]), file) as provider:
        await provider.complete(ASKED)
    async with replay(file) as player:
        with trio.CancelScope() as scope:
            scope.cancel()
            await player.complete(ASKED)
        assert (await player.complete(ASKED)).message.text == "a"


async def test_every_call_is_a_checkpoint(file: Path) -> None:
    async with record(Scripted(["a", "b"]), file) as provider:
        with trio.testing.assert_checkpoints():
            await provider.complete(ASKED)
        with trio.testing.assert_checkpoints():
            await provider.stream(ASKED, Sink())
    async with replay(file) as player:
        with trio.testing.assert_checkpoints():
            await player.complete(ASKED)
        with trio.testing.assert_checkpoints():
            await player.stream(ASKED, Sink())


# Misses


async def test_a_miss_shows_the_nearest_recorded_request_as_a_difference(file: Path) -> None:
    async with record(Scripted(["a", "b"], name="v", model="m"), file) as provider:
        await provider.complete(asked("what is this?"))
        await provider.complete(
            CompletionRequest(
                (*asked("and that?").messages, Message.assistant("a stone"), Message.user("sure?"))
            )
        )
    player = replay(file)
    async with player:
        with pytest.raises(NotRecorded) as caught:
            await player.complete(
                CompletionRequest(
                    (*asked("and that?").messages, Message.assistant("a stone"), Message.user("why?"))
                )
            )
    message = str(caught.value)
    assert message.startswith(f"the recording {file} has no answer to this request to v/m; the nearest")
    assert "--- recorded, line 2\n+++ asked now\n" in message
    assert "\n-  text: sure?\n+  text: why?\n" in message
    assert "replay(file, update=provider)" in message
    with pytest.raises(AssertionError, match=r"1 requests had no answer; the first(?s:.*)text: why"):
        player.assert_exhausted()


async def test_the_nearest_request_is_the_one_that_begins_alike(file: Path) -> None:
    def request(*said: str) -> CompletionRequest:
        return CompletionRequest((Message.user(said[0]), Message.assistant(said[1]), Message.user(said[2])))

    async with record(Scripted(["a", "b", "c"]), file) as provider:
        for said in (("z", "2", "3"), ("1", "2", "x"), ("1", "y", "3")):
            await provider.complete(request(*said))
    async with replay(file) as player:
        with pytest.raises(NotRecorded, match="--- recorded, line 2\n"):
            await player.complete(request("1", "2", "3"))


async def test_what_json_tells_apart_is_not_the_same_request(file: Path) -> None:
    """In Python 1 and True are equal."""
    one, true = (attrs.evolve(ASKED, output_schema={"minItems": least}) for least in (1, True))
    assert one == true
    async with record(Scripted(["one", "true"]), file) as provider:
        await provider.complete(one)
        await provider.complete(true)
    async with replay(file) as player:
        assert (await player.complete(true)).message.text == "true"
        assert (await player.complete(one)).message.text == "one"


async def test_one_request_too_many_is_told_as_that(file: Path) -> None:
    async with record(Scripted(["a", "b"]), file) as provider:
        await provider.complete(ASKED)
        await provider.complete(ASKED)
    async with replay(file) as player:
        await player.complete(ASKED)
        await player.complete(ASKED)
        with pytest.raises(NotRecorded, match="it was made 2 times then, and now once more"):
            await player.complete(ASKED)


async def test_a_miss_is_neither_retried_nor_answered_by_another_provider(file: Path) -> None:
    async with record(Scripted(["a"]), file) as provider:
        await provider.complete(ASKED)
    other = Scripted(["never"])
    with pytest.raises(NotRecorded):
        await alloy_trio.run("another question", provider=Fallback(Retry(replay(file)), other))
    assert other.requests == []


async def test_answers_that_were_not_asked_for_are_named(file: Path) -> None:
    async with record(Scripted(["a", "b"]), file) as provider:
        await provider.complete(ASKED)
        await provider.complete(asked("the second question"))
    player = replay(file)
    async with player:
        await player.complete(ASKED)
    with pytest.raises(AssertionError, match=r"1 recorded requests were not asked(?s:.*)the second question"):
        player.assert_exhausted()


async def test_a_file_without_the_provider_says_whose_it_has(file: Path) -> None:
    async with record(Scripted(["a"], name="v", model="m"), file) as provider:
        await provider.complete(ASKED)
    with pytest.raises(ConfigurationError, match="nothing of openai; it has v/m"):
        replay(file, provider="openai")


# Update


async def test_update_asks_for_what_is_missing_and_adds_it(file: Path) -> None:
    """The file need not be there."""
    for turns in (["a", "b"], ["c"], []):
        model = Scripted(turns)
        async with replay(file, update=model) as provider:
            questions = ("1", "2") if turns == ["a", "b"] else ("1", "2", "3")
            said = [(await provider.complete(asked(text))).message.text for text in questions]
        assert said == ["a", "b", "c"][: len(questions)]
        model.assert_exhausted()
    assert [line["number"] for line in lines(file)] == [1, 2, 3]
    async with replay(file) as player:
        assert (await player.stream(asked("3"), Sink())).message.text == "c"


# The file


async def test_a_recording_that_is_there_is_not_written_over(file: Path) -> None:
    async with record(Scripted(["a"]), file) as provider:
        await provider.complete(ASKED)
    before = read(file)
    with pytest.raises(ConfigurationError, match="is there already; remove it or take another name"):
        async with record(Scripted(["a"]), file):
            pass
    assert read(file) == before
    async with record(Scripted(["b"]), file, mode="replace") as provider:
        await provider.complete(ASKED)
    assert [line["completion"]["message"]["content"][0]["text"] for line in lines(file)] == ["b"]


async def test_a_recorder_that_is_entered_again_goes_on(file: Path) -> None:
    provider = record(Scripted(["a", "b"]), file)
    for _ in range(2):
        async with provider, provider:
            await provider.complete(ASKED)
    assert [line["number"] for line in lines(file)] == [1, 2]


async def test_a_line_that_a_crash_cut_off_is_left_out_and_told(file: Path) -> None:
    async with record(Scripted(["a", "b"]), file) as provider:
        await provider.complete(asked("1"))
        await provider.complete(asked("2"))
    whole = read(file)
    first = whole.index(b"\n") + 1
    for end in range(first + 1, len(whole), 7):
        write(file, whole[:end])
        async with replay(file) as player:
            assert (await player.complete(asked("1"))).message.text == "a"
            with pytest.raises(NotRecorded, match="its last line is cut off"):
                await player.complete(asked("2"))
    async with replay(file, update=Scripted(["b"])) as player:
        assert (await player.complete(asked("2"))).message.text == "b"
    assert [line["number"] for line in lines(file)] == [1, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hello\n", "line 1 is no line of a recording"),
        ("hello", "line 1 is no line of a recording"),
        ('{"a":1}\n', "line 1 is no line of a recording"),
        ('{"v":2,"key":"x"}\n', "is of format 2, and this version reads format 1; install a newer"),
        ('{"v":1}\n', "line 1 cannot be read: key: missing"),
        ('{"v":1,"ke\n', "line 1 cannot be read: this is not JSON"),
    ],
)
async def test_a_file_that_is_no_recording_is_refused_and_left_alone(
    file: Path, text: str, words: str
) -> None:
    write(file, text)
    with pytest.raises(ConfigurationError, match=words):
        replay(file)
    with pytest.raises(ConfigurationError, match=words):
        async with record(Scripted([]), file, mode="append"):
            pass
    assert read(file) == text.encode()


@pytest.mark.parametrize("changes", [{"cancelled": True}, {"completion": None}])
async def test_a_line_has_one_end(file: Path, changes: dict[str, Any]) -> None:
    async with record(Scripted(["a"]), file) as provider:
        await provider.complete(ASKED)
    (line,) = lines(file)
    write(file, json.dumps({**line, **changes}) + "\n")
    with pytest.raises(ConfigurationError, match="line 1 must have one end"):
        replay(file)


async def test_what_a_later_version_adds_is_ignored(file: Path) -> None:
    async with record(Scripted(["a"]), file) as provider:
        await provider.complete(ASKED)
    (line,) = lines(file)
    write(file, json.dumps({**line, "mood": "good", "request": {**line["request"], "mood": 1}}) + "\n\n")
    async with replay(file) as player:
        assert (await player.complete(ASKED)).message.text == "a"


async def test_a_file_that_cannot_be_opened_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    model = Scripted(["a"])
    with pytest.raises(ConfigurationError, match="cannot be written: No such file or directory"):
        async with record(model, tmp_path / "none" / "run.jsonl"):
            pass
    with pytest.raises(ConfigurationError, match="cannot be read: No such file or directory"):
        replay(tmp_path / "none.jsonl")
    with pytest.raises(ConfigurationError, match="cannot be read: Is a directory"):
        replay(tmp_path)
    assert model.requests == []


def full_after(room: int, write: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
    """``os.write`` on a disk that has only so much room."""
    left = room

    def limited(number: int, data: bytes) -> int:
        nonlocal left
        if left == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(number, data[:left])
        left -= written
        return written

    return limited


async def test_a_full_disk_ends_the_recording_with_whole_lines(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = Scripted(["a", "b", "c"])
    async with record(model, file) as provider:
        await provider.complete(asked("1"))
        monkeypatch.setattr(os, "write", full_after(100, os.write))
        for text in ("2", "3"):
            with pytest.raises(LocalError, match="cannot be written: No space left on device"):
                await provider.complete(asked(text))
    assert len(lines(file)) == 1
    assert len(model.requests) == 2


async def test_a_full_disk_does_not_stop_a_cancel(
    file: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: trio.testing.MockClock
) -> None:
    async with record(Scripted([Delayed(9, "a"), "b"]), file) as provider:
        monkeypatch.setattr(os, "write", full_after(0, os.write))
        with trio.move_on_after(1) as scope:
            await provider.complete(ASKED)
        assert scope.cancelled_caught
        with pytest.raises(LocalError, match="No space left"):
            await provider.complete(ASKED)


async def test_a_request_that_json_cannot_hold_is_refused_before_it_is_sent(file: Path) -> None:
    model = Scripted(["a"])
    for held in ({"a": float("nan")}, {"a": b"x"}, {"a": {1: 2}}, {"a": object()}):
        message = Message.assistant([ToolUse("1", "t", held)])
        async with record(model, file, mode="append") as provider:
            with pytest.raises(ConfigurationError, match="what JSON cannot hold"):
                await provider.complete(CompletionRequest((message,)))
    assert model.requests == []


@pytest.mark.parametrize("wrong", [7, None, ""])
def test_what_is_no_file_is_refused(wrong: Any) -> None:
    with pytest.raises(ConfigurationError, match="is no file's name"):
        record(Scripted([]), wrong)
    with pytest.raises(ConfigurationError, match="is no file's name"):
        replay(wrong)


def test_wrong_arguments_are_refused(file: Path) -> None:
    with pytest.raises(ConfigurationError, match="which is no provider"):
        record("openai", file)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="mode='w' must be"):
        record(Scripted([]), file, mode="w")  # type: ignore[arg-type]


async def test_nothing_is_left_open(file: Path) -> None:
    with no_leaks():
        async with record(Scripted(["a"]), file) as provider:
            await provider.complete(ASKED)
        async with replay(file, update=Scripted([])) as player:
            await player.complete(ASKED)


async def test_a_provider_that_cannot_be_entered_closes_the_file(file: Path) -> None:
    class Broken(Said):
        async def __aenter__(self) -> Any:
            raise ConfigurationError("no key")

    with no_leaks():
        with pytest.raises(ConfigurationError, match="no key"):
            async with record(Broken([], TransportError("x")), file):
                pass


# As a budget and a run see it


async def test_a_recorded_provider_looks_like_itself(file: Path) -> None:
    model = Scripted(["a"], name="anthropic", model="claude-sonnet-4-6")
    model.max_tokens, model.thinking_budget = 900, 100
    recorder = record(model, file)
    async with recorder:
        await recorder.complete(ASKED)
    for provider in (recorder, replay(file)):
        shown = (provider.name, provider.model, provider.max_tokens, provider.thinking_budget, provider.inner)
        assert shown == ("anthropic", "claude-sonnet-4-6", 900, 100, ())
        assert not provider.handles_failures
    assert record(Retry(model), file).inner[0].inner == (model,)


async def test_a_budget_lowers_the_same_request_when_it_is_replayed(file: Path) -> None:
    model = Scripted(["a few words"], name="anthropic", model="claude-sonnet-4-6")
    recorded = await alloy_trio.run("question", provider=record(model, file), max_budget_cents=1)
    replayed = await alloy_trio.run("question", provider=replay(file), max_budget_cents=1)
    assert lines(file)[0]["request"]["max_tokens"] == model.requests[0].max_tokens
    assert replayed.usage == recorded.usage
    assert recorded.usage.cost_cents is not None
    with pytest.raises(NotRecorded, match=r"\+max_tokens: "):
        await alloy_trio.run("question", provider=replay(file), max_budget_cents="0.9")


@pytest.mark.parametrize("kind", KINDS)
async def test_every_kind_of_error_is_replayed_as_itself(file: Path, kind: type[RemoteError]) -> None:
    async with record(Scripted([kind("x")]), file) as provider:
        with pytest.raises(kind):
            await provider.complete(ASKED)
    async with replay(file) as player:
        with pytest.raises(kind) as caught:
            await player.complete(ASKED)
    assert (type(caught.value), caught.value.transient) == (kind, kind("x").transient)


async def test_usage_of_an_attempt_that_broke_off_is_kept(file: Path) -> None:
    class Broke(Said):
        async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
            await deltas.send(UsageDelta(Usage(input_tokens=7)))
            error = ServerFault("gone")
            error.usage = Usage(input_tokens=7, output_tokens=2)
            raise error

    seen = []
    for provider in (record(Broke([], TransportError("x")), file), None):
        events = alloy_trio.stream("go", provider=provider or replay(file), max_retries=0)
        with pytest.raises(ServerFault) as caught:
            async with events as reader:
                async for _ in reader:
                    pass
        assert caught.value.result is not None
        seen.append((caught.value.result.error, caught.value.result.usage))
    assert seen[0] == seen[1]
    assert seen[0][1] == Usage(input_tokens=7, output_tokens=2)
