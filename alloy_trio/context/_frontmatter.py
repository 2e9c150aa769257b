"""Markdown with a head of ``key: value`` lines between two lines of ``---``. Pure.

Of YAML it reads what such heads are written in: plain, quoted and folded (``>``, ``|``) text. Anything else that YAML
knows (lists, nested keys) is passed over, so that a skill that was written for another program can be used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_KEY = re.compile(r"([A-Za-z_][\w-]*):(?:\s+(.*)|\s*)$")
_FOLDED = re.compile(r"[>|][+-]?\d?$")
_COMMENT = re.compile(r"\s+#.*$")


def split_frontmatter(text: str) -> tuple[Mapping[str, str], str]:
    """Part a file into its head and its body; a file without a head is all body."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return {}, text
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() in ("---", "..."):
            return _head(lines[1:number]), "\n".join(lines[number + 1 :]).lstrip("\n")
    return {}, text


def _head(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    number = 0
    while number < len(lines):
        match = _KEY.match(lines[number])
        number += 1
        if match is None:
            continue
        key, value = match[1], (match[2] or "").strip()
        below: list[str] = []
        while number < len(lines) and (not lines[number].strip() or lines[number][0] in " \t"):
            below.append(lines[number])
            number += 1
        if _FOLDED.match(value):
            found[key] = _block(below, keep_lines=value[0] == "|")
        elif value:
            # Plain text may go on in the lines below.
            found[key] = _scalar(" ".join([value, *(line.strip() for line in below)]).strip())
    return found


def _block(lines: list[str], *, keep_lines: bool) -> str:
    texts = [line.strip() for line in lines]
    return "\n".join(texts).strip() if keep_lines else " ".join(" ".join(texts).split())


def _scalar(value: str) -> str:
    if value[:1] == '"':
        try:
            decoded, _ = json.JSONDecoder().raw_decode(value)
        except ValueError:
            return value.strip('"')
        return str(decoded)
    if value[:1] == "'":
        end = re.match(r"'((?:[^']|'')*)'", value)
        return end[1].replace("''", "'") if end else value.strip("'")
    return _COMMENT.sub("", value)
