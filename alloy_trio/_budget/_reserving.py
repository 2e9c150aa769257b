"""What a run may spend, shared down the tree of runs: reservations and spending.

A :class:`Budget` has parents or none. An attempt at a completion reserves the most that it can cost, at the budget
and at all of its ancestors in one step, and settles by what it did cost. So at each level what is spent and what is
reserved never go beyond the limit, whoever runs at the same time, as long as no call costs more than its
:class:`Quote` says.

Who cannot reserve now, but could if what others hold came back, waits for it: in a line at each of its levels, and is
looked at when it is the first in all of them. Nobody passes whom less would do, else a large request might wait for
ever. All lines are in the order of arrival, so somebody is always first everywhere; and nobody holds a part of what it
needs while it waits. So they cannot wait for each other in a circle.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from decimal import Decimal

import attrs
import trio

from alloy_trio.values import NO_USAGE, ErrorInfo, LocalError, PriceUnknown, Usage

from ._quote import EXACT, ZERO, Quote, checked_cents, checked_count
from ._view import BudgetView


class BudgetExceeded(LocalError):
    """A limit does not allow what comes next. It never leaves a run, whose Result then says ``"budget_exceeded"``."""

    def info(self) -> ErrorInfo:
        """As data, with what was noted on it."""
        return ErrorInfo(type(self).__name__, "; ".join((str(self), *getattr(self, "__notes__", ()))))


@attrs.define(eq=False)
class Reservation:
    """What an attempt may cost, put aside at a budget and all of its ancestors until it is settled.

    Attributes:
        budget: where it was made.
        output_tokens: the output that was reserved for.
        cents: put aside.
        tokens: put aside.
        open: whether it is still to be settled.
    """

    budget: Budget
    output_tokens: int
    cents: Decimal
    tokens: int
    open: bool = True

    @trio.lowlevel.enable_ki_protection
    def settle(self, cents: Decimal | None, tokens: int) -> None:
        """Put what was spent in the place of what was reserved. Only the first settling counts.

        Args:
            cents: None when nobody knows; then it counts as what was reserved, where a limit in cents stands.
            tokens: how many were used.
        """
        if not self.open:
            return
        self.open = False
        budget = self.budget
        if cents is None and budget.limits_cents:
            cents = self.cents
        for level in budget.levels:
            level._reserved_cents = EXACT.subtract(level._reserved_cents, self.cents)
            level._reserved_tokens -= self.tokens
            level._spend(cents, tokens)
        _serve(budget.levels)

    def release(self) -> None:
        """Give all of it back."""
        self.settle(ZERO, 0)


@attrs.define(eq=False)
class _Waiter:
    budget: Budget
    quote: Quote
    called: trio.Event = attrs.field(factory=trio.Event)
    reservation: Reservation | None = None
    refusal: BudgetExceeded | None = None

    @trio.lowlevel.enable_ki_protection
    def leave(self) -> None:
        """Leave the lines; those behind may have waited for this one alone."""
        for level in self.budget.levels:
            del level._line[self]
        _serve(self.budget.levels)

    def is_served(self) -> bool:
        """Whether its waiting is over, now that it is the first everywhere."""
        self.reservation = self.budget._try(self.quote)
        if self.reservation is None:
            self.refusal = self.budget._refusal(self.quote, patient=True)
        return self.reservation is not None or self.refusal is not None


def _serve(levels: Iterable[Budget]) -> None:
    """Call those whose waiting is over, now that something has changed at these levels."""
    changed = list(levels)
    while changed:
        waiter = next(iter(changed.pop()._line), None)
        if waiter is None or any(next(iter(level._line)) is not waiter for level in waiter.budget.levels):
            continue
        if waiter.is_served():
            for level in waiter.budget.levels:
                del level._line[waiter]
            changed.extend(waiter.budget.levels)
            waiter.called.set()


class Budget:
    """Limits, and what was spent under them here and further down; :attr:`view` shows it.

    Args:
        max_cents: US cents, as Decimal, int or str; None for no limit. A float is refused: 0.1 is not a tenth.
        max_tokens: tokens, in and out; None for no limit.
        max_tool_calls: calls of our tools; None for no limit.
        parents: whose limits count too, and where the spending counts too.
        home: the ``trio.run`` whose tasks may use it; None where nobody else would.

    Attributes:
        levels: this one, its parents, theirs, and so on.
        limits_cents: whether a limit in cents stands at any level.
        limits_tokens: whether a limit in tokens stands at any level.

    Raises:
        ConfigurationError: a limit is none.
    """

    def __init__(
        self,
        max_cents: Decimal | int | str | None = None,
        max_tokens: int | None = None,
        max_tool_calls: int | None = None,
        *,
        parents: Iterable[Budget] = (),
        home: trio.lowlevel.TrioToken | None = None,
    ) -> None:
        self.max_cents = checked_cents("max_budget_cents", max_cents)
        self.max_tokens = checked_count("max_total_tokens", max_tokens)
        self.max_tool_calls = checked_count("max_tool_calls", max_tool_calls)
        above = (level for parent in parents for level in parent.levels)
        self.levels: tuple[Budget, ...] = (self, *dict.fromkeys(above))
        self.limits_cents = any(level.max_cents is not None for level in self.levels)
        self.limits_tokens = any(level.max_tokens is not None for level in self.levels)
        self.home = home
        self.view = BudgetView(self)
        # None once something of an unknown price was spent, which no limit in cents lets happen.
        self._spent_cents: Decimal | None = ZERO
        self._reserved_cents = ZERO
        self._spent_tokens = 0
        self._reserved_tokens = 0
        self._tool_calls = 0
        self._line: OrderedDict[_Waiter, None] = OrderedDict()

    def take_tool_calls(self, wanted: int) -> int:
        """Take as many of the wanted calls as are left, at all levels; returns how many."""
        left = self.view.remaining_tool_calls
        taken = wanted if left is None else min(wanted, left)
        for level in self.levels:
            level._tool_calls += taken
        return taken

    def no_tool_calls(self) -> BudgetExceeded:
        """Why no more calls of tools can be taken."""
        level = next(level for level in self.levels if level.free_tool_calls() == 0)
        return BudgetExceeded(
            f"max_tool_calls={level.max_tool_calls}{self._whose(level)}: {level._tool_calls} were made, and the model "
            "asked for more; raise max_tool_calls, or say in the prompt how few calls it has"
        )

    def count(self, usage: Usage, tool_calls: int) -> None:
        """Count at this level what was used before it began, by the run that is gone on with.

        Raises:
            PriceUnknown: a limit in cents stands, and it is not known what that cost.
        """
        cents = ZERO if usage == NO_USAGE else usage.cost_cents
        if cents is None and self.max_cents is not None:
            raise PriceUnknown(
                "max_budget_cents= is set, and what the run has cost so far is not known; give it from the beginning"
            )
        self._spend(cents, usage.total_tokens)
        self._tool_calls += tool_calls

    async def reserve(self, quote: Quote, *, patient: bool = True) -> Reservation:
        """Put aside what an attempt may cost: for as much output as is affordable, at most what it wants.

        Args:
            quote: what it costs.
            patient: wait, if need be, for what others hold. Not for who is inside of a reservation itself: those it
                would wait for may be waiting for that one.

        Raises:
            BudgetExceeded: not even the least output is affordable, even if others gave back all that they hold.

        *Cancellation*: nothing is reserved.
        *Ordering*: those who have to wait are served in the order of their calls.
        """
        # Who is cancelled already takes nobody's money; and each successful call is a checkpoint.
        await trio.lowlevel.checkpoint()
        reservation = self._try(quote) if not patient else self.reserve_nowait(quote)
        if reservation is not None:
            return reservation
        refusal = self._refusal(quote, patient=patient)
        if refusal is not None:
            raise refusal
        return await self._wait(_Waiter(self, quote))

    def reserve_nowait(self, quote: Quote) -> Reservation | None:
        """The same if nobody has to be waited for; None where the least is not affordable or others wait already."""
        return None if any(level._line for level in self.levels) else self._try(quote)

    async def _wait(self, waiter: _Waiter) -> Reservation:
        for level in self.levels:
            level._line[waiter] = None
        try:
            await waiter.called.wait()
        except BaseException:
            if waiter.reservation is not None:
                waiter.reservation.release()
            elif waiter.refusal is None:
                waiter.leave()
            raise
        if waiter.refusal is not None:
            raise waiter.refusal
        assert waiter.reservation is not None
        return waiter.reservation

    @trio.lowlevel.enable_ki_protection
    def _try(self, quote: Quote) -> Reservation | None:
        output = min(quote.affordable(level.free_cents(), level.free_tokens()) for level in self.levels)
        if output < quote.least:
            return None
        reservation = Reservation(self, output, quote.cents(output), quote.tokens(output))
        for level in self.levels:
            level._reserved_cents = EXACT.add(level._reserved_cents, reservation.cents)
            level._reserved_tokens += reservation.tokens
        return reservation

    def _refusal(self, quote: Quote, *, patient: bool) -> BudgetExceeded | None:
        """Why it will never be affordable at one of the levels, even if others give back all that they hold."""
        for level in self.levels:
            cents = level.free_cents(held=not patient)
            tokens = level.free_tokens(held=not patient)
            where = self._whose(level)
            takes = f"{quote.input_tokens} tokens of input at most, and {quote.least} of output"
            if quote.affordable(None, tokens) < quote.least:
                return BudgetExceeded(
                    f"max_total_tokens={level.max_tokens}{where}: {level._spent_tokens} are used"
                    f"{_held(level._reserved_tokens, patient)}, and the next call may take {takes}"
                    f"{_kept(quote.kept_tokens)}; raise max_total_tokens or shorten the conversation"
                )
            if quote.affordable(cents, None) < quote.least:
                return BudgetExceeded(
                    f"max_budget_cents={level.max_cents}{where}: {_shown(level._spent_cents)} are spent"
                    f"{_held(level._reserved_cents, patient)}, and the next call may cost "
                    f"{_shown(quote.cents(quote.least))} ({takes}){_kept(quote.kept_cents)}; raise max_budget_cents, "
                    "shorten the conversation, or take a cheaper model"
                )
        return None

    def _whose(self, level: Budget) -> str:
        return "" if level is self else " of an outer run"

    def _spend(self, cents: Decimal | None, tokens: int) -> None:
        spent = self._spent_cents
        self._spent_cents = None if cents is None or spent is None else EXACT.add(spent, cents)
        self._spent_tokens += tokens

    def free_cents(self, *, held: bool = True) -> Decimal | None:
        """What is left at this level; None for no limit here. ``held=False`` leaves out what is reserved."""
        if self.max_cents is None:
            return None
        free = EXACT.subtract(self.max_cents, self._spent_cents or ZERO)
        return EXACT.subtract(free, self._reserved_cents) if held else free

    def free_tokens(self, *, held: bool = True) -> int | None:
        """What is left at this level; None for no limit here. ``held=False`` leaves out what is reserved."""
        if self.max_tokens is None:
            return None
        return self.max_tokens - self._spent_tokens - (self._reserved_tokens if held else 0)

    def free_tool_calls(self) -> int | None:
        """What is left at this level; None for no limit here."""
        return None if self.max_tool_calls is None else self.max_tool_calls - self._tool_calls


def _shown(amount: Decimal | int | None) -> str:
    return f"{amount:.6f}".rstrip("0").rstrip(".") if isinstance(amount, Decimal) else str(amount)


def _held(amount: Decimal | int, patient: bool) -> str:
    return "" if patient or not amount else f", {_shown(amount)} are held by calls that run"


def _kept(amount: Decimal | int) -> str:
    return f", with {_shown(amount)} kept back for a closing answer" if amount else ""
