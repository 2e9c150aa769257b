"""What has to hold of every run, as functions that say what does not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from alloy_trio.abc import Provider
from alloy_trio.values import Event, Message, Result, ToolResult
from alloy_trio.wire import problems
from alloy_trio.wire._readers import problems_for

_TOKENS = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")

EVERY_WIRE = (
    "anthropic",
    "openai_responses",
    "openai_chat",
    "gemini",
    "bedrock",
    "ollama",
    "deepseek",
    "mistral",
)
"""The protocols, and the hosts that ask for more than theirs."""


def assert_valid_history(messages: Sequence[Message], provider: Provider | str | None = None) -> None:
    """Assert that no vendor would refuse a conversation.

    Args:
        messages: the conversation.
        provider: who reads it, as a provider or by a provider's or protocol's name (``"anthropic"``, ``"mistral"``);
            None for all that there are.

    Raises:
        AssertionError: with every problem that was found, and who has it.
        ConfigurationError: the name is not known.
    """
    found = list(history_problems(messages, provider))
    if found:
        raise AssertionError(
            "the conversation is invalid:\n" + "\n".join(f"- {problem}" for problem in found)
        )


def history_problems(messages: Sequence[Message], provider: Provider | str | None = None) -> Iterator[str]:
    """What makes a conversation invalid, in words; nothing when it is valid."""
    general = problems(messages)
    yield from general
    if general:
        return  # what the vendors would say of it is the same in other words
    name = provider.name if isinstance(provider, Provider) else provider
    for wire in EVERY_WIRE if name is None else (name,):
        for problem in problems_for(messages, wire):
            yield f"{wire}: {problem}"


def assert_events_well_formed(events: Iterable[Event]) -> None:
    """Assert that the events of one or more whole runs are what the contract says.

    For each correlation id: ``seq`` goes from 1 without a gap; run_end comes last and once; run_start comes first,
    unless the request never ran; each tool_start has one tool_end; turns go upwards; usage never falls.

    Args:
        events: in the order in which they were read, sub-agents' among them.

    Raises:
        AssertionError: with what is wrong, and where.
    """
    found = list(event_problems(events))
    if found:
        raise AssertionError("the events are not well formed:\n" + "\n".join(f"- {each}" for each in found))


def assert_usage_never_falls(events: Iterable[Event], *results: Result) -> None:
    """Assert that no token is lost on its way: from turns to run_end, and from there to the Result.

    Args:
        events: those of one or more whole runs, in the order in which they were read.
        results: what those of them came to that shall be looked at too.

    Raises:
        AssertionError: with what is lost, and where.
    """
    runs = _by_run(events)
    found = [
        f"{correlation_id}: {problem}"
        for correlation_id, of_run in runs.items()
        for problem in _usage_problems(of_run)
    ]
    for result in results:
        of_run = runs.get(result.correlation_id, [])
        found += [f"{result.correlation_id}: {problem}" for problem in usage_problems(result, of_run)]
    if found:
        raise AssertionError("usage is lost:\n" + "\n".join(f"- {each}" for each in found))


def event_problems(events: Iterable[Event]) -> Iterator[str]:
    """What is wrong with the events of whole runs, in words."""
    for correlation_id, of_run in _by_run(events).items():
        for problem in _run_problems(of_run):
            yield f"{correlation_id}: {problem}"


def _by_run(events: Iterable[Event]) -> dict[str, list[Event]]:
    runs: dict[str, list[Event]] = {}
    for event in events:
        runs.setdefault(event.correlation_id, []).append(event)
    return runs


def _run_problems(events: Sequence[Event]) -> Iterator[str]:
    numbers = [event.seq for event in events]
    if numbers != list(range(1, len(events) + 1)):
        yield f"seq is {_shortened(numbers)}; it must go from 1 without a gap"
    names = Counter(event.event for event in events)
    if names["run_end"] != 1 or events[-1].event != "run_end":
        yield f"run_end must come once and last; the last is {events[-1].event}, of {names['run_end']} run_end"
    if len(events) > 1 and (names["run_start"] != 1 or events[0].event != "run_start"):
        yield f"run_start must come once and first; the first is {events[0].event}"
    turns = [event.turn for event in events]
    if turns != sorted(turns):
        yield f"the turns go backwards: {_shortened(turns)}"
    if len({event.parent_id for event in events}) > 1:
        yield "the events name more than one parent"
    yield from _tool_problems(events)
    yield from _usage_problems(events)


def _tool_problems(events: Sequence[Event]) -> Iterator[str]:
    starts = {event.seq: event.payload for event in events if event.event == "tool_start"}
    ended: Counter[int] = Counter()
    for event in events:
        if event.event == "tool_end":
            start = event.payload.get("start_seq")
            ended[start] += 1
            if start not in starts or starts[start]["id"] != event.payload["id"] or start > event.seq:
                yield f"tool_end {event.seq} of {event.payload['name']} has no tool_start before it"
            if event.payload["outcome"] != "completed" and event.payload["error"] is None:
                yield f"tool_end {event.seq} of {event.payload['name']} is {event.payload['outcome']} without an error"
        elif event.event == "tool_progress":
            open_calls = [seq for seq in starts if seq < event.seq and not ended[seq]]
            if all(starts[seq]["id"] != event.payload["id"] for seq in open_calls):
                yield f"tool_progress {event.seq} of {event.payload['name']} comes while it does not run"
    for seq, payload in starts.items():
        if ended[seq] != 1:
            yield f"tool_start {seq} of {payload['name']} has {ended[seq]} tool_end, and must have one"


def _usage_problems(events: Sequence[Event]) -> Iterator[str]:
    counted = Counter[str]()
    for event in events:
        if event.event == "turn_end":
            counted.update(_tokens(event.payload["usage"]))
    end = events[-1]
    if end.event == "run_end":
        total = _tokens(end.payload["usage"])
        for name, tokens in counted.items():
            if total.get(name, 0) < tokens:
                yield f"usage fell: the turns reported {tokens} {name}, and run_end has {total.get(name, 0)}"


def _tokens(usage: Mapping[str, Any]) -> dict[str, int]:
    return {name: tokens for name, tokens in usage.items() if isinstance(tokens, int)}


def result_problems(result: Result, events: Sequence[Event] = ()) -> Iterator[str]:
    """What is untrue in what a run came to, in words: its history, its records, its events, its usage."""
    yield from history_problems(result.messages)
    yield from event_problems(events)
    yield from record_problems(result, events)
    yield from usage_problems(result, events)


def record_problems(result: Result, events: Sequence[Event] = ()) -> Iterator[str]:
    """What is untrue in a run's records of its calls, in words; and whether its end says the same as its Result."""
    started = {(event.payload["id"], event.seq) for event in events if event.event == "tool_start"}
    recorded = {(record.id, record.start_seq) for record in result.tool_calls if record.start_seq is not None}
    if events and not started <= recorded:
        missing = ", ".join(sorted(id_ for id_, _ in started - recorded))
        yield f"the calls {missing} started, and no record tells of it"
    answers: dict[str, list[ToolResult]] = {}
    for message in result.messages:
        for block in message.content:
            if isinstance(block, ToolResult):
                answers.setdefault(block.tool_use_id, []).append(block)
    # From the end: an id may be used in another turn again, and the run may have gone on from a conversation.
    for record in reversed(result.tool_calls):
        told = answers.get(record.id)
        answer = told.pop() if told else None
        # Middleware may give an answer in place of an error; then the two differ.
        if (
            answer is not None
            and not answer.is_error
            and record.error is not None
            and answer.text == record.error
        ):
            yield f"the call {record.id} is {record.outcome}, and the model was not told that it failed"
        if (record.outcome == "not_started") != (record.start_seq is None) and record.outcome not in (
            "blocked",
            "completed",
            "failed",
        ):
            yield f"the call {record.id} is {record.outcome}, and its start_seq is {record.start_seq}"
    if events and events[-1].event == "run_end":
        payload = events[-1].payload
        if (payload["status"], payload["turns"]) != (result.status, result.turns):
            yield f"run_end says {payload['status']}, and the Result {result.status}"


def usage_problems(
    result: Result, events: Sequence[Event] = (), reported: Mapping[str, int] | None = None
) -> Iterator[str]:
    """Where usage fell on its way, in words: from providers to turns, to run_end, to the Result.

    Args:
        result: what the run came to.
        events: its own.
        reported: the tokens that the providers of its own exchanges have reported, by the names of a Usage's fields.
    """
    total = {name: getattr(result.usage, name) for name in _TOKENS}
    if events and events[-1].event == "run_end":
        ended = _tokens(events[-1].payload["usage"])
        if ended != total:
            yield f"run_end says usage was {_shown(ended)}, and the Result {_shown(total)}"
    for name, tokens in (reported or {}).items():
        if total[name] < tokens:
            yield f"usage fell: the providers reported {tokens} {name}, and the Result has {total[name]}"


def _shown(tokens: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in tokens.items() if count) or "nothing"


def _shortened(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:20]))
    return f"{shown}, …" if len(numbers) > 20 else shown
