"""Messages and blocks check what they are given, and are values."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from alloy_trio.values import (
    Audio,
    ConfigurationError,
    Document,
    Image,
    Message,
    Origin,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Video,
)


def test_a_str_becomes_one_text() -> None:
    assert Message.user("hi") == Message("user", (Text("hi"),))
    assert Message.assistant("hi") == Message("assistant", [Text("hi")])
    assert Message.user("hi").origin is None


def test_content_is_a_tuple_whatever_was_given() -> None:
    assert Message.user([Text("a")]).content == (Text("a"),)
    assert Message.user(Text(each) for each in "ab").content == (Text("a"), Text("b"))
    assert ToolResult("1", [Text("a")]).content == (Text("a"),)
    assert Text("a", [{"url": "b"}]).citations == ({"url": "b"},)  # type: ignore[arg-type]


@pytest.mark.parametrize("role", ["system", "tool", "", None])
def test_a_role_that_does_not_exist_is_refused_with_the_way_to_say_it(role: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"system_prompt=") as caught:
        Message(role, "hi")
    assert repr(role) in str(caught.value)


@pytest.mark.parametrize("cls", [Image, Audio, Video, Document])
def test_media_have_either_data_or_a_url(cls: type) -> None:
    assert cls("a/b", b"").data == b""
    assert cls("a/b", url="https://x").data is None
    with pytest.raises(ConfigurationError, match="neither data nor url"):
        cls("a/b")
    with pytest.raises(ConfigurationError, match="data and url"):
        cls("a/b", b"x", "https://x")


def test_text_is_all_text_as_it_stands() -> None:
    message = Message.assistant([Text("a "), Thinking("not this"), ToolUse("1", "x", {}), Text("b")])
    assert message.text == "a b"
    assert Message("user", ()).text == ""


def test_tool_uses_are_the_calls_in_order() -> None:
    first, second = ToolUse("1", "x", {}), ToolUse("2", "y", {})
    assert Message.assistant([first, Text("t"), second]).tool_uses == (first, second)


def test_a_results_text_leaves_pictures_out() -> None:
    assert ToolResult("1", "plain").text == "plain"
    assert ToolResult("1", [Text("a"), Image("image/png", b"x"), Text("b")]).text == "a\nb"


def test_messages_are_frozen_and_equal_by_value() -> None:
    message = Message("assistant", "hi", Origin("openai", "gpt"))
    assert message == Message("assistant", "hi", Origin("openai", "gpt"))
    assert message != Message("assistant", "hi", Origin("azure", "gpt"))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        message.role = "user"  # type: ignore[misc]
