"""The testing kit: what tests of agents and providers need, and production code does not."""

from alloy_trio.providers import Scripted

from ._exchanges import (
    BAD_GATEWAY,
    Answer,
    Chunking,
    Close,
    Exchange,
    Fault,
    Framing,
    Garbage,
    Hang,
    ReplayRequest,
    Reset,
)
from ._replay_server import Check, Match, ReplayServer, ReplayStatistics, open_replay_server

__all__ = [
    # a model that follows a script
    "Scripted",
    # a server that answers with recorded exchanges
    "open_replay_server",
    "ReplayServer",
    "ReplayStatistics",
    "ReplayRequest",
    "Exchange",
    "Chunking",
    "Framing",
    "Match",
    "Check",
    # what may go wrong
    "Fault",
    "Hang",
    "Reset",
    "Close",
    "Answer",
    "Garbage",
    "BAD_GATEWAY",
]
