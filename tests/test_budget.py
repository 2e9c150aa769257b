"""A budget: what is reserved and spent never goes beyond a limit, and nobody waits for ever."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio import ConfigurationError
from alloy_trio._budget import Budget, BudgetExceeded, Quote, Reservation


def call(output: int = 10, *, least: int | None = None, price: int | str = 1, input: int | str = 0) -> Quote:
    """A call whose output costs so many cents a token."""
    return Quote(
        input_cents=Decimal(input),
        output_cents=Decimal(price),
        wanted=output,
        least=output if least is None else least,
    )


@pytest.mark.parametrize("cents", [0.1, True, "a lot", "-1", -1, "inf", Decimal("NaN"), b"5", ()])
def test_a_limit_in_cents_is_an_exact_number(cents: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_budget_cents="):
        Budget(cents)


@pytest.mark.parametrize("count", [1.0, True, "5", -1])
def test_other_limits_are_whole_numbers(count: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_total_tokens="):
        Budget(max_tokens=count)
    with pytest.raises(ConfigurationError, match="max_tool_calls="):
        Budget(max_tool_calls=count)


async def test_what_is_reserved_is_not_there_for_others_until_it_is_settled() -> None:
    budget = Budget("12.5")
    reservation = await budget.reserve(call(10, input="0.5"))
    view = budget.view
    assert (view.spent_cents, view.reserved_cents, view.remaining_cents) == (0, Decimal("10.5"), 2)
    reservation.settle(Decimal(3), 40)
    assert (view.spent_cents, view.reserved_cents, view.remaining_cents) == (3, 0, Decimal("9.5"))
    assert (view.tokens, view.reserved_tokens, view.remaining_tokens) == (40, 0, None)
    reservation.settle(Decimal(3), 40)
    reservation.release()
    assert view.spent_cents == 3


async def test_the_output_is_lowered_to_what_the_rest_buys_but_not_under_the_least() -> None:
    budget = Budget(10)
    reservation = await budget.reserve(call(20, least=3, input=2))
    assert (reservation.output_tokens, reservation.cents) == (8, 10)
    reservation.settle(Decimal(6), 0)
    assert (await budget.reserve(call(20, least=3))).output_tokens == 4
    budget = Budget(10)
    with pytest.raises(
        BudgetExceeded, match="max_budget_cents=10: 0 are spent, and the next call may cost 11 "
    ):
        await budget.reserve(call(20, least=9, input=2))


async def test_tokens_are_limited_like_cents() -> None:
    budget = Budget(max_tokens=100)
    quote = Quote(input_tokens=60, wanted=1000, least=5)
    reservation = await budget.reserve(quote)
    assert (reservation.output_tokens, budget.view.reserved_tokens, budget.view.remaining_tokens) == (
        40,
        100,
        0,
    )
    reservation.settle(None, 50)
    assert (budget.view.tokens, budget.view.remaining_tokens, budget.view.spent_cents) == (50, 50, None)
    with pytest.raises(
        BudgetExceeded, match="max_total_tokens=100: 50 are used, and the next call may take 60 "
    ):
        await budget.reserve(quote)


async def test_what_is_kept_back_is_not_reserved() -> None:
    budget = Budget(10, 10)
    quote = Quote(output_cents=Decimal(1), wanted=20, kept_cents=Decimal(3), kept_tokens=4)
    reservation = await budget.reserve(quote)
    assert (reservation.output_tokens, reservation.cents, reservation.tokens) == (6, 6, 6)
    reservation.settle(Decimal(6), 6)
    with pytest.raises(BudgetExceeded, match="4 kept back for a closing answer"):
        await budget.reserve(quote)


async def test_an_unknown_cost_counts_as_what_was_reserved() -> None:
    budget = Budget(10)
    (await budget.reserve(call(4))).settle(None, 1)
    assert budget.view.spent_cents == 4


async def test_a_call_that_was_dearer_than_it_said_leaves_nothing_to_others() -> None:
    budget = Budget(10)
    (await budget.reserve(call(4))).settle(Decimal(12), 1)
    assert budget.view.remaining_cents == -2
    with pytest.raises(BudgetExceeded):
        await budget.reserve(call(0, price=0))


async def test_nothing_is_rounded_whatever_the_caller_rounds() -> None:
    with decimal.localcontext(decimal.Context(prec=3)):
        budget = Budget("1.0000000000000000000000000001")
        (await budget.reserve(call(1))).settle(Decimal(1), 1)
        assert budget.view.remaining_cents == Decimal("1e-28")
        tiny = call(10**9, least=0, price="1e-40")
        assert (await budget.reserve(tiny)).output_tokens == 10**9


async def test_it_counts_at_every_ancestor_once() -> None:
    top = Budget(100, max_tool_calls=3)
    left, right = Budget(50, parents=(top,)), Budget(parents=(top,))
    both = Budget(parents=(left, right))
    assert both.levels == (both, left, top, right)
    (await both.reserve(call(7))).settle(Decimal(5), 9)
    assert [budget.view.spent_cents for budget in (both, left, right, top)] == [5] * 4
    assert [budget.view.remaining_cents for budget in (both, left, right, top)] == [45, 45, 95, 95]
    assert (both.take_tool_calls(2), left.take_tool_calls(2), right.take_tool_calls(1)) == (2, 1, 0)
    assert (top.view.tool_calls, both.view.remaining_tool_calls) == (3, 0)


async def test_who_cannot_reserve_while_others_hold_something_waits_for_them() -> None:
    budget = Budget(10)
    first = await budget.reserve(call(10))
    got: list[str] = []

    async def one(name: str, cents: int) -> None:
        reservation = await budget.reserve(call(cents))
        got.append(name)
        reservation.settle(Decimal(1), 0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(one, "large", 8)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(one, "small", 5)
        await trio.testing.wait_all_tasks_blocked()
        assert budget.view.waiting == 2
        first.settle(Decimal(0), 0)
    assert got == ["large", "small"]


async def test_nobody_passes_who_comes_later_though_less_would_do() -> None:
    budget = Budget(10)
    first = await budget.reserve(call(6))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(budget.reserve, call(8))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(budget.reserve, call(1))
        await trio.testing.wait_all_tasks_blocked()
        assert (budget.view.waiting, budget.reserve_nowait(call(1))) == (2, None)
        first.release()
    assert (budget.view.waiting, budget.view.reserved_cents) == (0, 9)


async def test_who_waits_at_another_level_is_not_in_the_way() -> None:
    top = Budget(100)
    left, right = Budget(10, parents=(top,)), Budget(10, parents=(top,))
    await left.reserve(call(10))
    with trio.move_on_after(0):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(left.reserve, call(5))
            await trio.testing.wait_all_tasks_blocked()
            # It stands in the line of the top too, and came first.
            assert right.reserve_nowait(call(1)) is None
            nursery.cancel_scope.cancel(reason="seen")
    assert right.reserve_nowait(call(1)) is not None


async def test_at_a_level_that_they_share_the_first_of_another_line_does_not_pass() -> None:
    top = Budget(100)
    left, right = Budget(10, parents=(top,)), Budget(10, parents=(top,))
    slow, quick = await left.reserve(call(10)), await right.reserve(call(10))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(left.reserve, call(5))
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(right.reserve, call(5))
        await trio.testing.wait_all_tasks_blocked()
        quick.release()
        assert (left.view.waiting, right.view.waiting, top.view.waiting) == (1, 1, 2)
        slow.release()
    assert top.view.reserved_cents == 10


async def test_who_could_not_reserve_even_then_does_not_wait() -> None:
    budget = Budget(10)
    held = await budget.reserve(call(5))
    with pytest.raises(BudgetExceeded):
        await budget.reserve(call(11))
    refused: list[BudgetExceeded] = []

    async def hopeful() -> None:
        try:
            await budget.reserve(call(8))
        except BudgetExceeded as error:
            refused.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(hopeful)
        await trio.testing.wait_all_tasks_blocked()
        assert not refused
        held.settle(Decimal(5), 0)
    assert "5 are spent" in str(refused[0])


async def test_who_is_inside_of_a_reservation_does_not_wait() -> None:
    budget = Budget(10)
    await budget.reserve(call(8))
    assert (await budget.reserve(call(2), patient=False)).cents == 2
    with pytest.raises(BudgetExceeded, match="10 are held by calls that run"):
        await budget.reserve(call(2), patient=False)


async def test_a_waiter_that_is_cancelled_takes_nothing_and_lets_the_next_one_through() -> None:
    budget = Budget(10)
    await budget.reserve(call(5))
    scope = trio.CancelScope()

    async def large() -> None:
        with scope:
            await budget.reserve(call(8))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(large)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(budget.reserve, call(5))
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel(reason="no longer wanted")
    assert (budget.view.reserved_cents, budget.view.waiting) == (10, 0)


async def test_a_waiter_that_is_cancelled_just_when_its_turn_comes_gives_it_back() -> None:
    budget = Budget(10)
    held = await budget.reserve(call(5))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(budget.reserve, call(8))
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel(reason="in the same step")
        held.release()
    assert (budget.view.reserved_cents, budget.view.remaining_cents) == (0, 10)


async def test_reserving_is_a_checkpoint_also_when_nobody_is_waited_for() -> None:
    with trio.testing.assert_checkpoints():
        await Budget(10).reserve(call(5))
    with trio.CancelScope() as scope:
        scope.cancel(reason="before it starts")
        budget = Budget(10)
        await budget.reserve(call(5))
    assert scope.cancelled_caught and budget.view.reserved_cents == 0


LIMITS = st.one_of(st.none(), st.integers(0, 40))
SIZES = st.integers(0, 25)
# A tree: each budget's limits and, by their places, its parents among those before it.
TREES = st.lists(st.tuples(LIMITS, LIMITS, st.lists(st.integers(0, 5), max_size=2)), min_size=1, max_size=5)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("reserve"), st.integers(0, 9), SIZES, SIZES, st.booleans()),
        st.tuples(st.just("settle"), st.integers(0, 9), st.integers(0, 4)),
        st.tuples(st.just("cancel"), st.integers(0, 9)),
    ),
    max_size=40,
)


@given(TREES, STEPS)
def test_no_sequence_of_steps_goes_beyond_a_limit_or_leaves_somebody_waiting(
    tree: list[tuple[int | None, int | None, list[int]]], steps: list[tuple[Any, ...]]
) -> None:
    async def main() -> None:
        budgets: list[Budget] = []
        for cents, tokens, above in tree:
            parents = [budgets[place % len(budgets)] for place in above] if budgets else []
            budgets.append(Budget(cents, tokens, parents=parents))
        spent = dict.fromkeys(budgets, Decimal(0))
        held: list[Reservation] = []
        waiting: list[tuple[int, Budget, trio.CancelScope]] = []
        served: list[int] = []

        async def reserve(number: int, budget: Budget, quote: Quote) -> None:
            with trio.CancelScope() as scope:
                entry = (number, budget, scope)
                waiting.append(entry)
                try:
                    reservation = await budget.reserve(quote)
                    assert quote.least <= reservation.output_tokens <= quote.wanted
                    held.append(reservation)
                    # Nobody who shares a level and came before is still there.
                    mine = set(budget.levels)
                    assert not [n for n, other, _ in waiting if n < number and mine & set(other.levels)]
                    served.append(number)
                except BudgetExceeded:
                    pass
                finally:
                    waiting.remove(entry)

        def check() -> None:
            for budget in budgets:
                view = budget.view
                under = [one for one in held if one.open and budget in one.budget.levels]
                assert view.spent_cents == spent[budget]
                assert view.reserved_cents == sum(one.cents for one in under)
                assert view.reserved_tokens == sum(one.tokens for one in under)
                if budget.max_cents is not None:
                    assert spent[budget] + view.reserved_cents <= budget.max_cents
                if budget.max_tokens is not None:
                    assert view.tokens + view.reserved_tokens <= budget.max_tokens
                assert view.waiting == sum(budget in other.levels for _, other, _ in waiting)
            # Whoever waits, waits for somebody.
            assert not waiting or any(one.open for one in held)

        def settle(reservation: Reservation, quarters: int) -> None:
            cents = reservation.cents * quarters / 4
            for level in reservation.budget.levels:
                spent[level] += cents
            reservation.settle(cents, reservation.tokens * quarters // 4)

        async with trio.open_nursery() as nursery:
            for number, (kind, which, *rest) in enumerate(steps):
                still = [one for one in held if one.open]
                if kind == "reserve":
                    cents, output, elastic = rest
                    quote = Quote(
                        input_cents=Decimal(cents),
                        output_cents=Decimal(2),
                        input_tokens=cents,
                        wanted=output,
                        least=output // 2 if elastic else output,
                    )
                    nursery.start_soon(reserve, number, budgets[which % len(budgets)], quote)
                elif kind == "settle" and still:
                    settle(still[which % len(still)], rest[0])
                elif kind == "cancel" and waiting:
                    waiting[which % len(waiting)][2].cancel(reason="a step")
                await trio.testing.wait_all_tasks_blocked()
                check()
            while still := [one for one in held if one.open]:
                settle(still[0], 4)
                await trio.testing.wait_all_tasks_blocked()
                check()
            # With nothing held any more, everybody has got what they wanted, or been told.
            assert not waiting

    trio.run(main)
