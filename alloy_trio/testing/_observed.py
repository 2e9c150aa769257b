"""What a script does, as far as a sweep sees it: runs of the engine, exchanges with providers, executions of tools."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol, TypeAlias

import attrs
import trio

from alloy_trio._asking import Meter, _above
from alloy_trio._watching import execution_watcher, watcher
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.loop import here
from alloy_trio.loop._attempts import Pieces
from alloy_trio.tools._threads import _name_if_it_stays
from alloy_trio.values import (
    NO_USAGE,
    AttemptFailed,
    Completion,
    CompletionRequest,
    Delta,
    Event,
    RemoteError,
    Result,
    ToolUse,
    Usage,
    UsageDelta,
)

Ask: TypeAlias = Callable[[CompletionRequest, Any], Awaitable[Completion]]

_BESIDE_A_THREAD = f"{_name_if_it_stays.__module__}.{_name_if_it_stays.__qualname__}"
"""A task whose cancel is dropped: what a function in a thread has returned is returned, whatever stopped beside it."""

observation: ContextVar[Observation | None] = ContextVar("alloy_trio_observation", default=None)
asked_inside: ContextVar[tuple[Provider, ...]] = ContextVar("alloy_trio_asked_inside", default=())


@attrs.define(eq=False, kw_only=True)
class Watched:
    """Something of the script's that goes on for a while.

    Args:
        what: in words.
        at: when it began, on the script's clock.
        task: where.
        nurseries: those that were open around it in that task.

    Attributes:
        ended: how, in words; "" while it goes on.
        met_cancel: whether the sweep's cancel was delivered inside of it.
    """

    what: str
    at: float = attrs.field(factory=trio.current_time)
    task: trio.lowlevel.Task = attrs.field(factory=trio.lowlevel.current_task)
    nurseries: int = attrs.field(factory=lambda: len(trio.lowlevel.current_task().child_nurseries))
    ended: str = ""
    met_cancel: bool = False

    def encloses(self, task: trio.lowlevel.Task) -> bool:
        """Whether a task is this one's, or was started inside of this."""
        inside: trio.lowlevel.Task | None = task
        nursery: trio.Nursery | None = None
        while inside is not None:
            if inside is self.task:
                return nursery is None or nursery in inside.child_nurseries[self.nurseries :]
            nursery = inside.parent_nursery
            inside = None if nursery is None else nursery.parent_task
        return False

    def __str__(self) -> str:
        return f"{self.at:g} s: {self.what}: {self.ended or 'goes on'}"


@attrs.define(eq=False, kw_only=True)
class Asked(Watched):
    """One exchange with a provider.

    Args:
        number: among the script's exchanges, from 1.
        provider: who was asked.
        request: what.
        streaming: whether pieces were wanted.
        run_id: the run whose usage it is part of; None for none.

    Attributes:
        deltas: pieces that the provider has sent.
        shown: whether output was among them.
        failed: whether it has raised, and not only was cancelled.
        used: what it last said that it used.
    """

    number: int
    provider: Provider
    request: CompletionRequest
    streaming: bool
    run_id: str | None
    deltas: int = 0
    shown: bool = False
    failed: bool = False
    used: Usage = NO_USAGE


@attrs.define(eq=False, kw_only=True)
class Executed(Watched):
    """One execution of a tool.

    Args:
        number: among the script's, from 1.
        name: the tool's.
    """

    number: int
    name: str


class Disturbs(Protocol):
    """Does something to exchanges and executions."""

    async def exchange(self, asked: Asked, ask: Ask, request: CompletionRequest, sink: Any) -> Completion:
        """Ask, or do something else."""
        ...

    async def execution(self, executed: Executed, execute: Callable[[], Awaitable[object]]) -> object:
        """Execute, or do something else."""
        ...


class Observation:
    """What was seen of one run of a script.

    Args:
        disturbs: what is done to it; None for nothing.

    Attributes:
        results: what the runs of the engine came to, with their events.
        watched: exchanges and executions, in the order in which they began.
        found: what was wrong on the way.
    """

    def __init__(self, disturbs: Disturbs | None = None) -> None:
        self.results: list[tuple[Result, Sequence[Event]]] = []
        self.watched: list[Watched] = []
        self.found: list[str] = []
        self._disturbs = disturbs
        self._effects: Counter[object] = Counter()
        self._executions: Counter[object] = Counter()
        self._numbers: Counter[type] = Counter()
        self._by_reader: dict[int, tuple[object, list[Asked]]] = {}

    @property
    def exchanges(self) -> list[Asked]:
        """Those with providers."""
        return [each for each in self.watched if isinstance(each, Asked)]

    @contextmanager
    def on(self) -> Iterator[None]:
        """See what is done inside of the block, and in all that it starts."""
        told = watcher.set(lambda result, events: self.results.append((result, events)))
        executed = execution_watcher.set(self._execution)
        seen = observation.set(self)
        try:
            yield
        finally:
            observation.reset(seen)
            execution_watcher.reset(executed)
            watcher.reset(told)

    def delivered(self, task: trio.lowlevel.Task) -> None:
        """A task is about to get the Cancelled of the sweep."""
        if task.name == _BESIDE_A_THREAD:
            return
        for each in self.watched:
            if not each.ended and not each.met_cancel and each.encloses(task):
                each.met_cancel = True

    def happens(self, effect: object) -> None:
        """Something is done that must not be done twice."""
        self._effects[effect] += 1
        if self._effects[effect] > 1:
            self.found.append(f"{effect!r} was done {self._effects[effect]} times, and may be once")

    async def exchange(
        self, provider: Provider, ask: Ask, request: CompletionRequest, sink: Any
    ) -> Completion:
        """Let a provider be asked."""
        meter = _above.get()
        # Of what a provider asks by itself the run knows only what that provider says.
        of_run = meter is not None and meter._asked is provider and isinstance(meter.root, Pieces)
        run = here.get()
        emitter = None if run is None else run.emitter
        asked = Asked(
            what=f"exchange {self._next(Asked)} with {provider.name}",
            number=self._numbers[Asked],
            provider=provider,
            request=request,
            streaming=sink is not None,
            run_id=None if emitter is None or not of_run else emitter.correlation_id,
        )
        self.watched.append(asked)
        self._look_for_repetition(asked, _first(sink) if meter is None else meter.root)
        heard = None if sink is None else _Heard(self, asked, sink)
        inside = asked_inside.set((*asked_inside.get(), provider))
        try:
            if self._disturbs is None:
                completion = await ask(request, heard)
            else:
                completion = await self._disturbs.exchange(asked, ask, request, heard)
        except BaseException as error:
            if isinstance(error, RemoteError) and error.usage != NO_USAGE:
                self._used(asked, error.usage)
            asked.ended = f"{type(error).__name__}: {error}"
            asked.failed = isinstance(error, Exception)
            raise
        finally:
            asked_inside.reset(inside)
        self._used(asked, completion.usage)
        asked.ended = f"answered ({completion.stop_reason}), {asked.deltas} deltas"
        self._look_for_cancel(asked)
        return completion

    async def part(self, provider: Provider, ask: Ask, request: CompletionRequest, sink: Any) -> Completion:
        """Let a provider be asked by what is seen already, or to ask others that will be."""
        part = Watched(what=provider.name)
        self.watched.append(part)
        try:
            completion = await ask(request, sink)
        finally:
            self.watched.remove(part)
        self._look_for_cancel(part)
        return completion

    async def _execution(self, use: ToolUse, execute: Callable[[], Awaitable[object]]) -> object:
        run = here.get()
        emitter = None if run is None else run.emitter
        number = self._next(Executed)
        executed = Executed(what=f"execution {number}, {use.name} ({use.id})", number=number, name=use.name)
        self.watched.append(executed)
        if emitter is not None:
            call = (emitter.correlation_id, emitter.turn, use.id)
            self._executions[call] += 1
            if self._executions[call] > 1:
                self.found.append(f"{executed.what}: the call was started a second time")
        try:
            if self._disturbs is None:
                returned = await execute()
            else:
                returned = await self._disturbs.execution(executed, execute)
        except BaseException as error:
            executed.ended = f"{type(error).__name__}: {error}"
            raise
        executed.ended = "returned"
        self._look_for_cancel(executed)
        return returned

    def showed(self, asked: Asked, deltas: Iterable[Delta]) -> None:
        """A provider has sent pieces of its answer."""
        for delta in deltas:
            asked.deltas += 1
            if isinstance(delta, UsageDelta):
                self._used(asked, delta.usage)
            elif not isinstance(delta, AttemptFailed):
                asked.shown = True

    def _next(self, kind: type) -> int:
        self._numbers[kind] += 1
        return self._numbers[kind]

    def _used(self, asked: Asked, usage: Usage) -> None:
        if usage.total_tokens < asked.used.total_tokens:
            self.found.append(
                f"{asked.what}: usage fell from {asked.used.total_tokens} to {usage.total_tokens} tokens"
            )
        else:
            asked.used = usage

    def _look_for_repetition(self, asked: Asked, reader: object) -> None:
        if reader is None:
            return
        before = self._by_reader.setdefault(id(reader), (reader, []))[1]
        same = [each for each in before if each.failed and each.request.messages == asked.request.messages]
        if same and (
            reader.output_reached if isinstance(reader, Meter) else any(each.shown for each in same)
        ):
            self.found.append(
                f"{asked.what}: the same request was sent again, after output had reached its reader"
            )
        before.append(asked)

    def _look_for_cancel(self, watched: Watched) -> None:
        if watched.met_cancel:
            self.found.append(f"{watched.what} returned though it was cancelled; let trio.Cancelled pass")


class _Heard:
    """Notes what passes on its way to a reader."""

    def __init__(self, observation: Observation, asked: Asked, onward: DeltaSink) -> None:
        self.onward = onward
        self._observation = observation
        self._asked = asked

    async def send(self, delta: Delta) -> None:
        await self.send_all((delta,))

    async def send_all(self, deltas: Iterable[Delta]) -> None:
        items = tuple(deltas)
        self._observation.showed(self._asked, items)
        await self.onward.send_all(items)


def once(effect: object) -> None:
    """Say that something is done that must not be done twice: a payment, a message that is sent.

    To be called by a test's tools where they would do it. When it is said twice in one run of a script, the sweep that
    runs it fails: something has repeated the call. Elsewhere it does nothing.

    Args:
        effect: which one, anything hashable: ``("charge", order)``.
    """
    seen = observation.get()
    if seen is not None:
        seen.happens(effect)


def _first(sink: Any) -> object:
    while isinstance(sink, _Heard):
        sink = sink.onward
    return sink
