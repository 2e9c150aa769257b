"""What flows through the house: messages, requests, completions, results, events, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._completion import (
    AttemptFailed,
    Completion,
    CompletionRequest,
    Delta,
    ServerTool,
    StopReason,
    TextDelta,
    ThinkingDelta,
    ToolInputDelta,
    ToolSpec,
    UsageDelta,
)
from ._errors import (
    AgentBusy,
    AgentClosed,
    AlloyError,
    AuthenticationFailed,
    ChildExists,
    ChildNotFound,
    ChildRunning,
    ConfigurationError,
    ContextOverflow,
    Halt,
    Lagged,
    LocalError,
    MalformedReply,
    MissingExtra,
    Overloaded,
    Pause,
    PriceUnknown,
    QueueFull,
    QuotaExhausted,
    RateLimited,
    Rejected,
    RemoteError,
    RequestNotFound,
    RestartLimitExceeded,
    ServerFault,
    SessionConflict,
    StreamTruncated,
    ToolDefinitionError,
    ToolError,
    TransportError,
)
from ._events import Event, EventName
from ._messages import (
    Audio,
    Block,
    Document,
    Image,
    Message,
    Opaque,
    Origin,
    ResultBlock,
    Role,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
    Video,
)
from ._result import ErrorInfo, OpenRound, Result, Status, ToolCallRecord, ToolOutcome
from ._usage import NO_USAGE, Usage

if TYPE_CHECKING:
    from ._convert import from_json, to_json
    from ._session import Session

__all__ = [
    "NO_USAGE",
    "AgentBusy",
    "AgentClosed",
    "AlloyError",
    "AttemptFailed",
    "Audio",
    "AuthenticationFailed",
    "Block",
    "ChildExists",
    "ChildNotFound",
    "ChildRunning",
    "Completion",
    "CompletionRequest",
    "ConfigurationError",
    "ContextOverflow",
    "Delta",
    "Document",
    "ErrorInfo",
    "Event",
    "EventName",
    "Halt",
    "Image",
    "Lagged",
    "LocalError",
    "MalformedReply",
    "Message",
    "MissingExtra",
    "Opaque",
    "Origin",
    "Overloaded",
    "Pause",
    "PriceUnknown",
    "QueueFull",
    "QuotaExhausted",
    "RateLimited",
    "Rejected",
    "RemoteError",
    "RequestNotFound",
    "RestartLimitExceeded",
    "OpenRound",
    "Result",
    "ResultBlock",
    "Role",
    "ServerFault",
    "ServerTool",
    "ServerToolResult",
    "ServerToolUse",
    "Session",
    "SessionConflict",
    "Status",
    "StopReason",
    "StreamTruncated",
    "Text",
    "TextDelta",
    "Thinking",
    "ThinkingDelta",
    "ToolCallRecord",
    "ToolDefinitionError",
    "ToolError",
    "ToolInputDelta",
    "ToolOutcome",
    "ToolResult",
    "ToolSpec",
    "ToolUse",
    "TransportError",
    "Usage",
    "UsageDelta",
    "Video",
    "from_json",
    "to_json",
]


def __getattr__(name: str) -> Any:
    if name == "Session":
        # Only agents have one.
        from ._session import Session

        return Session
    # cattrs costs start-up time that a one-shot run without JSON need not pay.
    if name in ("from_json", "to_json"):
        from . import _convert

        return getattr(_convert, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
