"""What is wrong with a value, and the words for it; pure.

A model reads these words and tries again, so they name the place, what was expected and what came.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping

import attrs

Location = tuple[str | int, ...]

_SHOWN_CHARS = 60
"""Characters of a wrong value that a message repeats; arbitrary, a line of text."""

ENOUGH = 100
"""Findings after which nothing more is looked for: nobody reads more, and an input may be wrong a million times."""

_MATCHED_CHARS = 100
"""A longer name is not compared with others: it takes long, and is no slip of the pen."""

EXPECTED = {
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "an array",
    "object": "an object",
}


@attrs.frozen
class Problem:
    """One thing that is wrong with a value.

    ``expected`` is set when the value is of the wrong kind altogether, and holds what was wanted; a union
    uses it to tell the branch that was meant from those that were not.
    """

    location: Location
    text: str
    expected: str = ""

    def __str__(self) -> str:
        return f"{place(self.location)}: {self.text}"


Check = Callable[[object, Location, list[Problem]], None]
Validator = Callable[[object], tuple[Problem, ...]]


def place(location: Location) -> str:
    """Write a location the way a model reads it: ``items[2].city``; the whole input is ``input``."""
    parts: list[str] = []
    for step in location:
        if isinstance(step, str) and len(step) > _SHOWN_CHARS:
            step = step[: _SHOWN_CHARS - 3] + "..."
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif re.fullmatch(r"[\w$-]+", step):
            parts.append(f".{step}" if parts else step)
        else:
            parts.append(f"[{json.dumps(step)}]" if parts else json.dumps(step))
    return "".join(parts) or "input"


def shown(value: object) -> str:
    """Name a wrong value in few words: scalars as JSON, cut when long, containers by their kind."""
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list | tuple):
        return f"an array of {len(value)}"
    if isinstance(value, str):
        text = json.dumps(value[: _SHOWN_CHARS + 1])
        return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 4] + '..."'
    if isinstance(value, int) and value.bit_length() > 1_000:
        return "a number of very many digits"
    if value is None or isinstance(value, bool | int | float):
        text = json.dumps(value)
        return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."
    return f"a {type(value).__name__}"


def wrong(location: Location, expected: str, value: object) -> Problem:
    """A problem of kind: what was expected here, and what came."""
    return Problem(location, f"expected {expected}, got {shown(value)}", expected)


def one_of(values: Iterable[object]) -> str:
    """Name allowed values: ``"C"``, or ``one of "C", "F"``."""
    texts = [json.dumps(value) for value in values]
    return texts[0] if len(texts) == 1 else "one of " + ", ".join(texts)


def close_match(name: str, known: Iterable[str]) -> str | None:
    """The known name that the given one was probably meant to be."""
    import difflib

    if len(name) > _MATCHED_CHARS:
        return None
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return found[0] if found else None


def unknown_key(location: Location, key: str, known: Iterable[str]) -> Problem:
    """A key that is not there to be given, with the one that was probably meant."""
    names = list(known)
    noun = "key" if location else "argument"
    match = close_match(key, names)
    if match is not None:
        hint = f"did you mean {json.dumps(match)}?"
    elif names:
        hint = f"the {noun}s are: {', '.join(names)}"
    else:
        hint = f"there are no {noun}s"
    return Problem((*location, key), f"unknown {noun}; {hint}")


def json_equal(left: object, right: object) -> bool:
    """Equality as JSON has it: 1 and 1.0 are one number, true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(json_equal, left, right))
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(json_equal(left[key], right[key]) for key in left)
    if is_number(left) and is_number(right):
        return left == right
    return type(left) is type(right) and left == right


def identity(value: object) -> object:
    """Something that is equal and hashed alike for just those values that are :func:`json_equal`."""
    if isinstance(value, bool) or value is None:
        return (type(value), value)
    if isinstance(value, list | tuple):
        return (list, *map(identity, value))
    if isinstance(value, Mapping):
        return (dict, frozenset((key, identity(each)) for key, each in value.items()))
    return (float if is_number(value) else type(value), value)


def is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def is_kind(value: object, kind: str) -> bool:
    """Whether the value is of a JSON Schema type; a number without a fraction is an integer."""
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return is_number(value) and (
                isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            )
        case "number":
            return is_number(value)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "array":
            return isinstance(value, list | tuple)
        case _:
            return isinstance(value, Mapping)
