"""The options of an agent: those of a run, and those that make sense only for what lives on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

import attrs

from alloy_trio._broadcast import Broadcast
from alloy_trio._seed import source
from alloy_trio.loop import Options, RunOptions, check_options
from alloy_trio.values import ConfigurationError, Session

if TYPE_CHECKING:
    from alloy_trio._abc import Provider


class AgentOptions(RunOptions, total=False):
    """The keywords of ``open_agent`` beside ``provider``: those of a run and these.

    * ``max_pending``: requests that may wait while one runs; 0 for none.
    * ``broadcast``: where results are published, on ``"agent:<id>:responses"``.
    * ``subscribe``: topics of it whose messages the agent answers.
    * ``session``: the conversation to go on with.
    * ``on_shutdown``: async function of the session, called at the end, for a bounded time.

    ``max_budget_cents``, ``max_total_tokens`` and ``max_tool_calls`` are for the whole life of the agent: all of its
    requests, sub-agents and delegated tasks draw from them. What a session had used before is not counted.
    """

    max_pending: int
    broadcast: Broadcast | None
    subscribe: Sequence[str]
    session: Session | None
    on_shutdown: Callable[[Session], Awaitable[object]] | None


@attrs.frozen(kw_only=True)
class LifeOptions:
    """What an agent is told beside what its runs are told; see :class:`AgentOptions`."""

    max_pending: int = 0
    broadcast: Broadcast | None = None
    subscribe: tuple[str, ...] = ()
    session: Session | None = None
    on_shutdown: Callable[[Session], Awaitable[object]] | None = None


def check_agent_options(provider: Provider, given: Mapping[str, Any]) -> tuple[Options, LifeOptions]:
    """Part the options of an agent into those of its runs and those of its life.

    Raises:
        ConfigurationError: as for a run; nothing was started.
    """
    own = {field.name for field in attrs.fields(LifeOptions)}
    for_runs = cast("RunOptions", {name: value for name, value in given.items() if name not in own})
    if for_runs.get("request_id") is not None:
        raise ConfigurationError("request_id= belongs to one request; give it to chat, stream or send")
    for_life = {name: value for name, value in given.items() if name in own}
    if isinstance(for_life.get("subscribe"), str):
        topic = for_life["subscribe"]
        raise ConfigurationError(f"subscribe={topic!r} must be a sequence; write subscribe=({topic!r},)")
    for_life["subscribe"] = tuple(for_life.get("subscribe", ()))
    life = LifeOptions(**for_life)
    _check_life(life)
    options = check_options(provider, for_runs)
    if life.session is not None and options.messages:
        raise ConfigurationError("messages= and session= were both given; a session brings its own messages")
    return options, life


def about_failures(options: Options) -> RunOptions:
    """The options, where they were given, that a provider does not go with which handles failures by itself."""
    defaults = Options()
    names = ("fallback_providers", "max_retries", "retry_backoff")
    given = {
        name: getattr(options, name) for name in names if getattr(options, name) != getattr(defaults, name)
    }
    return cast("RunOptions", given)


def _check_life(life: LifeOptions) -> None:
    if not isinstance(life.max_pending, int) or isinstance(life.max_pending, bool) or life.max_pending < 0:
        raise ConfigurationError(f"max_pending={life.max_pending!r} must be a whole number, 0 or more")
    if life.broadcast is not None and not isinstance(life.broadcast, Broadcast):
        raise ConfigurationError(f"broadcast={life.broadcast!r} must be a Broadcast or None")
    if life.subscribe and life.broadcast is None:
        raise ConfigurationError("subscribe= needs broadcast=, where its topics are")
    if any(not isinstance(topic, str) or not topic for topic in life.subscribe):
        raise ConfigurationError(f"subscribe={life.subscribe!r} must be names of topics")
    if life.session is not None and not isinstance(life.session, Session):
        raise ConfigurationError(f"session={life.session!r} must be a Session or None")
    if life.on_shutdown is not None and not callable(life.on_shutdown):
        raise ConfigurationError(f"on_shutdown={life.on_shutdown!r} must be an async function or None")


def new_agent_id(session: Session | None) -> str:
    """The id of an agent: its session's, or a new one."""
    return source().new_id("agent") if session is None else session.id
