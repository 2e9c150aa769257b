"""The host's side of the keepers: one root keeper for each run or agent, started at the first call.

What the helper processes do, and why, is told in :mod:`._keeper_root`. Nothing here waits for other children of the
host program, takes a signal, or changes an attribute of its process.
"""

from __future__ import annotations

import array
import errno
import logging
import marshal
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import trio

from . import _groups

PATIENCE = 1.0
"""Seconds that a keeper may take to answer. It has nothing else to do: a silent one was stopped by somebody."""

AGAIN = 0.1
"""Seconds after which a keeper that was stopped is woken once more: what has stopped it may do so again."""

CLOSING = 12.0
"""Seconds that a root keeper may take to end; twice of what it gives itself for what other keepers left."""

_BOOT = (
    "import sys; sys.path.append(sys.argv[3]); from _keeper_root import main; main(*map(int, sys.argv[1:3]))"
)
_NO_PROC = (
    "/proc is missing or another namespace's, so what a command leaves behind could not be found and ended"
)
_PLACE = Path(__file__).parent
_POLL = 0.001
_CHUNK = 1 << 16
_logger = logging.getLogger("alloy_trio.tools")


class Keepers:
    """The root keeper of a run or an agent: started by the first call, and again if somebody has killed it."""

    def __init__(self) -> None:
        self._lock = trio.Lock()
        self._owner: object = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._socket: trio.socket.SocketType | None = None
        self._calls: set[KeptCall] = set()

    async def open_call(self, job: dict[str, Any], output: int) -> KeptCall:
        """Have a new keeper do a job.

        Args:
            job: as ``_keeper_call`` reads it.
            output: where the commands write to. It stays the caller's to close.

        Raises:
            OSError: there is no keeper to be had.

        *Cancellation*: what was started is ended.
        """
        request = b"c" if job["landlock"] is None else b"cl"
        # Again, as somebody may have killed the root keeper since the last call, which does not tell at once.
        for _ in range(3):
            ours, theirs = socket.socketpair()
            call = KeptCall(self, trio.socket.from_stdlib_socket(ours), job, output)
            try:
                with theirs:
                    call.root = await self._start()
                    if not await self._ask(request, theirs.fileno(), output) and self._popen is call.root:
                        await self._forget(kill=True)
                if await call.begin():
                    self._calls.add(call)
                    return call
            except BaseException:
                await call.aclose()
                raise
            await call.aclose()
        raise ChildProcessError(errno.ECHILD, f"its keeper, a process of {sys.executable}, ended at once")

    async def _start(self) -> subprocess.Popen[bytes]:
        async with self._lock:
            if self._owner == _identity() and self._popen is not None and self._popen.poll() is None:
                return self._popen
            await self._forget()
            if not sys.executable or getattr(sys, "frozen", False):
                words = f"needs a Python interpreter for its keeper, and sys.executable is {sys.executable!r}"
                raise FileNotFoundError(errno.ENOENT, words)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._socket = trio.socket.from_stdlib_socket(ours)
                self._owner = _identity()
                self._popen = await trio.to_thread.run_sync(_start_root, theirs.fileno())
            return self._popen

    def closed(self, call: KeptCall) -> None:
        """A call is over."""
        self._calls.discard(call)

    async def _forget(self, *, kill: bool = False) -> None:
        """Let go of the root keeper: it has ended, ends by this, or is another process's and we are its fork."""
        root, self._popen = self._popen, None
        if self._socket is not None:
            self._socket.close()
        if root is None:
            return
        if kill:
            root.kill()
        with trio.move_on_after(CLOSING):
            while root.poll() is None:  # noqa: ASYNC110 - nothing tells us; only asking does
                await trio.sleep(_POLL)

    async def _ask(self, request: bytes, *descriptors: int) -> bool:
        """Send a request to the root keeper; whether there was one to take it."""
        if self._socket is None:
            return False
        self.resume()
        rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))
        try:
            await self._socket.sendmsg([request], [rights])
        except (BrokenPipeError, ConnectionResetError, trio.ClosedResourceError):
            return False  # the last: another call has noticed first
        return True

    def resume(self, keeper: int = -1) -> None:
        """Have the root keeper run, and a call's, if somebody has stopped them."""
        if self._popen is not None and self._owner == _identity():
            self._popen.send_signal(signal.SIGCONT)
        if keeper > 0:
            try:
                os.kill(keeper, signal.SIGCONT)  # the number may be another's by now, whom this does not hurt
            except (ProcessLookupError, PermissionError):
                pass

    async def sweep(self, root: subprocess.Popen[bytes] | None, keeper: int) -> bool:
        """Have a call's root keeper kill the call's keeper and what is left of it; whether it did."""
        if root is None or root is not self._popen:
            return False
        try:
            ours, theirs = socket.socketpair()
        except OSError:
            return False  # no descriptor is left; where the keeper was killed, it does so without being asked
        with trio.socket.from_stdlib_socket(ours) as answer:
            with theirs:
                asked = await self._ask(b"s%d" % keeper, theirs.fileno())
            for _ in range(int(CLOSING / AGAIN) if asked else 0):
                with trio.move_on_after(AGAIN):
                    return await answer.recv(1) != b""
                self.resume()
        return False

    async def aclose(self) -> None:
        """End the root keeper, and with it whatever call there still is. Twice is once. Shielded and bounded."""
        with trio.CancelScope(shield=True):
            if self._popen is not None and self._socket is not None and self._owner == _identity():
                for call in self._calls:
                    call.stop()
                self.resume()
                with trio.move_on_after(CLOSING) as limit:
                    try:
                        self._socket.shutdown(socket.SHUT_WR)
                        await self._socket.recv(1)  # its end
                    except OSError:
                        pass  # it has ended already
                if limit.cancelled_caught:
                    _logger.warning("the keeper %s of the bash tool did not end by itself", self._popen.pid)
                await self._forget(kill=True)
            else:
                await self._forget()


def _identity() -> object:
    """Whose a keeper is: not that of a process that forked us, nor ours from before we gave up some rights."""
    return os.getpid(), os.getresuid(), os.getresgid(), os.getgroups()


def _start_root(descriptor: int) -> subprocess.Popen[bytes]:
    flags = ("-B",) if sys.dont_write_bytecode else ()
    return subprocess.Popen(
        [sys.executable, "-I", "-S", *flags, "-c", _BOOT, str(os.getpid()), str(descriptor), str(_PLACE)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        # Commands may read it, so it holds no secret; an interpreter may need this to find its libraries.
        env={key: value for key, value in os.environ.items() if key.startswith("LD_")},
        pass_fds=(descriptor,),
        start_new_session=True,
    )


class KeptCall:
    """A call whose processes a keeper owns.

    Attributes:
        root: its root keeper, once it was asked for.
        error: why it could not be started, or None.
        statuses: the exit statuses of its commands, once it is over.
        over: whether nothing of it is left.
    """

    def __init__(
        self, keepers: Keepers, control: trio.socket.SocketType, job: dict[str, Any], output: int
    ) -> None:
        self.root: subprocess.Popen[bytes] | None = None
        self.error: OSError | None = None
        self.statuses: list[int] = [-signal.SIGKILL] * len(job["commands"])
        self.over = False
        self._keepers = keepers
        self._socket = control
        self._job = job
        self._given = self._killed = False
        self._pipe = os.fstat(output).st_ino
        self._keeper = -1
        self._leaders: list[int] = []
        self._received = b""

    async def begin(self) -> bool:
        """Hand the job over. False if there is no keeper to take it, and so nothing was started."""
        _groups.kept(self.kill)
        data = marshal.dumps(self._job)
        left = memoryview(len(data).to_bytes(8, "big") + data)
        try:
            while left:
                left = left[await self._socket.send(left) :]
            self._given = True
            if self._killed:
                self.kill()
        except (BrokenPipeError, ConnectionResetError):
            pass  # there is none, or it has told why
        await self._read("here")
        # Else it has ended before it could read the job: it tells that it is there first.
        self.over = self.over or self._keeper < 0
        return self._keeper > 0 or self.error is not None

    async def wait(self, report: str) -> None:
        """Wait until the keeper reports something, or the call is over.

        *Cancellation*: loses nothing; the call goes on until it is closed.
        """
        if not await self._read(report):
            await self._recover()

    async def _read(self, awaited: str) -> bool:
        """Read reports up to one; False where they end before the call is over."""
        while not self.over:
            while len(self._received) < max(4, size := 4 + int.from_bytes(self._received[:4], "big")):
                try:
                    data = await self._socket.recv(_CHUNK)
                except ConnectionResetError:
                    data = b""
                if not data:
                    return False
                self._received += data
            data, self._received = self._received[4:size], self._received[size:]
            name, *values = marshal.loads(data)
            self._take(name, values)
            if name == awaited:
                break
        return True

    def _take(self, name: str, values: list[Any]) -> None:
        if name == "here":
            self._keeper = values[0]
        elif name == "running":
            self._leaders = values[0]
        elif name == "failed":
            number, about = values
            words = _NO_PROC if about == "/proc" else os.strerror(number)
            self.error = OSError(number, words, os.fsdecode(about))
            self.over = True
        elif name == "done":
            self.statuses, left = values
            self.over = True
            if left:
                _logger.warning("processes %s of the bash tool did not end on SIGKILL", left)

    async def _recover(self) -> None:
        """End what is left by a keeper that was killed, or that does not answer."""
        with trio.CancelScope(shield=True):
            if not await self._keepers.sweep(self.root, self._keeper):
                from ._keeper_strays import end_strays

                await end_strays(self._leaders, self._pipe)
        self.over = True

    def kill(self) -> None:
        """Kill all of it, without a grace period. Waits for nothing; callable from a signal handler."""
        self._killed = True
        if self._given:
            self._tell(b"K")

    def stop(self) -> None:
        """Have it ended. Waits for nothing."""
        self._tell(b"T")

    def _tell(self, letter: bytes) -> None:
        try:
            os.write(self._socket.fileno(), letter)
        except OSError:
            pass  # the keeper has ended, which its socket tells

    async def aclose(self) -> None:
        """End what still runs, and wait until nothing is left. Twice is once. Shielded and bounded."""
        try:
            if self._given and not self.over:
                with trio.CancelScope(shield=True):
                    await self._end()
        finally:
            _groups.released(self.kill)
            self._keepers.closed(self)
            self._socket.close()  # a keeper that has got a part of its job ends by that

    async def _end(self) -> None:
        self.stop()
        if await self._heard("stopping", PATIENCE, PATIENCE):
            await self._heard("done", self._job["grace"] + PATIENCE, self._job["killed"])
        if not self.over:
            await self._recover()

    async def _heard(self, report: str, quiet: float, waking: float) -> bool:
        """Wait for a report; wakes the keeper again and again when it is silent for long."""
        for seconds in (quiet, *[AGAIN] * int(waking / AGAIN)):
            with trio.move_on_after(seconds):
                return await self._read(report)
            self._keepers.resume(self._keeper)
        return False
