"""An environment in which git runs nothing that a repository names.

A repository's own ``.git/config`` can name programs that ``git status``, ``log`` and ``diff`` run: a file
system monitor, filters, diff drivers, signature checkers, hooks, remotes of a partial clone. Every one is
overridden here; the filters have names of the repository's choosing, so those are read first (reading runs
nothing).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import trio

from alloy_trio.values import ToolError

from ._arguments import executable
from ._paths import check
from ._restricted import refused
from ._tool import ToolContext

Ask = Callable[[Sequence[str], dict[str, str]], Awaitable[str]]
"""Runs an argument list in an environment and returns its output."""

_SAFE = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.pager": "cat",
    "core.sshCommand": "false",
    "core.gitProxy": "false",
    "core.askPass": "false",
    "core.attributesFile": "/dev/null",
    "credential.helper": "",
    # git diff heeds no GIT_OPTIONAL_LOCKS: it writes what it found into the index, unless told so.
    "diff.autoRefreshIndex": "false",
    "diff.external": "",
    "diff.ignoreSubmodules": "all",
    "diff.submodule": "short",
    "diff.orderFile": "/dev/null",
    "status.submoduleSummary": "false",
    "submodule.recurse": "false",
    "format.pretty": "medium",
    "log.showSignature": "false",
    "log.mailmap": "false",
    "gpg.program": "false",
    "gpg.openpgp.program": "false",
    "gpg.x509.program": "false",
    "gpg.ssh.program": "false",
    "protocol.allow": "never",
}


def base_environment(context: ToolContext) -> dict[str, str]:
    """What the restricted programs see: nothing of ours but the language."""
    return {
        "PATH": "/usr/bin:/bin",
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "TERM": "dumb",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "false",
        "GIT_PAGER": "cat",
        "GIT_ALLOW_PROTOCOL": "none",
        "GIT_NO_LAZY_FETCH": "1",
        # Looking for a repository stops below these, so one around an allowed directory is not used.
        "GIT_CEILING_DIRECTORIES": ":".join(str(root.parent) for root in context.allowed_paths),
        **_as_variables(_SAFE),
    }


def _as_variables(config: dict[str, str]) -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(config))}
    for index, (key, value) in enumerate(config.items()):
        variables[f"GIT_CONFIG_KEY_{index}"] = key
        variables[f"GIT_CONFIG_VALUE_{index}"] = value
    return variables


async def git_environment(context: ToolContext, ask: Ask) -> dict[str, str]:
    """The environment for the repository of the working directory.

    Raises:
        ToolError: the repository, or its work tree, lies outside of the allowed directories.
    """
    environment = base_environment(context)
    git = executable("git")
    for question in ("--absolute-git-dir", "--git-common-dir", "--show-toplevel"):
        argv = [git, "rev-parse", "--path-format=absolute", question]
        answer = (await ask(argv, environment)).removesuffix("\n")
        if answer.startswith("fatal:"):
            continue  # no repository, or one without files: git will say so, or need no more checks
        if not answer.startswith("/") or "\n" in answer:
            # A warning, an odd name, or a git before 2.31, which would not heed the environment either.
            raise refused(f"git does not say clearly where its repository is: {answer[:200]!r}")
        place = Path(await trio.to_thread.run_sync(os.path.realpath, context.working_directory / answer))
        try:
            check(place, str(place), context)
        except ToolError as exc:
            raise refused(f"the git repository is not inside: {exc}") from exc
    names = (await ask([git, "config", "--list", "--name-only", "-z"], environment)).split("\0")
    filters = {
        name.rpartition(".")[0] for name in names if name.startswith("filter.") and name.count(".") > 1
    }
    off: dict[str, str] = {}
    for name in sorted(filters):
        off |= {f"{name}.clean": "", f"{name}.smudge": "", f"{name}.process": "", f"{name}.required": "false"}
    return {**environment, **_as_variables({**_SAFE, **off})}
