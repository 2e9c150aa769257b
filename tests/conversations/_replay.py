"""Plays a recorded conversation back through ``alloy_trio.run`` over HTTP."""

from __future__ import annotations

import json
from collections import deque
from typing import Any

import attrs

import alloy_trio
from alloy_trio.testing import Exchange, ReplayRequest, open_replay_server
from alloy_trio.tools import Tool, ToolContext, ToolOutput
from alloy_trio.values import Message, Result, Text, ToolError, ToolResult, ToolSpec

from ._compare import differences
from ._conversations import Conversation, Segment, continuations, results, segments, tail
from ._ignored import REFUSED, Ignored
from ._model import Parsed, Wire

NOT_RECORDED = "(the recording ends before this call was answered)"


async def replay(
    wire: Wire, conversation: Conversation, *, streaming: bool = False, used: set[Ignored] | None = None
) -> list[str]:
    """Run the whole conversation; what went wrong, in words.

    Args:
        streaming: use ``alloy_trio.stream`` and compare the text of its events too.
        used: receives the rows of the table of ignored fields that were needed.
    """
    turns = conversation.turns
    plan = segments(wire, conversation)
    later = {turns[place].id for segment in plan for place in segment.turns[1:]}
    recorded = {turn.id: turn.request for turn in turns}

    def check(request: ReplayRequest, exchange: Exchange) -> list[str]:
        return differences(
            wire,
            request.json,
            recorded[exchange.id],
            later=exchange.id in later,
            same=conversation.same,
            unnamed=conversation.unnamed,
            used=used,
        )

    problems: list[str] = []
    ended: dict[int, Result] = {}
    served = [turns[place].served for segment in plan for place in segment.turns]
    async with open_replay_server(served, check=check) as server:
        for segment in plan:
            label = turns[segment.turns[0]].id
            try:
                result, streamed = await _run(wire, conversation, segment, ended, server.url, streaming)
            except alloy_trio.AlloyError as exc:
                return [*problems, *(server.problems or [f"{label}: {type(exc).__name__}: {exc}"])]
            ended[segment.turns[-1]] = result
            last = turns[segment.turns[-1]]
            if result.text != last.answer.text:
                problems.append(
                    f"{last.id}: the result's text is {result.text!r}, recorded {last.answer.text!r}"
                )
            told = "".join(turns[place].answer.text for place in segment.turns)
            if streamed is not None and streamed != told:
                problems.append(f"{label}: the text of the events is {streamed!r}, recorded {told!r}")
            if result.status == "max_turns" and not last.answer.calls:
                problems.append(f"{last.id}: the run wanted to go on after the recorded last answer")
        problems += server.problems
        if left := server.statistics().exchanges_left:
            problems.append(f"{left} of {len(served)} recorded exchanges were not asked for")
    return problems


async def _run(
    wire: Wire,
    conversation: Conversation,
    segment: Segment,
    ended: dict[int, Result],
    url: str,
    streaming: bool,
) -> tuple[Result, str | None]:
    first = conversation.turns[segment.turns[0]]
    model = first.request.get("model") or "recorded"
    parsed = wire.parse(first.request, wire.provider_name, model)
    if any(conversation.turns[place].id in REFUSED for place in segment.turns):
        parsed = _with_open_schemas(parsed, first.request["tools"])
    prompt, messages = _conversation_so_far(wire, conversation, segment, ended, parsed)
    options: dict[str, Any] = {
        "provider": wire.provider(url, model, parsed),
        "messages": messages,
        "system_prompt": parsed.system,
        "tools": [*_stand_ins(wire, conversation, segment, parsed), *parsed.server_tools],
        "tool_choice": parsed.tool_choice,
        "output_schema": parsed.output_schema,
        "max_turns": len(segment.turns),
        "max_retries": 0,
    }
    if not streaming:
        return await alloy_trio.run(prompt, **options), None
    async with alloy_trio.stream(prompt, **options) as events:
        text = [event.payload async for event in events if event.event == "text_delta"]
    return events.result, "".join(text)


def _with_open_schemas(parsed: Parsed, recorded: list[dict[str, Any]]) -> Parsed:
    tools = tuple(attrs.evolve(tool, input_schema={"type": "object"}) for tool in parsed.tools)
    return attrs.evolve(
        parsed, tools=tools, server_tools=(), extra_body={**parsed.extra_body, "tools": recorded}
    )


def refused(wire: Wire, conversation: Conversation) -> list[str]:
    """The exchanges with a call whose input does not fit the recorded schema."""
    found = []
    for turn in conversation.turns:
        tools = {spec.name: spec for spec in wire.parse(turn.request, wire.provider_name, "").tools}
        for _, name, given in turn.answer.calls:
            spec = tools.get(name)
            if spec is not None and not _fits(spec, given):
                found.append(turn.id)
    return found


def _fits(spec: ToolSpec, given: Any) -> bool:
    tool = _stand_in(spec.name, spec.description, spec.input_schema, spec.strict, {})
    try:
        tool.prepare(given)
    except ToolError:
        return False
    return True


def _conversation_so_far(
    wire: Wire, conversation: Conversation, segment: Segment, ended: dict[int, Result], parsed: Parsed
) -> tuple[str | None, tuple[Message, ...]]:
    if segment.parent is not None and not segment.rewritten:
        # Go on from what our own run made of it.
        turns = conversation.turns
        new = tail(wire, turns[segment.parent], turns[segment.turns[0]], parsed)
        return None, (*ended[segment.parent].messages, *new)
    match parsed.messages:
        case [Message(role="user", content=[Text(text=prompt, citations=())])] if prompt.strip():
            return prompt, ()
    return None, parsed.messages


def _stand_ins(wire: Wire, conversation: Conversation, segment: Segment, parsed: Parsed) -> list[Tool]:
    """A tool for each recorded one, which returns the recorded results of its calls."""
    answers: dict[tuple[str, str], deque[ToolResult]] = {}
    for place in segment.turns:
        turn = conversation.turns[place]
        for after in continuations(wire, conversation, place)[:1]:
            request = wire.parse(after.request, wire.provider_name, "")
            for call, result in zip(turn.answer.calls, results(wire, turn, after, request), strict=True):
                answers.setdefault((call[1], _key(call[2])), deque()).append(result)
    return [
        _stand_in(spec.name, spec.description, spec.input_schema, spec.strict, answers)
        for spec in parsed.tools
    ]


def _stand_in(
    name: str,
    description: str,
    schema: dict[str, Any],
    strict: bool,
    answers: dict[tuple[str, str], deque[ToolResult]],
) -> Tool:
    async def execute(given: dict[str, Any], context: ToolContext) -> str | ToolOutput:
        waiting = answers.get((name, _key(given)))
        if not waiting:
            return NOT_RECORDED
        result = waiting.popleft()
        if result.is_error:
            raise ToolError(result.text)
        if isinstance(result.content, str):
            return result.content
        return ToolOutput("", blocks=result.content)

    return Tool(name, description, schema, execute, strict=strict, max_result_chars=10_000_000)


def _key(arguments: Any) -> str:
    return json.dumps(arguments, sort_keys=True)
