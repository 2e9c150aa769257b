"""Globs and file arguments of the restricted bash tool: what bash makes of them, inside, and bounded."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from alloy_trio.tools import ToolContext, ToolError
from alloy_trio.tools._arguments import executable_anywhere, plan
from alloy_trio.tools._belongings import Belongings
from alloy_trio.tools._globs import compiled

NAMES = (
    *(
        "a",
        "b",
        "ab",
        "aab",
        "abc",
        ".a",
        ".ab",
        "a.py",
        "b.py",
        "a b",
        "[a]",
        "*",
        "x!",
        "^a",
        "]",
        "a]",
        "é",
        "-q",
    ),
    *("d/a", "d/b.py", "d/.h", "d/e/a.py", "d/e/f/b", ".d/a", "a-c", "a^", "B"),
)

SLASHES = re.compile("/+")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("globs")
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "link").symlink_to("d")
    (root / "dangling").symlink_to("nowhere")
    return root


@given(st.text("ab*?[]!^-./d'\" é", max_size=9))
@settings(max_examples=300)
@example("**")
@example("??")
@example("-b -- -")
@example("**/*.py")
@example("*/")
@example("d//*")
@example("[!a]*")
@example("[^a]*")
@example("[]a]")
@example("[a'-'c]*")
@example("[a-c]*")
@example("[b-a]*")
@example("'*'*")
@example("[*]")
@example("[a/b]*")
@example("[!]")
@example(".*")
@example("[.]a")
@example("*/../d/*")
@example("d*/[!.]*/*")
@example("lin*/*")
@example("dang*")
def test_a_glob_stands_for_what_bash_makes_of_it(tree: Path, text: str) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    try:
        (((_, dash, *words),),) = plan(f"cat -- {text}", ToolContext.at(tree))
    except ToolError:
        return
    assert dash == "--"
    done = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {text}".replace("\0", "\\0")],
        cwd=tree,
        env={"LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    # Where a glob stands for a name that begins with a dash, it is not taken for an option here.
    theirs = [f"./{word}" if word == "-q" else word for word in done.stdout.split("\0")[:-1]]
    # Bash drops some of several slashes, which say the same as one.
    assert sorted(SLASHES.sub("/", word) for word in words or [""]) == sorted(
        SLASHES.sub("/", word) for word in theirs
    )


def test_a_pattern_needs_no_more_steps_than_length_times_length() -> None:
    part = [(char, False) for char in "*a" * 100 + "*b"]
    assert compiled(part).fullmatch("a" * 250) is None
    assert compiled(part).fullmatch("a" * 250 + "b") is not None
    assert compiled([("*", False)] * 255).fullmatch("x" * 255) is not None
    assert compiled([("?", False)] * 255).fullmatch("x" * 254) is None


@pytest.mark.parametrize("line", ["ls [[:alpha:]]*", "ls [a[.x.]]", "ls [[=a=]]"])
def test_a_class_that_only_a_shell_knows_is_refused(tree: Path, line: str) -> None:
    with pytest.raises(ToolError, match="write the characters out"):
        plan(line, ToolContext.at(tree))


class TestBounds:
    def refused(self, line: str, root: Path, match: str) -> None:
        with pytest.raises(ToolError, match=match):
            plan(line, ToolContext.at(root))

    def test_long_names(self, tmp_path: Path) -> None:
        for number in range(1_999):
            (tmp_path / f"{number:0250}").touch()
        plan("ls *", ToolContext.at(tmp_path))
        self.refused("ls * *", tmp_path, "more than 2000 names")
        deep = tmp_path.joinpath(*(["e" * 250] * 3))
        deep.mkdir(parents=True)
        for number in range(600):
            (deep / f"{number:0250}").touch()
        self.refused("ls e*/*/*/*", tmp_path, "more than 500000 characters")

    def test_many_globs(self, tree: Path) -> None:
        plan("ls " + "a* " * 100, ToolContext.at(tree))
        self.refused("ls " + "*a* " * 1_900, tree, "more than 2000 names")

    def test_many_names_to_look_at(self, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("alloy_trio.tools._globs.MAX_LOOKED_AT", 1_000)
        self.refused("ls " + "q* " * 200, tree, "look at more than 1000 names")

    def test_deep_directories(self, tmp_path: Path) -> None:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        try:
            for _ in range(60):
                os.mkdir("d" * 100, dir_fd=descriptor)
                inner = os.open("d" * 100, os.O_RDONLY, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
        finally:
            os.close(descriptor)
        # Longer than any path may be: what cannot be named has no names in it.
        (((_, _, word),),) = plan("ls " + "/".join(["d*"] * 60), ToolContext.at(tmp_path))
        assert word.startswith("d*/")
        self.refused("ls " + "d/" * 200 + "*", tmp_path, "more than 100 directories")
        self.refused("cat " + "d/" * 3_000, tmp_path, "too long")


@pytest.fixture
def context(tmp_path: Path) -> ToolContext:
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / "a").write_text("x\n")
    (tmp_path / "secret").write_text("x\n")
    (root / "out").symlink_to("../secret")
    (root / "up").symlink_to("..")
    (root / "in").symlink_to("a")
    os.mkfifo(root / "pipe")
    (root / "zero").symlink_to("/dev/zero")
    return ToolContext.at(root)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "cat ../secret",
            "cat out",
            "cat up/secret",
            "cat /etc/passwd",
            "cat ou*",
            "cat u*/secret",
            "cat */../../secret",
        ),
        *(
            "ls up",
            "ls -la up/",
            "ls -R ..",
            "ls u?",
            "head -n1 -- ../secret",
            "wc -l a out",
            "cat sub/../../secret",
        ),
        *(
            "grep x ../secret",
            "grep -e x ../secret",
            "grep ../secret -e x",
            "grep out -f a",
            "grep -f ../secret a",
        ),
        *(
            "grep -fout a",
            "grep -vfout a",
            "grep --file=out a",
            "grep --file out a",
            "grep --exclude-from=out -r x .",
        ),
        *(
            "grep -r x ..",
            "grep -r x up",
            "grep -rn x . ../secret",
            "grep x -- out",
            "cat a && cat out",
            "cat a | cat - out",
        ),
        *(
            "cat pipe",
            "cat zero",
            "tail -n1 pipe",
            "head pi*",
            "grep -f pipe a",
            "cat /dev/stdin",
            "cat /proc/self/environ",
        ),
        *(
            "git diff a ../secret",
            "git diff -- out",
            "git log -- ../secret",
            "git diff up/secret a",
            "git status ..",
            "cat ''",
        ),
        *(
            "git -C .. log",
            "git -C up log",
            "git -C /",
            "git -C out log",
            "ls '' ",
            "cat ~/x/../../../secret",
            "cat /",
        ),
    ],
)
def test_no_file_argument_leads_outside(line: str, context: ToolContext) -> None:
    with pytest.raises(ToolError, match="Nothing was run"):
        plan(line, context)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "cat in",
            "cat i*",
            "ls -l sub/..",
            "grep -f in a",
            "grep ../secret a",
            "grep -e ../secret a",
            "ls nothing*",
        ),
        *(
            "grep -r x --include=../secret .",
            "git log --grep ../secret",
            "git log --author=/etc/passwd",
            "cat sub/../a",
        ),
        *("git diff ':!../x' -- a", "cat up/root/a", "cat - a"),
    ],
)
def test_what_only_looks_like_a_path_is_none(line: str, context: ToolContext) -> None:
    plan(line, context)


def test_the_private_directory_is_only_for_read(context: ToolContext, tmp_path: Path) -> None:
    belongings = Belongings()
    with belongings.private.create("bash") as file:
        file.write(b"x\n")
    assert belongings.private.path is not None
    try:
        around = ToolContext.at(
            context.working_directory, [".", belongings.private.path.parent], belongings=belongings
        )
        plan(f"cat {belongings.private.path.parent}", around)
        for line in (f"cat {file.name}", f"ls {belongings.private.path}", f"cat {belongings.private.path}/*"):
            with pytest.raises(ToolError, match="only the read tool opens"):
                plan(line, around)
    finally:
        belongings.private.close()


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                (
                    "ls",
                    "cat",
                    "grep",
                    "git",
                    "log",
                    "-",
                    "--",
                    " ",
                    "|",
                    "&&",
                    "*",
                    "?",
                    "[",
                    "/",
                    "..",
                    "-n",
                    "=",
                )
            ),
            st.text(max_size=5),
            st.text(st.characters(categories=["Cs", "Cc", "Zs", "Po", "Sk", "Sc"]), max_size=3),
        ),
        max_size=15,
    )
)
@settings(max_examples=400)
def test_a_line_is_planned_or_refused_and_nothing_else(tree: Path, pieces: list[str]) -> None:
    try:
        pipelines = plan("".join(pieces), ToolContext.at(tree))
    except ToolError as exc:
        refusal = str(exc)
        assert refusal.startswith("Nothing was run: ")
    else:
        assert pipelines
        assert all(argv[0].startswith("/") for pipeline in pipelines for argv in pipeline)
        assert not any("\0" in word for pipeline in pipelines for argv in pipeline for word in argv)


class TestFurtherPrograms:
    def test_they_get_any_arguments_and_globs_as_usual(self, context: ToolContext) -> None:
        (((program, *arguments),),) = plan(
            "sort --output=../x -k1 /etc/passwd ../secret s* 'i*' --z=*", context, allow=frozenset({"sort"})
        )
        assert os.path.isabs(program)
        assert os.path.basename(program) == "sort"
        assert arguments == ["--output=../x", "-k1", "/etc/passwd", "../secret", "sub", "i*", "--z=*"]

    def test_the_others_stay_as_they_are(self, context: ToolContext) -> None:
        allow = frozenset({"sort"})
        plan("cat a | sort && ls", context, allow=allow)
        for line in (
            "cat ../secret | sort",
            "sort a; ls",
            "sort a > b",
            "sort $x",
            "id",
            "uniq a",
            "'sort' a",
            "s* a",
            "./sort",
        ):
            with pytest.raises(ToolError, match="Nothing was run"):
                plan(line, context, allow=allow)

    def test_they_are_looked_for_neither_here_nor_in_what_may_be_touched(
        self, context: ToolContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        root = context.working_directory
        elsewhere = tmp_path / "bin"
        for place in (root / "bin", elsewhere, tmp_path / "linked"):
            place.mkdir()
        for place in (root, root / "bin", elsewhere):
            (place / "mytool").write_text("#!/bin/sh\n")
            (place / "mytool").chmod(0o755)
        (tmp_path / "linked" / "mytool").symlink_to(root / "mytool")
        monkeypatch.chdir(root)
        for path in (
            "",
            ".",
            "bin",
            str(root),
            str(root / "bin"),
            str(root / "up" / "root"),
            str(tmp_path / "linked"),
        ):
            monkeypatch.setenv("PATH", path)
            with pytest.raises(ToolError, match="mytool is not installed"):
                plan("mytool a", context, allow=frozenset({"mytool"}))
        monkeypatch.setenv("PATH", f".:{root}/bin:{elsewhere}")
        assert plan("mytool a", context, allow=frozenset({"mytool"})) == (((f"{elsewhere}/mytool", "a"),),)
        with pytest.raises(ToolError, match="not installed"):
            executable_anywhere("../bin/mytool", context)
        (elsewhere / "mytool").chmod(0o644)
        with pytest.raises(ToolError, match="not installed"):
            executable_anywhere("mytool", context)

    def test_the_programs_of_the_table_are_found_where_they_always_are(
        self, context: ToolContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "ls").write_text("#!/bin/sh\n")
        (tmp_path / "ls").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        (((program, *_),),) = plan("ls a", context)
        assert program.endswith("bin/ls")
        assert not program.startswith(str(tmp_path))
