"""What the single keywords of JSON Schema assert; pure.

Each function takes a schema and where it stands, and returns checks, or refuses what is written there.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any

from alloy_trio.values import ToolDefinitionError

from ._problems import ENOUGH, Check, Location, Problem, identity, is_kind, is_number, shown, wrong


def malformed(where: str, seen: str, instead: str) -> ToolDefinitionError:
    """The error for a schema: what was seen where, and what to write instead."""
    return ToolDefinitionError(f"the input schema is wrong at {where}: {seen}; {instead}")


def expect(schema: Mapping[str, Any], keyword: str, kind: Any, where: str) -> Any:
    """The value of a keyword, which has to be of a kind."""
    value = schema[keyword]
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = {list: "an array", str: "a string", Mapping: "an object"}.get(kind, "a number")
        raise malformed(f"{where}/{keyword}", f"{shown(value)} was given", f"write {wanted}")
    return value


def _count(schema: Mapping[str, Any], keyword: str, where: str) -> int:
    value = schema[keyword]
    if not is_kind(value, "integer") or value < 0:
        raise malformed(f"{where}/{keyword}", f"{shown(value)} was given", "write a whole number, 0 or more")
    return int(value)


MAX_REFERENCES = 1_000_000
"""References that are followed for one value; a second or two. Some lines of schema, each of which refers to the next
one twice, would else be followed for years."""


class TooMuch(Exception):
    """Checking a value takes too long."""


class References:
    """What of a schema's references is being followed, in each thread."""

    def __init__(self) -> None:
        self._active: set[tuple[object, ...]] = set()
        self._followed: dict[int, int] = {}

    def begin(self) -> None:
        """Begin to check a value."""
        self._followed[threading.get_ident()] = 0

    def end(self) -> None:
        """The value has been checked."""
        self._followed.pop(threading.get_ident(), None)

    def guarded(self, check: Check) -> Check:
        """Guard a reference that leads back to itself without going deeper into the value.

        Its check raises :class:`TooMuch` when there are too many.
        """

        def entered(value: object, location: Location, problems: list[Problem]) -> None:
            thread = threading.get_ident()
            self._followed[thread] += 1
            if self._followed[thread] > MAX_REFERENCES:
                raise TooMuch
            key = (thread, check, id(value), location)
            if key not in self._active:
                self._active.add(key)
                try:
                    check(value, location, problems)
                finally:
                    self._active.discard(key)

        return entered


def compiled_pattern(text: str, where: str) -> re.Pattern[str]:
    """A regular expression, in Python's dialect."""
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError, FutureWarning) as exc:
        raise malformed(
            where, f"the pattern {text!r} does not compile ({exc})", "mend it or leave it out"
        ) from exc


def numbers(schema: Mapping[str, Any], where: str) -> list[Check]:
    """``minimum`` and its like."""
    rules: list[tuple[str, Callable[[Any, Any], bool], str]] = [
        ("minimum", lambda value, bound: value >= bound, "at least"),
        ("maximum", lambda value, bound: value <= bound, "at most"),
        ("exclusiveMinimum", lambda value, bound: value > bound, "more than"),
        ("exclusiveMaximum", lambda value, bound: value < bound, "less than"),
        ("multipleOf", _is_multiple, "a multiple of"),
    ]
    used = [
        (holds, words, expect(schema, keyword, int | float, where))
        for keyword, holds, words in rules
        if keyword in schema
    ]
    if schema.get("multipleOf", 1) <= 0:
        raise malformed(
            f"{where}/multipleOf", f"{shown(schema['multipleOf'])} was given", "write a number above 0"
        )

    def check(value: object, location: Location, problems: list[Problem]) -> None:
        if is_number(value):
            for holds, words, bound in used:
                if not holds(value, bound):
                    problems.append(Problem(location, f"expected {words} {bound}, got {shown(value)}"))

    return [check] if used else []


def _is_multiple(value: float, step: float) -> bool:
    from fractions import Fraction

    # By the digits that were written: 0.3 is a multiple of 0.1 there, and not in binary.
    return step != 0 and Fraction(repr(value)) % Fraction(repr(step)) == 0


def strings(schema: Mapping[str, Any], where: str) -> list[Check]:
    """``minLength``, ``maxLength`` and ``pattern``."""
    checks = sizes(schema, where, "minLength", "maxLength", "characters", str)
    if "pattern" in schema:
        text = expect(schema, "pattern", str, where)
        pattern = compiled_pattern(text, f"{where}/pattern")

        def check(value: object, location: Location, problems: list[Problem]) -> None:
            if isinstance(value, str) and not pattern.search(value):
                problems.append(Problem(location, f"expected text that matches {text}, got {shown(value)}"))

        checks.append(check)
    return checks


def sizes(schema: Mapping[str, Any], where: str, least: str, most: str, noun: str, kind: Any) -> list[Check]:
    """The least and the most of something that has a length."""
    low = _count(schema, least, where) if least in schema else 0
    high = _count(schema, most, where) if most in schema else math.inf

    def check(value: object, location: Location, problems: list[Problem]) -> None:
        if isinstance(value, kind):
            size = len(value)
            if size < low:
                problems.append(Problem(location, f"expected at least {low} {noun}, got {size}"))
            elif size > high:
                problems.append(Problem(location, f"expected at most {high} {noun}, got {size}"))

    return [check] if low > 0 or high < math.inf else []


def unique_items(value: object, location: Location, problems: list[Problem]) -> None:
    """``uniqueItems``."""
    if isinstance(value, list | tuple):
        seen: set[object] = set()
        for index, item in enumerate(value):
            known = identity(item)
            if known in seen:
                problems.append(Problem((*location, index), f"{shown(item)} is there twice; every item once"))
                if len(problems) >= ENOUGH:
                    return
            seen.add(known)


def _findings(check: Check, value: object, location: Location) -> list[Problem]:
    problems: list[Problem] = []
    check(value, location, problems)
    return problems


def fits_any(branches: list[Check]) -> Check:
    """``anyOf``."""

    def check(value: object, location: Location, problems: list[Problem]) -> None:
        found = []
        for branch in branches:
            wrongs = _findings(branch, value, location)
            if not wrongs:
                return
            found.append(wrongs)
        problems.extend(_closest(found, value, location))

    return check


def fits_one(branches: list[Check]) -> Check:
    """``oneOf``."""

    def check(value: object, location: Location, problems: list[Problem]) -> None:
        found = [_findings(branch, value, location) for branch in branches]
        fitting = sum(not wrongs for wrongs in found)
        if fitting > 1:
            problems.append(
                Problem(location, f"fits {fitting} of the allowed forms, and must fit exactly one")
            )
        elif fitting == 0:
            problems.extend(_closest(found, value, location))

    return check


def _closest(found: list[list[Problem]], value: object, location: Location) -> list[Problem]:
    """What to say when no branch fits: the findings of the one that was most likely meant."""
    meant = [wrongs for wrongs in found if not any(w.expected and w.location == location for w in wrongs)]
    if meant:
        return min(meant, key=len)
    expected = dict.fromkeys(
        w.expected for wrongs in found for w in wrongs if w.location == location and w.expected
    )
    return [wrong(location, " or ".join(expected), value)]


def fits_not(check: Check) -> Check:
    """``not``."""

    def negated(value: object, location: Location, problems: list[Problem]) -> None:
        if not _findings(check, value, location):
            problems.append(Problem(location, f"{shown(value)} is not allowed here"))

    return negated
