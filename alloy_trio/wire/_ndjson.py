"""Newline-delimited JSON from bytes: one value a line, as Ollama streams."""

from __future__ import annotations

from alloy_trio.values import MalformedReply

MAX_LINE_BYTES = 32 * 1024 * 1024
"""Bytes held of one unfinished line; as much as for a server-sent event."""


_AROUND = "\ufeff \t\r"
"""What may stand around a line's value."""


class LineParser:
    """Turns chunks of bytes into lines; any division of the same bytes gives the same lines.

    A line ends in LF; white space around it does not count, so CRLF and blank lines are fine. Other line
    separators of Unicode may stand in JSON strings and end nothing.

    Args:
        max_line_bytes: how long a line may be.
    """

    def __init__(self, *, max_line_bytes: int = MAX_LINE_BYTES) -> None:
        self._max = max_line_bytes
        self._partial = bytearray()

    def receive(self, chunk: bytes) -> list[tuple[str, str, str]]:
        """Take bytes, return the lines that they complete, each in the shape of an event.

        Raises:
            MalformedReply: a line grows beyond the limit.
        """
        whole, newline, rest = chunk.rpartition(b"\n")
        if not newline:
            self._partial += chunk
            self._check(len(self._partial))
            return []
        if self._partial:
            whole = bytes(self._partial) + whole
            self._partial.clear()
        if rest:
            self._partial += rest
            self._check(len(rest))
        if len(whole) > self._max:
            for each in whole.split(b"\n"):
                self._check(len(each))
        # No character of several bytes holds an LF, so the lines may be decoded together.
        events = []
        for line in whole.decode("utf-8", "replace").split("\n"):
            text = line.strip(_AROUND)
            if text:
                events.append(("message", text, ""))
        return events

    def may_hold_event(self) -> bool:
        """Whether the unfinished line may be a whole object."""
        return bool(self._partial) and self._partial[-1] in b"} \t\r"

    def pending(self) -> tuple[str, str, str] | None:
        """The unfinished line, as if it ended now."""
        text = _text(self._partial)
        return ("message", text, "") if text else None

    def _check(self, size: int) -> None:
        if size > self._max:
            raise MalformedReply(
                f"a line of the stream grew beyond {self._max} bytes without ending; "
                "the server does not send one JSON object a line as expected"
            )


def _text(line: bytes | bytearray) -> str:
    return line.decode("utf-8", "replace").strip(_AROUND)
