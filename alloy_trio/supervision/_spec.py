"""What a supervisor is told: its children, its rules, and how long it waits before a restart."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeAlias, get_args

import attrs

from alloy_trio.values import ConfigurationError

Strategy: TypeAlias = Literal["one_for_one", "one_for_all", "rest_for_one"]
RestartKind: TypeAlias = Literal["permanent", "transient", "temporary"]
AutoShutdown: TypeAlias = Literal["never", "any_significant", "all_significant"]
ChildKind: TypeAlias = Literal["worker", "supervisor"]


def _check(found: bool, what: str, seen: object, wanted: str) -> None:
    if not found:
        raise ConfigurationError(f"{what} is {seen!r}; it has to be {wanted}")


def _check_choice(what: str, seen: object, choices: object) -> None:
    names = get_args(choices)
    _check(seen in names, what, seen, f"one of {', '.join(map(repr, names))}")


def _as_tuple(values: Iterable[Any]) -> tuple[Any, ...]:
    if isinstance(values, (str, bytes)):
        raise ConfigurationError(
            f"args is {values!r}; it has to be a tuple of arguments, as in args=({values!r},)"
        )
    return tuple(values)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)


@attrs.frozen(kw_only=True)
class Backoff:
    """How long a child that failed waits before it is started again.

    The first delay is ``first_seconds``; each further one is ``factor`` times longer, up to ``most_seconds``. A
    child that has run for ``healthy_after_seconds`` begins anew with the first.

    Args:
        first_seconds: the first delay.
        factor: from one delay to the next, 1.0 or more.
        most_seconds: the longest delay.
        jitter: by how much of itself a delay is shortened at random, 0.0 (never) to 1.0, so that children that
            fell together do not all come back together.
        healthy_after_seconds: how long a child has to run for the delays to begin anew.

    Raises:
        ConfigurationError: a number is out of its range.
    """

    first_seconds: float = 0.1
    factor: float = 2.0
    most_seconds: float = 30.0
    jitter: float = 0.5
    healthy_after_seconds: float = 60.0

    def __attrs_post_init__(self) -> None:
        for name, low in (
            ("first_seconds", 0),
            ("most_seconds", 0),
            ("healthy_after_seconds", 0),
            ("factor", 1),
        ):
            value = getattr(self, name)
            _check(_is_number(value) and value >= low, f"Backoff.{name}", value, f"a number from {low} up")
        _check(
            _is_number(self.jitter) and 0 <= self.jitter <= 1,
            "Backoff.jitter",
            self.jitter,
            "from 0.0 to 1.0",
        )
        _check(self.first_seconds < math.inf, "Backoff.first_seconds", self.first_seconds, "a finite number")

    def after(self, last_seconds: float) -> float:
        """The delay that follows one of ``last_seconds``; 0.0 stands for none yet."""
        return min(self.most_seconds, last_seconds * self.factor if last_seconds else self.first_seconds)


@attrs.frozen
class ChildSpec:
    """How a supervisor starts, restarts and stops one child.

    Args:
        name: names the child within its supervisor.
        fn: an async function. When it takes ``task_status``, the child has started once it calls ``started()``;
            otherwise when it first waits. It may be run any number of times.
        args: what ``fn`` is called with, each time.
        restart: ``"permanent"`` children are always restarted, ``"transient"`` ones when they failed,
            ``"temporary"`` ones never.
        shutdown: seconds that a clean-up under :func:`grace` has when the child is stopped, ``math.inf``, or
            ``"brutal"`` for none.
        significant: whether its end by itself may end the supervisor; see ``auto_shutdown``.
        backoff: delays before restarts; None takes the supervisor's.
        kind: ``"supervisor"`` for a child that is nothing but a supervisor; see :func:`supervisor_child`.

    Raises:
        ConfigurationError: a value that cannot be.
    """

    name: str
    fn: Callable[..., Awaitable[object]]
    args: tuple[Any, ...] = attrs.field(default=(), converter=_as_tuple, kw_only=True)
    restart: RestartKind = attrs.field(default="permanent", kw_only=True)
    shutdown: float | Literal["brutal"] = attrs.field(default=5.0, kw_only=True)
    significant: bool = attrs.field(default=False, kw_only=True)
    backoff: Backoff | None = attrs.field(default=None, kw_only=True)
    kind: ChildKind = attrs.field(default="worker", kw_only=True)

    def __attrs_post_init__(self) -> None:
        _check(
            isinstance(self.name, str) and self.name != "",
            "the name of a child",
            self.name,
            "a string, not empty",
        )
        of = f"of child {self.name!r}"
        _check(callable(self.fn), f"fn {of}", self.fn, "an async function, handed over without calling it")
        _check_choice(f"restart {of}", self.restart, RestartKind)
        _check_choice(f"kind {of}", self.kind, ChildKind)
        well = self.shutdown == "brutal" or (_is_number(self.shutdown) and self.shutdown >= 0)
        _check(well, f"shutdown {of}", self.shutdown, 'seconds from 0 up, math.inf, or "brutal"')
        _check(isinstance(self.significant, bool), f"significant {of}", self.significant, "True or False")
        if self.significant and self.restart == "permanent":
            raise ConfigurationError(
                f"child {self.name!r} is significant and permanent; a permanent child never ends by itself, so"
                ' say restart="transient" or "temporary"'
            )


@attrs.frozen(kw_only=True)
class Rules:
    """What holds for all children of one supervisor; see :func:`open_supervisor`."""

    strategy: Strategy = "one_for_one"
    max_restarts: int = 3
    within: float = 5.0
    auto_shutdown: AutoShutdown = "never"
    backoff: Backoff | None = None

    def __attrs_post_init__(self) -> None:
        _check_choice("strategy", self.strategy, Strategy)
        _check_choice("auto_shutdown", self.auto_shutdown, AutoShutdown)
        whole = isinstance(self.max_restarts, int) and not isinstance(self.max_restarts, bool)
        _check(
            whole and self.max_restarts >= 0, "max_restarts", self.max_restarts, "a whole number from 0 up"
        )
        _check(_is_number(self.within) and self.within > 0, "within", self.within, "seconds, more than 0")

    def check(self, spec: ChildSpec) -> None:
        """Refuse a child that these rules can do nothing with.

        Raises:
            ConfigurationError: it is no ChildSpec, or it is significant where nothing follows from that.
        """
        _check(isinstance(spec, ChildSpec), "a child", spec, "a ChildSpec")
        if spec.significant and self.auto_shutdown == "never":
            raise ConfigurationError(
                f'child {spec.name!r} is significant, but the supervisor has auto_shutdown="never"; say'
                ' "any_significant" or "all_significant" there, or leave significant out'
            )

    def check_all(self, specs: Iterable[ChildSpec]) -> tuple[ChildSpec, ...]:
        """Refuse children that cannot be together.

        Raises:
            ConfigurationError: one alone cannot be, or two have one name.
        """
        checked: dict[str, ChildSpec] = {}
        for spec in specs:
            self.check(spec)
            if spec.name in checked:
                raise ConfigurationError(f"two children are named {spec.name!r}; a name stands for one child")
            checked[spec.name] = spec
        return tuple(checked.values())
