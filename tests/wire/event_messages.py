"""Messages of Amazon's binary event stream, made by the book and without the package's decoder."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterable
from typing import Any


def header(name: str, kind: int, value: Any = None) -> bytes:
    """One header of the given type number."""
    packed = {
        0: lambda: b"",
        1: lambda: b"",
        2: lambda: struct.pack(">b", value),
        3: lambda: struct.pack(">h", value),
        4: lambda: struct.pack(">i", value),
        5: lambda: struct.pack(">q", value),
        6: lambda: struct.pack(">H", len(value)) + value,
        7: lambda: struct.pack(">H", len(value.encode())) + value.encode(),
        8: lambda: struct.pack(">q", value),
        9: lambda: value,
    }[kind]()
    return bytes([len(name.encode())]) + name.encode() + bytes([kind]) + packed


def framed(headers: bytes, payload: bytes) -> bytes:
    """A message around headers and payload."""
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    message = prelude + headers + payload
    return message + struct.pack(">I", zlib.crc32(message))


def message(name: str, value: Any, kind: str = "event") -> bytes:
    """A message as Bedrock sends it.

    Args:
        name: of the event or exception; an error's code.
        value: the payload, to be written as JSON; an error's words.
        kind: ``"event"``, ``"exception"`` or ``"error"``.
    """
    if kind == "error":
        headers = header(":error-code", 7, name) + header(":error-message", 7, value)
        return framed(headers + header(":message-type", 7, kind), b"")
    headers = header(f":{kind}-type", 7, name) + header(":content-type", 7, "application/json")
    return framed(headers + header(":message-type", 7, kind), json.dumps(value, ensure_ascii=False).encode())


def stream(events: Iterable[Any]) -> bytes:
    """Several messages: lists of a name, a value and perhaps a kind; a str is base64 of raw bytes."""
    return b"".join(base64.b64decode(e) if isinstance(e, str) else message(*e) for e in events)
