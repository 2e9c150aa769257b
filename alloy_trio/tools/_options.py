"""What the restricted bash tool runs, with which options; pure data.

An option that is not listed is refused: nothing here writes, starts another program, follows links out of
the allowed directories or never ends. Long options have to be written out.

How many words an option takes has to be what the program itself makes of it: a value that the program takes for
a file would be a file that nobody looked at.
"""

from __future__ import annotations

from typing import Literal

import attrs

Kind = (
    Literal["", "text", "text?", "text=", "number", "number?", "number=", "path", "format=", "format?"]
    | tuple[str, ...]
)
"""What an option's value is; ``""`` for none. With ``?`` it is in the same word or not there; with ``=`` it is in the
same word; else it may be the next word too. A tuple lists what it may be, and may be the next word."""


@attrs.frozen(kw_only=True)
class Program:
    """The options of one program.

    Args:
        flags: letters without a value.
        letters: letters with a value.
        long: words, each with the kind of its value.
        counts: whether ``-5`` is an option.
        pattern_first: whether the first operand is a pattern and no path, unless an option gave one.
        revisions: whether it is git, where an operand may also be a revision, so that it need not name a file,
            and ``--`` parts the two.
    """

    flags: str
    letters: dict[str, Kind] = attrs.field(factory=dict)
    long: dict[str, Kind] = attrs.field(factory=dict)
    counts: bool = False
    pattern_first: bool = False
    revisions: bool = False


def _long(words: str, kind: Kind = "") -> dict[str, Kind]:
    return dict.fromkeys(words.split(), kind)


_GNU = _long("help version")

_DIFF: dict[str, Kind] = {
    **_long(
        "patch no-patch raw numstat shortstat summary compact-summary name-only name-status cumulative no-renames "
        "rename-empty no-rename-empty find-copies-harder irreversible-delete minimal patience histogram "
        "indent-heuristic no-indent-heuristic full-index binary text ignore-all-space ignore-space-change "
        "ignore-space-at-eol ignore-blank-lines ignore-cr-at-eol exit-code quiet check no-color no-color-moved "
        "no-prefix function-context no-function-context patch-with-stat patch-with-raw pickaxe-all pickaxe-regex "
        "no-relative no-ext-diff no-textconv no-abbrev"
    ),
    **_long("inter-hunk-context", "number"),
    **_long("unified", "number?"),
    **_long(
        "diff-filter diff-algorithm src-prefix dst-prefix line-prefix word-diff-regex color-moved-ws find-object "
        "ignore-matching-lines anchored ws-error-highlight stat-width stat-name-width stat-graph-width stat-count",
        "text",
    ),
    **_long(
        "stat dirstat dirstat-by-file color color-words color-moved word-diff relative find-renames find-copies "
        "break-rewrites abbrev",
        "text?",
    ),
}
_DIFF_LETTERS: dict[str, Kind] = {
    "U": "number?",
    "M": "text?",
    "C": "text?",
    "B": "text?",
    "X": "text?",
    "l": "number",
    "S": "text",
    "G": "text",
    "I": "text",
}

PROGRAMS: dict[str, Program] = {
    "ls": Program(
        flags="1AaBbCcDdFfGghiklmnNopQqRrSstUuvXxZ",
        letters={"I": "text", "T": "number", "w": "number"},
        long={
            **_GNU,
            **_long(
                "all almost-all author escape ignore-backups directory dired full-time group-directories-first "
                "no-group human-readable si inode kibibytes numeric-uid-gid literal hide-control-chars "
                "show-control-chars quote-name reverse recursive size file-type context zero"
            ),
            **_long(
                "sort time time-style format indicator-style hide ignore quoting-style block-size", "text"
            ),
            **_long("width tabsize", "number"),
            **_long("color classify hyperlink", "text?"),
        },
    ),
    "cat": Program(
        flags="AbEensTtuv",
        long=_GNU
        | _long("show-all number-nonblank show-ends number squeeze-blank show-tabs show-nonprinting"),
    ),
    "grep": Program(
        flags="EFGPiyvwxcLlqsobHhnTZzraUIV",
        letters={
            "e": "text",
            "f": "path",
            "m": "number",
            "A": "number",
            "B": "number",
            "C": "number",
            "d": ("read", "recurse", "skip"),
            "D": ("skip",),
        },
        long={
            **_GNU,
            **_long(
                "extended-regexp fixed-strings basic-regexp perl-regexp ignore-case no-ignore-case "
                "invert-match word-regexp line-regexp count files-without-match files-with-matches "
                "quiet silent no-messages only-matching byte-offset with-filename no-filename line-number "
                "initial-tab null null-data recursive text binary line-buffered no-group-separator"
            ),
            **_long("regexp label include exclude exclude-dir binary-files group-separator", "text"),
            **_long("file exclude-from", "path"),
            **_long("max-count after-context before-context context", "number"),
            **_long("color colour", "text?"),
            "directories": ("read", "recurse", "skip"),
            "devices": ("skip",),
        },
        counts=True,
        pattern_first=True,
    ),
    "wc": Program(
        flags="cmlLw",
        long=_GNU | _long("bytes chars lines max-line-length words") | _long("total", "text"),
    ),
    "head": Program(
        flags="qvz",
        letters={"n": "number", "c": "number"},
        long={**_GNU, **_long("quiet silent verbose zero-terminated"), **_long("lines bytes", "number")},
        counts=True,
    ),
    "tail": Program(
        flags="qvz",
        letters={"n": "number", "c": "number"},
        long={**_GNU, **_long("quiet silent verbose zero-terminated"), **_long("lines bytes", "number")},
        counts=True,
    ),
    "git status": Program(
        flags="sbz",
        letters={"u": "text?"},
        long={
            **_long("short branch long show-stash renames no-renames ahead-behind no-ahead-behind no-column"),
            **_long("porcelain untracked-files ignored column find-renames", "text?"),
        },
        revisions=True,
    ),
    "git diff": Program(
        flags="pswbazRWuD",
        letters=_DIFF_LETTERS,
        long=_DIFF | _long("cached staged merge-base reverse"),
        revisions=True,
    ),
    "git log": Program(
        flags="pswbazRWuDigEFPcmt",
        letters=_DIFF_LETTERS | {"n": "number", "L": "text"},
        long={
            **_DIFF,
            **_long(
                "oneline graph no-graph no-decorate abbrev-commit no-abbrev-commit follow merges no-merges "
                "first-parent topo-order date-order author-date-order boundary left-right left-only right-only "
                "cherry-pick cherry-mark cherry full-history simplify-merges simplify-by-decoration dense sparse "
                "show-pulls ancestry-path regexp-ignore-case invert-grep basic-regexp extended-regexp "
                "fixed-strings perl-regexp all-match parents children no-notes full-diff reverse walk-reflogs "
                "all not cc source log-size relative-date no-min-parents no-max-parents no-expand-tabs "
                "use-mailmap mailmap no-mailmap no-use-mailmap clear-decorations no-walk reflog"
            ),
            **_long("max-count skip", "number"),
            **_long("min-parents max-parents", "number="),
            **_long(
                "author committer grep grep-reflog since after until before date encoding glob exclude "
                "decorate-refs decorate-refs-exclude",
                "text",
            ),
            **_long("format", "format="),
            **_long("pretty", "format?"),
            **_long("decorate branches tags remotes", "text?"),
        },
        counts=True,
        revisions=True,
    ),
}

INSTEAD = {
    "awk": "use grep -o, or cat",
    "cd": "there is no other directory; name the path as an argument, or write git -C directory status",
    "diff": "use git diff where the files are under git, or cat both",
    "echo": "nothing has to be printed",
    "egrep": "use grep -E",
    "fgrep": "use grep -F",
    "file": "use head -c 200",
    "find": "use ls -R, a glob such as */*.py, or grep -rl",
    "git blame": "use git log -p -- file, or git log -L 10,20:file",
    "git branch": "use git log --branches --oneline --simplify-by-decoration",
    "git grep": "use grep -rn",
    "git ls-files": "use ls -R",
    "git rev-parse": "use git log -1 --format=%H",
    "git show": "use git log -p -1 revision",
    "git tag": "use git log --tags --oneline --simplify-by-decoration",
    "less": "use cat or head",
    "more": "use cat or head",
    "nl": "use cat -n",
    "rg": "use grep -rn",
    "sed": "use head -n 20 file | tail -n 5 to look at lines",
    "sort": "read it unsorted",
    "stat": "use ls -l",
    "tree": "use ls -R",
    "type": "there is no search for programs",
    "which": "there is no search for programs",
}
"""What to write instead of programs that models ask for."""
