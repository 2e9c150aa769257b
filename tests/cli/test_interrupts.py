"""Signals, and what is left of the processes that a request had started."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alloy_trio.tools._groups import lives

REQUEST = """
import sys
import alloy_trio.tools._processes as processes
from alloy_trio.cli._interrupts import Interrupts
from alloy_trio.cli._render import Activity, AnswerView, standard_output
from alloy_trio.cli._request import follow
from alloy_trio.cli._settings import Settings
from alloy_trio.providers import Scripted
from alloy_trio.tools import bash_tool
from alloy_trio.values import ToolUse

processes.GRACE = 1_000  # so that nothing but the second signal ends it
output = standard_output()
activity = Activity(sys.stderr, output)
call = ToolUse("1", "bash", {"command": sys.argv[1]})
with Interrupts() as interrupts:
    follow(
        "hi",
        provider=Scripted([[call], "done"]),
        tools=[bash_tool(restricted=False)],
        settings=Settings(),
        view=AnswerView(output, activity, streamed=True, verbose=False),
        activity=activity,
        interrupts=interrupts,
    )
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_second_interrupt_leaves_no_process_behind(tmp_path: Path, environment: dict[str, str]) -> None:
    os.mkfifo(tmp_path / "told")
    command = f"trap '' TERM INT; sleep 100 & echo $$ > {tmp_path}/told; while true; do sleep 0.05; done"
    with subprocess.Popen(
        (sys.executable, "-c", REQUEST, command),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            group = int((tmp_path / "told").read_text())
            give_up = time.monotonic() + 60
            while process.poll() is None:
                assert time.monotonic() < give_up
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(0.02)
                except subprocess.TimeoutExpired:
                    continue
            assert process.returncode == 130
            while lives(group):
                assert time.monotonic() < give_up, "what the command had started runs on"
                os.sched_yield()
        finally:
            process.kill()
