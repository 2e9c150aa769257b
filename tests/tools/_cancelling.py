"""Cancels that meet work in a thread at a known place."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from alloy_trio.tools._threads import stop_if_cancelled


async def cancelled_while_it_looks(
    work: Callable[[], object], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancel work in a thread at the moment that it asks for the first time; it has to end there."""
    scope = trio.CancelScope()
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        trio.from_thread.run_sync(scope.cancel)
        stop_if_cancelled()

    monkeypatch.setattr(f"{module}.stop_if_cancelled", ask)
    with scope:
        await trio.to_thread.run_sync(work)
    assert scope.cancelled_caught
    assert asked == 1
