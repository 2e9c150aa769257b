"""Inputs that are nearly right: a JSON value with one to three things changed, the way models get them wrong."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 1.0, 0.0, -0.0, 1.5, -2.0, 10**30, 1e308, 5e-324, 2**63, -(2**64), 9007199254740993,
    "", "0", "1", "true", "null", "a", "A", "x" * 300, "é", "e\u0301", "𝒳", "\u2028", "a\n", "1\n", "12.50\n", "\x00",
    "2026-03-31", "12.5e3", ".5", "+1", "YQ==", "12345678-1234-5678-1234-567812345678", "../../etc/passwd",
    "/memories/a", "ls -la", "view", "list", [], [[]], [None], [1, True], [1, 1.0], [{}], ["a", "a"], {}, {"": 0},
    {"a": 1}, {"x": {"x": []}},
)  # fmt: skip


def mutated(value: Any, random: Random, words: tuple[str, ...]) -> Any:
    """The value, changed in one to three places; JSON again.

    Args:
        value: what to change; it stays as it is.
        random: says where and how.
        words: keys and texts that mean something where the value goes.
    """
    value = copy.deepcopy(value)
    for _ in range(random.choice((1, 1, 2, 3))):
        value = _changed(value, random, words)
    return value


def _changed(value: Any, random: Random, words: tuple[str, ...]) -> Any:
    if isinstance(value, dict) and value and random.random() < 0.7:
        key = random.choice(sorted(value))
        match random.randrange(5):
            case 0:
                del value[key]
            case 1:
                value[_misspelt(key, random)] = value.pop(key)
            case 2:
                value[random.choice(words)] = copy.deepcopy(value[key])
            case _:
                value[key] = _changed(value[key], random, words)
        return value
    if isinstance(value, list) and value and random.random() < 0.7:
        place = random.randrange(len(value))
        match random.randrange(5):
            case 0:
                del value[place]
            case 1:
                value.insert(place, copy.deepcopy(random.choice(value)))
            case 2:
                value.insert(place, _odd(random, words))
            case _:
                value[place] = _changed(value[place], random, words)
        return value
    if isinstance(value, dict) and random.random() < 0.5:
        value[random.choice(words)] = _odd(random, words)
        return value
    return _alike(value, random) if random.random() < 0.4 else _odd(random, words)


def _odd(random: Random, words: tuple[str, ...]) -> Any:
    return random.choice(words) if random.random() < 0.2 else copy.deepcopy(random.choice(ODD))


def _misspelt(key: str, random: Random) -> str:
    return random.choice((key.upper(), key + "s", key[:-1], f" {key}", key.replace("_", "-")))


def _alike(value: Any, random: Random) -> Any:
    """What somebody might take for the same: 1 and 1.0, 1 and true, 3 and "3", a value and a list of it."""
    if isinstance(value, bool):
        return random.choice((int(value), str(value), not value))
    if isinstance(value, int):
        return random.choice(
            (float(value) if abs(value) < 2**53 else value, str(value)[:100], bool(value), -value)
        )
    if isinstance(value, float):
        whole = int(value) if abs(value) < 2**53 else 0
        return random.choice((whole, repr(value), -value, value + 0.5))
    if isinstance(value, str):
        return random.choice((value + "\n", value.upper(), value[:1], f" {value}", [value], value * 3))
    if isinstance(value, list):
        return random.choice(
            (value[:1], value * 2, {str(at): each for at, each in enumerate(value)}, str(value))
        )
    if isinstance(value, dict):
        return random.choice((list(value.values()), [value], str(value), {"x": value}))
    return random.choice(("", "null", False, 0))
