"""A request in lines, and how two differ: what people read when a request is another one than was expected."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.providers._cassette_keys import Keys
from alloy_trio.providers._readable import MOST_LINES, WIDTH, difference, excerpt, readable
from alloy_trio.providers._removing import Remover
from alloy_trio.values import (
    CompletionRequest,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    ServerTool,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolSpec,
    ToolUse,
)

from ..values.test_convert import PUBLIC  # noqa: TID252 - each part of a request has to be shown

REQUESTS = PUBLIC[CompletionRequest]


def request_key(request: CompletionRequest, name: str, model: str) -> str:
    return Keys(Remover(()), name, model).of(request)[1]


WHOLE = CompletionRequest(
    [
        Message.user([Text("look\nhere"), Image("image/png", b"\x00")]),
        Message(
            "assistant",
            [
                Thinking("hm", "signed"),
                ToolUse("c1", "read", {"path": "a", "at": 1}),
                ServerToolUse("s1", "search", {}),
                ServerToolResult("s1", [1]),
                Opaque("v", {"kind": 2}),
            ],
            Origin("v", "m"),
        ),
        Message.user(
            [ToolResult("c1", "gone\x1b[31m", True), ToolResult("c2", [Text("a"), Document("a/b", url="u")])]
        ),
    ],
    tools=[ToolSpec("read", "Reads.", {"type": "object"}, strict=True)],
    server_tools=[ServerTool("search", {"most": 3})],
    system="Be brief.\nBe kind.",
    max_tokens=9,
    tool_choice="auto",
    output_schema={"type": "string"},
)
SHOWN = """\
system:
  Be brief.
  Be kind.
max_tokens: 9
tool_choice: auto
output_schema: {"type": "string"}
tool read: {"type": "object"}
  description: Reads.
  strict: true
server tool search: {"most": 3}
user:
  text:
    look
    here
  image:
    media_type: image/png
    data: 1 bytes, sha256 6e340b9cffb37a98
assistant (v/m):
  thinking: hm
    signature: signed
  call of read (c1): {"at": 1, "path": "a"}
  call of search (s1): {}
  result of s1: [1]
  opaque:
    provider: v
    raw: {"kind": 2}
user:
  error of c1: gone\\u001b[31m
  result of c2:
    text: a
    document:
      media_type: a/b
      url: u"""


def test_a_request_is_shown_with_all_that_is_in_it() -> None:
    assert "\n".join(readable(WHOLE)) == SHOWN


@settings(max_examples=30)
@given(REQUESTS)
def test_lines_are_short_and_harmless(request: CompletionRequest) -> None:
    for line in readable(request):
        assert len(line) <= WIDTH
        assert line.isprintable() or not any(ord(char) < 32 and char != "\t" for char in line)
        line.encode()


CHANGES = {
    "system": "Be long.",
    "max_tokens": 8,
    "tool_choice": "none",
    "output_schema": {"type": "number"},
    "tools": (ToolSpec("read", "Reads.", {"type": "object"}),),
    "server_tools": (),
    "messages": WHOLE.messages[:2],
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_attribute_that_differs_is_shown(name: str) -> None:
    other = attrs.evolve(WHOLE, **{name: CHANGES[name]})
    assert request_key(other, "v", "m") != request_key(WHOLE, "v", "m")
    assert difference(WHOLE, other, ("a", "b"))


@settings(max_examples=30)
@given(REQUESTS, REQUESTS)
def test_requests_have_one_key_exactly_if_they_are_equal(
    one: CompletionRequest, other: CompletionRequest
) -> None:
    for left, right in ((one, other), (one, attrs.evolve(one))):
        assert (request_key(left, "v", "m") == request_key(right, "v", "m")) == (left == right)
    assert request_key(one, "v", "m") != request_key(one, "v", "n")
    assert difference(one, one, ("a", "b")) == ""


def talk(*lines: str) -> CompletionRequest:
    return CompletionRequest([Message.user("\n".join(lines))])


def test_a_difference_shows_what_is_near_and_counts_what_is_the_same() -> None:
    lines = [f"line {number}" for number in range(100)]
    other = [*lines[:90], "another", *lines[91:]]
    assert difference(talk(*lines), talk(*other), ("a", "b")).split("\n") == [
        "--- a",
        "+++ b",
        "  … 89 lines are the same …",
        "     line 87",
        "     line 88",
        "     line 89",
        "-    line 90",
        "+    another",
        "     line 91",
        "     line 92",
        "     line 93",
    ]


def test_a_large_difference_and_a_large_request_are_cut() -> None:
    lines = [f"line {number}" for number in range(5_000)]
    shown = difference(talk(*lines), talk(*(f"no {line}" for line in lines)), ("a", "b")).split("\n")
    assert len(shown) < MOST_LINES + 10
    assert shown[-1].endswith("more lines …")
    assert len(excerpt(talk(*lines)).split("\n")) == MOST_LINES + 1
    assert "line 4999" in excerpt(talk(*lines))


@given(st.text(st.characters(exclude_categories=()), max_size=300))
def test_text_is_cut_into_pieces_that_are_all_of_it(text: str) -> None:
    printable = "".join(char for char in text if char.isprintable())
    assert "".join(line for line in readable(talk(printable)))[len("user:  text: ") :] == printable
