"""The memory store that forgets."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import trio

from alloy_trio.abc import MemoryStore


class InMemoryStore(MemoryStore):
    """Keeps memory files as long as the program runs.

    Args:
        scopes: the texts by path, of each scope; it is changed in place. Plain JSON, so it can be kept anywhere.
    """

    def __init__(self, scopes: dict[str, dict[str, str]] | None = None) -> None:
        self.scopes = {} if scopes is None else scopes
        self._lock = threading.Lock()

    async def list(self, scope: str) -> Mapping[str, int]:
        await trio.lowlevel.checkpoint()
        with self._lock:
            return {path: len(text.encode()) for path, text in self.scopes.get(scope, {}).items()}

    async def read(self, scope: str, path: str) -> str | None:
        await trio.lowlevel.checkpoint()
        return self.scopes.get(scope, {}).get(path)

    async def write(self, scope: str, path: str, text: str, *, expected: str | None) -> bool:
        await trio.lowlevel.checkpoint()
        with self._lock:
            files = self.scopes.setdefault(scope, {})
            if files.get(path) != expected:
                return False
            files[path] = text
            return True

    async def delete(self, scope: str, path: str) -> bool:
        await trio.lowlevel.checkpoint()
        return self.scopes.get(scope, {}).pop(path, None) is not None

    async def rename(self, scope: str, old: str, new: str) -> bool:
        await trio.lowlevel.checkpoint()
        with self._lock:
            files = self.scopes.get(scope, {})
            if old not in files or new in files:
                return False
            files[new] = files.pop(old)
            return True
