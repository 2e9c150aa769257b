"""The scratchpad tool: notes that a model keeps for the time of a run or an agent."""

from __future__ import annotations

from typing import Literal

from alloy_trio.values import ToolError

from ._problems import close_match
from ._tool import ToolContext, tool

MAX_CHARS = 200_000
"""Characters of all notes together; some 50,000 tokens, more than a model would read back."""


@tool
async def scratchpad(
    action: Literal["write", "read", "append", "delete", "list"],
    context: ToolContext,
    key: str = "",
    value: str = "",
) -> str:
    """Keep notes under keys while you work. They last until this request is answered, and nobody else sees them.

    Args:
        action: "write" replaces a note, "append" adds to its end, "read" shows it, "delete" removes it,
            "list" names all notes
        key: the note's name; not needed for "list"
        value: the text for "write" and "append"
    """
    notes: dict[str, str] = context.state.setdefault("scratchpad", {})
    if action == "list":
        return (
            "\n".join(f"{name} ({len(text)} characters)" for name, text in notes.items())
            or "There are no notes."
        )
    if not key:
        raise ToolError(f"{action} needs a key, and it is empty; name the note")
    if action in ("read", "delete") and key not in notes:
        match = close_match(key, notes)
        hint = f"did you mean {match!r}?" if match else f"the notes are: {', '.join(notes) or '(none)'}"
        raise ToolError(f"there is no note {key!r}; {hint}")
    if action == "read":
        return notes[key]
    if action == "delete":
        del notes[key]
        return f"Deleted {key}."
    text = notes.get(key, "") + value if action == "append" else value
    total = sum(map(len, notes.values())) - len(notes.get(key, "")) + len(text)
    if total > MAX_CHARS:
        raise ToolError(
            f"the notes would have {total} characters, and may have {MAX_CHARS}; delete some first"
        )
    notes[key] = text
    return f"{key} has {len(text)} characters now."
