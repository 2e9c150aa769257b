"""What a fault sweep does to one exchange with a provider, or to one execution of a tool."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import attrs
import trio

from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.tools._limit import Interrupted
from alloy_trio.values import (
    AuthenticationFailed,
    Completion,
    CompletionRequest,
    Delta,
    MalformedReply,
    Overloaded,
    RateLimited,
    RemoteError,
    StreamTruncated,
    ToolError,
    TransportError,
)

from ._observed import Ask, Asked, Executed, Watched

DELAY_SECONDS = 30.0
"""How long what is delayed is delayed. Arbitrary: long for an answer, and no limit that is usual."""

RETRY_AFTER_SECONDS = 5.0
"""What a vendor asks us to wait. Arbitrary."""

MOST_PLACES = 6
"""Places at which one answer is broken off: before its first piece, after its last, and as many between. Arbitrary."""

_BROKEN_OFF: dict[str, Callable[[str], RemoteError]] = {
    "cut": lambda name: StreamTruncated("the sweep cut the answer off", provider=name),
    "reset": lambda name: TransportError("the sweep reset the connection", provider=name),
    "corrupt": lambda name: MalformedReply("the sweep corrupted the answer", provider=name),
}
_REFUSED: dict[str, Callable[[str], RemoteError]] = {
    "unreachable": lambda name: TransportError("the sweep refused the connection", provider=name),
    "overloaded": lambda name: Overloaded("the sweep overloaded the provider", status=529, provider=name),
    "rate limited": lambda name: RateLimited(
        "the sweep limits the rate", status=429, retry_after=RETRY_AFTER_SECONDS, provider=name
    ),
    "no key": lambda name: AuthenticationFailed("the sweep took the key", status=401, provider=name),
}
_TOOL = ("fails before it runs", "fails after it ran", "has a bug", "takes too long", "is cancelled alone")


@attrs.frozen(kw_only=True)
class PlannedFault:
    """One fault at one place.

    Args:
        place: ``"exchange"`` or ``"execution"``.
        number: which of the script's, from 1.
        kind: what is done.
        after: pieces that pass before it, for what breaks an answer off.
        from_then_on: whether that provider fails so each time from there on.
    """

    place: str
    number: int
    kind: str
    after: int | None = None
    from_then_on: bool = False

    def __str__(self) -> str:
        after = "" if self.after is None else f" after {self.after} deltas"
        return f"{self.place} {self.number} {self.kind}{after}{' from then on' if self.from_then_on else ''}"


def planned_faults(watched: Sequence[Watched]) -> Iterator[PlannedFault]:
    """All that can be done to what an undisturbed run has shown, in its order."""
    for each in watched:
        if isinstance(each, Asked):
            for kind in _REFUSED:
                yield PlannedFault(place="exchange", number=each.number, kind=kind)
            yield PlannedFault(place="exchange", number=each.number, kind="overloaded", from_then_on=True)
            yield PlannedFault(place="exchange", number=each.number, kind="delayed")
            for after in _places(each.deltas):
                for kind in _BROKEN_OFF:
                    yield PlannedFault(place="exchange", number=each.number, kind=kind, after=after)
        elif isinstance(each, Executed):
            for kind in _TOOL:
                yield PlannedFault(place="execution", number=each.number, kind=kind)


def _places(deltas: int) -> Sequence[int]:
    if deltas < MOST_PLACES:
        return range(deltas + 1)
    return sorted({round(deltas * part / (MOST_PLACES - 1)) for part in range(MOST_PLACES)})


class Disturber:
    """Does it, when its place is reached.

    An answer that is broken off was given by the provider all the same; who asks for it again gets it from here. So
    a scripted model goes on where it was, as a real one would.

    Args:
        planned: what to do.

    Attributes:
        done: whether the place was reached.
        seconds: how long it has held the script up.
    """

    def __init__(self, planned: PlannedFault) -> None:
        self.done = False
        self.seconds = 0.0
        self._planned = planned
        self._provider: Provider | None = None
        self._kept: tuple[Provider, CompletionRequest, Completion, Sequence[Delta]] | None = None

    async def exchange(
        self, asked: Asked, ask: Ask, request: CompletionRequest, sink: DeltaSink | None
    ) -> Completion:
        """Ask, unless this is the place."""
        wanted = self._planned
        if not self._is_met("exchange", asked.number) and not (
            wanted.from_then_on and asked.provider is self._provider
        ):
            return await self._kept_or_asked(asked, ask, request, sink)
        self._provider = asked.provider
        if wanted.kind == "delayed":
            await self._hold_up(DELAY_SECONDS)
            return await ask(request, sink)
        await trio.lowlevel.checkpoint()
        if wanted.after is None:
            raise _REFUSED[wanted.kind](asked.provider.name)
        passes = None if sink is None else _Passes(sink, wanted.after)
        completion = await ask(request, passes)
        self._kept = (asked.provider, request, completion, () if passes is None else passes.all)
        raise _BROKEN_OFF[wanted.kind](asked.provider.name)

    async def execution(self, executed: Executed, execute: Callable[[], Awaitable[object]]) -> object:
        """Execute, unless this is the place."""
        if not self._is_met("execution", executed.number):
            return await execute()
        kind = self._planned.kind
        if kind == "is cancelled alone":
            with trio.CancelScope() as scope:
                scope.cancel(reason="the sweep cancels this call alone")
                return await execute()
            raise Interrupted("the sweep cancelled this call")
        if kind == "takes too long":
            left = trio.current_effective_deadline() - trio.current_time()
            await self._hold_up(left + 1 if left < DELAY_SECONDS * 100 else DELAY_SECONDS)
            return await execute()
        await trio.lowlevel.checkpoint()
        if kind == "has a bug":
            raise ZeroDivisionError("the sweep's bug")
        if kind == "fails after it ran":
            await execute()
        raise ToolError("the sweep lets this call fail")

    def _is_met(self, place: str, number: int) -> bool:
        met = (place, number) == (self._planned.place, self._planned.number)
        self.done = self.done or met
        return met

    async def _hold_up(self, seconds: float) -> None:
        since = trio.current_time()
        try:
            await trio.sleep(seconds)
        finally:
            self.seconds += trio.current_time() - since

    async def _kept_or_asked(
        self, asked: Asked, ask: Ask, request: CompletionRequest, sink: DeltaSink | None
    ) -> Completion:
        kept = self._kept
        if kept is None or kept[0] is not asked.provider or kept[1].messages != request.messages:
            return await ask(request, sink)
        self._kept = None
        await trio.lowlevel.checkpoint()
        if sink is not None:
            await sink.send_all(kept[3])
        return kept[2]


class _Passes:
    """Lets so many pieces pass, and keeps them all."""

    def __init__(self, onward: Any, passing: int) -> None:
        self.onward = onward
        self.all: list[Delta] = []
        self._passing = passing

    async def send(self, delta: Delta) -> None:
        await self.send_all((delta,))

    async def send_all(self, deltas: Any) -> None:
        items = tuple(deltas)
        room = self._passing - len(self.all)
        self.all.extend(items)
        if room > 0:
            await self.onward.send_all(items[:room])
