"""What a wire format is: requests to bytes, bytes to deltas and a completion. Pure.

A codec is a stateless description of one protocol. For every exchange it makes one :class:`WireRequest` and one
decoder. The decoder takes the answer's bytes in any division, streamed or whole, gives deltas on the way
and the completion at the end. It finds out by itself whether it reads a stream or a whole JSON body: servers
send either under the other's content type.

Ends are strict. A wire has a terminal event; without it :meth:`Decoder.finish` raises StreamTruncated, whatever
had arrived. ``finish`` changes nothing, so it may be asked after every byte.
"""

from __future__ import annotations

import copy
import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import attrs

from alloy_trio.values import (
    Completion,
    CompletionRequest,
    Delta,
    MalformedReply,
    Origin,
    RemoteError,
    StreamTruncated,
    Usage,
)

from ._json import dump, excerpt, load, parse_arguments, too_deep
from ._sse import SSEParser

MAX_BODY_BYTES = 64 * 1024 * 1024
"""Bytes held of a body that is not a stream. Arbitrary; no recorded answer comes near."""

_BEFORE_THE_TEXT = b"\xef\xbb\xbf \t\r\n"
"""White space, and the bytes of a byte order mark, which may come one at a time."""

UNEXPECTED = (TypeError, KeyError, AttributeError, IndexError, ValueError, RecursionError)
"""What reading a reply of an unexpected shape raises. Codecs look at what they need; that the rest has the types the
protocol says is not checked value by value, so these become MalformedReply at the border of the decoder."""

ThinkingOption: TypeAlias = str | int | Mapping[str, Any] | None
"""How much a model is asked to reason: an effort (``"low"``, ``"high"``), a budget in tokens, the vendor's own
object, or None for the vendor's default."""


@attrs.frozen(kw_only=True)
class WireSettings:
    """A configured model as the codec needs it; what the provider object's keywords said.

    Args:
        provider: the configured provider's name (for origins and error messages).
        model: the model to ask for.
        max_tokens: cap of the output; None for the wire's default.
        temperature: sampling temperature, or None to leave it out.
        thinking: see :data:`ThinkingOption`.
        extra_body: merged over the encoded body's top level, last.
    """

    provider: str
    model: str
    max_tokens: int | None = None
    temperature: float | None = None
    thinking: ThinkingOption = None
    extra_body: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def origin(self) -> Origin:
        """Who the messages of this configuration are by."""
        return Origin(self.provider, self.model)


@attrs.frozen(kw_only=True)
class WireRequest:
    """An encoded request: POST ``body`` to the base URL plus ``path``."""

    path: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes


class Codec(ABC):
    """One wire format."""

    @abstractmethod
    def encode(self, request: CompletionRequest, settings: WireSettings, *, stream: bool) -> WireRequest:
        """Render a request.

        Raises:
            ConfigurationError: the wire cannot carry something of the request.
        """

    @abstractmethod
    def decoder(self, settings: WireSettings) -> Decoder:
        """A fresh decoder for one answer with status 200."""

    def decoder_for(self, wire: WireRequest, settings: WireSettings) -> Decoder:
        """A fresh decoder for the answer to ``wire``; to most wires it does not matter what was asked."""
        return self.decoder(settings)

    def completion_from_error(self, settings: WireSettings, status: int, body: bytes) -> Completion | None:
        """An answer that the vendor dresses as an error (a blocked prompt); None when it is an error."""
        return None


class Framing(Protocol):
    """Cuts a stream's bytes into events: server-sent ones, or a wire's own in the same shape."""

    def receive(self, chunk: bytes) -> Iterable[tuple[str, str, str]]:
        """Take bytes, return the events that they complete: name, data, and what the wire says besides."""

    def may_hold_event(self) -> bool:
        """Whether :meth:`pending` may be a whole event; asked after every byte, so it has to be cheap."""

    def pending(self) -> tuple[str, str, str] | None:
        """The event that the stream's end would complete, if there is one."""


class Decoder(ABC):
    """Reads one answer. Subclasses say what an event, a whole body and the end mean.

    Attributes:
        usage: the last usage that the vendor reported, also when the answer then failed.
        terminated: the terminal event has been seen; what follows it is ignored.
        failure: the error that the stream reported, once the deltas before it were handed out.
    """

    def __init__(self, settings: WireSettings) -> None:
        self.settings = settings
        self.usage = Usage()
        self.terminated = False
        self.failure: RemoteError | None = None
        self.request_id: str | None = None
        """From the response's headers; the reader of the exchange sets it."""
        self._framing: Framing = self._new_framing()
        self._mode: str | None = None  # "stream" | "body"; None until the first byte that is not white space
        self._body: list[bytes] = []
        self._body_size = 0

    def receive(self, chunk: bytes) -> list[Delta]:
        """Take bytes of the answer, return the deltas that they complete.

        An error in the stream is kept in ``failure`` and raised by the next call: the deltas before it count, however
        the bytes were divided.

        Raises:
            RemoteError: the answer reports an error, or is not what the protocol says.
        """
        if self.failure is not None:
            raise self.failure
        if self.terminated:
            return []
        if self._mode is None:
            start = chunk.lstrip(_BEFORE_THE_TEXT)[:1]
            if start:
                self._mode = self._mode_of(start)
        if self._mode == "body":
            self._body.append(chunk)
            self._body_size += len(chunk)
            if self._body_size > MAX_BODY_BYTES:
                raise MalformedReply(f"the answer's body grew beyond {MAX_BODY_BYTES} bytes")
            return []
        deltas: list[Delta] = []
        try:
            for event, data, _ in self._framing.receive(chunk):
                self._on_event(event, data, deltas)
                if self.terminated:
                    break
        except RemoteError as error:
            error.provider = (
                error.provider or self.settings.provider
            )  # the framing does not know whose bytes it cuts
            self.failure = error
        except UNEXPECTED as error:
            self.failure = self._odd(error)
        return deltas

    def receive_end(self) -> list[Delta]:
        """The bytes have ended: the deltas of a last event that no blank line ended.

        The standard discards such an event. Servers that forget the blank line mean it; of one that was cut in the
        middle nothing is taken.
        """
        if (
            self.failure is not None
            or self.terminated
            or self._mode == "body"
            or not self._framing.may_hold_event()
        ):
            return []
        pending, self._framing = self._framing.pending(), self._new_framing()
        deltas: list[Delta] = []
        if pending is not None:
            try:
                self._on_event(pending[0], pending[1], deltas)
            except MalformedReply:
                return []
            except RemoteError as error:
                self.failure = error
            except UNEXPECTED as error:
                self.failure = self._odd(error)
        return deltas

    @property
    def streamed(self) -> bool:
        """Whether the answer came as a stream. A whole body gives no deltas, also when a stream was asked for."""
        return self._mode != "body"

    def finish(self) -> Completion:
        """The completion, once the answer's bytes have ended. Changes nothing but ``usage``.

        Raises:
            StreamTruncated: the terminal event did not come.
            MalformedReply: the body is not what the protocol says.
            RemoteError: a whole body that reports an error, or the stream's ``failure``.
        """
        if self.failure is not None:
            raise self.failure
        try:
            return self._conclude()
        except UNEXPECTED as error:
            raise self._odd(error) from error

    def _conclude(self) -> Completion:
        if self._mode == "body":
            whole = copy.copy(self)
            try:
                whole._on_body(self._parse_body())
                return whole._complete()
            finally:
                self.usage = whole.usage
        if not self.terminated and self._framing.may_hold_event():
            ended = copy.deepcopy(self)
            ended.receive_end()
            if ended.failure is not None:
                raise ended.failure
            return ended._complete() if ended.terminated else ended._complete_at_eof()
        return self._complete() if self.terminated else self._complete_at_eof()

    def _new_framing(self) -> Framing:
        """What cuts this wire's streams into events."""
        return SSEParser()

    def _mode_of(self, start: bytes) -> str:
        """Whether an answer whose text begins with this byte is a ``"stream"`` or one ``"body"``.

        A wire whose streams are JSON overrides it, and may choose another framing here.
        """
        return "body" if start in b'{[<"' else "stream"

    @abstractmethod
    def _on_event(self, event: str, data: str, deltas: list[Delta]) -> None:
        """Take one event: update the state, append deltas, set ``terminated`` at the terminal event.

        Raises MalformedReply when ``data`` is not what the wire says, another RemoteError when the event reports
        an error.
        """

    @abstractmethod
    def _on_body(self, body: Any) -> None:
        """Take a whole decoded JSON body. Must assign state, not mutate what it shares: it runs on a shallow copy."""

    @abstractmethod
    def _complete(self) -> Completion:
        """The completion, after ``terminated`` or a whole body."""

    def _complete_at_eof(self) -> Completion:
        """The bytes ended without the terminal event. Overridden where a dialect allows that."""
        raise StreamTruncated(
            "the answer ended before its terminal event; it is incomplete and was not used",
            provider=self.settings.provider,
        )

    def _odd(self, error: Exception) -> MalformedReply:
        """The error for a reply that is JSON, but not of the shape that the wire says."""
        odd = MalformedReply(
            f"the answer is not what the protocol says: {type(error).__name__}: {excerpt(str(error))}",
            provider=self.settings.provider,
            request_id=self.request_id,
        )
        odd.__cause__ = error
        return odd

    def _parse_body(self) -> Any:
        text = b"".join(self._body)
        try:
            return json.loads(text)
        except ValueError as exc:
            if _is_cut(text, exc):
                raise StreamTruncated(
                    "the answer's JSON body ended early; it is incomplete and was not used",
                    provider=self.settings.provider,
                ) from None
            raise MalformedReply(
                f"the answer is neither JSON nor a stream of events: {excerpt(text)}",
                provider=self.settings.provider,
            ) from exc

    def _load(self, data: str) -> Any:
        """One event's data as a JSON object."""
        try:
            value = load(data)
        except ValueError as exc:
            raise MalformedReply(
                f"an event of the stream is not JSON: {excerpt(data)}", provider=self.settings.provider
            ) from exc
        if not isinstance(value, dict):
            raise MalformedReply(
                f"an event of the stream is not an object: {excerpt(data)}", provider=self.settings.provider
            )
        return value


def _is_cut(text: bytes, error: ValueError) -> bool:
    # A prefix of valid JSON fails at its end or inside an unterminated string; other damage fails earlier.
    if text.lstrip()[:1] not in (b"{", b"["):
        return False
    if not isinstance(error, json.JSONDecodeError):
        return isinstance(error, UnicodeDecodeError)  # a character was cut
    return error.msg.startswith("Unterminated string") or error.pos >= len(error.doc.rstrip()) - 8


__all__ = [
    "Codec",
    "Decoder",
    "Framing",
    "RemoteError",
    "ThinkingOption",
    "WireRequest",
    "WireSettings",
    "dump",
    "excerpt",
    "load",
    "parse_arguments",
    "too_deep",
]
