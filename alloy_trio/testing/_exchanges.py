"""What a replay server serves: recorded exchanges, how their bytes are cut, and what may go wrong. Pure."""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike
from typing import Any, Literal, TypeAlias

import attrs

from alloy_trio.values import ConfigurationError

Chunking: TypeAlias = Literal["whole", "events"] | int | Sequence[int]
"""How a body is cut: ``"whole"``; ``"events"``, after each blank line as a stream of events has them; every n
bytes; or pieces of the given sizes, the rest being the last piece."""

Framing: TypeAlias = Literal["length", "chunked", "close"]
"""How HTTP tells where the body ends: a Content-Length, chunked encoding (a client then sees the pieces
as they were cut), or the end of the connection."""

_FRAMING_HEADERS = frozenset(
    {"content-length", "transfer-encoding", "content-encoding", "connection", "keep-alive"}
)
_SECRETS = frozenset(
    {"authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie", "proxy-authorization"}
)
_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")


@attrs.frozen
class Hang:
    """The server says nothing more, until the client goes away.

    Args:
        after: bytes of the body sent before; None for silence instead of the status line.
    """

    after: int | None = None


@attrs.frozen
class Reset:
    """The connection is reset (TCP RST).

    Args:
        after: bytes of the body sent before; None for a reset instead of the status line.
    """

    after: int | None = None


@attrs.frozen
class Close:
    """The connection is closed in an orderly way (TCP FIN) before the body has ended.

    With ``"length"`` framing the body is then shorter than announced, with ``"chunked"`` its last chunk is
    missing, and with ``"close"`` HTTP sees nothing wrong: only the wire's own terminal event tells.

    Args:
        after: bytes of the body sent before; None for a close instead of the status line.
    """

    after: int | None = None


@attrs.frozen
class Answer:
    """Another answer than the recorded one: a gateway's page, or an error under status 200."""

    status: int
    body: bytes
    content_type: str = "application/json"
    headers: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Garbage:
    """Bytes that are not HTTP, then an orderly close."""

    data: bytes = b"\x16\x03\x01\x00\xa5SSH-2.0-not_http\r\n\x00\xff\r\n\r\n"


Fault: TypeAlias = Hang | Reset | Close | Answer | Garbage

BAD_GATEWAY = Answer(
    502,
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>upstream gone</body>\r\n</html>\r\n",
    "text/html",
)
"""The page of a proxy that could not reach the server behind it."""


@attrs.frozen(kw_only=True)
class Exchange:
    """One recorded request and its answer.

    Args:
        body: the answer's bytes.
        status: its HTTP status.
        headers: its headers, content type included; those that frame the body are the server's.
        path: the request's path.
        method: the request's method.
        request: the request's JSON; None when the recorder did not keep it.
        stream: the answer was streamed.
        id: names the exchange in messages.
        fault: what goes wrong instead of, or during, the answer.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=lambda: {"content-type": "application/json"})
    path: str = "/"
    method: str = "POST"
    request: Any = None
    stream: bool = False
    id: str = ""
    fault: Fault | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Exchange:
        """Read one record.

        It is a JSON object with ``body`` and, optionally, ``body_encoding`` ("base64"), ``status``,
        ``response_content_type``, ``response_headers``, ``method``, ``path``, ``request``, ``stream`` and
        ``id``.

        Raises:
            ConfigurationError: the record has no body, or its base64 is not valid.
        """
        name = record.get("id", "without an id")
        body = record.get("body")
        if not isinstance(body, str):
            raise ConfigurationError(f"the record {name} has no text as its 'body'; every record needs one")
        if record.get("body_encoding") == "base64":
            try:
                data = base64.b64decode(body, validate=True)
            except ValueError as exc:
                raise ConfigurationError(f"the record {name} says base64, but 'body' is not: {exc}") from exc
        else:
            data = body.encode("utf-8", "surrogatepass")
        kept = {
            key: str(value)
            for key, value in (record.get("response_headers") or {}).items()
            if key.lower() not in _FRAMING_HEADERS and key.lower() != "content-type"
        }
        content_type = record.get("response_content_type")
        return cls(
            body=data,
            status=record.get("status") or 200,
            headers={**({"content-type": content_type} if content_type else {}), **kept},
            path=record.get("path") or "/",
            method=record.get("method") or "POST",
            request=record.get("request"),
            stream=bool(record.get("stream")),
            id=str(record.get("id", "")),
        )


@attrs.frozen(kw_only=True)
class ReplayRequest:
    """A request as it arrived.

    Args:
        method: like ``"POST"``.
        path: with its query, as sent.
        headers: lower-case names with their values; a value that holds a key is replaced by ``"SCRUBBED"``.
        body: the bytes.
    """

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = attrs.field(repr=False)

    @classmethod
    def scrubbed(
        cls, method: str, path: str, headers: Iterable[tuple[str, str]], body: bytes
    ) -> ReplayRequest:
        """A request whose secrets are replaced, keys in the query included."""
        path = re.sub(r"(?i)([?&](?:key|api[-_]?key|access_token)=)[^&]*", r"\1SCRUBBED", path)
        kept = tuple((name, "SCRUBBED" if name in _SECRETS else value) for name, value in headers)
        return cls(method=method, path=path, headers=kept, body=body)

    @property
    def json(self) -> Any:
        """The decoded body, or None when it is not JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


def cut(body: bytes, chunking: Chunking) -> list[bytes]:
    """The pieces of a body; joined they are the body. No piece is empty.

    Raises:
        ConfigurationError: a size is not positive.
    """
    if isinstance(chunking, str):
        if chunking not in ("whole", "events"):
            raise ConfigurationError(
                f"chunking={chunking!r} is unknown; give 'whole', 'events', a size or a list of sizes"
            )
        ends = [match.end() for match in _END_OF_EVENT.finditer(body)] if chunking == "events" else []
    else:
        sizes = [chunking] if isinstance(chunking, int) else list(chunking)
        if any(size < 1 for size in sizes):
            raise ConfigurationError(f"chunking={chunking!r} holds a size below 1; sizes are in bytes")
        if isinstance(chunking, int):
            ends = list(range(chunking, len(body), chunking))
        else:
            ends = list(itertools.accumulate(sizes))
    offsets = [0, *(end for end in ends if end < len(body)), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(offsets) if start < end]


def read_records(path: str | PathLike[str]) -> list[dict[str, Any]]:
    """The records of a file with one JSON object a line; gzip when its name ends in ``.gz``.

    Raises:
        ConfigurationError: a line is not a JSON object; the message says which.
        OSError: the file cannot be read.
    """
    name = str(path)
    records = []
    with gzip.open(path, "rb") if name.endswith(".gz") else open(path, "rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as exc:
                raise ConfigurationError(f"{name}, line {number} is not JSON ({exc})") from exc
            if not isinstance(record, dict):
                raise ConfigurationError(f"{name}, line {number} is {type(record).__name__}, not an object")
            records.append(record)
    return records
