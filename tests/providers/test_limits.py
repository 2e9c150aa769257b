"""One limiter for all who share an account."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio import (
    Completion,
    CompletionRequest,
    ConfigurationError,
    Message,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    TextDelta,
    Usage,
    run,
)
from alloy_trio.abc import Provider
from alloy_trio.providers import Fallback, OpenAICompatible, RateLimit, Retry, Scripted
from alloy_trio.providers._allowances import headers_arrived
from alloy_trio.testing import Disturbance, disturb_sweep

from ._play import ASK, Ledger, Play, answer, failing, used


def asking(text: str = "go", max_tokens: int | None = 0) -> CompletionRequest:
    return CompletionRequest((Message.user(text),), max_tokens=max_tokens)


class Vendor(Provider):
    """Lets so many requests through within a minute, as vendors do, and refuses the others.

    Attributes:
        served: when each answered request came, and what it asked.
        refused: how many it refused.
    """

    def __init__(
        self, *, per_minute: float = float("inf"), seconds: float = 0.0, tells: bool = False
    ) -> None:
        self.name, self.model = "vendor", "model"
        self.per_minute, self.seconds, self.tells = per_minute, seconds, tells
        self.served: list[tuple[float, str]] = []
        self.refused = 0

    async def complete(self, request: CompletionRequest) -> Completion:
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        recent = [at for at, _ in self.served if at > now - 60]
        refuse = len(recent) >= self.per_minute
        if not refuse:
            self.served.append((now, request.messages[-1].text))
        if self.tells:
            left = max(0, int(self.per_minute) - len(recent) - 1)
            headers_arrived(
                {
                    "x-ratelimit-limit-requests": str(int(self.per_minute)),
                    "x-ratelimit-remaining-requests": str(left),
                    "x-ratelimit-reset-requests": "60s",
                }
            )
        if refuse:
            self.refused += 1
            raise RateLimited("slow down", status=429, retry_after=6)
        await trio.sleep(self.seconds)
        return answer(tokens=1)


async def test_requests_start_in_order_of_arrival_and_no_minute_has_too_many(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = Vendor(seconds=3)
    provider = RateLimit(vendor, requests_per_minute=10)
    async with provider, trio.open_nursery() as nursery:
        for number in range(35):
            nursery.start_soon(provider.complete, asking(str(number)))
            await trio.testing.wait_all_tasks_blocked()
    assert [text for _, text in vendor.served] == [str(number) for number in range(35)]
    begun = vendor.served[0][0]
    assert [at - begun for at, _ in vendor.served] == [0.0] * 10 + [60.0] * 10 + [120.0] * 10 + [180.0] * 5


async def test_a_newcomer_does_not_overtake_who_was_just_woken(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = Vendor()
    provider = RateLimit(vendor, requests_per_minute=1)

    async def late() -> None:
        await trio.sleep(60)
        await provider.complete(asking("late"))

    async with provider, trio.open_nursery() as nursery:
        await provider.complete(asking("first"))
        nursery.start_soon(late)
        nursery.start_soon(provider.complete, asking("early"))
    assert [text for _, text in vendor.served] == ["first", "early", "late"]


async def test_tokens_are_reserved_before_and_settled_by_usage(
    autojump_clock: trio.testing.MockClock,
) -> None:
    play = Play([5.0, answer(tokens=20)], [answer(tokens=20)], [answer(tokens=20)])
    provider = RateLimit(play, tokens_per_minute=100)
    started = trio.current_time()
    async with provider, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(provider.complete, asking("x" * 200, max_tokens=30))  # 50 + 30
            await trio.testing.wait_all_tasks_blocked()
        assert provider.statistics().tokens_last_minute == 80
    assert [at - started for at in play.asked] == [0.0, 5.0]
    assert provider.statistics().tokens_last_minute == 40
    async with provider:
        await provider.complete(asking(max_tokens=50))
    assert trio.current_time() - started == 5.0


async def test_the_usual_output_is_learned_where_the_request_names_no_maximum() -> None:
    play = Play(*[[answer(tokens=10)]] * 39, [99.0, answer()])
    async with RateLimit(play, tokens_per_minute=10**9) as provider, trio.open_nursery() as nursery:
        for _ in range(39):
            await provider.complete(ASK)
        assert provider.statistics().tokens_last_minute == 390
        nursery.start_soon(provider.complete, ASK)
        await trio.testing.wait_all_tasks_blocked()
        assert 390 < provider.statistics().tokens_last_minute < 410
        nursery.cancel_scope.cancel()


async def test_what_was_refused_used_no_tokens_and_what_broke_off_keeps_its_reservation() -> None:
    play = Play(
        [RateLimited("x", retry_after=0)],
        [QuotaExhausted("x", status=402)],
        [Overloaded("x")],
        [failing(Overloaded("x"), 99)],
    )
    async with RateLimit(play) as provider:
        seen = []
        for _ in range(4):
            with pytest.raises((RateLimited, QuotaExhausted, Overloaded)):
                await provider.complete(asking(max_tokens=50))
            seen.append(provider.statistics().tokens_last_minute)
    assert seen == [0, 0, 50, 149]


async def test_a_rate_limit_error_pauses_everybody(autojump_clock: trio.testing.MockClock) -> None:
    play = Play([RateLimited("x", retry_after=20)], [answer()], [answer()])
    provider = RateLimit(play)
    started = trio.current_time()
    async with provider:
        with pytest.raises(RateLimited):
            await provider.complete(ASK)
        assert provider.statistics().paused_seconds == 20
        async with trio.open_nursery() as nursery:
            nursery.start_soon(provider.complete, ASK)
            nursery.start_soon(provider.stream, ASK, Ledger())
    assert [at - started for at in play.asked] == [0.0, 20.0, 20.0]


@pytest.mark.parametrize("tells", [True, False])
async def test_many_agents_at_once_all_get_their_answer_without_any_number_given(
    autojump_clock: trio.testing.MockClock, tells: bool
) -> None:
    """Fifty start together on an account for ten a minute. Without the limiter most would run out of retries."""
    vendor = Vendor(per_minute=10, tells=tells)
    provider = Retry(RateLimit(vendor))
    async with trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(lambda number=number: run(str(number), provider=provider))
    assert sorted(int(text) for _, text in vendor.served) == list(range(50))
    # The first forty taught the rate; then one minute in some goes a little too far to find out.
    assert vendor.refused < 60

    bare = Retry(Vendor(per_minute=10))
    with pytest.raises(BaseExceptionGroup):
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(lambda number=number: run(str(number), provider=bare))


class Bucket(Provider):
    """An account whose limit comes back evenly, as vendors describe theirs, and whose headers tell what is left."""

    name, model = "bucket", "model"

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.level, self.at = float(limit), trio.current_time()
        self.served: list[float] = []

    async def complete(self, request: CompletionRequest) -> Completion:
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        self.level = min(self.limit, self.level + (now - self.at) * self.limit / 60)
        self.at = now
        # A millionth less, for vendors do not count in floats.
        assert self.level >= 1 - 1e-6, "the limiter let one through that this vendor would refuse"
        self.level -= 1
        self.served.append(now)
        headers_arrived(
            {
                "x-ratelimit-limit-requests": str(self.limit),
                "x-ratelimit-remaining-requests": str(int(self.level)),
                "x-ratelimit-reset-requests": f"{(self.limit - self.level) / self.limit * 60:.6f}s",
            }
        )
        return answer()


async def test_headers_hold_back_before_anything_is_refused(autojump_clock: trio.testing.MockClock) -> None:
    vendor = Bucket(6)
    async with RateLimit(vendor) as provider:
        for _ in range(12):
            await provider.complete(ASK)
    times = [at - vendor.served[0] for at in vendor.served]
    assert times[:6] == [0.0] * 6
    assert times[6:] == pytest.approx([10.0, 20.0, 30.0, 40.0, 50.0, 60.0], abs=9)


class Body(httpx.AsyncByteStream):
    """A body that has not been read."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self.data


async def test_headers_of_an_http_provider_arrive(autojump_clock: trio.testing.MockClock) -> None:
    asked: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(trio.current_time())
        body = {
            "id": "x",
            "model": "m",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        headers = {
            "X-RateLimit-Limit-Requests": "2",
            "X-RateLimit-Remaining-Requests": str(max(0, 2 - len(asked))),
            "X-RateLimit-Reset-Requests": "10s",
            "content-type": "application/json",
        }
        return httpx.Response(200, headers=headers, stream=Body(json.dumps(body).encode()))

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as client:
        model = OpenAICompatible("m", base_url="http://localhost/v1", client=client)
        async with RateLimit(Retry(model)) as provider:
            for _ in range(3):
                await provider.complete(ASK)
    assert [at - asked[0] for at in asked] == [0.0, 0.0, 5.0]


async def test_who_would_start_after_the_deadline_is_told_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = Vendor()
    provider = RateLimit(vendor, requests_per_minute=1)
    started = trio.current_time()
    async with provider, trio.open_nursery() as nursery:
        await provider.complete(ASK)
        nursery.start_soon(provider.complete, ASK)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(100), pytest.raises(RateLimited, match="deadline in 100 s") as caught:
            await provider.complete(ASK)
        assert (caught.value.retry_after, caught.value.provider) == (120, "vendor")
        assert trio.current_time() == started
        statistics = provider.statistics()
        assert (statistics.given_up, statistics.waiting, statistics.started) == (1, 1, 1)
        nursery.cancel_scope.cancel()


async def test_a_pause_beyond_their_deadline_sends_waiting_requests_away(
    autojump_clock: trio.testing.MockClock,
) -> None:
    play = Play([1.0, RateLimited("x", retry_after=50)], name="play")
    other = Play([answer(by="other")], name="other")
    provider = RateLimit(play, requests_per_minute=1)
    fallback = Fallback(provider, other)
    started = trio.current_time()

    async def first() -> None:
        with pytest.raises(RateLimited):
            await provider.complete(ASK)

    async with provider, other, trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.testing.wait_all_tasks_blocked()
        with trio.fail_after(40):
            completion = await fallback.complete(ASK)
    assert completion.message.origin is not None
    assert completion.message.origin.provider == "other"
    assert trio.current_time() - started <= 1


async def test_a_pause_of_hours_is_an_error_and_not_slept(autojump_clock: trio.testing.MockClock) -> None:
    play = Play([1.0, RateLimited("x", retry_after=7200)], [answer()])
    started = trio.current_time()
    caught = []

    async def one(provider: Provider) -> None:
        with pytest.raises(RateLimited) as info:
            await provider.complete(ASK)
        caught.append(info.value.retry_after)

    provider = RateLimit(play, requests_per_minute=1)
    async with provider, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(one, provider)
    assert caught == [7200, 7200, 7200]
    assert trio.current_time() - started == 1


async def test_a_cancelled_waiter_leaves_its_place_to_the_next(
    autojump_clock: trio.testing.MockClock,
) -> None:
    vendor = Vendor()
    provider = RateLimit(vendor, requests_per_minute=1)
    started = trio.current_time()
    async with provider, trio.open_nursery() as nursery:
        await provider.complete(asking("a"))
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as cancelled:
                cancelled.start_soon(provider.complete, asking("b"))
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(provider.complete, asking("c"))
                await trio.testing.wait_all_tasks_blocked()
                assert provider.statistics().waiting == 2
                scope.cancel()
        assert provider.statistics().waiting == 1
    assert [(at - started, text) for at, text in vendor.served] == [(0, "a"), (60, "c")]
    assert provider.statistics().waiting == provider.statistics().running == 0


async def test_who_is_cancelled_already_takes_nobody_s_place() -> None:
    provider = RateLimit(Play(), requests_per_minute=1)
    async with provider:
        with trio.CancelScope() as scope:
            scope.cancel()
            await provider.complete(ASK)
    assert scope.cancelled_caught
    assert provider.statistics().started == 0


async def test_the_minute_outlives_the_last_exit(autojump_clock: trio.testing.MockClock) -> None:
    """Each of these runs enters and leaves the provider."""
    vendor = Vendor()
    provider = RateLimit(vendor, requests_per_minute=1)
    for number in range(3):
        await run(str(number), provider=provider)
    assert [at - vendor.served[0][0] for at, _ in vendor.served] == [0, 60, 120]


def test_a_later_trio_run_has_a_queue_of_its_own() -> None:
    provider = RateLimit(Scripted(["one", "two"]), requests_per_minute=1)

    async def once() -> tuple[str, int]:
        result = await run("go", provider=provider)
        return result.text, provider.statistics().started

    clock = trio.testing.MockClock
    assert [trio.run(once, clock=clock(autojump_threshold=0)) for _ in range(2)] == [("one", 1), ("two", 1)]
    with pytest.raises(RuntimeError):
        provider.statistics()


async def test_pieces_and_usage_pass_through_as_they_are() -> None:
    play = Play([TextDelta("fine"), answer(tokens=3, other=4)])
    ledger = Ledger()
    async with RateLimit(play, 5, 5_000) as provider:
        completion = await provider.stream(ASK, ledger)
    assert (ledger.deltas, completion.usage, completion.other_usage) == (
        [TextDelta("fine")],
        used(3),
        used(4),
    )
    assert (provider.name, provider.model, provider.handles_failures) == ("play", "play-model", False)


@pytest.mark.parametrize(
    "argument",
    [
        {"requests_per_minute": 0},
        {"requests_per_minute": "ten"},
        {"tokens_per_minute": -5},
        {"tokens_per_minute": True},
        {"requests_per_minute": float("nan")},
    ],
)
def test_arguments_that_cannot_work_are_told(argument: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"{next(iter(argument))}="):
        RateLimit(Scripted(["x"]), **argument)


plans = st.lists(
    st.tuples(
        st.integers(0, 90),  # when it arrives
        st.integers(0, 30),  # how long it takes
        st.sampled_from([None, None, 1, 40, 130]),  # when its patience ends
        st.sampled_from(["answer", "answer", "refused", "failed"]),
    ),
    max_size=12,
)


class Planned(Vendor):
    """Answers as the request says."""

    async def complete(self, request: CompletionRequest) -> Completion:
        await trio.lowlevel.checkpoint()
        number, seconds, end = json.loads(request.messages[-1].text)
        self.served.append((trio.current_time(), str(number)))
        await trio.sleep(seconds)
        if end == "refused":
            raise RateLimited("x", retry_after=3)
        if end == "failed":
            raise Overloaded("x")
        return Completion(Message.assistant("x"), "end_turn", Usage(output_tokens=5))


@given(plans, st.integers(1, 4))
def test_whatever_happens_order_and_limit_hold_and_the_queue_is_empty_at_the_end(
    plan: list[tuple[int, int, int | None, str]], per_minute: int
) -> None:
    vendor = Planned()
    provider = RateLimit(vendor, requests_per_minute=per_minute)
    arrived: list[int] = []

    async def one(number: int, arrival: int, seconds: int, patience: int | None, end: str) -> None:
        await trio.sleep(arrival)
        arrived.append(number)
        with trio.move_on_after(patience if patience is not None else float("inf")):
            try:
                await provider.complete(asking(json.dumps([number, seconds, end])))
            except (RateLimited, Overloaded):
                pass

    async def main() -> None:
        async with provider, trio.open_nursery() as nursery:
            for number, item in enumerate(plan):
                nursery.start_soon(one, number, *item)
        statistics = provider.statistics()
        assert (statistics.waiting, statistics.running) == (0, 0)
        assert statistics.started == len(vendor.served)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    times = [at for at, _ in vendor.served]
    for begin in times:
        assert sum(begin <= at < begin + 60 for at in times) <= per_minute
    numbers = [int(text) for _, text in vendor.served]
    # Those that start in the same step may be seen by the vendor in any order.
    order = {number: place for place, number in enumerate(arrived)}
    begun: dict[float, list[int]] = {}
    for at, number in zip(times, numbers, strict=True):
        begun.setdefault(at, []).append(order[number])
    places = [place for group in begun.values() for place in sorted(group)]
    assert places == sorted(places)


def test_a_cancel_at_any_step_leaves_an_empty_queue() -> None:
    async def script(disturbance: Disturbance) -> None:
        provider = RateLimit(Play(*[[1.0, answer()]] * 4), requests_per_minute=2)
        with trio.CancelScope() as scope:
            disturbance.arm(scope.cancel)
            async with provider, trio.open_nursery() as nursery:
                for _ in range(4):
                    nursery.start_soon(provider.complete, ASK)
        disturbance.disarm()
        statistics = provider.statistics()
        assert (statistics.waiting, statistics.running) == (0, 0)
        assert statistics.requests_last_minute <= 2

    assert disturb_sweep(script).steps > 15
