"""Skills: instructions for a kind of task, of which a model is told the names and reads what it needs.

A skill is ``.alloy/skills/NAME.md``, or a folder ``.alloy/skills/NAME/`` with a ``SKILL.md`` and files of its own. Name
and description stand in the frontmatter. Disclosure is progressive: the system prompt has a line for each, the tool
``skill`` gives the instructions, and a folder's other files one by one.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import trio

from alloy_trio.tools import Tool, ToolContext
from alloy_trio.values import ToolError

from ._frontmatter import split_frontmatter
from ._places import Place, entries, places, read

MAX_SKILLS = 200
"""Skills that are offered; their lines alone would fill some 20,000 tokens."""

MAX_DESCRIPTION_CHARS = 1_024
"""Characters of a description that the model is shown; the format's own limit."""

MAX_LISTED_FILES = 200
"""Files of a folder that are named to the model."""

TOOL = "skill"
INPUT = "{{input}}"
"""Stands in a skill for what the user writes after its name."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,63}")
_logger = logging.getLogger("alloy_trio.context")


@attrs.frozen(kw_only=True)
class Skill:
    """Instructions for a kind of task.

    Args:
        name: what it is called.
        description: what it is for; one line.
        body: the instructions.
        path: the file that they are in.
        folder: where its other files are, or None.
    """

    name: str
    description: str
    body: str
    path: Path
    folder: Path | None = None

    def with_input(self, text: str) -> str:
        """The instructions as a prompt: what the user wrote stands where ``{{input}}`` does, or below."""
        if INPUT in self.body:
            return self.body.replace(INPUT, text)
        return f"{self.body.rstrip()}\n\n{text}".strip()


def find_skills(directory: Path, home: Path | None = None) -> tuple[Skill, ...]:
    """The skills for a working directory, by name. Of several of one name the nearest counts. Touches the disk.

    What cannot be used is left out, with a warning that says why.

    Args:
        directory: the working directory.
        home: the home directory; None for the user's own.
    """
    found: dict[str, Skill] = {}
    for place in places(directory, home):
        for path in entries(place.path / ".alloy" / "skills", place):
            skill = _read(path, place)
            if skill is not None:
                found[skill.name] = skill
    if len(found) > MAX_SKILLS:
        _logger.warning("there are %d skills; the first %d are offered", len(found), MAX_SKILLS)
    return tuple(found[name] for name in sorted(found)[:MAX_SKILLS])


def _read(path: Path, place: Place) -> Skill | None:
    folder = path if path.is_dir() else None
    file = path / "SKILL.md" if folder else path
    if path.name.startswith(".") or (folder is None and path.suffix != ".md"):
        return None
    text = read(file, place)
    if text is None:
        return None
    head, body = split_frontmatter(text)
    name = head.get("name", path.name if folder else path.stem)
    if not _NAME.fullmatch(name):
        _logger.warning(
            "%s was left out: its name is %r; letters, digits, '-', '_' and '.' make one", file, name
        )
        return None
    described = " ".join(head.get("description", _first_line(body)).split())
    return Skill(
        name=name,
        description=described[:MAX_DESCRIPTION_CHARS],
        body=body,
        path=file,
        folder=folder,
    )


def _first_line(body: str) -> str:
    return next((line.strip("# ").strip() for line in body.split("\n") if line.strip("# ").strip()), "")


def skills_prompt(skills: Sequence[Skill]) -> str:
    """What the system prompt says of skills; empty if there are none."""
    if not skills:
        return ""
    lines = [
        f"- {skill.name}: {skill.description}" if skill.description else f"- {skill.name}" for skill in skills
    ]
    return "\n".join(
        [
            "# Skills",
            "",
            f"There are instructions for some kinds of tasks. When one fits, read it first with the tool {TOOL}.",
            "",
            *lines,
        ]
    )


def skill_tool(skills: Sequence[Skill]) -> Tool:
    """The tool that gives a skill's instructions, and the files of its folder."""
    known = {skill.name: skill for skill in skills}

    async def execute(given: dict[str, Any], context: ToolContext) -> str:
        skill = known.get(given["name"])
        if skill is None:
            raise ToolError(f"there is no skill {given['name']!r}; there are {', '.join(known)}")
        file = given.get("file", "")
        if file:
            return await trio.to_thread.run_sync(_file, skill, file)
        names = await trio.to_thread.run_sync(_files, skill)
        listed = f"\n\nIts files, to be read with file=…: {', '.join(names)}" if names else ""
        return f"{skill.body.rstrip()}{listed}" or "(the skill is empty)"

    return Tool(
        name=TOOL,
        description="Read the instructions of a skill, or a file that belongs to it.",
        input_schema={
            "type": "object",
            "properties": {
                "name": {"type": "string", "enum": list(known), "description": "the skill"},
                "file": {
                    "type": "string",
                    "description": "a file of the skill's folder; none for the instructions",
                },
            },
            "required": ["name"],
            "additionalProperties": False,
        },
        execute=execute,
    )


def _file(skill: Skill, file: str) -> str:
    if skill.folder is None:
        raise ToolError(f"the skill {skill.name} has no files")
    if "\0" in file or os.path.isabs(file):
        raise ToolError(f"{file!r} is no file of the skill; name one relative to it")
    # The folder is a place of its own: nothing outside of it is read.
    text = read(skill.folder / file, Place("skill", Path(os.path.realpath(skill.folder))))
    if text is None:
        names = ", ".join(_files(skill)) or "(none)"
        raise ToolError(f"the skill {skill.name} has no file {file!r} that can be read; it has {names}")
    return text


def _files(skill: Skill) -> list[str]:
    if skill.folder is None:
        return []
    found = []
    for directory, folders, names in os.walk(skill.folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(directory, name)
            if path != skill.path and not name.startswith("."):
                found.append(str(path.relative_to(skill.folder)))
            if len(found) >= MAX_LISTED_FILES:
                return found
    return found
