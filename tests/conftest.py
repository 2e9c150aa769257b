"""What all tests share: the optional recordings of provider traffic, and how Hypothesis searches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from .wire import recordings as traffic

# `gate` runs the same examples each time, so that a failure belongs to the change under test. New ground is
# searched with `pytest --hypothesis-profile=explore`. No deadline: a busy machine is not a bug.
settings.register_profile("gate", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("explore", deadline=None, max_examples=2_000, print_blob=True)
settings.load_profile("gate")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The directory with recorded provider traffic (wire/) and vectors (conformance/).

    It is not part of the project, so a test that needs it is skipped where it is absent.
    """
    return traffic.shared()


@pytest.fixture(scope="session")
def recordings(shared: Path) -> Callable[[str], list[dict[str, Any]]]:
    """From a family ("anthropic", "openai_chat", …) to its recorded exchanges. Do not change them."""
    return traffic.load
