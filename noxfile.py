"""The project's checks, each in an environment of its own: ``nox -l`` lists them.

Versions come from pyproject.toml and from nowhere else. Arguments after ``--`` go to the tool of the session,
as in ``nox -s tests -- tests/wire -k truncated``.
"""

from __future__ import annotations

import re
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["tests", "lint", "types", "docs"]

PROJECT = nox.project.load_toml("pyproject.toml")


def group(name: str) -> list[str]:
    """The requirements of one dependency group of pyproject.toml."""
    return list(nox.project.dependency_groups(PROJECT, name))


def floors() -> list[str]:
    """The core dependencies, each pinned to its lower bound: ``trio >=0.31`` becomes ``trio==0.31``."""
    return [re.sub(r"\s*>=\s*", "==", requirement) for requirement in PROJECT["project"]["dependencies"]]


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests against the installed package."""
    session.install(".[testing]", *group("tests"))
    session.run("pytest", *session.posargs)


@nox.session
def tests_floor(session: nox.Session) -> None:
    """Run the tests on the lowest versions of the core dependencies, without the oracles."""
    session.install(".[testing]", *floors())
    session.run("pytest", *session.posargs)


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, strictly."""
    session.install(".[testing]", *group("types"))
    session.run("mypy", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, spelling, the rungs of the house, and that the news can be rendered."""
    session.install(*group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")
    session.run("codespell")
    session.run("towncrier", "build", "--draft", "--version", "next", silent=True)
    # The constant is there so that `alloy --version` need not search what is installed for it.
    if f'__version__ = "{PROJECT["project"]["version"]}"' not in Path("alloy_trio/__init__.py").read_text():
        session.error("alloy_trio.__version__ and the version in pyproject.toml differ")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning or a reference that leads nowhere fails."""
    session.install(".[testing]", *group("docs"))
    session.run(
        "sphinx-build", "-W", "-n", "--keep-going", "-q", "docs", "docs/_build/html", *session.posargs
    )


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks on the installed, byte-compiled package.

    After ``--`` names choose some, and options go to each, as in ``-- bench_deltas --rounds=3``.
    """
    session.install(".[testing]", *group("bench"))
    options = [argument for argument in session.posargs if argument.startswith("-")]
    names = [argument for argument in session.posargs if not argument.startswith("-")]
    for name in names or sorted(path.stem for path in Path("benchmarks").glob("bench_*.py")):
        session.run("python", f"benchmarks/{name}.py", *options)


@nox.session
def models(session: nox.Session) -> None:
    """Bake the facts about models into the package, from the version that pyproject.toml pins.

    For newer facts raise the pin first. ``-- --check`` writes nothing and fails where they differ.
    """
    session.install(*group("models"))
    session.run("python", "alloy_trio/models/_bake.py", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests and report the lines and branches that none of them reached."""
    session.install(".[testing]", *group("coverage"))
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "report")
