"""A fresh environment with the built wheel in it, byte-compiled, as a user has it."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROJECT = Path(__file__).parent.parent


@contextmanager
def installed(python: str | None) -> Iterator[Path]:
    """The interpreter of an environment that has the package.

    Args:
        python: an interpreter to use as it is; None to make an environment for the time of the block.
    """
    if python is not None:
        yield Path(python).absolute()  # not resolved: the link's place is what makes it an environment
        return
    with tempfile.TemporaryDirectory(prefix="alloy-bench-") as directory:
        print("installing the wheel into a fresh environment …", file=sys.stderr, flush=True)
        _call(sys.executable, "-m", "venv", directory)
        fresh = Path(directory, "bin", "python")
        _call(str(fresh), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(PROJECT))
        _call(str(fresh), "-m", "compileall", "-q", str(site_packages(fresh)))
        yield fresh


def site_packages(python: Path) -> Path:
    """Where an interpreter's packages are."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(
        subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
    )


def add_program(python: Path, name: str, source: Path) -> Path:
    """Install a module with a ``main()`` beside the package, byte-compiled, with a script that calls it.

    So both contestants start in the same way: a generated script that imports a compiled module.
    """
    module = site_packages(python) / f"{name}.py"
    module.write_text(source.read_text())
    _call(str(python), "-m", "compileall", "-q", str(module))
    script = python.parent / name
    script.write_text(f"#!{python}\nimport sys\nfrom {name} import main\nsys.exit(main())\n")
    script.chmod(0o755)
    return script


def _call(*arguments: str) -> None:
    subprocess.run(arguments, check=True, stdout=sys.stderr)
