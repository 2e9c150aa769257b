"""Where two values of ours differ, in lines that a person reads: what pytest says under a failed ``==``."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from alloy_trio.values import Event, Message, Result, Text, ToolResult, ToolUse

_MOST_LINES = 60
"""Lines of a difference that are shown. Arbitrary: what is longer is not read."""

_CONTEXT_LINES = 2


def explained(left: object, right: object) -> list[str] | None:
    """The difference of two values, or of two sequences of them; None if they are not of the kinds that are known."""
    if not (_known(left) and _known(right)):
        return None
    before, after = list(_lines(left)), list(_lines(right))
    if before == after:
        return None  # they differ in what is not shown here; pytest shows all
    return [f"{_title(left)} == {_title(right)}", *_difference(before, after)]


def _known(value: object) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(one, Message | Event) for one in value)
    return isinstance(value, Message | Event | Result)


def _title(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"{len(value)} {type(value[0]).__name__}s"
    return type(value).__name__


def _lines(value: Any) -> Iterator[str]:
    """A value, a line for each thing in it."""
    if isinstance(value, list | tuple):
        for number, one in enumerate(value):
            yield from _headed(f"[{number}] ", one)
    else:
        yield from _headed("", value)


def _headed(head: str, value: Any) -> Iterator[str]:
    if isinstance(value, Message):
        origin = "" if value.origin is None else f" ({value.origin.provider}/{value.origin.model})"
        yield f"{head}{value.role}{origin}"
        for block in value.content:
            yield f"    {_block(block)}"
    elif isinstance(value, Event):
        of = "" if value.parent_id is None else f" of {value.parent_id}"
        yield (
            f"{head}{value.seq} {value.event} turn={value.turn} {value.ts_ms} ms {value.correlation_id}{of}: "
            f"{_json(value.payload)}"
        )
    else:
        yield from _result(value)


def _block(block: Any) -> str:
    if isinstance(block, Text) and not block.citations and block.extra is None:
        return f"text: {block.text!r}"
    if isinstance(block, ToolUse) and block.invalid_input is None and block.extra is None:
        return f"call {block.id} {block.name}: {_json(block.input)}"
    if isinstance(block, ToolResult) and isinstance(block.content, str):
        return f"{'error' if block.is_error else 'result'} {block.tool_use_id}: {block.content!r}"
    return repr(block)


def _result(result: Result) -> Iterator[str]:
    for field in attrs.fields(Result):
        value = getattr(result, field.name)
        if field.name == "messages":
            yield "messages:"
            for line in _lines(value):
                yield f"  {line}"
        elif field.name == "tool_calls":
            yield "tool_calls:"
            for record in value:
                yield f"  {record!r}"
        else:
            yield f"{field.name}: {value!r}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=repr)


def _difference(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """Both, line by line: ``-`` is in the left one alone, ``+`` in the right one."""
    found: list[str] = []
    matcher = difflib.SequenceMatcher(a=before, b=after, autojunk=False)
    for group in matcher.get_grouped_opcodes(_CONTEXT_LINES):
        if found:
            found.append("  …")
        for what, start, end, other_start, other_end in group:
            if what == "equal":
                found += [f"  {line}" for line in before[start:end]]
            else:
                found += [f"- {line}" for line in before[start:end]]
                found += [f"+ {line}" for line in after[other_start:other_end]]
    if len(found) > _MOST_LINES:
        found[_MOST_LINES:] = [f"… and {len(found) - _MOST_LINES} lines more"]
    return found
