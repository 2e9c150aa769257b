"""Where a project keeps what its agents should know, and the safe reading of files there.

There are three places, from the farthest to the nearest: the home directory, the root of the git repository, the
working directory. What is in them goes to a model: a link that leads out of its place is not followed, or a
repository could have a private file sent to the provider.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import attrs

MAX_FILE_BYTES = 64 * 1024
"""Bytes that are read of one file; some 16,000 tokens, far more than a model keeps to."""

_logger = logging.getLogger("alloy_trio.context")


@attrs.frozen
class Place:
    """A directory in which to look, resolved.

    Args:
        name: ``"home"``, ``"repository"`` or ``"directory"``.
        path: where it is.
    """

    name: str
    path: Path


def places(directory: Path, home: Path | None = None) -> tuple[Place, ...]:
    """The places for a working directory, the nearest last, each directory once.

    Args:
        directory: the working directory.
        home: the user's home directory; None for the one that the environment names.
    """
    here = Path(os.path.realpath(directory))
    if home is None:
        try:
            home = Path.home()
        except RuntimeError:
            home = None  # a user without one
    found: list[Place] = []
    if home is not None:
        found.append(Place("home", Path(os.path.realpath(home))))
    if (root := git_root(here)) is not None:
        found.append(Place("repository", root))
    found.append(Place("directory", here))
    nearest = {place.path: place for place in found}
    return tuple(place for place in found if nearest[place.path] is place)


def git_root(directory: Path) -> Path | None:
    """The nearest directory upwards that holds ``.git``; None if there is none. No git is run."""
    for candidate in (directory, *directory.parents):
        if os.path.lexists(candidate / ".git"):
            return candidate
    return None


def entries(directory: Path, place: Place) -> Iterator[Path]:
    """What a directory holds, by name; nothing if it is none, or leads out of its place."""
    try:
        if _inside(directory, place):
            yield from sorted(directory.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        _logger.warning("%s was left out: %s", directory, error.strerror or error)


def read(path: Path, place: Place) -> str | None:
    """The text of a file, as far as :data:`MAX_FILE_BYTES`; None if there is none that may be read.

    What is no UTF-8 is replaced. Whatever is there and is left out is told in a warning.
    """
    try:
        if not _inside(path, place):
            if os.path.lexists(path):
                _logger.warning("%s was left out: it leads out of %s", path, place.path)
            return None
        # Not to wait for the writer of a pipe.
        number = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with open(number, "rb") as file:
            if not stat.S_ISREG(os.fstat(number).st_mode):
                _logger.warning("%s was left out: it is no regular file", path)
                return None
            raw = file.read(MAX_FILE_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        _logger.warning("%s was left out: %s", path, error.strerror or error)
        return None
    text = raw[:MAX_FILE_BYTES].decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\0", "")
    if len(raw) > MAX_FILE_BYTES:
        _logger.warning("%s was cut after %d bytes", path, MAX_FILE_BYTES)
        text += f"\n[cut after {MAX_FILE_BYTES} bytes]"
    return text


def _inside(path: Path, place: Place) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(place.path)
