"""The memory tool: text files under ``/memories`` that a model views, writes and sorts for itself.

Its commands are those of Anthropic's memory tool (``memory_20250818``), to whose models it is sent as that: they
have been trained to use it. To every other model it is a tool with a schema. Source: docs.claude.com, "Memory
tool". Where the files are kept is a :class:`~alloy_trio.abc.MemoryStore`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import attrs

from alloy_trio.abc import MemoryStore
from alloy_trio.values import ConfigurationError, ToolError

from ._memory_paths import ROOT, below, clash, human, inside, listing, outside
from ._memory_stores import InMemoryStore
from ._problems import close_match
from ._tool import Tool, ToolContext, tool

MAX_FILE_BYTES = 100_000
"""Of one file; some 25,000 tokens, more than a model should read at once."""

MAX_FILES = 1_000
"""Files in one scope."""

MAX_TOTAL_BYTES = 10_000_000
"""Of all files in one scope."""

ATTEMPTS = 3
"""How often an edit is tried again when the file was changed by somebody else in the meantime."""

NATIVE = {"anthropic": "memory_20250818"}

SCOPE = "default"
"""The scope where there is no agent, and none was named."""

_SHOWN_LINES = 2
"""Lines around an edit that its answer shows."""

_Edit = Callable[[str], tuple[str, int]]
"""From a text to the edited one, and the number of lines before the edit."""

_Command = Literal["view", "create", "str_replace", "insert", "delete", "rename"]

_NEEDS: Mapping[str, tuple[str, ...]] = {
    "view": ("path",),
    "create": ("path", "file_text"),
    "str_replace": ("path", "old_str"),
    "insert": ("path", "insert_line", "insert_text"),
    "delete": ("path",),
    "rename": ("old_path", "new_path"),
}


def memory_tool(*, store: MemoryStore | None = None, scope: str | None = None) -> Tool:
    """A memory tool that keeps its files somewhere else than the built-in one.

    Args:
        store: where the files are; None for a memory that lasts as long as its agent, or as a run without one,
            and is kept with the agent's session.
        scope: whose files they are. Each scope has its own and never sees another's. None for the agent's id, so
            that every conversation has a memory of its own; ``"default"`` in a run without an agent. Name one to
            share a memory over conversations.

    Raises:
        ConfigurationError: the store is none, or the scope is not a str or empty.
    """
    if store is not None and not isinstance(store, MemoryStore):
        raise ConfigurationError(
            f"store is a {type(store).__name__}; give a MemoryStore, like DirectoryStore('memories')"
        )
    if scope is not None and (not isinstance(scope, str) or not scope):
        raise ConfigurationError(f"scope is {scope!r}; give a str that is not empty, or None")

    @tool(concurrent=False, native=NATIVE)
    async def memory(
        command: _Command,
        context: ToolContext,
        path: str | None = None,
        file_text: str | None = None,
        old_str: str | None = None,
        new_str: str | None = None,
        insert_line: int | None = None,
        insert_text: str | None = None,
        view_range: Annotated[
            list[int] | None, "view: [first line, last line] of a file; -1 is its last line"
        ] = None,
        old_path: str | None = None,
        new_path: str | None = None,
    ) -> str:
        """Keep text files under /memories, to look at later what you learned earlier.

        Look at what is there before you start, and write down what will be needed after this conversation.

        Args:
            command: "view" shows a directory or a file with line numbers; "create" makes a new file of file_text;
                "str_replace" puts new_str in the place of old_str, which has to be in the file just once;
                "insert" puts insert_text after line insert_line, 0 being the beginning; "delete" removes a file or
                directory; "rename" moves one from old_path to new_path
            path: the file or directory, like /memories/notes.md; for all but "rename"
            file_text: create: the text of the new file
            old_str: str_replace: the text to replace
            new_str: str_replace: what to put there; nothing if left out
            insert_line: insert: the line after which the text goes
            insert_text: insert: the text
            old_path: rename: what to move
            new_path: rename: where to
        """
        given = {
            "path": path, "file_text": file_text, "old_str": old_str, "insert_line": insert_line,
            "insert_text": insert_text, "old_path": old_path, "new_path": new_path,
        }  # fmt: skip
        missing = [name for name in _NEEDS[command] if given[name] is None]
        if missing:
            raise ToolError(f"{command} needs {' and '.join(missing)}; give {' and '.join(_NEEDS[command])}")
        files = _files(store, scope, context)
        if command == "view":
            return await files.view(path or "", view_range)
        if command == "create":
            return await files.create(path or "", file_text or "")
        if command == "str_replace":
            return await files.replace(path or "", old_str or "", new_str or "")
        if command == "insert":
            return await files.insert(path or "", insert_line or 0, insert_text or "")
        if command == "delete":
            return await files.delete(path or "")
        return await files.rename(old_path or "", new_path or "")

    return memory


def _files(store: MemoryStore | None, scope: str | None, context: ToolContext) -> _Files:
    if store is None:
        kept: dict[str, str] = context.state.setdefault("memory", {})
        return _Files(InMemoryStore({SCOPE: kept}), SCOPE)
    agent_id = getattr(context.agent, "id", None)
    return _Files(store, scope or (SCOPE if agent_id is None else str(agent_id)))


@attrs.frozen
class _Files:
    """The files of one scope, and the commands on them."""

    store: MemoryStore
    scope: str

    async def view(self, path: str, lines: list[int] | None) -> str:
        place = inside(path)
        text = await self.store.read(self.scope, place) if place else None
        if text is not None:
            return f"{outside(place)}, with line numbers:\n{_numbered(text, lines)}"
        files = await self.store.list(self.scope)
        if place and not below(place, files):
            raise _absent(place, files)
        rows = "\n".join(f"{human(size)}\t{name}" for size, name in listing(place, files))
        return f"Sizes and paths of {outside(place)} and what is in it, two levels deep:\n{rows}"

    async def create(self, path: str, text: str) -> str:
        place = _file(path)
        files = await self.store.list(self.scope)
        why = clash(place, files)
        if why is not None:
            raise ToolError(f"{outside(place)} cannot be created: {why}")
        _check_room(place, text, files)
        if not await self.store.write(self.scope, place, text, expected=None):
            raise ToolError(f"{outside(place)} cannot be created: there is a file with this path by now")
        return f"Created {outside(place)}."

    async def replace(self, path: str, old: str, new: str) -> str:
        if not old:
            raise ToolError(
                "old_str is empty, so there is no place to edit; give text of the file, or use insert"
            )

        def edited(text: str) -> tuple[str, int]:
            count = text.count(old)
            if count == 0:
                raise ToolError(
                    f"nothing was replaced: old_str is not in {path}; view it, and copy it exactly"
                )
            if count > 1:
                raise ToolError(
                    f"nothing was replaced: old_str is there {count} times, in lines {_lines_of(text, old)}; "
                    "give more of what is around it"
                )
            before, _, after = text.partition(old)
            return f"{before}{new}{after}", before.count("\n")

        return await self._edit(path, edited, new.count("\n"))

    async def insert(self, path: str, line: int, text: str) -> str:
        def edited(before: str) -> tuple[str, int]:
            lines = _split(before)
            if not 0 <= line <= len(lines):
                raise ToolError(
                    f"insert_line is {line}, and {path} has the lines 1 to {len(lines)}; 0 is before them"
                )
            return "\n".join([*lines[:line], *_split(text), *lines[line:], ""]), line

        return await self._edit(path, edited, max(len(_split(text)) - 1, 0))

    async def _edit(self, path: str, edited: _Edit, more: int) -> str:
        place = _file(path)
        for _ in range(ATTEMPTS):
            before = await self.store.read(self.scope, place)
            files = await self.store.list(self.scope)
            if before is None:
                if below(place, files):
                    raise ToolError(f"{outside(place)} is a directory; name a file in it")
                raise _absent(place, files)
            after, line = edited(before)
            _check_room(place, after, files)
            if await self.store.write(self.scope, place, after, expected=before):
                around = [max(line + 1 - _SHOWN_LINES, 1), line + 1 + more + _SHOWN_LINES]
                return f"Edited {outside(place)}. It reads there now:\n{_numbered(after, around)}"
        raise ToolError(f"{outside(place)} is being changed by somebody else all the time; try again later")

    async def delete(self, path: str) -> str:
        place = _below_root(path, "deleted")
        if await self.store.delete(self.scope, place):
            return f"Deleted {outside(place)}."
        files = await self.store.list(self.scope)
        found = below(place, files)
        if not found:
            raise _absent(place, files)
        for each in found:
            await self.store.delete(self.scope, each)
        return f"Deleted {outside(place)} with {len(found)} {'file' if len(found) == 1 else 'files'} in it."

    async def rename(self, old_path: str, new_path: str) -> str:
        old, new = _below_root(old_path, "renamed"), _below_root(new_path, "replaced")
        files = await self.store.list(self.scope)
        moved = [old] if old in files else below(old, files)
        if not moved:
            raise _absent(old, files)
        if new == old or new.startswith(f"{old}/"):
            raise ToolError(
                f"{outside(old)} cannot be moved to {outside(new)}: that is the same place, or inside of it"
            )
        others = [each for each in files if each not in moved]
        why = "there is a directory with this path already" if below(new, others) else clash(new, others)
        if why is not None:
            raise ToolError(f"{outside(old)} cannot be moved to {outside(new)}: {why}")
        targets = [new + each.removeprefix(old) for each in moved]
        for each in targets:
            inside(outside(each))  # a directory may have become too deep
        for source, target in zip(moved, targets, strict=True):
            if not await self.store.rename(self.scope, source, target):
                raise ToolError(
                    f"{outside(source)} was not moved: it is gone, or {outside(target)} is there by now; view {ROOT}"
                )
        return f"Moved {outside(old)} to {outside(new)}."


def _file(path: str) -> str:
    place = inside(path)
    if not place or path.endswith("/"):
        raise ToolError(f"{path} is a directory; name a file, like {ROOT}/notes.md")
    return place


def _below_root(path: str, done: str) -> str:
    place = inside(path)
    if not place:
        raise ToolError(f"{ROOT} itself cannot be {done}; name a file or directory in it")
    return place


def _absent(place: str, files: Mapping[str, int]) -> ToolError:
    match = close_match(place, files)
    hint = f"; did you mean {outside(match)}?" if match else f"; view {ROOT} to see what is there"
    return ToolError(f"{outside(place)} is not there{hint}")


def _check_room(place: str, text: str, files: Mapping[str, int]) -> None:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as exc:
        raise ToolError(
            f"character {exc.start} of the text is half of a surrogate pair; write it again"
        ) from None
    if size > MAX_FILE_BYTES:
        raise ToolError(
            f"{outside(place)} would have {size} bytes, and a file may have {MAX_FILE_BYTES}; divide it"
        )
    if place not in files and len(files) >= MAX_FILES:
        raise ToolError(f"there are {len(files)} files, and may be {MAX_FILES}; delete some first")
    total = sum(files.values()) - files.get(place, 0) + size
    if total > MAX_TOTAL_BYTES:
        raise ToolError(
            f"all files would have {total} bytes, and may have {MAX_TOTAL_BYTES}; delete some first"
        )


def _split(text: str) -> list[str]:
    """The lines of a text; the newline at its end begins no other one."""
    return text.removesuffix("\n").split("\n") if text else []


def _numbered(text: str, lines: list[int] | None) -> str:
    every = _split(text)
    first, last = (1, len(every)) if lines is None else _range(lines, len(every))
    if not every:
        return "(the file is empty)"
    shown = enumerate(every[first - 1 : last], first)
    return "\n".join(f"{number:6}\t{line}" for number, line in shown)


def _range(lines: list[int], count: int) -> tuple[int, int]:
    if len(lines) != 2 or lines[0] < 1 or not (lines[1] == -1 or lines[1] >= lines[0]):
        raise ToolError(
            "view_range is [first line, last line], counted from 1; -1 as the last one is the end"
        )
    if lines[0] > max(count, 1):
        raise ToolError(f"there is no line {lines[0]}; the file has {count} lines")
    return lines[0], count if lines[1] == -1 else lines[1]


def _lines_of(text: str, old: str) -> str:
    numbers: list[str] = []
    at = text.find(old)
    while at >= 0 and len(numbers) < 20:
        numbers.append(str(text.count("\n", 0, at) + 1))
        at = text.find(old, at + len(old))
    return ", ".join(dict.fromkeys(numbers))


memory = memory_tool()
