"""What a façade exports is what the reference documents, no name more and no less, and explains itself."""

from __future__ import annotations

import importlib
import inspect
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"
FACADES = (
    "alloy_trio",
    "alloy_trio.abc",
    "alloy_trio.providers",
    "alloy_trio.supervision",
    "alloy_trio.testing",
    "alloy_trio.testing.strategies",
    "alloy_trio.tools",
)
DIRECTIVE = re.compile(r"^\.\. ((?:current)?module|auto\w+|py:\w+):: *(\S+)", re.MULTILINE)


@cache
def documented() -> frozenset[tuple[str, str]]:
    """(façade, name) of every directive in docs/reference that documents an object."""
    found: Counter[tuple[str, str]] = Counter()
    for page in sorted(REFERENCE.glob("*.rst")):
        module = ""
        for directive, argument in DIRECTIVE.findall(page.read_text(encoding="utf-8")):
            if directive.endswith("module"):
                module = argument
            else:
                found[module, argument.partition("(")[0]] += 1
    twice = [entry for entry, times in found.items() if times > 1]
    assert twice == [], "documented twice"
    return frozenset(found)


def object_of(facade: str, name: str) -> object:
    return getattr(importlib.import_module(facade), name)


def public_members(cls: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(cls).items():
        if name.startswith("_"):
            continue
        if inspect.isfunction(member) or isinstance(member, (property, classmethod, staticmethod)):
            yield name, getattr(cls, name)


@pytest.mark.parametrize("facade", FACADES)
def test_every_exported_name_exists_once_and_is_public(facade: str) -> None:
    module = importlib.import_module(facade)
    assert [name for name, times in Counter(module.__all__).items() if times > 1] == []
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    assert [name for name in module.__all__ if name.startswith("_") and name != "__version__"] == []
    assert set(module.__all__) <= set(dir(module))


@pytest.mark.parametrize("facade", FACADES)
def test_every_exported_name_is_documented(facade: str) -> None:
    """An object that two façades export needs its entry in one of them."""
    missing = []
    for name in importlib.import_module(facade).__all__:
        elsewhere = any(
            other != facade and entry == name and object_of(other, entry) is object_of(facade, name)
            for other, entry in documented()
        )
        if (facade, name) not in documented() and not elsewhere:
            missing.append(name)
    assert missing == []


def test_every_documented_name_is_exported() -> None:
    unknown = [
        f"{facade}.{name}"
        for facade, name in sorted(documented())
        if name not in importlib.import_module(facade).__all__
    ]
    assert unknown == []


@pytest.mark.parametrize("facade", FACADES)
def test_every_public_callable_has_a_docstring(facade: str) -> None:
    module = importlib.import_module(facade)
    bare = []
    for name in module.__all__:
        thing = getattr(module, name)
        if not (inspect.isclass(thing) or inspect.isroutine(thing)):
            continue
        if not (thing.__doc__ or "").strip():
            bare.append(name)
        if inspect.isclass(thing):
            bare += [
                f"{name}.{member}" for member, value in public_members(thing) if not inspect.getdoc(value)
            ]
    assert bare == []
