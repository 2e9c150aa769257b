"""What tools keep for the time of a run or an agent, and what is closed with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar, cast

import trio

from ._private import PrivateDirectory


class Closable(Protocol):
    """Something that has to be closed."""

    async def aclose(self) -> None:
        """Close it; bounded in time by itself, also when it is shielded."""
        ...


T = TypeVar("T", bound=Closable)


class Belongings:
    """What the tools of one agent, or of one run without an agent, have opened.

    Attributes:
        private: the private directory.
    """

    def __init__(self) -> None:
        self.private = PrivateDirectory()
        self._kept: dict[str, Closable] = {}

    def setdefault(self, name: str, make: Callable[[], T]) -> T:
        """What is kept under a name; made now if there is nothing yet."""
        if name not in self._kept:
            self._kept[name] = make()
        return cast("T", self._kept[name])

    def renew(self) -> None:
        """Begin anew after :meth:`aclose`, for who goes on using it: a private directory may be made again."""
        self.private = PrivateDirectory()

    async def aclose(self) -> None:
        """Close everything, last opened first, and remove the private directory. Twice is once.

        *Cancellation*: does not keep anything from being closed; each bounds its own closing. It is not raised here,
        where it would take the place of an error that is under way.
        """
        with trio.CancelScope(shield=True):
            try:
                while self._kept:
                    await self._kept.popitem()[1].aclose()
            finally:
                if self.private.path is None:
                    self.private.close()  # nothing to remove, so no thread
                else:
                    await trio.to_thread.run_sync(self.private.close)
