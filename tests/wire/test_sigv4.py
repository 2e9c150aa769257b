"""Signatures, against the published example and the vendor's own signer."""

from __future__ import annotations

import datetime
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.wire._sigv4 import AwsCredentials, sign

EXAMPLE = AwsCredentials(
    access_key_id="AKIDEXAMPLE", secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)
NOON = datetime.datetime(2015, 8, 30, 12, 36, tzinfo=datetime.UTC).timestamp()


def test_the_published_example_is_signed_as_published() -> None:
    """``get-vanilla`` of the vendor's test suite."""
    added = sign(
        "GET", "https://example.amazonaws.com/", {}, b"",
        credentials=EXAMPLE, region="us-east-1", service="service", now=NOON,
    )  # fmt: skip
    assert added == {
        "x-amz-date": "20150830T123600Z",
        "authorization": (
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "
            "SignedHeaders=host;x-amz-date, "
            "Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        ),
    }


def test_secrets_do_not_show() -> None:
    credentials = AwsCredentials(access_key_id="AKID", secret_access_key="s3cr3t", session_token="t0k3n")
    assert "AKID" in repr(credentials)
    assert "s3cr3t" not in repr(credentials) and "t0k3n" not in repr(credentials)


def test_what_changes_on_the_way_is_not_signed() -> None:
    headers = {"content-type": "application/json", "user-agent": "x", "authorization": "old", "te": "y"}
    added = sign(
        "POST", "http://localhost:8000/model/m/converse", headers, b"{}",
        credentials=EXAMPLE, region="us-east-1", service="bedrock", now=NOON,
    )  # fmt: skip
    assert "SignedHeaders=content-type;host;x-amz-date," in added["authorization"]


def test_each_part_of_a_request_counts() -> None:
    def signature(**changed: Any) -> str:
        given: dict[str, Any] = {
            "method": "POST", "url": "https://h.example/model/m/converse", "headers": {"accept": "a"}, "body": b"{}",
            "credentials": EXAMPLE, "region": "us-east-1", "service": "bedrock", "now": NOON,
        }  # fmt: skip
        given |= changed
        args = [given.pop(name) for name in ("method", "url", "headers", "body")]
        return sign(*args, **given)["authorization"].rpartition("=")[2]

    other = AwsCredentials(access_key_id="AKIDEXAMPLE", secret_access_key="other")
    signatures = [
        signature(),
        signature(method="PUT"),
        signature(url="https://h.example/model/n/converse"),
        signature(url="https://h.example/model/m/converse?a=b"),
        signature(url="https://i.example/model/m/converse"),
        signature(headers={"accept": "b"}),
        signature(headers={}),
        signature(body=b"{ }"),
        signature(credentials=other),
        signature(region="eu-west-1"),
        signature(service="s3"),
        signature(now=NOON + 1),
    ]
    assert len(set(signatures)) == len(signatures)
    assert signature() == signature(method="post")


_PATHS = st.lists(
    st.one_of(
        st.sampled_from(["model", "", ".", "..", "converse", "%2F", "anthropic.claude-v2%3A1", "a~b"]),
        st.text("abcXYZ019-._~%:=+@", max_size=12),
    ),
    max_size=5,
).map(lambda segments: "/".join(["", *segments]))
_QUERIES = st.lists(
    st.tuples(st.text("abc-1%2F", max_size=4), st.text("xyz-_~%3D", max_size=4)), max_size=3
).map(lambda pairs: "&".join(f"{key}={value}" for key, value in pairs))
_HOSTS = st.sampled_from(
    [
        "bedrock-runtime.us-east-1.amazonaws.com",
        "Example.COM:443",
        "localhost:8000",
        "h:80",
        "[::1]:9",
        "[::1]",
    ]
)
_NAMES = st.one_of(
    st.sampled_from(
        ["content-type", "accept", "host", "user-agent", "x-amz-meta", "connection", "te", "x-b"]
    ),
    st.text("abcdefghijk-", min_size=1, max_size=8).map(lambda name: f"x-{name}"),
)
_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)


@given(
    method=st.sampled_from(["POST", "get", "PUT"]),
    scheme=st.sampled_from(["https", "http"]),
    host=_HOSTS,
    path=_PATHS,
    query=_QUERIES,
    headers=st.dictionaries(_NAMES, _VALUES, max_size=5),
    body=st.binary(max_size=60),
    token=st.none() | st.text("abc/+=", min_size=1, max_size=20),
    region=st.sampled_from(["us-east-1", "eu-central-1"]),
    now=st.integers(0, 4_000_000_000),
)
@settings(max_examples=300, deadline=None)
def test_the_vendors_own_signer_signs_the_same(
    method: str, scheme: str, host: str, path: str, query: str, headers: dict[str, str], body: bytes,
    token: str | None, region: str, now: int,
) -> None:  # fmt: skip
    auth = pytest.importorskip("botocore.auth", reason="the vendor's client is not installed")
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url = f"{scheme}://{host}{path}" + (f"?{query}" if query else "")
    request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
    signer = auth.SigV4Auth(Credentials("AKID", "sec/ret", token), "bedrock", region)
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    with mock.patch("botocore.auth.get_current_datetime", return_value=moment):
        signer.add_auth(request)
    ours = AwsCredentials(access_key_id="AKID", secret_access_key="sec/ret", session_token=token)
    added = sign(
        method, url, headers, body, credentials=ours, region=region, service="bedrock", now=float(now)
    )
    assert added["authorization"] == request.headers["Authorization"]
    assert added["x-amz-date"] == request.headers["X-Amz-Date"]
    assert added.get("x-amz-security-token") == request.headers.get("X-Amz-Security-Token")
