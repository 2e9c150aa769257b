"""What is sent to Ollama, and how large a context is asked for."""

from __future__ import annotations

import base64
import itertools
import json
import random
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.values import (
    Audio,
    CompletionRequest,
    ConfigurationError,
    ContextOverflow,
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
from alloy_trio.wire import _ollama
from alloy_trio.wire._codec import WireSettings
from alloy_trio.wire._ollama import OllamaCodec, OllamaRequest
from alloy_trio.wire._ollama_window import (
    ANSWER_TOKENS,
    IMAGE_TOKENS,
    MAX_NUM_CTX,
    STEP,
    TEMPLATE_TOKENS,
    measure,
)

SETTINGS = WireSettings(provider="ollama", model="qwen3")
OWN = SETTINGS.origin
PNG = b"\x89PNG fake"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
TOOL = ToolSpec("weather", "The weather.", SCHEMA)


def encode(
    *messages: Message, settings: WireSettings = SETTINGS, stream: bool = True, **options: Any
) -> OllamaRequest:
    return OllamaCodec().encode(CompletionRequest(messages, **options), settings, stream=stream)


def body(*messages: Message, **options: Any) -> dict[str, Any]:
    decoded = json.loads(encode(*messages, **options).body)
    assert isinstance(decoded, dict)
    return decoded


def sent(*messages: Message, **options: Any) -> list[dict[str, Any]]:
    rendered = body(*messages, **options)["messages"]
    assert isinstance(rendered, list)
    return rendered


def changed(**changes: Any) -> WireSettings:
    return WireSettings(**{"provider": "ollama", "model": "qwen3", **changes})


# --- the body ---------------------------------------------------------------------------------------------


def test_a_request_says_all_that_the_server_would_guess() -> None:
    request = encode(Message.user("hi"), system="Be brief.")
    assert request.path == "/api/chat"
    assert json.loads(request.body) == {
        "model": "qwen3",
        "stream": True,
        "truncate": False,
        "shift": False,
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}],
        "options": {"num_ctx": STEP, "num_predict": request.window.num_predict},
    }
    assert body(Message.user("hi"), stream=False)["stream"] is False


def test_a_conversation_with_tools() -> None:
    rendered = sent(
        Message.user([Text("Look at"), Text("this."), Image("image/png", PNG)]),
        Message(
            "assistant",
            [
                Thinking("Two calls."),
                Text("I look."),
                ToolUse("c1", "weather", {"a": 1}),
                ToolUse("c2", "now", {}),
            ],
            OWN,
        ),
        Message.user(
            [
                ToolResult("c1", "fine"),
                ToolResult("c2", [Text("see"), Image("image/png", PNG)], is_error=True),
                Text("Go on."),
            ]
        ),
    )
    picture = base64.b64encode(PNG).decode()
    assert rendered == [
        {"role": "user", "content": "Look at\n\nthis.", "images": [picture]},
        {
            "role": "assistant",
            "content": "I look.",
            "thinking": "Two calls.",
            "tool_calls": [
                {"id": "c1", "function": {"name": "weather", "arguments": {"a": 1}}},
                {"id": "c2", "function": {"name": "now", "arguments": {}}},
            ],
        },
        {"role": "tool", "content": "fine", "tool_name": "weather", "tool_call_id": "c1"},
        {
            "role": "tool",
            "content": "Error: see",
            "tool_name": "now",
            "tool_call_id": "c2",
            "images": [picture],
        },
        {"role": "user", "content": "Go on."},
    ]


def test_what_another_vendor_made_goes_as_far_as_it_can_be_read() -> None:
    other = Message(
        "assistant",
        [
            Thinking("secret", "signature"),
            Opaque("openai", {"type": "x"}),
            ServerToolUse("s", "web_search", {}),
            ServerToolResult("s", []),
            Image("image/png", PNG),
            Text("said"),
            ToolUse("c", "f", {}, '{"broken'),
        ],
        Origin("openai", "gpt-5.4"),
    )
    assert sent(Message.user("hi"), other, Message.user([ToolResult("c", "no")]))[1:] == [
        {
            "role": "assistant",
            "content": "[image/png that cannot be shown here]said",
            "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"invalid_json": '{"broken'}}}],
        },
        {"role": "tool", "content": "no", "tool_name": "f", "tool_call_id": "c"},
    ]
    only_thoughts = Message("assistant", [Thinking("secret")], Origin("openai", "gpt-5.4"))
    assert sent(Message.user("hi"), only_thoughts) == [{"role": "user", "content": "hi"}]


def test_a_number_without_json_form_does_not_break_the_conversation() -> None:
    use = Message("assistant", [ToolUse("c", "f", {"n": float("inf")})], OWN)
    call = sent(Message.user("hi"), use)[1]["tool_calls"][0]
    assert call["function"]["arguments"] == {"invalid_json": '{"n": Infinity}'}


def test_a_text_document_is_text_and_an_empty_message_is_still_one() -> None:
    document = Document("text/plain", "Grüße".encode(), title="a.txt")
    assert sent(Message.user([document])) == [{"role": "user", "content": "a.txt:\n\nGrüße"}]
    assert sent(Message.user("")) == [{"role": "user", "content": ""}]


@pytest.mark.parametrize(
    "message",
    [
        Message.user([Image("image/png", url="https://example.com/a.png")]),
        Message.user([Document("application/pdf", b"%PDF")]),
        Message.user([Audio("audio/wav", b"RIFF")]),
        Message.user([Video("video/mp4", b"mp4")]),
        Message.user([ToolUse("c", "f", {})]),
        Message("assistant", [ToolResult("c", "x")]),
    ],
)
def test_what_the_wire_cannot_carry_is_said_before_anything_is_sent(message: Message) -> None:
    with pytest.raises(ConfigurationError):
        encode(Message.user("hi"), message)


def test_tools_are_functions() -> None:
    function = {"name": "weather", "description": "The weather.", "parameters": SCHEMA}
    assert body(Message.user("hi"), tools=[TOOL])["tools"] == [{"type": "function", "function": function}]
    assert "tools" not in body(Message.user("hi"), tools=[TOOL], tool_choice="none")
    assert "tools" in body(Message.user("hi"), tools=[TOOL], tool_choice="auto")


@pytest.mark.parametrize(
    "options",
    [
        {"tools": [TOOL], "tool_choice": "required"},
        {"tools": [TOOL], "tool_choice": "weather"},
        {"server_tools": (ServerTool("web_search"),)},
        {"tools": [ToolSpec("t", "", SCHEMA, allowed_callers=("code_execution_20260120",))]},
    ],
)
def test_what_ollama_cannot_do_is_not_left_out_silently(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match="Ollama"):
        encode(Message.user("hi"), **options)


def test_a_schema_holds_the_model_and_is_told_to_it() -> None:
    made = body(Message.user("hi"), output_schema=SCHEMA, system="Be brief.")
    assert made["format"] == SCHEMA
    assert made["messages"][0]["content"].startswith("Be brief.\n\nAnswer with nothing but JSON")
    assert '"required":["a"]' in made["messages"][0]["content"]


def test_beside_tools_a_schema_is_only_told_because_it_would_forbid_every_call() -> None:
    made = body(Message.user("hi"), output_schema=SCHEMA, tools=[TOOL])
    assert "format" not in made
    assert '"required":["a"]' in made["messages"][0]["content"]


@pytest.mark.parametrize(
    ("thinking", "think"),
    [
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("max", "high"),
        ("xhigh", "high"),
        ("minimal", "low"),
        ("none", False),
        (True, True),
        (False, False),
        ({"think": "high"}, "high"),
    ],
)
def test_efforts_become_what_the_wire_has_words_for(thinking: Any, think: Any) -> None:
    made = body(Message.user("hi"), settings=changed(thinking=thinking))["think"]
    assert made == think and type(made) is type(think)
    assert "think" not in body(Message.user("hi"))


def test_a_budget_in_tokens_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="budget"):
        encode(Message.user("hi"), settings=changed(thinking=2000))


def test_options_and_other_fields_of_the_user_s_are_merged() -> None:
    settings = changed(
        temperature=0.5, max_tokens=500, extra_body={"keep_alive": "1h", "options": {"seed": 7, "top_k": 3}}
    )
    made = body(Message.user("hi"), settings=settings, max_tokens=300)
    assert made["keep_alive"] == "1h"
    assert made["options"] == {
        "num_ctx": STEP,
        "num_predict": 300,
        "temperature": 0.5,
        "seed": 7,
        "top_k": 3,
    }
    theirs = [{"role": "user", "content": "other"}]
    made = body(Message.user("hi"), settings=changed(extra_body={"messages": theirs}))
    assert made["messages"] == theirs
    assert made["options"]["num_ctx"] == STEP
    with pytest.raises(ConfigurationError, match="options"):
        encode(Message.user("hi"), settings=changed(extra_body={"options": 7}))


# --- one encoding a message -------------------------------------------------------------------------------


def turns() -> list[Message]:
    call = Message("assistant", [Text("ok"), ToolUse("c1", "weather", {"a": 1})], OWN)
    return [
        Message.user([Text("see"), Image("image/png", PNG)]),
        call,
        Message.user([ToolResult("c1", "ü" * 50)]),
        Message("assistant", "done", OWN),
        Message.user("more"),
    ]


def test_a_message_is_encoded_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[Message] = []
    real = _ollama.render_message

    def counting(message: Message, *rest: Any) -> list[dict[str, Any]]:
        rendered.append(message)
        return real(message, *rest)

    monkeypatch.setattr(_ollama, "render_message", counting)
    messages = turns()
    encode(*messages[:3])
    before = len(rendered)
    encode(*messages)
    assert {id(message) for message in rendered[before:]} == {id(message) for message in messages[3:]}


def test_the_body_is_what_a_plain_rendering_would_be_and_grows_at_its_end() -> None:
    messages = turns()
    bodies = [encode(*messages[:count], tools=[TOOL], system="s").body for count in (1, 3, 5)]
    for made in bodies:
        plain = json.dumps(json.loads(made), ensure_ascii=False, separators=(",", ":")).encode()
        assert made == plain
    for shorter, longer in itertools.pairwise(bodies):
        assert longer.startswith(shorter[: shorter.rindex(b'],"options"')])


def test_the_name_of_a_result_is_that_of_the_call_before_it() -> None:
    answer = Message.user([ToolResult("c", "x")])
    for name in ("first", "second"):
        call = Message("assistant", [ToolUse("c", name, {})], OWN)
        assert sent(Message.user("hi"), call, answer)[2]["tool_name"] == name


# --- the window -------------------------------------------------------------------------------------------


def window_for(text: str, **options: Any) -> OllamaRequest:
    return encode(Message.user(text), **options)


def test_the_window_holds_the_request_and_an_answer() -> None:
    for size in (0, 1_000, 20_000, 60_000, 100_000):
        request = window_for("word " * (size // 5))
        # A byte of lower-case text is half a token, counted from above.
        assert request.window.num_ctx >= size // 2 + TEMPLATE_TOKENS + min(
            ANSWER_TOKENS, MAX_NUM_CTX - size // 2
        )
        assert request.window.num_predict <= request.window.num_ctx - size // 2
        assert request.window.num_ctx % STEP == 0
        assert (request.window.num_ctx // STEP).bit_count() == 1


def test_windows_are_few_because_each_makes_the_server_load_the_model_again() -> None:
    seen = {window_for("x" * size).window.num_ctx for size in range(0, 200_000, 1_000)}
    assert seen == {8_192, 16_384, 32_768, 65_536, 131_072}


def test_an_answer_s_cap_widens_the_window() -> None:
    assert window_for("hi", max_tokens=20_000).window.num_ctx == 32_768
    assert window_for("hi", max_tokens=100).window.num_predict == 100


def test_what_may_not_fit_is_not_sent() -> None:
    with pytest.raises(ContextOverflow, match="max_num_ctx") as caught:
        window_for("7" * MAX_NUM_CTX)
    assert not caught.value.transient
    assert caught.value.provider == "ollama"
    wide = OllamaCodec(4 * MAX_NUM_CTX)
    request = wide.encode(CompletionRequest((Message.user("7" * MAX_NUM_CTX),)), SETTINGS, stream=True)
    assert request.window.num_ctx == 2 * MAX_NUM_CTX
    narrow = OllamaCodec(STEP)
    with pytest.raises(ContextOverflow):
        narrow.encode(CompletionRequest((Message.user("7" * STEP),)), SETTINGS, stream=True)


def test_tools_schemas_and_the_system_prompt_are_input_too() -> None:
    plain = window_for("hi").window.num_predict
    big = ToolSpec("t", "7" * 2_000, SCHEMA)
    assert plain - window_for("hi", tools=[big]).window.num_predict > 2_000
    assert plain - window_for("hi", system="7" * 2_000).window.num_predict > 2_000
    assert plain - window_for("hi", output_schema={"title": "7" * 2_000}).window.num_predict > 2_000


def test_a_picture_counts_as_one_however_many_bytes_it_has() -> None:
    picture = Message.user([Image("image/png", b"x" * 300_000)])
    assert encode(picture).window.num_ctx == 16_384
    assert measure(b"", 2).most == 2 * IMAGE_TOKENS


def test_a_window_of_the_user_s_is_used_and_judged_by() -> None:
    settings = changed(extra_body={"options": {"num_ctx": 2_048}})
    request = window_for("hi", settings=settings)
    assert json.loads(request.body)["options"]["num_ctx"] == request.window.num_ctx == 2_048
    assert request.window.num_predict < 2_048
    with pytest.raises(ContextOverflow):
        window_for("7" * 2_048, settings=settings)
    for wrong in (0, "8k", True):
        with pytest.raises(ConfigurationError, match="num_ctx"):
            window_for("hi", settings=changed(extra_body={"options": {"num_ctx": wrong}}))
    with pytest.raises(ConfigurationError, match="max_num_ctx"):
        OllamaCodec(100)


@given(parts=st.lists(st.text(max_size=30), max_size=5))
def test_more_text_never_counts_less(parts: list[str]) -> None:
    encoded = ["".join(parts[:count]).encode() for count in range(len(parts) + 1)]
    counts = [measure(text).most for text in encoded]
    assert counts == sorted(counts)
    assert all(measure(text).least <= count for text, count in zip(encoded, counts, strict=True))


def test_the_count_is_from_above_for_what_tokenizers_are_worst_at() -> None:
    """Tokens per byte at worst, by kind of text: one a digit and a byte beyond ASCII, two bytes to one else."""
    rng = random.Random(0)
    digits = "".join(rng.choices(string.digits, k=1000)).encode()
    assert measure(digits).most == 1000
    assert measure("漢字".encode() * 100).most == 600
    assert measure(b"a b c d " * 100).most == 400
    encoded = base64.b64encode(rng.randbytes(750))
    # Byte-level tokenizers take about 1.5 bytes of such data for a token.
    assert measure(encoded).most >= len(encoded) / 1.5
