"""The bash tool: restricted as it stands, and the maker of other ones.

Restricted, it starts no shell: the line is read by a small grammar (:mod:`._restricted`), each command is
looked up in a table (:mod:`._programs`), and what passed is run by absolute path from argument lists.
Unrestricted, it is ``bash -c``.
"""

from __future__ import annotations

import codecs
import math
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import partial

import trio

from alloy_trio.values import ConfigurationError, ToolError

from ._limit import Interrupted, Limit
from ._plain import CUT_NOTE
from ._processes import NotStarted, run_pipeline
from ._tool import MAX_RESULT_CHARS, Tool, ToolContext, tool

DEFAULT_TIMEOUT = 120.0
"""Seconds of one command, unless the model or the maker of the tool says otherwise."""

PROGRESS_CHARS = 200_000
"""Characters of output that one call shows as progress; a command that never stops talking fills no log."""

_SECRET = ("KEY", "TOKEN", "SECRET", "PASSWORD")

_RESTRICTED = """
Run a command line that only looks at files: ls, cat, grep, wc, head, tail, git status, git log and git diff,
joined by | and &&, with quotes and globs. There is no shell: no variables, no redirection, no other program,
nothing is written, and paths have to be inside the allowed directories. Anything else is refused, and nothing
of it runs.
"""

_FULL = """
Run a command line in bash, in the working directory, without input. Errors are part of the output. What the
command starts ends with it, also in the background.
"""


class _Output:
    """Output while it comes in: shown piece by piece, kept in bounded memory as a head and a tail."""

    def __init__(self, room: int, context: ToolContext | None, limit: Limit) -> None:
        self.limit = limit
        self._context = context
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._tail_room = room // 3
        self._head_room = room - self._tail_room
        self._head = ""
        self._tail = ""
        self._count = 0

    async def feed(self, chunk: bytes) -> None:
        shown = self._keep(self._decode(chunk))
        if shown and self._context is not None:
            with self.limit.paused():
                await self._context.progress(shown)

    def _keep(self, text: str) -> str:
        """Keep what there is room for; returns what may be shown of it."""
        shown = text[: max(PROGRESS_CHARS - self._count, 0)]
        self._count += len(text)
        room = self._head_room - len(self._head)
        self._head += text[:room]
        if self._tail_room:
            self._tail = (self._tail + text[room:])[-self._tail_room :]
        return shown

    @property
    def missing(self) -> int:
        """Characters that were cut out of the middle."""
        return self._count - len(self._head) - len(self._tail)

    def text(self) -> str:
        """What was kept. Ends the output: a character that is not whole by now never will be."""
        self._keep(self._decode(b"", True))
        note = CUT_NOTE.format(count=self.missing) if self.missing else ""
        return f"{self._head}{note}{self._tail}"


def bash_tool(
    *,
    restricted: bool = True,
    env: Iterable[str] = (),
    timeout: float = DEFAULT_TIMEOUT,
    name: str = "bash",
    max_result_chars: int = MAX_RESULT_CHARS,
    concurrent: bool | None = None,
) -> Tool:
    """Make a bash tool.

    Args:
        restricted: whether it only looks at files, without a shell; False gives the model all of bash.
        env: names of environment variables that a command may see although their names hold KEY, TOKEN,
            SECRET or PASSWORD. The others of that kind are kept from it; a restricted command sees no
            variable of ours at all.
        timeout: seconds of one command, where the model does not say. The run's ``tool_timeout`` caps both.
        name: what the model calls it.
        max_result_chars: characters of output that reach the model; from more, head and tail are kept.
        concurrent: whether it may run beside the other calls of a turn; None for: if it is restricted. A
            model that asks for two commands at once expects the second to see what the first did.

    Raises:
        ConfigurationError: the platform is neither Linux nor macOS, or an argument cannot work.
    """
    if not sys.platform.startswith(("linux", "darwin")):
        raise ConfigurationError(
            f"the bash tool needs Linux or macOS, and this is {sys.platform}; leave it out of tools"
        )
    if isinstance(env, str):
        raise ConfigurationError(f"env is the str {env!r}, and names variables; write env=({env!r},)")
    if not isinstance(timeout, int | float) or not timeout > 0:
        raise ConfigurationError(f"timeout is {timeout!r}; give a number of seconds that is more than 0")
    if not isinstance(max_result_chars, int) or max_result_chars <= 0:
        raise ConfigurationError(
            f"max_result_chars is {max_result_chars!r}; give a number of characters that is more than 0"
        )
    runner = _run_restricted if restricted else partial(_run_shell, shown=frozenset(env))

    @tool(
        name=name,
        description=" ".join((_RESTRICTED if restricted else _FULL).split()),
        concurrent=restricted if concurrent is None else concurrent,
        # What is cut is cut here, while it comes in; room for the notes.
        max_result_chars=max_result_chars + 500,
    )
    async def bash(command: str, context: ToolContext, timeout: float | None = None) -> str:
        """Run a command.

        Args:
            command: the command line
            timeout: seconds after which it is ended
        """
        seconds = default_timeout if timeout is None else timeout
        if not seconds > 0:
            raise ToolError(f"timeout is {seconds:g} seconds, and has to be more than 0")
        around = context._limit
        # The round's clock stands still meanwhile: met there, its limit would lose the output so far.
        limit = Limit(min(seconds, math.inf if around is None else around.seconds))
        output = _Output(max_result_chars, context, limit)
        with nullcontext() if around is None else around.paused():
            limit.start()
            with limit.scope:
                status = await runner(command, context, output)
        text = output.text()
        if limit.scope.cancelled_caught:
            note = f"[ended after {limit.seconds:g} s, its time limit; it may have taken effect in part]"
            raise Interrupted(f"{text.rstrip()}\n{note}".lstrip())
        return text if status == 0 else f"{text.rstrip()}\n[exit status {status}]".lstrip()

    default_timeout = timeout
    return bash


async def _run_restricted(command: str, context: ToolContext, output: _Output) -> int:
    # The grammar and its tables cost milliseconds, which a run that asks for no command need not pay.
    from ._arguments import plan
    from ._git import base_environment, git_environment

    pipelines = await trio.to_thread.run_sync(plan, command, context)
    environment = base_environment(context)
    if any(argv[0].endswith("/git") for pipeline in pipelines for argv in pipeline):
        environment = await git_environment(context, partial(_ask, context, output.limit))
    status = 0
    for pipeline in pipelines:
        status = await _run(pipeline, context, environment, output)
        if status != 0:
            break
    return status


async def _run_shell(command: str, context: ToolContext, output: _Output, *, shown: frozenset[str]) -> int:
    try:
        command.encode()
    except UnicodeEncodeError:
        raise ToolError("the command holds half of a surrogate pair; write it again") from None
    if "\0" in command:
        raise ToolError("the command holds a NUL character; write it again")
    environment = {
        key: value
        for key, value in os.environ.items()
        if key in shown or not any(word in key.upper() for word in _SECRET)
    }
    shell = next((path for path in ("/bin/bash", "/usr/bin/bash") if os.access(path, os.X_OK)), "/bin/sh")
    return await _run([(shell, "-c", command)], context, environment, output)


async def _run(
    pipeline: Sequence[Sequence[str]], context: ToolContext, environment: dict[str, str], output: _Output
) -> int:
    try:
        statuses = await run_pipeline(
            pipeline,
            directory=context.working_directory,
            environment=environment,
            sink=output.feed,
            at_rest=output.limit.paused,
        )
    except NotStarted as exc:
        why = exc.__cause__
        words = why.strerror if isinstance(why, OSError) and why.strerror else why
        raise ToolError(f"the command could not be started: {words}") from why
    # As a shell tells it: the last command's, a signal as 128 and its number.
    return statuses[-1] if statuses[-1] >= 0 else 128 - statuses[-1]


async def _ask(context: ToolContext, limit: Limit, argv: Sequence[str], environment: dict[str, str]) -> str:
    answer = _Output(1_000_000, None, limit)
    await _run([argv], context, environment, answer)
    text = answer.text()
    if answer.missing:
        from ._restricted import refused

        raise refused(f"git {argv[1]} has more to say than can be looked through")
    return text


bash = bash_tool()
