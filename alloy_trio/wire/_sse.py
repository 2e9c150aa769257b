"""Server-sent events from bytes.

Follows the WHATWG HTML standard, section 9.2. Lines end in LF, CR or CRLF and nothing else: text readers that
also split on U+2028, U+0085 or form feed cut JSON apart. Decoding works on whole lines of bytes, so a
character that is split over two chunks needs no care.
"""

from __future__ import annotations

from functools import partial
from itertools import repeat
from typing import NamedTuple

from alloy_trio.values import MalformedReply

MAX_EVENT_BYTES = 32 * 1024 * 1024
"""Bytes held for one unfinished event. Arbitrary; well above the largest inline image seen."""

_MAX_RETRY_DIGITS = 15
"""Beyond it the time is nonsense, and from 4,300 digits on Python refuses to read the number."""

_BOM = b"\xef\xbb\xbf"


class ServerSentEvent(NamedTuple):
    """One dispatched event."""

    event: str
    data: str
    id: str


_new_event = partial(tuple.__new__, ServerSentEvent)
"""Like calling the class, without a Python frame; takes a tuple of the three fields."""


class SSEParser:
    """Turns chunks of bytes into events; any division of the same bytes gives the same events.

    Args:
        max_event_bytes: how long an event's data, or a line, may be.

    Attributes:
        retry_ms: the last valid reconnection time, or None.
    """

    def __init__(self, *, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self.retry_ms: int | None = None
        self._max = max_event_bytes
        self._partial = bytearray()  # the line that has not ended
        self._skip_lf = False  # the last chunk ended in CR: an LF that follows belongs to it
        self._at_start = True  # the first line has not ended: a byte order mark may stand before it
        self._event = b""
        self._data: list[bytes] = []
        self._data_size = 0
        self._id = ""

    def receive(self, chunk: bytes) -> list[ServerSentEvent]:
        """Take bytes, return the events that they complete.

        Raises:
            MalformedReply: an event grows beyond the limit.
        """
        if self._skip_lf and chunk:
            self._skip_lf = False
            if chunk[0] == 0x0A:
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._skip_lf = chunk[-1] == 0x0D
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if b"\n" not in chunk:
            self._hold(chunk)
            return []
        if self._partial:
            self._partial += chunk
            chunk = bytes(self._partial)
            self._partial.clear()
        if self._at_start:
            self._at_start = False
            chunk = chunk.removeprefix(_BOM)
        # Where the chunk leaves room, none of its lines can be too long.
        may_overflow = self._data_size + len(chunk) > self._max
        events: list[ServerSentEvent] = []
        if not may_overflow:
            chunk = self._blocks(chunk, events)
        lines = chunk.split(b"\n")
        rest = lines.pop()
        for line in lines:
            if may_overflow:
                self._check(len(line))
            self._line(line, events)
        if rest:
            self._hold(rest)
        return events

    def _blocks(self, chunk: bytes, events: list[ServerSentEvent]) -> bytes:
        """Take the blocks that blank lines end; returns what stands after the last of these.

        Nearly all blocks are one data line, perhaps under an event line. To cut them out of the text whole
        takes half the time of going line by line.
        """
        if self._data or self._event:
            first, blank, after = chunk.partition(b"\n\n")
            if not blank:
                return chunk
            for line in (*first.split(b"\n"), b""):
                self._line(line, events)
            chunk = after
        whole, blank, after = chunk.rpartition(b"\n\n")
        if not blank:
            return chunk
        text = whole.decode("utf-8", "replace")
        if text.startswith("data: "):
            if "\n" not in text:
                events.append(_new_event(("message", text[6:], self._id)))
                return after
            pieces = text[6:].split("\n\ndata: ")
            if text.count("\n") == 2 * len(pieces) - 2:
                events += map(_new_event, zip(repeat("message"), pieces, repeat(self._id), strict=False))
                return after
        for block in text.split("\n\n"):
            start, mark, data = block.partition("data: ")
            if mark and "\n" not in data:
                if not start:
                    events.append(_new_event(("message", data, self._id)))
                    continue
                if start.startswith("event: ") and start.find("\n") == len(start) - 1:
                    events.append(_new_event((start[7:-1] or "message", data, self._id)))
                    continue
            for line in (*block.encode().split(b"\n"), b""):
                self._line(line, events)
        return after

    def pending(self) -> ServerSentEvent | None:
        """The event that has not been dispatched, as if a blank line came now.

        The standard discards it; some servers end their last event without the blank line, so a codec may
        look whether it is the terminal event, whole.
        """
        clone = SSEParser(max_event_bytes=self._max)
        clone._event, clone._data, clone._data_size = self._event, list(self._data), self._data_size
        clone._id, clone._at_start = self._id, self._at_start
        events = clone.receive(bytes(self._partial) + b"\n\n")
        return events[0] if events else None

    def may_hold_event(self) -> bool:
        """Whether :meth:`pending` may be a whole event of JSON data; cheap enough to ask after every byte."""
        if self._partial:
            return self._partial[-1] in b"}] "
        return bool(self._data)

    def _hold(self, piece: bytes) -> None:
        self._partial += piece
        size = len(self._partial)
        if size + self._data_size > self._max:
            self._check(size - len(_BOM) if self._at_start and self._partial.startswith(_BOM) else size)

    def _check(self, line_size: int) -> None:
        # By line, not by what happens to be held: the same bytes meet the limit however they come.
        if self._data_size + line_size > self._max:
            raise MalformedReply(
                f"an event of the stream grew beyond {self._max} bytes without ending; "
                "the server does not speak server-sent events as expected"
            )

    def _line(self, line: bytes, events: list[ServerSentEvent]) -> None:
        if line.startswith(b"data: "):
            self._data.append(line[6:])
            self._data_size += len(line) - 5
        elif line:
            self._field(line)
        else:
            self._dispatch(events)

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
            self._data_size += len(value) + 1
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) <= _MAX_RETRY_DIGITS:
            self.retry_ms = int(value)
        # Everything else, comments (empty name) included, is ignored by the standard.

    def _dispatch(self, events: list[ServerSentEvent]) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            events.append(
                ServerSentEvent(
                    self._event.decode("utf-8", "replace") if self._event else "message",
                    data.decode("utf-8", "replace"),
                    self._id,
                )
            )
            self._data = []
            self._data_size = 0
        self._event = b""
