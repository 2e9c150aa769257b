"""A conversation as a value that outlives its agent."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from ._messages import Message
from ._usage import NO_USAGE, Usage


@attrs.frozen(kw_only=True)
class Session:
    """A conversation, to be opened again by ``open_agent(session=…)``, here or elsewhere.

    Args:
        id: its name; the agent that opens it takes it for its own.
        messages: the conversation, always valid.
        usage: what it has used so far.
        metadata: JSON data of yours; under ``"state"`` what the tools remember, like the scratchpad.
        created_at: when it began (UTC).
        updated_at: when it was exported (UTC).
    """

    id: str
    messages: tuple[Message, ...] = ()
    usage: Usage = NO_USAGE
    metadata: dict[str, Any] = attrs.field(factory=dict)
    created_at: datetime
    updated_at: datetime
