"""Git in a repository that nobody has to trust: it runs nothing that the repository names.

A repository's own ``.git/config`` can name programs that ``git status``, ``log`` and ``diff`` run: a file
system monitor, filters, diff drivers, signature checkers, hooks, remotes of a partial clone. One that names any is
refused; listing its configuration runs nothing. What does not depend on names of the repository's choosing is
overridden besides, and so is what would only read or write somewhere else.

What git reads of its own directory is read whatever it is, and parts of it are shown: so no link in there may
lead out of the allowed directories, nor may the directory itself.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Sequence

import trio

from alloy_trio.values import ToolError

from ._arguments import executable
from ._gitconfig import entries, names_program
from ._paths import resolve
from ._restricted import refused
from ._threads import stop_if_cancelled
from ._tool import ToolContext

Ask = Callable[[Sequence[str], dict[str, str]], Awaitable[str]]
"""Runs an argument list in an environment and returns its output as it came, errors among it. Bytes that are no text
come as ``surrogateescape`` tells, so that a path names the same file as before."""

MAX_ENTRIES = 200_000
"""Files and directories of a repository's own directory that are looked at; a microsecond each. Git itself packs its
objects long before."""

MAX_ALTERNATES = 100_000
"""Characters of the file that names other repositories whose objects are used; arbitrary."""

_UNREAD = frozenset(("hooks", "modules", "lfs", "annex", "svn"))
"""Directories beside HEAD in which status, log and diff read nothing, as they are run here."""

_SAFE = {
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.hooksPath": "/dev/null",
    "core.pager": "cat",
    "core.editor": "false",
    "core.sshCommand": "false",
    "core.gitProxy": "false",
    "core.askPass": "false",
    "core.alternateRefsCommand": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "credential.helper": "",
    "color.ui": "false",
    # git diff heeds no GIT_OPTIONAL_LOCKS: it writes what it found into the index, unless told so.
    "diff.autoRefreshIndex": "false",
    "diff.external": "",
    "diff.ignoreSubmodules": "all",
    "diff.submodule": "short",
    "diff.orderFile": "/dev/null",
    "status.submoduleSummary": "false",
    "submodule.recurse": "false",
    "format.pretty": "medium",
    # "remerge" would merge, with drivers, and write objects.
    "log.diffMerges": "separate",
    "log.showSignature": "false",
    "log.mailmap": "false",
    "mailmap.file": "/dev/null",
    "mailmap.blob": "",
    "gpg.program": "false",
    "gpg.openpgp.program": "false",
    "gpg.x509.program": "false",
    "gpg.ssh.program": "false",
    "protocol.allow": "never",
    # A directory among the files that looks like a repository is none, unless it is named .git.
    "safe.bareRepository": "explicit",
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
        # Nothing is fetched, also no object that a partial clone lacks; git before 2.44 knows the first only.
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_NO_LAZY_FETCH": "1",
        # Looking for a repository stops below these, so one around an allowed directory is not used.
        "GIT_CEILING_DIRECTORIES": ":".join(str(root.parent) for root in context.allowed_paths),
        # So that from the working directory the same one is found as from a directory further up.
        "GIT_DISCOVERY_ACROSS_FILESYSTEM": "1",
        **_as_variables(_SAFE),
    }


def _as_variables(config: dict[str, str]) -> dict[str, str]:
    variables = {"GIT_CONFIG_COUNT": str(len(config))}
    for index, (key, value) in enumerate(config.items()):
        variables[f"GIT_CONFIG_KEY_{index}"] = key
        variables[f"GIT_CONFIG_VALUE_{index}"] = value
    return variables


async def git_environment(context: ToolContext, ask: Ask) -> dict[str, str]:
    """The environment for the repository of the working directory, which has been found harmless.

    Raises:
        ToolError: its configuration names a program, or it, its work tree or a part of it lies outside of the
            allowed directories.
    """
    environment = base_environment(context)
    git = executable("git")
    places: list[str] = []
    for question in ("--absolute-git-dir", "--git-common-dir", "--show-toplevel"):
        argv = [git, "rev-parse", "--path-format=absolute", question]
        answer = (await ask(argv, environment)).removesuffix("\n")
        if answer.startswith("fatal:"):
            continue  # no repository, or one without files: git will say so, or need no more checks
        if not answer.startswith("/") or "\n" in answer:
            # A warning, an odd name, or a git before 2.31, which would not heed the environment either.
            raise refused(f"git does not say clearly where its repository is: {answer[:200]!r}")
        places.append(answer)
    await trio.to_thread.run_sync(_check_places, places, context)
    listing = await ask([git, "config", "--list", "--show-scope", "-z"], environment)
    try:
        for scope, key, value in entries(listing):
            if scope != "command" and names_program(key, value):
                raise refused(
                    "the configuration of the git repository names a program, which git could be made to run: "
                    f"{key.encode('utf-8', 'replace').decode()}. "
                    "It has to be removed by a person (git config --unset), or the files read without git"
                )
    except ValueError:
        raise refused(
            f"git does not say clearly how its repository is configured: {listing[:200]!r}"
        ) from None
    return environment


def _check_places(places: list[str], context: ToolContext) -> None:
    for place in places:
        _inside(place, place, context)
    # The work tree comes last, and is walked by nobody.
    waiting = [os.path.realpath(place) for place in places[:2]]
    tops = frozenset(waiting)
    stores = {os.path.realpath(os.path.join(top, "objects")) for top in tops}
    seen: set[str] = set()
    count = 0
    while waiting:
        directory = waiting.pop()
        if directory in seen:
            continue
        seen.add(directory)
        stop_if_cancelled()
        if directory in stores:
            others = _alternates(directory, context)
            stores.update(others)
            waiting += others
        try:
            with os.scandir(directory) as found:
                for entry in found:
                    count += 1
                    if count > MAX_ENTRIES:
                        raise refused(
                            f"the git repository has more than {MAX_ENTRIES} files of its own; git gc packs them"
                        )
                    if directory in tops and entry.name in _UNREAD:
                        continue
                    if entry.is_symlink():
                        _inside(entry.path, entry.path, context)
                    if entry.is_dir():
                        waiting.append(os.path.realpath(entry.path))
                    elif not entry.is_file() and _would_block(entry.path):
                        raise refused(f"{entry.path} is a device or pipe")
        except OSError:
            continue  # gone, or as little readable for git


def _alternates(objects: str, context: ToolContext) -> list[str]:
    """Other directories of objects that a repository uses as its own."""
    name = os.path.join(objects, "info", "alternates")
    if not os.path.isfile(name):
        return []
    with open(name, encoding="utf-8", errors="surrogateescape") as file:
        text = file.read(MAX_ALTERNATES + 1)
    if len(text) > MAX_ALTERNATES:
        raise refused(f"{name} has more than {MAX_ALTERNATES} characters")
    lines = text.splitlines()
    paths = [line for line in lines if line and not line.startswith("#")]
    if any(path.startswith('"') for path in paths):
        raise refused("the git repository uses objects of a directory with an odd name")
    return [
        _inside(os.path.join(objects, path), f"{path}, of which the git repository uses objects,", context)
        for path in paths
    ]


def _inside(path: str, name: str, context: ToolContext) -> str:
    try:
        return str(resolve(path, context, for_write=False))
    except ToolError as exc:
        raise refused(f"the git repository is not inside: {name}: {exc}") from exc


def _would_block(path: str) -> bool:
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
