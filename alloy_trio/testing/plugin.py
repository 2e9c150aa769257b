"""The pytest plugin of the kit; pytest loads it by itself where the kit is installed.

It imports nothing but pytest until one of its fixtures or markers is used, and a suite that uses none runs as if it was
not there. Fixtures (they are plain ones, so that they serve tests of pytest-trio and tests without it alike):

* ``alloy_scripted``: makes :class:`Scripted` models, and fails the test where turns are left that nobody asked for;
* ``alloy_replay_server``: opens replay servers, and fails the test where a request was not the recorded one;
* ``alloy_no_leaks``: fails the test when it leaves a thread, process, file or socket behind;
* ``alloy_seed``: fixes trio's scheduler, ids and jitter, and is the seed;
* ``alloy_seeded_clock``: that, and a mock clock, which pytest-trio runs the test with;
* ``alloy_block_real_requests``: blocks requests to other machines. The others use it too.

Markers: ``alloy_seed(n)`` chooses the seed and sets it; ``alloy_real_requests`` lets a test ask vendors.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from trio.testing import MockClock

    from alloy_trio.testing import Blocking, ReplayServer, Scripted

MARKERS = (
    "alloy_seed(n): fix trio's scheduler, generated ids and jitter by this seed.",
    "alloy_real_requests: let requests of this test leave the machine.",
)
FIXTURES_OF_MARKERS = {"alloy_seed": "alloy_seed", "alloy_real_requests": "alloy_block_real_requests"}


@pytest.hookimpl(tryfirst=True)  # before Hypothesis looks for the profile that it was told to load
def pytest_configure(config: pytest.Config) -> None:
    """Name the markers, and make the profiles known when one was asked for."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if str(config.getoption("--hypothesis-profile", None) or "").startswith("alloy_"):
        from alloy_trio.testing._profiles import register_profiles

        register_profiles()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a marked test the fixture that does what the marker says."""
    for marker in item.iter_markers():
        fixture = FIXTURES_OF_MARKERS.get(marker.name)
        names = getattr(item, "fixturenames", None)  # what is no function has none
        if fixture is not None and names is not None and fixture not in names:
            names.insert(0, fixture)


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    """Say where two values of ours differ."""
    values = sys.modules.get("alloy_trio.values")
    if op != "==" or values is None:
        return None
    from alloy_trio.testing._explained import explained

    return explained(left, right)


@pytest.fixture
def alloy_block_real_requests(request: pytest.FixtureRequest) -> Iterator[Blocking | None]:
    """Requests to other machines are refused during the test; see :func:`block_real_requests`."""
    if request.node.get_closest_marker("alloy_real_requests") is not None:
        yield None
        return
    from alloy_trio.testing import block_real_requests

    with block_real_requests() as blocking:
        yield blocking


@pytest.fixture
def alloy_scripted(alloy_block_real_requests: Blocking | None) -> Iterator[Callable[..., Scripted]]:
    """Makes scripted models: ``alloy_scripted(["Hello."])``, as :class:`Scripted` does; all turns must be asked for."""
    from alloy_trio.testing import Scripted

    made: list[Scripted] = []

    def scripted(*args: Any, **options: Any) -> Scripted:
        made.append(Scripted(*args, **options))
        return made[-1]

    yield scripted
    for model in made:
        model.assert_exhausted()


@pytest.fixture
def alloy_replay_server(
    alloy_block_real_requests: Blocking | None,
) -> Iterator[Callable[..., AbstractAsyncContextManager[ReplayServer]]]:
    """Opens replay servers: ``async with alloy_replay_server(exchanges) as server``; all that is asked is recorded."""
    from contextlib import asynccontextmanager

    from alloy_trio.testing import open_replay_server

    opened: list[ReplayServer] = []

    @asynccontextmanager
    async def replay_server(*args: Any, **options: Any) -> Any:
        async with open_replay_server(*args, **options) as server:
            opened.append(server)
            yield server

    yield replay_server
    problems = [problem for server in opened for problem in server.problems]
    if problems:
        pytest.fail(
            "the replay server was asked for what it has not got:\n" + "\n".join(problems), pytrace=False
        )


@pytest.fixture
def alloy_no_leaks(alloy_block_real_requests: Blocking | None) -> Iterator[None]:
    """The test must leave no thread, process, file or socket behind; see :func:`no_leaks`."""
    from alloy_trio.testing import no_leaks

    with no_leaks():
        yield


@pytest.fixture
def alloy_seed(request: pytest.FixtureRequest, alloy_block_real_requests: Blocking | None) -> Iterator[int]:
    """The seed of the marker ``alloy_seed(n)``, or 0; trio's scheduler, ids and jitter are fixed by it."""
    marker = request.node.get_closest_marker("alloy_seed")
    seed = 0 if marker is None else _seed_of(marker)
    from alloy_trio._seed import seeded
    from alloy_trio.testing._seeded import deterministic_schedule

    with deterministic_schedule(seed), seeded(seed):
        yield seed


@pytest.fixture
def alloy_seeded_clock(alloy_seed: int) -> Iterator[MockClock]:
    """A mock clock that jumps while all tasks wait, with a seeded run: the same test gives the same events."""
    import trio
    from trio.testing import MockClock

    from alloy_trio._seed import seeded

    with seeded(alloy_seed, now_ms=lambda: round(trio.current_time() * 1000)):
        yield MockClock(autojump_threshold=0)


def _seed_of(marker: pytest.Mark) -> int:
    given = [*marker.args, *marker.kwargs.values()]
    if len(given) != 1 or not isinstance(given[0], int):
        raise pytest.UsageError(
            f"alloy_seed{marker.args!r} takes one whole number, as in @pytest.mark.alloy_seed(7)"
        )
    return given[0]
