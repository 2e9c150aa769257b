"""The house stands as drawn: sizes, rooms, borders, start-up, and the two commands of the README.

The rungs themselves (who may import whom) are import-linter's contracts in pyproject.toml; ``nox -s lint``
checks them.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import alloy_trio

ROOT = Path(__file__).parent.parent
PACKAGE = Path(alloy_trio.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in MODULES}

LINE_LIMIT = 400
TRY_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install . && .venv/bin/alloy"
    ' -p "Read pyproject.toml and tell me the version" --tools read --provider demo'
)
TEST_COMMAND = "python3 -m venv .venv && .venv/bin/pip install nox && .venv/bin/nox -s tests"


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(PACKAGE.parent)}:{line}"


def imports(tree: ast.Module) -> Iterator[tuple[int, int, str]]:
    """Each import of a module as (line, level of a relative import, dotted name with the imported name)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, 0, alias.name
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, node.level, f"{node.module or ''}.{alias.name}".strip(".")


def modules_loaded_by(*arguments: str) -> set[str]:
    """What a fresh interpreter has imported after ``python *arguments``, as -X importtime reports it."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {
        line.rpartition("|")[2].strip()
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    assert "alloy_trio" in loaded, "the report of -X importtime was not understood"
    return loaded


def test_no_module_is_longer_than_the_limit() -> None:
    lengths = {where(path, len(path.read_text(encoding="utf-8").splitlines())) for path in MODULES}
    assert [at for at in sorted(lengths) if int(at.rpartition(":")[2]) > LINE_LIMIT] == []


def test_no_module_is_named_for_having_no_concept() -> None:
    nameless = {"common", "helpers", "misc", "util", "utils"}
    assert [str(path) for path in MODULES if path.stem.strip("_") in nameless] == []


def test_every_module_says_what_it_is() -> None:
    assert [where(path, 1) for path, tree in TREES.items() if not ast.get_docstring(tree)] == []


def test_nothing_imports_asyncio() -> None:
    found = [
        where(path, line)
        for path, tree in TREES.items()
        for line, level, name in imports(tree)
        if level == 0 and name.split(".")[0] == "asyncio"
    ]
    assert found == []


def test_a_room_is_entered_by_its_facade() -> None:
    """No import of another package's private module, nor of the top façade, which is for users.

    ``testing`` may look everywhere; the private modules of rung 1 belong to the whole house.
    """
    found = []
    for path, tree in TREES.items():
        room = path.relative_to(PACKAGE).parts[0]
        if room == "testing":
            continue
        for line, level, name in imports(tree):
            parts = name.split(".")
            if level or parts[0] != "alloy_trio":
                continue
            into_a_private_module = len(parts) > 2 and parts[1] != room and parts[2].startswith("_")
            through_the_top = len(parts) == 2 and not parts[1].startswith("_") and not is_room(parts[1])
            if into_a_private_module or through_the_top:
                found.append(f"{where(path, line)} imports {name}")
    assert found == []


def is_room(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def test_broad_excepts_stand_only_at_marked_borders() -> None:
    """``except Exception`` or wider says ``# border:`` and why on its line, unless it ends by raising.

    What is wider than ``Exception`` has to go on as it was: turned into another, a cancel would be lost.
    """
    found = []
    for path, tree in TREES.items():
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            names = {kind.id if isinstance(kind, ast.Name) else None for kind in caught if kind is not None}
            widest = node.type is None or "BaseException" in names
            last = node.body[-1]
            raises = isinstance(last, ast.Raise) and (last.exc is None or not widest)
            if (widest or "Exception" in names) and not raises and "# border:" not in lines[node.lineno - 1]:
                found.append(where(path, node.lineno))
    assert found == []


def test_importing_the_package_loads_neither_httpx_nor_cattrs_nor_an_extra() -> None:
    loaded = {name.split(".")[0] for name in modules_loaded_by("-c", "import alloy_trio")}
    assert loaded & {"cattr", "cattrs", "httpx", "hypothesis", "orjson", "pytest", "rich", "sqlite3"} == set()


def test_the_version_is_told_without_httpx_and_cattrs() -> None:
    loaded = {name.split(".")[0] for name in modules_loaded_by("-m", "alloy_trio", "--version")}
    assert loaded & {"cattr", "cattrs", "httpx", "hypothesis", "orjson", "pytest", "rich", "sqlite3"} == set()


@pytest.mark.parametrize("command", [TRY_COMMAND, TEST_COMMAND], ids=["try", "test"])
def test_the_readme_holds_the_command_on_one_line_of_a_literal_block(command: str) -> None:
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    assert len(re.findall(rf"^ +{re.escape(command)}$", readme, re.MULTILINE)) == 1
