"""Paths that are handed to other programs, and what every path has to be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alloy_trio.tools import ToolContext, ToolError
from alloy_trio.tools._paths import resolve

CANARY = "canary-5f2c"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    directory = tmp_path / "root"
    (directory / "sub").mkdir(parents=True)
    (directory / "a.txt").write_text("inside a\n")
    (directory / "sub" / "b.txt").write_text("inside b\n")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(CANARY)
    (tmp_path / "secret.txt").write_text(CANARY)
    return directory


@pytest.fixture
def context(root: Path) -> ToolContext:
    return ToolContext.at(root)


@pytest.mark.parametrize(
    "path", ["a.txt", "./a.txt", "sub/../a.txt", "sub//b.txt", "new.txt", "x/y/z", "~", "%2e%2e"]
)
def test_a_path_inside_is_resolved(path: str, root: Path, context: ToolContext) -> None:
    assert resolve(path, context, for_write=True) == Path(os.path.normpath(root / path))
    assert resolve(f"{root}/{path}", context, for_write=True) == Path(os.path.normpath(root / path))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "is empty"),
        ("a\0b", "NUL"),
        ("\ud800", "surrogate"),
        ("x" * 256, "too long"),
        ("y/" * 2100, "too long"),
        ("..", "outside of what may be touched"),
        ("../root-evil/x", "outside"),
        ("/etc/passwd", "outside"),
        ("//etc/passwd", "outside"),
        ("sub/../../outside/secret.txt", "outside"),
        (".git/hooks/pre-commit", r"inside of \.git"),
        ("sub/.GIT/config", r"inside of \.git"),
        (".git", r"inside of \.git"),
    ],
)
def test_a_path_that_may_not_be_touched_is_refused(path: str, words: str, context: ToolContext) -> None:
    with pytest.raises(ToolError, match=words):
        resolve(path, context, for_write=True)


def test_dot_git_may_be_read(context: ToolContext, root: Path) -> None:
    assert resolve(".git/config", context, for_write=False) == root / ".git" / "config"


def test_links_are_followed_before_the_comparison(context: ToolContext, root: Path) -> None:
    (root / "out").symlink_to(root.parent / "outside")
    (root / "in").symlink_to("sub")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to(root.parent / "outside" / "new.txt")
    assert resolve("in/b.txt", context, for_write=True) == root / "sub" / "b.txt"
    for path in (
        "out",
        "out/secret.txt",
        "out/x/y",
        "out/../secret.txt",
        "out/../root/a.txt/../../secret.txt",
        "dangling",
    ):
        with pytest.raises(ToolError, match="outside"):
            resolve(path, context, for_write=True)
    with pytest.raises(ToolError, match="leads back to itself"):
        resolve("loop", context, for_write=True)


def test_nothing_is_allowed_when_no_directory_is(root: Path) -> None:
    with pytest.raises(ToolError, match="no directory at all"):
        resolve("a.txt", ToolContext.at(root, ()), for_write=False)


def test_several_directories_may_be_allowed(root: Path) -> None:
    context = ToolContext.at(root, ["sub", "../outside"])
    assert resolve("../outside/secret.txt", context, for_write=False).name == "secret.txt"
    assert resolve("sub/b.txt", context, for_write=False).name == "b.txt"
    with pytest.raises(ToolError, match="outside"):
        resolve("a.txt", context, for_write=False)


components = st.sampled_from(["..", ".", "", "sub", "a.txt", "out", "in", "~", "..\\", "．．", "new", "/"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(components, min_size=1, max_size=7))
def test_no_spelling_leads_outside(parts: list[str], root: Path, context: ToolContext) -> None:
    for name, target in (("out", "../outside"), ("in", "sub")):
        if not (root / name).is_symlink():
            (root / name).symlink_to(target)
    try:
        found = resolve("/".join(parts), context, for_write=False)
    except ToolError:
        return
    assert os.path.realpath(found) == str(found)
    assert found == root or root in found.parents
