"""The keeper of one call: starts its commands, waits for them, ends what is left. Theory in :mod:`._keeper_root`."""

from __future__ import annotations

import _socket
import ctypes
import errno
import marshal
import os
import time

TYPE_CHECKING = False  # as in _keeper_sweep
if TYPE_CHECKING:
    import signal as _signal
    from collections.abc import Callable
    from typing import Any, NoReturn

    from ._keeper_sweep import Watch, kill_children, reap, signal_below
else:
    import _signal

    from _keeper_sweep import Watch, kill_children, reap, signal_below

PDEATHSIG, DUMPABLE, SUBREAPER = 1, 4, 36
"""Attributes of a process, as in linux/prctl.h."""

_CHUNK = 1 << 16
_libc = ctypes.CDLL(None, use_errno=True)


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process."""
    if _libc.prctl(option, *(ctypes.c_ulong(each) for each in (value, 0, 0, 0))) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def packed(report: tuple[Any, ...]) -> bytes:
    """A report as it goes to the host: its length, and what marshal makes of it."""
    data = marshal.dumps(report)
    return len(data).to_bytes(4, "big") + data


class CallKeeper:
    """Owns the processes of one call.

    Args:
        control: the call's socket. Its job comes in, after it T or K to end or kill it; reports go out.
        output: where the commands write to.
        host: descriptor of the host's process, or -1.
    """

    def __init__(self, control: int, output: int, host: int) -> None:
        self._control = control
        self._socket = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM, 0, control)
        self._output = output
        self._watch = Watch(control, host)
        self._statuses: dict[int, int | None] = {}
        self._received = b""
        self._stopping = self._killing = False

    def run(self) -> None:
        """Do the job that comes. Reports ``here``; ``running`` and ``rest``; and at the end ``done`` or ``failed``."""
        prctl(SUBREAPER, 1)
        self._tell("here", os.getpid())
        job = self._receive_job()
        if job is None:
            return
        failure = self._start(job)
        os.close(self._output)
        if failure is None:
            self._tell("running", list(self._statuses))
            while not self._stopping and None in self._statuses.values():
                self._attend()
            if not self._stopping:
                self._tell("rest")
        left = self._end(job["grace"], job["killed"])
        statuses = [-_signal.SIGKILL if each is None else each for each in self._statuses.values()]
        statuses += [-_signal.SIGKILL] * (len(job["commands"]) - len(statuses))
        self._tell(*(("done", statuses, left[:100]) if failure is None else ("failed", *failure)))

    def _tell(self, *report: Any) -> None:
        try:
            self._socket.sendall(packed(report))
        except OSError:
            pass  # the host is gone; the end of its socket and of its process tell that

    def _receive_job(self) -> dict[str, Any] | None:
        size: int | None = None
        while size is None or len(self._received) < size:
            self._listen()
            if self._stopping:
                return None
            if size is None and len(self._received) >= 8:
                size = int.from_bytes(self._received[:8], "big") + 8
        data, self._received = self._received[8:size], self._received[size:]
        job: dict[str, Any] = marshal.loads(data)
        return job

    def _listen(self, seconds: float | None = None) -> list[int]:
        ready = self._watch.wait(seconds)
        if self._control in ready:
            data = self._socket.recv(_CHUNK)
            self._received += data
            if not data:
                self._watch.remove(self._control)
                self._stopping = True
        self._stopping = self._stopping or self._watch.orphaned
        return ready

    def _attend(self, seconds: float | None = None) -> list[int]:
        """Wait for something to happen, and take it in."""
        ready = self._listen(seconds)
        letters, self._received = self._received, b""
        if letters:
            self._stopping = True
            self._killing = self._killing or b"K" in letters
            self._tell("stopping")
        reap(self._ended)
        return ready

    def _ended(self, pid: int, status: int) -> None:
        if pid in self._statuses:
            self._statuses[pid] = status

    def _start(self, job: dict[str, Any]) -> tuple[int, bytes | str] | None:
        """Start the commands. Where one fails, returns the error's number and what it was about."""
        try:
            restrict = self._restriction(job["landlock"])
            source = os.open(os.devnull, os.O_RDONLY)
            for left in range(len(job["commands"]) - 1, -1, -1):
                following, target = os.pipe() if left else (-1, os.dup(self._output))
                command = job["commands"][-1 - left]
                error = self._start_one(command, job, (source, target, self._output), restrict)
                # A copy here would keep a command from the end of its input, or from that of its reader.
                os.close(source)
                os.close(target)
                source = following
                if error or self._stopping:
                    return error
        except OSError as exc:
            return exc.errno or errno.EIO, exc.filename or ""
        except ImportError:
            return errno.ENOSYS, "landlock"
        return None

    @staticmethod
    def _restriction(rules: dict[str, list[str]] | None) -> Callable[[], None] | None:
        if rules is None:
            return None
        if TYPE_CHECKING:
            from ._landlock import restrict
        else:
            from _landlock import restrict
        return lambda: restrict(rules["readable"], rules["writable"])

    def _start_one(
        self,
        command: list[bytes],
        job: dict[str, Any],
        streams: tuple[int, int, int],
        restrict: Callable[[], None] | None,
    ) -> tuple[int, bytes | str] | None:
        reading, writing = os.pipe()
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            _become(command, job, streams, restrict, keeper, writing)
        os.close(writing)
        self._statuses[pid] = None
        # The pipe ends when the program begins. A slow disk may hold that up, and must not hold up the end.
        self._watch.add(reading)
        give_up = None
        ready: list[int] = []
        while reading not in ready and not self._killing:
            ready = self._attend(None if give_up is None else give_up - time.monotonic())
            if self._stopping:
                give_up = give_up or time.monotonic() + job["grace"]
                if time.monotonic() > give_up:
                    break
        self._watch.remove(reading)
        data = os.read(reading, _CHUNK) if reading in ready else b""
        os.close(reading)
        error: tuple[int, bytes | str] | None = marshal.loads(data) if data else None
        return error

    def _end(self, grace: float, killed: float) -> list[int]:
        """End all that is left; returns what did not end."""
        give_up = time.monotonic() + grace
        if not self._killing and reap(self._ended):
            signal_below([os.getpid()], _signal.SIGTERM)
            while not self._killing and time.monotonic() < give_up and reap(self._ended):
                self._attend(give_up - time.monotonic())
        return kill_children(self._watch, self._ended, killed)


def _become(
    command: list[bytes],
    job: dict[str, Any],
    streams: tuple[int, int, int],
    restrict: Callable[[], None] | None,
    keeper: int,
    errors: int,
) -> NoReturn:
    """Become the command: in a child that was just forked."""
    about = b""
    try:
        _signal.set_wakeup_fd(-1)
        os.setsid()
        # Not for the clean-up: it makes a command that kills its keeper end too.
        prctl(PDEATHSIG, _signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(127)
        for number in _signal.valid_signals() - {_signal.SIGKILL, _signal.SIGSTOP}:
            _signal.signal(number, _signal.SIG_DFL)
        for stream, descriptor in enumerate(streams):
            os.dup2(descriptor, stream)
        about = job["directory"]
        os.chdir(about)
        about = b"landlock"
        if restrict is not None:
            restrict()
        about = command[0]
        os.execve(command[0], [os.path.basename(command[0]), *command[1:]], job["environment"])
    except BaseException as exc:  # border: the keeper is told, which reports it
        error = errno.ENOMEM if isinstance(exc, MemoryError) else getattr(exc, "errno", None) or errno.EINVAL
        os.write(errors, marshal.dumps((error, about)))
    finally:
        os._exit(127)
