"""Arguments of restricted commands brought to the disk: globs expanded, paths found to be inside.

Everything here happens before anything of the command line runs.
"""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs

from alloy_trio.values import ToolError

from ._paths import check, resolve
from ._programs import Argument, Invocation, allowed
from ._restricted import Word, parse, refused
from ._threads import stop_if_cancelled
from ._tool import ToolContext

SEARCHED = ("/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin")
"""Where programs are looked for: fixed, so that neither PATH nor a file beside the work can name one."""

MAX_MATCHES = 2_000
"""File names that the globs of one command stand for at most; well below what exec accepts."""

MAX_DIRECTORIES = 10_000
"""Directories that the globs of one line look into; each takes some 0.1 ms. A few links that lead back to where
they are make any number of ways through few directories."""

MAX_DEPTH = 100
"""Directories in one another that a glob names; each is a step of recursion. No sensible tree is so deep."""

_BATCH = 500


def plan(line: str, context: ToolContext) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Turn a command line into argument lists: pipelines of commands. Touches the disk; call it in a thread.

    Raises:
        ToolError: something in it is not allowed; nothing may run then.
    """
    check(context.working_directory, "the working directory", context)
    pipelines = [[allowed(command) for command in pipeline] for pipeline in parse(line)]
    search = _Search(context)
    return tuple(tuple(_argv(each, search) for each in pipeline) for pipeline in pipelines)


def executable(name: str) -> str:
    """The absolute path of a program.

    Raises:
        ToolError: it is not installed.
    """
    for directory in SEARCHED:
        path = f"{directory}/{name}"
        if os.access(path, os.X_OK):
            return path
    raise ToolError(
        f"Nothing was run: {name} is not installed on this machine (searched: {', '.join(SEARCHED)})."
    )


def _argv(invocation: Invocation, search: _Search) -> tuple[str, ...]:
    head = [executable(invocation.program)]
    if invocation.subcommand is not None:
        head += ["--no-pager", invocation.subcommand, *_git_switches(invocation.subcommand)]
    search.names = 0
    arguments = [text for each in invocation.arguments for text in _texts(each, search)]
    for each in invocation.arguments:
        if each.path is not None and not (each.operand and each.word.is_glob):
            _check_path(each.path, search.context)
    return (*head, *arguments)


def _git_switches(subcommand: str) -> tuple[str, ...]:
    # External diffs, text conversions and whatever runs inside a submodule belong to the repository's own
    # configuration, which may name any program.
    if subcommand == "status":
        return ("--ignore-submodules=all",)
    return ("--no-ext-diff", "--no-textconv", *(("--ignore-submodules=all",) if subcommand == "diff" else ()))


def _texts(argument: Argument, search: _Search) -> list[str]:
    if not (argument.operand and argument.word.is_glob):
        return [argument.word.text]
    matches = sorted(search.matches(argument.word))
    for match in matches:
        stop_if_cancelled()
        _check_path(match, search.context)
    # As in a shell, a glob that nothing matches stands for itself; the program will say that it is not there.
    return [f"./{match}" if match.startswith("-") else match for match in matches] or [argument.word.text]


def _check_path(path: str, context: ToolContext) -> None:
    try:
        resolved = resolve(path, context, for_write=False)
    except ToolError as exc:
        raise refused(str(exc)) from exc
    try:
        mode = resolved.stat().st_mode
    except OSError:
        return  # a revision, or nothing that can be read: the program says so better
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise refused(f"{path} is a device, pipe or socket")


_Part = list[tuple[str, bool]]


@attrs.define(eq=False)
class _Search:
    """What the globs of one line stand for, and how much has been looked at for it."""

    context: ToolContext
    names: int = 0
    directories: int = 0

    def matches(self, word: Word) -> Iterator[str]:
        """The names that a glob stands for. Each directory is found to be inside before it is listed."""
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
            if self.names > MAX_MATCHES:
                raise refused(f"its globs stand for more than {MAX_MATCHES} names")
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
        directory, names = self._listed(before)
        # A quoted *, ? or [ stands for itself, which fnmatch writes as a set of one.
        pattern = "".join(f"[{char}]" if quoted and char in "*?[" else char for char, quoted in here)
        for number, name in enumerate(names):
            if number % _BATCH == 0:
                stop_if_cancelled()
            if name.startswith(".") and not text.startswith("."):
                continue
            if fnmatch.fnmatchcase(name, pattern) and (not rest or (directory / name).is_dir()):
                if rest:
                    yield from self._walk(f"{before}{name}/", rest)
                else:
                    yield f"{before}{name}"

    def _listed(self, before: str) -> tuple[Path, list[str]]:
        stop_if_cancelled()
        self.directories += 1
        if self.directories > MAX_DIRECTORIES:
            raise refused(f"its globs lead into more than {MAX_DIRECTORIES} directories")
        directory = Path(os.path.realpath(self.context.working_directory / before))
        try:
            check(directory, before or ".", self.context)
        except ToolError as exc:
            raise refused(str(exc)) from exc
        try:
            return directory, sorted(os.listdir(directory))
        except OSError:
            return directory, []  # no such directory, so no names
