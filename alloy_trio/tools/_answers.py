"""What a model reads about a call: its result, or what became of it instead; pure.

The words tell the truth about what ran, because the model plans by them: *did not run* may be asked for
again, *may have taken effect* must be looked at first.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Iterator

from alloy_trio.values import ToolError, ToolUse

from ._problems import Problem, close_match, shown

MAX_PROBLEMS = 20
"""Findings that one answer lists; more than that does not help to mend an input."""

MAX_ERROR_CHARS = 4_000
"""Characters of a tool's error that reach the model; an exception that holds a whole reply is no help."""

NO_OUTPUT = "(no output)"
"""Stands for an empty result: some vendors refuse empty content."""


def invalid_input(name: str, problems: Iterable[Problem]) -> str:
    """The input does not fit the schema."""
    lines = [f"- {problem}" for problem in problems]
    if len(lines) > MAX_PROBLEMS:
        lines[MAX_PROBLEMS:] = [f"- and {len(lines) - MAX_PROBLEMS} more"]
    return "\n".join([f"The input for {name} was wrong, so it did not run:", *lines])


def invalid_json(use: ToolUse) -> str:
    """The input was no JSON object."""
    why = _why_invalid(use.invalid_input or "")
    return f"The input for {use.name} {why}, so it did not run. Call it again with one complete JSON object."


def _why_invalid(text: str) -> str:
    twice: list[str] = []

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        made: dict[str, object] = {}
        for key, value in pairs:
            if key in made:
                twice.append(key)
            made[key] = value
        return made

    odd: list[str] = []
    try:
        seen = json.loads(text, parse_constant=odd.append, object_pairs_hook=once)
    except ValueError as exc:
        return f"was not valid JSON ({exc})"
    except RecursionError:
        return "was nested too deeply"
    if not isinstance(seen, dict):
        return f"was JSON, but a {type(seen).__name__} and not an object"
    if twice:
        return f"had the key {shown(twice[0])} twice in one object"
    return (
        f"held {odd[0]}, which is not valid JSON"
        if odd
        else "was nested too deeply, or held a number too large"
    )


def invalid_value(name: str, why: str) -> str:
    """The input holds something that no JSON says."""
    return f"The input for {name} was not usable ({why}), so it did not run. Call it again with other JSON."


def unknown_tool(name: str, known: Iterable[str]) -> str:
    """No tool has this name."""
    names = list(known)
    listed = f"The tools are: {', '.join(names)}." if names else "There are no tools."
    match = close_match(name, names)
    return f"No tool is named {json.dumps(name)}, so nothing ran. {listed}" + (
        f" Did you mean {match}?" if match else ""
    )


def unusable(name: str, why: str) -> str:
    """It ran, and returned what cannot be sent."""
    return f"{name} ran, but what it returned cannot be read: {why}"


def not_started(name: str, reason: str) -> str:
    """The run ended before the call did anything."""
    return f"{name} did not run: {reason}."


def interrupted(name: str, reason: str, *, thread_left: bool = False) -> str:
    """The call had started, and was stopped."""
    text = f"{name} was stopped after it had started: {reason}. It may have taken effect, in part or in whole"
    text += ", and may still be running." if thread_left else "."
    return text + " Look at what it did before you repeat it."


def failure(name: str, error: BaseException) -> str:
    """Describe what a tool raised: a ToolError's words as they are, anything else with its type."""
    leaves = list(_leaves(error))
    texts = [str(leaf) for leaf in leaves if isinstance(leaf, ToolError)]
    texts += [f"{name} failed: {_described(leaf)}" for leaf in leaves if not isinstance(leaf, ToolError)]
    return "\n".join(texts).encode("utf-8", "replace").decode() or f"{name} failed"


def _leaves(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _described(error: BaseException) -> str:
    """``Type: message``; no traceback, which says nothing to a model and may show what it should not see."""
    if isinstance(error, SystemExit):
        return f"it asked for the program to end (exit status {error.code!r:.{MAX_ERROR_CHARS}}), which was not done"
    # Through traceback, since an exception's own __str__ may raise.
    lines = traceback.TracebackException(type(error), error, None).format_exception_only()
    text = "".join(lines).strip().removeprefix(f"{type(error).__module__}.")
    return text if len(text) <= MAX_ERROR_CHARS else f"{text[:MAX_ERROR_CHARS]} [...]"
