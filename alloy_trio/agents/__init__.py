"""One agent: a conversation that lives."""

from __future__ import annotations

from ._agent import Agent, open_agent
from ._life import SESSION_END_SECONDS
from ._options import AgentOptions
from ._reports import AgentHealth, AgentStatistics
from ._responses import Request, Responses
from ._supervised import start_agent

__all__ = [
    "SESSION_END_SECONDS",
    "Agent",
    "AgentHealth",
    "AgentOptions",
    "AgentStatistics",
    "Request",
    "Responses",
    "open_agent",
    "start_agent",
]
