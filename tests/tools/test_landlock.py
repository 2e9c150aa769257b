"""Landlock: what a process that has restricted itself can still do, and what not."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from alloy_trio.tools import _landlock

VERSION = _landlock.version()

needs = pytest.mark.skipif(VERSION == 0, reason="this kernel has no Landlock, or it is switched off")
needs_tcp = pytest.mark.skipif(
    VERSION < 4, reason=f"Landlock {VERSION} of this kernel does not know TCP; 4 does"
)
needs_scopes = pytest.mark.skipif(
    VERSION < 6, reason=f"Landlock {VERSION} of this kernel does not know signals and sockets; 6 does"
)
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/nix/store", "/dev/null")


def restricted(
    command: str, *, readable: tuple[str, ...] = (), writable: tuple[str, ...] = (), network: str = "closed"
) -> subprocess.CompletedProcess[str]:
    """Run a command by a shell that the module, as a program, restricts."""
    program = [
        sys.executable,
        "-I",
        "-S",
        _landlock.__file__,
        network,
        *SYSTEM,
        *readable,
        "--",
        *writable,
        "--",
    ]
    return subprocess.run(
        [*program, "/bin/bash", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    for name in ("open", "shut"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(f"{name}\n")
    return tmp_path


@needs
class TestFiles:
    def test_what_is_named_can_be_read_and_nothing_else(self, place: Path) -> None:
        done = restricted(f"cat {place}/open/file {place}/shut/file; ls {place}", readable=(f"{place}/open",))
        assert done.stdout == "open\n"
        assert done.stderr.count("Permission denied") == 2

    def test_one_file_can_be_named(self, place: Path) -> None:
        done = restricted(f"cat {place}/open/file; ls {place}/open", readable=(f"{place}/open/file",))
        assert done.stdout == "open\n"
        assert "Permission denied" in done.stderr

    @pytest.mark.parametrize(
        "command",
        [
            "echo x > {}/file",
            "echo x >> {}/file",
            "echo x > {}/new",
            "mkdir {}/new",
            "rm {}/file",
            "ln {}/file {}/new",
            "ln -s a {}/new",
            "mv {}/file {}/new",
            "mkfifo {}/new",
        ],
    )
    def test_what_is_readable_is_not_written(self, command: str, place: Path) -> None:
        done = restricted(command.replace("{}", f"{place}/open"), readable=(f"{place}/open",))
        assert done.returncode != 0
        assert os.listdir(place / "open") == ["file"]
        assert (place / "open" / "file").read_text() == "open\n"
        free = restricted(command.replace("{}", f"{place}/open"), writable=(f"{place}/open",))
        assert free.returncode == 0, free.stderr

    def test_a_link_out_of_it_leads_nowhere(self, place: Path) -> None:
        (place / "open" / "link").symlink_to(place / "shut" / "file")
        assert "Permission denied" in restricted(f"cat {place}/open/link", readable=(f"{place}/open",)).stderr

    def test_what_is_started_is_restricted_too_and_cannot_undo_it(self, place: Path) -> None:
        again = f"{sys.executable} -I -S {_landlock.__file__} closed / -- / -- /bin/cat {place}/shut/file"
        readable = (f"{place}/open", sys.prefix, sys.base_prefix, _landlock.__file__)
        done = restricted(f"(setsid {again})", readable=readable)
        assert done.stdout == ""
        assert "Permission denied" in done.stderr

    def test_a_path_that_is_not_there_is_left_out(self, place: Path) -> None:
        done = restricted(
            f"cat {place}/open/file", readable=(f"{place}/nothing", f"{place}/open", f"{place}/open/file/x")
        )
        assert done.stdout == "open\n"


@needs_tcp
@pytest.mark.parametrize(("network", "reached"), [("closed", False), ("network", True)])
def test_tcp_is_closed_unless_it_is_left_open(network: str, reached: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = restricted(f"echo > /dev/tcp/127.0.0.1/{server.getsockname()[1]}", network=network)
    assert (done.returncode == 0) is reached
    assert ("Permission denied" in done.stderr) is not reached


@needs_scopes
def test_nobody_outside_can_be_signalled() -> None:
    done = restricted(f"kill -0 {os.getpid()}; sleep 100 & kill $! && echo own")
    assert "Operation not permitted" in done.stderr
    assert done.stdout == "own\n"


@needs_scopes
def test_a_socket_without_a_file_cannot_be_reached_from_inside() -> None:
    name = f"\0alloy-trio-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(name)
        server.listen()
        client = f"import socket; socket.socket(socket.AF_UNIX).connect({name!r})"
        for readable, words in (((), "Permission"), (None, "")):
            argv = [sys.executable, "-I", "-S", "-c", client]
            if readable is not None:
                wall = [sys.executable, "-I", "-S", _landlock.__file__, "network", "/", "--", "--"]
                argv = [*wall, *argv]
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
            assert (done.returncode == 0) is (words == "")
            assert words in done.stderr


@needs
def test_only_the_thread_that_asks_is_restricted() -> None:
    seen: list[str] = []

    def work() -> None:
        _landlock.restrict([], [])
        try:
            open("/etc/passwd").close()
        except PermissionError:
            seen.append("shut")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    with open("/etc/passwd") as file:
        assert file.read(1)
    assert seen == ["shut"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM])
def test_where_the_kernel_has_none_nothing_happens(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def refuse(*arguments: object) -> int:
        asked.append(arguments)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(_landlock, "_call", refuse)
    assert _landlock.version() == 0
    _landlock.restrict(["/"], ["/"])
    assert len(asked) == 2


def test_elsewhere_than_on_linux_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert _landlock.version() == 0


@pytest.mark.parametrize(
    ("version", "rules"),
    [
        (1, ((1 << 13) - 1, 0, 0)),
        (2, ((1 << 14) - 1, 0, 0)),
        (3, ((1 << 15) - 1, 0, 0)),
        (4, ((1 << 15) - 1, 3, 0)),
        (5, ((1 << 16) - 1, 3, 0)),
        (6, ((1 << 16) - 1, 3, 3)),
        (9, ((1 << 16) - 1, 3, 3)),
    ],
)
def test_an_older_kernel_is_asked_for_what_it_knows(
    version: int, rules: tuple[int, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import struct

    asked: list[tuple[int, ...]] = []
    allowed: list[int] = []

    def answer(number: int, *arguments: object) -> int:
        if number == 444 and arguments[0] is None:
            return version
        if number == 444:
            asked.append(struct.unpack("=QQQ", bytes(arguments[0])))  # type: ignore[call-overload]
            return os.open("/dev/null", os.O_RDONLY)
        if number == 445:
            allowed.append(struct.unpack("=Qi", bytes(arguments[2]))[0])  # type: ignore[call-overload]
        return 0

    class NoLibrary:
        @staticmethod
        def prctl(*arguments: object) -> int:
            return 0

    monkeypatch.setattr(_landlock, "_call", answer)
    monkeypatch.setattr(_landlock, "_LIBC", NoLibrary)
    (tmp_path / "file").touch()
    _landlock.restrict([str(tmp_path), str(tmp_path / "file")], [str(tmp_path)])
    assert asked == [rules]
    assert allowed == [0b1101, 0b101, rules[0]]


@needs
def test_a_kernel_that_has_it_and_fails_is_no_silent_weakening(monkeypatch: pytest.MonkeyPatch) -> None:
    call = _landlock._call

    class Library:
        syscall = staticmethod(_landlock._LIBC.syscall)

        @staticmethod
        def prctl(*arguments: object) -> int:
            return 0  # not in the process of the tests

    def answer(number: int, *arguments: object) -> int:
        if number == 446:
            raise OSError(errno.E2BIG, "too many layers")
        return call(number, *arguments)

    monkeypatch.setattr(_landlock, "_call", answer)
    monkeypatch.setattr(_landlock, "_LIBC", Library)
    before = sorted(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match="too many layers"):
        _landlock.restrict(["/"], ["/"])
    assert sorted(os.listdir("/proc/self/fd")) == before
