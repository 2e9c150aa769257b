"""Lines of JSON from bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.values import MalformedReply
from alloy_trio.wire._ndjson import LineParser


def lines_of(*chunks: bytes, end: bool = False) -> list[str]:
    parser = LineParser()
    events = [event for chunk in chunks for event in parser.receive(chunk)]
    if end and (last := parser.pending()) is not None:
        events.append(last)
    return [data for _, data, _ in events]


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"\n\n \r\n", []),
        (b'{"a":1}\n{"b":2}\n', ['{"a":1}', '{"b":2}']),
        (b'{"a":1}\r\n{"b":2}', ['{"a":1}', '{"b":2}']),
        (b' {"a":1} \n', ['{"a":1}']),
        (b'\xef\xbb\xbf{"a":1}\n', ['{"a":1}']),
        ('{"a":"\u2028\x0b\x0c\x1c\u0085"}\n'.encode(), ['{"a":"\u2028\x0b\x0c\x1c\u0085"}']),
        (b'{"a":"\xff"}\n', ['{"a":"\ufffd"}']),
    ],
)
def test_a_line_ends_in_a_newline_and_in_nothing_else(body: bytes, lines: list[str]) -> None:
    assert lines_of(body, end=True) == lines
    assert lines_of(*(body[at : at + 1] for at in range(len(body))), end=True) == lines


VALUES = st.lists(st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=3), max_size=6)


@given(values=VALUES, sizes=st.lists(st.integers(1, 30), max_size=20), ascii_only=st.booleans())
def test_any_values_come_back_from_any_division(
    values: list[dict[str, str]], sizes: list[int], ascii_only: bool
) -> None:
    text = "".join(json.dumps(value, ensure_ascii=ascii_only) + "\n" for value in values)
    body = text.encode("utf-8", "replace" if ascii_only else "surrogatepass")
    chunks, at = [], 0
    for size in sizes:
        chunks.append(body[at : at + size])
        at += size
    found = lines_of(*chunks, body[at:])
    assert len(found) == len(values)
    if ascii_only:
        assert [json.loads(line) for line in found] == values


def test_what_the_end_completes_is_pending() -> None:
    parser = LineParser()
    assert parser.receive(b'{"a":1}\n{"b"') == [("message", '{"a":1}', "")]
    assert not parser.may_hold_event()
    parser.receive(b":2}")
    assert parser.may_hold_event()
    assert parser.pending() == ("message", '{"b":2}', "")
    assert parser.pending() == ("message", '{"b":2}', "")


@pytest.mark.parametrize("size", [1, 3, 100])
def test_a_line_beyond_the_limit_is_refused_however_it_comes(size: int) -> None:
    def feed(body: bytes) -> None:
        parser = LineParser(max_line_bytes=10)
        for at in range(0, len(body), size):
            parser.receive(body[at : at + size])

    feed(b"0123456789\n" * 3)
    with pytest.raises(MalformedReply, match="10 bytes"):
        feed(b"01234567890\n0\n")
    with pytest.raises(MalformedReply, match="10 bytes"):
        feed(b"0\n01234567890")
