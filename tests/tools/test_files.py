"""read, write and edit: on real files, with words that help when they cannot."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.tools import ToolContext, ToolError, ToolOutput, ToolRound, edit, read, tools_by_name, write
from alloy_trio.tools._edits import DIFF_CHARS, applied, changes_of, diff, replaced
from alloy_trio.tools._files import READ_CHARS
from alloy_trio.tools._threads import stop_if_cancelled
from alloy_trio.values import Image, ToolResult, ToolUse

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    return ToolContext.at(tmp_path)


def reading(path: str, context: ToolContext, **options: Any) -> str:
    output = read(path, context, **options)
    assert isinstance(output, ToolOutput)
    return output.text


async def cancelled_while_it_looks(
    work: Callable[[], object], module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancel work in a thread at the moment that it asks for the first time; it has to end there."""
    scope = trio.CancelScope()
    asked = 0

    def ask() -> None:
        nonlocal asked
        asked += 1
        trio.from_thread.run_sync(scope.cancel)
        stop_if_cancelled()

    monkeypatch.setattr(f"{module}.stop_if_cancelled", ask)
    with scope:
        await trio.to_thread.run_sync(work)
    assert scope.cancelled_caught
    assert asked == 1


class TestRead:
    def test_a_short_file_is_shown_as_it_is(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a.toml").write_text('[project]\nversion = "0.1.0"\n')
        assert reading("a.toml", context) == '[project]\nversion = "0.1.0"'

    @pytest.mark.parametrize(
        ("raw", "text"),
        [
            (b"", "(the file is empty)"),
            (b"\n", ""),
            (b"a", "a"),
            (b"a\r\nb\r\n", "a\nb"),
            (b"\xef\xbb\xbfa\n", "a"),
            ("a\u2028b\x0cc\n".encode(), "a\u2028b\x0cc"),
            ("é中\n".encode("utf-16"), "é中"),
            (b"a\xffb", "a\ufffdb"),
            (b"\xc3", "\ufffd"),
            (b"abc\xe2\x82", "abc\ufffd"),
        ],
    )
    def test_ways_of_writing_text(self, raw: bytes, text: str, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "f").write_bytes(raw)
        assert reading("f", context) == text

    def test_pages_name_the_lines_and_how_to_go_on(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "f").write_text("".join(f"line {n}\n" for n in range(1, 11)))
        assert reading("f", context, limit=2) == "line 1\nline 2\n[lines 1 to 2 of 10; go on with offset=3]"
        assert reading("f", context, offset=3, limit=1) == "line 3\n[lines 3 to 3 of 10; go on with offset=4]"
        assert reading("f", context, offset=10) == "line 10\n[lines 10 to 10, the end of the file]"
        with pytest.raises(ToolError, match="no line 11; the file has 10 lines"):
            read("f", context, offset=11)
        for wrong in ({"offset": 0}, {"limit": 0}, {"offset": -1}):
            with pytest.raises(ToolError, match="start at 1"):
                read("f", context, **wrong)

    def test_all_pages_together_are_the_file(self, tmp_path: Path, context: ToolContext) -> None:
        lines = [f"{n} " + "x" * (n % 700) for n in range(1, 400)]
        (tmp_path / "f").write_text("\n".join(lines) + "\n")
        seen: list[str] = []
        while True:
            text = reading("f", context, offset=len(seen) + 1)
            assert len(text) < READ_CHARS + 100
            *shown, note = text.split("\n")
            seen += shown
            if note.endswith("the end of the file]"):
                break
        assert seen == lines

    def test_a_line_that_fills_a_page_is_cut_and_says_so(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "f").write_text("short\n" + "x" * 3_000_000 + "\nafter\n")
        assert reading("f", context).endswith("[lines 1 to 1 of 3; go on with offset=2]")
        text = reading("f", context, offset=2)
        assert f"[... {3_000_000 - READ_CHARS} characters of this line are not shown]" in text
        assert text.endswith("[lines 2 to 2 of 3; go on with offset=3]")

    def test_a_picture_is_shown(self, tmp_path: Path, context: ToolContext) -> None:
        for name, data, kind in (
            ("a.png", PNG, "image/png"),
            ("b", b"\xff\xd8\xff\xe0" + b"\0" * 9, "image/jpeg"),
            ("c", b"GIF89a" + b"\0" * 9, "image/gif"),
            ("d", b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        ):
            (tmp_path / name).write_bytes(data)
            output = read(name, context)
            assert output.blocks == (Image(kind, data),)

    async def test_a_picture_reaches_the_model_as_a_block(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a.png").write_bytes(PNG)
        round_ = ToolRound(
            [ToolUse("1", "read", {"path": "a.png"})],
            tools_by_name([read]),
            context=context,
            emit=lambda name, payload: 1,
        )
        (result,) = await round_.run()
        assert isinstance(result.content, tuple)
        assert result.content[1] == Image("image/png", PNG)

    def test_what_cannot_be_read_is_answered_helpfully(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "pyproject.toml").write_text("")
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "x.py").write_text("")
        (tmp_path / "blob").write_bytes(b"\x7fELF\0\0\0")
        os.mkfifo(tmp_path / "pipe")
        for path, words in (
            ("pyproject.tom", "not there; did you mean pyproject.toml?"),
            ("sub/zzz", "not there; the directory holds x.py"),
            ("no/where", "neither is the directory"),
            ("sub", "is a directory; the directory holds x.py"),
            (".", "the directory holds blob, pipe, pyproject.toml, sub/"),
            ("blob", "not text"),
            ("pipe", "not a regular file"),
            ("pyproject.toml/x", "Not a directory"),
        ):
            with pytest.raises(ToolError) as caught:
                read(path, context)
            assert words in str(caught.value)

    def test_where_one_file_is_allowed_its_neighbours_are_not_named(self, tmp_path: Path) -> None:
        (tmp_path / "passwords.txt").write_text("")
        alone = ToolContext.at(tmp_path, ["password.txt"])
        with pytest.raises(ToolError) as caught:
            read("password.txt", alone)
        assert str(caught.value) == "password.txt is not there"

    async def test_reading_much_is_stopped_by_a_cancel(
        self, tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "big").write_text("line\n" * 100_000)
        await cancelled_while_it_looks(
            lambda: reading("big", context), "alloy_trio.tools._files", monkeypatch
        )


class TestWrite:
    def test_it_makes_the_file_and_its_directories(self, tmp_path: Path, context: ToolContext) -> None:
        assert write("x/y/z.txt", "a\nb", context) == "Created x/y/z.txt: 2 lines, 3 characters."
        assert (tmp_path / "x" / "y" / "z.txt").read_bytes() == b"a\nb"
        assert write("x/y/z.txt", "", context).startswith("Replaced")
        assert [path.name for path in (tmp_path / "x" / "y").iterdir()] == ["z.txt"]

    def test_it_keeps_the_mode_and_new_files_have_the_usual_one(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        script = tmp_path / "run.sh"
        script.write_text("old")
        script.chmod(0o750)
        write("run.sh", "new", context)
        assert stat.S_IMODE(script.stat().st_mode) == 0o750
        write("plain", "new", context)
        (tmp_path / "other").write_text("")
        assert (tmp_path / "plain").stat().st_mode == (tmp_path / "other").stat().st_mode

    def test_another_name_of_the_file_keeps_its_bytes(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_text("old")
        os.link(tmp_path / "a", tmp_path / "b")
        write("b", "new", context)
        assert (tmp_path / "a").read_text() == "old"

    def test_a_link_inside_is_written_through_and_stays_a_link(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "real").write_text("old")
        (tmp_path / "link").symlink_to("real")
        write("link", "new", context)
        assert (tmp_path / "real").read_text() == "new"
        assert (tmp_path / "link").is_symlink()

    def test_a_failure_leaves_the_old_file_and_nothing_beside_it(
        self, tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a").write_text("old")

        def full(number: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(ToolError, match="cannot write a: No space left on device"):
            write("a", "new", context)
        assert (tmp_path / "a").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["a"]

    def test_a_file_that_is_protected_against_writing_is_left_as_it_is(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "a").write_text("old")
        (tmp_path / "a").chmod(0o444)
        for tool, words in ((write, ("a", "new")), (edit, ("a", "old", "new"))):
            with pytest.raises(ToolError, match=r"protected against writing \(mode 0444\)"):
                tool(*words, context)
        assert (tmp_path / "a").read_text() == "old"
        assert [path.name for path in tmp_path.iterdir()] == ["a"]

    def test_what_is_no_file_is_left_as_it_is(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "sub").mkdir()
        os.mkfifo(tmp_path / "pipe")
        (tmp_path / "a").write_text("")
        for path, words in (
            ("sub", "is a directory"),
            ("pipe", "no regular file"),
            ("a/b", "Not a directory|exists"),
        ):
            with pytest.raises(ToolError, match=words):
                write(path, "x", context)
        with pytest.raises(ToolError, match="surrogate"):
            write("new", "a\ud800", context)
        assert not (tmp_path / "new").exists()


class TestEdit:
    def test_one_place_is_replaced_and_the_change_is_shown(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "a.py").write_text("def f():\n    return 1\n\n\ndef g():\n    return 2\n")
        output = edit("a.py", "return 2", "return 3", context)
        assert (tmp_path / "a.py").read_text() == "def f():\n    return 1\n\n\ndef g():\n    return 3\n"
        assert output.text.startswith("Edited a.py in 1 place:\n--- a/a.py\n+++ b/a.py\n@@")
        assert "-    return 2\n+    return 3" in output.text
        assert output.data == {"replaced": 1}

    def test_several_places_need_to_be_asked_for(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_text("x\ny\nx\n")
        with pytest.raises(ToolError, match=r"2 times \(lines 1, 3\), so nothing was changed"):
            edit("a", "x", "z", context)
        assert (tmp_path / "a").read_text() == "x\ny\nx\n"
        assert "in 2 places" in edit("a", "x", "z", context, replace_all=True).text
        assert (tmp_path / "a").read_text() == "z\ny\nz\n"

    def test_bytes_around_the_place_stay(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\r\ntwo\nthree\r\n")
        edit("a", "three", "drei", context)
        assert (tmp_path / "a").read_bytes() == b"\xef\xbb\xbfone\r\ntwo\ndrei\r\n"

    def test_returns_at_the_line_ends_are_kept(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_bytes(b"one\r\ntwo\r\nthree\r\n")
        edit("a", "one\ntwo", "1\n2\n2b", context)
        assert (tmp_path / "a").read_bytes() == b"1\r\n2\r\n2b\r\nthree\r\n"
        edit("a", "three", "3\n4", context)
        assert (tmp_path / "a").read_bytes() == b"1\r\n2\r\n2b\r\n3\r\n4\r\n"

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("", "x", "old is empty"),
            ("alpha", "alpha", "are the same"),
            ("alpa beta", "x", "nearest line is 'alpha beta'"),
            ("alpha beta\n  gamma", "x", "first line is there in line 2"),
            ("zzzzzzzz", "x", "Read the file"),
        ],
    )
    def test_what_cannot_be_replaced_is_explained(
        self, old: str, new: str, words: str, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "a").write_text("first\nalpha beta\ngamma\n")
        with pytest.raises(ToolError, match=words):
            edit("a", old, new, context)

    def test_a_file_that_is_not_utf_8_is_left_as_it_is(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_bytes(b"abc\xe9")
        with pytest.raises(ToolError, match=r"not UTF-8 text \(byte 3\)"):
            edit("a", "abc", "x", context)
        with pytest.raises(ToolError, match="is not there"):
            edit("missing", "a", "b", context)

    @given(st.text("ab\n", max_size=20), st.text("ab\n", min_size=1, max_size=3), st.text("ac\n", max_size=3))
    def test_line_ends_make_no_difference_to_an_edit(self, text: str, old: str, new: str) -> None:
        def edited(text: str) -> tuple[str, int] | None:
            try:
                return replaced(text, old, new, everywhere=True, path="a")
            except ToolError:
                return None

        plain, returns = edited(text), edited(text.replace("\n", "\r\n"))
        if "\n" not in text:
            return  # nothing tells how such a file ends its lines
        assert returns == (None if plain is None else (plain[0].replace("\n", "\r\n"), plain[1]))


class TestDiff:
    """What an edit shows of itself."""

    @pytest.mark.skipif(
        shutil.which("patch") is None, reason="patch is the judge of diffs, and not installed"
    )
    def test_patch_makes_the_same_of_it(self, tmp_path: Path) -> None:
        @settings(max_examples=60, deadline=None)
        @given(
            st.text("ab\n\n", min_size=1, max_size=60),
            st.text("ab\n", min_size=1, max_size=3),
            st.text("ac\n", max_size=3),
        )
        def check(text: str, old: str, new: str) -> None:
            try:
                changes = changes_of(text, old, new, everywhere=True, path="f")
            except ToolError:
                return
            (tmp_path / "f").write_text(text)
            (tmp_path / "diff").write_text(diff(text, changes, "f") + "\n")
            command = ["patch", "-s", "-p1", "-F0", "--no-backup-if-mismatch", "-o", "out", "f", "diff"]
            subprocess.run(command, cwd=tmp_path, check=True, timeout=60)
            assert (tmp_path / "out").read_text() == applied(text, changes)

        check()

    def test_changes_far_apart_are_shown_with_what_is_around_them(self) -> None:
        text = "".join(f"{number}\n" for number in range(1, 31))
        changes = changes_of(text, "5\n", "five\nnew\n", everywhere=True, path="f")
        assert diff(text, changes, "f").split("\n") == [
            *("--- a/f", "+++ b/f"),
            *("@@ -2,7 +2,8 @@", " 2", " 3", " 4", "-5", "+five", "+new", " 6", " 7", " 8"),
            *("@@ -12,7 +13,8 @@", " 12", " 13", " 14", "-15", "+1five", "+new", " 16", " 17", " 18"),
            *("@@ -22,7 +24,8 @@", " 22", " 23", " 24", "-25", "+2five", "+new", " 26", " 27", " 28"),
        ]

    def test_many_changes_in_lines_that_are_all_alike_are_no_work(self) -> None:
        """A diff that searches for what is the same would hold up the whole suite here."""
        for text in ("x y\n" * 200_000, "x y " * 200_000):
            changes = changes_of(text, "x", "z", everywhere=True, path="f")
            assert len(changes) == 200_000
            assert diff(text, changes, "f").startswith("--- a/f\n+++ b/f\n@@ -1")

    def test_it_is_bounded_and_says_so(self) -> None:
        text = "".join(f"line {number}\n" for number in range(100_000))
        shown = diff(text, changes_of(text, "00\n", "\n", everywhere=True, path="f"), "f")
        assert len(shown) < DIFF_CHARS + 1_000
        assert shown.endswith("on are not shown]")

    async def test_looking_for_the_places_is_stopped_by_a_cancel(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def work() -> object:
            return replaced("a\n" * 5_000, "a", "b", everywhere=True, path="f")

        await cancelled_while_it_looks(work, "alloy_trio.tools._edits", monkeypatch)

    async def test_looking_for_the_nearest_line_is_stopped_by_a_cancel(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def work() -> object:
            return replaced("almost\n" * 5_000, "almoost", "b", everywhere=True, path="f")

        await cancelled_while_it_looks(work, "alloy_trio.tools._edits", monkeypatch)

    def test_a_gigantic_line_is_neither_compared_nor_shown_in_full(self) -> None:
        line = "ab " * 1_000_000
        with pytest.raises(ToolError, match="Read the file"):
            replaced(line, "ab ac " * 100_000, "", everywhere=True, path="f")
        with pytest.raises(ToolError, match=r"in line 1: .* and 2999800 characters more") as caught:
            replaced(line, "ab ab\n", "", everywhere=True, path="f")
        assert len(str(caught.value)) < 1_000


async def test_edits_of_one_turn_do_not_lose_each_other(tmp_path: Path, context: ToolContext) -> None:
    (tmp_path / "a").write_text("".join(f"line {n};\n" for n in range(20)))
    calls = [
        ToolUse(str(n), "edit", {"path": "a", "old": f"line {n};", "new": f"edited {n};"}) for n in range(20)
    ]
    round_ = ToolRound(calls, tools_by_name([edit]), context=context, emit=lambda name, payload: 1)
    await round_.run()
    assert (tmp_path / "a").read_text() == "".join(f"edited {n};\n" for n in range(20))


async def test_a_pipe_does_not_block_a_round(tmp_path: Path, context: ToolContext) -> None:
    os.mkfifo(tmp_path / "pipe")
    before = time.monotonic()
    round_ = ToolRound(
        [ToolUse("1", "read", {"path": "pipe"})],
        tools_by_name([read]),
        context=context,
        emit=lambda name, payload: 1,
    )
    assert (await round_.run())[0] == ToolResult(
        "1", "pipe is not a regular file but a device, pipe or socket, which is not opened", is_error=True
    )
    assert time.monotonic() - before < 5
