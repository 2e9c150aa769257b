"""A new file in the place of an old one: all of it or nothing, and nothing left beside it."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from alloy_trio.tools import ToolContext, ToolError, ToolRound, edit, read, tools_by_name, write
from alloy_trio.tools._seen import turn
from alloy_trio.tools._walk import walked
from alloy_trio.values import ToolUse

from ._cancelling import cancelled_while_it_looks


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    return ToolContext.at(tmp_path)


def files(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


@pytest.mark.parametrize("call", ["open", "fsync", "rename", "fchmod", "fstat"])
def test_a_full_disk_leaves_the_old_file_whole_at_every_step(
    call: str, tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("old")
    original = getattr(os, call)

    def full(name: Any, *args: Any, **options: Any) -> Any:
        if call == "open" and not str(name).endswith(".tmp'"):
            return original(name, *args, **options)
        if call == "fstat" and stat.S_ISDIR(original(name).st_mode):
            return original(name)
        raise OSError(errno.ENOSPC, "no words of ours")

    monkeypatch.setattr(os, call, full)
    if call == "open":
        monkeypatch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, full})
    with pytest.raises(ToolError, match="cannot write a: No space left on device"):
        write("a", "new", context)
    monkeypatch.undo()
    assert (tmp_path / "a").read_text() == "old"
    assert files(tmp_path) == ["a"]


def test_a_disk_that_is_really_full_leaves_the_old_file_whole(tmp_path: Path) -> None:
    """In a process that may write files of a megabyte at most: there, the write itself fails half-way."""
    program = f"""
import resource, signal, sys
from alloy_trio.tools import ToolContext, ToolError, edit, write
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
context = ToolContext.at({str(tmp_path)!r})
write("a", "old", context)
for call in (lambda: write("a", "x" * 3_000_000, context), lambda: edit("a", context, "old", "x" * 3_000_000)):
    try:
        call()
    except ToolError as exc:
        print(exc)
"""
    assert hasattr(resource, "RLIMIT_FSIZE") and hasattr(signal, "SIGXFSZ")
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "cannot write a: File too large\ncannot edit a: File too large\n"
    assert (tmp_path / "a").read_text() == "old"
    assert files(tmp_path) == ["a"]


async def test_a_cancel_in_the_middle_leaves_the_old_file_whole(
    tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("old")
    await cancelled_while_it_looks(
        lambda: write("a", "x" * 5_000_000, context), "alloy_trio.tools._replacing", monkeypatch
    )
    assert (tmp_path / "a").read_text() == "old"
    assert files(tmp_path) == ["a"]


def test_a_file_that_is_changed_at_the_last_moment_is_left_as_it_is(
    tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_text("old")
    fsync = os.fsync

    def then(number: int) -> None:
        fsync(number)
        (tmp_path / "a").write_text("old, and more")

    monkeypatch.setattr(os, "fsync", then)
    for call in (lambda: write("a", "new", context), lambda: edit("a", context, "old", "new")):
        with pytest.raises(ToolError, match="is being changed by somebody else"):
            call()
        assert (tmp_path / "a").read_text() == "old, and more"
        (tmp_path / "a").write_text("old")
    with pytest.raises(ToolError, match="is being changed by somebody else"):
        (tmp_path / "a").unlink()
        write("a", "new", context)
    assert files(tmp_path) == ["a"]


class TestRights:
    def test_the_mode_stays_and_special_rights_go_with_the_old_bytes(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "a").write_text("old")
        for before, after in ((0o600, 0o600), (0o755, 0o755), (0o4755, 0o755), (0o2711, 0o711)):
            (tmp_path / "a").chmod(before)
            context.state.clear()
            write("a", "new", context)
            assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == after

    def test_nobody_can_look_at_the_new_bytes_before_the_mode_is_right(
        self, tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a").write_text("old")
        (tmp_path / "a").chmod(0o640)
        seen: list[int] = []
        fchmod = os.fchmod

        def noted(number: int, mode: int) -> None:
            seen.append(stat.S_IMODE(os.fstat(number).st_mode))
            fchmod(number, mode)

        monkeypatch.setattr(os, "fchmod", noted)
        write("a", "new", context)
        assert seen == [0o600]

    def test_the_owner_stays_where_that_is_allowed(self, tmp_path: Path, context: ToolContext) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may give files away")
        (tmp_path / "a").write_text("old")
        os.chown(tmp_path / "a", 1234, 4321)
        edit("a", context, "old", "new")
        status = (tmp_path / "a").stat()
        assert (status.st_uid, status.st_gid) == (1234, 4321)

    def test_somebody_elses_file_becomes_ours_where_it_has_to(
        self, tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may give files away")

        def denied(number: int, user: int, group: int) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

        (tmp_path / "a").write_text("old")
        os.chown(tmp_path / "a", 1234, 4321)
        monkeypatch.setattr(os, "fchown", denied)
        write("a", "new", context)
        assert (tmp_path / "a").stat().st_uid == 0
        assert (tmp_path / "a").read_text() == "new"

    def test_attributes_of_the_user_stay(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_text("old")
        if not hasattr(os, "setxattr"):
            pytest.skip("this system has no extended attributes")
        # An access list as the kernel takes it: version 2; user, somebody else's read right, group, mask, others.
        entries = [(1, 6, -1), (2, 4, 1234), (4, 0, -1), (16, 4, -1), (32, 0, -1)]
        listed = b"\2\0\0\0" + b"".join(
            tag.to_bytes(2, "little") + right.to_bytes(2, "little") + (who & 0xFFFFFFFF).to_bytes(4, "little")
            for tag, right, who in entries
        )
        try:
            os.setxattr(tmp_path / "a", "user.origin", b"here")
            os.setxattr(tmp_path / "a", "system.posix_acl_access", listed)
        except OSError as exc:
            pytest.skip(f"this file system has none: {exc}")
        write("a", "new", context)
        assert os.getxattr(tmp_path / "a", "user.origin") == b"here"
        assert os.getxattr(tmp_path / "a", "system.posix_acl_access") == listed


class TestSeen:
    """A file that somebody else changed since the model saw it."""

    def refused(self, context: ToolContext) -> None:
        for call in (lambda: write("a", "mine", context), lambda: edit("a", context, "one", "two")):
            with pytest.raises(ToolError, match="changed by somebody else since you last saw it"):
                call()

    def test_it_is_neither_edited_nor_written_until_it_is_read_again(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "a").write_text("one\n")
        read("a", context)
        (tmp_path / "a").write_text("one\nand theirs\n")
        self.refused(context)
        assert (tmp_path / "a").read_text() == "one\nand theirs\n"
        read("a", context)
        edit("a", context, "one", "two")
        assert (tmp_path / "a").read_text() == "two\nand theirs\n"

    def test_our_own_changes_are_seen(self, tmp_path: Path, context: ToolContext) -> None:
        write("a", "one", context)
        edit("a", context, "one", "two")
        edit("a", context, "two", "three")
        write("a", "four", context)
        (tmp_path / "a").write_text("theirs")
        self.refused(context)

    def test_what_was_never_shown_is_not_protected(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_text("one")
        edit("a", context, "one", "two")
        (tmp_path / "b").write_text("one")
        assert write("b", "two", context).startswith("Replaced")

    def test_the_time_of_a_small_file_makes_no_difference_and_its_content_does(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "a").write_text("one")
        read("a", context)
        os.utime(tmp_path / "a", ns=(1, 1))
        edit("a", context, "one", "two")
        status = (tmp_path / "a").stat()
        with open(tmp_path / "a", "r+") as file:
            file.write("TWO")  # as long as before, in the same file
        os.utime(tmp_path / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
        self.refused(context)

    def test_a_large_file_is_known_by_its_time(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "a").write_text("one\n" + "x\n" * 1_000_000)
        read("a", context, limit=1)
        edit("a", context, "one", "two")
        read("a", context, limit=1)
        os.utime(tmp_path / "a", ns=(1, 1))
        self.refused(context)

    def test_it_is_the_same_file_by_whatever_path(self, tmp_path: Path, context: ToolContext) -> None:
        (tmp_path / "sub").mkdir()
        (tmp_path / "a").write_text("one")
        (tmp_path / "link").symlink_to("a")
        read("sub/../link", context)
        (tmp_path / "a").write_text("theirs")
        self.refused(context)

    def test_a_file_that_has_gone_may_be_written_again(self, tmp_path: Path, context: ToolContext) -> None:
        write("a", "one", context)
        (tmp_path / "a").unlink()
        assert write("a", "two", context).startswith("Created")

    def test_what_it_has_become_may_be_looked_at_and_then_replaced(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        write("a", "one", context)
        (tmp_path / "a").write_bytes(b"\0\1")
        self.refused(context)
        with pytest.raises(ToolError, match="not text"):
            read("a", context)
        assert write("a", "two", context).startswith("Replaced")

    def test_what_is_remembered_is_bounded_and_belongs_to_one_agent(
        self, tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("alloy_trio.tools._seen.REMEMBERED", 3)
        for name in "abcde":
            write(name, name, context)
        assert [Path(path).name for path in context.state["files"]] == ["c", "d", "e"]
        (tmp_path / "e").write_text("theirs")
        other = ToolContext.at(tmp_path)
        assert write("e", "of another agent", other).startswith("Replaced")


class TestAtTheSameTime:
    async def test_edits_of_many_agents_do_not_lose_each_other(self, tmp_path: Path) -> None:
        (tmp_path / "a").write_text("".join(f"<{n}>\n" for n in range(40)))

        async def agent(number: int) -> None:
            calls = [
                ToolUse(f"{n}", "edit", {"path": "a", "old": f"<{n}>", "new": f"[{n}]"})
                for n in range(number, 40, 8)
            ]
            round_ = ToolRound(
                calls, tools_by_name([edit]), context=ToolContext.at(tmp_path), emit=lambda name, payload: 1
            )
            results = await round_.run()
            # Each knows what it wrote itself, so what another wrote meanwhile may be refused; it is never lost.
            refused[number] = sum(result.is_error for result in results)

        refused: dict[int, int] = {}
        async with trio.open_nursery() as nursery:
            for number in range(8):
                nursery.start_soon(agent, number)
        text = (tmp_path / "a").read_text()
        assert text.count("[") == 40 - sum(refused.values())
        assert text.count("<") == sum(refused.values())
        assert all(count < 5 for count in refused.values())

    async def test_edits_in_threads_of_one_agent_are_made_one_by_one(
        self, tmp_path: Path, context: ToolContext
    ) -> None:
        (tmp_path / "a").write_text("".join(f"<{n}>\n" for n in range(40)))
        (tmp_path / "link").symlink_to("a")

        async def change(number: int) -> None:
            path = "link" if number % 2 else "a"
            await trio.to_thread.run_sync(lambda: edit(path, context, f"<{number}>", f"[{number}]"))

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(change, number)
        assert (tmp_path / "a").read_text() == "".join(f"[{n}]\n" for n in range(40))

    async def test_waiting_for_ones_turn_is_stopped_by_a_cancel(
        self, tmp_path: Path, context: ToolContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with walked("a", context, for_write=True) as place, turn(place):
            await cancelled_while_it_looks(
                lambda: write("A", "x", context), "alloy_trio.tools._seen", monkeypatch
            )
        assert files(tmp_path) == []
