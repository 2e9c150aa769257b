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
from ._invariants import assert_events_well_formed, assert_valid_history
from ._leaks import no_leaks
from ._replay_server import Check, Match, ReplayServer, ReplayStatistics, open_replay_server
from ._seeded import Clock, run_seeded
from ._sweeps import Script, SweepFailure, SweepReport, cancel_sweep

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
    # what has to hold of every run
    "assert_valid_history",
    "assert_events_well_formed",
    "no_leaks",
    # runs again and again, disturbed each time elsewhere
    "cancel_sweep",
    "Script",
    "SweepReport",
    "SweepFailure",
    # runs that can be repeated exactly
    "run_seeded",
    "Clock",
]
