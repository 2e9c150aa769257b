"""One limiter for all who share an account: a queue in order of arrival before a provider."""

from __future__ import annotations

import math
import threading
import weakref
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import attrs
import trio

from alloy_trio._asking import pass_on
from alloy_trio._attempts import MAX_HINT_SECONDS
from alloy_trio._seed import source
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.values import (
    Completion,
    CompletionRequest,
    ConfigurationError,
    RateLimited,
    RemoteError,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)

from ._account import Account, Start
from ._allowances import Headers, allowances, headers_watched
from ._around import Around

BYTES_PER_TOKEN = 4
"""The vendors' own rule of thumb for English. It is only the estimate that usage corrects."""

MEDIA_TOKENS = 1_500
"""For an image or a document; the vendors count from some 250 to some thousands."""

FIRST_OUTPUT_GUESS = 1_000
"""Output tokens of a request without ``max_tokens`` before any answer has shown what is usual. Arbitrary."""

OUTPUT_MEMORY = 0.8
"""How much of the usual output stays when a new answer is averaged in."""


@attrs.frozen(kw_only=True)
class LimitStatistics:
    """Where a :class:`RateLimit` stands, in the current ``trio.run``.

    Args:
        waiting: requests in the queue.
        running: requests that were let through and have not ended.
        started: requests that were let through so far.
        refused: those of them that the vendor answered with a rate limit error.
        given_up: requests that left the queue with a RateLimited of ours, because the wait was too long.
        requests_last_minute: those that started within the last 60 seconds.
        tokens_last_minute: their tokens: used, or as long as that is not known, estimated.
        paused_seconds: how long nobody starts because the vendor said so; 0.0 when it did not.
        learned_requests_per_minute: what rate limit errors have taught; None if nothing.
    """

    waiting: int
    running: int
    started: int
    refused: int
    given_up: int
    requests_last_minute: int
    tokens_last_minute: int
    paused_seconds: float
    learned_requests_per_minute: float | None


class RateLimit(Around):
    """Holds requests back so that an account's limits are kept, and serves them in order of arrival.

    Share one object among all agents of the account, in one ``trio.run``; each run of trio counts for itself. At
    most ``requests_per_minute`` requests, and so many that their tokens stay within ``tokens_per_minute``, start
    within any 60 seconds. A request's tokens are estimated before (its bytes, and its ``max_tokens``) and corrected
    by its usage after. Also without any number it learns: a rate limit error pauses everybody for as long as the
    vendor asks and, after a burst, teaches how much a minute is let through; the rate limit headers of OpenAI,
    Azure, Anthropic, Groq and Mistral tell what is left.

    It does not try again. Put it inside of :class:`Retry` and :class:`Fallback`, as in
    ``Retry(RateLimit(provider))``, so that each attempt takes its turn.

    Args:
        provider: the one that is asked.
        requests_per_minute: None for no number of ours.
        tokens_per_minute: input and output, cached input included; None for no number of ours.

    Raises:
        ConfigurationError: an argument cannot work.
    """

    def __init__(
        self,
        provider: Provider,
        requests_per_minute: float | None = None,
        tokens_per_minute: int | None = None,
    ) -> None:
        super().__init__(provider)
        self.handles_failures = provider.handles_failures
        self.requests_per_minute = _checked_rate("requests_per_minute", requests_per_minute)
        self.tokens_per_minute = _checked_rate("tokens_per_minute", tokens_per_minute)
        self._provider = provider
        # By trio run, and beyond the last exit: whoever enters again a second later has not got a new minute.
        self._lines: weakref.WeakKeyDictionary[trio.lowlevel.TrioToken, _Line] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def statistics(self) -> LimitStatistics:
        """Where the queue and the account stand.

        Raises:
            RuntimeError: called outside of ``trio.run``.
        """
        return self._line().statistics()

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask for the whole answer once it is this request's turn; see :meth:`alloy_trio.abc.Provider.complete`.

        Raises:
            RateLimited: also at once, when its turn would come after the effective deadline, or when the vendor asked
                for a pause of more than two minutes; ``retry_after`` is the wait.

        *Cancellation*: a waiting request leaves the queue; one that runs keeps its tokens reserved, for the vendor
        may have counted them.
        *Ordering*: requests start in the order of their calls.
        """
        return await self._line().through(request, partial(pass_on, self._provider, request))

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        """Ask for the answer's pieces once it is this request's turn; see :meth:`complete`."""
        return await self._line().through(request, partial(pass_on, self._provider, request, deltas))

    def _line(self) -> _Line:
        token = trio.lowlevel.current_trio_token()
        with self._lock:
            line = self._lines.get(token)
            if line is None:
                account = Account(self.requests_per_minute, self.tokens_per_minute)
                line = self._lines[token] = _Line(self.name, account)
            return line


@attrs.define(eq=False)
class _Caller:
    """One request in the queue."""

    tokens: int
    moved: trio.Event = attrs.field(factory=trio.Event)


@attrs.define(eq=False)
class _Line:
    """The queue before an account, within one ``trio.run``.

    Only the first in it looks at the clock; the others sleep until somebody before them has left.
    """

    name: str
    account: Account
    waiting: OrderedDict[_Caller, None] = attrs.field(factory=OrderedDict)
    running: int = 0
    started: int = 0
    refused: int = 0
    given_up: int = 0
    usual_output: float = FIRST_OUTPUT_GUESS

    def statistics(self) -> LimitStatistics:
        now, account = trio.current_time(), self.account
        learned = account.learned_limit(now)
        return LimitStatistics(
            waiting=len(self.waiting),
            running=self.running,
            started=self.started,
            refused=self.refused,
            given_up=self.given_up,
            requests_last_minute=account.requests(now),
            tokens_last_minute=account.tokens,
            paused_seconds=max(account.paused_until - now, 0.0),
            learned_requests_per_minute=None if learned == math.inf else learned,
        )

    async def through(
        self, request: CompletionRequest, ask: Callable[[], Awaitable[Completion]]
    ) -> Completion:
        """Wait for the turn, ask, and count what it used."""
        output = self.usual_output if request.max_tokens is None else request.max_tokens
        start = await self._turn(_input_tokens(request) + int(output))
        self.running += 1
        try:
            with headers_watched(partial(self._headers, start)):
                completion = await ask()
        except RemoteError as error:
            self._failed(start, error)
            raise
        finally:
            self.running -= 1
        used = completion.usage + completion.other_usage
        self.usual_output = OUTPUT_MEMORY * self.usual_output + (1 - OUTPUT_MEMORY) * used.output_tokens
        self.account.settle(start, used.total_tokens)
        self.account.accept()
        self._wake_first()
        return completion

    async def _turn(self, tokens: int) -> Start:
        """Wait until the request may start, and start it.

        *Cancellation*: the queue is as if the request had never been in it.
        """
        # Who is cancelled already takes nobody's place.
        await trio.lowlevel.checkpoint_if_cancelled()
        caller = _Caller(tokens)
        self.waiting[caller] = None
        try:
            # Those before it may leave early, so what is found here is true only if nobody does; but who is told
            # at once that the queue is too long can go elsewhere at once.
            if trio.current_effective_deadline() < math.inf:
                self._check_wait(
                    self.account.ready_at([one.tokens for one in self.waiting], trio.current_time())
                )
            while True:
                ready_at = math.inf
                if next(iter(self.waiting)) is caller:
                    now = trio.current_time()
                    ready_at = self.account.ready_at([tokens], now)
                    if ready_at <= now:
                        self.started += 1
                        return self.account.start(tokens, now)
                    self._check_wait(ready_at)
                else:
                    self._check_wait(self.account.paused_until)
                caller.moved = trio.Event()
                with trio.move_on_at(ready_at):
                    await caller.moved.wait()
        finally:
            del self.waiting[caller]
            self._wake_first()

    def _check_wait(self, ready_at: float) -> None:
        now = trio.current_time()
        wait, remaining = ready_at - now, trio.current_effective_deadline() - now
        # With nothing remaining the cancel is on its way; an error of ours would only hide it.
        if wait >= remaining > 0:
            reason = f"which is past the deadline in {remaining:.3g} s"
        elif self.account.paused_until - now > MAX_HINT_SECONDS:
            reason = f"more than the {MAX_HINT_SECONDS:g} s that are waited for a vendor's pause"
        else:
            return
        self.given_up += 1
        raise RateLimited(
            f"{self.name}: the account's rate limits let this request start in {wait:.3g} s, {reason}; "
            "give it more time, ask for less at once, or use another provider",
            retry_after=wait,
            provider=self.name,
        )

    def _headers(self, start: Start, headers: Headers) -> None:
        now = trio.current_time()
        for allowance in allowances(headers, now=source().now_ms() / 1000):
            self.account.observe(start, allowance, now)
        self._wake_first()

    def _failed(self, start: Start, error: RemoteError) -> None:
        if isinstance(error, RateLimited):
            self.refused += 1
            self.account.refuse(start, error.retry_after, trio.current_time())
        turned_away = isinstance(error, RateLimited) or (
            error.status is not None and 400 <= error.status < 500
        )
        # Of one that broke off nobody knows what the vendor counts; its reservation leaves with its minute.
        if turned_away or error.usage.total_tokens > start.tokens:
            self.account.settle(start, error.usage.total_tokens)
        # A pause concerns everybody: those whose deadlines come before its end give up now.
        for caller in self.waiting:
            caller.moved.set()

    def _wake_first(self) -> None:
        if self.waiting:
            next(iter(self.waiting)).moved.set()


def _input_tokens(request: CompletionRequest) -> int:
    size = _size(request.system) + sum(
        _size(tool.description) + _size(tool.input_schema) for tool in request.tools
    )
    media = 0
    for message in request.messages:
        for block in message.content:
            if isinstance(block, Text | Thinking):
                size += _size(block.text)
            elif isinstance(block, ToolUse):
                size += _size(block.input)
            elif isinstance(block, ToolResult) and isinstance(block.content, str):
                size += _size(block.content)
            elif isinstance(block, ToolResult):
                size += _size(block.text)
                media += sum(not isinstance(part, Text) for part in block.content)
            else:
                media += 1
    return size // BYTES_PER_TOKEN + media * MEDIA_TOKENS


def _size(value: Any) -> int:
    """About how many bytes a value takes on the wire."""
    if isinstance(value, str):
        # Asking whether it is ASCII costs nothing, encoding a copy.
        return len(value) if value.isascii() else len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, dict):
        return sum(len(key) + _size(item) + 4 for key, item in value.items())
    if isinstance(value, list | tuple):
        return sum(_size(item) + 1 for item in value)
    return 0 if value is None else 4


def _checked_rate(what: str, value: Any) -> Any:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 1 <= value < math.inf:
        raise ConfigurationError(f"{what}={value!r} must be a number, 1 or more, or None for none")
    return value
