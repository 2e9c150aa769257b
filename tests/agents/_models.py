"""Models and tools that the tests of agents share."""

from __future__ import annotations

from typing import Any

import trio

from alloy_trio import CompletionRequest, tool
from alloy_trio.providers import Scripted


def echo(request: CompletionRequest) -> str:
    """Answer with the last words of the user and how many messages there are."""
    return f"{request.messages[-1].text} ({len(request.messages)})"


class Model(Scripted):
    """As many answers as there are questions, each after a second."""

    def __init__(self, answer: Any = echo, turns: int = 100, seconds: float = 1.0, **names: Any) -> None:
        super().__init__([answer] * turns, **names)
        self.seconds = seconds

    async def answer(self, request: CompletionRequest) -> Any:
        await trio.sleep(self.seconds)
        return await super().answer(request)


class Entered(Model):
    """Counts by how many it is entered."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self.users = 0

    async def __aenter__(self) -> Any:
        self.users += 1
        return self

    async def __aexit__(self, *_: Any) -> None:
        self.users -= 1


@tool
async def look() -> str:
    """Take a second."""
    await trio.sleep(1)
    return "seen"
