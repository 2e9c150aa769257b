"""The restricted grammar and its table: what passes means what it means in sh, the rest is refused."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alloy_trio.tools._programs import allowed
from alloy_trio.tools._restricted import _DOLLAR_STANDS as DOLLAR_STANDS
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
            "ls 2>&1x",
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
        "git log --pretty --stat",
        "git log -L 1,5:a -L1,5:a --min-parents=1 -M90% -U3",
        "git status -uno --ignored=matching",
        "git diff -U 5 -M -C50% --word-diff=color --color-moved -I '^#'",
        "git -P log --reverse --name-status",
        "git -C sub --no-pager log",
        "grep -d skip -D skip --directories=recurse a b",
        "ls --help && cat --version",
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
            "git -C",
            "git -C * log",
            "git -C a -C b log",
            "git --git-dir=a log",
            "git --work-tree a log",
            "git -p log",
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
        *(
            "git log --stdin",
            "git log --exec=a",
            "git diff --submodule",
            "git status --ignore-submodules=none",
        ),
        "grep a* b",
        "grep a --include *.py",
        "grep -f * b",
        "grep -D read a b",
        "grep -d other a b",
        "git log --format %h",
        "git log --min-parents 1",
        "git log '--format=%+GS'",
        "git log '--format=%-G?'",
        "git log '--format=% GK'",
        "git log '--format=%(describe)'",
        "git log -pn5",
        "git log --remerge-diff",
        "git log --alternate-refs",
        "git diff --no-index a b",
        "git diff -O a",
        "git diff --rotate-to=a --orderfile b",
        "tail -5f a",
        "tail -20f a",
        "tail --retry a",
        "wc -l --files0-from a",
    ],
)
def test_what_is_not_in_the_table_is_refused(line: str) -> None:
    with pytest.raises(ToolError, match="Nothing was run"):
        permit(line)


def test_the_pattern_of_grep_is_no_path_and_the_rest_is() -> None:
    def paths(line: str) -> list[str | None]:
        (((command,),),) = (parse(line),)
        return [argument.path for argument in allowed(command).arguments]

    assert paths("grep /etc/passwd a b") == [None, None, "a", "b"]
    assert paths("grep -e /etc/passwd a") == [None, None, None, "a"]
    assert paths("grep -e/etc/passwd a") == [None, None, "a"]
    assert paths("grep -f p a") == [None, "p", None, "a"]
    assert paths("grep -fp a") == ["p", None, "a"]
    assert paths("grep --file=p a") == ["p", None, "a"]
    assert paths("grep -i -- -x a") == [None, None, None, "a"]
    assert paths("cat - a") == [None, None, "a"]
    assert paths("git diff -- a") == [None, "a"]
    assert paths("git diff a -- -") == ["a", None, "-"]


@pytest.mark.parametrize(
    "line", ["grep /secret -e x", "grep /secret -f x", "grep /secret --regexp=x", "grep -i /secret -ie x"]
)
def test_an_option_after_it_makes_a_path_of_what_looked_like_the_pattern(line: str) -> None:
    """So the programs read their arguments: an option counts wherever it stands."""
    (((*command,),),) = parse(line)
    assert "/secret" in [argument.path for argument in allowed(tuple(command)).arguments]


def test_options_go_first_and_nothing_after_them_is_one() -> None:
    (((*command,),),) = parse("tail +5f -n 3 b -q")
    found = allowed(tuple(command))
    assert [argument.word.text for argument in found.arguments] == ["-n", "3", "-q", "--", "+5f", "b"]


def test_a_further_program_is_allowed_with_any_arguments() -> None:
    (((*command,),),) = parse("make -C /x --anything=* 'a b'")
    with pytest.raises(ToolError, match="'make' is not allowed"):
        allowed(tuple(command))
    found = allowed(tuple(command), more=frozenset({"make"}))
    assert found.free
    assert [argument.word.text for argument in found.arguments] == ["-C", "/x", "--anything=*", "a b"]


@pytest.mark.parametrize("char", DOLLAR_STANDS)
def test_a_dollar_that_stands_for_itself_does_so_in_bash(char: str) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    line = 'grep "a$' + {'"': '"', "\\": '\\\\"'}.get(char, f'{char}"')
    (((_, word),),) = parse(line)
    done = subprocess.run(["bash", "-c", "printf %s " + line[5:]], capture_output=True, text=True, check=True)
    assert word.text == done.stdout


@given(st.text("ab*?[]'\"\\ $-=.#~!@{}1:%^", max_size=14))
@settings(max_examples=150)
def test_what_passes_means_what_bash_makes_of_it(text: str) -> None:
    if shutil.which("bash") is None:
        pytest.skip("bash is not installed")
    try:
        (((_, *words),),) = texts(f"ls {text}")
    except ToolError:
        return
    script = f"set -f; printf '%s\\0' {text}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (words or [""]) == done.stdout.split("\0")[:-1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ls a 2>&1", ["ls", "a"]),
        ("ls 2>/dev/null a", ["ls", "a"]),
        ("ls a 2> /dev/null", ["ls", "a"]),
        ("ls '2>&1'", ["ls", "2>&1"]),
        ("git log HEAD@{1} @{u} :!a --format=x", ["git", "log", "HEAD@{1}", "@{u}", ":!a", "--format=x"]),
        ("grep a$ b", ["grep", "a$", "b"]),
        ("ls a\u2028b \xa0", ["ls", "a\u2028b", "\xa0"]),
    ],
)
def test_what_models_write_out_of_habit_is_read(line: str, words: list[str]) -> None:
    assert texts(line) == [[words]]


@pytest.mark.parametrize(
    "line",
    [
        *(
            "ls 2>&1x",
            "ls 2>&1>x",
            "ls 2>/dev/null/x",
            "ls 2>/dev/nullx",
            "ls 2>x",
            "ls 2>>/dev/null",
            "2>&1 ls",
        ),
        *(
            "ls >/dev/null",
            "ls 1>&2",
            "ls &>/dev/null",
            "ls a2>&1 >x",
            "ls 2>/dev/null&",
            "ls 2>&1|&wc",
            "ls 2>&1'x'",
        ),
        *(
            "ls @{a,b}",
            "ls @{a..b}",
            "ls x{1}",
            "ls @{",
            "ls @{a b}",
            "ls @{$x}",
            "ls @{a}{b,c}",
            "ls '@'{a}",
        ),
        *(
            "ls a$b",
            "ls $$",
            "ls a$|wc",
            "ls $'a'",
            'ls $"a"',
            "ls \ud800",
            "ls '\udc80'",
            "ls \x85 !x",
        ),
        *("ls !", "ls ~+", "ls a;", "ls\fwc", "ls \v", "ls a\\", "ls \\\nwc", "'", '"', "''", "ls | '' "),
    ],
)
def test_what_comes_near_to_it_is_refused(line: str) -> None:
    with pytest.raises(ToolError, match="Nothing was run") as caught:
        permit(line)
    assert len(str(caught.value)) < 9_000


def test_what_is_huge_is_refused_at_once() -> None:
    for line in (
        *(
            "ls '" + "a" * 10_000_000,
            "ls " * 10_000,
            "|" * 5_000,
            '"' * 7_999,
            "ls &&" * 60 + "ls",
            "*" * 9_000,
        ),
        *("ls @{" + "a" * 7_000, "ls @{" + "a." * 3_500, "$" * 7_000, "2>&1" * 1_900),
    ):
        with pytest.raises(ToolError, match="Nothing was run") as caught:
            permit(line)
        assert len(str(caught.value)) < 9_000


def test_a_refused_program_says_what_to_write_instead() -> None:
    for line, instead in (
        ("find . -name x", "ls -R"),
        ("git show HEAD", "git log -p -1"),
        ("rg x", "grep -rn"),
    ):
        with pytest.raises(ToolError, match=instead):
            permit(line)


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
