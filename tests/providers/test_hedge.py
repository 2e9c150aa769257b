"""Two providers raced: who wins, what the caller sees, what is counted, and that nothing is left."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio import (
    AlloyError,
    AuthenticationFailed,
    Completion,
    CompletionRequest,
    ConfigurationError,
    Overloaded,
    RemoteError,
    StreamTruncated,
    TextDelta,
    UsageDelta,
    run,
    stream,
)
from alloy_trio.abc import DeltaSink
from alloy_trio.providers import Hedge, Retry, Scripted
from alloy_trio.testing import Disturbance, disturb_sweep

from ._play import ASK, Ledger, Play, answer, failing, used


async def ask(provider: Hedge, ledger: Ledger, *, streaming: bool = True) -> Any:
    async with provider:
        return await (provider.stream(ASK, ledger) if streaming else provider.complete(ASK))


async def test_the_second_is_not_asked_while_the_first_speaks_in_time(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first = Play([1.0, TextDelta("fi"), 10.0, TextDelta("ne"), answer(tokens=7)])
    second = Play()
    ledger = Ledger()
    completion = await ask(Hedge(first, second, after=2), ledger)
    assert (ledger.text, second.asked) == ("fine", [])
    assert (completion.usage, completion.other_usage) == (used(7), used(0))


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_silent_first_loses_and_its_usage_is_counted(
    autojump_clock: trio.testing.MockClock, streaming: bool
) -> None:
    first = Play([UsageDelta(used(5)), 10.0, TextDelta("late"), answer("late")])
    second = Play(
        [
            UsageDelta(used(1)),
            1.0,
            TextDelta("fine"),
            UsageDelta(used(3)),
            answer("fine", tokens=3, by="second"),
        ]
    )
    ledger = Ledger()
    started = trio.current_time()
    completion = await ask(Hedge(first, second, after=2), ledger, streaming=streaming)
    assert trio.current_time() - started == 3
    assert second.asked == [started + 2]
    assert (first.cancelled, first.running, first.entered) == (1, 0, 0)
    assert completion.message.text == "fine"
    assert (completion.usage, completion.other_usage) == (used(3), used(5))
    if streaming:
        assert ledger.text == "fine"
        assert ledger.failures == []
        assert ledger.current == used(8)


async def test_a_first_that_speaks_after_the_second_was_asked_still_wins(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first = Play([3.0, TextDelta("fine"), 5.0, answer(tokens=2)])
    second = Play([UsageDelta(used(4)), 5.0, TextDelta("late"), answer("late")])
    ledger = Ledger()
    completion = await ask(Hedge(first, second, after=2), ledger)
    assert (ledger.text, completion.other_usage, second.cancelled) == ("fine", used(4), 1)


async def test_the_second_is_asked_as_soon_as_the_first_has_failed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first = Play([1.0, failing(Overloaded("x"), 5)])
    second = Play([TextDelta("fine"), answer(tokens=2)], name="second")
    ledger = Ledger()
    started = trio.current_time()
    completion = await ask(Hedge(first, second, after=60), ledger)
    assert trio.current_time() - started == 1
    assert ledger.failures == [("Overloaded", 0.0, "second", 5)]
    assert (completion.usage, completion.other_usage) == (used(2), used(5))


async def test_a_first_that_fails_later_leaves_it_to_the_second(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first = Play([UsageDelta(used(1)), 3.0, failing(Overloaded("x"), 5)])
    second = Play([9.0, TextDelta("fine"), answer(tokens=2)])
    ledger = Ledger()
    completion = await ask(Hedge(first, second, after=2), ledger)
    assert ledger.failures == []
    assert (completion.usage, completion.other_usage) == (used(2), used(5))


async def test_an_answer_without_pieces_wins_too(autojump_clock: trio.testing.MockClock) -> None:
    first, second = Play([3.0, answer("fine")]), Play([9.0, answer("late")])
    assert (await ask(Hedge(first, second, after=1), Ledger())).message.text == "fine"
    assert second.cancelled == 1


async def test_the_winner_s_failure_after_output_is_the_answer(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first = Play([UsageDelta(used(5)), 10.0, answer()])
    second = Play([TextDelta("Hel"), 1.0, failing(StreamTruncated("cut"), 2)])
    ledger = Ledger()
    with pytest.raises(StreamTruncated) as caught:
        await ask(Hedge(first, second, after=1), ledger)
    assert (ledger.text, ledger.total(caught.value), first.cancelled) == ("Hel", 7, 1)


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    ("first", "second", "raised"),
    [
        (Overloaded("one"), Overloaded("two"), "one"),
        (AuthenticationFailed("one"), Overloaded("two"), "two"),
        (Overloaded("one"), AuthenticationFailed("two"), "one"),
        (AuthenticationFailed("one"), AuthenticationFailed("two"), "one"),
    ],
)
@pytest.mark.parametrize("after", [0, 5])
async def test_when_both_fail_the_error_that_may_pass_is_raised_with_the_other_in_its_notes(
    autojump_clock: trio.testing.MockClock,
    first: RemoteError,
    second: RemoteError,
    raised: str,
    after: float,
    streaming: bool,
) -> None:
    plays = Play([1.0, failing(first, 5)]), Play([2.0, failing(second, 2)])
    ledger = Ledger()
    with pytest.raises(RemoteError) as caught:
        await ask(Hedge(*plays, after=after), ledger, streaming=streaming)
    assert caught.value.message == raised
    (note,) = caught.value.__notes__
    assert ("two" if raised == "one" else "one") in note
    assert ledger.total(caught.value) == 7


class Sulky(Play):
    """Answers a cancel with an error of its own."""

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        try:
            return await super().stream(request, deltas)
        except trio.Cancelled:
            raise ConfigurationError("too late") from None


@pytest.mark.parametrize("streaming", [True, False])
async def test_an_error_of_the_loser_s_own_is_no_longer_the_caller_s_business(
    autojump_clock: trio.testing.MockClock, streaming: bool
) -> None:
    first = Sulky([UsageDelta(used(5)), 99.0, answer()])
    second = Play([TextDelta("fine"), 1.0, answer("fine", tokens=3)])
    completion = await ask(Hedge(first, second, after=1), Ledger(), streaming=streaming)
    assert (completion.message.text, completion.usage, completion.other_usage) == ("fine", used(3), used(5))


async def test_the_loser_s_own_error_is_a_note_when_the_winner_fails(
    autojump_clock: trio.testing.MockClock,
) -> None:
    second = Play([TextDelta("Hel"), 1.0, failing(StreamTruncated("cut"), 2)])
    with pytest.raises(StreamTruncated) as caught:
        await ask(Hedge(Sulky([99.0, answer()]), second, after=1), Ledger())
    assert caught.value.__notes__ == ["the other hedged provider failed too: ConfigurationError: too late"]


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize("after", [0, 5])
@pytest.mark.parametrize("broken_first", [True, False])
async def test_a_local_error_ends_only_its_own_lane(
    autojump_clock: trio.testing.MockClock, broken_first: bool, after: float, streaming: bool
) -> None:
    broken = Play([1.0, ConfigurationError("no key")])
    sound = Play([7.0, answer("fine")])
    first, second = (broken, sound) if broken_first else (sound, broken)
    provider = Hedge(first, second, after=after)
    assert (await ask(provider, Ledger(), streaming=streaming)).message.text == "fine"
    assert len(broken.asked) == 1


@pytest.mark.parametrize("streaming", [True, False])
@pytest.mark.parametrize(
    ("other", "raised"), [(AuthenticationFailed("two"), "one"), (Overloaded("two"), "two")]
)
async def test_a_local_error_is_raised_when_the_other_fails_for_good_and_all_is_counted(
    autojump_clock: trio.testing.MockClock, other: RemoteError, raised: str, streaming: bool
) -> None:
    provider = Hedge(
        Play([UsageDelta(used(5)), 2.0, ConfigurationError("one")]), Play([failing(other, 2)]), after=1
    )
    with pytest.raises(AlloyError, match=raised) as caught:
        if streaming:
            async with stream("go", provider=provider, max_retries=0) as events:
                await events.drain()
        else:
            await run("go", provider=provider, max_retries=0)
    (note,) = caught.value.__notes__
    assert ("two" if raised == "one" else "one") in note
    assert caught.value.result is not None
    assert caught.value.result.usage == used(7)


async def test_a_bug_in_one_ends_both_and_leaves_unwrapped(autojump_clock: trio.testing.MockClock) -> None:
    first, second = Play([10.0, answer()]), Play([1.0, ZeroDivisionError("a bug")])
    with pytest.raises(ZeroDivisionError):
        await ask(Hedge(first, second, after=1), Ledger())
    assert (first.running, second.running) == (0, 0)


async def test_a_run_counts_winner_and_loser_once(autojump_clock: trio.testing.MockClock) -> None:
    def hedge() -> Hedge:
        return Hedge(
            Play([UsageDelta(used(10)), 10.0, answer()]),
            Play([1.0, TextDelta("fine"), answer(tokens=3)]),
            after=1,
        )

    async with stream("go", provider=hedge()) as events:
        text = [event.payload async for event in events if event.event == "text_delta"]
    assert (text, events.result.usage) == (["fine"], used(13))
    assert (await run("go", provider=hedge())).usage == used(13)


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_run_that_times_out_has_counted_both(
    autojump_clock: trio.testing.MockClock, streaming: bool
) -> None:
    provider = Hedge(
        Retry(Play([failing(Overloaded("x"), 100)], [UsageDelta(used(10)), 99.0, answer()])),
        Play([UsageDelta(used(1)), 99.0, answer()]),
        after=1,
    )
    if streaming:
        async with stream("go", provider=provider, timeout=50) as events:
            result = await events.drain()
    else:
        result = await run("go", provider=provider, timeout=50)
    assert (result.status, result.usage) == ("timeout", used(111))


async def test_failed_attempts_inside_are_passed_on_and_counted_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first = Retry(Play([failing(Overloaded("x"), 100)], [UsageDelta(used(10)), 99.0, answer()]))
    second = Play([1.0, TextDelta("fine"), answer(tokens=3)])
    ledger = Ledger()
    completion = await ask(Hedge(first, second, after=5), ledger)
    assert [failure[3] for failure in ledger.failures] == [100]
    assert (completion.usage, completion.other_usage) == (used(3), used(110))


async def test_a_whole_answer_is_tried_again_as_nothing_of_it_was_shown(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """To find the winner it asks for pieces, but a caller of complete() has seen none of them."""
    play = Play([TextDelta("Hel"), failing(StreamTruncated("cut"), 4)], [TextDelta("fine"), answer(tokens=3)])
    async with Retry(Hedge(play, Play(), after=60)) as provider:
        completion = await provider.complete(ASK)
    assert (completion.usage, completion.other_usage) == (used(3), used(4))


async def test_one_object_may_be_both_and_one_hedge_serves_many(
    autojump_clock: trio.testing.MockClock,
) -> None:
    play = Play(*[[3.0, TextDelta("x"), answer()]] * 20)
    provider = Hedge(play, play, after=1)
    async with provider, trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(provider.stream, ASK, Ledger())
    assert (len(play.asked), play.cancelled, play.entered) == (20, 10, 0)


async def test_the_run_s_retries_are_laid_over_it_unless_one_inside_retries() -> None:
    plain, patient = Scripted(["x"]), Retry(Scripted(["x"]))
    assert not Hedge(plain, plain, after=1).handles_failures
    assert Hedge(plain, patient, after=1).handles_failures


@pytest.mark.parametrize("after", [-1, math.nan, "1", None, True])
def test_a_delay_that_cannot_work_is_told(after: Any) -> None:
    with pytest.raises(ConfigurationError, match="after="):
        Hedge(Scripted(["x"]), Scripted(["x"]), after=after)


ends = st.sampled_from(["answer", "overloaded", "rejected"])
lanes = st.tuples(
    st.integers(0, 4), st.integers(0, 9), st.booleans(), st.integers(0, 4), st.integers(0, 9), ends
)


def turn(lane: tuple[int, int, bool, int, int, str]) -> list[Any]:
    before, reported, output, between, final, end = lane
    ending = answer(tokens=final) if end == "answer" else failing(Overloaded("x"), final)
    pieces: list[Any] = [TextDelta("x")] if output else []
    return [UsageDelta(used(reported)), float(before), *pieces, float(between), ending]


@given(lanes, lanes, st.integers(0, 5), st.booleans())
def test_what_both_used_is_counted_once_and_only_the_winner_is_heard(
    first: tuple[int, int, bool, int, int, str],
    second: tuple[int, int, bool, int, int, str],
    after: int,
    streaming: bool,
) -> None:
    plays = Play(turn(first)), Play(turn(second))

    async def alone() -> int:
        ledger = Ledger()
        try:
            completion = await ask(Hedge(*plays, after=after), ledger, streaming=streaming)
        except RemoteError as error:
            total = ledger.total(error)
        else:
            total = (completion.usage + completion.other_usage).output_tokens
        assert len(ledger.text) <= 1
        return total

    async def in_a_run() -> int:
        try:
            if not streaming:
                return (
                    await run("go", provider=Hedge(*plays, after=after), max_retries=0)
                ).usage.output_tokens
            async with stream("go", provider=Hedge(*plays, after=after), max_retries=0) as events:
                return (await events.drain()).usage.output_tokens
        except RemoteError as error:
            return -1 if error.result is None else error.result.usage.output_tokens

    for main in (alone, in_a_run):
        for play in plays:
            play.asked.clear()
            play.cancelled, play.reported = 0, used(0)
        total = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
        expected = 0
        for play, lane in zip(plays, (first, second), strict=True):
            if play.asked:
                _, _, _, _, final, end = lane
                # Both may have spoken in the same step; a loser may have been stopped before it could report.
                reported = play.reported.output_tokens
                expected += reported if play.cancelled else final if end == "answer" else final or reported
        assert total == expected
        assert [play.running for play in plays] == [0, 0]


def test_a_cancel_at_any_step_leaves_nothing_of_either() -> None:
    async def script(disturbance: Disturbance) -> None:
        first = Play([UsageDelta(used(1)), 5.0, TextDelta("x"), answer(tokens=1)])
        second = Play([UsageDelta(used(2)), 2.0, TextDelta("x"), 1.0, answer(tokens=2)])
        ledger = Ledger()
        with trio.CancelScope() as scope:
            disturbance.arm(scope.cancel)
            await ask(Hedge(first, second, after=1), ledger)
        disturbance.disarm()
        assert [(play.entered, play.running) for play in (first, second)] == [(0, 0), (0, 0)]
        if ledger.text:
            assert ledger.current == used(3)

    assert disturb_sweep(script).steps > 10
