"""The memory store on disk: nothing outside of its directory is touched, nothing is half written."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from alloy_trio.tools import DirectoryStore, ToolError
from alloy_trio.tools import _memory_directory as directory
from alloy_trio.values import ConfigurationError

CANARY = "do not touch"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory beside the store, with a file in it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "canary").write_text(CANARY)
    return tmp_path / "outside"


def exists(store: DirectoryStore) -> bool:
    return os.path.exists(store.path)


def scopes(store: DirectoryStore) -> list[str]:
    return os.listdir(store.path)


@contextmanager
def locked(store: DirectoryStore) -> Iterator[None]:
    """Held by somebody else: another open file is another owner."""
    with open(home(store) / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def home(store: DirectoryStore) -> Path:
    return Path(store.path) / "s"


async def test_files_lie_where_a_person_looks_for_them_and_are_the_owners_alone(
    store: DirectoryStore,
) -> None:
    assert not exists(store)
    assert await store.write("s", "a/b.md", "é\r\n", expected=None)
    assert (home(store) / "a" / "b.md").read_bytes() == "é\r\n".encode()
    assert (home(store) / "a" / "b.md").stat().st_mode & 0o777 == 0o600
    for made in (Path(store.path), home(store), home(store) / "a"):
        assert made.stat().st_mode & 0o077 == 0
    assert await DirectoryStore(store.path).read("s", "a/b.md") == "é\r\n"


async def test_looking_makes_nothing(store: DirectoryStore) -> None:
    assert await store.list("s") == {}
    assert await store.read("s", "a") is None
    assert not exists(store)


async def test_nothing_is_left_of_what_was_deleted_or_refused(store: DirectoryStore) -> None:
    await store.write("s", "a/b/c", "x", expected=None)
    await store.write("s", "a/d", "x", expected=None)
    assert not await store.write("s", "e/f", "x", expected="y")
    assert await store.rename("s", "a/b/c", "g/h")
    assert await store.delete("s", "a/d")
    assert sorted(path.name for path in home(store).rglob("*")) == [".lock", "g", "h"]


@pytest.mark.parametrize(
    ("scope", "named"),
    [
        ("default", "default"),
        ("a-1_b", "a-1_b"),
        ("../x", None),
        ("A", None),
        ("", None),
        (".", None),
        ("a/b", None),
        ("x" * 65, None),
        ("\0", None),
        ("\ud800", None),
    ],
)
async def test_a_scope_of_any_name_is_one_directory(
    store: DirectoryStore, scope: str, named: str | None
) -> None:
    assert await store.write(scope, "f", "x", expected=None)
    (made,) = scopes(store)
    assert made == named or (named is None and made.startswith("scope."))
    assert await store.read(scope, "f") == "x"


# ---- what somebody else put there


async def everything(store: DirectoryStore, path: str) -> list[str | None]:
    """What each method says of a path: an error's words, or None where it found nothing to do."""
    said: list[str | None] = []

    async def attempt(method: Any, *args: Any, **options: Any) -> None:
        try:
            done = await method("s", *args, **options)
        except ToolError as exc:
            said.append(str(exc))
        else:
            assert not done, (method, done)
            said.append(None)

    await attempt(store.read, path)
    await attempt(store.write, path, "x", expected="y")
    await attempt(store.write, path, "x", expected=CANARY)
    await attempt(store.delete, path)
    await attempt(store.rename, path, "other")
    return said


async def test_links_to_files_are_neither_followed_nor_listed(store: DirectoryStore, outside: Path) -> None:
    await store.write("s", "mine", "x", expected=None)
    os.symlink(outside / "canary", home(store) / "link")
    os.symlink(home(store) / "mine", home(store) / "own")
    os.symlink("nowhere", home(store) / "dangling")
    os.link(outside / "canary", home(store) / "hard")
    os.mkfifo(home(store) / "pipe")
    assert await store.list("s") == {"mine": 1}
    for path in ("link", "own", "dangling", "hard", "pipe"):
        said = await everything(store, path)
        assert all(words is not None and "link" in words for words in said), said
        assert not await store.rename("s", "mine", path)
    assert (outside / "canary").read_text() == CANARY
    assert (outside / "canary").stat().st_nlink == 2


async def test_links_to_directories_are_not_followed(store: DirectoryStore, outside: Path) -> None:
    await store.write("s", "mine", "x", expected=None)
    os.symlink(outside, home(store) / "link")
    assert await store.list("s") == {"mine": 1}
    said = await everything(store, "link/canary")
    assert set(said) == {"the path leads over a link or a file, and is not followed"}
    for attempt in (
        lambda: store.write("s", "link/new", "x", expected=None),
        lambda: store.rename("s", "mine", "link/new"),
    ):
        with pytest.raises(ToolError, match="is not followed"):
            await attempt()
    assert os.listdir(outside) == ["canary"]
    assert (outside / "canary").read_text() == CANARY


async def test_a_scope_that_is_a_link_is_not_followed(store: DirectoryStore, outside: Path) -> None:
    os.makedirs(store.path)
    os.symlink(outside, home(store))
    with pytest.raises(ToolError, match="is not followed"):
        await store.list("s")
    assert set(await everything(store, "canary")) == {
        "the path leads over a link or a file, and is not followed"
    }
    assert os.listdir(outside) == ["canary"]


async def test_a_lock_that_is_a_link_makes_no_file_elsewhere(store: DirectoryStore, outside: Path) -> None:
    os.makedirs(home(store))
    os.symlink(outside / "new", home(store) / ".lock")
    with pytest.raises(ToolError, match="is not followed"):
        await store.write("s", "a", "x", expected=None)
    assert os.listdir(outside) == ["canary"]


async def test_the_directory_itself_may_be_a_link_for_its_owner_chose_it(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    os.symlink(tmp_path / "real", tmp_path / "store")
    store = DirectoryStore(tmp_path / "store")
    assert await store.write("s", "a", "x", expected=None)
    assert (tmp_path / "real" / "s" / "a").read_text() == "x"


@pytest.mark.parametrize(
    "path", ["../s/mine", "/etc/passwd", "a/../mine", "", ".", "a\0b", "a//b", ".lock", "a/"]
)
async def test_a_path_that_no_memory_tool_would_pass_on_is_refused_here_too(
    store: DirectoryStore, path: str
) -> None:
    await store.write("s", "mine", "x", expected=None)
    for attempt in (
        lambda: store.read("s", path),
        lambda: store.write("s", path, "x", expected=None),
        lambda: store.delete("s", path),
        lambda: store.rename("s", "mine", path),
        lambda: store.rename("s", path, "other"),
    ):
        with pytest.raises(ToolError):
            await attempt()
    assert await store.list("s") == {"mine": 1}


async def test_directories_that_are_swapped_for_links_meanwhile_lead_nowhere(
    store: DirectoryStore, outside: Path
) -> None:
    await store.write("s", "d/canary", "mine", expected=None)
    inner, aside, stop = home(store) / "d", home(store) / "aside", threading.Event()

    swapped = 0

    def attempt(operation: Callable[..., object], *args: Path) -> bool:
        try:
            operation(*args)
        except OSError:
            return False  # the store made the directory anew in the meantime, or filled it
        return True

    def swap() -> None:
        nonlocal swapped
        while not stop.is_set():
            attempt(os.rename, inner, aside)
            swapped += attempt(os.symlink, outside, inner)
            attempt(os.unlink, inner)
            if not attempt(os.rename, aside, inner):
                shutil.rmtree(aside, ignore_errors=True)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for turn in range(300):
            try:
                assert await store.read("s", "d/canary") in (None, "mine")
                await store.write("s", "d/canary", "mine", expected="mine")
                await store.write("s", f"d/new{turn}", "x", expected=None)
                await store.delete("s", f"d/new{turn}")
                await store.list("s")
            except ToolError:
                pass  # it met the link; what counts is that it did not go through
    finally:
        stop.set()
        await trio.to_thread.run_sync(thread.join)
    assert swapped > 0
    assert os.listdir(outside) == ["canary"]
    assert (outside / "canary").read_text() == CANARY


async def test_what_is_no_text_or_too_large_is_told(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write("s", "a", "x" * 100, expected=None)
    (home(store) / "bytes").write_bytes(b"ab\xff")
    with pytest.raises(ToolError, match=r"/memories/bytes is not UTF-8 text \(byte 2\)"):
        await store.read("s", "bytes")
    monkeypatch.setattr(directory, "MAX_READ_BYTES", 99)
    with pytest.raises(ToolError, match="/memories/a has more than 99 bytes"):
        await store.read("s", "a")


async def test_foreign_names_are_not_listed_and_a_whole_disk_is_not_walked(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write("s", "a", "x", expected=None)
    (home(store) / "b:c").write_text("x")
    (home(store) / ".hidden").mkdir()
    (home(store) / ".hidden" / "d").write_text("x")
    (home(store) / os.fsdecode(b"\xff")).write_text("x")
    assert await store.list("s") == {"a": 1}
    monkeypatch.setattr(directory, "MAX_ENTRIES", 3)
    with pytest.raises(ToolError, match="holds more than 3 names"):
        await store.list("s")


# ---- disks and others


async def test_a_full_disk_leaves_the_old_text_and_no_rest(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write("s", "a", "old", expected=None)

    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ToolError, match="the memory cannot be used: No space left on device"):
        await store.write("s", "a", "new", expected="old")
    with pytest.raises(ToolError, match="No space left"):
        await store.write("s", "b/c", "new", expected=None)
    assert await store.read("s", "a") == "old"
    assert sorted(os.listdir(home(store))) == [".lock", "a"]


async def test_a_directory_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigurationError, match="is no directory"):
        DirectoryStore(tmp_path / "file")
    store = DirectoryStore(tmp_path / "later")
    (tmp_path / "later").write_text("x")
    with pytest.raises(ToolError):
        await store.write("s", "a", "x", expected=None)
    with pytest.raises(ToolError):
        await store.list("s")


async def test_the_place_does_not_change_with_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    store = DirectoryStore("here")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    await store.write("s", "a", "x", expected=None)
    assert (tmp_path / "here" / "s" / "a").exists()


async def test_one_that_holds_the_lock_for_ever_is_not_waited_for(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.write("s", "a", "x", expected=None)
    with locked(store):
        with trio.move_on_after(0.05) as scope:
            await store.write("s", "a", "y", expected="x")
        assert scope.cancelled_caught, "a cancel ends the waiting"
        monkeypatch.setattr(directory, "LOCK_SECONDS", 0.0)
        with pytest.raises(ToolError, match="in use by somebody else"):
            await store.write("s", "a", "y", expected="x")
        assert await store.read("s", "a") == "x", "reading waits for nobody"
    assert await store.write("s", "a", "y", expected="x")


async def test_no_edit_of_several_processes_is_lost(store: DirectoryStore) -> None:
    await store.write("s", "a", "", expected=None)
    program = f"""
import trio
from alloy_trio.tools import DirectoryStore
async def main():
    store = DirectoryStore({store.path!r})
    for _ in range(20):
        while True:
            text = await store.read("s", "a")
            if await store.write("s", "a", text + "x", expected=text):
                break
trio.run(main)
"""
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(trio.run_process, [sys.executable, "-c", program])
    assert await store.read("s", "a") == "x" * 60


async def test_one_that_is_killed_in_the_middle_blocks_nobody_and_breaks_nothing(
    store: DirectoryStore,
) -> None:
    await store.write("s", "a", "old", expected=None)
    program = f"""
import os, trio
from alloy_trio.tools import DirectoryStore
def stop(number):
    os.kill(os.getpid(), 9)
os.fsync = stop
trio.run(lambda: DirectoryStore({store.path!r}).write("s", "a", "new", expected="old"))
"""
    done = await trio.run_process([sys.executable, "-c", program], check=False, stderr=subprocess.DEVNULL)
    assert done.returncode == -9
    assert await store.read("s", "a") == "old"
    assert await store.list("s") == {"a": 3}
    assert await store.write("s", "a", "newer", expected="old")
