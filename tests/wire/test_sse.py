"""Server-sent events are what the standard says, however the bytes are divided."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from alloy_trio.values import MalformedReply
from alloy_trio.wire._sse import ServerSentEvent, SSEParser

from .recordings import body_of, cuts, load, shared

Events = list[tuple[str, str, str]]


def reference(stream: bytes) -> tuple[Events, int | None]:
    """The standard's section 9.2.6 word by word: decode everything, then go through the lines."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _unfinished = re.split("\r\n|\n|\r", text)
    events: Events = []
    data, event_type, last_id, retry = "", "", "", None
    for line in lines:
        if line == "":
            if data != "":
                events.append((event_type or "message", data.removesuffix("\n"), last_id))
            data, event_type = "", ""
        elif line.startswith(":"):
            continue
        else:
            field, colon, value = line.partition(":")
            if colon and value.startswith(" "):
                value = value[1:]
            if field == "event":
                event_type = value
            elif field == "data":
                data += value + "\n"
            elif field == "id" and "\0" not in value:
                last_id = value
            elif field == "retry" and re.fullmatch("[0-9]{1,15}", value):
                retry = int(value)
    return events, retry


def parse(chunks: Iterable[bytes]) -> tuple[Events, int | None]:
    parser = SSEParser()
    events: Events = []
    for chunk in chunks:
        events.extend(tuple(event) for event in parser.receive(chunk))
    return events, parser.retry_ms


def bytewise(stream: bytes) -> Iterator[bytes]:
    return (stream[i : i + 1] for i in range(len(stream)))


# ---- the vectors


def vectors() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((shared() / "conformance" / "sse_vectors.json").read_text())[
        "vectors"
    ]
    return found


def vector(item: dict[str, Any]) -> tuple[bytes, Events, int | None]:
    if "rule" not in item:
        events = [(event["event"], event["data"], event["id"]) for event in item["events"]]
        return base64.b64decode(item["input_b64"]), events, item["retry"]
    field, text, count, joint = item["rule"]
    lines = [text] * count if joint == "\n" else [text * count]
    stream = "".join(f"{field}: {line}\n" for line in lines) + "\n"
    return stream.encode(), [("message", "\n".join(lines), "")], item["retry"]


def test_every_vector_holds_whole_bytewise_and_split_at_every_offset() -> None:
    for item in vectors():
        stream, events, retry = vector(item)
        expected = (events, retry)
        assert parse([stream]) == expected, item["name"]
        assert parse(bytewise(stream)) == expected, item["name"]
        size = len(stream)
        # The two generated vectors are long: their edges, and some places between.
        offsets = (
            range(size + 1) if size < 5_000 else [*range(20), *range(20, size, size // 20), size - 1, size]
        )
        for at in offsets:
            assert parse([stream[:at], stream[at:]]) == expected, (item["name"], at)


def test_the_reference_in_this_file_agrees_with_every_vector() -> None:
    for item in vectors():
        stream, events, retry = vector(item)
        assert reference(stream) == (events, retry), item["name"]


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"data: a\n\n", [("message", "a", "")]),
        (b"data: a\r\n\r\n", [("message", "a", "")]),
        (b"data: a\r\r", [("message", "a", "")]),
        (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", [("message", "a\nb", ""), ("message", "c", "")]),
        (b"data: a\r\n\ndata: b\n\r\n", [("message", "a", ""), ("message", "b", "")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a", "")]),
        (b"event: e\nid: 1\ndata: a\ndata: b\n\n", [("e", "a\nb", "1")]),
        (b": comment\n\nevent: lost\n\ndata\n\n", [("message", "", "")]),
        ("data: a\u2028b\u0085c\x0cd\n\n".encode(), [("message", "a\u2028b\u0085c\x0cd", "")]),
        (b"data: a", []),
        (b"data: a\n", []),
        (b"id: x\n\ndata: a\n\n", [("message", "a", "x")]),
    ],
)
def test_the_basics_hold_without_the_vectors(stream: bytes, events: Events) -> None:
    for chunks in ([stream], list(bytewise(stream)), *([stream[:i], stream[i:]] for i in range(len(stream)))):
        assert parse(chunks)[0] == events
    assert reference(stream)[0] == events


# ---- any bytes, any division

TOKENS = st.sampled_from(
    [
        *[b"\n", b"\r", b"\r\n", b"\n\n", b"\r\r", b"\r\n\r\n"],
        *[
            b"data",
            b"data:",
            b"data: ",
            b"event: ",
            b"id:",
            b"retry:",
            b"retry: 12",
            b":",
            b" ",
            b"\0",
            b"Data: x",
        ],
        *[
            b"\xef\xbb\xbf",
            b"\xef",
            b"\xbb\xbf",
            b"\xff",
            b"\xe2\x80\xa8",
            b"\xc2\x85",
            b"\x0c",
            b"\xf0\x9f\x98\x80",
        ],
        *[b"\xf0\x9f", b"{}", b"a", b"\xc3", b"\xa9"],
    ]
)
LINES = st.sampled_from([b"data: a", b"data:b", b"data", b"event: e", b"id: 1", b": c", b"retry: 12", b""])
ENDS = st.sampled_from([b"\n", b"\r", b"\r\n"])
WHOLE_LINES = st.tuples(LINES, ENDS).map(b"".join)
STREAMS = st.lists(WHOLE_LINES | TOKENS | st.binary(max_size=3), max_size=40).map(b"".join)


@st.composite
def divisions(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    stream = draw(STREAMS)
    ends = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    starts = [0, *ends]
    return stream, [stream[a:b] for a, b in zip(starts, [*ends, len(stream)], strict=True)]


@given(divided=divisions())
@example(divided=(b"\xef\xbb\xbf\r\n", [b"\xef", b"\xbb", b"\xbf\r", b"", b"\n"]))
@example(divided=(b"data:x\r\n\r\n", [b"data:x\r", b"", b"\n\r", b"\n"]))
def test_any_division_of_any_bytes_gives_what_the_standard_says(divided: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = divided
    expected = reference(stream)
    assert parse([stream]) == expected
    assert parse(chunks) == expected
    assert parse(bytewise(stream)) == expected


def test_recorded_streams_are_read_as_the_standard_says() -> None:
    checked = 0
    for family in ("anthropic", "openai_chat", "openai_responses", "gemini"):
        records = [record for record in load(family) if record["response_kind"] == "sse"]
        for record in records[::4]:
            stream = body_of(record)
            expected = reference(stream)[0]
            assert parse([stream])[0] == expected, record["id"]
            assert parse(cuts(stream, seed=len(stream), pieces=30))[0] == expected, record["id"]
            checked += 1
    assert checked > 100


# ---- the end of a stream


@given(divided=divisions())
def test_what_is_pending_is_what_a_blank_line_would_dispatch(divided: tuple[bytes, list[bytes]]) -> None:
    stream, chunks = divided
    parser = SSEParser()
    before = [tuple(event) for chunk in chunks for event in parser.receive(chunk)]
    pending = parser.pending()
    assert parser.pending() == pending  # asking changes nothing
    tail = b"\n\n" if not stream.endswith(b"\r") else b"\r\r"
    expected = reference(stream + tail)[0]
    assert [*before, *([tuple(pending)] if pending else [])] == expected
    after = [tuple(event) for event in parser.receive(tail)]
    assert before + after == expected


@pytest.mark.parametrize(
    ("stream", "maybe"),
    [
        (b"", False),
        (b"event: message_stop", False),
        (b"event: message_stop\n", False),
        (b'data: {"a":1', False),
        (b'data: {"a":1}', True),
        (b'data: {"a":1}\n', True),
        (b"data: [DONE]", True),
        (b"data: [DONE] ", True),
        (b'data: {"a":1}\n\n', False),
    ],
)
def test_whether_an_event_may_be_pending_is_known_cheaply(stream: bytes, maybe: bool) -> None:
    parser = SSEParser()
    parser.receive(stream)
    assert parser.may_hold_event() is maybe


# ---- limits


def overflows(chunks: Iterable[bytes], limit: int) -> bool:
    parser = SSEParser(max_event_bytes=limit)
    try:
        for chunk in chunks:
            parser.receive(chunk)
    except MalformedReply as error:
        assert str(limit) in str(error)  # noqa: PT017 - a raise is one of two good ends here
        return True
    return False


@pytest.mark.parametrize(
    ("stream", "limit", "beyond"),
    [
        (b"x" * 20, 20, False),
        (b"x" * 21, 20, True),
        (b"x" * 20 + b"\n", 20, False),
        (b":" + b"x" * 20 + b"\n", 20, True),
        (b"\xef\xbb\xbf" + b"x" * 20 + b"\n", 20, False),
        (b"\xef\xbb\xbf" + b"x" * 21, 20, True),
        (b"data: 56789\n" * 3, 20, True),
        (b"data: 56789\n\n" * 30, 20, False),
        (b"data: 5678901234\ndata: 5678901234\n\n", 40, False),
        (b"data\n" * 100, 50, True),
        (b"data:\n" * 100, 50, True),
    ],
)
def test_an_event_that_never_ends_is_refused_at_the_same_length_however_it_comes(
    stream: bytes, limit: int, beyond: bool
) -> None:
    assert overflows([stream], limit) is beyond
    assert overflows(bytewise(stream), limit) is beyond
    for at in range(len(stream)):
        assert overflows([stream[:at], stream[at:]], limit) is beyond


@given(divided=divisions(), limit=st.integers(1, 30))
def test_the_limit_does_not_depend_on_the_division(divided: tuple[bytes, list[bytes]], limit: int) -> None:
    stream, chunks = divided
    assert overflows(chunks, limit) is overflows([stream], limit)


def test_a_reconnection_time_of_a_million_digits_is_ignored() -> None:
    assert parse([b"retry: 5\nretry: " + b"9" * 1_000_000 + b"\ndata: x\n\n"]) == ([("message", "x", "")], 5)


def test_an_event_is_a_named_tuple() -> None:
    (event,) = SSEParser().receive(b"event: e\nid: 3\ndata: x\n\n")
    assert event == ServerSentEvent(event="e", data="x", id="3")
