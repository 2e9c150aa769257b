"""When the next request of an account may start. Pure: times and counts in, times out.

Theory of operation. Four bounds hold at once, and the latest of them decides:

* what the user said: at most so many requests, and so many tokens, start within any 60 seconds. The starts of
  the last minute are kept; a token count is an estimate until the answer's usage settles it;
* a pause that the vendor asked for with a 429: nobody starts before its end;
* a limit learned from 429s: what the vendor let through within the last minute is what it lets through. The
  refused starts are taken off, so the figure falls to the true one as the errors of a burst come in; it is
  raised again by half with each minute without a 429;
* what response headers said is left, refilled evenly up to their reset, less what started since.

Time comes in with each call and never goes back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import attrs

from ._allowances import Allowance, Kind

WINDOW_SECONDS = 60.0
"""The limits are those of a minute, as every vendor states them."""

LEAST_TAUGHT = 3
"""Requests that must have been let through within a minute before a 429 teaches a limit. With fewer, others use
the account too, or the limit is of another kind: that is no rate of ours, and the pause is answer enough."""

GROWTH = 1.5
"""By how much a learned limit is raised after a minute without a 429. Arbitrary: threefold in three minutes, at the
price of a third refused in the minute that goes too far."""

FORGOTTEN_AFTER = 15
"""Minutes without a 429 after which a learned limit is forgotten: raised so often, it holds nothing back."""

FIRST_PAUSE = 1.0
"""Seconds of pause after a 429 without a hint; doubles with each further one until an answer comes."""

LONGEST_PAUSE = 60.0
"""Upper bound of a pause that we choose: a minute's limit is whole again then."""


@attrs.define(eq=False)
class Start:
    """One request that was let through."""

    at: float
    tokens: int
    refused: bool = False


@attrs.define(eq=False)
class _Rest:
    """What is left of a limit that headers told of."""

    level: float
    limit: float
    per_second: float
    at: float
    whole_at: float

    def level_at(self, now: float) -> float:
        return min(self.limit, self.level + (now - self.at) * self.per_second)


@attrs.define(eq=False)
class Account:
    """What one account used within the last minute, and what is known of its limits."""

    requests_per_minute: float | None = None
    tokens_per_minute: int | None = None
    paused_until: float = -math.inf
    tokens: int = attrs.field(default=0, init=False)
    _starts: deque[Start] = attrs.field(factory=deque, init=False)
    _rests: dict[Kind, tuple[Start, _Rest]] = attrs.field(factory=dict, init=False)
    _learned: float = attrs.field(default=math.inf, init=False)
    _refused_at: float = attrs.field(default=-math.inf, init=False)
    _pause: float = attrs.field(default=0.0, init=False)

    def learned_limit(self, now: float) -> float:
        """Requests a minute that 429s have taught; ``inf`` if there were none lately."""
        self._forget(now)
        if self._learned == math.inf:
            return math.inf
        return self._learned * math.pow(GROWTH, (now - self._refused_at) // WINDOW_SECONDS)

    def requests(self, now: float) -> int:
        """How many started within the last minute, refused ones included."""
        self._forget(now)
        return len(self._starts)

    def ready_at(self, needs: Sequence[int], now: float) -> float:
        """When the last of some requests may start, if they start in this order and nothing else happens.

        Args:
            needs: their tokens. One that is above the whole limit counts as the whole limit, or it never could.
            now: seconds on the clock that all times here are of.
        """
        self._forget(now)
        most = math.inf if self.requests_per_minute is None else self.requests_per_minute
        most_tokens = math.inf if self.tokens_per_minute is None else self.tokens_per_minute
        allowed = self.learned_limit(now)
        at = max(now, self.paused_until)
        count = len(self._starts) + len(needs)
        if count <= min(most, allowed) and self.tokens + sum(needs) <= most_tokens and not self._rests:
            return at
        window = [(start.at, start.tokens, not start.refused) for start in self._starts]
        tokens, accepted, oldest = self.tokens, sum(counts for _, _, counts in window), 0
        levels = {kind: rest.level_at(now) for kind, (_, rest) in self._rests.items()}
        for wanted in needs:
            need = min(wanted, most_tokens)
            while oldest < len(window) and (
                len(window) - oldest + 1 > most or tokens + need > most_tokens or accepted + 1 > allowed
            ):
                started, freed, counted = window[oldest]
                at = max(at, started + WINDOW_SECONDS)
                tokens, accepted, oldest = tokens - freed, accepted - counted, oldest + 1
            for kind, (_, rest) in self._rests.items():
                levels[kind] -= min(need if kind == "tokens" else 1, rest.limit)
                if levels[kind] < 0:
                    at = max(at, min(now - levels[kind] / rest.per_second, rest.whole_at))
            window.append((at, int(need), True))
            tokens, accepted = tokens + int(need), accepted + 1
        return at

    def start(self, tokens: int, now: float) -> Start:
        """Let a request through that needs so many tokens, as far as is known."""
        start = Start(now, tokens)
        self._starts.append(start)
        self.tokens += tokens
        for kind, (_, rest) in self._rests.items():
            rest.level = rest.level_at(now) - (tokens if kind == "tokens" else 1)
            rest.at = now
        return start

    def settle(self, start: Start, tokens: int) -> None:
        """Correct the estimate of a request by what it used."""
        # One that has left the window is not in the sum any more; its own count is then of no effect.
        if self._starts and start.at >= self._starts[0].at:
            self.tokens += tokens - start.tokens
        start.tokens = tokens

    def accept(self) -> None:
        """The vendor took a request: pauses without a hint begin small again."""
        self._pause = 0.0

    def refuse(self, start: Start, retry_after: float | None, now: float) -> None:
        """The vendor refused a request with a 429, asking for a pause or not."""
        learned = self.learned_limit(now)
        start.refused = True
        accepted = sum(not other.refused for other in self._starts)
        self._learned = float(accepted) if accepted >= LEAST_TAUGHT else learned
        if retry_after is None:
            # The errors of one burst are one refusal.
            if start.at > self._refused_at or self._pause == 0.0:
                self._pause = min(2 * self._pause or FIRST_PAUSE, LONGEST_PAUSE)
            retry_after = self._pause
        self._refused_at = now
        self.paused_until = max(self.paused_until, now + retry_after)

    def observe(self, start: Start, allowance: Allowance, now: float) -> None:
        """Take in what the headers of a request's answer said; a later request's word stands."""
        known = self._rests.get(allowance.kind)
        if known is not None and known[0].at > start.at:
            return
        self._rests.pop(allowance.kind, None)
        missing = allowance.limit - allowance.remaining
        if missing <= 0 or allowance.refill_seconds <= 0:
            return
        level = allowance.remaining
        for later in reversed(self._starts):
            if later is start or later.at < start.at:
                break
            level -= later.tokens if allowance.kind == "tokens" else 1
        rest = _Rest(
            level,
            allowance.limit,
            missing / allowance.refill_seconds,
            now,
            now + allowance.refill_seconds,
        )
        self._rests[allowance.kind] = (start, rest)

    def _forget(self, now: float) -> None:
        starts = self._starts
        while starts and starts[0].at + WINDOW_SECONDS <= now:
            self.tokens -= starts.popleft().tokens
        for kind in [kind for kind, (_, rest) in self._rests.items() if rest.whole_at <= now]:
            del self._rests[kind]
        if now - self._refused_at >= FORGOTTEN_AFTER * WINDOW_SECONDS:
            self._learned = math.inf
