"""Output of a command: shown, kept as head and tail, put into a file, and never too much of it in memory."""

from __future__ import annotations

import codecs
import errno
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import alloy_trio
from alloy_trio.tools import ToolContext, bash_tool, read
from alloy_trio.tools import _output as module
from alloy_trio.tools._belongings import Belongings
from alloy_trio.tools._limit import Limit
from alloy_trio.tools._output import Output, visible

FULL = os.environ.get("ALLOY_TRIO_FULL") == "1"
SIZE, KEPT = (1_000_000_000, module.MAX_FILE_BYTES) if FULL else (20_000_000, 10_000_000)
"""Bytes of a flood, and how many of them go to a file. What fills memory would do so in the share for each day, too."""


class Kept:
    """A context that keeps files, and what was shown in it."""

    def __init__(self, directory: Path) -> None:
        self.shown = ""
        self.belongings = Belongings()

        async def report(text: str, data: Any) -> None:
            self.shown += text

        self.context = ToolContext(
            working_directory=directory,
            allowed_paths=(directory,),
            belongings=self.belongings,
            report=report,
        )

    def output(self, room: int) -> Output:
        return Output(room, self.context, Limit(math.inf))

    @property
    def files(self) -> list[Path]:
        directory = self.belongings.private.path
        return [] if directory is None else sorted(directory.iterdir())

    def read(self, offset: int) -> str:
        assert read.fn is not None
        (path,) = self.files
        return str(read.fn(str(path), self.context, offset=offset).text)


@pytest.fixture
async def kept(tmp_path: Path) -> Any:
    here = Kept(tmp_path)
    yield here
    await here.belongings.aclose()
    assert here.files == []


async def fed(output: Output, *chunks: bytes) -> str:
    for chunk in chunks:
        await output.feed(chunk)
    return await output.end()


class TestHeadAndTail:
    async def test_a_character_that_is_split_is_put_together(self) -> None:
        output = Output(100, None, Limit(math.inf))
        assert await fed(output, *(bytes([byte]) for byte in "né中".encode())) == "né中"

    async def test_output_that_ends_within_a_character_shows_that_there_was_one(self) -> None:
        assert await fed(Output(100, None, Limit(math.inf)), b"abc\xe2\x82") == "abc\ufffd"

    @pytest.mark.parametrize("room", [1, 2, 3])
    async def test_a_tiny_limit_is_kept_too(self, room: int) -> None:
        output = Output(room, None, Limit(math.inf))
        await fed(output, *[b"0123456789"] * 10)
        assert output.missing == 100 - room

    @given(
        chunks=st.lists(st.binary(max_size=40) | st.sampled_from([b"\r", b"\n", b"\r\n", b"ab\r"])),
        room=st.integers(1, 60),
    )
    def test_however_it_is_cut_into_chunks_it_is_the_same(self, chunks: list[bytes], room: int) -> None:
        import trio

        whole = b"".join(chunks)
        text = visible(codecs.decode(whole, "utf-8", "replace"))

        async def check() -> None:
            output = Output(room, None, Limit(math.inf))
            result = await fed(output, *chunks)
            assert result == await fed(Output(room, None, Limit(math.inf)), whole)
            if len(text) <= room:
                assert result == text
            else:
                tail = room // 3
                note = f"\n[... {len(text) - room} characters cut here ...]\n"
                assert result == text[: room - tail] + note + (text[-tail:] if tail else "")

        trio.run(check)


class TestControlCharacters:
    @pytest.mark.parametrize(
        ("raw", "seen"),
        [
            (b"a\tb\n", "a\tb\n"),
            (b"\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
            (b"\x1b]0;title\x07", "\\x1b]0;title\\x07"),
            (b"a\0b", "a\\x00b"),
            (b"a\r\nb\r\n", "a\nb\n"),
            (b"10%\r20%\r", "10%\\r20%\\r"),
            ("\x9b31m\x85".encode(), "\\x9b31m\\x85"),
            (b"\x7f\x08", "\\x7f\\x08"),
            (b"\xff\xfe\x80", "\ufffd\ufffd\ufffd"),
        ],
    )
    async def test_none_reaches_a_terminal_or_a_model_as_it_is(
        self, raw: bytes, seen: str, kept: Kept
    ) -> None:
        assert await fed(kept.output(100), raw) == seen
        assert kept.shown == seen

    async def test_not_even_beyond_what_is_shown_and_kept(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "PROGRESS_CHARS", 10)
        monkeypatch.setattr(module, "MAX_FILE_BYTES", 10)
        result = await fed(kept.output(9), *[b"\x1b[2J"] * 20)
        assert "\x1b" not in result
        assert result.endswith("[2J")
        assert "\x1b" not in kept.shown
        assert kept.files[0].read_bytes() == b"\\x1b[2J\\x1"


class TestFile:
    async def test_short_output_makes_no_file(self, kept: Kept) -> None:
        assert await fed(kept.output(10), b"01234", b"56789") == "0123456789"
        assert kept.files == []

    async def test_all_of_a_long_one_is_in_a_file_that_read_opens(self, kept: Kept) -> None:
        lines = [f"line {number}\n" for number in range(1, 2001)]
        output = kept.output(300)
        result = await fed(output, *(line.encode() for line in lines))
        (path,) = kept.files
        assert path.read_text() == "".join(lines)
        assert path.stat().st_mode & 0o777 == 0o600
        head = result.partition("\n[...")[0]
        offset = head.count("\n") + 1
        where = f"all of it is in {path}: call read with this path and offset={offset}"
        note = f"{output.missing} characters cut here; {where}"
        assert note in result
        assert kept.read(offset).startswith(f"line {offset}\n")
        assert result.endswith("line 2000\n")

    async def test_it_is_written_in_batches_and_holds_back_no_more_than_one(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "BATCH_CHARS", 1_000)
        output = kept.output(100)
        for number in range(100):
            await output.feed(b"0123456789" * 9 + b"\n")
            (*_, size) = (0, *(path.stat().st_size for path in kept.files))
            assert (number + 1) * 91 - size < 1_100
        await output.end()
        assert kept.files[0].stat().st_size == 9_100

    @given(text=st.text(alphabet="ab\n\r", max_size=200), cuts=st.lists(st.integers(0, 200), max_size=5))
    def test_a_line_that_read_could_not_show_is_broken(self, text: str, cuts: list[int]) -> None:
        import trio

        async def check(directory: Path) -> None:
            kept = Kept(directory)
            places = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
            await fed(kept.output(1), *(text[a:b].encode() for a, b in pairwise(places)))
            if len(visible(text)) > 1:
                lines = kept.files[0].read_text().split("\n")
                wanted = [
                    line[at : at + 7]
                    for line in visible(text).split("\n")
                    for at in range(0, max(len(line), 1), 7)
                ]
                assert lines == wanted
            await kept.belongings.aclose()

        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(module, "MAX_LINE_CHARS", 7)
            monkeypatch.setattr(module, "BATCH_CHARS", 20)
            trio.run(check, Path("/"))

    async def test_the_note_says_that_lines_were_broken(self, kept: Kept) -> None:
        result = await fed(kept.output(30_000), b"x" * 65536)
        assert "lines broken after 10000 characters: call read with this path and offset=2 " in result
        assert kept.read(2).startswith("x" * 10_000 + "\n")

    async def test_beyond_its_limit_it_says_what_is_there(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_FILE_BYTES", 1_000)
        result = await fed(kept.output(100), *["é\n".encode() * 10] * 100)
        (path,) = kept.files
        assert path.read_text() == "é\n" * 333
        assert f"the first 999 bytes of all are in {path}: call read" in result

    async def test_all_calls_of_a_run_share_a_limit(
        self, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MAX_KEPT_BYTES", 1_000)
        assert "all of it is in" in await fed(kept.output(10), b"a" * 600)
        assert "the first 400 bytes of all are in" in await fed(kept.output(10), b"b" * 600)
        result = await fed(kept.output(10), b"c" * 600)
        assert result == "ccccccc\n[... 590 characters cut here ...]\nccc"

    @pytest.mark.parametrize("after", [0, 2])
    async def test_a_full_disk_is_told_and_the_call_answers(
        self, after: int, kept: Kept, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "BATCH_CHARS", 100)
        create = kept.belongings.private.create
        calls = 0

        class Full:
            """A file on a disk that is full after so many writes."""

            def __init__(self, file: Any) -> None:
                self.name = file.name
                self._file = file

            def write(self, content: bytes) -> None:
                nonlocal calls
                calls += 1
                if calls > after:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                self._file.write(content)

            def flush(self) -> None:
                self._file.flush()

            def close(self) -> None:
                self._file.close()

        monkeypatch.setattr(kept.belongings.private, "create", lambda stem: Full(create(stem)))
        result = await fed(kept.output(30), *[b"0123456789"] * 100)
        assert result.startswith(
            "01234567890123456789\n[... 970 characters cut here; they could not be kept (No space left"
        )
        assert result.endswith("0123456789")
        assert kept.files == [], "what was written is given back"
        assert calls == after + 1

    async def test_a_directory_that_has_gone_with_its_agent_is_told_too(self, kept: Kept) -> None:
        kept.belongings.private.close()
        result = await fed(kept.output(30), b"0123456789" * 10)
        assert "they could not be kept (the private directory has been removed with its agent)" in result

    async def test_a_cancelled_call_leaves_no_file_open(self, kept: Kept) -> None:
        kept.belongings.private.create("first").close()  # from here on the directory itself is open
        before = sorted(os.listdir("/proc/self/fd")) if sys.platform.startswith("linux") else []
        output = kept.output(10)
        for _ in range(10):
            await output.feed(b"x" * 60_000)
        assert kept.files
        output.close()
        output.close()
        if before:
            assert sorted(os.listdir("/proc/self/fd")) == before

    async def test_a_small_disk_is_met_by_a_command_too(self, kept: Kept) -> None:
        """The limit on the size of files of this process stands for a full disk."""
        import resource

        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
        try:
            tool = bash_tool(restricted=False)
            assert tool.fn is not None
            result = await tool.fn("seq 1000000 > /dev/null; seq 100000", kept.context)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert "they could not be kept (File too large)" in result
        assert result.endswith("100000\n")


FLOODS = {
    "zeros": "head -c {size} /dev/zero",
    "random bytes": "head -c {size} /dev/urandom",
    "no newline": "yes | tr -d '\\n' | head -c {size}",
    "short lines": "yes | head -c {size}",
    "wide characters": "yes '\U0001f600\U0001f600\U0001f600' | head -c {size}",
    "errors": "yes $(printf '\\033[31m') | head -c {size} >&2",
    "a pipe that is held open": "yes | head -c {size}; sleep 100 & disown",
}

HOST = """
import os, re, sys, trio
import alloy_trio
from alloy_trio.tools import ToolContext, _output, bash_tool
from alloy_trio.tools._belongings import Belongings

def peak():
    # Not ru_maxrss: that is the peak of whoever started this process, if theirs was higher.
    with open("/proc/self/status") as file:
        return int(re.search(r"VmHWM:\\s+(\\d+) kB", file.read())[1])

async def main(command):
    _output.MAX_FILE_BYTES = int(sys.argv[3])
    belongings = Belongings()
    context = ToolContext(working_directory=os.getcwd(), belongings=belongings)
    tool = bash_tool(restricted=False)
    await tool.fn("seq 20000", context)
    before = peak()
    try:
        result = await tool.fn(command, context, timeout=float(sys.argv[2]))
    except Exception as exc:
        result = str(exc)
    after = peak()
    await belongings.aclose()
    print(after - before, len(result), "characters cut here; the first" in result)

trio.run(main, sys.argv[1])
"""


def flooded(command: str, directory: Path, seconds: float) -> tuple[int, int, bool]:
    done = subprocess.run(
        [sys.executable, "-c", HOST, command, str(seconds), str(KEPT)],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(Path(alloy_trio.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=300,
        check=True,
    )
    grown, length, told = done.stdout.split()
    return int(grown), int(length), told == "True"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of memory is read from /proc")
class TestFloods:
    @pytest.mark.parametrize("kind", FLOODS)
    def test_memory_does_not_grow(self, kind: str, tmp_path: Path) -> None:
        grown, length, told = flooded(FLOODS[kind].format(size=SIZE), tmp_path, 120.0)
        assert grown < 16 * 1024, f"the host grew by {grown} kB"
        assert length < 31_000
        assert told

    def test_nor_with_a_command_that_never_ends(self, tmp_path: Path) -> None:
        grown, length, _ = flooded("yes", tmp_path, 5.0 if FULL else 1.0)
        assert grown < 16 * 1024
        assert length < 31_000
