"""What OpenAI's Responses API asks of a conversation. Source: its API reference, and the vendor's errors. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, TypeAlias

from ._validity_calls import Turn, repeated, unpaired

_MAX_ID = 64
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_CALLS = frozenset(
    (
        "function_call",
        "custom_tool_call",
        "computer_call",
        "local_shell_call",
        "shell_call",
        "apply_patch_call",
        "tool_search_call",
    )
)
_RESULTS = frozenset((*(f"{kind}_output" for kind in _CALLS), "tool_search_output"))

Item: TypeAlias = dict[str, Any]


def responses_problems(body: dict[str, Any], model: str) -> Iterator[str]:
    """See :func:`request_problems`."""
    items = body.get("input")
    if isinstance(items, str):
        items = [{"role": "user", "content": items}]
    elsewhere = bool(body.get("previous_response_id") or body.get("conversation"))
    if not items:
        if not elsewhere and not body.get("prompt"):
            yield "input is empty"
        return
    stored = body.get("store") is not False
    for place, item in enumerate(items):
        after = items[place + 1] if place + 1 < len(items) else None
        yield from _item(f"input[{place}]", item, after, stored=stored)
    if "deepseek" in model:
        yield from _words_within_calls(items)
    else:
        yield from _parted(items)
    turns = list(_turns(items))
    problems = [*unpaired(turns), *repeated(turns)]
    if not elsewhere and not any(item.get("type") == "item_reference" for item in items):
        yield from problems
    ids = Counter(item["id"] for item in items if item.get("id") and item.get("type") != "item_reference")
    yield from (f"{times} items have the id {ident!r}" for ident, times in ids.items() if times > 1)


def _parted(items: list[Item]) -> Iterator[str]:
    """OpenAI looks for the item that a reasoning item's id belongs to, and knows messages by their ids."""
    for place, (item, after) in enumerate(pairwise(items)):
        message = after.get("type") in (None, "message") and after.get("role") == "assistant"
        if item.get("type") == "reasoning" and item.get("id") and message and not after.get("id"):
            yield f"input[{place}] is reasoning with an id before a message without one"


def _words_within_calls(items: list[Item]) -> Iterator[str]:
    """DeepSeek wants nothing between a call and the results."""
    for place, (item, after) in enumerate(pairwise(items)):
        if _is_call(item) and not (_is_call(after) or _is_result(after)):
            yield f"input[{place + 1}] stands between a call and its result"


def _is_models(item: Item) -> bool:
    kind = item.get("type")
    if kind in (None, "message"):
        return item.get("role") == "assistant"
    return not _is_result(item)


def _is_call(item: Item) -> bool:
    return item.get("type") in _CALLS and not _is_searched_there(item)


def _is_result(item: Item) -> bool:
    return item.get("type") in _RESULTS and not _is_searched_there(item)


def _is_searched_there(item: Item) -> bool:
    # The vendor searches for tools too, then call and output are both its own.
    return str(item.get("type")).startswith("tool_search") and item.get("execution") != "client"


def _turns(items: list[Item]) -> Iterator[Turn]:
    """The model's items, then results, then what the user says: each stretch is a turn."""
    gathered: list[Item] = []
    first = 0
    for place, item in enumerate(items):
        if gathered and _stretch(item) != _stretch(gathered[0]):
            yield _turn(first, gathered)
            gathered, first = [], place
        gathered.append(item)
    yield _turn(first, gathered)


def _stretch(item: Item) -> str:
    return "model" if _is_models(item) else "results" if _is_result(item) else "user"


def _turn(first: int, items: list[Item]) -> Turn:
    return Turn(
        where=f"input[{first}]",
        model=_stretch(items[0]) == "model",
        calls=tuple(str(i.get("call_id")) for i in items if _is_call(i)),
        results=tuple(str(i.get("call_id")) for i in items if _is_result(i)),
    )


def _item(where: str, item: Item, after: Item | None, *, stored: bool) -> Iterator[str]:
    kind = item.get("type")
    if _is_call(item) or _is_result(item):
        ident = item.get("call_id")
        if not isinstance(ident, str) or not 0 < len(ident) <= _MAX_ID:
            yield f"{where} has the call_id {ident!r}; one has 1 to {_MAX_ID} characters"
    if kind == "function_call":
        if not _NAME.fullmatch(item.get("name", "")):
            yield f"{where} calls {item.get('name')!r}, which does not match {_NAME.pattern}"
        if not isinstance(item.get("arguments"), str):
            yield f"{where} has arguments that are no string"
    elif kind == "reasoning":
        if "summary" not in item:
            yield f"{where} is reasoning without a summary"
        if not stored and not (item.get("encrypted_content") or item.get("content")):
            yield f"{where} is reasoning that nobody keeps: neither stored nor encrypted"
        if after is None or not _is_models(after):
            yield f"{where} is reasoning without the item that it led to"
    if kind in (None, "message"):
        if item.get("role") not in ("user", "assistant", "system", "developer"):
            yield f"{where} has the role {item.get('role')!r}"
        yield from _content(where, item)
    if _is_result(item) and item.get("output") == []:
        yield f"{where} has an empty list as its output"


def _content(where: str, item: Item) -> Iterator[str]:
    content = item.get("content")
    if not isinstance(content, str) and not content:
        yield f"{where} is empty"
    if isinstance(content, str):
        return
    own = item.get("role") == "assistant"
    for number, part in enumerate(content or ()):
        kind = str(part.get("type"))
        if own and kind.startswith("input_"):
            yield f"{where}.content[{number}] is {kind} in the model's message"
        if not own and kind in ("output_text", "refusal"):
            yield f"{where}.content[{number}] is {kind} in a message that is not the model's"
