"""The file of a recording: one exchange a line."""

from __future__ import annotations

import os
import re
import threading
from io import FileIO
from os import PathLike
from pathlib import Path

import attrs

from alloy_trio.values import ConfigurationError, LocalError

from ._cassette_lines import VERSION, Asked, Exchange

_HEAD = re.compile(rb'\{\s*"v"\s*:\s*(\d+)\s*[,}]')
_BEGINNING = b'{"v":'


@attrs.frozen
class Read:
    """What a file has: its exchanges with their lines, and whether its last line is cut off."""

    exchanges: tuple[tuple[int, Exchange], ...] = ()
    cut: bool = False


def read_recording(path: Path) -> Read:
    """Read a file. A last line without its end is what a crash left of it, and left out.

    Raises:
        ConfigurationError: it cannot be read, is no recording, or of a newer format. Names the line.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"the recording {path} cannot be read: {error.strerror or error}") from error
    lines = data.split(b"\n")
    tail = lines.pop()
    exchanges = tuple(
        (number, _exchange(path, number, line)) for number, line in enumerate(lines, 1) if line.strip()
    )
    if tail and not (tail.startswith(_BEGINNING) or _BEGINNING.startswith(tail)):
        raise ConfigurationError(f"{path}, line {len(lines) + 1} is no line of a recording")
    return Read(exchanges, bool(tail))


def _exchange(path: Path, number: int, line: bytes) -> Exchange:
    from alloy_trio.values import from_json

    version = _HEAD.match(line)
    if version is None:
        raise ConfigurationError(f"{path}, line {number} is no line of a recording")
    if int(version[1]) > VERSION:
        raise ConfigurationError(
            f"{path}, line {number} is of format {int(version[1])}, and this version reads format {VERSION}; "
            "install a newer alloy-trio"
        )
    try:
        exchange = from_json(line, Exchange)
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}, line {number} cannot be read: {error}") from error
    if (exchange.completion is not None) + (exchange.error is not None) + exchange.cancelled != 1:
        raise ConfigurationError(f"{path}, line {number} must have one end: completion, error or cancelled")
    return exchange


class Writer:
    """Appends exchanges to a file, each in one write, so that none is there by half.

    It stays open while it has users. Lines are a few kilobytes that go to the system's cache; the write is not worth
    a thread, which could not be waited for after a cancel. It may be used from several threads.

    Args:
        path: the file.
        mode: what becomes of a file that is there already: ``"new"``, an error; ``"append"``; ``"replace"``.
    """

    def __init__(self, path: Path, mode: str) -> None:
        self.path = path
        self._mode = mode
        self._lock = threading.Lock()
        self._users = 0
        self._file: FileIO | None = None
        self._number = 0
        self._broken: Exception | None = None

    def open(self) -> None:
        """Open it for one more user.

        Raises:
            ConfigurationError: it cannot be written, is there already, or is no recording.
        """
        with self._lock:
            if self._users == 0:
                try:
                    self._open()
                except OSError as error:
                    raise ConfigurationError(
                        f"the recording {self.path} cannot be written: {error.strerror or error}"
                    ) from error
                self._mode = "opened"
            self._users += 1

    def close(self) -> None:
        """One user less; the last closes the file."""
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._file is not None:
                self._file.close()
                self._file = None

    def number(self) -> int:
        """The next request's number.

        Raises:
            LocalError: a line could not be written before.
            ConfigurationError: the file is not open.
        """
        with self._lock:
            if self._file is None:
                raise ConfigurationError(
                    f"the recording {self.path} is not open; use record(…) inside `async with provider:`"
                )
            if self._broken is not None:
                raise self._lost(self._broken)
            self._number += 1
            return self._number

    def write(self, exchange: Exchange, *, cancelled: bool = False) -> None:
        """Append a line.

        Args:
            exchange: what to write.
            cancelled: raise nothing, since a cancel has to go on; the next request raises it.

        Raises:
            LocalError: it cannot be written. What was written of it is taken back.
        """
        from alloy_trio.values import to_json

        with self._lock:
            try:
                self._append(f"{to_json(exchange)}\n".encode())
            except (OSError, ConfigurationError) as error:
                self._broken = error
                if not cancelled:
                    raise self._lost(error) from error

    def _append(self, line: bytes) -> None:
        if self._file is None:
            raise ConfigurationError("it was left before the answer came")
        file = self._file.fileno()
        before = os.fstat(file).st_size
        written = 0
        try:
            while written < len(line):
                written += os.write(file, line[written:])
        except OSError:
            if written and os.fstat(file).st_size == before + written:
                os.ftruncate(file, before)
            raise

    def _open(self) -> None:
        file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - open until its last user leaves
        try:
            if self._mode == "replace":
                file.truncate(0)
            is_begun = os.fstat(file.fileno()).st_size > 0  # a pipe or a device has no size, and is not read
            if self._mode == "new" and is_begun:
                raise ConfigurationError(
                    f"the recording {self.path} is there already; remove it or take another name, or replay it and "
                    "record only what it lacks"
                )
            if self._mode == "append" and is_begun:
                self._continue(file)
        except BaseException:
            file.close()
            raise
        self._file = file

    def _continue(self, file: FileIO) -> None:
        there = read_recording(self.path)
        self._number = max((exchange.number for _, exchange in there.exchanges), default=0)
        if there.cut:
            # Half a line is of use to nobody, and the next one must not be joined to it.
            file.truncate(self.path.read_bytes().rfind(b"\n") + 1)

    def _lost(self, error: Exception) -> LocalError:
        why = getattr(error, "strerror", None) or error
        return LocalError(f"the recording {self.path} cannot be written: {why}; it ends before this request")


def whose(read: Read, wanted: str | None) -> Asked | None:
    """The provider of a file that was asked first, of those that are wanted; None if there is none.

    Args:
        read: the file.
        wanted: a provider's name, a model's, or both with a slash between; None for any.
    """
    asked = [exchange.provider for exchange in in_order(read)]
    return next((one for one in asked if wanted is None or wanted in (one.name, str(one), one.model)), None)


def in_order(read: Read) -> list[Exchange]:
    """The exchanges in the order in which they were asked for, without those that were asked again.

    Lines are in the order of the ends.
    """
    again = {(exchange.key, exchange.instead_of) for _, exchange in read.exchanges}
    valid = (one for _, one in read.exchanges if (one.key, one.number) not in again)
    return sorted(valid, key=lambda exchange: exchange.number)


def checked_path(file: str | PathLike[str]) -> Path:
    """The path of a recording.

    Raises:
        ConfigurationError: it is none.
    """
    if not isinstance(file, str | PathLike) or not os.fspath(file):
        raise ConfigurationError(f"{file!r} is no file's name; write record(provider, 'run.jsonl')")
    return Path(file)
