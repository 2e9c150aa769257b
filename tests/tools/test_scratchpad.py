"""The scratchpad: notes for one run, and for nobody else."""

from __future__ import annotations

import pytest

from alloy_trio.tools import ToolContext, ToolError, scratchpad
from alloy_trio.tools._scratchpad import MAX_CHARS


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
    await scratchpad("write", context, "a", "x" * MAX_CHARS)
    with pytest.raises(ToolError, match="delete some first"):
        await scratchpad("append", context, "a", "y")
    assert await scratchpad("read", context, "a") == "x" * MAX_CHARS
    await scratchpad("write", context, "a", "fits again")
