"""Requests on Anthropic's wire."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import attrs
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
from alloy_trio.wire import AnthropicCodec, WireRequest, WireSettings, _anthropic, repair
from alloy_trio.wire._anthropic import DEFAULT_MAX_TOKENS, SERVER_TOOLS
from alloy_trio.wire._anthropic_schema import closed

from .typed_params import mismatches

SETTINGS = WireSettings(provider="anthropic", model="claude-made-up-1")
OWN = SETTINGS.origin
FOREIGN = Origin("openai", "gpt-made-up")
MARK = {"type": "ephemeral"}
READ = ToolSpec("read", "Read a file.", {"type": "object", "properties": {"path": {"type": "string"}}})
MEMORY = ToolSpec("memory", "Keep files.", {"type": "object"}, native={"anthropic": "memory_20250818"})
PNG = b"\x89PNG\r\n"


def encode(
    *messages: Message,
    settings: WireSettings = SETTINGS,
    stream: bool = False,
    cache: bool = False,
    **request: Any,
) -> WireRequest:
    asked = CompletionRequest(messages or (Message.user("Hi"),), **request)
    return AnthropicCodec(prompt_cache=cache).encode(asked, settings, stream=stream)


def body_of(*messages: Message, **options: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(encode(*messages, **options).body)
    return body


def sent(*messages: Message, **options: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = body_of(*messages, **options)["messages"]
    return found


def with_settings(**changes: Any) -> WireSettings:
    return WireSettings(provider="anthropic", model="claude-made-up-1", **changes)


def own(*content: Any) -> Message:
    return Message("assistant", content, OWN)


# ---- the whole


def test_the_smallest_request_is_exactly_this() -> None:
    request = encode(stream=True)
    assert request.path == "/v1/messages"
    assert request.headers == (("content-type", "application/json"), ("anthropic-version", "2023-06-01"))
    assert request.body == (
        b'{"model":"claude-made-up-1","max_tokens":16384,"stream":true,"messages":'
        b'[{"role":"user","content":[{"type":"text","text":"Hi"}]}]}'
    )


def test_a_marked_request_differs_in_its_marks_only() -> None:
    assert body_of(cache=True, system="Be brief.", tools=[READ]) == {
        "model": "claude-made-up-1",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "tools": [
            {
                "name": "read",
                "description": "Read a file.",
                "input_schema": READ.input_schema,
                "cache_control": MARK,
            }
        ],
        "system": [{"type": "text", "text": "Be brief.", "cache_control": MARK}],
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": MARK}]}],
    }


CITATION = {
    "type": "char_location",
    "cited_text": "Ü",
    "document_index": 0,
    "document_title": None,
    "start_char_index": 0,
    "end_char_index": 1,
}
EVERYTHING = (
    Message.user(
        [
            Text("Look at these."),
            Image("image/png", data=PNG),
            Image("image/jpeg", url="https://x.example/a.jpg"),
            Document("application/pdf", data=b"%PDF", title="A paper"),
            Document("application/pdf", url="https://x.example/a.pdf"),
            Document("text/markdown; charset=utf-8", data="# Ü".encode()),
        ]
    ),
    own(
        Thinking("Hm.", "c2ln"),
        Thinking("", redacted="ZW5j"),
        Text("I look.", [CITATION]),
        ServerToolUse("srvtoolu_1", "web_search", {"query": "x"}),
        ServerToolResult("srvtoolu_1", []),
        ToolUse("toolu_1", "read", {"path": "a"}, extra={"caller": {"type": "direct"}}),
        ToolUse("toolu_2", "read", {}, invalid_input='{"path": a}'),
    ),
    Message.user(
        [
            ToolResult(
                "toolu_1",
                [Text("Here."), Image("image/png", data=PNG), Document("application/pdf", data=b"%")],
            ),
            ToolResult("toolu_2", "That was no JSON.", is_error=True),
            Text("Go on."),
        ]
    ),
)


@pytest.mark.parametrize("cache", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_a_request_with_everything_in_it_is_what_the_vendors_client_would_send(
    cache: bool, stream: bool
) -> None:
    pytest.importorskip("anthropic", reason="the vendor's client is not installed")
    from anthropic.types import message_create_params as params

    settings = with_settings(thinking="high", extra_body={"metadata": {"user_id": "u"}})
    for choice in ("auto", "required", "none", "read"):
        body = body_of(
            *EVERYTHING,
            settings=settings,
            cache=cache,
            stream=stream,
            system="Be brief.",
            tools=[READ, ToolSpec("ls", "List.", {}, strict=True, allowed_callers=("direct",))],
            server_tools=[ServerTool(name) for name in SERVER_TOOLS if name != "advisor"],
            tool_choice=choice,
            output_schema={"type": "object", "properties": {"a": {"type": "integer"}}},
        )
        wanted = params.MessageCreateParamsStreaming if stream else params.MessageCreateParamsNonStreaming
        assert mismatches(body, wanted) == []


def test_a_tool_that_the_vendor_knows_is_sent_as_the_vendors_own() -> None:
    pytest.importorskip("anthropic", reason="the vendor's client is not installed")
    from anthropic.types import MemoryTool20250818Param
    from anthropic.types import message_create_params as params

    body = body_of(Message.user("hi"), cache=True, tools=[READ, MEMORY])
    assert body["tools"][1].pop("cache_control") == {"type": "ephemeral"}
    assert body["tools"][1] == {"type": "memory_20250818", "name": "memory"}
    assert mismatches(body["tools"][1], MemoryTool20250818Param) == []
    assert mismatches(body, params.MessageCreateParamsNonStreaming) == []
    switched = attrs.evolve(MEMORY, strict=True, allowed_callers=("direct",))
    body = body_of(Message.user("hi"), tools=[switched])
    own = {"type": "memory_20250818", "name": "memory", "strict": True, "allowed_callers": ["direct"]}
    assert body["tools"] == [own]
    for model, native in (("anthropic/Claude-Opus-4.5", True), ("kimi-k2", False)):
        settings = attrs.evolve(SETTINGS, model=model)
        (sent,) = body_of(Message.user("hi"), settings=settings, tools=[switched])["tools"]
        assert (sent == own) is native and ("input_schema" in sent) is not native
    assert mismatches(body, params.MessageCreateParamsNonStreaming) == []


def test_a_tool_that_only_others_know_is_sent_with_its_schema() -> None:
    other = attrs.evolve(READ, native={"somebody": "read_1"})
    assert (
        body_of(Message.user("hi"), tools=[other])["tools"]
        == body_of(Message.user("hi"), tools=[READ])["tools"]
    )


def test_the_check_against_the_vendors_types_finds_mistakes() -> None:
    pytest.importorskip("anthropic", reason="the vendor's client is not installed")
    from anthropic.types import message_create_params as params

    good = body_of(*EVERYTHING, tools=[READ])
    for damage in (
        lambda b: b.pop("max_tokens"),
        lambda b: b.update(colour="red"),
        lambda b: b["messages"][0].update(role="robot"),
        lambda b: b["messages"][1]["content"][0].pop("signature"),
        lambda b: b["messages"][2]["content"][0].update(is_error="no"),
        lambda b: b["tools"][0].update(description=7),
    ):
        body = json.loads(json.dumps(good))
        damage(body)
        assert mismatches(body, params.MessageCreateParamsNonStreaming)


def test_a_body_is_the_naive_rendering_of_all_its_parts() -> None:
    history = [
        Message.user("é \u2028 \ud83d"),
        own(Text("x" * 3), ToolUse("toolu_1", "read", {"path": 'a"b', "n": [1.5, None, True]})),
        Message.user([ToolResult("toolu_1", "done")]),
    ]
    naive = {
        "model": "claude-made-up-1",
        "max_tokens": 5,
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "é \u2028 \ufffd\ufffd\ufffd"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": "xxx"},
                    {
                        "type": "tool_use",
                        "id": "toolu_1",
                        "name": "read",
                        "input": {"path": 'a"b', "n": [1.5, None, True]},
                    },
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "done"}],
            },
        ],
    }
    rendered = encode(*history, max_tokens=5).body
    assert rendered == json.dumps(naive, ensure_ascii=False, separators=(",", ":")).encode()


# ---- encoded once


def conversation(turns: int) -> list[Message]:
    messages = [Message.user("Begin.")]
    for turn in range(turns):
        messages.append(own(Text(f"Turn {turn}."), ToolUse(f"toolu_{turn}", "read", {"path": str(turn)})))
        messages.append(Message.user([ToolResult(f"toolu_{turn}", "x" * 50)]))
    return messages


@pytest.mark.parametrize("cache", [False, True])
def test_a_message_is_encoded_once_and_not_again_in_later_turns(
    monkeypatch: pytest.MonkeyPatch, cache: bool
) -> None:
    rendered: list[Message] = []
    render = _anthropic.render_message

    def counting(message: Message, **options: Any) -> bytes:
        rendered.append(message)
        return render(message, **options)

    monkeypatch.setattr(_anthropic, "render_message", counting)
    messages = conversation(6)
    for end in range(1, len(messages) + 1, 2):
        rendered.clear()
        encode(*messages[:end], cache=cache)
        assert rendered == messages[max(0, end - 2) : end]


def test_earlier_messages_are_the_same_bytes_in_the_next_turn() -> None:
    messages = conversation(4)
    for end in range(1, len(messages), 2):
        before = encode(*messages[:end]).body
        assert encode(*messages[: end + 2]).body.startswith(before.removesuffix(b"]}"))


def test_models_do_not_share_what_was_encoded() -> None:
    message = Message("assistant", [Thinking("Hm.", "c2ln"), Text("Hi")], OWN)
    assert len(sent(Message.user("a"), message)[1]["content"]) == 2
    other = WireSettings(provider="anthropic", model="claude-made-up-2")
    assert len(sent(Message.user("a"), message, settings=other)[1]["content"]) == 1


# ---- cache marks


def marks(value: Any, path: str = "$") -> Iterator[str]:
    if isinstance(value, dict):
        if "cache_control" in value:
            assert value["cache_control"] == MARK
            yield path
        for key, item in value.items():
            yield from marks(item, f"{path}.{key}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from marks(item, f"{path}[{place}]")


def test_marks_stand_on_tools_system_and_the_ends_of_the_last_two_user_messages() -> None:
    body = body_of(*conversation(3), cache=True, system="s", tools=[READ, READ])
    assert list(marks(body)) == [
        "$.tools[1]",
        "$.system[0]",
        "$.messages[4].content[0]",
        "$.messages[6].content[0]",
    ]


def test_marks_can_be_left_out() -> None:
    assert list(marks(body_of(*conversation(3), system="s", tools=[READ]))) == []


def test_marks_on_messages_give_way_to_the_vendors_automatic_one() -> None:
    settings = with_settings(extra_body={"cache_control": MARK})
    found = list(marks(body_of(*conversation(3), cache=True, system="s", tools=[READ], settings=settings)))
    assert found == ["$", "$.tools[0]", "$.system[0]"]


def test_no_mark_stands_on_unknown_blocks() -> None:
    body = body_of(Message.user("a"), own(Text("b"), Opaque("anthropic", {"type": "odd"})), cache=True)
    assert list(marks(body)) == ["$.messages[0].content[0]"]


@pytest.mark.parametrize("last", [Thinking("Hm.", "c2ln"), Thinking("", redacted="ZW5j")])
def test_reasoning_that_nothing_follows_is_not_sent(last: Thinking) -> None:
    found = sent(Message.user("a"), own(last, Text("b"), last, last), Message.user("c"))
    assert [block["type"] for block in found[1]["content"]] == [
        "redacted_thinking" if last.redacted else "thinking",
        "text",
    ]
    assert [m["role"] for m in sent(Message.user("a"), own(last), Message.user("b"))] == ["user", "user"]


def test_a_call_of_the_vendors_tools_without_its_result_is_sent_only_while_it_may_still_run() -> None:
    search = ServerToolUse("srvtoolu_1", "web_search", {"query": "x"})
    asked, paused = Message.user("a"), own(Text("b"), search)
    assert len(sent(asked, paused)[1]["content"]) == 2
    assert len(sent(asked, paused, Message.user("go on"))[1]["content"]) == 1
    code = own(search, ToolUse("toolu_1", "read", {}, extra={"caller": {"type": "code_execution_20250825"}}))
    answered = Message.user([ToolResult("toolu_1", "x")])
    assert len(sent(asked, code, answered)[1]["content"]) == 2
    found = own(ServerToolResult("srvtoolu_1", []), Text("c"))
    assert len(sent(asked, code, answered, found, Message.user("d"))[1]["content"]) == 2


def test_reasoning_on_a_budget_waits_for_the_next_turn_when_another_model_began_this_one() -> None:
    def reasons(*messages: Message, thinking: Any = 2_000) -> bool:
        return "thinking" in body_of(*messages, settings=with_settings(thinking=thinking))

    asked, call = Message.user("a"), ToolUse("t", "read", {})
    answered = Message.user([ToolResult("t", "x")])
    theirs = Message("assistant", [call], FOREIGN)
    assert reasons(asked)
    assert not reasons(asked, theirs, answered)
    assert not reasons(asked, theirs, answered, Message.user("and?"))
    assert not reasons(asked, own(call), answered)
    assert reasons(asked, theirs, answered, thinking="high")
    assert reasons(asked, own(Thinking("Hm.", "c2ln"), call), answered)
    assert reasons(asked, theirs, answered, own(Text("b")), Message.user("c"))


def test_no_mark_stands_on_a_deferred_tool() -> None:
    deferred = ServerTool("web_search", {"defer_loading": True})
    assert list(marks(body_of(tools=[READ], server_tools=[deferred], cache=True))) == [
        "$.messages[0].content[0]"
    ]


# ---- options


@pytest.mark.parametrize(
    ("request_limit", "provider_limit", "expected"),
    [(None, None, DEFAULT_MAX_TOKENS), (100, None, 100), (None, 200, 200), (100, 200, 100), (300, 200, 200)],
)
def test_the_smaller_limit_of_the_output_counts(
    request_limit: int | None, provider_limit: int | None, expected: int
) -> None:
    settings = with_settings(max_tokens=provider_limit)
    assert body_of(settings=settings, max_tokens=request_limit)["max_tokens"] == expected


@pytest.mark.parametrize(
    ("thinking", "field", "effort"),
    [
        (None, None, None),
        ("high", {"type": "adaptive"}, "high"),
        ("xhigh", {"type": "adaptive"}, "xhigh"),
        (True, {"type": "adaptive"}, None),
        (False, {"type": "disabled"}, None),
        ("none", {"type": "disabled"}, None),
        (0, {"type": "disabled"}, None),
        (2048, {"type": "enabled", "budget_tokens": 2048}, None),
        ({"type": "adaptive", "display": "omitted"}, {"type": "adaptive", "display": "omitted"}, None),
    ],
)
def test_thinking_is_asked_for_in_the_wires_words(thinking: Any, field: Any, effort: str | None) -> None:
    body = body_of(settings=with_settings(thinking=thinking))
    assert body.get("thinking") == field
    assert body.get("output_config") == (None if effort is None else {"effort": effort})


def test_the_temperature_is_sent_where_it_is_set() -> None:
    assert body_of(settings=with_settings(temperature=0.0))["temperature"] == 0.0
    assert "temperature" not in body_of()


def test_the_default_limit_leaves_room_beside_a_thinking_budget() -> None:
    assert body_of(settings=with_settings(thinking=30_000))["max_tokens"] == 30_000 + DEFAULT_MAX_TOKENS


def test_a_thinking_budget_above_the_limit_is_a_mistake_that_is_named() -> None:
    with pytest.raises(ConfigurationError, match="max_tokens is 1000 and thinking may use 2000"):
        encode(settings=with_settings(thinking=2000, max_tokens=1000))
    with pytest.raises(ConfigurationError, match="lower the budget"):
        encode(settings=with_settings(thinking={"type": "enabled", "budget_tokens": 1000}, max_tokens=1000))


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        ("auto", {"type": "auto"}),
        ("required", {"type": "any"}),
        ("none", {"type": "none"}),
        ("read", {"type": "tool", "name": "read"}),
        (None, None),
    ],
)
def test_the_choice_of_a_tool(choice: str | None, field: Any) -> None:
    assert body_of(tools=[READ], tool_choice=choice).get("tool_choice") == field
    assert "tool_choice" not in body_of(tool_choice=choice)


def test_a_tool_is_rendered_with_what_it_asks_for_only() -> None:
    plain, strict, bare = body_of(
        tools=[
            READ,
            ToolSpec(
                "b", "B.", {"type": "object"}, strict=True, allowed_callers=("code_execution_20250825",)
            ),
            ToolSpec("c", "C.", {}),
        ]
    )["tools"]
    assert plain == {"name": "read", "description": "Read a file.", "input_schema": READ.input_schema}
    assert strict == {
        "name": "b",
        "description": "B.",
        "input_schema": {"type": "object", "additionalProperties": False},
        "strict": True,
        "allowed_callers": ["code_execution_20250825"],
    }
    assert bare["input_schema"] == {"type": "object"}


def test_server_tools_have_versions_options_and_their_header() -> None:
    request = encode(
        server_tools=[
            ServerTool("web_search", {"max_uses": 3}),
            ServerTool("web_search", {"type": "web_search_20260318"}),
            ServerTool("code_execution"),
            ServerTool("advisor", {"model": "claude-made-up-9"}),
            ServerTool("docs", {"type": "mcp_toolset", "mcp_server_name": "docs"}),
        ]
    )
    assert json.loads(request.body)["tools"] == [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"type": "web_search_20260318", "name": "web_search"},
        {"type": "code_execution_20250825", "name": "code_execution"},
        {"type": "advisor_20260301", "name": "advisor", "model": "claude-made-up-9"},
        {"type": "mcp_toolset", "mcp_server_name": "docs"},
    ]
    assert request.headers[-1] == ("anthropic-beta", "advisor-tool-2026-03-01,mcp-client-2025-11-20")


def test_a_server_tool_that_nobody_knows_is_a_mistake_that_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"'sonar' is no server tool .*web_search.*options"):
        encode(server_tools=[ServerTool("sonar")])


def test_structured_output_and_effort_share_their_field() -> None:
    body = body_of(settings=with_settings(thinking="low"), output_schema={"type": "object"})
    assert body["output_config"] == {
        "effort": "low",
        "format": {"type": "json_schema", "schema": {"type": "object", "additionalProperties": False}},
    }


def test_extra_body_is_laid_over_everything() -> None:
    settings = with_settings(
        extra_body={"max_tokens": 7, "top_k": 3, "tools": [], "messages": [{"role": "user"}]}
    )
    body = body_of(settings=settings, tools=[READ])
    assert (body["max_tokens"], body["top_k"], body["tools"]) == (7, 3, [])
    assert body["messages"] == [{"role": "user"}]


def test_a_blank_system_prompt_is_left_out() -> None:
    assert "system" not in body_of(system=" \n")
    assert body_of(system="Be brief.")["system"] == [{"type": "text", "text": "Be brief."}]


# ---- schemas


def test_an_enforced_schema_is_closed_and_its_limits_are_told_in_words() -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "minimum": 1, "maximum": 9, "description": "A number."},
            "s": {"type": "string", "minLength": 2},
            "l": {"type": "array", "minItems": 1, "maxItems": 3, "items": {"$ref": "#/$defs/P"}},
            "u": {"oneOf": [{"type": "null"}, {"type": "object", "properties": {}}]},
        },
        "$defs": {"P": {"type": "object", "additionalProperties": True}},
    }
    before = json.dumps(schema)
    assert closed(schema) == {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "description": "A number. {minimum: 1, maximum: 9}"},
            "s": {"type": "string", "description": "{minLength: 2}"},
            "l": {
                "type": "array",
                "minItems": 1,
                "items": {"$ref": "#/$defs/P"},
                "description": "{maxItems: 3}",
            },
            "u": {
                "anyOf": [
                    {"type": "null"},
                    {"type": "object", "properties": {}, "additionalProperties": False},
                ]
            },
        },
        "$defs": {"P": {"type": "object", "additionalProperties": False}},
        "additionalProperties": False,
    }
    assert json.dumps(schema) == before


def test_a_property_that_is_called_like_a_limit_stays() -> None:
    schema = {"type": "object", "properties": {"minimum": {"type": "integer"}, "items": {"type": "string"}}}
    assert closed(schema)["properties"] == schema["properties"]


# ---- blocks


def test_reasoning_returns_to_its_origin_only_and_only_with_its_proof() -> None:
    content = [Thinking("Hm.", "c2ln"), Thinking("", redacted="ZW5j"), Thinking("unsigned"), Text("Yes.")]
    ask = Message.user("a")
    assert sent(ask, Message("assistant", content, OWN))[1]["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"},
        {"type": "redacted_thinking", "data": "ZW5j"},
        {"type": "text", "text": "Yes."},
    ]
    for origin in (
        None,
        FOREIGN,
        Origin("anthropic", "claude-made-up-2"),
        Origin("proxy", "claude-made-up-1"),
    ):
        found = sent(ask, Message("assistant", content, origin))[1]["content"]
        assert found == [{"type": "text", "text": "Yes."}]


def test_the_vendors_own_blocks_return_as_they_came_and_to_nobody_else() -> None:
    use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}, "new": 1}
    result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
    odd = {"type": "odd", "z": 1, "a": 2}
    content = [
        ServerToolUse("srvtoolu_1", "web_search", {}, extra=use),
        ServerToolResult("srvtoolu_1", [], extra=result),
        Opaque("anthropic", odd),
        Opaque("openai", {"type": "reasoning"}),
        Text("Yes.", [{"type": "x"}], extra={"mood": "calm"}),
    ]
    ask = Message.user("a")
    assert sent(ask, Message("assistant", content, OWN))[1]["content"] == [
        use,
        result,
        odd,
        {"type": "text", "text": "Yes.", "citations": [{"type": "x"}], "mood": "calm"},
    ]
    assert sent(ask, Message("assistant", content, FOREIGN))[1]["content"] == [
        {"type": "text", "text": "Yes."}
    ]


def test_a_user_may_send_a_block_that_only_the_vendor_knows() -> None:
    upload = {"type": "container_upload", "file_id": "file_1"}
    content = [Opaque("anthropic", upload), Opaque("gemini", {"x": 1})]
    assert sent(Message.user(content))[0]["content"] == [upload]


def test_calls_keep_their_extra_fields_at_their_origin_only() -> None:
    use = ToolUse("toolu_1", "read", {}, extra={"caller": {"type": "direct"}})
    answer = Message.user([ToolResult("toolu_1", "x")])
    assert sent(Message.user("a"), own(use), answer)[1]["content"][0]["caller"] == {"type": "direct"}
    foreign = sent(Message.user("a"), Message("assistant", [use], FOREIGN), answer)
    assert "caller" not in foreign[1]["content"][0]


def test_the_answer_to_a_call_from_the_sandbox_names_the_sandbox() -> None:
    use = ToolUse(
        "toolu_1", "read", {}, extra={"caller": {"type": "code_execution_20250825"}, "container": "c_1"}
    )
    history = [Message.user("a"), own(use), Message.user([ToolResult("toolu_1", "x")])]
    body = body_of(*history)
    assert body["container"] == "c_1"
    assert "container" not in body["messages"][1]["content"][0]
    assert "container" not in body_of(*history, own(Text("ok")), Message.user("b"))
    foreign = Message("assistant", [use], FOREIGN)
    assert "container" not in body_of(history[0], foreign, history[2])


def test_a_call_that_was_no_json_goes_back_as_json_that_says_what_it_was() -> None:
    use = own(ToolUse("toolu_1", "read", {}, invalid_input='{"path": a'))
    found = sent(Message.user("a"), use, Message.user([ToolResult("toolu_1", "no JSON", is_error=True)]))
    assert found[1]["content"][0]["input"] == {"invalid_json": '{"path": a'}
    assert found[2]["content"][0] == {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": "no JSON",
        "is_error": True,
    }


@pytest.mark.parametrize("ident", ["call|1", "", "x" * 65, "fc_é", "a b"])
def test_an_id_that_the_wire_refuses_is_replaced_alike_in_call_and_result(ident: str) -> None:
    found = sent(
        Message.user("a"),
        Message("assistant", [ToolUse(ident, "read", {})], FOREIGN),
        Message.user([ToolResult(ident, "x")]),
    )
    new = found[1]["content"][0]["id"]
    assert new == found[2]["content"][0]["tool_use_id"]
    assert new.replace("_", "").isalnum()
    assert len(new) <= 64


def test_ids_that_other_providers_count_afresh_are_told_apart() -> None:
    turn = [
        Message("assistant", [ToolUse("call_0", "read", {}), ToolUse("call_1", "ls", {})], FOREIGN),
        Message.user([ToolResult("call_0", "x"), ToolResult("call_1", "y")]),
    ]
    again = [
        Message("assistant", [ToolUse("call_0", "read", {})], FOREIGN),
        Message.user([ToolResult("call_0", "z")]),
    ]
    found = sent(Message.user("a"), *turn, *again, *again[:1], again[1])
    calls = [b["id"] for m in found for b in m["content"] if b["type"] == "tool_use"]
    results = [b["tool_use_id"] for m in found for b in m["content"] if b["type"] == "tool_result"]
    assert calls == results == ["call_0", "call_1", "call_0-2", "call_0-3"]


def test_a_foreign_tool_name_is_fitted() -> None:
    use = Message("assistant", [ToolUse("c", "functions.read file", {})], FOREIGN)
    found = sent(Message.user("a"), use, Message.user([ToolResult("c", "x")]))
    assert found[1]["content"][0]["name"] == "functions_read_file"


def test_results_come_first_in_their_message() -> None:
    result = [Text("first"), ToolResult("toolu_1", "x"), Text("second"), ToolResult("toolu_2", "y")]
    found = sent(
        Message.user("a"), own(ToolUse("toolu_1", "r", {}), ToolUse("toolu_2", "r", {})), Message.user(result)
    )
    kinds = [b.get("tool_use_id") or b["text"] for b in found[2]["content"]]
    assert kinds == ["toolu_1", "toolu_2", "first", "second"]


@pytest.mark.parametrize("content", ["", "  \n", [], [Text("")], [Text(" ")]])
def test_a_result_without_content_is_sent_without_content(content: Any) -> None:
    found = sent(
        Message.user("a"), own(ToolUse("toolu_1", "r", {})), Message.user([ToolResult("toolu_1", content)])
    )
    assert found[2]["content"] == [{"type": "tool_result", "tool_use_id": "toolu_1"}]


def test_a_result_may_hold_pictures_and_documents_and_notes_what_cannot_be_shown() -> None:
    parts = [
        Text("See."),
        Image("image/png", data=PNG),
        Document("text/plain", data=b"words", title="T"),
        Image("image/tiff", data=b"II", title="scan"),
        Document("application/zip", data=b"PK"),
    ]
    found = sent(
        Message.user("a"), own(ToolUse("toolu_1", "r", {})), Message.user([ToolResult("toolu_1", parts)])
    )
    assert found[2]["content"][0]["content"] == [
        {"type": "text", "text": "See."},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()},
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "words"},
            "title": "T",
        },
        {"type": "text", "text": "[image 'scan' of the type image/tiff, not shown]"},
        {"type": "text", "text": "[document of the type application/zip, not shown]"},
    ]


def test_pictures_and_documents_of_the_user() -> None:
    found = sent(EVERYTHING[0])[0]["content"]
    assert found[1:] == [
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()},
        },
        {"type": "image", "source": {"type": "url", "url": "https://x.example/a.jpg"}},
        {
            "type": "document",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="},
            "title": "A paper",
        },
        {"type": "document", "source": {"type": "url", "url": "https://x.example/a.pdf"}},
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "# Ü"}},
    ]
    jpg = sent(Message.user([Image("image/JPG", data=b"x")]))[0]["content"][0]
    assert jpg["source"]["media_type"] == "image/jpeg"


@pytest.mark.parametrize(
    ("block", "says"),
    [
        (Audio("audio/wav", data=b"x"), "Audio .audio/wav.* transcript"),
        (Video("video/mp4", url="https://x.example/v"), "Video .video/mp4.* Gemini"),
        (Image("image/svg+xml", data=b"x"), "'image/svg.xml'.* convert it to PNG"),
        (Document("application/msword", data=b"x"), "'application/msword'.* convert it to PDF"),
    ],
)
def test_what_the_wire_cannot_carry_is_a_mistake_that_is_named(block: Any, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        encode(Message.user([Text("a"), block]))


def test_what_another_model_drew_becomes_a_note() -> None:
    drawn = Message("assistant", [Text("Here."), Image("image/png", data=PNG)], FOREIGN)
    found = sent(Message.user("a"), drawn, Message.user("b"))[1]["content"]
    assert found[1] == {"type": "text", "text": "[image of the type image/png, not shown]"}


# ---- messages


def test_blank_texts_and_messages_without_content_are_left_out() -> None:
    found = sent(
        Message.user([Text(""), Text("a"), Text(" \n")]),
        own(Text("\n\n"), Thinking("unsigned")),
        Message.user("b"),
        Message.user([]),
    )
    assert [[b["text"] for b in m["content"]] for m in found] == [["a"], ["b"]]


def test_a_request_without_any_words_is_a_mistake_that_is_named() -> None:
    with pytest.raises(ConfigurationError, match="no message with content"):
        encode(Message.user(""))
    with pytest.raises(ConfigurationError, match="give a prompt"):
        AnthropicCodec().encode(CompletionRequest(()), SETTINGS, stream=True)


def test_the_user_speaks_first() -> None:
    found = sent(own(Text("Hello.")), Message.user("a"), cache=True)
    assert [m["role"] for m in found] == ["user", "assistant", "user"]
    assert found[0]["content"][0]["text"].startswith("(The conversation")


def test_white_space_at_the_very_end_of_the_models_words_is_left_out() -> None:
    found = sent(Message.user("a"), own(Text("Once upon \n")))
    assert found[1]["content"] == [{"type": "text", "text": "Once upon"}]
    found = sent(Message.user("a"), own(Text("Once upon \n")), Message.user("go on"))
    assert found[1]["content"][0]["text"] == "Once upon \n"


def test_blocks_on_the_wrong_side_are_not_sent() -> None:
    found = sent(
        Message.user([Text("a"), ToolUse("toolu_1", "r", {}), Thinking("x", "y")]),
        own(Text("b"), ToolResult("toolu_1", "x")),
        Message.user("c"),
    )
    assert [[b["type"] for b in m["content"]] for m in found] == [["text"], ["text"], ["text"]]


# ---- any history

TEXTS = st.sampled_from(["", " ", "a", "b ", "é", "\ud83d"])
IDS = st.sampled_from(["toolu_1", "call 2", "c3", "x" * 70])
BLOCKS = st.one_of(
    st.builds(Text, TEXTS),
    st.builds(Thinking, TEXTS, st.sampled_from([None, "", "sig"]), st.sampled_from([None, "enc"])),
    st.builds(
        ToolUse, IDS, st.sampled_from(["read", "a.b"]), st.just({"a": 1}), st.sampled_from([None, "{"])
    ),
    st.builds(ToolResult, IDS, TEXTS | st.lists(st.builds(Text, TEXTS), max_size=2), st.booleans()),
    st.just(Image("image/png", data=PNG)),
    st.just(Document("text/plain", data=b"x")),
    st.just(Opaque("anthropic", {"type": "odd"})),
    st.just(ServerToolUse("srvtoolu_1", "web_search", {})),
)
HISTORIES = st.lists(
    st.builds(
        Message,
        st.sampled_from(["user", "assistant"]),
        st.lists(BLOCKS, max_size=4),
        st.sampled_from([None, OWN, FOREIGN]),
    ),
    max_size=7,
)


@given(history=HISTORIES, cache=st.booleans())
def test_any_repaired_history_keeps_the_wires_rules(history: list[Message], cache: bool) -> None:
    messages = (*repair(history), Message.user("and now?"))
    body = body_of(*messages, cache=cache, system="s", tools=[READ])
    assert len(list(marks(body))) <= 4
    assert all("thinking" not in path for path in marks(body))
    found = body["messages"]
    assert found[0]["role"] == "user"
    called: set[str] = set()
    everything: list[str] = []
    # Neighbours of one role are one turn to the vendor.
    turns: list[tuple[str, list[Any]]] = []
    for message in found:
        assert message["content"]
        if turns and turns[-1][0] == message["role"]:
            turns[-1][1].extend(message["content"])
        else:
            turns.append((message["role"], list(message["content"])))
    for role, blocks in turns:
        answered = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"]
        assert all(b["text"].strip() for b in blocks if b["type"] == "text")
        assert all(b["type"] != "tool_result" or role == "user" for b in blocks)
        if role == "user":
            assert set(answered) == called
            assert len(answered) == len(called)
            assert all(b["type"] == "tool_result" for b in blocks[: len(answered)])
            called = set()
        else:
            calls = [b["id"] for b in blocks if b["type"] == "tool_use"]
            everything += calls
            called = set(calls)
    assert not called
    assert len(everything) == len(set(everything))
