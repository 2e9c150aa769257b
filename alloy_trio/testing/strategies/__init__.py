"""A Hypothesis strategy for every public value, and for what is done with them.

Importing this module also registers them, so that ``st.from_type(Message)`` and ``@given(...)`` by annotations make
values as these do.
"""

from __future__ import annotations

from alloy_trio.testing import _hypothesis_is_there  # noqa: F401 - says what to install where it is not

from ._blocks import (
    audios,
    blocks,
    documents,
    images,
    messages,
    opaques,
    origins,
    result_blocks,
    server_tool_results,
    server_tool_uses,
    text_blocks,
    thinking_blocks,
    tool_results,
    tool_uses,
    videos,
)
from ._broken import WAYS_TO_BREAK, BrokenHistory, broken_histories
from ._events import event_streams, events
from ._histories import histories
from ._plain import json_objects, json_values, texts
from ._registered import register
from ._schemas import inputs, invalid_inputs, server_tools, tool_schemas, tool_specs
from ._scripts import faults, scripts, turns
from ._supervision import (
    ChildCrashed,
    ChildPlan,
    Operation,
    SupervisorScenario,
    supervisor_scenarios,
)
from ._values import (
    completion_requests,
    completions,
    deltas,
    error_infos,
    open_rounds,
    results,
    sessions,
    tool_call_records,
    usages,
)

__all__ = [
    # conversations
    "histories",
    "broken_histories",
    "BrokenHistory",
    "WAYS_TO_BREAK",
    "messages",
    "origins",
    # blocks
    "blocks",
    "text_blocks",
    "thinking_blocks",
    "tool_uses",
    "tool_results",
    "result_blocks",
    "server_tool_uses",
    "server_tool_results",
    "images",
    "audios",
    "videos",
    "documents",
    "opaques",
    # tools
    "tool_schemas",
    "inputs",
    "invalid_inputs",
    "tool_specs",
    "server_tools",
    # models: what they are asked, what they say, how they fail
    "scripts",
    "turns",
    "faults",
    "completion_requests",
    "completions",
    "deltas",
    "usages",
    # runs
    "event_streams",
    "events",
    "results",
    "tool_call_records",
    "open_rounds",
    "error_infos",
    "sessions",
    # supervisors
    "supervisor_scenarios",
    "SupervisorScenario",
    "ChildPlan",
    "Operation",
    "ChildCrashed",
    # plain data
    "texts",
    "json_values",
    "json_objects",
]

register()
