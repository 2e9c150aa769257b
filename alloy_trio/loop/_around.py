"""Middleware laid around the parts of a run."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from alloy_trio._middleware import Middleware, RunInfo
from alloy_trio.tools import ToolOutput
from alloy_trio.values import Completion, CompletionRequest, Pause, ToolUse

if TYPE_CHECKING:
    from ._machine import RunState
    from ._options import Options
    from ._surroundings import Owner

Info: TypeAlias = Callable[[], RunInfo]


def has(middleware: Sequence[Middleware], name: str) -> bool:
    """Whether one of them has written the function of this name."""
    return any(_writes(one, name) for one in middleware)


def laid_around(
    middleware: Sequence[Middleware], name: str, innermost: Callable[..., Awaitable[Any]], info: Info
) -> Callable[..., Awaitable[Any]]:
    """A function with those that middleware has written under a name around it, the first one outermost.

    Args:
        middleware: the objects.
        name: ``"completion"`` and so on; ``"tool_call"`` has :func:`laid_around_call`.
        innermost: what is done without them.
        info: tells each of the run, as it is when it is called.

    Raises:
        RuntimeError: from the function, when one of them proceeds a second time.
    """
    for one in reversed(middleware):
        if _writes(one, name):
            innermost = _laid(getattr(one, name), innermost, info)
    return innermost


def _laid(
    function: Callable[..., Awaitable[Any]], inner: Callable[..., Awaitable[Any]], info: Info
) -> Callable[..., Awaitable[Any]]:
    async def around(*values: Any) -> Any:
        proceeded = False

        async def proceed(*changed: Any) -> Any:
            nonlocal proceeded
            if proceeded:
                raise _twice(function)
            proceeded = True
            return await inner(*changed)

        return await function(*values, proceed, info())

    return around


async def answered(
    middleware: Sequence[Middleware],
    innermost: Callable[[CompletionRequest], Awaitable[Completion]],
    info: Info,
    request: CompletionRequest,
    state: RunState,
) -> Completion:
    """A completion, through the middleware; one that is lost there is paid for all the same.

    Args:
        middleware: the objects.
        innermost: asks the model.
        info: tells each of the run.
        request: what is asked.
        state: takes the usage of an answer that does not come out.
    """
    came: list[Completion] = []

    async def keeping(request: CompletionRequest) -> Completion:
        came.append(await innermost(request))
        return came[-1]

    try:
        completion: Completion = await laid_around(middleware, "completion", keeping, info)(request)
    except BaseException:
        for each in came:
            state.usage = state.usage + each.usage + each.other_usage
        raise
    return completion


def laid_around_call(
    middleware: Sequence[Middleware], innermost: Callable[[ToolUse], Awaitable[ToolOutput]], info: Info
) -> Callable[[ToolUse], Awaitable[ToolOutput]]:
    """The same for one call, with what holds for calls alone: they keep their names, and may wait for a decision.

    A call that was approved passes the middleware that pauses it: asked again, it would wait for ever.
    """
    for one in reversed(middleware):
        if _writes(one, "tool_call"):
            innermost = _laid_around_call(one.tool_call, innermost, info)
    return innermost


def _laid_around_call(
    function: Callable[..., Awaitable[ToolOutput]],
    inner: Callable[[ToolUse], Awaitable[ToolOutput]],
    info: Info,
) -> Callable[[ToolUse], Awaitable[ToolOutput]]:
    async def around(call: ToolUse) -> ToolOutput:
        proceeded = False

        async def proceed(changed: ToolUse) -> ToolOutput:
            nonlocal proceeded
            if proceeded:
                raise _twice(function)
            if (changed.id, changed.name) != (call.id, call.name):
                raise RuntimeError(
                    f"{function.__qualname__} proceeded with the call {changed.name!r} ({changed.id}) in place of "
                    f"{call.name!r} ({call.id}); a call keeps its name and id, only its input may be changed"
                )
            proceeded = True
            return await inner(changed)

        try:
            return await function(call, proceed, info())
        except Pause as pause:
            if proceeded:
                raise RuntimeError(
                    f"{function.__qualname__} raised Pause after it had proceeded; what has run cannot wait"
                ) from pause
            if call.id not in info().approved:
                raise
        return await inner(call)

    return around


async def session_around(
    live: Callable[[], Awaitable[None]], *, agent: Owner, options: Options, budget: Any = None
) -> None:
    """An agent's life, with its middleware's sessions around it; ``budget`` is what the agent may spend, or None."""

    def info() -> RunInfo:
        return RunInfo(
            agent_id=agent.id,
            correlation_id=agent.id,
            turn=0,
            context=options.context,
            usage=agent.usage,
            budget=budget,
            deadline=trio.current_effective_deadline(),
        )

    await laid_around(options.middleware, "session", live, info)()


def _writes(one: Middleware, name: str) -> bool:
    return getattr(type(one), name) is not getattr(Middleware, name) or name in vars(one)


def _twice(function: Callable[..., Any]) -> RuntimeError:
    return RuntimeError(f"{function.__qualname__} called proceed twice; it may do so once")
