"""A conversation that moves from provider to provider, also between a call and its result.

What is sent is judged by the vendors' rules and by their clients' types; that it is all there, and that what is
one vendor's own goes back to it byte for byte and to nobody else, by what the answers held.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest
from hypothesis import Phase, given, settings

from alloy_trio.values import (
    CompletionRequest,
    Message,
    Opaque,
    Text,
    Thinking,
    ToolResult,
    ToolSpec,
)
from alloy_trio.wire import WireSettings, problems, repair, request_problems
from alloy_trio.wire._readers import READERS

from . import bedrock_oracle
from .histories import ORIGINS, as_written, histories
from .typed_params import mismatches

READ = ToolSpec("read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})


@attrs.frozen(kw_only=True)
class Answer:
    """An answer as its vendor writes it.

    Args:
        own: strings that go back to the vendor as they are, and to nobody else.
        said: what everybody is told.
    """

    body: dict[str, Any]
    own: tuple[str, ...] = ()
    said: tuple[str, ...] = ()


ANTHROPIC = Answer(
    body={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-6",
        "content": [
            {"type": "thinking", "thinking": "claude's thought", "signature": "EqQB/claude+sig=="},
            {"type": "redacted_thinking", "data": "EmwK/claude+redacted=="},
            {"type": "text", "text": "I search first."},
            {
                "type": "server_tool_use",
                "id": "srvtoolu_01A",
                "name": "web_search",
                "input": {"query": "claude's query"},
            },
            {
                "type": "web_search_tool_result",
                "tool_use_id": "srvtoolu_01A",
                "content": [
                    {
                        "type": "web_search_result",
                        "url": "https://e.org/claude",
                        "title": "t",
                        "encrypted_content": "Eqgf/claude+found==",
                        "page_age": None,
                    }
                ],
            },
            {
                "type": "text",
                "text": "It is cited.",
                "citations": [
                    {
                        "type": "web_search_result_location",
                        "url": "https://e.org/claude",
                        "title": "t",
                        "encrypted_index": "Eo8/claude+index==",
                        "cited_text": "c",
                    }
                ],
            },
            {"type": "tool_use", "id": "toolu_01A", "name": "read", "input": {"path": "a"}},
            {"type": "tool_use", "id": "toolu_01B", "name": "read", "input": {"path": "b"}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    own=(
        "claude's thought",
        "EqQB/claude+sig==",
        "EmwK/claude+redacted==",
        "claude's query",
        "Eqgf/claude+found==",
        "Eo8/claude+index==",
        "srvtoolu_01A",
    ),
    said=("I search first.", "It is cited."),
)
OPENAI = Answer(
    body={
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "model": "gpt-5.4",
        "output": [
            {
                "type": "reasoning",
                "id": "rs_0001",
                "summary": [{"type": "summary_text", "text": "gpt's thought"}],
                "encrypted_content": "gAAAAgpt-blob==",
            },
            {
                "type": "web_search_call",
                "id": "ws_0001",
                "status": "completed",
                "action": {"type": "search", "query": "gpt's query"},
            },
            {
                "type": "message",
                "id": "msg_0001",
                "role": "assistant",
                "status": "completed",
                "phase": "commentary",
                "content": [{"type": "output_text", "text": "I look at it.", "annotations": []}],
            },
            {"type": "compaction", "id": "cmp_0001", "encrypted_content": "gAAAAgpt-compaction=="},
            {
                "type": "reasoning",
                "id": "rs_0002",
                "summary": [],
                "encrypted_content": "gAAAAgpt-second==",
            },
            {
                "type": "function_call",
                "id": "fc_0001",
                "call_id": "call_XYZabc0001",
                "name": "read",
                "arguments": '{"path": "c"}',
                "status": "completed",
            },
            {
                "type": "function_call",
                "id": "fc_0002",
                "call_id": "call_XYZabc0002",
                "name": "read",
                "arguments": '{"path":"d"}',
                "status": "completed",
            },
        ],
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
    own=(
        "gpt's thought",
        "gAAAAgpt-blob==",
        "gAAAAgpt-second==",
        "gAAAAgpt-compaction==",
        "gpt's query",
        "rs_0001",
        "rs_0002",
        "msg_0001",
        "fc_0001",
        "fc_0002",
        '"phase":"commentary"',
    ),
    said=("I look at it.",),
)
GEMINI = Answer(
    body={
        "responseId": "r1",
        "modelVersion": "gemini-3.5-flash",
        "candidates": [
            {
                "content": {
                    "role": "model",
                    "parts": [
                        {"text": "gemini's thought", "thought": True},
                        {"executableCode": {"language": "PYTHON", "code": "gemini = 1"}},
                        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "gemini's 1"}},
                        {"text": "It is one.", "thoughtSignature": "Z2VtaW5pLXRleHQ="},
                        {
                            "inlineData": {"mimeType": "image/png", "data": "Z2VtaW5pLXBuZw=="},
                            "thoughtSignature": "Z2VtaW5pLXBpYw==",
                        },
                        {
                            "functionCall": {"name": "read", "args": {"path": "e"}},
                            "thoughtSignature": "Z2VtaW5pLWNhbGw=",
                        },
                        {"functionCall": {"name": "read", "args": {"path": "f"}}},
                    ],
                },
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
    },
    own=(
        "gemini's thought",
        "gemini = 1",
        "gemini's 1",
        "Z2VtaW5pLXRleHQ=",
        "Z2VtaW5pLXBpYw==",
        "Z2VtaW5pLXBuZw==",
        "Z2VtaW5pLWNhbGw=",
    ),
    said=("It is one.",),
)
MISTRAL = Answer(
    body={
        "id": "cmpl-1",
        "object": "chat.completion",
        "model": "magistral-medium",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "mistral's thought"}]},
                        {"type": "text", "text": "I read on."},
                        {"type": "reference", "reference_ids": [77001]},
                    ],
                    "tool_calls": [
                        {"id": "wVug6SNgl", "function": {"name": "read", "arguments": '{"path": "g"}'}},
                        {"id": "abcDEF123", "function": {"name": "read", "arguments": '{"path": "h"}'}},
                    ],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    },
    own=("mistral's thought", "77001"),
    said=("I read on.",),
)
DEEPSEEK = Answer(
    body={
        "id": "ds-1",
        "object": "chat.completion",
        "model": "deepseek-v4-flash",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Two more.",
                    "reasoning_content": "deepseek's thought",
                    "tool_calls": [
                        {
                            "id": "call_00_rGGuLWLHvYxVPMtiENE41150",
                            "type": "function",
                            "function": {"name": "read", "arguments": '{"path": "i"}'},
                        },
                        {
                            "id": "call_01_rGGuLWLHvYxVPMtiENE41150",
                            "type": "function",
                            "function": {"name": "read", "arguments": '{"path": "'},
                        },
                    ],
                },
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    },
    own=("deepseek's thought",),
    said=("Two more.",),
)
ANSWERS = {
    "anthropic": ANTHROPIC,
    "openai": OPENAI,
    "gemini": GEMINI,
    "mistral": MISTRAL,
    "deepseek": DEEPSEEK,
}
ROUTE = ("anthropic", "openai", "gemini", "mistral", "deepseek", "anthropic")


def settings_of(name: str, **options: Any) -> WireSettings:
    origin = ORIGINS.get(name)
    model = READERS[name].model if origin is None else origin.model
    return WireSettings(provider=name, model=model, **options)


def sent(name: str, messages: tuple[Message, ...], **options: Any) -> bytes:
    request = CompletionRequest(messages, tools=(READ,), system="Be brief.")
    codec, given = READERS[name].codec(), settings_of(name, **options)
    body = codec.encode(request, given, stream=True).body
    assert codec.encode(request, given, stream=True).body == body
    assert READERS[name].codec().encode(CompletionRequest(messages), given, stream=True).body
    return body


def answered(name: str, times: int = 0) -> Message:
    """The answer, as we read it.

    Args:
        name: whose.
        times: how often it was given before; the vendors that number what they write go on numbering.
    """
    written = json.dumps(ANSWERS[name].body).replace("toolu_01", f"toolu_0{times + 1}")
    written = re.sub(r"(?<=[a-z_])000(?=\d)", f"00{times}", written)
    decoder = READERS[name].codec().decoder(settings_of(name))
    decoder.receive(written.encode())
    return decoder.finish().message


def results_of(message: Message) -> Message:
    return Message.user([ToolResult(use.id, f"result of {use.id}.") for use in message.tool_uses])


# --- the vendors' types -----------------------------------------------------------------------------------


def fits_anthropic(body: dict[str, Any]) -> None:
    pytest.importorskip("anthropic", reason="the vendor's types are the judge here")
    from anthropic.types.message_create_params import MessageCreateParamsStreaming

    assert mismatches(body, MessageCreateParamsStreaming) == []


def fits_openai(body: dict[str, Any]) -> None:
    pytest.importorskip("openai", reason="the vendor's types are the judge here")
    from openai.types.responses.response_create_params import ResponseCreateParamsStreaming

    assert mismatches(body, ResponseCreateParamsStreaming) == []


def fits_chat(body: dict[str, Any]) -> None:
    pytest.importorskip("openai", reason="the vendor's types are the judge here")
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

    assert mismatches(without_extensions(body), CompletionCreateParamsStreaming) == []


def without_extensions(body: dict[str, Any]) -> dict[str, Any]:
    """A body without what hosts have added to OpenAI's protocol."""
    body = json.loads(json.dumps(body))
    for message in body["messages"]:
        message.pop("reasoning_content", None)
        message.pop("reasoning", None)
        if isinstance(message["content"], list):
            known = ("text", "image_url", "input_audio", "file", "refusal")
            message["content"] = [part for part in message["content"] if part["type"] in known]
    return body  # type: ignore[no-any-return]


def fits_gemini(body: dict[str, Any]) -> None:
    types = pytest.importorskip("google.genai.types", reason="the vendor's types are the judge here")
    for content in body["contents"]:
        types.Content.model_validate(content)


def fits_bedrock(body: dict[str, Any]) -> None:
    bedrock_oracle.written(body, ORIGINS["bedrock"].model, stream=True)


FITS: dict[str, Callable[[dict[str, Any]], None]] = {
    "anthropic": fits_anthropic,
    "bedrock": fits_bedrock,
    "deepseek": fits_chat,
    "gemini": fits_gemini,
    "groq": fits_chat,
    "mistral": fits_chat,
    "openai": fits_openai,
    "openai_chat": fits_chat,
    "openrouter": fits_chat,
}


# --- one conversation, written by hand --------------------------------------------------------------------


def the_way(route: tuple[str, ...]) -> Iterator[tuple[str, tuple[Message, ...]]]:
    """At each step who is asked, and the conversation so far."""
    messages: tuple[Message, ...] = (Message.user("Read all of them."),)
    for place, name in enumerate(route):
        yield name, messages
        answer = answered(name, route[:place].count(name))
        assert len(answer.tool_uses) == 2
        messages = (*messages, answer, results_of(answer))


@pytest.mark.parametrize("route", [ROUTE, ROUTE[::-1], (*ROUTE, *ROUTE[1:])], ids=["there", "back", "twice"])
@pytest.mark.parametrize("name", sorted(READERS))
def test_at_each_step_of_the_way_anybody_can_go_on(name: str, route: tuple[str, ...]) -> None:
    for _, messages in the_way(route):
        assert repair(messages) is messages
        assert problems(messages, name) == ()
        body = sent(name, messages)
        assert request_problems(READERS[name].rules, body, model=settings_of(name).model) == ()
        for message in messages:
            for text in [block.text for block in message.content if isinstance(block, Text)]:
                assert as_written(text) in body
            for block in message.content:
                assert not isinstance(block, ToolResult) or as_written(block.text) in body


@pytest.mark.parametrize("name", sorted(FITS))
def test_at_each_step_what_is_sent_is_of_the_vendors_types(name: str) -> None:
    for _, messages in the_way(ROUTE):
        FITS[name](json.loads(sent(name, messages)))


@pytest.mark.parametrize("name", sorted(READERS))
def test_what_is_a_vendors_own_goes_back_to_it_and_to_nobody_else(name: str) -> None:
    for _, messages in the_way((*ROUTE, *ROUTE[1:])):
        body = sent(name, messages)
        took_part = {message.origin.provider for message in messages if message.origin}
        for vendor in took_part:
            for own in ANSWERS[vendor].own:
                # Chat Completions shares its protocol's text, not its reasoning.
                assert (as_written(own) in body or own.encode() in body) is (vendor == name), (vendor, own)


def test_a_signature_goes_back_on_the_block_that_it_came_on() -> None:
    *_, (_, messages) = the_way(ROUTE)
    claude = json.loads(sent("anthropic", messages))["messages"][1]["content"]
    wanted = [dict(block) for block in ANTHROPIC.body["content"]]
    assert claude == wanted
    gpt = json.loads(sent("openai", messages))["input"]
    ours = [item for item in gpt if item.get("id")]
    assert ours == [
        {key: value for key, value in item.items() if value is not None} for item in OPENAI.body["output"]
    ]
    gemini = json.loads(sent("gemini", messages))["contents"]
    kept = GEMINI.body["candidates"][0]["content"]
    assert kept in gemini


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_call_and_its_result_have_one_id_everywhere(name: str) -> None:
    """Read from the body by nothing but the names of fields: as many ids as calls, each of them twice."""
    *_, (_, messages) = the_way(ROUTE)
    body = json.loads(sent(name, messages))
    calls, results = [], []
    for fields in objects(body):
        if "functionCall" in fields or "functionResponse" in fields:
            continue
        if fields.get("type") == "tool_use" or (fields.keys() >= {"id", "function"}):
            calls.append(fields["id"])
        if fields.get("type") == "function_call":
            calls.append(fields["call_id"])
        if fields.keys() >= {"toolUseId", "input"}:
            calls.append(fields["toolUseId"])
        if fields.keys() >= {"toolUseId", "content"}:
            results.append(fields["toolUseId"])
        if fields.get("type") == "tool_result":
            results.append(fields["tool_use_id"])
        if fields.get("type") == "function_call_output":
            results.append(fields["call_id"])
        if "tool_call_id" in fields:
            results.append(fields["tool_call_id"])
    if READERS[name].rules == "gemini":
        parts = [part for content in body["contents"] for part in content["parts"]]
        calls = [p["functionCall"].get("id", "none") for p in parts if "functionCall" in p]
        results = [p["functionResponse"].get("id", "none") for p in parts if "functionResponse" in p]
        assert calls.count("none") == 2  # its own, to which it gave none
    else:
        assert len(set(calls)) == 10
    assert calls == results
    assert len(calls) == 10


def objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects(item)


def test_mistrals_ids_are_its_own_where_they_are_and_nine_characters_where_they_are_not() -> None:
    *_, (_, messages) = the_way(ROUTE)
    found = re.findall(rb'"tool_call_id":"([^"]*)"', sent("mistral", messages))
    assert len(found) == 10
    assert found[6:8] == [b"wVug6SNgl", b"abcDEF123"]
    assert all(re.fullmatch(rb"[A-Za-z0-9]{9}", ident) for ident in found)


def test_deepseek_is_given_its_reasoning_and_an_empty_one_for_the_others() -> None:
    *_, (_, messages) = the_way(ROUTE)
    body = json.loads(sent("deepseek", messages))
    given = [m["reasoning_content"] for m in body["messages"] if m["role"] == "assistant"]
    assert given == ["", "", "", "", "deepseek's thought"]


def test_gemini_is_told_that_a_foreign_call_has_no_signature() -> None:
    *_, (_, messages) = the_way(ROUTE)
    contents = json.loads(sent("gemini", messages))["contents"]
    parts = [[part for part in content["parts"] if "functionCall" in part] for content in contents]
    signed = [[part.get("thoughtSignature") for part in calls] for calls in parts if calls]
    none = ["skip_thought_signature_validator", None]
    assert signed == [none, none, ["Z2VtaW5pLWNhbGw=", None], none, none]


def test_openais_items_have_no_ids_where_their_reasoning_cannot_be_sent() -> None:
    message = answered("openai")
    cut = [
        attrs.evolve(block, signature=None) if isinstance(block, Thinking) else block
        for block in message.content
    ]
    messages = (Message.user("a"), attrs.evolve(message, content=cut), results_of(message))
    items = json.loads(sent("openai", messages))["input"]
    assert [
        item["id"]
        for item in items
        if item.get("type") in ("message", "function_call", None) and "id" in item
    ] == []


def test_calls_that_a_host_counts_anew_get_other_ids_where_ids_have_to_differ() -> None:
    def called(number: int) -> list[Message]:
        decoder = READERS["groq"].codec().decoder(settings_of("groq"))
        call = {"id": "read:0", "type": "function", "function": {"name": "read", "arguments": "{}"}}
        message = {"role": "assistant", "content": None, "tool_calls": [call]}
        answer = {"id": f"x{number}", "choices": [{"message": message, "finish_reason": "tool_calls"}]}
        decoder.receive(json.dumps(answer).encode())
        made = decoder.finish().message
        return [made, results_of(made)]

    messages = (Message.user("a"), *called(1), *called(2), *called(3))
    for name in sorted(READERS):
        assert problems(messages, name) == (), name
    found = re.findall(rb'"call_id":"([^"]*)"', sent("openai", messages))
    assert found == [b"read:0", b"read:0", b"read:0-2", b"read:0-2", b"read:0-3", b"read:0-3"]


# --- any conversation -------------------------------------------------------------------------------------

BUDGETS = {"anthropic": 2_000, "bedrock": 2_000}


@settings(max_examples=250)
@given(history=histories())
def test_any_repaired_history_is_valid_for_whoever_reads_it(history: tuple[Message, ...]) -> None:
    repaired = repair(history)
    assert repair(repaired) is repaired
    messages = (*repaired, Message.user("And now?"))
    took_part = {message.origin for message in messages}
    texts = sorted(texts_of(messages))
    for name, reader in READERS.items():
        origin = settings_of(name).origin
        for thinking in dict.fromkeys((None, BUDGETS.get(name))):
            body = sent(name, messages, thinking=thinking)
            assert request_problems(reader.rules, body, model=origin.model) == (), name
            assert [text for text in texts if as_written(text) not in body] == [], name
            if origin not in took_part:
                assert b"secret" not in body, name
                assert b"c2VjcmV0" not in body, name


def texts_of(messages: tuple[Message, ...]) -> Iterator[str]:
    """All words and all results, as far as they say something."""
    for message in messages:
        for block in message.content:
            if isinstance(block, Text):
                said = [block.text]
            elif isinstance(block, ToolResult) and isinstance(block.content, str):
                said = [block.content]
            elif isinstance(block, ToolResult):
                said = [part.text for part in block.content if isinstance(part, Text)]
            else:
                said = []
            yield from (text.rstrip() for text in said if text.strip())


@settings(max_examples=20, phases=(Phase.explicit, Phase.generate))  # shrinking would take minutes
@given(history=histories())
def test_any_repaired_history_is_of_the_vendors_types(history: tuple[Message, ...]) -> None:
    messages = (*repair(history), Message.user("And now?"))
    for name in ("anthropic", "bedrock", "gemini", "openai", "openai_chat"):
        FITS[name](json.loads(sent(name, messages)))


@settings(max_examples=60)
@given(history=histories())
def test_a_history_has_no_problems_once_it_is_repaired(history: tuple[Message, ...]) -> None:
    repaired = repair(history)
    assert [said for name in ROUTE for said in problems(repaired, name)] == []
    assert (repaired is history) is (problems(history) == ())


# --- what was found this way ------------------------------------------------------------------------------


def test_results_stand_in_the_order_of_their_calls_where_nothing_else_tells_them_apart() -> None:
    message = answered("gemini")
    first, second = message.tool_uses
    late = Message.user([ToolResult(second.id, "second"), ToolResult(first.id, "first")])
    parts = json.loads(sent("gemini", (Message.user("a"), message, late)))["contents"][2]["parts"]
    assert [part["functionResponse"]["response"]["output"] for part in parts] == ["first", "second"]


def test_reasoning_goes_without_its_id_before_words_that_have_none() -> None:
    """OpenAI answers 400: "Item 'rs_…' of type 'reasoning' was provided without its required following item."."""
    message = attrs.evolve(answered("openai"), content=[answered("openai").content[0], Text("by hand")])
    items = json.loads(sent("openai", (Message.user("a"), message, Message.user("b"))))["input"]
    assert items[1].keys() == {"type", "summary", "encrypted_content"}
    assert items[1]["encrypted_content"] == "gAAAAgpt-blob=="


def test_a_result_of_nothing_that_can_be_sent_is_an_empty_text() -> None:
    call = answered("mistral").tool_uses[0]
    nothing = Message.user([ToolResult(call.id, [Opaque("elsewhere", {"x": 1})])])
    asked = Message("assistant", [call], ORIGINS["mistral"])
    items = json.loads(sent("openai", (Message.user("a"), asked, nothing)))["input"]
    assert items[2]["output"] == ""


def test_a_call_of_what_no_tool_may_be_named_goes_under_another_name() -> None:
    call = attrs.evolve(answered("mistral").tool_uses[0], name="read file.txt")
    for origin, name in ((ORIGINS["gemini"], "read_file_txt"), (ORIGINS["groq"], "read_file_txt")):
        messages = (
            Message.user("a"),
            Message("assistant", [call], origin),
            results_of(Message("assistant", [call])),
        )
        body = json.loads(sent("groq", messages))
        assert body["messages"][2]["tool_calls"][0]["function"]["name"] == name
    own = (Message.user("a"), Message("assistant", [attrs.evolve(call, name="fs.read")], ORIGINS["groq"]))
    messages = (*own, results_of(own[1]))
    assert json.loads(sent("groq", messages))["messages"][2]["tool_calls"][0]["function"]["name"] == "fs.read"


def test_parts_of_one_answer_that_a_client_wrote_apart_go_back_as_one() -> None:
    message = answered("anthropic")
    apart = [attrs.evolve(message, content=[block]) for block in message.content]
    results = [Message.user([block]) for block in results_of(message).content]
    whole = json.loads(sent("anthropic", (Message.user("a"), message, results_of(message))))["messages"]
    found = json.loads(sent("anthropic", repair([Message.user("a"), *apart, *results])))["messages"]
    joined = [block for part in found[1:-1] for block in part["content"]]
    assert joined == whole[1]["content"]
    assert [block["tool_use_id"] for block in found[-1]["content"]] == ["toolu_01A", "toolu_01B"]


def test_a_call_keeps_its_id_when_one_host_is_asked_over_another_protocol() -> None:
    """Azure speaks two: who asks is the same, and what the other protocol left on the call is not sent."""
    given = WireSettings(provider="azure", model="gpt-5.4")
    message = attrs.evolve(answered("openai"), origin=given.origin, content=answered("openai").tool_uses)
    request = CompletionRequest((Message.user("a"), message, results_of(message)))
    body = READERS["azure"].codec().encode(request, given, stream=True).body
    assert request_problems("openai_chat", body) == ()
    fits_chat(json.loads(body))
