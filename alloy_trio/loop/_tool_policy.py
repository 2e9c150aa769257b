"""Which tools may be called: the ready-made middleware for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from fnmatch import fnmatchcase
from typing import Literal, TypeAlias

import attrs

from alloy_trio._middleware import Middleware, RunInfo
from alloy_trio.tools import ToolOutput
from alloy_trio.values import ConfigurationError, Pause, ToolError, ToolUse

from ._decisions import Approve, Decision, Deny, Edit

Verdict: TypeAlias = Literal["allow", "deny", "ask"]
Approver: TypeAlias = Callable[[ToolUse, RunInfo], Awaitable[Decision]]

_DENIED = "{name} may not be called here. Do what you can without it, or say what you would need it for."


class ToolPolicy(Middleware):
    """Allows, denies or asks about calls, by the names of their tools.

    Names may be patterns with ``*``, ``?`` and ``[…]``. What is denied is denied; else what is to be asked about is
    asked about; else what is allowed runs; else ``default`` holds.

    Asked is ``approver``, and the call waits for what it says, while its siblings go on; the run's deadline goes on
    too, ``tool_timeout`` does not. Without an approver the run is paused: its Result has the calls as ``pending``, and
    :func:`alloy_trio.resume` takes the decisions.

    It knows names and not what a tool does: a shell that is allowed can do what a denied tool does.

    Args:
        allow: what runs.
        deny: what does not; the model is told so.
        ask: what a person decides.
        default: about all other tools.
        approver: async function of (call, run) that returns :class:`alloy_trio.Approve`, :class:`alloy_trio.Deny` or
            :class:`alloy_trio.Edit`.

    Raises:
        ConfigurationError: an argument has the wrong kind.
    """

    def __init__(
        self,
        *,
        allow: Iterable[str] = (),
        deny: Iterable[str] = (),
        ask: Iterable[str] = (),
        default: Verdict = "allow",
        approver: Approver | None = None,
    ) -> None:
        if default not in ("allow", "deny", "ask"):
            raise ConfigurationError(f"default={default!r} must be 'allow', 'deny' or 'ask'")
        if approver is not None and not callable(approver):
            raise ConfigurationError(f"approver={approver!r} must be an async function of (call, run)")
        self._allow = _patterns("allow", allow)
        self._deny = _patterns("deny", deny)
        self._ask = _patterns("ask", ask)
        self._default: Verdict = default
        self._approver = approver

    def verdict(self, name: str) -> Verdict:
        """What holds for a tool."""
        if _matches(name, self._deny):
            return "deny"
        if _matches(name, self._ask):
            return "ask"
        return "allow" if _matches(name, self._allow) else self._default

    async def tool_call(
        self, call: ToolUse, proceed: Callable[[ToolUse], Awaitable[ToolOutput]], run: RunInfo
    ) -> ToolOutput:
        """Let the call run, or not; see :meth:`alloy_trio.abc.Middleware.tool_call`."""
        verdict = self.verdict(call.name)
        if verdict == "deny":
            raise ToolError(_DENIED.format(name=call.name))
        if verdict == "ask" and call.id not in run.approved:
            call = await self._decided(call, run)
        return await proceed(call)

    async def _decided(self, call: ToolUse, run: RunInfo) -> ToolUse:
        if self._approver is None:
            raise Pause(f"{call.name} waits for a decision")
        match decision := await self._approver(call, run):
            case Approve():
                return call
            case Edit(changed):
                return attrs.evolve(call, input=changed, invalid_input=None)
            case Deny(why):
                raise ToolError(why)
            case _:
                # Not to run it is the safe reading, and not to say so would hide the bug.
                raise TypeError(f"the approver said {decision!r}; it has to return Approve, Deny or Edit")


def _patterns(name: str, given: Iterable[str]) -> tuple[str, ...]:
    if isinstance(given, str):
        raise ConfigurationError(f"{name}={given!r} must be a sequence; write {name}=({given!r},)")
    patterns = tuple(given)
    if any(not isinstance(pattern, str) or not pattern for pattern in patterns):
        raise ConfigurationError(f"{name}={patterns!r} must be names of tools, or patterns of such")
    return patterns


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
