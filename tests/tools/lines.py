"""Command lines of the restricted bash tool run from their plans, with nothing between: no keeper, no output limits.

What is judged here is which argument lists a line becomes, and in which environment they run.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

import attrs
import trio

from alloy_trio.tools import ToolContext
from alloy_trio.tools._arguments import plan
from alloy_trio.tools._git import base_environment, git_environment

Pipelines = tuple[tuple[tuple[str, ...], ...], ...]


@attrs.frozen
class Outcome:
    """What a line said, errors apart, and the exit status of what ran last."""

    output: bytes
    errors: bytes
    status: int

    @property
    def text(self) -> str:
        return self.output.decode(errors="replace")


def perform(pipelines: Pipelines, context: ToolContext, environment: dict[str, str] | None = None) -> Outcome:
    """Run argument lists as the tool does: a pipeline after the one before succeeded."""
    output = errors = b""
    status = 0
    for pipeline in pipelines:
        said = b""
        for number, argv in enumerate(pipeline):
            done = subprocess.run(
                argv,
                cwd=context.working_directory,
                env=environment or base_environment(context),
                input=said if number else b"",
                capture_output=True,
                timeout=60,
                check=False,
            )
            said, status = done.stdout, done.returncode
            errors += done.stderr
        output += said
        if status:
            break
    return Outcome(output, errors, status)


async def run_line(line: str, context: ToolContext) -> Outcome:
    """Plan a line and run it; a repository is looked at first, as the tool does.

    Raises:
        ToolError: it is refused, and nothing of it ran.
    """

    async def answer(argv: Sequence[str], environment: dict[str, str]) -> str:
        done = await trio.run_process(
            argv,
            cwd=context.working_directory,
            env=environment,
            capture_stdout=True,
            stderr=subprocess.STDOUT,
            check=False,
        )
        return done.stdout.decode(errors="surrogateescape")

    pipelines = await trio.to_thread.run_sync(plan, line, context)
    environment = base_environment(context)
    if any(argv[0].endswith("/git") for pipeline in pipelines for argv in pipeline):
        environment = await git_environment(context, answer)
    return await trio.to_thread.run_sync(perform, pipelines, context, environment)
