"""What an agent is to do, said a second time: a simulation in steps of time, without trio and without the engine.

A request follows its plan: rounds, of which each is a model call that takes its time and then fails, calls tools or
answers. The conversation is kept as words, one for each block, so that it can be compared with the real one's.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import attrs

Refusal = Literal["busy", "full", "closed", "missing"]


@attrs.frozen
class Round:
    """A model call of so many seconds, and what comes of it.

    Args:
        seconds: until the model has answered.
        tools: (seconds, whether it crashes) of each tool that it calls; none for an answer.
        fails: whether the provider fails instead.
    """

    seconds: int
    tools: tuple[tuple[int, bool], ...] = ()
    fails: bool = False


ANSWER = Round(1)


@attrs.define
class Asked:
    """A request on its way.

    Attributes:
        step: the round that it is in.
        ends: when its phase ends.
        in_tools: whether that phase is the tools'; else it is the model's.
        began: when it began.
        words: the conversation as this request sees it.
        steered, followed: what was said to it and is not in the words yet; the first list of each is what the run has
            taken over already.
    """

    name: str
    plan: tuple[Round, ...]
    deadline: float = float("inf")
    step: int = 0
    ends: float = 0.0
    in_tools: bool = False
    began: float = 0.0
    provider: str = ""
    turns: int = 0
    calls: int = 0
    words: list[str] = attrs.field(factory=list)
    steered: tuple[list[str], list[str]] = attrs.field(factory=lambda: ([], []))
    followed: tuple[list[str], list[str]] = attrs.field(factory=lambda: ([], []))

    @property
    def round(self) -> Round:
        return self.plan[self.step] if self.step < len(self.plan) else ANSWER

    def call_id(self, number: int) -> str:
        return f"{self.name}.{self.step}.{number}"


class Reference:
    """An agent, simulated."""

    def __init__(self, max_pending: int) -> None:
        self.max_pending = max_pending
        self.now = 0.0
        self.provider = "one"
        self.words: list[str] = []
        self.running: Asked | None = None
        self.waiting: list[Asked] = []
        self.published: list[tuple[str, str]] = []
        self.told: dict[str, str] = {}
        self.statuses: Counter[str] = Counter()
        self.turns = self.calls = 0
        self.closed = False

    # What is done to it

    def ask(self, name: str, plan: tuple[Round, ...], deadline: float = float("inf")) -> Refusal | None:
        if self.closed:
            return "closed"
        if self.running is not None and len(self.waiting) >= self.max_pending:
            return "full" if self.max_pending else "busy"
        self.waiting.append(Asked(name, plan, deadline))
        self._next()
        return None

    def cancel(self, name: str, told: str = "cancelled") -> Refusal | None:
        if self.running is not None and self.running.name == name:
            self._stop(self.running, told)
            return None
        for asked in self.waiting:
            if asked.name == name:
                self.waiting.remove(asked)
                self._publish(asked, "cancelled", told)
                return None
        return "missing"

    def steer(self, word: str) -> Refusal | None:
        if self.running is None:
            return "missing"
        self.running.steered[1].append(word)
        return None

    def follow_up(self, word: str) -> Refusal | None:
        if self.running is None:
            return "missing"
        self.running.followed[1].append(word)
        return None

    def reset(self) -> Refusal | None:
        if self.closed:
            return "closed"
        if self.running is not None:
            return "busy"
        self.words = []
        return None

    def choose(self, provider: str) -> Refusal | None:
        if self.closed:
            return "closed"
        self.provider = provider
        return None

    def close(self) -> None:
        self.closed = True
        waiting, self.waiting = self.waiting, []
        for asked in waiting:
            self._publish(asked, "cancelled", "closed")
        if self.running is not None:
            self._stop(self.running, "closed")

    # What time does

    def advance(self, until: float) -> None:
        """Let time pass."""
        while True:
            due = [(asked.deadline, "deadline", asked) for asked in self.waiting]
            if self.running is not None:
                due += [
                    (self.running.ends, "end", self.running),
                    (self.running.deadline, "deadline", self.running),
                ]
            due = [each for each in due if each[0] <= until]
            if not due:
                break
            self.now, what, asked = min(due, key=lambda each: each[0])
            if what == "deadline":
                self.cancel(asked.name, "left")
            elif asked.in_tools:
                self._tools_end(asked)
            else:
                self._model_ends(asked)
        self.now = until

    def _next(self) -> None:
        if self.running is None and self.waiting:
            self.running = asked = self.waiting.pop(0)
            asked.words = [*self.words, f"U:{asked.name}"]
            self._ask_model(asked)

    def _ask_model(self, asked: Asked) -> None:
        asked.in_tools, asked.began, asked.provider = False, self.now, self.provider
        asked.ends = self.now + asked.round.seconds

    def _model_ends(self, asked: Asked) -> None:
        if asked.round.fails:
            self._finish(asked, "error")
            return
        asked.turns += 1
        self._hear(asked)
        if asked.round.tools:
            ids = ",".join(asked.call_id(number) for number in range(len(asked.round.tools)))
            asked.words.append(f"A:{asked.provider}:{ids}")
            asked.in_tools, asked.began = True, self.now
            asked.ends = self.now + max(seconds for seconds, _ in asked.round.tools)
            return
        asked.words.append(f"A:{asked.provider}:{asked.name} {asked.step}")
        if asked.steered[0]:
            said = asked.steered[0][:]
            asked.steered[0].clear()
        else:
            said = asked.followed[0][:1]
            del asked.followed[0][:1]
        if not said:
            self._finish(asked, "completed")
            return
        asked.words += [f"U:{word}" for word in said]
        asked.step += 1
        self._ask_model(asked)

    def _tools_end(self, asked: Asked) -> None:
        self._hear(asked)
        self._answer_calls(asked)
        asked.step += 1
        self._ask_model(asked)

    def _hear(self, asked: Asked) -> None:
        for taken, said in (asked.steered, asked.followed):
            taken += said
            said.clear()

    def _answer_calls(self, asked: Asked) -> None:
        for number, (seconds, crashes) in enumerate(asked.round.tools):
            done = asked.began + seconds <= self.now
            outcome = ("failed" if crashes else "completed") if done else "interrupted"
            asked.words.append(f"R:{asked.call_id(number)}:{outcome}")
            asked.calls += 1
        asked.words += [f"U:{word}" for word in asked.steered[0]]
        asked.steered[0].clear()

    def _stop(self, asked: Asked, told: str) -> None:
        if asked.in_tools:
            self._answer_calls(asked)
        self._finish(asked, "cancelled", told)

    def _finish(self, asked: Asked, status: str, told: str | None = None) -> None:
        unheard = [*asked.steered[0], *asked.steered[1], *asked.followed[0], *asked.followed[1]]
        self.words = [*asked.words, *(f"U:{word}" for word in unheard)]
        self.running = None
        self._publish(asked, status, told or status)
        if not self.closed:
            self._next()

    def _publish(self, asked: Asked, status: str, told: str) -> None:
        self.told[asked.name] = told
        self.published.append((asked.name, status))
        self.statuses[status] += 1
        self.turns += asked.turns
        self.calls += asked.calls

    def snapshot(self) -> dict[str, Any]:
        """All that can be seen of it."""
        running = self.running
        return {
            "status": "closed" if self.closed else "idle" if running is None else "running",
            "running": running and running.name,
            "pending": len(self.waiting),
            "provider": self.provider,
            "words": self.words,
            "requests": dict(self.statuses),
            "turns": self.turns,
            "tool_calls": self.calls,
        }
