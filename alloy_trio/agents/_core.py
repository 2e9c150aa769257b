"""What an agent is made of: its conversation, its requests, and its life.

Theory of operation. A request is a run of the turn loop whose history is the agent's. Whoever asks takes a ticket,
waits for its turn and performs the run: in the caller's task, so that its deadlines and its cancellation reach
everything below, or, for what was only sent, in the agent's own. What a run came to is committed in one step after
its last await, so the conversation is as it was, or has the whole of what was said.

The conversation and the requests outlive a life: an agent under supervision has several, one after another.
"""

from __future__ import annotations

import copy
import logging
from datetime import UTC, datetime
from typing import Any

import attrs
import trio

from alloy_trio._abc import Provider
from alloy_trio._broadcast import Broadcast
from alloy_trio._scopes import split_cancelled
from alloy_trio._seed import source
from alloy_trio.loop import Inbox, Options, Performance, Surroundings, here, new_state
from alloy_trio.tools import Belongings
from alloy_trio.values import AgentBusy, AgentClosed, Message, Result, Session
from alloy_trio.wire import repair

from ._options import Life
from ._reports import Counts, kept_state
from ._requests import Requests, Ticket

_logger = logging.getLogger("alloy_trio.agents")

SESSION_END_SECONDS = 5.0
"""How long what is to be done at an agent's end may take: middleware's and ``on_shutdown``. Arbitrary; a database
answers in far less, and a program that is being stopped is killed after ten seconds by most supervisors."""

RESPONSES = "responses"
"""The topic of an agent's own Broadcast, on which its Results are published."""


class Core:
    """The inside of an agent.

    Args:
        id: its name.
        provider: the model to ask.
        options: of its runs.
        life: of its life.
        supervised: whether an exception that is no AlloyError ends its life, for a supervisor to decide; otherwise it
            only fails its request.

    Attributes:
        messages: the conversation; always valid.
        state: what its tools remember.
        owner: whom tools and middleware are shown.
    """

    def __init__(
        self, id: str, provider: Provider, options: Options, life: Life, *, supervised: bool = False
    ) -> None:
        session = life.session
        self.id = id
        self.provider = provider
        self.options = attrs.evolve(options, messages=())
        self.life = life
        self.requests = Requests(life.max_pending)
        self.responses = Broadcast()
        self.counts = Counts()
        self.messages = repair(options.messages if session is None else session.messages)
        self.state: dict[str, Any] = {}
        self._supervised = supervised
        self.owner: Any = None
        self._belongings = Belongings()
        self._metadata: dict[str, Any] = {}
        self._created_at = _now()
        self._crash: BaseException | None = None
        self._nursery: trio.Nursery | None = None
        self._hooks = trio.CancelScope()
        if session is not None:
            self._metadata = copy.deepcopy(session.metadata)
            self.state = self._metadata.pop("state", {})
            self._created_at = session.created_at
            self.counts.usage = session.usage

    def belong_to(self, agent: Any) -> None:
        """Say whom tools and middleware are shown."""
        self.owner = agent

    # Requests

    def check_not_inside(self) -> None:
        """Refuse to wait for oneself.

        Raises:
            AgentBusy: the caller is part of a request of this agent.
        """
        above = here.get()
        if above is not None and any(agent is self.owner for agent in above.agents):
            raise AgentBusy(
                f"the agent {self.id} is asked from inside of its own request, which would wait for itself for ever; "
                "use send, or delegate"
            )

    def new_ticket(
        self,
        prompt: str | Message,
        request_id: str | None = None,
        *,
        listened: bool = False,
        sent: bool = False,
        part: bool = False,
    ) -> Ticket:
        """Take a place in line; from here on :meth:`commit` has to be reached.

        Args:
            prompt: the question.
            request_id: its name; None for a new one.
            listened: whether its events will be read.
            sent: whether the agent performs it.
            part: whether it is part of the run that the caller belongs to; then it waits however many do.
        """
        self.requests.check_room(waits=part)
        above = here.get() if part else None
        options = attrs.evolve(self.options, request_id=request_id)
        inbox = Inbox()
        surroundings = Surroundings(
            agent=self.owner,
            parent=None if above is None else above.emitter,
            budget=None if above is None else above.budget,
            state=self.state,
            belongings=self._belongings,
            inbox=inbox,
            provider=lambda: self.provider,
            session_is_open=True,
        )
        state = new_state(prompt, options)
        self.requests.check_id(state.request_id)
        performance = Performance(state, self.provider, options, surroundings, listened=listened)
        ticket = Ticket(performance, inbox, sent)
        self.requests.add(ticket)
        return ticket

    async def perform(self, ticket: Ticket) -> None:
        """Wait for the turn, run, and commit.

        Raises:
            Exception: it failed by something that is no AlloyError; that is in the ticket.
        """
        try:
            await ticket.turn.wait()
            if ticket.state == "running":
                with ticket.scope:
                    ticket.performed = True
                    ticket.performance.go_on_from(self.messages)
                    await ticket.performance.perform()
        except BaseException as error:
            ticket.error = split_cancelled(error)[1]
            if self._supervised and isinstance(ticket.error, Exception):
                self._crash = ticket.error
                self.requests.pause(self._closed_by(ticket.error))
            raise
        finally:
            self.commit(ticket)

    async def answer(self, prompt: str | Message) -> Result:
        """Answer in the caller's task, as a part of the run that it belongs to, however many wait."""
        ticket = self.new_ticket(prompt, part=True)
        await self.perform(ticket)
        return ticket.outcome()

    def cancel(self, request_id: str) -> None:
        """Cancel a request that is queued or running."""
        ticket = self.requests.cancel(request_id)
        if ticket.sent and ticket.state == "withdrawn":
            self.commit(ticket)  # nobody waits for its turn

    @trio.lowlevel.enable_ki_protection
    def commit(self, ticket: Ticket) -> None:
        """Take what a request came to into the conversation; without an await. Twice is once."""
        if ticket.state == "finished":
            return
        performance = ticket.performance
        if not ticket.performed:
            performance.cancel_unstarted()
        state = performance.state
        ticket.result = result = state.result()
        ticket.error = ticket.error or performance.error
        if ticket.performed:
            unheard = (*state.steered, *ticket.inbox.steered, *state.follow_ups, *ticket.inbox.follow_ups)
            self.messages = (*result.messages, *unheard)
        self.counts.add(result)
        self.requests.leave(ticket)
        self.responses.publish(RESPONSES, result)
        if self.life.broadcast is not None:
            self.life.broadcast.publish(f"agent:{self.id}:responses", result)

    # Its life

    def change_provider(self, provider: Provider) -> None:
        """Ask another model from the next call on."""
        self.provider = provider
        if self._nursery is not None:
            self._nursery.start_soon(self._hold_open, provider)

    def session(self) -> Session:
        """The conversation as a value."""
        return Session(
            id=self.id,
            messages=self.messages,
            usage=self.counts.usage,
            metadata={**copy.deepcopy(self._metadata), "state": kept_state(self.state)},
            created_at=self._created_at,
            updated_at=_now(),
        )

    def close(self, cause: BaseException | None = None) -> None:
        """Take no more requests and end those there are. Twice is once."""
        for ticket in self.requests.close(self._closed_by(cause)):
            if ticket.sent:
                self.commit(ticket)

    async def aclose(self) -> None:
        """Let go of what outlived its life; ``on_shutdown`` has :data:`SESSION_END_SECONDS`.

        *Cancellation*: does not keep anything from being closed.
        """
        self.close()
        self.responses.end()
        try:
            if self.life.on_shutdown is not None:
                with trio.move_on_after(SESSION_END_SECONDS, shield=True) as scope:
                    await self.life.on_shutdown(self.session())
                self._warn_if_cut(scope)
        finally:
            await self._belongings.aclose()

    async def live(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """One life: until it is closed, cancelled, or crashes. Requests run while it lasts.

        Raises:
            Exception: what crashed it.

        *Cancellation*: what runs is stopped, and the ends of the session are made, shielded and bounded.
        """
        self._crash = None
        self._started = task_status.started
        self._hooks = trio.CancelScope()
        try:
            async with self.provider, trio.open_nursery() as nursery:
                self._nursery = nursery
                if self.life.broadcast is not None and self.life.subscribe:
                    from ._topics import answer

                    await nursery.start(answer, self, self.life.broadcast, self.life.subscribe)
                with self._hooks:
                    await self._with_session()
                self._warn_if_cut(self._hooks)
                nursery.cancel_scope.cancel(reason="the agent ended")
        finally:
            self._nursery = None
            self.requests.pause(self._closed_by(self._crash))
        if self._crash is not None:
            raise self._crash

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """The only life of an agent that nobody restarts."""
        try:
            await self.live(task_status=task_status)
        finally:
            await self.aclose()

    async def _with_session(self) -> None:
        if self.options.middleware:
            from alloy_trio.loop import session_around

            await session_around(self._in_session, agent=self.owner, options=self.options)
        else:
            await self._in_session()

    async def _in_session(self) -> None:
        """The innermost of the session: runs what was sent, until this life ends and nothing runs any more."""
        try:
            self._started()
            self.requests.go_on()
            while (ticket := await self.requests.next_sent()) is not None:
                await self._perform_sent(ticket)
        except BaseException as error:  # border: a cancellation is raised again where the shield ends
            if split_cancelled(error)[1] is not None:
                raise
        finally:
            self._hooks.shield = True
            self.requests.pause(self._closed_by(self._crash))
            await self.requests.wait_idle()
            self._hooks.deadline = trio.current_time() + SESSION_END_SECONDS

    async def _perform_sent(self, ticket: Ticket) -> None:
        # Whoever sent it is not who runs it: it is part of no run above.
        try:
            await self.perform(ticket)
        except Exception:  # border: a request run for a handle
            _logger.exception("the request %s failed", ticket.id)

    def _warn_if_cut(self, scope: trio.CancelScope) -> None:
        if scope.cancelled_caught:
            _logger.warning(
                "what is to be done at the end of the agent %s took more than %g s, and was stopped",
                self.id,
                SESSION_END_SECONDS,
            )

    async def _hold_open(self, provider: Provider) -> None:
        async with provider:
            await trio.sleep_forever()

    def _closed_by(self, cause: BaseException | None) -> AgentClosed:
        reason = AgentClosed(f"the agent {self.id} has ended")
        reason.__cause__ = cause
        return reason


def _now() -> datetime:
    return datetime.fromtimestamp(source().now_ms() / 1000, UTC)
