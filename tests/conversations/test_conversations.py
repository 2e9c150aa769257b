"""Every recorded conversation with tool calls runs through the engine, over HTTP, to its recorded answer.

The recordings are not part of the project (see the fixture ``recordings``); without them these tests are
skipped, and those of ``test_replay.py``, on conversations of our own, remain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import attrs
import pytest
import trio

from ._compare import differences
from ._conversations import Conversation, conversations, rewritten, segments
from ._ignored import IGNORED, REFUSED, REWRITTEN, Ignored, pruned
from ._left_out import LEFT_OUT, MOST
from ._model import Wire
from ._parse_anthropic import WIRE as ANTHROPIC
from ._parse_chat import WIRE as CHAT
from ._parse_responses import WIRE as RESPONSES
from ._replay import refused, replay

WIRES = (ANTHROPIC, RESPONSES, CHAT)
AT_LEAST = {"anthropic": 66, "openai_responses": 89, "openai_chat": 154}

PATIENCE_SECONDS = 60
"""For one conversation; each takes some milliseconds, so one that needs this hangs."""

Recordings = Callable[[str], tuple[dict[str, Any], ...]]


@cache
def recorded(recordings: Recordings, wire: Wire) -> tuple[Conversation, ...]:
    return tuple(conversations(wire, recordings(wire.family)))


def playable(recordings: Recordings, wire: Wire) -> list[Conversation]:
    return [conversation for conversation in recorded(recordings, wire) if conversation.id not in LEFT_OUT]


async def play(
    wire: Wire, chosen: list[Conversation], *, streaming: bool = False
) -> tuple[dict[str, list[str]], set[Ignored]]:
    """Play conversations one after the other: their problems, and the ignored fields that there were."""
    problems: dict[str, list[str]] = {}
    used: set[Ignored] = set()
    for conversation in chosen:
        with trio.fail_after(PATIENCE_SECONDS):
            found = await replay(wire, conversation, streaming=streaming, used=used)
        if found:
            problems[conversation.id] = found
    return problems, used


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
def test_the_recorded_conversations_are_all_found(recordings: Recordings, wire: Wire) -> None:
    assert len(recorded(recordings, wire)) >= AT_LEAST[wire.family]


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
async def test_every_conversation_runs_to_its_recorded_answer(recordings: Recordings, wire: Wire) -> None:
    """Also: each row of the table of ignored fields is needed, so none outlives its reason."""
    problems, used = await play(wire, playable(recordings, wire))
    assert problems == {}
    assert {row.path for row in IGNORED if row.family == wire.family} - {row.path for row in used} == set()


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
async def test_the_events_of_every_recorded_stream_hold_the_recorded_text(
    recordings: Recordings, wire: Wire
) -> None:
    streams = [each for each in playable(recordings, wire) if any(turn.streamed for turn in each.turns)]
    assert len(streams) >= 10
    problems, _ = await play(wire, streams, streaming=True)
    assert problems == {}


def test_what_cannot_be_played_back_is_little_and_follows_its_rule(recordings: Recordings) -> None:
    every = {each.id: (wire, each) for wire in WIRES for each in recorded(recordings, wire)}
    assert [name for name in LEFT_OUT if name not in every] == []
    assert [name for name, rule in LEFT_OUT.items() if not rule(*every[name])] == []
    assert len(LEFT_OUT) <= MOST * len(every)


def test_the_answers_that_recorded_clients_rewrote_are_these(recordings: Recordings) -> None:
    found = {
        name
        for wire in WIRES
        for conversation in recorded(recordings, wire)
        for name in rewritten(wire, conversation)
    }
    assert found == set(REWRITTEN)


def test_the_calls_that_do_not_fit_their_schema_are_these(recordings: Recordings) -> None:
    found = {name for wire in WIRES for each in playable(recordings, wire) for name in refused(wire, each)}
    assert found == set(REFUSED)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
def test_most_conversations_are_not_only_single_questions(recordings: Recordings, wire: Wire) -> None:
    """A plan that took each exchange for a run of its own would check nothing of the loop."""
    plans = [segments(wire, conversation) for conversation in playable(recordings, wire)]
    linked = [plan for plan in plans if any(len(run.turns) > 1 or run.parent is not None for run in plan)]
    assert len(linked) >= 0.9 * len(plans)


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
def test_a_word_that_differs_anywhere_in_a_request_is_found(recordings: Recordings, wire: Wire) -> None:
    """Each string of each conversation's last request is changed in turn; all but ignored ones are seen."""
    unnoticed = []
    for conversation in playable(recordings, wire):
        request = conversation.turns[-1].request
        kept = pruned(wire.family, request, request, later=False)
        for path in _strings({name: request[name] for name in ("messages", "input") if name in request}):
            changed = _changed(request, path)
            matters = pruned(wire.family, changed, request, later=False) != kept
            if (
                matters
                and not _is_of_blank_message(request, path)
                and not differences(wire, changed, request)
            ):
                unnoticed.append((conversation.turns[-1].id, path))
    assert unnoticed == []


def _strings(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _strings(item, (*path, key))


def _changed(value: Any, path: tuple[str | int, ...]) -> Any:
    if not path:
        return value + "x"
    changed = value.copy()
    changed[path[0]] = _changed(value[path[0]], path[1:])
    return changed


def _is_of_blank_message(request: dict[str, Any], path: tuple[str | int, ...]) -> bool:
    """Whose words an empty message holds does not matter."""
    message = request[str(path[0])][path[1]] if len(path) > 1 else {}
    return path[-1] == "role" and message.get("content") == "" and "tool_calls" not in message


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
async def test_another_answer_than_the_recorded_one_does_not_pass(recordings: Recordings, wire: Wire) -> None:
    for conversation in playable(recordings, wire)[:5]:
        last = conversation.turns[-1]
        other = attrs.evolve(last, answer=attrs.evolve(last.answer, text=last.answer.text + "!"))
        assert await replay(wire, attrs.evolve(conversation, turns=(*conversation.turns[:-1], other))) != []
