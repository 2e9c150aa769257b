"""The memory store on disk: one directory, and nothing outside of it.

Every file is reached from the store's directory step by step, by directory descriptors and without following a
link, so that no path and no change of the tree at the same time leads out. Files are replaced in one step. Who
changes something holds a lock on the scope: of the threads and processes that use the store, one at a time.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

import trio

from alloy_trio.abc import MemoryStore
from alloy_trio.values import ConfigurationError, ToolError

from ._memory_paths import MAX_NAMES, inside, outside
from ._replacing import taking_the_place_of, write_all
from ._threads import stop_if_cancelled, tool_threads
from ._walk import flags

MAX_READ_BYTES = 1_000_000
"""Of one file. The memory tool writes no such file; somebody else may have put one there."""

MAX_ENTRIES = 20_000
"""Names in the store that a listing looks at; whoever points it at a whole disk is told so."""

LOCK_SECONDS = 5.0
"""How long a change waits for others. A change takes milliseconds, so one that waits longer meets a stopped one."""

_LOCK = ".lock"
"""Begins with a dot, so no path of the memory tool names it."""

_POLL_SECONDS = 0.005

_DIRECTORY = flags("O_RDONLY", "O_DIRECTORY", "O_CLOEXEC")
_NOT_A_LINK = flags("O_NOFOLLOW")
_READ = flags("O_RDONLY", "O_NONBLOCK", "O_CLOEXEC", "O_NOFOLLOW")
_LOCKED = flags("O_RDWR", "O_CREAT", "O_CLOEXEC", "O_NOFOLLOW")

T = TypeVar("T")


class DirectoryStore(MemoryStore):
    """Keeps memory files in a directory, where they outlast the program.

    A scope is a directory in it, and a file of the memory a file in that. It is made when something is first
    written, for its owner alone. Links in it are not followed, and what is no regular file is not opened.

    Args:
        path: the directory; relative to where the program is now.

    Raises:
        ConfigurationError: the path is a file, or the system cannot hold a path inside of a directory (Windows).
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if os.open not in os.supports_dir_fd or not _NOT_A_LINK:
            raise ConfigurationError(
                "DirectoryStore needs a system that opens files from a directory descriptor, and this one does not; "
                "use InMemoryStore or a MemoryStore of your own"
            )
        self.path = os.path.abspath(path)
        if os.path.lexists(self.path) and not os.path.isdir(self.path):
            raise ConfigurationError(f"{self.path} is no directory; give the path of one, or of none yet")

    async def list(self, scope: str) -> Mapping[str, int]:
        return await _in_thread(partial(self._list, scope))

    async def read(self, scope: str, path: str) -> str | None:
        return await _in_thread(partial(self._read, scope, path))

    async def write(self, scope: str, path: str, text: str, *, expected: str | None) -> bool:
        return await _in_thread(partial(self._write, scope, path, text, expected))

    async def delete(self, scope: str, path: str) -> bool:
        return await _in_thread(partial(self._delete, scope, path))

    async def rename(self, scope: str, old: str, new: str) -> bool:
        return await _in_thread(partial(self._rename, scope, old, new))

    def _list(self, scope: str) -> dict[str, int]:
        with ExitStack() as opened:
            home = self._home(scope, opened)
            return {} if home is None else dict(_walked(home, "", 1, iter(range(MAX_ENTRIES))))

    def _read(self, scope: str, path: str) -> str | None:
        with ExitStack() as opened:
            home = self._home(scope, opened)
            parent = None if home is None else _parent(home, path, opened)
            return None if parent is None else _text(parent, path)

    def _write(self, scope: str, path: str, text: str, expected: str | None) -> bool:
        with self._locked(scope) as (home, opened):
            parent = _parent(home, path, opened, make=True)
            assert parent is not None
            if _text(parent, path) != expected:
                _prune(home, path)
                return False
            try:
                name = path.rpartition("/")[2].encode()
                with taking_the_place_of(name, parent, mode=0o600) as number:
                    write_all(number, text.encode())
                    os.fsync(number)
            except OSError:
                _prune(home, path)
                raise
            return True

    def _delete(self, scope: str, path: str) -> bool:
        with self._locked(scope) as (home, opened):
            parent = _parent(home, path, opened)
            if parent is None or not _is_file(parent, path):
                return False
            os.unlink(path.rpartition("/")[2], dir_fd=parent)
            _prune(home, path)
            return True

    def _rename(self, scope: str, old: str, new: str) -> bool:
        with self._locked(scope) as (home, opened):
            source = _parent(home, old, opened)
            if source is None or not _is_file(source, old):
                return False
            target = _parent(home, new, opened, make=True)
            assert target is not None
            if _status(target, new) is not None:
                return False
            os.rename(old.rpartition("/")[2], new.rpartition("/")[2], src_dir_fd=source, dst_dir_fd=target)
            _prune(home, old)
            return True

    def _home(self, scope: str, opened: ExitStack, *, make: bool = False) -> int | None:
        """The directory of a scope, opened; None if it is not there."""
        if make:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
        try:
            # The store's own directory may be a link: its owner said so, and no model.
            root = os.open(self.path, _DIRECTORY)
        except FileNotFoundError:
            return None
        opened.callback(os.close, root)
        return _step(root, _directory_name(scope), opened, make=make)

    @contextmanager
    def _locked(self, scope: str) -> Iterator[tuple[int, ExitStack]]:
        """The directory of a scope, made if it is not there, with nobody else changing it."""
        import fcntl

        with ExitStack() as opened:
            home = self._home(scope, opened, make=True)
            assert home is not None
            lock = os.open(_LOCK, _LOCKED, 0o600, dir_fd=home)
            opened.callback(os.close, lock)  # which gives the lock back
            end = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise ToolError(
                            f"the memory is in use by somebody else for more than {LOCK_SECONDS:g} s; try again later"
                        ) from None
                    stop_if_cancelled()
                    time.sleep(_POLL_SECONDS)
            yield home, opened


async def _in_thread(work: Callable[[], T]) -> T:
    """*Cancellation*: what has begun is done; one that waits for the lock gives up."""
    try:
        return await trio.to_thread.run_sync(work, limiter=tool_threads())
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENOTDIR):
            raise ToolError("the path leads over a link or a file, and is not followed") from exc
        raise ToolError(f"the memory cannot be used: {exc.strerror or exc}") from exc


def _directory_name(scope: str) -> str:
    """A name for a scope's directory: its own where that is harmless, and the same on every file system."""
    if re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", scope):
        return scope
    return "scope." + hashlib.sha256(scope.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _step(directory: int, name: str, opened: ExitStack, *, make: bool = False) -> int | None:
    if make:
        try:
            os.mkdir(name, 0o700, dir_fd=directory)
        except FileExistsError:
            pass
    try:
        number = os.open(name, _DIRECTORY | _NOT_A_LINK, dir_fd=directory)
    except FileNotFoundError:
        if make:
            raise  # somebody who holds no lock took it away at once
        return None
    except NotADirectoryError:
        if not make and stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
            return None  # nothing is inside of a file
        raise
    opened.callback(os.close, number)
    return number


def _parent(home: int, path: str, opened: ExitStack, *, make: bool = False) -> int | None:
    """The directory that a file is in, opened; None if it is not there."""
    if not path or inside(outside(path)) != path:  # whoever calls: no path but a harmless one gets further
        raise ToolError(f"{path!r} is no path of a file; write it like notes/today.md")
    here: int | None = home
    for name in path.split("/")[:-1]:
        here = _step(here, name, opened, make=make) if here is not None else None
    return here


def _is_file(parent: int, path: str) -> bool:
    status = _status(parent, path)
    return status is not None and _is_regular(status, path)


def _status(parent: int, path: str) -> os.stat_result | None:
    try:
        return os.stat(path.rpartition("/")[2], dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _is_regular(status: os.stat_result, path: str) -> bool:
    """Whether it is a file, and not a directory.

    Raises:
        ToolError: it is neither, or a file that has another name somewhere.
    """
    if stat.S_ISDIR(status.st_mode):
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise ToolError(f"{outside(path)} is a link or no regular file, and is not opened")
    return True


def _text(parent: int, path: str) -> str | None:
    try:
        # O_NONBLOCK: opening a pipe would wait for its writer before we could see that it is one.
        number = os.open(path.rpartition("/")[2], _READ, dir_fd=parent)
    except FileNotFoundError:
        return None
    try:
        if not _is_regular(os.fstat(number), path):
            return None
        with open(number, "rb", closefd=False) as file:
            content = file.read(MAX_READ_BYTES + 1)
    finally:
        os.close(number)
    if len(content) > MAX_READ_BYTES:
        raise ToolError(f"{outside(path)} has more than {MAX_READ_BYTES} bytes, too many for a memory")
    try:
        return content.decode()
    except UnicodeDecodeError as exc:
        raise ToolError(f"{outside(path)} is not UTF-8 text (byte {exc.start})") from None


def _prune(home: int, path: str) -> None:
    """Remove the directories of a path that are empty now: a directory is there for its files."""
    names = path.split("/")[:-1]
    while names:
        with ExitStack() as opened:
            parent = _parent(home, "/".join(names), opened)
            if parent is None:
                return
            try:
                os.rmdir(names[-1], dir_fd=parent)
            except OSError:
                return  # not empty: the others above it are not either
        names.pop()


def _walked(directory: int, prefix: str, depth: int, left: Iterator[int]) -> Iterator[tuple[str, int]]:
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if next(left, None) is None:
            raise ToolError(
                f"the memory's directory holds more than {MAX_ENTRIES} names, too many to look at"
            )
        path = prefix + entry.name
        try:
            inside(outside(path))
            status = entry.stat(follow_symlinks=False)
        except (ToolError, FileNotFoundError):
            continue  # nothing that this store wrote, or gone in the meantime
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            yield path, status.st_size
        elif stat.S_ISDIR(status.st_mode) and depth < MAX_NAMES:
            with ExitStack() as opened:
                inner = _step(directory, entry.name, opened)
                if inner is not None:
                    yield from _walked(inner, f"{path}/", depth + 1, left)
