"""Operations on an agent, performed one after the other in virtual time, and looked at after each.

The operations are data, recorded by :class:`alloy_trio.testing.AgentMachine` while Hypothesis draws them: so one
``trio.run`` performs all of an example, and the same example is performed in the same way each time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, TypeAlias

import attrs
import trio
import trio.testing

from alloy_trio._watching import watcher
from alloy_trio.abc import DeltaSink, Provider
from alloy_trio.agents import Agent, Request
from alloy_trio.providers._around import Around
from alloy_trio.providers._local import LocalModel
from alloy_trio.values import (
    AgentBusy,
    AgentClosed,
    Block,
    Completion,
    CompletionRequest,
    Event,
    QueueFull,
    RemoteError,
    RequestNotFound,
    Result,
    Text,
)

from ._endless import Guard, endless
from ._invariants import history_problems, result_problems
from ._leaks import Inventory, assert_nothing_left, tasks_now
from ._seeded import Clock, run_seeded

Opener: TypeAlias = Callable[..., AbstractAsyncContextManager[Agent]]
Operation: TypeAlias = "Callable[[Performed], Awaitable[object]]"

CLOSING_SECONDS = 30.0
"""How long an agent may take to close: its session's end and ``on_shutdown`` have five seconds each, and its tools
clean up."""

PROMPT_SECONDS = 5.0
"""How long a cancelled request may go on: its tools may clean up for a while."""

SETTLING_SECONDS = 0.1
"""How long what ends by itself may take, in real time. Short, as each failing example waits for so long."""

FOREVER_SECONDS = 1e7
"""When nothing has happened for so long on the mock clock, nothing ever will: all wait for each other. Arbitrary."""

_LAST_WORDS = "So it is."
_COUNTS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


class Improvised(LocalModel):
    """A model that says what it was told to say next, and else a last word.

    Attributes:
        lines: the turns that come, as of :class:`alloy_trio.providers.Scripted`.
        seconds: how long each answer takes.
    """

    def __init__(self, seconds: float = 0.5) -> None:
        super().__init__("scripted", "scripted")
        self.lines: deque[Any] = deque()
        self.seconds = seconds

    async def answer(self, request: CompletionRequest) -> Completion | Sequence[Block | BaseException]:
        """The next turn."""
        await trio.sleep(self.seconds)
        turn = self.lines.popleft() if self.lines else _LAST_WORDS
        if isinstance(turn, BaseException):
            raise turn
        if isinstance(turn, str):
            return (Text(turn),) if turn else ()
        said: Completion | Sequence[Block | BaseException] = turn
        return said


class Failing(Around):
    """A provider that fails when it is told to, and else is the one inside.

    Attributes:
        errors: what the next requests fail with.
    """

    def __init__(self, provider: Provider) -> None:
        super().__init__(provider)
        self.errors: deque[RemoteError] = deque()
        self.handles_failures = provider.handles_failures
        self.max_tokens = provider.max_tokens
        self.thinking_budget = provider.thinking_budget

    async def complete(self, request: CompletionRequest) -> Completion:
        """Fail, or ask."""
        await self._fail()
        return await self.inner[0].complete(request)

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        """Fail, or ask."""
        await self._fail()
        return await self.inner[0].stream(request, deltas)

    async def _fail(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.errors:
            raise self.errors.popleft()


class Performed:
    """An agent to which operations happen.

    Attributes:
        agent: the agent.
        model: what the machine plays; None where the agent has a model of its own.
        failing: what lies around the model.
        log: what happened, in words, with the time.
        asked: the names of all requests.
        before: what the agent had used when it was opened.
    """

    def __init__(self, agent: Agent, nursery: trio.Nursery, model: Improvised | None, log: list[str]) -> None:
        self.agent = agent
        self.model = model
        provider = Failing(agent._core.provider)
        agent.set_model(provider)
        self.failing = provider
        self.log = log
        self._nursery = nursery
        self.before = agent.usage
        self.asked: set[str] = set()
        self._requests: dict[str, trio.Event] = {}
        self._usage = agent.usage
        self._judged: object = None

    def say(self, turns: Iterable[Any]) -> None:
        """Let the model say these next."""
        if self.model is not None:
            self.model.lines.extend(turns)

    async def chat(self, prompt: str, patience: float) -> None:
        """Ask in a task of its own, and wait for it for so many seconds."""
        await self._ask(patience, self._chatting, prompt)

    async def stream(self, prompt: str, last: str, patience: float) -> None:
        """Ask, read up to an event of this name, and leave; wait for that for so many seconds."""
        await self._ask(patience, self._streaming, prompt, last)

    async def send(self, prompt: str) -> None:
        """Ask without waiting."""
        name = self._new_name()
        try:
            request = self.agent.send(prompt, request_id=name)
        except (AgentBusy, QueueFull) as error:
            del self._requests[name]
            self.log.append(f"{trio.current_time():g} s: {name}: {self._refused(name, error)}")
            return
        self._nursery.start_soon(self._waiting, name, request)

    async def cancel(self, which: int) -> None:
        """Cancel one of the requests that have not ended, and see that it ends."""
        names = list(self._requests)
        if not names:
            await self._expect(RequestNotFound, self.agent.cancel, "nobody's")
            return
        name = names[which % len(names)]
        ended = self._requests[name]
        try:
            self.agent.cancel(name)
        except RequestNotFound:
            self.log.append(f"{trio.current_time():g} s: {name} has ended")
        with trio.move_on_after(PROMPT_SECONDS):
            await ended.wait()
            return
        raise AssertionError(f"{name} went on for {PROMPT_SECONDS:g} s after it was cancelled")

    async def finish(self) -> None:
        """Wait until nothing that was asked goes on; the model forgets what it has not said."""
        for ended in list(self._requests.values()):
            await ended.wait()
        if self.model is not None:
            # Else a request's lines would depend on the requests before, and no example could be made smaller.
            self.model.lines.clear()

    async def tell(self, method: str, text: str) -> None:
        """Steer, or follow up."""
        call = getattr(self.agent, method)
        if self.agent.health().running is None:
            await self._expect(RequestNotFound, call, text)
        else:
            call(text)

    async def reset(self) -> None:
        """Forget the conversation, unless a request runs."""
        if self.agent.health().running is not None:
            await self._expect(AgentBusy, self.agent.reset)
            return
        self.agent.reset()
        if self.agent.messages:
            raise AssertionError("the agent was reset, and has a conversation still")

    async def rest(self) -> None:
        """Let all tasks come to rest, and look at the agent."""
        await trio.testing.wait_all_tasks_blocked()
        usage, before = self.agent.usage, self._usage
        fell = [name for name in _COUNTS if getattr(usage, name) < getattr(before, name)]
        if fell:
            raise AssertionError(f"usage fell: {', '.join(fell)}; it was {before}, and is {usage}")
        self._usage = usage
        if self.agent.messages is not self._judged:
            self._judged = self.agent.messages
            raise_problems("the agent's conversation is invalid", history_problems(self.agent.messages))

    async def _ask(self, patience: float, perform: Callable[..., Awaitable[Any]], *args: Any) -> None:
        name = self._new_name()
        ended = self._requests[name]
        self._nursery.start_soon(self._asking, name, perform, args)
        with trio.move_on_after(patience):
            await ended.wait()

    def _new_name(self) -> str:
        name = f"request {len(self.asked) + 1}"
        self.asked.add(name)
        self._requests[name] = trio.Event()
        return name

    async def _asking(self, name: str, perform: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
        try:
            came = await perform(name, *args)
        except (AgentBusy, QueueFull) as error:
            came = self._refused(name, error)
        except (RemoteError, AgentClosed) as error:
            came = f"{type(error).__name__}: {error}"
        finally:
            self._requests.pop(name).set()
        self.log.append(f"{trio.current_time():g} s: {name}: {came}")

    async def _chatting(self, name: str, prompt: str) -> str:
        return (await self.agent.chat(prompt, request_id=name)).status

    async def _waiting(self, name: str, request: Request) -> None:
        async def wait(_: str) -> str:
            return (await request.wait()).status

        await self._asking(name, wait, ())

    async def _streaming(self, name: str, prompt: str, last: str) -> str:
        read = "nothing"
        async with self.agent.stream(prompt, request_id=name) as events:
            async for event in events:
                read = event.event
                if read == last:
                    break
        return f"left at {read}"

    def _refused(self, name: str, error: Exception) -> str:
        health = self.agent.health()
        if health.running is None and not health.pending:
            raise AssertionError(f"{name} was refused while nothing ran: {error}") from error
        return type(error).__name__

    async def _expect(self, kind: type[Exception], call: Callable[..., object], *args: Any) -> None:
        try:
            call(*args)
        except kind:
            return
        raise AssertionError(f"{call.__name__} did not raise {kind.__name__}")


def raise_problems(what: str, problems: Iterable[str]) -> None:
    """Raise an AssertionError if there are any."""
    found = list(problems)
    if found:
        raise AssertionError(f"{what}:\n" + "\n".join(f"- {each}" for each in found))


def perform(
    opener: Opener, operations: Sequence[tuple[str, Operation]], *, plays_model: bool, seed: int, clock: Clock
) -> None:
    """Open an agent, let operations happen to it, close it, and see that nothing is wrong or left.

    Args:
        opener: opens it; is given the model where the machine plays that.
        operations: each with its words.
        plays_model: whether it does.
        seed: of the run.
        clock: of the run.

    Raises:
        AssertionError: something was wrong; its notes tell what had happened.
    """
    before = Inventory.now()
    log: list[str] = []
    guard = Guard()
    performance = _Performance(opener, operations, plays_model, log, guard)
    try:
        run_seeded(performance.run, seed=seed, clock=clock, instruments=(guard,))
        _assert_nothing_left(before)
    except BaseException as error:
        told = "what happened:\n" + "\n".join(f"  {line}" for line in log)
        why = endless(error)
        if why is not None:
            failure = AssertionError(why)
            failure.add_note(told)
            raise failure from None
        error.add_note(told)
        raise


def _assert_nothing_left(before: Inventory) -> None:
    left = Inventory.now().beyond(before)
    if left and all(each.startswith("file: ") for each in left):
        assert_nothing_left(before, 0)  # nobody closes them later, but for the collector
    elif left:
        assert_nothing_left(before, SETTLING_SECONDS)


@attrs.frozen
class _Performance:
    """One life of an agent, and what happens in it."""

    opener: Opener
    operations: Sequence[tuple[str, Operation]]
    plays_model: bool
    log: list[str]
    guard: Guard

    async def run(self) -> None:
        seen: list[tuple[Result, Sequence[Event]]] = []
        token = watcher.set(lambda result, events: seen.append((result, events)))
        try:
            async with _told_alone(), trio.open_nursery() as nursery:
                nursery.start_soon(self._break_off)
                tasks = tasks_now()
                async with trio.open_nursery() as callers:
                    with self.guard.on():
                        performed = await self._live(callers)
                await trio.testing.wait_all_tasks_blocked()
                left = tasks_now() - tasks
                if left:
                    raise AssertionError(f"left behind:\n- task: {', '.join(left)}")
                nursery.cancel_scope.cancel(reason="all is done")
        finally:
            watcher.reset(token)
        spent = 0
        for result, events in seen:
            raise_problems(f"{result.request_id} is not what it has to be", result_problems(result, events))
            spent += result.usage.total_tokens if result.request_id in performed.asked else 0
        counted = performed.agent.usage.total_tokens - performed.before.total_tokens
        if counted < spent:
            raise AssertionError(f"the agent counted {counted} tokens, and its requests used {spent}")

    async def _live(self, callers: trio.Nursery) -> Performed:
        model = Improvised() if self.plays_model else None
        async with self.opener(*([] if model is None else [model])) as agent:
            performed = Performed(agent, callers, model, self.log)
            await performed.rest()
            for words, operation in self.operations:
                self.guard.taken = 0
                self.log.append(f"{trio.current_time():g} s: {words}")
                await operation(performed)
            self.guard.taken = 0
            leaving = trio.current_time()
        self.log.append(f"{trio.current_time():g} s: closed")
        took = trio.current_time() - leaving
        if took > CLOSING_SECONDS:
            raise AssertionError(f"the agent took {took:g} s to close, and may take {CLOSING_SECONDS:g}")
        return performed

    async def _break_off(self) -> None:
        await trio.sleep(FOREVER_SECONDS)
        self.guard.wake("all tasks wait, and nothing will ever wake them")


@asynccontextmanager
async def _told_alone() -> AsyncIterator[None]:
    """Let one failure leave alone, however many nurseries it came through."""
    try:
        yield
    except BaseExceptionGroup as group:
        inner: BaseException = group
        while isinstance(inner, BaseExceptionGroup) and len(inner.exceptions) == 1:
            inner = inner.exceptions[0]
        raise inner from None
