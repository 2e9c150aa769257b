"""Exchanges as values: read from records, cut into pieces."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.testing import Exchange, ReplayRequest
from alloy_trio.testing._exchanges import cut, read_records
from alloy_trio.values import ConfigurationError

RECORD = {
    "id": "c-00",
    "method": "POST",
    "path": "/v1/messages",
    "request": {"model": "m"},
    "status": 429,
    "response_content_type": "text/event-stream; charset=utf-8",
    "response_headers": {
        "retry-after": "7",
        "Content-Length": "99",
        "content-encoding": "br",
        "Connection": "close",
    },
    "stream": True,
    "body": "data: gr\u00fc\u00df\n\n",
}


def test_a_record_becomes_an_exchange_without_the_headers_that_framed_it() -> None:
    exchange = Exchange.from_record(RECORD)
    assert exchange == Exchange(
        id="c-00",
        method="POST",
        path="/v1/messages",
        request={"model": "m"},
        status=429,
        headers={"content-type": "text/event-stream; charset=utf-8", "retry-after": "7"},
        stream=True,
        body=b"data: gr\xc3\xbc\xc3\x9f\n\n",
    )


def test_a_record_needs_nothing_but_a_body() -> None:
    exchange = Exchange.from_record({"body": "{}"})
    assert (exchange.body, exchange.status, exchange.method, exchange.path) == (b"{}", 200, "POST", "/")
    assert exchange.request is None
    assert exchange.headers == {}


def test_bytes_come_as_base64() -> None:
    body = base64.b64encode(bytes(range(256))).decode()
    assert Exchange.from_record({"body": body, "body_encoding": "base64"}).body == bytes(range(256))


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"id": "x-01"}, "x-01 has no text as its 'body'"),
        ({"body": {"a": 1}}, "without an id has no text"),
        ({"id": "x-02", "body": "not base64!", "body_encoding": "base64"}, "x-02 says base64"),
    ],
)
def test_a_record_that_cannot_be_served_is_named(record: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        Exchange.from_record(record)


def test_every_recorded_exchange_can_be_served(
    recordings: Callable[[str], tuple[dict[str, Any], ...]],
) -> None:
    for family in ("anthropic", "openai_chat", "openai_responses", "bedrock", "gemini"):
        for record in recordings(family):
            exchange = Exchange.from_record(record)
            text = record.get("body_encoding") != "base64"
            assert exchange.body == (record["body"].encode() if text else base64.b64decode(record["body"]))


sizes = st.one_of(
    st.just("whole"), st.just("events"), st.integers(1, 50), st.lists(st.integers(1, 20), max_size=8)
)


@given(st.lists(st.sampled_from([b"data: 1", b"\n", b"\n\n", b"\r\n", b"\r", b"x", b"\xc3\xbc"])), sizes)
def test_the_pieces_are_the_body_and_none_is_empty(parts: list[bytes], chunking: Any) -> None:
    body = b"".join(parts)
    pieces = cut(body, chunking)
    assert b"".join(pieces) == body
    assert all(pieces)


@given(st.binary(max_size=100), st.integers(1, 30))
def test_pieces_of_one_size_have_that_size_but_the_last(body: bytes, size: int) -> None:
    pieces = cut(body, size)
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces[-1:])


@pytest.mark.parametrize("chunking", [0, -1, [3, 0], "events?"])
def test_a_chunking_that_means_nothing_is_refused(chunking: Any) -> None:
    with pytest.raises(ConfigurationError, match="chunking="):
        cut(b"body", chunking)


@pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.gz"])
def test_records_are_read_a_line_each(tmp_path: Path, name: str) -> None:
    lines = "\n".join([json.dumps({"body": "ü\u2028"}, ensure_ascii=False), "", json.dumps(RECORD)]) + "\n"
    path = tmp_path / name
    path.write_bytes(gzip.compress(lines.encode()) if name.endswith(".gz") else lines.encode())
    assert read_records(path) == [{"body": "ü\u2028"}, RECORD]


@pytest.mark.parametrize(
    ("line", "words"), [("{", "line 2 is not JSON"), ("[1]", "line 2 is list, not an object")]
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str, words: str) -> None:
    path = tmp_path / "records.jsonl"
    path.write_text('{"body": ""}\n' + line)
    with pytest.raises(ConfigurationError, match=words):
        read_records(path)


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"])
def test_a_request_keeps_no_key(name: str) -> None:
    request = ReplayRequest.scrubbed("GET", "/p?a=1&api_key=secret&b=2", [(name, "secret")], b"")
    assert "secret" not in repr(request)
    assert request.path == "/p?a=1&api_key=SCRUBBED&b=2"
    assert request.headers == ((name, "SCRUBBED"),)
