"""The bash tool: restricted as it stands, and the maker of other ones.

Restricted, it starts no shell: the line is read by a small grammar (:mod:`._restricted`), each command is
looked up in a table (:mod:`._programs`), and what passed is run by absolute path from argument lists. Otherwise it
is ``bash -c``: in a sandbox (:mod:`._sandbox`), with all that we may do, or elsewhere, by a function that is given.
"""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from alloy_trio.values import ConfigurationError, ToolError

from ._limit import Interrupted, Limit
from ._tool import MAX_RESULT_CHARS, Tool, ToolContext, tool

if TYPE_CHECKING:
    from ._sandbox import Sandbox

Executor: TypeAlias = Callable[[str, Path, float], Awaitable[tuple[int, str | bytes]]]
"""Runs a command line elsewhere: from it, a directory and the trio time until which it may take, to an exit status
and the output."""

DEFAULT_TIMEOUT = 120.0
"""Seconds of one command, unless the maker of the tool says otherwise, or the model wants less."""

_RESTRICTED = """
Run a command line that only looks at files: ls, cat, grep, wc, head, tail, git status, git log and git diff,
joined by | and &&, with quotes and globs. There is no shell: no variables, no redirection, no other program,
nothing is written, and paths have to be inside the allowed directories. Anything else is refused, and nothing
of it runs.
"""

_ALLOWED = "Besides these, {programs} may be run, with any arguments."

_FULL = """
Run a command line in bash, in the working directory, without input. Errors are part of the output. What the
command starts ends with it, also in the background.
"""

_SANDBOX = """
It runs in a sandbox: only the working directory{more} can be written, and its .git only read; home directories
and /tmp are empty at each call, and what is put there is gone after it. {network}
"""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


def bash_tool(
    *,
    restricted: bool | None = None,
    allow: Iterable[str] = (),
    sandbox: Literal["bwrap"] | None = None,
    network: bool = False,
    readable: Iterable[str | os.PathLike[str]] = (),
    writable: Iterable[str | os.PathLike[str]] = (),
    executor: Executor | None = None,
    env: Iterable[str] = (),
    timeout: float = DEFAULT_TIMEOUT,
    name: str = "bash",
    max_result_chars: int = MAX_RESULT_CHARS,
    concurrent: bool | None = None,
) -> Tool:
    """Make a bash tool. What each kind protects from, and what not: :doc:`/howto/tool_safety`.

    Args:
        restricted: whether it only looks at files, without a shell; False gives the model all of bash. None
            for: yes, unless there is a sandbox or an executor.
        allow: names of further programs that a restricted one runs, with any arguments and without a shell. Who
            allows a program allows all that it can do, and ``make`` can do anything.
        sandbox: ``"bwrap"`` to run commands in a sandbox of bubblewrap, which has to be installed: the
            working directory is writable, the rest of the disk read-only, home directories are empty.
        network: whether the network can be reached from the sandbox.
        readable: files and directories that can be read in the sandbox although they are in a home directory
            or in ``/tmp``; relative to the working directory, with ``~`` for the home directory.
        writable: directories besides the working directory that can be written in the sandbox. Name ``".git"``
            to let commands commit; they can then make hooks, which will run outside.
        executor: async function of (command, directory, deadline) that runs a command elsewhere, in a container
            say, and returns (exit status, output). The deadline is a trio time; at it the function is cancelled.
        env: names of environment variables that a command may see although they hold secrets by their names:
            those with KEY, TOKEN, SECRET, PASSWORD and the like are kept from it. A restricted command sees no
            variable of ours at all; the programs of ``allow`` see these and no others.
        timeout: seconds that one command may take; the model can ask for less. The run's ``tool_timeout`` caps it too.
        name: what the model calls it.
        max_result_chars: characters of output that reach the model; of more, head and tail do, and all of it
            goes to a file that the model can ``read``.
        concurrent: whether it may run beside the other calls of a turn; None for: if it is restricted, and
            allows nothing more. A model that asks for two commands at once expects the second to see what the
            first did.

    Raises:
        ConfigurationError: the platform is neither Linux nor macOS, there is no bubblewrap or it does not work,
            or an argument cannot work.
    """
    if not sys.platform.startswith(("linux", "darwin")):
        raise ConfigurationError(
            f"the bash tool needs Linux or macOS, and this is {sys.platform}; leave it out of tools"
        )
    shown, allowed = _names("env", env), _names("allow", allow)
    if not isinstance(timeout, int | float) or not timeout > 0:
        raise ConfigurationError(f"timeout is {timeout!r}; give a number of seconds that is more than 0")
    if not isinstance(max_result_chars, int) or max_result_chars <= 0:
        raise ConfigurationError(
            f"max_result_chars is {max_result_chars!r}; give a number of characters that is more than 0"
        )
    if restricted is None:
        restricted = sandbox is None and executor is None
    _check_together(restricted=restricted, allowed=allowed, sandbox=sandbox, executor=executor)
    box = _sandbox(sandbox, network=network, readable=readable, writable=writable)
    allowed = _installed(allowed)

    @tool(
        name=name,
        description=_description(restricted, allowed, box),
        concurrent=(restricted and not allowed) if concurrent is None else concurrent,
        # What is cut is cut here, while it comes in; room for the notes.
        max_result_chars=max_result_chars + 500,
    )
    async def bash(command: str, context: ToolContext, timeout: float | None = None) -> str:
        """Run a command.

        Args:
            command: the command line
            timeout: seconds after which it is ended
        """
        # They cost a millisecond, which a run that asks for no command need not pay.
        from ._output import Output
        from ._runners import run_elsewhere, run_restricted, run_shell

        runner: Callable[[str, ToolContext, Output], Awaitable[int]]
        if executor is not None:
            runner = partial(run_elsewhere, executor=executor)
        elif restricted:
            runner = partial(run_restricted, allow=allowed, env=shown, sandbox=box)
        else:
            runner = partial(run_shell, env=shown, sandbox=box)
        seconds = most_seconds if timeout is None else min(timeout, most_seconds)
        if not seconds > 0:
            raise ToolError(f"timeout is {seconds:g} seconds, and has to be more than 0")
        around = context._limit
        # The round's clock stands still meanwhile: met there, its limit would lose the output so far.
        limit = Limit(min(seconds, math.inf if around is None else around.seconds))
        output = Output(max_result_chars, context, limit, name)
        status = 0
        try:
            with nullcontext() if around is None else around.paused():
                limit.start()
                with limit.scope:
                    status = await runner(command, context, output)
                text = await output.end()
        finally:
            output.close()
        if limit.scope.cancelled_caught:
            note = f"[ended after {limit.seconds:g} s, its time limit; it may have taken effect in part]"
            raise Interrupted(f"{text.rstrip()}\n{note}".lstrip())
        return text if status == 0 else f"{text.rstrip()}\n[exit status {status}]".lstrip()

    most_seconds = timeout
    return bash


def _names(option: str, names: Iterable[str]) -> frozenset[str]:
    what = {"env": "variables", "allow": "programs"}[option]
    if isinstance(names, str):
        raise ConfigurationError(
            f"{option} is the str {names!r}, and names {what}; write {option}=({names!r},)"
        )
    found = frozenset(names)
    for each in found:
        if not isinstance(each, str) or not each or "\0" in each:
            raise ConfigurationError(f"{option} holds {each!r}, which names none of the {what}")
    return found


def _check_together(
    *, restricted: bool, allowed: frozenset[str], sandbox: object, executor: Executor | None
) -> None:
    if executor is not None and (restricted or sandbox is not None):
        other = "restricted" if restricted else "sandbox"
        raise ConfigurationError(
            f"executor and {other} exclude each other: an executor runs the whole line in its own way; leave out "
            f"{other}, and let the executor see to what may run"
        )
    if executor is not None and not callable(executor):
        raise ConfigurationError(
            f"executor is {executor!r}, and has to be an async function of (command, directory, deadline)"
        )
    if allowed and not restricted:
        raise ConfigurationError(
            "allow adds programs to a restricted tool, and this one runs any; leave out allow, or write "
            "restricted=True"
        )


def _sandbox(
    sandbox: object,
    *,
    network: bool,
    readable: Iterable[str | os.PathLike[str]],
    writable: Iterable[str | os.PathLike[str]],
) -> Sandbox | None:
    opened: dict[str, tuple[str, ...]] = {}
    for option, paths in (("readable", readable), ("writable", writable)):
        if isinstance(paths, str | os.PathLike):
            raise ConfigurationError(f"{option} is one path; write {option}=({os.fspath(paths)!r},)")
        opened[option] = tuple(os.fspath(path) for path in paths)
    if sandbox is None:
        given = next((each for each in opened if opened[each]), "network" if network else None)
        if given is not None:
            raise ConfigurationError(
                f'{given} is about the sandbox, and there is none; write sandbox="bwrap"'
            )
        return None
    if sandbox != "bwrap":
        raise ConfigurationError(f'sandbox is {sandbox!r}; write sandbox="bwrap", or leave it out')
    from ._sandbox import find_sandbox

    return find_sandbox(network=network, readable=opened["readable"], writable=opened["writable"])


def _installed(allowed: frozenset[str]) -> frozenset[str]:
    """The programs of ``allow``, found to be there.

    Raises:
        ConfigurationError: one is not.
    """
    if not allowed:
        return allowed
    from ._arguments import SEARCHED

    places = [*SEARCHED, *filter(os.path.isabs, os.environ.get("PATH", "").split(":"))]
    for program in sorted(allowed):
        if _NAME.fullmatch(program) is None:
            raise ConfigurationError(f"allow names {program!r}; name a program as commands do, as 'make'")
        if not any(os.access(f"{directory}/{program}", os.X_OK) for directory in places):
            raise ConfigurationError(
                f"allow names {program}, which is not installed (searched: {', '.join(places)}); install it, or "
                "leave it out"
            )
    return allowed


def _description(restricted: bool, allowed: frozenset[str], sandbox: Sandbox | None) -> str:
    parts = [_RESTRICTED if restricted else _FULL]
    if allowed:
        parts.append(_ALLOWED.format(programs=", ".join(sorted(allowed))))
    if sandbox is not None:
        more = "".join(f", {path}" for path in sandbox.writable)
        network = "The network can be reached." if sandbox.network else "There is no network."
        parts.append(_SANDBOX.format(more=more, network=network))
    return " ".join(" ".join(parts).split())


bash = bash_tool()
"""The restricted bash tool."""
