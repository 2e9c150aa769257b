"""What the sandbox keeps of git repositories in a writable directory.

A repository's own configuration names programs, which git will run outside of the sandbox, for whoever uses it next.
So each ``.git`` is read-only as a whole. To keep only ``config`` and ``hooks`` would not be enough: a
``.git/commondir``, which git looks for first, names another configuration. And it is a mount, which cannot be moved
aside; nor can the directories above it, for the same reason.

A ``.git`` that is made later is not kept, nor one that is too far down to be found.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator

from alloy_trio.values import ToolError

MAX_LEVELS = 3
"""Directories in one another in which repositories are looked for: submodules, or projects beside each other."""

MAX_DIRECTORIES = 1_000
"""Directories that are looked into, the nearest first; each takes up to 50 µs, at each call."""


def kept_in(root: str, writable: Collection[str]) -> dict[str, str]:
    """The mounts that keep repositories.

    Args:
        root: a writable directory, resolved.
        writable: all of them; a ``.git`` that is among them was named as writable.

    Returns:
        Options of bubblewrap, by path.

    Raises:
        ToolError: the ``.git`` of the directory itself is a link, which cannot be kept.
    """
    if os.path.islink(f"{root}/.git") and os.path.realpath(f"{root}/.git") not in writable:
        raise ToolError(
            f"Nothing was run: {root}/.git is a symbolic link, so the sandbox cannot keep it as it is; make it a "
            "directory, or a file as git worktree does."
        )
    mounts: dict[str, str] = {}
    for place in _with_repositories(root):
        link = f"{place}/.git"
        if link in writable:
            continue
        mounts[link] = "--ro-bind"
        while place != root:
            mounts.setdefault(place, "--bind")
            place = os.path.dirname(place)
    if not mounts and os.path.isfile(f"{root}/HEAD"):
        # It is a repository itself: a bare one, or a .git that was named as writable.
        names = ("config", "config.worktree", "hooks", "commondir")
        mounts = {f"{root}/{name}": "--ro-bind" for name in names if os.path.exists(f"{root}/{name}")}
    return mounts


def repository_of(base: str) -> tuple[str, ...]:
    """The repository that a linked worktree belongs to.

    ``.git`` of one is a file that names a directory in the repository, and a file there names that ``.git``. Only
    both together count: the first alone could have been written to uncover anything.
    """
    link = os.path.join(base, ".git")
    try:
        place = os.path.join(base, _line(link).removeprefix("gitdir:").strip())
        back = os.path.realpath(os.path.join(place, _line(f"{place}/gitdir")))
        common = os.path.realpath(os.path.join(place, _line(f"{place}/commondir")))
    except (OSError, ValueError):
        return ()  # no linked worktree
    return (common,) if back == os.path.realpath(link) else ()


def _with_repositories(root: str) -> Iterator[str]:
    """The directories that have a ``.git``: the root itself, and those below that are near."""
    level = [root]
    seen = 0
    for _ in range(MAX_LEVELS + 1):
        below: list[str] = []
        for place in level:
            if seen == MAX_DIRECTORIES:
                return
            seen += 1
            try:
                with os.scandir(place) as entries:
                    for entry in entries:
                        if entry.name == ".git":
                            if not entry.is_symlink():
                                yield place
                        elif entry.is_dir(follow_symlinks=False):
                            below.append(entry.path)
            except OSError:
                continue  # it cannot be entered, so nobody will use a repository in it
        level = below


def _line(path: str) -> str:
    """The text of a file of one line. Nothing else is opened: a pipe would block, a large one fill the memory."""
    number = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(number).st_mode):
            raise ValueError(f"{path} is no regular file")
        return os.read(number, 8192).decode(errors="surrogateescape").strip()
    finally:
        os.close(number)
