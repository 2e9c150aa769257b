"""Start-up: `import alloy_trio`, `alloy --version`, `alloy --help`, against Python and trio alone.

The environment is fresh and byte-compiled. `alloy --version` and the import load nothing but the package's
first modules, so their floor is `python -c pass`. `alloy --help` and an import of the loop are to be read
beside `import trio`, which the loop cannot do without.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from functools import partial

import _measure
from _install import installed
from bench_one_shot import ENVIRONMENT


def run_once(command: Sequence[str]) -> None:
    """Run a contestant, its output thrown away."""
    subprocess.run(command, env=ENVIRONMENT, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def main(argv: Sequence[str]) -> int:
    """Run the benchmark; returns the exit status."""
    parser = _measure.parser(__doc__, rounds=21)
    parser.add_argument("--clock", choices=_measure.CLOCKS, default="wall", help="(default: %(default)s)")
    parser.add_argument(
        "--python", help="an interpreter with the package installed (default: a fresh environment)"
    )
    options = parser.parse_args(argv)
    clock = _measure.CLOCKS[options.clock]
    with installed(options.python) as python:
        alloy = str(python.parent / "alloy")
        commands = {
            "pass": [str(python), "-c", "pass"],
            "import trio": [str(python), "-c", "import trio"],
            "import alloy_trio": [str(python), "-c", "import alloy_trio"],
            "alloy --version": [alloy, "--version"],
            "alloy --help": [alloy, "--help"],
            "import alloy_trio.loop": [str(python), "-c", "import alloy_trio.loop"],
        }
        contestants = {
            name: _measure.timed(partial(run_once, command), clock) for name, command in commands.items()
        }
        measured = _measure.interleaved(contestants, options.rounds)
    rows = [
        _measure.compare(f"{subject} / {floor}", measured, subject, floor)
        for subject in list(commands)[2:]
        for floor in ("pass", "import trio")
    ]
    return _measure.report("starts", rows, options)


if __name__ == "__main__":
    _measure.run(main)
