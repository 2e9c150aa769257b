"""The built-in tools by the front door: what a whole run, or several at once, do with them and leave behind."""

from __future__ import annotations

import os
import random
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

import alloy_trio
from alloy_trio.providers import Scripted
from alloy_trio.tools import Tool, ToolContext, bash, bash_tool, edit, read, tool, write
from alloy_trio.values import CompletionRequest, Result, ToolUse

from .leftovers import PATIENCE, SHAPES, children, descriptors, mark, marked

full = bash_tool(restricted=False, concurrent=True)
NOTE = re.compile(r"is in (\S+\.txt): call read with this path and offset=(\d+)")


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory. Private directories are made beside it, to see what is left of them."""
    (tmp_path / "work").mkdir()
    (tmp_path / "private").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "private"))
    return tmp_path / "work"


def left(place: Path) -> list[str]:
    return os.listdir(place.with_name("private")) + [
        name for name in os.listdir(place) if not name.endswith(".txt")
    ]


def call(number: object, name: str, **given: Any) -> ToolUse:
    return ToolUse(str(number), name, given)


def noted(text: str) -> tuple[str, int]:
    found = NOTE.search(text)
    assert found, text[-2_000:]
    return found[1], int(found[2])


async def run(
    place: Path, *turns: Any, tools: tuple[Tool, ...] = (full, read, write, edit), **options: Any
) -> Result:
    return await alloy_trio.run(
        "go",
        provider=Scripted([*turns, "done"]),
        tools=tools,
        working_directory=place,
        compaction=None,
        **options,
    )


@pytest.mark.skipif(
    not sys.platform.startswith(("linux", "darwin")), reason="the bash tool needs Linux or macOS"
)
async def test_what_was_cut_is_read_on_by_the_path_and_line_that_the_note_names(place: Path) -> None:
    (place / "many.txt").write_text("".join(f"line {number}\n" for number in range(1, 50_001)))

    def follow(request: CompletionRequest) -> list[ToolUse]:
        (shown,) = [block.content for block in request.messages[-1].content]
        path, offset = noted(shown)
        return [call(2, "read", path=path, offset=offset, limit=2)]

    result = await run(place, [call(1, "bash", command="cat many.txt")], follow, tools=(bash, read))
    cut, page = (record.output for record in result.tool_calls)
    path, offset = noted(cut)
    assert f"line {offset - 1}\n" in cut
    assert page.startswith(f"line {offset}\nline {offset + 1}\n[lines {offset} to {offset + 1} of 50000")
    assert path.startswith(str(place.with_name("private")))
    assert left(place) == []


@pytest.mark.skipif(
    not sys.platform.startswith(("linux", "darwin")), reason="the bash tool needs Linux or macOS"
)
async def test_a_run_inside_of_a_tool_has_a_private_directory_of_its_own(place: Path) -> None:
    inner: list[str] = []

    @tool
    async def ask(context: ToolContext) -> str:
        result = await run(place, [call(1, "bash", command="seq 50000")])
        inner.append(noted(result.tool_calls[0].output)[0])
        return str(os.listdir(place.with_name("private")))

    result = await run(
        place,
        [call(1, "bash", command="seq 50000"), call(2, "ask")],
        lambda request: [call(3, "read", path=inner[0])],
        tools=(full, read, ask),
    )
    outer, asked, other = result.tool_calls
    directory, name = os.path.split(noted(outer.output)[0])
    assert os.path.basename(inner[0]) == name and os.path.dirname(inner[0]) != directory
    assert asked.output in ("[]", f"['{os.path.basename(directory)}']"), "it goes with its run"
    assert other.outcome == "failed" and "outside of what may be touched" in other.output


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells what is left")
async def test_rounds_that_are_stopped_at_any_moment_leave_nothing(place: Path) -> None:
    """Two runs at once, each with eight commands, reads and edits in one turn, one of them stopped."""
    (place / "a.txt").write_text("x\n")
    choice, token = random.Random(4), mark()
    shapes = [shape.replace("@", token) for shape in SHAPES.values()] + [
        "yes",
        "cat a.txt",
        "seq 100000; exit 3",
    ]

    def turn() -> list[ToolUse]:
        calls = [call(f"b{number}", "bash", command=choice.choice(shapes)) for number in range(8)]
        calls += [call(f"r{number}", "read", path="a.txt") for number in range(4)]
        calls += [
            call(f"e{number}", "edit", path="a.txt", old="x", new="x ", replace_all=True)
            for number in range(2)
        ]
        return choice.sample(calls, len(calls))

    async def stopped(option: str) -> None:
        seconds = choice.uniform(0.01, 0.3)
        with trio.move_on_after(seconds if option == "cancel" else PATIENCE) as scope:
            await run(place, turn(), turn(), **({} if option == "cancel" else {option: seconds}))
        assert scope.cancelled_caught is (option == "cancel"), "it did not end in time"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            trio.to_thread.run_sync, os.getpid
        )  # so that a worker thread has what it keeps open
    before = (children(os.getpid()), len(descriptors()))
    for option in ("cancel", "timeout", "tool_timeout", "cancel"):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stopped, option)
            nursery.start_soon(stopped, "cancel")
    assert marked(token) == []
    assert (children(os.getpid()), len(descriptors())) == before
    assert left(place) == []
    assert (place / "a.txt").read_text().startswith("x")
