"""What a model is given beside the question: how much room there is for it, and how a long conversation fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._compaction import Compact, Compacted, Plan, plan
    from ._discovery import ContextFile, Discovered, discover, system_prompt
    from ._headroom import Headroom, window_of
    from ._room import Compaction, Room, check_window, room_in
    from ._skills import Skill, find_skills, skill_tool
    from ._stripping import without_reasoning
    from ._summary import SummaryFailed, is_summary, summarising
    from ._tokens import Gauge, estimate_fixed, estimate_message, estimate_text

_HOME = {
    "skill_tool": "_skills",
    "find_skills": "_skills",
    "Skill": "_skills",
    "system_prompt": "_discovery",
    "discover": "_discovery",
    "Discovered": "_discovery",
    "ContextFile": "_discovery",
    "Compact": "_compaction",
    "Compacted": "_compaction",
    "Compaction": "_room",
    "Gauge": "_tokens",
    "Headroom": "_headroom",
    "Plan": "_compaction",
    "Room": "_room",
    "SummaryFailed": "_summary",
    "check_window": "_room",
    "estimate_fixed": "_tokens",
    "estimate_message": "_tokens",
    "estimate_text": "_tokens",
    "is_summary": "_summary",
    "plan": "_compaction",
    "room_in": "_room",
    "summarising": "_summary",
    "window_of": "_headroom",
    "without_reasoning": "_stripping",
}

__all__ = [
    "skill_tool",
    "find_skills",
    "Skill",
    "system_prompt",
    "discover",
    "Discovered",
    "ContextFile",
    "Compact",
    "Compacted",
    "Compaction",
    "Gauge",
    "Headroom",
    "Plan",
    "Room",
    "SummaryFailed",
    "check_window",
    "estimate_fixed",
    "estimate_message",
    "estimate_text",
    "is_summary",
    "plan",
    "room_in",
    "summarising",
    "window_of",
    "without_reasoning",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
