"""The requests of one agent: who runs, who waits, in order of arrival. No request is performed here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import attrs
import trio

from alloy_trio.loop import Inbox, Performance, RunState
from alloy_trio.values import (
    AgentBusy,
    AgentClosed,
    AlloyError,
    ConfigurationError,
    ErrorInfo,
    Message,
    QueueFull,
    RequestNotFound,
    Result,
)

RequestState: TypeAlias = Literal["queued", "running", "finished"]


@attrs.define(eq=False)
class Ticket:
    """A request on its way through the queue.

    Attributes:
        run: what it knows of itself.
        make: makes the run that it is; not before its turn, unless somebody reads its events: those that wait are
            many.
        inbox: what is said to it while it runs.
        sent: whether the agent performs it, and not the caller's task.
        before: the paused result that it goes on from, or None.
        scope: around its running.
        state: how far it has come; None while it is in no line yet.
        turn: set when it may run, or will not; another one when it was put back in line.
        finished: set when ``result`` is there.
        refused: that the agent ended first; None if it did not.
        performance: the run, once it was made.
        performed: whether it has begun to run.
        waits_for: the agents that it waits for while it runs; see :mod:`alloy_trio.agents._waits`.
        result: what it came to.
        error: what waiting for it raises, or None.
    """

    run: RunState
    make: Callable[[Ticket], Performance]
    inbox: Inbox
    sent: bool = False
    before: Result | None = None
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    state: RequestState | None = None
    turn: trio.Event = attrs.field(factory=trio.Event)
    finished: trio.Event = attrs.field(factory=trio.Event)
    refused: AgentClosed | None = None
    performance: Performance | None = None
    performed: bool = False
    waits_for: list[Requests] = attrs.field(factory=list)
    result: Result | None = None
    error: BaseException | None = None

    @property
    def id(self) -> str:
        """The request's name."""
        return self.run.request_id

    def begun(self) -> Performance:
        """The run that it is; made now if it was not before.

        Raises:
            AlloyError: it cannot be made.
        """
        if self.performance is None:
            self.performance = self.make(self)
        return self.performance

    def fail(self, error: AlloyError) -> None:
        """Say why it did not begin to run."""
        self.run.end("error", ErrorInfo.of(error))
        self.error = error

    def close(self) -> Result:
        """Say what it came to; ``"cancelled"`` if it never ran. Only once."""
        if self.performance is None:
            self.run.end("cancelled")
        else:
            self.performance.cancel_unstarted()  # it has closed itself if it ran
            self.error = self.error or self.performance.error
        self.result = self.run.result()
        if isinstance(self.error, AlloyError) and self.error.result is None:
            self.error.result = self.result
        # Who keeps the handle of a request keeps its result, and not all that it took to get there.
        self.performance = None
        return self.result

    def unheard(self) -> tuple[Message, ...]:
        """What was said to it and did not reach the model."""
        run, inbox = self.run, self.inbox
        return (*run.steered, *inbox.steered, *run.follow_ups, *inbox.follow_ups)

    def outcome(self) -> Result:
        """What it came to, returned or raised; once it has finished."""
        assert self.result is not None
        if self.was_cut_by_the_end:
            assert self.refused is not None
            raise AgentClosed(*self.refused.args) from self.refused.__cause__
        if self.error is not None:
            raise self.error
        return self.result

    @property
    def was_cut_by_the_end(self) -> bool:
        """Whether the agent's end stopped it, or it is what ended the agent, as Ctrl-C is.

        It may also have ended by itself at the last moment.
        """
        if self.refused is None or self.result is None:
            return False
        return self.result.status == "cancelled" or self.refused.__cause__ is self.error is not None


class Requests:
    """Who runs and who waits.

    While it is paused, requests are taken and none begins to run.

    Args:
        name: the agent's id.
        max_pending: how many may wait while one runs.
    """

    def __init__(self, name: str, max_pending: int) -> None:
        self.name = name
        self.running: Ticket | None = None
        self._waiting: OrderedDict[str, Ticket] | None = None  # made when it is needed: idle agents are many
        self._max_pending = max_pending
        self._paused = True
        self._closed: AgentClosed | None = None
        self._beside: list[trio.CancelScope] = []
        self._changed = trio.Event()

    @property
    def pending(self) -> int:
        """How many wait."""
        return 0 if self._waiting is None else len(self._waiting)

    @property
    def paused(self) -> bool:
        """Whether none begins to run."""
        return self._paused

    @property
    def delegated(self) -> int:
        """How much goes on beside."""
        return len(self._beside)

    @property
    def closed(self) -> AgentClosed | None:
        """Why no more requests are taken; None while they are."""
        return self._closed

    def check_open(self) -> None:
        """Raise :class:`AgentClosed` if the agent has ended."""
        if self._closed is not None:
            raise AgentClosed(*self._closed.args) from self._closed.__cause__

    def check_room(self, *, waits: bool = False) -> None:
        """Refuse a request that could not even wait.

        Args:
            waits: whether it waits however many do.

        Raises:
            AgentClosed: the agent has ended.
            AgentBusy: a request runs, and none may wait.
            QueueFull: as many as may wait do.
        """
        self.check_open()
        # While it is paused the first one waits for it to go on, in the place of the one that would run.
        allowed = self._max_pending + (self.running is None)
        if waits or self.pending < allowed:
            return
        if self._max_pending == 0:
            busy = "starts again" if self.running is None else f"runs the request {self.running.id}"
            raise AgentBusy(
                f"the agent {busy}, and queues none; wait for it, or open the agent with max_pending="
            )
        raise QueueFull(
            f"{self.pending} requests wait already, as many as max_pending allows; try again when one has ended"
        )

    def check_id(self, request_id: str) -> None:
        """Refuse an id that is in use: whom a cancel by it would meet would be chance."""
        if self.find(request_id) is not None:
            raise ConfigurationError(
                f"a request {request_id!r} is queued or running already; give another id"
            )

    @trio.lowlevel.enable_ki_protection
    def add(self, ticket: Ticket) -> None:
        """Put a request in line; it may run once its ``turn`` is set."""
        if self._waiting is None:
            self._waiting = OrderedDict()
        ticket.state = "queued"
        self._waiting[ticket.id] = ticket
        self._start_next()

    @trio.lowlevel.enable_ki_protection
    def leave(self, ticket: Ticket) -> None:
        """Say that a request has ended, with its result; lets the next one run."""
        if ticket.state == "queued" and self._waiting is not None:
            del self._waiting[ticket.id]
        ticket.state = "finished"
        ticket.turn.set()
        ticket.finished.set()
        if self.running is ticket:
            self.running = None
        self._start_next()

    def find(self, request_id: str) -> Ticket | None:
        """The request that is queued or running under an id."""
        if self.running is not None and self.running.id == request_id:
            return self.running
        return None if self._waiting is None else self._waiting.get(request_id)

    def stop(self, request_id: str) -> Ticket | None:
        """Stop a request that is running; returns one that is queued, which has to be committed.

        Raises:
            RequestNotFound: there is none of this id.
        """
        ticket = self.find(request_id)
        if ticket is None:
            raise RequestNotFound(f"no request {request_id!r} is queued or running; it may have ended")
        if ticket is not self.running:
            return ticket
        ticket.scope.cancel(reason=f"the request {request_id} was cancelled")
        return None

    def reopen(self) -> None:
        """Take requests again."""
        self._closed = None

    def go_on(self) -> None:
        """Let requests run."""
        self._paused = False
        self._start_next()

    def pause(self, reason: AgentClosed) -> None:
        """Let none begin, and stop what runs; what waits goes on waiting."""
        self._paused = True
        if self.running is not None and not self.running.performed:
            self._put_back(self.running)
        if self.running is not None:
            # The first reason is the one: what ends an agent may be closed by several.
            self.running.refused = self.running.refused or reason
            self.running.scope.cancel(reason="the agent ended")
        for scope in self._beside:
            scope.cancel(reason="the agent ended")
        self._changed.set()

    def close(self, reason: AgentClosed) -> tuple[Ticket, ...]:
        """Take no more requests, and stop what runs; returns those that wait, which have to be committed."""
        if self._closed is not None:
            return ()
        self._closed = reason
        self.pause(reason)
        waiting = () if self._waiting is None else tuple(self._waiting.values())
        for ticket in waiting:
            ticket.refused = reason
        return waiting

    async def next_sent(self) -> Ticket | None:
        """Wait for a request that was sent and whose turn it is; None when they are paused."""
        while not self._paused:
            # Also when it was woken: a request that is taken in a cancelled life would be cut at once.
            await trio.lowlevel.checkpoint_if_cancelled()
            if self.running is not None and self.running.sent and not self.running.performed:
                return self.running
            self._changed = trio.Event()
            await self._changed.wait()
        return None

    async def wait_idle(self) -> None:
        """Wait until nothing runs."""
        while self.running is not None or self._beside:
            self._changed = trio.Event()
            await self._changed.wait()
        await trio.lowlevel.checkpoint_if_cancelled()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Around work in the agent's name beside its requests: it ends with the agent.

        Raises:
            AgentClosed: the agent has ended, or ended meanwhile.
        """
        self.check_open()
        scope = trio.CancelScope()
        self._beside.append(scope)
        try:
            with scope:
                yield
        finally:
            self._beside.remove(scope)
            self._changed.set()
        if scope.cancelled_caught:
            self.check_open()
            raise AgentClosed("the agent ended meanwhile; it is being started again")

    def _put_back(self, ticket: Ticket) -> None:
        """Its turn had come, but nothing of it was done yet."""
        if self._waiting is None:
            self._waiting = OrderedDict()
        self.running = None
        ticket.state = "queued"
        ticket.turn = trio.Event()
        self._waiting[ticket.id] = ticket
        self._waiting.move_to_end(ticket.id, last=False)

    def _start_next(self) -> None:
        if self.running is None and self._waiting and not self._paused:
            _, ticket = self._waiting.popitem(last=False)
            self.running = ticket
            ticket.state = "running"
            ticket.turn.set()
        self._changed.set()
