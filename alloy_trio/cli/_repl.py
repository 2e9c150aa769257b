"""A conversation at the terminal, line by line.

Lines are read outside of trio, in the main thread: there readline edits them and Ctrl-C interrupts them as
in any other program, and no thread is left behind in ``input()``. Each question is a run of its own; what
binds them together is the session, which is handed from one to the next.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import attrs

from alloy_trio.values import NO_USAGE, ConfigurationError, Message, Result, Text, ToolResult, ToolUse, Usage

from ._equip import another_model, choose_provider, choose_tools
from ._interrupts import Interrupts
from ._render import Activity, AnswerView, OutputLost, one_line, short_input, standard_output, usage_words
from ._request import FAILED, Kept, follow
from ._settings import Settings, close_to

if TYPE_CHECKING:
    from alloy_trio.abc import Provider
    from alloy_trio.context import Skill
    from alloy_trio.tools import Tool

_HISTORY_LINES = 1000
_PROMPT = "alloy> "


def converse(settings: Settings) -> int:
    """Read questions and answer them until the user leaves; returns the exit status."""
    output = standard_output()
    conversation = Conversation(
        settings=settings,
        provider=choose_provider(settings),
        tools=choose_tools(settings),
        skills=_skills(settings),
        activity=Activity(sys.stderr, output),
    )
    view = AnswerView(output, conversation.activity, streamed=settings.streamed, verbose=settings.verbose)
    provider = conversation.provider
    conversation.say(f"{provider.name}/{provider.model}; /help lists the commands, Ctrl-D leaves")
    remember = _line_editing(conversation.say)
    while True:
        try:
            line = input(_PROMPT)
        except KeyboardInterrupt:
            # The terminal shows ^C; what was typed is dropped.
            print()
            continue
        except EOFError:
            print()
            return 0
        question = line.strip()
        if not question:
            continue
        remember()
        try:
            if question.startswith("/"):
                if not conversation.command(question, view):
                    return 0
            else:
                conversation.ask(question, view)
        except OutputLost as error:
            conversation.say(str(error))
            return FAILED


@attrs.define(eq=False, kw_only=True)
class Conversation:
    """What is kept between two lines."""

    settings: Settings
    provider: Provider
    tools: tuple[Tool, ...]
    activity: Activity
    kept: Kept = attrs.field(factory=Kept)
    skills: Mapping[str, Skill] = attrs.field(factory=dict)
    usage: Usage = NO_USAGE
    requests: int = 0

    @property
    def messages(self) -> tuple[Message, ...]:
        """What was said so far."""
        return self.kept.session.messages if self.kept.session is not None else ()

    def say(self, text: str) -> None:
        """Write to the user, not to the conversation."""
        self.activity.line(text)

    def ask(self, question: str, view: AnswerView) -> None:
        """Run one request. What an interrupted one had come to stays in the conversation."""
        with Interrupts() as interrupts:
            try:
                ended = follow(
                    question,
                    provider=self.provider,
                    tools=self.tools,
                    kept=self.kept,
                    settings=self.settings,
                    view=view,
                    activity=self.activity,
                    interrupts=interrupts,
                )
            except KeyboardInterrupt:
                self.say("alloy: interrupted before it was sent")
                return
        self.requests += 1
        if ended.result is not None:
            self._remember(ended.result)
            self.usage += ended.result.usage
        if interrupts.ends_the_program:
            raise SystemExit(ended.status)

    def _remember(self, result: Result) -> None:
        if self.kept.session is not None:
            said = _with_what_was_said(result, self.messages)
            self.kept.session = attrs.evolve(self.kept.session, messages=said)

    def command(self, line: str, view: AnswerView) -> bool:
        """Do what a line that begins with a slash says; returns whether the conversation goes on."""
        name, _, rest = line.partition(" ")
        if name in ("/quit", "/exit"):
            return False
        commands: dict[str, Callable[[str], None]] = {
            "/help": self._help,
            "/model": self._model,
            "/usage": self._usage,
            "/history": self._history,
            "/tools": self._tools,
            "/skills": self._skills,
            "/reset": self._reset,
        }
        if name in commands:
            commands[name](rest.strip())
        elif (skill := self.skills.get(name[1:])) is not None:
            self.ask(skill.with_input(rest.strip()), view)
        else:
            known = (*commands, *(f"/{skill}" for skill in self.skills), "/quit")
            self.say(f"there is no command {name}; {close_to(name, known)}")
        return True

    def _help(self, _: str) -> None:
        for line in (
            "/help            this list",
            "/model [NAME]    show the model, or ask another from now on: MODEL, PROVIDER or PROVIDER/MODEL",
            "/usage           tokens used so far",
            "/history         the conversation so far",
            "/tools           what the model may use",
            "/skills          instructions for kinds of tasks; /NAME TEXT follows one, with TEXT as its input",
            "/reset           forget the conversation",
            "/quit, /exit     leave, like Ctrl-D",
            "Ctrl-C ends the request that runs and keeps what was said; at the prompt it clears the line.",
        ):
            self.say(line)

    def _model(self, name: str) -> None:
        if name:
            try:
                self.provider = another_model(name, self.provider, self.settings)
            except ConfigurationError as error:
                self.say(f"alloy: {error}")
                return
        self.say(f"{self.provider.name}/{self.provider.model}")

    def _usage(self, _: str) -> None:
        requests = f"{self.requests} request{'' if self.requests == 1 else 's'}"
        self.say(f"{requests}: {usage_words(attrs.asdict(self.usage))}")

    def _history(self, _: str) -> None:
        if not self.messages:
            self.say("nothing was said yet")
        for message in self.messages:
            for block in message.content:
                if isinstance(block, Text):
                    self.say(f"{message.role}: {block.text.rstrip()}")
                elif isinstance(block, ToolUse):
                    self.say(f"  > {block.name} {short_input(block.input)}")
                elif isinstance(block, ToolResult):
                    self.say(f"  < {'failed: ' if block.is_error else ''}{one_line(block.text)}")
                else:
                    self.say(f"  ({type(block).__name__})")

    def _tools(self, _: str) -> None:
        for tool in self.tools:
            self.say(f"{tool.name}: {one_line(tool.description.partition(chr(10))[0])}")
        if not self.tools:
            self.say("none; give some with --tools")

    def _skills(self, _: str) -> None:
        for skill in self.skills.values():
            self.say(f"/{skill.name}: {one_line(skill.description)}")
        if not self.skills:
            self.say("none; a skill is a file .alloy/skills/NAME.md, here or in the home directory")

    def _reset(self, _: str) -> None:
        self.kept.session = None
        self.say("the conversation is forgotten; usage is kept")


def _skills(settings: Settings) -> dict[str, Skill]:
    if not settings.context:
        return {}
    from alloy_trio.context import find_skills

    return {skill.name: skill for skill in find_skills(Path(settings.directory))}


def _with_what_was_said(result: Result, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The conversation with the words of an answer that did not come to its end.

    The user has read them and may speak of them ("go on"), so the model has to know them.
    """
    known = any(message.text == result.text for message in messages if message.role == "assistant")
    if not result.text.strip() or known or not messages or messages[-1].role != "user":
        return messages
    return (*messages, Message.assistant(result.text))


def _line_editing(say: Callable[[str], None]) -> Callable[[], None]:
    """Turn on line editing and history, where Python has readline; returns what saves the history."""
    try:
        import readline
    except ImportError:
        return lambda: None
    file = _history_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Questions may hold anything, so they are the user's own.
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
        readline.read_history_file(file)
    except OSError as error:
        say(f"alloy: the history is not kept: {file}: {error.strerror or error}")
        return lambda: None
    readline.set_history_length(_HISTORY_LINES)
    return lambda: _save(readline, file)


def _save(readline: ModuleType, file: Path) -> None:
    before = os.umask(0o077)
    try:
        readline.write_history_file(file)
        file.chmod(0o600)
    except OSError:
        # It could be read and made a moment ago; a full disk is no reason to end the conversation.
        return
    finally:
        os.umask(before)


def _history_file() -> Path:
    state = os.environ.get("XDG_STATE_HOME", "")
    # The specification has relative paths ignored.
    base = Path(state) if state.startswith("/") else Path.home() / ".local" / "state"
    return base / "alloy" / "history"
