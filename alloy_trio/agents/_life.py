"""The life of an agent: from the entering of its provider to the last of what is to be done at its end.

It is one task, which performs what was sent. Who asks with ``chat`` or ``stream`` brings a task of his own; the end
waits for those too, so that nothing of the agent is in use any more when it is closed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from alloy_trio._abc import Provider
from alloy_trio._scopes import split_cancelled
from alloy_trio.values import AlloyError

from ._requests import Ticket

if TYPE_CHECKING:
    from ._core import Core

_logger = logging.getLogger("alloy_trio.agents")

SESSION_END_SECONDS = 5.0
"""How long what is to be done at an agent's end may take: middleware's and ``on_shutdown``. Arbitrary; a database
answers in far less, and a program that is being stopped is killed after ten seconds by most supervisors."""


Enter: TypeAlias = Callable[[trio.CancelScope], AbstractContextManager[Any]]
"""Makes what enters a scope, and may bound it by a deadline of its own."""


class Living:
    """The lives of an agent, one after another.

    Args:
        core: the agent's.
        end_seconds: how long what is to be done at the end of a life may take, each.
        enter: enters the scopes around that.
    """

    def __init__(
        self, core: Core, *, end_seconds: float = SESSION_END_SECONDS, enter: Enter = lambda scope: scope
    ) -> None:
        self._core = core
        self._end_seconds = end_seconds
        self._enter = enter
        self._started = False
        self._hooks = trio.CancelScope()

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """One life and its end; of an agent that nobody restarts, the only one.

        *Cancellation*: does not keep anything from being closed.
        """
        try:
            await self.live(task_status=task_status)
        except BaseException as error:
            failed = split_cancelled(error)[1]
            try:
                await self._end(failed)
            except Exception as second:
                if failed is None:
                    raise
                raise BaseExceptionGroup(
                    "both the agent and its on_shutdown failed", [failed, second]
                ) from None
            raise
        await self._end(None)

    async def live(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """One life: until it is closed, cancelled, or crashes. Requests run while it lasts.

        Raises:
            Exception: what crashed it.

        *Cancellation*: what runs is stopped, and the ends of the session are made, shielded and bounded.
        """
        core, self._started = self._core, False
        core.crash = None
        self._hooks = trio.CancelScope()
        failed: BaseException | None = None
        try:
            async with core.provider, trio.open_nursery() as nursery:
                core.hold_open = _Holder(nursery).hold
                if core.life.broadcast is not None and core.life.subscribe:
                    from ._topics import answer

                    await nursery.start(answer, core, core.life.broadcast, core.life.subscribe)
                try:
                    with self._enter(self._hooks):
                        await self._with_session(task_status)
                except BaseException as error:  # border: raised again below; the nursery would wrap it
                    cancelled, failed = split_cancelled(error)
                    if cancelled is not None:
                        raise cancelled from None
                self._warn_if_cut(self._hooks)
                nursery.cancel_scope.cancel(reason="the agent ended")
        finally:
            core.hold_open = None
            core.requests.pause(core.ended_by(failed or core.crash))
        crash = core.crash
        if failed is not None and crash is not None and failed is not crash:
            raise BaseExceptionGroup("both the agent and the end of its session failed", [crash, failed])
        if failed is not None:
            raise failed
        if crash is not None:
            raise crash
        if not self._started:
            raise RuntimeError(
                "the agent did not start: a middleware's session() returned without calling proceed(); call it once, "
                "or raise what is wrong"
            )
        await trio.lowlevel.checkpoint_if_cancelled()  # what cancelled it was held back until here

    async def _end(self, failed: BaseException | None) -> None:
        core = self._core
        if not core.supervised:
            core.close(failed)
            core.responses.end()
        try:
            # What never lived has nothing to tell.
            if core.life.on_shutdown is not None and self._started:
                scope = trio.CancelScope(shield=True)
                with self._enter(scope):
                    scope.deadline = min(scope.deadline, trio.current_time() + self._end_seconds)
                    await core.life.on_shutdown(core.conversation.session())
                self._warn_if_cut(scope)
        finally:
            # Shielded: a cancellation that is raised here would take the place of what on_shutdown has raised.
            with trio.CancelScope(shield=True):
                await core.belongings.aclose()

    async def _with_session(self, task_status: trio.TaskStatus[None]) -> None:
        async def live() -> None:
            await self._in_session(task_status)

        options = self._core.options
        if options.middleware:
            from alloy_trio.loop import session_around

            budget = None if self._core.budget is None else self._core.budget.view
            await session_around(live, agent=self._core.owner, options=options, budget=budget)
        else:
            await live()

    async def _in_session(self, task_status: trio.TaskStatus[None]) -> None:
        """The innermost of the session: runs what was sent, until this life ends and nothing runs any more."""
        requests, failed = self._core.requests, None
        try:
            self._started = True
            task_status.started()
            requests.go_on()
            while (ticket := await requests.next_sent()) is not None:
                await self._perform_sent(ticket)
        except BaseException as error:  # border: a cancellation is raised again where the shield ends
            failed = split_cancelled(error)[1]
            if failed is not None:
                raise
        finally:
            self._hooks.shield = True
            requests.pause(self._core.ended_by(failed or self._core.crash))
            with trio.CancelScope(shield=True):
                await requests.wait_idle()
            self._hooks.deadline = min(self._hooks.deadline, trio.current_time() + self._end_seconds)

    async def _perform_sent(self, ticket: Ticket) -> None:
        try:
            await self._core.perform(ticket)
        except AlloyError:
            return  # who waits for the request is told
        except Exception as error:  # border: a request run for a handle
            if error is not self._core.crash:  # which the supervisor tells
                _logger.exception("the request %s failed", ticket.id)

    def _warn_if_cut(self, scope: trio.CancelScope) -> None:
        if scope.cancelled_caught:
            _logger.warning(
                "what is to be done at the end of the agent %s was stopped: its time, %g s at most, was over",
                self._core.id,
                self._end_seconds,
            )


class _Holder:
    """Keeps the provider that was chosen last entered, so that its connections outlast a request."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._scope = trio.CancelScope()

    def hold(self, provider: Provider) -> None:
        """Hold this one, and let go of the one before: a request that still asks it holds it by itself."""
        self._scope.cancel(reason="another model was chosen")
        self._scope = trio.CancelScope()
        self._nursery.start_soon(self._hold, provider, self._scope)

    async def _hold(self, provider: Provider, scope: trio.CancelScope) -> None:
        with scope:
            try:
                async with provider:
                    await trio.sleep_forever()
            except Exception as error:  # border: each request enters it too, and is told
                _logger.warning("the model %s could not be held open: %r", provider.model, error)
