"""What Chat Completions asks of a conversation, and what Mistral and DeepSeek ask besides. Source: OpenAI's,
Mistral's and DeepSeek's API references, and the vendors' errors. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, TypeAlias

from ._validity_calls import Turn, unpaired

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")
_NAME = re.compile(r"[a-zA-Z0-9_.:/-]{1,128}")
_MISTRAL_ID = re.compile(r"[a-zA-Z0-9]{9}")

_Message: TypeAlias = dict[str, Any]


def chat_problems(body: dict[str, Any], model: str) -> Iterator[str]:
    """See :func:`request_problems`."""
    messages = body.get("messages") or []
    if not any(message.get("role") in ("user", "assistant") for message in messages):
        yield "messages is empty"
        return
    for place, message in enumerate(messages):
        yield from _message(f"messages[{place}]", message)
    yield from unpaired(_turns(messages))


def mistral_problems(body: dict[str, Any], model: str) -> Iterator[str]:
    """Besides: ids of nine letters and digits, no user straight after a tool, the model not last."""
    yield from chat_problems(body, model)
    messages = body.get("messages") or []
    for place, message in enumerate(messages):
        idents = [call.get("id", "") for call in message.get("tool_calls") or ()]
        idents += [message.get("tool_call_id", "")] if message.get("role") == "tool" else []
        for ident in idents:
            if not _MISTRAL_ID.fullmatch(ident):
                yield f"messages[{place}] has the id {ident!r}, which is not nine letters and digits"
        if message.get("role") == "assistant" and not (message.get("content") or message.get("tool_calls")):
            yield f"messages[{place}] has neither content nor calls"
        for number, part in enumerate(_parts(message)):
            if (
                number
                and part.get("type") == "thinking"
                and _parts(message)[number - 1].get("type") == "text"
            ):
                yield f"messages[{place}].content[{number}] is reasoning after text"
    for place, (one, other) in enumerate(pairwise(messages)):
        if one.get("role") == "tool" and other.get("role") not in ("tool", "assistant"):
            yield f"messages[{place + 1}] is the {other.get('role')}'s, straight after a tool's"
    if messages and messages[-1].get("role") == "assistant" and not messages[-1].get("prefix"):
        yield f"messages[{len(messages) - 1}] is the model's and the last one, without prefix"


def deepseek_problems(body: dict[str, Any], model: str) -> Iterator[str]:
    """Besides: while it thinks and there are tools, each of the model's messages has its reasoning."""
    yield from chat_problems(body, model)
    thinking = body.get("thinking")
    if model == "deepseek-chat" or (isinstance(thinking, dict) and thinking.get("type") == "disabled"):
        return
    messages = body.get("messages") or []
    if body.get("tools") or any(message.get("tool_calls") for message in messages):
        for place, message in enumerate(messages):
            if message.get("role") == "assistant" and not isinstance(message.get("reasoning_content"), str):
                yield f"messages[{place}] is the model's and has no reasoning_content"


def _parts(message: _Message) -> list[dict[str, Any]]:
    content = message.get("content")
    return content if isinstance(content, list) else []


def _message(where: str, message: _Message) -> Iterator[str]:
    role, content, calls = message.get("role"), message.get("content"), message.get("tool_calls")
    if role not in _ROLES:
        yield f"{where} has the role {role!r}"
    if content is None and not (role == "assistant" and (calls or message.keys() - {"role", "content"})):
        yield f"{where} has no content"
    if content == [] and not calls:
        yield f"{where} has an empty list as its content"
    for number, part in enumerate(_parts(message)):
        if part.get("type") == "text" and not part.get("text"):
            yield f"{where}.content[{number}] is an empty text"
    for call in calls or ():
        function = call.get("function")
        if not call.get("id"):
            yield f"{where} has a call without an id"
        if function is not None and not _NAME.fullmatch(function.get("name", "")):
            yield f"{where} calls {function.get('name')!r}, which does not match {_NAME.pattern}"
        if function is not None and not isinstance(function.get("arguments"), str):
            yield f"{where} has arguments that are no string"
    if role == "tool" and not message.get("tool_call_id"):
        yield f"{where} is a tool's result that does not say of which call"


def _turns(messages: list[_Message]) -> Iterator[Turn]:
    """The tools' messages that follow one another are one turn."""
    results: list[str] = []
    first = 0
    for place, message in enumerate(messages):
        if message.get("role") == "tool":
            first = first if results else place
            results.append(str(message.get("tool_call_id")))
            continue
        if results:
            yield Turn(where=f"messages[{first}]", model=False, results=tuple(results))
            results = []
        calls = tuple(str(call.get("id")) for call in message.get("tool_calls") or ())
        yield Turn(where=f"messages[{place}]", model=message.get("role") == "assistant", calls=calls)
    if results:
        yield Turn(where=f"messages[{first}]", model=False, results=tuple(results))
