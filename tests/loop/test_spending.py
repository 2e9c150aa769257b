"""Money: no run spends more than it may, whoever spends with it, and a little money still buys something."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alloy_trio import (
    Completion,
    CompletionRequest,
    ConfigurationError,
    Image,
    Message,
    ModelInfo,
    Overloaded,
    Prices,
    PriceUnknown,
    Rejected,
    RemoteError,
    Result,
    StreamTruncated,
    Text,
    TextDelta,
    Thinking,
    ToolContext,
    ToolUse,
    Usage,
    UsageDelta,
    resume,
    run,
    stream,
    tool,
)
from alloy_trio._seed import seeded
from alloy_trio.abc import DeltaSink, Middleware, Provider
from alloy_trio.loop._bounds import most_input, most_of
from alloy_trio.models import cost_cents
from alloy_trio.providers import Anthropic, Fallback, Hedge, OpenAI, RateLimit, Retry, Scripted
from alloy_trio.values import Block, ToolSpec
from alloy_trio.wire import problems

CENT = ModelInfo(prices=Prices(input=1_000_000, output=1_000_000), max_output_tokens=5000)
"""One cent a token."""


def priced(**models: ModelInfo) -> dict[str, ModelInfo]:
    return {"scripted": CENT, **models}


class Fixed(Provider):
    """Gives the next of some answers, as they stand, and keeps what it was asked."""

    def __init__(self, *answers: Any, name: str = "own", model: str = "scripted", **more: Any) -> None:
        self.name, self.model = name, model
        self.answers = list(answers)
        self.requests: list[CompletionRequest] = []
        for key, value in more.items():
            setattr(self, key, value)

    async def complete(self, request: CompletionRequest) -> Completion:
        await trio.lowlevel.checkpoint()
        self.requests.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        if isinstance(answer, Completion):
            return answer
        content, usage = answer
        blocks = (Text(content),) if isinstance(content, str) else tuple(content)
        reason = "tool_use" if any(isinstance(block, ToolUse) for block in blocks) else "end_turn"
        return Completion(Message("assistant", blocks), reason, usage)


def used(input: int, output: int = 0) -> Usage:
    return Usage(input_tokens=input, output_tokens=output)


@tool
async def look() -> str:
    """Look."""
    return "seen"


LOOK = (ToolUse("1", "look", {}),)


# What it is like


async def test_a_run_within_its_budget_is_like_any_other() -> None:
    model = Fixed(("fine", used(20, 5)), max_tokens=50)
    result = await run("go", provider=model, max_budget_cents=500, model_metadata_overrides=priced())
    assert (result.status, result.text, result.usage.cost_cents) == ("completed", "fine", 25)
    assert model.requests[0].max_tokens is None


async def test_max_tokens_is_lowered_to_what_the_rest_buys() -> None:
    model = Fixed((LOOK, used(20, 5)), ("fine", used(30, 5)), max_tokens=2000)
    result = await run(
        "go", provider=model, tools=[look], max_budget_cents=1500, model_metadata_overrides=priced()
    )
    first, second = (request.max_tokens for request in model.requests)
    assert first is not None and first == 1500 - most_input(model.requests[0], "scripted")
    # The second's input is bounded by what the first was reported to be, and the bytes that came after.
    assert second is not None and 1500 - 25 - 20 - 200 < second <= 1500 - 25 - 20
    assert result.status == "completed"


async def test_hidden_reasoning_that_goes_back_is_bounded_by_the_tokens_that_it_took() -> None:
    model = Fixed((LOOK, used(20, 700)), ("fine", used(30, 5)), max_tokens=4000)
    await run("go", provider=model, tools=[look], max_budget_cents=4000, model_metadata_overrides=priced())
    second = model.requests[1]
    assert second.max_tokens == 4000 - 720 - (20 + 700 + 8 + most_of(second.messages[2:], "scripted"))


async def test_the_price_of_a_call_itself_is_put_aside() -> None:
    known = {"scripted": ModelInfo(prices=Prices(input=0, output=0, request=7))}
    for cents, status in ((6, "budget_exceeded"), (7, "completed")):
        model = Fixed(("fine", used(1, 1)))
        result = await run("go", provider=model, max_budget_cents=cents, model_metadata_overrides=known)
        assert result.status == status


async def test_under_256_tokens_of_output_the_run_ends() -> None:
    model = Fixed(("fine", used(20, 5)), max_tokens=1000)
    need = most_input(CompletionRequest((Message.user("go"),)), "scripted") + 256
    result = await run("go", provider=model, max_budget_cents=need - 1, model_metadata_overrides=priced())
    assert (result.status, result.usage, model.requests) == ("budget_exceeded", Usage(), [])
    assert result.error is not None and result.error.kind == "BudgetExceeded"
    assert f"max_budget_cents={need - 1}: 0 are spent" in result.error.message
    result = await run("go", provider=model, max_budget_cents=need, model_metadata_overrides=priced())
    assert (result.status, model.requests[0].max_tokens) == ("completed", 256)


async def test_a_smaller_cap_of_its_own_is_enough_output() -> None:
    need = most_input(CompletionRequest((Message.user("go"),)), "scripted") + 10
    model = Fixed(("fine", used(20, 5)), max_tokens=10)
    result = await run("go", provider=model, max_budget_cents=need, model_metadata_overrides=priced())
    assert result.status == "completed"


async def test_under_the_thinking_budget_the_run_ends() -> None:
    need = most_input(CompletionRequest((Message.user("go"),)), "scripted") + 501
    model = Fixed(("fine", used(20, 5)), max_tokens=900, thinking_budget=500)
    for cents, status in ((need - 1, "budget_exceeded"), (need, "completed")):
        result = await run("go", provider=model, max_budget_cents=cents, model_metadata_overrides=priced())
        assert result.status == status


@pytest.mark.parametrize(
    ("facts", "cents", "asked"),
    [
        ({}, 10**6, 8192),  # nobody knows: a cap that models take
        ({"context_window": 30_000}, 10**6, None),  # all that it could write is affordable
        ({"context_window": 30_000}, 20_000, 8192),
        ({"max_output_tokens": 500}, 10**6, None),
    ],
)
async def test_where_nobody_caps_the_output_the_models_facts_do(
    facts: dict[str, int], cents: int, asked: int | None
) -> None:
    known = ModelInfo(prices=CENT.prices, **facts)
    model = Fixed(("fine", used(1, 1)))
    await run("go", provider=model, max_budget_cents=cents, model_metadata_overrides={"scripted": known})
    assert model.requests[0].max_tokens == asked


@pytest.mark.parametrize("cents", [0.5, True, "x", -1])
async def test_a_budget_is_an_exact_number_of_cents(cents: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_budget_cents="):
        await run("go", provider=Fixed(), max_budget_cents=cents)


@pytest.mark.parametrize(
    "provider",
    [
        Fixed(model="mine"),
        Retry(Fixed(model="mine")),
        Fallback(Fixed(), Retry(RateLimit(Fixed(model="mine")))),
        Hedge(Fixed(), Fixed(model="mine"), after=1),
        RateLimit(Fixed(model="mine")),
        Fixed(),
    ],
)
async def test_an_unknown_price_is_refused_before_anything_is_spent(provider: Provider) -> None:
    more: dict[str, Any] = {}
    if isinstance(provider, Fixed) and provider.model != "mine":
        more = {"fallback_providers": [Fixed(model="mine")]}
    with pytest.raises(PriceUnknown, match="what 'mine' of own costs is not known"):
        await run("go", provider=provider, max_budget_cents=5, model_metadata_overrides=priced(), **more)
    with pytest.raises(PriceUnknown):
        async with stream(
            "go", provider=provider, max_budget_cents=5, model_metadata_overrides=priced(), **more
        ):
            raise AssertionError("not reached")


async def test_tokens_and_calls_need_no_prices() -> None:
    model = Fixed(("fine", used(20, 5)), model="mine")
    result = await run("go", provider=model, max_total_tokens=5000, max_tool_calls=0)
    assert (result.status, result.usage) == ("completed", used(20, 5))


async def test_a_cost_that_the_vendor_reports_wins() -> None:
    reported = Usage(input_tokens=20, cost_cents=Decimal("1.5"))
    seen: list[Any] = []

    @tool
    async def spy(context: ToolContext) -> str:
        """Look at the budget."""
        seen.append((context.budget.spent_cents, context.budget.remaining_cents, context.budget.tokens))
        return ""

    model = Fixed(([ToolUse("1", "spy", {})], reported), ("fine", used(1, 1)))
    await run("go", provider=model, tools=[spy], max_budget_cents=10_000, model_metadata_overrides=priced())
    assert seen == [(Decimal("1.5"), Decimal("9998.5"), 20)]


async def test_without_a_budget_tools_see_none() -> None:
    seen: list[Any] = []

    @tool
    async def spy(context: ToolContext) -> str:
        """Look at the budget."""
        seen.append(context.budget)
        return ""

    await run("go", provider=Scripted([[ToolUse("", "spy", {})], "fine"]), tools=[spy])
    assert seen == [None]


async def test_middleware_sees_the_budget() -> None:
    seen: list[Any] = []

    class Spy(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Completion:
            completion: Completion = await proceed(request)
            seen.append(run.budget.spent_cents)
            return completion

    model = Fixed(("fine", used(20, 5)))
    options: Any = {"max_budget_cents": 10_000, "model_metadata_overrides": priced()}
    await run("go", provider=model, middleware=[Spy()], **options)
    assert seen == [25]


# Other limits


async def test_tokens_are_never_exceeded() -> None:
    model = Fixed((LOOK, used(600, 200)), max_tokens=1000)
    result = await run("go", provider=model, tools=[look], max_total_tokens=1100)
    assert (result.status, len(model.requests)) == ("budget_exceeded", 1)
    assert result.error is not None and "max_total_tokens=1100: 800 are used" in result.error.message
    assert not problems(result.messages, "anthropic")


async def test_calls_beyond_the_limit_are_not_run_and_the_run_ends() -> None:
    calls = [ToolUse(str(number), "look", {}) for number in range(3)]
    model = Fixed((calls[:1], used(9)), (calls, used(9)))
    result = await run("go", provider=model, tools=[look], max_tool_calls=3)
    assert (result.status, len(model.requests)) == ("budget_exceeded", 2)
    assert [record.outcome for record in result.tool_calls] == ["completed"] * 3 + ["not_started"]
    assert result.error is not None and "max_tool_calls=3: 3 were made" in result.error.message
    assert not problems(result.messages, "anthropic")


async def test_who_makes_just_as_many_calls_as_allowed_may_answer() -> None:
    model = Fixed((LOOK, used(9)), ("fine", used(9)))
    assert (await run("go", provider=model, tools=[look], max_tool_calls=1)).status == "completed"


async def test_no_call_at_all_may_be_allowed() -> None:
    model = Fixed((LOOK, used(9)))
    result = await run("go", provider=model, tools=[look], max_tool_calls=0)
    assert (result.status, [record.outcome for record in result.tool_calls]) == (
        "budget_exceeded",
        ["not_started"],
    )


# The closing answer


async def test_a_closing_answer_is_asked_for_without_tools_when_the_calls_are_used_up() -> None:
    model = Fixed((LOOK, used(9)), ("that much I know", used(9)))
    result = await run("go", provider=model, tools=[look], max_tool_calls=0, closing_answer=True)
    assert (result.status, result.text, result.turns) == ("budget_exceeded", "that much I know", 2)
    last = model.requests[-1]
    assert last.tool_choice == "none"
    assert "max_tool_calls=0" in last.messages[-1].text
    assert result.messages[:-1] == last.messages
    assert not problems(result.messages, "anthropic")


async def test_a_closing_answer_follows_the_last_turn_too() -> None:
    model = Fixed((LOOK, used(9)), ("that much I know", used(9)))
    result = await run("go", provider=model, tools=[look], max_turns=1, closing_answer=True)
    assert (result.status, result.text, result.error) == ("max_turns", "that much I know", None)
    assert not problems(result.messages, "anthropic")


async def test_calls_in_a_closing_answer_are_not_run() -> None:
    model = Fixed((LOOK, used(9)), ([Text("more"), *LOOK], used(9)))
    result = await run("go", provider=model, tools=[look], max_turns=1, closing_answer=True)
    assert (result.text, [record.outcome for record in result.tool_calls]) == (
        "more",
        ["completed", "not_started"],
    )
    assert not problems(result.messages, "anthropic")


async def test_money_for_the_closing_answer_is_kept_back() -> None:
    # Each turn takes what it can get; the last answer is paid from what was kept.
    def turn(request: CompletionRequest) -> Any:
        return [Text("hm"), ToolUse("", "look", {})] if request.tool_choice != "none" else "in short"

    model = Scripted([turn] * 50)
    result = await run(
        "go",
        provider=model,
        tools=[look],
        max_budget_cents=4000,
        max_turns=50,
        closing_answer=True,
        model_metadata_overrides=priced(),
    )
    assert (result.status, result.text) == ("budget_exceeded", "in short")
    assert result.usage.cost_cents is not None and 1638 < result.usage.cost_cents <= 4000


async def test_a_closing_answer_that_cannot_be_had_makes_no_other_end() -> None:
    model = Fixed((LOOK, used(9)), Rejected("no"))
    result = await run("go", provider=model, tools=[look], max_tool_calls=0, closing_answer=True)
    assert result.status == "budget_exceeded" and result.error is not None
    assert result.error.message.startswith("max_tool_calls=0")
    model = Fixed((LOOK, used(9)), Rejected("no"))
    result = await run("go", provider=model, tools=[look], max_turns=1, closing_answer=True)
    assert result.status == "max_turns" and result.error is not None and result.error.kind == "Rejected"
    result = await run(
        "go",
        provider=Fixed(),
        max_budget_cents=1,
        closing_answer=True,
        model_metadata_overrides=priced(),
    )
    assert (result.status, result.messages) == ("budget_exceeded", (Message.user("go"),))


# Attempts


OPTIONS: dict[str, Any] = {"max_budget_cents": 3000, "model_metadata_overrides": priced()}


async def test_a_failed_attempt_that_reported_nothing_costs_nothing(autojump_clock: Any) -> None:
    model = Fixed(Overloaded("x"), ("fine", used(20, 5)), max_tokens=2500)
    result = await run("go", provider=model, max_retries=1, **OPTIONS)
    assert result.status == "completed"
    assert model.requests[0].max_tokens == model.requests[1].max_tokens


async def test_what_a_failed_attempt_reported_is_spent(autojump_clock: Any) -> None:
    failed = Overloaded("x")
    failed.usage = used(2900)
    model = Fixed(failed, max_tokens=2500)
    with_note = await run("go", provider=model, max_retries=1, **OPTIONS)
    assert with_note.status == "budget_exceeded" and with_note.usage.cost_cents == 2900
    assert with_note.error is not None
    assert "2900 are spent" in with_note.error.message
    assert with_note.error.message.endswith("the attempt before it failed: Overloaded: x")


@pytest.mark.parametrize("how", ["fallback_providers", "Fallback", "Hedge"])
async def test_a_fallback_that_is_too_dear_ends_the_run_and_the_first_failure_is_told(
    how: str, autojump_clock: Any
) -> None:
    dear = ModelInfo(prices=Prices(input=10**9, output=10**9))
    first, second = Fixed(Rejected("the first said no")), Fixed(model="dear")
    options: dict[str, Any] = OPTIONS | {"model_metadata_overrides": priced(dear=dear)}
    provider: Provider = first
    if how == "fallback_providers":
        options["fallback_providers"] = [second]
    else:
        provider = Fallback(first, second) if how == "Fallback" else Hedge(first, second, after=9)
    result = await run("go", provider=provider, **options)
    assert result.status == "budget_exceeded" and result.error is not None
    assert "max_budget_cents=3000" in result.error.message and "the first said no" in result.error.message
    assert second.requests == []


class Slow(Fixed):
    """Answers after a while; in pieces, the first of which come at once."""

    async def complete(self, request: CompletionRequest) -> Completion:
        await trio.sleep(10)
        return await super().complete(request)

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        for piece in getattr(self, "pieces", ()):
            await deltas.send(piece)
        return await self.complete(request)


async def test_a_second_lane_that_cannot_be_afforded_is_not_started(autojump_clock: Any) -> None:
    second = Fixed()
    provider = Hedge(Slow(("slow", used(20, 5)), max_tokens=2700), second, after=1)
    result = await run("go", provider=provider, **OPTIONS)
    assert (result.status, result.text, second.requests) == ("completed", "slow", [])


async def test_a_second_lane_gets_what_a_first_one_that_failed_gives_back(autojump_clock: Any) -> None:
    provider = Hedge(Slow(Overloaded("x"), max_tokens=2700), Fixed(("quick", used(20, 5))), after=1)
    result = await run("go", provider=provider, **OPTIONS)
    assert (result.status, result.text) == ("completed", "quick")


class Wrapped(Provider):
    """A user's provider around another one that says nothing of it."""

    name = "own"

    def __init__(self, inner: Provider, model: str = "scripted") -> None:
        self._inner = inner
        self.model = model

    async def complete(self, request: CompletionRequest) -> Completion:
        return await self._inner.complete(request)


async def test_a_provider_of_the_users_around_others_does_not_pay_twice(autojump_clock: Any) -> None:
    """Had it kept what was put aside for it, the inner one could not have been paid."""
    model = Fixed(Overloaded("x"), ("fine", used(20, 5)))
    result = await run("go", provider=Wrapped(Retry(model)), **OPTIONS)
    assert (result.status, result.usage.cost_cents) == ("completed", 25)


async def told(provider: Provider, *, streaming: bool, reason: str = "") -> Any:
    """What the budget of a run that runs into its timeout says afterwards."""
    views: list[Any] = []

    class Spy(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Completion:
            views.append(run.budget)
            completion: Completion = await proceed(request)
            return completion

    options: dict[str, Any] = OPTIONS | {"timeout": 5, "middleware": [Spy()]}
    if streaming:
        async with stream("go", provider=provider, **options) as events:
            result = await events.drain()
    else:
        result = await run("go", provider=provider, **options)
    assert result.status == "timeout"
    return views[0], result


ASKED = most_input(CompletionRequest((Message.user("go"),)), "scripted")


async def test_what_was_cancelled_is_settled_by_what_was_seen_of_it(autojump_clock: Any) -> None:
    silent = Slow(max_tokens=500)
    view, result = await told(silent, streaming=True)
    assert (view.spent_cents, view.reserved_cents, result.usage.cost_cents) == (ASKED, 0, None)
    silent.pieces = [TextDelta("0123456789")]  # type: ignore[attr-defined]
    view, _ = await told(silent, streaming=True)
    assert view.spent_cents == ASKED + 10
    silent.pieces = [UsageDelta(used(40, 3)), TextDelta("0123456789")]  # type: ignore[attr-defined]
    view, result = await told(silent, streaming=True)
    assert (view.spent_cents, result.usage.cost_cents) == (50, 43)


async def test_a_whole_answer_that_was_cancelled_counts_as_what_was_reserved(autojump_clock: Any) -> None:
    view, _ = await told(Slow(max_tokens=500), streaming=False)
    assert view.spent_cents == ASKED + 500


async def test_who_waits_for_a_rate_limit_holds_no_money(autojump_clock: Any) -> None:
    seen: list[Any] = []

    class Spy(Middleware):
        async def completion(self, request: Any, proceed: Any, run: Any) -> Completion:
            seen.append(run.budget)
            completion: Completion = await proceed(request)
            return completion

    limited = RateLimit(Fixed(("fine", used(1))), requests_per_minute=1)
    async with limited, trio.open_nursery() as nursery:
        await limited.complete(CompletionRequest((Message.user("go"),)))
        nursery.start_soon(partial(run, "go", provider=limited, middleware=[Spy()], **OPTIONS))
        await trio.sleep(1)
        assert (limited.statistics().waiting, seen[0].reserved_cents) == (1, 0)
        nursery.cancel_scope.cancel(reason="seen")
    assert seen[0].spent_cents == 0


async def test_an_attempt_behind_a_rate_limit_costs_what_it_cost_without_a_budget(
    autojump_clock: Any,
) -> None:
    def provider() -> Provider:
        failed = Overloaded("x")
        failed.usage = used(7)
        return Retry(RateLimit(Fixed(failed, ("fine", used(20, 5)))))

    plain = await run("go", provider=provider(), model_metadata_overrides=priced())
    assert plain.usage.cost_cents == 32
    assert (await run("go", provider=provider(), **OPTIONS)).usage == plain.usage


# Down the tree


def delegating(inner: Callable[[], Provider], **options: Any) -> Any:
    @tool
    async def delegate() -> str:
        """Ask somebody else."""
        return (await run("help", provider=inner(), **options)).status

    return delegate


async def test_what_a_tool_starts_spends_from_the_run_that_called_it() -> None:
    inner = Fixed(("helped", used(30, 10)), ("helped", used(30, 10)))
    views: list[Any] = []

    @tool
    async def spy(context: ToolContext) -> str:
        """Look at the budget."""
        views.append(context.budget)
        return ""

    calls = [ToolUse("1", "delegate", {}), ToolUse("2", "spy", {})]
    model = Fixed((calls, used(20, 5)), ("fine", used(20, 5)))
    delegate = delegating(lambda: inner, model_metadata_overrides=priced())
    await run("go", provider=model, tools=[delegate, spy], **OPTIONS | {"max_budget_cents": 9000})
    assert views[0].spent_cents == 25 + 40 + 25


async def test_a_child_is_bound_by_its_own_budget_and_by_those_above() -> None:
    own = delegating(lambda: Fixed(), max_budget_cents=10, model_metadata_overrides=priced())
    above = delegating(lambda: Fixed(), max_budget_cents=10**6, model_metadata_overrides=priced())
    calls = [ToolUse("1", "delegate", {})]
    for delegate, cents in ((own, 9000), (above, 1200)):
        model = Fixed((calls, used(900, 5)), ("fine", used(1, 1)), max_tokens=10)
        options = OPTIONS | {"max_budget_cents": cents}
        result = await run("go", provider=model, tools=[delegate], **options)
        assert result.tool_calls[0].output == "budget_exceeded"


async def test_a_child_whose_price_is_unknown_is_refused_under_a_budget() -> None:
    model = Fixed(([ToolUse("1", "delegate", {})], used(20, 5)), ("fine", used(1, 1)))
    delegate = delegating(lambda: Fixed(model="mine"))
    result = await run("go", provider=model, tools=[delegate], **OPTIONS)
    assert "what 'mine' of own costs is not known" in result.tool_calls[0].output


async def test_a_run_in_a_trio_of_its_own_cannot_share_a_budget() -> None:
    @tool
    def delegate() -> str:
        """Ask somebody else, from a thread."""

        async def main() -> str:
            return (await run("help", provider=Fixed(), model_metadata_overrides=priced())).status

        return trio.run(main)

    model = Fixed(([ToolUse("1", "delegate", {})], used(20, 5)), ("fine", used(1, 1)))
    result = await run("go", provider=model, tools=[delegate], **OPTIONS)
    assert "trio.from_thread.run" in result.tool_calls[0].output


async def test_a_reader_of_pieces_that_asks_a_model_of_its_own_does_not_wait_for_itself(
    autojump_clock: Any,
) -> None:
    """What the answer that it reads holds is not given back before it has read."""
    statuses: list[str] = []

    class Moderate(Middleware):
        async def delta(self, delta: Any, proceed: Any, run_: Any) -> None:
            result = await run("is this fine?", provider=Fixed(), model_metadata_overrides=priced())
            statuses.append(result.status)
            await proceed(delta)

    model = Fixed(("fine", used(20, 5)), max_tokens=2800)
    async with stream("go", provider=model, middleware=[Moderate()], **OPTIONS) as events:
        result = await events.drain()
    assert (statuses, result.text, result.usage.cost_cents) == (["budget_exceeded"], "fine", 25)


async def test_a_resumed_run_goes_on_counting() -> None:
    from alloy_trio import Approve, Pause

    class Ask(Middleware):
        async def tool_call(self, call: Any, proceed: Any, run: Any) -> Any:
            if call.id not in run.approved:
                raise Pause("ask")
            return await proceed(call)

    options: dict[str, Any] = {"tools": [look], "middleware": [Ask()], **OPTIONS}
    paused = await run("go", provider=Fixed((LOOK, used(2000, 500)), max_tokens=500), **options)
    assert paused.status == "paused"
    model = Fixed(max_tokens=500)
    result = await resume(paused, decisions={"1": Approve()}, provider=model, **options)
    assert (result.status, model.requests) == ("budget_exceeded", [])
    assert result.error is not None and "2500 are spent" in result.error.message


# What a cent buys


READ = "Read a file and return its text, with line numbers; offset and limit choose lines."


@pytest.mark.parametrize(
    ("name", "model"),
    [("anthropic", "claude-haiku-4-5"), ("openai", "gpt-5.4-mini"), ("gemini", "gemini-2.5-flash")],
)
async def test_one_cent_buys_a_few_turns_at_ordinary_prices(name: str, model: str) -> None:
    @tool
    async def read(path: str) -> str:
        """Read a file and return its text, with line numbers.

        Args:
            path: which file
        """
        return "version = '0.1.0'\n" * 20

    def turn(request: CompletionRequest) -> Any:
        return [Text("I look."), ToolUse("", "read", {"path": "pyproject.toml"})]

    scripted = Scripted([turn, turn, "The version is 0.1.0."], name=name, model=model)
    result = await run(
        "Read pyproject.toml and tell me the version",
        provider=scripted,
        tools=[read],
        system_prompt="You are a careful assistant. " * 10,
        max_budget_cents=1,
    )
    assert (result.status, result.text, result.turns) == ("completed", "The version is 0.1.0.", 3)
    assert result.usage.cost_cents is not None and 0 < result.usage.cost_cents < 1


# Zero overspend


class Honest(Provider):
    """A model that counts its own tokens, honours max_tokens, and may fail at any moment.

    Attributes:
        billed: what it has reported to have cost, in cents.
    """

    def __init__(self, name: str, facts: ModelInfo, density: int, turns: Sequence[dict[str, Any]]) -> None:
        self.name = self.model = name
        self.facts = facts
        self.density = density
        self.turns = turns
        self.asked = 0
        self.billed = Decimal(0)
        self.tokens = 0

    def _tokens(self, words: str) -> int:
        return len(words.encode()) * self.density // 100

    def _input(self, request: CompletionRequest) -> int:
        total = self._tokens(request.system or "")
        total += sum(self._tokens(spec.description + json.dumps(spec.input_schema)) for spec in request.tools)
        for message in request.messages:
            for block in message.content:
                words = getattr(block, "text", "") + json.dumps(getattr(block, "input", ""))
                total += self._tokens(words)
        return total

    async def complete(self, request: CompletionRequest) -> Completion:
        return await self._play(request, None)

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        return await self._play(request, deltas)

    async def _play(self, request: CompletionRequest, deltas: DeltaSink | None) -> Completion:
        turn = self.turns[min(self.asked, len(self.turns) - 1)]
        self.asked += 1
        caps = [cap for cap in (request.max_tokens, self.facts.max_output_tokens) if cap is not None]
        output = min([*caps, turn["output"]])
        size = self._input(request)
        cached = {"cache_read_tokens": 0, "cache_write_tokens": 0} | (
            {turn["cache"]: size // 2} if turn["cache"] else {}
        )
        plain = size - sum(cached.values())
        start = Usage(input_tokens=plain, **cached)
        usage = Usage(
            input_tokens=plain,
            **cached,
            output_tokens=output,
            reasoning_tokens=output // 2 if turn["reasons"] else 0,
        )
        await trio.sleep(turn["seconds"])
        last = Usage()
        end = turn["end"]
        if deltas is not None and turn["reports"]:
            await deltas.send(UsageDelta(start))
            last = start
        if deltas is not None and end == "broken":
            await deltas.send(TextDelta("x" * min(output, 20)))
        await trio.sleep(turn["seconds"])
        calls = request.tool_choice != "none" and bool(request.tools) and end == "calls"
        if end in ("busy", "broken", "rejected"):
            last = last if not turn["reports"] or turn["cache"] else usage
            error: RemoteError = {"busy": Overloaded, "broken": StreamTruncated, "rejected": Rejected}[end](
                "x"
            )
            error.usage = last
            if last != Usage():
                self._bill(last)
            raise error
        self._bill(usage)
        content: list[Block] = [Text("y" * min(output, 50))] if output else []
        if turn["reasons"]:
            content.insert(0, Thinking("z", "s" * 10))
        if calls:
            content.extend(ToolUse(f"{self.name}{self.asked}{number}", "delegate", {}) for number in range(2))
        return Completion(
            Message("assistant", tuple(content)), "tool_use" if calls else "end_turn", usage, self.model
        )

    def _bill(self, usage: Usage) -> None:
        at = datetime.fromtimestamp(now_ms() / 1000, UTC)
        cost = cost_cents(self.facts, usage, at=at)
        assert cost is not None
        self.billed += cost
        self.tokens += usage.total_tokens


def so_far(error: RemoteError) -> Result:
    """What a run had come to that failed."""
    assert error.result is not None
    return error.result


def now_ms() -> int:
    return int(trio.current_time() * 1000) + 1_790_000_000_000


CENTS = (st.integers(0, 10**6) | st.decimals(0, 10**5, places=4) | st.integers(0, 3000)).map(str)
PRICES = st.builds(
    Prices,
    input=CENTS,
    output=CENTS,
    cache_read=st.none() | CENTS,
    cache_write=st.none() | CENTS,
    reasoning=st.none() | CENTS,
    request=st.none() | st.integers(0, 5),
    above_tokens=st.none() | st.integers(1, 3000),
    since=st.sampled_from([None, "2026-01-01", "2026-09-21", "2026-09-22", "2027-01-01"]),
    daily=st.sampled_from([None, ("00:00", "12:00"), ("18:00", "06:00")]),
)
FACTS = st.builds(
    ModelInfo,
    prices=st.lists(PRICES, min_size=1, max_size=4).map(tuple),
    max_output_tokens=st.none() | st.integers(1, 5000),
    context_window=st.none() | st.integers(100, 50_000),
)
TURN = st.fixed_dictionaries(
    {
        "output": st.integers(0, 6000),
        "seconds": st.sampled_from([0, 0, 1, 20_000]),
        "cache": st.sampled_from(["", "cache_read_tokens", "cache_write_tokens"]),
        "reasons": st.booleans(),
        "reports": st.booleans(),
        "end": st.sampled_from(["answer", "calls", "calls", "calls", "busy", "broken", "rejected"]),
    }
)
MODEL = st.tuples(FACTS, st.integers(0, 100), st.lists(TURN, min_size=1, max_size=4))
SHAPES = st.sampled_from(["plain", "retry", "fallback", "hedge", "limit", "wrapped", "mixed"])


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(MODEL, min_size=2, max_size=3),
    SHAPES,
    st.integers(0, 20_000) | st.decimals(0, 200, places=3),
    st.none() | st.integers(0, 10_000),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.text(max_size=200),
    st.sampled_from([None, 5, 30_000]),
)
def test_no_budget_is_overspent_whatever_the_prices_the_sizes_and_the_company(
    drawn: list[Any],
    shape: str,
    cents: Any,
    child_cents: int | None,
    depth: int,
    streaming: bool,
    closing: bool,
    words: str,
    timeout: int | None,
) -> None:
    models = [Honest(f"model-{number}", *one) for number, one in enumerate(drawn)]
    known = {model.model: model.facts for model in models}

    def provider(level: int) -> Provider:
        first, second = models[level % len(models)], models[(level + 1) % len(models)]
        match shape:
            case "retry":
                return Retry(first, max_retries=2)
            case "fallback":
                return Fallback(first, second)
            case "hedge":
                return Hedge(first, second, after=0.5)
            case "limit":
                return RateLimit(first, requests_per_minute=10)
            case "wrapped":
                return Wrapped(Retry(first, max_retries=1), "wrapped")
            case "mixed":
                return Fallback(Retry(RateLimit(first)), Hedge(second, first, after=0.5))
            case _:
                return first

    statuses: list[str] = []

    def options(level: int, budget: Any) -> Any:
        @tool
        async def delegate(context: ToolContext) -> str:
            """Ask somebody else."""
            assert context.budget.remaining_cents is not None
            return (await ask(level + 1, child_cents)).text

        given: dict[str, Any] = {
            "provider": provider(level),
            "tools": [delegate] if level < depth else [],
            "max_turns": 4,
            "tool_timeout": 1e9,
            "max_budget_cents": budget,
            "closing_answer": closing,
            "model_metadata_overrides": known | {"wrapped": models[level % len(models)].facts},
            "timeout": timeout,
        }
        if shape == "plain":
            given |= {"max_retries": 1, "fallback_providers": [models[(level + 1) % len(models)]]}
        return given

    async def ask(level: int, budget: Any) -> Result:
        try:
            if streaming:
                async with stream(words + "?", **options(level, budget)) as events:
                    result = await events.drain()
            else:
                result = await run(words + "?", **options(level, budget))
        except RemoteError as error:
            result = so_far(error)
        statuses.append(result.status)
        if budget is not None and result.usage.cost_cents is not None:
            assert result.usage.cost_cents <= Decimal(budget)
        assert not problems(result.messages, "anthropic")
        return result

    async def main() -> None:
        with seeded(0, now_ms=now_ms):
            await ask(0, cents)
        assert sum(model.billed for model in models) <= Decimal(cents)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@given(st.integers(0, 20_000), st.lists(MODEL, min_size=2, max_size=2), st.integers(1, 6))
def test_runs_side_by_side_that_share_a_budget_do_not_overspend_it_together(
    cents: int, drawn: list[Any], company: int
) -> None:
    models = [Honest(f"model-{number}", *one) for number, one in enumerate(drawn)]
    known = {model.model: model.facts for model in models}
    ended: list[str] = []

    @tool
    async def crowd() -> str:
        """Ask many at once."""

        async def one(number: int) -> None:
            try:
                result = await run(
                    "?", provider=models[number % 2], max_turns=3, model_metadata_overrides=known
                )
                ended.append(result.status)
            except RemoteError as error:
                ended.append(type(error).__name__)

        async with trio.open_nursery() as nursery:
            for number in range(company):
                nursery.start_soon(one, number)
        return "done"

    async def main() -> None:
        await run(
            "go",
            provider=Fixed(([ToolUse("1", "crowd", {})], Usage()), ("fine", Usage()), model="free"),
            tools=[crowd],
            max_budget_cents=cents,
            tool_timeout=1e9,
            model_metadata_overrides=known | {"free": ModelInfo(prices=Prices(input=0, output=0))},
        )
        assert len(ended) == company
        assert sum(model.billed for model in models) <= cents

    with seeded(0, now_ms=now_ms):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@given(st.integers(0, 4000), st.lists(MODEL, min_size=1, max_size=1), st.integers(0, 2))
def test_no_limit_of_tokens_or_calls_is_overdrawn(tokens: int, drawn: list[Any], calls: int) -> None:
    model = Honest("model-0", *drawn[0])

    @tool
    async def delegate() -> str:
        """Do nothing."""
        return "done"

    async def main() -> None:
        try:
            result = await run(
                "go", provider=model, tools=[delegate], max_total_tokens=tokens, max_tool_calls=calls
            )
        except RemoteError as error:
            result = so_far(error)
        assert model.tokens <= tokens
        assert sum(record.outcome == "completed" for record in result.tool_calls) <= calls

    with seeded(0, now_ms=now_ms):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# Bounds


@pytest.mark.parametrize(
    ("options", "cap", "thinking"),
    [
        ({}, 16_384, 0),
        ({"thinking": 4000}, 20_384, 4000),
        ({"thinking": {"type": "enabled", "budget_tokens": 3000}}, 19_384, 3000),
        ({"thinking": "low", "max_tokens": 900}, 900, 0),
    ],
)
def test_anthropics_provider_says_which_cap_it_sends(options: Any, cap: int, thinking: int) -> None:
    provider = Anthropic("claude-sonnet-4-6", api_key="k", **options)
    assert (provider.max_tokens, provider.thinking_budget) == (cap, thinking)
    wire = provider._encoded(CompletionRequest((Message.user("go"),)), stream=False)
    assert json.loads(wire.body)["max_tokens"] == cap


@pytest.mark.parametrize(
    ("thinking", "budget"),
    [(None, 0), ("high", 0), (True, 0), (-1, 0), ({"thinkingBudget": 50}, 50), ({"max_tokens": 70}, 70)],
)
def test_a_thinking_budget_is_known_where_it_is_a_number(thinking: Any, budget: int) -> None:
    provider = OpenAI("gpt-5.4", thinking=thinking, max_tokens=100)
    assert (provider.max_tokens, provider.thinking_budget) == (100, budget)


def test_a_bound_is_never_below_the_bytes() -> None:
    request = CompletionRequest(
        (Message.user([Text("ü" * 10), Image("image/png", data=b"x")]),),
        tools=(ToolSpec("look", "Look.", {"type": "object"}),),
        system="Be brief.",
        output_schema={"type": "object"},
    )
    assert most_input(request, "gpt-5.4") > 20 + 10_000 + 600 + 600
    assert most_input(request, "gpt-4o-mini") - most_input(request, "gpt-5.4") == 40_000
