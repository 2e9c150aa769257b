"""The lists of providers for readers are those of the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from alloy_trio.providers import PROVIDERS

ROOT = Path(__file__).parent.parent
SPEC = importlib.util.spec_from_file_location("provider_tables", ROOT / "docs" / "provider_tables.py")
assert SPEC is not None and SPEC.loader is not None
tables = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(tables)


@pytest.mark.parametrize("path", tables.PAGES, ids=lambda path: path.name)
def test_a_page_lists_the_providers_that_there_are(path: Path) -> None:
    page = path.read_text(encoding="utf-8")
    assert page == tables.with_list(page, tables.PAGES[path]()), "run: python docs/provider_tables.py"


def test_every_provider_is_in_every_list_with_its_key() -> None:
    for lines in (tables.readme_list, tables.reference_table):
        text = "\n".join(lines())
        for preset in PROVIDERS:
            assert preset.factory.__name__ in text
            assert all(f"``{name}``" in text for name in (preset.name, *preset.aliases, *preset.env_vars))


def test_a_page_without_marks_is_not_touched() -> None:
    with pytest.raises(ValueError, match="marks"):
        tables.with_list("no marks\n", iter(()))
