"""What a recording consists of: exchanges, as they stand in its lines. Pure."""

from __future__ import annotations

import attrs

from alloy_trio.abc import Provider
from alloy_trio.values import (
    NO_USAGE,
    AuthenticationFailed,
    Completion,
    CompletionRequest,
    ContextOverflow,
    Delta,
    MalformedReply,
    Overloaded,
    QuotaExhausted,
    RateLimited,
    Rejected,
    RemoteError,
    ServerFault,
    StreamTruncated,
    TransportError,
    Usage,
)

VERSION = 1
"""Of the format. A file of a newer one is refused; keys that are not known are ignored."""

_KINDS: dict[str, type[RemoteError]] = {
    kind.__name__: kind
    for kind in (
        RemoteError,
        TransportError,
        StreamTruncated,
        MalformedReply,
        AuthenticationFailed,
        RateLimited,
        QuotaExhausted,
        Overloaded,
        ServerFault,
        ContextOverflow,
        Rejected,
    )
}


@attrs.frozen(kw_only=True)
class Asked:
    """The provider that was asked, as far as a run can see it."""

    name: str
    model: str
    handles_failures: bool = False
    max_tokens: int | None = None
    thinking_budget: int = 0

    @classmethod
    def of(cls, provider: Provider) -> Asked:
        """What has to be remembered of a provider."""
        return cls(
            name=provider.name,
            model=provider.model,
            handles_failures=provider.handles_failures,
            max_tokens=provider.max_tokens,
            thinking_budget=provider.thinking_budget,
        )

    def imitated_by(self, provider: Provider) -> None:
        """Let a provider look like this one."""
        provider.name, provider.model = self.name, self.model
        provider.handles_failures = self.handles_failures
        provider.max_tokens, provider.thinking_budget = self.max_tokens, self.thinking_budget

    def __str__(self) -> str:
        return f"{self.name}/{self.model}"


@attrs.frozen
class Piece:
    """Deltas that were handed over together.

    Args:
        after: seconds since the piece before, or since the request.
        deltas: in order.
    """

    after: float
    deltas: tuple[Delta, ...]


@attrs.frozen(kw_only=True)
class Failure:
    """A RemoteError as data."""

    kind: str
    message: str
    status: int | None = None
    request_id: str | None = None
    retry_after: float | None = None
    transient: bool = False
    provider: str | None = None
    usage: Usage = NO_USAGE

    @classmethod
    def of(cls, error: RemoteError) -> Failure:
        """The data of an error; a class of somebody's own becomes the one of ours that it is."""
        kind = next(base.__name__ for base in type(error).__mro__ if base.__name__ in _KINDS)
        return cls(
            kind=kind,
            message=error.message,
            status=error.status,
            request_id=error.request_id,
            retry_after=error.retry_after,
            transient=error.transient,
            provider=error.provider,
            usage=error.usage,
        )

    def error(self) -> RemoteError:
        """The error, made anew."""
        error = _KINDS.get(self.kind, RemoteError)(
            self.message,
            status=self.status,
            request_id=self.request_id,
            retry_after=self.retry_after,
            transient=self.transient,
            provider=self.provider,
        )
        error.usage = self.usage
        return error


@attrs.frozen(kw_only=True)
class Exchange:
    """One line: a request, the pieces that came, and how it ended: by an answer, an error or a cancel.

    Args:
        v: version of the format.
        key: by which it is found; see :class:`Keys`.
        number: counts the requests in the order in which they were made, which is not that of the lines.
        at_ms: when, in milliseconds since the epoch.
        provider: who was asked.
        request: what, without credentials.
        pieces: what was streamed, as it was handed over; None where a whole answer was asked for.
        seconds: from the last piece, or the request, to the end.
        completion: the answer.
        error: what was raised instead.
        cancelled: it was cancelled before it ended.
        instead_of: the number of a cancelled one that it was asked again for.
    """

    v: int = VERSION
    key: str
    number: int
    at_ms: int
    provider: Asked
    request: CompletionRequest
    pieces: tuple[Piece, ...] | None = None
    seconds: float = 0.0
    completion: Completion | None = None
    error: Failure | None = None
    cancelled: bool = False
    instead_of: int | None = None
