"""From an error of a vendor's to one of ours.

An error is read for its codes, wherever a vendor puts them; then for the texts in the table beside; the HTTP
status decides what is left. Whether to send the same again is a field of the result, ``transient``: what the
vendor says in ``x-should-retry`` or, without it, what the kind of error implies. The vendor's own words go
into the message, shortened, and without anything that looks like a key.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

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

from ._fault_table import CODE_PATTERNS, CODES, GENERIC, PRIORITY, STATUSES, TEXTS, Kind, normal

MAX_RETRY_AFTER_SECONDS = 86_400.0
"""A longer wait is taken for a mistake of the server's: hints of decades have been seen."""

MAX_READ_BYTES = 256 * 1024
"""How much of an error body is read. Arbitrary; errors are a few hundred bytes, some echo the request."""

MAX_QUOTED = 4_000
"""Characters of a vendor's words that are looked at for a message, which then quotes a few hundred."""

_TYPES: dict[Kind, tuple[type[RemoteError], str, str]] = {
    "billing": (
        QuotaExhausted,
        "reports that the account's quota or credit is used up",
        "waiting does not help: add credit, raise the limit, or use another provider",
    ),
    "overflow": (
        ContextOverflow,
        "reports that the request does not fit into the model's context window",
        "shorten the conversation, lower max_tokens, or use a model with a larger window",
    ),
    "auth": (
        AuthenticationFailed,
        "does not accept the credentials",
        "check api_key, or the environment variable that it comes from, and what the key may be used for",
    ),
    "overloaded": (Overloaded, "has no capacity right now", "try again later, or use another provider"),
    "rate_limit": (RateLimited, "limits the rate of requests", "wait, send less at once, or raise the limit"),
    "server": (ServerFault, "failed to answer", "the fault is on its side: try again later"),
    "rejected": (Rejected, "refuses the request as it stands", "sent again it fails again: change it"),
}

_REQUEST_ID_HEADERS = (
    "request-id",  # Anthropic
    "x-request-id",  # OpenAI, Mistral, xAI, Groq
    "x-amzn-requestid",
    "apim-request-id",  # Azure
    "x-generation-id",  # OpenRouter
    "x-goog-request-id",
    "x-debug-trace-id",  # Cohere
)

SHORTEST_BEGINNING = 4
"""How much of a secret, where its quote was cut, is taken for one; fewer letters are more often a word."""

_CODE_FIELDS = ("code", "type", "status", "error_code", "error_type", "reason", "__type", "quotaId")
_TEXT_FIELDS = ("message", "Message", "msg", "detail", "description", "error_description")
_NESTED = ("error", "errors", "details", "detail", "innererror", "violations")


def fault_from_response(
    status: int, headers: Mapping[str, str], body: bytes, *, provider: str, now: float
) -> RemoteError:
    """The error that a response with an error status is.

    Args:
        status: the HTTP status.
        headers: the response's, with lower-case names.
        body: its body: JSON in any vendor's shape, a web page, plain text, or nothing.
        provider: the configured provider's name.
        now: seconds since the epoch, for a ``retry-after`` that is a date.

    Returns:
        An exception to raise.
    """
    error, words = _read_body(body)
    codes = set(error_codes(error))
    if "x-amzn-errortype" in headers:
        codes.add(normal(headers["x-amzn-errortype"]))
    kind = _kind(codes, words, status)
    if status == 413 and kind == "rejected" and not body.strip():
        kind = "overflow"  # Cerebras says it with an empty body
    return _fault(
        kind,
        provider=provider,
        words=words,
        status=status,
        request_id=_request_id(headers, error),
        retry_after=_retry_after(headers, error, now),
        transient={"true": True, "false": False}.get(headers.get("x-should-retry", "").strip().lower()),
    )


def fault_from_error(
    error: Any, *, provider: str, status: int | None = None, request_id: str | None = None
) -> RemoteError:
    """The error that an error object inside an answer with status 200 is.

    Args:
        error: the object as it stood on the wire, decoded: a dict with or without its ``error`` wrapper, a
            str, a list, or None.
        provider: the configured provider's name.
        status: a status that came with it. Without one, a number between 400 and 599 in the object's
            ``code`` is taken for it.
        request_id: the vendor's id, when the object does not hold one.

    Returns:
        An exception to raise. An error that says nothing of its kind is a ServerFault: the vendor had
        accepted the request.
    """
    if status is None or status < 400:
        status = next(_numbers(error), None)
    words = _words(error)
    kind = _kind(set(error_codes(error)), words, status)
    found = _request_id({}, error)
    return _fault(
        kind, provider=provider, words=words, status=status, request_id=found or request_id,
        retry_after=_retry_after({}, error, 0.0), transient=None,
    )  # fmt: skip


def parse_error(body: bytes) -> Any:
    """An error body as JSON, or None when it is something else."""
    try:
        return json.loads(body[:MAX_READ_BYTES])
    except (ValueError, RecursionError):
        return None


def error_codes(error: Any) -> frozenset[str]:
    """All codes, types and reasons in an error object, as :func:`_fault_table.normal` writes them.

    For a codec that treats one of them in its own way, such as ``"contentfilter"`` or ``"toolusefailed"``.
    """
    values = (part.get(name) for part in _parts(error) for name in _CODE_FIELDS)
    return frozenset({normal(value) for value in values if isinstance(value, str)} - {"", "error"})


def scrub(text: str, secrets: Iterable[str] = ()) -> str:
    """The text without anything that looks like a credential.

    Args:
        text: a vendor's words.
        secrets: credentials that are known, removed wherever they stand.
    """
    for secret in secrets:
        if secret:
            text = _without_beginning_of(secret, text.replace(secret, "[removed]"))
    for pattern, replacement in _secrets():
        text = pattern.sub(replacement, text)
    return text


def _without_beginning_of(secret: str, text: str) -> str:
    """The text without a beginning of the secret where it was cut: before an ellipsis, or at its end."""
    pieces = text.split("…")
    for number, piece in enumerate(pieces):
        for length in range(min(len(secret) - 1, len(piece)), SHORTEST_BEGINNING - 1, -1):
            if piece.endswith(secret[:length]):
                pieces[number] = piece[:-length] + "[removed]"
                break
    return "…".join(pieces)


@functools.cache
def _secrets() -> tuple[tuple[re.Pattern[str], str], ...]:
    # Compiled when the first error comes: a run without errors need not pay for it.
    return (
        # What stands where a key would: whole, whatever it looks like.
        (
            re.compile(r"(?i)(api[ _-]?key(?:\s+provided)?\s*[:=]\s*)[\"']?(?!https?:)[^\s\"',;]+"),
            r"\1[removed]",
        ),
        (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=*-]{6,}"), r"\1 [removed]"),
        (
            re.compile(r"(?i)([?&](?:key|api[-_]?key|token|access_token|sig|signature)=)[^\s&\"']+"),
            r"\1[removed]",
        ),
        (
            re.compile(
                r"\b(?:sk|pk|rk|xai|csk|nvapi|pplx|fw|key|tgp|hf|gsk|r8|ghp|gho|github_pat)[-_][A-Za-z0-9_*.-]{6,}"
                r"|\bAIza[A-Za-z0-9_*-]{8,}|\bya29\.[A-Za-z0-9._-]+|\bABSK[A-Za-z0-9+/=]{8,}"
                r"|\b(?:AKIA|ASIA)[A-Z0-9]{8,}|\beyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"
            ),
            "[removed]",
        ),
        # A long run that mixes cases and digits is more often a credential than a word.
        (
            re.compile(r"(?<![\w-])(?=[\w-]*[a-z])(?=[\w-]*[A-Z])(?=[\w-]*\d)[\w-]{40,}", re.ASCII),
            "[removed]",
        ),
    )


def request_id_of(headers: Mapping[str, str]) -> str | None:
    """The vendor's id of a request, from the response's headers (lower-case names)."""
    return next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), None)


def _fault(
    kind: Kind,
    *,
    provider: str,
    words: str,
    status: int | None,
    request_id: str | None,
    retry_after: float | None,
    transient: bool | None,
) -> RemoteError:
    error_type, what, advice = _TYPES[kind]
    seen = f" (HTTP {status})" if status is not None else ""
    return error_type(
        f"{provider} {what}{seen}: {_shorten(scrub(words[:MAX_QUOTED])) or 'it gave no reason'}; {advice}",
        status=status,
        request_id=request_id,
        retry_after=retry_after,
        transient=transient,
        provider=provider,
    )


def _kind(codes: set[str], words: str, status: int | None) -> Kind:
    kinds: set[Kind] = {CODES[code] for code in codes if code in CODES}
    kinds.update(kind for pattern, kind in CODE_PATTERNS if any(re.search(pattern, code) for code in codes))
    # What a 5xx says is not about our key or our account; an overflow some local servers report so.
    trusted = ("overflow", "overloaded") if status is not None and status >= 500 else PRIORITY
    kinds.update(text.kind for text in TEXTS if text.kind in trusted and text.pattern.search(words))
    if kinds <= GENERIC:
        if status is not None:
            kinds.add(STATUSES.get(status) or ("server" if status >= 500 else "rejected"))
        elif not kinds:
            kinds.add("server")
    return min(kinds, key=PRIORITY.index)


def _parts(error: Any, depth: int = 0) -> Iterator[dict[str, Any]]:
    """The dicts of an error that may carry codes and words, outer ones first."""
    if depth > 5:
        return
    if isinstance(error, list):
        for item in error[:20]:
            yield from _parts(item, depth + 1)
    elif isinstance(error, dict):
        yield error
        for name in _NESTED:
            yield from _parts(error.get(name), depth + 1)


def _numbers(error: Any) -> Iterator[int]:
    for part in _parts(error):
        for name in ("code", "status", "status_code"):
            value = part.get(name)
            if isinstance(value, str) and re.fullmatch(r"[45]\d\d", value):
                value = int(value)
            if isinstance(value, int) and 400 <= value <= 599:
                yield value


def _words(error: Any) -> str:
    """What the error says for people to read."""
    if isinstance(error, str):
        return error
    for part in _parts(error):
        inner = part.get("error")
        if isinstance(inner, str) and inner:
            return inner
        for name in _TEXT_FIELDS:
            value = part.get(name)
            if isinstance(value, str) and value and not isinstance(inner, dict):
                return value
    if error is None or error in ({}, []):
        return ""
    return json.dumps(error, ensure_ascii=False, default=str)[:2000]


def _read_body(body: bytes) -> tuple[Any, str]:
    """The body as JSON (None when it is not) and its words."""
    error = parse_error(body)
    if error is not None:
        return error, _words(error)
    text = body[:MAX_READ_BYTES].decode("utf-8", "replace").strip()
    if not text:
        return None, ""
    if text.startswith("<"):
        title = re.search(r"(?is)<(title|h1)[^>]*>([^<]*)<", text)
        page = title[2] if title else re.sub(r"<[^>]*>", " ", text)
        return None, f"a web page instead of JSON, {_shorten(page)!r}"
    return None, text


def _shorten(text: str, limit: int = 400) -> str:
    text = " ".join(text.split())
    return text.rstrip(".;") if len(text) <= limit else text[:limit] + "…"


def _request_id(headers: Mapping[str, str], error: Any) -> str | None:
    found = request_id_of(headers)
    if found is None:
        for part in _parts(error):
            for name in ("request_id", "requestId"):
                value = part.get(name)
                if isinstance(value, str) and value:
                    return value
    return found


def _retry_after(headers: Mapping[str, str], error: Any, now: float) -> float | None:
    """The seconds to wait that a vendor asked for, or None when it asked for none that makes sense."""
    hints = [
        _scaled(_number(headers.get("retry-after-ms")), 0.001),
        _retry_after_header(headers.get("retry-after"), now),
        *(_number(str(part.get("retryDelay")).removesuffix("s")) for part in _parts(error)),  # Google
    ]
    sensible = [hint for hint in hints if hint is not None and 0 <= hint <= MAX_RETRY_AFTER_SECONDS]
    # Azure sends retry-after-ms: 0 beside retry-after: 1, so a zero counts only when nothing says more.
    return next((hint for hint in sensible if hint > 0), sensible[0] if sensible else None)


def _retry_after_header(value: str | None, now: float) -> float | None:
    seconds = _number(value)
    if seconds is not None or value is None:
        return seconds
    from email.utils import parsedate_to_datetime  # rarely needed, and not free to import

    try:
        return parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _number(value: str | None) -> float | None:
    try:
        number = float(value) if value is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _scaled(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor
