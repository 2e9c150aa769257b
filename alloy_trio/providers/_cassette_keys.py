"""The keys by which recorded exchanges are found. Pure.

A key is the SHA-256 of the JSON of the provider's name and model, the request without its messages, and the SHA-256 of
each message. In that JSON keys are sorted, and attributes that have their default are left out: so it depends neither
on the machine nor on the version of Python, nor on attributes that come to be later.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from typing import Any

import attrs

from alloy_trio.values import CompletionRequest, ConfigurationError, Message

from ._removing import Remover

MOST_REMEMBERED = 4096
"""Messages whose digests are kept. Arbitrary; more than the conversations that one provider is asked about at once."""


class Keys:
    """Requests without credentials, and their keys.

    A conversation mostly grows at its end. What was seen of it is not looked through again.

    Args:
        remover: takes the credentials out.
        name: the provider's name.
        model: its model.
    """

    def __init__(self, remover: Remover, name: str, model: str) -> None:
        self._remover = remover
        self._asked = [name, model]
        self._seen: dict[int, tuple[Message, Message, str]] = {}
        self._head: tuple[CompletionRequest, CompletionRequest, Any] | None = None

    def of(self, request: CompletionRequest) -> tuple[CompletionRequest, str]:
        """The request as it is recorded, and its key: 64 hexadecimal digits.

        Raises:
            ConfigurationError: the request holds what JSON cannot.
        """
        try:
            head, told = self._without_messages(request)
            messages = [self._message(message) for message in request.messages]
            key = _digest([*self._asked, told, [digest for _, digest in messages]])
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigurationError(
                f"a request with what JSON cannot hold is not recorded: {error}"
            ) from error
        return attrs.evolve(head, messages=tuple(message for message, _ in messages)), key

    def _without_messages(self, request: CompletionRequest) -> tuple[CompletionRequest, Any]:
        head = attrs.evolve(request, messages=())
        if self._head is None or not _same(self._head[0], head):
            kept = self._remover.value(head)
            self._head = (head, kept, _canonical(kept))
        return self._head[1:]

    def _message(self, message: Message) -> tuple[Message, str]:
        seen = self._seen.get(id(message))
        if seen is None:
            if len(self._seen) >= MOST_REMEMBERED:
                self._seen.clear()
            kept = self._remover.value(message)
            # The message is kept, and with it its id.
            seen = self._seen[id(message)] = (message, kept, _digest(_canonical(kept)))
        return seen[1:]


def _same(one: CompletionRequest, other: CompletionRequest) -> bool:
    """Whether all attributes are the same objects; equal ones may be told apart by JSON, as 1 and true are."""
    return all(
        getattr(one, field.name) is getattr(other, field.name) for field in attrs.fields(CompletionRequest)
    )


def _digest(canonical: Any) -> str:
    return hashlib.sha256(json.dumps(canonical, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _canonical(value: Any) -> Any:
    kind: Any = type(value)
    if attrs.has(kind):
        told: dict[str, Any] = {"type": kind.__name__}
        for name, default in _defaults(kind):
            held = getattr(value, name)
            if held != default or type(held) is not type(default):
                told[name] = base64.b64encode(held).decode() if isinstance(held, bytes) else _canonical(held)
        return told
    if isinstance(value, list | tuple):
        return [_canonical(item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"the keys {list(value)!r} are not all of type str")
        return {key: _canonical(item) for key, item in value.items()}
    return value


@functools.cache
def _defaults(cls: Any) -> tuple[tuple[str, Any], ...]:
    def default(field: attrs.Attribute[Any]) -> Any:
        made: Any = field.default
        return made.factory() if isinstance(made, attrs.Factory) else made  # type: ignore[arg-type]

    return tuple((field.name, default(field)) for field in attrs.fields(cls))
