"""What was asked without waiting, and what becomes of everything that is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from alloy_trio._broadcast import Subscription
from alloy_trio.values import Result

from ._requests import RequestState, Ticket
from ._waits import waiting_for

if TYPE_CHECKING:
    from ._core import Core


class Request:
    """A request that was sent; :meth:`wait` for it, or :meth:`cancel` it. Nobody has to do either.

    Attributes:
        id: its name.
    """

    def __init__(self, core: Core, ticket: Ticket) -> None:
        self._core = core
        self._ticket = ticket
        self.id = ticket.id

    def __repr__(self) -> str:
        return f"<Request {self.id} {self.state}>"

    @property
    def state(self) -> RequestState:
        """One of ``"queued"``, ``"running"`` and ``"finished"``."""
        return self._ticket.state or "queued"

    async def wait(self) -> Result:
        """Wait until it has ended.

        Returns:
            The Result; with status ``"cancelled"`` when it was cancelled by its id.

        Raises:
            AgentClosed: the agent ended first.
            AgentBusy: the request would wait for the caller, who is part of a request himself.
            RemoteError: the provider failed; its ``result`` is the partial Result.

        *Cancellation*: ends the waiting, not the request.
        """
        self._core.check_here("send")
        if self._ticket.state == "finished":
            await trio.lowlevel.checkpoint()
        else:
            with waiting_for(self._core.requests):
                await self._core.while_it_works(self._ticket.finished.wait)
        return await self._core.outcome(self._ticket)

    def cancel(self) -> None:
        """Cancel it, whether it is queued or running; nothing happens when it has ended."""
        self._core.check_here("cancel")
        if self._ticket.state != "finished":
            self._core.cancel(self.id)


class Responses:
    """The Results of an agent's requests, in the order in which they ended; iterate over it."""

    def __init__(self, core: Core, subscription: Subscription) -> None:
        self._core = core
        self._subscription = subscription

    def __aiter__(self) -> Responses:
        return self

    async def __anext__(self) -> Result:
        """The next Result, waiting for one; ends when the agent has.

        Raises:
            Lagged: Results were missed before the next one.
        """
        message = await self._core.while_it_works(self._subscription.__anext__)
        result: Result = message.value
        return result
