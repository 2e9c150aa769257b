"""Events from bytes of Amazon's binary event stream. Source: docs.aws.amazon.com, "Event stream encoding".

A message is a prelude (length of the message, length of its headers, CRC of these eight bytes), headers, a
payload, and a CRC of everything before it; numbers are big-endian. So a message ends where its prelude says:
there is never a last event that merely lacks its terminator, and a wrong length is found before anything is
waited for.

Messages of one kind carry the same headers, byte for byte, so what they mean is looked up by these bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from struct import Struct
from struct import error as StructError
from typing import TypeAlias
from zlib import crc32

from alloy_trio.values import MalformedReply

MAX_HEADERS_BYTES = 128 * 1024
"""Longest headers of one message; the limit of the vendor's own client."""

MAX_MESSAGE_BYTES = 24 * 1024 * 1024 + MAX_HEADERS_BYTES + 16
"""Longest message: 24 MB of payload, as the vendor's own client has it."""

_MAX_KNOWN_HEADERS = 64
"""How many different headers are remembered. A stream has about six."""

_PRELUDE = Struct(">III")
_CRC = Struct(">I")
_FIXED: dict[int, Struct] = {
    2: Struct(">b"),
    3: Struct(">h"),
    4: Struct(">i"),
    5: Struct(">q"),
    8: Struct(">q"),
}
_LENGTH = Struct(">H")
_UUID_BYTES = 16
_SMALLEST = _PRELUDE.size + _CRC.size

HeaderValue: TypeAlias = str | bytes | int | bool


class EventStreamParser:
    """Turns chunks of bytes into events; any division of the same bytes gives the same events.

    An event is named by its ``:event-type``. A message that reports an error is named
    ``exception:<its :exception-type>`` or ``error:<its :error-code>``; no event of a service is named so.
    """

    def __init__(self) -> None:
        self._held = bytearray()  # the message that has not ended
        self._need = _PRELUDE.size  # below this size nothing can be said about it
        self._known: dict[bytes, str] = {}

    @property
    def is_between_messages(self) -> bool:
        """Whether no message has begun that has not ended."""
        return not self._held

    def receive(self, chunk: bytes) -> Iterator[tuple[str, str, str]]:
        """Take bytes, give the events that they complete: name, payload, and an empty string.

        Has to be read to its end, unless nothing more will be read at all.

        Raises:
            MalformedReply: a checksum is wrong, or something is longer than the limits; after the events
                before it were given.
        """
        if self._held:
            self._held += chunk
            if len(self._held) < self._need:
                return
            chunk = bytes(self._held)
            self._held.clear()
        view = memoryview(chunk)
        at, size = 0, len(chunk)
        need = _PRELUDE.size
        while size - at >= need:
            total, headers_length, prelude_crc = _PRELUDE.unpack_from(chunk, at)
            crc = crc32(view[at : at + 8])
            if crc != prelude_crc:
                raise _damaged("the checksum of a message's lengths is wrong")
            if total > MAX_MESSAGE_BYTES or headers_length > MAX_HEADERS_BYTES:
                raise _damaged(
                    f"a message of {total} bytes, {headers_length} of headers, is beyond the limits"
                )
            if total < _SMALLEST + headers_length:
                raise _damaged(f"a message of {total} bytes says that {headers_length} of them are headers")
            if size - at < total:
                need = total
                break
            end = at + total - _CRC.size
            if crc32(view[at + 8 : end], crc) != _CRC.unpack_from(chunk, end)[0]:
                raise _damaged("the checksum of a message is wrong")
            start = at + _PRELUDE.size + headers_length
            raw = chunk[at + _PRELUDE.size : start]
            payload = str(view[start:end], "utf-8", "replace")
            name = self._known.get(raw)
            if name is None:
                name, payload = self._read(raw, payload)
            yield name, payload, ""
            at += total
        if at < size:
            self._held += view[at:]
        self._need = need

    def may_hold_event(self) -> bool:
        """Never: a message that is not whole is not an event."""
        return False

    def pending(self) -> None:
        """Nothing: the end of the bytes completes no message."""

    def _read(self, raw: bytes, payload: str) -> tuple[str, str]:
        headers = parse_headers(raw)
        kind = headers.get(":message-type")
        if kind == "exception":
            return "exception:" + _text(headers, ":exception-type"), payload
        if kind == "error":
            code = _text(headers, ":error-code")
            return "error:" + code, json.dumps({"code": code, "message": _text(headers, ":error-message")})
        name = _text(headers, ":event-type")
        if len(self._known) < _MAX_KNOWN_HEADERS:
            self._known[raw] = name
        return name, payload


def parse_headers(raw: bytes) -> dict[str, HeaderValue]:
    """A message's headers. Times are milliseconds since the epoch, UUIDs their 16 bytes.

    Raises:
        MalformedReply: they are cut, of an unknown type, or one comes twice.
    """
    headers: dict[str, HeaderValue] = {}
    at = 0
    try:
        while at < len(raw):
            begin = at + 1
            at = begin + raw[at]
            name = raw[begin:at].decode()
            value, at = _value(raw, at)
            if at > len(raw):
                raise IndexError(at)
            if name in headers:
                raise _damaged(f"a message has the header {name!r} twice")
            headers[name] = value
    except (LookupError, ValueError, StructError) as exc:
        raise _damaged("the headers of a message cannot be read") from exc
    return headers


def _text(headers: dict[str, HeaderValue], name: str) -> str:
    value = headers.get(name)
    return value if isinstance(value, str) else ""


def _value(raw: bytes, at: int) -> tuple[HeaderValue, int]:
    """The value whose type stands at ``at``, and where it ends."""
    kind = raw[at]
    at += 1
    if kind in (0, 1):
        return kind == 0, at
    if kind in (6, 7):
        begin = at + 2
        at = begin + _LENGTH.unpack_from(raw, at)[0]
        value = raw[begin:at]
        return (value if kind == 6 else value.decode()), at
    if kind == 9:
        return raw[at : at + _UUID_BYTES], at + _UUID_BYTES
    fixed = _FIXED[kind]
    return fixed.unpack_from(raw, at)[0], at + fixed.size


def _damaged(what: str) -> MalformedReply:
    return MalformedReply(f"the binary event stream is damaged: {what}; the answer was not used")
