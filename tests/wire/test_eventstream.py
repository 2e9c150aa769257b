"""The binary event stream, against its description and against the vendor's own decoder."""

from __future__ import annotations

import struct
import time
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.values import MalformedReply
from alloy_trio.wire._eventstream import (
    MAX_HEADERS_BYTES,
    MAX_MESSAGE_BYTES,
    EventStreamParser,
    parse_headers,
)

from .event_messages import framed, header, message

Event = tuple[str, str, str]


def read(*chunks: bytes) -> list[Event]:
    parser = EventStreamParser()
    return [event for chunk in chunks for event in parser.receive(chunk)]


TWO = message("first", {"a": 1}) + message("second", {"b": "ü \u2028"})


def test_messages_become_events_named_by_their_type() -> None:
    assert read(TWO) == [("first", '{"a": 1}', ""), ("second", '{"b": "ü \u2028"}', "")]


def test_exceptions_and_errors_are_named_apart_from_events() -> None:
    exception = message("throttlingException", {"message": "slow"}, "exception")
    error = message("InternalError", "it broke", "error")
    assert read(exception + error) == [
        ("exception:throttlingException", '{"message": "slow"}', ""),
        ("error:InternalError", '{"code": "InternalError", "message": "it broke"}', ""),
    ]


def test_an_exception_is_not_remembered_as_an_event_with_the_same_headers() -> None:
    exception = message("x", {"message": "1"}, "exception")
    assert [name for name, _, _ in read(exception + exception)] == ["exception:x"] * 2


def test_one_byte_at_a_time_gives_the_same() -> None:
    assert read(*(TWO[i : i + 1] for i in range(len(TWO)))) == read(TWO)


def test_nothing_is_given_before_a_message_is_whole() -> None:
    parser = EventStreamParser()
    first = len(message("first", {"a": 1}))
    for at in range(first - 1):
        assert list(parser.receive(TWO[at : at + 1])) == []
        assert not parser.is_between_messages
        assert not parser.may_hold_event()
        assert parser.pending() is None
    assert len(list(parser.receive(TWO[first - 1 : first]))) == 1
    assert parser.is_between_messages


@given(data=st.data())
@settings(max_examples=60)
def test_any_division_gives_the_same(data: Any) -> None:
    ends = sorted(data.draw(st.lists(st.integers(0, len(TWO)), max_size=6)))
    pieces = [TWO[a:b] for a, b in zip([0, *ends], [*ends, len(TWO)], strict=True)]
    assert read(*pieces) == read(TWO)


# ---- damage


def test_no_damaged_byte_gives_another_event() -> None:
    whole = read(TWO)
    for at in range(len(TWO)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(TWO)
            damaged[at] ^= flip
            parser, events = EventStreamParser(), []
            with pytest.raises(MalformedReply, match="damaged"):
                events.extend(parser.receive(bytes(damaged)))
            assert events == whole[: len(events)]
            assert len(events) == (at >= len(message("first", {"a": 1})))


def test_a_wrong_length_is_found_with_its_checksum_and_not_waited_for() -> None:
    parser = EventStreamParser()
    with pytest.raises(MalformedReply, match="lengths"):
        list(parser.receive(struct.pack(">III", 2_000_000_000, 0, 12345)))


@pytest.mark.parametrize(
    ("total", "headers", "words"),
    [
        (MAX_MESSAGE_BYTES + 1, 0, "limits"),
        (200_000, MAX_HEADERS_BYTES + 1, "limits"),
        (15, 0, "headers"),
        (100, 85, "headers"),
    ],
)
def test_lengths_that_cannot_be_are_refused(total: int, headers: int, words: str) -> None:
    prelude = struct.pack(">II", total, headers)
    with pytest.raises(MalformedReply, match=words):
        read(prelude + struct.pack(">I", zlib.crc32(prelude)))


def test_the_smallest_message_is_an_event_without_name_and_payload() -> None:
    assert read(framed(b"", b"")) == [("", "", "")]


@pytest.mark.parametrize(
    "raw",
    [
        b"\x05abc",  # the name is cut
        header("a", 7, "value")[:-1],
        header("a", 5, 1)[:-1],
        header("a", 9, bytes(16))[:-1],
        b"\x01a\x63",  # no such type
        b"\x01a",
        b"\x01a\x07\x00\x01\xff",  # not UTF-8
        b"\x01\xff\x00",
        header("a", 0) * 2,
    ],
)
def test_headers_that_cannot_be_read_are_damage(raw: bytes) -> None:
    with pytest.raises(MalformedReply, match="header"):
        parse_headers(raw)


def test_headers_that_are_not_understood_do_not_harm() -> None:
    headers = header("x", 9, bytes(16)) + header(":event-type", 7, "first") + header("y", 4, -1)
    assert read(framed(headers, b"{}")) == [("first", "{}", "")]
    assert read(framed(header(":event-type", 4, 7), b"{}")) == [("", "{}", "")]


def test_payloads_of_many_kinds_of_events_are_told_apart() -> None:
    events = [(f"event{i}", str(i)) for i in range(200)] * 2
    body = b"".join(
        framed(header(":event-type", 7, name) + header(":message-type", 7, "event"), data.encode())
        for name, data in events
    )
    assert [(name, data) for name, data, _ in read(body)] == events


# ---- the vendor's own decoder

_VALUES = st.one_of(
    st.tuples(st.sampled_from([0, 1]), st.none()),
    st.tuples(st.just(2), st.integers(-(2**7), 2**7 - 1)),
    st.tuples(st.just(3), st.integers(-(2**15), 2**15 - 1)),
    st.tuples(st.just(4), st.integers(-(2**31), 2**31 - 1)),
    st.tuples(st.sampled_from([5, 8]), st.integers(-(2**63), 2**63 - 1)),
    st.tuples(st.just(6), st.binary(max_size=40)),
    st.tuples(st.just(7), st.text(max_size=40)),
    st.tuples(st.just(9), st.binary(min_size=16, max_size=16)),
)
_HEADERS = st.dictionaries(st.text(min_size=1, max_size=12), _VALUES, max_size=5)


@given(messages=st.lists(st.tuples(_HEADERS, st.binary(max_size=80)), max_size=4), data=st.data())
@settings(max_examples=150, deadline=None)
def test_the_vendors_own_decoder_reads_the_same(messages: list[Any], data: Any) -> None:
    eventstream = pytest.importorskip("botocore.eventstream", reason="the vendor's client is not installed")
    raws = [
        b"".join(header(name, kind, value) for name, (kind, value) in headers.items())
        for headers, _ in messages
    ]
    body = b"".join(framed(raw, payload) for raw, (_, payload) in zip(raws, messages, strict=True))
    theirs = eventstream.EventStreamBuffer()
    theirs.add_data(body)
    read_by_them = list(theirs)
    assert [parse_headers(raw) for raw in raws] == [event.headers for event in read_by_them]
    at = data.draw(st.integers(0, len(body)))
    ours = read(body[:at], body[at:])
    for (name, payload, _), event in zip(ours, read_by_them, strict=True):
        if event.headers.get(":message-type") not in ("exception", "error"):
            assert payload == event.payload.decode("utf-8", "replace")
            expected = event.headers.get(":event-type", "")
            assert name == (expected if isinstance(expected, str) else "")


def test_an_event_costs_a_few_microseconds() -> None:
    """Far from the measured 1.5, so that a busy machine does not fail it."""
    body = (
        message("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "word "}, "p": "abc"}) * 5000
    )
    best = min(_timed(body) for _ in range(3))
    assert best / 5000 < 15e-6


def _timed(body: bytes) -> float:
    start = time.process_time()
    parser = EventStreamParser()
    for at in range(0, len(body), 16_384):
        for _ in parser.receive(body[at : at + 16_384]):
            pass
    return time.process_time() - start
