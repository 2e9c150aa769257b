"""Three ways to run a command line: by the restricted grammar, by a shell, and elsewhere."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import trio

from alloy_trio.values import ToolError

from ._environment import without_secrets
from ._limit import Limit
from ._output import Output
from ._processes import NotStarted, Sink, run_pipeline
from ._tool import ToolContext

if TYPE_CHECKING:
    from ._bash import Executor
    from ._sandbox import Sandbox

MAX_ANSWER_BYTES = 1_000_000
"""Bytes of what git says when it is asked about its repository. The configuration of one takes a few hundred."""

MAX_COMMAND_BYTES = 131_071
"""Bytes of one argument that Linux takes; macOS takes more."""

_SLICE = 1 << 16
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store", "/gnu/store")
_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/etc/passwd", "/etc/group", "/etc/nsswitch.conf")
_OF_THE_USER = ("PATH", "HOME", "LC_ALL", "TERM")


async def run_restricted(
    command: str,
    context: ToolContext,
    output: Output,
    *,
    allow: frozenset[str],
    env: frozenset[str],
    sandbox: Sandbox | None,
) -> int:
    """By the grammar, without a shell.

    Args:
        command: the line.
        context: the call's.
        output: where its output goes.
        allow: further programs, which may do anything.
        env: names of variables that those see.
        sandbox: what all of them are put into.

    Returns:
        The exit status.

    Raises:
        ToolError: something of it is not allowed, and nothing was run; or it could not be started.
    """
    # The grammar and its tables cost milliseconds, which a run that asks for no command need not pay.
    from ._arguments import plan
    from ._git import base_environment, git_environment

    def is_free(argv: Sequence[str]) -> bool:
        return argv[0] in allow or os.path.basename(argv[0]) in allow

    pipelines = await trio.to_thread.run_sync(partial(plan, command, context, allow=allow))
    environment = base_environment(context)
    commands = [argv for pipeline in pipelines for argv in pipeline]
    if any(os.path.basename(argv[0]) == "git" and not is_free(argv) for argv in commands):
        environment = await git_environment(context, partial(_ask, context, output.limit))
    before = await _before(sandbox, context)
    status = 0
    for pipeline in pipelines:
        free = any(map(is_free, pipeline))
        status = await _run(
            [(*before, *argv) for argv in pipeline],
            context,
            _opened(environment, env, guarded="git" not in allow) if free else environment,
            output.feed,
            output.limit,
            None if free or sandbox is not None else _wall(context),
        )
        if status != 0:
            break
    return status


def _opened(environment: dict[str, str], env: frozenset[str], *, guarded: bool) -> dict[str, str]:
    """The environment of a pipeline in which a program may do anything."""
    named = {name: os.environ[name] for name in env if name in os.environ}
    # What keeps git harmless stays, as git may stand in the same pipeline.
    kept = {name: value for name, value in environment.items() if name not in _OF_THE_USER}
    return {**environment, **named, **kept} if guarded else {**environment, **named}


async def run_shell(
    command: str, context: ToolContext, output: Output, *, env: frozenset[str], sandbox: Sandbox | None
) -> int:
    """By bash.

    Args:
        command: the line.
        context: the call's.
        output: where its output goes.
        env: names of variables that are shown although they look like secrets.
        sandbox: what it is put into.

    Returns:
        The exit status.

    Raises:
        ToolError: it could not be started.
    """
    try:
        command.encode()
    except UnicodeEncodeError:
        raise ToolError("the command holds half of a surrogate pair; write it again") from None
    if "\0" in command:
        raise ToolError("the command holds a NUL character; write it again")
    if (size := len(command.encode())) > MAX_COMMAND_BYTES:
        raise ToolError(
            f"the command has {size} bytes, more than the {MAX_COMMAND_BYTES} that a program can be given; write it "
            "into a file, and run that"
        )
    shell = next((path for path in ("/bin/bash", "/usr/bin/bash") if os.access(path, os.X_OK)), "/bin/sh")
    argv = (*await _before(sandbox, context), shell, "-c", command)
    return await _run([argv], context, without_secrets(os.environ, env), output.feed, output.limit)


async def run_elsewhere(command: str, context: ToolContext, output: Output, *, executor: Executor) -> int:
    """By somebody else's function.

    Returns:
        The exit status, as the function says it.

    Raises:
        TypeError: what it returns is no exit status with an output.
    """
    answer = executor(command, context.working_directory, trio.current_effective_deadline())
    if not inspect.isawaitable(answer):
        raise TypeError(f"the executor returned {_kind(answer)} and nothing to await; make it async def")
    match await answer:
        case (int(status), str() | bytes() as said):
            content = said.encode(errors="replace") if isinstance(said, str) else said
        case other:
            raise TypeError(
                f"the executor returned {_kind(other)}; return (exit status, output), as (0, b'text')"
            )
    for at in range(0, len(content), _SLICE):
        await output.feed(content[at : at + _SLICE])
    return status


def _kind(value: object) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(type(each).__name__ for each in value)})"
    return f"a value of type {type(value).__name__}"


def _wall(context: ToolContext) -> dict[str, list[str]] | None:
    """What a restricted command may open, by Landlock: whatever happens between the check of a path and its use."""
    if not sys.platform.startswith("linux"):
        return None
    return {"readable": [*_SYSTEM, *_FILES, *map(str, context.allowed_paths)], "writable": ["/dev/null"]}


async def _before(sandbox: Sandbox | None, context: ToolContext) -> tuple[str, ...]:
    return () if sandbox is None else await trio.to_thread.run_sync(sandbox.wrapped, context)


async def _run(
    commands: Iterable[Sequence[str]],
    context: ToolContext,
    environment: dict[str, str],
    sink: Sink,
    limit: Limit,
    landlock: dict[str, list[str]] | None = None,
) -> int:
    try:
        statuses = await run_pipeline(
            tuple(commands),
            directory=context.working_directory,
            environment=environment,
            sink=sink,
            at_rest=limit.paused,
            belongings=context.belongings,
            landlock=landlock,
        )
    except NotStarted as exc:
        why = exc.__cause__
        raise ToolError(f"the command could not be started: {_words(why)}") from why
    # As a shell tells it: the last command's, a signal as 128 and its number.
    return statuses[-1] if statuses[-1] >= 0 else 128 - statuses[-1]


def _words(why: BaseException | None) -> str:
    if not isinstance(why, OSError) or not why.strerror:
        return str(why)
    # What it was about: the program, its directory, or the interpreter of its keeper.
    about = os.fsdecode(why.filename) if isinstance(why.filename, str | bytes) else ""
    return f"{why.strerror} ({about})" if about and about not in why.strerror else why.strerror


async def _ask(context: ToolContext, limit: Limit, argv: Sequence[str], environment: dict[str, str]) -> str:
    """The output of a command that is asked before the model's own, as it came."""
    answer = bytearray()

    async def sink(chunk: bytes) -> None:
        answer.extend(chunk[: MAX_ANSWER_BYTES + 1 - len(answer)])

    await _run([argv], context, environment, sink, limit, _wall(context))
    if len(answer) > MAX_ANSWER_BYTES:
        from ._restricted import refused

        raise refused(f"git {argv[1]} has more to say than can be looked through")
    return answer.decode(errors="surrogateescape")
