"""Agents under supervision: several lives, one conversation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Unpack

import trio

from alloy_trio.loop import discovered

from ._agent import Agent
from ._core import Core
from ._life import Living
from ._options import AgentOptions, check_agent_options

if TYPE_CHECKING:
    from alloy_trio._abc import Provider
    from alloy_trio.supervision import Backoff, Supervisor


async def start_agent(
    supervisor: Supervisor,
    name: str,
    *,
    provider: Provider,
    restart: Literal["permanent", "transient", "temporary"] = "permanent",
    shutdown: float | Literal["brutal"] = 5.0,
    significant: bool = False,
    backoff: Backoff | None = None,
    **options: Unpack[AgentOptions],
) -> Agent:
    """Start an agent as a child of a supervisor; returns a handle that outlives its restarts.

    An :class:`AlloyError` fails its request only. Any other exception, as of a middleware or by a mistake, ends the
    agent's life and counts as its crash: the request that raised it fails with it, and the supervisor decides what
    follows. What a tool raises is its result and ends nothing.

    Over restarts it keeps its conversation, what its tools remember, its counts and its budget, and the requests that
    wait: they run in order once it runs again. Each life enters the provider anew, opens and closes the session of the
    middleware, closes what its tools have opened, and has ``on_shutdown`` called at its end. All that is bounded by
    ``shutdown``. What is published on its topics while it does not run is lost.

    A request that runs when the supervisor stops the agent ends with :class:`AgentClosed`. When the agent is stopped
    for good (terminated, ended where ``restart`` does not bring it back, given up, the supervisor ended), so do those
    that wait, and whatever is asked of the handle, until ``supervisor.restart(name)`` brings it back.

    Args:
        supervisor: of which it becomes a child.
        name: of the child, and the agent's id unless it goes on with a session.
        provider: the model to ask.
        restart: as for :class:`alloy_trio.supervision.ChildSpec`, like the next three.
        shutdown: seconds for what is to be done at the end of a life.
        significant: whether its end may end the supervisor.
        backoff: delays before restarts.
        options: see :class:`AgentOptions`.

    Raises:
        ConfigurationError: an option cannot work.
        ChildExists: there is a child of this name.
        trio.ClosedResourceError: the supervisor ends.
        Exception: the provider could not be entered, or the middleware's session not opened; nothing is kept.

    *Cancellation*: the agent is stopped, and not kept.
    """
    from alloy_trio.supervision import ChildSpec, grace

    checked, life = check_agent_options(provider, options)
    agent_id = name if life.session is None else life.session.id
    seconds = 0.0 if isinstance(shutdown, str) else shutdown

    async def live(*, task_status: trio.TaskStatus[None]) -> None:
        core.child = supervisor.child(name)
        core.look()  # whoever waited when it was stopped for good is not part of this life
        core.requests.reopen()
        core.belongings.renew()
        await living.serve(task_status=task_status)

    spec = ChildSpec(name, live, restart=restart, shutdown=shutdown, significant=significant, backoff=backoff)
    core = Core(agent_id, provider, await discovered(checked), life, supervised=True)
    living = Living(core, end_seconds=seconds, enter=grace)
    agent = Agent(core)
    await supervisor.start(spec)
    return agent
