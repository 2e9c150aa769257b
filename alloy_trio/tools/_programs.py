"""Commands checked against the table of what may run; pure.

What comes out is one command whose every word is known: an option, its value, a pattern, a file.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet

import attrs

from ._options import INSTEAD, PROGRAMS, Kind, Program
from ._restricted import Command, Word, refused

_NUMBER = re.compile(r"[+-]?[0-9]{1,12}([kKMG]i?B?|b)?")
_COUNT = re.compile(r"-[0-9]{1,9}")
_FORMATS = ("oneline", "short", "medium", "full", "fuller", "reference", "raw", "email")
_RUNS = re.compile(r"%[-+ ]?(G|\(describe)")
"""Parts of a format for which git starts a program: one that the configuration names, or itself once more."""


@attrs.frozen
class Argument:
    """One argument of a program that will be run.

    Args:
        word: as it was written.
        path: the part of it that names a file, or None; may be a glob if ``operand``.
        operand: whether its globs are expanded.
    """

    word: Word
    path: str | None = None
    operand: bool = False


@attrs.frozen(kw_only=True)
class Invocation:
    """One program with its arguments, all of them allowed.

    Args:
        program: its name.
        subcommand: git's, or None.
        directory: git's ``-C``, or None.
        arguments: in the order in which the program gets them.
        free: whether its user may do anything, so that no path is looked at.
    """

    program: str
    subcommand: str | None = None
    directory: str | None = None
    arguments: tuple[Argument, ...] = ()
    free: bool = False


_END = Argument(Word("--", (True, True)))


def allowed(command: Command, *, more: AbstractSet[str] = frozenset()) -> Invocation:
    """Check a command against the table.

    Args:
        command: its words.
        more: names of programs that may be run with any arguments.

    Raises:
        ToolError: the program, or an option of it, is not allowed.
    """
    first, rest = command[0], list(command[1:])
    name = first.text
    if any(first.literal) or first.is_glob:
        raise refused("a program's name is written without quotes and globs")
    if name in more:
        return Invocation(
            program=name,
            arguments=tuple(Argument(word, operand=True) for word in rest),
            free=True,
        )
    directory = subcommand = None
    if name == "git":
        directory = _git_options(rest)
        subcommand = rest.pop(0).text if rest else ""
        name = f"git {subcommand}"
    if name not in PROGRAMS:
        instead = INSTEAD.get(name)
        raise refused(f"{name.strip()!r} is not allowed" + (f" ({instead})" if instead else ""))
    return Invocation(
        program=first.text,
        subcommand=subcommand,
        directory=directory,
        arguments=_Reader(name, PROGRAMS[name]).read(rest),
    )


def _git_options(words: list[Word]) -> str | None:
    """Take the options before git's subcommand off; returns the directory that they name."""
    directory = None
    while words and words[0].text.startswith("-"):
        option = words.pop(0).text
        if option in ("--no-pager", "-P", "--no-optional-locks"):
            continue
        if option != "-C" or directory is not None:
            raise refused(f"git {option} is not allowed before the subcommand")
        if not words or words[0].is_glob:
            raise refused("git -C needs the name of a directory")
        directory = words.pop(0).text
    return directory


class _Reader:
    def __init__(self, name: str, program: Program) -> None:
        self._name = name
        self._program = program
        self._pattern_given = not program.pattern_first

    def read(self, words: list[Word]) -> tuple[Argument, ...]:
        options: list[Argument] = []
        operands: list[Word] = []
        git: list[Argument] = []
        while words:
            word = words.pop(0)
            if word.text == "--":
                operands += words
                git += [_END, *(Argument(each, each.text, operand=True) for each in words)]
                break
            if word.text.startswith("-") and word.text != "-":
                found = self._option(word, words)
                options += found
                git += found
            else:
                operands.append(word)
                git.append(Argument(word, word.text, operand=True))
        if self._program.revisions:
            return tuple(git)
        # Options first, then "--": so nothing that follows can be taken for an option, whatever a glob stands for.
        return (*options, _END, *self._operands(operands))

    def _operands(self, words: list[Word]) -> list[Argument]:
        found: list[Argument] = []
        if words and not self._pattern_given:
            pattern = words.pop(0)
            if pattern.is_glob:
                raise refused(f"the pattern {pattern.text} has *, ? or [ in it; put it into single quotes")
            found.append(Argument(pattern))
        # "-" is the end of the pipe before, and no file.
        return found + [Argument(each, None if each.text == "-" else each.text, True) for each in words]

    def _option(self, word: Word, words: list[Word]) -> list[Argument]:
        """One option, with its value taken off the words that follow if it is there."""
        option, kind, value = self._split(word.text)
        self._pattern_given |= option in ("-e", "-f", "--regexp", "--file")
        if value is not None:
            self._check(option, kind, value)
            return [Argument(word, value if kind == "path" else None)]
        if not kind or (isinstance(kind, str) and kind.endswith("?")):
            return [Argument(word)]
        if not words or (isinstance(kind, str) and kind.endswith("=")):
            raise refused(f"{self._name} {option} needs a value" + ("" if words else " after it"))
        following = words.pop(0)
        if following.is_glob:
            raise refused(f"{self._name} {option} {following.text}: put the value into single quotes")
        self._check(option, kind, following.text)
        return [Argument(word), Argument(following, following.text if kind == "path" else None)]

    def _split(self, text: str) -> tuple[str, Kind, str | None]:
        """The option that a word holds, the kind of its value, and the value if it is in the same word.

        In a cluster like ``-inr`` the last letter counts, since the ones before it have no value.
        """
        program = self._program
        if text.startswith("--"):
            option, equals, value = text.partition("=")
            kind = program.long.get(option[2:])
            if kind is None or (equals and not kind):
                raise refused(f"{self._name} {option}{equals} is not allowed")
            return option, kind, value if equals else None
        if program.counts and _COUNT.fullmatch(text):
            return text, "", None
        for index, letter in enumerate(text[1:], 1):
            # Git reads no option with a value in the midst of a cluster, or not all of them.
            if letter in program.letters and (index == 1 or not program.revisions):
                return f"-{letter}", program.letters[letter], text[index + 1 :] or None
            if letter not in program.flags:
                raise refused(f"{self._name} -{letter} is not allowed")
        return text, "", None

    def _check(self, option: str, kind: Kind, value: str) -> None:
        where = f"{self._name} {option}"
        if isinstance(kind, tuple):
            if value not in kind:
                raise refused(f"{where} may be {' or '.join(kind)}, and not {value!r}")
        elif kind.startswith("number"):
            if not _NUMBER.fullmatch(value):
                raise refused(f"{where} needs a number, and {value!r} is none")
        elif kind.startswith("format"):
            # A bare word may be a format that the configuration defines.
            body = value.removeprefix("format:").removeprefix("tformat:")
            if _RUNS.search(value) or (
                value and body == value and "%" not in value and value not in _FORMATS
            ):
                raise refused(
                    f"{where}={value} is not allowed; use a format with %, without %G and %(describe)"
                )
