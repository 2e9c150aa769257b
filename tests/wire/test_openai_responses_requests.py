"""Requests of the Responses protocol: what is sent, what goes back to whom, and what is encoded once."""

from __future__ import annotations

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
from alloy_trio.wire import WireSettings, _openai_responses
from alloy_trio.wire._openai_responses import ResponsesCodec

from .recordings import body_of, fixtures, load

SETTINGS = WireSettings(provider="openai", model="gpt")
OWN = SETTINGS.origin
OTHER = Origin("anthropic", "claude")
WEATHER = ToolSpec("weather", "Report the weather.", {"type": "object", "properties": {}})
HELLO = Message.user("hello")


def encode(
    messages: Any, settings: WireSettings = SETTINGS, *, stream: bool = False, **fields: Any
) -> dict[str, Any]:
    request = CompletionRequest(messages, **fields)
    sent = ResponsesCodec().encode(request, settings, stream=stream)
    assert sent.path == "/responses"
    body = json.loads(sent.body)
    assert sent.body == json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    assert isinstance(body, dict)
    return body


def settings(**options: Any) -> WireSettings:
    return WireSettings(provider="openai", model="gpt", **options)


def items(*messages: Message) -> list[Any]:
    found = encode(messages)["input"]
    assert isinstance(found, list)
    return found


def own(*content: Block) -> Message:
    return Message("assistant", content, OWN)


# --- the body ---------------------------------------------------------------------------------------------


def test_the_smallest_request() -> None:
    assert encode([HELLO]) == {
        "model": "gpt",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "stream": False,
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
    }


def test_everything_has_its_place_and_input_is_last() -> None:
    body = encode(
        [HELLO],
        settings(temperature=0.5, thinking="high", max_tokens=900),
        stream=True,
        system="Be brief.",
        tools=[
            WEATHER,
            ToolSpec("now", "The time.", {"type": "object"}, strict=True, allowed_callers=["direct"]),
        ],
        server_tools=[ServerTool("web_search", {"search_context_size": "low"})],
        tool_choice="required",
        max_tokens=500,
    )
    assert body == {
        "model": "gpt",
        "instructions": "Be brief.",
        "tools": [
            {
                "type": "function",
                "name": "weather",
                "description": "Report the weather.",
                "parameters": {"type": "object", "properties": {}},
                "strict": False,
            },
            {
                "type": "function",
                "name": "now",
                "description": "The time.",
                "parameters": {"type": "object"},
                "strict": True,
                "allowed_callers": ["direct"],
            },
            {"type": "web_search", "search_context_size": "low"},
        ],
        "tool_choice": "required",
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 500,
        "temperature": 0.5,
        "reasoning": {"effort": "high", "summary": "auto"},
        "stream": True,
        "input": [{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}],
    }
    assert list(body)[-1] == "input"


@pytest.mark.parametrize(("asked", "capped", "sent"), [(5, None, 5), (None, 7, 7), (5, 7, 5), (9, 7, 7)])
def test_the_smaller_cap_of_the_output_counts(asked: int | None, capped: int | None, sent: int) -> None:
    assert encode([HELLO], settings(max_tokens=capped), max_tokens=asked)["max_output_tokens"] == sent


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        ("auto", "auto"),
        ("required", "required"),
        ("none", "none"),
        ("weather", {"type": "function", "name": "weather"}),
        ("web_search", {"type": "web_search"}),
    ],
)
def test_the_choice_of_tools(choice: str, sent: Any) -> None:
    body = encode([HELLO], tools=[WEATHER], server_tools=[ServerTool("web_search")], tool_choice=choice)
    assert body["tool_choice"] == sent


def test_a_choice_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"'wether'.*'weather'"):
        encode([HELLO], tools=[WEATHER], tool_choice="wether")
    with pytest.raises(ConfigurationError, match="there are no tools"):
        encode([HELLO], tool_choice="required")
    assert "tool_choice" not in encode([HELLO], tool_choice="none")


def test_thinking_is_an_effort_or_the_vendors_own_object() -> None:
    given = {"effort": "low", "summary": "detailed"}
    assert encode([HELLO], settings(thinking=given))["reasoning"] == given
    with pytest.raises(ConfigurationError, match=r"thinking is 2048.*thinking='medium'"):
        encode([HELLO], settings(thinking=2048))


CLOSED = {
    "type": "object",
    "title": "Weather report",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}


def test_a_schema_is_strict_when_the_vendor_can_be_strict_about_it() -> None:
    assert encode([HELLO], output_schema=CLOSED)["text"] == {
        "format": {"type": "json_schema", "name": "Weather_report", "schema": CLOSED, "strict": True}
    }
    for loose in (
        {"type": "object"},
        {**CLOSED, "required": []},
        {**CLOSED, "additionalProperties": True},
        {"type": "array", "items": {"type": "object", "properties": {"a": {}}}},
        {"anyOf": [CLOSED, {"type": "object"}]},
    ):
        assert encode([HELLO], output_schema=loose)["text"]["format"]["strict"] is False
    nested = {**CLOSED, "properties": {"city": {"anyOf": [{"type": "null"}, CLOSED], "default": {"a": 1}}}}
    assert encode([HELLO], output_schema=nested)["text"]["format"]["strict"] is True


def test_extra_body_has_the_last_word() -> None:
    body = encode([HELLO], settings(extra_body={"store": True, "service_tier": "flex"}))
    assert body["store"] is True
    assert body["service_tier"] == "flex"
    assert encode([HELLO], settings(extra_body={"input": "raw"}))["input"] == "raw"


# --- the user's side --------------------------------------------------------------------------------------


def test_what_a_user_sends() -> None:
    message = Message.user(
        [
            Text("look"),
            Image("image/png", b"\x00"),
            Image("image/png", url="https://x/a.png"),
            Document("application/pdf", b"\x01", title="report"),
            Document("application/pdf", b"\x01", title="a.PDF"),
            Document("application/pdf", url="https://x/a.pdf"),
            Document("text/plain", "grüß".encode(), title="notes"),
            Document("text/csv", b"a,b"),
            Document("application/vnd.openxmlformats-officedocument.wordprocessingml.document", b"\x02"),
        ]
    )
    pdf = "data:application/pdf;base64,AQ=="
    word = "data:application/vnd.openxmlformats-officedocument.wordprocessingml.document;base64,Ag=="
    assert items(message) == [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "look"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AA=="},
                {"type": "input_image", "detail": "auto", "image_url": "https://x/a.png"},
                {"type": "input_file", "filename": "report.pdf", "file_data": pdf},
                {"type": "input_file", "filename": "a.PDF", "file_data": pdf},
                {"type": "input_file", "file_url": "https://x/a.pdf"},
                {"type": "input_text", "text": "notes:\ngrüß"},
                {"type": "input_text", "text": "a,b"},
                {"type": "input_file", "filename": "document.docx", "file_data": word},
            ],
        }
    ]


def test_results_are_items_of_their_own_before_what_follows_them() -> None:
    message = Message.user(
        [
            ToolResult("a", "sunny"),
            ToolResult("b", [Text("a picture"), Image("image/png", b"\x00")], is_error=True),
            Text("and now?"),
        ]
    )
    assert items(message) == [
        {"type": "function_call_output", "call_id": "a", "output": "sunny"},
        {
            "type": "function_call_output",
            "call_id": "b",
            "output": [
                {"type": "input_text", "text": "a picture"},
                {"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64,AA=="},
            ],
        },
        {"role": "user", "content": [{"type": "input_text", "text": "and now?"}]},
    ]


def test_an_opaque_item_of_the_users_goes_to_its_provider_only() -> None:
    approval = {"type": "mcp_approval_response", "approval_request_id": "m", "approve": True}
    message = Message.user([Text("a"), Opaque("openai", approval), Opaque("xai", {"type": "x"}), Text("b")])
    assert items(message) == [
        {"role": "user", "content": [{"type": "input_text", "text": "a"}]},
        approval,
        {"role": "user", "content": [{"type": "input_text", "text": "b"}]},
    ]


@pytest.mark.parametrize(
    "block", [Audio("audio/wav", b"x"), Video("video/mp4", b"x"), ToolUse("a", "x", {}), Thinking("hm")]
)
def test_what_a_user_cannot_send_is_refused(block: Any) -> None:
    with pytest.raises(ConfigurationError, match=type(block).__name__):
        encode([Message.user([block])])


def test_results_in_the_models_mouth_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="ToolResult"):
        encode([own(ToolResult("a", "x"))])


# --- the model's side, to its origin ----------------------------------------------------------------------

MESSAGE_FIELDS = {"id": "msg_1", "status": "completed", "phase": "final_answer"}
REASONING = {"id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}]}


def test_an_own_answer_goes_back_as_it_came() -> None:
    message = own(
        Thinking("hm", "ENC", extra=REASONING),
        Text("One.", [{"type": "url_citation", "url": "https://x"}], extra=MESSAGE_FIELDS),
        Text("No.", extra={**MESSAGE_FIELDS, "refusal_part": True}),
        ToolUse("call_a", "weather", {"city": "Linz"}, extra={"id": "fc_1", "status": "completed"}),
        ServerToolUse("ws_1", "web_search", {}, extra={"id": "ws_1", "type": "web_search_call"}),
        ServerToolResult("ws_1", ["found"]),
        Opaque("openai", {"type": "compaction", "id": "cmp_1", "encrypted_content": "C"}),
    )
    assert items(message) == [
        {"type": "reasoning", **REASONING, "encrypted_content": "ENC"},
        {
            "type": "message",
            "role": "assistant",
            **MESSAGE_FIELDS,
            "content": [
                {
                    "type": "output_text",
                    "text": "One.",
                    "annotations": [{"type": "url_citation", "url": "https://x"}],
                },
                {"type": "refusal", "refusal": "No."},
            ],
        },
        {
            "type": "function_call",
            "call_id": "call_a",
            "name": "weather",
            "arguments": '{"city":"Linz"}',
            "id": "fc_1",
            "status": "completed",
        },
        {"id": "ws_1", "type": "web_search_call"},
        {"type": "compaction", "id": "cmp_1", "encrypted_content": "C"},
    ]


def test_reasoning_that_nothing_follows_is_left_out() -> None:
    cut_off = own(
        Text("a"), Thinking("hm", "ENC", extra=REASONING), Thinking("", "ENC2", extra={"id": "rs_2"})
    )
    assert items(cut_off) == [{"role": "assistant", "content": "a"}]
    assert items(own(Thinking("hm", "ENC", extra=REASONING)), HELLO) == items(HELLO)


def test_without_its_reasoning_an_item_goes_without_its_id() -> None:
    message = own(
        Thinking("hm", extra=REASONING),
        Text("a", extra=MESSAGE_FIELDS),
        ToolUse("call_a", "weather", {}, extra={"id": "fc_1", "namespace": "n"}),
    )
    assert items(message) == [
        {"role": "assistant", "content": "a", "phase": "final_answer"},
        {
            "type": "function_call",
            "call_id": "call_a",
            "name": "weather",
            "arguments": "{}",
            "namespace": "n",
        },
    ]


def test_open_reasoning_goes_back_without_an_encrypted_form() -> None:
    extra = {**REASONING, "content": [{"type": "reasoning_text", "text": "hm"}]}
    assert items(own(Thinking("hm", extra=extra), Text("a", extra=MESSAGE_FIELDS)))[0] == {
        "type": "reasoning",
        **extra,
    }


def test_arguments_go_back_as_they_were_written_unless_they_were_changed() -> None:
    written = '{ "city": "Linz" }'
    use = ToolUse("a", "weather", {"city": "Linz"}, extra={"arguments": written})
    changed = ToolUse("a", "weather", {"city": "Graz"}, extra={"arguments": written})
    assert [item["arguments"] for item in items(own(use), own(changed))] == [written, '{"city":"Graz"}']
    assert items(Message("assistant", [use], OTHER))[0]["arguments"] == '{"city":"Linz"}'


def test_broken_arguments_go_back_as_json_that_shows_them() -> None:
    sent = items(own(ToolUse("a", "weather", {}, '{"city": ')))[0]["arguments"]
    assert json.loads(sent) == {"_invalid": '{"city": '}


def test_a_result_names_the_program_that_made_the_call() -> None:
    caller = {"type": "program", "caller_id": "call_p"}
    asked = own(ToolUse("a", "stock", {}, extra={"id": "fc_1", "caller": caller}), ToolUse("b", "stock", {}))
    answered = Message.user([ToolResult("a", "1"), ToolResult("b", "2")])
    assert items(asked, answered)[2:] == [
        {"type": "function_call_output", "call_id": "a", "output": "1", "caller": caller},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
    ]
    # The same message after another one is another thing on the wire, encoded before or not.
    assert items(own(ToolUse("a", "stock", {}), ToolUse("b", "stock", {})), answered)[2:] == [
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
    ]


# --- the model's side, from elsewhere ---------------------------------------------------------------------


@pytest.mark.parametrize("origin", [OTHER, Origin("openai", "gpt-other"), None])
def test_what_is_private_to_another_origin_stays_there(origin: Origin | None) -> None:
    foreign = Message(
        "assistant",
        [
            Thinking("secret", "SIG", extra=REASONING),
            Text("", extra=MESSAGE_FIELDS),
            Text("Hello", [{"cited": 1}], extra=MESSAGE_FIELDS),
            ToolUse(
                "toolu_1", "weather", {"city": "Linz"}, extra={"id": "fc_1", "caller": {"type": "program"}}
            ),
            ServerToolUse("s", "web_search", {}, extra={"type": "web_search_call"}),
            ServerToolResult("s", [1], extra={"type": "x"}),
            Opaque("anthropic", {"type": "x"}),
            Image("image/png", b"x"),
        ],
        origin,
    )
    assert items(foreign, Message.user([ToolResult("toolu_1", "ok")])) == [
        {"role": "assistant", "content": "Hello"},
        {"role": "assistant", "content": "[image/png omitted]"},
        {
            "type": "function_call",
            "call_id": "toolu_1",
            "name": "weather",
            "arguments": '{"city":"Linz"}',
        },
        {"type": "function_call_output", "call_id": "toolu_1", "output": "ok"},
    ]


def test_no_words_stand_between_a_foreign_call_and_its_result() -> None:
    foreign = [Text("a"), ToolUse("1", "x", {}), Text("b"), ToolUse("2", "x", {})]
    sent = items(
        Message("assistant", foreign, OTHER), Message.user([ToolResult("1", ""), ToolResult("2", "")])
    )
    assert [item.get("content") or item["call_id"] for item in sent] == ["a", "b", "1", "2", "1", "2"]
    assert [item.get("content") or item["call_id"] for item in items(own(*foreign))] == ["a", "1", "b", "2"]


def test_ids_and_names_that_the_vendor_does_not_take_are_fitted_alike_in_call_and_result() -> None:
    long = "call|" * 20
    sent = items(
        Message("assistant", [ToolUse(long, "files.read it", {})], OTHER),
        Message.user([ToolResult(long, "ok")]),
    )
    assert sent[0]["call_id"] == sent[1]["call_id"] != long
    assert len(sent[0]["call_id"]) <= 64
    assert sent[0]["name"] == "files_read_it"
    assert items(Message("assistant", [ToolUse("a", "", {})], OTHER))[0]["name"] == "_"


def test_lone_surrogates_do_not_reach_the_wire() -> None:
    body = ResponsesCodec().encode(CompletionRequest([Message.user("a\ud83db")]), SETTINGS, stream=False).body
    assert "a\ufffd" in body.decode("utf-8")


# --- encoded once -----------------------------------------------------------------------------------------


def test_a_message_is_encoded_once_for_all_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Message] = []
    plain = _openai_responses.items_of

    def counting(message: Message, origin: Origin, callers: Any) -> Any:
        encoded.append(message)
        return plain(message, origin, callers)

    monkeypatch.setattr(_openai_responses, "items_of", counting)
    history: list[Message] = []
    for turn in range(5):
        history += [Message.user(f"question {turn}"), own(Text(f"answer {turn}"))]
        encode(history)
    assert [id(message) for message in encoded] == [id(message) for message in history]
    encode(history, WireSettings(provider="openai", model="other"))
    assert len(encoded) == 20


def test_the_bytes_of_a_turn_begin_the_bytes_of_the_next() -> None:
    codec = ResponsesCodec()
    history = [HELLO, own(Text("hi"), ToolUse("a", "weather", {}))]
    first = codec.encode(CompletionRequest(history, tools=[WEATHER], system="s"), SETTINGS, stream=True).body
    history += [Message.user([ToolResult("a", "sunny")]), own(Text("nice"))]
    second = codec.encode(CompletionRequest(history, tools=[WEATHER], system="s"), SETTINGS, stream=True).body
    assert second.startswith(first.removesuffix(b"]}") + b",")


# --- judged by the vendor's types -------------------------------------------------------------------------


def forced(value: Any) -> Any:
    """Walks what pydantic validates lazily, so that it is validated."""
    if isinstance(value, dict):
        return {key: forced(item) for key, item in value.items()}
    if isinstance(value, str | int | float | bool | None):
        return value
    return [forced(item) for item in value]


def test_every_block_is_of_the_vendors_types() -> None:
    pytest.importorskip("openai", reason="the vendor's types are the judge here")
    from openai.types.responses.response_create_params import ResponseCreateParamsStreaming
    from pydantic import TypeAdapter

    history = [
        Message.user(
            [
                Text("look"),
                Image("image/png", b"\x00"),
                Document("application/pdf", b"\x01"),
                Document("application/pdf", url="https://x/a.pdf"),
                Document("text/plain", b"x"),
            ]
        ),
        own(
            Thinking("hm", "ENC", extra=REASONING),
            Text("One.", extra={"id": "msg_1", "status": "completed"}),
            Text("No.", extra={"id": "msg_1", "refusal_part": True}),
            ToolUse("call_a", "weather", {}, extra={"id": "fc_1", "status": "completed"}),
            ToolUse("call_b", "weather", {}, "{"),
        ),
        Message.user(
            [ToolResult("call_a", "ok"), ToolResult("call_b", [Text("x"), Image("image/png", b"")])]
        ),
        Message("assistant", [Thinking("x", "y"), Text("foreign"), ToolUse("t", "weather", {})], OTHER),
        Message.user([ToolResult("t", "ok"), Text("go on")]),
    ]
    body = encode(
        history,
        settings(temperature=1.0, thinking="low"),
        stream=True,
        system="s",
        tools=[WEATHER],
        server_tools=[ServerTool("web_search")],
        tool_choice="weather",
        max_tokens=10,
        output_schema=CLOSED,
    )
    judge = TypeAdapter(ResponseCreateParamsStreaming)  # has to live for as long as its lazy parts are read
    # What the vendor's types do not know would be missing.
    assert forced(judge.validate_python(body)) == body


def as_sent(output: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An answer's items as they are to go back: without nulls in what we take apart, and without logprobs."""
    sent = []
    for item in output:
        if item["type"] not in ("message", "reasoning", "function_call"):
            sent.append(item)
            continue
        item = {key: value for key, value in item.items() if value is not None}
        if item["type"] == "message":
            item["content"] = [
                {key: value for key, value in part.items() if key not in ("logprobs",) and value is not None}
                for part in item["content"]
            ]
        sent.append(item)
    return sent


def can_go_back(item: dict[str, Any]) -> bool:
    """Reasoning without an encrypted or open form cannot, and empty words need not."""
    if item["type"] == "reasoning":
        return bool(item.get("encrypted_content") or item.get("content"))
    return item["type"] != "message" or all(part.get("text") for part in item["content"])


def replayed(body: bytes) -> tuple[Completion, list[Any]]:
    decoder = ResponsesCodec().decoder(SETTINGS)
    decoder.receive(body)
    completion = decoder.finish()
    return completion, items(completion.message)


REPLAYED = [
    "text",
    "call",
    "calls_interleaved",
    "call_by_program",
    "server_tools",
    "unknown_items",
    "refusal",
    "citations",
    "message_in_parts",
    "reasoning_summary",
    "reasoning_open",
]


@pytest.mark.parametrize("name", REPLAYED)
def test_the_answer_of_a_fixture_goes_back_item_by_item(name: str) -> None:
    body = body_of(fixtures("openai_responses")[name])
    if body[:1] == b"{":
        output = json.loads(body)["output"]
    else:
        output = json.loads(body.decode().strip().rpartition("data: ")[2])["response"]["output"]
    assert replayed(body)[1] == as_sent(output)


def test_recorded_answers_go_back_item_by_item() -> None:
    compared = 0
    for record in load("openai_responses"):
        body = body_of(record)
        if record["status"] != 200 or not body.startswith(b"{") or "/compact" in record["path"]:
            continue
        output = json.loads(body).get("output")
        if not output or not all(can_go_back(item) for item in output):
            continue
        if any("item_id" in item for item in output):
            continue  # one server writes the event's fields into the item
        sent = replayed(body)[1]
        expected = as_sent(output)
        while expected and expected[-1]["type"] == "reasoning":
            expected.pop()
        for item in expected:
            if (
                item["type"] == "function_call" and item["call_id"] == "call_0"
            ):  # the server counts per answer
                item["call_id"] = sent[expected.index(item)]["call_id"]
                assert item["call_id"].startswith("call_0_")
        assert sent == expected, record["id"]
        compared += 1
    assert compared > 300
