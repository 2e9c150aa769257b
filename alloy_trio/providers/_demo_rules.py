"""What the demo model says: a plain function of the request."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from alloy_trio.values import Block, CompletionRequest, Message, Text, ToolResult, ToolUse

from ._demo_lookup import entries, find
from ._demo_wish import Wish, understand

Call: TypeAlias = tuple[str, dict[str, Any]]

WHO = (
    "I am the demo model: a few rules, no neural network, no key and no network, for trying the engine and "
    "for tests. I call the real tools on real files. Ask me, for example, 'Read pyproject.toml and tell me "
    "the version', 'list files', 'search for trio in README.rst' or 'run `git status`'."
)

# How much of a file is shown when nothing in particular was asked (arbitrary: a screen).
_SHOWN_LINES = 20
_SHOWN_KEYS = 8

# Pages of a long file that are read before it is enough; a run has 25 turns if nobody says otherwise.
_MAX_PAGES = 20

# What the read tool says in the place of text, or after it.
_EMPTY = "(the file is empty)"
_NO_OUTPUT = "(no output)"
_EXIT = re.compile(r"\n?\[exit status (\d+)\]$")
_NOTE = re.compile(r"\n?\[lines \d+ to \d+(?:, the end of the file| of (\d+); go on with offset=(\d+))\]$")


def answer(request: CompletionRequest) -> Sequence[Block]:
    """What the demo model says to a request, as a plain function."""
    asked, done = _conversation(request.messages)
    wish = understand(asked)
    files = wish.files or (() if wish.given else _last_file(request.messages))
    looks_up = wish.kind in ("look_up", "count")
    pages = {name: [result for call, result in done if call.input.get("path") == name] for name in files}
    calls = _reading(wish, pages) if looks_up else () if done else _errand(wish)
    offered = () if request.tool_choice == "none" else tuple(tool.name for tool in request.tools)
    missing = sorted({name for name, _ in calls} - set(offered))
    if missing:
        return (Text(_cannot(missing, offered)),)
    if calls:
        said = len(request.messages)
        return tuple(ToolUse(f"demo_{said}_{at}", name, input) for at, (name, input) in enumerate(calls, 1))
    if looks_up:
        return (Text(_say_about(wish, pages)),)
    return (Text(_say(wish, done[0][1]) if done else WHO),)


def _conversation(messages: Sequence[Message]) -> tuple[str, list[tuple[ToolUse, ToolResult]]]:
    """The last question, and the calls that were made since, with their results."""
    uses: dict[str, ToolUse] = {}
    done: list[tuple[ToolUse, ToolResult]] = []
    asked = ""
    for message in messages:
        results = [block for block in message.content if isinstance(block, ToolResult)]
        if message.role == "assistant":
            uses.update((use.id, use) for use in message.tool_uses)
        elif results:
            done += ((uses[result.tool_use_id], result) for result in results if result.tool_use_id in uses)
        elif message.text.strip():
            asked, done = message.text, []
    return asked, done


def _errand(wish: Wish) -> tuple[Call, ...]:
    if wish.kind == "list":
        return (("bash", {"command": shlex.join(("ls", *wish.words, *wish.files))}),)
    if wish.kind == "search":
        return (("bash", {"command": shlex.join(("grep", "-n", "-F", "-e", *wish.words, *wish.files))}),)
    if wish.kind == "run":
        return (("bash", {"command": wish.words[0]}),)
    if wish.kind == "write":
        return (("write", {"path": wish.files[0], "content": wish.words[0]}),)
    if wish.kind == "replace":
        return (("edit", {"path": wish.files[0], "old": wish.words[0], "new": wish.words[1]}),)
    return ()


def _reading(wish: Wish, pages: dict[str, list[ToolResult]]) -> tuple[Call, ...]:
    """What has to be read still: files not seen yet, and the next page where a key was not found so far."""
    calls: list[Call] = []
    for name, results in pages.items():
        if not results:
            calls.append(("read", {"path": name}))
            continue
        note = _NOTE.search(results[-1].text)
        if note is None or note[2] is None or results[-1].is_error or len(results) >= _MAX_PAGES:
            continue
        text = _text(results)
        if wish.kind == "count" or not all(find(text, key) for key in wish.keys):
            calls.append(("read", {"path": name, "offset": int(note[2])}))
    return tuple(calls)


def _text(results: Sequence[ToolResult]) -> str:
    """A file's text, put together from its pages."""
    return "\n".join("" if result.text == _EMPTY else _NOTE.sub("", result.text) for result in results)


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


def _say(wish: Wish, result: ToolResult) -> str:
    text = result.text.strip().replace(_NO_OUTPUT, "")
    status = _EXIT.search(text)
    # grep says with 1 that it found nothing, which is an answer.
    if result.is_error or (status is not None and (wish.kind, status[1]) != ("search", "1")):
        return f"That did not work: {text}"
    text = _EXIT.sub("", text)
    if wish.kind == "list":
        return (
            f"In {_place(wish.files[0])}:\n{text}" if text else f"There is nothing in {_place(wish.files[0])}"
        )
    if wish.kind == "search":
        return text or f"No line of {wish.files[0]} has {wish.words[0]!r}"
    return text or f"{wish.words[0]!r} said nothing"


def _say_about(wish: Wish, pages: dict[str, list[ToolResult]]) -> str:
    if not pages:
        if not wish.given:
            return f"In which file? I look things up in files: 'Read X and tell me the {_first(wish)}'."
        return _about(wish, "the text", wish.given)
    answers = []
    for name, results in pages.items():
        if results[-1].is_error:
            answers.append((name, f"I could not read {name}: {results[-1].text.strip()}"))
        else:
            answers.append((name, _about(wish, name, _text(results))))
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
        be = "are" if key.endswith("s") and ", " in found[0].value else "is"
        return f"The {key} {be} {found[0].value or 'empty'}"
    return f"The {key} is " + " and ".join(f"{entry.value} ({entry.dotted})" for entry in found)


def _place(directory: str) -> str:
    return "this directory" if directory == "." else directory


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)
