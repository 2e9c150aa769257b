"""A JSON array of objects, taken apart while it arrives.

Gemini's stream without ``alt=sse`` is one JSON array whose elements come as they are made. The bytes are
looked at once, whatever the division: strings are skipped whole, and braces outside of them are counted.
"""

from __future__ import annotations

import re

from alloy_trio.values import MalformedReply

CLOSED = "closed"
"""The name of the event that is the array's end."""

MAX_ELEMENT_BYTES = 32 * 1024 * 1024
"""Bytes held for one unfinished element. Arbitrary; as for an event of a stream."""

# Whatever neither opens nor closes anything: whole strings, and what stands between them.
_RUN = re.compile(rb'(?:[^"\[\]{}]++|"(?:[^"\\]++|\\.)*+")*+', re.DOTALL)
_STRING_REST = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_BETWEEN = b" \t\r\n,"


class ArrayFraming:
    """Turns chunks of bytes into an event for each of an array's elements, and one for its end.

    Args:
        max_element_bytes: how long an element may be.
    """

    def __init__(self, *, max_element_bytes: int = MAX_ELEMENT_BYTES) -> None:
        self._max = max_element_bytes
        self._held = bytearray()  # from the beginning of the unfinished element on
        self._seen = 0  # how much of what is held has been looked at
        self._depth = 0  # 0 outside of the array, 1 between its elements
        self._closed = False
        self._in_string = False

    def receive(self, chunk: bytes) -> list[tuple[str, str, str]]:
        """Take bytes, return an event with the text of each element that they complete.

        Raises:
            MalformedReply: the bytes are no array of objects, or an element grows beyond the limit.
        """
        events: list[tuple[str, str, str]] = []
        if self._closed:
            return events
        self._held += chunk
        held = self._held
        start = 0  # of the unfinished element, or of what stands between two
        place = self._seen
        if self._in_string:
            place = self._string_rest(held, place)
        while not self._in_string:
            place = _end(_RUN, held, place)
            if place == len(held):
                break
            kind = held[place]
            if self._depth == 1 and kind not in b"{]":
                raise self._malformed(held[start:])
            if kind == 0x22:  # a string that goes on in the next chunk
                self._in_string = True
                place = self._string_rest(held, place + 1)
            elif kind in b"{[":
                if self._depth == 1:
                    self._check_between(held[start:place])
                    start = place
                self._depth += 1
                place += 1
                if self._depth == 1:
                    start = place
            else:
                self._depth -= 1
                place += 1
                if self._depth == 1:
                    self._check(place - start)
                    events.append(("", held[start:place].decode("utf-8", "replace"), ""))
                    start = place
                elif self._depth == 0:
                    self._check_between(held[start : place - 1])
                    self._closed = True
                    self._held = bytearray()
                    events.append((CLOSED, "", ""))
                    return events
        if start:
            self._held = held[start:]
        self._seen = place - start
        self._check(len(self._held))
        return events

    def may_hold_event(self) -> bool:
        """Never: an element ends by itself."""
        return False

    def pending(self) -> tuple[str, str, str] | None:
        """An array that has not been closed ends with nothing."""
        return None if self._closed or not self._depth else ("", "", "")

    def _string_rest(self, held: bytearray, place: int) -> int:
        end = _end(_STRING_REST, held, place)
        if held[end : end + 1] == b'"':
            self._in_string = False
            return end + 1
        return end  # at the end of the bytes, or at a backslash whose character has not come

    def _check_between(self, between: bytearray) -> None:
        if between.strip(_BETWEEN):
            raise self._malformed(between)

    def _check(self, size: int) -> None:
        if size > self._max:
            raise MalformedReply(f"an element of the stream grew beyond {self._max} bytes without ending")

    def _malformed(self, seen: bytearray) -> MalformedReply:
        text = seen.strip(_BETWEEN)[:80].decode("utf-8", "replace")
        return MalformedReply(f"the stream is an array, but not of objects: {text!r}")


def _end(pattern: re.Pattern[bytes], held: bytearray, place: int) -> int:
    match = pattern.match(held, place)  # these patterns match everywhere, if only nothing
    return match.end() if match is not None else place
