"""A campaign of command lines against the restricted bash tool: no canary is touched, and the lines can touch them.

``ALLOY_TRIO_FULL=1`` runs all of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from itertools import islice
from pathlib import Path
from random import Random

import pytest

from alloy_trio.tools import ToolContext, ToolError
from alloy_trio.tools._arguments import plan

from .command_lines import MARKS, Place, Watch, command_lines, make_place
from .lines import Pipelines, perform

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed"),
]

FULL = os.environ.get("ALLOY_TRIO_FULL") == "1"
LINES = 120_000 if FULL else 4_000
RUN_OF = 3 if FULL else 12
"""One of so many planned lines is run, besides all those that look as if they might touch something."""

PROGRAMS = frozenset(("ls", "cat", "grep", "wc", "head", "tail", "git"))

TOUCHED = 100 if FULL else 40
"""How many canaries the lines have to touch in a shell."""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return make_place(tmp_path / "a" / "b" / "c" / "top")


def suspicious(pipelines: Pipelines, place: Place) -> bool:
    """Whether any part of any argument could name something outside, or is not of the few programs."""
    for argv in (argv for pipeline in pipelines for argv in pipeline):
        directory, _, program = argv[0].rpartition("/")
        if directory not in ("/usr/bin", "/bin") or program not in PROGRAMS:
            return True
        for word in argv[1:]:
            parts = (word, word[2:], word.partition("=")[2], word.rpartition(":")[2])
            for part in filter(None, parts):
                path = os.path.realpath(place.root / part)
                if os.path.exists(path) and not f"{path}/".startswith(f"{place.root}/"):
                    return True
    return False


def test_no_line_touches_a_canary(place: Place) -> None:
    context = ToolContext.at(place.root)
    before = place.state()
    planned = run = looked = 0
    with closing(Watch(place)) as watch:
        for line in islice(command_lines(Random(4), place.top), LINES):
            try:
                pipelines = plan(line, context)
            except ToolError as exc:
                refusal = str(exc)
            else:
                refusal = ""
            assert not watch.opened(), line
            if refusal:
                assert refusal.startswith("Nothing was run"), line
                assert not any(mark in refusal.encode(errors="replace") for mark in MARKS), line
                continue
            planned += 1
            is_suspicious = suspicious(pipelines, place)
            looked += is_suspicious
            if is_suspicious or planned % RUN_OF == 0:
                run += 1
                done = perform(pipelines, context)
                assert not any(mark in done.output + done.errors for mark in MARKS), (line, pipelines, done)
                assert not watch.opened(), (line, pipelines)
                if run % 20 == 0 or is_suspicious:
                    assert not place.fired, (line, pipelines)
                    assert place.state() == before, (line, pipelines)
                    watch.opened()
    assert not place.fired
    assert place.state() == before
    print(
        f"{LINES} lines: {planned} planned, {run} of them run, {looked} of these because they looked suspicious"
    )
    assert planned > LINES / 20, "hardly any line is allowed, so this shows little"
    assert run > planned / 20


def test_what_is_opened_around_the_place_is_noticed(place: Place) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux tells what was opened")
    with closing(Watch(place)) as watch:
        (place.root / "a.txt").read_bytes()
        os.listdir(place.root)
        assert watch.opened() == []
        (place.root / "out").read_bytes()
        assert watch.opened() == [str(place.top / "secret")]
        os.listdir(place.top / "far")
        assert set(watch.opened()) == {str(place.top / "far"), f"{place.top}/far/"}
        os.listdir(place.top)
        assert watch.opened() == [f"{place.top}/"]


def test_the_same_lines_do_touch_canaries_in_a_shell(place: Place, tmp_path: Path) -> None:
    """In bash, which contains nothing. The lines name no other programs, and files below one directory only."""
    pristine = tmp_path / "pristine"
    shutil.copytree(place.top, pristine, symlinks=True)
    before = {path: place.state()[path] for path in place.state()}
    touched: dict[str, int] = {"read": 0, "written": 0, "run": 0}
    tried = 0
    for line in command_lines(Random(4), place.top):
        if sum(touched.values()) >= TOUCHED or tried >= 20 * TOUCHED:
            break
        if "\0" in line:
            continue
        tried += 1
        # In the background something could outlive its line; what waits for more is ended.
        process = subprocess.Popen(
            ["bash", "-c", line],
            cwd=place.root,
            env={
                "PATH": f"{place.top}/bin:/usr/bin:/bin",
                "HOME": f"{place.top}/home",
                "X": "canary",
                "GIT_CONFIG_NOSYSTEM": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=1)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            said, _ = process.communicate()
        now = place.state()
        # Git keeps notes in its index, which harms nobody.
        for path in (path for path in now if path.endswith(("/.git/index", "/.git"))):
            now[path] = before.get(path, now[path])
        if place.fired:
            touched["run"] += 1
        elif now != before:
            touched["written"] += 1
        elif any(mark in said for mark in MARKS):
            touched["read"] += 1
        if now != before:
            shutil.rmtree(place.top)
            shutil.copytree(pristine, place.top, symlinks=True)
            before = place.state()
    print(f"{tried} lines in bash touched {touched}")
    assert sum(touched.values()) >= TOUCHED
    assert min(touched.values()) >= TOUCHED / 20
