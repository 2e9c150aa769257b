"""Each preset asks its host in that host's way; checked against a loopback server, one provider after another."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from alloy_trio import (
    AuthenticationFailed,
    Completion,
    CompletionRequest,
    ConfigurationError,
    ContextOverflow,
    Message,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    RemoteError,
    ServerTool,
    ToolSpec,
    run,
    tool,
)
from alloy_trio.providers import (
    PROVIDERS,
    XAI,
    Anthropic,
    AzureOpenAI,
    Bedrock,
    DeepSeek,
    Gemini,
    Groq,
    HttpProvider,
    Mistral,
    Ollama,
    OpenAI,
    OpenAICompatible,
    OpenRouter,
    Together,
    provider_from_name,
)
from alloy_trio.providers._vendors import ollama_url
from alloy_trio.testing import Answer, Exchange, open_replay_server
from alloy_trio.wire import DIALECTS, Dialect

KEY = "sk-test-do-not-show-0123456789abcdef"

CHAT = {
    "id": "c",
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}
CONVERSE = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
}
RESPONSES = {
    "id": "r",
    "object": "response",
    "status": "completed",
    "model": "m",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
        }
    ],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}
MESSAGES = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hello"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
GEMINI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
    "modelVersion": "m",
}
OLLAMA = {
    "model": "m",
    "message": {"role": "assistant", "content": "Hello"},
    "done": True,
    "done_reason": "stop",
    "prompt_eval_count": 3,
    "eval_count": 2,
}


@attrs.frozen(kw_only=True)
class Case:
    """A provider and what its host has to see.

    Args:
        base: what follows the host's name in its base_url, as the class has it.
        path: what is asked below.
        fields: of the body; None stands for a field that must not be there.
    """

    make: Any
    name: str
    url: str
    path: str
    header: tuple[str, str]
    variable: str
    answer: dict[str, Any]
    fields: dict[str, Any]
    options: dict[str, Any] = attrs.field(factory=dict)
    env: dict[str, str] = attrs.field(factory=dict)

    @property
    def base(self) -> str:
        return "/" + self.url.split("/", 3)[3] if self.url.count("/") > 2 else ""


BEARER = ("authorization", f"Bearer {KEY}")
CHAT_PATH = "/chat/completions"
TOOLS = [ToolSpec("look", "Look.", {"type": "object", "properties": {}, "additionalProperties": False}, True)]
STRICT = [
    {
        "type": "function",
        "function": {
            "name": "look",
            "description": "Look.",
            "parameters": {"type": "object", "properties": {}, "additionalProperties": False},
            "strict": True,
        },
    }
]
LOOSE = [{"type": "function", "function": {k: v for k, v in STRICT[0]["function"].items() if k != "strict"}}]  # type: ignore[attr-defined]
AZURE = {"AZURE_OPENAI_ENDPOINT": "https://res.openai.azure.com"}

CASES = [
    Case(
        make=Anthropic,
        name="anthropic",
        url="https://api.anthropic.com",
        path="/v1/messages",
        header=("x-api-key", KEY),
        variable="ANTHROPIC_API_KEY",
        answer=MESSAGES,
        fields={"max_tokens": 300, "tool_choice": {"type": "any"}},
    ),
    Case(
        make=OpenAI,
        name="openai",
        url="https://api.openai.com/v1",
        path="/responses",
        header=BEARER,
        variable="OPENAI_API_KEY",
        answer=RESPONSES,
        fields={
            "max_output_tokens": 300,
            "tool_choice": "required",
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "instructions": "Be brief.",
        },
    ),
    Case(
        make=Gemini,
        name="gemini",
        url="https://generativelanguage.googleapis.com",
        path="/v1beta/models/some-model:generateContent",
        header=("x-goog-api-key", KEY),
        variable="GEMINI_API_KEY",
        answer=GEMINI,
        fields={"model": None, "systemInstruction": {"parts": [{"text": "Be brief."}]}},
    ),
    Case(
        make=Bedrock,
        name="bedrock",
        url="https://bedrock-runtime.eu-west-1.amazonaws.com",
        path="/model/some-model/converse",
        header=BEARER,
        variable="AWS_BEARER_TOKEN_BEDROCK",
        answer=CONVERSE,
        fields={"model": None, "inferenceConfig": {"maxTokens": 300}, "system": [{"text": "Be brief."}]},
        env={"AWS_REGION": "eu-west-1"},
    ),
    Case(
        make=XAI,
        name="xai",
        url="https://api.x.ai/v1",
        path="/responses",
        header=BEARER,
        variable="XAI_API_KEY",
        answer=RESPONSES,
        fields={
            "max_output_tokens": 300,
            "store": False,
            "include": ["reasoning.encrypted_content"],
            "instructions": "Be brief.",
            "reasoning": {"effort": "low", "summary": "auto"},
        },
        options={"thinking": "low"},
    ),
    Case(
        make=DeepSeek,
        name="deepseek",
        url="https://api.deepseek.com",
        path=CHAT_PATH,
        header=BEARER,
        variable="DEEPSEEK_API_KEY",
        answer=CHAT,
        fields={
            "max_tokens": 300,
            "max_completion_tokens": None,
            "tools": LOOSE,
            "tool_choice": "required",
            "thinking": {"type": "disabled"},
            "reasoning_effort": None,
        },
        options={"thinking": "none"},
    ),
    Case(
        make=Mistral,
        name="mistral",
        url="https://api.mistral.ai/v1",
        path=CHAT_PATH,
        header=BEARER,
        variable="MISTRAL_API_KEY",
        answer=CHAT,
        fields={"max_tokens": 300, "tools": STRICT, "tool_choice": "any", "reasoning_effort": "high"},
        options={"thinking": "medium"},
    ),
    Case(
        make=Groq,
        name="groq",
        url="https://api.groq.com/openai/v1",
        path=CHAT_PATH,
        header=BEARER,
        variable="GROQ_API_KEY",
        answer=CHAT,
        fields={
            "max_completion_tokens": 300,
            "tools": STRICT,
            "tool_choice": "required",
            "reasoning_effort": "low",
            "reasoning_format": "parsed",
        },
        options={"thinking": "low"},
    ),
    Case(
        make=Together,
        name="together",
        url="https://api.together.ai/v1",
        path=CHAT_PATH,
        header=BEARER,
        variable="TOGETHER_API_KEY",
        answer=CHAT,
        fields={
            "max_tokens": 300,
            "tools": LOOSE,
            "reasoning": {"enabled": False},
            "reasoning_effort": None,
        },
        options={"thinking": "none"},
    ),
    Case(
        make=OpenRouter,
        name="openrouter",
        url="https://openrouter.ai/api/v1",
        path=CHAT_PATH,
        header=BEARER,
        variable="OPENROUTER_API_KEY",
        answer=CHAT,
        fields={"max_tokens": 300, "tools": STRICT, "reasoning": {"max_tokens": 2000}},
        options={"thinking": 2000},
    ),
    Case(
        make=AzureOpenAI,
        name="azure",
        url="https://res.openai.azure.com/openai/v1",
        path=CHAT_PATH,
        header=("api-key", KEY),
        variable="AZURE_OPENAI_API_KEY",
        answer=CHAT,
        fields={"max_completion_tokens": 300, "tools": STRICT, "reasoning_effort": "low"},
        options={"thinking": "low"},
        env=AZURE,
    ),
    Case(
        make=lambda model, **options: AzureOpenAI(model, api="responses", **options),
        name="azure",
        url="https://res.openai.azure.com/openai/v1",
        path="/responses",
        header=("api-key", KEY),
        variable="AZURE_OPENAI_API_KEY",
        answer=RESPONSES,
        fields={"max_output_tokens": 300, "store": False},
        env=AZURE,
    ),
    Case(
        make=Ollama,
        name="ollama",
        url="http://127.0.0.1:11434",
        path="/api/chat",
        header=BEARER,
        variable="OLLAMA_API_KEY",
        answer=OLLAMA,
        fields={"stream": False, "truncate": False, "tools": LOOSE, "think": "low", "tool_choice": None},
        options={"thinking": "low"},
    ),
    Case(
        make=lambda model, **options: OpenAICompatible(
            model, **{"base_url": "http://localhost:8000/v1", **options}
        ),
        name="openai-compatible",
        url="http://localhost:8000/v1",
        path=CHAT_PATH,
        header=BEARER,
        variable="OPENAI_COMPATIBLE_API_KEY",
        answer=CHAT,
        fields={"max_tokens": 300, "tools": LOOSE, "tool_choice": "required"},
    ),
]
IDS = [f"{case.name}{case.path}" for case in CASES]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the machine's reaches a test."""
    for preset in PROVIDERS:
        for variable in preset.env_vars:
            monkeypatch.delenv(variable, raising=False)
    for variable in ("OLLAMA_HOST", "AZURE_OPENAI_ENDPOINT"):
        monkeypatch.delenv(variable, raising=False)


def request_of(case: Case) -> CompletionRequest:
    choice = None if case.name == "ollama" else "required"
    return CompletionRequest(
        (Message.user("hi"),), tools=TOOLS, tool_choice=choice, system="Be brief.", max_tokens=300
    )


async def asked(case: Case, server_url: str, **options: Any) -> Completion:
    """Ask through the preset, with its host's address replaced by the server's and its path kept."""
    provider = case.make("some-model", base_url=server_url + case.base, **{**case.options, **options})
    async with provider:
        completion: Completion = await provider.complete(request_of(case))
    return completion


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_a_preset_knows_its_host(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in case.env.items():
        monkeypatch.setenv(name, value)
    provider = case.make("some-model")
    assert (provider.name, provider.model, provider.base_url) == (case.name, "some-model", case.url)


@pytest.mark.parametrize("case", CASES, ids=IDS)
async def test_a_request_is_what_its_host_wants(case: Case) -> None:
    async with open_replay_server([Exchange(body=json.dumps(case.answer).encode())]) as server:
        completion = await asked(case, server.url, api_key=KEY)
        [request] = server.requests
    assert completion.message.text == "Hello"
    assert completion.usage.input_tokens == 3 and completion.usage.output_tokens == 2
    assert completion.message.origin is not None and completion.message.origin.provider == case.name
    assert request.method == "POST"
    assert request.path == case.base + case.path
    headers = dict(request.headers)
    assert headers["content-type"] == "application/json"
    keys = {"authorization", "x-api-key", "api-key", "x-goog-api-key"} & set(headers)
    assert keys == {case.header[0]}
    sent = request.json
    assert sent.get("model", "some-model") == "some-model"
    for field, value in case.fields.items():
        if value is None:
            assert field not in sent
        else:
            assert sent[field] == value


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_the_key_comes_from_its_variable(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(case.variable, KEY)
    provider = case.make("some-model", base_url=f"https://localhost{case.base}")
    # Asked inside: what the replay server keeps of a request has its keys removed.
    assert provider._all_headers(provider._key())[case.header[0]] == case.header[1]


@pytest.mark.parametrize(
    "case",
    [case for case in CASES if case.name not in ("ollama", "openai-compatible")],
    ids=[i for i in IDS if not i.startswith(("ollama", "openai-c"))],
)
async def test_a_missing_key_is_said_by_the_name_of_its_variable(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in case.env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=case.variable):
        await run("hi", provider=case.make("some-model"))


# --- errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "status", "body", "error"),
    [
        ("openai", 401, {"error": {"message": "no", "code": "invalid_api_key"}}, AuthenticationFailed),
        ("openai", 429, {"error": {"message": "x", "code": "insufficient_quota"}}, QuotaExhausted),
        (
            "xai",
            400,
            {"code": "invalid-argument", "error": "Incorrect API key provided."},
            AuthenticationFailed,
        ),
        (
            "xai",
            400,
            {"error": "This model's maximum prompt length is 131072 but the request contains 537812 tokens."},
            ContextOverflow,
        ),
        ("deepseek", 402, {"error": {"message": "Insufficient Balance"}}, QuotaExhausted),
        ("mistral", 401, {"detail": "Invalid API Key"}, AuthenticationFailed),
        ("mistral", 422, {"object": "error", "message": "bad", "type": "invalid"}, Rejected),
        (
            "groq",
            400,
            {"error": {"message": "Please reduce the length of the messages or completion."}},
            ContextOverflow,
        ),
        ("groq", 404, {"error": {"code": "model_not_found", "message": "no such model"}}, Rejected),
        ("together", 429, {"error": {"message": "slow down", "type": "rate_limit"}}, RateLimited),
        (
            "openrouter",
            402,
            {"error": {"code": 402, "message": "Insufficient credits"}},
            QuotaExhausted,
        ),
        (
            "openrouter",
            200,
            {"error": {"code": 503, "message": "overloaded"}},
            Overloaded,
        ),
        (
            "azure",
            404,
            {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}},
            Rejected,
        ),
        (
            "azure",
            429,
            {"error": {"code": "RateLimitReached", "message": "exceeded rate limit"}},
            RateLimited,
        ),
        (
            "gemini",
            400,
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "message": "API key not valid. Please pass a valid API key.",
                }
            },
            AuthenticationFailed,
        ),
        ("ollama", 404, {"error": "model 'some-model' not found"}, Rejected),
        ("ollama", 503, {"error": "server busy, please try again.  maximum pending requests"}, Overloaded),
    ],
)
async def test_a_host_s_error_has_its_type(
    name: str, status: int, body: dict[str, Any], error: type[RemoteError]
) -> None:
    case = next(case for case in CASES if case.name == name)
    fault = Answer(status, json.dumps(body).encode())
    async with open_replay_server([Exchange(body=b"", fault=fault)]) as server:
        with pytest.raises(error) as caught:
            await asked(case, server.url, api_key=KEY)
    assert type(caught.value) is error
    assert caught.value.provider == name
    assert caught.value.status == (status if status != 200 else 503)
    assert KEY not in str(caught.value)


@tool
async def look(where: str) -> str:
    """Look somewhere."""
    return f"nothing in {where}"


async def test_a_call_that_groq_withheld_is_handed_back_to_the_model() -> None:
    failed = {
        "error": {
            "message": "Failed to call a function. Please adjust your prompt. See 'failed_generation'.",
            "type": "invalid_request_error",
            "code": "tool_use_failed",
            "failed_generation": '{"name": "look", "arguments": {"place": "box"}}',
        }
    }
    exchanges = [
        Exchange(body=json.dumps(failed).encode(), status=400),
        Exchange(body=json.dumps(CHAT).encode()),
    ]
    async with open_replay_server(exchanges) as server:
        provider = Groq("m", base_url=f"{server.url}/openai/v1", api_key=KEY)
        result = await run("hi", provider=provider, tools=[look])
    assert result.status == "completed" and result.text == "Hello"
    [record] = result.tool_calls
    assert (record.name, record.outcome) == ("look", "not_started")
    told = server.requests[1].json["messages"][-1]
    assert told["role"] == "tool" and "where" in told["content"]


async def test_groq_s_refusal_of_words_instead_of_a_call_is_an_error() -> None:
    failed = {
        "error": {
            "message": "Tool choice is required",
            "code": "tool_use_failed",
            "failed_generation": "maybe",
        }
    }
    async with open_replay_server([Exchange(body=json.dumps(failed).encode(), status=400)]) as server:
        with pytest.raises(Rejected):
            await run("hi", provider=Groq("m", base_url=server.url, api_key=KEY), max_retries=0)


@pytest.mark.parametrize("api", ["chat", "responses"])
async def test_a_prompt_that_azure_blocks_is_a_refusal(api: Any) -> None:
    blocked = {
        "error": {
            "message": "The response was filtered",
            "code": "content_filter",
            "status": 400,
            "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
        }
    }
    async with open_replay_server([Exchange(body=json.dumps(blocked).encode(), status=400)]) as server:
        provider = AzureOpenAI("gpt", api=api, base_url=server.url, api_key=KEY)
        async with provider:
            completion = await provider.complete(CompletionRequest((Message.user("hi"),)))
    assert completion.stop_reason == "refusal"
    assert "filtered" in completion.message.text
    assert server.requests[0].path.startswith("/openai/v1/")


async def test_what_openrouter_says_a_call_cost_is_its_cost() -> None:
    answer = CHAT | {"usage": {**CHAT["usage"], "cost": 0.0125}}  # type: ignore[dict-item]
    async with open_replay_server([Exchange(body=json.dumps(answer).encode())]) as server:
        result = await run("hi", provider=OpenRouter("a/b", base_url=server.url, api_key=KEY))
    assert str(result.usage.cost_cents) == "1.2500"


async def test_server_tools_go_where_a_host_has_them() -> None:
    search = CompletionRequest((Message.user("hi"),), server_tools=(ServerTool("web_search"),))
    for make, answer, field, value in (
        (XAI, RESPONSES, "tools", [{"type": "web_search"}]),
        (OpenRouter, CHAT, "plugins", [{"id": "web"}]),
    ):
        async with open_replay_server([Exchange(body=json.dumps(answer).encode())]) as server:
            async with make("m", base_url=server.url, api_key=KEY) as provider:  # type: ignore[operator]
                await provider.complete(search)
        assert server.requests[0].json[field] == value


# --- addresses and credentials ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("localhost", "http://localhost:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("http://box", "http://box"),
        ("https://ollama.com/", "https://ollama.com"),
        ("https://proxy.example/ollama/", "https://proxy.example/ollama"),
        (' "box:1" ', "http://box:1"),
    ],
)
def test_an_ollama_host_may_be_short(host: str, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ollama_url(host) == url
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert Ollama("m").base_url == url
    assert Ollama("m", base_url="http://other:1").base_url == "http://other:1"


async def test_the_key_of_ollama_com_is_not_sent_in_the_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", KEY)
    async with open_replay_server([Exchange(body=json.dumps(OLLAMA).encode())]) as server:
        await run("hi", provider=Ollama("m", base_url=server.url))
    assert "authorization" not in dict(server.requests[0].headers)


async def test_an_ollama_that_cuts_the_input_is_noticed() -> None:
    cut = OLLAMA | {"prompt_eval_count": 2050}
    async with open_replay_server([Exchange(body=json.dumps(cut).encode())]) as server:
        with pytest.raises(ContextOverflow):
            await run("word " * 9_000, provider=Ollama("m", base_url=server.url), max_retries=0)
    assert server.requests[0].json["options"]["num_ctx"] == 32_768
    with pytest.raises(ContextOverflow):
        await run("word " * 9_000, provider=Ollama("m", max_num_ctx=8_192), max_retries=0)


async def test_a_token_in_the_headers_takes_the_key_s_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for Entra ID at Azure: both at once are refused."""
    monkeypatch.setenv("AZURE_OPENAI_API_KEY", KEY)
    async with open_replay_server([Exchange(body=json.dumps(CHAT).encode())]) as server:
        provider = AzureOpenAI("m", base_url=server.url, headers={"Authorization": "Bearer entra"})
        await run("hi", provider=provider)
    headers = dict(server.requests[0].headers)
    assert "api-key" not in headers and "authorization" in headers


def test_azure_needs_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="AZURE_OPENAI_ENDPOINT"):
        AzureOpenAI("m")
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://res.services.ai.azure.com/")
    assert AzureOpenAI("m").base_url == "https://res.services.ai.azure.com/openai/v1"
    proxied = AzureOpenAI("m", base_url="https://proxy.example/azure/v1")
    assert proxied.base_url == "https://proxy.example/azure/v1"
    with pytest.raises(ConfigurationError, match="responses"):
        AzureOpenAI("m", api="assistants")  # type: ignore[arg-type]


# --- dialects and the table -------------------------------------------------------------------------------


async def test_a_compatible_host_may_have_the_ways_of_another() -> None:
    for dialect in ("mistral", Dialect(max_tokens_field="max_tokens", required_word="any")):
        async with open_replay_server([Exchange(body=json.dumps(CHAT).encode())]) as server:
            provider = OpenAICompatible("m", base_url=server.url, dialect=dialect, chat_path="/ask")
            async with provider:
                await provider.complete(request_of(CASES[-1]))
        assert server.requests[0].path == "/ask"
        assert server.requests[0].json["tool_choice"] == "any"
    with pytest.raises(ConfigurationError, match="mistral"):
        OpenAICompatible("m", base_url="http://localhost:1", dialect="mistrall")


def test_each_dialect_is_its_own() -> None:
    assert len(set(DIALECTS.values())) == len(DIALECTS)
    for case in CASES:
        if case.path == CHAT_PATH and case.name != "openai-compatible":
            assert case.name in DIALECTS


def test_the_table_and_the_classes_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", "https://res.openai.azure.com")
    names = [name for preset in PROVIDERS for name in (preset.name, *preset.aliases)]
    assert len(set(names)) == len(names)
    assert names[-1] == "demo"
    for preset in PROVIDERS:
        options = {"base_url": "http://localhost:1/v1"} if preset.name == "openai-compatible" else {}
        for name in (preset.name, *preset.aliases):
            provider = provider_from_name(name, "some-model", **options)
            assert type(provider) is preset.factory
            assert provider.name == preset.name
            if isinstance(provider, HttpProvider) and not preset.local:
                assert provider._host.env_vars == preset.env_vars
        case = next((case for case in CASES if case.name == preset.name), None)
        assert (preset.env_var is None) if case is None else (preset.env_var == case.variable)
        if preset.example_model and case is not None:
            assert provider_from_name(preset.name).model == preset.example_model


def test_gemini_s_key_may_have_google_s_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_API_KEY", KEY)
    assert Gemini("m")._key() == KEY
    monkeypatch.setenv("GEMINI_API_KEY", "the-first-counts")
    assert Gemini("m")._key() == "the-first-counts"


def test_a_model_with_slashes_stays_whole() -> None:
    provider = provider_from_name("openrouter/anthropic/claude-sonnet-4.6")
    assert isinstance(provider, OpenRouter) and provider.model == "anthropic/claude-sonnet-4.6"
