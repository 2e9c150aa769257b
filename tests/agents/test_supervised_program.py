"""Supervised agents in a program of their own: how it ends, and with what status."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import alloy_trio

PROGRAM = """
import sys
import trio
from alloy_trio import ChildSpec, application, open_supervisor, start_agent
from alloy_trio.abc import Middleware
from alloy_trio.providers import Scripted

how = sys.argv[1]

def say(*words):
    print(*words, flush=True)

class Slow(Scripted):
    async def answer(self, request):
        await trio.sleep(100)

class Around(Middleware):
    async def session(self, proceed, run):
        try:
            await proceed()
        finally:
            if how == "stuck":
                say("stuck", run.agent_id)
                await trio.sleep(100)
            say("over", run.agent_id)

    async def completion(self, request, proceed, run):
        if how == "crash":
            raise ValueError("a bug")
        return await proceed(request)

async def save(session):
    say("saved", session.id)

async def crew(*, task_status):
    async with open_supervisor(name="crew", max_restarts=2) as supervisor:
        for name in ("one", "two"):
            options = {"provider": Slow([]), "middleware": [Around()], "on_shutdown": save, "max_pending": 9}
            agent = await start_agent(supervisor, name, **options, shutdown=50.0)
            if how != "crash" or name == "two":
                for _ in range(3):
                    agent.send("x")
        say("up")
        task_status.started()
        await trio.sleep_forever()

spec = ChildSpec("crew", crew, shutdown=60.0)
sys.exit(trio.run(lambda: application([spec], max_restarts=0)))
"""


@contextmanager
def program(how: str) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "PYTHONPATH": str(Path(alloy_trio.__file__).parent.parent)}
    command = [sys.executable, "-c", PROGRAM, how]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_it_closes_its_agents_the_last_first(number: int) -> None:
    with program("fine") as started:
        assert started.stdout is not None and started.stderr is not None
        assert started.stdout.readline() == "up\n"
        started.send_signal(number)
        assert started.stdout.read().split("\n") == ["over two", "saved two", "over one", "saved one", ""]
        assert started.stderr.read() == ""
        assert started.wait(timeout=30) == 0


def test_told_twice_it_leaves_its_agents_no_more_time() -> None:
    with program("stuck") as started:
        assert started.stdout is not None and started.stderr is not None
        assert started.stdout.readline() == "up\n"
        started.send_signal(signal.SIGTERM)
        assert started.stdout.readline() == "stuck two\n"
        started.send_signal(signal.SIGTERM)
        assert started.stdout.read().split("\n") == ["saved two", "stuck one", "saved one", ""]
        assert started.wait(timeout=30) == 128 + signal.SIGTERM
        warnings = started.stderr.read()
        assert "the end of the agent two was stopped" in warnings
        assert "did not end within" not in warnings


def test_when_an_agent_crashes_too_often_it_says_why_and_exits_with_one() -> None:
    with program("crash") as started:
        output, errors = started.communicate(timeout=60)
        assert started.returncode == 1
        lines = output.split("\n")
        assert lines[0] == "up"
        assert lines[-3:] == ["over one", "saved one", ""]
        assert lines.count("over two") == lines.count("saved two") == 3
        assert "ValueError: a bug" in errors
        assert "RestartLimitExceeded: child 'crew' of supervisor 'application'" in errors
