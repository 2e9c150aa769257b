"""Children for tests: each writes down when it starts and ends, and does as it is told."""

from __future__ import annotations

from typing import Any

import trio

from alloy_trio.supervision import ChildSpec, grace


class Boom(Exception):
    pass


class Stage:
    """Where children play.

    Attributes:
        log: +name for each start, -name for each end, in order.
        refuses: how many more times a child's start is to fail, by name.
    """

    def __init__(self) -> None:
        self.log: list[str] = []
        self.refuses: dict[str, int] = {}
        self._told: dict[str, list[Any]] = {}
        self._cues: dict[str, trio.Event] = {}

    def spec(self, name: str, **options: Any) -> ChildSpec:
        """A child that runs until it is told to leave."""
        return ChildSpec(name, self.play, args=(name,), **options)

    def specs(self, names: str, **options: Any) -> list[ChildSpec]:
        """A child for each letter."""
        return [self.spec(name, **options) for name in names]

    async def play(self, name: str, *, task_status: trio.TaskStatus[str]) -> None:
        """A child."""
        if self.refuses.get(name, 0) > 0:
            self.refuses[name] -= 1
            self.log.append(f"!{name}")
            raise Boom(f"{name} does not start")
        cue = self._cues[name] = trio.Event()
        self.log.append(f"+{name}")
        task_status.started(f"{name} is ready")
        try:
            await cue.wait()
            error = self._told.pop(name)[0]
            if error is not None:
                raise error
        finally:
            self.log.append(f"-{name}")

    async def leave(self, name: str, error: BaseException | None = None) -> None:
        """Have a child return, or raise, and wait until what follows is done."""
        self._told[name] = [error]
        self._cues[name].set()
        await trio.testing.wait_all_tasks_blocked()

    async def crash(self, *names: str) -> None:
        """Have children fail, one after the other."""
        for name in names:
            await self.leave(name, Boom(f"{name} failed"))

    def take(self) -> str:
        """What was written down since the last time."""
        taken = " ".join(self.log)
        self.log.clear()
        return taken


async def holds_out(log: list[str], seconds: float) -> None:
    """A child whose clean-up takes a while."""
    try:
        await trio.sleep_forever()
    finally:
        began = trio.current_time()
        with grace() as held:
            await trio.sleep(seconds)
        log.append(f"{'cut off' if held.cancelled_caught else 'done'} after {trio.current_time() - began:g}")
