"""Taking credentials out of what is written into a recording.

The scrubber of error messages is of no use here: it takes out whatever looks a little like a key, and a conversation
is full of that ("key_function", signatures, ids), so that the replayed run would be another one. This one takes out

* the values of environment variables whose names speak of a key, token, secret or password, and what providers were
  given as their key, wherever they stand: in text, in arguments, in the vendor's own objects, in attached bytes;
* in what people and models wrote: what has the form of a vendor's key, values of headers that carry one, and the values
  of such parameters in addresses.

Doing it twice changes nothing, so a request that is replayed gets the key that the recorded one got.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import attrs

from alloy_trio.abc import Provider
from alloy_trio.values import Opaque, ServerToolResult

T = TypeVar("T")

REMOVED = "[removed]"

SECRET_LENGTH = 8
"""Shorter values are dummies like "EMPTY", and taking such words out of a conversation would only garble it."""

_NAME = re.compile(
    r"(?:^|[_-])(?:API_?KEY|KEY|TOKEN|SECRET|PASSWORD|PASSWD|AUTHORIZATION|COOKIE)(?:[_-]|$)", re.I
)
_NO_SECRET = re.compile(r"(?:FILE|PATH|DIR|SOCK|URL|HOST)$", re.I)
"""Ends of names of variables that say where something is."""

_FORMS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    # Keys by their beginnings.
    (("sk-", "pk-", "rk-"), re.compile(r"()\b[spr]k-[A-Za-z0-9_-]{16,}", re.ASCII)),
    (("k_live_", "k_test_"), re.compile(r"()\b[spr]k_(?:live|test)_[A-Za-z0-9]{10,}", re.ASCII)),
    (
        (
            *(
                "xai-",
                "csk-",
                "nvapi-",
                "pplx-",
                "gsk_",
                "hf_",
                "r8_",
                "fw_",
                "tgp_",
                "github_pat_",
                "glpat-",
            ),
            *("ghp_", "gho_", "ghr_", "ghs_", "ghu_", "xoxa", "xoxb", "xoxp", "xoxr", "xoxs"),
        ),
        re.compile(
            r"()\b(?:xai|csk|nvapi|pplx|gsk|hf|r8|fw|tgp|gh[oprsu]|github_pat|glpat|xox[abprs])[-_]"
            r"(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}",
            re.ASCII,
        ),
    ),
    (("AIza",), re.compile(r"()\bAIza[A-Za-z0-9_-]{20,}", re.ASCII)),
    (("ya29.",), re.compile(r"()\bya29\.[A-Za-z0-9._-]{16,}", re.ASCII)),
    (("ABSK",), re.compile(r"()\bABSK[A-Za-z0-9+/=]{20,}", re.ASCII)),
    (("AKIA", "ASIA"), re.compile(r"()\b(?:AKIA|ASIA)[A-Z0-9]{16}\b", re.ASCII)),
    (("eyJ",), re.compile(r"()\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}", re.ASCII)),
    # Headers, in a shell's, an HTTP message's or a program's spelling. Without a digit it is a word like YOUR_API_KEY.
    (
        ("authorization", "api-key", "cookie"),
        re.compile(
            r"(?i)(\b(?:authorization|(?:x-(?:goog-)?)?api-key|cookie)[\"']?\s*[:=]\s*[\"']?"
            r"(?:(?:bearer|basic)\s+)?)(?=[^\s\"',;0-9]*[0-9])[^\s\"',;\[]{12,}",
            re.ASCII,
        ),
    ),
    (
        ("authorization",),
        re.compile(r"(?i)(\bauthorization[\"']?\s*[:=]\s*[\"']?basic\s+)[A-Za-z0-9+/=]{8,}", re.ASCII),
    ),
    (
        ("bearer",),
        re.compile(r"(?i)(\bbearer\s+)(?=[A-Za-z._~+/=-]*[0-9])[A-Za-z0-9._~+/=-]{16,}", re.ASCII),
    ),
    # In addresses.
    (
        ("key=", "token=", "sig=", "signature="),
        re.compile(
            r"(?i)([?&](?:key|api[-_]?key|token|access_token|sig|signature|x-amz-(?:signature|security-token))=)"
            r"[^\s&\"'<>\[{$]{8,}",
            re.ASCII,
        ),
    ),
)
"""What a text has to have in it for a form to be looked for, since to search for a word is far faster; and the form."""

_WORDS = tuple((word.lower(), form) for words, form in _FORMS for word in words)

SHORTEST_FORM = 14
"""No text that is shorter has any of them."""

_VENDORS_OWN = frozenset({"signature", "redacted", "extra", "raw", "citations", "native"})
"""Attributes in which chance could write what looks like a key, and a change would be an error at the vendor's."""


class Remover:
    """Takes credentials out of texts and values.

    Args:
        secrets: known ones; those that are too short are left alone.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms: set[str] = set()
        for secret in secrets:
            if len(secret) >= SECRET_LENGTH:
                # As it is, inside of JSON text, and in an address.
                forms |= {secret, json.dumps(secret)[1:-1], quote(secret, safe="")}
        self._known = sorted(forms, key=lambda form: (-len(form), form))

    def known(self, text: str) -> str:
        """The text without known secrets."""
        for secret in self._known:
            text = text.replace(secret, REMOVED)
        return text

    def text(self, text: str) -> str:
        """The text without known secrets and without what looks like one."""
        text = self.known(text)
        if len(text) < SHORTEST_FORM:
            return text
        lower = text.lower()
        for word, form in _WORDS:
            if word in lower:
                text = form.sub(rf"\1{REMOVED}", text)
        return text

    def value(self, value: T) -> T:
        """A value of ours, or plain data, without them: the same object where it has none."""
        return self._value(value, False)  # type: ignore[no-any-return]

    def _value(self, value: Any, vendors: bool) -> Any:
        if isinstance(value, str):
            return self.known(value) if vendors else self.text(value)
        if isinstance(value, bytes):
            return self._bytes(value)
        if isinstance(value, list | tuple):
            items = [self._value(item, vendors) for item in value]
            return value if _same(items, value) else type(value)(items)
        if isinstance(value, dict):
            pairs = [(self._value(key, vendors), self._value(item, vendors)) for key, item in value.items()]
            same = _same(
                [part for pair in pairs for part in pair], [part for pair in value.items() for part in pair]
            )
            return value if same else dict(pairs)
        return self._attributes(value, vendors) if attrs.has(type(value)) else value

    def _attributes(self, value: Any, vendors: bool) -> Any:
        changed = {}
        for field in attrs.fields(type(value)):
            held = getattr(value, field.name)
            own = vendors or field.name in _VENDORS_OWN or isinstance(value, ServerToolResult | Opaque)
            kept = self._value(held, own)
            if field.name == "data" and isinstance(held, bytes) and value.media_type.startswith("text/"):
                kept = self.text(kept.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
            if kept is not held and kept != held:
                changed[field.name] = kept
        return attrs.evolve(value, **changed) if changed else value

    def _bytes(self, data: bytes) -> bytes:
        for secret in self._known:
            data = data.replace(secret.encode("utf-8", "surrogateescape"), REMOVED.encode())
        return data


def environment_secrets(environment: Mapping[str, str]) -> Iterator[str]:
    """What variables hold whose names say that it is secret."""
    for name, value in environment.items():
        if _NAME.search(name) and not _NO_SECRET.search(name):
            yield value.strip()


def provider_secrets(providers: Iterable[Provider]) -> Iterator[str]:
    """What providers of ours were given as a key or in a header that carries one."""
    for provider in providers:
        held = getattr(provider, "__dict__", {})
        if isinstance(key := held.get("_api_key"), str):
            yield key.strip()
        headers = held.get("_headers")
        for name, value in headers.items() if isinstance(headers, Mapping) else ():
            if _NAME.search(name) and isinstance(value, str):
                yield from (value.strip(), *value.split())


def _same(new: Iterable[Any], old: Iterable[Any]) -> bool:
    return all(one is other for one, other in zip(new, old, strict=True))
