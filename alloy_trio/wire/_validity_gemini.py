"""What Gemini's generateContent asks of a conversation. Source: ai.google.dev ("Function calling", "Thought
signatures"), and the vendor's errors. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

_DATA = frozenset(
    (
        "text",
        "inlineData",
        "fileData",
        "functionCall",
        "functionResponse",
        "executableCode",
        "codeExecutionResult",
        "toolCall",
        "toolResponse",
    )
)
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}")
_SIGNATURE = "thoughtSignature"


def gemini_problems(body: dict[str, Any], model: str) -> Iterator[str]:
    """See :func:`request_problems`."""
    contents = [_camel(content) for content in body.get("contents") or ()]
    if not contents:
        yield "contents is empty"
        return
    for place, content in enumerate(contents):
        where = f"contents[{place}]"
        if content.get("role", "user") not in ("user", "model", "function"):
            yield f"{where} has the role {content['role']!r}"
        if not content.get("parts"):
            yield f"{where} is empty"
        for number, part in enumerate(content.get("parts") or ()):
            yield from _part(f"{where}.parts[{number}]", part, content.get("role"))
    turns = _turns(contents)
    if turns[0][1]:
        yield "contents[0] is not the user's; the user speaks first"
    called: list[dict[str, Any]] = []
    for where, _, parts in turns:
        yield from _answers(where, called, _of(parts, "functionResponse"))
        called = _of(parts, "functionCall")
    if called:
        yield f"{turns[-1][0]} calls functions, and nothing follows"
    if _checks_signatures(model):
        yield from _unsigned(contents)


def _camel(value: Any) -> Any:
    """The wire takes its names in both spellings. Arguments and responses are the tools' own."""
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    renamed = {re.sub(r"_(\w)", lambda found: found[1].upper(), key): item for key, item in value.items()}
    return {key: item if key in ("args", "response") else _camel(item) for key, item in renamed.items()}


def _turns(contents: list[dict[str, Any]]) -> list[tuple[str, bool, list[dict[str, Any]]]]:
    """Neighbours of one role are one turn to the vendor: where it begins, whether it is the model's, its parts."""
    turns: list[tuple[str, bool, list[dict[str, Any]]]] = []
    for place, content in enumerate(contents):
        model, parts = content.get("role") == "model", list(content.get("parts") or ())
        if turns and turns[-1][1] == model:
            turns[-1][2].extend(parts)
        else:
            turns.append((f"contents[{place}]", model, parts))
    return turns


def _of(parts: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [part[kind] for part in parts if kind in part]


def _part(where: str, part: dict[str, Any], role: str | None) -> Iterator[str]:
    data = _DATA & part.keys()
    if len(data) != 1:
        yield f"{where} has {len(data) or 'no'} kinds of data; a part has one"
    if "functionCall" in part:
        if role != "model":
            yield f"{where} is a call in a turn that is not the model's"
        if not _NAME.fullmatch(part["functionCall"].get("name", "")):
            yield f"{where} calls {part['functionCall'].get('name')!r}, which does not match {_NAME.pattern}"
        if not isinstance(part["functionCall"].get("args", {}), dict):
            yield f"{where} has arguments that are no object"
    if "functionResponse" in part:
        if role == "model":
            yield f"{where} is a result in the model's turn"
        if not isinstance(part["functionResponse"].get("response"), dict):
            yield f"{where} has a response that is no object"
    if part.get("thought") and role != "model":
        yield f"{where} is reasoning in a turn that is not the model's"
    if _SIGNATURE in part and not _is_base64(part[_SIGNATURE]):
        yield f"{where} has a signature that is not base64"


def _answers(where: str, calls: list[dict[str, Any]], results: list[dict[str, Any]]) -> Iterator[str]:
    if len(calls) != len(results):
        yield f"{where} has {len(results)} results, and the turn before has {len(calls)} calls"
        return
    named = [result.get("id") for result in results if result.get("id")]
    called = [call.get("id") for call in calls if call.get("id")]
    if len(named) == len(called) == len(results):
        if Counter(named) != Counter(called):
            yield f"{where} answers {named}, and the turn before calls {called}"
        names = {call["id"]: call.get("name") for call in calls}
        wrong = [
            result for result in results if names.get(result["id"], result.get("name")) != result.get("name")
        ]
        yield from (f"{where} names the result of {result['id']!r} wrongly" for result in wrong)
    elif [call.get("name") for call in calls] != [result.get("name") for result in results]:
        # Without ids the order says what belongs together.
        yield f"{where} has its results in another order than the turn before has its calls"
    if len(set(called)) != len(called):
        yield f"{where} answers calls that share an id"


def _checks_signatures(model: str) -> bool:
    found = re.search(r"gemini-(\d+)", model)
    return found is None or int(found[1]) >= 3


def _unsigned(contents: list[dict[str, Any]]) -> Iterator[str]:
    """Of each step since the user last spoke, the first call has to carry a signature."""
    said = [
        place
        for place, content in enumerate(contents)
        if content.get("role") != "model" and not _of(content.get("parts") or [], "functionResponse")
    ]
    for place in range(said[-1] + 1 if said else 0, len(contents)):
        calls = [part for part in contents[place].get("parts") or () if "functionCall" in part]
        if calls and not calls[0].get(_SIGNATURE):
            yield f"contents[{place}] has a first call without a signature"


def _is_base64(value: Any) -> bool:
    try:
        base64.b64decode(value.translate({ord("-"): "+", ord("_"): "/"}), validate=True)
    except (binascii.Error, ValueError, TypeError, AttributeError):
        return False
    return True
