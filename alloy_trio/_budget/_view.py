"""What is shown of a budget."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from ._reserving import Budget

Number = TypeVar("Number", int, Decimal)


class BudgetView:
    """Where a budget stands; what tools and middleware are shown of it. It changes while the run goes on."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget

    def __repr__(self) -> str:
        return (
            f"BudgetView(spent_cents={self.spent_cents}, remaining_cents={self.remaining_cents}, "
            f"tokens={self.tokens}, remaining_tokens={self.remaining_tokens}, "
            f"tool_calls={self.tool_calls}, remaining_tool_calls={self.remaining_tool_calls})"
        )

    @property
    def spent_cents(self) -> Decimal | None:
        """Cents that were spent here and further down; None when something had an unknown price."""
        return self._budget._spent_cents

    @property
    def reserved_cents(self) -> Decimal:
        """Cents that are put aside for calls that run."""
        return self._budget._reserved_cents

    @property
    def remaining_cents(self) -> Decimal | None:
        """Cents that are neither spent nor reserved, the least of all levels; None where no limit stands."""
        return _least(level.free_cents() for level in self._budget.levels)

    @property
    def tokens(self) -> int:
        """Tokens that were used here and further down, in and out."""
        return self._budget._spent_tokens

    @property
    def reserved_tokens(self) -> int:
        """Tokens that are put aside for calls that run."""
        return self._budget._reserved_tokens

    @property
    def remaining_tokens(self) -> int | None:
        """Tokens that are neither used nor reserved, the least of all levels; None where no limit stands."""
        return _least(level.free_tokens() for level in self._budget.levels)

    @property
    def tool_calls(self) -> int:
        """Calls of tools that were made here and further down."""
        return self._budget._tool_calls

    @property
    def remaining_tool_calls(self) -> int | None:
        """Calls of tools that are left, the least of all levels; None where no limit stands."""
        return _least(level.free_tool_calls() for level in self._budget.levels)

    @property
    def waiting(self) -> int:
        """How many calls wait for what others hold, here and further down."""
        return len(self._budget._line)


def _least(values: Iterable[Number | None]) -> Number | None:
    return min((value for value in values if value is not None), default=None)
