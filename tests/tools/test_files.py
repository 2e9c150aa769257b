"""read, write and edit: on real files, with words that help when they cannot."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from alloy_trio.tools import ToolContext, ToolError, ToolOutput, ToolRound, edit, read, tools_by_name, write
from alloy_trio.values import Image, ToolResult, ToolUse

from ._cancelling import cancelled_while_it_looks

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
NOT_UTF_8 = "[what is not UTF-8 in it is shown as \ufffd]"


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    return ToolContext.at(tmp_path)


def reading(path: str, context: ToolContext, **options: Any) -> str:
    output = read(path, context, **options)
    assert isinstance(output, ToolOutput)
    return output.text


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
            (b"a\xffb", f"a\ufffdb\n{NOT_UTF_8}"),
            (b"\xc3", f"\ufffd\n{NOT_UTF_8}"),
            (b"abc\xe2\x82", f"abc\ufffd\n{NOT_UTF_8}"),
            ("a\ufffdb".encode(), "a\ufffdb"),
        ],
    )
    def test_ways_of_writing_text(self, raw: bytes, text: str, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "f").write_bytes(raw)
        assert reading("f", context) == text

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
        (tmp_path / "link").symlink_to("sub")
        for path, words in (
            ("pyproject.tom", "not there; did you mean pyproject.toml?"),
            ("sub/zzz", "not there; the directory holds x.py"),
            ("no/where", "neither is the directory"),
            ("sub", "is a directory; the directory holds x.py"),
            (".", "the directory holds blob, link, pipe, pyproject.toml, sub/"),
            ("blob", "not text"),
            ("pipe", "not a regular file"),
            ("/dev/null", "outside"),
            ("pyproject.toml/", "Not a directory"),
            ("link", "the directory holds x.py"),
            ("pyproject.toml/x", "Not a directory"),
        ):
            with pytest.raises(ToolError) as caught:
                read(path, context)
            assert words in str(caught.value)

    def test_a_directory_that_may_not_be_listed_is_no_obstacle(
        self, tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def closed(number: int) -> None:
            raise PermissionError(13, "Permission denied")

        (tmp_path / "a").write_text("one")
        monkeypatch.setattr(os, "scandir", closed)
        assert reading("a", context) == "one"
        for path, words in (("b", "b is not there"), (".", ". is a directory; it may not be listed")):
            with pytest.raises(ToolError) as caught:
                read(path, context)
            assert str(caught.value) == words

    def test_of_many_names_some_are_shown(
        self, tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(60):
            (tmp_path / f"{number:02}").touch()
        with pytest.raises(ToolError, match=r"the directory holds 00, 01, .*, 49 and 10 more$"):
            read(".", context)
        monkeypatch.setattr("alloy_trio.tools._opening.LOOKED_AT", 55)
        with pytest.raises(ToolError, match=r"and at least 5 more$"):
            read(".", context)

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
            lambda: reading("big", context, offset=90_000), "alloy_trio.tools._pages", monkeypatch
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

    @pytest.mark.skipif(
        not sys.platform.startswith("linux") or os.getuid() != 0, reason="only root mounts a disk"
    )
    def test_a_disk_that_is_read_only_is_named_as_the_reason(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("old")
        mount = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        script = (
            "from alloy_trio.tools import ToolContext, write\n"
            f"write('a', 'new', ToolContext.at({str(tmp_path)!r}))"
        )
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", mount, str(tmp_path), sys.executable, "-c", script],
            capture_output=True,
            text=True,
            check=False,
        )
        if "unshare" in done.stderr or "mount" in done.stderr:
            pytest.skip(f"no mount namespace is to be had: {done.stderr}")
        assert "a is protected against writing (its disk is read-only)" in done.stderr
        assert (tmp_path / "a").read_text() == "old"

    def test_a_file_that_is_protected_against_writing_is_left_as_it_is(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "a").write_text("old")
        (tmp_path / "a").chmod(0o444)
        with pytest.raises(ToolError, match=r"protected against writing \(mode 0444\)"):
            write("a", "new", context)
        with pytest.raises(ToolError, match=r"protected against writing \(mode 0444\)"):
            edit("a", context, "old", "new")
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
        output = edit("a.py", context, "return 2", "return 3")
        assert (tmp_path / "a.py").read_text() == "def f():\n    return 1\n\n\ndef g():\n    return 3\n"
        assert output.text.startswith("Edited a.py in 1 place:\n--- a/a.py\n+++ b/a.py\n@@")
        assert "-    return 2\n+    return 3" in output.text
        assert output.data == {"replaced": 1}

    def test_several_places_need_to_be_asked_for(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_text("x\ny\nx\n")
        with pytest.raises(ToolError, match=r"2 times \(lines 1, 3\), so nothing was changed"):
            edit("a", context, "x", "z")
        assert (tmp_path / "a").read_text() == "x\ny\nx\n"
        assert "in 2 places" in edit("a", context, "x", "z", replace_all=True).text
        assert (tmp_path / "a").read_text() == "z\ny\nz\n"

    def test_bytes_around_the_place_stay(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_bytes(b"\xef\xbb\xbfone\r\ntwo\nthree\r\n")
        edit("a", context, "three", "drei")
        assert (tmp_path / "a").read_bytes() == b"\xef\xbb\xbfone\r\ntwo\ndrei\r\n"

    def test_returns_at_the_line_ends_are_kept(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_bytes(b"one\r\ntwo\r\nthree\r\n")
        edit("a", context, "one\ntwo", "1\n2\n2b")
        assert (tmp_path / "a").read_bytes() == b"1\r\n2\r\n2b\r\nthree\r\n"
        edit("a", context, "three", "3\n4")
        assert (tmp_path / "a").read_bytes() == b"1\r\n2\r\n2b\r\n3\r\n4\r\n"

    @pytest.mark.parametrize(
        ("old", "new", "words"),
        [
            ("", "x", "old is empty"),
            ("alpha", "alpha", "are the same"),
            ("alpa beta", "x", "nearest line is 'alpha beta'"),
            ("alpha beta\n  gamma", "x", "line 3 is 'gamma', and old has '  gamma'"),
            ("alpha beta\ndelta", "x", "first line is there in line 2"),
            ("zzzzzzzz", "x", "Read the file"),
        ],
    )
    def test_what_cannot_be_replaced_is_explained(
        self, old: str, new: str, words: str, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "a").write_text("first\nalpha beta\ngamma\n")
        with pytest.raises(ToolError, match=words):
            edit("a", context, old, new)


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
