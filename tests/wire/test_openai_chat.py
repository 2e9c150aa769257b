"""Requests of Chat Completions: what each value becomes, and that nothing is encoded twice."""

from __future__ import annotations

import base64
import json
import re
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
from alloy_trio.wire import _openai_chat
from alloy_trio.wire._codec import WireSettings
from alloy_trio.wire._dialects import (
    COMPATIBLE,
    DEEPSEEK,
    GROQ,
    MISTRAL,
    OPENAI,
    OPENROUTER,
    SNOWFLAKE,
    Dialect,
)
from alloy_trio.wire._openai_chat import ChatCodec
from alloy_trio.wire._openai_chat_messages import fit_id, render_message

from .recordings import body_of, fixtures, load

DIALECTS = [COMPATIBLE, DEEPSEEK, GROQ, MISTRAL, OPENAI, OPENROUTER, SNOWFLAKE]
SETTINGS = WireSettings(provider="host", model="test-model")
HERE = SETTINGS.origin
ELSEWHERE = Origin("other", "other-model")
URL = "https://example.org/a"
PDF = "application/pdf"
PNG = b"\x89PNG\r\n"
PNG_URL = "data:image/png;base64," + base64.b64encode(PNG).decode()
ADD = ToolSpec("add", "Add two numbers.", {"type": "object", "properties": {"a": {"type": "integer"}}})
CALL = ToolUse("call_1", "add", {"a": 1})
RESULT = ToolResult("call_1", "2")


def encode(
    *messages: Message,
    dialect: Dialect = OPENAI,
    settings: WireSettings = SETTINGS,
    stream: bool = False,
    **request: Any,
) -> dict[str, Any]:
    wire = ChatCodec(dialect).encode(CompletionRequest(messages, **request), settings, stream=stream)
    body = json.loads(wire.body)
    assert isinstance(body, dict)
    return body


def rendered(
    *blocks: Any, dialect: Dialect = OPENAI, role: str = "user", origin: Origin | None = None
) -> Any:
    return encode(Message(role, blocks, origin), dialect=dialect)["messages"]  # type: ignore[arg-type]


# --- the body ---------------------------------------------------------------------------------------------


def test_a_plain_question_is_a_model_and_a_message() -> None:
    assert encode(Message.user("Hi")) == {
        "model": "test-model",
        "messages": [{"role": "user", "content": "Hi"}],
    }


def test_the_path_is_the_dialects() -> None:
    request = CompletionRequest((Message.user("Hi"),))
    assert ChatCodec().encode(request, SETTINGS, stream=False).path == "/chat/completions"
    elsewhere = ChatCodec(Dialect(chat_path="/v2/chat")).encode(request, SETTINGS, stream=False)
    assert elsewhere.path == "/v2/chat"


def test_a_stream_asks_for_its_usage_where_the_host_takes_that() -> None:
    body = encode(Message.user("Hi"), stream=True)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})
    body = encode(Message.user("Hi"), stream=True, dialect=MISTRAL)
    assert body["stream"] is True
    assert "stream_options" not in body


def test_the_system_prompt_comes_first_in_the_dialects_role() -> None:
    assert encode(Message.user("Hi"), system="Be brief.")["messages"][0] == {
        "role": "system",
        "content": "Be brief.",
    }
    developer = encode(Message.user("Hi"), system="Be brief.", dialect=Dialect(system_role="developer"))
    assert developer["messages"][0]["role"] == "developer"


@pytest.mark.parametrize(("own", "asked", "sent"), [(None, 9, 9), (7, None, 7), (7, 9, 7), (9, 7, 7)])
def test_the_providers_own_cap_lowers_what_is_asked(own: int | None, asked: int | None, sent: int) -> None:
    settings = WireSettings(provider="host", model="m", max_tokens=own)
    assert encode(Message.user("Hi"), settings=settings, max_tokens=asked)["max_completion_tokens"] == sent
    assert (
        encode(Message.user("Hi"), settings=settings, max_tokens=asked, dialect=DEEPSEEK)["max_tokens"]
        == sent
    )


def test_temperature_is_sent_when_it_is_set_even_to_zero() -> None:
    assert "temperature" not in encode(Message.user("Hi"))
    settings = WireSettings(provider="host", model="m", temperature=0.0)
    assert encode(Message.user("Hi"), settings=settings)["temperature"] == 0.0


def test_thinking_is_an_effort_or_the_hosts_own_fields() -> None:
    effort = WireSettings(provider="host", model="m", thinking="low")
    assert encode(Message.user("Hi"), settings=effort)["reasoning_effort"] == "low"
    assert encode(Message.user("Hi"), settings=effort, dialect=OPENROUTER)["reasoning"] == {"effort": "low"}
    own = WireSettings(provider="host", model="m", thinking={"thinking": {"type": "disabled"}})
    assert encode(Message.user("Hi"), settings=own)["thinking"] == {"type": "disabled"}
    budget = WireSettings(provider="host", model="m", thinking=2000)
    with pytest.raises(ConfigurationError, match=r"2000.*effort"):
        encode(Message.user("Hi"), settings=budget)


def test_extra_body_has_the_last_word() -> None:
    settings = WireSettings(
        provider="host", model="m", temperature=0.5, extra_body={"temperature": 1, "seed": 3, "user": "ü"}
    )
    body = encode(Message.user("Hi"), settings=settings)
    assert (body["temperature"], body["seed"], body["user"]) == (1, 3, "ü")
    settings = WireSettings(provider="host", model="m", extra_body={"messages": []})
    assert encode(Message.user("Hi"), settings=settings)["messages"] == []


# --- tools and structured output --------------------------------------------------------------------------


def test_tools_are_functions_and_strict_where_the_host_takes_that() -> None:
    strict = ToolSpec("add", "Add.", {"type": "object"}, strict=True)
    function = {"name": "add", "description": "Add.", "parameters": {"type": "object"}}
    assert encode(Message.user("Hi"), tools=[strict])["tools"] == [
        {"type": "function", "function": {**function, "strict": True}}
    ]
    assert encode(Message.user("Hi"), tools=[strict], dialect=DEEPSEEK)["tools"] == [
        {"type": "function", "function": function}
    ]


def test_a_tool_that_only_the_vendors_code_may_call_is_refused() -> None:
    tool = ToolSpec("add", "Add.", {"type": "object"}, allowed_callers=("code_execution_20250825",))
    with pytest.raises(ConfigurationError, match="code_execution_20250825"):
        encode(Message.user("Hi"), tools=[tool])
    either = ToolSpec(
        "add", "Add.", {"type": "object"}, allowed_callers=("direct", "code_execution_20250825")
    )
    assert encode(Message.user("Hi"), tools=[either])["tools"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("add", {"type": "function", "function": {"name": "add"}}),
    ],
)
def test_tool_choice_is_a_word_or_a_tool(choice: str, sent: Any) -> None:
    assert encode(Message.user("Hi"), tools=[ADD], tool_choice=choice)["tool_choice"] == sent


def test_mistral_says_any_for_required() -> None:
    assert (
        encode(Message.user("Hi"), tools=[ADD], tool_choice="required", dialect=MISTRAL)["tool_choice"]
        == "any"
    )


def test_without_tools_a_choice_is_left_out_or_refused() -> None:
    assert "tool_choice" not in encode(Message.user("Hi"), tool_choice="none")
    assert "tool_choice" not in encode(Message.user("Hi"), tool_choice="auto")
    with pytest.raises(ConfigurationError, match="required"):
        encode(Message.user("Hi"), tool_choice="required")
    with pytest.raises(ConfigurationError, match="subtract"):
        encode(Message.user("Hi"), tools=[ADD], tool_choice="subtract")


def test_web_search_is_switched_on_the_hosts_way_or_refused() -> None:
    search = ServerTool("web_search", {"search_context_size": "low"})
    assert encode(Message.user("Hi"), server_tools=[search])["web_search_options"] == {
        "search_context_size": "low"
    }
    plugins = encode(Message.user("Hi"), server_tools=[ServerTool("web_search")], dialect=OPENROUTER)[
        "plugins"
    ]
    assert plugins == [{"id": "web"}]
    with pytest.raises(ConfigurationError, match="web_search"):
        encode(Message.user("Hi"), server_tools=[search], dialect=DEEPSEEK)
    with pytest.raises(ConfigurationError, match="code_interpreter"):
        encode(Message.user("Hi"), server_tools=[ServerTool("code_interpreter")])


CLOSED = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "object", "additionalProperties": False}}},
    "required": ["a"],
    "additionalProperties": False,
}
OPEN = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}, "required": ["a"]}


def test_an_output_schema_is_strict_when_it_can_be() -> None:
    def asked(schema: dict[str, Any], dialect: Dialect = OPENAI) -> Any:
        return encode(Message.user("Hi"), output_schema=schema, dialect=dialect)["response_format"]

    named = {"name": "answer", "schema": CLOSED}
    assert asked(CLOSED) == {"type": "json_schema", "json_schema": {**named, "strict": True}}
    assert asked(OPEN) == {"type": "json_schema", "json_schema": {"name": "answer", "schema": OPEN}}
    nested = {**CLOSED, "properties": {"a": {"anyOf": [OPEN, {"type": "null"}]}}}
    assert "strict" not in asked(nested)["json_schema"]
    assert asked(CLOSED, COMPATIBLE) == {"type": "json_schema", "json_schema": named}


def test_a_host_without_schemas_is_told_the_schema_in_words() -> None:
    body = encode(Message.user("Hi"), system="Be brief.", output_schema=OPEN, dialect=DEEPSEEK)
    assert body["response_format"] == {"type": "json_object"}
    prompt = body["messages"][0]["content"]
    assert prompt.startswith("Be brief.\n\n")
    assert json.loads(prompt[prompt.index("{") :]) == OPEN


# --- the user's messages ----------------------------------------------------------------------------------


def test_one_text_is_a_string_and_more_are_parts() -> None:
    assert rendered(Text("Hi")) == [{"role": "user", "content": "Hi"}]
    assert rendered(Text("a"), Text(""), Text("b"))[0]["content"] == [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "b"},
    ]
    assert rendered(Text("")) == [{"role": "user", "content": ""}]


def spoken(kind: str) -> dict[str, Any]:
    return {"type": "input_audio", "input_audio": {"data": "YWI=", "format": kind}}


def filed(name: str, data: str) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": name, "file_data": data}}


@pytest.mark.parametrize(
    ("block", "dialect", "part"),
    [
        (Image("image/png", data=PNG), OPENAI, {"type": "image_url", "image_url": {"url": PNG_URL}}),
        (Image("image/png", url=URL), OPENAI, {"type": "image_url", "image_url": {"url": URL}}),
        (Audio("audio/wav", data=b"ab"), OPENAI, spoken("wav")),
        (Audio("audio/mpeg", data=b"ab"), OPENAI, spoken("mp3")),
        (Audio("audio/x-wav", data=b"ab"), OPENAI, spoken("wav")),
        (Document(PDF, data=b"ab"), OPENAI, filed("document.pdf", f"data:{PDF};base64,YWI=")),
        (Document(PDF, url=URL, title="a.pdf"), OPENROUTER, filed("a.pdf", URL)),
        (Document(PDF, url=URL), MISTRAL, {"type": "document_url", "document_url": URL}),
        (Document("text/plain", data="ü".encode(), title="a"), GROQ, {"type": "text", "text": "a:\n\nü"}),
        (Video("video/mp4", url=URL), OPENROUTER, {"type": "video_url", "video_url": {"url": URL}}),
        (Opaque("host", {"type": "odd", "a": 1}), OPENAI, {"type": "odd", "a": 1}),
    ],
)  # fmt: skip
def test_media_travel_as_the_host_takes_them(block: Any, dialect: Dialect, part: dict[str, Any]) -> None:
    assert rendered(Text("See:"), block, dialect=dialect)[0]["content"] == [
        {"type": "text", "text": "See:"},
        part,
    ]


@pytest.mark.parametrize(
    ("block", "dialect", "words"),
    [
        (Audio("audio/wav", url="https://e.org/a"), OPENAI, "audio as bytes"),
        (Video("video/mp4", data=b"ab"), OPENAI, "no video"),
        (Document("application/pdf", url="https://e.org/a"), OPENAI, "documents as bytes"),
        (Document("application/pdf", data=b"ab"), GROQ, "no documents"),
        (CALL, OPENAI, "ToolUse"),
    ],
)
def test_what_the_host_cannot_take_is_refused_in_words(block: Any, dialect: Dialect, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        rendered(block, dialect=dialect)


def test_what_belongs_to_another_host_is_left_out() -> None:
    foreign = (Opaque("other", {"type": "odd"}), ServerToolResult("s", "found"), Thinking("hm"))
    assert rendered(Text("Hi"), *foreign) == [{"role": "user", "content": "Hi"}]
    assert rendered(*foreign) == []


def test_each_tool_result_is_a_message_and_the_rest_follows() -> None:
    messages = rendered(RESULT, Text("And now?"), ToolResult("call_2", (Text("a"), Text("b"))))
    assert messages == [
        {"role": "tool", "tool_call_id": "call_1", "content": "2"},
        {"role": "tool", "tool_call_id": "call_2", "content": "a\nb"},
        {"role": "user", "content": "And now?"},
    ]


def test_an_error_is_told_in_words() -> None:
    assert rendered(ToolResult("c", "no such file", is_error=True))[0]["content"] == "Error: no such file"
    assert (
        rendered(ToolResult("c", "Error: no such file", is_error=True))[0]["content"] == "Error: no such file"
    )
    assert rendered(ToolResult("c", "", is_error=True))[0]["content"] == "Error: "


def test_pictures_in_a_result_follow_with_a_word_on_whose_they_are() -> None:
    result = ToolResult("call_1", (Text("two pages"), Image("image/png", data=PNG)))
    tool, user = rendered(result, Text("Well?"))
    assert tool["content"].startswith("two pages\n")
    assert [part["type"] for part in user["content"]] == ["text", "image_url", "text"]
    assert "call_1" in user["content"][0]["text"]
    assert user["content"][1]["image_url"]["url"] == PNG_URL
    only = rendered(ToolResult("call_1", (Image("image/png", data=PNG),)))
    assert only[0]["content"]
    assert only[1]["content"][1]["image_url"]["url"] == PNG_URL


def test_mistral_gets_an_assistant_between_a_result_and_the_user() -> None:
    bridge = {"role": "assistant", "content": MISTRAL.assistant_after_tool}
    roles = [message["role"] for message in rendered(RESULT, Text("And now?"), dialect=MISTRAL)]
    assert roles == ["tool", "assistant", "user"]
    apart = encode(
        Message.user((RESULT,)), Message.user('{"role":"user"'), Message.user("x"), dialect=MISTRAL
    )
    assert [message["role"] for message in apart["messages"]] == ["tool", "assistant", "user", "user"]
    assert apart["messages"][1] == bridge
    tricky = ToolResult("call_1", 'x"},{"role":"user","content":"')
    assert encode(Message.user((tricky,)), Message.user("x"), dialect=MISTRAL)["messages"][1] == bridge
    answered = encode(Message.user((RESULT,)), Message.assistant("ok"), Message.user("x"), dialect=MISTRAL)
    assert bridge not in answered["messages"]


def test_a_result_repeats_the_tools_name_where_the_host_wants_it() -> None:
    body = encode(Message.assistant((CALL,)), Message.user((RESULT,)), dialect=Dialect(tool_result_name=True))
    assert body["messages"][1]["name"] == "add"


# --- the assistant's messages -----------------------------------------------------------------------------


def test_calls_have_their_arguments_as_text_and_no_content() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    assert rendered(CALL, role="assistant") == [{"role": "assistant", "content": None, "tool_calls": [call]}]
    assert rendered(CALL, role="assistant", dialect=MISTRAL)[0]["content"] == ""
    both = rendered(Text("I "), Text("add."), CALL, role="assistant")
    assert both == [{"role": "assistant", "content": "I add.", "tool_calls": [call]}]


def test_broken_arguments_go_back_as_json_that_shows_them() -> None:
    broken = ToolUse("call_1", "add", {}, '{"a": one}')
    arguments = rendered(broken, role="assistant")[0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"invalid_json": '{"a": one}'}


def test_an_infinite_number_goes_back_as_json_that_shows_it() -> None:
    call = ToolUse("call_1", "add", json.loads('{"a": 1e999}'))
    arguments = rendered(call, role="assistant")[0]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(arguments) == {"invalid_json": '{"a": Infinity}'}


@given(st.text())
def test_any_broken_arguments_go_back_as_json(raw: str) -> None:
    arguments = rendered(ToolUse("c", "add", {}, raw), role="assistant")[0]["tool_calls"][0]["function"][
        "arguments"
    ]
    assert list(json.loads(arguments)) == ["invalid_json"]


def test_nothing_is_no_message() -> None:
    for blocks in [(), (Text(""),), (Thinking("hm"),), (ServerToolUse("s", "search", {}),)]:
        assert rendered(*blocks, role="assistant", origin=ELSEWHERE) == []
        assert rendered(*blocks, role="assistant", origin=ELSEWHERE, dialect=DEEPSEEK) == []


@pytest.mark.parametrize(
    ("dialect", "with_call", "without"),
    [
        (OPENAI, None, None),
        (Dialect(reasoning_replay="with_tool_calls"), ("reasoning_content", "hm"), None),
        (DEEPSEEK, ("reasoning_content", "hm"), ("reasoning_content", "hm")),
        (GROQ, ("reasoning", "hm"), None),
        (OPENROUTER, ("reasoning", "hm"), ("reasoning", "hm")),
    ],
)
def test_reasoning_goes_back_by_the_dialects_rule(
    dialect: Dialect, with_call: tuple[str, str] | None, without: tuple[str, str] | None
) -> None:
    fields = ("reasoning_content", "reasoning")
    for blocks, expected in [((Thinking("hm"), CALL), with_call), ((Thinking("hm"), Text("4")), without)]:
        [message] = rendered(*blocks, role="assistant", origin=HERE, dialect=dialect)
        assert [(name, message[name]) for name in fields if name in message] == (
            [expected] if expected else []
        )


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("origin", [None, ELSEWHERE, Origin("host", "other-model")])
def test_what_another_model_thought_goes_nowhere(dialect: Dialect, origin: Origin | None) -> None:
    details = {"reasoning_details": [{"type": "reasoning.encrypted", "data": "secret"}]}
    call = ToolUse(
        "abcdefghi", "add", {}, extra={"extra_content": {"google": {"thought_signature": "secret"}}}
    )
    blocks = (
        Thinking("secret", signature="secret", extra=details),
        Opaque("other", {"type": "secret"}),
        Text("4"),
        call,
    )
    assert "secret" not in json.dumps(rendered(*blocks, role="assistant", origin=origin, dialect=dialect))


def test_deepseek_gets_empty_reasoning_where_there_is_none() -> None:
    [message] = rendered(Text("4"), role="assistant", origin=ELSEWHERE, dialect=DEEPSEEK)
    assert message["reasoning_content"] == ""


def test_mistral_gets_its_thinking_first_in_the_content() -> None:
    [message] = rendered(Text("4"), Thinking("hm"), role="assistant", origin=HERE, dialect=MISTRAL)
    assert message["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
        {"type": "text", "text": "4"},
    ]


def test_a_picture_of_another_model_is_named_not_sent() -> None:
    [message] = rendered(Text("Here: "), Image("image/png", data=PNG), role="assistant", origin=ELSEWHERE)
    assert message["content"] == "Here: [image/png that cannot be shown here]"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("ident", ["call_1", "abcDEF123", "toolu_" + "x" * 60, "fc|rs:1/ä", "", "a b"])
def test_an_id_that_the_host_refuses_is_changed_alike_in_call_and_result(
    dialect: Dialect, ident: str
) -> None:
    body = encode(
        Message.assistant((ToolUse(ident, "add", {}),)),
        Message.user((ToolResult(ident, "2"),)),
        dialect=dialect,
    )
    call, result = body["messages"]
    assert call["tool_calls"][0]["id"] == result["tool_call_id"]
    assert re.fullmatch(dialect.tool_id_pattern, result["tool_call_id"])
    if re.fullmatch(dialect.tool_id_pattern, ident):
        assert result["tool_call_id"] == ident


@given(st.sets(st.text(), min_size=2, max_size=20))
def test_different_ids_stay_different(idents: set[str]) -> None:
    assert len({fit_id(ident, MISTRAL) for ident in idents}) == len(idents)


# --- what comes from a host goes back to it ---------------------------------------------------------------


def test_what_a_host_wants_back_goes_back_as_it_came() -> None:
    def replayed(name: str, dialect: Dialect) -> dict[str, Any]:
        fixture = fixtures("openai_chat")[name]
        decoder = ChatCodec(dialect).decoder(SETTINGS)
        decoder.receive(body_of(fixture))
        [message] = encode(decoder.finish().message, dialect=dialect)["messages"]
        assert isinstance(message, dict)
        return message

    details = fixtures("openai_chat")["reasoning_details"]["expect"]["thinking_extra"]["reasoning_details"]
    message = replayed("reasoning_details", OPENROUTER)
    assert message["reasoning_details"] == details
    assert "reasoning" not in message
    signed = replayed("whole_thought_signature", OPENAI)
    assert signed["extra_content"] == {"google": {"thought_signature": "U0lH"}}
    assert signed["tool_calls"][0]["extra_content"] == {"google": {"thought_signature": "Q0FM"}}
    assert replayed("whole_audio", OPENAI)["audio"] == {"id": "audio_1"}
    custom = replayed("whole_custom_call", OPENAI)["tool_calls"][0]
    assert custom == {"id": "call_a", "type": "custom", "custom": {"name": "calc", "input": "4 + 4"}}
    assert replayed("images", OPENROUTER)["images"][0]["type"] == "image_url"
    assert {"type": "reference", "reference_ids": [3]} in replayed("mistral_chunks", MISTRAL)["content"]


def test_recorded_reasoning_details_go_back_as_they_came() -> None:
    seen = 0
    for record in load("openai_chat"):
        if "reasoning_details" not in record["tags"] or record["stream"]:
            continue
        sent = json.loads(record["body"])["choices"][0]["message"].get("reasoning_details")
        decoder = ChatCodec(OPENROUTER).decoder(SETTINGS)
        decoder.receive(body_of(record))
        [message] = encode(decoder.finish().message, dialect=OPENROUTER)["messages"]
        assert json.dumps(message["reasoning_details"]) == json.dumps(sent)
        seen += 1
    assert seen >= 10


# --- nothing twice ----------------------------------------------------------------------------------------


def conversation() -> list[Message]:
    return [
        Message.user("What is 1 + 1? Grüße 🌍"),
        Message("assistant", (Thinking("hm"), Text("I add."), CALL), HERE),
        Message.user((RESULT, Text("And now?"))),
        Message("assistant", (Text("2"),), ELSEWHERE),
        Message.user((Text("See"), Image("image/png", data=PNG))),
    ]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_body_is_what_a_naive_rendering_gives(dialect: Dialect) -> None:
    messages = conversation()
    naive = [{"role": "system", "content": "Be brief. ü"}]
    for before, message in zip([None, *messages], messages, strict=False):
        answers_own = before is not None and before.origin == SETTINGS.origin
        naive += render_message(message, SETTINGS, dialect, {}, answers_own)
    request = CompletionRequest(messages, tools=[ADD], system="Be brief. ü")
    body = ChatCodec(dialect).encode(request, SETTINGS, stream=True).body
    head = {name: value for name, value in json.loads(body).items() if name != "messages"}
    expected = json.dumps({**head, "messages": naive}, ensure_ascii=False, separators=(",", ":"))
    assert body == expected.encode()


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_message_is_encoded_once(dialect: Dialect, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[Message] = []

    def counting(message: Message, *rest: Any) -> list[dict[str, Any]]:
        counted.append(message)
        return render_message(message, *rest)

    monkeypatch.setattr(_openai_chat, "render_message", counting)
    messages = conversation()
    before = b""
    for turn in range(1, len(messages) + 1):
        request = CompletionRequest(messages[:turn], tools=[ADD], system="Be brief.")
        body = ChatCodec(dialect).encode(request, SETTINGS, stream=True).body
        assert len(counted) == turn
        if not dialect.assistant_after_tool:
            assert body.startswith(before)
        before = body.removesuffix(b"]}")
    other = WireSettings(provider="host", model="another-model")
    ChatCodec(dialect).encode(CompletionRequest(messages), other, stream=True)
    assert len(counted) == 2 * len(messages)


# --- a judge from outside ---------------------------------------------------------------------------------


def drained(value: Any) -> Any:
    """The value with pydantic's lazy iterators read out, which is what validates their items."""
    if isinstance(value, dict):
        return {name: drained(item) for name, item in value.items()}
    if value is None or isinstance(value, str | int | float):
        return value
    return [drained(item) for item in value]


def test_openais_own_types_accept_what_is_sent() -> None:
    pytest.importorskip("openai", reason="the judge is OpenAI's client, which is not installed")
    import pydantic
    from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

    judge = pydantic.TypeAdapter(CompletionCreateParamsStreaming)
    messages = [
        *conversation(),
        Message("assistant", (Text("a"), Text("b"), ToolUse("c" * 50, "add", {}, "{broken")), ELSEWHERE),
        Message.user(
            (
                ToolResult("c" * 50, (Text("x"), Image("image/png", data=PNG)), is_error=True),
                Audio("audio/mpeg", data=b"ab"),
                Document("application/pdf", data=b"ab", title="a.pdf"),
                Document("text/plain", data=b"ab"),
                Image("image/png", url="https://e.org/a"),
            )
        ),
    ]
    settings = WireSettings(
        provider="host", model="test-model", max_tokens=9, temperature=0.5, thinking="low"
    )
    for choice in ("auto", "none", "required", "add"):
        body = encode(
            *messages,
            settings=settings,
            stream=True,
            system="Be brief.",
            tools=[ADD, ToolSpec("sub", "Subtract.", CLOSED, strict=True)],
            tool_choice=choice,
            output_schema=CLOSED,
            server_tools=[ServerTool("web_search", {"search_context_size": "low"})],
        )
        assert drained(judge.validate_python(body, strict=True)) == body
