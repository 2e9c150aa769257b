"""An error of a vendor's becomes the right one of ours, with its hints and without its secrets."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.values import (
    AuthenticationFailed,
    ContextOverflow,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    RemoteError,
    ServerFault,
)
from alloy_trio.wire._fault_table import CODES, PRIORITY, TEXTS
from alloy_trio.wire._faults import error_codes, fault_from_error, fault_from_response, parse_error, scrub

from .recordings import body_of, load, load_errors

NOW = 1_760_000_000.0  # 2025-10-09

EXPECTED: dict[str, type[RemoteError]] = {
    "rate_limit": RateLimited,
    "overloaded": Overloaded,
    "server": ServerFault,
    "billing": QuotaExhausted,
    "auth": AuthenticationFailed,
    "context_overflow": ContextOverflow,
    "invalid_request": Rejected,
    "not_found": Rejected,
    "content_filter": Rejected,
}

KINDS = {
    "billing": QuotaExhausted,
    "overflow": ContextOverflow,
    "auth": AuthenticationFailed,
    "overloaded": Overloaded,
    "rate_limit": RateLimited,
    "server": ServerFault,
    "rejected": Rejected,
}


def respond(
    status: int, body: Any = b"", headers: dict[str, str] | None = None, provider: str = "openai"
) -> RemoteError:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return fault_from_response(status, headers or {}, raw, provider=provider, now=NOW)


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


# ---- recorded and documented errors


def test_every_documented_error_body_becomes_its_type() -> None:
    checked = 0
    for record in load_errors():
        expect = record["expect"]
        if record["status"] < 400:
            continue
        fault = fault_from_response(
            record["status"],
            lower(record["response_headers"]),
            body_of(record),
            provider=record["family"],
            now=NOW,
        )
        assert type(fault) is EXPECTED[expect["error"]], (record["id"], fault)
        assert fault.transient is expect["retryable"], record["id"]
        if expect["retry_after_s"] is None:
            assert fault.retry_after is None, record["id"]
        else:
            # retry-after-ms is finer than the whole seconds that the case asks for
            assert fault.retry_after == pytest.approx(expect["retry_after_s"], abs=0.02), record["id"]
        assert fault.status == record["status"]
        checked += 1
    assert checked > 35


# What a body says, by the vendor's own code or words, goes before the plain reading of its status.
SAID: dict[str, type[RemoteError]] = {
    "API_KEY_INVALID": AuthenticationFailed,  # Gemini, as a 400
    "Incorrect API key provided": AuthenticationFailed,  # xAI, as a 400
    "maximum context length": ContextOverflow,  # DeepSeek
    "TOO_MANY_TOKENS": ContextOverflow,  # Cohere
    "too_many_prompt_tokens": ContextOverflow,  # Perplexity
    "context_length_exceeded": ContextOverflow,  # OpenAI
    "prompt is too long": ContextOverflow,  # Anthropic
    "Input Tokens Exceeded": ContextOverflow,  # Bedrock
}


@pytest.mark.parametrize(
    "family", ["anthropic", "openai_chat", "openai_responses", "gemini", "bedrock", "cohere", "ollama_native"]
)
def test_every_recorded_error_status_becomes_its_type(family: str) -> None:
    plain = {
        400: Rejected,
        401: AuthenticationFailed,
        403: AuthenticationFailed,
        404: Rejected,
        429: RateLimited,
    }
    checked = 0
    for record in load(family):
        if record["status"] < 400:
            continue
        fault = fault_from_response(
            record["status"], lower(record["response_headers"]), body_of(record), provider=family, now=NOW
        )
        said = [kind for words, kind in SAID.items() if words in record["body"]]
        assert type(fault) is (said[0] if said else plain[record["status"]]), (record["id"], fault)
        assert fault.transient is (record["status"] == 429), record["id"]
        assert "None" not in str(fault), record["id"]
        checked += 1
    assert checked > 0


# ---- classification


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.message[:40])
def test_each_text_pattern_reads_its_own_message(text: Any) -> None:
    assert text.pattern.search(text.message)
    status = 503 if text.kind == "overloaded" else 400
    assert type(respond(status, {"error": {"message": text.message}})) is KINDS[text.kind]


def test_each_text_pattern_is_needed_by_a_message_that_no_other_pattern_reads_as_another_kind() -> None:
    for text in TEXTS:
        kinds = {other.kind for other in TEXTS if other.pattern.search(text.message)}
        assert kinds == {text.kind}, text.message


def test_the_priority_names_every_kind_once() -> None:
    assert sorted(PRIORITY) == sorted(KINDS)
    assert set(CODES.values()) <= set(PRIORITY)


@pytest.mark.parametrize(
    ("status", "expected", "transient"),
    [
        (400, Rejected, False),
        (401, AuthenticationFailed, False),
        (402, QuotaExhausted, False),
        (403, AuthenticationFailed, False),
        (404, Rejected, False),
        (405, Rejected, False),
        (408, ServerFault, True),
        (409, ServerFault, True),
        (422, Rejected, False),
        (425, ServerFault, True),
        (429, RateLimited, True),
        (498, Overloaded, True),
        (500, ServerFault, True),
        (502, ServerFault, True),
        (503, ServerFault, True),
        (504, ServerFault, True),
        (524, ServerFault, True),
        (529, Overloaded, True),
        (599, ServerFault, True),
    ],
)
def test_a_status_alone_decides_when_the_body_is_empty(
    status: int, expected: type[RemoteError], transient: bool
) -> None:
    fault = respond(status)
    assert type(fault) is expected
    assert fault.transient is transient
    assert str(status) in str(fault)
    assert "it gave no reason" in str(fault)


def test_an_empty_413_is_an_overflow_and_one_with_words_is_a_rejection() -> None:
    assert type(respond(413)) is ContextOverflow
    assert type(respond(413, {"error": {"type": "request_too_large", "message": "too big"}})) is Rejected


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        # a quota is not a rate, whatever the status
        (429, {"error": {"type": "insufficient_quota", "message": "x"}}, QuotaExhausted),
        (429, {"error": {"code": "billing_hard_limit_reached", "message": "x"}}, QuotaExhausted),
        (429, {"error": {"code": "organization_spend_limit_exceeded", "message": "x"}}, QuotaExhausted),
        (
            429,
            {
                "type": "error",
                "error": {
                    "type": "rate_limit_error",
                    "message": "x",
                    "details": {"error_code": "workspace_spend_limit_exceeded"},
                },
            },
            QuotaExhausted,
        ),
        # Gemini's day quota against its minute quota
        (
            429,
            {
                "error": {
                    "code": 429,
                    "status": "RESOURCE_EXHAUSTED",
                    "message": "You exceeded your current quota",
                    "details": [
                        {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}
                    ],
                }
            },
            QuotaExhausted,
        ),
        (429, {"error": {"status": "RESOURCE_EXHAUSTED", "message": "You exceeded your quota"}}, RateLimited),
        # one request above the limit per minute fits at no time
        (
            429,
            {
                "error": {
                    "message": "Request too large for gpt-4.1 in organization o on tokens per min",
                    "code": "rate_limit_exceeded",
                }
            },
            ContextOverflow,
        ),
        # a rate limit that speaks of tokens is not an overflow
        (429, {"message": "Too many tokens, please wait before trying again."}, RateLimited),
        (400, {"__type": "ThrottlingException", "message": "Rate exceeded"}, RateLimited),
        (403, {"error": {"code": 403, "status": "PERMISSION_DENIED", "message": "x"}}, AuthenticationFailed),
        (401, {"error": {"type": "invalid_request_error", "message": "x"}}, AuthenticationFailed),
        (503, {"error": {"code": "server_is_overloaded", "message": "x"}}, Overloaded),
        (503, {"error": {"code": "slow_down", "message": "x"}}, Overloaded),
        (400, {"code": "invalid-argument", "error": "Incorrect API key provided."}, AuthenticationFailed),
        (401, {"detail": "Invalid API Key"}, AuthenticationFailed),
        (422, {"detail": [{"loc": ["body"], "msg": "Field required", "type": "missing"}]}, Rejected),
        (404, {"error": "model 'x' not found"}, Rejected),
        (
            400,
            [{"error": {"code": 400, "message": "Invalid JSON payload", "status": "INVALID_ARGUMENT"}}],
            Rejected,
        ),
        # the server's own trouble with a key of its own is not ours
        (500, {"error": {"message": "upstream: Incorrect API key provided"}}, ServerFault),
        (500, {"error": {"message": "the request exceeds the available context size"}}, ContextOverflow),
        (
            403,
            {"error": "Your team has either used all available credits or reached a limit"},
            QuotaExhausted,
        ),
    ],
)
def test_codes_and_words_decide_before_the_status(
    status: int, body: Any, expected: type[RemoteError]
) -> None:
    assert type(respond(status, body)) is expected


def test_amazon_says_the_type_in_a_header() -> None:
    header = {"x-amzn-errortype": "ThrottlingException:http://internal.amazon.com/coral/x/"}
    assert type(respond(400, {"message": "Rate exceeded"}, header)) is RateLimited


@pytest.mark.parametrize(
    ("error", "expected", "status"),
    [
        ({"type": "overloaded_error", "message": "Overloaded"}, Overloaded, None),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, Overloaded, None),
        ({"type": "invalid_request_error", "message": "bad"}, Rejected, None),
        ({"code": 429, "message": "Rate limit exceeded"}, RateLimited, 429),
        ({"code": "502", "message": "Provider returned error"}, ServerFault, 502),
        ({"code": "context_length_exceeded", "type": "invalid_request_error"}, ContextOverflow, None),
        ({"code": 401, "message": "no"}, AuthenticationFailed, 401),
        ("something broke", ServerFault, None),
        ("prompt is too long: 5 tokens > 4 maximum", ContextOverflow, None),
        (None, ServerFault, None),
        ({}, ServerFault, None),
        ([], ServerFault, None),
        ([{"error": {"code": 503, "status": "UNAVAILABLE", "message": "busy"}}], Overloaded, 503),
        (7, ServerFault, None),
    ],
)
def test_an_error_inside_an_answer_is_read_like_a_body(
    error: Any, expected: type[RemoteError], status: int | None
) -> None:
    fault = fault_from_error(error, provider="x", request_id="req_9")
    assert type(fault) is expected
    assert fault.status == status
    assert fault.request_id == "req_9"
    assert fault.provider == "x"


def test_a_given_error_status_goes_before_a_number_in_the_object() -> None:
    assert type(fault_from_error({"code": 500}, provider="x", status=429)) is RateLimited
    assert type(fault_from_error({"code": 429}, provider="x", status=200)) is RateLimited


def test_codes_are_found_at_every_depth() -> None:
    error = parse_error(
        b'{"error":{"code":"content_filter","innererror":{"code":"ResponsibleAIPolicyViolation"},'
        b'"details":[{"reason":"API_KEY_INVALID"}]}}'
    )
    assert error_codes(error) == {"contentfilter", "responsibleaipolicyviolation", "apikeyinvalid"}
    assert parse_error(b"<html>") is None


# ---- hints


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "17"}, 17.0),
        ({"retry-after": "0.25"}, 0.25),
        ({"retry-after": " 3 "}, 3.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "86400"}, 86400.0),
        ({"retry-after": "86401"}, None),
        ({"retry-after": "Thu, 09 Oct 2025 08:53:50 GMT"}, 30.0),
        ({"retry-after": "Thu, 09 Oct 2025 08:53:50 +0000"}, 30.0),
        ({"retry-after": "Thu, 09 Oct 2025 08:50:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2099 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 99 Xyz 2099 07:28:00 GMT"}, None),
        ({"retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "1987", "retry-after": "2"}, 1.987),
        ({"retry-after-ms": "0", "retry-after": "1"}, 1.0),
        ({"retry-after-ms": "later", "retry-after": "4"}, 4.0),
        ({"retry-after-ms": "-1"}, None),
    ],
)
def test_the_wait_that_a_vendor_asks_for(headers: dict[str, str], expected: float | None) -> None:
    assert respond(429, b"", headers).retry_after == expected


def test_google_says_the_wait_in_the_body() -> None:
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}]
    assert respond(429, {"error": {"code": 429, "details": details}}).retry_after == 34.5
    assert fault_from_error({"code": 429, "details": details}, provider="x").retry_after == 34.5
    assert respond(429, {"error": {"details": [{"retryDelay": None}, {"retryDelay": 7}]}}).retry_after == 7.0


@given(value=st.text(), milliseconds=st.text())
def test_no_header_makes_a_wait_that_is_not_a_sensible_number(value: str, milliseconds: str) -> None:
    wait = respond(429, b"", {"retry-after": value, "retry-after-ms": milliseconds}).retry_after
    assert wait is None or (math.isfinite(wait) and 0 <= wait <= 86_400)


@pytest.mark.parametrize("status", [400, 401, 429, 500, 529])
@pytest.mark.parametrize(("value", "transient"), [("true", True), ("false", False), ("TRUE", True)])
def test_the_vendor_decides_whether_to_try_again_where_it_says_so(
    status: int, value: str, transient: bool
) -> None:
    assert respond(status, b"", {"x-should-retry": value}).transient is transient


def test_a_senseless_should_retry_is_ignored() -> None:
    assert respond(429, b"", {"x-should-retry": "maybe"}).transient is True
    assert respond(400, b"", {"x-should-retry": ""}).transient is False


@pytest.mark.parametrize(
    "header", ["request-id", "x-request-id", "x-amzn-requestid", "apim-request-id", "x-generation-id"]
)
def test_the_request_id_comes_from_the_headers(header: str) -> None:
    fault = respond(500, {"request_id": "req_body"}, {header: "req_1"})
    assert fault.request_id == "req_1"


def test_the_request_id_comes_from_the_body_where_no_header_has_it() -> None:
    assert respond(500, {"type": "error", "error": {}, "request_id": "req_2"}).request_id == "req_2"
    assert respond(500, {"error": {"request_id": "req_3"}}).request_id == "req_3"
    assert respond(500, {"request_id": 7}).request_id is None


# ---- messages


def test_a_web_page_is_quoted_by_its_title() -> None:
    page = b"<!DOCTYPE html><html><head><title>502 Bad\nGateway</title></head><body>" + b"x" * 5000
    text = str(respond(502, page))
    assert "a web page instead of JSON, '502 Bad Gateway'" in text
    assert len(text) < 200


def test_a_web_page_without_a_title_is_quoted_by_its_words() -> None:
    assert "'Access denied'" in str(respond(403, b"<p>Access <b>denied</b></p>"))


def test_plain_text_is_quoted() -> None:
    assert "upstream request timeout" in str(respond(504, b"upstream request timeout"))
    assert "\ufffd" in str(respond(500, b"\xff\xfe bad bytes"))


def test_a_long_text_is_shortened() -> None:
    assert len(str(respond(400, {"error": {"message": "word " * 10_000}}))) < 700


def test_a_message_says_who_what_why_and_what_to_do() -> None:
    fault = respond(
        401, {"error": {"message": "invalid x-api-key", "type": "authentication_error"}}, provider="anthropic"
    )
    assert str(fault) == (
        "anthropic does not accept the credentials (HTTP 401): invalid x-api-key; check api_key, or "
        "the environment variable that it comes from, and what the key may be used for"
    )
    assert fault.provider == "anthropic"


SECRETS = [
    "sk-abc123def456ghi789",
    "sk-ant-api03-AAAA-bbbb_cccc1234",
    "sk-proj-Zm9vYmFyMTIzNDU2",
    "xai-0123456789abcdefXYZ",
    "AIzaSyA1234567890abcdefghijklmnop",
    "gsk_abcdefghijklmnop1234",
    "hf_abcdefghijklmnop",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
    "ya29.a0AfH6SMBx-secret",
    "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MEFCQ0RFRkdISUpLTE1OT1A",
]


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize(
    "text", ["Incorrect API key provided: {}. See https://x.example", "token {} is bad", "'{}'"]
)
def test_nothing_that_looks_like_a_key_reaches_a_message(text: str, secret: str) -> None:
    words = text.format(secret)
    for fault in (
        respond(401, {"error": {"message": words}}),
        respond(401, words.encode()),
        respond(401, f"<title>{words}</title>".encode()),
        fault_from_error(words, provider="x"),
        fault_from_error({"unknown": [words]}, provider="x"),
    ):
        assert secret not in str(fault)
        assert secret not in repr(fault)
        assert "[removed]" in str(fault)


def test_a_key_of_any_shape_is_removed_where_a_key_is_named() -> None:
    assert scrub("API key provided: bad-key-****test. You can") == "API key provided: [removed] You can"
    assert scrub("api_key=hunter2, retry") == "api_key=[removed], retry"
    assert scrub("Authorization: Bearer abcdefgh") == "Authorization: Bearer [removed]"
    assert (
        scrub("GET https://x.example/v1?key=abc&alt=sse") == "GET https://x.example/v1?key=[removed]&alt=sse"
    )


def test_a_known_secret_is_removed_wherever_it_stands() -> None:
    assert scrub("it was hunter2!", ["hunter2", ""]) == "it was [removed]!"


@pytest.mark.parametrize(
    "words",
    [
        "model: claude-sonet-4-5",
        "Item 'rs_68c42de022c881948db7ed1cc2529f2e' of type 'reasoning' was provided without its item.",
        "messages.2: `tool_use` ids were found without `tool_result`: toolu_014XNNzpLuTvy759DpH69.",
        "Model `projects/PROJECT/locations/us-central1/publishers/google/models/gemini-3` not found",
        "You can obtain an API key from https://console.x.ai",
        "learn more here: https://platform.openai.com/docs/deprecations",
        "the task-runner asked for sk-1",
    ],
)
def test_ordinary_words_and_ids_stay_readable(words: str) -> None:
    assert scrub(words) == words


@given(
    status=st.integers(400, 599),
    body=st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(max_size=8),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["error", "type", "code", "message", "detail", "details", "status", "x"]),
                    inner,
                    max_size=3,
                )
            ),
            max_leaves=8,
        ).map(lambda value: json.dumps(value).encode()),
    ),
)
def test_any_body_whatever_becomes_an_error_with_a_message(status: int, body: bytes) -> None:
    fault = fault_from_response(status, {}, body, provider="openai", now=NOW)
    assert isinstance(fault, RemoteError)
    assert str(fault).startswith("openai ")
    assert fault.status == status
    assert fault.retry_after is None


def test_a_body_of_deep_nesting_is_no_trouble() -> None:
    assert type(respond(500, b"[" * 100_000)) is ServerFault
    assert type(respond(500, b'{"error":' * 900 + b"1" + b"}" * 900)) is ServerFault
