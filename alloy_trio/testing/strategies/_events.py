"""Events, one by one and as whole runs give them."""

from __future__ import annotations

from typing import Any, get_args

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from alloy_trio.values import Event, EventName, Status, ToolUse, Usage

from ._plain import COUNTS, IDS, NAMES, TIMES_MS, json_objects, json_values, texts
from ._values import SECONDS, error_infos, error_payload, usage_payload, usages

_STOPPED = ("cancelled", "timeout", "error", "halted")


def events(name: EventName | None = None) -> SearchStrategy[Event]:
    """Events, each by itself, with payloads as their kind has them; for whole runs see :func:`event_streams`.

    Args:
        name: the kind; None for any.
    """
    names: SearchStrategy[EventName] = st.sampled_from(get_args(EventName)) if name is None else st.just(name)
    return names.flatmap(_event)


def _event(name: EventName) -> SearchStrategy[Event]:
    return st.builds(
        Event,
        event=st.just(name),
        seq=st.integers(1, 10**6),
        correlation_id=IDS | texts(),
        turn=st.integers(0, 1000),
        ts_ms=TIMES_MS,
        payload=_payload(name),
        parent_id=st.none() | IDS,
    )


def _payload(name: EventName) -> SearchStrategy[Any]:
    if name.startswith("child_") or name == "escalation":
        return _PAYLOADS["child"]
    return _PAYLOADS[name]


_USAGES = usages().map(usage_payload)
_ERRORS = error_infos().map(error_payload)
_PAYLOADS: dict[str, SearchStrategy[Any]] = {
    "run_start": st.fixed_dictionaries(
        {"provider": texts(), "model": texts(), "tools": st.lists(NAMES, max_size=2)}
    ),
    "turn_start": st.fixed_dictionaries({"turn": st.integers(1, 1000)}),
    "text_delta": texts(),
    "thinking_delta": texts(),
    "tool_input_delta": st.fixed_dictionaries({"id": IDS, "name": NAMES, "partial_json": texts()}),
    "tool_start": st.fixed_dictionaries({"id": IDS, "name": NAMES, "input": json_objects()}),
    "tool_progress": st.fixed_dictionaries(
        {"id": IDS, "name": NAMES, "text": texts(), "data": json_values(max_leaves=2)}
    ),
    "tool_end": st.fixed_dictionaries(
        {
            "id": IDS,
            "name": NAMES,
            "duration_ms": COUNTS,
            "error": st.none() | texts(),
            "outcome": st.sampled_from(["completed", "failed", "interrupted"]),
            "start_seq": st.integers(1, 10**6),
        }
    ),
    "turn_end": st.fixed_dictionaries({"stop_reason": st.just("end_turn"), "usage": _USAGES}),
    "retry": st.fixed_dictionaries(
        {"attempt": st.integers(1, 9), "delay_seconds": SECONDS, "error": _ERRORS}
    ),
    "fallback": st.fixed_dictionaries({"from_provider": texts(), "to_provider": texts(), "error": _ERRORS}),
    "compaction": st.fixed_dictionaries(
        {"before_tokens": COUNTS, "after_tokens": COUNTS, "kind": st.sampled_from(["summary", "truncate"])}
    ),
    "run_end": st.fixed_dictionaries(
        {"status": st.sampled_from(get_args(Status)), "usage": _USAGES, "turns": st.integers(0, 1000)}
    ),
    "child": st.fixed_dictionaries(
        {"supervisor": texts(), "child": texts(), "reason": texts(), "restarts": st.integers(0, 9)}
    ),
}


def event_streams(*, max_turns: int = 3, sub_agents: bool = True) -> SearchStrategy[tuple[Event, ...]]:
    """The events of whole runs, well formed: numbered without a gap, each tool ended, run_end last.

    Args:
        max_turns: answers of models at most.
        sub_agents: whether a tool may be a run of its own, whose events stand among the caller's.
    """
    return _streams(max_turns, sub_agents)


@st.composite
def _streams(draw: st.DrawFn, max_turns: int, sub_agents: bool) -> tuple[Event, ...]:
    written: list[Event] = []
    _Run(draw, written, "run", None, max_turns, sub_agents).write()
    return tuple(written)


class _Run:
    """Writes the events of one run among those of others."""

    def __init__(
        self,
        draw: st.DrawFn,
        written: list[Event],
        name: str,
        parent: str | None,
        max_turns: int,
        sub_agents: bool,
    ) -> None:
        self._draw = draw
        self._written = written
        self._name = name
        self._parent = parent
        self._max_turns = max_turns
        self._sub_agents = sub_agents
        self._seq = 0
        self._turn = 0
        self._usage = Usage()

    def write(self) -> None:
        draw = self._draw
        if not draw(st.integers(0, 9)):
            self._end("cancelled", 0)  # it was cancelled while it was queued
            return
        self._emit("run_start", {"provider": "scripted", "model": "scripted", "tools": ["read"]})
        turns = draw(st.integers(1, self._max_turns))
        stopped: str | None = draw(st.sampled_from([None, None, *_STOPPED]))
        for number in range(1, turns + 1):
            self._turn = number
            self._emit("turn_start", {"turn": number})
            if stopped is not None and number == turns and draw(st.booleans()):
                self._end(stopped, number - 1)  # the answer was cut
                return
            self._answer(last=number == turns and stopped is None)
        self._end(stopped or "completed", turns)

    def _answer(self, *, last: bool) -> None:
        draw = self._draw
        if draw(st.booleans()):
            self._emit("thinking_delta", draw(texts()))
        for text in draw(st.lists(texts(), max_size=2)):
            self._emit("text_delta", text)
        uses = [] if last else [self._called(place) for place in range(draw(st.integers(1, 2)))]
        for use in uses:
            self._emit("tool_input_delta", {"id": use.id, "name": use.name, "partial_json": "{}"})
        usage = draw(_SMALL_USAGES)
        self._usage = self._usage + usage
        stop = "tool_use" if uses else "end_turn"
        self._emit("turn_end", {"stop_reason": stop, "usage": usage_payload(usage)})
        self._run_tools(uses)

    def _called(self, place: int) -> ToolUse:
        return ToolUse(f"{self._name}_{self._turn}_{place}", self._draw(NAMES), {})

    def _run_tools(self, uses: list[ToolUse]) -> None:
        draw = self._draw
        started = {}
        for use in uses:
            if draw(st.integers(0, 4)):  # others were blocked
                self._emit("tool_start", {"id": use.id, "name": use.name, "input": use.input})
                started[use.id] = self._seq
        running = [use for use in uses if use.id in started]
        for use in draw(st.permutations(running)):
            if draw(st.booleans()):
                self._emit("tool_progress", {"id": use.id, "name": use.name, "text": "half", "data": None})
            if self._sub_agents and not draw(st.integers(0, 3)):
                name = f"{self._name}.{started[use.id]}"
                _Run(draw, self._written, name, self._name, 1, sub_agents=False).write()
            outcome = draw(st.sampled_from(["completed", "failed", "interrupted"]))
            end = {"id": use.id, "name": use.name, "duration_ms": draw(st.integers(0, 999))}
            error = None if outcome == "completed" else "it failed"
            self._emit("tool_end", {**end, "error": error, "outcome": outcome, "start_seq": started[use.id]})

    def _end(self, status: str, turns: int) -> None:
        self._emit("run_end", {"status": status, "usage": usage_payload(self._usage), "turns": turns})

    def _emit(self, name: Any, payload: Any) -> None:
        self._seq += 1
        self._written.append(
            Event(
                event=name,
                seq=self._seq,
                correlation_id=self._name,
                turn=self._turn,
                ts_ms=len(self._written),
                payload=payload,
                parent_id=self._parent,
            )
        )


_SMALL_USAGES = st.builds(Usage, input_tokens=st.integers(0, 99), output_tokens=st.integers(0, 99)).map(
    lambda usage: attrs.evolve(usage, reasoning_tokens=usage.output_tokens // 2)
)
