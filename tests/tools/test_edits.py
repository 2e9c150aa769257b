"""Replacing pieces of text, what is shown of it, and what is said when there is nothing to replace."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.tools import ToolContext, ToolError, ToolOutput, edit
from alloy_trio.tools._diff import DIFF_CHARS, diff
from alloy_trio.tools._edits import Change, applied, changes_of, composed
from alloy_trio.tools._files import Replacement

from ._cancelling import cancelled_while_it_looks


def replaced(text: str, old: str, new: str) -> tuple[str, int]:
    changes = changes_of(text, old, new, everywhere=True, path="f")
    return applied(text, changes), len(changes)


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    return ToolContext.at(tmp_path)


class TestSeveralAtOnce:
    def test_they_are_made_in_order_and_shown_as_one_change(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "a").write_text("one\ntwo\nthree\nfour\n")
        edits = [
            Replacement("one", "1"),
            Replacement("1\ntwo", "1\n2"),
            Replacement("o", "O", replace_all=True),
        ]
        output = edit("a", context, edits=edits)
        assert isinstance(output, ToolOutput)
        assert (tmp_path / "a").read_text() == "1\n2\nthree\nfOur\n"
        assert output.text == (
            "Edited a in 3 places:\n--- a/a\n+++ b/a\n@@ -1,4 +1,4 @@\n-one\n-two\n-three\n-four\n+1\n+2\n+three\n+fOur"
        )
        assert output.data == {"replaced": 3}

    def test_one_that_fails_leaves_all_undone(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_text("one\n")
        with pytest.raises(ToolError, match=r"^edit 2 of 2: old is not in a, so nothing was changed"):
            edit("a", context, edits=[Replacement("one", "two"), Replacement("one", "three")])
        with pytest.raises(ToolError, match="undo each other"):
            edit("a", context, edits=[Replacement("one", "two"), Replacement("two", "one")])
        assert (tmp_path / "a").read_text() == "one\n"

    def test_what_is_no_clear_order_is_refused(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_text("one\n")
        one = [Replacement("one", "two")]
        for arguments, words in (
            ({}, "give old and new, or edits"),
            ({"old": "one"}, "to delete text"),
            ({"edits": []}, "give old and new, or edits"),
            ({"old": "one", "new": "", "edits": one}, "one of both"),
            ({"edits": one * 101}, "may have 100"),
            ({"edits": [Replacement("", "x")]}, "old is empty"),
            ({"old": "one", "new": "\ud800"}, "character 0 of new is half of a surrogate pair"),
        ):
            with pytest.raises(ToolError, match=words):
                edit("a", context, **arguments)
        # What a vendor's strict mode makes of arguments that are left out.
        edit("a", context, old="", new="", edits=one)
        assert (tmp_path / "a").read_text() == "two\n"

    async def test_a_model_writes_them_as_objects(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_text("one two two")
        edits = [{"old": "one", "new": "1"}, {"old": "two", "new": "2", "replace_all": True}]
        await edit.execute({"path": "a", "edits": edits}, context)
        assert (tmp_path / "a").read_text() == "1 2 2"
        with pytest.raises(ToolError, match=r"edits\[0\].*new"):
            edit.prepare({"path": "a", "edits": [{"old": "one"}]})

    @settings(max_examples=300)
    @given(
        st.text("abc", min_size=1, max_size=30),
        st.lists(st.tuples(st.text("abc", min_size=1, max_size=3), st.text("abcd", max_size=4)), max_size=5),
    )
    def test_changes_one_after_another_are_changes_of_the_first_text(
        self, text: str, edits: list[tuple[str, str]]
    ) -> None:
        total: list[Change] = []
        now = text
        for old, new in edits:
            if old == new or old not in now:
                continue
            found = changes_of(now, old, new, everywhere=True, path="f")
            total, now = composed(len(text), total, found), applied(now, found)
            assert applied(text, total) == now
        ends = [0, *(each.end for each in total)]
        assert all(end < each.start or not end for end, each in zip(ends, total, strict=False))


class TestEncodings:
    @pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
    def test_utf_16_stays_what_it_is(self, codec: str, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_bytes("\ufeffone é\r\ntwo\r\n".encode(codec))
        edit("a", context, "one é\ntwo", "中\n2")
        assert (tmp_path / "a").read_bytes() == "\ufeff中\r\n2\r\n".encode(codec)

    def test_bytes_that_are_no_text_stay(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_bytes(b"tea\xe9 one\n\xff\xfe two\n")
        output = edit("a", context, "one", "1")
        assert isinstance(output, ToolOutput)
        assert "-tea\ufffd one\n+tea\ufffd 1\n \ufffd\ufffd two" in output.text
        assert (tmp_path / "a").read_bytes() == b"tea\xe9 1\n\xff\xfe two\n"
        with pytest.raises(ToolError, match=r"not UTF-8 text \(byte 3\), so only ASCII"):
            edit("a", context, "two", "zwölf")
        with pytest.raises(ToolError, match="leave those out"):
            edit("a", context, "tea\ufffd", "cup")
        assert (tmp_path / "a").read_bytes() == b"tea\xe9 1\n\xff\xfe two\n"

    def test_what_is_no_text_is_left_as_it_is(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "blob").write_bytes(b"\x7fELF\0\xff abc")
        (tmp_path / "odd").write_bytes(b"\xff\xfea\0b")
        with pytest.raises(ToolError, match="blob is not text"):
            edit("blob", context, "abc", "x")
        with pytest.raises(ToolError, match=r"begins as UTF-16 but is not \(byte 4\)"):
            edit("odd", context, "a", "x")
        with pytest.raises(ToolError, match="is not there"):
            edit("missing", context, "a", "b")

    def test_what_is_too_large_is_left_as_it_is(self, tmp_path: Path, context: ToolContext) -> None:
        with open(tmp_path / "a", "wb") as file:
            file.truncate(20_000_001)
        with pytest.raises(ToolError, match="more than 20000000 bytes"):
            edit("a", context, "a", "b")


class TestHints:
    @pytest.mark.parametrize(
        ("old", "words"),
        [
            ("if x:\n    return 1", "line 2 is '\\tif x:', and old has 'if x:'"),
            ("\tif x:\n\t\treturn  1", "line 3 is '\\t\\treturn 1', and old has '\\t\\treturn  1'"),
            ("s = 'it is'", "line 4 is 's = ‘it is’', and old has \"s = 'it is'\""),
            ("\n\n\tif x:\n\t\treturn 1\n\n", "in line 2, but for empty lines before or after it"),
            ("if y:\n    return 1", "The nearest line is 'if x:'"),
            ("if x:\n    return 7", "first line is there in line 2"),
            ("zzzzzzzz", "Read the file"),
            ("   ", "Read the file"),
        ],
    )
    def test_what_was_probably_meant_is_named(self, old: str, words: str) -> None:
        text = "def f(x):\n\tif x:\n\t\treturn 1\ns = ‘it is’\n"
        with pytest.raises(ToolError) as caught:
            replaced(text, old, "new")
        assert words in str(caught.value)

    async def test_looking_for_the_nearest_line_is_stopped_by_a_cancel(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def work() -> object:
            return replaced("almost\n" * 5_000, "almoost", "b")

        await cancelled_while_it_looks(work, "alloy_trio.tools._nearest", monkeypatch)

    def test_a_gigantic_line_is_neither_compared_nor_shown_in_full(self) -> None:
        line = "ab " * 2_000_000
        with pytest.raises(ToolError, match="Read the file"):
            replaced(line, "ab ac " * 100_000, "")
        with pytest.raises(ToolError, match=r"in line 1: .* and 5999800 characters more") as caught:
            replaced(line, "ab ab\n", "")
        assert len(str(caught.value)) < 1_000
        with pytest.raises(ToolError, match="but for spaces") as caught:
            replaced(line[:3_000_000], "ab  " * 1_000_000 + "\n", "")
        assert len(str(caught.value)) < 1_000


class TestLineEnds:
    @given(st.text("ab\n", max_size=20), st.text("ab\n", min_size=1, max_size=3), st.text("ac\n", max_size=3))
    def test_line_ends_make_no_difference_to_an_edit(self, text: str, old: str, new: str) -> None:
        def edited(text: str) -> tuple[str, int] | None:
            try:
                return replaced(text, old, new)
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
            return replaced("a\n" * 5_000, "a", "b")

        await cancelled_while_it_looks(work, "alloy_trio.tools._edits", monkeypatch)
