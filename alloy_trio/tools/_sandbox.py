"""The sandbox of the bash tool: bubblewrap, and Landlock inside of it.

bubblewrap gives a command processes, mounts and a network of its own. It sees the whole disk, read-only, without
the places where secrets and the sockets of other programs are: home directories, ``/tmp``, ``/run``. There it finds
empty directories that last as long as the call. Writable is the working directory, and what is named. Landlock
then says the same once more, and closes sockets without a file, which follow the network and not the mounts.

What git will read later, outside, stays as it is (:mod:`._repositories`).
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator

import attrs

from alloy_trio.values import ConfigurationError, ToolError

from . import _landlock
from ._repositories import kept_in, repository_of
from ._tool import ToolContext

SEARCHED = ("/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin", "/run/current-system/sw/bin")
"""Where bubblewrap is looked for: fixed, as PATH may lead to what a model has written. The last two are of NixOS."""

PROBE_SECONDS = 10.0
"""Seconds that bubblewrap may take to show that it works. It takes 5 ms; a machine may be busy."""

_HIDDEN = ("/home", "/root", "/tmp", "/var/tmp", "/run", "/var/run", "/mnt", "/media")
_TOO_WIDE = ("/usr", "/etc", "/dev", "/proc", "/sys", "/run")
_NAMESERVERS = ("/etc/resolv.conf",)
_SYSTEM = (*_TOO_WIDE, "/bin", "/sbin")
_WRAPPER = "/run/landlock.py"
_NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
# --new-session: no command may type into our terminal. --die-with-parent: the keeper's end is the sandbox's.
_ALWAYS = ("--cap-drop", "ALL", "--new-session", "--die-with-parent")
# What root may write in /proc (sys/kernel/core_pattern, a program that the kernel runs) it may without any capability.
_ROOT = ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--remount-ro", "/proc")


@attrs.frozen(kw_only=True)
class Sandbox:
    """How commands are shut in.

    Args:
        program: bubblewrap.
        options: those that hold for each command.
        network: whether the network is the machine's.
        readable: what may be read although it is in a hidden place, relative to the working directory.
        writable: what may be written besides the working directory, relative to it.
    """

    program: str
    options: tuple[str, ...]
    network: bool
    readable: tuple[str, ...]
    writable: tuple[str, ...]

    def wrapped(self, context: ToolContext) -> tuple[str, ...]:
        """What stands before the argument list of a command. Touches the disk; call it in a thread.

        Raises:
            ToolError: it cannot be set up like this: a directory is missing, or too much would be open.
        """
        base = os.path.realpath(context.working_directory)
        hidden = _hidden()
        mounts = dict.fromkeys(hidden, "--tmpfs")
        roots = (base, *self._found("writable", self.writable, base))
        python = _python(hidden)
        needed = (*python[1:], *repository_of(base), *(_NAMESERVERS if self.network else ()))
        for path in map(os.path.realpath, (*needed, *map(str, context.allowed_paths))):
            # What is visible anyway needs no mount, and what holds a hidden place may not uncover it.
            if os.path.exists(path) and _is_inside(path, hidden) and not _is_inside(path, roots):
                mounts[path] = "--ro-bind"
        readable = tuple(self._found("readable", self.readable, base))
        mounts |= dict.fromkeys(readable, "--ro-bind")
        for root in roots:
            _refuse_wide(root)
            mounts[root] = "--bind"
        for root in roots:
            for path, kind in kept_in(root, roots).items():
                # Below what is read-only, nothing has to be kept, and a mount for it would open it.
                if not _is_inside(path, (each for each in readable if _is_inside(each, (root,)))):
                    mounts.setdefault(path, kind)
        arguments = [self.program, *self.options]
        # Outer ones first: a mount hides what was mounted below it before.
        for path, kind in sorted(mounts.items(), key=lambda item: item[0].count("/")):
            arguments += [kind, path] if kind == "--tmpfs" else [kind, path, path]
        if python:
            arguments += ["--ro-bind", _landlock.__file__, _WRAPPER]
        arguments += ["--setenv", "TMPDIR", "/tmp", "--chdir", base, "--"]
        if python:
            writable = ("/dev", *hidden, *roots)
            network = "network" if self.network else "closed"
            arguments += [python[0], "-I", "-S", _WRAPPER, network, "/", "--", *writable, "--"]
        return tuple(arguments)

    def _found(self, option: str, paths: Iterable[str], base: str) -> Iterator[str]:
        for path in paths:
            found = os.path.realpath(os.path.join(base, os.path.expanduser(path)))
            if not os.path.exists(found):
                raise ToolError(
                    f"Nothing was run: the sandbox cannot be set up, as {found} is not there, which {option} names."
                )
            if found == "/":
                raise ToolError(f"Nothing was run: {option} names /, which would leave no sandbox.")
            yield found


def find_sandbox(*, network: bool, readable: tuple[str, ...], writable: tuple[str, ...]) -> Sandbox:
    """Find bubblewrap, and that it works. Takes some 5 ms, the first time.

    Raises:
        ConfigurationError: it is not there, or it cannot make a sandbox on this machine.
    """
    instead = "or do without one: restricted=True (only reading), restricted=False (anything that you may do)"
    program = next((f"{each}/bwrap" for each in SEARCHED if os.access(f"{each}/bwrap", os.X_OK)), None)
    if program is None or not sys.platform.startswith("linux"):
        raise ConfigurationError(
            "the sandbox needs bubblewrap on Linux, and there is no bwrap in "
            f"{', '.join(SEARCHED)}; install the package bubblewrap (apt install bubblewrap, dnf install "
            f"bubblewrap), {instead}"
        )
    options = (*_NAMESPACES, *(() if network else ("--unshare-net",)), *_ALWAYS)
    # From 0.8 on; it takes something from an attack on the kernel, and nothing here rests on it.
    problem = _problem(program, (*options, "--disable-userns"))
    if problem is None:
        options = (*options, "--disable-userns")
    else:
        problem = _problem(program, options)
    if problem is not None:
        raise ConfigurationError(
            f"the sandbox needs bubblewrap, and {program} does not work on this machine ({problem}); user "
            "namespaces have to be allowed (in a container, by whoever starts it; on Ubuntu, by an AppArmor profile "
            f"for bwrap), {instead}"
        )
    return Sandbox(
        program=program, options=(*options, *_ROOT), network=network, readable=readable, writable=writable
    )


@functools.lru_cache(maxsize=8)
def _problem(program: str, options: tuple[str, ...]) -> str | None:
    try:
        done = subprocess.run(
            [program, *options, *_ROOT, "--tmpfs", "/tmp", "--", "/bin/sh", "-c", ":"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={},
            timeout=PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as exc:
        return str(exc)
    if done.returncode == 0:
        return None
    return " ".join(done.stderr[-500:].decode(errors="replace").split()) or f"exit status {done.returncode}"


def _homes() -> set[str]:
    import pwd

    homes = {os.environ.get("HOME", "")}
    try:
        homes.add(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        pass  # a user without an entry, as in many containers
    found = {os.path.realpath(home) for home in homes if home.startswith("/")}
    # The home of a service may be a directory of the system, which holds nobody's secrets.
    return {home for home in found if os.path.isdir(home) and not _is_system(home)}


def _is_system(path: str) -> bool:
    return path in ("/", *_SYSTEM) or _is_inside(path, _SYSTEM)


def _hidden() -> tuple[str, ...]:
    places = {os.path.realpath(place) for place in (*_HIDDEN, tempfile.gettempdir())}
    places = {place for place in places if place == "/run" or not _is_system(place)} | _homes()
    return tuple(sorted(place for place in places if os.path.isdir(place)))


def _is_inside(path: str, places: Iterable[str]) -> bool:
    return any(path.startswith(f"{place.rstrip('/')}/") for place in places)


def _refuse_wide(root: str) -> None:
    for place in (*_TOO_WIDE, *sorted(_homes())):
        if place == root or _is_inside(place, (root,)):
            raise ToolError(
                f"Nothing was run: the sandbox would have to make {root} writable, which is or holds {place}; work "
                "in a directory of the project alone."
            )


def _python(hidden: Iterable[str]) -> tuple[str, ...]:
    """The Python for Landlock's wrapper, and the directory that it needs; nothing where there is no Landlock."""
    program = os.path.realpath(getattr(sys, "_base_executable", None) or sys.executable or "/")
    directory = os.path.realpath(sys.base_prefix)
    # In a home directory, as pyenv and uv put it, it has to be uncovered, and nothing else with it.
    within = _is_inside(program, (directory,)) and directory not in hidden
    if _landlock.version() == 0 or not os.access(program, os.X_OK) or not os.path.isfile(program):
        return ()
    return (program, directory) if within or not _is_inside(program, hidden) else ()
