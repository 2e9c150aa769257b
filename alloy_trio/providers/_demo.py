"""The model that is built in: a few rules instead of a neural network."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

from alloy_trio.values import Block, CompletionRequest, Message, Text, ToolResult, ToolUse

from ._local import LocalModel
from ._lookup import entries, find
from ._wish import Wish, understand

Call: TypeAlias = tuple[str, dict[str, Any]]

WHO = (
    "I am the demo model: a few rules, no neural network, no key and no network, for trying the engine and "
    "for tests. I call the real tools on real files. Ask me, for example, 'Read pyproject.toml and tell me "
    "the version', 'list files', 'search for trio in README.rst' or 'run `git status`'."
)

# How much of a file is shown when nothing in particular was asked (arbitrary: a screen).
_SHOWN_LINES = 20
_SHOWN_KEYS = 8

_NUMBERED = re.compile(r"^ *(\d+)(?:\t|→|\| ?|: ?)(.*)$")


class Demo(LocalModel):
    """A model for trying the engine: small rules, no key, no network.

    It understands a few kinds of English sentence, calls the tools that the run offers (``read``, ``bash``,
    ``write``, ``edit``) and answers from what they return, so it is right about any file. ``Read X and tell
    me the Y`` works for any file X and any key Y: a name, a dotted path, several of them. It says so when the
    file or the key is missing, when it is not offered the tool it needs, and what it is when it understands
    nothing.

    The answer depends on the request only. A token is a word.
    """

    def __init__(self) -> None:
        super().__init__("demo", "demo")

    async def answer(self, request: CompletionRequest) -> Sequence[Block]:
        """The calls that the last question needs; once they were made, what their results say."""
        return answer(request)


def answer(request: CompletionRequest) -> Sequence[Block]:
    """What the demo model says to a request, as a plain function."""
    asked, results = _conversation(request.messages)
    wish = understand(asked)
    calls = _calls(wish, request.messages)
    offered = () if request.tool_choice == "none" else tuple(tool.name for tool in request.tools)
    missing = sorted({name for name, _ in calls} - set(offered))
    if missing:
        return (Text(_cannot(missing, offered)),)
    if len(results) < len(calls):
        said = len(request.messages)
        return tuple(
            ToolUse(f"demo_{said}_{number}", name, arguments)
            for number, (name, arguments) in enumerate(calls[len(results) :], len(results) + 1)
        )
    return (Text(_say(wish, calls, results[: len(calls)])),)


def _conversation(messages: Sequence[Message]) -> tuple[str, list[ToolResult]]:
    """The last question, and the results that came after it."""
    results: list[ToolResult] = []
    for message in reversed(messages):
        if message.role != "user":
            continue
        here = [block for block in message.content if isinstance(block, ToolResult)]
        if not here and message.text.strip():
            return message.text, results
        results = here + results
    return "", results


def _calls(wish: Wish, messages: Sequence[Message]) -> tuple[Call, ...]:
    """The tool calls that a wish needs."""
    if wish.kind in ("look_up", "count"):
        files = wish.files or (() if wish.given else _last_file(messages))
        return tuple(("read", {"path": name}) for name in files)
    if wish.kind == "list":
        return (("bash", {"command": shlex.join(("ls", *wish.words, "--", *wish.files))}),)
    if wish.kind == "search":
        return (
            ("bash", {"command": shlex.join(("grep", "-n", "-F", "-e", *wish.words, "--", *wish.files))}),
        )
    if wish.kind == "run":
        return (("bash", {"command": wish.words[0]}),)
    if wish.kind == "write":
        return (("write", {"path": wish.files[0], "content": wish.words[0]}),)
    if wish.kind == "replace":
        return (("edit", {"path": wish.files[0], "old": wish.words[0], "new": wish.words[1]}),)
    return ()


def _last_file(messages: Sequence[Message]) -> tuple[str, ...]:
    """What was read last, for a question that names no file ("and the license?")."""
    for message in reversed(messages):
        for use in reversed(message.tool_uses):
            if use.name == "read" and isinstance(use.input.get("path"), str):
                return (use.input["path"],)
    return ()


def _cannot(missing: Sequence[str], offered: Sequence[str]) -> str:
    have = f"only {_listed(offered)}" if offered else "none"
    return (
        f"I need the {_listed(missing)} tool for that, and of tools I was offered {have}. "
        "I am the demo model and know nothing but what tools tell me."
    )


def _say(wish: Wish, calls: Sequence[Call], results: Sequence[ToolResult]) -> str:
    if wish.kind in ("look_up", "count"):
        return _say_about(wish, calls, results)
    if not calls:
        return WHO
    result = results[0]
    text = result.text.strip()
    if result.is_error:
        return f"That did not work: {text}"
    if wish.kind == "list":
        return (
            f"In {_place(wish.files[0])}:\n{text}" if text else f"There is nothing in {_place(wish.files[0])}"
        )
    if wish.kind == "search":
        return text or f"No line of {wish.files[0]} has {wish.words[0]!r}"
    if wish.kind == "run":
        return text or f"{wish.words[0]!r} printed nothing"
    return text or f"{wish.files[0]} is written"


def _say_about(wish: Wish, calls: Sequence[Call], results: Sequence[ToolResult]) -> str:
    if not calls:
        if not wish.given:
            return f"In which file? I look things up in files: 'Read X and tell me the {_first(wish)}'."
        return _about(wish, "the text", wish.given)
    answers = []
    for (_, arguments), result in zip(calls, results, strict=True):
        name = arguments["path"]
        if result.is_error:
            answers.append((name, f"I could not read {name}: {result.text.strip()}"))
        else:
            answers.append((name, _about(wish, name, _content(result.text))))
    if len(answers) == 1:
        return answers[0][1]
    return "\n".join(said if name in said else f"{name}: {said}" for name, said in answers)


def _first(wish: Wish) -> str:
    return wish.keys[0] if wish.keys else "version"


def _about(wish: Wish, name: str, text: str) -> str:
    """What a text says about the keys of a wish, or the text."""
    if wish.kind == "count":
        unit = wish.words[0]
        number = {"lines": len(text.splitlines()), "words": len(text.split())}.get(unit, len(text))
        return f"{name} has {number} {unit}"
    if not text.strip():
        return f"{name} is empty"
    if not wish.keys:
        lines = text.rstrip("\n").split("\n")
        rest = f"\n… and {len(lines) - _SHOWN_LINES} more lines" if len(lines) > _SHOWN_LINES else ""
        return f"{name} says:\n" + "\n".join(lines[:_SHOWN_LINES]) + rest
    return "\n".join(_value(key, name, text) for key in wish.keys)


def _value(key: str, name: str, text: str) -> str:
    found = find(text, key)
    if not found:
        known = list(
            dict.fromkeys(entry.path[0] if len(entry.path) == 1 else entry.dotted for entry in entries(text))
        )
        more = ", …" if len(known) > _SHOWN_KEYS else ""
        hint = f"; it has {', '.join(known[:_SHOWN_KEYS])}{more}" if known else ""
        return f"There is no {key} in {name}{hint}"
    if len(found) == 1:
        return f"The {key} is {found[0].value}" if found[0].value else f"The {key} is empty"
    return f"The {key} is " + " and ".join(f"{entry.value} ({entry.dotted})" for entry in found)


def _content(output: str) -> str:
    """A file's text from what the read tool returned, which may number the lines."""
    lines = output.split("\n")
    matches = [_NUMBERED.match(line) for line in lines]
    numbers = [int(match[1]) for match in matches if match]
    in_a_row = all(after == before + 1 for before, after in pairwise(numbers))
    if not numbers or not in_a_row or matches[0] is None:
        return output
    return "\n".join(match[2] if match else line for match, line in zip(matches, lines, strict=True))


def _place(directory: str) -> str:
    return "this directory" if directory == "." else directory


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
