"""The requests of one agent: who runs, who waits, in order of arrival. No request is performed here."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, TypeAlias

import attrs
import trio

from alloy_trio.loop import Inbox, Performance
from alloy_trio.values import AgentBusy, AgentClosed, ConfigurationError, QueueFull, RequestNotFound, Result

RequestState: TypeAlias = Literal["queued", "running", "withdrawn", "finished"]


@attrs.define(eq=False)
class Ticket:
    """A request on its way through the queue.

    Attributes:
        performance: the run that it is.
        inbox: what is said to it while it runs.
        sent: whether the agent performs it, and not the caller's task.
        scope: around its running.
        state: how far it has come; withdrawn when it will not run, which whoever waits for its turn still has to see.
        turn: set when it may run, or will not.
        finished: set when ``result`` is there.
        refused: that the agent ended first; None if it did not.
        performed: whether it has run at all.
        result: what it came to.
        error: what waiting for it raises, or None.
    """

    performance: Performance
    inbox: Inbox
    sent: bool = False
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    state: RequestState = "queued"
    turn: trio.Event = attrs.field(factory=trio.Event)
    finished: trio.Event = attrs.field(factory=trio.Event)
    refused: AgentClosed | None = None
    performed: bool = False
    result: Result | None = None
    error: BaseException | None = None

    @property
    def id(self) -> str:
        """The request's name."""
        return self.performance.state.request_id

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
        """Whether the agent's end stopped it; it may also have ended by itself at the last moment."""
        return self.refused is not None and self.result is not None and self.result.status == "cancelled"


class Requests:
    """Who runs and who waits.

    While it is paused, requests are taken and none begins to run.

    Args:
        max_pending: how many may wait while one runs.
    """

    def __init__(self, max_pending: int) -> None:
        self.running: Ticket | None = None
        self.waiting: deque[Ticket] = deque()
        self._max_pending = max_pending
        self._paused = True
        self._closed: AgentClosed | None = None
        self._beside: set[trio.CancelScope] = set()
        self._changed = trio.Event()

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
        if waits or len(self.waiting) < allowed:
            return
        if self._max_pending == 0:
            busy = "starts again" if self.running is None else f"runs the request {self.running.id}"
            raise AgentBusy(
                f"the agent {busy}, and queues none; wait for it, or open the agent with max_pending="
            )
        raise QueueFull(
            f"{len(self.waiting)} requests wait already, as many as max_pending allows; try again when one has ended"
        )

    def check_id(self, request_id: str) -> None:
        """Refuse an id that is in use: whom a cancel by it would meet would be chance."""
        if self.find(request_id) is not None:
            raise ConfigurationError(
                f"a request {request_id!r} is queued or running already; give another id"
            )

    def add(self, ticket: Ticket) -> None:
        """Put a request in line; it may run once its ``turn`` is set."""
        self.waiting.append(ticket)
        self._start_next()

    def leave(self, ticket: Ticket) -> None:
        """Say that a request has ended, with its result; lets the next one run."""
        if ticket.state == "queued":
            self.waiting.remove(ticket)
        ticket.state = "finished"
        ticket.finished.set()
        if self.running is ticket:
            self.running = None
        self._start_next()

    def find(self, request_id: str) -> Ticket | None:
        """The request that is queued or running under an id."""
        running = (self.running,) if self.running is not None else ()
        return next((each for each in (*running, *self.waiting) if each.id == request_id), None)

    def cancel(self, request_id: str) -> Ticket:
        """Cancel a request that is queued or running.

        Raises:
            RequestNotFound: there is none of this id.
        """
        ticket = self.find(request_id)
        if ticket is None:
            raise RequestNotFound(f"no request {request_id!r} is queued or running; it may have ended")
        if ticket is self.running:
            ticket.scope.cancel(reason=f"the request {request_id} was cancelled")
        else:
            self._withdraw(ticket)
        return ticket

    def go_on(self) -> None:
        """Let requests run."""
        self._paused = False
        self._start_next()

    def pause(self, reason: AgentClosed) -> None:
        """Let none begin, and stop what runs; what waits goes on waiting."""
        self._paused = True
        if self.running is not None:
            self.running.refused = reason
            self.running.scope.cancel(reason="the agent ended")
        for scope in tuple(self._beside):
            scope.cancel(reason="the agent ended")
        self._changed.set()

    def close(self, reason: AgentClosed) -> tuple[Ticket, ...]:
        """Take no more requests, and stop what runs; returns those that waited and will not run."""
        if self._closed is not None:
            return ()
        self._closed = reason
        self.pause(reason)
        withdrawn = tuple(self.waiting)
        for ticket in withdrawn:
            ticket.refused = reason
            self._withdraw(ticket)
        return withdrawn

    async def next_sent(self) -> Ticket | None:
        """Wait for a request that was sent and whose turn it is; None when they are paused."""
        await trio.lowlevel.checkpoint_if_cancelled()
        while not self._paused:
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
        self._beside.add(scope)
        try:
            with scope:
                yield
        finally:
            self._beside.discard(scope)
            self._changed.set()
        if scope.cancelled_caught:
            self.check_open()
            raise AgentClosed("the agent ended meanwhile; it is being started again")

    def _withdraw(self, ticket: Ticket) -> None:
        self.waiting.remove(ticket)
        ticket.state = "withdrawn"
        ticket.turn.set()

    def _start_next(self) -> None:
        if self.running is None and self.waiting and not self._paused:
            ticket = self.waiting.popleft()
            self.running = ticket
            ticket.state = "running"
            ticket.turn.set()
        self._changed.set()
