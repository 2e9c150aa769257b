"""Signature Version 4 of Amazon's requests. Source: docs.aws.amazon.com, "Create a signed AWS API request".

Pure: who signs, and when, is given. A request is brought into one canonical form; that form, the time and the
scope (day, region, service) are signed with a key that is derived from the secret and the scope.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import attrs

_ALGORITHM = "AWS4-HMAC-SHA256"

_UNSIGNED = frozenset(
    (
        "authorization",
        # Proxies and HTTP clients add, change or drop these on the way.
        "baggage",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",  # codespell:ignore te
        "traceparent",
        "tracestate",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    )
)

_DEFAULT_PORTS = {"http": 80, "https": 443}


@attrs.frozen(kw_only=True)
class AwsCredentials:
    """Who signs. Only the id of the key shows in a repr.

    Args:
        access_key_id: the key's id, which is no secret.
        secret_access_key: the secret.
        session_token: what makes temporary credentials valid.
    """

    access_key_id: str
    secret_access_key: str = attrs.field(repr=False)
    session_token: str | None = attrs.field(default=None, repr=False)


def sign(
    method: str,
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    credentials: AwsCredentials,
    region: str,
    service: str,
    now: float,
) -> dict[str, str]:
    """The headers that make a request a signed one.

    Args:
        method: the HTTP method.
        url: the whole address, its path and query encoded as they are sent.
        headers: those that are sent, with lower-case names; all are signed but the few that change on the way.
            ``host`` is taken from the address when it is not among them.
        body: the body.
        credentials: who signs.
        region: like ``"us-east-1"``.
        service: the service's name for signing, like ``"bedrock"``.
        now: seconds since the epoch. The service takes a few minutes of difference.

    Returns:
        ``authorization``, ``x-amz-date`` and, for temporary credentials, ``x-amz-security-token``, to be
        added to ``headers``, over what stands there.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    added = {"x-amz-date": stamp}
    if credentials.session_token:
        added["x-amz-security-token"] = credentials.session_token
    parts = urlsplit(url)
    signed = {
        "host": _host(parts.scheme, parts.hostname or "", parts.port),
        **{name: value for name, value in headers.items() if name not in _UNSIGNED},
        **added,
    }
    names = sorted(signed)
    canonical = "\n".join(
        (
            method.upper(),
            _path(parts.path),
            _query(parts.query),
            *(f"{name}:{' '.join(signed[name].split())}" for name in names),
            "",
            ";".join(names),
            hashlib.sha256(body).hexdigest(),
        )
    )
    scope = f"{stamp[:8]}/{region}/{service}/aws4_request"
    to_sign = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{credentials.secret_access_key}".encode()
    for piece in scope.split("/"):
        key = _hmac(key, piece)
    added["authorization"] = (
        f"{_ALGORITHM} Credential={credentials.access_key_id}/{scope}, "
        f"SignedHeaders={';'.join(names)}, Signature={_hmac(key, to_sign).hex()}"
    )
    return added


def _host(scheme: str, host: str, port: int | None) -> str:
    if ":" in host:
        host = f"[{host}]"
    return host if port is None or port == _DEFAULT_PORTS.get(scheme) else f"{host}:{port}"


def _path(path: str) -> str:
    """The path, encoded once more: that is how every service but S3 wants it."""
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    end = "/" if kept and path.endswith("/") else ""
    return quote("/" + "/".join(kept) + end, safe="/~")


def _query(query: str) -> str:
    pairs = (pair.partition("=") for pair in query.split("&"))
    return (
        "&".join(f"{key}={value}" for key, value in sorted((key, value) for key, _, value in pairs))
        if query
        else ""
    )


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")
