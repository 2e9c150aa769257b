"""What the restricted bash tool runs, with which options; pure data and the reading of it.

An option that is not listed is refused: nothing here writes, starts another program, follows links out of
the allowed directories or never ends. Long options have to be written out.
"""

from __future__ import annotations

import re
from typing import Literal

import attrs

from ._restricted import Command, Word, refused

Kind = Literal["", "text", "number", "path", "format", "text?", "number?"]
"""What an option's value is; ``""`` for none, ``?`` for one that is given with ``=`` or not at all."""

_NUMBER = re.compile(r"[+-]?\d{1,12}([kKMG]i?B?|b)?")
_FORMATS = ("oneline", "short", "medium", "full", "fuller", "reference", "raw", "email")


@attrs.frozen(kw_only=True)
class Program:
    """The options of one program.

    Args:
        flags: letters without a value.
        letters: letters with a value.
        long: words, each with the kind of its value.
        counts: whether ``-5`` is an option.
        pattern_first: whether the first operand is a pattern and no path, unless an option gave one.
        revisions: whether an operand may also be a revision, so that it need not name a file.
    """

    flags: str
    letters: dict[str, Kind] = attrs.field(factory=dict)
    long: dict[str, Kind] = attrs.field(factory=dict)
    counts: bool = False
    pattern_first: bool = False
    revisions: bool = False


@attrs.frozen
class Argument:
    """One argument of a program that will be run.

    Args:
        word: as it was written.
        path: the part of it that names a file, or None; may be a glob if ``operand``.
        operand: whether it is an operand and no option.
    """

    word: Word
    path: str | None = None
    operand: bool = False


@attrs.frozen
class Invocation:
    """One program with its arguments, all of them allowed."""

    program: str
    subcommand: str | None
    arguments: tuple[Argument, ...]


def _long(words: str, kind: Kind = "") -> dict[str, Kind]:
    return dict.fromkeys(words.split(), kind)


_DIFF: dict[str, Kind] = {
    **_long(
        "patch no-patch raw stat numstat shortstat summary name-only name-status cached staged no- "
        "renames minimal patience histogram full-index binary text ignore-all-space ignore-space- "
        "change ignore-space-at-eol ignore-blank-lines ignore-cr-at-eol exit-code quiet check no-color "
        "no-prefix function-context merge-base patch-with-stat pickaxe-all pickaxe-regex reverse no- "
        "relative"
    ),
    **_long("unified inter-hunk-context", "number"),
    **_long("diff-filter diff-algorithm", "text"),
    **_long("color color-words word-diff relative find-renames find-copies abbrev", "text?"),
}

PROGRAMS: dict[str, Program] = {
    "ls": Program(
        flags="1AaBbCcdFfGghiklmnNopQqRrSstUuvXxZ",
        letters={"I": "text", "T": "number", "w": "number"},
        long={
            **_long(
                "all almost-all author escape directory classify full-time group-directories-first no- "
                "group human-readable si inode kibibytes numeric-uid-gid literal hide-control-chars "
                "quote-name reverse recursive size file-type"
            ),
            **_long(
                "sort time time-style format indicator-style hide ignore quoting-style block-size", "text"
            ),
            **_long("color", "text?"),
        },
    ),
    "cat": Program(
        flags="AbEensTtuv",
        long=_long("show-all number-nonblank show-ends number squeeze-blank show-tabs show-nonprinting"),
    ),
    "grep": Program(
        flags="EFGPiyvwxcLlqsobHhnTZzraUI",
        letters={"e": "text", "f": "path", "m": "number", "A": "number", "B": "number", "C": "number"},
        long={
            **_long(
                "extended-regexp fixed-strings basic-regexp perl-regexp ignore-case no-ignore-case "
                "invert-match word-regexp line-regexp count files-without-match files-with-matches "
                "quiet silent no-messages only-matching byte-offset with-filename no-filename line- "
                "number initial-tab null null-data recursive text"
            ),
            **_long("regexp label include exclude exclude-dir binary-files group-separator", "text"),
            **_long("file exclude-from", "path"),
            **_long("max-count after-context before-context context", "number"),
            **_long("color colour", "text?"),
        },
        counts=True,
        pattern_first=True,
    ),
    "wc": Program(flags="cmlLw", long=_long("bytes chars lines max-line-length words")),
    "head": Program(
        flags="qvz",
        letters={"n": "number", "c": "number"},
        long={**_long("quiet silent verbose zero-terminated"), **_long("lines bytes", "number")},
        counts=True,
    ),
    "tail": Program(
        flags="qvz",
        letters={"n": "number", "c": "number"},
        long={**_long("quiet silent verbose zero-terminated"), **_long("lines bytes", "number")},
        counts=True,
    ),
    "git status": Program(
        flags="sbz",
        long={
            **_long("short branch long show-stash no-renames no-ahead-behind"),
            **_long("porcelain untracked-files ignored column", "text?"),
        },
        revisions=True,
    ),
    "git diff": Program(
        flags="pswbazRWu",
        letters={"U": "number", "S": "text", "G": "text"},
        long=_DIFF,
        revisions=True,
    ),
    "git log": Program(
        flags="pswbazRWuigEFP",
        letters={"n": "number", "U": "number", "S": "text", "G": "text"},
        long={
            **_DIFF,
            **_long(
                "oneline graph all branches tags remotes no-decorate abbrev-commit no-abbrev-commit "
                "follow merges no-merges first-parent topo-order date-order author-date-order boundary "
                "left-right cherry-pick full-history simplify-merges regexp-ignore-case invert-grep "
                "extended-regexp fixed-strings perl-regexp all-match parents children no-notes full- "
                "diff"
            ),
            **_long("max-count skip min-parents max-parents", "number"),
            **_long("author committer grep since after until before date", "text"),
            **_long("format pretty", "format"),
            **_long("decorate", "text?"),
        },
        counts=True,
        revisions=True,
    ),
}


def allowed(command: Command) -> Invocation:
    """Check a command against the table.

    Raises:
        ToolError: the program, or an option of it, is not allowed.
    """
    first = command[0]
    name, rest = first.text, command[1:]
    if any(first.literal) or first.is_glob:
        raise refused("a program's name is written without quotes and globs")
    subcommand = None
    if name == "git":
        subcommand = rest[0].text if rest else ""
        name, rest = f"git {subcommand}", rest[1:]
    if name not in PROGRAMS:
        raise refused(f"{name.strip()!r} is not allowed")
    return Invocation(first.text, subcommand, _arguments(name, PROGRAMS[name], list(rest)))


def _arguments(name: str, program: Program, words: list[Word]) -> tuple[Argument, ...]:
    found: list[Argument] = []
    pattern_given = not program.pattern_first
    options = True
    while words:
        word = words.pop(0)
        text = word.text
        if options and text == "--":
            options = False
            found.append(Argument(word))
        elif options and text.startswith("-") and text != "-":
            option, kind, value = _option(name, program, text)
            pattern_given = pattern_given or option in ("-e", "-f", "--regexp", "--file")
            found.append(Argument(word, value if kind == "path" else None))
            if kind and not kind.endswith("?") and value is None:
                if not words:
                    raise refused(f"{name} {option} needs a value")
                word = words.pop(0)
                _check_value(name, option, kind, word.text)
                found.append(Argument(word, word.text if kind == "path" else None))
        elif not pattern_given:
            if word.is_glob:
                raise refused(f"the pattern {text} has *, ? or [ in it; put it into single quotes")
            pattern_given = True
            found.append(Argument(word))
        else:
            stdin = text == "-" and not program.revisions
            found.append(Argument(word, None if stdin else text, operand=True))
    return tuple(found)


def _option(name: str, program: Program, text: str) -> tuple[str, Kind, str | None]:
    """The option that a word holds, the kind of its value, and the value if it is in the same word.

    In a cluster like ``-inr`` the last letter counts, since the ones before it have no value.
    """
    if text.startswith("--"):
        option, equals, value = text.partition("=")
        kind = program.long.get(option[2:])
        if kind is None or (equals and not kind):
            raise refused(f"{name} {option} is not allowed")
        if equals:
            _check_value(name, option, kind, value)
        return option, kind, value if equals else None
    if program.counts and re.fullmatch(r"-\d{1,9}", text):
        return text, "", None
    for index, letter in enumerate(text[1:], 1):
        if letter in program.letters:
            kind, value = program.letters[letter], text[index + 1 :]
            if value:
                _check_value(name, f"-{letter}", kind, value)
            return f"-{letter}", kind, value or None
        if letter not in program.flags:
            raise refused(f"{name} -{letter} is not allowed")
    return text, "", None


def _check_value(name: str, option: str, kind: Kind, value: str) -> None:
    if kind == "number" and not _NUMBER.fullmatch(value):
        raise refused(f"{name} {option} needs a number, and {value!r} is none")
    if kind == "format":
        # %G… has signatures verified by a program that the repository's configuration names; a bare word may
        # be a format that the configuration defines.
        body = value.removeprefix("format:").removeprefix("tformat:")
        if "%G" in value or (body == value and "%" not in value and value not in _FORMATS):
            raise refused(f"{name} {option}={value} is not allowed; use a format with % and without %G")
