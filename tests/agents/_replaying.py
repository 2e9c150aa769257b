"""Operations on an agent, replayed in one ``trio.run`` in virtual time, beside the reference that says what they do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

import attrs
import trio

from alloy_trio import (
    Agent,
    AgentBusy,
    AgentClosed,
    CompletionRequest,
    Event,
    Message,
    QueueFull,
    RequestNotFound,
    Result,
    ServerFault,
    Text,
    ToolResult,
    ToolUse,
    Usage,
    open_agent,
    tool,
)
from alloy_trio.providers import Scripted
from alloy_trio.testing import assert_events_well_formed, assert_valid_history, no_leaks, run_seeded

from ._reference import ANSWER, Reference, Round

How = Literal["chat", "send", "stream"]

TICK = 0.001
"""Each operation comes at a fraction of a second of its own, and all else takes whole seconds: nothing that is compared
happens at the same time as something else."""

REFUSALS = {AgentBusy: "busy", QueueFull: "full", AgentClosed: "closed", RequestNotFound: "missing"}


@attrs.frozen
class Op:
    """Something that is done.

    Args:
        what: ``"ask"``, ``"cancel"``, ``"leave"`` (who asked is cancelled), ``"steer"``, ``"follow_up"``, ``"reset"``,
            ``"choose"`` a model, ``"wait"`` or ``"close"``.
        seconds: that pass before it.
        which: the request, counted from the last one, or the model.
        plan: of a new request.
        how: it is asked.
        deadline: seconds that whoever asks waits; None for as long as it takes.
    """

    what: str
    seconds: int = 0
    which: int = 0
    plan: tuple[Round, ...] = ()
    how: How = "chat"
    deadline: int | None = None


@tool
async def work(seconds: int, crashes: bool) -> str:
    """Take some seconds, and crash in the end or not."""
    await trio.sleep(seconds)
    if crashes:
        raise ZeroDivisionError("crashed")
    return "done"


class Planned(Scripted):
    """A model that does what the plan in the last question says."""

    def __init__(self, name: str, plans: dict[str, tuple[Round, ...]]) -> None:
        super().__init__([], name=name)
        self.plans = plans

    async def answer(self, request: CompletionRequest) -> Any:
        place, name = next(
            (place, block.text)
            for place in range(len(request.messages) - 1, -1, -1)
            for block in request.messages[place].content
            if isinstance(block, Text) and request.messages[place].role == "user" and block.text in self.plans
        )
        step = sum(message.role == "assistant" for message in request.messages[place:])
        plan = self.plans[name]
        round_ = plan[step] if step < len(plan) else ANSWER
        await trio.sleep(round_.seconds)
        if round_.fails:
            raise ServerFault("planned", transient=False)
        if not round_.tools:
            return (Text(f"{name} {step}"),)
        return tuple(
            ToolUse(f"{name}.{step}.{number}", "work", {"seconds": seconds, "crashes": crashes})
            for number, (seconds, crashes) in enumerate(round_.tools)
        )


def words_of(messages: Sequence[Message]) -> list[str]:
    """A conversation as the reference writes it down."""
    words = []
    for message in messages:
        if message.role == "assistant":
            said = ",".join(use.id for use in message.tool_uses) or message.text
            assert message.origin is not None
            words.append(f"A:{message.origin.provider}:{said}")
            continue
        for block in message.content:
            if isinstance(block, ToolResult):
                outcome = "interrupted"
                if not block.is_error:
                    outcome = "completed"
                elif "crashed" in str(block.content):
                    outcome = "failed"
                words.append(f"R:{block.tool_use_id}:{outcome}")
            else:
                assert isinstance(block, Text)
                words.append(f"U:{block.text}")
    return words


class Replay:
    """One agent and its reference.

    Attributes:
        outcomes: what those who asked were told, by the request's name.
    """

    def __init__(self, ops: Sequence[Op], max_pending: int) -> None:
        self.ops = ops
        self.reference = Reference(max_pending)
        self.max_pending = max_pending
        self.outcomes: dict[str, str] = {}
        self.words = 0
        self.asked: list[str] = []
        self.published: list[Result] = []
        self.streams: list[list[Event]] = []
        self.plans: dict[str, tuple[Round, ...]] = {}
        self.models = {name: Planned(name, self.plans) for name in ("one", "two", "three")}
        self.scopes: dict[str, trio.CancelScope] = {}

    def perform(self) -> None:
        """Replay, and compare at each step.

        Raises:
            AssertionError: they differ.
        """
        with no_leaks():
            run_seeded(self._main)

    async def _main(self) -> None:
        async with trio.open_nursery() as outside:
            self.outside = outside
            closes = (
                [op.what for op in self.ops].index("close")
                if any(o.what == "close" for o in self.ops)
                else None
            )
            inside = self.ops if closes is None else self.ops[:closes]
            after = () if closes is None else self.ops[closes + 1 :]
            async with open_agent(
                provider=self.models["one"], tools=[work], max_pending=self.max_pending, max_turns=1_000
            ) as self.agent:
                await outside.start(self._listen)
                for number, op in enumerate(inside, 1):
                    await self._until(trio.current_time() // 1 + op.seconds + number * TICK)
                    self._do(op)
                last = trio.current_time()
                if closes is None:
                    await self._until(last + 1_000)
                else:
                    await self._until(last + TICK)
                self.reference.close()
            for op in after:
                await self._until(trio.current_time() + TICK)
                self._do(op)
        self._compare()
        self._compare_ends()

    async def _until(self, when: float) -> None:
        await trio.sleep_until(when)
        self.reference.advance(when)
        self._compare()

    def _do(self, op: Op) -> None:
        which = self.asked[-1 - op.which] if op.which < len(self.asked) else "never"
        match op.what:
            case "ask":
                self._ask(op)
            case "cancel":
                self._same(self.agent.cancel, self.reference.cancel, which)
            case "leave":
                if which in self.scopes:
                    self.scopes[which].cancel()
                    self.reference.cancel(which, "left")
            case "steer":
                self._same(self.agent.steer, self.reference.steer, self._word())
            case "follow_up":
                self._same(self.agent.follow_up, self.reference.follow_up, self._word())
            case "reset":
                self._same(self.agent.reset, self.reference.reset)
            case "choose":
                name = ("one", "two", "three")[op.which % 3]
                self._same(
                    lambda: self.agent.set_model(self.models[name]), lambda: self.reference.choose(name)
                )

    def _word(self) -> str:
        self.words += 1
        return f"w{self.words}"

    def _same(self, real: Any, reference: Any, *args: str) -> None:
        refused = None
        try:
            real(*args)
        except tuple(REFUSALS) as error:
            refused = REFUSALS[type(error)]
        assert refused == reference(*args), f"{real} of {args} was {refused}"

    def _ask(self, op: Op) -> None:
        name = f"q{len(self.asked)}"
        self.asked.append(name)
        self.plans[name] = op.plan
        seconds = float("inf") if op.deadline is None or op.how == "send" else op.deadline + TICK / 2
        refused = self.reference.ask(name, op.plan, trio.current_time() + seconds)
        if op.how == "send":
            try:
                request = self.agent.send(name, request_id=name)
                really = None
                self.outside.start_soon(self._told, name, request.wait)
            except tuple(REFUSALS) as error:
                really = REFUSALS[type(error)]
            assert really == refused
            return
        scope = self.scopes[name] = trio.CancelScope(deadline=trio.current_time() + seconds)
        self.outside.start_soon(self._told_in, scope, name, refused, op.how)

    async def _told_in(self, scope: trio.CancelScope, name: str, refused: str | None, how: How) -> None:
        with scope:
            await self._told(name, self._chat if how == "chat" else self._stream, name)
        if scope.cancelled_caught:
            self.outcomes[name] = "left"
        if refused is not None:
            assert self.outcomes.pop(name) == refused

    async def _told(self, name: str, ask: Any, *args: Any) -> None:
        try:
            result: Result = await ask(*args)
        except ServerFault as error:
            self.outcomes[name] = "no result" if error.result is None else "error"
        except tuple(REFUSALS) as error:
            self.outcomes[name] = REFUSALS[type(error)]
        else:
            self.outcomes[name] = result.status

    async def _chat(self, name: str) -> Result:
        return await self.agent.chat(name, request_id=name)

    async def _stream(self, name: str) -> Result:
        seen: list[Event] = []
        async with self.agent.stream(name, request_id=name) as events:
            async for event in events:
                seen.append(event)
        self.streams.append(seen)
        return events.result

    async def _listen(self, *, task_status: trio.TaskStatus[None]) -> None:
        async with self.agent.responses(buffer=10_000) as responses:
            task_status.started()
            async for result in responses:
                self.published.append(result)

    def _compare(self) -> None:
        health, statistics = self.agent.health(), self.agent.statistics()
        real = {
            "status": health.status,
            "running": health.running,
            "pending": health.pending,
            "provider": health.provider,
            "words": words_of(self.agent.messages),
            "requests": dict(statistics.requests),
            "turns": statistics.turns,
            "tool_calls": statistics.tool_calls,
        }
        assert real == self.reference.snapshot(), json.dumps([real, self.reference.snapshot()], indent=1)
        assert statistics.pending == health.pending
        assert statistics.messages == len(self.agent.messages)

    def _compare_ends(self) -> None:
        published = [(result.request_id, result.status) for result in self.published]
        assert published == self.reference.published
        assert self.outcomes == self.reference.told
        usage = Usage()
        for result in self.published:
            usage = usage + result.usage
            assert_valid_history(result.messages, "anthropic")
        assert self.agent.usage == usage
        assert_valid_history(self.agent.messages)
        for seen in self.streams:
            assert_events_well_formed(seen)


def replay(ops: Sequence[Op], max_pending: int) -> None:
    """Replay operations beside the reference; see :class:`Replay`."""
    Replay(ops, max_pending).perform()


__all__ = ["Agent", "Op", "Replay", "replay"]
