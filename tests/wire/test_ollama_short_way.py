"""Ollama's plain lines are read without JSON; they mean what their JSON means, and nothing else is read so."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.values import Completion, Delta, RemoteError, TextDelta
from alloy_trio.wire import OllamaCodec, WireSettings
from alloy_trio.wire._ollama_stream import _PIECE

SETTINGS = WireSettings(provider="ollama", model="qwen3")
MADE = "2026-05-24T20:26:46.294874Z"
END = json.dumps(
    {
        "model": "qwen3",
        "created_at": MADE,
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "stop",
    }
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


def line(text: str, **more: Any) -> dict[str, Any]:
    return {
        "model": "qwen3",
        "created_at": MADE,
        "message": {"role": "assistant", "content": text},
        "done": False,
        **more,
    }


def read(lines: list[str]) -> tuple[list[Delta], Completion | type[RemoteError]]:
    decoder = OllamaCodec().decoder(SETTINGS)
    try:
        deltas = decoder.receive("".join(f"{each}\n" for each in [*lines, END]).encode())
        return deltas, decoder.finish()
    except RemoteError as error:
        return [], type(error)


@given(texts=st.lists(TEXTS, max_size=4), ascii_only=st.booleans())
def test_both_ways_say_the_same(texts: list[str], ascii_only: bool) -> None:
    # With spaces no line goes the short way.
    short = [json.dumps(line(text), ensure_ascii=ascii_only, separators=(",", ":")) for text in texts]
    long = [json.dumps(line(text), ensure_ascii=ascii_only) for text in texts]
    outcome = read(short)
    assert outcome == read(long)
    assert [delta.text for delta in outcome[0] if isinstance(delta, TextDelta)] == [t for t in texts if t]


def test_a_plain_line_goes_the_short_way() -> None:
    found = _PIECE(json.dumps(line("Grüß Gott\u2028"), ensure_ascii=False, separators=(",", ":")))
    assert found is not None and found[1] == "Grüß Gott\u2028"


@pytest.mark.parametrize(
    "odd",
    [
        line("a\nb"),  # escaped
        line('say "x"'),
        line(""),
        line("x", done=True),
        line("x", error="broke"),
        line("x", message={"role": "assistant", "content": "x", "thinking": "hm"}),
        line("x", message={"role": "assistant", "content": "x", "tool_calls": []}),
        {"remote_model": "y", **line("x")},
    ],
)
def test_a_line_with_more_to_it_does_not(odd: dict[str, Any]) -> None:
    assert _PIECE(json.dumps(odd, separators=(",", ":"))) is None


def test_a_raw_control_character_is_no_json_in_either_way() -> None:
    whole = json.dumps(line("ab"), separators=(",", ":"))
    assert _PIECE(whole) is not None
    assert _PIECE(whole.replace("ab", "a\x01b")) is None
