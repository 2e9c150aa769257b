"""Results of any size from any tool: capped in one place, kept in a file, and never a crash."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.tools import ToolContext, ToolError, ToolOutput, ToolRound, read, tool, tools_by_name
from alloy_trio.tools import _long_results as long_results
from alloy_trio.tools import _rendering as rendering
from alloy_trio.tools._belongings import Belongings
from alloy_trio.values import Document, Image, Opaque, Text, ToolResult, ToolUse, to_json

LIMIT = 1_000


@pytest.fixture
async def belongings() -> AsyncIterator[Belongings]:
    made = Belongings()
    try:
        yield made
    finally:
        await made.aclose()


async def run(
    returned: Any, belongings: Belongings | None, *, readable: bool = True, count: int = 1, **options: Any
) -> ToolRound:
    """A round whose calls return (or raise) the same thing."""

    @tool(max_result_chars=LIMIT)
    async def give() -> Any:
        if isinstance(returned, Exception):
            raise returned
        return returned

    calls = [ToolUse(str(number), "give", {}) for number in range(count)]
    round_ = ToolRound(
        calls,
        tools_by_name([give, read] if readable else [give]),
        context=ToolContext.at(belongings=belongings),
        emit=lambda name, payload: 1,
        **options,
    )
    await round_.run()
    return round_


def words(result: ToolResult) -> str:
    if isinstance(result.content, str):
        return result.content
    return "\n".join(block.text for block in result.content if isinstance(block, Text))


def file_of(text: str) -> Path:
    found = re.search(r"in (/\S+\.txt)[,:]", text)
    assert found is not None, text
    return Path(found[1])


async def test_all_of_a_long_result_is_in_a_file_that_the_result_names(belongings: Belongings) -> None:
    whole = "\n".join(f"line {number}" for number in range(10_000))
    (result,) = (await run(whole, belongings)).results()
    text = words(result)
    assert text.startswith("line 0\n")
    assert text.endswith("line 9999")
    assert len(text) <= LIMIT
    assert file_of(text).read_text() == whole
    offset = int(re.search(r"offset=(\d+)", text)[1])  # type: ignore[index]
    shown = text.split("\n[...")[0].count("\n") + 1
    assert 1 < offset <= shown, "reading on from there misses nothing"
    # What read then shows is what was cut out.
    assert belongings.private.path is not None
    context = ToolContext.at(allowed_paths=[belongings.private.path], belongings=belongings)
    page = await read.execute({"path": str(file_of(text)), "offset": offset}, context)
    assert f"line {offset - 1}" in page.text  # type: ignore[attr-defined]


async def test_the_file_goes_with_the_run_and_only_its_owner_may_read_it(belongings: Belongings) -> None:
    (result,) = (await run("x\n" * LIMIT, belongings)).results()
    file = file_of(words(result))
    assert file.stat().st_mode & 0o777 == 0o600
    await belongings.aclose()
    assert not file.exists()


async def test_a_single_line_of_two_million_characters_can_be_paged_through(belongings: Belongings) -> None:
    whole = json.dumps(list(range(300_000)))
    (result,) = (await run(whole, belongings)).results()
    assert "lines broken after 10000 characters" in words(result)
    lines = file_of(words(result)).read_text().split("\n")
    assert max(map(len, lines)) == long_results.MAX_LINE_CHARS
    assert "".join(lines) == whole
    context = ToolContext.at(belongings=belongings)
    seen: list[str] = []
    more: re.Match[str] | None = re.search(r"offset=(\d+)", "offset=1")
    while more:
        given_input = {"path": str(file_of(words(result))), "offset": int(more[1])}
        page = (await read.execute(given_input, context)).text  # type: ignore[attr-defined]
        seen += page.split("\n[")[0].split("\n")
        more = re.search(r"offset=(\d+)", page)
    assert "".join(seen) == whole


async def test_an_error_that_is_long_is_kept_too(belongings: Belongings) -> None:
    (result,) = (await run(ToolError("no\n" * LIMIT), belongings)).results()
    assert result.is_error
    assert len(words(result)) <= LIMIT
    assert file_of(words(result)).read_text() == "no\n" * LIMIT


@pytest.mark.parametrize("readable", [True, False])
async def test_without_a_place_or_a_tool_to_read_it_head_and_tail_are_left(
    belongings: Belongings, readable: bool
) -> None:
    (result,) = (await run("x" * 2_000_000, None if readable else belongings, readable=readable)).results()
    assert len(words(result)) <= LIMIT
    assert "characters cut here ...]" in words(result)
    assert belongings.private.path is None


async def test_a_full_disk_is_told(belongings: Belongings, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(stem: str) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(belongings.private, "create", full)
    (result,) = (await run("x" * 5_000, belongings)).results()
    assert not result.is_error
    assert "they could not be kept (No space left on device)" in words(result)


@pytest.mark.skipif(
    not os.path.exists("/dev/full"), reason="/dev/full, which stands in for a full disk, is absent"
)
async def test_a_disk_that_fills_while_it_is_written_leaves_no_part_of_a_file(
    belongings: Belongings, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = belongings.private.create

    def fills(stem: str) -> Any:
        create(stem).close()
        return open("/dev/full", "wb", buffering=0)

    removed: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(belongings.private, "create", fills)
        patch.setattr("os.unlink", removed.append)
        (result,) = (await run("x" * 5_000, belongings)).results()
    assert removed == ["/dev/full"]
    assert "could not be kept" in words(result)


async def test_a_directory_that_is_gone_is_told(belongings: Belongings) -> None:
    belongings.private.close()
    (result,) = (await run("x" * 5_000, belongings)).results()
    assert "they could not be kept (the private directory has been removed" in words(result)


async def test_what_one_run_keeps_is_bounded(belongings: Belongings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(long_results, "MAX_KEPT_BYTES", 12_000)
    monkeypatch.setattr(long_results, "MAX_FILE_CHARS", 5_000)
    results = (await run("x" * 7_000, belongings, count=3)).results()
    kept = [each for each in results if "its first 5000 characters are in" in words(each)]
    assert len(kept) == 2
    assert sum("could not be kept" in words(each) for each in results) == 1


async def test_hundreds_of_long_results_of_one_turn_are_each_kept_once(belongings: Belongings) -> None:
    # With all threads of the tools taken by calls that wait for their result to be kept.
    @tool(max_result_chars=LIMIT)
    def give(number: int) -> str:
        return f"{number}\n" * 2_000

    count = 500
    round_ = ToolRound(
        [ToolUse(str(number), "give", {"number": number}) for number in range(count)],
        tools_by_name([give, read]),
        context=ToolContext.at(belongings=belongings),
        emit=lambda name, payload: 1,
        limiter=trio.CapacityLimiter(2),
    )
    results = await round_.run()
    files = {file_of(words(each)) for each in results}
    assert len(files) == count
    for number, each in enumerate(results):
        assert file_of(words(each)).read_text().startswith(f"{number}\n")


async def test_a_cancel_that_comes_while_a_result_is_kept_does_not_lose_what_was_done(
    belongings: Belongings,
) -> None:
    # cancelled by the tool itself, so that the very next checkpoint would raise
    with trio.CancelScope() as scope:

        @tool(max_result_chars=LIMIT)
        async def give() -> str:
            scope.cancel()
            return "done\n" * LIMIT

        round_ = ToolRound(
            [ToolUse("1", "give", {})],
            tools_by_name([give, read]),
            context=ToolContext.at(belongings=belongings),
            emit=lambda name, payload: 1,
        )
        await round_.run()
    (record,) = round_.records()
    assert record.outcome == "completed"
    assert file_of(record.output).exists()


async def test_what_is_laid_around_a_call_sees_the_short_result_and_nothing_is_kept_twice(
    belongings: Belongings,
) -> None:
    async def around(use: ToolUse, proceed: Any) -> ToolOutput:
        seen: ToolOutput = await proceed(use)
        assert len(seen.text) <= LIMIT
        return ToolOutput(seen.text, seen.data, seen.blocks)

    (result,) = (await run("x" * 5_000, belongings, around=around)).results()
    assert len(words(result)) <= LIMIT
    assert belongings.private.path is not None
    assert len(list(belongings.private.path.iterdir())) == 1


async def test_long_answers_and_errors_of_what_is_laid_around_are_cut_too(belongings: Belongings) -> None:
    async def answers(use: ToolUse, proceed: Any) -> ToolOutput:
        return ToolOutput("a" * 5_000)

    async def blocks(use: ToolUse, proceed: Any) -> ToolOutput:
        raise ToolError("b" * 5_000)

    async def fails(use: ToolUse, proceed: Any) -> ToolOutput:
        await proceed(use)
        raise ToolError("c" * 5_000)

    for around in (answers, blocks, fails):
        round_ = await run("short", belongings, around=around)
        assert len(words(round_.results()[0])) <= LIMIT
        assert file_of(words(round_.results()[0])).stat().st_size == 5_000


# ---- blocks


async def test_the_text_of_all_blocks_together_is_cut_and_pictures_stay(belongings: Belongings) -> None:
    picture = Image("image/png", b"123")
    returned = ToolOutput("first", blocks=[Text("a" * 400), picture, Text("b" * 4_000), Text("c" * 4_000)])
    (result,) = (await run(returned, belongings)).results()
    assert isinstance(result.content, tuple)
    first, second, third, fourth = result.content
    assert (first, second, third) == (Text("first"), Text("a" * 400), picture)
    assert isinstance(fourth, Text)
    assert fourth.text.endswith("b")
    whole = "\n".join(["first", "a" * 400, "b" * 4_000, "c" * 4_000])
    assert file_of(fourth.text).read_text() == whole


async def test_too_many_and_too_large_blocks_are_left_out_and_counted() -> None:
    many = ToolOutput("", blocks=[Text("x")] * 10_000)
    (result,) = (await run(many, None)).results()
    assert len(result.content) == rendering.MAX_BLOCKS + 1
    assert result.content[-1] == Text(
        "[9900 of 10000 blocks are left out: a result may have 100 of them, "
        "with 20000000 bytes of pictures and documents]"
    )
    large = Image("image/png", bytes(rendering.MAX_BLOCK_BYTES // 2 + 1))
    (result,) = (await run(ToolOutput("", blocks=[large, large, Text("end")]), None)).results()
    assert result.content[:2] == (large, Text("end"))
    assert "[1 of 3 blocks are left out" in words(result)
    opaque = Opaque("x", {"raw": "y" * rendering.MAX_BLOCK_BYTES})
    (result,) = (await run(ToolOutput("", blocks=[opaque]), None)).results()
    assert "[1 of 1 blocks are left out" in words(result)


# ---- what cannot be sent


class Shouting(str):
    def __str__(self) -> str:
        return "LOUD"

    def __len__(self) -> int:
        return 3


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "returned",
    [
        nested(100_000),
        {"deep": nested(101)},
        float("nan"),
        {"x": float("inf")},
        10**5_000,
        "half \ud83d a pair",
        {"\udc00": 1},
        b"bytes",
        object(),
        ToolOutput("fine", data=nested(100_000)),
        ToolOutput("fine", data={"x": float("nan")}),
        ToolOutput("fine", data=10**5_000),
        ToolOutput("fine", blocks=["text"]),  # type: ignore[list-item]
        ToolOutput("fine", blocks=[Text("\ud800")]),
        ToolOutput("fine", blocks=[Image("image/png", "not bytes")]),  # type: ignore[arg-type]
        ToolOutput("fine", blocks=[Document("text/plain", bytearray(b"x"))]),  # type: ignore[arg-type]
        ToolOutput("fine", blocks=[Opaque("x", {"a": float("nan")})]),
        ToolOutput("fine", blocks=[Opaque("x", nested(100_000))]),
    ],
    ids=lambda value: type(value).__name__,
)
async def test_what_no_json_can_hold_is_an_error_that_says_that_the_tool_ran(returned: Any) -> None:
    round_ = await run(returned, None)
    (result,) = round_.results()
    assert result.is_error
    assert words(result).startswith("give ran, but what it returned cannot be read: ")
    assert len(words(result)) < 300
    to_json(round_.records())


async def test_a_class_of_its_own_is_read_as_the_text_it_holds(belongings: Belongings) -> None:
    (result,) = (await run(Shouting("quiet"), belongings)).results()
    assert result.content == "quiet"
    assert type(result.content) is str
    (result,) = (await run(Shouting("quiet" * 1_000), belongings)).results()
    assert len(words(result)) <= LIMIT


async def test_data_that_is_too_large_for_a_record_is_left_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    (record,) = (await run(ToolOutput("short", data=list(range(100_000))), None)).records()
    assert record.data == list(range(100_000))
    monkeypatch.setattr(rendering, "MAX_DATA_CHARS", 1_000)
    (record,) = (await run(ToolOutput("short", data=list(range(100_000))), None)).records()
    assert record.data == {"left_out": "the data had 688890 characters as JSON; up to 1000 are kept"}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=200,
)
blocks = st.one_of(
    st.builds(Text, st.text(st.characters(), max_size=2_000)),
    st.builds(Image, st.just("image/png"), st.binary()),
    st.builds(Opaque, st.just("x"), st.dictionaries(st.text(), json_values)),
    st.text(),
)


@given(json_values | st.builds(ToolOutput, st.text(max_size=2_000), json_values, st.lists(blocks)))
def test_whatever_a_tool_returns_the_result_is_bounded_and_can_be_written_as_json(returned: Any) -> None:
    round_ = trio.run(run, returned, None)
    (result,), (record,) = round_.results(), round_.records()
    assert len(words(result)) <= LIMIT + 200
    to_json(result)
    to_json(record)


# ---- inputs that no wire would hand over, but a provider of one's own might


@pytest.mark.parametrize(
    "given_input",
    [{"x": nested(100_000)}, {"x": float("nan")}, {"x": b"bytes"}, {"x": "\ud800"}, {"x": 10**5_000}],
    ids=["deep", "nan", "bytes", "surrogate", "digits"],
)
async def test_an_input_that_is_no_json_is_an_error_result_and_nothing_runs(given_input: Any) -> None:
    @tool
    async def take(x: Any) -> str:
        raise AssertionError("it must not run")

    started: list[str] = []

    def emit(name: str, payload: dict[str, Any]) -> int:
        started.append(name)
        return 1

    round_ = ToolRound([ToolUse("1", "take", given_input)], {"take": take}, context=ToolContext(), emit=emit)
    (result,) = await round_.run()
    assert result.is_error
    assert words(result).startswith("The input for take was not usable (")
    assert round_.records()[0].outcome == "not_started"
    assert started == []
