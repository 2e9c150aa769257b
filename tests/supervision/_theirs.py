"""Runs scenarios under Erlang/OTP's supervisor."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from ._scenarios import Scenario, as_erlang

DRIVER = Path(__file__).with_name("otp_driver.erl")


def missing() -> str | None:
    """Why it cannot be run here, or None."""
    absent = [program for program in ("erl", "erlc") if shutil.which(program) is None]
    return f"Erlang/OTP is not installed: no {' and no '.join(absent)}" if absent else None


def traces(scenarios: dict[int, Scenario], directory: Path) -> dict[int, list[str]]:
    """What happened in each scenario, in order."""
    subprocess.run(["erlc", "-o", str(directory), str(DRIVER)], check=True, timeout=60)
    given, written = directory / "scenarios", directory / "traces"
    given.write_text(as_erlang(scenarios), encoding="utf-8")
    command = ["erl", "+S", "1:1", "-noshell", "-pa", str(directory), "-run", "otp_driver", "main"]
    subprocess.run([*command, str(given), str(written)], check=True, timeout=600)
    found = {}
    for line in written.read_text(encoding="utf-8").splitlines():
        number, _, trace = line.partition(" ")
        found[int(number)] = trace.split("; ")
    return found
