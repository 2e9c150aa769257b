"""Tools: what a model may ask to have done, how it runs, and the ones that are built in.

The built-in ones load when they are first named, so a run without them does not pay for them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from alloy_trio.values import ServerTool, ToolDefinitionError, ToolError, ToolSpec

from ._belongings import Belongings
from ._executor import ToolRound, tools_by_name

# For the command line, which leaves at once on a second Ctrl-C; no promise to others, so not in __all__.
from ._groups import kill_processes as kill_processes
from ._tool import Tool, ToolContext, ToolOutput, server_tool, tool

if TYPE_CHECKING:
    from ._bash import bash, bash_tool
    from ._files import edit, read, write
    from ._memory import memory, memory_tool
    from ._memory_directory import DirectoryStore
    from ._memory_stores import InMemoryStore
    from ._scratchpad import scratchpad

__all__ = [
    "tool",
    "Tool",
    "ToolContext",
    "ToolOutput",
    "ToolError",
    "ToolDefinitionError",
    "ToolSpec",
    "ServerTool",
    "server_tool",
    "Belongings",
    "ToolRound",
    "tools_by_name",
    "read",
    "write",
    "edit",
    "bash",
    "bash_tool",
    "scratchpad",
    "memory",
    "memory_tool",
    "InMemoryStore",
    "DirectoryStore",
]

_LATE = {
    "bash": "_bash",
    "bash_tool": "_bash",
    "read": "_files",
    "write": "_files",
    "edit": "_files",
    "scratchpad": "_scratchpad",
    "memory": "_memory",
    "memory_tool": "_memory",
    "InMemoryStore": "_memory_stores",
    "DirectoryStore": "_memory_directory",
}


def __getattr__(name: str) -> Any:
    if name in _LATE:
        value = getattr(importlib.import_module(f".{_LATE[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
