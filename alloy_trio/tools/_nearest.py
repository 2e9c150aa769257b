"""What was probably meant by a text that is not in a file."""

from __future__ import annotations

import re

from ._problems import close_match
from ._threads import stop_if_cancelled

SEARCHED_LINES = 5_000
COMPARED_CHARS = 200
"""How many lines are compared to one that was not found, and up to which length; a line of code has less.
Comparing takes the square of the length."""

SEARCHED_CHARS = 5_000_000
"""Characters of a text in which spaces and signs are left out of account; some seconds."""

_BATCH = 100
_MANY = 1_000

# What keyboards and programs write for one another, and models for both.
_SIGNS = str.maketrans(
    "\u2018\u2019\u201a\u201c\u201d\u201e\u2010\u2011\u2012\u2013\u2014\u2212", "'''\"\"\"------"
)
_SPACES = re.compile(r"\s+")


def hint(text: str, old: str) -> str:
    """Words that help to find what was meant."""
    if "\ufffd" in old:
        return "It holds \ufffd, which read shows for bytes that are not text; leave those out."
    if len(text) <= SEARCHED_CHARS:
        found = _but_for_spaces(text, old)
        if found:
            return found
    return _nearest(text, old)


def _but_for_spaces(text: str, old: str) -> str:
    """Where the lines stand if spaces and look-alike signs make no difference."""
    given = old.split("\n")
    while given and not given[0].strip():
        del given[0]
    while given and not given[-1].strip():
        del given[-1]
    if not given:
        return ""
    lines = text.split("\n")
    plain = ["", *(_plain(line, number) for number, line in enumerate(lines)), ""]
    joined = "\n".join(plain)
    at = joined.find("\n".join(["", *map(_plain, given), ""]))
    if at < 0:
        return ""
    first = joined.count("\n", 0, at)
    there = lines[first : first + len(given)]
    for number, (one, other) in enumerate(zip(there, given, strict=False), first + 1):
        line, wanted = one.removesuffix("\r"), other.removesuffix("\r")
        if line != wanted:
            return (
                f"It is there but for spaces or signs that look alike: line {number} is {_short(line)}, and "
                f"old has {_short(wanted)}."
            )
    return f"It is there in line {first + 1}, but for empty lines before or after it."


def _plain(line: str, number: int = 1) -> str:
    if number % _MANY == 0:
        stop_if_cancelled()
    return _SPACES.sub(" ", line.translate(_SIGNS)).strip()


def _short(line: str) -> str:
    more = "" if len(line) <= COMPARED_CHARS else f" and {len(line) - COMPARED_CHARS} characters more"
    return f"{line[:COMPARED_CHARS]!r}{more}"


def _nearest(text: str, old: str) -> str:
    """A hint at the line that was probably meant."""
    wanted = next((line.strip() for line in old.splitlines() if line.strip()), "")
    if not wanted:
        return "Read the file to see what it holds."
    at = text.find(wanted)
    if at >= 0:
        start = text.rfind("\n", 0, at) + 1
        end = text.find("\n", at)
        line = text[start : end if end >= 0 else len(text)].removesuffix("\r")
        return (
            f"Its first line is there in line {text.count(chr(10), 0, at) + 1}: {_short(line)}; "
            "compare spaces and what follows."
        )
    lines = [line.strip() for line in text.split("\n", SEARCHED_LINES)[:SEARCHED_LINES]]
    compared = [line for line in lines if 0 < len(line) <= COMPARED_CHARS]
    best: list[str] = []
    for number in range(0, len(compared), _BATCH):
        stop_if_cancelled()
        match = close_match(wanted[:COMPARED_CHARS], compared[number : number + _BATCH])
        best += [match] if match else []
    match = close_match(wanted[:COMPARED_CHARS], best)
    return f"The nearest line is {match!r}." if match else "Read the file to see what it holds."
