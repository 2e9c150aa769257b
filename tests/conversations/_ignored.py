"""What the comparison of a sent request with the recorded one leaves out, each with its reason.

Everything else has to be equal: the roles, the texts, each call's id, name and arguments, each result, in their
order, and every other field of the body. A row's path names a field of the request's JSON: ``[]`` is each element
of an array, ``[type=x]`` each element whose ``type`` is x; a path that ends so names the elements themselves.
"""

from __future__ import annotations

import copy
import re
from typing import Any, Literal

import attrs


@attrs.frozen
class Ignored:
    """One row.

    Args:
        family: the wire.
        path: the field.
        where: ``"always"``; ``"unrecorded"``, where the recorded request does not have it and we send it;
            ``"later"``, from the second request of a run on.
        why: the reason.
    """

    family: str
    path: str
    where: Literal["always", "unrecorded", "later"]
    why: str


IGNORED = (
    Ignored("anthropic", "stream", "always", "run() asks for whole answers; the recorded client may have streamed"),
    Ignored("openai_chat", "stream", "always", "run() asks for whole answers; the recorded client may have streamed"),
    Ignored("openai_chat", "stream_options", "always", "goes with stream"),
    Ignored("openai_responses", "stream", "always", "run() asks for whole answers; the recorded client may have streamed"),
    Ignored("anthropic", "tool_choice", "later", "a forced choice is obeyed once; after it the model is free to answer"),
    Ignored("openai_chat", "tool_choice", "later", "a forced choice is obeyed once; after it the model is free to answer"),
    Ignored(
        "openai_responses", "tool_choice", "later", "a forced choice is obeyed once; after it the model is free to answer"
    ),
    Ignored("openai_chat", "model", "unrecorded", "the recorded client named the model in the URL"),
    Ignored("openai_responses", "store", "unrecorded", "we ask for no state at the vendor; the recorded client left the default"),
    Ignored("openai_responses", "include", "unrecorded", "goes with store: reasoning has to come back to us"),
)


def pruned(
    family: str, request: dict[str, Any], recorded: dict[str, Any], *, later: bool, used: set[Ignored] | None = None
) -> dict[str, Any]:
    """A request without what is ignored.

    Args:
        request: the recorded or the sent one.
        recorded: the recorded one.
        later: it is not the first request of its run.
        used: receives the rows that removed something.
    """
    left = copy.deepcopy(request)
    for row in IGNORED:
        if row.family != family or (row.where == "later" and not later):
            continue
        if row.where == "unrecorded" and _remove(copy.deepcopy(recorded), row.path):
            continue
        if _remove(left, row.path) and used is not None:
            used.add(row)
    return left


def _remove(value: Any, path: str) -> int:
    """Remove what a path names, in place; how much that was."""
    head, _, rest = path.partition(".")
    name, condition = re.fullmatch(r"(\w+)(?:\[(.*)\])?", head).groups()  # type: ignore[union-attr]
    if not isinstance(value, dict) or name not in value:
        return 0
    if condition is None:
        if rest:
            return _remove(value[name], rest)
        del value[name]
        return 1
    if not isinstance(value[name], list):
        return 0
    key, _, wanted = condition.partition("=")
    chosen = [item for item in value[name] if not key or (isinstance(item, dict) and str(item.get(key)) == wanted)]
    if rest:
        return sum(_remove(item, rest) for item in chosen)
    value[name] = [item for item in value[name] if not any(item is other for other in chosen)]
    return len(chosen)
