"""What scripted models say, and how providers fail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from alloy_trio.tools import Tool
from alloy_trio.values import (
    AuthenticationFailed,
    Block,
    Completion,
    ContextOverflow,
    MalformedReply,
    Message,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    RemoteError,
    ServerFault,
    StreamTruncated,
    Text,
    Thinking,
    ToolUse,
    TransportError,
    Usage,
)

from ._plain import NAMES, json_objects, texts
from ._schemas import inputs, invalid_inputs

_FAULTS: tuple[tuple[type[RemoteError], str, int | None], ...] = (
    (ServerFault, "the vendor failed", 500),
    (Overloaded, "no capacity right now", 529),
    (RateLimited, "too many requests", 429),
    (TransportError, "the connection was reset", None),
    (StreamTruncated, "the answer ended before its end", None),
    (MalformedReply, "the answer is no JSON", 200),
    (AuthenticationFailed, "the key is wrong", 401),
    (QuotaExhausted, "nothing is left to spend", 429),
    (ContextOverflow, "the prompt is too long", 400),
    (Rejected, "the request is wrong", 400),
)


def faults(transient: bool | None = None) -> SearchStrategy[RemoteError]:
    """How providers fail: each kind of :class:`alloy_trio.RemoteError`.

    Args:
        transient: only those that may pass when tried again, or only those that do not; None for all.
    """
    kinds = [row for row in _FAULTS if transient is None or row[0]._transient is transient]
    return st.one_of(*map(_fault, kinds))


def _fault(row: tuple[type[RemoteError], str, int | None]) -> SearchStrategy[RemoteError]:
    kind, message, status = row
    waits: SearchStrategy[float | None] = st.none()
    if kind in (RateLimited, Overloaded):
        waits = st.none() | st.integers(0, 60).map(float)
    return st.builds(kind, st.just(message), status=st.just(status), retry_after=waits)


_WORDS = st.sampled_from(["So it is.", "Yes.", "I see."])


def turns(
    tools: Sequence[Tool] = (), *, failing: bool = True
) -> SearchStrategy[str | list[Block | BaseException] | Completion | RemoteError]:
    """Single turns of a script; see :func:`scripts`."""
    ways: list[SearchStrategy[Any]] = [_WORDS, texts(), *[_calling(tools)] * 4, _cut()]
    if failing:
        ways += [faults(), _broken_off()]
    return _evenly(ways)


def _evenly(ways: Sequence[SearchStrategy[Any]]) -> SearchStrategy[Any]:
    """One of them, each as likely as the others: one_of alone would take a choice among ten for ten choices."""
    return st.one_of(*(way.map(_itself) for way in ways))


def _itself(value: Any) -> Any:
    return value


def scripts(
    tools: Sequence[Tool] = (), *, max_turns: int = 4, failing: bool = True
) -> SearchStrategy[list[Any]]:
    """Scripts for :class:`alloy_trio.providers.Scripted`, the last turn being an answer in words.

    A script may hold more turns than a run asks for: one that fails or answers earlier ends there.

    Args:
        tools: what is called, mostly with inputs that fit; without any, unknown tools are called.
        max_turns: turns before the last one, at most.
        failing: whether the model may fail.
    """
    return st.builds(
        lambda before, last: [*before, last],
        st.lists(turns(tools, failing=failing), max_size=max_turns),
        _WORDS,
    )


def _calling(tools: Sequence[Tool]) -> SearchStrategy[list[Block]]:
    """An answer with calls. Their ids are the script's to give."""
    before: SearchStrategy[list[Block]] = st.sampled_from(
        [[], [Text("I look.")], [Thinking("Let me see.")], [Thinking("Let me see."), Text("I look.")]]
    )
    calls = st.lists(_call(tools), min_size=1, max_size=3)
    return st.builds(lambda said, called: [*said, *called], before, calls)


def _call(tools: Sequence[Tool]) -> SearchStrategy[ToolUse]:
    if not tools:
        return _STRAY | _GARBLED
    known = st.one_of(*(_of(tool, inputs(tool.input_schema)) for tool in tools))
    # What fits nothing can be found for every closed object; open ones may take anything.
    closed = [tool for tool in tools if tool.input_schema.get("additionalProperties") is False]
    wrong = [_of(tool, invalid_inputs(tool.input_schema)) for tool in closed]
    return _evenly([known, known, known, known, st.one_of(*wrong, _STRAY, _GARBLED)])


def _of(tool: Tool, given: SearchStrategy[Any]) -> SearchStrategy[ToolUse]:
    return st.builds(ToolUse, st.just(""), st.just(tool.name), given)


_STRAY = st.builds(ToolUse, st.just(""), NAMES, json_objects(max_size=1))
_GARBLED = st.builds(ToolUse, st.just(""), NAMES, st.just({}), st.just('{"path": '))


def _cut() -> SearchStrategy[Completion]:
    """An answer that was cut by max_tokens, or refused."""
    return st.builds(
        lambda words, reason: Completion(Message.assistant(words), reason, Usage(output_tokens=1)),
        _WORDS,
        st.sampled_from(["max_tokens", "refusal"]),
    )


def _broken_off() -> SearchStrategy[list[Any]]:
    """An answer that fails after it has begun."""
    return st.builds(lambda words, error: [Text(words), error], _WORDS, faults())
