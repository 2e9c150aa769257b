"""Requests of Gemini's protocol: what is sent, what goes back to whom, and what is encoded once."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from alloy_trio.values import (
    Audio,
    Block,
    Completion,
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
from alloy_trio.wire import WireSettings, _gemini
from alloy_trio.wire._gemini import GeminiCodec, generation_of

from .recordings import body_of, fixtures, load

SETTINGS = WireSettings(provider="gemini", model="gemini-3.5-flash")
OLD = WireSettings(provider="gemini", model="gemini-2.5-flash")
OWN = SETTINGS.origin
OTHER = Origin("anthropic", "claude")
WEATHER = ToolSpec(
    "weather", "Report the weather.", {"type": "object", "properties": {"city": {"$ref": "#/x"}}}
)
HELLO = Message.user("hello")
USER = {"role": "user", "parts": [{"text": "hello"}]}
DUMMY = "skip_thought_signature_validator"


def settings(model: str = "gemini-3.5-flash", **options: Any) -> WireSettings:
    return WireSettings(provider="gemini", model=model, **options)


def encode(
    messages: Any, with_: WireSettings = SETTINGS, *, stream: bool = False, **fields: Any
) -> dict[str, Any]:
    sent = GeminiCodec().encode(CompletionRequest(messages, **fields), with_, stream=stream)
    body = json.loads(sent.body)
    assert sent.body == json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    assert isinstance(body, dict)
    return body


def contents(*messages: Message, with_: WireSettings = SETTINGS) -> list[Any]:
    found = encode(messages, with_)["contents"]
    assert isinstance(found, list)
    return found


def own(*content: Block) -> Message:
    return Message("assistant", content, OWN)


def theirs(*content: Block) -> Message:
    return Message("assistant", content, OTHER)


# --- the body ---------------------------------------------------------------------------------------------


def test_the_smallest_request() -> None:
    assert encode([HELLO]) == {"contents": [USER]}


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("gemini-3.5-flash", False, "/v1beta/models/gemini-3.5-flash:generateContent"),
        ("gemini-3.5-flash", True, "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse"),
        ("models/gemini-x", False, "/v1beta/models/gemini-x:generateContent"),
        ("tunedModels/mine", False, "/v1beta/tunedModels/mine:generateContent"),
        ("a b?key=1", False, "/v1beta/models/a%20b%3Fkey%3D1:generateContent"),
    ],
)
def test_the_model_stands_in_the_path(model: str, stream: bool, path: str) -> None:
    sent = GeminiCodec().encode(CompletionRequest([HELLO]), settings(model), stream=stream)
    assert sent.path == path
    assert dict(sent.headers) == {"content-type": "application/json"}


def test_everything_has_its_place_and_contents_are_last() -> None:
    body = encode(
        [HELLO],
        settings(temperature=0.5, thinking="high", max_tokens=900, extra_body={"safetySettings": []}),
        system="Be brief.",
        tools=[WEATHER],
        tool_choice="required",
        max_tokens=1000,
        output_schema={"type": "object"},
    )
    assert list(body) == [
        "systemInstruction",
        "tools",
        "toolConfig",
        "generationConfig",
        "safetySettings",
        "contents",
    ]
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}]}
    assert body["tools"] == [
        {
            "functionDeclarations": [
                {
                    "name": "weather",
                    "description": "Report the weather.",
                    "parametersJsonSchema": WEATHER.input_schema,
                }
            ]
        }
    ]
    assert body["generationConfig"] == {
        "maxOutputTokens": 900,
        "temperature": 0.5,
        "thinkingConfig": {"thinkingLevel": "high", "includeThoughts": True},
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
    }


def test_extra_body_goes_into_the_configurations_and_over_the_rest() -> None:
    extra = {"generationConfig": {"topK": 3, "temperature": 1}, "tools": [], "labels": {"a": "b"}}
    body = encode([HELLO], settings(temperature=0.5, max_tokens=9, extra_body=extra), tools=[WEATHER])
    assert body["generationConfig"] == {"maxOutputTokens": 9, "temperature": 1, "topK": 3}
    assert (body["tools"], body["labels"]) == ([], {"a": "b"})
    body = encode([HELLO], settings(extra_body={"contents": [], "generationConfig": {"topP": 1}}))
    assert body == {"contents": [], "generationConfig": {"topP": 1}}


def test_a_turn_begins_with_the_bytes_of_the_turn_before() -> None:
    turns = [
        HELLO,
        own(ToolUse("a", "weather", {})),
        Message.user([ToolResult("a", "sunny")]),
        own(Text("Sun.")),
    ]

    def sent(count: int) -> bytes:
        request = CompletionRequest(turns[:count], system="Be brief.", tools=(WEATHER,))
        return GeminiCodec().encode(request, SETTINGS, stream=True).body

    for count in range(1, 4):
        assert sent(count + 1).startswith(sent(count).removesuffix(b"]}"))


def test_a_message_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[Message] = []
    render = _gemini.render

    def counting(message: Message, **rest: Any) -> bytes:
        rendered.append(message)
        return render(message, **rest)

    monkeypatch.setattr(_gemini, "render", counting)
    turns = [
        Message.user("hello"),
        own(ToolUse("a", "weather", {})),
        Message.user([ToolResult("a", "sunny")]),
        own(Text("Sun.")),
    ]
    for count in range(1, 5):
        encode(turns[:count])
    assert rendered == turns


def test_what_a_message_becomes_depends_on_the_model_and_on_the_calls_that_it_answers() -> None:
    answer = Message.user([ToolResult("a", "sunny", is_error=False)])
    call = ToolUse("a", "weather", {}, extra={"thoughtSignature": "QQ=="})
    first = contents(HELLO, own(call), answer)
    assert first[2]["parts"][0]["functionResponse"]["name"] == "weather"
    second = contents(HELLO, own(ToolUse("a", "forecast", {})), answer)
    assert second[2]["parts"][0]["functionResponse"]["name"] == "forecast"
    asked = own(call)
    assert "thoughtSignature" in contents(HELLO, asked, answer)[1]["parts"][0]
    assert "thoughtSignature" not in contents(HELLO, asked, answer, with_=OLD)[1]["parts"][0]


# --- tools and options ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "calling"),
    [
        ("auto", {"mode": "AUTO"}),
        ("required", {"mode": "ANY"}),
        ("none", {"mode": "NONE"}),
        ("weather", {"mode": "ANY", "allowedFunctionNames": ["weather"]}),
    ],
)
def test_tool_choice(choice: str, calling: dict[str, Any]) -> None:
    body = encode([HELLO], tools=[WEATHER], tool_choice=choice)
    assert body["toolConfig"] == {"functionCallingConfig": calling}


def test_strict_tools_have_their_calls_validated() -> None:
    strict = ToolSpec("now", "The time.", {"type": "object"}, strict=True)
    for choice in (None, "auto"):
        body = encode([HELLO], tools=[WEATHER, strict], tool_choice=choice)
        assert body["toolConfig"] == {"functionCallingConfig": {"mode": "VALIDATED"}}
    assert "toolConfig" not in encode([HELLO], tools=[WEATHER])


@pytest.mark.parametrize("fields", [{"tool_choice": "now"}, {"tools": [WEATHER], "tool_choice": "now"}])
def test_a_choice_that_names_no_tool_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="'now'"):
        encode([HELLO], **fields)


def test_a_choice_of_the_vendors_own_tool_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="google_search"):
        encode([HELLO], server_tools=[ServerTool("google_search")], tool_choice="google_search")


def test_the_vendors_own_tools_go_by_their_names() -> None:
    names = ["google_search", "url_context", "code_execution", "web_search", "web_fetch", "google_maps"]
    tools = [ServerTool(name) for name in names] + [
        ServerTool("file_search", {"fileSearchStoreNames": ["s"]})
    ]
    body = encode([HELLO], server_tools=tools)
    assert body["tools"] == [
        {"googleSearch": {}},
        {"urlContext": {}},
        {"codeExecution": {}},
        {"googleSearch": {}},
        {"urlContext": {}},
        {"googleMaps": {}},
        {"fileSearch": {"fileSearchStoreNames": ["s"]}},
    ]
    assert "toolConfig" not in body


def test_functions_beside_the_vendors_own_tools_are_announced_to_models_that_can() -> None:
    both = {"tools": [WEATHER], "server_tools": [ServerTool("google_search")]}
    assert encode([HELLO], **both)["toolConfig"] == {"includeServerSideToolInvocations": True}
    assert "toolConfig" not in encode([HELLO], OLD, **both)


@pytest.mark.parametrize(
    ("thinking", "new", "old"),
    [
        (
            "low",
            {"thinkingLevel": "low", "includeThoughts": True},
            {"thinkingBudget": 1024, "includeThoughts": True},
        ),
        (
            2000,
            {"thinkingBudget": 2000, "includeThoughts": True},
            {"thinkingBudget": 2000, "includeThoughts": True},
        ),
        (0, {"thinkingBudget": 0}, {"thinkingBudget": 0}),
        ("none", {"thinkingBudget": 0}, {"thinkingBudget": 0}),
        (True, {"includeThoughts": True}, {"includeThoughts": True}),
        (False, {"thinkingBudget": 0}, {"thinkingBudget": 0}),
        ({"thinkingLevel": "HIGH"}, {"thinkingLevel": "HIGH"}, {"thinkingLevel": "HIGH"}),
    ],
)
def test_thinking(thinking: Any, new: dict[str, Any], old: dict[str, Any]) -> None:
    for model, wanted in (("gemini-3.5-flash", new), ("gemini-2.5-flash", old)):
        body = encode([HELLO], settings(model, thinking=thinking))
        assert body["generationConfig"] == {"thinkingConfig": wanted}


def test_an_effort_that_an_older_model_cannot_be_told_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="'extreme'"):
        encode([HELLO], settings("gemini-2.5-pro", thinking="extreme"))


@pytest.mark.parametrize(
    ("model", "generation"),
    [
        ("gemini-2.5-flash", 2),
        ("gemini-3-pro-preview", 3),
        ("models/gemini-3.5-flash", 3),
        ("gemini-4-argon", 4),
        ("gemini-10-x", 10),
        ("gemini-flash-latest", 3),
        ("gemma-3-27b-it", 0),
        ("recorded", 0),
    ],
)
def test_the_generation_is_read_from_the_models_name(model: str, generation: int) -> None:
    assert generation_of(model) == generation


# --- messages ---------------------------------------------------------------------------------------------


def test_the_users_words_and_files() -> None:
    message = Message.user(
        [
            Text("see"),
            Text(""),
            Image("image/png", data=b"\x89P"),
            Audio("audio/wav", data=b"R"),
            Video("video/mp4", url="https://youtu.be/x"),
            Document("application/pdf", data=b"%PDF"),
            Opaque("gemini", {"fileData": {"fileUri": "f"}}),
            Opaque("openai", {"type": "x"}),
        ]
    )
    assert contents(message) == [
        {
            "role": "user",
            "parts": [
                {"text": "see"},
                {"inlineData": {"mimeType": "image/png", "data": "iVA="}},
                {"inlineData": {"mimeType": "audio/wav", "data": "Ug=="}},
                {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}},
                {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}},
                {"fileData": {"fileUri": "f"}},
            ],
        }
    ]


def test_a_message_of_nothing_but_an_empty_text_is_sent() -> None:
    assert contents(Message.user("")) == [{"role": "user", "parts": [{"text": ""}]}]


def test_results_name_their_calls_and_come_first() -> None:
    calls = theirs(ToolUse("a", "weather", {"city": "Linz"}), ToolUse("b", "my tool!", {}))
    answer = Message.user(
        [Text("and?"), ToolResult("a", "sunny"), ToolResult("b", [Text("x"), Text("y")], True)]
    )
    found = contents(HELLO, calls, answer)
    assert found[1]["parts"][1]["functionCall"] == {"id": "b", "name": "my_tool_", "args": {}}
    assert found[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "a", "name": "weather", "response": {"output": "sunny"}}},
            {"functionResponse": {"id": "b", "name": "my_tool_", "response": {"error": "x\ny"}}},
            {"text": "and?"},
        ],
    }


def test_files_of_a_result_stand_within_it_or_beside_it() -> None:
    call = own(ToolUse("a", "look", {}))
    picture, page = Image("image/png", data=b"\x89P"), Document("application/pdf", url="https://x/y.pdf")
    answer = Message.user([ToolResult("a", [Text("Two."), picture, page])])
    inline = {"inlineData": {"mimeType": "image/png", "data": "iVA="}}
    linked = {"fileData": {"mimeType": "application/pdf", "fileUri": "https://x/y.pdf"}}
    words = {"text": "Files of the result of look:"}
    response = {"id": "a", "name": "look", "response": {"output": "Two."}}
    assert contents(HELLO, call, answer)[2]["parts"] == [
        {"functionResponse": {**response, "parts": [inline]}},
        words,
        linked,
    ]
    assert contents(HELLO, call, answer, with_=OLD)[2]["parts"] == [
        {"functionResponse": response},
        words,
        inline,
        linked,
    ]


def test_an_id_that_the_vendor_did_not_give_is_not_sent_to_it_but_to_others() -> None:
    made = Message("assistant", [ToolUse("call_x_0", "now", {}, extra={"made_id": True})], OWN)
    answer = Message.user([ToolResult("call_x_0", "noon")])
    found = contents(HELLO, made, answer)
    assert found[1]["parts"][0]["functionCall"] == {"name": "now", "args": {}}
    assert found[2]["parts"][0]["functionResponse"] == {"name": "now", "response": {"output": "noon"}}
    found = contents(HELLO, made, answer, with_=OLD)
    assert found[1]["parts"][0] == {"functionCall": {"id": "call_x_0", "name": "now", "args": {}}}
    assert found[2]["parts"][0]["functionResponse"]["id"] == "call_x_0"


def test_the_first_call_of_each_foreign_step_gets_the_documented_signature() -> None:
    def step(number: int) -> list[Message]:
        first, second = ToolUse(f"a{number}", "now", {}), ToolUse(f"b{number}", "now", {})
        results = [ToolResult(f"a{number}", "1"), ToolResult(f"b{number}", "2")]
        return [theirs(Text("I look."), first, second), Message.user(results)]

    conversation = [HELLO, *step(1), *step(2)]
    for content in contents(*conversation)[1::2]:
        assert [part.get("thoughtSignature") for part in content["parts"]] == [None, DUMMY, None]
    assert DUMMY not in json.dumps(contents(*conversation, with_=OLD))


def test_what_is_private_to_another_origin_is_left_out() -> None:
    message = theirs(
        Thinking("hm", "sig"),
        Text("a", ({"x": 1},), extra={"thoughtSignature": "QQ=="}),
        Text("", extra={"thoughtSignature": "QQ=="}),
        ServerToolUse("s", "web_search", {}, extra={"toolCall": {}}),
        ServerToolResult("s", None, extra={"toolResponse": {}}),
        Opaque("gemini", {"hologram": {}}),
        Image("image/png", data=b"\x89P"),
    )
    assert contents(HELLO, message)[1] == {
        "role": "model",
        "parts": [{"text": "a"}, {"text": "[image/png omitted]"}],
    }
    assert contents(HELLO, theirs(Thinking("hm")), HELLO) == [USER, USER]


def test_arguments_that_were_no_object_go_back_as_one() -> None:
    message = own(ToolUse("a", "now", {}, '{"x": 1', extra={"thoughtSignature": "QQ=="}))
    assert contents(HELLO, message)[1]["parts"][0] == {
        "functionCall": {"id": "a", "name": "now", "args": {"_invalid": '{"x": 1'}},
        "thoughtSignature": "QQ==",
    }


def test_a_history_that_begins_with_the_model_gets_an_opening() -> None:
    found = contents(own(Text("Hi.")), HELLO)
    assert [content["role"] for content in found] == ["user", "model", "user"]


@pytest.mark.parametrize(
    ("messages", "seen"),
    [
        ([Message("user", [Thinking("x")])], "Thinking"),
        ([HELLO, own(ToolResult("a", "x"))], "ToolResult"),
        ([HELLO, Message.user([ToolResult("a", "x")])], "'a'"),
        ([own(Thinking(""))], "no message with content"),
    ],
)
def test_what_cannot_be_sent_is_refused(messages: list[Message], seen: str) -> None:
    with pytest.raises(ConfigurationError, match=seen):
        contents(*messages)


# --- an answer goes back as it came -----------------------------------------------------------------------


def given_back(body: bytes) -> list[Any]:
    decoder = GeminiCodec().decoder(SETTINGS)
    decoder.receive(body)
    decoder.receive_end()
    completion = decoder.finish()
    assert isinstance(completion, Completion)
    found = contents(HELLO, completion.message)
    return found[1]["parts"] if len(found) > 1 else []


def as_sent(parts: list[Any], *, streamed: bool) -> list[Any]:
    """Parts of an answer as they have to come back: without empty ones, plain pieces of a stream put together."""
    kept: list[Any] = []
    for part in parts:
        plain = part.keys() <= {"text", "thought"}
        if plain and not part["text"]:
            continue
        last = kept[-1] if kept else None
        if streamed and plain and last is not None and last.keys() == part.keys():
            kept[-1] = {**last, "text": last["text"] + part["text"]}
        elif "functionCall" in part:
            kept.append({**part, "functionCall": {"args": {}, **part["functionCall"]}})
        else:
            kept.append(part)
    calls = [part for part in kept if "functionCall" in part]
    if calls and "thoughtSignature" not in calls[0]:
        calls[0]["thoughtSignature"] = DUMMY
    return kept


def test_each_part_of_a_recorded_answer_goes_back_as_it_came() -> None:
    compared = signed = 0
    for record in load("gemini"):
        body = body_of(record)
        usable = not any(mark in body for mark in (b"UNEXPECTED_", b"partialArgs", b"SAFETY", b"MODEL_ARMOR"))
        whole = record["response_kind"] == "json" and record["id"] != "08a3d485bd21-00"
        if record["status"] == 200 and record["endpoint"].endswith("enerateContent") and usable:
            if whole:
                chunks = [json.loads(body)]
            elif record["response_kind"] == "json_array":
                chunks = json.loads(body)
            elif record["response_kind"] == "sse":
                lines = body.replace(b"\r\n", b"\n").split(b"\n")
                chunks = [json.loads(line[6:]) for line in lines if line.startswith(b"data: ")]
            else:
                continue
            parts = [
                p for chunk in chunks for p in chunk["candidates"][0].get("content", {}).get("parts", ())
            ]
            expected = as_sent(parts, streamed=not whole)
            assert given_back(body) == expected, record["id"]
            compared += 1
            signed += sum(part.get("thoughtSignature", DUMMY) != DUMMY for part in expected)
    assert compared == 527
    assert signed == 315


@pytest.mark.parametrize(
    "name",
    ["picture", "picture_drafts", "search", "code_execution", "unknown_part", "signature_alone", "sound"],
)
def test_each_part_of_a_fixture_goes_back_as_it_came(name: str) -> None:
    fixture = fixtures("gemini")[name]
    text = fixture["body"]
    chunks = (
        [json.loads(line[6:]) for line in text.split("\r\n") if line.startswith("data: ")]
        if fixture["stream"]
        else [json.loads(text)]
    )
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert given_back(body_of(fixture)) == as_sent(parts, streamed=fixture["stream"])


def test_fields_of_a_call_that_are_new_to_us_go_back() -> None:
    call = {"name": "now", "args": {}, "id": "a", "mood": "calm"}
    part = {"functionCall": call, "thoughtSignature": "QQ==", "partMetadata": {"x": 1}}
    chunk = {"candidates": [{"content": {"parts": [part]}, "finishReason": "STOP"}]}
    assert given_back(json.dumps(chunk).encode()) == [part]


# --- the vendor's own types -------------------------------------------------------------------------------


def test_a_request_with_everything_fits_the_vendors_types() -> None:
    types = pytest.importorskip("google.genai.types", reason="the vendor's types are the judge here")
    answers = []
    for name in ("search", "code_execution", "thinking_signed", "picture"):
        decoder = GeminiCodec().decoder(SETTINGS)
        decoder.receive(body_of(fixtures("gemini")[name]))
        answers.append(decoder.finish().message)
    picture = Image("image/png", data=b"\x89P")
    foreign = theirs(
        Thinking("x"), Text("I look."), ToolUse("a", "look", {"deep": {"x": [1, None]}}), picture
    )
    user = Message.user(
        [
            ToolResult("a", [Text("Two."), picture, Document("text/plain", url="https://x/y")]),
            Text("more"),
            Audio("audio/wav", data=b"R"),
            Video("video/mp4", url="https://youtu.be/x"),
            Document("application/pdf", data=b"%PDF"),
        ]
    )
    turns = [HELLO]
    for answer in answers:
        turns += [answer, HELLO]
    strict = ToolSpec("look", "Look.", {"type": "object"}, strict=True)
    server = [ServerTool(n) for n in ("google_search", "url_context", "code_execution", "google_maps")]
    checked = 0
    for with_ in (
        settings(thinking="low", max_tokens=9, temperature=0.1),
        settings(thinking=100),
        settings("gemini-2.5-flash", thinking="high"),
    ):
        for choice in (None, "auto", "required", "none", "weather"):
            body = encode(
                [*turns, foreign, user],
                with_,
                system="Be brief.",
                tools=[WEATHER, strict],
                server_tools=server,
                tool_choice=choice,
                output_schema={"type": "object"},
            )
            assert body.keys() == {
                "systemInstruction",
                "tools",
                "toolConfig",
                "generationConfig",
                "contents",
            } or (body.keys() == {"systemInstruction", "tools", "generationConfig", "contents"})
            types.Content.model_validate(body["systemInstruction"])
            types.GenerationConfig.model_validate(body["generationConfig"])
            types.ToolConfig.model_validate(body.get("toolConfig", {}))
            for tool in body["tools"]:
                types.Tool.model_validate(tool)
            for content in body["contents"]:
                checked += len(types.Content.model_validate(content).parts)
    assert checked > 200


def test_the_documented_signature_is_base64_as_the_field_wants() -> None:
    assert base64.urlsafe_b64decode(DUMMY)
