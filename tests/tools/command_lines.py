"""Command lines made at random out of what good and bad ones are made of, and a place where they can be tried.

Each is a line that is allowed, or an attack, taken apart into tokens and changed. Only programs of the restricted
bash tool and canaries are named in them, and only files below one temporary directory: run by a real shell, they
can touch nothing else.
"""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from random import Random

import attrs

MARKS = (b"CANARY-of", b"CANARY-name", b"CANARY-commit")
"""What is in every file, in one name of every directory, and in a commit, that may not be read."""

_PROGRAMS = ("ls", "cat", "grep", "wc", "head", "tail", "git status", "git log", "git diff")
_OPTIONS = {
    "ls": "-l -a -la -R -d -1 -L -H -lL -I * --color=never --hide=a --dereference -w 80 --ignore '*.py'",
    "cat": "-n -A -- -b -E --number --files0-from=SECRET",
    "grep": "-r -n -rn -R -e foo -e CANARY -f SECRET -fSECRET --file=SECRET --file SECRET -E -i -c -l -o -v -h -H -s "
    "--include=*.py --include SECRET --exclude-from=SECRET --exclude-from SECRET -A3 -C 2 -m1 -d recurse -D read "
    "--directories=recurse --dereference-recursive -- -vf SECRET -rnf SECRET -reCANARY --regexp=. --color=never",
    "wc": "-l -c -w --files0-from=SECRET --files0-from SECRET -lc --",
    "head": "-n 5 -5 -c 100 -q -v -n5 --lines=3 -- -n SECRET",
    "tail": "-n +1 -5 -c 100 -q -v -n5 --lines=3 -- --pid=1 +1 -n SECRET",
    "git status": "-s -sb --porcelain -uno --ignored -- -v --ignore-submodules=none",
    "git log": "-p -1 -5 --stat --oneline -n 2 --all --format=%h --format=mine --format=%G? --pretty --since=1 "
    "-S foo -- --output=WRITE --ext-diff --textconv --grep SECRET -L1,2:a.txt -O SECRET -OSECRET "
    "--no-index -g --remerge-diff",
    "git diff": "--stat HEAD HEAD~1 -- --cached --no-index --output=WRITE --output WRITE --ext-diff "
    "--textconv -O SECRET -OSECRET -U0 -w --name-only --submodule=diff --relative=.. "
    "--src-prefix SECRET -S foo --no-ext-diff",
}
_INSIDE = (
    *(
        "a.txt",
        "sub",
        "sub/b.py",
        ".",
        "./a.txt",
        "*.txt",
        "sub/*.py",
        "*",
        ".*",
        "[ab]*",
        "'my file'",
        "my*",
        "in",
    ),
    *("nothing", "HEAD", "*x", "-x", "?", "sub/..", "'*'", "TOP/root/a.txt", "link/b.py", "up/root/b.txt"),
)
_OUTSIDE = (
    *(
        "../secret",
        "TOP/secret",
        "out",
        "up/secret",
        "..",
        "TOP",
        "up",
        "sub/../../secret",
        "sub/abs/far",
        "../far/far",
    ),
    *(
        "../*",
        "u*/secret",
        "o*",
        "*/abs/*",
        "../s?cret",
        "up/*",
        "../other",
        "link/../secret",
        "./../secret",
        "*/../../secret",
    ),
    *(
        "sub/abs",
        "up/root/../secret",
        "../s[e]cret",
        "..//secret",
        "sub/ab*/f*",
        "~/secret",
        "'../secret'",
        ":(top)../secret",
    ),
)
_PATTERNS = ("foo", "CANARY", "'a|b'", '"foo|bar"', "'.'", "^", "../secret", '"a$"', "x*", ".", "''")
_RUNS = (
    *(
        "canary",
        "TOP/bin/canary",
        "./run.sh",
        "sh run.sh",
        ". ./run.sh",
        "eval canary",
        "exec canary",
        "command canary",
    ),
    *(
        "env canary",
        "xargs canary",
        "nohup canary",
        "timeout 1 canary",
        "$(canary)",
        "`canary`",
        '"$(canary)"',
        "<(canary)",
    ),
    *(
        "(canary)",
        "{ canary; }",
        "c'anary'",
        "can\\ary",
        "cana?y",
        "$X",
        "X=1 canary",
        "! canary",
        "bash -c canary",
    ),
    *(
        "ls() { canary; }; ls",
        "time canary",
        "builtin eval canary",
        "${X:-$(canary)}",
        "'canary'",
        "\tcanary",
        "./r*",
    ),
)
_GIT_RUNS = (
    *(
        "git -c core.fsmonitor=canary status",
        "git -c diff.external=canary diff HEAD~1",
        "git -c alias.x=!canary x",
    ),
    *(
        "git -c core.pager=canary --paginate log",
        "git --exec-path=TOP/bin status",
        "git -C ../other log -p",
        "git -C .. log",
    ),
    *(
        "git --git-dir=../other/.git log -p",
        "git grep -Ocanary foo",
        "git -C up/other log -p",
        "git log -p --output=WRITE",
    ),
    *(
        "git diff --no-index a.txt ../secret",
        "git diff a.txt ../secret",
        "git -C evil status",
        "git -C evil diff",
    ),
    *(
        "git -p log",
        "git --no-pager log",
        "git -P diff HEAD~1",
        "git -C sub status",
        "git --work-tree=.. diff",
    ),
)
_JOINS = ("|", "&&", "&&", "|", ";", "||", "&", "\n", "|&", "\r", " ; ", "&&\n", " | ", "&& &&")
_REDIRECTS = (
    *(
        "> WRITE",
        ">> WRITE",
        "2> WRITE",
        "&> WRITE",
        ">| WRITE",
        "< ../secret",
        "<../secret",
        "> TOP/written",
        "2>&1",
    ),
    *(
        "2>/dev/null",
        "> a.txt",
        "<<< x",
        "1> WRITE",
        "2>WRITE",
        "> .git/config",
        ">WRITE",
        "2> /dev/null",
        "2>&1>WRITE",
    ),
)
_GLUE = (
    "'",
    '"',
    "\\",
    "$",
    "`",
    "*",
    "?",
    "[",
    "]",
    "#",
    "~",
    "!",
    "\0",
    "\u2028",
    "\xa0",
    "=",
    "-",
    "--",
    "@{u}",
    ",",
    "\t",
    "",
)


@attrs.frozen
class Place:
    """A directory that may be looked at, with canaries around it."""

    top: Path

    @property
    def root(self) -> Path:
        """What may be looked at."""
        return self.top / "root"

    @property
    def fired(self) -> bool:
        """Whether a canary program ran."""
        return (self.top / "fired").exists()

    def state(self) -> dict[str, tuple[int, int, int]]:
        """What is there, to see whether anything was written."""
        found = {}
        for directory, names, files in os.walk(self.top):
            for name in (*names, *files):
                path = os.path.join(directory, name)
                info = os.lstat(path)
                times = 0 if os.path.isdir(path) else info.st_mtime_ns
                found[path] = (info.st_mode, 0 if os.path.isdir(path) else info.st_size, times)
        return found


def make_place(top: Path) -> Place:
    """Build it; ``top`` should have some temporary directories above it."""
    place = Place(top)
    root = place.root
    for name in ("root/sub", "far", "bin", "home", "other"):
        (top / name).mkdir(parents=True)
    secrets = (
        "secret",
        "far/far",
        "home/secret",
        "CANARY-name",
        "far/CANARY-name",
        "other/CANARY-name",
        "home/CANARY-name",
    )
    for name in secrets:
        (top / name).write_text(f"CANARY-of-{name.replace('/', '-')}\nfoo\n")
    script = f"#!/bin/sh\necho ran >> {top}/fired\n"
    for name in ("bin/canary", "root/run.sh", "bin/git-status"):
        (top / name).write_text(script)
        (top / name).chmod(0o755)
    (root / "a.txt").write_text("foo\nbar\na|b\n")
    (root / "b.txt").write_text("foo b\n")
    (root / "-x").write_text("dashed\n")
    (root / "my file").write_text("foo in it\n")
    (root / ".hidden").write_text("foo\n")
    (root / "sub" / "b.py").write_text("foo = 1\n")
    (root / "out").symlink_to("../secret")
    (root / "up").symlink_to("..")
    (root / "in").symlink_to("a.txt")
    (root / "link").symlink_to("sub")
    (root / "sub" / "abs").symlink_to(top / "far")
    _git(root, "init")
    _git(root, "add", "a.txt", "sub/b.py")
    _git(root, "commit", "-m", "first")
    (root / "a.txt").write_text("foo\nbar\na|b\nmore\n")
    _git(root, "commit", "-am", "second")
    (root / "a.txt").write_text("foo\nchanged\n")
    _git(top / "other", "init")
    _git(top / "other", "add", ".")
    _git(top / "other", "commit", "-m", "CANARY-commit")
    evil = root / "evil"
    evil.mkdir()
    (evil / "a").write_text("x\n")
    _git(evil, "init")
    _git(evil, "add", "a")
    _git(evil, "commit", "-m", "x")
    (evil / "a").write_text("y\n")
    _git(evil, "config", "core.fsmonitor", str(top / "bin" / "canary"))
    _git(evil, "config", "diff.external", str(top / "bin" / "canary"))
    return place


def _git(directory: Path, *arguments: str) -> None:
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "init.defaultBranch=main")
    subprocess.run(
        ["git", *identity, *arguments],
        cwd=directory,
        env=environment,
        check=True,
        capture_output=True,
        timeout=60,
    )


class Watch:
    """Tells whether anything around the place was opened, by whom ever; where the system does not tell, nothing was.

    Args:
        place: what is around it is watched.
    """

    _OPENED = 0x20
    _HEADER = struct.Struct("iIII")

    def __init__(self, place: Place) -> None:
        self._names: dict[int, str] = {}
        self._descriptor = -1
        if not sys.platform.startswith("linux"):
            return
        libc = ctypes.CDLL(None, use_errno=True)
        self._descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        for directory, names, _ in os.walk(place.top):
            if directory == str(place.top):
                names.remove("root")
            watched = libc.inotify_add_watch(self._descriptor, os.fsencode(directory), self._OPENED)
            assert watched >= 0, os.strerror(ctypes.get_errno())
            self._names[watched] = directory
        self.opened()  # by the walk

    def opened(self) -> list[str]:
        """What was opened since the last time."""
        try:
            events = os.read(self._descriptor, 1 << 16) if self._descriptor >= 0 else b""
        except BlockingIOError:
            return []
        found = []
        while events:
            watched, _, _, length = self._HEADER.unpack_from(events)
            name = events[self._HEADER.size : self._HEADER.size + length].rstrip(b"\0").decode()
            events = events[self._HEADER.size + length :]
            # The directory above may not be opened, but what may be looked at is named in it.
            if name != "root":
                found.append(os.path.join(self._names.get(watched, "more than can be told"), name))
        return found

    def close(self) -> None:
        """Watch no longer."""
        if self._descriptor >= 0:
            os.close(self._descriptor)


def command_lines(random: Random, top: Path) -> Iterator[str]:
    """Command lines, none twice, without end."""
    seen: set[str] = set()
    while True:
        tokens = _line(random)
        for _ in range(random.choice((0, 0, 0, 1, 1, 2, 4))):
            tokens = _changed(random, tokens)
        line = "".join(tokens).replace("TOP", str(top)).replace("SECRET", random.choice(_OUTSIDE[:8]))
        line = line.replace("TOP", str(top)).replace(
            "WRITE", random.choice(("../written", f"{top}/written", "new"))
        )
        if line not in seen:
            seen.add(line)
            yield line


def _line(random: Random) -> list[str]:
    tokens = _command(random)
    while random.random() < 0.3:
        tokens += [" ", random.choice(_JOINS), " ", *_command(random)]
    return tokens


def _command(random: Random) -> list[str]:
    kind = random.random()
    if kind < 0.08:
        return _spaced([random.choice(_RUNS), *random.sample(_INSIDE, random.randrange(2))])
    if kind < 0.15:
        return _spaced(random.choice(_GIT_RUNS).split(" "))
    program = random.choice(_PROGRAMS)
    options = _OPTIONS[program].split(" ")
    words: list[str] = []
    for _ in range(random.choice((0, 1, 1, 2, 3))):
        at = random.randrange(len(options))
        words += options[at : at + random.choice((1, 1, 2))]
    if program == "grep":
        words.insert(random.randrange(len(words) + 1), random.choice(_PATTERNS))
    for _ in range(random.choice((0, 1, 1, 2))):
        words.append(random.choice(_OUTSIDE if random.random() < 0.25 else _INSIDE))
    if random.random() < 0.3:
        random.shuffle(words)
    if random.random() < 0.08:
        words.append(random.choice(_REDIRECTS))
    if random.random() < 0.04:
        words.append(random.choice(_RUNS))
    return _spaced([program, *words])


def _spaced(words: list[str]) -> list[str]:
    return [piece for word in words for piece in (word, " ")][:-1]


def _changed(random: Random, tokens: list[str]) -> list[str]:
    tokens = list(tokens)
    at = random.randrange(len(tokens))
    match random.randrange(7):
        case 0:
            tokens.insert(at, random.choice(_GLUE))
        case 1:
            del tokens[at]
        case 2:
            tokens[at] = random.choice(_INSIDE + _OUTSIDE)
        case 3:
            tokens[at] = random.choice(
                ("'{}'", '"{}"', "'{}", "{}''", '""{}', "./{}", "{}/", "{}/.", "-{}", "--x={}")
            ).format(tokens[at])
        case 4:
            other = random.randrange(len(tokens))
            tokens[at], tokens[other] = tokens[other], tokens[at]
        case 5:
            tokens.insert(at, random.choice(_JOINS + _REDIRECTS))
        case _:
            word = tokens[at]
            cut = random.randrange(len(word) + 1)
            tokens[at] = word[:cut] + random.choice(_GLUE) + word[cut:]
    return tokens or ["ls"]
