"""A tree as a program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

import alloy_trio
from alloy_trio import RestartLimitExceeded
from alloy_trio.supervision import ChildSpec, application

from ._children import Stage, holds_out


async def signals_itself(*numbers: int) -> None:
    for number in numbers:
        signal.raise_signal(number)
        await trio.testing.wait_all_tasks_blocked(0.01)
    await trio.sleep_forever()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_stops_the_tree_in_order_and_the_status_is_zero(number: int) -> None:
    stage = Stage()
    status = await application([*stage.specs("ab"), ChildSpec("signals", signals_itself, args=(number,))])
    assert status == 0
    assert stage.take() == "+a +b -b -a"


async def test_a_second_signal_takes_the_time_away(autojump_clock: MockClock) -> None:
    log: list[str] = []

    async def twice() -> None:
        signal.raise_signal(signal.SIGTERM)
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            signal.raise_signal(signal.SIGINT)

    specs = [ChildSpec("a", holds_out, args=(log, 100.0), shutdown=1000.0), ChildSpec("b", twice)]
    assert await application(specs) == 128 + signal.SIGINT
    assert log == ["cut off after 0"]


async def test_an_auto_shutdown_is_a_normal_end() -> None:
    done = ChildSpec("done", trio.sleep, args=(0,), restart="temporary", significant=True)
    assert await application([done], auto_shutdown="any_significant") == 0


async def test_giving_up_leaves_as_it_is() -> None:
    with pytest.raises(RestartLimitExceeded, match="supervisor 'application'"):
        await application([ChildSpec("a", trio.sleep, args=(0,))])


async def test_signals_that_are_ignored_stay_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        stage = Stage()
        done = ChildSpec("done", trio.sleep, args=(0.01,), restart="temporary", significant=True)
        specs = [*stage.specs("a"), ChildSpec("signals", signals_itself, args=(signal.SIGINT,)), done]
        assert await application(specs, signals=[signal.SIGINT], auto_shutdown="any_significant") == 0
    finally:
        signal.signal(signal.SIGINT, before)


PROGRAM = """
import sys, trio
from alloy_trio.supervision import ChildSpec, application, grace

async def server(how):
    print("up", flush=True)
    try:
        if how == "fail":
            raise OSError("the port is taken")
        await trio.sleep_forever()
    finally:
        with grace():
            await trio.sleep(0.01)
            print("down", flush=True)

sys.exit(trio.run(application, [ChildSpec("server", server, args=(sys.argv[1],))]))
"""


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 0)])
def test_a_program_that_is_told_to_end_ends_in_order(number: int, status: int) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(alloy_trio.__file__).parent.parent)}
    command = [sys.executable, "-c", PROGRAM, "run"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "up\n"
        program.send_signal(number)
        assert program.stdout.read() == "down\n"
        assert program.wait(timeout=30) == status


def test_a_program_that_fails_says_why_and_exits_with_one() -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(alloy_trio.__file__).parent.parent)}
    command = [sys.executable, "-c", PROGRAM, "fail"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == "up\ndown\n" * 4
    assert "RestartLimitExceeded: child 'server'" in done.stderr
