"""An agent, as its users see it: a conversation that lives, and answers one request at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Literal, Unpack

import trio

from alloy_trio._abc import Provider
from alloy_trio._broadcast import BUFFER
from alloy_trio._scopes import open_service, split_cancelled
from alloy_trio.loop import EventStream, RunOptions, check_options, discovered
from alloy_trio.values import (
    AgentBusy,
    AgentClosed,
    ConfigurationError,
    Message,
    RequestNotFound,
    Result,
    Session,
    Text,
    Usage,
)

from ._core import RESPONSES, Core
from ._life import Living
from ._options import AgentOptions, about_failures, check_agent_options, new_agent_id
from ._reports import AgentHealth, AgentStatistics
from ._requests import Ticket
from ._responses import Request, Responses
from ._waits import waiting_for

if TYPE_CHECKING:
    from alloy_trio.loop import Decision
    from alloy_trio.tools import Tool


class Agent:
    """A conversation with a model and its tools; made by :func:`open_agent`.

    It belongs to the ``trio.run`` that it was opened in. In a worker thread of trio's call it by
    ``trio.from_thread.run(agent.chat, …)`` or ``trio.from_thread.run_sync(agent.send, …)``.

    Attributes:
        id: its name; that of the session it was opened from.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.id = core.id
        core.owner = self

    def __repr__(self) -> str:
        return f"<Agent {self.id} {self.health().status}>"

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation up to the last request that has ended; always valid."""
        return self._core.conversation.messages

    @property
    def usage(self) -> Usage:
        """What all requests and delegated tasks that have ended used, and the session before them."""
        return self._core.conversation.counts.usage

    async def chat(self, prompt: str | Message, *, request_id: str | None = None) -> Result:
        """Ask, and wait for the answer, in the caller's task.

        After a paused request the calls that wait for a decision are not in the conversation: it goes on as if the
        model had not asked for them. :meth:`resume` takes them up instead.

        Args:
            prompt: the question.
            request_id: a name to cancel it by, and its correlation id; default: a new one. It may be used again once
                its request has ended.

        Returns:
            The Result; with status ``"cancelled"`` when it was cancelled by its id.

        Raises:
            AgentBusy: a request runs, and none may wait; or it waits for the caller, who is part of a request himself.
            QueueFull: as many wait as may.
            AgentClosed: the agent has ended, or ended meanwhile.
            RemoteError: the provider failed; its ``result`` is the partial Result.

        *Cancellation*: nothing of the request is left, and the conversation holds what it came to.
        """
        self._core.check_here("chat")
        await trio.lowlevel.checkpoint_if_cancelled()
        with waiting_for(self._core.requests):
            ticket = self._core.new_ticket(prompt, request_id)
            await self._core.perform(ticket)
        return await self._core.outcome(ticket)

    async def resume(self, result: Result, *, decisions: Mapping[str, Decision]) -> Result:
        """Go on with a paused request of this agent, or of one whose session it was opened from; see :func:`resume`.

        What it comes to stays in the conversation. What was said to it after it was paused is said after its tools.

        Args:
            result: with status ``"paused"``.
            decisions: for each pending call, by its id.

        Raises:
            ConfigurationError: it is not paused, a decision is missing or about no pending call, or the conversation
                has gone on since.
            AgentBusy, QueueFull, AgentClosed, RemoteError: as for :meth:`chat`.

        *Cancellation*: as for :meth:`chat`; cancelled before its turn came, the result can be resumed again.
        """
        self._core.check_here("resume")
        await trio.lowlevel.checkpoint_if_cancelled()
        with waiting_for(self._core.requests):
            ticket = self._core.resuming_ticket(result, decisions)
            await self._core.perform(ticket)
        return await self._core.outcome(ticket)

    @asynccontextmanager
    async def stream(
        self, prompt: str | Message, *, request_id: str | None = None
    ) -> AsyncIterator[EventStream]:
        """Ask, and read the events while they happen: ``async with agent.stream(…) as events``.

        A request that has to wait for its turn has no events until then. Leaving the block cancels it.

        Args:
            prompt: the question.
            request_id: a name to cancel it by; default: a new one.

        Raises:
            AgentBusy, QueueFull, AgentClosed: as for :meth:`chat`.
            RemoteError: from the iteration, after the run_end event.

        *Cancellation*: as for :meth:`chat`.
        *Backpressure*: the run waits while ``event_buffer`` events are unread.
        """
        core = self._core
        core.check_here("stream")
        await trio.lowlevel.checkpoint_if_cancelled()
        with waiting_for(core.requests):
            ticket = core.new_ticket(prompt, request_id, listened=True)
            assert ticket.performance is not None
            events = ticket.performance.events
            assert events is not None
            try:
                core.requests.add(ticket)
                async with open_service(self._serve_stream, ticket):
                    yield events
                if ticket.was_cut_by_the_end:  # and the reader had left before the service could tell
                    await core.outcome(ticket)
            finally:
                # The service may have been cancelled before its first step.
                core.commit(ticket)
                events._leave()

    def send(self, prompt: str | Message, *, request_id: str | None = None) -> Request:
        """Ask without waiting; the agent's own task runs the request.

        Args:
            prompt: the question.
            request_id: a name to cancel it by; default: a new one.

        Raises:
            AgentBusy, QueueFull, AgentClosed: as for :meth:`chat`.
        """
        self._core.check_here("send")
        ticket = self._core.new_ticket(prompt, request_id, sent=True)
        self._core.requests.add(ticket)
        return Request(self._core, ticket)

    @asynccontextmanager
    async def responses(self, *, buffer: int = BUFFER) -> AsyncIterator[Responses]:
        """Subscribe to the Results of all requests that end during the block, whoever asked.

        Args:
            buffer: Results held for a slow reader; beyond that the oldest are lost and
                :class:`alloy_trio.Lagged` says so.

        Raises:
            AgentClosed: the agent has ended.
        """
        self._core.check_here("responses")
        await trio.lowlevel.checkpoint_if_cancelled()
        self._core.requests.check_open()
        async with self._core.responses.subscribe(RESPONSES, buffer=buffer) as subscription:
            yield Responses(self._core, subscription)

    def cancel(self, request_id: str) -> None:
        """Cancel a request that is queued or running.

        Raises:
            RequestNotFound: there is none of this id.
        """
        self._core.check_here("cancel")
        self._core.cancel(request_id)

    def steer(self, text: str | Message) -> None:
        """Say something to the running request; it is heard at the next safe point, after the tools of a turn.

        What the request did not get to hear stays in the conversation, for the next one.

        Raises:
            RequestNotFound: no request runs.
        """
        self._running("steer", "steer").inbox.steered.append(_said(text))

    def follow_up(self, text: str | Message) -> None:
        """Let the running request go on with this once it has answered.

        Raises:
            RequestNotFound: no request runs.
        """
        self._running("follow_up", "follow up on").inbox.follow_ups.append(_said(text))

    def set_model(self, provider: Provider) -> None:
        """Ask another model, from the next call on, also in the middle of a request.

        Raises:
            AgentClosed: the agent has ended.
            ConfigurationError: it is no provider, or it handles failures by itself and so do options of the agent.
        """
        self._core.check_here("set_model")
        self._core.requests.check_open()
        check_options(provider, about_failures(self._core.options))
        self._core.change_provider(provider)

    def reset(self) -> None:
        """Forget the conversation and what the tools remember of it; what was used stays counted.

        Raises:
            AgentBusy: a request runs.
            AgentClosed: the agent has ended.
        """
        self._core.check_here("reset")
        requests = self._core.requests
        requests.check_open()
        if requests.running is not None:
            raise AgentBusy(f"the request {requests.running.id} runs; cancel it first, or wait for it")
        self._core.conversation.reset()

    def health(self) -> AgentHealth:
        """Whether it works, and on what."""
        core, requests = self._core, self._core.requests
        running = requests.running
        status: Literal["idle", "running", "starting", "closed"] = "idle" if running is None else "running"
        if requests.closed is not None or core.is_stopped:
            status = "closed"
        elif requests.paused:
            status = "starting"
        return AgentHealth(
            status=status,
            running=None if running is None else running.id,
            pending=requests.pending,
            delegated=requests.delegated,
            provider=core.provider.name,
            model=core.provider.model,
        )

    def statistics(self) -> AgentStatistics:
        """What it has done so far."""
        conversation = self._core.conversation
        return conversation.counts.statistics(
            messages=len(conversation.messages), pending=self._core.requests.pending
        )

    def export_session(self) -> Session:
        """The conversation as a value, up to the last request that has ended.

        With it goes what the tools remember, as far as JSON can hold it.
        """
        return self._core.conversation.session()

    def as_tool(self, name: str | None = None, description: str | None = None) -> Tool:
        """The agent as a tool of another one, which asks it by ``prompt``.

        A call is a request like others: it waits for its turn, however many wait, and the conversation goes on from
        call to call. Its events arrive in the stream of the run that calls, its deadline, its budget and its
        cancellation are the call's.

        Args:
            name: what the model calls it; default: the agent's id.
            description: what the model reads.
        """
        from ._subagents import agent_tool

        return agent_tool(self._core, name, description)

    async def delegate(
        self, prompt: str | Message, *, provider: Provider | None = None, **options: Unpack[RunOptions]
    ) -> Result:
        """Run a task in a sub-agent with a conversation of its own, in the caller's task.

        Called by a tool, it is part of the run that calls: its events arrive there, and it spends from that budget.

        Args:
            prompt: the task.
            provider: its model; default: this agent's.
            options: what shall be other than for this agent.

        Raises:
            AgentClosed: the agent has ended, or ended meanwhile.
            ConfigurationError: an option cannot work.
            RemoteError: the provider failed; its ``result`` is the partial Result.

        *Cancellation*: nothing of it is left.
        """
        self._core.check_here("delegate")
        await trio.lowlevel.checkpoint_if_cancelled()
        from ._subagents import delegated

        return await delegated(self._core, prompt, provider or self._core.provider, options)

    def _running(self, method: str, what: str) -> Ticket:
        self._core.check_here(method)
        running = self._core.requests.running
        if running is None:
            raise RequestNotFound(f"there is no request to {what}: none runs")
        return running

    async def _serve_stream(self, ticket: Ticket, *, task_status: trio.TaskStatus[None]) -> None:
        task_status.started()  # at once: whoever reads is to be there when the first event comes
        await self._core.perform(ticket)
        if ticket.was_cut_by_the_end:
            await self._core.outcome(ticket)  # raises


@asynccontextmanager
async def open_agent(*, provider: Provider, **options: Unpack[AgentOptions]) -> AsyncIterator[Agent]:
    """Open an agent, for the time of the block.

    Leaving the block ends what it runs: waiting callers get :class:`alloy_trio.AgentClosed`, the session's middleware
    and ``on_shutdown`` have five seconds each, and no task, process or connection of it is left.

    Args:
        provider: the model to ask; held open as long as the agent lives.
        options: see :class:`AgentOptions`.

    Raises:
        ConfigurationError: an option cannot work; nothing was started.

    *Cancellation*: as leaving the block.
    """
    checked, life = check_agent_options(provider, options)
    core = Core(new_agent_id(life.session), provider, await discovered(checked), life)
    agent = Agent(core)
    told: AgentClosed | None = None
    async with open_service(Living(core).serve):
        cause: BaseException | None = None
        try:
            yield agent
        except AgentClosed as closed:
            # If the agent failed, that is what its user has to see, and not that it is therefore closed.
            if closed.args != core.ended_by(None).args:
                raise
            told = closed
        except BaseException as error:
            cause = split_cancelled(error)[1]
            raise
        finally:
            core.close(cause)
    if told is not None:
        raise told


def _said(text: str | Message) -> Message:
    message = Message.user(text) if isinstance(text, str) else text
    if not isinstance(message, Message) or message.role != "user" or not _says_something(message):
        raise ConfigurationError(
            f"{text!r} cannot be said to a request; give a str or a user's Message, not empty"
        )
    return message


def _says_something(message: Message) -> bool:
    return any(not isinstance(block, Text) or block.text.strip() for block in message.content)
