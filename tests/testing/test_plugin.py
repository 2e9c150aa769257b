"""The pytest plugin does what its fixtures and markers say, and nothing to suites that use none of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import attrs
import pytest

import alloy_trio
from alloy_trio import Event, Image, Message, Origin, Result, Text, ToolResult, ToolUse, Usage
from alloy_trio.testing._explained import explained

PLUGIN = ("-p", "alloy_trio.testing.plugin")
TRIO = ("-p", "pytest_trio.plugin")


def pytest_run(
    directory: Path, code: str, *options: str, python: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run pytest on a file, with no plugin but those that are named."""
    (directory / "test_it.py").write_text(textwrap.dedent(code))
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    environment.pop("PYTEST_ADDOPTS", None)
    environment["PYTHONPATH"] = str(Path(alloy_trio.__file__).parent.parent)
    command = [
        sys.executable,
        *python,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--strict-markers",
        "-rA",
        *options,
    ]
    return subprocess.run(
        [*command, "--rootdir", str(directory), "test_it.py"],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def outcomes(done: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    """What became of each test: PASSED, FAILED, ERROR, or several."""
    found: dict[str, list[str]] = {}
    for outcome, name in re.findall(r"^(PASSED|FAILED|ERROR) test_it\.py::(\S+)", done.stdout, re.M):
        found.setdefault(name, []).append(outcome)
    assert found, done.stdout + done.stderr
    return found


FIXTURES = """
    import socket, threading
    import pytest
    import trio
    from alloy_trio import run
    from alloy_trio.testing import run_seeded

    FAR = ("192.0.2.1", 80)

    def answer(model):
        return trio.run(lambda: run("x", provider=model)).text

    def test_script_is_used_up(alloy_scripted):
        assert answer(alloy_scripted(["yes"])) == "yes"

    def test_script_is_left(alloy_scripted):
        assert answer(alloy_scripted(["yes", "and?"])) == "yes"

    def test_blocked_by_scripted(alloy_scripted):
        with pytest.raises(Exception, match="blocked"):
            socket.create_connection(FAR)

    def test_blocked_by_itself(alloy_block_real_requests):
        with pytest.raises(Exception, match="blocked"):
            socket.create_connection(FAR)
        assert alloy_block_real_requests.attempts == ["192.0.2.1:80"]

    @pytest.mark.alloy_seed(3)
    def test_blocked_by_a_marker():
        with pytest.raises(Exception, match="blocked"):
            socket.create_connection(FAR)

    @pytest.mark.alloy_real_requests
    def test_real_requests(alloy_scripted):
        assert "connect" not in vars(socket.socket)

    def test_not_blocked():
        assert "connect" not in vars(socket.socket)

    def test_leaks_nothing(alloy_no_leaks):
        pass

    def test_leaks(alloy_no_leaks):
        thread = threading.Thread(target=threading.Event().wait, name="forgotten", daemon=True)
        thread.start()

    @pytest.mark.alloy_seed(5)
    class TestSeeded:
        ids = []

        @pytest.mark.parametrize("time", [1, 2])
        def test_ids(self, time):
            from alloy_trio._seed import source
            self.ids.append(source().new_id("x"))
            assert len(set(self.ids)) == 1

        @pytest.mark.alloy_seed(6)
        def test_other_ids(self, alloy_seed):
            from alloy_trio._seed import source
            assert alloy_seed == 6
            assert source().new_id("x") not in self.ids

    @pytest.mark.alloy_seed("six")
    def test_no_seed():
        pass
"""


def test_fixtures_and_markers_do_what_they_say(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, FIXTURES, *PLUGIN)
    assert outcomes(done) == {
        "test_script_is_used_up": ["PASSED"],
        "test_script_is_left": ["PASSED", "ERROR"],
        "test_blocked_by_scripted": ["PASSED"],
        "test_blocked_by_itself": ["PASSED"],
        "test_blocked_by_a_marker": ["PASSED"],
        "test_real_requests": ["PASSED"],
        "test_not_blocked": ["PASSED"],
        "test_leaks_nothing": ["PASSED"],
        "test_leaks": ["PASSED", "ERROR"],
        "TestSeeded::test_ids[1]": ["PASSED"],
        "TestSeeded::test_ids[2]": ["PASSED"],
        "TestSeeded::test_other_ids": ["PASSED"],
        "test_no_seed": ["ERROR"],
    }
    assert "1 of the script's 2 turns were asked for; the next is 'and?'" in done.stdout
    assert "thread: forgotten" in done.stdout
    assert "alloy_seed('six',) takes one whole number" in done.stdout


WITH_TRIO = """
    import pytest
    import trio
    from alloy_trio import run, stream
    from alloy_trio.providers import OpenAICompatible
    from alloy_trio.testing import Exchange

    seen = []

    @pytest.mark.parametrize("time", [1, 2])
    async def test_seeded_runs_are_equal(alloy_seeded_clock, alloy_scripted, time):
        order = []

        async def child(number):
            await trio.sleep(1)
            order.append(number)

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(child, number)
        async with stream("x", provider=alloy_scripted(["yes"])) as events:
            seen.append(([event async for event in events], order))
        assert trio.current_time() == 1
        assert seen[0] == seen[-1]

    async def test_server_without_exchanges(alloy_replay_server):
        async with alloy_replay_server([]) as server:
            provider = OpenAICompatible(model="m", base_url=server.url, api_key="k")
            with pytest.raises(Exception):
                await run("x", provider=provider, max_retries=0)

    async def test_server_that_nobody_asks(alloy_replay_server):
        async with alloy_replay_server([]) as server:
            assert server.url.startswith("http://127.0.0.1:")

    async def test_leaks_nothing(alloy_no_leaks, alloy_scripted):
        await run("x", provider=alloy_scripted(["yes"]))
"""


def test_tests_of_pytest_trio_are_served_too(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, WITH_TRIO, *TRIO, *PLUGIN, "-o", "trio_mode=true")
    assert outcomes(done) == {
        "test_seeded_runs_are_equal[1]": ["PASSED"],
        "test_seeded_runs_are_equal[2]": ["PASSED"],
        "test_server_without_exchanges": ["PASSED", "ERROR"],
        "test_server_that_nobody_asks": ["PASSED"],
        "test_leaks_nothing": ["PASSED"],
    }
    assert "the replay server was asked for what it has not got" in done.stdout


def test_a_failed_comparison_says_where_the_values_differ(tmp_path: Path) -> None:
    code = """
        from alloy_trio import Message, ToolUse

        def test_messages():
            said = (Message.user("a"), Message.assistant([ToolUse("1", "read", {"path": "a"})]))
            assert said == (said[0], Message.assistant([ToolUse("1", "read", {"path": "b"})]))
    """
    done = pytest_run(tmp_path, code, *PLUGIN)
    assert 'E         -     call 1 read: {"path": "a"}' in done.stdout
    assert 'E         +     call 1 read: {"path": "b"}' in done.stdout


def test_the_profiles_can_be_asked_for_on_the_command_line(tmp_path: Path) -> None:
    code = """
        from hypothesis import settings

        def test_profile():
            assert settings.default.derandomize
    """
    options = ("-p", "_hypothesis_pytestplugin", "--hypothesis-profile=alloy_reproduce")
    done = pytest_run(tmp_path, code, *options, *PLUGIN)
    assert outcomes(done) == {"test_profile": ["PASSED"]}


def test_a_suite_that_does_not_use_it_loads_nothing_of_it(tmp_path: Path) -> None:
    code = """
        import sys

        def test_nothing():
            ours = ("alloy_trio", "trio", "attr", "hypothesis")
            loaded = [name for name in sys.modules if name.partition(".")[0] in ours]
            assert loaded in ([], ["alloy_trio", "alloy_trio.testing", "alloy_trio.testing.plugin"])

        def test_a_comparison_fails():
            assert [1, 2] == [1, 3]
    """
    plain, loaded = (pytest_run(tmp_path, code, *options) for options in ((), PLUGIN))
    assert outcomes(loaded) == {"test_nothing": ["PASSED"], "test_a_comparison_fails": ["FAILED"]}
    # Where the kit is installed, pytest lists it among the plugins that it has found by itself.
    told = [re.sub(r" in [0-9.]+s |^plugins:.*\n", " ", done.stdout, flags=re.M) for done in (plain, loaded)]
    told = [re.sub(r"\s+", " ", each) for each in told]
    assert "At index 1 diff: 2 != 3" in told[0]
    assert told[0] == told[1]


def test_names_of_fixtures_and_markers_are_its_own(tmp_path: Path) -> None:
    done = pytest_run(tmp_path, "def test_nothing(): pass", *PLUGIN, "--fixtures", "--markers")
    import alloy_trio.testing.plugin as plugin

    fixtures = [name for name in vars(plugin) if name.startswith("alloy_")]
    assert len(fixtures) == 6
    assert re.findall(r"^@pytest\.mark\.(alloy_\w+)", done.stdout, re.M) == [
        "alloy_seed",
        "alloy_real_requests",
    ]


# --- the words --------------------------------------------------------------------------------------------


HELLO = Message.user("Hello.")
EVENT = Event(event="text_delta", seq=3, correlation_id="r", turn=1, ts_ms=0, payload="a")
RESULT = Result(
    text="a", messages=(HELLO,), usage=Usage(), status="completed", request_id="r", correlation_id="r"
)


@pytest.mark.parametrize(
    ("left", "right", "lines"),
    [
        (HELLO, Message.assistant("Hello."), ["Message == Message", "- user", "+ assistant", "      text: 'Hello.'"]),
        (
            [HELLO, HELLO],
            [HELLO],
            ["2 Messages == 1 Messages", "  [0] user", "      text: 'Hello.'", "- [1] user", "-     text: 'Hello.'"],
        ),
        (
            HELLO,
            attrs.evolve(HELLO, origin=Origin("a", "b")),
            ["Message == Message", "- user", "+ user (a/b)", "      text: 'Hello.'"],
        ),
        (
            [EVENT],
            [attrs.evolve(EVENT, seq=4)],
            [
                "1 Events == 1 Events",
                '- [0] 3 text_delta turn=1 0 ms r: "a"',
                '+ [0] 4 text_delta turn=1 0 ms r: "a"',
            ],
        ),
        (
            Message.user([ToolResult("1", "x")]),
            Message.user([ToolResult("1", "x", is_error=True)]),
            ["Message == Message", "  user", "-     result 1: 'x'", "+     error 1: 'x'"],
        ),
    ],
    ids=["role", "missing", "origin", "event", "result"],
)  # fmt: skip
def test_a_difference_is_said_line_by_line(left: Any, right: Any, lines: list[str]) -> None:
    assert explained(left, right) == lines


def test_a_result_is_compared_field_by_field() -> None:
    other = attrs.evolve(RESULT, text="b", messages=(HELLO, Message.assistant("b")))
    found = explained(RESULT, other)
    assert found is not None
    assert found[:3] == ["Result == Result", "- text: 'a'", "+ text: 'b'"]
    assert "+   [1] assistant" in found


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (1, 2),
        ([], [HELLO]),
        ([HELLO], [1]),
        (HELLO, "user"),
        (HELLO, HELLO),
        ("a", "b"),
        (Text("a"), Text("b")),
    ],
)
def test_what_it_does_not_know_is_left_to_pytest(left: Any, right: Any) -> None:
    assert explained(left, right) is None


def test_a_difference_that_is_not_in_the_short_form_is_shown_in_full() -> None:
    found = explained(Message.user([Image("image/png", b"a")]), Message.user([Image("image/png", b"b")]))
    assert found is not None and "data=b'a'" in found[2] and "data=b'b'" in found[3]
    found = explained(
        Message.assistant([ToolUse("1", "a", {}, extra={"x": 1})]), Message.assistant([ToolUse("1", "a", {})])
    )
    assert found is not None and "extra={'x': 1}" in "".join(found)


def test_a_long_difference_is_cut() -> None:
    left, right = ([Message.user(f"{word} {number}") for number in range(100)] for word in ("a", "b"))
    found = explained(left, right)
    assert found is not None
    assert len(found) < 70
    assert found[-1].endswith("lines more")
