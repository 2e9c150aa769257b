"""What all decoders share: replies that are JSON and nothing that the wire knows, and ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.values import Completion, MalformedReply, RemoteError, StreamTruncated
from alloy_trio.wire import AnthropicCodec, ChatCodec, Codec, Decoder, ResponsesCodec, WireSettings

from . import recordings

CODECS: dict[str, Callable[[], Codec]] = {
    "anthropic": AnthropicCodec,
    "openai_responses": ResponsesCodec,
    "openai_chat": ChatCodec,
}
SETTINGS = WireSettings(provider="host", model="m")


def decoder(wire: str) -> Decoder:
    return CODECS[wire]().decoder(SETTINGS)


def read(wire: str, body: bytes) -> Completion | RemoteError:
    """What comes of an answer; nothing but a completion or an error of ours may."""
    reading = decoder(wire)
    try:
        reading.receive(body)
        reading.receive_end()
        return reading.finish()
    except RemoteError as error:
        return error


@pytest.mark.parametrize("wire", CODECS)
@pytest.mark.parametrize("body", [b'{"a":' + b"[" * 100_000, b'data: {"a":' + b"[" * 100_000 + b"\n\n"])
def test_json_nested_too_deep_is_an_error_of_ours(wire: str, body: bytes) -> None:
    assert isinstance(read(wire, body), MalformedReply | StreamTruncated)


@pytest.mark.parametrize("wire", CODECS)
def test_a_number_too_long_to_read_is_not_called_cut(wire: str) -> None:
    assert isinstance(read(wire, b'{"usage": ' + b"9" * 5000 + b"}"), MalformedReply)


@pytest.mark.parametrize("wire", CODECS)
def test_a_byte_order_mark_before_a_body_is_no_matter(wire: str) -> None:
    marked = b"\xef\xbb\xbf" + b'{"error": {"message": "boom", "type": "server_error"}}'
    reading = decoder(wire)
    for at in range(len(marked)):
        reading.receive(marked[at : at + 1])
    with pytest.raises(RemoteError) as caught:
        reading.finish()
    assert type(caught.value) is type(read(wire, marked))
    assert not isinstance(caught.value, StreamTruncated)


odd_values = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 3) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a JSON value."""
    found = [path]
    if isinstance(value, dict):
        for key, inner in value.items():
            found += places(inner, (*path, key))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            found += places(inner, (*path, number))
    return found


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """The value with something else at one path."""
    if not path:
        return new
    copied = value.copy()
    copied[path[0]] = put(value[path[0]], path[1:], new)
    return copied


@pytest.mark.parametrize("wire", CODECS)
@given(data=st.data())
def test_an_odd_value_anywhere_in_an_answer_is_an_answer_or_an_error_of_ours(
    wire: str, data: st.DataObject
) -> None:
    fixtures = recordings.fixtures(wire)
    fixture = fixtures[data.draw(st.sampled_from(sorted(fixtures)))]
    lines = fixture["body"].split("\n")
    able = [number for number, line in enumerate(lines) if line.removeprefix("data: ")[:1] == "{"]
    if not able:
        return
    number = data.draw(st.sampled_from(able))
    prefix = "data: " if lines[number].startswith("data: ") else ""
    try:
        value = json.loads(lines[number].removeprefix(prefix))
    except ValueError:
        return
    path = data.draw(st.sampled_from(places(value)))
    lines[number] = prefix + json.dumps(put(value, path, data.draw(odd_values)))
    body = "\n".join(lines).encode("utf-8", "surrogatepass")
    assert isinstance(read(wire, body), Completion | RemoteError)
