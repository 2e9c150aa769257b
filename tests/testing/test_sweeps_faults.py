"""Fault sweeps reach every exchange and every execution with every fault, and judge what comes of it."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import trio

from alloy_trio import (
    AuthenticationFailed,
    CompletionRequest,
    Message,
    Overloaded,
    RemoteError,
    Result,
    ToolError,
    ToolUse,
    run,
    stream,
    tool,
)
from alloy_trio.abc import Provider
from alloy_trio.providers import Fallback, Retry, Scripted
from alloy_trio.testing import SweepFailure, fault_sweep


@tool
async def nap(seconds: float) -> str:
    """Sleep."""
    await trio.sleep(seconds)
    return "slept"


def naps(turn: int) -> list[ToolUse]:
    return [ToolUse(f"{turn}{number}", "nap", {"seconds": number}) for number in (1, 2)]


def model() -> Scripted:
    return Scripted([naps(1), naps(2), "all is done", *["once more"] * 3])


class Seen:
    """What a script came to, under each fault."""

    def __init__(self) -> None:
        self.results: list[Result | BaseException] = []

    async def run(self, **options: Any) -> None:
        try:
            self.results.append(await run("x", **{"provider": model(), "tools": [nap], **options}))
        except Exception as error:
            self.results.append(error)
            raise


def test_every_place_gets_every_fault() -> None:
    seen = Seen()
    report = fault_sweep(seen.run)
    # Three exchanges without pieces: refused in four ways, overloaded for good, delayed, lost in three ways.
    assert report.runs == report.results == len(seen.results) == 1 + 3 * 9 + 4 * 5
    kinds = Counter(type(each).__name__ for each in seen.results)
    assert kinds == {"Result": 1 + 3 * 7 + 4 * 5, "Overloaded": 3, "AuthenticationFailed": 3}
    results = [each for each in seen.results if isinstance(each, Result)]
    assert {each.text for each in results} == {"all is done"}
    outcomes = Counter(record.outcome for each in results for record in each.tool_calls)
    # With four executions, each of: not run, lost, a bug; too long, cancelled alone.
    assert (outcomes["failed"], outcomes["interrupted"]) == (4 * 3, 4 * 2)


def test_an_answer_is_broken_off_at_several_places_when_it_comes_in_pieces() -> None:
    texts: Counter[str] = Counter()

    async def script() -> None:
        async with stream("x", provider=Scripted(["one two three four", *["again"] * 3])) as events:
            said = ""
            try:
                async for event in events:
                    said += event.payload if event.event == "text_delta" else ""
            finally:
                texts[said] += 1

    report = fault_sweep(script)
    # Six pieces: usage, four words, usage; broken off in three ways after 0, 1, 2, 4, 5 and 6 of them.
    assert report.runs == 1 + 6 + 3 * 6
    assert set(texts) == {"one two three four", "", "one ", "one two three "}
    # Before the first word the same is asked for again, and the model says the same.
    assert texts[""] == 2
    assert texts["one two three four"] > 10


def test_a_provider_inside_of_others_is_reached_and_they_are_not() -> None:
    async def script() -> None:
        first, second = Scripted(["a", *["b"] * 9], name="first"), Scripted(["c"] * 9, name="second")
        await run("x", provider=Fallback(Retry(first), second))

    report = fault_sweep(script)
    assert report.runs == 1 + 9


def test_a_fallback_takes_over_where_a_provider_is_overloaded_for_good() -> None:
    seen = Seen()

    async def script() -> None:
        await seen.run(fallback_providers=[Scripted(["taken over"] * 3, name="other")])

    fault_sweep(script, allow=())
    results = [each for each in seen.results if isinstance(each, Result)]
    assert len(results) == len(seen.results)
    # Overloaded for good, and without a key, each at each of three exchanges.
    assert Counter(each.text for each in results)["taken over"] == 3 * 2


def test_what_a_fault_may_lead_to_is_said() -> None:
    async def script() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(Seen().run)

    fault_sweep(script)  # its errors are in groups
    with pytest.raises(SweepFailure, match="exchange 1 overloaded from then on") as caught:
        fault_sweep(script, allow=(AuthenticationFailed, ToolError))
    assert isinstance(caught.value.__cause__, BaseExceptionGroup)
    with pytest.raises(SweepFailure, match="Overloaded: the sweep overloaded the provider"):
        fault_sweep(script, allow=AuthenticationFailed, only=caught.value.at)
    fault_sweep(script, allow=Overloaded, only=caught.value.at)


def test_a_script_that_fails_undisturbed_fails_whatever_is_allowed() -> None:
    async def script() -> None:
        await run("x", provider=Scripted([Overloaded("full", transient=False)]))

    with pytest.raises(SweepFailure, match="undisturbed") as caught:
        fault_sweep(script)
    assert caught.value.at == 0


def test_a_retry_that_takes_too_long_is_found() -> None:
    async def patient() -> None:
        for _ in range(2):
            try:
                await Seen().run(max_retries=0)
                return
            except Overloaded:
                await trio.sleep(60)
        await Seen().run(max_retries=0)

    with pytest.raises(
        SweepFailure, match=r"exchange 2 overloaded: it took 66\.000 s, and may take 64\.000 s"
    ):
        fault_sweep(patient)
    fault_sweep(patient, late_seconds=70)


def test_a_script_that_waits_for_ever_after_a_fault_is_found_and_ended() -> None:
    async def script() -> None:
        answered = trio.Event()

        async def ask() -> None:
            try:
                await Seen().run(max_retries=0)
            except RemoteError:
                return
            answered.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            with trio.CancelScope(shield=True):
                await answered.wait()

    with pytest.raises(SweepFailure, match="waits for ever") as caught:
        fault_sweep(script)
    assert "test_sweeps_faults" in str(caught.value)
    assert "script" in str(caught.value)


def test_a_provider_that_says_it_used_less_than_before_is_found() -> None:
    from alloy_trio import Completion, Usage, UsageDelta

    class Forgetful(Provider):
        name = model = "forgetful"

        def __init__(self, used: int) -> None:
            self.used = used

        async def complete(self, request: CompletionRequest) -> Completion:
            raise AssertionError("it is streamed from")

        async def stream(self, request: CompletionRequest, deltas: Any) -> Completion:
            await deltas.send(UsageDelta(Usage(input_tokens=10)))
            return Completion(Message.assistant("x"), "end_turn", Usage(input_tokens=self.used), "m", None)

    def script(used: int) -> Any:
        async def script() -> None:
            async with stream("x", provider=Forgetful(used)) as events:
                await events.drain()

        return script

    with pytest.raises(SweepFailure, match="usage fell from 10 to 9 tokens"):
        fault_sweep(script(9))
    fault_sweep(script(10))
