"""What a project tells its agents: AGENTS.md and ``.alloy/context/*.md``, put into the system prompt."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import attrs

from ._places import entries, places, read
from ._skills import Skill, find_skills, skills_prompt

MAX_CONTEXT_CHARS = 200_000
"""Characters of all files together; some 50,000 tokens, a quarter of a usual window."""

_logger = logging.getLogger("alloy_trio.context")


@attrs.frozen
class ContextFile:
    """One file of a project's context: where it is, what a model is told of where that is, and its text."""

    path: Path
    label: str
    text: str


@attrs.frozen
class Discovered:
    """What was found for a working directory: files, the nearest last, and skills by name."""

    files: tuple[ContextFile, ...] = ()
    skills: tuple[Skill, ...] = ()


def discover(directory: Path, home: Path | None = None) -> Discovered:
    """Look in the three places of a working directory. Touches the disk, so call it in a thread.

    In each place it reads ``AGENTS.md``, then ``.alloy/context/*.md`` by name.

    Args:
        directory: the working directory.
        home: the home directory; None for the user's own.
    """
    files: list[ContextFile] = []
    room = MAX_CONTEXT_CHARS
    for place in places(directory, home):
        context = entries(place.path / ".alloy" / "context", place)
        for path in (place.path / "AGENTS.md", *(path for path in context if path.suffix == ".md")):
            text = (read(path, place) or "").strip()
            if not text:
                continue
            if len(text) > room:
                _logger.warning(
                    "%s was left out: the context has %d characters already", path, MAX_CONTEXT_CHARS
                )
                continue
            room -= len(text)
            # Not the whole path: a recorded run has to be the same in another directory.
            files.append(ContextFile(path, f"{path.relative_to(place.path)} ({place.name})", text))
    return Discovered(tuple(files), find_skills(directory, home))


def system_prompt(
    given: str | None, files: Sequence[ContextFile], skills: Sequence[Skill] = ()
) -> str | None:
    """The system prompt with what was found; the same words for the same files, so that prefix caches hold. Pure."""
    parts = [given] if given else []
    if files:
        parts.append("# Context of the project\n\nWhat is said later counts before what is said earlier.")
        parts += [f"## {file.label}\n\n{file.text}" for file in files]
    if skills:
        parts.append(skills_prompt(skills))
    return "\n\n".join(parts) or None
