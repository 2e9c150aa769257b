"""The restricted grammar and its table: what passes means what it means in sh, the rest is refused."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.tools._programs import allowed
from alloy_trio.tools._restricted import MAX_COMMANDS, parse
from alloy_trio.values import ToolError


def texts(line: str) -> list[list[list[str]]]:
    return [[[word.text for word in command] for command in pipeline] for pipeline in parse(line)]


def permit(line: str) -> None:
    for pipeline in parse(line):
        for command in pipeline:
            allowed(command)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ls", [[["ls"]]]),
        ("  ls -la \t a\n", [[["ls", "-la", "a"]]]),
        ("cat a|grep b&&wc", [[["cat", "a"], ["grep", "b"]], [["wc"]]]),
        ("grep 'a;b' x", [[["grep", "a;b", "x"]]]),
        ('grep "a|b" x', [[["grep", "a|b", "x"]]]),
        ("""grep a'b'"c"d x""", [[["grep", "abcd", "x"]]]),
        ("""cat '' "" """, [[["cat", "", ""]]]),
        (r'grep "a\"b\\c\d\$" x', [[["grep", r'a"b\c\d$', "x"]]]),
        ('grep "end$" x', [[["grep", "end$", "x"]]]),
        (
            "git log a..b -- x#y 50% a@b ^c +d a=b",
            [[["git", "log", "a..b", "--", "x#y", "50%", "a@b", "^c", "+d", "a=b"]]],
        ),
    ],
)
def test_words_pipes_and_ands(line: str, words: list[list[list[str]]]) -> None:
    assert texts(line) == words


def test_only_unquoted_characters_make_a_glob() -> None:
    (((_, first, second, third),),) = parse("ls *.py '*.py' a\"?\"b")
    assert [first.is_glob, second.is_glob, third.is_glob] == [True, False, False]


@pytest.mark.parametrize(
    "line",
    [
        *(
            "",
            "   ",
            "|",
            "ls |",
            "ls &&",
            "&& ls",
            "ls | | wc",
            "ls ||  wc",
            "ls |& wc",
            "ls &",
            "ls & wc",
            "ls;wc",
        ),
        *(
            "ls > a",
            "ls < a",
            "ls 2>&1",
            "ls `a`",
            "ls $a",
            "ls ${a}",
            'ls "$a"',
            'ls "`a`"',
            "ls $(a)",
            'ls "$(a)"',
        ),
        *("(ls)", "{ ls; }", "ls {a,b}", "ls a\\ b", "ls ~", "ls ~root", "# ls", "ls # a", "! ls", "ls !a"),
        *(
            "ls 'a",
            'ls "a',
            "ls\nwc",
            "ls\rwc",
            "ls\0",
            "ls 'a\nb'",
            "ls \x1b",
            "ls \x7f",
            "$'a'",
            'ls "$\'a"',
        ),
        " && ".join(["ls"] * (MAX_COMMANDS + 1)),
        "ls " + "a" * 8_000,
    ],
)
def test_everything_else_is_refused(line: str) -> None:
    with pytest.raises(ToolError, match="Nothing was run"):
        parse(line)


@given(st.text("abA*?['\"\\ \t$`-=.#~é/|&;><(){}!\u2028", max_size=12))
def test_what_passes_means_what_sh_makes_of_it(line: str) -> None:
    try:
        commands = texts(line)
    except ToolError:
        return
    flat = [word for pipeline in commands for command in pipeline for word in command]
    reader = shlex.shlex(line, posix=True, punctuation_chars="|&")
    reader.whitespace = " \t\n"
    reader.whitespace_split = True
    reader.commenters = ""
    reader.escapedquotes = '"'
    if "\\" in line or "$" in line:
        return  # shlex reads \$ and \` inside double quotes otherwise than sh does
    assert flat == [word for word in reader if word not in ("|", "&&")]


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=8), min_size=1, max_size=4))
def test_words_quoted_by_shlex_come_back(words: list[str]) -> None:
    line = " ".join(shlex.quote(word) for word in words)
    assert texts(line) == [[words]]
    (((*parsed,),),) = parse(line)
    assert not any(word.is_glob for word in parsed)


@pytest.mark.parametrize(
    "line",
    [
        "ls -la --color=never",
        "ls -I '*.pyc' -w 80",
        "cat -n a -- -b",
        "grep -rn --include=*.py -e foo -A3 -C 2 -m1 .",
        "grep -5 foo a",
        "grep -f patterns a",
        "wc -l --words a b",
        "head -n5 a",
        "head -20 a",
        "tail -n +5 a",
        "head --lines=3 a",
        "git status -sb --porcelain=v2 .",
        "git status -- a",
        "git diff HEAD~1 --stat -U5 -- a b",
        "git log --oneline -n 5 -p --since='2 days ago' --format='%h %s' main..dev",
        "git log --pretty=oneline -10",
        "git log --pretty=format:%H",
    ],
)
def test_the_ordinary_options_are_allowed(line: str) -> None:
    permit(line)


@pytest.mark.parametrize(
    "line",
    [
        *(
            "id",
            "find .",
            "sed p",
            "awk 1",
            "env",
            "rm a",
            "/bin/ls",
            "./ls",
            "l's'",
            "'ls'",
            "l*",
            "LS",
            "ls2",
            "A=b ls",
        ),
        *(
            "ls -L",
            "ls -H",
            "ls --dereference",
            "grep -R a .",
            "grep --dereference-recursive a",
            "grep -D read a b",
        ),
        *(
            "cat --files0-from=a",
            "wc --files0-from=a",
            "tail -f a",
            "tail -F a",
            "tail --follow a",
            "tail --pid=1 a",
        ),
        *(
            "tail -nx a",
            "head --lines=x a",
            "grep -m",
            "grep -A x y",
            "cat --number=3 a",
            "ls --col",
            "ls -laL",
        ),
        *(
            "git",
            "git fetch",
            "git grep a",
            "git -c a=b log",
            "git -C / log",
            "git --exec-path=. status",
            "git config -l",
        ),
        *(
            "git diff --ext-diff",
            "git diff --textconv",
            "git diff --output=a",
            "git diff --no-index a b",
            "git diff -Oa",
        ),
        *("git log --output=a", "git log --show-signature", "git log --format=%G?", "git log --format=%h%GS"),
        *(
            "git log --pretty=mine",
            "git log --format=mine",
            "git log --submodule=diff",
            "git status -v",
            "git show",
        ),
        *("git log -Lf:a", "git log --exec=a", "git diff --submodule", "git status --ignore-submodules=none"),
        "grep a* b",
    ],
)
def test_what_is_not_in_the_table_is_refused(line: str) -> None:
    with pytest.raises(ToolError, match="Nothing was run"):
        permit(line)


def test_the_pattern_of_grep_is_no_path_and_the_rest_is() -> None:
    def paths(line: str) -> list[str | None]:
        (((command,),),) = (parse(line),)
        return [argument.path for argument in allowed(command).arguments]

    assert paths("grep /etc/passwd a b") == [None, "a", "b"]
    assert paths("grep -e /etc/passwd a") == [None, None, "a"]
    assert paths("grep -e/etc/passwd a") == [None, "a"]
    assert paths("grep -f p a") == [None, "p", "a"]
    assert paths("grep -fp a") == ["p", "a"]
    assert paths("grep --file=p a") == ["p", "a"]
    assert paths("grep -i -- -x a") == [None, None, None, "a"]
    assert paths("cat - a") == [None, "a"]
    assert paths("git diff -- a") == [None, "a"]


def test_the_recorded_commands_that_must_be_denied_without_looking_at_files(shared: Path) -> None:
    """Those that name an allowed program and a path outside are denied when the paths are looked at."""
    left_to_the_paths = []
    for case in json.loads((shared / "conformance" / "bash_cases.json").read_text())["cases"]:
        try:
            permit(case["command"])
        except ToolError:
            assert case["expect"] == "deny", case
        else:
            if case["expect"] == "deny":
                left_to_the_paths.append(case["command"])
    assert sorted(left_to_the_paths) == ["cat ../secret", "cat /etc/passwd", "grep -f /etc/passwd a.txt"]
