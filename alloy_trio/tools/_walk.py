"""Containment of what the file tools open: a walk by descriptors, not a comparison of names.

A path is followed component by component from ``/``. Each directory is opened below the one before it, by its
bare name and without following a link; a link is read and its text walked in turn, at most :data:`MAX_LINKS` of
them. ``..`` goes back to the descriptor that the walk came from. So every descriptor that is held was reached
downwards from those before it, whatever is renamed meanwhile, and what follows (open, list, make directories,
replace) happens below the last one, by a bare name again.

A directory is entered when it lies in an allowed directory, that is when the walk came through one, or when it is
on the way to one or to the working directory; which it is, device and inode tell. Everything else is refused as
outside, whether it is there or not.
"""

from __future__ import annotations

import errno
import functools
import operator
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import attrs

from alloy_trio.values import ToolError

from ._dotgit import inside_git, is_dot_git
from ._paths import encoded, outside
from ._threads import stop_if_cancelled
from ._tool import ToolContext

MAX_LINKS = 40
"""Links in one path; Linux's own limit."""

MAX_DEPTH = 128
"""Directories in one another, each of which is a descriptor while the walk lasts; arbitrary. Deep trees of packages
have some 40."""


def flags(*names: str) -> int:
    """Flags for os.open: those of them that this platform has."""
    return functools.reduce(operator.or_, (getattr(os, name, 0) for name in names))


# A descriptor to walk from needs no right to list the directory where the platform can say so.
_SEARCH = next((getattr(os, name) for name in ("O_PATH", "O_SEARCH") if hasattr(os, name)), os.O_RDONLY)
_DIRECTORY = _SEARCH | flags("O_DIRECTORY", "O_NOFOLLOW", "O_CLOEXEC", "O_NONBLOCK")

# In these, a file is the state of some process or device, and a link may be one that no text can tell.
_KERNEL = ("/proc", "/sys")

# What says nothing of a path, but that we cannot go on.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)

_Identity = tuple[int, int]


@attrs.frozen(kw_only=True)
class Place:
    """Where a path leads, as a directory that is open and names below it.

    Args:
        directory: descriptor; good for walking on, not for listing.
        names: of the thing that is meant, after those of directories that are missing yet; empty when it is the
            directory itself.
        above: the names from ``/`` to the directory.
        open_to_view: whether the directory is an allowed one, and not only on the way to an allowed file.
    """

    directory: int
    names: tuple[bytes, ...]
    above: tuple[bytes, ...]
    open_to_view: bool

    @property
    def key(self) -> str:
        """A text that stands for the place."""
        return "/" + b"/".join((*self.above, *self.names)).decode("utf-8", "backslashreplace")

    @contextmanager
    def parent(self) -> Iterator[int]:
        """The directory that holds the thing, with those made that are missing."""
        number = os.dup(self.directory)
        try:
            for name in self.names[:-1]:
                try:
                    os.mkdir(name, dir_fd=number)
                except FileExistsError:
                    pass  # somebody was faster; what it is, the next line finds out
                number, before = enter(name, number), number
                os.close(before)
            yield number
        finally:
            os.close(number)


def shown(name: bytes) -> str:
    """A name for the model, also one that is no text."""
    return name.decode("utf-8", "replace")


def enter(name: bytes, directory: int) -> int:
    """Open a directory below another to walk on from it, never through a link."""
    return os.open(name, _DIRECTORY, dir_fd=directory)


@contextmanager
def walked(path: str, context: ToolContext, *, for_write: bool) -> Iterator[Place]:
    """Find where a path leads; the place is good as long as the context lasts.

    Args:
        path: as the model wrote it; relative to the working directory.
        context: says what is allowed.
        for_write: refuses what only may be read: the inside of ``.git``, and the agent's private directory.

    Raises:
        ToolError: it may not be touched, or no such path can exist.
        OSError: something inside cannot be walked.
    """
    raw = encoded(path)
    if os.open not in os.supports_dir_fd:
        raise ToolError("the file tools need a system that can open files below an open directory")
    with ExitStack() as stack:
        allowed = list(context.allowed_paths)
        private = None if context.belongings is None else context.belongings.private.path
        if private is not None and not for_write:
            allowed.append(private)
        area = _Area()
        stack.callback(area.close)
        base = os.path.abspath(context.working_directory)
        area.add(base, allowed=False)
        for root in allowed:
            area.add(os.path.abspath(root), allowed=True)
        walk = _Walk(path, context, area)
        stack.callback(walk.close)
        walk.follow(raw if raw.startswith(b"/") else os.fsencode(base) + b"/" + raw)
        if for_write:
            names = (*(step.name for step in walk.steps), *walk.names)
            if any(map(is_dot_git, names)) or inside_git([step.number for step in walk.steps], walk.names):
                raise ToolError(f"{path} is inside of .git, where nothing is written; use git itself")
        last = walk.steps.pop()
        stack.callback(os.close, last.number)
        walk.close()
        yield Place(
            directory=last.number,
            names=tuple(walk.names),
            above=tuple(step.name for step in (*walk.steps[1:], last) if step.name),
            open_to_view=last.inside,
        )


@attrs.frozen
class _Step:
    """A directory that the walk came through."""

    name: bytes
    number: int
    identity: _Identity
    inside: bool


@attrs.define(eq=False)
class _Area:
    """What is allowed, by the identities of directories.

    Attributes:
        on_the_way: directories that lead to an allowed one, or to the working directory.
        roots: the allowed directories.
        below: allowed files, and directories that are not there yet: what they lie in, and the names from there.
    """

    on_the_way: set[_Identity] = attrs.field(factory=set)
    roots: set[_Identity] = attrs.field(factory=set)
    below: list[tuple[_Identity, tuple[bytes, ...]]] = attrs.field(factory=list)
    _open: list[int] = attrs.field(factory=list)

    def add(self, path: str, *, allowed: bool) -> None:
        """Find a resolved path. Nothing in it is a link, or it is no longer what was allowed."""
        names = [name for name in os.fsencode(path).split(b"/") if name]
        # Kept open: the inode of a directory that is gone could become that of another one.
        self._open.append(os.open("/", _DIRECTORY))
        first = len(self._open) - 1
        while True:
            identity = identity_of(self._open[-1])
            if not names:
                break
            self.on_the_way.add(identity)
            try:
                self._open.append(enter(names[0], self._open[-1]))
            except OSError as exc:
                if exc.errno in _EXHAUSTED:
                    raise
                break  # a file, or missing: names says from where on; or closed to us, and then to the walk too
            names.pop(0)
        if allowed and names:
            self.below.append((identity, tuple(names)))
        elif allowed:
            self.roots.add(identity)
        else:
            self.on_the_way.add(identity)
        for number in self._open[first:-1]:
            os.close(number)
        del self._open[first:-1]

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            os.close(self._open.pop())

    def may_enter(self, identity: _Identity) -> bool:
        """Whether a directory may be walked through that does not lie in an allowed one."""
        return identity in self.on_the_way

    def is_root(self, identity: _Identity) -> bool:
        """Whether a directory is an allowed one."""
        return identity in self.roots

    def leads_inside(self, identity: _Identity, names: list[bytes]) -> bool:
        """Whether names below a directory are those of something allowed, or lie in it."""
        return any(identity == base and tuple(names[: len(below)]) == below for base, below in self.below)


class _Walk:
    def __init__(self, path: str, context: ToolContext, area: _Area) -> None:
        self.steps: list[_Step] = []
        self.names: list[bytes] = []
        self._path = path
        self._context = context
        self._area = area
        self._links = 0
        self._kernel = _kernel_devices()

    def close(self) -> None:
        while self.steps:
            step = self.steps[-1]
            os.close(step.number)
            self.steps.pop()

    def inside(self) -> bool:
        """Whether what has been reached so far may be touched."""
        last = self.steps[-1]
        return last.inside or self._area.leads_inside(last.identity, self.names)

    def follow(self, path: bytes) -> None:
        """Walk an absolute path to its end."""
        try:
            self._restart()
            self._follow(path.split(b"/")[::-1])
        except OSError as exc:
            if exc.errno not in _EXHAUSTED and not (self.steps and self.inside()):
                raise outside(self._path, self._context) from None  # nor is told what is there
            raise
        if not self.inside():
            raise outside(self._path, self._context)

    def _follow(self, pending: list[bytes]) -> None:
        is_file = False
        while pending:
            name = pending.pop()
            if is_file:
                raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))  # also a.txt/ and a.txt/.
            if name in (b"", b"."):
                continue
            if name == b"..":
                self._back()
                continue
            if self.names:
                self.names.append(name)  # what is in a directory that is missing is missing
                continue
            try:
                self._enter(name)
                continue
            except FileNotFoundError:
                self.names.append(name)
                continue
            except OSError as exc:
                if exc.errno not in (errno.ENOTDIR, errno.ELOOP):
                    raise
            target = self._link(name)
            if target is None:
                self.names.append(name)
                is_file = True
                continue
            if target[:1] == b"/":
                self._restart()
            pending += target.split(b"/")[::-1]

    def _restart(self) -> None:
        self.close()
        self._push(b"", os.open("/", _DIRECTORY))

    def _back(self) -> None:
        if self.names:
            if not self.inside():
                raise outside(self._path, self._context)
            raise ToolError(f"{self._path} leads back out of {shown(self.names[0])}, which is not there")
        if len(self.steps) > 1:
            os.close(self.steps[-1].number)
            self.steps.pop()

    def _enter(self, name: bytes) -> None:
        self._push(name, enter(name, self.steps[-1].number))

    def _push(self, name: bytes, number: int) -> None:
        try:
            identity = identity_of(number)
            above = bool(self.steps) and self.steps[-1].inside
            inside = above or self._area.is_root(identity)
            if not inside and not self._area.may_enter(identity):
                raise outside(self._path, self._context)
            if identity[0] in self._kernel:
                raise ToolError(f"{self._path} lies in /proc or /sys, where nothing is opened")
            if len(self.steps) > MAX_DEPTH:
                raise ToolError(f"{self._path} leads into more than {MAX_DEPTH} directories in one another")
        except BaseException:
            os.close(number)
            raise
        self.steps.append(_Step(name, number, identity, inside))

    def _link(self, name: bytes) -> bytes | None:
        """What a link says; None if it is no link."""
        try:
            target = os.readlink(name, dir_fd=self.steps[-1].number)
        except OSError as exc:
            if exc.errno == errno.EINVAL:
                return None
            raise
        stop_if_cancelled()
        self._links += 1
        if self._links > MAX_LINKS:
            raise ToolError(f"{self._path} is a link that leads back to itself")
        return target


def identity_of(number: int) -> _Identity:
    """What tells an open directory from all others."""
    status = os.fstat(number)
    return status.st_dev, status.st_ino


def _kernel_devices() -> set[int]:
    devices = set()
    for path in _KERNEL:
        try:
            devices.add(os.stat(path).st_dev)
        except OSError:
            continue  # not mounted, as in a chroot, or another system
    return devices - {os.stat("/").st_dev}
