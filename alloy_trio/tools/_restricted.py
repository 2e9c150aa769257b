"""The grammar of the restricted bash tool; pure.

There is no shell behind it, so there is nothing that could understand a text differently from this module.
A command line is words, quotes, ``|`` and ``&&``::

    line     = pipeline ("&&" pipeline)*
    pipeline = command ("|" command)*
    command  = word+
    word     = (plain character | '...' | "...")+

with ``*``, ``?`` and ``[...]`` outside of quotes as globs, expanded later. Every other thing that a shell
gives a meaning is refused, so a word that passes means the same here and in sh. Any one refusal refuses the
whole line before anything of it runs.
"""

from __future__ import annotations

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
    "`": "'`' (no substitution)",
    "$": "'$' (no variables, no substitution)",
    "(": "'(' (no subshells)",
    ")": "')' (no subshells)",
    "{": "'{' (no brace expansion; quote it if it is meant as it stands)",
    "}": "'}' (quote it if it is meant as it stands)",
    "\\": "'\\' (put the word into single quotes instead)",
    "!": "'!' (quote it if it is meant as it stands)",
}
_GLOB = frozenset("*?[")
_HINT = "Allowed are ls, cat, grep, wc, head, tail, git status, git log and git diff, joined by | and &&."


@attrs.frozen
class Word:
    """One argument as it was written.

    Args:
        text: its characters, quotes removed.
        pattern: for each character, whether it stands for itself (quoted) or may be part of a glob.
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
    return _Reader(line).read()


class _Reader:
    def __init__(self, line: str) -> None:
        self._line = line
        self._at = 0
        self._pipelines: list[list[list[Word]]] = [[[]]]

    def read(self) -> tuple[Pipeline, ...]:
        while self._at < len(self._line):
            rest = self._line[self._at :]
            if rest[0] in " \t":
                self._at += 1
            elif rest.startswith("&&"):
                self._finish_command("&&")
                self._pipelines.append([[]])
                self._at += 2
            elif rest[0] == "|" and not rest.startswith(("||", "|&")):
                self._finish_command("|")
                self._pipelines[-1].append([])
                self._at += 1
            elif rest[0] == "|":
                raise refused(f"it holds '{rest[:2]}'")
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
        start = self._at
        while self._at < len(self._line):
            char = self._line[self._at]
            if char in " \t|" or self._line.startswith("&&", self._at):
                break
            if char in "'\"":
                inside = self._single() if char == "'" else self._double()
                text.extend(inside)
                literal.extend([True] * len(inside))
                continue
            if char in _REFUSED:
                raise refused(f"it holds {_REFUSED[char]}")
            if char in "#~" and self._at == start:
                raise refused(f"a word begins with '{char}' (quote it if it is meant as it stands)")
            text.append(char)
            literal.append(False)
            self._at += 1
        return Word("".join(text), tuple(literal))

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
            # A dollar before one of these stands for itself in a shell too: "end$".
            if char == "`" or (char == "$" and following not in tuple('" .,|)/')):
                raise refused(f"it holds {_REFUSED[char]}, inside of double quotes too; use single quotes")
            inside.append(char)
            self._at += 1
        raise refused("a double quote is not closed")
