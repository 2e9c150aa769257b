"""Every documented error and cut stream, answered over HTTP to the provider that it is about."""

from __future__ import annotations

from typing import Any

import pytest
import trio.testing

from alloy_trio import (
    AuthenticationFailed,
    ContextOverflow,
    MalformedReply,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    RemoteError,
    Result,
    ServerFault,
    StreamTruncated,
    run,
    stream,
)
from alloy_trio.providers import (
    Anthropic,
    AzureOpenAI,
    Bedrock,
    Gemini,
    HttpProvider,
    OpenAI,
    OpenAICompatible,
)
from alloy_trio.testing import Exchange, open_replay_server

from ..wire.recordings import load_errors  # noqa: TID252 - one loader reads all recordings

ERRORS: dict[str, type[RemoteError]] = {
    "auth": AuthenticationFailed,
    "billing": QuotaExhausted,
    "context_overflow": ContextOverflow,
    "invalid_request": Rejected,
    "not_found": Rejected,
    "overloaded": Overloaded,
    "rate_limit": RateLimited,
    "server": ServerFault,
    "stream_corrupt": MalformedReply,
    "stream_cut": StreamTruncated,
}
"""The kinds of the recordings, and our types."""

MALFORMED_CALL_OF_THE_VENDOR = {"doc-058"}
"""The vendor itself says that the call is malformed and keeps it: there is nothing to answer, only to try again."""


def provider_for(record: dict[str, Any], url: str) -> HttpProvider:
    """The provider that would have met this, with the base_url as its class wants it."""
    match record["family"]:
        case "anthropic":
            return Anthropic("m", base_url=url, api_key="k")
        case "openai_responses":
            return OpenAI("m", base_url=url, api_key="k")
        case "gemini":
            return Gemini("m", base_url=url, api_key="k")
        case "bedrock":
            return Bedrock("m", base_url=url, api_key="k", region="us-east-1")
        case _ if record["expect"]["error"] == "content_filter":
            return AzureOpenAI("m", base_url=url, api_key="k")
        case _:
            return OpenAICompatible("m", base_url=url, api_key="k")


async def asked(record: dict[str, Any], *, pieces: bool) -> Result | RemoteError:
    """What one request comes to that this record answers; nothing is tried again."""
    exchange = Exchange.from_record(record)
    async with open_replay_server(match=lambda request: exchange) as server:
        provider = provider_for(record, server.url)
        try:
            if not pieces:
                return await run("hi", provider=provider, max_retries=0)
            async with stream("hi", provider=provider, max_retries=0) as events:
                return await events.drain()
        except RemoteError as error:
            return error


def check(record: dict[str, Any], outcome: Result | RemoteError) -> None:
    """Compare with what a client must conclude."""
    expect, ident = record["expect"], record["id"]
    kind = expect["error"]
    if kind in ERRORS or ident in MALFORMED_CALL_OF_THE_VENDOR:
        assert type(outcome) is ERRORS.get(kind, MalformedReply), (ident, outcome)
        assert outcome.transient is expect["retryable"], ident
        # The server says seconds; some say milliseconds too, which are a little less.
        if expect["retry_after_s"] is None:
            assert outcome.retry_after is None, ident
        else:
            assert outcome.retry_after is not None, ident
            assert abs(outcome.retry_after - expect["retry_after_s"]) < 0.5, ident
        assert outcome.result is not None and outcome.result.tool_calls == (), ident
        return
    assert isinstance(outcome, Result), (ident, outcome)
    assert all(call.outcome == "not_started" for call in outcome.tool_calls), ident
    if kind == "content_filter":
        assert outcome.stop_reason == "refusal", ident
    elif kind == "malformed_tool_call":
        # It was complete and is answered with an error result; the model then says the same again, to the end.
        assert outcome.tool_calls and outcome.status == "max_turns", ident
    else:
        assert kind in ("length_in_tool_call", None), ident
        assert (outcome.status, outcome.stop_reason) == ("incomplete", "max_tokens"), ident


async def test_every_documented_error_is_what_a_client_must_conclude(
    autojump_clock: trio.testing.MockClock,
) -> None:
    records = load_errors()
    assert len(records) == 76
    for record in records:
        check(record, await asked(record, pieces=True))
        check(record, await asked(record, pieces=False))


async def test_the_check_can_fail() -> None:
    record = {
        "id": "own",
        "family": "openai_chat",
        "body": '{"error": {"message": "no such model"}}',
        "status": 404,
        "expect": {"error": "not_found", "retryable": False, "retry_after_s": None},
    }
    outcome = await asked(record, pieces=False)
    check(record, outcome)
    for other in ("auth", "server", "content_filter"):
        changed = {**record, "expect": {**record["expect"], "error": other}}
        with pytest.raises(AssertionError):
            check(changed, outcome)
