"""Recorded conversations, and the runs that they are played back as.

A recording is a series of exchanges. A request that begins with an earlier one, goes on with its answer and
then holds nothing but the results of the answer's calls was made by an agent loop: such requests are one run
of ours. One that adds something of the user's, or changes the settings, is the next run on the same
conversation. One that begins with no earlier request starts a conversation of its own.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from alloy_trio.testing import Exchange
from alloy_trio.values import Message, ToolResult

from ._ignored import REWRITTEN, pruned
from ._model import Answer, Entry, Parsed, Wire, without_cut_marks

_COUNTED = re.compile(r"(?:call)?[_-]?\d{1,4}")


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
        rewritten: the recorded client gave its answer back in other words, so the run starts from the
            recorded request.
    """

    turns: list[int]
    parent: int | None
    rewritten: bool


@attrs.frozen(kw_only=True)
class Conversation:
    """All exchanges of one recording.

    Args:
        same: strings that name the same thing, and one name for it.
        unnamed: ids of calls that the vendor gave none, or only a number that it counts anew in each answer:
            each client makes up its own.
    """

    id: str
    turns: tuple[Turn, ...]
    same: dict[str, str]
    unnamed: frozenset[str]


def conversations(wire: Wire, records: Iterable[dict[str, Any]]) -> list[Conversation]:
    """The recorded multi-turn conversations with tool calls of one wire.

    The rule: at least two exchanges of one conversation with status 200 on the wire's endpoint whose
    requests were kept, and a request among them that holds the result of a call (of ours or of the vendor's
    own tools).
    """
    grouped: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if record["endpoint"] == wire.endpoint and record["status"] == 200 and record["request"] is not None:
            grouped.setdefault(record["conversation"], []).append(record)
    chosen = []
    for name, group in grouped.items():
        if len(group) < 2 or not any(wire.answered(record["request"]) for record in group):
            continue
        group.sort(key=lambda record: record["turn"])
        chosen.append(_conversation(wire, name, group))
    return chosen


def _conversation(wire: Wire, name: str, records: list[dict[str, Any]]) -> Conversation:
    turns: list[Turn] = []
    renamed: dict[str, str] = {}
    unnamed: set[str] = set()
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
            # Some clients name a call otherwise than the vendor did. One to one, in call and
            # result: put right here.
            sent = [entry[2]["id"] for entry in _answered(wire, before, turn) if entry[1] == "call"]
            given = [call[0] for call in before.answer.calls]
            renamed |= {old: new for old, new in zip(sent, given, strict=True) if old != new and new}
            unnamed |= {old for old, new in zip(sent, given, strict=True) if not new}
            unnamed |= {new for new in given if _COUNTED.fullmatch(new)}
            turn = attrs.evolve(turn, request=_with_ids(turn.request, renamed))
        turns.append(turn)
    same = {key: value for record in records for key, value in wire.same(record).items()}
    return Conversation(id=name, turns=tuple(turns), same=same, unnamed=frozenset(unnamed))


def _with_ids(value: Any, renamed: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _with_ids(item, renamed) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_ids(item, renamed) for item in value]
    return renamed.get(value, value) if isinstance(value, str) else value


def said(wire: Wire, turn: Turn) -> list[Entry]:
    """What a recorded request says but the system prompt, and but reasoning, which clients drop at will."""
    return [entry for entry in wire.entries(turn.request) if entry[0] != "system" and entry[1] != "reasoning"]


def segments(wire: Wire, conversation: Conversation) -> list[Segment]:
    """The runs of a conversation, in the order in which they are made."""
    made: list[Segment] = []
    turns = conversation.turns
    for place, turn in enumerate(turns):
        parent = _parent(wire, turns[:place], turn)
        run = next((segment for segment in made if segment.turns[-1] == parent), None)
        rewritten = parent is not None and turns[parent].id in REWRITTEN
        if (
            parent is not None
            and run is not None
            and not rewritten
            and _only_results(wire, turns[parent], turn)
        ):
            run.turns.append(place)
        else:
            made.append(Segment(turns=[place], parent=parent, rewritten=rewritten))
    return made


def _parent(wire: Wire, turns: Sequence[Turn], turn: Turn) -> int | None:
    """The place of the exchange that a request goes on from; of parallel ones the one with its calls."""

    def closeness(place: int) -> tuple[int, bool, int]:
        before = turns[place]
        same_ids = _call_ids(wire, before, turn) == [call[0] for call in before.answer.calls]
        return len(said(wire, before)), same_ids, place

    places = [place for place, before in enumerate(turns) if _continues(wire, before, turn)]
    return max(places, key=closeness, default=None)


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
    calls = [(entry[2]["name"], entry[2]["arguments"]) for entry in answered if entry[1] == "call"]
    return bool(answered) and calls == [call[1:] for call in before.answer.calls]


def rewritten(wire: Wire, conversation: Conversation) -> list[str]:
    """The exchanges whose answer the recorded client gave back with other words than it had got."""
    turns = conversation.turns
    found = []
    for place, turn in enumerate(turns):
        parent = _parent(wire, turns[:place], turn)
        if parent is not None and not (
            _same_words(wire, turns[parent], turn) and _same_details(wire, turns[parent], turn)
        ):
            found.append(turns[parent].id)
    return found


def _same_details(wire: Wire, before: Turn, turn: Turn) -> bool:
    """The namespaces of the calls, and the arguments of the vendor's own searches for tools."""
    answered = _answered(wire, before, turn)
    namespaces = tuple(entry[2].get("namespace") for entry in answered if entry[1] == "call")
    searches = [
        entry[2] for entry in answered if entry[1] == "other" and entry[2].get("type") == "tool_search_call"
    ]
    return namespaces == (before.answer.namespaces or (None,) * len(namespaces)) and all(
        search["arguments"] in before.answer.searches for search in searches
    )


def _same_words(wire: Wire, before: Turn, turn: Turn) -> bool:
    text = "".join(entry[2] for entry in _answered(wire, before, turn) if entry[1] == "text")
    return text.strip() == before.answer.text.strip()


def _only_results(wire: Wire, before: Turn, turn: Turn) -> bool:
    added = _added(wire, before, turn)[len(_answered(wire, before, turn)) :]
    results = [entry[2]["id"] for entry in added if entry[1] == "result"]
    same = _settings(wire, before.request) == _settings(wire, turn.request)
    return (
        same
        and bool(results)
        and len(results) == len(added)
        and set(results) == set(_call_ids(wire, before, turn))
    )


def _settings(wire: Wire, request: dict[str, Any]) -> Any:
    system = [entry for entry in wire.entries(request) if entry[0] == "system"]
    return system, wire.settings(pruned(wire.family, request, request, later=True))


def tail(wire: Wire, before: Turn, turn: Turn, parsed: Parsed) -> list[Message]:
    """What a request holds beyond the answer to the one before it and the results of that answer's calls."""
    ids = set(_call_ids(wire, before, turn))
    messages = list(parsed.messages)
    if not ids:
        last = max(place for place, message in enumerate(messages) if message.role == "assistant")
        return messages[last + 1 :]
    place = next(
        place
        for place, message in enumerate(messages)
        if ids & {block.tool_use_id for block in message.content if isinstance(block, ToolResult)}
    )
    rest = [b for b in messages[place].content if not (isinstance(b, ToolResult) and b.tool_use_id in ids)]
    return ([Message.user(rest)] if rest else []) + messages[place + 1 :]


def results(wire: Wire, before: Turn, turn: Turn, parsed: Parsed) -> list[ToolResult]:
    """The results of a turn's calls, in the calls' order, as the request after it holds them."""
    found = {
        block.tool_use_id: block
        for message in parsed.messages
        for block in message.content
        if isinstance(block, ToolResult)
    }
    return [found[ident] for ident in _call_ids(wire, before, turn)]


def continuations(wire: Wire, conversation: Conversation, place: int) -> list[Turn]:
    """The requests that go on from an exchange."""
    turns = conversation.turns
    return [turn for later, turn in enumerate(turns) if _parent(wire, turns[:later], turn) == place]


__all__ = [
    "Conversation",
    "Segment",
    "Turn",
    "continuations",
    "conversations",
    "results",
    "rewritten",
    "said",
    "segments",
    "tail",
]
