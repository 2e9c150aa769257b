"""Conversations that a vendor would refuse, each broken in one way that has a name."""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from alloy_trio.values import Audio, Block, Message, Origin, Text, Thinking, ToolResult, ToolUse

from ._histories import histories

_ID = "call_x"
_CALL = ToolUse(_ID, "read", {"path": "a"})
_RESULT = ToolResult(_ID, "words")


@attrs.frozen
class BrokenHistory:
    """A conversation that would be refused.

    Args:
        way: what is wrong with it, a key of :data:`WAYS_TO_BREAK`.
        messages: the conversation.
        provider: who would refuse it, by name; None for all.
    """

    way: str
    messages: tuple[Message, ...]
    provider: str | None = None


def _model(*content: Block, origin: Origin | None = None) -> Message:
    return Message("assistant", content, origin)


def _user(*content: Block) -> Message:
    return Message("user", content)


_SIGNED_BADLY = Message(
    "assistant", (Thinking("Hm.", "not base64!"), Text("So.")), Origin("gemini", "gemini-3.5-flash")
)
_WAYS: dict[str, tuple[str, str | None, tuple[Message, ...]]] = {
    "call_not_answered": (
        "a call, and the next message has no result of it",
        None,
        (_model(_CALL), _user(Text("Go on."))),
    ),
    "last_call_not_answered": ("the conversation ends with a call", None, (_model(_CALL),)),
    "one_call_of_two_not_answered": (
        "two calls, and one result",
        None,
        (_model(_CALL, ToolUse("call_y", "read", {})), _user(_RESULT)),
    ),
    "result_without_call": ("a result of what nobody called", None, (_model(Text("So.")), _user(_RESULT))),
    "result_too_late": (
        "a result that comes a message too late",
        None,
        (_model(_CALL), _user(Text("Wait.")), _model(Text("I wait.")), _user(_RESULT)),
    ),
    "result_twice": ("two results of one call", None, (_model(_CALL), _user(_RESULT, _RESULT))),
    "result_after_text": (
        "something stands before the results",
        None,
        (_model(_CALL), _user(Text("Here:"), _RESULT)),
    ),
    "result_by_model": ("a result in the model's message", None, (_model(_CALL, _RESULT),)),
    "call_by_user": ("a call in the user's message", None, (_user(_CALL),)),
    "thinking_by_user": ("reasoning in the user's message", None, (_user(Thinking("Hm."), Text("So.")),)),
    "two_calls_with_one_id": ("two calls with one id", None, (_model(_CALL, _CALL), _user(_RESULT, _RESULT))),
    "empty_message": ("a message without content", None, (_user(),)),
    "thinking_torn_off": (
        "reasoning in a message of its own, before what it led to",
        None,
        (_model(Thinking("Hm.")), _model(Text("So."))),
    ),
    "sound_for_the_deaf": (
        "something that the provider's models cannot take",
        "anthropic",
        (_user(Text("Listen."), Audio("audio/wav", data=b"RIFF")),),
    ),
    "spoiled_signature": ("a signature that the vendor cannot have made", "gemini", (_SIGNED_BADLY,)),
}

WAYS_TO_BREAK: dict[str, str] = {way: words for way, (words, _, _) in _WAYS.items()}
"""The ways in which :func:`broken_histories` break them, with what is wrong in words."""


def broken_histories(ways: Iterable[str] | None = None) -> SearchStrategy[BrokenHistory]:
    """Conversations that were valid until something was put into them that makes them invalid.

    What a vendor-neutral way broke, :func:`alloy_trio.run` and the like repair before they send it.

    Args:
        ways: keys of :data:`WAYS_TO_BREAK`; None for all.
    """
    chosen = list(WAYS_TO_BREAK) if ways is None else list(ways)
    unknown = [way for way in chosen if way not in _WAYS]
    if unknown or not chosen:
        raise InvalidArgument(f"ways={ways!r}: write some of {', '.join(WAYS_TO_BREAK)}")
    return st.sampled_from(chosen).flatmap(_broken)


@st.composite
def _broken(draw: st.DrawFn, way: str) -> BrokenHistory:
    _, provider, damage = _WAYS[way]
    before = draw(histories(max_turns=2))
    after: tuple[Message, ...] = ()
    if way != "last_call_not_answered":
        after = draw(st.sampled_from([(), (Message.user("And then?"), Message.assistant("No more."))]))
    return BrokenHistory(way, (*before, *damage, *after), provider)
