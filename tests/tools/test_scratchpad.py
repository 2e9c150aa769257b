"""The scratchpad: notes for one run, and for nobody else."""

from __future__ import annotations

from typing import Any

import pytest

from alloy_trio.tools import ToolContext, ToolError, scratchpad
from alloy_trio.tools._scratchpad import MAX_CHARS
from alloy_trio.values import from_json, to_json


async def test_notes_are_written_read_appended_listed_and_deleted() -> None:
    context = ToolContext()
    await scratchpad("write", context, "plan", "one")
    await scratchpad("append", context, "plan", " two")
    assert await scratchpad("read", context, "plan") == "one two"
    assert await scratchpad("list", context) == "plan (7 characters)"
    await scratchpad("delete", context, "plan")
    assert await scratchpad("list", context) == "There are no notes."


async def test_another_run_sees_nothing_of_them() -> None:
    await scratchpad("write", ToolContext(), "plan", "one")
    with pytest.raises(ToolError, match="no note 'plan'"):
        await scratchpad("read", ToolContext(), "plan")


async def test_a_missing_note_suggests_the_one_that_was_meant() -> None:
    context = ToolContext()
    await scratchpad("write", context, "findings", "x")
    with pytest.raises(ToolError, match="did you mean 'findings'"):
        await scratchpad("read", context, "finding")
    with pytest.raises(ToolError, match="needs a key"):
        await scratchpad("read", context)


async def test_notes_are_bounded_and_a_refused_one_leaves_the_old() -> None:
    context = ToolContext()
    await scratchpad("write", context, "a", "x" * (MAX_CHARS - 1))
    with pytest.raises(ToolError, match="delete some first"):
        await scratchpad("append", context, "a", "y")
    with pytest.raises(ToolError, match="delete some first"):
        await scratchpad("write", context, "b", "")
    assert await scratchpad("read", context, "a") == "x" * (MAX_CHARS - 1)
    await scratchpad("write", context, "a", "fits again")


async def test_a_key_is_a_name_and_no_place_for_a_text() -> None:
    with pytest.raises(ToolError, match="of 1 to 200 characters, and it has 5000000 characters"):
        await scratchpad("write", ToolContext(), "k" * 5_000_000, "x")


async def test_notes_are_plain_json_and_can_be_handed_to_the_next_conversation() -> None:
    context = ToolContext()
    await scratchpad("write", context, "plan", "é")
    assert context.state == {"scratchpad": {"plan": "é"}}
    restored = ToolContext(state=from_json(to_json(context.state), dict[str, Any]))
    assert await scratchpad("read", restored, "plan") == "é"
