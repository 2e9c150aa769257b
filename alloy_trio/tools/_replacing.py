"""A new file in the place of an old one, in one step.

What is written goes to a new file beside the old one, which then takes its place: a reader sees the old text or the
new, a full disk or a kill harms neither, another name of the same file keeps its bytes. Everything happens
below a directory that is open, by bare names.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from alloy_trio.values import ToolError

from ._threads import stop_if_cancelled
from ._walk import flags

_CHUNK = 1 << 20
_NEW = flags("O_WRONLY", "O_CREAT", "O_EXCL", "O_CLOEXEC", "O_NOFOLLOW")

# Beside what the user set: who may read it. A security label belongs to the place, rights of a program to its bytes.
_ACCESS_LIST = "system.posix_acl_access"


def status_of(name: bytes, directory: int, path: str) -> os.stat_result | None:
    """The file that would be replaced; None if there is none.

    Raises:
        ToolError: it is none that may be replaced.
    """
    try:
        old = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(old.st_mode):
        kind = "a directory" if stat.S_ISDIR(old.st_mode) else "no regular file"
        raise ToolError(f"{path} is {kind}, so it is left as it is")
    if not _may_be_written(name, directory, old):
        why = f"mode {stat.S_IMODE(old.st_mode):04o}"
        if os.fstatvfs(directory).f_flag & os.ST_RDONLY:
            why = "its disk is read-only"
        elif old.st_uid != os.geteuid():
            why += ", and somebody else's"
        raise ToolError(f"{path} is protected against writing ({why}), so it is left as it is")
    return old


def replace(
    name: bytes, directory: int, content: bytes, old: os.stat_result | None, path: str
) -> os.stat_result:
    """Put a new file in the place of the old one, with the old one's mode, owner and access list.

    A cancel or an error leaves the old file as it was, and nothing beside it.

    Args:
        name: of the file.
        directory: descriptor of the directory that it is in.
        content: of the new file.
        old: what :func:`status_of` told; if it is another one by now, nothing is replaced.
        path: as the model wrote it.

    Returns:
        The new file's status.

    Raises:
        ToolError: it was changed meanwhile.
        OSError: it cannot be written.
    """
    # Nobody else reads the new text before the old file's mode says so.
    with taking_the_place_of(name, directory, mode=0o666 if old is None else 0o600) as number:
        for start in range(0, len(content), _CHUNK):
            stop_if_cancelled()
            write_all(number, content[start : start + _CHUNK])
        if old is not None:
            _take_over(name, directory, number, old)
        # Without it, a crash of the machine may leave the new name with no bytes in it.
        os.fsync(number)
        status = os.fstat(number)
        _check_same(status_of(name, directory, path), old, path)
        stop_if_cancelled()
    return status


@contextmanager
def taking_the_place_of(name: bytes, directory: int, *, mode: int) -> Iterator[int]:
    """A new file, which takes the place of another one when the block ends; after an exception there is none.

    Args:
        name: of the file, which need not be there.
        directory: descriptor of the directory that it is in.
        mode: of the new file, as far as the umask leaves it.

    Yields:
        The new file's descriptor.
    """
    temporary = f".{os.urandom(8).hex()}.tmp".encode()
    number = os.open(temporary, _NEW, mode, dir_fd=directory)
    try:
        try:
            yield number
        finally:
            os.close(number)
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
    except BaseException:
        os.unlink(temporary, dir_fd=directory)
        raise


def write_all(number: int, content: bytes) -> None:
    """Write to a descriptor, however little it takes at once."""
    left = memoryview(content)
    while left:
        left = left[os.write(number, left) :]


def _check_same(now: os.stat_result | None, old: os.stat_result | None, path: str) -> None:
    def stamp(status: os.stat_result | None) -> tuple[int, ...] | None:
        return None if status is None else (status.st_ino, status.st_size, status.st_mtime_ns)

    if stamp(now) != stamp(old):
        raise ToolError(f"{path} is being changed by somebody else, so it is left as it is; read it again")


def _may_be_written(name: bytes, directory: int, old: os.stat_result) -> bool:
    """Whether the file itself may be written: to replace it, its directory's rights would be enough."""
    # Root may write anything; that somebody took all rights to write away still means something.
    if not old.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH):
        return False
    return os.access(name, os.W_OK, dir_fd=directory, effective_ids=os.access in os.supports_effective_ids)


def _take_over(name: bytes, directory: int, number: int, old: os.stat_result) -> None:
    new = os.fstat(number)
    if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid):
        try:
            os.fchown(number, old.st_uid, old.st_gid)
        except PermissionError:
            # Only root may give files away; somebody else's file that we may replace becomes ours.
            pass
    if hasattr(os, "listxattr"):
        _take_over_attributes(name, directory, number, old)
    # As the kernel does at a write: new bytes do not get the rights of the program that the old ones were.
    os.fchmod(number, stat.S_IMODE(old.st_mode) & ~(stat.S_ISUID | stat.S_ISGID))


def _take_over_attributes(name: bytes, directory: int, number: int, old: os.stat_result) -> None:
    try:
        source = os.open(name, flags("O_RDONLY", "O_NONBLOCK", "O_NOFOLLOW", "O_CLOEXEC"), dir_fd=directory)
    except PermissionError:
        return  # it may be written but not read; its attributes are part of that
    try:
        status = os.fstat(source)
        if (status.st_dev, status.st_ino) != (old.st_dev, old.st_ino):
            return  # swapped; noticed before the new file takes its place
        for attribute in os.listxattr(source):
            if attribute.startswith("user.") or attribute == _ACCESS_LIST:
                os.setxattr(number, attribute, os.getxattr(source, attribute))
    except OSError as exc:
        if exc.errno != errno.ENOTSUP:
            raise  # a file whose access list is lost might be open to more people than before
    finally:
        os.close(source)
