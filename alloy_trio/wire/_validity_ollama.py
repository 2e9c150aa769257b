"""What Ollama's ``/api/chat`` asks of a conversation. Source: its API reference. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_ROLES = ("system", "user", "assistant", "tool")


def ollama_problems(body: dict[str, Any], model: str) -> Iterator[str]:
    """See :func:`request_problems`.

    The server knows results by their tools' names and by their order; that there are ids is new.
    """
    messages = body.get("messages") or []
    if not messages:
        yield "messages is empty"
    open_calls: list[str] = []
    where = ""
    for place, message in enumerate(messages):
        if message.get("role") != "tool" and open_calls:
            yield f"{where} calls {open_calls}, and messages[{place}] is no result of it"
            open_calls = []
        where = f"messages[{place}]"
        if message.get("role") not in _ROLES:
            yield f"{where} has the role {message.get('role')!r}"
        if not isinstance(message.get("content", ""), str):
            yield f"{where} has content that is no string"
        for call in message.get("tool_calls") or ():
            function = call.get("function", {})
            open_calls.append(str(function.get("name")))
            if not isinstance(function.get("arguments"), dict):
                yield f"{where} has arguments that are no object"
        if message.get("role") == "tool":
            name = message.get("tool_name")
            if not open_calls:
                yield f"{where} is a result, and nothing was called before it"
            elif name not in open_calls:
                yield f"{where} is a result of {name!r}, and {open_calls} were called"
            else:
                open_calls.remove(str(name))
    if open_calls:
        yield f"{where} calls {open_calls}, and nothing follows"
