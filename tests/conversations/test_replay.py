"""The playing back itself, on conversations of our own: what it must find, it finds."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from alloy_trio.values import ToolResult

from . import _replay
from ._compare import differences
from ._conversations import Conversation, conversations, results, segments
from ._ignored import IGNORED, pruned
from ._model import Wire
from ._parse_anthropic import WIRE as ANTHROPIC
from ._parse_chat import WIRE as CHAT
from ._parse_responses import WIRE as RESPONSES
from ._replay import replay

WIRES = (ANTHROPIC, RESPONSES, CHAT)

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ASK = "Where is it warmer, in Oslo or in Rome?"
ANSWERS = ["I will look.", "In Rome: 21 °C, against 9 °C."]
CALLS = [("call_one", {"city": "Oslo"}, "9 °C"), ("call_two", {"city": "Rome"}, "21 °C")]
AGAIN = "Thanks. And in Bergen?"
LAST = "I do not know."


def anthropic_exchanges() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    uses = [{"type": "tool_use", "id": ident, "name": "weather", "input": given} for ident, given, _ in CALLS]
    results = [{"type": "tool_result", "tool_use_id": ident, "content": result} for ident, _, result in CALLS]
    history = [{"role": "user", "content": ASK}]
    first = [{"type": "text", "text": ANSWERS[0]}, *uses]
    second = [{"type": "text", "text": ANSWERS[1]}]
    third = [{"type": "text", "text": LAST}]
    histories = [history]
    histories.append(
        [*history, {"role": "assistant", "content": first}, {"role": "user", "content": results}]
    )
    histories.append(
        [*histories[1], {"role": "assistant", "content": second}, {"role": "user", "content": AGAIN}]
    )
    tools = [{"name": "weather", "description": "Tell the weather.", "input_schema": SCHEMA}]
    base = {"model": "claude-test", "max_tokens": 500, "system": "Be brief.", "tools": tools}
    usage = {"input_tokens": 5, "output_tokens": 7}
    return [
        (
            {**base, "messages": messages},
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "model": "claude-test",
                "content": content,
                "stop_reason": "tool_use" if content is first else "end_turn",
                "stop_sequence": None,
                "usage": usage,
            },
        )
        for messages, content in zip(histories, (first, second, third), strict=True)
    ]


def chat_exchanges() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    calls = [
        {"id": ident, "type": "function", "function": {"name": "weather", "arguments": json.dumps(given)}}
        for ident, given, _ in CALLS
    ]
    results = [{"role": "tool", "tool_call_id": ident, "content": result} for ident, _, result in CALLS]
    answers = [
        {"role": "assistant", "content": ANSWERS[0], "tool_calls": calls},
        {"role": "assistant", "content": ANSWERS[1]},
        {"role": "assistant", "content": LAST},
    ]
    histories = [[{"role": "system", "content": "Be brief."}, {"role": "user", "content": ASK}]]
    histories.append([*histories[0], answers[0], *results])
    histories.append([*histories[1], answers[1], {"role": "user", "content": AGAIN}])
    function = {"name": "weather", "description": "Tell the weather.", "parameters": SCHEMA}
    base = {"model": "gpt-test", "tools": [{"type": "function", "function": function}], "seed": 7}
    usage = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
    return [
        (
            {**base, "messages": messages},
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": "gpt-test",
                "choices": [
                    {
                        "index": 0,
                        "message": answer,
                        "finish_reason": "tool_calls" if "tool_calls" in answer else "stop",
                    }
                ],
                "usage": usage,
            },
        )
        for messages, answer in zip(histories, answers, strict=True)
    ]


def responses_exchanges() -> list[tuple[dict[str, Any], dict[str, Any]]]:
    calls = [
        {
            "type": "function_call",
            "id": f"fc_{ident}",
            "call_id": ident,
            "name": "weather",
            "arguments": json.dumps(given),
            "status": "completed",
        }
        for ident, given, _ in CALLS
    ]
    results = [
        {"type": "function_call_output", "call_id": ident, "output": result} for ident, _, result in CALLS
    ]

    def message(text: str) -> dict[str, Any]:
        part = {"type": "output_text", "text": text, "annotations": []}
        return {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [part],
        }

    outputs = [[message(ANSWERS[0]), *calls], [message(ANSWERS[1])], [message(LAST)]]
    inputs: list[list[dict[str, Any]]] = [[{"role": "user", "content": ASK}]]
    inputs.append([*inputs[0], *outputs[0], *results])
    inputs.append([*inputs[1], *outputs[1], {"role": "user", "content": AGAIN}])
    tool = {"type": "function", "name": "weather", "description": "Tell the weather.", "parameters": SCHEMA}
    base = {
        "model": "gpt-test",
        "instructions": "Be brief.",
        "tools": [tool],
        "metadata": {"team": "weather"},
    }
    usage = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    return [
        (
            {**base, "input": given},
            {
                "id": "resp_1",
                "object": "response",
                "created_at": 1,
                "status": "completed",
                "model": "gpt-test",
                "output": output,
                "usage": usage,
            },
        )
        for given, output in zip(inputs, outputs, strict=True)
    ]


EXCHANGES = {
    "anthropic": anthropic_exchanges,
    "openai_responses": responses_exchanges,
    "openai_chat": chat_exchanges,
}


def own(wire: Wire) -> Conversation:
    """A conversation of two runs: a question with two calls, and a second question."""
    records = [
        {
            "id": f"own-{turn:02}",
            "conversation": "own",
            "turn": turn,
            "endpoint": wire.endpoint,
            "status": 200,
            "request": request,
            "response_kind": "json",
            "response_content_type": "application/json",
            "body": json.dumps(body),
        }
        for turn, (request, body) in enumerate(EXCHANGES[wire.family]())
    ]
    (conversation,) = conversations(wire, records)
    return conversation


def changed(request: dict[str, Any], old: str, new: str) -> dict[str, Any]:
    """The same request with one text in place of another; arguments are text within text."""
    text = json.dumps(request, ensure_ascii=False)
    assert old in text
    result: dict[str, Any] = json.loads(text.replace(old, new))
    return result


@pytest.mark.parametrize("streaming", [False, True], ids=["run", "stream"])
@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
async def test_a_conversation_runs_to_its_answer(wire: Wire, streaming: bool) -> None:
    conversation = own(wire)
    plan = segments(wire, conversation)
    assert [(run.turns, run.parent) for run in plan] == [([0, 1], None), ([2], 1)]
    assert await replay(wire, conversation, streaming=streaming) == []


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
def test_a_request_differs_in_nothing_from_itself(wire: Wire) -> None:
    for turn in own(wire).turns:
        assert differences(wire, turn.request, turn.request) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Be brief.", "Be long."),
        (ASK, ASK + "?"),
        ("I will look.", "I looked."),
        ("call_two", "call_three"),
        ("Oslo\\", "Bergen\\"),
        ('"9 °C"', '"8 °C"'),
        ('"weather"', '"climate"'),
        ('"user"', '"assistant"'),
        ("Tell the weather.", "Tell it."),
        ('"required"', '"optional"'),
        ("-test", "-other"),
    ],
)
@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
def test_every_thing_that_is_said_is_compared(wire: Wire, old: str, new: str) -> None:
    recorded = own(wire).turns[1].request
    if wire is ANTHROPIC and old.endswith("\\"):
        old, new = old[:-1] + '"', new[:-1] + '"'  # arguments are no text within text there
    assert differences(wire, changed(recorded, old, new), recorded) != []


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
def test_results_in_another_order_differ(wire: Wire) -> None:
    recorded = own(wire).turns[1].request
    name = "input" if wire is RESPONSES else "messages"
    sent = json.loads(json.dumps(recorded))
    results = sent[name][-1]["content"] if wire is ANTHROPIC else sent[name]
    results[-1], results[-2] = results[-2], results[-1]
    assert differences(wire, sent, recorded) != []


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
async def test_an_answer_other_than_the_recorded_one_is_a_problem(wire: Wire) -> None:
    conversation = own(wire)
    last = conversation.turns[-1]
    other = attrs.evolve(last, answer=attrs.evolve(last.answer, text="I do."))
    problems = await replay(wire, attrs.evolve(conversation, turns=(*conversation.turns[:-1], other)))
    assert problems == [f"own-02: the result's text is {LAST!r}, recorded 'I do.'"]


@pytest.mark.parametrize("wire", WIRES, ids=lambda wire: wire.family)
async def test_a_request_other_than_the_recorded_one_is_refused_by_the_server(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*given: Any) -> list[ToolResult]:
        return [attrs.evolve(result, content="wrong") for result in results(*given)]

    monkeypatch.setattr(_replay, "results", wrong)
    (problem,) = await replay(wire, own(wire))
    assert problem.startswith("request 2 against own-01: entry")
    assert "wrong" in problem
    assert "9 °C" in problem


def test_a_row_of_the_table_names_no_text_call_or_result() -> None:
    for wire in WIRES:
        rows = [row for row in IGNORED if row.family == wire.family]
        request = own(wire).turns[1].request
        left = pruned(wire.family, request, request, later=True)
        assert wire.entries(left) == wire.entries(request)
        assert all(row.why for row in rows)
