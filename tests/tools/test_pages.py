"""Pages of text files: small ones, ones with millions of lines, and ones with a single line of a gigabyte."""

from __future__ import annotations

import io
import os
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.tools import ToolContext, ToolError, ToolOutput, _pages, read
from alloy_trio.tools._pages import PAGE_CHARS, page

FULL = os.environ.get("ALLOY_TRIO_FULL") == "1"

ON = re.compile(r"\n\[lines \d+ to \d+ of .*; go on with offset=(\d+)\]$")
IN = re.compile(
    r" \[\.\.\. (?:more than )?(\d+) bytes of this line are not shown; go on in it with offset=(\d+), skip=(\d+)\]"
)
END = re.compile(r"\n\[lines \d+ to \d+, the end of the file\]$")
DAMAGED = "\n[what is not UTF-8 in it is shown as \ufffd]"


def shown(raw: bytes, first: int = 1, limit: int | None = None, skip: int = 0) -> str:
    return page(io.BytesIO(raw), len(raw), first, limit, skip)


def whole(raw: bytes) -> str:
    """The text, put together by doing what the notes say."""
    text, first, skip = "", 1, 0
    for _ in range(10_000):
        part = shown(raw, first, skip=skip)
        inside, on = IN.search(part), ON.search(part)
        part = END.sub("", ON.sub("", part)).removesuffix(DAMAGED)
        if inside is not None:
            text += IN.sub("", part)
            first, skip = int(inside[2]), int(inside[3])
            continue
        text += part
        if on is None:
            return text
        text += "\n"
        first, skip = int(on[1]), 0
    raise AssertionError("the notes lead nowhere")


def test_pages_name_the_lines_and_how_to_go_on() -> None:
    raw = "".join(f"line {n}\n" for n in range(1, 11)).encode()
    assert shown(raw, limit=2) == "line 1\nline 2\n[lines 1 to 2 of 10; go on with offset=3]"
    assert shown(raw, 3, 1) == "line 3\n[lines 3 to 3 of 10; go on with offset=4]"
    assert shown(raw, 10) == "line 10\n[lines 10 to 10, the end of the file]"
    with pytest.raises(ToolError, match="no line 11; the file has 10 lines"):
        shown(raw, 11)
    with pytest.raises(ToolError, match=r"no line 2; the file has 1 line$"):
        shown(b"a", 2)
    with pytest.raises(ToolError, match="line 3 has 6 bytes, so there is nothing behind skip=6"):
        shown(raw, 3, skip=6)
    assert shown(raw, 10, skip=5) == "10\n[lines 10 to 10, the end of the file]"


def test_numbers_that_count_nothing_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a\n")
    for wrong in ({"offset": 0}, {"limit": 0}, {"offset": -1}, {"skip": -1}):
        with pytest.raises(ToolError, match="start at 1"):
            read("f", ToolContext.at(tmp_path), **wrong)


def test_all_pages_together_are_the_file() -> None:
    lines = [f"{n} " + "x" * (n % 700) for n in range(1, 400)]
    raw = "\n".join(lines).encode() + b"\n"
    assert len(shown(raw)) < PAGE_CHARS + 100
    assert whole(raw) == "\n".join(lines)


def test_a_line_that_fills_a_page_is_cut_and_says_how_to_go_on_in_it() -> None:
    raw = b"short\n" + b"x" * 3_000_000 + b"\nafter\n"
    assert shown(raw).endswith("[lines 1 to 1 of 3; go on with offset=2]")
    text = shown(raw, 2)
    rest = 3_000_000 - PAGE_CHARS
    assert f" [... {rest} bytes of this line are not shown; go on in it with offset=2, skip=40000]" in text
    assert text.endswith("[lines 2 to 2 of 3; go on with offset=3]")
    text = shown(raw, 2, skip=2_999_999)
    assert text == "x\nafter\n[lines 2 to 3, the end of the file]"


def test_a_line_of_just_one_page_is_shown_whole() -> None:
    assert shown(b"x" * PAGE_CHARS) == "x" * PAGE_CHARS
    assert "[... 1 bytes of this line are not shown" in shown(b"x" * PAGE_CHARS + b"x")


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from([b"a", b"bc" * 9, "é中😀".encode(), b"\n", b"\r\n", b"\xff", b"\xe2\x82", b"\x0c"]),
        max_size=40,
    ),
    st.integers(1, 7),
)
def test_the_notes_lead_through_every_file(parts: list[bytes], chunk: int) -> None:
    """With pages of eight characters: whatever is in it, nothing is left out and nothing comes twice."""
    raw = b"".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_pages, "PAGE_CHARS", 8)
        patch.setattr(_pages, "_WINDOW", 36)
        patch.setattr(_pages, "_CHUNK", chunk)
        seen = whole(raw)
    text = raw.decode("utf-8", "surrogateescape").replace("\r\n", "\n").removesuffix("\n").removesuffix("\r")
    # How many replacement characters stand for broken bytes may differ where a page parts them.
    expected = re.sub("[\udc80-\udcff]+", "\ufffd", text)
    assert re.sub("\ufffd+", "\ufffd", seen) == (expected if raw else "(the file is empty)")


def test_a_file_that_shrinks_or_grows_meanwhile_is_no_trouble() -> None:
    assert page(io.BytesIO(b""), 10, 1, None, 0) == "(the file is empty)"
    assert page(io.BytesIO(b"a\nb\nc\n"), 4, 1, None, 0) == "a\nb"
    with pytest.raises(ToolError, match=r"no line 5; the file has 1 line$"):
        page(io.BytesIO(b"a\n"), 10, 5, None, 0)
    with pytest.raises(ToolError, match="nothing behind skip=5"):
        page(io.BytesIO(b"a"), 10, 1, None, 5)


def test_utf_16_is_shown_as_text_and_refused_when_it_is_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "f").write_bytes("é中\r\nb\n".encode("utf-16"))
    context = ToolContext.at(tmp_path)
    output = read("f", context, offset=2)
    assert isinstance(output, ToolOutput)
    assert output.text == "b\n[lines 2 to 2, the end of the file]"
    monkeypatch.setattr("alloy_trio.tools._encodings.UTF_16_BYTES", 5)
    with pytest.raises(ToolError, match="make it UTF-8 first"):
        read("f", context)


class TestMuch:
    """Spill files as commands leave them behind, sparse where that is enough."""

    def test_millions_of_lines_are_paged(self, tmp_path: Path) -> None:
        lines = 10_000_000 if FULL else 2_000_000
        with open(tmp_path / "f", "wb") as file:
            for million in range(lines // 10**6):
                file.write(
                    b"".join(
                        b"line %09d of the output\n" % n
                        for n in range(million * 10**6, (million + 1) * 10**6)
                    )
                )
        context = ToolContext.at(tmp_path)
        tracemalloc.start()
        try:
            far = lines - 1_000_000
            text = read("f", context, offset=far, limit=2).text
            assert text.startswith(f"line {far - 1:09} of the output\nline {far:09} of the output\n[lines ")
            assert text.endswith(f"of {lines}; go on with offset={far + 2}]")
            with pytest.raises(ToolError, match=f"the file has {lines} lines"):
                read("f", context, offset=lines + 1)
            os.truncate(tmp_path / "f", 290_000_000)
            text = read("f", context, limit=1).text
            assert text.endswith("[lines 1 to 1 of a file of 290000000 bytes; go on with offset=2]")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 30_000_000

    def test_a_line_of_a_gigabyte_is_paged(self, tmp_path: Path) -> None:
        with open(tmp_path / "f", "wb") as file:
            file.write(b"first\n" + b"x" * 100_000)
            os.truncate(file.fileno(), 10**9)  # NULs, which take no room
            file.seek(10**9)
            file.write(b"last\nend\n")
        context = ToolContext.at(tmp_path)
        tracemalloc.start()
        try:
            text = read("f", context, offset=2).text
            assert "more than" in text
            assert (
                "go on in it with offset=2, skip=40000]\n[lines 2 to 2 of a file of 1000000009 bytes;" in text
            )
            text = read("f", context, offset=2, skip=10**9 - 6).text
            assert text == "last\nend\n[lines 2 to 3, the end of the file]"
            text = read("f", context, offset=3).text
            assert text == "end\n[lines 3 to 3, the end of the file]"
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 10_000_000

    def test_a_file_without_end_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_pages, "SEARCHED_BYTES", 1_000)
        monkeypatch.setattr(_pages, "_CHUNK", 500)
        with pytest.raises(ToolError, match="line 9 is not within the first 1000 bytes"):
            shown(b"x" * 2_000 + b"\n" * 10, 9)
