"""What providers around other providers share: they hold the inner ones open."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from alloy_trio.abc import Provider
from alloy_trio.values import ConfigurationError


class Around(Provider):
    """A provider that passes requests on to others. Its name and model are the first one's.

    Args:
        providers: the inner ones; entered with this one, each as often as this one is.

    Raises:
        ConfigurationError: one of them is no provider.
    """

    def __init__(self, *providers: Provider) -> None:
        for provider in providers:
            if not isinstance(provider, Provider):
                raise ConfigurationError(
                    f"{type(self).__name__} got {provider!r}, which is no provider; "
                    f"write {type(self).__name__}(Anthropic(model=…), …)"
                )
        self.inner = providers
        self.name = providers[0].name
        self.model = providers[0].model

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.inner))})"

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            for provider in self.inner:
                await stack.enter_async_context(provider)
            # All are open, so nothing is to be undone here. Any task may be the last to leave: the stack is not kept.
            stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        async with AsyncExitStack() as stack:
            for provider in self.inner:
                stack.push_async_exit(provider)


def with_inner(provider: Provider) -> Iterator[Provider]:
    """A provider and all that it passes requests on to, outer ones first."""
    yield provider
    for inner in provider.inner:
        yield from with_inner(inner)


def checked_seconds(what: str, value: float) -> float:
    """A number of seconds that was given as ``what``.

    Raises:
        ConfigurationError: it is none, or below zero.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or math.isnan(value) or value < 0:
        raise ConfigurationError(f"{what}={value!r} must be a number of seconds, 0 or more")
    return value
