"""Conversations that every vendor would take, or that one would."""

from __future__ import annotations

import attrs
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from alloy_trio.abc import Provider
from alloy_trio.values import (
    Block,
    Message,
    Origin,
    ServerToolResult,
    ServerToolUse,
    Text,
    Thinking,
    ToolResult,
    ToolUse,
)

from ._plain import NAMES, json_objects, texts
from ._vendors import VENDORS, Vendor, media, result_media

_SAID = st.sampled_from(["Hello.", "Go on.", "What is in it?"])
_HEARD = _SAID | texts()


def histories(
    provider: Provider | str | None = None, *, max_turns: int = 4, thinking: bool = True
) -> SearchStrategy[tuple[Message, ...]]:
    """Valid conversations, in which models of several vendors may have taken part.

    The user speaks first and says at least something. Models reason, speak, call tools, and use tools of their
    vendors'; each call is answered. The last message may be either's. Ids, signatures and the like are as the vendors
    make them.

    Args:
        provider: who can read them, as a provider or by the name of a provider or protocol; None for all. One that can
            takes pictures, sounds or films gets some.
        max_turns: answers of models at most.
        thinking: whether models reason.
    """
    name = provider.name if isinstance(provider, Provider) else provider
    return _histories(name, max_turns, thinking)


def _histories(provider: str | None, max_turns: int, thinking: bool) -> SearchStrategy[tuple[Message, ...]]:
    # Made once and not in each example, which would cost more than drawing from them.
    more = st.lists(_parts(provider), max_size=2)
    some = st.lists(_parts(provider), min_size=1, max_size=2)
    answers = {vendor: _answers(vendor, thinking) for vendor in (None, *VENDORS.values())}
    vendors = st.sampled_from(list(answers))
    outputs = _HEARD | st.lists(st.builds(Text, _HEARD) | result_media(provider), max_size=2)
    turns = st.integers(0, max_turns)

    @st.composite
    def made(draw: st.DrawFn) -> tuple[Message, ...]:
        said = [Message("user", [Text(draw(_SAID)), *draw(more)])]
        calls = 0
        for number in range(draw(turns)):
            vendor = draw(vendors)
            answer = _numbered(draw(answers[vendor]), vendor, number, calls)
            uses = answer.tool_uses
            calls += len(uses)
            said.append(answer)
            results: list[Block] = [ToolResult(use.id, draw(outputs), draw(_COIN)) for use in uses]
            if len(results) > 1 and draw(_COIN):
                results.reverse()
            if results:
                said.append(Message("user", [*results, *draw(more)]))
            elif draw(_COIN):
                said.append(Message("user", draw(some)))
        return tuple(said)

    return made()


_COIN = st.booleans()
_NOBODY = Vendor(origin=Origin("nobody", "none"), call_ids="call_{}", thinking=[Thinking("Hm.")])
_CALLS: SearchStrategy[ToolUse] = st.one_of(
    st.builds(ToolUse, st.just(""), NAMES, json_objects(max_size=2)),
    st.builds(ToolUse, st.just(""), NAMES, st.just({}), st.just('{"path": ')),
)


def _answers(vendor: Vendor | None, thinking: bool) -> SearchStrategy[list[Block]]:
    """What a model says, in the order in which it may."""
    look = vendor or _NOBODY
    thought: SearchStrategy[list[Block]] = st.just([])
    if thinking:
        thought = thought | st.sampled_from(look.thinking).map(lambda block: [block])
    return st.builds(
        lambda first, middle, calls: [*first, *(block for some in middle for block in some), *calls],
        thought,
        st.lists(_spoken(look), max_size=2),
        st.lists(_CALLS, max_size=2),
    )


def _numbered(said: list[Block], vendor: Vendor | None, number: int, calls: int) -> Message:
    """The answer of this number, after so many calls, with ids of its own."""
    look = vendor or _NOBODY
    content: list[Block] = []
    for block in said:
        if isinstance(block, ToolUse):
            extra = None if any(isinstance(one, ToolUse) for one in content) else look.call_extra
            block = attrs.evolve(block, id=look.call_ids.format(calls), extra=extra)
            calls += 1
        content.append(block)
    if not any(isinstance(block, Text | ToolUse) for block in content):
        content.append(Text("So it is."))
    return Message("assistant", _with_own_ids(content, number), None if vendor is None else vendor.origin)


def _spoken(vendor: Vendor) -> SearchStrategy[list[Block]]:
    words: SearchStrategy[list[Block]] = st.builds(Text, _HEARD).map(lambda text: [text])
    return words | st.sampled_from(vendor.others).map(list) if vendor.others else words


def _parts(provider: str | None) -> SearchStrategy[Block]:
    """What a user says."""
    return st.builds(Text, _HEARD) | media(provider)


def _with_own_ids(content: list[Block], number: int) -> list[Block]:
    """The ids by which a vendor knows its items, made different in each answer."""
    return [_with_own_id(block, f"{number}{place}") for place, block in enumerate(content)]


def _with_own_id(block: Block, mark: str) -> Block:
    if isinstance(block, Thinking) and block.extra and "id" in block.extra:
        return attrs.evolve(block, extra={**block.extra, "id": f"rs_{mark}"})
    if isinstance(block, ServerToolUse) and block.extra and "id" in block.extra:
        ident = f"srvtoolu_{mark}"
        return attrs.evolve(block, id=ident, extra={**block.extra, "id": ident})
    if isinstance(block, ServerToolResult) and block.extra and "tool_use_id" in block.extra:
        ident = f"srvtoolu_{_before(mark)}"
        return attrs.evolve(block, tool_use_id=ident, extra={**block.extra, "tool_use_id": ident})
    return block


def _before(mark: str) -> str:
    # A vendor's result stands straight after its call, and an answer has fewer than ten blocks.
    return f"{mark[:-1]}{int(mark[-1]) - 1}"
