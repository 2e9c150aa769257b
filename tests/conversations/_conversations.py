"""Recorded conversations, and the runs that they are played back as.

A recording is a series of exchanges. A request that begins with an earlier one, goes on with its answer and then holds
nothing but the results of the answer's calls was made by an agent loop: such requests are one run of ours. One that
adds something of the user's, or changes the settings, is the next run on the same conversation. One that begins with
no earlier request starts a conversation of its own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from alloy_trio.testing import Exchange
from alloy_trio.values import Block, Message, ToolResult

from ._ignored import pruned
from ._model import Answer, Entry, Parsed, Wire, without_cut_marks


@attrs.frozen(kw_only=True)
class Turn:
    """One exchange of a recording.

    Args:
        request: as recorded; with what the vendor kept put back in, where the client only referred to it.
        answer: what was answered.
        streamed: the answer is a stream.
    """

    id: str
    request: dict[str, Any]
    answer: Answer
    streamed: bool
    served: Exchange


@attrs.define(kw_only=True)
class Segment:
    """One run.

    Args:
        turns: its exchanges, by their places in the conversation.
        parent: the place of the exchange whose conversation it goes on with, or None.
    """

    turns: list[int]
    parent: int | None


@attrs.frozen(kw_only=True)
class Conversation:
    """All exchanges of one recording."""

    id: str
    turns: tuple[Turn, ...]


def conversations(wire: Wire, records: Iterable[dict[str, Any]]) -> list[Conversation]:
    """The recorded multi-turn conversations with tool calls of one wire.

    The rule: at least two exchanges of one conversation with status 200 on the wire's endpoint whose requests were
    kept, and a request among them that holds the result of a call (of ours or of the vendor's own tools).
    """
    grouped: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if record["endpoint"] == wire.endpoint and record["status"] == 200 and record["request"] is not None:
            grouped.setdefault(record["conversation"], []).append(record)
    chosen = []
    for name, group in grouped.items():
        if len(group) < 2 or not any(wire.answered(record["request"]) for record in group):
            continue
        chosen.append(Conversation(id=name, turns=tuple(_turns(wire, sorted(group, key=lambda r: r["turn"])))))
    return chosen


def _turns(wire: Wire, records: list[dict[str, Any]]) -> list[Turn]:
    turns: list[Turn] = []
    renamed: dict[str, str] = {}
    for record in records:
        request = wire.whole(without_cut_marks(record["request"]), records)
        streamed = record["response_kind"] == "sse"
        turn = Turn(
            id=record["id"],
            request=_with_ids(request, renamed),
            answer=wire.answer(record["body"], streamed),
            streamed=streamed,
            served=Exchange.from_record(record),
        )
        before = turns[parent] if (parent := _parent(wire, turns, turn)) is not None else None
        if before is not None:
            # Some clients name a call otherwise than the vendor did. One to one, in call and result: put right here.
            sent = [entry[2]["id"] for entry in _answered(wire, before, turn) if entry[1] == "call"]
            given = [call[0] for call in before.answer.calls]
            renamed |= {old: new for old, new in zip(sent, given, strict=True) if old != new and new}
            turn = attrs.evolve(turn, request=_with_ids(turn.request, renamed))
        turns.append(turn)
    return turns


def _with_ids(value: Any, renamed: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_ids(item, renamed) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_ids(item, renamed) for item in value]
    return renamed.get(value, value) if isinstance(value, str) else value


def said(wire: Wire, turn: Turn) -> list[Entry]:
    """What a recorded request says, without its system prompt and without reasoning, which clients drop at will."""
    return [entry for entry in wire.entries(turn.request) if entry[0] != "system" and entry[1] != "reasoning"]


def segments(wire: Wire, conversation: Conversation) -> list[Segment]:
    """The runs of a conversation, in the order in which they are made."""
    made: list[Segment] = []
    turns = conversation.turns
    for place, turn in enumerate(turns):
        parent = _parent(wire, turns[:place], turn)
        run = next((segment for segment in made if segment.turns[-1] == parent), None)
        if parent is not None and run is not None and _only_results(wire, turns[parent], turn):
            run.turns.append(place)
        else:
            made.append(Segment(turns=[place], parent=parent))
    return made


def _parent(wire: Wire, turns: Sequence[Turn], turn: Turn) -> int | None:
    places = [place for place, before in enumerate(turns) if _continues(wire, before, turn)]
    exact = [place for place in places if _call_ids(wire, turns[place], turn) == [c[0] for c in turns[place].answer.calls]]
    return (exact or places or [None])[-1]


def _added(wire: Wire, before: Turn, turn: Turn) -> list[Entry]:
    return said(wire, turn)[len(said(wire, before)) :]


def _answered(wire: Wire, before: Turn, turn: Turn) -> list[Entry]:
    """What a request makes of the answer to the one before it."""
    return list(itertools.takewhile(lambda entry: entry[0] == "assistant", _added(wire, before, turn)))


def _call_ids(wire: Wire, before: Turn, turn: Turn) -> list[str]:
    return [entry[2]["id"] for entry in _answered(wire, before, turn) if entry[1] == "call"]


def _continues(wire: Wire, before: Turn, turn: Turn) -> bool:
    known, now = said(wire, before), said(wire, turn)
    if len(now) <= len(known) or now[: len(known)] != known:
        return False
    answered = _answered(wire, before, turn)
    if before.answer.calls:
        calls = [(entry[2]["name"], entry[2]["arguments"]) for entry in answered if entry[1] == "call"]
        return calls == [call[1:] for call in before.answer.calls]
    return bool(answered) and "".join(entry[2] for entry in answered if entry[1] == "text") == before.answer.text


def _only_results(wire: Wire, before: Turn, turn: Turn) -> bool:
    added = _added(wire, before, turn)[len(_answered(wire, before, turn)) :]
    results = [entry[2]["id"] for entry in added if entry[1] == "result"]
    same = _settings(wire, before.request) == _settings(wire, turn.request)
    return same and len(results) == len(added) and set(results) == set(_call_ids(wire, before, turn))


def _settings(wire: Wire, request: dict[str, Any]) -> Any:
    system = [entry for entry in wire.entries(request) if entry[0] == "system"]
    return system, wire.settings(pruned(wire.family, request, request, later=True))


def new_blocks(parsed: Parsed) -> tuple[tuple[ToolResult, ...], tuple[Block, ...]]:
    """Results, and what else the user says, after the last answer of a parsed request."""
    tail = list(itertools.takewhile(lambda message: message.role == "user", reversed(parsed.messages)))[::-1]
    blocks = [block for message in tail for block in message.content]
    return (
        tuple(block for block in blocks if isinstance(block, ToolResult)),
        tuple(block for block in blocks if not isinstance(block, ToolResult)),
    )


__all__ = ["Conversation", "Message", "Segment", "Turn", "conversations", "new_blocks", "said", "segments"]
