"""What a supervisor is told at its edges: the last value that is taken, and what is said to the first that is not."""

from __future__ import annotations

import math
from typing import Any

import pytest

from alloy_trio import ConfigurationError
from alloy_trio.supervision import Backoff, ChildSpec
from alloy_trio.supervision._spec import Rules


async def nothing() -> None:
    pass


def child(**options: Any) -> ChildSpec:
    return ChildSpec(**{"name": "a", "fn": nothing, **options})


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (child, {"shutdown": 0}),
        (child, {"shutdown": 0.5}),
        (child, {"shutdown": math.inf}),
        (child, {"shutdown": "brutal"}),
        (child, {"significant": True, "restart": "temporary"}),
        (Rules, {"max_restarts": 0, "within": 0.001}),
        (Rules, {"max_restarts": 10**6, "within": math.inf}),
        (Backoff, {"first_seconds": 0, "most_seconds": 0, "healthy_after_seconds": 0}),
        (Backoff, {"most_seconds": math.inf, "healthy_after_seconds": math.inf}),
        (Backoff, {"factor": 1, "jitter": 0}),
        (Backoff, {"jitter": 1}),
    ],
)
def test_values_at_the_edge_are_taken(make: Any, options: dict[str, Any]) -> None:
    made = make(**options)
    assert {name: getattr(made, name) for name in options} == options


@pytest.mark.parametrize(
    ("make", "options", "said"),
    [
        (child, {"name": ""}, "the name of a child is ''; it has to be a string, not empty"),
        (
            child,
            {"fn": 3},
            "fn of child 'a' is 3; it has to be an async function, handed over without calling it",
        ),
        (child, {"args": "bc"}, "args is 'bc'; it has to be a tuple of arguments, as in args=('bc',)"),
        (
            child,
            {"restart": "always"},
            "restart of child 'a' is 'always'; it has to be one of 'permanent', 'transient', 'temporary'",
        ),
        (child, {"kind": "x"}, "kind of child 'a' is 'x'; it has to be one of 'worker', 'supervisor'"),
        (
            child,
            {"shutdown": -1},
            "shutdown of child 'a' is -1; it has to be seconds from 0 up, math.inf, or \"brutal\"",
        ),
        (child, {"significant": 1}, "significant of child 'a' is 1; it has to be True or False"),
        (
            child,
            {"significant": True},
            "child 'a' is significant and permanent; a permanent child never ends by itself, so say"
            ' restart="transient" or "temporary"',
        ),
        (
            Rules,
            {"strategy": "all"},
            "strategy is 'all'; it has to be one of 'one_for_one', 'one_for_all', 'rest_for_one'",
        ),
        (
            Rules,
            {"auto_shutdown": "x"},
            "auto_shutdown is 'x'; it has to be one of 'never', 'any_significant', 'all_significant'",
        ),
        (Rules, {"max_restarts": -1}, "max_restarts is -1; it has to be a whole number from 0 up"),
        (Rules, {"within": 0}, "within is 0; it has to be seconds, more than 0"),
        (Backoff, {"first_seconds": -1}, "Backoff.first_seconds is -1; it has to be a number from 0 up"),
        (Backoff, {"first_seconds": math.inf}, "Backoff.first_seconds is inf; it has to be a finite number"),
        (Backoff, {"most_seconds": -1}, "Backoff.most_seconds is -1; it has to be a number from 0 up"),
        (
            Backoff,
            {"healthy_after_seconds": None},
            "Backoff.healthy_after_seconds is None; it has to be a number from 0 up",
        ),
        (Backoff, {"factor": 0.9}, "Backoff.factor is 0.9; it has to be a number from 1 up"),
        (Backoff, {"jitter": 1.1}, "Backoff.jitter is 1.1; it has to be from 0.0 to 1.0"),
        (Backoff, {"jitter": -0.1}, "Backoff.jitter is -0.1; it has to be from 0.0 to 1.0"),
    ],
)
def test_values_past_the_edge_are_told_what_they_have_to_be(
    make: Any, options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError) as refused:
        make(**options)
    assert str(refused.value) == said


def test_children_that_cannot_be_under_the_rules_are_told_why() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Rules().check(child(significant=True, restart="transient"))
    assert str(refused.value) == (
        'child \'a\' is significant, but the supervisor has auto_shutdown="never"; say "any_significant" or'
        ' "all_significant" there, or leave significant out'
    )
    with pytest.raises(ConfigurationError) as refused:
        Rules().check_all([nothing])  # type: ignore[list-item]
    assert str(refused.value) == f"a child is {nothing!r}; it has to be a ChildSpec"
    with pytest.raises(ConfigurationError) as refused:
        Rules().check_all([child(), child()])
    assert str(refused.value) == "two children are named 'a'; a name stands for one child"
