"""A provider that tries again, alone and under a run."""

from __future__ import annotations

import math
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
    RateLimited,
    RemoteError,
    StreamTruncated,
    TextDelta,
    UsageDelta,
    run,
    stream,
)
from alloy_trio._seed import seeded
from alloy_trio.providers import Fallback, Hedge, RateLimit, Retry, Scripted
from alloy_trio.testing import Disturbance, disturb_sweep

from ._play import ASK, Ledger, Play, answer, failing, used


async def test_a_transient_error_is_tried_again_and_reported(autojump_clock: trio.testing.MockClock) -> None:
    play = Play(
        [failing(RateLimited("x", retry_after=7), 3)], [failing(Overloaded("y"), 4)], [answer(tokens=5)]
    )
    ledger = Ledger()
    with seeded(0):
        async with Retry(play) as provider:
            completion = await provider.stream(ASK, ledger)
    (first, delay, _, _), (second, other_delay, _, _) = ledger.failures
    assert (first, second) == ("RateLimited", "Overloaded")
    assert 7 <= delay <= 7.7
    assert 0 <= other_delay < 2
    assert play.asked[1] - play.asked[0] == pytest.approx(delay)
    assert play.asked[2] - play.asked[1] == pytest.approx(other_delay)
    assert [failure[2:] for failure in ledger.failures] == [(None, 3), (None, 4)]
    assert (completion.usage, completion.other_usage) == (used(5), used(7))


@pytest.mark.parametrize("streaming", [True, False])
async def test_it_gives_up_after_its_retries_with_all_that_was_used(
    autojump_clock: trio.testing.MockClock, streaming: bool
) -> None:
    play = Play(*[[failing(Overloaded("x"), tokens)] for tokens in (1, 10, 100)])
    ledger = Ledger()
    async with Retry(play, max_retries=2) as provider:
        with pytest.raises(Overloaded) as caught:
            await (provider.stream(ASK, ledger) if streaming else provider.complete(ASK))
    assert len(play.asked) == 3
    assert ledger.total(caught.value) == 111


async def test_nothing_is_sent_again_once_output_reached_the_caller() -> None:
    play = Play([TextDelta("Hel"), UsageDelta(used(2)), StreamTruncated("cut")])
    ledger = Ledger()
    async with Retry(play) as provider:
        with pytest.raises(StreamTruncated) as caught:
            await provider.stream(ASK, ledger)
    assert ledger.deltas == [TextDelta("Hel"), UsageDelta(used(2))]
    assert ledger.total(caught.value) == 2


async def test_what_is_not_transient_is_raised_at_once() -> None:
    play = Play([AuthenticationFailed("no")])
    async with Retry(play) as provider:
        with pytest.raises(AuthenticationFailed):
            await provider.complete(ASK)
    assert len(play.asked) == 1


async def test_it_gives_up_rather_than_sleep_past_the_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    play = Play([RateLimited("x", retry_after=30)])
    started = trio.current_time()
    async with Retry(play) as provider:
        with trio.fail_after(20), pytest.raises(RateLimited):
            await provider.complete(ASK)
    assert trio.current_time() == started


async def test_a_run_does_not_retry_over_it(autojump_clock: trio.testing.MockClock) -> None:
    play = Play(*[[failing(Overloaded("x"), 1)]] * 9)
    with pytest.raises(Overloaded) as caught:
        await run("go", provider=Retry(play, max_retries=1))
    assert len(play.asked) == 2
    assert caught.value.result is not None
    assert caught.value.result.usage == used(2)


async def test_a_run_counts_each_attempt_once_and_shows_it(autojump_clock: trio.testing.MockClock) -> None:
    def play() -> Play:
        return Play(
            [failing(Overloaded("x"), 3)], [failing(Overloaded("x"), 4)], [TextDelta("fine"), answer()]
        )

    async with stream("go", provider=Retry(play())) as events:
        seen = [event async for event in events]
    assert [(event.payload["attempt"]) for event in seen if event.event == "retry"] == [1, 2]
    assert events.result.usage == used(8)
    assert seen[-1].payload["usage"]["output_tokens"] == 8
    assert (await run("go", provider=Retry(play()))).usage == used(8)


@pytest.mark.parametrize("around", [lambda play: play, Retry, lambda play: Fallback(Retry(play))])
async def test_a_run_that_times_out_has_counted_the_failed_attempts(
    autojump_clock: trio.testing.MockClock, around: Any
) -> None:
    """Also for whole answers, which come without deltas."""
    play = Play([failing(Overloaded("x"), 3)], [100.0, answer()])
    result = await run("go", provider=around(play), timeout=50)
    assert (result.status, result.usage) == ("timeout", used(3))


@pytest.mark.parametrize(
    "option", [{"max_retries": 3}, {"retry_backoff": 2.0}, {"fallback_providers": [Scripted(["x"])]}]
)
@pytest.mark.parametrize("around", [Retry, Fallback, lambda model: RateLimit(Retry(model))])
async def test_asking_for_retries_of_the_run_too_is_refused(option: dict[str, Any], around: Any) -> None:
    model = Scripted(["never asked"])
    with pytest.raises(ConfigurationError, match=f"{next(iter(option))}=.*(Retry|Fallback|RateLimit)"):
        await run("go", provider=around(model), **option)
    assert model.requests == []


async def test_a_fallback_of_the_run_that_retries_itself_is_asked_once_in_a_row(
    autojump_clock: trio.testing.MockClock,
) -> None:
    plain = Play(*[[Overloaded("x")]] * 9, name="plain")
    patient = Play(*[[Overloaded("x")]] * 9, name="patient")
    with pytest.raises(Overloaded):
        await run("go", provider=plain, fallback_providers=[Retry(patient, max_retries=1)])
    assert (len(plain.asked), len(patient.asked)) == (4, 2)
    with pytest.raises(ConfigurationError, match="max_retries="):
        await run("go", provider=plain, fallback_providers=[Retry(patient)], max_retries=1)


async def test_no_retries_of_the_run_and_those_of_the_provider_go_together() -> None:
    assert (await run("go", provider=Retry(Scripted(["fine"])), max_retries=0)).text == "fine"


async def test_it_has_the_name_of_the_one_inside_and_enters_it() -> None:
    play = Play([answer()])
    provider = Retry(play)
    assert (provider.name, provider.model, provider.handles_failures) == ("play", "play-model", True)
    async with provider, provider:
        assert play.entered == 2
        await provider.complete(ASK)
    assert play.entered == 0


@pytest.mark.parametrize(
    "argument", [{"max_retries": -1}, {"max_retries": 1.5}, {"backoff": -1.0}, {"backoff": math.nan}]
)
def test_arguments_that_cannot_work_are_told(argument: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(argument))}="):
        Retry(Scripted(["x"]), **argument)


@pytest.mark.parametrize(
    "between",
    [
        RateLimit,
        Fallback,
        lambda retry: Fallback(Scripted(["x"]), RateLimit(retry)),
        lambda retry: Hedge(Scripted(["x"]), retry, after=1),
    ],
)
def test_retries_over_retries_are_refused_however_deep_they_are(between: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"with a Retry in it; .* multiply"):
        Retry(between(Retry(Scripted(["x"]))))
    assert Retry(between(Scripted(["x"]))).handles_failures


def test_retries_over_retries_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="multiply"):
        Retry(Retry(Scripted(["x"])))
    with pytest.raises(ConfigurationError, match="no provider"):
        Retry("openai")  # type: ignore[arg-type]


failures = st.lists(
    st.tuples(
        st.sampled_from([Overloaded, RateLimited, StreamTruncated, AuthenticationFailed]),
        st.integers(0, 9),  # reported on the way
        st.integers(0, 9),  # told by the error; 0 is what an error says that knows nothing
        st.booleans(),  # after output
    ),
    max_size=6,
)


@given(failures, st.integers(0, 4), st.booleans())
def test_every_attempt_s_usage_is_counted_exactly_once(
    script: list[tuple[type[RemoteError], int, int, bool]], max_retries: int, streaming: bool
) -> None:
    turns: list[list[Any]] = []
    expected = 0
    attempts = 0
    ended = False
    for kind, on_the_way, at_the_end, output in script:
        turns.append(
            [
                UsageDelta(used(on_the_way)),
                *([TextDelta("x")] if output else []),
                failing(kind("x"), at_the_end),
            ]
        )
        if ended:
            continue
        attempts += 1
        expected += at_the_end or (on_the_way if streaming else 0)
        ended = kind is AuthenticationFailed or attempts > max_retries or (output and streaming)
    turns.append([answer(tokens=100)])
    if not ended:
        attempts += 1
        expected += 100
    play = Play(*turns)

    async def main() -> None:
        ledger = Ledger()
        async with Retry(play, max_retries=max_retries) as provider:
            try:
                completion = await (provider.stream(ASK, ledger) if streaming else provider.complete(ASK))
            except RemoteError as error:
                assert ended
                counted = ledger.total(error)
            else:
                assert not ended
                counted = (completion.usage + completion.other_usage).output_tokens
                assert ledger.failed == (completion.other_usage if streaming else used(0))
        assert len(play.asked) == attempts
        assert counted == expected

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))

    play.asked.clear()
    result = trio.run(
        in_a_run, play, max_retries, streaming, clock=trio.testing.MockClock(autojump_threshold=0)
    )
    assert result == expected


async def in_a_run(play: Play, max_retries: int, streaming: bool) -> int:
    """The tokens that a run's Result counts."""
    provider = Retry(play, max_retries=max_retries)
    try:
        if not streaming:
            return (await run("go", provider=provider)).usage.output_tokens
        async with stream("go", provider=provider) as events:
            return (await events.drain()).usage.output_tokens
    except RemoteError as error:
        return -1 if error.result is None else error.result.usage.output_tokens


def test_a_cancel_at_any_step_counts_what_was_reported_and_leaves_nothing() -> None:
    async def script(disturbance: Disturbance) -> None:
        play = Play(
            [UsageDelta(used(1)), failing(Overloaded("x"), 2)],
            [UsageDelta(used(3)), TextDelta("x"), 1.0, answer(tokens=5)],
        )
        ledger = Ledger()
        with trio.CancelScope() as scope:
            disturbance.arm(scope.cancel)
            async with Retry(play) as provider:
                await provider.stream(ASK, ledger)
        disturbance.disarm()
        assert (play.entered, play.running) == (0, 0)
        if len(play.asked) == 2:
            assert ledger.failed == used(2)

    assert disturb_sweep(script).steps > 5
