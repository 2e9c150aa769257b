"""Every example of the documentation is a program that runs, and prints what the page says it prints."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import alloy_trio

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_example_prints_what_is_written_beside_it(example: Path, tmp_path: Path) -> None:
    """Runs in an empty directory that holds a copy of pyproject.toml, with no key in the environment."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    environment = {
        name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN"))
    }
    environment["PYTHONPATH"] = str(Path(alloy_trio.__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == example.with_suffix(".out").read_text(encoding="utf-8")


def test_every_example_and_its_output_are_shown_on_a_page() -> None:
    shown = {
        match
        for page in DOCS.rglob("*.rst")
        for match in re.findall(
            r"^ *\.\. literalinclude:: \S*examples/(\S+)$", page.read_text(encoding="utf-8"), re.M
        )
    }
    assert shown == {path.name for path in (DOCS / "examples").iterdir() if path.suffix in (".py", ".out")}


def test_the_reference_has_the_options_of_the_command_line_and_no_others() -> None:
    options = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
    done = subprocess.run(
        [sys.executable, "-m", "alloy_trio", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    heads = [line.strip().split("  ")[0] for line in done.stdout.splitlines() if line.startswith("  -")]
    told = {name for head in heads for name in options.findall(head)}
    assert "--provider" in told
    page = (DOCS / "reference" / "cli.rst").read_text(encoding="utf-8")
    documented = re.findall(r"^\.\. option:: (.*)$", page, re.M)
    assert told == {name for entry in documented for name in options.findall(entry)}


@pytest.mark.parametrize("name", ["readme.py", "readme.out"])
def test_the_readme_shows_the_example_as_it_stands(name: str) -> None:
    """Where a README is rendered there is no literalinclude, so it holds a copy, and this keeps it one."""
    readme = (ROOT / "README.rst").read_text(encoding="utf-8")
    assert textwrap.indent((DOCS / "examples" / name).read_text(encoding="utf-8"), "    ") in readme
