"""Globs expanded to the names of files, as bash does it with its options as they stand.

``**`` is ``*``, a name that begins with a dot has to be asked for with one, and a glob that nothing matches
stands for itself. Every directory is found to be inside before it is listed, and how much is looked at has limits.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from alloy_trio.values import ToolError

from ._paths import resolve
from ._restricted import Word, refused
from ._tool import ToolContext

MAX_MATCHES = 2_000
"""File names that the globs of one command stand for at most."""

MAX_MATCH_CHARS = 500_000
"""Characters of those names; with them a command stays below what exec accepts, which is 2 MB on most systems."""

MAX_DIRECTORIES = 10_000
"""Directories that the globs of one line look into; each takes some 0.1 ms. A few links that lead back to where
they are make any number of ways through few directories."""

MAX_LOOKED_AT = 500_000
"""Names in those directories; each takes about a microsecond."""

MAX_DEPTH = 100
"""Directories in one another that a glob names; each is a step of recursion. No sensible tree is so deep."""

_BATCH = 500

_Part = list[tuple[str, bool]]


@attrs.define(eq=False)
class Search:
    """What the globs of one line stand for, and how much has been looked at for it.

    Args:
        context: says where, and what is allowed.
        pause: called again and again; raises to stop the search.
    """

    context: ToolContext
    pause: Callable[[], None]
    names: int = 0
    chars: int = 0
    directories: int = 0
    looked_at: int = 0

    def start_command(self) -> None:
        """From here on it is another command, with limits of its own on what it gets."""
        self.names = self.chars = 0

    def matches(self, word: Word) -> Iterator[str]:
        """The names that a glob stands for, in no order.

        Raises:
            ToolError: it leads outside, or is too much.
        """
        parts: list[_Part] = [[]]
        for char, quoted in zip(word.text, word.literal, strict=True):
            if char == "/":
                parts.append([])
            else:
                parts[-1].append((char, quoted))
        if len(parts) > MAX_DEPTH:
            raise refused(f"a glob names more than {MAX_DEPTH} directories in one another")
        for match in self._walk("", parts):
            self.names += 1
            self.chars += len(match)
            if self.names > MAX_MATCHES:
                raise refused(f"its globs stand for more than {MAX_MATCHES} names")
            if self.chars > MAX_MATCH_CHARS:
                raise refused(f"its globs stand for names of more than {MAX_MATCH_CHARS} characters")
            yield match

    def _walk(self, before: str, parts: list[_Part]) -> Iterator[str]:
        here, rest = parts[0], parts[1:]
        text = "".join(char for char, _ in here)
        if all(quoted or char not in "*?[" for char, quoted in here):
            path = f"{before}{text}"
            if rest:
                yield from self._walk(f"{path}/", rest)
            elif not text or os.path.lexists(self.context.working_directory / path):
                yield path
            return
        fits = compiled(here).fullmatch
        directory, names = self._listed(before)
        for number, name in enumerate(names):
            if number % _BATCH == 0:
                self.pause()
            if name.startswith(".") and not text.startswith("."):
                continue
            if fits(name) and (not rest or os.path.isdir(directory / name)):
                if rest:
                    yield from self._walk(f"{before}{name}/", rest)
                else:
                    yield f"{before}{name}"

    def _listed(self, before: str) -> tuple[Path, list[str]]:
        self.pause()
        self.directories += 1
        if self.directories > MAX_DIRECTORIES:
            raise refused(f"its globs lead into more than {MAX_DIRECTORIES} directories")
        try:
            directory = resolve(before or ".", self.context, for_write=False)
        except ToolError as exc:
            raise refused(str(exc)) from exc
        except OSError:
            return Path(), []  # nothing that a path could name
        names: list[str] = []
        try:
            with os.scandir(directory) as entries:
                for entry in entries:
                    names.append(entry.name)
                    self.looked_at += 1
                    if self.looked_at > MAX_LOOKED_AT:
                        raise refused(f"its globs look at more than {MAX_LOOKED_AT} names")
                    if self.looked_at % _BATCH == 0:
                        self.pause()
        except OSError:
            return directory, []  # no such directory, so no names
        return directory, names


def compiled(part: _Part) -> re.Pattern[str]:
    """A part of a glob, between two slashes, as an expression that needs no more than length times length steps.

    Raises:
        ToolError: there is a class in it that only a shell knows.
    """
    pieces: list[list[str]] = [[]]
    at = 0
    while at < len(part):
        char, quoted = part[at]
        at += 1
        if quoted or char not in "*?[":
            pieces[-1].append(re.escape(char))
        elif char == "?":
            pieces[-1].append(".")
        elif char == "*":
            pieces.append([])
        else:
            found, at = _set(part, at)
            pieces[-1].append(found)
    first, *middle = map("".join, pieces)
    if not middle:
        return re.compile(first, re.DOTALL)
    last = middle.pop()
    # The first place where a piece fits is as good as any later one, so there is no way back into it.
    return re.compile(
        first + "".join(f"(?>.*?{piece})" for piece in middle if piece) + f".*{last}", re.DOTALL
    )


def _set(part: _Part, start: int) -> tuple[str, int]:
    """What follows ``[``, as an expression, and where it ends; ``[`` itself where it is not closed."""
    at = start
    negated = at < len(part) and part[at] in (("!", False), ("^", False))
    at += negated
    first = at
    while at < len(part) and (part[at] != ("]", False) or at == first):
        if part[at] == ("[", False) and at + 1 < len(part) and part[at + 1][0] in ":.=":
            raise refused(f"a glob holds [{part[at + 1][0]}; write the characters out, as in [a-z0-9]")
        at += 1
    if at >= len(part):
        return re.escape("["), start
    inside, end = part[first:at], at + 1
    ranges: list[str] = []
    at = 0
    while at < len(inside):
        char = inside[at][0]
        if at + 2 < len(inside) and inside[at + 1] == ("-", False):
            last = inside[at + 2][0]
            if char <= last:
                ranges.append(f"{re.escape(char)}-{re.escape(last)}")
            at += 3
        else:
            ranges.append(re.escape(char))
            at += 1
    if not ranges:
        return ("." if negated else "(?!)"), end
    return f"[{'^' if negated else ''}{''.join(ranges)}]", end
