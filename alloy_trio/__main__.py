"""``python -m alloy_trio``: the command line."""

from __future__ import annotations

import sys

from alloy_trio.cli import main

if __name__ == "__main__":
    sys.exit(main())
