"""Providers, seen at their classes: while a sweep goes on, each looks whether it is asked inside of that.

The place where the engine asks would not show what a provider does that is laid around another, and that is where
retries are written. A provider that says what it is laid around (``inner``) makes no exchange itself.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.values import Completion, CompletionRequest

from ._observed import asked_inside, observation

_lock = threading.Lock()
_replaced: list[tuple[type, str, Any]] = []
_sweeps = 0


@contextmanager
def providers_seen() -> Iterator[None]:
    """Let all providers be seen, also those whose classes are made inside of the block."""
    global _sweeps
    with _lock:
        _sweeps += 1
        if _sweeps == 1:
            _see(Provider)
            _replace(Provider, "__init_subclass__", classmethod(_made))
    try:
        yield
    finally:
        with _lock:
            _sweeps -= 1
            if not _sweeps:
                for seen, name, original in reversed(_replaced):
                    if original is None:
                        delattr(seen, name)
                    else:
                        setattr(seen, name, original)
                _replaced.clear()


def _made(cls: type[Any], /, **kwargs: Any) -> None:
    super(Provider, cls).__init_subclass__(**kwargs)
    _see(cls)


def _see(cls: type[Any]) -> None:
    for name, around in (("complete", _complete), ("stream", _stream)):
        original = vars(cls).get(name)
        abstract = getattr(original, "__isabstractmethod__", False)
        if inspect.isfunction(original) and not abstract and not hasattr(original, "_seen"):
            _replace(cls, name, around(original))
    for below in cls.__subclasses__():
        _see(below)


def _replace(cls: type, name: str, by: Any) -> None:
    _replaced.append((cls, name, vars(cls).get(name)))
    setattr(cls, name, by)


def _complete(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def complete(self: Provider, request: CompletionRequest) -> Completion:
        seen = observation.get()
        if seen is None:
            completion: Completion = await original(self, request)
            return completion
        if _is_part(self):
            return await seen.part(self, lambda asked, _: original(self, asked), request, None)
        return await seen.exchange(self, lambda asked, _: original(self, asked), request, None)

    complete._seen = True  # type: ignore[attr-defined]
    return complete


def _stream(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def stream(self: Provider, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        seen = observation.get()
        if seen is None:
            completion: Completion = await original(self, request, deltas)
            return completion
        if _is_part(self):
            return await seen.part(self, lambda asked, sink: original(self, asked, sink), request, deltas)
        return await seen.exchange(self, lambda asked, sink: original(self, asked, sink), request, deltas)

    stream._seen = True  # type: ignore[attr-defined]
    return stream


def _is_part(provider: Provider) -> bool:
    """Whether a call is a part of an exchange that is seen already, or of several that will be."""
    return bool(provider.inner) or any(each is provider for each in asked_inside.get())
