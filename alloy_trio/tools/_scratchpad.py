"""The scratchpad tool: notes that a model keeps for the time of a conversation.

They are no messages, so no compaction takes them away. They lie in ``ToolContext.state`` as plain JSON, a dict of
texts by key, and are kept with an agent's session there.
"""

from __future__ import annotations

from typing import Literal

from alloy_trio.values import ToolError

from ._problems import close_match
from ._tool import ToolContext, tool

MAX_CHARS = 200_000
"""Characters of all notes and their keys together; some 50,000 tokens, more than a model would read back."""

MAX_KEY_CHARS = 200
"""Of one key. A key is a name, and is repeated in lists and answers."""


@tool
async def scratchpad(
    action: Literal["write", "read", "append", "delete", "list"],
    context: ToolContext,
    key: str = "",
    value: str = "",
) -> str:
    """Keep notes under keys while you work. They last as long as this conversation, also when earlier parts of it
    are summarised, and nobody else sees them.

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
    if not key or len(key) > MAX_KEY_CHARS:
        seen = f"has {len(key)} characters" if key else "is empty"
        raise ToolError(
            f"{action} needs a key of 1 to {MAX_KEY_CHARS} characters, and it {seen}; name the note"
        )
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
    others = sum(len(name) + len(note) for name, note in notes.items() if name != key)
    total = others + len(key) + len(text)
    if total > MAX_CHARS:
        raise ToolError(
            f"the notes would have {total} characters, and may have {MAX_CHARS}; delete some first"
        )
    notes[key] = text
    return f"{key} has {len(text)} characters now."
