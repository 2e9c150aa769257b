"""One question from the shell: what is printed where, and with which status it ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alloy_trio.providers import PROVIDERS, Scripted
from alloy_trio.tools import bash_tool
from alloy_trio.values import (
    Completion,
    ConfigurationError,
    Message,
    Overloaded,
    QuotaExhausted,
    Text,
    ToolResult,
    ToolUse,
    Usage,
)

Alloy = Callable[..., Any]


def test_the_answer_goes_to_stdout_and_the_tools_to_stderr(alloy: Alloy, tmp_path: Path) -> None:
    (tmp_path / "made.txt").write_text("colour: blue\n")
    called = alloy("-p", "Read made.txt and tell me the colour", "--provider", "demo", "--dir", str(tmp_path))
    assert (called.status, called.out) == (0, "The colour is blue\n")
    first, second = called.err.splitlines()
    assert first == "> read made.txt"
    assert second.startswith("< read ")
    assert second.endswith(" ms")


def test_a_tool_that_fails_says_why_on_stderr(alloy: Alloy, tmp_path: Path) -> None:
    called = alloy("-p", "Read nope.txt and tell me the x", "--provider", "demo", "--dir", str(tmp_path))
    assert called.status == 0
    assert called.out.startswith("I could not read nope.txt: ")
    assert "< read failed: nope.txt is not there" in called.err


def test_what_is_said_before_a_tool_call_stands_on_its_own_line(alloy: Alloy) -> None:
    model = Scripted([[Text("Let me see."), ToolUse("", "scratchpad", {"action": "list"})], "Nothing there."])
    called = alloy("-p", "look", "--tools", "scratchpad", provider=model)
    assert (called.status, called.out) == (0, "Let me see.\nNothing there.\n")


def test_what_one_call_remembers_the_next_one_finds(alloy: Alloy, tmp_path: Path) -> None:
    where = ("--tools", "memory", "--dir", str(tmp_path))
    note = {"command": "create", "path": "/memories/colour.md", "file_text": "blue"}
    assert (
        alloy("-p", "learn", *where, provider=Scripted([[ToolUse("", "memory", note)], "Done."])).status == 0
    )
    look = {"command": "view", "path": "/memories/colour.md"}
    model = Scripted([[ToolUse("", "memory", look)], "Blue."])
    assert alloy("-p", "recall", *where, provider=model).out == "Blue.\n"
    (result,) = model.requests[1].messages[-1].content
    assert isinstance(result, ToolResult)
    assert str(result.content).endswith("\tblue")
    assert (tmp_path / ".alloy" / "memories" / "default" / "colour.md").read_text() == "blue"


def test_without_streaming_only_the_answer_is_printed(alloy: Alloy) -> None:
    model = Scripted(
        [[Text("Let me see."), ToolUse("", "scratchpad", {"action": "list"})], "Nothing there.\n"]
    )
    called = alloy("-p", "look", "--tools", "scratchpad", "--no-stream", provider=model)
    assert (called.status, called.out) == (0, "Nothing there.\n")


def test_the_settings_reach_the_model(alloy: Alloy) -> None:
    model = Scripted(["fine"])
    alloy("-p", "hello", "--system", "Be short.", "--tools", "read,bash", provider=model)
    request = model.requests[0]
    assert request.system == "Be short."
    assert [tool.name for tool in request.tools] == ["read", "bash"]
    assert request.messages[-1].text == "hello"


def test_a_budget_stops_before_it_is_exceeded(alloy: Alloy) -> None:
    unknown = alloy("-p", "hello", "--max-budget-cents", "5", "--provider", "demo")
    assert unknown.status == 1
    assert "costs is not known" in unknown.err
    model = Scripted(["fine"] * 3, name="anthropic", model="claude-haiku-4-5")
    rich = alloy("-p", "hello", "--max-budget-cents", "5", provider=model)
    assert (rich.status, rich.out) == (0, "fine\n")
    poor = alloy("-p", "hello", "--max-budget-cents", "0.0001", provider=model)
    assert poor.status == 3
    assert "max_budget_cents" in poor.err
    wrong = alloy("-p", "hello", "--max-budget-cents", "much")
    assert wrong.status == 2 and "cents" in wrong.err


def test_what_the_project_says_reaches_the_model_unless_it_is_left_out(alloy: Alloy, tmp_path: Path) -> None:
    (tmp_path / "AGENTS.md").write_text("Speak plainly.")
    for arguments, told in (((), True), (("--no-context",), False)):
        model = Scripted(["fine"])
        alloy("-p", "hello", "--system", "Be short.", "--dir", str(tmp_path), *arguments, provider=model)
        assert ("Speak plainly." in (model.requests[0].system or "")) == told


def test_a_pipe_that_stays_open_and_silent_does_not_hang_a_question_that_was_given(
    alloy: Alloy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alloy_trio.cli._main._SILENCE_SECONDS", 0.01)
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe, os.fdopen(writing, "w"):
        called = alloy("-p", "Hello", stdin=pipe, provider=Scripted(["Hi"]))
    assert (called.status, called.out) == (0, "Hi\n")
    assert "standard input" in called.err


def test_a_pipe_that_has_begun_is_read_to_its_end(alloy: Alloy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("alloy_trio.cli._main._SILENCE_SECONDS", 0.01)
    model = Scripted(["Hi"])
    reading, writing = os.pipe()
    with os.fdopen(reading) as pipe:
        with os.fdopen(writing, "w") as end:
            end.write("all of it")
        alloy("-p", "Hello", stdin=pipe, provider=model)
    assert model.requests[0].messages[0].text == "Hello\n\nall of it"


def test_piped_text_is_added_to_the_question_or_is_the_question(alloy: Alloy) -> None:
    model = Scripted(["1", "2", "3", "4"])
    alloy("-p", "Count the words", stdin="a b c\n", provider=model)
    alloy(stdin="What is it?\n", provider=model)
    alloy("-p", "only this", stdin=" \n", provider=model)
    alloy("-p", "no \udcff UTF-8", provider=model)
    asked = [request.messages[-1].text for request in model.requests]
    assert asked == ["Count the words\n\na b c\n", "What is it?\n", "only this", "no \ufffd UTF-8"]


@pytest.mark.parametrize("arguments", [(), ("-p", ""), ("-p", "  \n"), ("--json",)])
def test_no_question_is_wrong_usage(arguments: tuple[str, ...], alloy: Alloy) -> None:
    called = alloy(*arguments, "--provider", "demo")
    assert (called.status, called.out) == (2, "")
    assert "there is no question" in called.err


def test_each_event_is_a_line_of_json(alloy: Alloy, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"b": {"c": 1}}')
    called = alloy(
        "-p", "Read a.json and tell me the b.c", "--provider", "demo", "--json", "--dir", str(tmp_path)
    )
    events = called.events
    assert called.status == 0
    assert called.err == ""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert (events[0]["event"], events[-1]["event"]) == ("run_start", "run_end")
    assert "".join(event["payload"] for event in events if event["event"] == "text_delta") == "The b.c is 1"
    assert set(events[0]) == {
        "v", "event", "seq", "correlation_id", "turn", "ts_ms", "payload", "parent_id"
    }  # fmt: skip


def test_half_of_a_surrogate_pair_in_an_answer_is_printed_as_its_code(alloy: Alloy) -> None:
    called = alloy("-p", "hi", provider=Scripted(["a \ud83d b"]))
    assert (called.status, called.out) == (0, "a \\ud83d b\n")
    assert alloy("-p", "hi", "--json", provider=Scripted(["a \ud83d b"])).status == 0


@pytest.mark.parametrize(
    ("turns", "arguments", "status", "said"),
    [
        ([QuotaExhausted("nothing is left")], (), 1, "alloy: QuotaExhausted: nothing is left"),
        ([[Text("half "), Overloaded("come back")]], (), 1, "alloy: Overloaded: come back"),
        (
            [Completion(Message.assistant("half"), "max_tokens", Usage())],
            (),
            3,
            "the answer was cut (max_tokens)",
        ),
        ([[ToolUse("", "scratchpad", {"action": "list"})]] * 3, ("--max-turns", "2"), 3, "--max-turns"),
        ([Completion(Message.assistant("I will not"), "refusal", Usage())], (), 0, "the model refused"),
    ],
    ids=["error", "error after some text", "cut", "max turns", "refusal"],
)
def test_the_status_and_one_line_say_how_it_ended(
    turns: list[Any], arguments: tuple[str, ...], status: int, said: str, alloy: Alloy
) -> None:
    called = alloy("-p", "hi", "--tools", "scratchpad", *arguments, provider=Scripted(turns))
    assert called.status == status
    assert said in called.err
    assert "Traceback" not in called.err


def test_text_that_came_before_an_error_stays(alloy: Alloy) -> None:
    turns = [[Text("half of it"), Overloaded("come back")]]
    assert alloy("-p", "hi", provider=Scripted(turns)).out == "half of it\n"
    assert alloy("-p", "hi", "--no-stream", provider=Scripted(turns)).out == "half of it\n"
    events = alloy("-p", "hi", "--json", provider=Scripted(turns)).events
    assert events[-1]["payload"]["status"] == "error"


def test_the_time_limit_ends_a_run_with_status_3(alloy: Alloy) -> None:
    import trio

    async def never(_: object) -> str:
        await trio.sleep_forever()
        raise AssertionError("it never ends")

    called = alloy("-p", "hi", "--timeout", "0.01", provider=Scripted([never]))
    assert called.status == 3
    assert "--timeout" in called.err


def test_verbose_shows_turns_and_usage(alloy: Alloy) -> None:
    called = alloy("-p", "three words here", "--verbose", provider=Scripted(["two words"]))
    assert "alloy: asking scripted for scripted" in called.err
    assert "alloy: turn 1 ended with end_turn; 3 tokens in, 2 out" in called.err


def test_a_seed_fixes_the_ids(alloy: Alloy) -> None:
    ids = [
        alloy("-p", "hi", "--json", "--seed", seed, provider=Scripted(["hi"])).events[0]["correlation_id"]
        for seed in ("7", "7", "8")
    ]
    assert ids[0] == ids[1] != ids[2]


def test_without_a_provider_the_first_with_a_key_is_asked(
    alloy: Alloy, monkeypatch: pytest.MonkeyPatch
) -> None:
    from alloy_trio.cli._equip import choose_provider
    from alloy_trio.cli._settings import Settings

    called = alloy("-p", "hi")
    assert called.status == 2
    assert all(way in called.err for way in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY", "--provider demo"))
    monkeypatch.setenv("OPENAI_API_KEY", "x")
    assert choose_provider(Settings()).name == "openai"
    monkeypatch.setenv("ANTHROPIC_API_KEY", "x")
    assert choose_provider(Settings()).name == "anthropic"
    assert choose_provider(Settings(model="openai/some-model")).model == "some-model"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("hello",), 'a question is given as -p "…"'),
        (("-p", "x", "--verbos"), "did you mean --verbose?"),
        (("-p", "x", "--tools", "raed"), "there is no tool 'raed'; did you mean read?"),
        (("-p", "x", "--provider", "opnai"), "there is no provider 'opnai'; did you mean 'openai'?"),
        (("-p", "x", "--model", "foo/bar"), "there is no provider 'foo'"),
        (("-p", "x", "--base-url", "http://h"), "add --provider"),
        (("-p", "x", "--provider", "openai-compatible", "--model", "m"), "base_url"),
        (("-p", "x", "--provider", "openai-compatible", "--base-url", "http://h"), "needs a model"),
        (("-p", "x", "--provider", "anthropic"), "ANTHROPIC_API_KEY"),
        (("-p", "x", "--dir", "/does/not/exist"), "does not exist"),
        (("-p", "x", "--dir", __file__), "is not a directory"),
        (("-p", "x", "--bash", "open"), "'restricted', 'sandbox', 'full'"),
        (("-p", "x", "--max-turns", "0"), "'0' is not a whole number, 1 or more"),
        (("-p", "x", "--timeout", "soon"), "'soon' is not a number of seconds above 0"),
        (("-p", "x", "--timeout", "nan"), "'nan' is not a number of seconds above 0"),
        (
            ("-p", "x", "--until-tool", "bash", "--tools", "read"),
            "--until-tool bash is not among the tools (read)",
        ),
        (("-p",), "expected one argument"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_wrong_usage_is_one_clear_line_and_status_2(
    arguments: tuple[str, ...], said: str, alloy: Alloy
) -> None:
    called = alloy(*arguments)
    assert (called.status, called.out) == (2, "")
    assert said in called.err
    assert called.err.startswith("alloy: ")
    assert called.err.count("\n") == 1


def test_an_unreadable_directory_is_wrong_usage(
    alloy: Alloy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for a user without the right; the superuser may read all, so the answer of the system is put in."""
    monkeypatch.setattr("os.access", lambda path, mode: False)
    called = alloy("-p", "x", "--provider", "demo", "--dir", str(tmp_path))
    assert called.status == 2
    assert "cannot be read" in called.err


def test_the_help_teaches_with_what_there_is(alloy: Alloy) -> None:
    called = alloy("--help")
    assert called.status == 0
    for preset in PROVIDERS:
        assert preset.name in called.out
        assert preset.env_var is None or preset.env_var in called.out
    assert all(words in called.out for words in ("examples:", "exit status:", "130 interrupted"))


def test_the_tools_of_the_settings_are_made(alloy: Alloy, tmp_path: Path) -> None:
    """The full bash may do what the restricted one refuses."""
    question = ("-p", "run `echo made > made.txt`", "--provider", "demo", "--dir", str(tmp_path))
    refused = alloy(*question)
    assert not (tmp_path / "made.txt").exists()
    assert refused.out.startswith("That did not work: ")
    assert alloy(*question, "--bash", "full").status == 0
    assert (tmp_path / "made.txt").read_text() == "made\n"


def test_the_sandbox_writes_the_working_directory_and_nothing_else(alloy: Alloy, tmp_path: Path) -> None:
    try:
        bash_tool(sandbox="bwrap")
    except ConfigurationError as exc:
        pytest.skip(str(exc))
    (tmp_path / "work").mkdir()
    options = ("--provider", "demo", "--dir", str(tmp_path / "work"), "--bash", "sandbox")
    assert alloy("-p", "run `echo made > made.txt`", *options).status == 0
    assert (tmp_path / "work" / "made.txt").read_text() == "made\n"
    alloy("-p", "run `echo made > ../made.txt`", *options)
    assert not (tmp_path / "made.txt").exists()


def test_without_bubblewrap_the_sandbox_is_an_error_that_names_the_package(
    alloy: Alloy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alloy_trio.tools._sandbox.SEARCHED", (str(tmp_path),))
    called = alloy("-p", "run `echo made`", "--provider", "demo", "--bash", "sandbox")
    assert (called.status, called.out) == (2, "")
    assert "install the package bubblewrap" in called.err
    assert called.err.count("\n") == 1
    # Without the tool there is nothing to put into it.
    assert alloy("-p", "hello", "--provider", "demo", "--bash", "sandbox", "--tools", "read").status == 0


def test_control_characters_are_shown_on_a_terminal_and_kept_in_a_pipe() -> None:
    import io

    from alloy_trio.cli._render import Output

    class Terminal(io.StringIO):
        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

    class Pipe(Terminal):
        def isatty(self) -> bool:
            return False

    text = "a\x1b]0;title\x07b\n"
    terminal, pipe = Terminal(), Pipe()
    Output(terminal).write(text)
    Output(pipe).write(text)
    assert terminal.getvalue() == "a\\x1b]0;title\\x07b\n"
    assert pipe.getvalue() == text
