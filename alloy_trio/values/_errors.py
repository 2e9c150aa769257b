"""Every exception of the project.

::

    AlloyError
      LocalError      something on this side: configuration, limits, life of an agent
        ConfigurationError ToolDefinitionError AgentBusy QueueFull AgentClosed RequestNotFound
        SessionConflict PriceUnknown MissingExtra Lagged RestartLimitExceeded ChildExists
        ChildNotFound ChildRunning
      RemoteError     something on the provider's side or on the way there
        TransportError StreamTruncated MalformedReply AuthenticationFailed RateLimited
        QuotaExhausted Overloaded ServerFault ContextOverflow Rejected
    ToolError         raised by a tool, or by middleware to block a call, for the model to read
    Halt, Pause       raised by middleware: the run ends with status "halted" or "paused"
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ._usage import NO_USAGE

if TYPE_CHECKING:
    from ._result import Result


class AlloyError(Exception):
    """The root of every error of the engine's own.

    Attributes:
        result: what the run had come to that this ended; None where there was no run.
    """

    result: Result | None = None


class LocalError(AlloyError):
    """The cause is on this side of the network."""


class ConfigurationError(LocalError):
    """An option, value or environment that cannot work; nothing was sent."""


class ToolDefinitionError(LocalError):
    """A function cannot be made into a tool."""


class AgentBusy(LocalError):
    """The agent runs a request and queues none."""


class QueueFull(LocalError):
    """The agent's queue of waiting requests is full."""


class AgentClosed(LocalError):
    """The agent has ended; the cause, if any, is chained."""


class RequestNotFound(LocalError):
    """No queued or running request has this id."""


class SessionConflict(LocalError):
    """Somebody else changed the stored session in the meantime."""


class PriceUnknown(LocalError):
    """A budget was set but the model's price is not known; nothing was spent."""


class MissingExtra(LocalError):
    """An optional dependency is not installed; the message has the pip line."""


class Lagged(LocalError):
    """A subscriber read too slowly and missed items; ``missed`` says how many."""

    def __init__(self, message: str, *, missed: int = 0) -> None:
        super().__init__(message)
        self.missed = missed


class RestartLimitExceeded(LocalError):
    """A supervisor's children failed too often; the child's exception is chained."""


class ChildExists(LocalError):
    """The supervisor has a child of this name."""


class ChildNotFound(LocalError):
    """The supervisor has no child of this name."""


class ChildRunning(LocalError):
    """The child must be terminated first."""


class RemoteError(AlloyError):
    """The provider, or the way to it, failed.

    Args:
        message: what was seen, why it is wrong, what to do; never holds a secret.
        status: the HTTP status, where there was one.
        request_id: the vendor's id of the request.
        retry_after: seconds that the vendor asked us to wait.
        transient: whether sending the same again may succeed; the default belongs to the class.
        provider: the configured provider's name.
        result: the partial Result, set by ``run`` before it raises.

    Attributes:
        usage: what the failed call had used, as far as the provider said.
    """

    _transient: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        transient: bool | None = None,
        provider: str | None = None,
        result: Result | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.transient = self._transient if transient is None else transient
        self.provider = provider
        self.result = result
        self.usage = NO_USAGE

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions pickle by their positional arguments; ours has keywords, so the state carries them.
        return (type(self), self.args, self.__dict__)


class TransportError(RemoteError):
    """No connection, a reset, a timeout, a broken HTTP exchange."""

    _transient = True


class StreamTruncated(RemoteError):
    """The answer ended before its terminal event."""

    _transient = True


class MalformedReply(RemoteError):
    """The answer is not what the protocol says."""

    _transient = True


class AuthenticationFailed(RemoteError):
    """The key is missing, wrong or lacks a permission (401, 403)."""


class RateLimited(RemoteError):
    """Too many requests or tokens for now (429)."""

    _transient = True


class QuotaExhausted(RemoteError):
    """The account has nothing left to spend; waiting does not help."""


class Overloaded(RemoteError):
    """The vendor has no capacity right now (503, 529)."""

    _transient = True


class ServerFault(RemoteError):
    """The vendor failed (5xx, or an error inside a 200)."""

    _transient = True


class ContextOverflow(RemoteError):
    """The request does not fit into the model's context window."""


class Rejected(RemoteError):
    """The vendor refuses the request as it stands (400, 404, 413, 422)."""


class ToolError(Exception):
    """Raised by a tool, or by middleware to block a call: its text is for the model to read."""


class Halt(Exception):
    """Raised by middleware: the run ends with status ``"halted"``."""


class Pause(Exception):
    """Raised by middleware: the run is suspended with status ``"paused"``."""
