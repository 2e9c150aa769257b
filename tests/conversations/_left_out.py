"""The recorded conversations that cannot be played back, each with the rule that says why."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ._conversations import Conversation
from ._model import Wire

MOST = 0.02
"""At most so much of all conversations may be left out."""


def speaks_as_the_system(wire: Wire, conversation: Conversation) -> bool:
    """A system message stands within the dialogue. Ours have two roles; the system prompt comes first."""
    return any(
        entry[0] in ("system", "developer") and place > 0
        for turn in conversation.turns
        for place, entry in enumerate(wire.entries(turn.request))
    )


def is_made_in_the_background(wire: Wire, conversation: Conversation) -> bool:
    """The vendor keeps the answer, and the client fetches it by another kind of request."""
    return any(turn.request.get("background") for turn in conversation.turns)


LEFT_OUT: Mapping[str, Callable[[Wire, Conversation], bool]] = {
    "4cc32c4955c7": speaks_as_the_system,
    "d4e39ff1627d": speaks_as_the_system,
    "ebf385ceee27": speaks_as_the_system,
    "9d32231f35e7": speaks_as_the_system,
    "19fb3340df3e": is_made_in_the_background,
}
