"""What is done when a conversation no longer fits: decided here, carried out by the loop. Pure.

Theory of operation
    A conversation is shortened when the next request would be larger than its window less a reserve for the answer.
    A shortening costs the vendor's cache of the prefix, so each one makes room for many turns:

    1. Results of calls that are no longer recent are cleared, all of them at once. Mostly they are the bulk, and what
       mattered in them was said. If that makes enough room it is all that is done.
    2. Newest results that are too large by themselves are cut in the middle, which costs no cache: nobody has seen
       them yet.
    3. Otherwise a summary takes the place of the old messages. The user's first request, the present one and the
       recent messages stay word for word; calls are never parted from their results.
    4. A summary that cannot be had is replaced by a note (see :func:`Plan.shortened`).

    Where what has to stay is too large by itself, the results in it are cut in the middle. What the user said last is
    never cut.

    All sums are in estimated tokens; ``scale`` says how many tokens one of them is (:class:`~._tokens.Gauge`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import attrs

from alloy_trio.values import Message

from ._clearing import clear_results, cut_results, cut_text
from ._room import Room
from ._stripping import without_reasoning
from ._summary import (
    INSTRUCTION,
    LONGEST_SUMMARIES,
    RECORD_PART,
    RECORD_SYSTEM,
    UPDATE,
    is_summary,
    summary_message,
    summary_texts,
    truncation_message,
)
from ._tokens import LEAST_RATIO, MESSAGE_TOKENS, MOST_RATIO, estimate_message, estimate_text
from ._units import as_request, first_request, present_request, recent_from

AFTER_SHARE = 0.6
"""Of what a request may have, what is left at most where that is possible: the rest is the room of the next turns."""

LEAST_GAIN_SHARE = 1 / 16
"""Of the window, what a shortening gains at least, unless without it the request would be too large."""

FIRST_REQUEST_SHARE = 1 / 4
"""Of the window, what the first request may take of a conversation that has gone on to other requests."""

FRESH_SHARE = 1 / 2
"""Of what a request may have, what the newest results take at most: more than a model reads with care."""

FRESH_AFTER_SHARE = 0.8
"""Of what a request may have, what is left at most when only the newest results were cut; else more has to go."""

HARDER = 1 / 2
"""What is left, by our own count, of a request that the vendor found too large."""


@attrs.frozen(kw_only=True)
class Plan:
    """How a conversation is shortened.

    Args:
        kind: ``"cleared"``: results were cleared; ``"cut"``: results were cut; ``"summarised"``: a summary is to be
            asked for.
        messages: the conversation as it is.
        shortened: the conversation without a model's help. For a summary that is what is left when there is none: the
            first request, a note, and the recent messages.
        old: the messages that go, or that lose results; earlier summaries are not among them.
        previous: what earlier summaries say.
        recent: the place from which on messages stay.
        room: the window.
        scale: tokens for each estimated token.
        before: the estimate of the request as it is.
        after: the estimate of the request with ``shortened``.
        fixed: the estimate of the system prompt and the tools.
        harder: whether the vendor had found the request too large.
    """

    kind: Literal["cleared", "cut", "summarised"]
    messages: tuple[Message, ...]
    shortened: tuple[Message, ...]
    old: tuple[Message, ...]
    previous: str = ""
    recent: int = 0
    room: Room
    scale: float
    before: int
    after: int
    fixed: int
    harder: bool = False

    @property
    def old_tokens(self) -> int:
        """The estimate of what a summary takes the place of."""
        return sum(map(estimate_message, self.old)) + estimate_text(self.previous)

    @property
    def most_summary_tokens(self) -> int:
        """The estimate of a summary at most."""
        beside = self.after - estimate_text(self.previous)
        left = max(self.room.limit / self.scale - beside, self.room.summary / self.scale)
        return int(min(LONGEST_SUMMARIES * self.room.summary / self.scale, left))

    @property
    def part_tokens(self) -> int:
        """The estimate of what fits of a record into a request for a summary, beside the summary so far."""
        words = estimate_text(RECORD_SYSTEM + RECORD_PART + INSTRUCTION + UPDATE) + 2 * MESSAGE_TOKENS
        window = self.room.limit / self.scale
        return int(window - words - self.most_summary_tokens - self.room.summary / self.scale)

    def askable(self, wish: int) -> Iterator[tuple[Message, ...]]:
        """The conversations of which a summary can be asked for in place, the better one first.

        Args:
            wish: the estimate of what is added to them.
        """
        most = (self.room.window - self.room.summary) / self.scale - wish - MESSAGE_TOKENS
        if self.before <= most:
            yield self.messages
        if self.fixed + sum(map(estimate_message, self.messages[: self.recent])) <= most:
            yield self.messages[: self.recent]

    def summarised(self, text: str) -> tuple[Message, ...]:
        """The conversation with a summary in place of the old messages."""
        return tuple(summary_message(text) if is_summary(message) else message for message in self.shortened)


@attrs.frozen
class Compact:
    """A step of a run: shorten the conversation; the outcome is a Compacted."""

    plan: Plan


@attrs.frozen
class Compacted:
    """The conversation that takes the place of the one that was planned for."""

    messages: tuple[Message, ...]


def plan(
    messages: Sequence[Message],
    sizes: Sequence[int],
    *,
    room: Room,
    fixed: int,
    size: int,
    harder: bool = False,
) -> Plan | None:
    """How a conversation is to be shortened; None when it fits, or when nothing would be gained.

    Args:
        messages: a valid conversation.
        sizes: the estimate of each message.
        room: the window.
        fixed: the estimate of the system prompt and the tools.
        size: the tokens of the request as it is, as well as it is known.
        harder: the vendor found the request too large, whatever it is by our count.
    """
    if not messages or (size <= room.limit and not harder):
        return None
    before = fixed + sum(sizes)
    scale = min(max(size / before, LEAST_RATIO), MOST_RATIO)
    planner = _Planner(tuple(messages), tuple(sizes), room, fixed, scale, before, harder)
    for shorten in (planner.cleared, planner.fresh_cut, planner.summarised, planner.cut):
        made = shorten()
        if made is not None and planner.is_worth(made):
            return made
    return None


class _Planner:
    def __init__(
        self,
        messages: tuple[Message, ...],
        sizes: tuple[int, ...],
        room: Room,
        fixed: int,
        scale: float,
        before: int,
        harder: bool,
    ) -> None:
        self._messages = messages
        self._sizes = sizes
        self._room = room
        self._fixed = fixed
        self._scale = scale
        self._before = before
        self._harder = harder
        limit = room.limit / scale
        self._limit = min(limit, before * HARDER) if harder else limit
        self._goal = self._limit * AFTER_SHARE
        self._keep = room.keep / scale * (HARDER if harder else 1)

    def is_worth(self, made: Plan) -> bool:
        gain = self._before - made.after
        if self._harder:
            return gain > 0
        within = self._before > self._limit >= made.after
        return gain * self._scale >= self._room.window * LEAST_GAIN_SHARE or (within and gain > 0)

    def cleared(self) -> Plan | None:
        recent = recent_from(self._messages, self._sizes, self._keep)
        messages = clear_results(self._messages, recent)
        changed = [old for old, new in zip(self._messages, messages, strict=True) if new is not old]
        if not changed:
            return None
        made = self._plan("cleared", messages, old=tuple(changed), recent=recent)
        return made if made.after <= self._goal else None

    def fresh_cut(self) -> Plan | None:
        """Only the newest results cut, where they alone are too large: nobody has seen them, so no cache is lost."""
        last = len(self._messages) - 1
        most = int(self._limit * FRESH_SHARE)
        messages = cut_results(self._messages, last, most)
        if messages[last] is self._messages[last]:
            return None
        # What stands before is as it was, its reasoning included.
        made = self._plan("cut", messages, old=self._messages[last:], is_changed_before=False)
        return made if made.after <= self._limit * FRESH_AFTER_SHARE else None

    def summarised(self) -> Plan | None:
        messages, first, present = (
            self._messages,
            first_request(self._messages),
            present_request(self._messages),
        )
        kept_first = None if first is None else self._first(first, is_present=first == present)
        beside = self._fixed + self._room.summary / self._scale
        if kept_first is not None:
            beside += estimate_message(kept_first)
        if present is not None and present != first:
            beside += self._sizes[present]
        recent = recent_from(messages, self._sizes, min(self._keep, self._goal - beside))
        gone = [
            message
            for place, message in enumerate(messages[:recent])
            if place not in (first, present) and not is_summary(message)
        ]
        if first is not None and first < recent and kept_first != as_request(messages[first]):
            gone.insert(0, messages[first])  # for the summary's sake: it keeps a part only
        if not gone:
            return None
        previous = summary_texts(messages[:recent])
        tail = list(messages[recent:])
        if present is not None and present < recent and present != first:
            tail.insert(0, as_request(messages[present]))
        head = [] if kept_first is None or (first is not None and first >= recent) else [kept_first]
        note = truncation_message(len(gone), previous)
        shortened = self._fitted((*head, note, *tail), start=len(head) + 1)
        return self._plan("summarised", shortened, old=tuple(gone), previous=previous, recent=recent)

    def cut(self) -> Plan | None:
        messages = self._fitted(self._messages, start=0)
        changed = [old for old, new in zip(self._messages, messages, strict=True) if new is not old]
        return self._plan("cut", messages, old=tuple(changed)) if changed else None

    def _first(self, place: int, *, is_present: bool) -> Message:
        message = as_request(self._messages[place])
        most = int(self._room.window * FIRST_REQUEST_SHARE / self._scale)
        if is_present or estimate_message(message) <= most:
            return message
        # The conversation has gone on to something else: what was pasted into its beginning may not fill it for ever.
        return Message.user(cut_text(message.text or "[What the user sent is no text]", most))

    def _fitted(self, messages: Sequence[Message], *, start: int) -> tuple[Message, ...]:
        """The messages, results cut as far as is needed to keep them within the limit, summary included."""
        sizes = [estimate_message(message) for message in messages]
        room = self._fixed + self._room.summary / self._scale
        over = room + sum(sizes) - self._limit
        if over <= 0:
            return tuple(messages)
        over += (
            self._limit - self._goal
        )  # once it has to be done, for some turns; and what is cut was not measured yet
        results = [
            estimate_message(message) - estimate_message(as_request(message)) for message in messages[start:]
        ]
        return cut_results(messages, start, max(int(sum(results) - over), 0))

    def _plan(
        self,
        kind: Literal["cleared", "cut", "summarised"],
        messages: Sequence[Message],
        *,
        old: tuple[Message, ...],
        previous: str = "",
        recent: int = 0,
        is_changed_before: bool = True,
    ) -> Plan:
        lean = tuple(messages)
        if is_changed_before:
            lean = tuple(kept for message in messages if (kept := without_reasoning(message)) is not None)
        return Plan(
            kind=kind,
            messages=self._messages,
            shortened=lean,
            old=old,
            previous=previous,
            recent=recent,
            room=self._room,
            scale=self._scale,
            before=self._before,
            after=self._fixed + sum(map(estimate_message, lean)),
            fixed=self._fixed,
            harder=self._harder,
        )
