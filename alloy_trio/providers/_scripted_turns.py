"""What a script is written with: turns, when and in which pieces they come, and which requests they are for."""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

import attrs

from alloy_trio.values import (
    Block,
    Completion,
    CompletionRequest,
    ConfigurationError,
    Delta,
    Text,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolInputDelta,
    ToolUse,
)

from ._around import checked_seconds
from ._local import Said, deltas_of
from ._readable import difference, excerpt, last_message

StreamPart: TypeAlias = str | float | Block | TextDelta | ThinkingDelta | ToolInputDelta
StreamPiece: TypeAlias = StreamPart | Sequence[StreamPart] | BaseException
Expectation: TypeAlias = str | CompletionRequest | Callable[[CompletionRequest], Any] | None

_STREAMED = (TextDelta, ThinkingDelta, ToolInputDelta)


def _pieces(pieces: Iterable[StreamPiece]) -> tuple[StreamPiece, ...]:
    return tuple(pieces)


@attrs.frozen
class Streamed:
    """A turn with the pieces in which it arrives.

    A piece is

    * a str, more text; a delta of text, thinking or a call's arguments; or a block, which comes as it does without
      this. Deltas that belong together become one block;
    * a list of those, which arrive together;
    * a number: seconds in which nothing arrives;
    * at the end, an exception.

    Who asks for the whole answer waits as long. An answer that ``max_tokens`` cuts is streamed in the usual way.

    Args:
        pieces: what arrives.
        between: seconds before each piece but the first.

    Raises:
        ConfigurationError: a piece is none of the above.
    """

    pieces: tuple[StreamPiece, ...] = attrs.field(converter=_pieces)
    between: float = attrs.field(default=0.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        checked_seconds("between", self.between)
        for number, piece in enumerate(self.pieces, 1):
            last = number == len(self.pieces)
            parts = piece if isinstance(piece, list | tuple) else (piece,)
            if isinstance(piece, BaseException) and last:
                continue
            if not all(_is_part(part, alone=parts is not piece) for part in parts):
                raise ConfigurationError(
                    f"piece {number} of a Streamed is {piece!r}; write a str, a delta, a block, a list of those, a "
                    "number of seconds, or at the end an exception"
                )

    def said(self, named: Callable[[Block], Block]) -> Said:
        """The answer, its deltas and the pauses between them.

        Args:
            named: gives a call without an id one.
        """
        answer: list[Block | BaseException] = []
        deltas: list[list[Delta]] = []
        pauses = [0.0]
        said: list[Delta | Block] = []
        for piece in self.pieces:
            if isinstance(piece, BaseException):
                answer.append(piece)
            elif isinstance(piece, int | float):
                pauses[-1] += piece
            else:
                if deltas:
                    pauses[-1] += self.between
                parts = [
                    _named(part, named) for part in (piece if isinstance(piece, list | tuple) else (piece,))
                ]
                said += parts
                deltas.append([delta for part in parts for delta in _in_deltas(part)])
                pauses.append(0.0)
        return Said([*_blocks(said), *answer], deltas, pauses)


@attrs.frozen
class Delayed:
    """A turn that takes its time.

    Args:
        seconds: between the request and the answer, on the run's clock.
        turn: any turn.

    Raises:
        ConfigurationError: seconds is no number, or below zero.
    """

    seconds: float
    turn: Turn

    def __attrs_post_init__(self) -> None:
        checked_seconds("seconds", self.seconds)


Answer: TypeAlias = str | Sequence[Block | BaseException] | Completion | BaseException | Streamed
Turn: TypeAlias = (
    Answer | Delayed | Callable[[CompletionRequest], Answer | Delayed | Awaitable[Answer | Delayed]]
)

TURNS = "a str, a list of blocks, a Completion, a Streamed, a Delayed, an exception"
"""What a function of the request may return; a turn may be that function too."""


def is_answer(turn: object) -> bool:
    """Whether this can be a turn, functions aside."""
    if isinstance(turn, Delayed):
        return is_turn(turn.turn)
    if isinstance(turn, list | tuple):
        return all(hasattr(block, "__attrs_attrs__") for block in turn[:-1]) and (
            not turn or hasattr(turn[-1], "__attrs_attrs__") or isinstance(turn[-1], BaseException)
        )
    return isinstance(turn, str | Completion | BaseException | Streamed)


def is_turn(turn: object) -> bool:
    """Whether this can be a turn."""
    return not isinstance(turn, type) and (callable(turn) or is_answer(turn))


def checked_expectations(expect: Iterable[Expectation], turns: int) -> tuple[Expectation, ...]:
    """One expectation for each turn.

    Raises:
        ConfigurationError: there are more or less, or one is none.
    """
    expected = tuple(expect) if not isinstance(expect, str) else ()
    if len(expected) != turns:
        raise ConfigurationError(
            f"expect has {len(expected)} expectations for {turns} turns; give a list with one for each, None for any"
        )
    for number, one in enumerate(expected, 1):
        if not (one is None or isinstance(one, str | CompletionRequest) or callable(one)):
            raise ConfigurationError(
                f"expectation {number} of a script is {one!r}; write a str that the last message has to have in it, a "
                "CompletionRequest, a function of the request, or None"
            )
    return expected


def unexpected(expected: Expectation, got: CompletionRequest, number: int) -> str:
    """How a request is not what was expected, in words; ``""`` if it is."""
    if isinstance(expected, CompletionRequest):
        if expected == got:
            return ""
        differs = difference(expected, got, ("expected", "got"))
        return f"request {number} is not the one expected:\n{differs or excerpt(got)}"
    if isinstance(expected, str):
        if expected in last_message(got):
            return ""
        return f"request {number} was to have {expected!r} in its last message, and is\n{excerpt(got)}"
    if expected is None or expected(got):
        return ""
    name = getattr(expected, "__qualname__", repr(expected))
    return f"request {number} is not what {name} expects:\n{excerpt(got)}"


def _is_part(part: object, *, alone: bool) -> bool:
    if isinstance(part, int | float):
        return alone and not isinstance(part, bool) and math.isfinite(part) and part >= 0
    return isinstance(part, str | TextDelta | ThinkingDelta | ToolInputDelta) or hasattr(
        part, "__attrs_attrs__"
    )


def _named(part: Any, named: Callable[[Block], Block]) -> Delta | Block:
    if isinstance(part, str):
        return TextDelta(part)
    return part if isinstance(part, _STREAMED) else named(part)


def _in_deltas(part: Any) -> Iterator[Delta]:
    if isinstance(part, _STREAMED):
        yield part
    else:
        yield from deltas_of(part)


def _blocks(said: Sequence[Any]) -> Iterator[Block]:
    """The blocks that deltas add up to, and those that are blocks already."""
    at = 0
    while at < len(said):
        first = said[at]
        run = [first]
        while at + len(run) < len(said) and _continues(first, said[at + len(run)]):
            run.append(said[at + len(run)])
        at += len(run)
        if isinstance(first, TextDelta):
            yield Text("".join(delta.text for delta in run))
        elif isinstance(first, ThinkingDelta):
            yield Thinking("".join(delta.text for delta in run))
        elif isinstance(first, ToolInputDelta):
            yield _call(first, "".join(delta.partial_json for delta in run))
        else:
            yield first


def _continues(first: Any, delta: Any) -> bool:
    if isinstance(first, ToolInputDelta):
        return isinstance(delta, ToolInputDelta) and delta.id == first.id
    return isinstance(first, _STREAMED) and type(delta) is type(first)


def _call(first: ToolInputDelta, text: str) -> ToolUse:
    try:
        given = json.loads(text or "{}")
    except ValueError:
        given = None
    if isinstance(given, dict):
        return ToolUse(first.id, first.name, given)
    return ToolUse(first.id, first.name, {}, text)
