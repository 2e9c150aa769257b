"""The private directory of an agent: where output goes that is too long to show.

It is made when it is first needed and goes with the agent. Only ``read`` opens what is in it.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import BinaryIO

_DIRECTORY = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)


class PrivateDirectory:
    """A directory of one agent, or of one run without an agent.

    Attributes:
        path: where it is; None until something was put into it, and after it was removed.
    """

    def __init__(self) -> None:
        self.path: Path | None = None
        self._count = 0
        self._closed = False
        self._directory: int | None = None
        self._lock = threading.Lock()  # calls run in threads of several limiters

    def create(self, stem: str) -> BinaryIO:
        """Open a new file in it for writing; its name is ``file.name``. Touches the disk, so call it in a thread.

        Args:
            stem: what the file's name begins with; a number and ``.txt`` follow.

        Raises:
            OSError: it cannot be written there.
            ValueError: the directory has been removed.
        """
        with self._lock:
            if self._closed:
                raise ValueError("the private directory has been removed with its agent")
            if self.path is None:
                # mkdtemp: nobody else may enter it. Resolved, so that paths in it compare equal to resolved ones.
                self.path = Path(os.path.realpath(tempfile.mkdtemp(prefix="alloy-")))
            if self._directory is None and os.open in os.supports_dir_fd:
                self._directory = os.open(self.path, _DIRECTORY)
            self._count += 1
            return open(self.path / f"{stem}-{self._count}.txt", "xb", opener=self._open)

    def _open(self, path: str, flags: int) -> int:
        # Below the directory that was made: a command may have put a link in its place, to have us write elsewhere.
        name = path if self._directory is None else os.path.basename(path)
        return os.open(name, flags | getattr(os, "O_CLOEXEC", 0), 0o600, dir_fd=self._directory)

    def holds(self, resolved: Path) -> bool:
        """Whether a resolved path is inside."""
        return self.path is not None and self.path in resolved.parents

    def close(self) -> None:
        """Remove it with all that is in it. Twice is once. Touches the disk, so call it in a thread.

        What cannot be removed is left behind.
        """
        with self._lock:
            self._closed = True
            path, self.path = self.path, None
            directory, self._directory = self._directory, None
        if directory is not None:
            os.close(directory)
        if path is not None:
            shutil.rmtree(path, ignore_errors=True)
