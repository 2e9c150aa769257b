"""What a tool returned, as what of it reaches the model and what is kept in the record.

Whatever a tool returns, from no text at all to millions of characters, its result has a size that a
conversation can carry. Of text the head and the tail stay, and the whole is kept in a file where there is
a place for it.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import attrs

from alloy_trio.values import Opaque, ResultBlock, Text, ToolError

from . import _answers as answers
from ._plain import NotPlain, cut, plain, to_text
from ._tool import ToolOutput

MAX_BLOCKS = 100
"""Blocks beside the text; Anthropic accepts that many pictures in a request."""

MAX_BLOCK_BYTES = 20_000_000
"""Bytes of all pictures, documents and the like of one result. The vendors take some 20 to 32 MB in a request."""

MAX_DATA_CHARS = 5_000_000
"""Characters of a result's data, as JSON; a record is held in memory, and written with the Result."""

Keep: TypeAlias = Callable[[str], Awaitable[str]]
"""Keeps a text that is too long to show; returns words on where it is."""


async def rendered(name: str, returned: object, limit: int, keep: Keep) -> ToolOutput:
    """Bring what a tool returned to what can be sent and recorded.

    Args:
        name: the tool's.
        returned: what it returned.
        limit: characters of all text together, and a line more for what is missing.
        keep: called with all of the text if that is longer.

    Raises:
        ToolError: it cannot be sent: something in it is not JSON, or no block of ours.
    """
    try:
        output = returned if isinstance(returned, ToolOutput) else ToolOutput(_text(returned))
        data = _data(output.data)
        text, blocks, left_out = _text(output.text), *_within(output.blocks)
    except NotPlain as exc:
        raise ToolError(answers.unusable(name, str(exc))) from exc
    texts = [text, *(block.text for block in blocks if isinstance(block, Text))]
    if sum(map(len, texts)) > limit:
        where = await keep("\n".join(filter(None, texts)))
        text, blocks = _shortened(text, blocks, limit, where)
    if left_out:
        blocks = [*blocks, Text(left_out)]
    words = text or ("" if blocks else answers.NO_OUTPUT)
    return ToolOutput(words, data, blocks)


def _text(value: object) -> str:
    return "" if value is None else to_text(value)


def _data(value: object) -> Any:
    data = plain(value)
    if isinstance(data, str | dict | list):
        size = len(json.dumps(data, ensure_ascii=False))
        if size > MAX_DATA_CHARS:
            return {"left_out": f"the data had {size} characters as JSON; up to {MAX_DATA_CHARS} are kept"}
    return data


def _within(blocks: tuple[ResultBlock, ...]) -> tuple[list[ResultBlock], str]:
    """The blocks, checked; what is too much is left out, with a line that says so."""
    kept: list[ResultBlock] = []
    room = MAX_BLOCK_BYTES
    for block in blocks:
        if isinstance(block, Text):
            # Exactly a Text: what a class of its own would do is not asked.
            block, size = attrs.evolve(block, text=_text(block.text)), 0
        elif isinstance(block, Opaque):
            block = Opaque(str(block.provider), plain(block.raw))
            size = len(json.dumps(block.raw))
        elif isinstance(block, ResultBlock):
            if not isinstance(block.data, bytes | None):
                raise NotPlain(f"the data of a block is a {type(block.data).__name__}, not bytes")
            size = len(block.data or b"")
        else:
            raise NotPlain(f"a block is a {type(block).__name__}, not Text, Image, Document or Opaque")
        if len(kept) < MAX_BLOCKS and size <= room:
            kept.append(block)
            room -= size
    missing = len(blocks) - len(kept)
    if not missing:
        return kept, ""
    return kept, (
        f"[{missing} of {len(blocks)} blocks are left out: a result may have {MAX_BLOCKS} of them, "
        f"with {MAX_BLOCK_BYTES} bytes of pictures and documents]"
    )


def _shortened(text: str, blocks: list[ResultBlock], limit: int, where: str) -> tuple[str, list[ResultBlock]]:
    """The first text that is too long for the room that is left is cut; what comes after it is left out."""
    if len(text) > limit:
        return cut(text, limit, where), [block for block in blocks if not isinstance(block, Text)]
    room = limit - len(text)
    fitting: list[ResultBlock] = []
    full = False
    for block in blocks:
        if not isinstance(block, Text):
            fitting.append(block)
        elif not full and len(block.text) <= room:
            fitting.append(block)
            room -= len(block.text)
        elif not full:
            full = True
            fitting.append(attrs.evolve(block, text=cut(block.text, room, where)))
    return text, fitting
