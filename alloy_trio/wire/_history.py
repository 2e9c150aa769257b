"""Valid conversations: what every provider asks of one, and how an invalid one becomes valid. Pure.

The rules that all providers share: no message is empty; only the model's messages hold calls and reasoning,
only the user's hold results; each call has an id of its own within its message; and the message after calls
is the user's, begins with their results, one for each call, and holds no others. Reasoning stands in one message
with what it led to.

A conversation that breaks them (a process died between a call and its result, a message was edited or lost)
is refused by every vendor from then on. :func:`repair` keeps what can be kept and tells the model the truth
about the rest. What only some vendors ask, such as who speaks first, is fitted by their codecs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs

from alloy_trio.values import Block, Message, ServerToolResult, ServerToolUse, Thinking, ToolResult, ToolUse

UNKNOWN_OUTCOME = (
    "No result of this call was recorded: it is not known whether it ran. "
    "Check what it may have changed before you call it again."
)
"""What the model is told of a call whose result is missing."""

_MODEL_ONLY = (ToolUse, Thinking, ServerToolUse, ServerToolResult)


def problems(messages: Sequence[Message], wire: str | None = None) -> tuple[str, ...]:
    """What makes a conversation invalid, in words; empty when it is valid.

    Args:
        messages: the conversation; one that ends with the model's words is taken as if the user went on.
        wire: who reads it, by a provider's or a protocol's name (``"anthropic"``, ``"mistral"``,
            ``"openai_responses"``, …): then also what that vendor would refuse of the request that would be
            sent. None: only what is invalid for every provider.

    Raises:
        ConfigurationError: the name is not known.
    """
    found = tuple(_problems(messages))
    if wire is None:
        return found
    from ._readers import problems_for  # codecs are loaded only for this

    return (*found, *problems_for(messages, wire))


def repair(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The conversation made valid.

    * Neighbouring messages of one model are joined where reasoning stands apart from what it led to, or where
      calls are answered only after the last of the messages: they are parts of one answer.
    * A call without a result gets an error result which says that it is not known whether the call ran.
    * A result goes to the message after its call, before everything else in it, wherever it stood after the
      call. Of several results of one call the first is kept; a result without a call is dropped.
    * Ids that repeat within a message are told apart, in the results too: the first result belongs to the
      first call.
    * What the other side cannot have said (calls or reasoning in a user message) is dropped, and so are
      messages without content.

    Messages that need no change are returned as the same objects; a valid tuple is returned itself. Repairing
    twice changes nothing more.
    """
    repaired = tuple(messages)
    while True:
        before, repaired = repaired, tuple(_Repair(repaired).run())
        if _same(repaired, before):
            return messages if isinstance(messages, tuple) and _same(before, messages) else before
        # Where a message was dropped, its neighbours are neighbours now.


class _Repair:
    def __init__(self, messages: Sequence[Message]) -> None:
        self._messages = list(_joined(messages))
        self._uses: dict[int, tuple[ToolUse, ...]] = {}  # by place: the calls, with ids of their own
        self._results: dict[int, list[ToolResult]] = {}  # by the place of their calls

    def run(self) -> Iterator[Message]:
        self._assign_results()
        waiting: list[ToolResult] = []  # what has to stand at the beginning of the next user message
        for place, message in enumerate(self._messages):
            spoken = _spoken(message)
            if message.role == "assistant" and not spoken:
                continue  # it held nothing but results, which are with their calls now
            if message.role == "user":
                content = (*waiting, *spoken)
                waiting = []
            else:
                if waiting:
                    yield Message("user", waiting)
                content = self._with_own_ids(place, spoken)
                waiting = self._answers(place)
            if content:
                yield message if _same(content, message.content) else attrs.evolve(message, content=content)
        if waiting:
            yield Message("user", waiting)

    def _assign_results(self) -> None:
        callers: dict[str, int] = {}  # the last place at which an id was called
        calls: Counter[tuple[int, str]] = Counter()
        answered: Counter[tuple[int, str]] = Counter()
        names: dict[tuple[int, str], list[str]] = {}
        for place, message in enumerate(self._messages):
            for block in message.content:
                # A result stands after its call; the nearest call before it is meant.
                if isinstance(block, ToolResult) and block.tool_use_id in callers:
                    of = (callers[block.tool_use_id], block.tool_use_id)
                    turn = answered[of]
                    if turn < calls[of]:
                        answered[of] += 1
                        own = names[of][turn]
                        result = block if own == block.tool_use_id else attrs.evolve(block, tool_use_id=own)
                        self._results.setdefault(of[0], []).append(result)
            if message.role == "assistant" and message.tool_uses:
                uses = self._uses[place] = told_apart(message.tool_uses)
                for old, new in zip(message.tool_uses, uses, strict=True):
                    callers[old.id] = place
                    calls[place, old.id] += 1
                    names.setdefault((place, old.id), []).append(new.id)

    def _with_own_ids(self, place: int, spoken: tuple[Block, ...]) -> tuple[Block, ...]:
        uses = iter(self._uses.get(place, ()))
        return tuple(next(uses) if isinstance(block, ToolUse) else block for block in spoken)

    def _answers(self, place: int) -> list[ToolResult]:
        results = self._results.get(place, [])
        known = {result.tool_use_id for result in results}
        missing = [use.id for use in self._uses.get(place, ()) if use.id not in known]
        return [*results, *(ToolResult(ident, UNKNOWN_OUTCOME, is_error=True) for ident in missing)]


def _joined(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages, the parts of one answer joined: clients write each block as a message of its own."""
    place = 0
    while place < len(messages):
        end = place + 1
        while end < len(messages) and _goes_on(messages[place], messages[end]):
            end += 1
        if end == place + 1:
            yield messages[place]
        else:
            yield from _joined_run(messages[place:end], _answered_after(messages, end))
        place = end


def _joined_run(run: Sequence[Message], answered: set[str]) -> Iterator[Message]:
    """The same of neighbours that may be parts of one answer."""
    parts: list[Message] = []
    asks = False  # something in the parts is answered after the run
    for message in run:
        if parts and not (asks or _waits(parts[-1])):
            yield _one(parts)
            parts = []
        if message.content or not parts:
            parts.append(message)
        asks = asks or any(use.id in answered for use in message.tool_uses)
    yield _one(parts)


def _one(parts: list[Message]) -> Message:
    if len(parts) == 1:
        return parts[0]
    return attrs.evolve(parts[0], content=[block for part in parts for block in part.content])


def _goes_on(message: Message, after: Message) -> bool:
    """Whether both may be parts of one answer."""
    return (
        message.role == after.role == "assistant"
        and after.origin == message.origin
        and not any(isinstance(block, ToolResult) for block in (*message.content, *after.content))
    )


def _waits(message: Message) -> bool:
    return bool(message.content) and isinstance(message.content[-1], Thinking)


def _answered_after(messages: Sequence[Message], start: int) -> set[str]:
    """What the user's messages from a place on answer, until the model speaks."""
    answered: set[str] = set()
    for place in range(start, len(messages)):
        message = messages[place]
        if message.role == "assistant":
            break
        answered.update(block.tool_use_id for block in message.content if isinstance(block, ToolResult))
    return answered


def _spoken(message: Message) -> tuple[Block, ...]:
    """What a message holds of its own: results are looked at apart, and what cannot be there is left out."""
    unfit = (ToolResult,) if message.role == "assistant" else (ToolResult, *_MODEL_ONLY)
    return tuple(block for block in message.content if not isinstance(block, unfit))


def told_apart(uses: tuple[ToolUse, ...]) -> tuple[ToolUse, ...]:
    """The calls of one message, each with an id of its own; the first of equal ids keeps it."""
    taken = {use.id for use in uses}
    if len(taken) == len(uses) and "" not in taken:
        return uses
    seen: set[str] = set()
    apart = []
    for use in uses:
        base, number = use.id or "call", 1
        ident = base
        while ident in seen or (ident != use.id and ident in taken):
            number += 1
            ident = f"{base}-{number}"
        seen.add(ident)
        apart.append(use if ident == use.id else attrs.evolve(use, id=ident))
    return tuple(apart)


def _same(now: Sequence[object], before: Sequence[object]) -> bool:
    return len(now) == len(before) and all(new is old for new, old in zip(now, before, strict=True))


def _problems(messages: Sequence[Message]) -> Iterator[str]:
    for place, message in enumerate(messages):
        where = f"messages[{place}]"
        if not message.content:
            yield f"{where} is empty"
        if message.role == "assistant":
            after = messages[place + 1] if place + 1 < len(messages) else None
            yield from _problems_of_calls(where, message, after)
            if after is not None and _waits(message) and _goes_on(message, after):
                yield f"{where} ends with reasoning, and what it led to is a message of its own"
        else:
            yield from _problems_of_results(where, message, messages[place - 1] if place else None)


def _problems_of_calls(where: str, message: Message, after: Message | None) -> Iterator[str]:
    if any(isinstance(block, ToolResult) for block in message.content):
        yield f"{where} is the model's and holds a ToolResult; results stand in the user message after calls"
    uses = Counter(use.id for use in message.tool_uses)
    answered: set[str] = set()
    if after is not None and after.role == "user":
        answered = {block.tool_use_id for block in after.content if isinstance(block, ToolResult)}
    for ident, times in uses.items():
        if times > 1:
            yield f"{where} has {times} calls with the id {ident!r}"
        if ident not in answered:
            yield f"{where} calls {ident!r}, and the next message has no result of it"


def _problems_of_results(where: str, message: Message, before: Message | None) -> Iterator[str]:
    for block in message.content:
        if isinstance(block, _MODEL_ONLY):
            yield f"{where} is the user's and holds a {type(block).__name__}, which only a model makes"
    called: set[str] = set()
    if before is not None and before.role == "assistant":
        called = {use.id for use in before.tool_uses}
    results = Counter(block.tool_use_id for block in message.content if isinstance(block, ToolResult))
    for ident, times in results.items():
        if ident not in called:
            yield f"{where} has a result of {ident!r}, which the message before does not call"
        elif times > 1:
            yield f"{where} has {times} results of {ident!r}"
    ahead = message.content[: results.total()]
    if not all(isinstance(block, ToolResult) for block in ahead):
        yield f"{where} has something before its results; results come first"
