"""Each planted bug is caught by a sweep alone, and its correct twin passes the same sweep."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import attrs
import pytest
import trio

from alloy_trio import (
    Completion,
    CompletionRequest,
    Message,
    RemoteError,
    Text,
    ToolError,
    ToolResult,
    ToolUse,
    Usage,
    open_agent,
    run,
    stream,
    tool,
)
from alloy_trio.abc import DeltaSink, Middleware, Provider
from alloy_trio.providers import Scripted
from alloy_trio.testing import SweepFailure, cancel_sweep, fault_sweep, once, schedule_sweep

Script = Callable[[], Awaitable[object]]


def calls(name: str, times: int = 1) -> list[ToolUse]:
    return [ToolUse(f"{name}{number}", name, {}) for number in range(times)]


def found(sweep: Callable[..., object], script: Script, match: str, **options: Any) -> SweepFailure:
    """The sweep fails, fails alike when it is repeated for the one run that it names, and says how."""
    with pytest.raises(SweepFailure, match=match) as caught:
        sweep(script, **options)
    failure = caught.value
    only: Any = {"seeds": [failure.at]} if sweep is schedule_sweep else {"only": failure.at}
    with pytest.raises(SweepFailure, match=match) as again:
        sweep(script, **{**options, **only})
    assert again.value.at == failure.at
    assert f"run just that with {sweep.__name__}(" in str(failure)
    return failure


# A tool that leaves a process.


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    left: list[subprocess.Popen[bytes]] = []
    yield left
    for process in left:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


def sleeping(processes: list[subprocess.Popen[bytes]], *, ends: bool) -> Script:
    @tool
    async def sleep() -> str:
        """Sleep elsewhere."""
        process = subprocess.Popen(["sleep", "30"])  # noqa: ASYNC220 - a tool as bad ones are
        processes.append(process)
        try:
            await trio.sleep(1)
            process.kill()
            process.wait()
        except trio.Cancelled:
            if ends:
                process.kill()
                process.wait()
            raise
        return "slept"

    async def script() -> None:
        await run("x", provider=Scripted([calls("sleep"), "done"]), tools=[sleep])

    return script


def test_a_tool_that_leaves_a_process_when_it_is_cancelled(processes: list[Any]) -> None:
    failure = found(cancel_sweep, sleeping(processes, ends=False), r"process: [0-9]+ sleep 30")
    assert failure.at > 1
    cancel_sweep(sleeping(processes, ends=True))


# A provider that swallows Cancelled.


class Slow(Provider):
    """Answers after a second, or when it is cancelled."""

    name = "slow"
    model = "m"

    def __init__(self, *, swallows: bool) -> None:
        self.swallows = swallows

    async def complete(self, request: CompletionRequest) -> Completion:
        try:
            await trio.sleep(1)
        except trio.Cancelled:
            if not self.swallows:
                raise
        return Completion(Message.assistant("whatever"), "end_turn", Usage(), "m", None)


@pytest.mark.parametrize("way", ["run", "stream", "chat"])
def test_a_provider_that_swallows_one_cancel_and_answers(way: str) -> None:
    async def ask(provider: Provider) -> None:
        if way == "run":
            await run("x", provider=provider)
        elif way == "stream":
            async with stream("x", provider=provider) as events:
                await events.drain()
        else:
            async with open_agent(provider=provider) as agent:
                await agent.chat("x")

    async def bad() -> None:
        await ask(Slow(swallows=True))

    async def good() -> None:
        await ask(Slow(swallows=False))

    found(cancel_sweep, bad, r"slow returned though it was cancelled")
    cancel_sweep(good)


def test_a_provider_that_swallows_what_a_task_of_its_own_got() -> None:
    class Split(Slow):
        async def complete(self, request: CompletionRequest) -> Completion:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(trio.sleep, 1)
            except* trio.Cancelled:
                if not self.swallows:
                    raise
            return Completion(Message.assistant("whatever"), "end_turn", Usage(), "m", None)

    async def bad() -> None:
        await run("x", provider=Split(swallows=True))

    async def good() -> None:
        await run("x", provider=Split(swallows=False))

    found(cancel_sweep, bad, r"exchange 1 with slow returned though it was cancelled")
    cancel_sweep(good)


def napping(*, swallows: bool, alone: bool) -> Script:
    @tool
    async def nap() -> str:
        """Sleep."""
        try:
            with trio.move_on_after(5):
                await trio.sleep(1)
        except trio.Cancelled:
            if not swallows:
                raise
        return "slept"

    async def script() -> None:
        await run("x", provider=Scripted([calls("nap", 1 if alone else 3), "done"]), tools=[nap])

    return script


@pytest.mark.parametrize("alone", [True, False])
def test_a_tool_that_swallows_one_cancel_and_returns(alone: bool) -> None:
    found(cancel_sweep, napping(swallows=True, alone=alone), r"nap .* returned though it was cancelled")
    cancel_sweep(napping(swallows=False, alone=alone))


def test_a_script_that_swallows_the_cancel_itself() -> None:
    async def bad() -> None:
        try:
            await trio.sleep(1)
        except trio.Cancelled:
            pass  # what is planted

    async def good() -> None:
        with trio.move_on_after(0.5):
            await trio.sleep(1)

    found(cancel_sweep, bad, "the script returned though it was cancelled")
    cancel_sweep(good)


# A middleware that drops a tool result.


class Batches(Middleware):
    def __init__(self, dropped: int) -> None:
        self.dropped = dropped

    async def tool_batch(self, calls: Any, proceed: Any, run: Any) -> Any:
        results = await proceed(calls)
        return results[: len(results) - self.dropped]


@pytest.mark.parametrize("sweep", [cancel_sweep, fault_sweep, schedule_sweep])
def test_a_middleware_that_drops_a_tool_result(sweep: Callable[..., object]) -> None:
    @tool
    async def nap() -> str:
        """Sleep."""
        await trio.sleep(1)
        return "slept"

    def script(dropped: int) -> Script:
        async def script() -> None:
            model = Scripted([calls("nap", 3), *["done"] * 3])
            await run("x", provider=model, tools=[nap], middleware=[Batches(dropped)])

        return script

    options = {"seeds": range(20)} if sweep is schedule_sweep else {}
    found(sweep, script(1), "each call needs exactly one", **options)
    sweep(script(0), **options)


# A retry that repeats a side effect.


class Retries(Provider):
    """Asks again when the provider below it fails; also after it has sent something, if it is the bad one."""

    name = "retries"
    model = "m"

    def __init__(self, below: Provider, *, carefully: bool) -> None:
        self.below = below
        self.carefully = carefully

    async def complete(self, request: CompletionRequest) -> Completion:
        raise AssertionError("it is streamed from")

    async def stream(self, request: CompletionRequest, deltas: DeltaSink) -> Completion:
        for _ in range(2):
            sent = Counting(deltas)
            try:
                return await self.below.stream(request, sent)
            except RemoteError:
                if self.carefully and sent.count:
                    raise
        return await self.below.stream(request, deltas)


class Counting:
    def __init__(self, onward: DeltaSink) -> None:
        self.onward = onward
        self.count = 0

    async def send(self, delta: Any) -> None:
        await self.send_all((delta,))

    async def send_all(self, deltas: Any) -> None:
        items = tuple(deltas)
        self.count += len(items)
        await self.onward.send_all(items)


def test_a_provider_that_asks_again_after_its_reader_has_seen_something() -> None:
    def script(carefully: bool) -> Script:
        async def script() -> None:
            model = Retries(Scripted(["one two three", *["again"] * 9]), carefully=carefully)
            async with stream("x", provider=model, max_retries=0) as events:
                await events.drain()

        return script

    failure = found(fault_sweep, script(False), "sent again, after output had reached its reader")
    assert "the sweep cut the answer off" in str(failure)
    fault_sweep(script(True))


def paying(*, again: bool) -> Script:
    @tool
    async def charge() -> str:
        """Charge the customer."""
        await trio.sleep(0.1)
        once("the charge of order 7")
        return "charged"

    async def script() -> None:
        for _ in range(3):
            try:
                await run("x", provider=Scripted([calls("charge"), "done"]), tools=[charge], max_retries=0)
                return
            except RemoteError as error:
                if not again and error.result is not None and error.result.tool_calls:
                    raise

    return script


def test_a_run_that_is_made_again_as_a_whole_and_charges_twice() -> None:
    found(fault_sweep, paying(again=True), "'the charge of order 7' was done 2 times, and may be once")
    fault_sweep(paying(again=False))


def test_a_middleware_that_calls_a_tool_again_when_its_answer_is_lost() -> None:
    @tool
    async def charge() -> str:
        """Charge the customer."""
        await trio.sleep(0.1)
        once("the charge")
        return "charged"

    class Stubborn(Middleware):
        async def tool_call(self, call: Any, proceed: Any, run: Any) -> Any:
            try:
                return await proceed(call)
            except ToolError:
                assert charge.fn is not None
                return await charge.fn()

    def script(*middleware: Middleware) -> Script:
        async def script() -> None:
            model = Scripted([calls("charge"), *["done"] * 9])
            await run("x", provider=model, tools=[charge], middleware=middleware)

        return script

    failure = found(fault_sweep, script(Stubborn()), "'the charge' was done 2 times")
    assert "fails after it ran" in str(failure)
    fault_sweep(script())


def test_outside_of_a_sweep_nothing_is_noted() -> None:
    once("x")
    once("x")


# A task leaked through a system nursery.


@pytest.mark.parametrize("sweep", [cancel_sweep, fault_sweep, schedule_sweep])
def test_a_task_that_is_leaked_through_a_system_nursery(sweep: Callable[..., object]) -> None:
    def script(leaks: bool) -> Script:
        @tool
        async def listen() -> str:
            """Listen."""
            if leaks:
                trio.lowlevel.spawn_system_task(trio.sleep_forever, name="listener")
                return "listens"
            async with trio.open_nursery() as nursery:
                nursery.start_soon(trio.sleep_forever, name="listener")
                await trio.sleep(1)
                nursery.cancel_scope.cancel()
            return "listened"

        async def script() -> None:
            await run("x", provider=Scripted([calls("listen"), *["done"] * 9]), tools=[listen])

        return script

    options = {"seeds": range(20)} if sweep is schedule_sweep else {}
    found(sweep, script(True), "listener", **options)
    sweep(script(False), **options)


# A history edited into invalidity.


class Forgets(Middleware):
    """Leaves out of each request what is old, to save tokens: by whole turns, or by messages."""

    def __init__(self, kept: int) -> None:
        self.kept = kept

    async def completion(self, request: Any, proceed: Any, run: Any) -> Any:
        return await proceed(attrs.evolve(request, messages=request.messages[-self.kept :]))


class Echoes(Provider):
    """Says again what it was told, and with it a result, if it is the bad one."""

    name = "echoes"
    model = "m"

    def __init__(self, *more: ToolResult) -> None:
        self.more = more

    async def complete(self, request: CompletionRequest) -> Completion:
        await trio.lowlevel.checkpoint()
        said = Message("assistant", (Text(request.messages[-1].text), *self.more))
        return Completion(said, "end_turn", Usage(), "m", None)


@tool
async def nap() -> str:
    """Sleep."""
    await trio.sleep(1)
    return "slept"


@pytest.mark.parametrize("sweep", [cancel_sweep, fault_sweep, schedule_sweep])
def test_a_middleware_that_cuts_the_conversation_between_a_call_and_its_result(
    sweep: Callable[..., object],
) -> None:
    def script(kept: int) -> Script:
        async def script() -> None:
            model = Scripted([calls("nap"), calls("nap"), *["done"] * 9])
            await run("x", provider=model, tools=[nap], middleware=[Forgets(kept)])

        return script

    options = {"seeds": range(20)} if sweep is schedule_sweep else {}
    found(sweep, script(1), "was asked with an invalid conversation", **options)
    sweep(script(99), **options)


@pytest.mark.parametrize("sweep", [cancel_sweep, fault_sweep, schedule_sweep])
def test_a_provider_that_answers_with_what_only_a_user_may_say(sweep: Callable[..., object]) -> None:
    def script(*more: ToolResult) -> Script:
        async def script() -> None:
            async with open_agent(provider=Echoes(*more)) as agent:
                await agent.chat("x")
                await agent.chat("y")

        return script

    options = {"seeds": range(20)} if sweep is schedule_sweep else {}
    found(sweep, script(ToolResult("1", "slept")), "is the model's and holds a ToolResult", **options)
    sweep(script(), **options)


def test_a_program_that_hands_a_broken_conversation_to_a_provider() -> None:
    def script(*more: Message) -> Script:
        async def script() -> None:
            dangling = Message("assistant", (Text("I'll see."), ToolUse("1", "nap", {})))
            await Scripted(["done"]).complete(CompletionRequest((Message.user("x"), dangling, *more)))

        return script

    found(schedule_sweep, script(), "was asked with an invalid conversation")
    schedule_sweep(script(Message("user", (ToolResult("1", "slept"),))), seeds=range(3))


# A race that shows under one schedule in a thousand.


def racing(*, locked: bool) -> Script:
    """Six tasks hand a number on, each to the one after it; it is lost in one of the 720 orders that there are."""

    async def script() -> list[int]:
        order: list[int] = []
        lock = trio.Lock()

        async def member(number: int) -> None:
            async with lock if locked else contextlib.nullcontext():
                await trio.lowlevel.checkpoint()
                order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(member, number)
        if not locked:
            assert order != [0, 1, 2, 3, 4, 5], "the number was lost"
        return order

    return script


def test_a_race_that_shows_under_one_schedule_in_a_thousand() -> None:
    failure = found(schedule_sweep, racing(locked=False), "the number was lost")
    assert failure.at > 100
    assert str(failure).startswith(f"racing.<locals>.script, seed {failure.at}: the number was lost")
    report = schedule_sweep(racing(locked=True), seeds=range(failure.at + 1), same=sorted)
    assert report.runs == failure.at + 1
