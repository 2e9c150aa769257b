"""What a run may spend, shared down the tree of runs."""

from ._quote import EXACT, Quote, checked_cents, checked_count
from ._reserving import Budget, BudgetExceeded, Reservation
from ._view import BudgetView

__all__ = [
    "EXACT",
    "Budget",
    "BudgetExceeded",
    "BudgetView",
    "Quote",
    "Reservation",
    "checked_cents",
    "checked_count",
]
