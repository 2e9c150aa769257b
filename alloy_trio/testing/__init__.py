"""The testing kit: what tests of agents and providers need, and production code does not.

Names load on first use: pytest loads the plugin, which is in here, for every suite of whoever has the kit installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alloy_trio.providers import Delayed, NotRecorded, Scripted, Streamed, record, replay

    from ._blocking import BlockedRequest, Blocking, block_real_requests
    from ._disturbance import Disturbance
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
    from ._invariants import assert_events_well_formed, assert_usage_never_falls, assert_valid_history
    from ._leaks import no_leaks
    from ._observed import once
    from ._replay_server import Check, Match, ReplayServer, ReplayStatistics, open_replay_server
    from ._seeded import Clock, run_seeded
    from ._state_machine import AgentMachine, agent_machine
    from ._sweeps import SweepFailure, SweepReport, cancel_sweep, disturb_sweep, fault_sweep, schedule_sweep
    from ._trial import Script

__all__ = [
    # a model that follows a script
    "Scripted",
    "Delayed",
    "Streamed",
    # traffic that is recorded once and replayed ever after
    "record",
    "replay",
    "NotRecorded",
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
    "assert_usage_never_falls",
    "no_leaks",
    # runs again and again, disturbed each time elsewhere
    "cancel_sweep",
    "fault_sweep",
    "schedule_sweep",
    "disturb_sweep",
    "Disturbance",
    "once",
    "Script",
    "SweepReport",
    "SweepFailure",
    # an agent under random operations
    "agent_machine",
    "AgentMachine",
    # no test asks a vendor by mistake
    "block_real_requests",
    "Blocking",
    "BlockedRequest",
    # runs that can be repeated exactly
    "run_seeded",
    "Clock",
]

_HOME = {
    **dict.fromkeys(
        ("Delayed", "NotRecorded", "Scripted", "Streamed", "record", "replay"), "alloy_trio.providers"
    ),
    **dict.fromkeys(("BlockedRequest", "Blocking", "block_real_requests"), "._blocking"),
    **dict.fromkeys(
        (
            "BAD_GATEWAY",
            "Answer",
            "Chunking",
            "Close",
            "Exchange",
            "Fault",
            "Framing",
            "Garbage",
            "Hang",
            "ReplayRequest",
            "Reset",
        ),
        "._exchanges",
    ),
    **dict.fromkeys(
        ("assert_events_well_formed", "assert_usage_never_falls", "assert_valid_history"), "._invariants"
    ),
    "no_leaks": "._leaks",
    "once": "._observed",
    **dict.fromkeys(
        ("Check", "Match", "ReplayServer", "ReplayStatistics", "open_replay_server"), "._replay_server"
    ),
    **dict.fromkeys(("Clock", "run_seeded"), "._seeded"),
    **dict.fromkeys(("AgentMachine", "agent_machine"), "._state_machine"),
    **dict.fromkeys(
        ("SweepFailure", "SweepReport", "cancel_sweep", "disturb_sweep", "fault_sweep", "schedule_sweep"),
        "._sweeps",
    ),
    "Disturbance": "._disturbance",
    "Script": "._trial",
}
"""The modules of the names."""


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOME[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
