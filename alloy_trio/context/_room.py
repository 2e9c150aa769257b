"""How a context window is shared out. Pure."""

from __future__ import annotations

from math import ceil
from typing import Literal

import attrs

from alloy_trio.values import ConfigurationError

RESERVE_SHARE = 1 / 8
"""Of the window, for the answer, its reasoning, the wish for a summary, and for what the estimate is wrong by."""

KEEP_RECENT_SHARE = 1 / 8
"""Of the window, for the messages that stay word for word: some dozen tool rounds in a window of 200,000."""

SUMMARY_SHARE, LEAST_SUMMARY, MOST_SUMMARY = 1 / 16, 200, 8_000
"""Of the window, for a summary, and its bounds in tokens: a handoff of more than some pages is not read with care."""

WORDS_PER_TOKEN = 0.5
"""Of the room for a summary, in words: English has 0.75, other languages and lists of paths fewer."""

LEAST_WORKING_TOKENS = 1_000
"""Room for a question, a call and its result, below which a window is of no use."""

MODEL_WINDOW_SHARE = 1 / 4
"""Of a window that was not chosen but is the model's, what a chosen reserve or recent part takes at most."""


@attrs.frozen(kw_only=True)
class Compaction:
    """How a conversation that outgrows its window is shortened.

    Args:
        reserve_tokens: of the window, what is kept free for the answer; default: an eighth.
        keep_recent_tokens: of the latest messages, what stays word for word; default: an eighth of the window.
        fallback: ``"truncate"`` goes on without the old messages when no summary can be had of them. None raises
            the provider's error, or :class:`alloy_trio.MalformedReply` where the summary is no good.

    Raises:
        ConfigurationError: one of them cannot work.
    """

    reserve_tokens: int | None = None
    keep_recent_tokens: int | None = None
    fallback: Literal["truncate"] | None = "truncate"

    def __attrs_post_init__(self) -> None:
        for name in ("reserve_tokens", "keep_recent_tokens"):
            value: object = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ConfigurationError(
                    f"{name}={value!r} must be a whole number of tokens, 1 or more, or None for a share of the window"
                )
        if self.fallback not in ("truncate", None):
            raise ConfigurationError(
                f"fallback={self.fallback!r} must be 'truncate', or None to raise when no summary can be had"
            )


@attrs.frozen(kw_only=True)
class Room:
    """How a window is shared out, in tokens.

    Args:
        window: all of it.
        reserve: kept free for the answer.
        keep: for the recent messages.
    """

    window: int
    reserve: int
    keep: int

    @property
    def limit(self) -> int:
        """What a request may have."""
        return self.window - self.reserve

    @property
    def summary(self) -> int:
        """What a summary is asked to have at most."""
        return min(max(int(self.window * SUMMARY_SHARE), LEAST_SUMMARY), MOST_SUMMARY)

    @property
    def summary_words(self) -> int:
        """The same in words, as a model is told it."""
        return int(self.summary * WORDS_PER_TOKEN)

    def narrowed(self, tokens: int) -> Room:
        """The room when a request of so many tokens turned out to be too large."""
        share = min(tokens / self.window, 1.0)
        return Room(
            window=int(self.window * share), reserve=int(self.reserve * share), keep=int(self.keep * share)
        )


def room_in(window: int, compaction: Compaction) -> Room:
    """The room in a model's own window, which is what it is: a chosen share gives way to it."""
    most = int(window * MODEL_WINDOW_SHARE)
    shares = (compaction.reserve_tokens, RESERVE_SHARE), (compaction.keep_recent_tokens, KEEP_RECENT_SHARE)
    reserve, keep = (int(window * share) if given is None else min(given, most) for given, share in shares)
    return Room(window=window, reserve=reserve, keep=keep)


def check_window(window: int, compaction: Compaction, fixed: int) -> Room:
    """The room in a window that the user chose.

    Args:
        window: ``max_tokens``.
        compaction: the shares.
        fixed: the estimate of the system prompt and the tools.

    Raises:
        ConfigurationError: there would be none to work in.
    """
    reserve, keep = compaction.reserve_tokens, compaction.keep_recent_tokens
    room = Room(
        window=window,
        reserve=int(window * RESERVE_SHARE) if reserve is None else reserve,
        keep=int(window * KEEP_RECENT_SHARE) if keep is None else keep,
    )
    if room.limit < fixed + room.keep + room.summary + LEAST_WORKING_TOKENS:
        left = 1 - RESERVE_SHARE * (reserve is None) - KEEP_RECENT_SHARE * (keep is None)
        needed = (reserve or 0) + (keep or 0) + fixed + LEAST_WORKING_TOKENS
        least = 1 + ceil(max(needed / (left - SUMMARY_SHARE), (needed + LEAST_SUMMARY) / left))
        if (needed + MOST_SUMMARY) / left < least:
            least = 1 + ceil((needed + MOST_SUMMARY) / left)
        raise ConfigurationError(
            f"max_tokens={window} is too small a window: the system prompt and the tools take about {fixed} tokens, "
            f"{room.reserve} are reserved for the answer, {room.keep} for recent messages and {room.summary} for a "
            f"summary, which leaves less than {LEAST_WORKING_TOKENS} to work in; write max_tokens={least} or more, or "
            "leave it out for the model's own window"
        )
    return room
