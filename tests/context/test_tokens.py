"""Counting tokens: the estimate, and what usage makes of it."""

from __future__ import annotations

import base64
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.context import Gauge, estimate_fixed, estimate_message, estimate_text
from alloy_trio.context._tokens import (
    IMAGE_TOKENS,
    LINKED_TOKENS,
    MOST_RATIO,
    PAGE_TOKENS,
    UNSURE,
    estimate_block,
)
from alloy_trio.values import (
    Audio,
    Block,
    Document,
    Image,
    Message,
    Opaque,
    ServerTool,
    Text,
    Thinking,
    ToolResult,
    ToolSpec,
    ToolUse,
    Usage,
    Video,
)

WINDOW = 100_000


@pytest.mark.parametrize(
    ("text", "tokens"),
    [  # what tokenizers in use make of texts of these kinds, from the fewest to the most tokens
        ("the quick brown fox jumps over the lazy dog and goes home again " * 10, (130, 210)),
        ("def find(path: Path, *, deep: bool = False) -> list[str]:\n" * 10, (170, 260)),
        ('{"id": 482913, "total": 99.12, "ok": true},\n' * 10, (190, 300)),
        ("速い茶色の狐がのろまな犬を飛び越える。" * 10, (160, 300)),
        (base64.b64encode(random.Random(0).randbytes(750)).decode(), (500, 700)),
    ],
)
def test_estimates_are_near_what_tokenizers_count_and_rather_above(
    text: str, tokens: tuple[int, int]
) -> None:
    few, many = tokens
    assert 0.75 * many <= estimate_text(text) <= 2 * few


@given(st.text(max_size=200), st.text(max_size=200))
def test_estimates_of_parts_add_up(one: str, other: str) -> None:
    assert abs(estimate_text(one) + estimate_text(other) - estimate_text(one + other)) <= 1
    assert estimate_text(one) <= max(len(one.encode("utf-8", "surrogatepass")), 0)


def test_a_lone_surrogate_is_counted() -> None:
    assert estimate_text("\ud83d") > 0


@pytest.mark.parametrize(
    ("block", "tokens"),
    [
        (Image("image/png", b"x" * 10**6), IMAGE_TOKENS),
        (Image("image/png", url="https://x/y.png"), IMAGE_TOKENS),
        (Document("application/pdf", url="https://x/y.pdf"), LINKED_TOKENS),
        (Document("application/pdf", b"%PDF /Type /Page /Type /Page"), 2 * PAGE_TOKENS),
        (Document("application/pdf", b"x" * 500_000), 10 * PAGE_TOKENS),
        (Document("text/plain", b"words " * 100), estimate_text("words " * 100)),
        (Audio("audio/mp3", b"x" * 50_000), 101),
        (Video("video/mp4", b"x" * 50_000), 101),
        (Thinking("", redacted="x" * 400), 100),
    ],
)
def test_media_count_by_what_they_are(block: Block, tokens: int) -> None:
    assert estimate_block(block) == tokens


def test_everything_in_a_message_counts() -> None:
    blocks: list[Block] = [
        Text("words"),
        ToolUse("a", "read", {"path": "x" * 90}),
        ToolUse("b", "read", {}, '{"path": ' + "x" * 90),
        ToolResult("a", [Text("words " * 50), Image("image/png", b"x")]),
        Opaque("p", {"raw": "x" * 90}),
    ]
    for block in blocks:
        others = [other for other in blocks if other is not block]
        assert estimate_message(Message.user(blocks)) > estimate_message(Message.user(others))


def test_the_system_prompt_and_the_tools_are_fixed() -> None:
    spec = ToolSpec("read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
    assert estimate_fixed(None) == 0
    assert (
        20
        < estimate_fixed(None, (spec,))
        < estimate_fixed("Be brief.", (spec,), (ServerTool("web_search"),))
        < 100
    )


def talk(count: int) -> list[Message]:
    return [Message.user(f"{n} " + "words " * 200) for n in range(count)]


def test_a_figure_takes_the_place_of_the_estimate_and_what_follows_is_scaled_by_it() -> None:
    gauge, messages = Gauge(fixed=100), talk(30)
    estimate = gauge.size(messages)
    assert estimate == 100 + sum(map(estimate_message, messages))
    gauge.answered(messages, Usage(input_tokens=estimate, cache_read_tokens=estimate // 2), WINDOW)
    assert gauge.size(messages) == estimate + estimate // 2
    assert gauge.ratio == pytest.approx(1.5, rel=0.01) and gauge.is_measured
    more = talk(1)
    assert gauge.size([*messages, *more]) - gauge.size(messages) == pytest.approx(
        1.5 * estimate_message(more[0]), 0.02
    )


def test_what_was_not_measured_may_be_more() -> None:
    gauge, messages = Gauge(), talk(3)
    assert gauge.most(messages) == gauge.size(messages)
    gauge.answered(messages, Usage(input_tokens=1_000), WINDOW)
    assert gauge.most(messages) == gauge.size(messages) == 1_000
    longer = [*messages, *talk(5)]
    assert gauge.most(longer) - 1_000 == pytest.approx(UNSURE * (gauge.size(longer) - 1_000), 0.01)
    assert not gauge.is_measured


@pytest.mark.parametrize("figure", [0, 1, 100, 10**7, 10**12])
def test_a_figure_that_cannot_be_is_none(figure: int) -> None:
    gauge, messages = Gauge(), talk(30)
    estimate = gauge.size(messages)
    gauge.answered(messages, Usage(input_tokens=figure), WINDOW)
    assert gauge.size(messages) == estimate and gauge.ratio == 1.0


def test_what_a_vendor_adds_to_a_short_question_is_no_ratio() -> None:
    gauge, messages = Gauge(), [Message.user("hi")]
    gauge.answered(messages, Usage(input_tokens=9_000), WINDOW)
    assert gauge.size(messages) == 9_000 and gauge.ratio == 1.0


def test_an_overflow_of_what_was_estimated_raises_the_ratio_up_to_a_bound() -> None:
    gauge, messages = Gauge(), talk(30)
    gauge.overflowed(2 * gauge.size(messages))
    assert gauge.ratio == pytest.approx(2.0, rel=0.01)
    gauge.overflowed(10**9)
    assert gauge.ratio == MOST_RATIO


def test_messages_are_estimated_once(monkeypatch: pytest.MonkeyPatch) -> None:
    gauge, messages, looked = Gauge(), talk(3), []
    monkeypatch.setattr(
        "alloy_trio.context._tokens.estimate_message", lambda message: looked.append(message) or 10
    )
    for _ in range(50):
        messages += talk(1)
        gauge.size(messages)
    assert len(looked) == 53
    gauge.size(messages[:10])
    assert len(looked) == 63
    assert gauge.size([]) == 0
