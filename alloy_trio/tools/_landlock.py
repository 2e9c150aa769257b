"""Landlock: a process gives up, for itself and for all that it starts, what it will not need.

Linux (5.13 and later) lets any process do so. It needs no rights, cannot be undone, and holds beside whatever
else holds: a second wall behind the grammar of restricted commands and behind the mounts of the sandbox.

Alone on purpose: it imports nothing of this package, because it is loaded by its path where the package is not:
in the keeper of a call, between fork and exec, and as a program inside of the sandbox::

    python -I -S _landlock.py network / -- /work /tmp -- /bin/bash -c …

The numbers are those of the kernel's own header, ``linux/landlock.h``; they are the same on all processors.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
import sys
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ONLY_VERSION = 1
_PATH_BENEATH = 1
_NO_NEW_PRIVILEGES = 38

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEVICE = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEVICE
"""What may be said of a path that is no directory; the kernel refuses a rule that says more."""

_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights over files each version knows; they are the lowest bits. From 5 on there came none."""

_BIND_AND_CONNECT = 0b11
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


def version() -> int:
    """Which version of Landlock the kernel has; 0 for none, or one that was switched off."""
    if not sys.platform.startswith("linux"):
        return 0
    try:
        return _call(_CREATE_RULESET, None, 0, _ONLY_VERSION)
    except OSError as exc:
        # EPERM, EACCES: a container's filter of system calls does not know it.
        if exc.errno in (errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES):
            return 0
        raise


def restrict(readable: Iterable[str], writable: Iterable[str], *, network: bool = False) -> None:
    """Take from this thread, and from what it will start, all files but these. Where there is no Landlock: nothing.

    What is open stays open. Names and sizes of files can be seen everywhere (``stat``), their contents not. From
    version 4 on TCP is taken too, and from version 6 on sockets without a file and signals, except among those
    who are restricted together.

    Args:
        readable: files, and directories with all below, that may be read and executed; one that is not there
            is left out.
        writable: likewise, that may also be written, made and removed.
        network: leave TCP as it is.

    Raises:
        OSError: the kernel has it and does not do it.
    """
    known = version()
    if known == 0:
        return
    every = (1 << _RIGHTS.get(known, 16)) - 1
    ports = _BIND_AND_CONNECT if known >= 4 and not network else 0
    scopes = _ABSTRACT_SOCKETS_AND_SIGNALS if known >= 6 else 0
    # An older kernel takes the longer structure too, as long as what it does not know is zero.
    rules = struct.pack("=QQQ", every, ports, scopes)
    ruleset = _call(_CREATE_RULESET, rules, len(rules), 0)
    try:
        for paths, rights in ((readable, _READ), (writable, every)):
            for path in paths:
                _allow(ruleset, path, rights & every)
        # Without it the kernel would not: a program with more rights than its caller must not be misled.
        _check(_LIBC.prctl(_NO_NEW_PRIVILEGES, _long(1), _long(0), _long(0), _long(0)))
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return  # not there, or out of reach anyway
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= _OF_FILES
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


_LIBC = ctypes.CDLL(None, use_errno=True)
_long = ctypes.c_ulong


def _call(number: int, *arguments: object) -> int:
    passed = [_long(each) if isinstance(each, int) else each for each in arguments]
    return _check(_LIBC.syscall(ctypes.c_long(number), *passed))


def _check(returned: int) -> int:
    if returned < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"Landlock: {os.strerror(number)}")
    return returned


def _main(arguments: list[str]) -> None:
    first = arguments.index("--")
    second = arguments.index("--", first + 1)
    program = arguments[second + 1 :]
    try:
        restrict(arguments[1:first], arguments[first + 1 : second], network=arguments[0] == "network")
        os.execv(program[0], program)
    except OSError as exc:
        sys.exit(f"{program[0]} cannot be run: {exc.strerror}")


if __name__ == "__main__":
    _main(sys.argv[1:])
