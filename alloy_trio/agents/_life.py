"""The life of an agent: from the entering of its provider to the last of what is to be done at its end.

It is one task, which performs what was sent. Who asks with ``chat`` or ``stream`` brings a task of his own; the end
waits for those too, so that nothing of the agent is in use any more when it is closed.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

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


class Living:
    """The lives of an agent, one after another.

    Args:
        core: the agent's.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._has_lived = False
        self._started = False
        self._hooks = trio.CancelScope()

    async def serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        """The only life of an agent that nobody restarts, and its end."""
        try:
            await self.live(task_status=task_status)
        except BaseException as error:
            failed = split_cancelled(error)[1]
            self._core.close(failed)
            try:
                await self.aclose()
            except Exception as second:
                if failed is None:
                    raise
                raise BaseExceptionGroup("both the agent and its on_shutdown failed", [failed, second]) from None
            raise
        await self.aclose()

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
                    with self._hooks:
                        await self._with_session(task_status)
                except BaseException as error:  # border: raised again outside of the nursery, which would wrap it
                    cancelled, failed = split_cancelled(error)
                    if cancelled is not None:
                        raise cancelled from None
                self._warn_if_cut(self._hooks)
                nursery.cancel_scope.cancel(reason="the agent ended")
        finally:
            core.hold_open = None
            core.requests.pause(core.ended_by(failed or core.crash))
        if failed is not None:
            raise failed
        if core.crash is not None:
            raise core.crash
        if not self._started:
            raise RuntimeError(
                "the agent did not start: a middleware's session() returned without calling proceed(); call it once, "
                "or raise what is wrong"
            )

    async def aclose(self) -> None:
        """Let go of what outlived its lives; ``on_shutdown`` has :data:`SESSION_END_SECONDS`.

        *Cancellation*: does not keep anything from being closed.
        """
        core = self._core
        core.close()
        core.responses.end()
        try:
            # What never lived has nothing to tell.
            if core.life.on_shutdown is not None and self._has_lived:
                with trio.move_on_after(SESSION_END_SECONDS, shield=True) as scope:
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

            await session_around(live, agent=self._core.owner, options=options)
        else:
            await live()

    async def _in_session(self, task_status: trio.TaskStatus[None]) -> None:
        """The innermost of the session: runs what was sent, until this life ends and nothing runs any more."""
        requests, failed = self._core.requests, None
        try:
            self._started = self._has_lived = True
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
            await requests.wait_idle()
            self._hooks.deadline = trio.current_time() + SESSION_END_SECONDS

    async def _perform_sent(self, ticket: Ticket) -> None:
        try:
            await self._core.perform(ticket)
        except AlloyError:
            return  # who waits for the request is told
        except Exception:  # border: a request run for a handle
            _logger.exception("the request %s failed", ticket.id)

    def _warn_if_cut(self, scope: trio.CancelScope) -> None:
        if scope.cancelled_caught:
            _logger.warning(
                "what is to be done at the end of the agent %s took more than %g s, and was stopped",
                self._core.id,
                SESSION_END_SECONDS,
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
            except (
                Exception
            ) as error:  # border: each request enters it too, and fails by this where it matters
                _logger.warning("the model %s could not be held open: %r", provider.model, error)
