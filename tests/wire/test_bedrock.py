"""Requests on Bedrock's wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.values import (
    Audio,
    CompletionRequest,
    ConfigurationError,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    ServerTool,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolSpec,
    ToolUse,
    Video,
)
from alloy_trio.wire import WireRequest, WireSettings, _bedrock, repair
from alloy_trio.wire._bedrock import BedrockCodec
from alloy_trio.wire._bedrock_models import caching_of

from . import bedrock_oracle

CLAUDE = "us.anthropic.claude-sonnet-4-6"
NOVA = "us.amazon.nova-pro-v1:0"
NOVA_2 = "us.amazon.nova-2-lite-v1:0"
GPT = "openai.gpt-oss-120b-1:0"
LLAMA = "us.meta.llama4-maverick-17b-instruct-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"

SETTINGS = WireSettings(provider="bedrock", model=CLAUDE)
OWN = SETTINGS.origin
FOREIGN = Origin("openai", "gpt-made-up")
MARK = {"cachePoint": {"type": "default"}}
READ = ToolSpec("read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
PNG = b"\x89PNG\r\n"


def encode(
    *messages: Message,
    settings: WireSettings = SETTINGS,
    stream: bool = False,
    cache: bool = False,
    **request: Any,
) -> WireRequest:
    asked = CompletionRequest(messages or (Message.user("Hi"),), **request)
    return BedrockCodec(prompt_cache=cache).encode(asked, settings, stream=stream)


def body_of(*messages: Message, **options: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(*messages, **options).body)
    return body


def sent(*messages: Message, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body_of(*messages, **options)["messages"]
    return found


def content(*blocks: Any, **options: Any) -> list[dict[str, Any]]:
    """What becomes of blocks in a user's message."""
    found: list[dict[str, Any]] = sent(Message.user(blocks), **options)[0]["content"]
    return found


def with_settings(model: str = CLAUDE, **changes: Any) -> WireSettings:
    return WireSettings(provider="bedrock", model=model, **changes)


def own(*blocks: Any) -> Message:
    return Message("assistant", blocks, OWN)


def called(number: int) -> Iterator[Message]:
    yield own(ToolUse(f"tooluse_{number}", "read", {"path": "x"}))
    yield Message.user([ToolResult(f"tooluse_{number}", "text")])


# ---- the whole


def test_the_smallest_request_is_exactly_this() -> None:
    request = encode(stream=True)
    assert request.path == "/model/us.anthropic.claude-sonnet-4-6/converse-stream"
    assert dict(request.headers) == {
        "content-type": "application/json",
        "accept": "application/vnd.amazon.eventstream",
    }
    assert request.body == b'{"messages":[{"role":"user","content":[{"text":"Hi"}]}]}'
    whole = encode()
    assert whole.body == request.body
    assert whole.path.endswith("/converse")
    assert dict(whole.headers)["accept"] == "application/json"


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (NOVA, "us.amazon.nova-pro-v1%3A0"),
        (PROFILE, "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fabc123"),
        ("../x?y#z", "..%2Fx%3Fy%23z"),
    ],
)
def test_a_models_name_is_one_segment_of_the_path(model: str, path: str) -> None:
    assert encode(settings=with_settings(model)).path == f"/model/{path}/converse"


SEARCH = {"toolUseId": "s1", "name": "nova_grounding", "input": {"q": 1}, "type": "server_tool_use"}
FOUND = {"toolUseId": "s1", "content": [{"text": "x"}], "status": "success", "type": "nova_grounding_result"}

EVERYTHING = (
    Message.user(
        [
            Text("Look."),
            Image("image/png", PNG),
            Image("image/jpeg", url="s3://bucket/a.jpg"),
            Document("application/pdf", b"%PDF", title="Q3 report"),
            Document("text/plain", b"words"),
            Video("video/mp4", b"film"),
            Audio("audio/mpeg", b"sound"),
            Opaque("bedrock", {"guardContent": {"text": {"text": "x", "qualifiers": ["query"]}}}),
        ]
    ),
    own(
        Thinking("Hm.", "c2ln"),
        Thinking("", redacted="AAEC"),
        Text("Cited.", ({"title": "t", "location": {"web": {"url": "https://x.example/"}}},)),
        ToolUse("tooluse_1", "read", {"path": "x", "deep": [1, None, {"a": 1.5}]}),
        ToolUse("tooluse_2", "read", {}, "{broken"),
    ),
    Message.user(
        [
            ToolResult("tooluse_1", (Text("a"), Image("image/png", PNG), Document("text/csv", b"a,b"))),
            ToolResult("tooluse_2", "failed", is_error=True),
            Text("And?"),
        ]
    ),
    own(
        ServerToolUse("s1", "nova_grounding", {"q": 1}, extra=SEARCH),
        ServerToolResult("s1", [{"text": "x"}], extra=FOUND),
        Text("Done."),
    ),
    Message.user("Go on."),
)  # fmt: skip


@pytest.mark.parametrize("model", [CLAUDE, NOVA, NOVA_2, GPT, LLAMA, PROFILE])
@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("choice", [None, "auto", "required", "read", "none"])
def test_a_request_with_everything_in_it_is_what_the_vendors_client_would_send(
    model: str, cache: bool, choice: str | None
) -> None:
    settings = with_settings(
        model, max_tokens=5000, temperature=0.5, extra_body={"performanceConfig": {"latency": "optimized"}}
    )
    request = encode(
        *EVERYTHING,
        settings=settings,
        cache=cache,
        tools=(READ, ToolSpec("strict", "", {"properties": {}}, strict=True)),
        server_tools=(ServerTool("nova_grounding"),),
        system="Be brief.",
        tool_choice=choice,
        output_schema={"type": "object", "properties": {"a": {"type": "string"}}},
    )
    body = json.loads(request.body)
    assert (request.path, body) == bedrock_oracle.written(body, model, stream=False)


def test_the_vendors_client_finds_mistakes() -> None:
    bedrock_oracle.service()
    for wrong in (
        {"messages": [{"role": "user", "content": [{"txt": "x"}]}]},
        {"messages": [{"role": "user"}]},
        {"messages": [], "inferenceConfig": {"maxTokens": "x"}},
    ):
        with pytest.raises(AssertionError):
            bedrock_oracle.written(wrong, "m", stream=False)


def test_a_body_is_the_naive_rendering_of_all_its_parts() -> None:
    settings = with_settings(max_tokens=100, temperature=0.5, thinking={"type": "adaptive"})
    request = encode(
        Message.user("a é"),
        own(Thinking("t", "s"), Text("b"), ToolUse("tooluse_1", "read", {"path": "x"})),
        Message.user([Text("after"), ToolResult("tooluse_1", "r")]),
        settings=settings,
        cache=True,
        tools=(READ,),
        system="S",
        tool_choice="auto",
        output_schema={"type": "object", "properties": {}},
    )
    naive = {
        "inferenceConfig": {"maxTokens": 100, "temperature": 0.5},
        "additionalModelRequestFields": {"thinking": {"type": "adaptive"}},
        "outputConfig": {
            "textFormat": {
                "type": "json_schema",
                "structure": {
                    "jsonSchema": {
                        "name": "answer",
                        "schema": '{"type":"object","properties":{},"additionalProperties":false}',
                    }
                },
            }
        },
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "read",
                        "description": "Read a file.",
                        "inputSchema": {"json": READ.input_schema},
                    }
                },
                MARK,
            ],
            "toolChoice": {"auto": {}},
        },
        "system": [{"text": "S"}, MARK],
        "messages": [
            {"role": "user", "content": [{"text": "a é"}, MARK]},
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "t", "signature": "s"}}},
                    {"text": "b"},
                    {"toolUse": {"toolUseId": "tooluse_1", "name": "read", "input": {"path": "x"}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "tooluse_1", "content": [{"text": "r"}]}},
                    {"text": "after"},
                    MARK,
                ],
            },
        ],
    }
    assert request.body == json.dumps(naive, ensure_ascii=False, separators=(",", ":")).encode()


def test_a_message_is_encoded_once_and_not_again_in_later_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[Message] = []
    original = _bedrock.render_content

    def counting(message: Message, **given: Any) -> bytes:
        rendered.append(message)
        return original(message, **given)

    monkeypatch.setattr(_bedrock, "render_content", counting)
    history = [Message.user([Text("a"), Document("text/plain", b"x")])]
    for turn in range(5):
        encode(*history, cache=True, tools=(READ,))
        assert rendered[-1] is history[-1]
        assert len(rendered) == len(history)
        history += called(turn)
        encode(*history, cache=True, tools=(READ,))
        assert len(rendered) == len(history)


def test_earlier_messages_are_the_same_bytes_in_the_next_turn() -> None:
    history = [Message.user([Text("a"), Document("text/plain", b"x")]), *called(1)]
    before = encode(*history, tools=(READ,)).body
    history += [own(Text("ok")), Message.user([Text("b"), Document("text/plain", b"y")])]
    after = encode(*history, tools=(READ,)).body
    assert after.startswith(before.removesuffix(b"]}"))


# ---- cache marks


def places(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "system": body.get("system", [])[-1:] == [MARK],
        "tools": body.get("toolConfig", {}).get("tools", [])[-1:] == [MARK],
        "messages": [i for i, message in enumerate(body["messages"]) if message["content"][-1] == MARK],
    }


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (CLAUDE, {"system": True, "tools": True, "messages": [2, 4]}),
        ("eu.anthropic.claude-3-7-sonnet-20250219-v1:0", {"system": True, "tools": True, "messages": [2, 4]}),
        ("anthropic.claude-3-5-haiku-20241022-v1:0", {"system": True, "tools": True, "messages": [2, 4]}),
        # Nova refuses marks behind tools, and some behind results.
        (NOVA, {"system": True, "tools": False, "messages": [0]}),
        ("anthropic.claude-3-sonnet-20240229-v1:0", {"system": False, "tools": False, "messages": []}),
        ("anthropic.claude-3-5-sonnet-20241022-v2:0", {"system": False, "tools": False, "messages": []}),
        ("anthropic.claude-v2:1", {"system": False, "tools": False, "messages": []}),
        (LLAMA, {"system": False, "tools": False, "messages": []}),
        (PROFILE, {"system": False, "tools": False, "messages": []}),
    ],
)
def test_marks_stand_where_the_model_takes_them(model: str, expected: dict[str, Any]) -> None:
    history = (Message.user("a"), *called(1), *called(2))
    given: dict[str, Any] = {"settings": with_settings(model), "tools": (READ,), "system": "S"}
    marked = body_of(*history, cache=True, **given)
    assert places(marked) == expected
    plain = body_of(*history, cache=False, **given)
    assert places(plain) == {"system": False, "tools": False, "messages": []}
    text = json.dumps(marked).replace(f", {json.dumps(MARK)}", "")
    assert json.loads(text) == plain


def test_an_arn_that_names_its_model_gets_that_models_marks() -> None:
    arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-sonnet-4-6"
    assert caching_of(arn) == caching_of(CLAUDE)


def test_at_most_four_marks_are_set() -> None:
    history = [Message.user("a")]
    for number in range(9):
        history += called(number)
    body = encode(*history, cache=True, tools=(READ,), system="S").body
    assert body.count(b"cachePoint") == 4


def test_no_mark_follows_a_document_a_film_or_reasoning() -> None:
    for last in (
        Document("text/plain", b"x"),
        Video("video/mp4", b"x"),
        Opaque("bedrock", {"searchResult": {}}),
    ):
        body = body_of(Message.user("a"), own(Text("b")), Message.user([Text("c"), last]), cache=True)
        assert places(body)["messages"] == [0, 1]
    cut = body_of(Message.user("a"), own(Text("b"), Thinking("t", "s")), cache=True)
    assert places(cut)["messages"] == [0, 1]  # reasoning that nothing follows is not sent


def test_a_history_of_the_users_own_wire_gets_no_marks() -> None:
    given = [{"role": "user", "content": [{"text": "x"}]}]
    assert sent(settings=with_settings(extra_body={"messages": given}), cache=True) == given


# ---- fields


@pytest.mark.parametrize(
    ("asked", "configured", "limit"), [(None, None, None), (5, None, 5), (None, 7, 7), (5, 7, 5), (9, 7, 7)]
)
def test_the_smaller_limit_of_the_output_counts(asked: Any, configured: Any, limit: Any) -> None:
    body = body_of(max_tokens=asked, settings=with_settings(max_tokens=configured))
    assert body.get("inferenceConfig", {}).get("maxTokens") == limit


@pytest.mark.parametrize(
    ("model", "thinking", "fields"),
    [
        (CLAUDE, None, None),
        (CLAUDE, "high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        (CLAUDE, True, {"thinking": {"type": "adaptive"}}),
        (CLAUDE, 2048, {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        (CLAUDE, "off", {"thinking": {"type": "disabled"}}),
        (CLAUDE, False, {"thinking": {"type": "disabled"}}),
        (
            CLAUDE,
            {"type": "enabled", "budget_tokens": 9},
            {"thinking": {"type": "enabled", "budget_tokens": 9}},
        ),
        (CLAUDE, {"reasoning_config": {"type": "disabled"}}, {"reasoning_config": {"type": "disabled"}}),
        (NOVA_2, "low", {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "low"}}),
        (NOVA_2, True, {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "medium"}}),
        (NOVA_2, 0, {"reasoningConfig": {"type": "disabled"}}),
        (GPT, "high", {"reasoning_effort": "high"}),
        (LLAMA, {"anything": 1}, {"anything": 1}),
    ],
)
def test_thinking_is_asked_for_in_the_models_words(model: str, thinking: Any, fields: Any) -> None:
    body = body_of(settings=with_settings(model, thinking=thinking))
    assert body.get("additionalModelRequestFields") == fields


@pytest.mark.parametrize(
    ("model", "thinking"), [(LLAMA, "high"), (PROFILE, 1024), (NOVA, "low"), (NOVA_2, 1024), (GPT, "off")]
)
def test_a_way_to_think_that_is_not_known_is_a_mistake_that_is_named(model: str, thinking: Any) -> None:
    with pytest.raises(ConfigurationError, match="thinking="):
        encode(settings=with_settings(model, thinking=thinking))


def test_a_thinking_budget_above_the_limit_is_a_mistake_that_is_named() -> None:
    for thinking in (2000, {"type": "enabled", "budget_tokens": 2000}):
        with pytest.raises(ConfigurationError, match="nothing is left"):
            encode(settings=with_settings(thinking=thinking, max_tokens=2000))
    encode(settings=with_settings(thinking=2000, max_tokens=2001))


@pytest.mark.parametrize(
    ("choice", "field"),
    [(None, None), ("auto", {"auto": {}}), ("required", {"any": {}}), ("read", {"tool": {"name": "read"}})],
)
def test_the_choice_of_a_tool(choice: str | None, field: Any) -> None:
    assert body_of(tools=(READ,), tool_choice=choice)["toolConfig"].get("toolChoice") == field


def test_where_tools_may_not_be_used_there_are_none() -> None:
    assert "toolConfig" not in body_of(tools=(READ,), tool_choice="none")
    assert "toolConfig" not in body_of(tool_choice="auto")


def test_a_tool_is_rendered_with_what_it_asks_for_only() -> None:
    tools = (ToolSpec("a", "", {"properties": {}}), ToolSpec("b", "B", {"type": "object"}, strict=True))
    assert body_of(tools=tools)["toolConfig"]["tools"] == [
        {"toolSpec": {"name": "a", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
        {
            "toolSpec": {
                "name": "b",
                "description": "B",
                "inputSchema": {"json": {"type": "object", "additionalProperties": False}},
                "strict": True,
            }
        },
    ]


def test_tools_that_the_vendor_runs_are_named_in_its_words() -> None:
    asked = (ServerTool("web_search"), ServerTool("code_execution"), ServerTool("new_one"))
    tools = body_of(settings=with_settings(NOVA_2), server_tools=asked)["toolConfig"]["tools"]
    assert [tool["systemTool"]["name"] for tool in tools] == [
        "nova_grounding",
        "nova_code_interpreter",
        "new_one",
    ]
    with pytest.raises(ConfigurationError, match="only for Amazon's Nova"):
        encode(server_tools=asked)


def test_extra_body_is_laid_over_everything() -> None:
    extra = {"inferenceConfig": {"topP": 0.5}, "serviceTier": {"type": "flex"}}
    body = body_of(settings=with_settings(max_tokens=5, extra_body=extra))
    assert body["inferenceConfig"] == {"topP": 0.5}
    assert body["serviceTier"] == {"type": "flex"}


def test_a_blank_system_prompt_is_left_out() -> None:
    assert "system" not in body_of(system=" \n", cache=True)


# ---- messages


def test_reasoning_returns_to_its_origin_only_and_only_with_its_proof() -> None:
    said = (Thinking("a", "sig"), Thinking("b"), Thinking("c", ""), Thinking("", redacted="AA=="), Text("t"))
    mine = sent(Message.user("q"), own(*said))[1]["content"]
    assert mine == [
        {"reasoningContent": {"reasoningText": {"text": "a", "signature": "sig"}}},
        {"reasoningContent": {"redactedContent": "AA=="}},
        {"text": "t"},
    ]
    for origin in (FOREIGN, None, Origin("bedrock", "another")):
        assert sent(Message.user("q"), Message("assistant", said, origin))[1]["content"] == [{"text": "t"}]


def test_citations_return_to_claude_and_stay_at_home_for_others() -> None:
    cited = ({"title": "t"},)
    mine = sent(Message.user("q"), own(Text("a", cited)))[1]["content"]
    assert mine == [{"citationsContent": {"content": [{"text": "a"}], "citations": [{"title": "t"}]}}]
    foreign = Message("assistant", [Text("a", cited)], FOREIGN)
    assert sent(Message.user("q"), foreign)[1]["content"] == [{"text": "a"}]
    nova = with_settings(NOVA)
    theirs = Message("assistant", [Text("a", cited)], nova.origin)
    assert sent(Message.user("q"), theirs, settings=nova)[1]["content"] == [{"text": "a"}]


def test_the_vendors_own_blocks_return_as_they_came_and_to_nobody_else() -> None:
    call = {"toolUseId": "s", "name": "nova_grounding", "input": {}, "type": "server_tool_use"}
    result = {"toolUseId": "s", "content": [{"text": "x"}], "type": "nova_grounding_result"}
    blocks = (
        ServerToolUse("s", "nova_grounding", {}, extra=call),
        ServerToolResult("s", [{"text": "x"}], extra=result),
        Opaque("bedrock", {"image": {"format": "png"}}),
        Opaque("openai", {"other": 1}),
        Text("t"),
    )
    tools = (ServerTool("nova_grounding"),)
    mine = sent(Message.user("q"), own(*blocks), server_tools=tools)[1]["content"]
    assert mine == [{"toolUse": call}, {"toolResult": result}, {"image": {"format": "png"}}, {"text": "t"}]
    foreign = sent(Message.user("q"), Message("assistant", blocks, FOREIGN), server_tools=tools)
    assert foreign[1]["content"] == [{"text": "t"}]


def test_a_call_that_was_no_json_goes_back_as_json_that_says_what_it_was() -> None:
    history = (
        Message.user("q"),
        own(ToolUse("t1", "read", {}, '{"a')),
        Message.user([ToolResult("t1", "no")]),
    )
    assert sent(*history, tools=(READ,))[1]["content"] == [
        {"toolUse": {"toolUseId": "t1", "name": "read", "input": {"invalid_json": '{"a'}}}
    ]


@pytest.mark.parametrize("ident", ["", "a b", "x" * 65, "é", "call|1", "\ud800"])
def test_an_id_that_the_wire_refuses_is_replaced_alike_in_call_and_result(ident: str) -> None:
    history = (Message.user("q"), own(ToolUse(ident, "read", {})), Message.user([ToolResult(ident, "r")]))
    _, asked, answered = sent(*history, tools=(READ,))
    new = asked["content"][0]["toolUse"]["toolUseId"]
    assert new == answered["content"][0]["toolResult"]["toolUseId"]
    assert new.startswith("tooluse_") and len(new) <= 64 and new.isascii()


def test_an_id_that_the_wire_accepts_stays() -> None:
    for ident in ("toolu_1", "call:1.2-x", "x" * 64):
        history = (Message.user("q"), own(ToolUse(ident, "read", {})), Message.user([ToolResult(ident, "r")]))
        assert sent(*history, tools=(READ,))[1]["content"][0]["toolUse"]["toolUseId"] == ident


def test_ids_that_other_providers_count_afresh_are_told_apart() -> None:
    history = [Message.user("q")]
    for _ in range(3):
        history += [
            Message("assistant", [ToolUse("call_0", "read", {})], FOREIGN),
            Message.user([ToolResult("call_0", "r")]),
        ]
    found = sent(*history, tools=(READ,))
    ids = [message["content"][0]["toolUse"]["toolUseId"] for message in found[1::2]]
    assert len(set(ids)) == 3
    assert [message["content"][0]["toolResult"]["toolUseId"] for message in found[2::2]] == ids


def test_a_foreign_tool_name_is_fitted() -> None:
    history = (
        Message.user("q"),
        own(ToolUse("t", "a.b c" + "x" * 80, {})),
        Message.user([ToolResult("t", "r")]),
    )
    name = sent(*history, tools=(READ,))[1]["content"][0]["toolUse"]["name"]
    assert name == ("a_b_c" + "x" * 80)[:64]


def test_results_come_first_in_their_message() -> None:
    history = (Message.user("q"), *called(1))
    mixed = Message.user([Text("also"), ToolResult("tooluse_1", "r")])
    found = sent(*history[:-1], mixed, tools=(READ,))[2]["content"]
    assert [next(iter(block)) for block in found] == ["toolResult", "text"]


@pytest.mark.parametrize("result", ["", " ", (), (Text(""),), (Opaque("openai", {"x": 1}),)])
def test_an_empty_result_says_so(result: Any) -> None:
    history = (Message.user("q"), own(ToolUse("t", "read", {})), Message.user([ToolResult("t", result)]))
    found = sent(*history, tools=(READ,))[2]["content"][0]["toolResult"]
    assert found == {"toolUseId": "t", "content": [{"text": "(no output)"}]}


def test_a_result_may_hold_pictures_and_documents_and_notes_what_cannot_be_shown() -> None:
    parts = (
        Text("a"),
        Image("image/png", PNG),
        Document("application/pdf", b"%PDF"),
        Image("image/tiff", b"x", title="scan"),
        Image("image/png", url="https://x.example/a.png"),
        Opaque("bedrock", {"json": {"a": 1}}),
    )
    history = (Message.user("q"), own(ToolUse("t", "read", {})), Message.user([ToolResult("t", parts, True)]))
    found = sent(*history, tools=(READ,))[2]["content"][0]["toolResult"]
    assert found["status"] == "error"
    assert found["content"] == [
        {"text": "a"},
        {"image": {"format": "png", "source": {"bytes": base64.b64encode(PNG).decode()}}},
        {"document": {"format": "pdf", "name": "Document 1", "source": {"bytes": "JVBERg=="}}},
        {"text": "[image 'scan' of the type image/tiff, not shown]"},
        {"text": "[image of the type image/png, not shown]"},
        {"json": {"a": 1}},
    ]


@pytest.mark.parametrize(
    ("block", "kind", "format_"),
    [
        (Image("image/png", PNG), "image", "png"),
        (Image("IMAGE/JPG", PNG), "image", "jpeg"),
        (Video("video/quicktime", b"x"), "video", "mov"),
        (Video("video/3gpp", b"x"), "video", "three_gp"),
        (Audio("audio/wav; codecs=1", b"x"), "audio", "wav"),
        (Document("text/plain; charset=utf-8", b"x"), "document", "txt"),
        (Document("text/x-python", b"x"), "document", "txt"),
        (Document("text/markdown", b"x"), "document", "md"),
        (Document("application/json", b"{}"), "document", "txt"),
    ],
)
def test_media_are_sent_in_the_vendors_formats(block: Any, kind: str, format_: str) -> None:
    assert content(Text("see"), block)[1][kind]["format"] == format_


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (Image("image/tiff", b"x"), "convert it to one of gif, jpeg, png, webp"),
        (Video("video/x-unknown", b"x"), "video/x-unknown"),
        (Audio("audio/midi", b"x"), "audio/midi"),
        (Document("application/zip", b"x"), "application/zip"),
        (Image("image/png", url="https://x.example/a.png"), "s3://"),
    ],
)
def test_what_the_wire_cannot_carry_is_a_mistake_that_is_named(block: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        content(Text("see"), block)


def test_what_another_model_drew_becomes_a_note() -> None:
    drawn = Message("assistant", [Text("Here:"), Image("image/png", PNG, title="cat")], FOREIGN)
    assert sent(Message.user("q"), drawn)[1]["content"] == [
        {"text": "Here:"},
        {"text": "[image 'cat' of the type image/png, not shown]"},
    ]


def test_documents_have_names_that_the_vendor_allows_and_none_twice() -> None:
    titles = ["Q3_report (v2).pdf", "a", "a", None, "Ünïcode/../x", "  ", "Document 7", "x" * 300, "a 3"]
    first = [Document("text/plain", b"x", title=title) for title in titles]
    history = (
        Message.user([Text("see"), *first]),
        own(ToolUse("t", "read", {})),
        Message.user(
            [Text("b"), Document("text/plain", b"x"), ToolResult("t", (Document("text/plain", b"x"),))]
        ),
    )
    found = sent(*history, tools=(READ,))
    names = [block["document"]["name"] for block in found[0]["content"][1:]]
    assert names == [
        "Q3 report (v2) pdf", "a", "a 3", "Document 4", "n code x", "Document 6", "Document 7", "x" * 200, "a 3 9",
    ]  # fmt: skip
    result, _, document = found[2]["content"]
    assert result["toolResult"]["content"][0]["document"]["name"] == "Document 10"
    assert document["document"]["name"] == "Document 11"


def test_a_document_never_stands_without_a_text() -> None:
    assert content(Document("text/plain", b"x"))[1] == {"text": "(A document is attached.)"}
    assert len(content(Text("see"), Document("text/plain", b"x"))) == 2


def test_calls_are_told_in_words_where_tools_may_not_be_used() -> None:
    history = (
        Message.user("q"),
        own(Thinking("t", "s"), Text("I look."), ToolUse("t1", "read", {"path": "é"})),
        Message.user([ToolResult("t1", (Text("r"), Image("image/png", PNG))), ToolResult("t2", "", True)]),
        own(Thinking("u", "v"), Text("Ok.")),
    )
    for options in ({}, {"tools": (READ,), "tool_choice": "none"}):
        found = sent(*history, **options)
        assert found[1]["content"] == [
            {"text": "I look."},
            {"text": '[called the tool read with {"path":"é"}]'},
        ]
        assert [block.get("text") for block in found[2]["content"]] == [
            "[the tool returned:]", "r", None, "[the tool failed:]", "(no output)",
        ]  # fmt: skip
        assert "reasoningContent" in found[3]["content"][0]
    as_calls = sent(*history, settings=with_settings(extra_body={"toolConfig": {"tools": []}}))
    assert "toolUse" in as_calls[1]["content"][2]


def test_blank_texts_and_messages_without_content_are_left_out() -> None:
    found = sent(Message.user([Text("a"), Text(" \n")]), own(Text("")), Message.user("b"))
    assert found == [{"role": "user", "content": [{"text": "a"}, {"text": "b"}]}]


def test_a_request_without_any_words_is_a_mistake_that_is_named() -> None:
    for history in ((Message.user(" "),), (own(Thinking("t")),)):
        with pytest.raises(ConfigurationError, match="no message with content"):
            encode(*history)


def test_the_user_speaks_first_and_sides_alternate() -> None:
    found = sent(own(Text("a")), own(Text("b")), Message.user("c"), Message.user("d"))
    assert [message["role"] for message in found] == ["user", "assistant", "user"]
    assert found[1]["content"] == [{"text": "a"}, {"text": "b"}]
    assert found[2]["content"] == [{"text": "c"}, {"text": "d"}]


def test_white_space_at_the_very_end_of_the_models_words_is_left_out() -> None:
    assert sent(Message.user("q"), own(Text("a \n")))[1]["content"] == [{"text": "a"}]
    assert sent(Message.user("q"), own(Text("a ")), Message.user("b"))[1]["content"] == [{"text": "a "}]


def test_blocks_on_the_wrong_side_are_not_sent() -> None:
    found = sent(
        Message.user([Text("q"), ToolUse("t", "read", {}), Thinking("x", "y")]),
        own(Text("a"), ToolResult("t", "r")),
        tools=(READ,),
    )
    assert [message["content"] for message in found] == [[{"text": "q"}], [{"text": "a"}]]


BLOCKS = st.one_of(
    st.builds(Text, st.text(max_size=4)),
    st.builds(Thinking, st.text(max_size=3), st.none() | st.just("sig")),
    st.builds(ToolUse, st.sampled_from(["a", "b", "a b"]), st.sampled_from(["read", "x.y"]), st.just({})),
    st.builds(ToolResult, st.sampled_from(["a", "b", "a b"]), st.text(max_size=3), st.booleans()),
    st.builds(Image, st.just("image/png"), st.just(PNG)),
    st.builds(
        Document, st.just("text/plain"), st.just(b"x"), title=st.none() | st.sampled_from(["a", "Document 2"])
    ),
    st.just(Opaque("other", {"x": 1})),
)
MESSAGES = st.builds(
    Message,
    st.sampled_from(["user", "assistant"]),
    st.lists(BLOCKS, max_size=4),
    st.sampled_from([None, OWN, FOREIGN]),
)


@given(
    history=st.lists(MESSAGES, max_size=6),
    cache=st.booleans(),
    tools=st.booleans(),
    model=st.sampled_from([CLAUDE, NOVA, LLAMA]),
)
def test_any_repaired_history_keeps_the_wires_rules(
    history: list[Message], cache: bool, tools: bool, model: str
) -> None:
    request = CompletionRequest(repair(history), tools=(READ,) if tools else ())
    try:
        wire = BedrockCodec(prompt_cache=cache).encode(request, with_settings(model), stream=False)
    except ConfigurationError:
        said = [block for message in history for block in message.content if isinstance(block, Text)]
        assert not any(block.text.strip() for block in said)
        return
    body = json.loads(wire.body)
    roles = [message["role"] for message in body["messages"]]
    assert roles[0] == "user"
    assert all(one != other for one, other in pairwise(roles))
    names: list[str] = []
    open_calls: list[str] = []
    for message in body["messages"]:
        blocks = [block for block in message["content"] if block != MARK]
        assert blocks
        assert all(block.get("text", "x").strip() for block in blocks)
        results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
        assert [("toolResult" in block) for block in blocks] == sorted(
            (("toolResult" in block) for block in blocks), reverse=True
        )
        if message["role"] == "user":
            assert sorted(results) == sorted(open_calls)
        open_calls = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
        assert len(set(open_calls)) == len(open_calls)
        assert tools or not (open_calls or results)
        documents = [block["document"]["name"] for block in blocks if "document" in block]
        assert not documents or any("text" in block for block in blocks)
        names += documents
    assert len(set(names)) == len(names)
    assert wire.body.count(b"cachePoint") <= (4 if cache and model != LLAMA else 0)
