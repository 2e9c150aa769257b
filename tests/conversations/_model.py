"""What the replay of a recorded conversation is made of, whatever its wire."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import attrs

from alloy_trio.abc import Provider
from alloy_trio.values import Message, ServerTool, ToolSpec

Entry = tuple[str, str, Any]
"""One thing said: its role, its kind ("text", "call", "result", "reasoning" or "other"), and the words."""


@attrs.frozen(kw_only=True)
class Parsed:
    """A recorded request as values: what a caller of ``alloy_trio.run`` would give."""

    messages: tuple[Message, ...]
    system: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    server_tools: tuple[ServerTool, ...] = ()
    tool_choice: str | None = None
    output_schema: dict[str, Any] | None = None
    provider_options: dict[str, Any] = attrs.field(factory=dict)
    extra_body: dict[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Answer:
    """A recorded answer, read straight from its JSON."""

    text: str
    calls: tuple[tuple[str, str, Any], ...]
    """(id, name, arguments) of each; arguments that are not JSON stay text."""
    searches: tuple[Any, ...] = ()
    """Arguments of the vendor's own searches for tools."""
    namespaces: tuple[str | None, ...] = ()
    """Of the calls, where the wire has such."""


@attrs.frozen(kw_only=True)
class Wire:
    """What the replay has to know of one wire format.

    Args:
        family: the recordings' name for it.
        endpoint: the endpoint of its exchanges.
        parse: a recorded request as values; the second argument is the provider's name, the third the model.
        entries: what a request's conversation says, the system prompt first.
        settings: the rest of a request, in one form for both sides.
        answer: reads a recorded answer.
        provider: makes the provider for a parsed request.
        provider_name: its name.
        answered: whether a request holds the result of a call.
        same: strings of an answer that name the same thing, and one name for it.
        whole: a request with the conversation that it only refers to; the second argument is all records of
            the conversation.
    """

    family: str
    endpoint: str
    parse: Callable[[dict[str, Any], str, str], Parsed]
    entries: Callable[[dict[str, Any]], list[Entry]]
    settings: Callable[[dict[str, Any]], dict[str, Any]]
    answer: Callable[[str, bool], Answer]
    provider: Callable[[str, str, Parsed], Provider]
    provider_name: str
    answered: Callable[[dict[str, Any]], bool]
    same: Callable[[dict[str, Any]], dict[str, str]] = lambda _record: {}
    whole: Callable[[dict[str, Any], list[dict[str, Any]]], dict[str, Any]] = lambda request, _records: (
        request
    )


def arguments(text: Any) -> Any:
    """A call's arguments, decoded where they are JSON; no text means no arguments."""
    if not isinstance(text, str):
        return text
    if not text.strip():
        return {}
    try:
        return json.loads(text)
    except ValueError:
        return text


_CUT = re.compile(r"__MEDIA_CUT_\d+__")


def without_cut_marks(value: Any) -> Any:
    """The same JSON, its shortened pictures and files made valid base64: what is left is a prefix of them."""
    if isinstance(value, dict):
        return {key: without_cut_marks(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_cut_marks(item) for item in value]
    return _CUT.sub("", value) if isinstance(value, str) and "__MEDIA_CUT_" in value else value


def sse_objects(body: str) -> list[dict[str, Any]]:
    """The JSON objects of a stream's ``data`` fields; what is not JSON is left out."""
    objects = []
    for event in re.split(r"\r\n\r\n|\n\n|\r\r", body):
        data = "\n".join(
            line[5:].lstrip(" ") for line in re.split(r"\r\n|\n|\r", event) if line.startswith("data:")
        )
        try:
            value = json.loads(data)
        except ValueError:
            continue
        if isinstance(value, dict):
            objects.append(value)
    return objects
