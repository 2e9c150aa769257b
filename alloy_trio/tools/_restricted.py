"""The grammar of the restricted bash tool; pure.

There is no shell behind it, so there is nothing that could understand a text differently from this module.
A command line is words, quotes, ``|`` and ``&&``::

    line     = pipeline ("&&" pipeline)*
    pipeline = command ("|" command)*
    command  = word+
    word     = (plain character | '...' | "...")+

with ``*``, ``?`` and ``[...]`` outside of quotes as globs, expanded later. Every other thing that a shell
gives a meaning is refused, so a word that passes means the same here and in bash. Any one refusal refuses the
whole line before anything of it runs.

The one thing that is heard and not done: ``2>&1`` and ``2>/dev/null``, which models add out of habit. Errors are
part of the output in any case, so a command may bear them; they change nothing.
"""

from __future__ import annotations

import re

import attrs

from alloy_trio.values import ToolError

MAX_LINE_CHARS = 8_000
MAX_COMMANDS = 50
"""Bounds that no sensible line meets; arbitrary."""

_REFUSED = {
    ";": "';' (join commands with &&)",
    "&": "'&' (there is no background; join commands with &&)",
    ">": "'>' (nothing can be written here; errors are part of the output anyway)",
    "<": "'<' (name the file as an argument)",
    "`": "'`' (no substitution; put it into single quotes if it is meant as it stands)",
    "$": "'$' (no variables, no substitution; put it into single quotes if it is meant as it stands)",
    "(": "'(' (no subshells; quote it if it is meant as it stands)",
    ")": "')' (no subshells; quote it if it is meant as it stands)",
    "{": "'{' (no brace expansion; quote it if it is meant as it stands)",
    "}": "'}' (quote it if it is meant as it stands)",
    "\\": "'\\' (put the word into single quotes instead)",
}
_PLAIN = re.compile(r"""[^ \t|&;<>`$(){}\\'"]+""")
_QUIET = re.compile(r"2>(&1|[ \t]?/dev/null)(?=[ \t|&]|\Z)")
"""Two of the redirections; see above. What follows may not be a part of the same word."""

_AT = re.compile(r"@\{[A-Za-z0-9_:/-]+(\.[A-Za-z0-9_:/-]+)*\}")
"""``HEAD@{1}``, ``@{upstream}``: braces that no shell expands, since there is no comma and no ``..`` in them."""

_DOLLAR_STANDS = tuple('" .,|)/\\:;=]}%^~&<>')
"""What may follow a dollar inside double quotes, for it stands for itself in a shell too: ``"end$"``."""

_GLOB = frozenset("*?[")
_HINT = "Allowed are ls, cat, grep, wc, head, tail, git status, git log and git diff, joined by | and &&."


@attrs.frozen
class Word:
    """One argument as it was written.

    Args:
        text: its characters, quotes removed.
        literal: for each character, whether it stands for itself (quoted) or may be part of a glob.
    """

    text: str
    literal: tuple[bool, ...] = attrs.field(repr=False)

    @property
    def is_glob(self) -> bool:
        """Whether it stands for the names of files."""
        return any(char in _GLOB and not quoted for char, quoted in zip(self.text, self.literal, strict=True))


Command = tuple[Word, ...]
Pipeline = tuple[Command, ...]


def refused(why: str) -> ToolError:
    """The error that says why a line is not run."""
    return ToolError(f"Nothing was run: {why}. {_HINT}")


def parse(line: str) -> tuple[Pipeline, ...]:
    """Read a command line.

    Returns:
        Pipelines, each to be run if the one before succeeded.

    Raises:
        ToolError: it is not of the grammar; the text names what was found.
    """
    line = line.strip(" \t\n")
    if not line:
        raise refused("the command is empty")
    if len(line) > MAX_LINE_CHARS:
        raise refused(f"the command has {len(line)} characters, more than {MAX_LINE_CHARS}")
    for char in line:
        if (char < " " and char != "\t") or char == "\x7f":
            name = {"\n": "a line break (join commands with &&)", "\r": "a carriage return"}.get(
                char, f"the control character {ord(char):#04x}"
            )
            raise refused(f"it holds {name}")
        if "\ud800" <= char <= "\udfff":
            raise refused("it holds half of a surrogate pair; write it again")
    return _Reader(line).read()


class _Reader:
    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0
        self._pipelines: list[list[list[Word]]] = [[[]]]

    def read(self) -> tuple[Pipeline, ...]:
        line = self._line
        while self._at < len(line):
            if line[self._at] in " \t":
                self._at += 1
            elif line.startswith("&&", self._at):
                self._finish_command("&&")
                self._pipelines.append([[]])
                self._at += 2
            elif line.startswith(("||", "|&"), self._at):
                raise refused(f"it holds '{line[self._at : self._at + 2]}' (join commands with && or |)")
            elif line[self._at] == "|":
                self._finish_command("|")
                self._pipelines[-1].append([])
                self._at += 1
            elif self._pipelines[-1][-1] and (quiet := _QUIET.match(line, self._at)):
                self._at = quiet.end()
            else:
                self._pipelines[-1][-1].append(self._word())
        self._finish_command("the end")
        if sum(map(len, self._pipelines)) > MAX_COMMANDS:
            raise refused(f"it has more than {MAX_COMMANDS} commands")
        return tuple(tuple(tuple(command) for command in pipeline) for pipeline in self._pipelines)

    def _finish_command(self, before: str) -> None:
        if not self._pipelines[-1][-1]:
            raise refused(f"there is no command before {before}")

    def _word(self) -> Word:
        text: list[str] = []
        literal: list[bool] = []
        start, line = self._at, self._line
        if line[start] in "#~!":
            raise refused(f"a word begins with '{line[start]}' (quote it if it is meant as it stands)")
        while self._at < len(line) and line[self._at] not in " \t|" and not line.startswith("&&", self._at):
            char = line[self._at]
            if char in "'\"":
                inside, quoted = self._single() if char == "'" else self._double(), True
            else:
                inside, quoted = self._bare(), False
            text.append(inside)
            literal.extend([quoted] * len(inside))
        return Word("".join(text), tuple(literal))

    def _bare(self) -> str:
        start, line = self._at, self._line
        if found := _PLAIN.match(line, start):
            self._at = found.end()
        elif line[start] == "$" and line[start + 1 : start + 2] in ("", " ", "\t"):
            self._at += 1  # "^$": at the end of a word it stands for itself
        elif line[start] == "{" and start and (found := _AT.match(line, start - 1)):
            self._at = found.end()
        else:
            raise refused(f"it holds {_REFUSED[line[start]]}")
        return line[start : self._at]

    def _single(self) -> str:
        end = self._line.find("'", self._at + 1)
        if end < 0:
            raise refused("a single quote is not closed")
        inside = self._line[self._at + 1 : end]
        self._at = end + 1
        return inside

    def _double(self) -> str:
        inside: list[str] = []
        self._at += 1
        while self._at < len(self._line):
            char = self._line[self._at]
            following = self._line[self._at + 1 : self._at + 2]
            if char == '"':
                self._at += 1
                return "".join(inside)
            if char == "\\" and following and following in '$`"\\':
                inside.append(following)
                self._at += 2
                continue
            if char == "`" or (char == "$" and following not in _DOLLAR_STANDS):
                raise refused(f"it holds {_REFUSED[char]}, inside of double quotes too; use single quotes")
            inside.append(char)
            self._at += 1
        raise refused("a double quote is not closed")
