"""The tests of the policy notice nearly every small mistake that could be put into it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import alloy_trio

LEAST_KILLED = 0.95

EQUIVALENT = {
    r'self\._begin\((None|"XX\w+XX"|"TERMINATE"|"REVIVE"|"DELAY"), st': "a name that no rule asks for",
    r"child\.delay = None": "the next line replaces it, and takes None for none, too",
    r'if self\.rules\.strategy == ("XXone_for_oneXX"|"ONE_FOR_ONE"):': "a short cut; the long way leads there, too",
}
"""Mutants that do what the policy does, by the line they change, and why."""


def missing() -> str | None:
    """Why it cannot be run here, or None."""
    if os.environ.get("ALLOY_TRIO_FULL") != "1":
        return "takes minutes; run `nox -s supervision`, or set ALLOY_TRIO_FULL=1"
    if importlib.util.find_spec("mutmut") is None:
        return "mutmut is not installed; the dependency group `proofs` has it"
    return None


def mutmut(directory: Path, *command: str) -> str:
    """Run it on the copy; returns what it prints."""
    env = {
        name: value for name, value in os.environ.items() if not name.startswith(("ALLOY_TRIO_", "PYTEST_"))
    }
    done = subprocess.run(
        [sys.executable, "-m", "mutmut", *command],
        cwd=directory,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1_800,
    )
    assert done.returncode == 0, done.stdout[-5_000:]
    return done.stdout


@pytest.mark.skipif(missing() is not None, reason=str(missing()))
def test_the_tests_kill_the_mutants_of_the_policy_and_of_what_it_is_told(tmp_path: Path) -> None:
    tests = Path(__file__).parents[1]
    without = shutil.ignore_patterns("__pycache__", "fixtures")
    shutil.copytree(tests, tmp_path / "tests", ignore=without)
    shutil.copytree(Path(alloy_trio.__file__).parent, tmp_path / "alloy_trio", ignore=without)
    shutil.copy(tests.parent / "pyproject.toml", tmp_path)
    mutmut(tmp_path, "run", "--max-children", str(min(os.cpu_count() or 1, 4)))
    verdicts = re.findall(r"(\S+): (.+)", mutmut(tmp_path, "results", "--all", "true"))
    unexplained = []
    for name, verdict in verdicts:
        if verdict != "survived":
            continue
        diff = mutmut(tmp_path, "show", name)
        reason = next(
            (EQUIVALENT[line] for line in EQUIVALENT if re.search(rf"^\+ *(return )?{line}", diff, re.M)),
            None,
        )
        print(f"{diff}\n{'UNEXPLAINED' if reason is None else f'equivalent: {reason}'}\n")
        if reason is None:
            unexplained.append(name)
    for module, least_mutants in (("_policy", 300), ("_spec", 200)):
        here = [verdict for name, verdict in verdicts if f".supervision.{module}." in name]
        killed = sum(verdict in ("killed", "timeout") for verdict in here)
        print(f"{module}: {killed} of {len(here)} mutants killed")
        assert len(here) > least_mutants
        assert killed >= LEAST_KILLED * len(here)
    assert unexplained == []
