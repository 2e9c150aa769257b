"""The project's checks, each in an environment of its own: ``nox -l`` lists them.

Versions come from pyproject.toml and from nowhere else. Arguments after ``--`` go to the tool of the session,
as in ``nox -s tests -- tests/wire -k truncated``.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

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
def counterpart(session: nox.Session) -> None:
    """Run every provider against a server that others wrote, from npm; needs node and npm."""
    asked = PROJECT["tool"]["alloy"]["counterpart"]
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        session.skip(f"{asked['package']} runs on node, and node or npm is not on this machine")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(map(int, re.findall(r"\d+", version)[:2])) < tuple(map(int, asked["node"].split("."))):
        session.skip(f"{asked['package']} needs node {asked['node']}, this machine has {version}")
    session.install(".[testing]")
    home = Path(session.create_tmp()) / "counterpart"
    options = ["--prefix", str(home), "--ignore-scripts", "--no-audit", "--no-fund"]
    session.run(npm, "install", *options, f"{asked['package']}@{asked['pinned']}", external=True, silent=True)
    with serving(node, home / "node_modules" / asked["package"] / asked["program"]) as url:
        env = {"ALLOY_TRIO_COUNTERPART": url}
        session.run("pytest", "-m", "counterpart", "tests/counterpart", *session.posargs, env=env)


@contextmanager
def serving(node: str, program: Path) -> Iterator[str]:
    """Run the counterpart on a free port of the loopback interface; gives its address."""
    command = [node, str(program), "--host", "127.0.0.1", "--port", "0", "--strict", "--validate-on-load"]
    command += [
        "--journal-max",
        "0",
        "--fixture-counts-max",
        "0",
        "--fixtures",
        "tests/counterpart/fixtures.json",
    ]
    # Only what a program needs to run: no key of a vendor's, and no proxy.
    env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    with (
        (program.parents[1] / "server.log").open("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=env) as server,
    ):
        try:
            assert server.stdout is not None
            said = ""
            while (found := re.search(r"listening on (\S+)", said)) is None:
                line = server.stdout.readline()
                if not line:
                    log.seek(0)
                    raise RuntimeError(f"the counterpart did not start: {said}{log.read()}")
                said += line
            # It may go on talking: a full pipe would stop it.
            Thread(target=server.stdout.read, daemon=True).start()
            yield found[1]
        finally:
            server.terminate()


@nox.session
def sweep(session: nox.Session) -> None:
    """Cut every recorded stream after every byte; takes minutes, and needs the optional recordings."""
    session.install(".[testing]")
    session.run("pytest", "-m", "sweep", "tests/wire/test_sweep.py", *session.posargs)


@nox.session
def campaigns(session: nox.Session) -> None:
    """Run the tests of the tools with their full numbers; takes half an hour."""
    session.install(".[testing]", *group("tests"))
    session.run("pytest", "tests/tools", *session.posargs, env={"ALLOY_TRIO_FULL": "1"})


@nox.session
def agents(session: nox.Session) -> None:
    """Hold agents against their reference, step by step in virtual time, in full; takes a minute.

    For other steps than those of every time add ``-- --hypothesis-profile=explore``.
    """
    session.install(".[testing]", *group("tests"))
    session.run("pytest", "tests/agents", *session.posargs, env={"ALLOY_TRIO_FULL": "1"})


@nox.session
def supervision(session: nox.Session) -> None:
    """Hold supervision against OTP's own supervisor, its manual, and mutants of the policy, in full; takes minutes.

    What needs Erlang is skipped where it is absent.
    """
    session.install(".[testing]", *group("proofs"))
    session.run("pytest", "tests/supervision", *session.posargs, env={"ALLOY_TRIO_FULL": "1"})


@nox.session
def proofs(session: nox.Session) -> None:
    """The long share of the loop's sweeps and of the testing kit's own tests; takes a quarter of an hour."""
    session.install(".[testing]", *group("tests"))
    session.run("pytest", "tests/loop", "tests/testing", *session.posargs, env={"ALLOY_TRIO_FULL": "1"})


@nox.session
def coverage(session: nox.Session) -> None:
    """Run the tests and report the lines and branches that none of them reached."""
    session.install(".[testing]", *group("coverage"))
    session.run("coverage", "run", "-m", "pytest", *session.posargs)
    session.run("coverage", "report")
