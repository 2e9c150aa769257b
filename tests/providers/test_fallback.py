"""A provider that goes on to the next one, alone and under a run."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio import (
    AuthenticationFailed,
    ConfigurationError,
    Overloaded,
    Rejected,
    RemoteError,
    StreamTruncated,
    TextDelta,
    UsageDelta,
    run,
    stream,
)
from alloy_trio.providers import Fallback, Retry, Scripted
from alloy_trio.testing import Disturbance, disturb_sweep

from ._play import ASK, Ledger, Play, answer, failing, used


async def test_the_next_is_asked_whatever_the_error_and_the_answer_names_who_gave_it() -> None:
    first = Play([failing(Rejected("no"), 2)], name="first")
    second = Play([UsageDelta(used(3)), AuthenticationFailed("no")], name="second")
    third = Play([TextDelta("fine"), answer(tokens=4, by="third")], name="third")
    ledger = Ledger()
    async with Fallback(first, second, third) as provider:
        completion = await provider.stream(ASK, ledger)
    assert ledger.failures == [("Rejected", 0.0, "second", 2), ("AuthenticationFailed", 0.0, "third", 3)]
    assert completion.message.origin is not None
    assert completion.message.origin.provider == "third"
    assert (completion.usage, completion.other_usage) == (used(4), used(5))
    assert (provider.name, provider.model) == ("first", "first-model")


async def test_every_request_starts_with_the_first() -> None:
    first = Play([Overloaded("x")], [answer(by="first")], name="first")
    second = Play([answer(by="second")], name="second")
    async with Fallback(first, second) as provider:
        origins = [(await provider.complete(ASK)).message.origin for _ in range(2)]
    assert [origin.provider for origin in origins if origin] == ["second", "first"]


async def test_the_last_one_s_error_is_raised_with_all_that_was_used() -> None:
    def plays() -> list[Play]:
        return [
            Play([failing(Overloaded(name), tokens)], name=name) for name, tokens in (("a", 1), ("b", 10))
        ]

    async with Fallback(*plays()) as provider:
        with pytest.raises(Overloaded, match="b") as caught:
            await provider.complete(ASK)
    assert caught.value.usage == used(11)
    ledger = Ledger()
    async with Fallback(*plays()) as provider:
        with pytest.raises(Overloaded, match="b") as caught:
            await provider.stream(ASK, ledger)
    assert ledger.total(caught.value) == 11


async def test_nobody_else_is_asked_once_output_reached_the_caller() -> None:
    first = Play([TextDelta("Hel"), StreamTruncated("cut")])
    second = Play([answer()])
    ledger = Ledger()
    async with Fallback(first, second) as provider:
        with pytest.raises(StreamTruncated):
            await provider.stream(ASK, ledger)
    assert second.asked == []
    assert ledger.text == "Hel"


async def test_a_run_shows_both_kinds_of_events_and_counts_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first = Play([failing(Overloaded("x"), 1)], [failing(Overloaded("x"), 10)], name="first")
    second = Play([failing(Overloaded("x"), 100)], [TextDelta("fine"), answer(tokens=1000)], name="second")
    async with stream("go", provider=Fallback(Retry(first, max_retries=1), Retry(second))) as events:
        seen = [(event.event, event.payload) async for event in events]
    told = [
        payload["attempt"] if name == "retry" else (payload["from_provider"], payload["to_provider"])
        for name, payload in seen
        if name in ("retry", "fallback")
    ]
    assert told == [1, ("first", "second"), 1]
    assert events.result.usage == used(1111)


async def test_a_run_adds_neither_retries_nor_fallbacks(autojump_clock: trio.testing.MockClock) -> None:
    first, second = Play([Overloaded("x")]), Play([Overloaded("x")])
    with pytest.raises(Overloaded):
        await run("go", provider=Fallback(first, second))
    assert (len(first.asked), len(second.asked)) == (1, 1)


async def test_all_are_entered_and_left_together() -> None:
    plays = [Play(), Play(), Play()]
    async with Fallback(*plays):
        assert [play.entered for play in plays] == [1, 1, 1]
    assert [play.entered for play in plays] == [0, 0, 0]


class Locked(Play):
    """Cannot be entered."""

    async def __aenter__(self) -> Locked:
        raise ConfigurationError("needs an API key")


async def test_an_entry_that_fails_in_the_middle_leaves_nothing_open() -> None:
    first, last = Play(), Play()
    with pytest.raises(ConfigurationError, match="API key"):
        async with Fallback(first, Locked(), last):
            raise AssertionError("not reached")
    assert (first.entered, last.entered) == (0, 0)


async def test_one_object_serves_many_tasks_and_any_may_be_the_last(
    autojump_clock: trio.testing.MockClock,
) -> None:
    first, second = Play(*[[Overloaded("x")]] * 20), Play(*[[answer()]] * 20)
    provider = Fallback(first, second)

    async def use(seconds: float) -> None:
        async with provider:
            await trio.sleep(seconds)
            await provider.complete(ASK)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(use, (number * 7) % 20)
    assert (first.entered, second.entered, len(second.asked)) == (0, 0, 20)


def test_the_same_object_works_in_a_later_trio_run() -> None:
    provider = Fallback(Scripted([Overloaded("x"), Overloaded("x")]), Scripted(["one", "two"]))

    async def once() -> str:
        return (await run("go", provider=provider)).text

    assert [trio.run(once), trio.run(once)] == ["one", "two"]


scripts = st.lists(
    st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.booleans()), max_size=4), min_size=1, max_size=3
)


@given(scripts, st.integers(0, 3), st.booleans())
def test_usage_is_counted_once_however_retries_and_fallbacks_are_nested(
    scripts: list[list[tuple[bool, int, bool]]], max_retries: int, streaming: bool
) -> None:
    """Each provider fails by its script (transient?, tokens, after output?) and then answers."""
    plays = []
    expected = 0
    for script in scripts:
        turns: list[list[Any]] = []
        for transient, tokens, output in script:
            error = failing((Overloaded if transient else Rejected)("x"), tokens)
            turns.append([UsageDelta(used(tokens)), *([TextDelta("x")] if output else []), error])
        plays.append(Play(*turns, [answer(tokens=100)]))
    ended = False
    for script in scripts:
        for number, (transient, tokens, output) in enumerate(script):
            expected += tokens
            ended = streaming and output
            if ended or not transient or number >= max_retries:
                break
        else:
            expected += 100
            ended = True
        if ended:
            break

    async def alone() -> int:
        ledger = Ledger()
        async with Fallback(*[Retry(play, max_retries=max_retries) for play in plays]) as provider:
            try:
                completion = await (provider.stream(ASK, ledger) if streaming else provider.complete(ASK))
            except RemoteError as error:
                return ledger.total(error)
            return (completion.usage + completion.other_usage).output_tokens

    async def in_a_run() -> int:
        provider = Fallback(*[Retry(play, max_retries=max_retries) for play in plays])
        try:
            if not streaming:
                return (await run("go", provider=provider)).usage.output_tokens
            async with stream("go", provider=provider) as events:
                return (await events.drain()).usage.output_tokens
        except RemoteError as error:
            return -1 if error.result is None else error.result.usage.output_tokens

    assert trio.run(alone, clock=trio.testing.MockClock(autojump_threshold=0)) == expected
    for play in plays:
        play.asked.clear()
    assert trio.run(in_a_run, clock=trio.testing.MockClock(autojump_threshold=0)) == expected


def test_a_cancel_at_any_step_leaves_nothing_open() -> None:
    async def script(disturbance: Disturbance) -> None:
        first = Play([UsageDelta(used(1)), 1.0, failing(Overloaded("x"), 2)])
        second = Play([1.0, TextDelta("x"), answer(tokens=5)])
        ledger = Ledger()
        with trio.CancelScope() as scope:
            disturbance.arm(scope.cancel)
            async with Fallback(first, second) as provider:
                await provider.stream(ASK, ledger)
        disturbance.disarm()
        assert [(play.entered, play.running) for play in (first, second)] == [(0, 0), (0, 0)]
        if second.asked:
            assert ledger.failed == used(2)

    assert disturb_sweep(script).steps > 5


def test_what_is_no_provider_is_told() -> None:
    with pytest.raises(ConfigurationError, match="Fallback got 'openai'"):
        Fallback(Scripted(["x"]), "openai")  # type: ignore[arg-type]
