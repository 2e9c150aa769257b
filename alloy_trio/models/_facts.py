"""The facts as they are baked: a file for each provider in ``facts/``, read when it is first needed.

A file is ``{"source", "date", "fallback", "models"}``. ``fallback`` names the providers whose models this one
offers too, at their prices. A model is one line: its ``id``, what else it is called (``match``; without it only
the id), ``context_window``, ``max_output_tokens``, ``capabilities``, ``deprecated`` and ``prices``, which are
those of ModelInfo. A match is a list of alternatives; an alternative is a pattern, or a list of patterns that
all have to match. A pattern's first character says how: ``=`` the whole name, ``^`` its beginning, ``$`` its
end, ``*`` a part of it, ``~`` a regular expression. The first model of the file that matches is the one.

Files, not one: reading Anthropic's or OpenAI's takes a fraction of a millisecond, all of them twenty times as
long.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]

_FOLDER = Path(__file__).with_name("facts")
_ALIASES = {
    "aws": "bedrock",
    "azure-openai": "azure",
    "google": "gemini",
    "meta-llama": "meta",
    "mistralai": "mistral",
    "vertex": "gemini",
    "x-ai": "xai",
}
"""Other names of providers: those of the source, and those that gateways put before a model's name."""


def file_name(provider: str) -> str:
    """Where a provider's facts would be: our name for it in small letters."""
    name = provider.strip().lower()
    return _ALIASES.get(name, name)


@functools.lru_cache(maxsize=256)
def has_facts(provider: str) -> bool:
    """Whether any model of a provider is known. Reads no file."""
    # A provider's name is the user's to choose: it must not become a path to somewhere else.
    name = file_name(provider)
    safe = name.isascii() and name.replace("_", "").replace("-", "").isalnum() and len(name) <= 64
    return safe and (_FOLDER / f"{name}.json").is_file()


def find(provider: str, model: str) -> Row | None:
    """The row of a model by a name of it in small letters, in the provider's file or a fallback's."""
    facts = _load(file_name(provider)) if has_facts(provider) else None
    if facts is None:
        return None
    row = facts.find(model)
    for other in facts.fallback if row is None else ():
        row = _load(other).find(model)
        if row is not None:
            break
    return row


class Facts:
    """One file, indexed: most names are whole names, and patterns are tried only up to where one of those is."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.source: str = f"{data['source']}, {data['date']}"
        self.fallback: list[str] = data["fallback"]
        self.rows: list[Row] = data["models"]
        self._names: dict[str, int] = {}
        self._patterns: list[tuple[int, list[str]]] = []
        for index, row in enumerate(self.rows):
            for patterns in _alternatives(row):
                if len(patterns) == 1 and patterns[0][0] == "=":
                    self._names.setdefault(patterns[0][1:], index)
                else:
                    self._patterns.append((index, patterns))

    def find(self, model: str) -> Row | None:
        """The first row that matches."""
        found = self._names.get(model, len(self.rows))
        for index, patterns in self._patterns:
            if index >= found:
                break
            if all(_matches(pattern, model) for pattern in patterns):
                found = index
        return self.rows[found] if found < len(self.rows) else None


@functools.cache
def _load(name: str) -> Facts:
    return Facts(json.loads((_FOLDER / f"{name}.json").read_bytes()))


def _alternatives(row: Row) -> Iterator[list[str]]:
    match = row.get("match")
    if match is None:
        yield ["=" + row["id"].lower()]
        return
    for way in match:
        yield [way] if isinstance(way, str) else way


def _matches(pattern: str, model: str) -> bool:
    how, text = pattern[0], pattern[1:]
    match how:
        case "=":
            return model == text
        case "^":
            return model.startswith(text)
        case "$":
            return model.endswith(text)
        case "*":
            return text in model
        case _:
            return re.search(text, model) is not None
