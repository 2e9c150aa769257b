"""AGENTS.md, ``.alloy/context`` and skills, found and told."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio import ConfigurationError, ToolContext, ToolError, ToolUse, run, tool
from alloy_trio.context import discover, find_skills, skill_tool, system_prompt
from alloy_trio.context._frontmatter import split_frontmatter
from alloy_trio.context._places import MAX_FILE_BYTES
from alloy_trio.providers import Scripted


def put(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A working directory in a repository, with a home beside it."""
    (tmp_path / "home").mkdir()
    work = tmp_path / "repo" / "sub"
    work.mkdir(parents=True)
    (tmp_path / "repo" / ".git").mkdir()
    return work


def home_of(project: Path) -> Path:
    return project.parent.parent / "home"


def test_the_three_places_are_read_the_nearest_last(project: Path) -> None:
    repo, home = project.parent, home_of(project)
    put(home / ".alloy" / "context" / "b.md", "home b")
    put(home / ".alloy" / "context" / "a.md", "home a")
    put(home / ".alloy" / "context" / "a.txt", "not this")
    put(repo / "AGENTS.md", "repo agents")
    put(repo / ".alloy" / "context" / "x.md", "repo x")
    put(project / ".alloy" / "context" / "x.md", "work x")
    put(project / "AGENTS.md", "work agents")
    texts = [file.text for file in discover(project, home).files]
    assert texts == ["home a", "home b", "repo agents", "repo x", "work agents", "work x"]


def test_one_directory_is_read_once(project: Path) -> None:
    put(project.parent / "AGENTS.md", "once")
    assert [file.text for file in discover(project.parent, project.parent).files] == ["once"]


def test_without_a_repository_or_files_nothing_is_found(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    found = discover(tmp_path / "w", tmp_path / "missing")
    assert (found.files, found.skills) == ((), ())
    assert system_prompt("as it was", ()) == "as it was"
    assert system_prompt(None, ()) is None


def test_a_link_that_leads_out_is_not_followed(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    secret = put(project.parent.parent / "secret.md", "the secret")
    os.symlink(secret, project / "AGENTS.md")
    put(project / ".alloy" / "skills" / "fine.md", "fine")
    os.symlink(secret, project / ".alloy" / "skills" / "leak.md")
    (project / ".alloy" / "skills" / "folder").mkdir()
    os.symlink(secret, project / ".alloy" / "skills" / "folder" / "SKILL.md")
    os.symlink(project.parent.parent, project / ".alloy" / "context")
    with caplog.at_level(logging.WARNING, logger="alloy_trio.context"):
        found = discover(project, home_of(project))
    assert found.files == ()
    assert [skill.name for skill in found.skills] == ["fine"]
    assert "leads out" in caplog.text


def test_a_link_inside_of_the_place_is_followed(project: Path) -> None:
    put(project / "docs.md", "inside")
    os.symlink("docs.md", project / "AGENTS.md")
    assert [file.text for file in discover(project, home_of(project)).files] == ["inside"]


def test_odd_files_are_left_out_or_cut(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    os.mkfifo(project / "AGENTS.md")
    context = project / ".alloy" / "context"
    context.mkdir(parents=True)
    (context / "dir.md").mkdir()
    (context / "big.md").write_bytes(b"x" * (MAX_FILE_BYTES * 2))
    (context / "binary.md").write_bytes(b"\xff\xfe\0abc\r\nd")
    (context / "empty.md").write_bytes(b" \n")
    with caplog.at_level(logging.WARNING, logger="alloy_trio.context"):
        texts = [file.text for file in discover(project, home_of(project)).files]
    assert len(texts) == 2
    assert texts[0].endswith(f"[cut after {MAX_FILE_BYTES} bytes]")
    assert texts[1] == "��abc\nd"
    assert "no regular file" in caplog.text


SKILL = """---
name: release
description: >
  Make a release
  of the project
license: MIT
tags:
  - a
---
# Steps

Release {{input}}.
"""


def test_skills_are_files_and_folders_and_the_nearest_counts(project: Path) -> None:
    home = home_of(project)
    put(home / ".alloy" / "skills" / "release.md", "old")
    put(project / ".alloy" / "skills" / "rel" / "SKILL.md", SKILL)
    put(project / ".alloy" / "skills" / "rel" / "scripts" / "go.sh", "echo go")
    put(project.parent / ".alloy" / "skills" / "plain.md", "# How to be plain\n\nBe.")
    put(project.parent / ".alloy" / "skills" / "no name!.md", "x")
    put(project.parent / ".alloy" / "skills" / ".hidden.md", "x")
    plain, release = find_skills(project, home)
    assert (plain.name, plain.description) == ("plain", "How to be plain")
    assert (release.name, release.description) == ("release", "Make a release of the project")
    assert release.with_input("1.2") == "# Steps\n\nRelease 1.2.\n"
    assert plain.with_input("now") == "# How to be plain\n\nBe.\n\nnow"


async def ask(skills: Any, **given: Any) -> Any:
    return await skill_tool(skills).execute(given, ToolContext())


async def test_the_tool_gives_instructions_and_files(project: Path) -> None:
    folder = project / ".alloy" / "skills" / "rel"
    put(folder / "SKILL.md", SKILL)
    put(folder / "scripts" / "go.sh", "echo go")
    put(project / "secret", "secret")
    os.symlink(project / "secret", folder / "leak")
    skills = find_skills(project, home_of(project))
    told = await ask(skills, name="release")
    assert "Release {{input}}." in told and "scripts/go.sh" in told
    assert await ask(skills, name="release", file="scripts/go.sh") == "echo go"
    for file in ("leak", "../../../secret", "/etc/hostname", "scripts", "missing", "a\0b"):
        with pytest.raises(ToolError) as caught:
            await ask(skills, name="release", file=file)
        assert "secret\n" not in str(caught.value)
    with pytest.raises(ToolError, match="there are release"):
        await ask(skills, name="other")


async def test_a_run_is_told_and_reads_a_skill(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(home_of(project)))
    put(project / "AGENTS.md", "speak plainly")
    put(project / ".alloy" / "skills" / "release.md", SKILL)
    asked: list[Any] = []

    def first(request: Any) -> Any:
        asked.append(request)
        return [ToolUse("1", "skill", {"name": "release"})]

    result = await run(
        "x",
        provider=Scripted([first, "ok"]),
        system_prompt="You help.",
        working_directory=project,
        discover_context=True,
    )
    system = asked[0].system
    assert system.startswith("You help.\n\n# Context of the project")
    assert "speak plainly" in system
    assert "- release: Make a release of the project" in system
    assert "Release {{input}}." not in system
    assert "Release {{input}}." in result.tool_calls[0].output

    @tool(name="skill")
    async def mine() -> str:
        """Mine."""
        return "mine"

    with pytest.raises(ConfigurationError, match="rename it"):
        await run("x", provider=Scripted([]), tools=[mine], working_directory=project, discover_context=True)


async def test_nothing_is_read_unless_asked_for(project: Path) -> None:
    put(project / "AGENTS.md", "speak plainly")
    asked: list[Any] = []
    await run(
        "x", provider=Scripted([lambda request: asked.append(request) or "ok"]), working_directory=project
    )
    assert asked[0].system is None


@pytest.mark.parametrize(
    ("text", "head", "body"),
    [
        ("no head", {}, "no head"),
        ("---\nname: a\n---\nbody", {"name": "a"}, "body"),
        ("---\r\nname: a\r\n---\r\nbody".replace("\r\n", "\n"), {"name": "a"}, "body"),
        ('---\nname: "a: \\"b\\""\n---\n', {"name": 'a: "b"'}, ""),
        ("---\nname: 'it''s'\n---\n", {"name": "it's"}, ""),
        ("---\nname: a # why\n---\n", {"name": "a"}, ""),
        ("---\ndescription: |\n  one\n  two\nname: b\n---\n", {"description": "one\ntwo", "name": "b"}, ""),
        ("---\ndescription: one\n  two\n---\n", {"description": "one two"}, ""),
        ("---\nlist:\n  - a\n---\nx", {}, "x"),
        ("---\nnever closed", {}, "---\nnever closed"),
        ("", {}, ""),
    ],
)
def test_frontmatter(text: str, head: dict[str, str], body: str) -> None:
    assert split_frontmatter(text) == (head, body)


@given(st.text(alphabet=st.sampled_from("-\n: \"'>|#ab\\\t"), max_size=60))
def test_no_text_breaks_the_head(text: str) -> None:
    head, body = split_frontmatter("---\n" + text)
    assert all(isinstance(value, str) for value in head.values())
    assert body in ("---\n" + text)
