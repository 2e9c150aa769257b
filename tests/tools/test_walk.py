"""Containment: what a model writes as a path does not lead a file tool out of the allowed directories.

The vectors, each as read, write and edit; races, one system call after another and by the clock; and a generator of
paths that has to find the way out as soon as containment is switched off.
"""

from __future__ import annotations

import errno
import json
import os
import random
import shutil
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from alloy_trio.tools import ToolContext, ToolError, ToolOutput, _walk, edit, read, write
from alloy_trio.tools._belongings import Belongings

CANARY = "canary-5f2c"
FULL = os.environ.get("ALLOY_TRIO_FULL") == "1"


@pytest.fixture(autouse=True)
def no_descriptor_is_left() -> Iterator[None]:
    before = descriptors()
    yield
    assert descriptors() == before


def descriptors() -> int:
    directory = "/dev/fd"
    return len(os.listdir(directory))


def prepared(base: Path) -> Path:
    """An allowed directory, with a directory outside of it."""
    root = base / "root"
    (root / "sub").mkdir(parents=True, exist_ok=True)
    (root / "a.txt").write_text("inside a\n")
    (root / "sub" / "b.txt").write_text("inside b\n")
    (base / "outside").mkdir()
    (base / "outside" / "secret.txt").write_text(CANARY)
    (base / "secret.txt").write_text(CANARY)
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return prepared(tmp_path)


@pytest.fixture
def context(root: Path) -> ToolContext:
    return ToolContext.at(root)


def perform(operation: str, path: str, context: ToolContext) -> str:
    if operation == "read":
        output = read(path, context)
    elif operation == "write":
        output = write(path, "inside, written", context)
    else:
        old = CANARY if operation == "edit the canary" else "inside"
        output = edit(path, context, old, "inside, edited", replace_all=True)
    return output.text if isinstance(output, ToolOutput) else str(output)


def refusal(operation: str, path: str, context: ToolContext) -> str:
    with pytest.raises(ToolError) as caught:
        perform(operation, path, context)
    return str(caught.value)


class TestWays:
    @pytest.mark.parametrize(
        "path", ["a.txt", "./a.txt", "sub/../a.txt", "sub/..//a.txt", "sub/./.././a.txt", "../root/a.txt"]
    )
    def test_what_leads_inside_is_opened(self, path: str, root: Path, context: ToolContext) -> None:
        assert perform("read", path, context) == "inside a"
        assert perform("read", f"{root}/{path}", context) == "inside a"
        assert perform("write", path, context).startswith("Replaced")
        assert perform("edit", path, context).startswith("Edited")

    @pytest.mark.parametrize(
        "path",
        [
            *(
                "..",
                "/",
                "../secret.txt",
                "../outside",
                "../outside/secret.txt",
                "../nothing",
                "../nothing/x",
            ),
            *("/nothing", "../outside/../root/a.txt", "../nothing/../root/a.txt", "/etc/passwd/x"),
            "../secret.txt/../root/a.txt",
        ],
    )
    def test_what_is_outside_is_refused_in_the_same_words_whether_it_is_there_or_not(
        self, path: str, context: ToolContext
    ) -> None:
        for operation in ("read", "write", "edit"):
            words = refusal(operation, path, context)
            if operation != "write" or path != "..":
                assert words.startswith(f"{path} is outside of what may be touched (")

    def test_links_that_stay_inside_are_followed(self, root: Path, context: ToolContext) -> None:
        (root / "relative").symlink_to("sub/b.txt")
        (root / "absolute").symlink_to(root / "sub")
        (root / "chain").symlink_to("sub/up")
        (root / "sub" / "up").symlink_to("../absolute")
        (root / "around").symlink_to("../root/sub")
        for path in ("relative", "absolute/b.txt", "chain/b.txt", "around/b.txt", "chain/../sub/b.txt"):
            assert perform("read", path, context) == "inside b"
        perform("write", "chain/new/c.txt", context)
        assert (root / "sub" / "new" / "c.txt").read_text() == "inside, written"
        (root / "dangling").symlink_to(root / "made.txt")
        perform("write", "dangling", context)
        assert (root / "made.txt").read_text() == "inside, written"
        assert (root / "dangling").is_symlink()

    def test_links_that_lead_out_or_around_are_refused(self, root: Path, context: ToolContext) -> None:
        (root / "loop").symlink_to("loop")
        (root / "sub" / "grow").symlink_to("grow/grow")
        (root / "self").symlink_to(".")
        (root / "out").symlink_to("../outside")
        (root / "dangling").symlink_to("../outside/new.txt")
        (root / "proc").symlink_to("/proc/self/cwd")
        assert "leads back to itself" in refusal("read", "loop", context)
        assert "leads back to itself" in refusal("write", "sub/grow", context)
        assert perform("read", "self/" * 40 + "a.txt", context) == "inside a"
        assert "leads back to itself" in refusal("read", "self/" * 41 + "a.txt", context)
        for path in ("out", "out/secret.txt", "out/../root/a.txt", "dangling", "proc/a.txt"):
            for operation in ("read", "write", "edit"):
                assert "is outside" in refusal(operation, path, context)

    def test_what_is_missing_leads_nowhere(self, root: Path, context: ToolContext) -> None:
        assert refusal("write", "new/../x", context) == "new/../x leads back out of new, which is not there"
        assert refusal("write", "a.txt/x", context) == "cannot write a.txt/x: Not a directory"
        assert refusal("write", "new/", context) == "new/ ends like the name of a directory; name a file"
        assert "is a directory" in refusal("write", "sub", context)
        assert "is a directory" in refusal("write", "sub/..", context)
        assert sorted(os.listdir(root)) == ["a.txt", "sub"]

    def test_directories_in_one_another_have_an_end(self, root: Path, context: ToolContext) -> None:
        deep = root.joinpath(*["d"] * 140)
        deep.mkdir(parents=True)
        assert "more than 128 directories" in refusal("read", "d/" * 140 + "x", context)
        # Back and forth is not deep.
        assert perform("read", "d/../" * 200 + "a.txt", context) == "inside a"

    def test_a_directory_that_may_not_be_listed_can_be_walked_through(self, context: ToolContext) -> None:
        if os.geteuid() == 0:
            pytest.skip("root may list everything")
        (context.working_directory / "sub").chmod(0o311)
        assert perform("read", "sub/b.txt", context) == "inside b"


class TestAreas:
    def test_several_directories_are_reached_from_one_another(self, root: Path) -> None:
        context = ToolContext.at(root / "sub", [".", "../../outside"])
        assert perform("read", "../../outside/secret.txt", context) == CANARY
        assert perform("read", "../sub/b.txt", context) == "inside b"
        assert "is outside" in refusal("read", "../a.txt", context)

    def test_the_working_directory_may_be_outside(self, root: Path) -> None:
        context = ToolContext.at(root.parent / "outside", ["../root/sub"])
        assert perform("read", "../root/sub/b.txt", context) == "inside b"
        for path in ("secret.txt", "new.txt", "../root/a.txt", "."):
            assert "is outside" in refusal("read", path, context)
            assert "is outside" in refusal("write", path, context)

    def test_nothing_is_allowed_when_no_directory_is(self, root: Path) -> None:
        assert "no directory at all" in refusal("read", "a.txt", ToolContext.at(root, ()))

    def test_one_file_may_be_allowed_and_nothing_beside_it(self, root: Path) -> None:
        context = ToolContext.at(root, ["a.txt"])
        assert perform("read", "a.txt", context) == "inside a"
        perform("edit", "a.txt", context)
        perform("write", "a.txt", context)
        for path in ("sub/b.txt", "new.txt", ".", "sub", "a.txt.tmp"):
            for operation in ("read", "write", "edit"):
                assert "is outside" in refusal(operation, path, context)
        (root / "a.txt").unlink()
        (root / "a.txt").symlink_to("../secret.txt")
        for operation in ("read", "write", "edit"):
            assert "is outside" in refusal(operation, "a.txt", context)

    def test_another_name_of_an_allowed_file_is_not_allowed(self, root: Path) -> None:
        os.link(root / "a.txt", root / "other.txt")
        assert "is outside" in refusal("read", "other.txt", ToolContext.at(root, ["a.txt"]))

    def test_a_directory_may_be_allowed_before_it_is_there(self, root: Path) -> None:
        context = ToolContext.at(root, ["out/put"])
        assert "is outside" in refusal("write", "out/x", context)
        assert "is outside" in refusal("write", "out/put-evil/x", context)
        perform("write", "out/put/new/x", context)
        assert perform("read", "out/put/new/x", context) == "inside, written"
        assert "is outside" in refusal("write", "out/x", context)

    def test_an_allowed_directory_that_has_become_a_link_is_not_followed(self, root: Path) -> None:
        context = ToolContext.at(root, ["sub"])
        (root / "sub").rename(root / "old")
        (root / "sub").symlink_to("../outside")
        for operation in ("read", "write", "edit"):
            assert "is outside" in refusal(operation, "sub/secret.txt", context)

    def test_in_all_of_the_disk_the_kernels_own_files_stay_closed(self) -> None:
        context = ToolContext.at("/", ["/"])
        for path in ("/proc/self/environ", "/proc/self/cwd/a.txt", "proc/self/root/etc/passwd", "/dev/fd/0"):
            for operation in ("read", "write", "edit"):
                if not os.path.isdir("/proc/self"):
                    pytest.skip("this system has no /proc")
                assert "lies in /proc or /sys, where nothing is opened" in refusal(operation, path, context)
        assert "not a regular file" in refusal("read", "/dev/null", context)
        assert "no regular file" in refusal("write", "/dev/null", context)

    def test_the_private_directory_may_be_read_and_not_written(self, root: Path) -> None:
        belongings = Belongings()
        with belongings.private.create("output") as file:
            file.write(b"inside the output\n")
        try:
            context = ToolContext.at(root, belongings=belongings)
            assert perform("read", file.name, context) == "inside the output"
            for operation in ("write", "edit"):
                assert "is outside" in refusal(operation, file.name, context)
            other = ToolContext.at(root, belongings=Belongings())
            assert "is outside" in refusal("read", file.name, other)
        finally:
            belongings.private.close()


class TestGit:
    @pytest.mark.parametrize(
        "path",
        [
            *(".git", ".git/config", ".git/hooks/pre-commit", ".GIT/x", "sub/.Git/x", "GIT~1/x"),
            *(".g\u200cit/config", ".git./x", "sub/.git "),
        ],
    )
    def test_by_name(self, path: str, root: Path, context: ToolContext) -> None:
        for there in (False, True):
            if there:
                (root / ".git" / "hooks").mkdir(parents=True)
                (root / ".git" / "config").write_text("inside\n")
            for operation in ("write", "edit"):
                assert refusal(operation, path, context).endswith(
                    "is inside of .git, where nothing is written; use git itself"
                )
        assert perform("read", ".git/config", context) == "inside"

    def test_by_a_link_and_by_what_it_is(self, root: Path, context: ToolContext) -> None:
        for name in ("real", "bare"):
            for directory in ("hooks", "objects", "refs"):
                (root / name / directory).mkdir(parents=True)
        (root / "bare" / "HEAD").write_text("ref: refs/heads/main\n")
        (root / ".git").symlink_to("real")
        (root / "other").symlink_to(".git")
        for path in ("real/hooks/x", "other/x", "bare/hooks/x", "bare/config", "bare/new/x"):
            for operation in ("write", "edit"):
                assert "is inside of .git" in refusal(operation, path, context)

    def test_a_file_of_that_name_by_any_name(self, root: Path, context: ToolContext) -> None:
        (root / ".git").write_text("gitdir: ../inside\n")
        os.link(root / ".git", root / "alias")
        assert "is inside of .git" in refusal("edit", "alias", context)

    def test_what_only_looks_like_it_is_written(self, context: ToolContext) -> None:
        for path in (".gitignore", ".github/x", "git/x", "x.git/y", ".git2", "..git"):
            perform("write", path, context)
        assert (
            perform("write", ".git/../a.txt", context)
            if (context.working_directory / ".git").mkdir()
            else True
        )


def cases(shared: Path) -> list[dict[str, Any]]:
    return json.loads((shared / "conformance" / "path_cases.json").read_text())["cases"]  # type: ignore[no-any-return]


def set_up(lines: list[str], root: Path, sockets: list[socket.socket]) -> None:
    outside = root.parent / "outside"
    for line in lines:
        kind, _, rest = line.replace("{R}", str(root)).replace("{S}", str(outside)).partition(" ")
        name, _, target = rest.partition(" ")
        if kind == "file":
            (root / rest).parent.mkdir(exist_ok=True)
            (root / rest).write_text("inside\n")
        elif kind == "outside":
            Path(rest).parent.mkdir(exist_ok=True)
            Path(rest).write_text(CANARY)
        elif kind == "symlink":
            (root / name).symlink_to(target)
        elif kind == "hardlink":
            os.link(target, root / name)
        elif kind == "fifo":
            os.mkfifo(root / name)
        elif kind == "socket":
            sockets.append(socket.socket(socket.AF_UNIX))
            # A socket's name may have some 100 bytes; the shorter way to it is the likelier one.
            sockets[-1].bind(min(str(root / name), os.path.relpath(root / name), key=len))
        elif kind == "dir":
            (root / name).mkdir(parents=True)
        else:
            raise AssertionError(f"unknown setup {line!r}")


# Names that are not there: reading them fails, writing makes them, inside and by that very name.
MAY_BE_MADE = {
    "fullwidth dots": "．．/secret.txt",
    "backslash dotdot is a name": "..\\secret.txt",
    "url encoded dotdot": "%2e%2e/secret.txt",
    "file url": "file:///etc/passwd",
}


def test_the_recorded_cases_each_as_read_write_and_edit(shared: Path, tmp_path: Path) -> None:
    run = 0
    for case in cases(shared):
        if case["expect"] == "never outside":
            continue  # the race, in TestRaces
        for operation in ("read", "write", "edit"):
            base = tmp_path / str(run)
            base.mkdir()
            run += 1
            root = prepared(base)
            context = ToolContext.at(root)
            path = case["path"].replace("{R}", str(root)).replace("{S}", str(base / "outside"))
            sockets: list[socket.socket] = []
            try:
                set_up(case["setup"], root, sockets)
                said = f"{case['name']} as {operation}"
                if case["expect"] == "allow":
                    assert "inside" in perform(operation, path, context) or operation == "write", said
                elif case["name"] == "hardlink to outside":
                    # The policy leaves a choice, and this is ours: what lies inside is inside, also if it has
                    # another name elsewhere; it is read, and replaced, and never written through.
                    perform("edit the canary" if operation == "edit" else operation, path, context)
                elif case["name"] == "git dir write" and operation == "read":
                    assert "is not there" in refusal(operation, path, context)
                elif operation == "write" and case["name"] in MAY_BE_MADE:
                    assert perform(operation, path, context).startswith("Created"), said
                    assert (root / os.path.normpath(MAY_BE_MADE[case["name"]])).is_file(), said
                else:
                    before = time.monotonic()
                    assert CANARY not in refusal(operation, path, context), said
                    assert time.monotonic() - before < 30, said
                    if operation == "edit":
                        assert CANARY not in refusal("edit the canary", path, context), said
            finally:
                for each in sockets:
                    each.close()
            assert untouched(base), said
    assert run == 3 * 56


def untouched(base: Path) -> bool:
    return (
        os.listdir(base / "outside") == ["secret.txt"]
        and (base / "outside" / "secret.txt").read_text() == CANARY
        and (base / "secret.txt").read_text() == CANARY
    )


class TestFailures:
    @pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO])
    @pytest.mark.parametrize("operation", ["read", "write", "edit"])
    @pytest.mark.parametrize("path", ["link/b.txt", "sub/new/x.txt"])
    def test_a_failure_of_any_system_call_is_told_and_leaves_nothing(
        self, number: int, operation: str, path: str, tmp_path: Path
    ) -> None:
        calls = tuple(name for name in TestRaces.CALLS if name != "unlink")  # with that, we clean up
        told = 0
        for at in range(1_000):
            root = prepared(tmp_path / str(at))
            (root / "link").symlink_to("sub")
            context = ToolContext.at(root)
            failed = 0

            def fail(count: int, at: int = at) -> None:
                nonlocal failed
                if count == at:
                    failed += 1
                    raise OSError(number, "no words of ours")

            before = descriptors()
            with pytest.MonkeyPatch.context() as patch:
                before_each_call(fail, calls, patch)
                try:
                    perform(operation, path, context)
                except ToolError as exc:
                    told += os.strerror(number) in str(exc)
            assert descriptors() == before
            assert untouched(root.parent)
            assert (root / "sub" / "b.txt").read_text().startswith("inside")
            assert not list(root.rglob("*.tmp"))
            if not failed:
                break
        assert told > 5


class TestRaces:
    """A directory is swapped for a link that leads out, while the path through it is used."""

    CALLS = (
        "open",
        "stat",
        "readlink",
        "mkdir",
        "rename",
        "unlink",
        "access",
        "dup",
        "fstat",
        "fsync",
        "scandir",
    )

    @pytest.mark.parametrize("operation", ["read", "write", "edit"])
    @pytest.mark.parametrize("path", ["sub/b.txt", "sub/secret.txt", "sub/new/x.txt", "link/b.txt", "sub"])
    def test_a_swap_before_any_system_call_changes_nothing_outside(
        self, operation: str, path: str, tmp_path: Path
    ) -> None:
        rename, tried = os.rename, 0
        for at in range(1_000):
            base = tmp_path / str(at)
            base.mkdir()
            root = prepared(base)
            (root / "link").symlink_to("sub")
            context = ToolContext.at(root)
            swaps = 0

            def swap(number: int, root: Path = root, at: int = at) -> None:
                nonlocal swaps
                if number == at:
                    swaps += 1
                    rename(root / "sub", root / "real")
                    os.symlink(root.parent / "outside", root / "sub")

            with pytest.MonkeyPatch.context() as patch:
                before_each_call(swap, self.CALLS, patch)
                try:
                    shown = perform(operation, path, context)
                except ToolError as exc:
                    shown = str(exc)
            assert CANARY not in shown
            assert "secret.txt" not in shown.replace(path, "")  # not in a listing either
            assert untouched(base)
            left = [name for _, _, names in os.walk(root) for name in names if name.endswith(".tmp")]
            assert left == []
            if not swaps:
                break
            tried += 1
        assert tried > 10

    def test_a_swap_of_the_file_for_a_link_changes_nothing_outside(self, tmp_path: Path) -> None:
        for operation in ("read", "write", "edit"):
            for at in range(100):
                base = tmp_path / f"{operation}{at}"
                base.mkdir()
                root = prepared(base)
                swaps = 0

                def swap(number: int, root: Path = root, at: int = at) -> None:
                    nonlocal swaps
                    if number == at:
                        swaps += 1
                        os.remove(root / "a.txt")
                        os.symlink("../secret.txt", root / "a.txt")

                with pytest.MonkeyPatch.context() as patch:
                    before_each_call(swap, self.CALLS, patch)
                    try:
                        shown = perform(operation, "a.txt", ToolContext.at(root))
                    except ToolError as exc:
                        shown = str(exc)
                assert CANARY not in shown
                assert untouched(base)
                if not swaps:
                    break

    def test_a_thread_that_swaps_as_fast_as_it_can_gets_nothing_out(self, root: Path) -> None:
        """The recorded race: writes while sub is by turns itself and a link to the outside."""
        outside, writes, refused, stopped = root.parent / "outside", 0, 0, threading.Event()

        def swap() -> None:
            while not stopped.is_set():
                os.rename(root / "sub", root / "real")
                try:
                    os.symlink(outside, root / "sub")
                    os.unlink(root / "sub")
                except FileExistsError:
                    pass  # a write was faster, and has made what was missing
                while True:
                    try:
                        os.rename(root / "real", root / "sub")
                        break
                    except OSError:
                        shutil.rmtree(root / "sub", ignore_errors=True)

        context = ToolContext.at(root)
        thread = threading.Thread(target=swap)
        fsync, os.fsync = os.fsync, lambda number: None  # the race is not about the disk
        thread.start()
        try:
            ends = time.monotonic() + (60 if FULL else 3)
            while time.monotonic() < ends and writes < (10_000 if FULL else 1_000):
                for operation in ("write", "read", "edit"):
                    context.state.clear()
                    try:
                        assert CANARY not in perform(operation, "sub/b.txt", context)
                        writes += operation == "write"
                    except ToolError:
                        refused += 1
                    assert CANARY not in context.state
        finally:
            os.fsync = fsync
            stopped.set()
            thread.join()
        assert untouched(root.parent)
        assert writes
        assert refused
        assert not [name for name in os.listdir(root / "sub") if name.endswith(".tmp")]


def before_each_call(hook: Callable[[int], None], names: tuple[str, ...], patch: pytest.MonkeyPatch) -> None:
    """Call the hook with 0, 1, … before each of these system calls."""
    count = 0
    busy = False

    def hooked(original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            nonlocal count, busy
            if not busy:
                busy = True
                try:
                    hook(count)
                finally:
                    busy = False
                count += 1
            return original(*args, **options)

        return call

    for name in names:
        original = getattr(os, name)
        patch.setattr(os, name, hooked(original))
        for ability in ("supports_dir_fd", "supports_effective_ids"):
            if original in getattr(os, ability):
                patch.setattr(os, ability, {*getattr(os, ability), getattr(os, name)})


FAIR = [
    "..",
    ".",
    "",
    "sub",
    "a.txt",
    "b.txt",
    "secret.txt",
    "outside",
    "root",
    "in",
    "self",
    "absolute",
    "up",
    "new",
]
NASTY = [
    *(
        "root-evil",
        "in-file",
        "chain",
        "out",
        "out-file",
        "out-absolute",
        "out-chain",
        "above",
        "hard",
        "fifo",
    ),
    *(
        "dangling",
        "loop",
        "to-proc",
        "to-dev",
        "~",
        "%2e%2e",
        "..\\",
        "．．",
        "…",
        ".git",
        ".GIT",
        ".g\u200cit",
    ),
    *("real-git", "hooks", "e\u0301.txt", "\u00e9.txt", "x" * 255, "x" * 256, "\0", "\ud800", "a\nb", " "),
    *(
        "-rf",
        "file:",
        "C:",
        "*",
        "a.txt ",
        "A.TXT",
        "SUB",
        "..\n",
        "....",
        "\u2024\u2024",
        "\u202e",
        "\ufeff",
    ),
]
STARTS = ["", "", "", "", "", "/", "//", "{R}/", "{R}/", "{B}/", "{B}/", "{R}-evil/", "{O}/"]
FOREIGN = [
    "/proc/self/root/{O}/",
    "/proc/self/cwd/",
    "/proc/thread-self/root{O}/",
    "/dev/fd/",
    "/dev/fd/../../",
]


def generated(random: random.Random, base: Path, *, foreign: bool) -> str:
    starts = [*STARTS, *FOREIGN] if foreign else [start for start in STARTS if start not in ("/", "//")]
    start = random.choice(starts)
    parts = [
        random.choice(NASTY if random.random() < 0.25 else FAIR)
        for _ in range(random.choice([1, 2, 3, 4, 5, 7]))
    ]
    text = (
        start
        + random.choice(["/", "/", "/", "//", "/./"]).join(parts)
        + random.choice(["", "", "", "/", "/."])
    )
    root = base / "root"
    return text.replace("{R}", str(root)).replace("{B}", str(base)).replace("{O}", str(base / "outside"))


def nasty_tree(base: Path) -> Path:
    base.mkdir(parents=True)
    root = prepared(base)
    (base / "root-evil").mkdir()
    (base / "root-evil" / "secret.txt").write_text(CANARY)
    (base / "outside" / "sub").mkdir()
    (base / "outside" / "sub" / "b.txt").write_text(CANARY)
    (base / "outside" / "hard").write_text("inside, and outside by another name")
    os.link(base / "outside" / "hard", root / "hard")
    links = {
        "in": "sub", "in-file": "a.txt", "absolute": str(root / "sub"), "chain": "in/up", "sub/up": "..", "self": ".",
        "out": "../outside", "out-file": "../outside/secret.txt", "out-absolute": str(base / "outside"),
        "out-chain": "self/out", "above": "..", "dangling": "../outside/new", "loop": "loop",
        "to-proc": f"/proc/self/root{base}/outside", "to-dev": "/dev/fd", ".git": "real-git",
    }  # fmt: skip
    (root / "real-git" / "hooks").mkdir(parents=True)
    for name, target in links.items():
        (root / name).symlink_to(target)
    os.mkfifo(root / "fifo")
    return root


def snapshot(base: Path) -> dict[str, object]:
    """All there is beside the allowed directory, and git's part of it."""
    found: dict[str, object] = {}
    for top in (base, base / "root" / "real-git"):
        for here, directories, names in os.walk(top):
            if here == str(base):
                directories.remove("root")
            for name in (*directories, *names):
                path = os.path.join(here, name)
                status = os.lstat(path)
                content = Path(path).read_bytes() if stat.S_ISREG(status.st_mode) else b""
                found[path] = (status.st_mode, status.st_size, content, status.st_ino)
    return found


def campaign(
    directory: Path, count: int, *, foreign: bool, seed: int, patch: pytest.MonkeyPatch
) -> tuple[int, int]:
    """Try paths as read, write and edit.

    Returns:
        How often something outside was shown or changed, and how often a call succeeded.
    """
    patch.setattr(os, "fsync", lambda number: None)  # nothing here outlasts the test
    chance = random.Random(seed)
    touched = worked = 0
    # So deep that no path that is made here leads out of the test's own directory, contained or not.
    base = directory.joinpath(*"abcdefghij", "0")
    root, before = nasty_tree(base), None
    for number in range(count):
        if before is None:
            base = base.with_name(str(number))
            root = nasty_tree(base) if number else root if base.exists() else nasty_tree(base)
            before = snapshot(base)
        path = generated(chance, base, foreign=foreign)
        for operation in ("read", "write", "edit", "edit the canary"):
            try:
                shown = perform(operation, path, ToolContext.at(root))
                worked += 1
            except ToolError as exc:
                shown = str(exc)
            if CANARY in shown:
                touched += 1
        if snapshot(base) != before:
            touched += 1
            before = None
        elif number % 50 == 49:
            before = None
    return touched, worked


def test_no_path_leads_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 20_000 if FULL else 1_000
    touched, worked = campaign(tmp_path, count, foreign=True, seed=1, patch=monkeypatch)
    assert touched == 0
    assert worked > count / 10  # it is no proof that everything is refused


def test_without_containment_the_same_paths_lead_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_walk._Area, "may_enter", lambda self, identity: True)
    monkeypatch.setattr(_walk._Area, "is_root", lambda self, identity: True)
    touched, _ = campaign(tmp_path, 10_000 if FULL else 300, foreign=False, seed=1, patch=monkeypatch)
    print(f"{touched} canaries touched")
    assert touched >= (100 if FULL else 30)
