"""The program of the helper processes that own what calls start. It runs by itself and imports nothing of ours.

Theory of operation. The host starts one root keeper, and for each call sends it two descriptors: the call's control
socket and the pipe for its output. The root keeper forks a call keeper, which reads its job from that socket, starts
the commands and waits for them. Both are subreapers: a process that loses its parent becomes a child of its keeper,
whatever session or environment it made for itself. So a keeper that has no child left knows that nothing is left,
without looking anywhere; and while it has some, all that is left is found below it.

A call is over when its commands have ended, when the host says so, when the socket ends (the host closed it, or died),
or when the host's process ends (its socket may live on in a child that it forked). Then SIGTERM goes to every
descendant, SIGKILL to what is left after the grace period, until there is no child to wait for. A call keeper that
is itself killed leaves its processes to the root keeper, which kills them: its own children are keepers and nothing
else.

Started afresh for each run, so it is sparing: ``signal`` and ``socket`` would double the time of the start, the
modules below them are all it takes. Single-threaded, so that fork is safe and children have one parent.
"""

from __future__ import annotations

import _socket
import errno
import gc
import os
import sys
import time

TYPE_CHECKING = False  # as in _keeper_sweep
if TYPE_CHECKING:
    import signal as _signal
    from typing import Any

    from ._keeper_call import DUMPABLE, SUBREAPER, CallKeeper, packed, prctl
    from ._keeper_sweep import Watch, kill_children, reap, sees_processes
else:
    import _signal

    from _keeper_call import DUMPABLE, SUBREAPER, CallKeeper, packed, prctl
    from _keeper_sweep import Watch, kill_children, reap, sees_processes

SWEEP = 5.0
"""Seconds for what dead call keepers left, and for the last call keepers after their host."""


class RootKeeper:
    """Makes call keepers, and owns what they left when they were killed.

    Args:
        socket: requests come from it: ``c`` with a call's control socket and output, for a keeper; ``s``, a
            keeper's number, and a descriptor for the answer, to kill that keeper and end what it left. ``cl``
            is a call under Landlock.
        host: descriptor of the host's process, or -1.
    """

    def __init__(self, socket: int, host: int) -> None:
        self._number = socket
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_SEQPACKET, 0, socket)
        self._host = host
        self._watch = Watch(socket, host)
        self._keepers: set[int] = set()
        self._failed = False

    def run(self) -> None:
        """Serve until the host has closed the socket or ended; then end all."""
        prctl(SUBREAPER, 1)
        asked = True
        while asked and not self._watch.orphaned:
            ready = self._watch.wait()
            self._collect()
            asked = self._number not in ready or self._serve()
        for keeper in self._keepers:
            os.kill(keeper, _signal.SIGCONT)  # one that was stopped could not hear
        give_up = time.monotonic() + SWEEP
        while self._keepers and time.monotonic() < give_up:
            self._watch.wait_child(give_up - time.monotonic())
            self._collect()
        kill_children(self._watch, self._ended, SWEEP)

    def _ended(self, pid: int, status: int) -> None:
        if pid in self._keepers:
            self._keepers.discard(pid)
            self._failed = self._failed or status != 0

    def _collect(self) -> None:
        reap(self._ended)
        if self._failed:
            self._failed = False
            kill_children(self._watch, self._ended, SWEEP, self._keepers)

    def _serve(self) -> bool:
        try:
            request, ancillary, _, _ = self._socket.recvmsg(
                64, _socket.CMSG_SPACE(8), _socket.MSG_CMSG_CLOEXEC
            )
        except OSError:
            return False
        data = b"".join(each[2] for each in ancillary)
        descriptors = [int.from_bytes(data[i : i + 4], sys.byteorder) for i in range(0, len(data), 4)]
        if request[:1] == b"c" and len(descriptors) == 2:
            if request == b"cl":
                _load_landlock()
            self._fork(*descriptors)
        elif request[:1] == b"s" and len(descriptors) == 1:
            self._sweep(int(request[1:]), descriptors[0])
        for descriptor in descriptors:
            os.close(descriptor)
        return bool(request)

    def _fork(self, control: int, output: int) -> None:
        if not sees_processes():
            _answer(control, "failed", errno.ENOENT, "/proc")  # what is not seen cannot be ended
            return
        try:
            pid = os.fork()
        except OSError as exc:
            _answer(control, "failed", exc.errno, "")
            return
        if pid:
            self._keepers.add(pid)
            return
        try:
            os.setsid()
            self._socket.close()
            CallKeeper(control, output, self._host).run()
            os._exit(0)
        finally:
            os._exit(1)  # and the root keeper ends what is left

    def _sweep(self, keeper: int, answer: int) -> None:
        if keeper in self._keepers:
            os.kill(keeper, _signal.SIGKILL)
            give_up = time.monotonic() + SWEEP
            while keeper in self._keepers and time.monotonic() < give_up:
                self._watch.wait_child(give_up - time.monotonic())
                reap(self._ended)
        left = kill_children(self._watch, self._ended, SWEEP, self._keepers)
        _answer(answer, "swept", left[:100])


def _load_landlock() -> None:
    """Once here, what else each call keeper would do for itself."""
    try:
        __import__("_landlock")
    except ImportError:
        pass  # the call keeper tries too, and reports it


def _answer(descriptor: int, *report: Any) -> None:
    try:
        os.write(descriptor, packed(report))
    except OSError:
        pass  # whoever asked is gone


def main(host: int, socket: int) -> None:
    """Be the root keeper.

    Args:
        host: the host's process.
        socket: descriptor of the socket that it asks through.
    """
    gc.disable()  # what little there is ends with its process
    os.chdir("/")
    for number in _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}:
        _signal.signal(number, _signal.SIG_IGN)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    prctl(DUMPABLE, 0)  # no command can trace a keeper or take its descriptors
    try:
        descriptor = os.pidfd_open(host)
    except (OSError, AttributeError):
        descriptor = -1  # before Linux 5.3; then its socket has to tell
    if os.getppid() == host:  # else it has ended already
        RootKeeper(socket, descriptor).run()
    os._exit(0)  # there is nothing to write out, and the end of an interpreter takes milliseconds
