"""Which strategy stands for which type."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from alloy_trio import values

from . import _blocks, _events, _schemas, _scripts, _supervision, _values

STRATEGIES: dict[type[Any], SearchStrategy[Any]] = {
    values.Text: _blocks.text_blocks(),
    values.Thinking: _blocks.thinking_blocks(),
    values.ToolUse: _blocks.tool_uses(),
    values.ToolResult: _blocks.tool_results(),
    values.ServerToolUse: _blocks.server_tool_uses(),
    values.ServerToolResult: _blocks.server_tool_results(),
    values.Image: _blocks.images(),
    values.Audio: _blocks.audios(),
    values.Video: _blocks.videos(),
    values.Document: _blocks.documents(),
    values.Opaque: _blocks.opaques(),
    values.Origin: _blocks.origins(),
    values.Message: _blocks.messages(),
    values.ToolSpec: _schemas.tool_specs(),
    values.ServerTool: _schemas.server_tools(),
    values.CompletionRequest: _values.completion_requests(),
    values.Completion: _values.completions(),
    **_values.DELTAS,
    values.Usage: _values.usages(),
    values.ErrorInfo: _values.error_infos(),
    values.ToolCallRecord: _values.tool_call_records(),
    values.OpenRound: _values.open_rounds(),
    values.Result: _values.results(),
    values.Session: _values.sessions(),
    values.Event: _events.events(),
    values.RemoteError: _scripts.faults(),
    _supervision.SupervisorScenario: _supervision.supervisor_scenarios(),
}


def register() -> None:
    """Tell Hypothesis."""
    for kind, strategy in STRATEGIES.items():
        st.register_type_strategy(kind, strategy)
