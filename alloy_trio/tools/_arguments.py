"""Arguments of restricted commands brought to the disk: globs expanded, paths found to be inside.

Everything here happens before anything of the command line runs. The programs open the files by themselves
afterwards, so they follow a link that somebody else puts there in between, unless the system holds them back. A
hard link is a file of the directory that it is in: nothing tells which of its names was there first.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import attrs

from alloy_trio.values import ToolError

from ._globs import Search
from ._paths import check, resolve
from ._programs import Argument, Invocation, allowed
from ._restricted import parse, refused
from ._threads import stop_if_cancelled
from ._tool import ToolContext

SEARCHED = ("/usr/bin", "/bin", "/usr/local/bin", "/opt/homebrew/bin")
"""Where programs are looked for: fixed, so that neither PATH nor a file beside the work can name one."""


def plan(
    line: str, context: ToolContext, *, allow: frozenset[str] = frozenset()
) -> tuple[tuple[tuple[str, ...], ...], ...]:
    """Turn a command line into argument lists: pipelines of commands. Touches the disk; call it in a thread.

    Args:
        line: as the model wrote it.
        context: says where, and what is allowed.
        allow: names of further programs, which are run with any arguments. What they do with them is allowed, too:
            their arguments are not looked at.

    Raises:
        ToolError: something in it is not allowed; nothing may run then.
    """
    try:
        check(Path(os.path.realpath(context.working_directory)), "the working directory", context)
    except ToolError as exc:
        raise refused(str(exc)) from exc
    pipelines = [[allowed(command, more=allow) for command in pipeline] for pipeline in parse(line)]
    planner = _Planner(context, Search(context, stop_if_cancelled))
    return tuple(tuple(planner.argv(each) for each in pipeline) for pipeline in pipelines)


def executable(name: str) -> str:
    """The absolute path of a program.

    Raises:
        ToolError: it is not installed.
    """
    for path in _places(name, SEARCHED):
        return path
    raise _not_installed(name, SEARCHED)


def executable_anywhere(name: str, context: ToolContext) -> str:
    """The absolute path of a program that may also be in a directory of PATH, but in none that may be touched.

    Raises:
        ToolError: it is not installed.
    """
    for path in _places(name, SEARCHED):
        return path
    directories = [each for each in os.environ.get("PATH", "").split(":") if each.startswith("/")]
    for path in _places(name, directories):
        # Neither where it is named nor where it lies: else whatever may be written there would run.
        places = (Path(os.path.realpath(path)), Path(os.path.realpath(os.path.dirname(path))))
        if not any(root in (place, *place.parents) for place in places for root in context.allowed_paths):
            return path
    raise _not_installed(name, [*SEARCHED, *directories])


def _places(name: str, directories: tuple[str, ...] | list[str]) -> Iterator[str]:
    for directory in directories:
        path = f"{directory}/{name}"
        if "/" not in name and name and os.path.isfile(path) and os.access(path, os.X_OK):
            yield path


def _not_installed(name: str, directories: tuple[str, ...] | list[str]) -> ToolError:
    return ToolError(
        f"Nothing was run: {name} is not installed on this machine (searched: {', '.join(directories)})."
    )


@attrs.frozen
class _Planner:
    context: ToolContext
    search: Search

    def argv(self, invocation: Invocation) -> tuple[str, ...]:
        self.search.start_command()
        base = ""
        if invocation.free:
            head = [executable_anywhere(invocation.program, self.context)]
        else:
            head = [executable(invocation.program)]
        if invocation.subcommand is not None:
            head.append("--no-pager")
            if invocation.directory is not None:
                base = self._same_repository(invocation.directory)
                head += ["-C", base]
            head += [invocation.subcommand, *_git_switches(invocation.subcommand)]
        # Globs are of the working directory, whatever git makes of the names.
        where = partial(os.path.join, base) if base else str
        texts: list[str] = []
        for argument in invocation.arguments:
            texts += self._texts(argument, None if invocation.free else where)
            if argument.path is not None and not invocation.free:
                self._check(where(argument.path) if argument.path else "")
        return (*head, *texts)

    def _texts(self, argument: Argument, where: Callable[[str], str] | None) -> list[str]:
        if not (argument.operand and argument.word.is_glob):
            return [argument.word.text]
        matches = sorted(self.search.matches(argument.word))
        if where is not None:
            for match in matches:
                self.search.pause()
                self._check(where(match))
        # As in a shell, a glob that nothing matches stands for itself; the program will say that it is not there.
        return [f"./{match}" if match.startswith("-") else match for match in matches] or [argument.word.text]

    def _check(self, path: str) -> None:
        resolved = self._resolved(path)
        try:
            mode = resolved.stat().st_mode
        except OSError:
            return  # a revision, or nothing that can be read: the program says so better
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise refused(f"{path} is a device, pipe or socket")

    def _resolved(self, path: str) -> Path:
        try:
            resolved = resolve(path, self.context, for_write=False)
        except ToolError as exc:
            raise refused(str(exc)) from exc
        except OSError as exc:
            raise refused(f"{path} cannot be looked at: {exc.strerror}") from exc
        belongings = self.context.belongings
        if belongings is not None and (
            belongings.private.path == resolved or belongings.private.holds(resolved)
        ):
            raise refused(f"{path} is in a directory that only the read tool opens; use that")
        return resolved

    def _same_repository(self, directory: str) -> str:
        """The directory of ``git -C``. What is checked of a repository is checked of the working directory's."""
        resolved = self._resolved(directory)
        here = Path(os.path.realpath(self.context.working_directory))
        if self._repository(resolved) != self._repository(here):
            raise refused(
                f"git -C {directory} leads into another repository than that of {here}, the only one that is used"
            )
        return str(resolved)

    def _repository(self, directory: Path) -> Path | None:
        ceilings = {root.parent for root in self.context.allowed_paths}
        for place in (directory, *directory.parents):
            if place in ceilings and place != directory:
                return None
            # ".git", or a directory that looks like one itself, which is a repository without files.
            if os.path.lexists(place / ".git") or os.path.lexists(place / "HEAD"):
                return place
        return None


def _git_switches(subcommand: str) -> tuple[str, ...]:
    # External diffs, text conversions and whatever runs inside a submodule belong to the repository's own
    # configuration, which may name any program.
    if subcommand == "status":
        return ("--ignore-submodules=all",)
    return ("--no-ext-diff", "--no-textconv", *(("--ignore-submodules=all",) if subcommand == "diff" else ()))
