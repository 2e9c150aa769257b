"""Bedrock as a provider: where it asks, and how it says who asks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alloy_trio import AuthenticationFailed, ConfigurationError, Rejected, run, stream
from alloy_trio.providers import Bedrock, provider_from_name
from alloy_trio.testing import Answer, Exchange, open_replay_server

from ..wire.event_messages import message  # noqa: TID252 - the frames are made the same way for both

SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5},
}


@pytest.fixture(autouse=True)
def nobody_s_account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "AWS_BEARER_TOKEN_BEDROCK",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def whole(**changes: Any) -> Exchange:
    return Exchange(**{"body": json.dumps(ANSWER).encode(), **changes})


async def test_a_bearer_token_is_sent_as_it_is() -> None:
    async with open_replay_server([whole()]) as server:
        result = await run("hi", provider=Bedrock(MODEL, api_key=SECRET, base_url=server.url))
    assert (result.text, result.usage.total_tokens) == ("Hello", 5)
    assert server.requests[0].path == "/model/us.anthropic.claude-sonnet-4-5-20250929-v1%3A0/converse"
    assert "authorization" in dict(server.requests[0].headers)
    assert "x-amz-date" not in dict(server.requests[0].headers)


async def test_keys_of_the_environment_sign(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    async with open_replay_server([whole()]) as server:
        await run("hi", provider=Bedrock(MODEL, region="eu-west-1", base_url=server.url))
    headers = dict(server.requests[0].headers)
    assert "authorization" in headers and "x-amz-date" in headers


async def test_a_stream_of_binary_events_is_read() -> None:
    body = b"".join(
        message(kind, payload)
        for kind, payload in (
            ("messageStart", {"role": "assistant"}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "Hel"}}),
            ("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": "lo"}}),
            ("contentBlockStop", {"contentBlockIndex": 0}),
            ("messageStop", {"stopReason": "end_turn"}),
            ("metadata", {"usage": {"inputTokens": 3, "outputTokens": 2, "totalTokens": 5}}),
        )
    )
    exchange = Exchange(
        body=body, headers={"content-type": "application/vnd.amazon.eventstream"}, stream=True
    )
    async with open_replay_server([exchange], chunking=11) as server:
        async with stream("hi", provider=Bedrock(MODEL, api_key=SECRET, base_url=server.url)) as events:
            texts = [event.payload async for event in events if event.event == "text_delta"]
    assert texts == ["Hel", "lo"]
    assert events.result.usage.total_tokens == 5
    assert server.requests[0].path.endswith("/converse-stream")


async def test_the_region_is_read_from_the_profile_on_entry(tmp_path: Path) -> None:
    (tmp_path / "config").write_text("[profile work]\nregion = ap-south-1\n")
    provider = Bedrock(MODEL, profile="work", api_key=SECRET)
    async with provider:
        assert provider.base_url == "https://bedrock-runtime.ap-south-1.amazonaws.com"


async def test_no_region_is_told_on_entry() -> None:
    with pytest.raises(ConfigurationError, match="region"):
        await run("hi", provider=Bedrock(MODEL, api_key=SECRET))


async def test_no_credentials_are_told_before_anything_is_sent() -> None:
    async with open_replay_server([whole()]) as server:
        with pytest.raises(ConfigurationError, match="AWS_BEARER_TOKEN_BEDROCK"):
            await run("hi", provider=Bedrock(MODEL, region="us-east-1", base_url=server.url))
    assert server.requests == []


async def test_what_is_quoted_of_a_refused_signature_holds_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "session-token-very-private")
    body = json.dumps({"message": "The signature does not match: session-token-very-private"}).encode()
    async with open_replay_server([whole(fault=Answer(403, body))]) as server:
        with pytest.raises(AuthenticationFailed) as caught:
            await run("hi", provider=Bedrock(MODEL, region="us-east-1", base_url=server.url))
    assert "very-private" not in f"{caught.value!r} {caught.value.result}"


async def test_an_error_type_with_a_namespace_is_known() -> None:
    body = json.dumps({"message": "no"}).encode()
    headers = {"x-amzn-errortype": "com.amazon.coral.service#ValidationException:http://internal.example/"}
    async with open_replay_server([whole(fault=Answer(400, body, headers=headers))]) as server:
        with pytest.raises(Rejected):
            await run("hi", provider=Bedrock(MODEL, api_key=SECRET, base_url=server.url))


def test_it_has_its_name() -> None:
    provider = provider_from_name("bedrock", region="us-east-1")
    assert isinstance(provider, Bedrock)
    assert provider.base_url == "https://bedrock-runtime.us-east-1.amazonaws.com"


def test_a_region_that_is_none_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="region"):
        Bedrock(MODEL, region="evil.example/")


async def test_a_token_that_was_replaced_meanwhile_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "first-token-very-private")
    body = json.dumps({"message": "x-amz-security-token:first-token-very-private"}).encode()
    async with open_replay_server([whole(fault=Answer(403, body))]) as server:
        provider = Bedrock(MODEL, region="us-east-1", base_url=server.url)

        async def replaced(*args: Any, **options: Any) -> dict[str, str]:
            headers = await signed(*args, **options)
            monkeypatch.setenv("AWS_SESSION_TOKEN", "second-token")
            provider._signer._found = None
            await provider._signer.identity(now=0)
            return headers

        signed = provider._signer.signed_headers
        monkeypatch.setattr(provider._signer, "signed_headers", replaced)
        with pytest.raises(AuthenticationFailed) as caught:
            await run("hi", provider=provider)
    assert "very-private" not in str(caught.value)


async def test_missing_credentials_are_told_on_entry() -> None:
    with pytest.raises(ConfigurationError, match="AWS_BEARER_TOKEN_BEDROCK"):
        async with Bedrock(MODEL, region="us-east-1"):
            pytest.fail("the body must not run")


async def test_the_region_that_is_asked_is_the_one_that_is_signed_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    provider = Bedrock(MODEL)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    headers = await provider._authorised(f"{provider.base_url}/x", {}, b"{}")
    assert "/eu-west-1/bedrock/" in headers["authorization"]
    assert "eu-west-1" in provider.base_url


def test_each_partition_has_its_domain() -> None:
    botocore = pytest.importorskip("botocore.session", reason="the vendor's client is the judge here")
    session = botocore.get_session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("ec2", partition_name=partition)[:1]:
            client = session.create_client(
                "bedrock-runtime", region, aws_access_key_id="x", aws_secret_access_key="y"
            )
            assert Bedrock(MODEL, region=region).base_url == client.meta.endpoint_url, region
