"""Finding what a text says about a key, whatever the text is.

TOML and JSON are parsed where they parse. Everything else, and what of those does not, is read by lines:
sections, indentation and headings give a key its path, and a line that looks like an assignment its value. A
question's words are matched to paths without regard to case, ``-``, ``_`` and spaces.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import attrs


@attrs.frozen
class Entry:
    """A value and the names that lead to it, outermost first."""

    path: tuple[str, ...]
    value: str

    @property
    def dotted(self) -> str:
        """The path in one word."""
        return ".".join(self.path)


_SECTION = re.compile(r"^\s*\[+\s*([^\[\]]+?)\s*\]+\s*$")
_HEADING = re.compile(r"^(#{1,6})\s+(.+?)\s*#*\s*$")
_UNDERLINE = re.compile(r"^([=\-~^\"'`#*+.:])\1{2,}\s*$")
_DEFINE = re.compile(r"^\s*#\s*define\s+(\w+)\s+(\S.*)$")
_ROW = re.compile(r"^\s*\|\s*([^|]+?)\s*\|\s*([^|]*?)\s*\|")
_XML = re.compile(r"<([\w.:-]+)(?:\s[^<>]*)?>([^<>]+)</\1>")
_ASSIGNMENT = re.compile(
    r"""^(?P<indent>[ \t]*)
    (?:[-*+]\ +|:(?=\w)|\{\s*)?
    (?:(?:export|set|let|const|var|final|static|public|private|local|readonly)\ +)*
    (?:\*\*|`)?
    (?P<key>"[^"]+"|'[^']+'|[^\W\d_][\w./ \-]*?|_+\w[\w.\-]*|\d[\w.\-]*)
    (?:\ *:\ *[A-Za-z_][\w.]*(?:\[[^=]*\])?(?=\ =\ ))?
    (?:\*\*|`)?
    \s*(?:=>|:=|==|=|:|->|\t|,(?=\S))(?:\*\*|`)?(?P<value>.*)$""",
    re.VERBOSE,
)


def entries(text: str) -> tuple[Entry, ...]:
    """All keys of a text with their values, in its order."""
    structured = _parsed(text)
    return tuple(_flat(structured)) if structured is not None else tuple(_by_lines(text))


def find(text: str, key: str) -> tuple[Entry, ...]:
    """What the text says about the key: several entries when it says several things on the same level.

    ``key`` is a name (``version``), a dotted path (``project.version``) or some words (``project version``).
    """
    found = entries(text)
    for words in _readings(key):
        best = _best(found, words)
        if best:
            return best
    return _in_prose(text, key)


def _readings(key: str) -> Iterator[tuple[str, ...]]:
    """The paths that a key may mean, the most exact first."""
    yield (key,)
    parts = tuple(part for part in re.split(r"[.\[\]/]|::", key) if part)
    if len(parts) > 1:
        yield parts
    inverted = [part for part in re.split(r"\s+(?:of|in|for)\s+(?:the\s+)?", key) if part]
    if len(inverted) > 1:
        yield tuple(reversed(inverted))
        yield (inverted[0],)
    words = tuple(key.split())
    if len(words) > 1:
        yield words
        if words[-1].lower() in _FILLERS:
            yield from _readings(" ".join(words[:-1]))
        yield (words[-1],)


_FILLERS = frozenset(
    ("key", "value", "field", "setting", "entry", "option", "number", "string", "line", "section", "property")
)


def _best(found: tuple[Entry, ...], path: tuple[str, ...]) -> tuple[Entry, ...]:
    wanted = tuple(_plain(part) for part in path)
    ranked: list[tuple[int, int, Entry]] = []
    for entry in found:
        names = tuple(_plain(part) for part in entry.path)
        if entry.path[-len(path) :] == path:
            rank = 0
        elif names[-len(wanted) :] == wanted:
            rank = 1
        elif len(wanted) > 1 and names[-1] == wanted[-1] and _in_order(wanted[:-1], names[:-1]):
            rank = 2
        elif len(wanted) == 1 and names[-1].rstrip("s") == wanted[0].rstrip("s") != "":
            rank = 3
        else:
            continue
        ranked.append((rank, len(entry.path), entry))
    if not ranked:
        return ()
    rank, depth = min((rank, depth) for rank, depth, _ in ranked)
    unique = {entry.value: entry for r, d, entry in reversed(ranked) if (r, d) == (rank, depth)}
    return tuple(reversed(unique.values()))


def _in_order(wanted: tuple[str, ...], names: tuple[str, ...]) -> bool:
    rest = iter(names)
    return all(any(name == part for name in rest) for part in wanted)


def _plain(name: str) -> str:
    return re.sub(r"^(?:the|an?)\s|[\s_\-]+", "", name.strip().casefold())


def _parsed(text: str) -> Any:
    start = text.lstrip()[:1]
    if start in ("{", "["):
        try:
            return json.loads(text)
        except ValueError:
            pass
    if "=" in text and start != "{":
        import tomllib

        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError:
            pass
    return None


def _flat(value: Any, path: tuple[str, ...] = ()) -> Iterator[Entry]:
    if path:
        yield Entry(path, _shown(value))
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, (*path, str(name)))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            if isinstance(inner, dict):
                yield from _flat(inner, (*path, str(number)))


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, (str, int, float)) for item in value):
        return ", ".join(_shown(item) for item in value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _by_lines(text: str) -> Iterator[Entry]:
    lines = text.splitlines()
    section: tuple[str, ...] = ()
    outer: list[tuple[int, str]] = []
    for number, line in enumerate(lines):
        heading = _heading(lines, number)
        if heading is not None:
            level, title = heading
            section, outer = (*section[: level - 1], title), []
            yield Entry(section, _first_words(lines, number + 1))
            continue
        if table := _SECTION.match(line):
            section, outer = tuple(table[1].strip("\"'").split(".")), []
            continue
        for tag, inner in (*_XML.findall(line), *_ROW.findall(line), *_DEFINE.findall(line)):
            yield Entry((*section, tag), _value(inner))
        match = _ASSIGNMENT.match(line)
        if match is None or line.lstrip().startswith(("//", "<", "|")):
            continue
        indent = len(match["indent"].expandtabs())
        while outer and outer[-1][0] >= indent:
            outer.pop()
        key = match["key"].strip().strip("\"'")
        value = _value(match["value"])
        path = (*section, *(name for _, name in outer), key)
        yield Entry(path, value or _block(lines, number + 1, indent))
        if not value or value == "{":
            outer.append((indent, key))


def _heading(lines: list[str], number: int) -> tuple[int, str] | None:
    line = lines[number]
    under = lines[number + 1] if number + 1 < len(lines) else ""
    match = _HEADING.match(line)
    # One # before a line of text is a comment in most files; a heading has a blank line under it.
    if match and (len(match[1]) > 1 or not under.strip()):
        return len(match[1]), match[2]
    if line.strip() and line[0] not in " \t" and _UNDERLINE.match(under) and not _UNDERLINE.match(line):
        return (1 if under[0] == "=" else 2), line.strip()
    return None


def _first_words(lines: list[str], start: int) -> str:
    for index in range(start, len(lines)):
        if lines[index].strip() and not _UNDERLINE.match(lines[index]):
            return lines[index].strip()
    return ""


def _block(lines: list[str], start: int, indent: int) -> str:
    """What stands under a key that has nothing on its own line: a list's items, or the first words."""
    items: list[str] = []
    for index in range(start, len(lines)):
        line = lines[index]
        if not line.strip():
            continue
        if len(items) == 20:
            return f"{', '.join(items)}, …"
        inner = len(line.expandtabs()) - len(line.expandtabs().lstrip())
        if inner < indent or (inner == indent and not line.lstrip().startswith("- ")):
            break
        items.append(line.strip().removeprefix("- ").strip())
    return ", ".join(items)


def _value(raw: str) -> str:
    value = raw.strip()
    if value[:1] in "\"'" and value:
        quote = value[:3] if value[:3] in ('"""', "'''") else value[0]
        end = value.find(quote, len(quote))
        return value[len(quote) : end] if end > 0 else value[len(quote) :]
    value = re.sub(r"\s+(?:#|//|;)\s.*$", "", value)
    return value.rstrip(",;").strip() if value not in (",", ";") else ""


def _in_prose(text: str, key: str) -> tuple[Entry, ...]:
    """A sentence or a column: ``The colour is blue.``, ``colour blue``."""
    name = r"[\s_\-]+".join(re.escape(word) for word in re.split(r"[\s_\-]+", key) if word)
    if not name:
        return ()
    said = re.search(rf"(?i)\b{name}\s+(?:is|are|was|were|equals)\s+([^\n]+?)(?:[.;!](?:\s|$)|$)", text, re.M)
    column = said or re.search(rf"(?i)^\s*{name}\s+(?:[-\u2013]\s+)?(\S[^\n]*)$", text, re.M)
    return (Entry((key,), column[1].strip()),) if column else ()
