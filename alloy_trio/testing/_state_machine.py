"""A state machine for a user's agent: whatever is asked, cancelled or said in whatever order, and whatever fails.

Hypothesis chooses the operations, which are only written down; when it has no more, they are performed in one seeded
run. So an example takes milliseconds, needs neither threads nor real time, and is the same each time it is tried.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar

from alloy_trio.testing import _hypothesis_is_there  # noqa: F401 - says what to install where it is not

# isort: split
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from alloy_trio.agents import Agent
from alloy_trio.tools import Tool
from alloy_trio.values import ConfigurationError, RemoteError

from ._performing import Opener, Operation, Performed, perform
from ._profiles import PHASES, register_profiles
from ._seeded import Clock
from .strategies import faults, scripts

_PROMPTS = st.sampled_from(["Hello.", "And then?", "Look it up."])
_SECONDS = st.sampled_from([0.5, 1.0, 10.0, 100.0])
_LAST = st.sampled_from(["run_end", "tool_start", "tool_start", "text_delta"])
"""Up to which event a stream is read; to leave it while a tool runs is where most goes wrong."""
_PATIENCE = st.sampled_from([100.0, 100.0, 100.0, 0.0, 0.5, 1.0])
"""Seconds; the model takes half a second for each answer."""
_AT_ONCE = st.sampled_from([False, False, True])
"""Whether it is asked while it may have something to do still."""


class AgentMachine(RuleBasedStateMachine):
    """A Hypothesis state machine around an agent; made by :func:`agent_machine`, or by subclassing.

    A subclass may add ``@rule`` methods, which call :meth:`then` with what is to be done, and ``check``, which looks
    at the agent whenever all of its tasks are at rest.

    Attributes of the class, as :func:`agent_machine` takes them: ``opener`` (a staticmethod), ``tools``, ``seed`` and
    ``clock``.
    """

    opener: ClassVar[Opener | None] = None
    tools: ClassVar[Sequence[Tool]] = ()
    seed: ClassVar[int] = 0
    clock: ClassVar[Clock] = "mock"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.TestCase.settings = settings(cls.TestCase.settings, phases=PHASES)

    def __init__(self) -> None:
        super().__init__()
        if self.opener is None:
            raise ConfigurationError("an AgentMachine has no opener; use agent_machine(…), or set opener")
        self._plays_model = _wants_model(self.opener)
        self._asked = False
        self._operations: list[tuple[str, Operation]] = []

    @rule(prompt=_PROMPTS, patience=_PATIENCE, at_once=_AT_ONCE, data=st.data())
    def chat(self, prompt: str, patience: float, at_once: bool, data: st.DataObject) -> None:
        """Ask, and wait for the answer for a while."""
        words = f"chat({prompt!r}), waited for {patience:g} s"
        self._ask(words, at_once, data, lambda performed: performed.chat(prompt, patience))

    @rule(prompt=_PROMPTS, at_once=_AT_ONCE, data=st.data())
    def send(self, prompt: str, at_once: bool, data: st.DataObject) -> None:
        """Ask without waiting."""
        self._ask(f"send({prompt!r})", at_once, data, lambda performed: performed.send(prompt))

    @rule(prompt=_PROMPTS, last=_LAST, patience=_PATIENCE, at_once=_AT_ONCE, data=st.data())
    def stream(self, prompt: str, last: str, patience: float, at_once: bool, data: st.DataObject) -> None:
        """Ask, read the events up to one of a kind, and leave."""
        words = f"stream({prompt!r}) up to {last}, waited for {patience:g} s"
        self._ask(words, at_once, data, lambda performed: performed.stream(prompt, last, patience))

    @precondition(lambda machine: machine._asked)
    @rule(which=st.integers(0, 3))
    def cancel(self, which: int) -> None:
        """Cancel a request that is queued or runs."""
        self._then(f"cancel the request number {which}", lambda performed: performed.cancel(which))

    @precondition(lambda machine: machine._asked)
    @rule(text=_PROMPTS, method=st.sampled_from(["steer", "follow_up"]))
    def tell(self, text: str, method: str) -> None:
        """Say something to the running request, or let it go on afterwards."""
        self._then(f"{method}({text!r})", lambda performed: performed.tell(method, text))

    @precondition(lambda machine: machine._asked)
    @rule()
    def reset(self) -> None:
        """Forget the conversation."""
        self._then("reset()", Performed.reset)

    @precondition(lambda machine: not machine._plays_model)
    @rule(error=faults())
    def provider_fails(self, error: RemoteError) -> None:
        """Let the next exchange with the provider fail; a model that the machine plays has faults of its own."""

        async def fail(performed: Performed) -> None:
            performed.failing.errors.append(error)

        self._then(f"the provider fails: {error!r}", fail)

    @precondition(lambda machine: machine._asked)
    @rule(seconds=_SECONDS)
    def time_passes(self, seconds: float) -> None:
        """Let time pass."""

        async def wait(performed: Performed) -> None:
            from trio import sleep

            await sleep(seconds)

        self._then(f"{seconds:g} s pass", wait)

    def then(self, fn: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Let something of a subclass's own happen next: ``await fn(agent, *args)``.

        Args:
            fn: an async function; what it raises is a failure.
            args: handed to it after the agent.
        """
        name = getattr(fn, "__name__", repr(fn))
        self._then(f"{name}{args!r}", lambda performed: fn(performed.agent, *args))

    async def check(self, agent: Agent) -> None:
        """Look at the agent between two operations, when all tasks are at rest; for subclasses.

        Raises:
            AssertionError: something is not as it has to be.
        """

    def teardown(self) -> None:
        """Perform what was written down.

        Raises:
            AssertionError: something was wrong, or was left.
        """
        if sys.exc_info()[0] is not None:
            return  # Hypothesis gave the example up half way
        assert self.opener is not None
        perform(
            self.opener,
            self._operations,
            plays_model=self._plays_model,
            seed=self.seed,
            clock=self.clock,
        )

    def _ask(self, words: str, at_once: bool, data: st.DataObject, operation: Operation) -> None:
        self._asked = True
        turns: Sequence[Any] = ()
        if self._plays_model:
            turns = data.draw(_scripts(tuple(self.tools)), label="the model says")

        async def ask(performed: Performed) -> None:
            if not at_once:
                await performed.finish()
            performed.say(turns)
            await operation(performed)

        self._then(words, ask)

    def _then(self, words: str, operation: Operation) -> None:
        async def perform_and_check(performed: Performed) -> None:
            await operation(performed)
            await performed.rest()
            await self.check(performed.agent)

        self._operations.append((words, perform_and_check))


@functools.lru_cache(maxsize=8)
def _scripts(tools: tuple[Tool, ...]) -> st.SearchStrategy[list[Any]]:
    # Kept, as making a strategy costs more than drawing from it.
    return scripts(tools, max_turns=3)


def agent_machine(
    opener: Opener, *, tools: Sequence[Tool] = (), seed: int = 0, clock: Clock = "mock"
) -> type[AgentMachine]:
    """Make a state machine for an agent: ``TestMyAgent = agent_machine(open_my_agent).TestCase``.

    Requests are made in all three ways, cancelled, steered, followed up and left; the conversation is reset; the
    provider fails; time passes. Whatever happens, the conversation stays valid for every vendor, usage never falls,
    the events of each run are well formed and its records true, a cancelled request ends, a request is refused only
    while another one runs, and when the agent is closed no task, thread, process, file or socket of it is left.

    Args:
        opener: opens the agent. With a parameter, as in ``lambda model: open_agent(provider=model, tools=[…])``, it is
            given a model that says what Hypothesis chooses, faults and calls of ``tools`` among it; without one,
            as in ``lambda: open_agent(provider=…)``, the agent's own provider answers as often as it is asked.
        tools: those that the model calls.
        seed: of the schedule, ids and jitter.
        clock: ``"mock"``, or ``"real"`` for tools that start processes.

    Raises:
        ConfigurationError: the opener cannot be called so.
    """
    _wants_model(opener)
    return type(
        "AgentMachine",
        (AgentMachine,),
        {"opener": staticmethod(opener), "tools": tuple(tools), "seed": seed, "clock": clock},
    )


def _wants_model(opener: Opener) -> bool:
    if not callable(opener):
        raise ConfigurationError(
            f"an agent's opener is {opener!r}; write lambda model: open_agent(provider=model, …)"
        )
    needed = [
        parameter
        for parameter in inspect.signature(opener).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    ]
    if len(needed) > 1:
        raise ConfigurationError(
            f"an agent's opener takes {len(needed)} arguments; it is given a model, or nothing"
        )
    return bool(needed)


register_profiles()
