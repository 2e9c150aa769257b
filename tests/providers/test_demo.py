"""The built-in model: what it understands, and that it says only what tools told it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alloy_trio.loop import run
from alloy_trio.providers import Demo
from alloy_trio.providers._demo_lookup import find
from alloy_trio.providers._demo_rules import WHO, answer
from alloy_trio.providers._demo_wish import understand
from alloy_trio.tools import Tool, bash, edit, read, write
from alloy_trio.values import CompletionRequest, Message, Text, ToolResult, ToolSpec, ToolUse

PYPROJECT = """\
[build-system]
requires = ["flit_core >=3.11,<4"]

[project]
name = "thing"
version = "1.2.3"
requires-python = ">=3.11"
authors = [{ name = "Somebody" }]
dependencies = ["trio", "httpx >=0.27"]

[tool.mypy]
strict = true
"""

READ = ToolSpec("read", "read a file", {"type": "object"})


async def ask(directory: Path, prompt: str, *tools: Tool, **options: Any) -> str:
    result = await run(prompt, provider=Demo(), tools=tools, working_directory=directory, **options)
    assert result.status == "completed"
    return result.text


@pytest.mark.parametrize(
    ("prompt", "said"),
    [
        ("Read pyproject.toml and tell me the version", "The version is 1.2.3"),
        ("read pyproject.toml, then tell me its version.", "The version is 1.2.3"),
        ("What is the version in pyproject.toml?", "The version is 1.2.3"),
        ("What's the project.version of pyproject.toml?", "The project.version is 1.2.3"),
        ("Please read ./pyproject.toml and report the version number", "The version number is 1.2.3"),
        ("Read the pyproject.toml file and tell me the project's name", "The project name is thing"),
        ("What version does pyproject.toml declare?", "The version is 1.2.3"),
        (
            "Read pyproject.toml and tell me the name and the version",
            "The name is thing\nThe version is 1.2.3",
        ),
        ("Read pyproject.toml. What is the requires-python?", "The requires-python is >=3.11"),
        ("Read pyproject.toml and tell me the dependencies", "The dependencies are trio, httpx >=0.27"),
        ("Read pyproject.toml and tell me the tool.mypy.strict", "The tool.mypy.strict is true"),
        ("How many lines has pyproject.toml?", "pyproject.toml has 12 lines"),
        (
            "Read nothing.toml and tell me the version",
            "I could not read nothing.toml: nothing.toml is not there",
        ),
        ("Read pyproject.toml and tell me the colour", "There is no colour in pyproject.toml; it has "),
    ],
)
async def test_it_answers_from_the_file(prompt: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    text = await ask(tmp_path, prompt, read)
    assert text == said or (text.startswith(said) and "no" in said)


@pytest.mark.parametrize(
    ("name", "content", "key", "value"),
    [
        ("a.json", '{"users": [{"name": "Ann"}], "port": 80, "on": true}', "port", "80"),
        ("a.json", '{"users": [{"name": "Ann"}], "port": 80, "on": true}', "users.0.name", "Ann"),
        ("broken.json", '{\n  "port": 80,\n  "name": "x",\n}', "name", "x"),
        ("broken.toml", '[a\nname = "x"\nport = 1', "name", "x"),
        (
            "a.yaml",
            "# settings\nserver:\n  host: 'here'  # or there\n  tags:\n    - a\n    - b\n",
            "server.host",
            "here",
        ),
        ("a.yaml", "server:\n  tags:\n    - a\n    - b\nother: 1", "tags", "a, b"),
        ("a.ini", "[server]\nhost = here\n; a comment\nport: 80", "server port", "80"),
        ("a.py", '"""A module."""\n\n__version__ = "4.5"\n\n\ndef f(): ...', "version", "4.5"),
        ("a.py", "LIMIT: int = 7  # because\n", "limit", "7"),
        ("a.h", '#define VERSION "9.1"\n', "version", "9.1"),
        (".env", "export DB_HOST=db.example.org\n", "DB_HOST", "db.example.org"),
        ("a.md", "# Thing\n\n**Author**: Ann\n\n## Licence\n\nMIT, as it is\n", "author", "Ann"),
        ("a.md", "# Thing\n\n**Author**: Ann\n\n## Licence\n\nMIT, as it is\n", "licence", "MIT, as it is"),
        ("a.rst", "Thing\n=====\n\nColour\n------\n\nblue\n", "colour", "blue"),
        ("a.md", "| name | value |\n|---|---|\n| size | 12 |\n", "size", "12"),
        ("a.xml", "<project>\n  <version>1.0</version>\n</project>", "version", "1.0"),
        ("a.csv", "key,value\ncolour,red\n", "colour", "red"),
        ("notes", "The secret word is swordfish. Tell nobody.\n", "secret word", "swordfish"),
        ("a.conf", "Host example.org\nPort 22\n", "port", "22"),
    ],
)
async def test_it_finds_keys_in_files_of_any_kind(
    name: str, content: str, key: str, value: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content)
    be = "are" if key == "tags" else "is"
    assert await ask(tmp_path, f"Read {name} and tell me the {key}", read) == f"The {key} {be} {value}"


async def test_a_file_name_with_spaces_is_quoted(tmp_path: Path) -> None:
    (tmp_path / "my notes.txt").write_text("colour: blue\n")
    assert await ask(tmp_path, "Read 'my notes.txt' and tell me the colour", read) == "The colour is blue"


async def test_several_files_are_read_in_one_turn(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("version = '1'")
    (tmp_path / "b.json").write_text('{"version": "2"}')
    result = await run(
        "Read a.toml and b.json and tell me the version",
        provider=Demo(),
        tools=[read],
        working_directory=tmp_path,
    )
    assert (result.text, result.turns) == ("a.toml: The version is 1\nb.json: The version is 2", 2)


async def test_a_key_that_stands_for_two_things_gets_both(tmp_path: Path) -> None:
    (tmp_path / "a.ini").write_text("[a]\nport = 1\n[b]\nport = 2\n")
    assert (
        await ask(tmp_path, "Read a.ini and tell me the port", read)
        == "The port is 1 (a.port) and 2 (b.port)"
    )


async def test_a_long_file_is_read_page_by_page_until_the_key_is_found(tmp_path: Path) -> None:
    filler = "".join(f"line {number} of nothing much, to fill the page\n" for number in range(3_000))
    (tmp_path / "long.txt").write_text(f"{filler}colour: blue\n{filler}")
    result = await run(
        "Read long.txt and tell me the colour", provider=Demo(), tools=[read], working_directory=tmp_path
    )
    assert result.text == "The colour is blue"
    offsets = [call.input.get("offset") for call in result.tool_calls]
    assert offsets[0] is None
    assert 1 < len(offsets) < 8


async def test_without_a_key_it_shows_the_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("".join(f"{number}\n" for number in range(30)))
    (tmp_path / "b.txt").write_text("")
    text = await ask(tmp_path, "Read a.txt", read)
    assert text.splitlines()[:3] == ["a.txt says:", "0", "1"]
    assert text.endswith("19\n… and 10 more lines")
    assert await ask(tmp_path, "What does b.txt say?", read) == "b.txt is empty"


async def test_it_lists_searches_and_runs_through_bash(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one\ntwo words\n")
    (tmp_path / "docs").mkdir()
    assert await ask(tmp_path, "list files", bash) == "In this directory:\na.txt\ndocs"
    assert await ask(tmp_path, "which files are in docs?", bash) == "There is nothing in docs"
    assert await ask(tmp_path, "search for two in a.txt", bash) == "2:two words"
    assert await ask(tmp_path, "grep three in a.txt", bash) == "No line of a.txt has 'three'"
    assert (await ask(tmp_path, "list files in nope", bash)).startswith("That did not work: ")
    assert (await ask(tmp_path, "run `wc -l a.txt`", bash)).split() == ["2", "a.txt"]


async def test_it_writes_and_edits(tmp_path: Path) -> None:
    await ask(tmp_path, "Write 'colour: blue' to a.txt", write)
    assert (tmp_path / "a.txt").read_text() == "colour: blue"
    await ask(tmp_path, "Replace 'blue' with 'red' in a.txt", edit)
    assert (tmp_path / "a.txt").read_text() == "colour: red"


async def test_it_says_which_tool_it_lacks(tmp_path: Path) -> None:
    text = await ask(tmp_path, "Read a.toml and tell me the x", bash)
    assert text.startswith("I need the read tool for that, and of tools I was offered only bash.")
    text = await ask(tmp_path, "Read a.toml and tell me the x", read, tool_choice="none")
    assert "of tools I was offered none" in text


@pytest.mark.parametrize("prompt", ["Hello", "Who are you?", "What can you do?", "Explain nurseries"])
async def test_it_says_what_it_is(prompt: str, tmp_path: Path) -> None:
    assert await ask(tmp_path, prompt, read, bash) == WHO
    assert "demo model" in WHO


async def test_text_that_comes_with_the_question_is_looked_up_in(tmp_path: Path) -> None:
    assert await ask(tmp_path, "Tell me the version\n\nname: x\nversion: 3\n") == "The version is 3"


async def test_a_question_without_a_file_is_about_the_last_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(PYPROJECT)
    first = await run(
        "Read pyproject.toml and tell me the name", provider=Demo(), tools=[read], working_directory=tmp_path
    )
    assert await ask(tmp_path, "And the version?", read, messages=first.messages) == "The version is 1.2.3"
    assert (await ask(tmp_path, "And the version?", read)).startswith("In which file?")


def test_it_believes_the_tool_and_not_the_disk() -> None:
    """The answer is made of the request alone."""
    asked = Message.user("Read pyproject.toml and tell me the version")
    call = ToolUse("1", "read", {"path": "pyproject.toml"})
    told = Message.user([ToolResult("1", 'version = "from the tool"')])
    request = CompletionRequest((asked, Message.assistant([call]), told), tools=(READ,))
    assert answer(request) == (Text("The version is from the tool"),)


def test_the_same_request_gets_the_same_answer() -> None:
    request = CompletionRequest((Message.user("Read a and tell me the b"),), tools=(READ,))
    assert answer(request) == answer(request)


NAMES = st.from_regex(r"[a-z][a-z_]{2,11}", fullmatch=True).filter(
    lambda name: understand(f"Read x.y and tell me the {name}").keys == (name,)
)
VALUES = st.one_of(
    st.integers(), st.from_regex(r"[A-Za-z0-9][A-Za-z0-9 ._/-]{0,19}", fullmatch=True).map(str.strip)
)


@given(st.dictionaries(NAMES, VALUES, min_size=1, max_size=6), st.data())
def test_any_key_of_any_table_is_found_in_each_notation(table: dict[str, Any], data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(table)))
    quoted = {name: json.dumps(value) for name, value in table.items()}
    toml = "".join(f"{name} = {value}\n" for name, value in quoted.items())
    assert tomllib.loads(toml) == table
    for text in (
        json.dumps(table),
        json.dumps({"outer": table}, indent=2),
        toml,
        f"[section]\n{toml}",
        f"this is [no toml\n{toml}",
        "".join(f"{name}: {value}\n" for name, value in quoted.items()),
        "outer:\n" + "".join(f"  {name}: {value}\n" for name, value in quoted.items()),
        "".join(f"- **{name}**: {value}\n" for name, value in quoted.items()),
    ):
        assert [entry.value for entry in find(text, key)] == [str(table[key])]


@given(st.text(max_size=300), st.text(max_size=30))
def test_no_text_and_no_key_breaks_it(text: str, key: str) -> None:
    find(text, key)
    understand(f"{key}\n\n{text}")
    answer(CompletionRequest((Message.user(text),)))


@given(
    st.sampled_from(
        ("read", "open", "tell me", "what is", "list files", "in", "and", "the", "a.b", "'q'", ",")
    )
)
def test_no_prompt_of_its_own_words_breaks_it(word: str) -> None:
    for count in (1, 50):
        answer(CompletionRequest((Message.user(" ".join([word] * count)),), tools=(READ,)))
