"""What a user may write into a provider's keywords, checked before anything is sent."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from alloy_trio.values import ConfigurationError

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""The name of a header (RFC 9110, section 5.6.2)."""

_FRAMING = frozenset({"content-length", "transfer-encoding", "host", "connection"})
"""Headers that the HTTP client writes itself; a second opinion breaks the message."""


def parsed_url(url: object, name: str) -> SplitResult:
    """An HTTP address in its parts, the scheme in lower case.

    Raises:
        ConfigurationError: it is none. Nothing of it is quoted that may be a password.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"base_url of {name} is {type(url).__name__}; give a str")
    parts: SplitResult | None
    try:
        parts = urlsplit(url.strip())
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        parts = None
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        shown = f"={url!r}" if "@" not in url else ""
        raise ConfigurationError(
            f"base_url{shown} of {name} is no HTTP address; write it like 'https://api.example.com/v1'"
        )
    return parts


def checked_url(url: str | None, name: str) -> str:
    """A base URL without a slash at its end.

    Raises:
        ConfigurationError: it is missing, no HTTP address, or holds what does not belong into one.
    """
    if not url:
        raise ConfigurationError(f"{name} needs base_url=, for example base_url='http://localhost:8000/v1'")
    parts = parsed_url(url, name)
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ConfigurationError(
            "base_url has a query, a fragment or a password in it; give keys by api_key= or headers= instead"
        )
    return parts.geturl().rstrip("/")


def checked_header(value: object, what: str) -> str:
    """A header's value without white space around it.

    Raises:
        ConfigurationError: HTTP cannot carry it. The HTTP library's own complaint would quote the value.
    """
    if not isinstance(value, str):
        raise ConfigurationError(f"{what} is {type(value).__name__}; give a str")
    value = value.strip()
    if not value.isascii() or any(ord(char) < 0x20 or ord(char) == 0x7F for char in value):
        raise ConfigurationError(
            f"{what} has characters that HTTP headers cannot carry; check how it was copied"
        )
    return value


def checked_names(headers: object) -> dict[str, str]:
    """A user's headers; their values are checked when they are sent.

    Raises:
        ConfigurationError: they are no mapping, or a name is none.
    """
    if headers is None:
        return {}
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers is {type(headers).__name__}; give a dict of names and values")
    for name in headers:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ConfigurationError(f"headers has the name {name!r}, which is no header's name")
        if name.lower() in _FRAMING:
            raise ConfigurationError(
                f"headers has {name!r}, which the HTTP client writes itself; leave it out"
            )
    return dict(headers)


def checked_mapping(value: object, name: str) -> dict[str, object]:
    """A keyword that holds JSON fields.

    Raises:
        ConfigurationError: it is no mapping.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} is {type(value).__name__}; give a dict")
    return dict(value)


def checked_number(value: object, name: str, *, whole: bool = False) -> None:
    """A keyword that is None or a number above zero (temperature: or zero).

    Raises:
        ConfigurationError: it is neither.
    """
    kinds = (int,) if whole else (int, float)
    if value is None:
        return
    fits = isinstance(value, kinds) and not isinstance(value, bool) and math.isfinite(value)
    if not fits or value < 0 or (value == 0 and name != "temperature"):  # type: ignore[operator]
        wanted = "a whole number" if whole else "a number"
        raise ConfigurationError(f"{name}={value!r} must be {wanted} above 0, or None for the default")
