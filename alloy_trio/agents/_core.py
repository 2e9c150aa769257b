"""What an agent is made of: its conversation and its requests.

Theory of operation. A request is a run of the turn loop whose history is the agent's. Whoever asks takes a ticket,
waits for its turn and performs the run: in the caller's task, so that its deadlines and its cancellation reach
everything below, or, for what was only sent, in the agent's own. What a run came to is committed in one step after
its last await, so the conversation is as it was, or has the whole of what was said.

From the step in which a ticket is put in line until it is committed, Ctrl-C is held back except where the run itself
goes on: a ticket that nobody commits would keep the next one waiting for ever.

Conversation and requests outlive a life (:mod:`alloy_trio.agents._life`): an agent under supervision has several, one
after another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import attrs
import trio

from alloy_trio._abc import Provider
from alloy_trio._broadcast import Broadcast, check_home
from alloy_trio._scopes import split_cancelled
from alloy_trio.loop import Inbox, Options, Performance, Surroundings, here, new_state, rules_of, taken_up
from alloy_trio.tools import Belongings
from alloy_trio.values import AgentClosed, AlloyError, ConfigurationError, Message, Result, ToolResult

from ._conversation import Conversation
from ._options import LifeOptions
from ._requests import Requests, Ticket
from ._waits import inside, waiting_for

if TYPE_CHECKING:
    from alloy_trio.loop import Decision, Emitter
    from alloy_trio.supervision import ChildHandle

T = TypeVar("T")

RESPONSES = "responses"
"""The topic of an agent's own Broadcast, on which its Results are published."""


class Core:
    """The inside of an agent. It belongs to the ``trio.run`` that it was made in.

    Args:
        id: its name.
        provider: the model to ask.
        options: of its runs.
        life: of its life.
        supervised: whether an exception that is no AlloyError ends its life, for a supervisor to decide; otherwise it
            only fails its request.

    Attributes:
        conversation: what it remembers.
        requests: who runs and who waits.
        budget: what all that it does spends from; None where nothing limits it.
        belongings: what its tools have opened.
        owner: whom tools and middleware are shown.
        crash: what ended the life that is or was; None if nothing did.
        child: what its supervisor has of it; None without one, and before its first life.
        hold_open: keeps a provider entered for the rest of this life; None between lives.
    """

    def __init__(
        self, id: str, provider: Provider, options: Options, life: LifeOptions, *, supervised: bool = False
    ) -> None:
        self.id = id
        self.provider = provider
        self.life = life
        self.home = trio.lowlevel.current_trio_token()
        self.conversation = Conversation(id, options.messages, life.session)
        self.requests = Requests(id, life.max_pending)
        self.responses = Broadcast()
        self.budget: Any = None
        self.owner: Any = None
        if options.has_limits:
            from alloy_trio._budget import Budget

            # One for its whole life: a budget for each request would be as many as there are requests.
            limits = (options.max_budget_cents, options.max_total_tokens, options.max_tool_calls)
            self.budget = Budget(*limits, home=self.home)
        self.options = attrs.evolve(
            options, messages=(), max_budget_cents=None, max_total_tokens=None, max_tool_calls=None
        )
        self._rules = rules_of(self.options)
        self.supervised = supervised
        self.child: ChildHandle | None = None
        self._stops = 0  # of the child's, those that were taken note of
        self.belongings = Belongings()
        self.crash: BaseException | None = None
        self.hold_open: Callable[[Provider], None] | None = None

    def check_here(self, method: str) -> None:
        """Refuse a call from another thread, or from another ``trio.run``.

        Raises:
            ConfigurationError: it is one.
        """
        check_home(self.home, f"the agent {self.id}", f"agent.{method}")
        self.look()

    def new_ticket(
        self,
        prompt: str | Message,
        request_id: str | None = None,
        *,
        listened: bool = False,
        sent: bool = False,
        part: bool = False,
    ) -> Ticket:
        """Make a request that may be put in line.

        Args:
            prompt: the question.
            request_id: its name; None for a new one.
            listened: whether its events will be read.
            sent: whether the agent performs it.
            part: whether it is part of the run that the caller belongs to; then it waits however many do.

        Raises:
            AgentClosed, AgentBusy, QueueFull: it could not even wait.
            ConfigurationError: there is nothing to answer, or the name is none, or is in use.
        """
        if request_id is not None and (not isinstance(request_id, str) or not request_id):
            raise ConfigurationError(f"request_id={request_id!r} must be a str that is not empty, or None")
        if prompt is None:
            raise ConfigurationError("the prompt is None; an agent has its conversation, so give a question")
        self.requests.check_room(waits=part)
        run = new_state(prompt, self.options, request_id=request_id, rules=self._rules)
        self.requests.check_id(run.request_id)
        above = here.get() if part else None

        def make(ticket: Ticket) -> Performance:
            surroundings = self.surroundings(ticket.inbox, parent=None if above is None else above.emitter)
            return Performance(ticket.run, self.provider, self.options, surroundings, listened=listened)

        ticket = Ticket(run, make, Inbox(), sent)
        if listened or above is not None:
            ticket.begun()  # so that there are events also when it never runs
        return ticket

    def resuming_ticket(self, paused: Result, decisions: Mapping[str, Decision]) -> Ticket:
        """Make a request that goes on with a paused one; otherwise as :meth:`new_ticket`."""
        run, refusals, approved = taken_up(paused, decisions, self.options)
        self.conversation.since(paused)
        self.requests.check_room()
        self.requests.check_id(run.request_id)

        def make(ticket: Ticket) -> Performance:
            return Performance(
                ticket.run,
                self.provider,
                self.options,
                self.surroundings(ticket.inbox),
                listened=False,
                refusals=refusals,
                approved=approved,
            )

        return Ticket(run, make, Inbox(), before=paused)

    @trio.lowlevel.enable_ki_protection
    async def perform(self, ticket: Ticket) -> None:
        """Put a request in line if it is in none, wait for the turn, run, and commit.

        Raises:
            AgentBusy: it would wait for itself.
            Exception: it failed by something that is no AlloyError; that is in the ticket.
        """
        try:
            if ticket.state is None:
                self.requests.add(ticket)
            await self._perform(ticket)
        except BaseException as error:
            cancelled, failed = split_cancelled(error)
            if ticket.sent and cancelled is not None:
                # The life whose task this is; told now, before the next in line begins.
                self.requests.pause(self.ended_by(None))
            ticket.error = failed = ticket.error or failed
            if self.supervised and isinstance(failed, Exception) and not isinstance(failed, AlloyError):
                self.crash = failed
                self.requests.pause(self.ended_by(failed))
                ticket.refused = None  # it ended the agent, and not the agent it
            elif not isinstance(failed, Exception | None):
                # Ctrl-C and the like are raised here, and are the agent's end for who waits elsewhere.
                ticket.refused = self.ended_by(failed)
            raise
        finally:
            self.commit(ticket)

    @trio.lowlevel.enable_ki_protection
    async def _perform(self, ticket: Ticket) -> None:
        while ticket.state == "queued":
            await self.while_it_works(ticket.turn.wait)
        if ticket.state != "running":
            return
        with ticket.scope:
            try:
                performance = self._begun(ticket)
            except AlloyError as error:
                ticket.fail(error)
                return
            ticket.performed = True
            with inside(self.requests, ticket):
                await _interruptible(performance)

    def _begun(self, ticket: Ticket) -> Performance:
        conversation = self.conversation
        later = () if ticket.before is None else conversation.since(ticket.before)
        performance, run = ticket.begun(), ticket.run
        if ticket.before is not None:
            run.steered.extend(later)
        elif any(isinstance(block, ToolResult) for message in run.messages for block in message.content):
            performance.go_on_from(conversation.messages)
        else:
            # Both are valid, and nothing in the one is about the other: to repair all of it each time would cost more
            # than the rest of a short request.
            run.messages[:0] = conversation.messages
        return performance

    async def outcome(self, ticket: Ticket) -> Result:
        """What a request came to, once it has finished; for who asked.

        *Cancellation*: who is cancelled himself is not told that the agent has ended: often one scope is around both.
        """
        if ticket.was_cut_by_the_end:
            await trio.lowlevel.checkpoint_if_cancelled()
        return ticket.outcome()

    async def answer(self, prompt: str | Message) -> Result:
        """Answer in the caller's task, as a part of the run that it belongs to, however many wait.

        Raises:
            AgentBusy: the agent waits for the caller.
            AlloyError: as for any request.
        """
        self.look()
        with waiting_for(self.requests):
            ticket = self.new_ticket(prompt, part=True)
            await self.perform(ticket)
        return await self.outcome(ticket)

    def cancel(self, request_id: str) -> None:
        """Cancel a request that is queued or running."""
        ticket = self.requests.stop(request_id)
        if ticket is not None:
            self.commit(ticket)

    @trio.lowlevel.enable_ki_protection
    def commit(self, ticket: Ticket) -> None:
        """Take what a request came to into the conversation; without an await. Twice is once."""
        if ticket.state == "finished":
            return
        result = ticket.close()
        if ticket.performed:
            self.conversation.take(result, ticket.unheard())
        self.conversation.counts.add(result, ticket.before)
        self.requests.leave(ticket)
        self.responses.publish(RESPONSES, result)
        if self.life.broadcast is not None:
            self.life.broadcast.publish(f"agent:{self.id}:responses", result)

    # Its end

    def change_provider(self, provider: Provider) -> None:
        """Ask another model from the next call on."""
        if provider is not self.provider:
            self.provider = provider
            if self.hold_open is not None:
                self.hold_open(provider)

    def close(self, cause: BaseException | None = None) -> None:
        """Take no more requests and end those there are. Twice is once."""
        for ticket in self.requests.close(self.ended_by(cause)):
            self.commit(ticket)

    def ended_by(self, cause: BaseException | None) -> AgentClosed:
        """What those are told who wait when it ends."""
        if self.child is not None:
            cause = cause or self.child.cause
        reason = AgentClosed(f"the agent {self.id} {'was stopped' if self.supervised else 'has ended'}")
        reason.__cause__ = cause
        return reason

    @property
    def is_stopped(self) -> bool:
        """Whether its supervisor has stopped it for good, and that was not taken note of yet."""
        return self.child is not None and self.child.stops != self._stops

    def look(self) -> None:
        """Take note of what its supervisor did: one that is stopped for good is closed, to whoever asks for it."""
        if self.child is not None and self.is_stopped:
            self._stops = self.child.stops
            self.close()
            self.responses.end()

    async def while_it_works(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Wait for something that comes at the latest when the agent is closed, and close it if it is stopped for good.

        Args:
            wait: may be cancelled and begun again.
        """
        self.look()
        if self.child is not None and self.requests.closed is None:
            with self.child.until_stopped():
                return await wait()
            self.look()
        return await wait()

    def surroundings(self, inbox: Inbox | None = None, *, parent: Emitter | None = None) -> Surroundings:
        """What a request of this agent is part of.

        Args:
            inbox: what is said to it; None for a run beside the conversation.
            parent: numbers the events of the run that it is part of.
        """
        if inbox is None:
            return Surroundings(agent=self.owner, parent=parent, budget=self.budget, session_is_open=True)
        return Surroundings(
            agent=self.owner,
            parent=parent,
            budget=self.budget,
            state=self.conversation.state,
            belongings=self.belongings,
            inbox=inbox,
            provider=self._current_provider,
            session_is_open=True,
            gauge=self.conversation.gauge,
        )

    def _current_provider(self) -> Provider:
        return self.provider


@trio.lowlevel.disable_ki_protection
async def _interruptible(performance: Performance) -> None:
    await performance.perform()
