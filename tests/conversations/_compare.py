"""The comparison of a request that arrived with the recorded one."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from ._ignored import Ignored, pruned
from ._model import Wire


def differences(
    wire: Wire,
    sent: Any,
    recorded: dict[str, Any],
    *,
    later: bool = False,
    same: Mapping[str, str] = MappingProxyType({}),
    unnamed: Collection[str] = (),
    used: set[Ignored] | None = None,
) -> list[str]:
    """What differs, in words; empty when the requests say the same.

    Args:
        sent: the request's JSON as it arrived.
        recorded: the recorded one.
        later: it is not the first request of its run.
        same: strings that name the same thing, and one name for it.
        unnamed: recorded ids of calls that each client names for itself; see Conversation.
        used: receives the rows of the table that removed something.
    """
    if not isinstance(sent, dict):
        return [f"the request is not a JSON object: {sent!r}"]
    one = pruned(wire.family, sent, recorded, later=later, used=used)
    other = pruned(wire.family, recorded, recorded, later=later, used=used)
    left, right = _comparable(wire, one, other, same), _comparable(wire, other, other, same)
    _number_calls(left, right, unnamed)
    return [*_said(left, right), *_fields(wire.settings(one), wire.settings(other))]


def _comparable(
    wire: Wire, request: dict[str, Any], recorded: dict[str, Any], same: Mapping[str, str]
) -> list[list[Any]]:
    """What a request says, as JSON, without blank texts: they say nothing, and Anthropic refuses them."""
    said = [entry for entry in wire.entries(request) if entry[1] != "text" or entry[2].strip()]
    if not any(entry[1] == "reasoning" for entry in wire.entries(recorded)):
        # The recorded client dropped the model's reasoning; ours returns it.
        said = [entry for entry in said if entry[1] != "reasoning"]
    entries: list[list[Any]] = json.loads(json.dumps(said))
    return _replaced(_without_nulls(entries), same)


def _without_nulls(value: Any) -> Any:
    """Without fields that are null: clients that hold answers in typed objects write such fields out."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _replaced(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def _number_calls(sent: list[list[Any]], recorded: list[list[Any]], unnamed: Collection[str]) -> None:
    """Name the calls that each client names for itself by where they stand, on both sides, and their results.

    These are the unnamed ones, and those that share an id in the recorded request: ours are told apart.
    """
    times = Counter(entry[2]["id"] for entry in recorded if entry[1] == "call")
    places = {
        place
        for place, entry in enumerate(recorded)
        if entry[1] == "call" and (entry[2]["id"] in unnamed or times[entry[2]["id"]] > 1)
    }
    for entries in (sent, recorded):
        numbers: dict[str, str] = {}
        for place, (_, kind, said) in enumerate(entries):
            if kind == "call" and place in places:
                numbers[said["id"]] = f"call {place}"
            if kind in ("call", "result"):
                said["id"] = numbers.get(said["id"], said["id"])


def _said(sent: list[list[Any]], recorded: list[list[Any]]) -> Iterator[str]:
    for place in range(max(len(sent), len(recorded))):
        left = sent[place] if place < len(sent) else None
        right = recorded[place] if place < len(recorded) else None
        if left and right and left[1] == right[1] == "reasoning":
            # Recorded clients dropped fields of it (ids, encrypted forms); what they gave
            # back has to be there.
            left = [*left[:2], {key: value for key, value in left[2].items() if key in right[2]}]
        if left != right:
            yield f"entry {place}: sent {_shown(left)}, recorded {_shown(right)}"
            return


def _fields(sent: dict[str, Any], recorded: dict[str, Any]) -> Iterator[str]:
    for name in sorted(sent.keys() | recorded.keys()):
        if sent.get(name) != recorded.get(name):
            yield f"field {name!r}: sent {_shown(sent.get(name))}, recorded {_shown(recorded.get(name))}"


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 700 else f"{text[:350]} … {text[-350:]}"
