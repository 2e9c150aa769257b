"""What belongs to git: other programs run what is written there (hooks, filters, the programs of a configuration)."""

from __future__ import annotations

import os
from collections.abc import Sequence

# What a directory holds that git takes for a repository, whatever its name is.
_REPOSITORY = (b"HEAD", b"objects", b"refs")


def is_dot_git(name: bytes) -> bool:
    """Whether some file system would take the name for ``.git``: without regard to case, to what cannot be seen
    (HFS+) or to dots and spaces at the end (FAT), or by the short name that goes with it.
    """
    text = name.decode("utf-8", "replace")
    if not text.isascii():
        import unicodedata

        text = "".join(char for char in text if unicodedata.category(char) != "Cf")
    return text.rstrip(" .").lower() in (".git", "git~1")


def inside_git(directories: Sequence[int], names: Sequence[bytes]) -> bool:
    """Whether a place belongs to a repository by what it is: reached under another name than ``.git``.

    Args:
        directories: descriptors of the directories from ``/`` to the place.
        names: what is below the last of them.
    """
    here = [os.fstat(number) for number in directories]
    seen = {(status.st_dev, status.st_ino) for status in here}
    if names:
        leaf = _status(names[0], directories[-1], follow=False)
        if leaf is not None:
            seen.add((leaf.st_dev, leaf.st_ino))
    for number in directories:
        # Followed, if it is a link: its target is the repository then.
        status = _status(b".git", number, follow=True)
        if status is not None and (status.st_dev, status.st_ino) in seen:
            return True
        if all(_status(name, number, follow=False) is not None for name in _REPOSITORY):
            return True
    return False


def _status(name: bytes, directory: int, *, follow: bool) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory, follow_symlinks=follow)
    except OSError:
        return None  # missing, or a link that leads nowhere: no repository
