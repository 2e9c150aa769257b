"""The command line: ``alloy``, and ``python -m alloy_trio``."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the arguments say.

    Args:
        argv: the arguments without the program's name; the process's own if None.

    Returns:
        The exit status: 0 completed, 1 failed, 2 wrong usage, 3 stopped by a limit or cut, 130 interrupted
        (128 and the signal's number), 141 if nobody reads the output any more.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments == ["--version"]:
        # Answered before anything is loaded.
        from alloy_trio import __version__

        print(f"alloy {__version__}")
        return 0
    if argv is not None:
        return _start(arguments)
    # The process is ours. While modules load and when they are taken down, the collector looks through all of
    # them again and again and finds nothing: a fifth of the time of a short run. So it runs more rarely, and
    # not at all over what is there at the end.
    gc.set_threshold(50_000, 20, 20)
    try:
        return _start(arguments)
    finally:
        gc.freeze()


def _start(arguments: Sequence[str]) -> int:
    from ._main import start

    return start(arguments)
