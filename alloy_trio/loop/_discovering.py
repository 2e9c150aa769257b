"""The option ``discover_context``: what a project tells its agents, made part of what a run is told."""

from __future__ import annotations

import os
from pathlib import Path

import attrs
import trio

from alloy_trio.values import ConfigurationError

from ._options import Options


async def with_context(options: Options) -> Options:
    """The options with the project's context in the system prompt, and its skills as a tool.

    Raises:
        ConfigurationError: there are skills, and another tool has the name of theirs.

    *Cancellation*: nothing is left.
    """
    options = attrs.evolve(options, discover_context=False)
    if not _may_be_found(options.working_directory):
        await trio.lowlevel.checkpoint()
        return options
    # Most directories have nothing of the kind, and need not pay for what reads it.
    from alloy_trio.context import discover, skill_tool, system_prompt

    found = await trio.to_thread.run_sync(discover, options.working_directory)
    tools = options.tools
    if found.skills:
        offered = skill_tool(found.skills)
        if any(tool.name == offered.name for tool in tools):
            raise ConfigurationError(
                f"discover_context=True found skills, which are read with a tool {offered.name!r}, and a tool of yours "
                "has this name; rename it with @tool(name=…)"
            )
        tools = (*tools, offered)
    prompt = system_prompt(options.system_prompt, found.files, found.skills)
    return attrs.evolve(options, system_prompt=prompt, tools=tools)


def _may_be_found(directory: Path) -> bool:
    """Whether one of the places, or a directory on the way to the git root, has anything to look into."""
    try:
        here = Path(os.path.realpath(directory))
    except FileNotFoundError:
        return False  # this directory was removed; who is about to work in it says so
    home = Path(os.path.expanduser("~"))
    return any(
        os.path.lexists(os.path.join(place, name))
        for place in (home, here, *here.parents)
        for name in ("AGENTS.md", ".alloy")
    )
