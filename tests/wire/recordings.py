"""Recorded exchanges and error cases, and the project's own small fixtures, as the wire tests read them.

The recordings are optional: ``ALLOY_TRIO_SHARED`` names their directory, or it lies beside the checkout as
``shared``. Call :func:`load` and :func:`load_errors` inside a test or fixture, not while a module is
imported: they skip where the recordings are absent. :func:`fixtures` reads what the project itself ships and
never skips.
"""

from __future__ import annotations

import base64
import functools
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def shared() -> Path:
    """The directory that holds ``wire/`` and ``conformance/``; skips where there is none."""
    named = os.environ.get("ALLOY_TRIO_SHARED")
    directory = Path(named) if named else ROOT.parent / "shared"
    if not (directory / "wire" / "open.jsonl.gz").is_file():
        if named:
            pytest.fail(f"ALLOY_TRIO_SHARED is {named!r}, but there is no wire/open.jsonl.gz in it")
        pytest.skip(
            "the optional recordings are not here (set ALLOY_TRIO_SHARED or put them in ../shared)",
            allow_module_level=True,
        )
    return directory


@functools.cache
def _records(directory: Path) -> dict[str, list[dict[str, Any]]]:
    families: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(directory / "wire" / "open.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            record = json.loads(line)
            families.setdefault(record["family"], []).append(record)
    return families


@functools.cache
def _errors(directory: Path) -> list[dict[str, Any]]:
    text = (directory / "wire" / "errors.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines() if line.strip()]


def load(family: str) -> list[dict[str, Any]]:
    """The recorded exchanges of one family (``"anthropic"``, ``"openai_chat"``, …). Do not change them."""
    return list(_records(shared())[family])


def load_errors(family: str | None = None) -> list[dict[str, Any]]:
    """The documented error and cut-stream cases, of one family or all. Do not change them."""
    return [record for record in _errors(shared()) if family is None or record["family"] == family]


def body_of(record: dict[str, Any]) -> bytes:
    """The answer's bytes."""
    body: str = record["body"]
    return base64.b64decode(body) if record.get("body_encoding") == "base64" else body.encode()


def fixtures(wire: str) -> dict[str, dict[str, Any]]:
    """The project's own fixtures of one wire, by file name without its ending."""
    found = {
        path.stem: json.loads(path.read_text()) for path in sorted((HERE / "fixtures" / wire).glob("*.json"))
    }
    assert found, f"there are no fixtures of {wire}"
    return found


def cuts(body: bytes, seed: int, pieces: int = 8) -> Iterator[bytes]:
    """The body in a seeded, reproducible division of about ``pieces`` pieces."""
    import random

    rng = random.Random(seed)
    ends = sorted(rng.randrange(len(body) + 1) for _ in range(pieces - 1))
    for start, end in zip([0, *ends], [*ends, len(body)], strict=True):
        yield body[start:end]
