"""Settings of Hypothesis for the three occasions on which properties are tried."""

from __future__ import annotations

from hypothesis import Phase, settings

PROFILES = ("alloy_fast", "alloy_thorough", "alloy_reproduce")
"""Named so that they are not taken for a user's own."""


PHASES = tuple(phase for phase in Phase if phase is not Phase.explain)
"""Explaining traces each line of each example, of trio too: a search of seconds takes minutes, and tells little."""


def register_profiles() -> None:
    """Register them, unless a user has registered others of these names.

    ``alloy_fast``: while one works, a few dozen short examples. ``alloy_thorough``: over night, thousands of long
    ones. ``alloy_reproduce``: in CI and for bug reports, the same examples each time, with nothing remembered between
    runs, and the line printed by which a failure is repeated. None has a deadline: a busy machine is not a bug.
    """
    known = settings._profiles
    options = {
        "alloy_fast": {"max_examples": 25, "stateful_step_count": 12},
        "alloy_thorough": {"max_examples": 5_000, "stateful_step_count": 80, "print_blob": True},
        "alloy_reproduce": {"derandomize": True, "database": None, "print_blob": True},
    }
    for name, given in options.items():
        if name not in known:
            settings.register_profile(name, deadline=None, phases=PHASES, **given)  # type: ignore[arg-type]
