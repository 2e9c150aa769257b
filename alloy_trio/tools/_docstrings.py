"""Docstrings taken apart: what a tool does, and what each of its parameters means; pure.

Three ways of writing are understood, whichever comes: Google (``Args:``), Sphinx (``:param x:``) and NumPy
(``Parameters`` with a line below). What describes parameters goes to the parameters; the rest, ``Returns``
included, is the tool's description, because a model can use it.
"""

from __future__ import annotations

import inspect
import re

_GOOGLE_HEADER = re.compile(r"(Args|Arguments|Parameters):\s*$")
_GOOGLE_ENTRY = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:(?:\s+(.*)|\s*)$")
_SPHINX_ENTRY = re.compile(r":(?:param|parameter|arg|argument)\s+(?:[^:]*\s)?\*{0,2}(\w+)\s*:\s*(.*)$")
_SPHINX_TYPE = re.compile(r":type\s+\w+\s*:")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?$")


def parse_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """Split a docstring.

    Returns:
        The description, and the words for each parameter by its name, in one line each.
    """
    lines = inspect.cleandoc(docstring or "").splitlines()
    kept: list[str] = []
    parameters: dict[str, list[str]] = {}
    index = 0
    while index < len(lines):
        line = lines[index]
        stripped = line.strip()
        following = lines[index + 1].strip() if index + 1 < len(lines) else ""
        if _GOOGLE_HEADER.match(stripped):
            index = _google(lines, index, parameters)
        elif stripped in ("Parameters", "Other Parameters") and re.fullmatch(r"-{3,}", following):
            index = _numpy(lines, index + 2, parameters)
        elif match := _SPHINX_ENTRY.match(stripped):
            end = _indented_until(lines, index + 1, _indent(line))
            parameters[match[1]] = [match[2], *lines[index + 1 : end]]
            index = end
        elif _SPHINX_TYPE.match(stripped):
            index = _indented_until(lines, index + 1, _indent(line))
        else:
            kept.append(line)
            index += 1
    description = re.sub(r"\n{3,}", "\n\n", "\n".join(kept)).strip()
    return description, {name: " ".join(" ".join(words).split()) for name, words in parameters.items()}


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _indented_until(lines: list[str], index: int, indent: int) -> int:
    """The first line from ``index`` on that is neither blank nor deeper than ``indent``."""
    end = index
    while index < len(lines) and (not lines[index].strip() or _indent(lines[index]) > indent):
        index += 1
        if lines[index - 1].strip():
            end = index
    return end


def _google(lines: list[str], header: int, parameters: dict[str, list[str]]) -> int:
    end = _indented_until(lines, header + 1, _indent(lines[header]))
    entry_indent = min((_indent(line) for line in lines[header + 1 : end] if line.strip()), default=0)
    words: list[str] | None = None
    for line in lines[header + 1 : end]:
        match = _GOOGLE_ENTRY.match(line.strip())
        if match and _indent(line) == entry_indent:
            words = parameters[match[1]] = [match[2] or ""]
        elif words is not None:
            words.append(line)
    return end


def _numpy(lines: list[str], index: int, parameters: dict[str, list[str]]) -> int:
    while index < len(lines):
        line = lines[index]
        following = lines[index + 1].strip() if index + 1 < len(lines) else ""
        if re.fullmatch(r"-{3,}", following) and line.strip():
            return index
        match = _NUMPY_ENTRY.match(line.strip())
        if not line.strip():
            index += 1
        elif match and _indent(line) == 0:
            end = _indented_until(lines, index + 1, 0)
            for name in re.split(r"\s*,\s*", match[1]):
                parameters[name] = list(lines[index + 1 : end])
            index = end
        else:
            return index
    return index
